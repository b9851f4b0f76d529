/**
 * Instruments of development that are put into a pipeline before it is wired: they write the number of each stage and sink
 * on the stack, follow what it waits for, and know which of the values that it was given it still holds.
 *
 * What the pipeline does is the same with them and without, only dearer.
 */
import { Observable, type OperatorFunction } from 'rxjs'
import { entered } from '../../metrics/stalls/stageDigits'
import type { RunningPlace } from '../../metrics/stalls/sourceLines'
import type { Sink } from '../../sinks/sink'
import { pathOf, type NodeDescription, type PipelineDescription } from '../description'
import { StageInput } from '../stageInput'
import { AsyncWork, scopeOf, type Wait, type Waiter } from './asyncWork'

/** A stage, source or sink under observation. */
export class Observed implements Waiter {
  /** Values that were given to it. */
  received = 0
  readonly waits = new Map<string, Wait>()
  begun = 0
  /** Values that can be held, told by whether they are still there; each stands for `stride`. */
  private refs: WeakRef<object>[] = []
  private stride = 1
  private untilNext = 0
  /** Of the values received, those that are objects. */
  objects = 0

  constructor(
    readonly number: number,
    readonly name: string,
    readonly path: string,
    readonly kind: NodeDescription['kind'],
    readonly place: RunningPlace | undefined,
  ) {}

  take(value: unknown): void {
    this.received++
    if (typeof value !== 'object' || value === null) return
    this.objects++
    if (this.untilNext-- > 0) return
    this.untilNext = this.stride - 1
    this.refs.push(new WeakRef(value))
    if (this.refs.length < REFS_MAX) return
    this.refs = this.refs.filter((_, index) => index % 2 === 0)
    this.stride *= 2
  }

  /** How many values that it was given somebody still holds. True right after a collection of garbage. */
  held(): number {
    this.refs = this.refs.filter((ref) => ref.deref() !== undefined)
    return this.refs.length * this.stride
  }
}

/** Values of one stage that are told apart; beyond, each stands for several. */
const REFS_MAX = 20_000

export class Instruments {
  readonly observed: Observed[] = []
  readonly asyncWork = new AsyncWork()

  /** Puts the instruments in. */
  readonly prepare = (description: PipelineDescription): PipelineDescription => ({
    ...description,
    nodes: description.nodes.map((node) => this.into(node, description.name)),
  })

  private into(node: NodeDescription, pipeline: string): NodeDescription {
    const { name, groups, kind, place } = node
    const observed = new Observed(this.observed.length + 1, name, pathOf(pipeline, groups, name), kind, place)
    this.observed.push(observed)
    if (node.kind === 'sink') return { ...node, sink: this.observedSink(node.sink, observed) }
    if (node.kind === 'source' || node.operator === undefined) return node
    return { ...node, operator: this.observedOperator(node.operator, observed) }
  }

  private observedOperator(
    operator: OperatorFunction<unknown, unknown>,
    observed: Observed,
  ): OperatorFunction<unknown, unknown> {
    const { asyncWork } = this
    const made: OperatorFunction<unknown, unknown> = (source) =>
      new Observable((out) => {
        const input = new StageInput((thrown) => out.error(thrown))
        const scope = scopeOf(observed, true)
        const give = entered(observed.number, (value) => input.next(value))
        const end = entered(observed.number, () => input.complete())
        const begin = entered(observed.number, () => {
          const staged: Observable<unknown> = operator(input)
          out.add(
            staged.subscribe({
              next: (value) => asyncWork.outside(() => out.next(value)),
              error: (thrown: unknown) => asyncWork.outside(() => out.error(thrown)),
              complete: () => asyncWork.outside(() => out.complete()),
            }),
          )
        })
        asyncWork.within(scopeOf(observed, false), () => begin(undefined))
        out.add(
          source.subscribe({
            next: (value) => {
              observed.take(value)
              asyncWork.within(scope, () => give(value))
            },
            error: (thrown: unknown) => out.error(thrown),
            complete: () => asyncWork.within(scope, () => end(undefined)),
          }),
        )
      })
    // What an operator says of itself (that it needs every value, that it keeps its state, what it carries) stays true.
    return Object.assign(made, operator)
  }

  private observedSink(sink: Sink<unknown>, observed: Observed): Sink<unknown> {
    const scope = scopeOf(observed, true)
    const write = (batch: readonly unknown[], key: Parameters<Sink<unknown>['write']>[1]): Promise<void> => {
      let written: Promise<void> | undefined
      const enter = entered(observed.number, () => {
        written = sink.write(batch, key)
      })
      for (const value of batch) observed.take(value)
      this.asyncWork.within(scope, () => enter(undefined))
      return written!
    }
    // Whatever else a sink is and has stays its own.
    return new Proxy(sink, {
      get(target, property) {
        if (property === 'write') return write
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }
}
