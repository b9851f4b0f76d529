/**
 * A run of a pipeline: from its description to its summary.
 *
 * Life     the market is opened; at the first record the stages are wired, with the stream's clock at that record's time;
 *          from then on the dispatcher runs everything in order. Stopping closes the sources, drains what is under way,
 *          flushes the sinks, all of it within one deadline, and sums up. A kill leaves out the draining.
 * Time     stages follow the stream's clock, which is moved by the records (and, while it is quiet, by the machine's clock).
 *          Waits of the rim (retries, deadlines) follow the machine's clock.
 * Faults   a run is the root of its supervisors: what escalates to it stops it, in order and with a sentence
 */
import { Dispatcher } from '../actors/dispatcher'
import type { Pressure } from '../actors/pressure'
import { Supervisor } from '../actors/supervision'
import { within, type Timer } from '../clock/clock'
import { runWithClock } from '../clock/currentClock'
import { VirtualClock } from '../clock/virtualClock'
import type { BookName } from '../feed/liveFeed'
import { Readiness } from '../feed/readiness'
import { kept, type SessionRecord } from '../feed/record'
import type { RecordingCounters } from '../feed/recording/recordingWriter'
import { runWithMetrics } from '../metrics/currentMetrics'
import type { MetricFamily } from '../metrics/metric'
import type { Reading } from '../metrics/registry'
import type { FaultLook, InstrumentLook, RunLook } from '../sinks/runLook'
import { runWithSpawn } from '../workers/currentSpawn'
import type { MarketEvent } from '../model/events'
import type { FrameTracer } from '../metrics/exporters/frameTracer'
import { asSentence, errorOf, Fault, messageOf, type FaultCode } from '../model/fault'
import { readsLevels } from './levelReaders'
import { describeBranch, pathOf, type PipelineDescription, type SourceNode } from './description'
import { runningGraphOf, type RunningGraph, type RunningParts } from './graph'
import type { Host, LoopWatch, ProcessCost, ProcessWatch } from './host'
import type { Market } from './market'
import { Monitor } from './monitor'
import type { Glance, Held, RunMode, RunPhase, RunStatus, RunSummary } from './runSummary'
import {
  NO_LABELS,
  tellEdges,
  tellExchanges,
  tellFeeds,
  tellLatencies,
  tellReadings,
  tellRecording,
  tellRest,
  tellSinks,
  tellStages,
  tellStreams,
} from './runFamilies'
import { FrameSource, MarketSource } from './sources'
import { SourceRunner } from './sourceRunner'
import { StageGraph } from './stageGraph'
import type { StageFailure, StageReport } from './stageRunner'
import { StreamRows, type StreamRow } from './streamRows'
import { supervisionTree } from './supervisionTree'
import { hearUnhandled } from './unhandled'
import { depthOf, restrictionOf, type Reaction } from './healthDeclaration'
import { HealthBoard, runWithHealth, type RunHealth } from './runHealth'
import type { Vitals } from './vitals'
import { Watching } from './watching'
import { meets } from './wish'

/** Keeps what stages failed on, with the frames it came in. */
export interface QuarantineKeeper {
  /** Looks at a record, to find its bytes again. */
  saw(record: SessionRecord): void
  add(failure: StageFailure): void
  /** Messages that each stage failed on, by its path. */
  readonly byStage: ReadonlyMap<string, number>
  readonly counts: { readonly kept: number; readonly unkept: number }
  readonly file: string | undefined
  close(withinMs: number): Promise<void>
}

/** A branch that was added to a run. */
export interface BranchHandle {
  /** The names of what was added. */
  readonly names: readonly string[]
  /** Takes the branch away: nothing more comes in, what is in it is written, its sinks are closed. The others notice nothing. */
  detach(): Promise<void>
}

export interface RunEngineOptions {
  readonly description: PipelineDescription
  readonly mode: RunMode
  readonly market: (ready: () => Promise<void> | undefined) => Market | undefined
  readonly recorder: Recorder | undefined
  /** Undefined: failures are told, what they failed on is not kept. */
  readonly quarantine?: QuarantineKeeper | undefined
  readonly host: Host
  readonly outDir: string
  readonly digest: boolean
  readonly runId?: string | undefined
  /** How long draining and flushing may take. */
  readonly stopWithinMs: number
  readonly onFault: (fault: Fault) => void
  /** False leaves out whatever of watching the run costs more than an addition: for measuring what it costs. Default true. */
  readonly watching?: boolean | undefined
  /** Follows some frames to the sinks. */
  readonly tracer?: FrameTracer | undefined
}

/** What takes down every record of a run. */
export interface Recorder {
  readonly path?: string
  readonly counters?: Readonly<RecordingCounters>
  write(record: SessionRecord): void
  /** Resolves when everything is written. */
  close(): Promise<unknown>
}

/** While nothing arrives the machine's clock moves the stream's this often. */
const QUIET_TICK_MS = 50

/** Work after which the event loop is given a turn. */
const TURN_BUDGET_MS = 8

/** What a killed run still gives a batch that a sink has in hand, and the list of what its stages failed on. */
const LAST_WRITE_MS = 500

/** Faults that are remembered one by one; of those before them the number stays. */
const FAULTS_MAX = 200

/** Sentences about unrepaired faults that a summary holds at most. */
const PROBLEMS_MAX = 100

export class Run {
  /** Resolves with the summary when the run has ended; rejects only when it could not begin. */
  readonly done: Promise<RunSummary>
  /** Resolves when the stages are at work and every required feed is synced; rejects when that cannot happen any more. */
  readonly ready: Promise<void>
  private readonly streamClock = new VirtualClock()
  private readonly dispatcher: Dispatcher
  private readonly monitor = new Monitor()
  private readonly faults = new Map<FaultCode, number>()
  /** The last ones, oldest first. */
  private readonly latestFaults: FaultLook[] = []
  /** By what they are about. */
  private readonly problems = new Map<string, string>()
  private readonly watching: Watching
  private readonly streamRows = new StreamRows()
  private readonly market: Market | undefined
  private graph: StageGraph | undefined
  /** Resolves when the stages are wired; rejects when they cannot be, or never are. */
  private readonly wired = new Readiness()
  private readonly sources: SourceRunner[] = []
  private readonly taps: { readonly source: string; readonly wants: (event: MarketEvent) => boolean }[] = []
  private readonly frameTaps: string[] = []
  private quietTimer: Timer | undefined
  private watch: ProcessWatch | undefined
  /** Once somebody wants to know how the run is. */
  private board: HealthBoard | undefined
  /** What the pipeline's reactions do now. */
  private readonly inForce = new Set<Reaction>()
  private loopWatch: LoopWatch | undefined
  /** When all that is required had come. */
  private readyUs: number | undefined
  private readonly books = { live: 0, gaps: 0, resyncs: 0 }
  /** Of the books when the end was decided, by the keys of the rows. */
  private endStates: Map<string, InstrumentLook['state']> | undefined
  private records = 0
  private eventCount = 0
  private endedUs: number | undefined
  /** Edges that hold the market back, how often it was held back, since when, and for how long before that. */
  private holds = 0
  private pauses = 0
  private pausedUs = 0
  private heldUs = 0
  private readonly startedUs: number
  private resolveStopped!: () => void
  private readonly stopped = new Promise<void>((resolve) => (this.resolveStopped = resolve))
  private stopRequested = false
  /** Branches that are being attached. */
  private attaching = 0
  private killed = false
  private over = false
  private readonly unhear: () => void
  /** Restarts of exchanges that had been given up, by exchange. */
  private readonly feeds = new Map<string, Supervisor>()
  private readonly feedTimers = new Set<Timer>()
  /** A kill waits for nothing that is part of an orderly end. */
  private abandon!: () => void
  private readonly abandoned = new Promise<void>((resolve) => (this.abandon = resolve))
  /** Books that are to be asked for when this turn is over. */
  private refreshing: Map<string, BookName> | undefined
  /** When everything has to be over, once the end has been decided. */
  private deadlineUs = Infinity
  /** Why the stages could not be wired. */
  private failure: Error | undefined
  /** Sources that have not ended by themselves. */
  private openSources = 0

  constructor(private readonly options: RunEngineOptions) {
    const { host, description, mode, watching = true } = options
    const { clock, defer } = host
    this.startedUs = clock.nowUs()
    this.watching = new Watching({
      isOn: watching,
      isReplay: mode === 'replay',
      host,
      own: description.metrics,
      onFault: (fault) => this.fault(fault),
    })
    this.watching.registry.register((reading) => this.tell(reading))
    this.dispatcher = new Dispatcher({
      clock: this.streamClock,
      budgetMs: TURN_BUDGET_MS,
      nowMs: () => clock.nowUs() / 1_000,
      defer,
      onBroken: (thrown) => {
        this.fault(new Fault('STAGE_FAILED', `A stage threw: ${messageOf(thrown)}`, {}, { cause: thrown }))
        this.problem(`A stage threw: ${messageOf(thrown)}`)
      },
      times: this.watching.times,
    })
    this.unhear = hearUnhandled((thrown) => {
      const message = `Something in ${options.description.name} threw where nobody listens: ${messageOf(thrown)}. It is a subscriber inside an operator: catch it there, or let the operator hand it on as an error.`
      this.fault(new Fault('STAGE_FAILED', message, {}, { cause: thrown }))
      this.problem(message)
    })
    this.market = options.market(() => this.roomForMore())
    this.ready = this.whenReady()
    this.ready.then(
      () => (this.readyUs = clock.nowUs()),
      () => undefined,
    )
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
    this.requestStop()
    return this.done
  }

  /** Ends the run where it stands: what is under way is given up, and counted. Also a stop under way is cut short. */
  kill(): Promise<RunSummary> {
    this.killed = true
    this.deadlineUs = 0
    this.abandon()
    void this.graph?.kill(LAST_WRITE_MS)
    this.requestStop()
    return this.done
  }

  /**
   * Resolves when everything that had been received before is written.
   *
   * @throws `Fault` DEADLINE_EXCEEDED when that takes longer than the run's end may
   */
  async flush(): Promise<void> {
    const { stopWithinMs } = this.options
    if ((await this.graph?.flush(stopWithinMs)) !== false) return
    const message = `Not everything that had been received was written within ${stopWithinMs} ms: a sink or thread is slow. The run goes on.`
    throw new Fault('DEADLINE_EXCEEDED', message, { withinMs: stopWithinMs })
  }

  /**
   * Adds a branch to what runs. The branches that are there lose nothing; what keeps books in the new one begins silent and
   * asks for snapshots.
   *
   * @throws `Fault` PIPELINE_INVALID with all problems at once
   */
  async attach(build: Parameters<typeof describeBranch>[1]): Promise<BranchHandle> {
    await this.wired.promise
    if (this.stopRequested) throw new Fault('OPTION_INVALID', 'The run has ended: nothing can be attached to it.')
    const { stopWithinMs } = this.options
    // What the branch reads is known when its turn has come, and what is received until then may be for it.
    this.attaching++
    this.chooseLevels()
    try {
      const wired = await this.graph!.attach((to) => describeBranch(to, build), stopWithinMs)
      return { names: wired.names, detach: () => wired.detach(stopWithinMs).finally(() => this.chooseLevels()) }
    } finally {
      this.attaching--
      this.chooseLevels()
    }
  }

  /** Deltas are packed as long as nobody reads their levels. */
  private chooseLevels(): void {
    this.market?.sessions.packDeltas(this.attaching === 0 && !readsLevels(this.graph!.described.nodes))
  }

  /** The pipeline's picture as it stands, with what waits on its edges and how its stages fare. */
  picture(): RunningGraph {
    return runningGraphOf({ ...this.parts(), edges: this.graph?.edges() ?? [] })
  }

  status(): RunStatus {
    const { description, mode } = this.options
    const connections = this.market?.connections() ?? []
    return {
      phase: this.phase(),
      pipeline: description.name,
      mode,
      ...this.howFar(),
      edges: this.graph?.edges() ?? [],
      sinks: this.graph?.sinkStandings() ?? [],
      stages: this.graph?.stageStandings() ?? [],
      streams: this.streams(),
      latencyUs: this.watching.latencies(),
      faults: Object.fromEntries(this.faults),
      latestFaults: this.latestFaults.slice(),
      receiveToSink: this.watching.receiveToSink(),
      connections,
      tree: supervisionTree({ ...this.parts(), connections }),
      quarantine: this.quarantined(),
      held: this.held(),
      ...(this.board !== undefined && { health: this.board.report }),
    }
  }

  /** What a page shows of it; to be read at once, for what it refers to goes on. */
  glance(): Glance {
    const sinks = this.graph?.sinkLooks() ?? []
    const stages = this.graph?.stageReports() ?? []
    return {
      phase: this.phase(),
      ...this.howFar(),
      sinks,
      stages,
      faults: Object.fromEntries(this.faults),
      latestFaults: this.latestFaults,
      receiveToSink: this.watching.receiveToSink(),
      connections: this.market?.connections() ?? [],
      held: this.held(),
      graph: runningGraphOf({ ...this.partsOf(stages, sinks), edges: this.graph?.edges() ?? [] }),
      health: this.health(),
    }
  }

  /** How far it has come. */
  private howFar(): Pick<RunStatus, 'seconds' | 'records' | 'events' | 'streamTimeUs' | 'progress' | 'rows'> {
    return {
      seconds: this.seconds,
      records: this.records,
      events: this.eventCount,
      streamTimeUs: this.graph === undefined ? undefined : this.streamClock.nowUs(),
      progress: this.market?.progress?.(),
      rows: this.monitor.rows,
    }
  }

  private phase(): RunPhase {
    if (this.over) return 'ended'
    if (this.stopRequested) return 'stopping'
    return this.graph === undefined ? 'starting' : 'running'
  }

  /** Everything that it counts, as it stands, also after the end. */
  metrics(): readonly MetricFamily[] {
    return this.watching.read()
  }

  private tell(reading: Reading): void {
    const { graph, market, sources, options } = this
    const connections = market?.connections() ?? []
    reading.tell('run.seconds', NO_LABELS, this.seconds)
    reading.tell('run.records', NO_LABELS, this.records)
    reading.tell('run.events', NO_LABELS, this.eventCount)
    for (const [code, times] of this.faults) reading.tell('run.faults', { code }, times)
    const { times, seconds } = this.held()
    reading.tell('run.holds', NO_LABELS, times)
    reading.tell('run.held', NO_LABELS, Math.round(seconds * 1_000))
    const { kept = 0, unkept = 0 } = this.quarantined() ?? {}
    reading.tell('run.quarantined', NO_LABELS, kept + unkept)
    if (graph !== undefined) {
      const edges = graph.edges()
      tellEdges(reading, edges)
      const standings = sources.map(({ report }) => report)
      tellStages(reading, graph.stageTimes(), standings)
      tellSinks(reading, graph.sinkLooks(), new Map(edges.map(({ to, inFlight }) => [to, inFlight])))
    }
    tellFeeds(reading, connections, this.nowUs)
    const traffic = market?.traffic?.()
    if (traffic !== undefined) {
      tellExchanges(reading, traffic.exchanges)
      tellRest(reading, traffic.rest)
      tellReadings(reading, traffic.readings)
      tellStreams(reading, this.streams())
    }
    if (this.watching.latency !== undefined) tellLatencies(reading, this.watching.latency)
    const { recorder } = options
    if (recorder?.counters !== undefined) tellRecording(reading, recorder.path ?? '', recorder.counters)
  }

  /** What has come of each channel of each symbol. */
  private streams(): StreamRow[] {
    return this.streamRows.look(this.market?.traffic?.().streams ?? [], this.streamNowUs)
  }

  /** How it is: healthy, degraded or unhealthy, and why. From the first call on it is watched. */
  health(): RunHealth {
    return this.watched().report
  }

  private watched(): HealthBoard {
    if (this.board === undefined) {
      const { host, description, mode } = this.options
      this.loopWatch = host.watchLoop?.()
      this.board = new HealthBoard({
        clock: host.clock,
        declared: description.health,
        look: () => this.vitals(),
        reacts: mode !== 'replay',
        act: (reaction, inForce) => this.react(reaction, inForce),
        onFault: (fault) => this.fault(fault),
      })
      this.board.ask()
      if (this.over) this.endHealth()
    }
    return this.board
  }

  private react(reaction: Reaction, inForce: boolean): void {
    const { inForce: all, graph } = this
    if (inForce) all.add(reaction)
    else all.delete(reaction)
    if ('shed' in reaction) graph?.restrict(reaction.shed, restrictionOf(reaction.shed, all))
    else if ('pause' in reaction) graph?.restrict(reaction.pause, restrictionOf(reaction.pause, all))
    else if ('depth' in reaction) graph?.limitDepth(reaction.depth, depthOf(reaction.depth, all))
    else {
      this.problem(`The run was stopped because it was ${reaction.when}: ${this.board!.report.reasons.join(' ')}`)
      this.requestStop()
    }
  }

  private vitals(): Vitals {
    const { description, host, quarantine } = this.options
    const nowUs = host.clock.nowUs()
    const required = new Set(
      description.nodes.flatMap((node) =>
        node.kind === 'source' && isOfMarket(node.source) && node.edge.required !== false
          ? node.source.wish.exchanges
          : [],
      ),
    )
    const { counts } = quarantine ?? { counts: { kept: 0, unkept: 0 } }
    return {
      nowUs,
      startedUs: this.startedUs,
      connections: this.market?.connections() ?? [],
      isRequired: (exchange) => required.has(exchange),
      unreadyMs: this.readyUs === undefined ? Math.round((nowUs - this.startedUs) / 1_000) : 0,
      rows: this.monitor.rows,
      edges: this.graph?.edges() ?? [],
      sinks: this.graph?.sinkLooks() ?? [],
      stages: [...(this.graph?.stageReports() ?? []), ...this.sources.map((source) => source.report)],
      quarantined: counts.kept + counts.unkept,
      loopDelayMs: this.loopWatch?.read().p99 ?? 0,
      memoryPercent: host.memoryPercent?.() ?? 0,
    }
  }

  private endHealth(): void {
    this.board?.stop()
    this.loopWatch?.stop()
  }

  /** What sinks are shown that report on the run. */
  private look(): RunLook {
    return {
      ...this.status(),
      rows: this.rowsUntilTheEnd(),
      sinks: this.graph?.sinkLooks() ?? [],
      process: this.watch!.look(),
    }
  }

  /** The rows with the states that they had when the end was decided, once it was: after that every connection is closed. */
  private rowsUntilTheEnd(): RunLook['rows'] {
    const { rows } = this.monitor
    const { endStates } = this
    if (endStates === undefined) return rows
    return new Map(
      [...rows].map(([key, { exchange, name, state, events, trades, gaps, resyncs }]) => {
        const atEnd = endStates.get(key) ?? state
        return [key, { exchange, name, state: atEnd, events, trades, gaps, resyncs }]
      }),
    )
  }

  /** What pictures are drawn from. */
  private parts(): Omit<RunningParts, 'edges'> {
    return this.partsOf(this.graph?.stageReports() ?? [], this.graph?.sinkReports() ?? [])
  }

  private partsOf(stages: readonly StageReport[], sinks: RunningParts['sinks']): Omit<RunningParts, 'edges'> {
    const { description, quarantine } = this.options
    const { nodes, groups } = this.graph?.described ?? description
    return {
      pipeline: description.name,
      nodes,
      groups,
      stages: [...stages, ...this.sources.map((source) => source.report)],
      sinks,
      quarantined: quarantine?.byStage,
      ended: this.over,
    }
  }

  private get seconds(): number {
    return (this.nowUs - this.startedUs) / 1e6
  }

  /** The machine's time, which for a run stands still when it has ended. */
  private get nowUs(): number {
    return this.endedUs ?? this.options.host.clock.nowUs()
  }

  /** The time by which it is told how old something is; undefined before a replay's first record. */
  private get streamNowUs(): number | undefined {
    if (this.options.mode !== 'replay') return this.nowUs
    return this.graph === undefined ? undefined : this.streamClock.nowUs()
  }

  private async life(): Promise<RunSummary> {
    const { market, options } = this
    this.watch = options.host.watch()
    try {
      if (market === undefined) {
        this.streamClock.advanceTo(options.host.clock.nowUs())
        this.wire()
        this.armQuietTimer()
      } else {
        market.sessions.packDeltas(!readsLevels(options.description.nodes))
        const started = market.start({
          record: (record) => this.takeRecord(record),
          events: (record, events) => this.takeEvents(record, events),
          fault: (fault) => {
            this.fault(fault)
            if (fault.repair === 'stop' && fault.code !== 'RETRIES_EXHAUSTED') this.problem(fault.message)
          },
          exhausted: (exchange, fault) => this.feedExhausted(exchange, fault),
          ended: () => this.requestStop(),
        })
        // Exchanges that do not answer must not keep a run from being stopped.
        started.catch(() => undefined)
        await Promise.race([started, this.stopped])
      }
      await this.stopped
      if (this.failure !== undefined) throw this.failure
      this.judgeBooks()
      await this.windUp()
    } catch (thrown) {
      // It could not begin: what was opened for it is closed again.
      this.requestStop()
      if (market !== undefined) await this.withinDeadline(market.stop())
      await this.closeRecorder()
      this.wired.reject(errorOf(thrown))
      throw thrown
    } finally {
      this.quietTimer?.cancel()
      for (const timer of this.feedTimers) timer.cancel()
      this.unhear()
      this.endHealth()
      this.watching.stop()
      this.stopRequested = true
      if (this.graph === undefined) this.watch.stop()
    }
    this.over = true
    this.endedUs = options.host.clock.nowUs()
    const summary = this.summary()
    this.watch.stop()
    return summary
  }

  /** From the decision to end to the end, source by source, stage by stage, sink by sink. */
  private async windUp(): Promise<void> {
    const { market, options } = this
    this.quietTimer?.cancel()
    if (market !== undefined) await this.withinDeadline(market.stop(this.leftMs() / 2), 2)
    // A run that saw no record is wired all the same: its sinks leave the reports of an empty run.
    if (this.graph === undefined) this.wire()
    for (const source of this.sources) source.stop()
    if (!this.killed) {
      await this.withinDeadline(this.dispatcher.idle(), 2)
      await this.graph!.finish(this.leftMs())
    }
    if (this.killed) {
      await this.graph!.kill(LAST_WRITE_MS)
      this.problem('The run was killed: what was under way is lost, and counted in the edges.')
    }
    await options.quarantine?.close(Math.max(LAST_WRITE_MS, this.leftMs()))
    await this.closeRecorder()
  }

  private requestStop(): void {
    if (!this.stopRequested) {
      this.deadlineUs = Math.min(this.deadlineUs, this.options.host.clock.nowUs() + this.options.stopWithinMs * 1_000)
    }
    this.stopRequested = true
    this.resolveStopped()
  }

  private async whenReady(): Promise<void> {
    await this.wired.promise
    await this.market?.ready
  }

  /** An exchange has used up its retries: its supervisor is that of the source that wishes for it. */
  private feedExhausted(exchange: string, fault: Fault): void {
    const { description, host } = this.options
    const source = description.nodes.find(
      (node): node is SourceNode =>
        node.kind === 'source' && isOfMarket(node.source) && node.source.wish.exchanges.includes(exchange),
    )
    const path = pathOf(description.name, source?.groups ?? [], source?.name ?? exchange)
    let supervisor = this.feeds.get(exchange)
    if (supervisor === undefined) {
      supervisor = new Supervisor(source?.edge.onFailure ?? 'escalate', host.clock, host.random)
      this.feeds.set(exchange, supervisor)
    }
    const verdict = supervisor.judge(fault)
    if (verdict.directive === 'restart') {
      const timer = host.clock.after(verdict.delayMs, () => {
        this.feedTimers.delete(timer)
        if (!this.stopRequested && this.market?.restart(exchange) !== true) this.escalated(fault)
      })
      this.feedTimers.add(timer)
      return
    }
    this.problem(`${fault.message} (${path})`)
    const nothingLeft = this.market?.connections().every(({ state }) => state === 'failed') === true
    if (verdict.directive === 'escalate' || nothingLeft) this.requestStop()
  }

  /** What no supervisor of the pipeline decides about ends the run, in order. */
  private escalated(fault: Fault): void {
    this.problem(`${asSentence(fault.message)} The run is stopped.`)
    this.requestStop()
  }

  private stageFailed(failure: StageFailure): void {
    const { fault, poison, directive } = failure
    this.fault(fault)
    const mended = directive === 'restart' || directive === 'resume'
    this.problem(
      mended
        ? `The stage ${failure.path} failed and ${directive === 'resume' ? 'went on without the message' : 'was restarted'}; the first fault: ${fault.message}`
        : fault.message,
      mended ? failure.path : fault.message,
    )
    if (poison !== undefined) this.options.quarantine?.add(failure)
  }

  private takeRecord(record: SessionRecord): void {
    this.records++
    this.options.recorder?.write(record)
    this.options.quarantine?.saw(record)
    if (this.graph === undefined) {
      if (this.failure !== undefined) return
      this.streamClock.advanceTo(record.timeUs)
      try {
        this.wire()
      } catch (thrown) {
        // Whoever delivers records must not be hurt by stages that cannot be wired.
        this.failure = errorOf(thrown)
        this.requestStop()
        return
      }
      if (this.options.mode !== 'replay') this.armQuietTimer()
    }
    // The end of a connection moves the time of the stream: by it a replay knows how long the run went on.
    if (record.dir === 'close') this.dispatcher.tick(record.timeUs)
    if (this.frameTaps.length === 0) return
    const own = kept(record)
    for (const source of this.frameTaps) this.graph!.source(source).offer(record.timeUs, [own])
  }

  private takeEvents(record: SessionRecord, events: readonly MarketEvent[]): void {
    if (this.graph === undefined) return
    this.eventCount += events.length
    if (record.dir === 'in') this.watching.latency?.decoded(record.timeUs, events)
    this.options.tracer?.decoded(record, events)
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
    const { description, host, outDir, digest, stopWithinMs } = this.options
    this.graph = new StageGraph(description, {
      dispatcher: this.dispatcher,
      host,
      streamClock: this.streamClock,
      outDir,
      digest,
      closeWithinMs: stopWithinMs,
      runId: this.options.runId,
      onFault: (fault) => {
        this.fault(fault)
        this.problem(fault.message)
      },
      onFailure: (failure) => this.stageFailed(failure),
      escalate: (fault) => this.escalated(fault),
      refresh: (books) => this.refresh(books),
      pressure: this.pressure,
      outerPressure: this.outerPressure,
      observe: (_, value) => this.monitor.observe(value),
      look: () => this.look(),
      times: this.watching.times,
      latency: this.watching.latency,
      tracer: this.options.tracer,
      metrics: (owner) => this.watching.inForce(owner),
    })
    const nodes = description.nodes.filter((node) => node.kind === 'source')
    // Counted before any is subscribed to: one that ends at once is not the last.
    this.openSources = nodes.filter((node) => !isOfMarket(node.source)).length
    for (const node of nodes) {
      if (node.source instanceof FrameSource) this.frameTaps.push(node.name)
      else if (node.source instanceof MarketSource) {
        this.taps.push({ source: node.name, wants: meets(node.source.wish, this.market?.byInstrument ?? true) })
      } else this.begin(node)
    }
    if (description.health !== undefined) this.watched()
    this.wired.resolve()
  }

  /** Subscribes to a source that is not of the market. */
  private begin(node: SourceNode): void {
    const { description, host } = this.options
    const edge = this.graph!.source(node.name)
    const path = pathOf(description.name, node.groups, node.name)
    const runner = new SourceRunner({
      name: node.name,
      path,
      source: node.source,
      onFailure: node.edge.onFailure,
      clock: host.clock,
      random: host.random,
      surround: (wire) => runWithMetrics(this.watching.inForce(path), () => this.surrounded(wire)),
      next: (value) => edge.offer(undefined, value),
      failed: (fault) => {
        this.fault(fault)
        this.problem(fault.message)
      },
      ended: () => this.sourceEnded(node.name),
      escalate: (fault) => this.escalated(fault),
    })
    this.sources.push(runner)
    runner.start()
  }

  /** Calls `wire` with the time, the chance and the threads of this run in force. */
  private surrounded<T>(wire: () => T): T {
    const { clock, random, spawn } = this.options.host
    const follow = (reader: (health: RunHealth) => void): (() => void) => this.watched().follow(reader)
    return runWithClock({ clock: this.streamClock, waits: clock, random }, () =>
      runWithSpawn(spawn, () => runWithHealth(follow, wire)),
    )
  }

  /** Asks for books anew, after the turn in which somebody lost them: several stages may lose theirs together. */
  private refresh(books: readonly BookName[] | 'all'): void {
    const { market } = this
    if (market === undefined || this.stopRequested) return
    if (this.refreshing === undefined) {
      this.refreshing = new Map()
      this.options.host.defer(() => {
        const wanted = this.refreshing!
        this.refreshing = undefined
        if (this.stopRequested) return
        market.refresh(wanted.has('') ? 'all' : [...wanted.values()])
      })
    }
    if (books === 'all') this.refreshing.set('', { exchange: '', symbol: '' })
    else {
      for (const book of books) {
        this.refreshing.set(book.symbol === '' ? '' : `${book.exchange} ${book.symbol}`, book)
      }
    }
  }

  /** A pipeline without exchanges ends with the last of its sources. */
  private sourceEnded(source: string): void {
    void this.dispatcher.idle().then(() => this.graph!.complete(source))
    if (--this.openSources === 0 && this.market === undefined) this.requestStop()
  }

  private readonly pressure: Pressure = {
    pause: () => {
      if (this.holds++ > 0) return
      this.pauses++
      this.pausedUs = this.options.host.clock.nowUs()
      this.market?.pause()
    },
    resume: () => {
      if (this.holds === 0 || --this.holds > 0) return
      this.heldUs += this.options.host.clock.nowUs() - this.pausedUs
      this.market?.resume()
    },
  }

  private readonly outerPressure: Pressure = {
    pause: () => {
      this.dispatcher.hold()
      this.pressure.pause()
    },
    resume: () => {
      this.dispatcher.release()
      this.pressure.resume()
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
      // While the stages are held, ticks would pile up behind what waits.
      if (!this.dispatcher.held) this.dispatcher.tick(clock.nowUs())
      this.quietTimer = clock.after(QUIET_TICK_MS, look)
    }
    this.quietTimer = clock.after(QUIET_TICK_MS, look)
  }

  /** Counts a fault of somebody who watches the run, and tells it like all others. */
  report(fault: Fault): void {
    if (this.over) this.options.onFault(fault)
    else this.fault(fault)
  }

  private fault(fault: Fault): void {
    this.faults.set(fault.code, (this.faults.get(fault.code) ?? 0) + 1)
    const { code, message } = fault
    this.latestFaults.push({ timeUs: this.options.host.clock.nowUs(), code, message })
    if (this.latestFaults.length > FAULTS_MAX) this.latestFaults.shift()
    this.options.onFault(fault)
  }

  /** @param about  told of once, whatever is said of it later */
  private problem(sentence: string, about = sentence): void {
    if (this.problems.size < PROBLEMS_MAX && !this.problems.has(about)) this.problems.set(about, sentence)
  }

  /** The state of the books when the end was decided: closing the connections voids them all. */
  private judgeBooks(): void {
    const { books } = this
    const isReplay = this.options.mode === 'replay'
    this.endStates = new Map()
    for (const [key, row] of this.monitor.rows) {
      this.endStates.set(key, isReplay && row.state === 'down' ? 'closed' : row.state)
      books.gaps += row.gaps
      books.resyncs += row.resyncs
      // A recording ends with its connections closed; live, a book that is down now was lost.
      if (row.state === 'live' || (row.state === 'down' && isReplay)) books.live++
      else if (row.state === 'gap')
        this.problem(`The book of ${row.name} on ${row.exchange} had a gap that was not repaired.`)
      else if (row.state === 'down')
        this.problem(`The connection with the book of ${row.name} on ${row.exchange} was down at the end.`)
    }
  }

  /** What is left of the time in which a run has to end. */
  private leftMs(): number {
    return Math.max(0, (this.deadlineUs - this.options.host.clock.nowUs()) / 1_000)
  }

  /** Waits for work that is part of the end, for a share of the time that is left, or until a kill. */
  private async withinDeadline(work: Promise<unknown>, share = 1): Promise<void> {
    if (this.killed) return
    await within(this.options.host.clock, this.leftMs() / share, Promise.race([work, this.abandoned]))
  }

  private held(): Held {
    const nowUs = this.options.host.clock.nowUs()
    const us = this.heldUs + (this.holds > 0 ? nowUs - this.pausedUs : 0)
    return { times: this.pauses, seconds: Math.round(us / 1_000) / 1_000 }
  }

  private quarantined(): RunSummary['quarantine'] {
    const { quarantine } = this.options
    if (quarantine === undefined) return undefined
    const { kept, unkept } = quarantine.counts
    return kept + unkept === 0 ? undefined : { kept, unkept, file: quarantine.file }
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
    const { p50, p99, max } = this.watching.latencies().receiveToSink
    for (const sentence of this.graph!.imbalances()) this.problem(sentence)
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
      stages: this.graph!.stageReports().filter(({ failures }) => failures > 0),
      quarantine: this.quarantined(),
      held: this.held(),
      latencyUs: { receiveToSink: { p50, p99, max } },
      process: this.watch?.read() ?? NO_COST,
      problems: [...this.problems.values()],
    }
  }
}

const NO_COST: ProcessCost = { cpuPercent: 0, rssBytes: 0, loopDelayMs: { p50: 0, p99: 0, max: 0 } }

function isOfMarket(source: unknown): source is MarketSource | FrameSource {
  return source instanceof MarketSource || source instanceof FrameSource
}
