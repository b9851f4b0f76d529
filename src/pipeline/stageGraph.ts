/**
 * Wires a description: sources' mailboxes, stages in line behind them, sinks' queues at the end.
 *
 * Each stage is an RxJS operator between two subjects. Its failure ends what is behind it (whose sinks are flushed) and
 * nothing else. All accounts of all edges are kept here.
 */
import { Subject, merge, type Observable } from 'rxjs'
import type { Dispatcher } from '../actors/dispatcher'
import { Edge } from '../actors/edge'
import { copyOf, emptyLedger, pass, receive, weightOf, type Ledger } from '../actors/ledger'
import type { EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import { runWithWiring, type Wiring } from '../actors/wiring'
import type { Clock } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { Drain, type DrainResult } from '../sinks/drain'
import type { Sink } from '../sinks/sink'
import type { NodeDescription, PipelineDescription, SinkEdgeOptions } from './description'
import { graphEdge, OUTSIDE, type GraphEdge } from './graph'
import { conflateBatches, marketReceipts } from './marketEdge'
import { FrameSource, MarketSource } from './sources'

export interface StageGraphOptions {
  readonly dispatcher: Dispatcher
  /** Time of waits: retries, deadlines. */
  readonly liveClock: Clock
  readonly streamClock: Clock
  readonly outDir: string
  readonly digest: boolean
  readonly closeWithinMs: number
  readonly onFault: (fault: Fault, node: string) => void
  /** Holds back the market when an edge may not drop. */
  readonly pressure: Pressure
  /** Looks at every value that a source or stage emits. Must be quick. */
  readonly observe: (node: string, value: unknown) => void
  /** Called with values that are safe at a sink. */
  readonly onWritten: ((values: readonly unknown[]) => void) | undefined
}

/** An edge as the run's summary shows it. */
export interface EdgeReport extends GraphEdge, Readonly<Ledger> {}

export interface SinkReport {
  readonly name: string
  readonly written: number
  readonly bytes: number
  readonly failed: number
  readonly digest?: string
}

interface WiredEdge {
  readonly graph: GraphEdge
  readonly account: Readonly<Ledger>
  readonly waits: () => boolean
}

interface WiredSink {
  readonly name: string
  readonly from: string
  readonly edge: SinkEdgeOptions
  readonly sink: Sink<unknown>
  readonly drain: Drain<unknown>
  readonly ended: Promise<void>
  result: DrainResult | undefined
}

export class StageGraph {
  private readonly outputs = new Map<string, Subject<unknown>>()
  private readonly sourceEdges = new Map<string, Edge<unknown>>()
  private readonly stageEdges: WiredEdge[] = []
  private readonly sinks: WiredSink[] = []

  constructor(
    private readonly description: PipelineDescription,
    private readonly options: StageGraphOptions,
  ) {
    // From the end to the start, so that every stage is listening before anything is emitted into it.
    for (const node of description.nodes) if (node.kind !== 'sink') this.outputs.set(node.name, this.output(node.name))
    for (const node of description.nodes.toReversed()) this.wire(node)
  }

  /** The mailbox of a source. */
  source(name: string): Edge<unknown> {
    return this.sourceEdges.get(name)!
  }

  /** Ends one source: what is behind it is flushed. */
  complete(source: string): void {
    this.outputs.get(source)!.complete()
  }

  /** True when nothing waits anywhere in more than half of what may wait: the pace of a replay. */
  get relaxed(): boolean {
    for (const { drain, edge } of this.sinks) {
      const { onFull, capacity } = edge
      if (onFull === 'keepLatest' || typeof onFull === 'object') continue
      if (drain.ledger.inFlight > capacity / 2) return false
    }
    return !this.stageEdges.some((edge) => edge.waits())
  }

  /** Ends all sources in order, then waits until every sink has written what was left, or the deadline has passed. */
  async finish(deadlineMs: number): Promise<void> {
    for (const node of this.description.nodes) if (node.kind === 'source') this.complete(node.name)
    const { liveClock } = this.options
    let timer: { cancel(): void } | undefined
    const late = new Promise<void>((resolve) => {
      timer = liveClock.after(deadlineMs, resolve)
    })
    await Promise.race([Promise.all(this.sinks.map((sink) => sink.ended)), late])
    timer?.cancel()
    await Promise.all(
      this.sinks.map(async (sink) => {
        sink.result = await sink.drain.finish('completed')
        if (sink.result.fault !== undefined) this.options.onFault(sink.result.fault, sink.name)
      }),
    )
  }

  edges(): EdgeReport[] {
    const reports: EdgeReport[] = []
    for (const node of this.description.nodes) {
      if (node.kind === 'source')
        reports.push({ ...graphEdge(OUTSIDE, node.name, node.edge), ...copyOf(this.source(node.name).ledger) })
      for (const edge of this.stageEdges)
        if (edge.graph.to === node.name) reports.push({ ...edge.graph, ...copyOf(edge.account) })
      if (node.kind === 'sink') {
        const sink = this.sinks.find((candidate) => candidate.name === node.name)!
        reports.push({ ...graphEdge(sink.from, sink.name, sink.edge), ...copyOf(sink.drain.ledger) })
      }
    }
    return reports
  }

  sinkReports(): SinkReport[] {
    return this.description.nodes.flatMap((node) => {
      const wired = this.sinks.find((candidate) => candidate.name === node.name)
      if (wired === undefined) return []
      const { written, bytes, failed } = wired.sink.counters
      const digest = wired.result?.digest
      return [{ name: wired.name, written, bytes, failed, ...(digest === undefined ? {} : { digest }) }]
    })
  }

  private output(name: string): Subject<unknown> {
    const subject = new Subject<unknown>()
    subject.subscribe((value) => this.options.observe(name, value))
    return subject
  }

  private wire(node: NodeDescription): void {
    const { options } = this
    switch (node.kind) {
      case 'source': {
        const output = this.outputs.get(node.name)!
        const edge = new Edge<unknown>(node.edge, options.dispatcher, {
          name: this.edgeName(node.name),
          deliver: (value) => output.next(value),
          fault: (fault) => options.onFault(fault, node.name),
          fail: (fault) => {
            options.onFault(fault, node.name)
            output.complete()
          },
          pressure: options.pressure,
          conflate: conflateBatches(node.edge.onFull),
          receipts: marketReceipts(),
        })
        this.sourceEdges.set(node.name, edge)
        return
      }
      case 'stage': {
        const output = this.outputs.get(node.name)!
        const inputs = node.from.map((from) => this.input(from, node.name, node.edge))
        const source = inputs.length === 1 ? inputs[0]! : merge(...inputs)
        try {
          const staged = node.operator === undefined ? source : node.operator(source)
          runWithWiring(this.wiringOf(node), () =>
            staged.subscribe({
              next: (value) => output.next(value),
              error: (thrown: unknown) => this.stageFailed(node.name, thrown, output),
              complete: () => output.complete(),
            }),
          )
        } catch (thrown) {
          this.stageFailed(node.name, thrown, output)
        }
        return
      }
      case 'sink':
        this.wireSink(node.name, node.from[0]!, node.sink, node.edge)
    }
  }

  private stageFailed(name: string, thrown: unknown, output: Subject<unknown>): void {
    const path = `${this.description.name}/${name}`
    const fault =
      thrown instanceof Fault
        ? new Fault(
            thrown.code,
            `The stage ${path} ended: ${thrown.message}`,
            { stage: path, ...thrown.details },
            { cause: thrown },
          )
        : new Fault(
            'STAGE_FAILED',
            `The stage ${path} failed: ${messageOf(thrown)}`,
            { stage: path },
            { cause: thrown },
          )
    this.options.onFault(fault, name)
    output.complete()
  }

  private edgeName(to: string): string {
    return `The edge to ${this.description.name}/${to}`
  }

  /** What the run offers to a stage that carries an edge of its own. */
  private wiringOf(node: Extract<NodeDescription, { kind: 'stage' }>): Wiring {
    const { options } = this
    return {
      pressure: options.pressure,
      onFault: (fault) => options.onFault(fault, node.name),
      showEdge: ({ kind, capacity, onFull, account }) => {
        // It takes the place of the edge in line: that one only hands over.
        const index = this.stageEdges.findIndex(({ graph }) => graph.to === node.name && graph.kind === 'inline')
        const from = node.from[0]!
        this.stageEdges.splice(index, index < 0 ? 0 : 1, {
          graph: { from, to: node.name, kind, capacity, onFull },
          account,
          waits: () => account.inFlight > capacity / 2,
        })
      },
    }
  }

  /** What a stage reads: in line, or through a mailbox. */
  private input(from: string, to: string, edgeOptions: EdgeOptions | undefined): Observable<unknown> {
    const upstream = this.outputs.get(from)!
    const input = new Subject<unknown>()
    if (edgeOptions === undefined) {
      const account = emptyLedger()
      this.stageEdges.push({
        graph: graphEdge(from, to, undefined),
        account,
        waits: () => false,
      })
      upstream.subscribe({
        next: (value) => {
          const weight = weightOf(value)
          receive(account, weight)
          input.next(value)
          pass(account, weight)
        },
        complete: () => input.complete(),
      })
      return input
    }
    const { options } = this
    const edge = new Edge<unknown>(edgeOptions, options.dispatcher, {
      name: this.edgeName(to),
      deliver: (value) => input.next(value),
      fault: (fault) => options.onFault(fault, to),
      fail: (fault) => {
        options.onFault(fault, to)
        input.complete()
      },
      pressure: options.pressure,
      conflate: conflateBatches(edgeOptions.onFull),
      receipts: marketReceipts(),
    })
    this.stageEdges.push({
      graph: graphEdge(from, to, edgeOptions),
      account: edge.ledger,
      waits: () => edge.ledger.inFlight > edgeOptions.capacity / 2,
    })
    upstream.subscribe({
      next: (value) => edge.offer(undefined, value),
      complete: () => void options.dispatcher.idle().then(() => input.complete()),
    })
    return input
  }

  /** True when all that flows here comes from the market: only that is the same in a replay. */
  private isReplayable(name: string): boolean {
    const node = this.description.nodes.find((each) => each.name === name)!
    if (node.kind === 'source') return node.source instanceof MarketSource || node.source instanceof FrameSource
    return node.from.every((from) => this.isReplayable(from))
  }

  private wireSink(name: string, from: string, sink: Sink<unknown>, edge: SinkEdgeOptions): void {
    const { options } = this
    const drain = new Drain<unknown>(sink, {
      capacity: edge.capacity,
      batchMax: edge.batchMax ?? 512,
      flushMs: edge.flushMs ?? 50,
      onFull: edge.onFull,
      clock: options.liveClock,
      streamClock: options.streamClock,
      outDir: options.outDir,
      digest: options.digest && this.isReplayable(from),
      closeWithinMs: options.closeWithinMs,
      pressure: options.pressure,
      onFault: (fault) => options.onFault(fault, name),
      ...(options.onWritten === undefined ? {} : { onWritten: options.onWritten }),
    })
    const ended = new Promise<void>((resolve) => {
      this.outputs.get(from)!.subscribe({ next: (value) => drain.push(value), complete: resolve })
    })
    this.sinks.push({ name, from, edge, sink, drain, ended, result: undefined })
  }
}
