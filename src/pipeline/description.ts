/**
 * A pipeline as a value: what a `build` function describes, before anything runs.
 *
 * Building calls no source and opens no sink. The same description is checked, drawn, and wired.
 */
import type { Observable, OperatorFunction } from 'rxjs'
import { POLICIES, type EdgeOptions } from '../actors/overflow'
import { LONGEST_WAIT_MS } from '../clock/clock'
import type { Batch } from '../model/events'
import { Fault } from '../model/fault'
import type { Sink } from '../sinks/sink'

/** A place in the pipeline where values of one type flow. */
export interface Stream<T> {
  readonly name: string
  /**
   * Adds a stage. Any RxJS operator fits. Without `edge` the stage runs in line with the one before it, where nothing can
   * wait; with one it has a mailbox.
   */
  through<R>(name: string, operator: OperatorFunction<T, R>, edge?: EdgeOptions<Row<T>>): Stream<R>
}

export interface SinkEdgeOptions<V = unknown> extends EdgeOptions<V> {
  /** Values written at once at most. Default 512. */
  readonly batchMax?: number
  /** Milliseconds that a value waits at most for others to be written with. Default 50. */
  readonly flushMs?: number
  /** As in the run's summary; default the sink's own name. */
  readonly name?: string
}

/** What a sink is given of a stream: the values of its batches, or its values. */
export type Row<T> = T extends string ? T : T extends Batch<infer V> ? V : T

export interface PipelineBuilder {
  /** Where values come from: a feed, a metric, any observable. */
  readonly source: <T>(name: string, source: Observable<T>, edge: EdgeOptions<Row<T>>) => Stream<T>
  /** Where they go. A batch is written value by value. */
  readonly sink: <T>(stream: Stream<T>, sink: Sink<Row<T>>, edge: SinkEdgeOptions<Row<T>>) => void
  /** Joins streams; each keeps its own order. */
  readonly merge: <T extends readonly unknown[]>(
    name: string,
    ...streams: { readonly [K in keyof T]: Stream<T[K]> }
  ) => Stream<T[number]>
}

export type NodeDescription =
  | { readonly kind: 'source'; readonly name: string; readonly source: Observable<unknown>; readonly edge: EdgeOptions }
  | {
      readonly kind: 'stage'
      readonly name: string
      readonly from: readonly string[]
      /** Undefined where streams are only joined. */
      readonly operator: OperatorFunction<unknown, unknown> | undefined
      readonly edge: EdgeOptions | undefined
    }
  | {
      readonly kind: 'sink'
      readonly name: string
      readonly from: readonly string[]
      readonly sink: Sink<unknown>
      readonly edge: SinkEdgeOptions
    }

export interface PipelineDescription {
  readonly name: string
  /** In the order in which they were described, so a node comes after those it reads. */
  readonly nodes: readonly NodeDescription[]
}

/** A problem of a description and where it is. */
export interface PipelineProblem {
  /** `cross-exchange-spread/mid-1s`. */
  readonly path: string
  readonly problem: string
}

/**
 * Calls `build` and checks what it described.
 *
 * @throws `Fault` PIPELINE_INVALID { problems } with all problems at once, each with its place
 */
export function describePipeline(name: string, build: (builder: PipelineBuilder) => void): PipelineDescription {
  const nodes: NodeDescription[] = []
  const problems: PipelineProblem[] = []
  const names = new Set<string>()
  const streams = new WeakSet()
  const sinks = new WeakSet()

  const at = (node: string, problem: string): void =>
    void problems.push({ path: node === '' ? name : `${name}/${node}`, problem })

  const claim = (node: string, what: string): string => {
    if (typeof node !== 'string' || node.trim() === '') at('?', `A ${what} needs a name.`)
    else if (names.has(node)) at(node, `The name ${JSON.stringify(node)} is taken: names are unique in a pipeline.`)
    names.add(node)
    return node
  }

  const stream = <T>(node: string): Stream<T> => {
    const made: Stream<T> = {
      name: node,
      through<R>(stage: string, operator: OperatorFunction<T, R>, typed?: EdgeOptions<Row<T>>): Stream<R> {
        claim(stage, 'stage')
        const edge = typed as EdgeOptions | undefined
        if (typeof operator !== 'function') at(stage, 'A stage needs an operator.')
        if (edge !== undefined) checkEdge(stage, edge, at)
        nodes.push({
          kind: 'stage',
          name: stage,
          from: [node],
          operator: operator as OperatorFunction<unknown, unknown>,
          edge,
        })
        return stream<R>(stage)
      },
    }
    streams.add(made)
    return made
  }

  const builder: PipelineBuilder = {
    source: <T>(node: string, source: Observable<T>, typed: EdgeOptions<Row<T>>): Stream<T> => {
      const edge = typed as EdgeOptions
      claim(node, 'source')
      if (typeof (source as { subscribe?: unknown } | undefined)?.subscribe !== 'function') {
        at(node, 'A source is an observable, such as feed({...}).')
      }
      checkEdge(node, edge, at)
      nodes.push({ kind: 'source', name: node, source, edge })
      return stream<T>(node)
    },
    sink: <T>(from: Stream<T>, sink: Sink<Row<T>>, typed: SinkEdgeOptions<Row<T>>): void => {
      const edge = typed as SinkEdgeOptions
      // Plain JavaScript may leave out what the types require: that is a problem with a place, not a crash.
      const given = edge as Partial<SinkEdgeOptions> | undefined
      const node = given?.name ?? freeName((sink as Partial<Sink<Row<T>>> | undefined)?.name ?? 'sink', names)
      claim(node, 'sink')
      if (!isStream(from)) at(node, 'A sink reads a stream of this pipeline.')
      if (!isSink(sink)) {
        at(node, 'A sink is a value with name, counters, open, write and close, such as jsonReport(path).')
      }
      checkEdge(node, edge, at)
      if (given?.batchMax !== undefined && !isCount(given.batchMax)) at(node, 'batchMax is a whole number, 1 or more.')
      if (given?.flushMs !== undefined && !isWait(given.flushMs)) at(node, 'flushMs is milliseconds, 0 or more.')
      if (typeof sink === 'object' && (sink as unknown) !== null) {
        if (sinks.has(sink))
          at(node, 'This sink is written by another edge already: make one for each, or merge the streams.')
        sinks.add(sink)
      }
      nodes.push({
        kind: 'sink',
        name: node,
        from: isStream(from) ? [from.name] : [],
        sink: sink,
        edge,
      })
    },
    merge: <T extends readonly unknown[]>(
      node: string,
      ...from: { readonly [K in keyof T]: Stream<T[K]> }
    ): Stream<T[number]> => {
      claim(node, 'merge')
      if (from.length === 0) at(node, 'A merge joins at least one stream.')
      if (!from.every(isStream)) at(node, 'A merge joins streams of this pipeline.')
      nodes.push({
        kind: 'stage',
        name: node,
        from: from.filter(isStream).map((each) => each.name),
        operator: undefined,
        edge: undefined,
      })
      return stream<T[number]>(node)
    },
  }

  function isStream(value: unknown): value is Stream<unknown> {
    return typeof value === 'object' && value !== null && streams.has(value)
  }

  build(builder)
  if (!nodes.some((node) => node.kind === 'source')) at('', 'A pipeline needs a source.')
  if (!nodes.some((node) => node.kind === 'sink')) at('', 'A pipeline needs a sink: what leaves it is its product.')
  for (const node of nodes) {
    if (node.kind !== 'stage' || !needsEveryValue(node.operator)) continue
    const lossy = lossyEdgeBefore(node.from, nodes)
    if (lossy !== undefined) {
      at(
        node.name,
        `Books are kept behind the edge of ${JSON.stringify(lossy)}, which may drop values: one lost delta silences a book. Let it block, fail or conflate.`,
      )
    }
  }
  const read = new Set(nodes.flatMap((node) => (node.kind === 'source' ? [] : node.from)))
  for (const node of nodes) {
    if (node.kind !== 'sink' && !read.has(node.name))
      at(node.name, 'Nothing reads this stream: end it in a sink or leave it out.')
  }
  if (problems.length > 0) {
    const lines = problems.map(({ path, problem }) => `  ${path}: ${problem}`)
    throw new Fault(
      'PIPELINE_INVALID',
      `The pipeline ${name} has ${count(problems.length, 'problem')}:\n${lines.join('\n')}`,
      {
        problems,
      },
    )
  }
  return { name, nodes }
}

function checkEdge(node: string, edge: EdgeOptions | undefined, at: (node: string, problem: string) => void): void {
  if (typeof edge !== 'object' || (edge as unknown) === null) {
    at(node, 'An edge needs { capacity, onFull }: how much may wait, and what happens when that much does.')
    return
  }
  if (!isCount(edge.capacity))
    at(node, `capacity is a whole number of values, 1 or more; it is ${String(edge.capacity)}.`)
  const { onFull } = edge as { onFull: unknown }
  const conflate =
    typeof onFull === 'object' && onFull !== null ? (onFull as { conflate?: unknown }).conflate : undefined
  const conflates = typeof conflate === 'string' || typeof conflate === 'function'
  if (!conflates && !(POLICIES as readonly unknown[]).includes(onFull)) {
    at(
      node,
      `onFull is one of ${POLICIES.join(', ')} or { conflate: key }; it is ${onFull === undefined ? 'missing' : JSON.stringify(onFull)}.`,
    )
  }
}

function needsEveryValue(operator: unknown): boolean {
  return (operator as { needsEveryValue?: unknown } | undefined)?.needsEveryValue === true
}

/** The nearest edge upstream whose policy gives values up. */
function lossyEdgeBefore(from: readonly string[], nodes: readonly NodeDescription[]): string | undefined {
  for (const name of from) {
    const node = nodes.find((candidate) => candidate.name === name && candidate.kind !== 'sink')
    if (node === undefined || node.kind === 'sink') continue
    const onFull = (node.edge as Partial<EdgeOptions> | null | undefined)?.onFull
    if (onFull === 'dropOldest' || onFull === 'dropNewest' || onFull === 'keepLatest') return name
    const further = node.kind === 'stage' ? lossyEdgeBefore(node.from, nodes) : undefined
    if (further !== undefined) return further
  }
  return undefined
}

/** Plain JavaScript may pass anything. */
function isSink(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { counters, open, write, close } = value as Partial<Sink<unknown>>
  return [open, write, close].every((verb) => typeof verb === 'function') && typeof counters === 'object'
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

function isWait(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= LONGEST_WAIT_MS
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wanted)) return wanted
  let number = 2
  while (taken.has(`${wanted}-${number}`)) number++
  return `${wanted}-${number}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
