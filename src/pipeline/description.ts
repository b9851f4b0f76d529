/**
 * A pipeline as a value: what a `build` function describes, before anything runs.
 *
 * Building calls no source and opens no sink. The same description is checked, drawn, and wired.
 */
import type { Observable, OperatorFunction } from 'rxjs'
import { blocks, givesUpValues, problemOfPolicy, type EdgeOptions } from '../actors/overflow'
import { problemOfFailurePolicy, type OnFailure } from '../actors/supervision'
import { LONGEST_WAIT_MS } from '../clock/clock'
import { runWithMetrics } from '../metrics/currentMetrics'
import { UserMetrics } from '../metrics/userMetrics'
import type { Batch } from '../model/events'
import { Fault } from '../model/fault'
import type { DeadLetter } from '../sinks/deadLetter'
import type { RetryBudget } from '../sinks/drain'
import type { Sink } from '../sinks/sink'

/** A place in the pipeline where values of one type flow. */
export interface Stream<T> {
  readonly name: string
  /**
   * Adds a stage. Any RxJS operator fits. Without `capacity` and `onFull` the stage runs in line with the one before it,
   * where nothing can wait; with them it has a mailbox. `onFailure` says what happens when the stage throws.
   */
  through<R>(
    name: string,
    operator: OperatorFunction<T, R>,
    options?: StageOptions | (EdgeOptions<Row<T>> & StageOptions),
  ): Stream<R>
}

export interface StageOptions {
  /** What happens when the stage fails; see `OnFailure`. Default: what the table of faults says, a restart for most. */
  readonly onFailure?: OnFailure
}

export interface SourceOptions<V = unknown> extends EdgeOptions<V>, StageOptions {
  /** False: a run is ready without it. Default true. */
  readonly required?: boolean
}

export interface SinkEdgeOptions<V = unknown> extends EdgeOptions<V> {
  /** Values written at once at most. Default 512. */
  readonly batchMax?: number
  /** Milliseconds that a value waits at most for others to be written with. Default 50. */
  readonly flushMs?: number
  /** As in the run's summary; default the sink's own name. */
  readonly name?: string
  /** How often, and how long apart, a batch that the sink refuses is offered again. */
  readonly retry?: RetryBudget
  /** Where values go that were given up, with the reason; default nowhere but the ledger and the faults. */
  readonly deadLetters?: Sink<DeadLetter<V>>
}

/** What a sink is given of a stream: the values of its batches, or its values. */
export type Row<T> = T extends string ? T : T extends Batch<infer V> ? V : T

/** A stream whose values come from further down the pipeline: the only way to make a loop. */
export interface Feedback<T> extends Stream<T> {
  /** Says where its values come from. To be called once. */
  from(stream: Stream<T>): void
}

/** What may be described of a running pipeline's new branch: everything but sources. */
export interface BranchBuilder {
  /** Where values go. A batch is written value by value. */
  readonly sink: <T>(stream: Stream<T>, sink: Sink<Row<T>>, edge: SinkEdgeOptions<Row<T>>) => void
  /** Joins streams; each keeps its own order. */
  readonly merge: <T extends readonly unknown[]>(
    name: string,
    ...streams: { readonly [K in keyof T]: Stream<T[K]> }
  ) => Stream<T[number]>
  /** A stream that values come back to. The mailbox is what keeps a loop from running within itself. */
  readonly feedback: <T>(name: string, edge: EdgeOptions<Row<T>>) => Feedback<T>
  /**
   * What is described within has a supervisor of its own: a failure that escalates is its business, and a restart is one
   * of all stages of the group together.
   */
  readonly group: <T>(name: string, options: StageOptions, describe: () => T) => T
}

export interface PipelineBuilder extends BranchBuilder {
  /** Where values come from: a feed, a metric, any observable. */
  readonly source: <T>(name: string, source: Observable<T>, options: SourceOptions<Row<T>>) => Stream<T>
}

interface NodeBase {
  readonly name: string
  /** Names of the groups it is in, from the outermost. */
  readonly groups: readonly string[]
}

export interface SourceNode extends NodeBase {
  readonly kind: 'source'
  readonly source: Observable<unknown>
  readonly edge: SourceOptions
}

export interface StageNode extends NodeBase {
  readonly kind: 'stage'
  readonly from: readonly string[]
  /** Undefined where streams are only joined. */
  readonly operator: OperatorFunction<unknown, unknown> | undefined
  readonly edge: EdgeOptions | undefined
  readonly onFailure: OnFailure | undefined
  /** True where a loop closes: what comes here has been further down before. */
  readonly feedback: boolean
}

export interface SinkNode extends NodeBase {
  readonly kind: 'sink'
  readonly from: readonly string[]
  readonly sink: Sink<unknown>
  readonly edge: SinkEdgeOptions
}

export type NodeDescription = SourceNode | StageNode | SinkNode

export interface GroupDescription {
  readonly name: string
  /** Names of the groups around it, from the outermost. */
  readonly groups: readonly string[]
  readonly onFailure: OnFailure | undefined
}

export interface PipelineDescription {
  readonly name: string
  /** In the order in which they were described, so a node comes after those it reads, but for loops. */
  readonly nodes: readonly NodeDescription[]
  readonly groups: readonly GroupDescription[]
  /** What it counts of its own. Not to be shared between runs. */
  readonly metrics?: UserMetrics | undefined
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
  const drawing = new Drawing({ name, nodes: [], groups: [], metrics: new UserMetrics() })
  drawing.draw(() => build(drawing.builder))
  if (!drawing.nodes.some((node) => node.kind === 'source')) drawing.at('', 'A pipeline needs a source.')
  if (!drawing.nodes.some((node) => node.kind === 'sink')) {
    drawing.at('', 'A pipeline needs a sink: what leaves it is its product.')
  }
  return drawing.finished(`The pipeline ${name}`)
}

/**
 * Calls `build` with the streams of a pipeline at hand, and checks what it added.
 *
 * @returns  what was added alone
 * @throws   `Fault` PIPELINE_INVALID { problems } as {@link describePipeline}
 */
export function describeBranch(
  to: PipelineDescription,
  build: (builder: BranchBuilder & { readonly stream: <T>(name: string) => Stream<T> }) => void,
): PipelineDescription {
  const drawing = new Drawing(to)
  drawing.draw(() => build({ ...drawing.builder, stream: <T>(name: string) => drawing.existing<T>(name) }))
  if (!drawing.nodes.slice(to.nodes.length).some((node) => node.kind === 'sink')) {
    drawing.at('', 'A branch needs a sink: what leaves it is its product.')
  }
  const { name, nodes, groups } = drawing.finished(`The branch of ${to.name}`)
  return { name, nodes: nodes.slice(to.nodes.length), groups: groups.slice(to.groups.length) }
}

/** A description under way. */
class Drawing {
  readonly nodes: NodeDescription[]
  private readonly groups: GroupDescription[]
  private readonly problems: PipelineProblem[] = []
  private readonly names: Set<string>
  private readonly streams = new WeakSet()
  private readonly sinks = new WeakSet()
  /** Groups that are being described, from the outermost. */
  private open: readonly string[] = []
  private readonly first: number
  /** Two nodes have one name, so who reads whom cannot be told. */
  private ambiguous = false

  private readonly pipeline: string
  private readonly metrics: UserMetrics

  /** @param from  what is there already */
  constructor({ name, nodes, groups, metrics = new UserMetrics() }: PipelineDescription) {
    this.pipeline = name
    this.metrics = metrics
    this.nodes = [...nodes]
    this.groups = [...groups]
    this.first = nodes.length
    this.names = new Set([...nodes, ...groups].map(({ name }) => name))
    for (const node of nodes) {
      if (node.kind !== 'sink') continue
      this.sinks.add(node.sink)
      if (node.edge.deadLetters !== undefined) this.sinks.add(node.edge.deadLetters)
    }
  }

  /** Calls `build` with the pipeline's own metrics in force. */
  draw(build: () => void): void {
    const refused = ({ message }: Fault): void => this.at('', message)
    runWithMetrics({ metrics: this.metrics, owner: '', refused }, build)
  }

  readonly builder: PipelineBuilder = {
    source: <T>(name: string, source: Observable<T>, typed: SourceOptions<Row<T>>): Stream<T> => {
      const edge = typed as SourceOptions
      this.claim(name, 'source')
      if (typeof (source as { subscribe?: unknown } | undefined)?.subscribe !== 'function') {
        this.at(name, 'A source is an observable, such as feed({...}).')
      }
      this.checkEdge(name, edge)
      this.checkFailurePolicy(name, edge)
      const policy = (edge as Partial<SourceOptions> | undefined)?.onFull
      if (cannotPause(source) && policy === 'block') {
        this.at(
          name,
          'This source goes by time and cannot be paused, so its edge cannot block: choose what may be dropped, or fail.',
        )
      }
      this.nodes.push({ kind: 'source', name, groups: this.open, source, edge })
      return this.stream<T>(name)
    },
    sink: <T>(from: Stream<T>, sink: Sink<Row<T>>, typed: SinkEdgeOptions<Row<T>>): void => {
      const edge = typed as SinkEdgeOptions
      // Plain JavaScript may leave out what the types require: that is a problem with a place, not a crash.
      const given = edge as Partial<SinkEdgeOptions> | undefined
      const name = given?.name ?? freeName((sink as Partial<Sink<Row<T>>> | undefined)?.name ?? 'sink', this.names)
      this.claim(name, 'sink')
      if (!this.isStream(from)) this.at(name, 'A sink reads a stream of this pipeline.')
      if (!isSink(sink)) {
        this.at(name, 'A sink is a value with name, counters, open, write and close, such as jsonReport(path).')
      }
      this.checkEdge(name, edge)
      if (given?.batchMax !== undefined && !isCount(given.batchMax)) {
        this.at(name, 'batchMax is a whole number, 1 or more.')
      }
      if (given?.flushMs !== undefined && !isWait(given.flushMs)) this.at(name, 'flushMs is milliseconds, 0 or more.')
      this.checkRetry(name, given?.retry)
      this.takeSink(name, sink, 'This sink')
      if (given?.deadLetters !== undefined) this.checkDeadLetters(name, given.deadLetters)
      const reads = this.isStream(from) ? [from.name] : []
      this.nodes.push({ kind: 'sink', name, groups: this.open, from: reads, sink, edge })
    },
    merge: <T extends readonly unknown[]>(
      name: string,
      ...from: { readonly [K in keyof T]: Stream<T[K]> }
    ): Stream<T[number]> => {
      this.claim(name, 'merge')
      if (from.length === 0) this.at(name, 'A merge joins at least one stream.')
      if (!from.every((each) => this.isStream(each))) this.at(name, 'A merge joins streams of this pipeline.')
      this.addStage(
        name,
        from.filter((each) => this.isStream(each)).map((each) => each.name),
        undefined,
        undefined,
      )
      return this.stream<T[number]>(name)
    },
    feedback: <T>(name: string, typed: EdgeOptions<Row<T>>): Feedback<T> => {
      const edge = typed as EdgeOptions
      this.claim(name, 'feedback')
      this.checkEdge(name, edge)
      const policy = (edge as Partial<EdgeOptions> | undefined)?.onFull
      if (problemOfPolicy(policy) === undefined && blocks(policy!)) {
        this.at(name, 'A loop cannot pause itself, so its edge cannot block: choose what may be dropped, or fail.')
      }
      const from: string[] = []
      this.addStage(name, from, undefined, edge, undefined, true)
      return Object.assign(this.stream<T>(name), {
        from: (stream: Stream<T>) => {
          if (!this.isStream(stream)) this.at(name, 'A feedback reads a stream of this pipeline.')
          else if (from.length > 0) this.at(name, 'A feedback reads one stream: merge several before.')
          else from.push(stream.name)
        },
      })
    },
    group: <T>(name: string, options: StageOptions, describe: () => T): T => {
      this.claim(name, 'group')
      this.checkFailurePolicy(name, options)
      const outer = this.open
      this.groups.push({ name, groups: outer, onFailure: (options as StageOptions | undefined)?.onFailure })
      this.open = [...outer, name]
      try {
        return describe()
      } finally {
        this.open = outer
      }
    },
  }

  /** A stream that was there before. */
  existing<T>(name: string): Stream<T> {
    const known = this.nodes.some((node) => node.name === name && node.kind !== 'sink')
    if (!known) {
      const others = this.nodes.flatMap((node) => (node.kind === 'sink' ? [] : [node.name])).join(', ')
      this.at(name, `There is no stream of this name in ${this.pipeline}: there are ${others}.`)
    }
    return this.stream<T>(name)
  }

  at(node: string, problem: string): void {
    const groups = this.nodes.find(({ name }) => name === node)?.groups ?? this.open
    this.problems.push({ path: pathOf(this.pipeline, groups, node), problem })
  }

  /** @throws `Fault` PIPELINE_INVALID { problems } when there are any */
  finished(what: string): PipelineDescription {
    const { nodes, problems } = this
    this.checkLossBeforeBooks()
    if (!this.ambiguous) this.checkLoops()
    this.checkReach()
    if (problems.length > 0) {
      const lines = problems.map(({ path, problem }) => `  ${path}: ${problem}`)
      throw new Fault('PIPELINE_INVALID', `${what} has ${count(problems.length, 'problem')}:\n${lines.join('\n')}`, {
        problems,
      })
    }
    return { name: this.pipeline, nodes, groups: this.groups, metrics: this.metrics }
  }

  private stream<T>(name: string): Stream<T> {
    const made: Stream<T> = {
      name,
      through: <R>(
        stage: string,
        operator: OperatorFunction<T, R>,
        typed?: StageOptions | (EdgeOptions<Row<T>> & StageOptions),
      ): Stream<R> => {
        this.claim(stage, 'stage')
        const options = typed as (Partial<EdgeOptions> & StageOptions) | undefined
        const edge = options?.capacity === undefined && options?.onFull === undefined ? undefined : options
        if (typeof operator !== 'function') this.at(stage, 'A stage needs an operator.')
        if (typed !== undefined && (typeof typed !== 'object' || (typed as unknown) === null))
          this.checkEdge(stage, typed)
        if (edge !== undefined) this.checkEdge(stage, edge)
        this.checkFailurePolicy(stage, options)
        if (options?.onFailure === 'resume' && !keepsItsState(operator)) {
          this.at(
            stage,
            'An RxJS operator loses its state with its error and cannot resume: let it restart, or write the stage as an actor(...).',
          )
        }
        this.addStage(
          stage,
          [name],
          operator as OperatorFunction<unknown, unknown>,
          edge as EdgeOptions | undefined,
          options?.onFailure,
        )
        return this.stream<R>(stage)
      },
    }
    this.streams.add(made)
    return made
  }

  private addStage(
    name: string,
    from: readonly string[],
    operator: OperatorFunction<unknown, unknown> | undefined,
    edge: EdgeOptions | undefined,
    onFailure?: OnFailure,
    feedback = false,
  ): void {
    this.nodes.push({ kind: 'stage', name, groups: this.open, from, operator, edge, onFailure, feedback })
  }

  private claim(name: string, what: string): void {
    if (typeof name !== 'string' || name.trim() === '') this.at('?', `A ${what} needs a name.`)
    else if (this.names.has(name)) {
      this.at(name, `The name ${JSON.stringify(name)} is taken: names are unique in a pipeline.`)
      this.ambiguous = true
    }
    this.names.add(name)
  }

  private isStream(value: unknown): value is Stream<unknown> {
    return typeof value === 'object' && value !== null && this.streams.has(value)
  }

  private checkEdge(node: string, edge: unknown): void {
    if (typeof edge !== 'object' || edge === null) {
      this.at(node, 'An edge needs { capacity, onFull }: how much may wait, and what happens when that much does.')
      return
    }
    const { capacity, onFull } = edge as Partial<EdgeOptions>
    if (!isCount(capacity)) {
      this.at(node, `capacity is a whole number of values, 1 or more; it is ${String(capacity)}.`)
    }
    const problem = problemOfPolicy(onFull)
    if (problem !== undefined) this.at(node, problem)
  }

  private checkRetry(node: string, retry: unknown): void {
    if (retry === undefined) return
    if (typeof retry !== 'object' || retry === null) {
      this.at(node, 'retry is { attempts, firstMs, capMs }: how often, and how long apart, a batch is offered again.')
      return
    }
    const { attempts, firstMs, capMs } = retry as RetryBudget
    if (attempts !== undefined && !isCount(attempts)) this.at(node, 'retry.attempts is a whole number, 1 or more.')
    for (const [option, value] of Object.entries({ firstMs, capMs })) {
      if (value !== undefined && !isWait(value)) this.at(node, `retry.${option} is milliseconds, 0 or more.`)
    }
  }

  private checkDeadLetters(node: string, letters: unknown): void {
    if (isSink(letters)) this.takeSink(node, letters, 'The sink of its deadLetters')
    else this.at(node, "deadLetters is a sink, such as jsonLines('out/dead-letters.jsonl').")
  }

  /** A sink has one writer: what is written to it is in one order, and is counted once. */
  private takeSink(node: string, sink: unknown, which: string): void {
    if (typeof sink !== 'object' || sink === null) return
    if (this.sinks.has(sink)) {
      this.at(node, `${which} is written by another edge already: make one for each, or merge the streams.`)
    }
    this.sinks.add(sink)
  }

  private checkFailurePolicy(node: string, options: StageOptions | undefined): void {
    const problem = problemOfFailurePolicy((options as StageOptions | null | undefined)?.onFailure)
    if (problem !== undefined) this.at(node, problem)
  }

  private checkLossBeforeBooks(): void {
    for (const node of this.nodes.slice(this.first)) {
      if (node.kind !== 'stage' || !needsEveryValue(node.operator)) continue
      const lossy = lossyEdgeBefore(node, this.nodes, new Set())
      if (lossy !== undefined) {
        this.at(
          node.name,
          `Books are kept behind the edge of ${JSON.stringify(lossy)}, which may drop values: one lost delta silences a book. Let it block, fail, spill or conflate.`,
        )
      }
    }
  }

  /** In line, a value that comes back to where it was would run within itself, without end. */
  private checkLoops(): void {
    const stages = new Map(this.nodes.flatMap((node) => (node.kind === 'stage' ? [[node.name, node] as const] : [])))
    const done = new Set<string>()
    const visit = (name: string, way: readonly string[]): void => {
      const node = stages.get(name)
      if (node === undefined || done.has(name) || node.edge !== undefined) return
      if (way.includes(name)) {
        this.at(
          name,
          `This is a loop without a mailbox (${[...way.slice(way.indexOf(name)), name].toReversed().join(' → ')}): give its feedback { capacity, onFull }.`,
        )
        return
      }
      for (const from of node.from) visit(from, [...way, name])
      done.add(name)
    }
    for (const name of stages.keys()) visit(name, [])
  }

  private checkReach(): void {
    const added = this.nodes.slice(this.first)
    for (const node of added) {
      if (node.kind === 'stage' && node.feedback && node.from.length === 0) {
        this.at(node.name, 'Nothing comes back here: say from(stream) where its values come from, or leave it out.')
      }
    }
    const read = new Set(this.nodes.flatMap((node) => (node.kind === 'source' ? [] : node.from)))
    for (const node of added) {
      if (node.kind !== 'sink' && !read.has(node.name))
        this.at(node.name, 'Nothing reads this stream: end it in a sink or leave it out.')
    }
    const reached = new Set(this.nodes.flatMap((node) => (node.kind === 'source' ? [node.name] : [])))
    for (let before = -1; before !== reached.size;) {
      before = reached.size
      for (const node of this.nodes) {
        if (node.kind !== 'source' && node.from.some((from) => reached.has(from))) reached.add(node.name)
      }
    }
    for (const node of added) {
      if (node.kind === 'sink' && node.from.length > 0 && !reached.has(node.name)) {
        this.at(node.name, 'Nothing reaches this sink: no source leads to it.')
      }
    }
  }
}

/** Where something is in a pipeline: `market-monitor/bars/bars-1s`. */
export function pathOf(pipeline: string, groups: readonly string[], name: string): string {
  return [pipeline, ...groups, ...(name === '' ? [] : [name])].join('/')
}

/** True for operators behind which a lost value leaves books wrong. */
export function needsEveryValue(operator: unknown): boolean {
  return (operator as { needsEveryValue?: unknown } | undefined)?.needsEveryValue === true
}

/** True for sources that go by time. */
function cannotPause(source: unknown): boolean {
  return (source as { cannotPause?: unknown } | undefined)?.cannotPause === true
}

/** True for actors, whose state survives a value that they threw on. */
function keepsItsState(operator: unknown): boolean {
  return (operator as { keepsItsState?: unknown } | undefined)?.keepsItsState === true
}

/** The nearest edge upstream whose policy gives values up. */
function lossyEdgeBefore(
  node: NodeDescription,
  nodes: readonly NodeDescription[],
  seen: Set<string>,
): string | undefined {
  if (node.kind === 'sink' || seen.has(node.name)) return undefined
  seen.add(node.name)
  if (node.kind === 'stage' && isLossy(node.edge)) return node.name
  for (const name of node.kind === 'stage' ? node.from : []) {
    const before = nodes.find((candidate) => candidate.name === name && candidate.kind !== 'sink')
    if (before === undefined) continue
    if (before.kind === 'source' && isLossy(before.edge)) return name
    const further = lossyEdgeBefore(before, nodes, seen)
    if (further !== undefined) return further
  }
  return undefined
}

function isLossy(edge: EdgeOptions | undefined): boolean {
  const onFull = (edge as Partial<EdgeOptions> | null | undefined)?.onFull
  return problemOfPolicy(onFull) === undefined && givesUpValues(onFull!)
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
