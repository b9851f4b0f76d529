/**
 * A run of a pipeline: from its description to its summary.
 *
 * Life   the market is opened; at the first record the stages are wired, with the stream's clock at that record's time;
 *        from then on the dispatcher runs everything in order. Stopping closes the sources, drains what is under way,
 *        flushes the sinks within a deadline, and sums up.
 * Time   stages follow the stream's clock, which is moved by the records (and, while it is quiet, by the machine's clock).
 *        Waits of the rim (retries, deadlines) follow the machine's clock.
 */
import type { Subscription } from 'rxjs'
import { Dispatcher } from '../actors/dispatcher'
import type { Pressure } from '../actors/pressure'
import type { Timer } from '../clock/clock'
import { runWithClock } from '../clock/currentClock'
import { VirtualClock } from '../clock/virtualClock'
import type { SessionRecord } from '../feed/record'
import { LatencyHistogram } from '../metrics/histogram'
import { runWithSpawn } from '../workers/currentSpawn'
import type { MarketEvent } from '../model/events'
import { Fault, messageOf, type FaultCode } from '../model/fault'
import type { PipelineDescription } from './description'
import type { Host, ProcessCost, ProcessWatch } from './host'
import type { Market } from './market'
import { Monitor } from './monitor'
import { FrameSource, MarketSource } from './sources'
import { StageGraph, type EdgeReport, type SinkReport } from './stageGraph'
import { meets } from './wish'

export type RunMode = 'live' | 'simulate' | 'replay'

export interface RunSummary {
  readonly format: 'millrace-run/1'
  readonly pipeline: string
  readonly mode: RunMode
  readonly seconds: number
  readonly edges: readonly EdgeReport[]
  readonly sinks: readonly SinkReport[]
  readonly faults: Readonly<Record<string, number>>
  readonly books: { readonly live: number; readonly gaps: number; readonly resyncs: number }
  readonly latencyUs: { readonly receiveToSink: { readonly p50: number; readonly p99: number; readonly max: number } }
  readonly process: ProcessCost
  /** What was not repaired, in sentences; empty when all is well. */
  readonly problems: readonly string[]
}

/** A run as it is now, for a terminal view or a notebook. */
export interface RunStatus {
  readonly pipeline: string
  readonly mode: RunMode
  readonly seconds: number
  readonly records: number
  readonly events: number
  /** The stream's time; undefined before the first record. */
  readonly streamTimeUs: number | undefined
  readonly rows: Monitor['rows']
  readonly edges: readonly EdgeReport[]
  readonly sinks: readonly SinkReport[]
  readonly faults: Readonly<Record<string, number>>
  readonly connections: ReturnType<Market['connections']>
}

export interface RunEngineOptions {
  readonly description: PipelineDescription
  readonly mode: RunMode
  readonly market: (ready: () => Promise<void> | undefined) => Market | undefined
  readonly recorder: Recorder | undefined
  readonly host: Host
  readonly outDir: string
  readonly digest: boolean
  /** How long draining and flushing may take. */
  readonly stopWithinMs: number
  readonly onFault: (fault: Fault) => void
}

/** What takes down every record of a run. */
export interface Recorder {
  write(record: SessionRecord): void
  /** Resolves when everything is written. */
  close(): Promise<unknown>
}

/** While nothing arrives the machine's clock moves the stream's this often. */
const QUIET_TICK_MS = 50

/** Work after which the event loop is given a turn. */
const TURN_BUDGET_MS = 8

/** Sentences about unrepaired faults that a summary holds at most. */
const PROBLEMS_MAX = 100

export class Run {
  /** Resolves with the summary when the run has ended; rejects only when it could not begin. */
  readonly done: Promise<RunSummary>
  private readonly streamClock = new VirtualClock()
  private readonly dispatcher: Dispatcher
  private readonly monitor = new Monitor()
  private readonly faults = new Map<FaultCode, number>()
  private readonly problems: string[] = []
  private readonly latency = new LatencyHistogram()
  private readonly market: Market | undefined
  private graph: StageGraph | undefined
  private readonly subscriptions: Subscription[] = []
  private readonly taps: { readonly source: string; readonly wants: (event: MarketEvent) => boolean }[] = []
  private readonly frameTaps: string[] = []
  private quietTimer: Timer | undefined
  private watch: ProcessWatch | undefined
  private readonly books = { live: 0, gaps: 0, resyncs: 0 }
  private records = 0
  private eventCount = 0
  private holds = 0
  private readonly startedUs: number
  private resolveStopped!: () => void
  private readonly stopped = new Promise<void>((resolve) => (this.resolveStopped = resolve))
  private stopRequested = false
  /** Why the stages could not be wired. */
  private failure: Error | undefined
  /** Sources that have not ended by themselves. */
  private openSources = 0

  constructor(private readonly options: RunEngineOptions) {
    const { clock, defer } = options.host
    this.startedUs = clock.nowUs()
    this.dispatcher = new Dispatcher({
      clock: this.streamClock,
      budgetMs: TURN_BUDGET_MS,
      nowMs: () => clock.nowUs() / 1_000,
      defer,
      onBroken: (thrown) => {
        this.fault(new Fault('STAGE_FAILED', `A stage threw: ${messageOf(thrown)}`, {}, { cause: thrown }))
        this.problem(`A stage threw: ${messageOf(thrown)}`)
      },
    })
    this.market = options.market(() => this.roomForMore())
    this.done = this.life()
  }

  /** Ends the run because its time is over: by then something must have come. */
  expire(): Promise<RunSummary> {
    if (this.market !== undefined && this.records === 0) {
      this.problem(`Nothing was received within ${this.seconds.toFixed(0)} s.`)
    }
    return this.stop()
  }

  /** Ends the run: sources first, then what is under way, then the sinks. Resolves with the summary. */
  stop(): Promise<RunSummary> {
    this.stopRequested = true
    this.resolveStopped()
    return this.done
  }

  status(): RunStatus {
    const { description, mode } = this.options
    return {
      pipeline: description.name,
      mode,
      seconds: this.seconds,
      records: this.records,
      events: this.eventCount,
      streamTimeUs: this.graph === undefined ? undefined : this.streamClock.nowUs(),
      rows: this.monitor.rows,
      edges: this.graph?.edges() ?? [],
      sinks: this.graph?.sinkReports() ?? [],
      faults: Object.fromEntries(this.faults),
      connections: this.market?.connections() ?? [],
    }
  }

  private get seconds(): number {
    return (this.options.host.clock.nowUs() - this.startedUs) / 1e6
  }

  private async life(): Promise<RunSummary> {
    const { market, options } = this
    this.watch = options.host.watch()
    try {
      if (market === undefined) this.wire()
      else {
        const started = market.start({
          record: (record) => this.takeRecord(record),
          events: (record, events) => this.takeEvents(record, events),
          fault: (fault) => {
            this.fault(fault)
            if (fault.repair === 'stop') this.problem(fault.message)
          },
          ended: () => this.resolveStopped(),
        })
        // Exchanges that do not answer must not keep a run from being stopped.
        started.catch(() => undefined)
        await Promise.race([started, this.stopped])
      }
      await this.stopped
      if (this.failure !== undefined) throw this.failure
      this.quietTimer?.cancel()
      this.judgeBooks()
      if (market !== undefined) await this.withinDeadline(market.stop())
      // A run that saw no record is wired all the same: its sinks leave the reports of an empty run.
      if (this.graph === undefined) this.wire()
      for (const subscription of this.subscriptions) subscription.unsubscribe()
      await this.withinDeadline(this.dispatcher.idle())
      await this.graph!.finish(options.stopWithinMs)
      await this.closeRecorder()
    } catch (thrown) {
      // It could not begin: what was opened for it is closed again.
      if (market !== undefined) await this.withinDeadline(market.stop())
      await this.closeRecorder()
      this.watch.stop()
      throw thrown
    } finally {
      this.quietTimer?.cancel()
      this.stopRequested = true
    }
    const summary = this.summary()
    this.watch.stop()
    return summary
  }

  private takeRecord(record: SessionRecord): void {
    this.records++
    this.options.recorder?.write(record)
    if (this.graph === undefined) {
      if (this.failure !== undefined) return
      this.streamClock.advanceTo(record.timeUs)
      try {
        this.wire()
      } catch (thrown) {
        // Whoever delivers records must not be hurt by stages that cannot be wired.
        this.failure = thrown instanceof Error ? thrown : new Error(messageOf(thrown), { cause: thrown })
        this.resolveStopped()
        return
      }
      if (this.options.mode !== 'replay') this.armQuietTimer()
    }
    // The end of a connection moves the time of the stream: by it a replay knows how long the run went on.
    if (record.dir === 'close') this.dispatcher.tick(record.timeUs)
    for (const source of this.frameTaps) this.graph!.source(source).offer(record.timeUs, [record])
  }

  private takeEvents(record: SessionRecord, events: readonly MarketEvent[]): void {
    if (this.graph === undefined) return
    this.eventCount += events.length
    const [only] = this.taps
    if (this.taps.length === 1 && events.every(only!.wants)) {
      this.monitor.events(events)
      this.graph.source(only!.source).offer(record.timeUs, events)
      return
    }
    // A channel for a whole market (liquidations of all swaps) brings instruments that nobody wished for: none of our rows.
    const wished =
      this.taps.length === 0 ? events : events.filter((event) => this.taps.some(({ wants }) => wants(event)))
    this.monitor.events(wished)
    for (const { source, wants } of this.taps) {
      const wanted = events.filter(wants)
      if (wanted.length > 0) this.graph.source(source).offer(record.timeUs, wanted)
    }
  }

  private wire(): void {
    const { description, host, mode, outDir, digest, stopWithinMs } = this.options
    const onWritten =
      mode === 'replay' ? undefined : (values: readonly unknown[]) => values.forEach((value) => this.measure(value))
    this.graph = this.surrounded(
      () =>
        new StageGraph(description, {
          dispatcher: this.dispatcher,
          liveClock: host.clock,
          streamClock: this.streamClock,
          outDir,
          digest,
          closeWithinMs: stopWithinMs,
          onFault: (fault) => {
            this.fault(fault)
            this.problem(fault.message)
          },
          pressure: this.pressure,
          observe: (_, value) => this.monitor.observe(value),
          onWritten,
        }),
    )
    // Counted before any is subscribed to: one that ends at once is not the last.
    this.openSources = description.nodes.filter((node) => node.kind === 'source' && !isOfMarket(node.source)).length
    for (const node of description.nodes) {
      if (node.kind !== 'source') continue
      if (node.source instanceof FrameSource) {
        this.frameTaps.push(node.name)
        continue
      }
      if (node.source instanceof MarketSource) {
        this.taps.push({ source: node.name, wants: meets(node.source.wish, this.market?.byInstrument ?? true) })
        continue
      }
      const edge = this.graph.source(node.name)
      const subscription = this.surrounded(() =>
        node.source.subscribe({
          next: (value) => edge.offer(undefined, value),
          error: (thrown: unknown) => {
            const message = `The source ${description.name}/${node.name} failed: ${messageOf(thrown)}`
            this.fault(new Fault('STAGE_FAILED', message, { stage: node.name }, { cause: thrown }))
            this.problem(message)
            this.sourceEnded(node.name)
          },
          complete: () => this.sourceEnded(node.name),
        }),
      )
      this.subscriptions.push(subscription)
    }
  }

  /** Calls `wire` with the time, the chance and the threads of this run in force. */
  private surrounded<T>(wire: () => T): T {
    const { clock, random, spawn } = this.options.host
    return runWithClock({ clock: this.streamClock, waits: clock, random }, () => runWithSpawn(spawn, wire))
  }

  /** A pipeline without exchanges ends with the last of its sources. */
  private sourceEnded(source: string): void {
    void this.dispatcher.idle().then(() => this.graph!.complete(source))
    if (--this.openSources === 0 && this.market === undefined) this.resolveStopped()
  }

  private readonly pressure: Pressure = {
    pause: () => {
      if (this.holds++ === 0) this.market?.pause()
    },
    resume: () => {
      if (this.holds > 0 && --this.holds === 0) this.market?.resume()
    },
  }

  /** What a replay waits for before its next record; undefined when it need not wait. */
  private roomForMore(): Promise<void> | undefined {
    if (this.dispatcher.depth > 0) return this.dispatcher.idle()
    if (this.graph === undefined || this.stopRequested || this.graph.relaxed) return undefined
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.graph!.relaxed || this.stopRequested) resolve()
        else this.options.host.clock.after(1, look)
      }
      this.options.host.defer(look)
    })
  }

  private armQuietTimer(): void {
    const { clock } = this.options.host
    const look = (): void => {
      this.dispatcher.tick(clock.nowUs())
      this.quietTimer = clock.after(QUIET_TICK_MS, look)
    }
    this.quietTimer = clock.after(QUIET_TICK_MS, look)
  }

  private measure(value: unknown): void {
    const receiveTimeUs = (value as { receiveTimeUs?: unknown } | null)?.receiveTimeUs
    if (typeof receiveTimeUs === 'number') this.latency.record(this.options.host.clock.nowUs() - receiveTimeUs)
  }

  private fault(fault: Fault): void {
    this.faults.set(fault.code, (this.faults.get(fault.code) ?? 0) + 1)
    this.options.onFault(fault)
  }

  private problem(sentence: string): void {
    if (this.problems.length < PROBLEMS_MAX && !this.problems.includes(sentence)) this.problems.push(sentence)
  }

  /** The state of the books when the end was decided: closing the connections voids them all. */
  private judgeBooks(): void {
    const { books } = this
    for (const row of this.monitor.rows.values()) {
      books.gaps += row.gaps
      books.resyncs += row.resyncs
      // A recording ends with its connections closed; live, a book that is down now was lost.
      if (row.state === 'live' || (row.state === 'down' && this.options.mode === 'replay')) books.live++
      else if (row.state === 'gap')
        this.problem(`The book of ${row.name} on ${row.exchange} had a gap that was not repaired.`)
      else if (row.state === 'down')
        this.problem(`The connection with the book of ${row.name} on ${row.exchange} was down at the end.`)
    }
  }

  private async withinDeadline(work: Promise<void>): Promise<void> {
    let timer: Timer | undefined
    const late = new Promise<void>((resolve) => {
      timer = this.options.host.clock.after(this.options.stopWithinMs, resolve)
    })
    await Promise.race([work, late])
    timer?.cancel()
  }

  private async closeRecorder(): Promise<void> {
    try {
      await this.options.recorder?.close()
    } catch (thrown) {
      const fault = new Fault(
        'SINK_REJECTED',
        `The recording could not be finished: ${messageOf(thrown)}`,
        {},
        { cause: thrown },
      )
      this.fault(fault)
      this.problem(fault.message)
    }
  }

  private summary(): RunSummary {
    const { description, mode } = this.options
    const { p50, p99, max } = this.latency.summary()
    for (const sink of this.graph!.sinkReports()) {
      if (sink.failed > 0) this.problem(`The sink ${sink.name} gave up ${sink.failed} batches.`)
    }
    return {
      format: 'millrace-run/1',
      pipeline: description.name,
      mode,
      seconds: Math.round(this.seconds * 1_000) / 1_000,
      edges: this.graph!.edges(),
      sinks: this.graph!.sinkReports(),
      faults: Object.fromEntries(this.faults),
      books: this.books,
      latencyUs: { receiveToSink: { p50, p99, max } },
      process: this.watch?.read() ?? { cpuPercent: 0, rssBytes: 0, loopDelayMs: { p50: 0, p99: 0, max: 0 } },
      problems: this.problems,
    }
  }
}

function isOfMarket(source: unknown): boolean {
  return source instanceof MarketSource || source instanceof FrameSource
}
