/**
 * A description, wired: every stage listening to the one before it, every edge with its account, every sink drained.
 *
 * Wired from the end to the start, so that every stage is listening before anything is emitted into it. Branches are added
 * and taken away while it runs, between two values: nothing of the other branches is touched.
 */
import type { Dispatcher } from '../actors/dispatcher'
import { Edge } from '../actors/edge'
import { balances, copyOf, sumOf, weightOf, type DropReason, type Ledger } from '../actors/ledger'
import { conflationOf, type EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import type { Receipts } from '../actors/receipts'
import { Supervisor } from '../actors/supervision'
import { runWithWiring, type CarriedEdge, type Wiring } from '../actors/wiring'
import { BookView } from '../book/bookView'
import { seededRandom } from '../clock/backoff'
import { within, type Clock } from '../clock/clock'
import { runWithClock } from '../clock/currentClock'
import type { BookName } from '../feed/liveFeed'
import { runWithMetrics, type MetricsInForce } from '../metrics/currentMetrics'
import type { FrameTracer } from '../metrics/exporters/frameTracer'
import type { LatencySummary } from '../metrics/histogram'
import type { LatencyBudget, SinkLatency } from '../metrics/latencyBudget'
import type { StageTime, StageTimes } from '../metrics/stageTimes'
import { errorOf, Fault, messageOf } from '../model/fault'
import { Drain, isBatch, type DrainResult } from '../sinks/drain'
import type { RunLook, SinkLook } from '../sinks/runLook'
import type { Sink } from '../sinks/sink'
import { runWithSpawn } from '../workers/currentSpawn'
import {
  needsEveryValue,
  pathOf,
  type GroupDescription,
  type NodeDescription,
  type PipelineDescription,
  type SinkEdgeOptions,
  type SinkNode,
  type SourceNode,
  type StageNode,
} from './description'
import { graphEdge, OUTSIDE, type GraphEdge } from './graph'
import type { Host } from './host'
import { InlineEdge } from './inlineEdge'
import { conflateBatches, conflateRows, marketReceipts } from './marketEdge'
import { Outlet } from './outlet'
import type { SinkStanding } from './runSummary'
import { FrameSource, MarketSource } from './sources'
import { StageRunner, type StageFailure, type StageReport } from './stageRunner'
import { Valve, type ValveSetting } from './valve'
import { wayTo, type Way, type WayLook, type WayTarget } from './way'

export interface StageGraphOptions {
  readonly dispatcher: Dispatcher
  /** Time of waits, chance and threads. */
  readonly host: Pick<Host, 'clock' | 'random' | 'spawn' | 'env'>
  readonly streamClock: Clock
  readonly outDir: string
  readonly digest: boolean
  readonly closeWithinMs: number
  /** The name of the run, by which sinks know what they hold of it. */
  readonly runId?: string | undefined
  readonly onFault: (fault: Fault, node: string) => void
  /** A stage has failed, and what is done about it. */
  readonly onFailure: (failure: StageFailure) => void
  /** A failure that no supervisor of the pipeline decides about. */
  readonly escalate: (fault: Fault) => void
  /** Books behind a stage or edge have to begin anew: those named, or all. */
  readonly refresh: (books: readonly BookName[] | 'all') => void
  /** Holds back the market when an edge may not drop. */
  readonly pressure: Pressure
  /** The same for what works by itself, sinks and threads: the stages are held as well, so that nothing flows into what is full. */
  readonly outerPressure: Pressure
  /** Looks at every value that a source or stage emits. Must be quick. */
  readonly observe: (node: string, value: unknown) => void
  /** The run as it stands, for sinks that report on it. */
  readonly look?: () => RunLook
  /** Has stages marked and timed while they work; undefined where nobody watches. */
  readonly times?: StageTimes | undefined
  /** Follows frames to the sinks. */
  readonly latency?: LatencyBudget | undefined
  /** Follows some of them as traces; undefined where nobody does. */
  readonly tracer?: FrameTracer | undefined
  /** Where what a node counts of its own is defined, and what there is to read. */
  readonly metrics?: ((owner: string) => MetricsInForce) | undefined
}

/** An edge as the run's summary shows it; beside its account how it has fared, where values can wait. */
export interface EdgeReport extends GraphEdge, Readonly<Ledger>, Partial<WayLook> {}

export interface SinkReport {
  readonly name: string
  readonly written: number
  readonly bytes: number
  readonly failed: number
  /** Values that it gave up and that stand among the dead letters; absent where there are none. */
  readonly deadLettered?: number
  readonly digest?: string
}

/** A stage while the run goes on. */
export interface StageStanding extends StageReport {
  /** That it has worked on. */
  readonly values: number
  /** Of its work, without what it calls; worked out from a share of it. */
  readonly busyUs: number
  /** How long it works on what it is given at once, microseconds. */
  readonly latencyUs: LatencySummary
}

/** A stage with what it has worked on and how long. */
export interface TimedStage {
  readonly report: StageReport
  readonly values: number
  readonly time: StageTime
}

/** A branch that was added to a running graph. */
export interface WiredBranch {
  readonly names: readonly string[]
  /** Takes it away again: nothing more comes in, what is in it is written, its sinks are closed. */
  detach(deadlineMs: number): Promise<void>
}

interface WiredEdge {
  readonly graph: GraphEdge
  readonly account: () => Readonly<Ledger>
  /** Of a stage that carries its edge itself: the accounts of all its lives. */
  readonly carried?: readonly Readonly<Ledger>[]
  readonly waits: () => boolean
  /** Where values wait in a mailbox. */
  readonly way?: Way
  /** Of an edge in line: what did not enter it. */
  readonly turnedAway?: Readonly<Ledger>
}

interface WiredSource {
  readonly way: Way
  readonly output: Outlet
}

interface WiredSink {
  readonly name: string
  readonly from: string
  readonly edge: SinkEdgeOptions
  readonly sink: Sink<unknown>
  readonly drain: Drain<unknown>
  readonly way: Way
  readonly ended: Promise<void>
  result: DrainResult | undefined
}

interface Group {
  readonly description: GroupDescription
  readonly supervisor: Supervisor
}

/** Of the time to end, what a sink has left for writing and closing when what leads to it does not end. */
const CLOSING_SHARE = 0.3

/** Of the time to end, what is left for sinks that report on the run when the others do not end. */
const REPORTING_SHARE = 0.3

/** Detached branches whose accounts a summary still shows; those of earlier ones are forgotten. */
const DETACHED_MAX = 100

export class StageGraph {
  private nodes: NodeDescription[] = []
  private readonly sources = new Map<string, WiredSource>()
  private readonly stages = new Map<string, StageRunner>()
  private readonly outputs = new Map<string, Outlet>()
  /** How the ways into a stage are restricted, by its name. */
  private readonly entries = new Map<string, readonly ((setting: ValveSetting | undefined) => void)[]>()
  private stageEdges: WiredEdge[] = []
  /** The same by the node that they lead to, once somebody has asked. */
  private edgesTo: Map<string, WiredEdge[]> | undefined
  private sinks: WiredSink[] = []
  /** The same in the order in which they are described, once somebody has asked. */
  private inOrder: readonly WiredSink[] | undefined
  private readonly groups = new Map<string, Group>()
  private readonly detached: {
    readonly edges: EdgeReport[]
    readonly sinks: SinkReport[]
    readonly sinkLooks: SinkLook[]
  }[] = []

  constructor(
    private readonly description: PipelineDescription,
    private readonly options: StageGraphOptions,
  ) {
    this.add(description)
  }

  /** What is wired now: the pipeline with the branches that are attached. */
  get described(): PipelineDescription {
    const groups = [...this.groups.values()].map(({ description }) => description)
    const { name, metrics } = this.description
    return { name, nodes: this.nodes, groups, metrics }
  }

  /** The mailbox of a source. */
  source(name: string): Way {
    return this.sources.get(name)!.way
  }

  /** Ends one source: what is behind it is flushed. */
  complete(source: string): void {
    this.sources.get(source)?.output.complete()
  }

  /**
   * Turns values away before they enter a node, by whatever edge, and counts them; undefined lets all in again. What a stage
   * that carries an edge of its own has taken is not touched.
   */
  restrict(name: string, setting: ValveSetting | undefined): void {
    this.sources.get(name)?.way.restrict(setting)
    for (const { way } of this.sinks.filter((sink) => sink.name === name)) way.restrict(setting)
    const restrict = this.entries.get(name) ?? []
    for (const each of restrict) each(setting)
  }

  /** Cuts the books that a node gives to so many levels a side; undefined gives them whole again. */
  limitDepth(name: string, levels: number | undefined): void {
    const output = this.outputs.get(name)
    if (output !== undefined) output.shape = levels === undefined ? undefined : (value) => upTo(value, levels)
  }

  /** True when nothing waits anywhere in more than half of what may wait: the pace of a replay. */
  get relaxed(): boolean {
    for (const { drain, edge } of this.sinks) {
      const { onFull, capacity } = edge
      if (onFull === 'keepLatest' || conflationOf(onFull) !== undefined) continue
      if (drain.ledger.inFlight > capacity / 2) return false
    }
    return !this.stageEdges.some((edge) => edge.waits())
  }

  /**
   * Wires a branch to what runs. It gets what is received from now on, and nothing that waits already.
   *
   * @param describe  called with what is wired when the branch's turn has come; may throw, and nothing is wired then
   * @throws `Fault` DEADLINE_EXCEEDED when its turn has not come, and nothing is wired then
   */
  attach(describe: (to: PipelineDescription) => PipelineDescription, deadlineMs = 5_000): Promise<WiredBranch> {
    return new Promise((resolve, reject) => {
      let isLate = false
      const late = this.options.host.clock.after(deadlineMs, () => {
        isLate = true
        const message = `The branch could not be attached within ${deadlineMs} ms: what was received before it still waits, for a sink or thread that is full.`
        reject(new Fault('DEADLINE_EXCEEDED', message, { deadlineMs }))
      })
      // Within one piece of the dispatcher, so that no value passes between looking and wiring.
      this.afterWhatWaits(() => {
        if (isLate) return
        late.cancel()
        try {
          const branch = describe(this.described)
          const cuts = this.add(branch)
          // What keeps books begins without any.
          if (branch.nodes.some((node) => node.kind === 'stage' && needsEveryValue(node.operator))) {
            this.options.refresh('all')
          }
          let leaving: Promise<void> | undefined
          resolve({
            names: branch.nodes.map(({ name }) => name),
            detach: (deadlineMs) => (leaving ??= this.detach(branch, cuts, deadlineMs)),
          })
        } catch (thrown) {
          reject(errorOf(thrown))
        }
      })
    })
  }

  /** Resolves with true when everything that had been offered before is written; with false at the deadline. */
  async flush(deadlineMs = 5_000): Promise<boolean> {
    const done = { is: false }
    const flushed = this.flushed().then(() => (done.is = true))
    await within(this.options.host.clock, deadlineMs, flushed)
    return done.is
  }

  private async flushed(): Promise<void> {
    await Promise.all([...this.sources.values()].map(({ way }) => way.settled()))
    await this.whenDelivered()
    await Promise.all(this.stageEdges.flatMap(({ way }) => (way === undefined ? [] : [way.settled()])))
    await this.whenDelivered()
    await Promise.all(
      this.sinks.map(async ({ drain, way }) => {
        await way.settled()
        await drain.flush()
      }),
    )
  }

  /** Ends all sources in order, then waits until every sink has written what was left, or the deadline has passed. */
  async finish(deadlineMs: number): Promise<void> {
    const deadlineUs = this.options.host.clock.nowUs() + deadlineMs * 1_000
    const sources = [...this.sources.values()]
    await within(this.options.host.clock, deadlineMs / 2, Promise.all(sources.map(({ way }) => way.settled())))
    await Promise.all(sources.map(({ way }) => way.close('deadline')))
    for (const name of this.sources.keys()) this.complete(name)
    // What goes round in a loop never ends by itself.
    for (const node of this.nodes) {
      if (node.kind !== 'stage' || !node.feedback) continue
      await within(this.options.host.clock, deadlineMs / 4, this.whenDelivered())
      this.outputs.get(node.name)!.complete()
    }
    await this.finishSinks(this.sinks, (deadlineUs - this.options.host.clock.nowUs()) / 1_000)
    this.stopStages()
    await Promise.all(this.stageEdges.map(({ way }) => way?.close('deadline') ?? Promise.resolve()))
  }

  /** Ends everything where it stands: what waits is given up, and counted. What a sink has in hand may take `withinMs`. */
  async kill(withinMs = 500): Promise<void> {
    const ways = [...this.sources.values(), ...this.stageEdges].flatMap(({ way }) => (way === undefined ? [] : [way]))
    const closed = Promise.all(ways.map((way) => way.close('stopped')))
    for (const stage of this.stages.values()) stage.stop()
    await Promise.all(
      this.sinks.map(async (sink) => {
        const closing = sink.way.close('stopped')
        sink.result = await sink.drain.kill(withinMs)
        await closing
      }),
    )
    await closed
  }

  edges(): EdgeReport[] {
    const reports: EdgeReport[] = []
    for (const node of this.nodes) this.reportInto(node, reports)
    for (const { edges } of this.detached) reports.push(...edges)
    return reports
  }

  sinkReports(): SinkReport[] {
    const reports = this.sinksInOrder().map(sinkReport)
    for (const { sinks } of this.detached) reports.push(...sinks)
    return reports
  }

  /** The same while the run goes on. */
  sinkStandings(): SinkStanding[] {
    const standings = this.sinksInOrder().map((wired) => standingOf(sinkReport(wired), wired.sink.counters))
    for (const { sinks, sinkLooks } of this.detached) {
      standings.push(...sinks.map((report, index) => standingOf(report, sinkLooks[index]!)))
    }
    return standings
  }

  /** The same for a sink that reports on the run. */
  sinkLooks(): SinkLook[] {
    const looks = this.sinksInOrder().map(sinkLook)
    for (const { sinkLooks } of this.detached) looks.push(...sinkLooks)
    return looks
  }

  /** The sinks in the order in which they are described. */
  private sinksInOrder(): readonly WiredSink[] {
    return (this.inOrder ??= this.nodes.flatMap((node) => this.sinkNamed(node.name) ?? []))
  }

  private sinkNamed(wanted: string): WiredSink | undefined {
    return this.sinks.find(({ name }) => name === wanted)
  }

  stageReports(): StageReport[] {
    const reports: StageReport[] = []
    for (const { name } of this.nodes) {
      const stage = this.stages.get(name)
      if (stage !== undefined) reports.push(stage.report)
    }
    return reports
  }

  /** The same while the run goes on. */
  stageStandings(): StageStanding[] {
    return this.stageTimes().map(({ report, values, time: { busyUs, latency } }) => ({
      ...report,
      values,
      busyUs,
      latencyUs: latency.summary(),
    }))
  }

  /** The same with the times as they are counted, which go on changing. */
  stageTimes(): TimedStage[] {
    const values = new Map<string, number>()
    for (const { graph, account } of this.stageEdges) {
      values.set(graph.to, (values.get(graph.to) ?? 0) + account().out)
    }
    return this.stageReports().map((report) => ({
      report,
      values: values.get(report.name) ?? 0,
      time: this.stages.get(report.name)!.time,
    }))
  }

  /** Where the books are not balanced, as sentences; none when all is well. */
  imbalances(): string[] {
    return this.edges().flatMap((edge) =>
      balances(edge)
        ? []
        : [
            `The account of the edge from ${edge.from} to ${edge.to} does not balance: ${edge.in} came in, ${edge.out} went out, ${JSON.stringify(edge.dropped)} were dropped, ${edge.inFlight} are in flight.`,
          ],
    )
  }

  private edgesInto(node: NodeDescription): EdgeReport[] {
    const reports: EdgeReport[] = []
    this.reportInto(node, reports)
    return reports
  }

  private reportInto(node: NodeDescription, reports: EdgeReport[]): void {
    if (node.kind === 'source') {
      const { ledger, look } = this.source(node.name)
      reports.push({ ...graphEdge(OUTSIDE, node.name, node.edge), ...ledger, ...look })
      return
    }
    if (node.kind === 'stage') {
      for (const { graph, account, way } of this.edgesToNode(node.name)) {
        reports.push({ ...graph, ...copyOf(account()), ...way?.look })
      }
      return
    }
    const { from, name, edge, way } = this.sinkNamed(node.name)!
    reports.push({ ...graphEdge(from, name, edge), ...way.ledger, ...way.look })
  }

  private edgesToNode(name: string): readonly WiredEdge[] {
    if (this.edgesTo === undefined) {
      this.edgesTo = new Map<string, WiredEdge[]>()
      for (const edge of this.stageEdges) {
        const others = this.edgesTo.get(edge.graph.to)
        if (others === undefined) this.edgesTo.set(edge.graph.to, [edge])
        else others.push(edge)
      }
    }
    return this.edgesTo.get(name) ?? []
  }

  /** Wires nodes; what is returned cuts them off from the nodes that were there before. */
  private add({ nodes, groups }: PipelineDescription): (() => void)[] {
    const { options } = this
    this.nodes.push(...nodes)
    this.inOrder = undefined
    for (const description of groups) {
      const random = seededRandom(pathOf(this.description.name, description.groups, description.name))
      const supervisor = new Supervisor(description.onFailure ?? 'escalate', options.streamClock, random)
      this.groups.set(description.name, { description, supervisor })
    }
    const added = new Set(nodes.map(({ name }) => name))
    const cuts: (() => void)[] = []
    for (const node of nodes) this.makeOutput(node)
    for (const node of nodes.toReversed()) {
      if (node.kind === 'source') continue
      const ends = node.from.map((from) => this.connect(from, node, added.has(from) ? undefined : cuts))
      if (node.kind === 'stage') this.completeWith(node, ends)
    }
    for (const node of nodes.toReversed()) this.stages.get(node.name)?.start()
    return cuts
  }

  private makeOutput(node: NodeDescription): void {
    if (node.kind === 'sink') return
    let output: Outlet
    if (node.kind === 'source') {
      output = new Outlet()
      this.sources.set(node.name, { output, way: this.sourceWay(node, output) })
    } else if (node.operator === undefined) output = new Outlet()
    else {
      const runner = this.runnerOf(node)
      this.stages.set(node.name, runner)
      output = runner.output
    }
    output.subscribe((value) => this.options.observe(node.name, value))
    this.outputs.set(node.name, output)
  }

  private sourceWay(node: SourceNode, output: Outlet): Way {
    const give = (value: unknown): undefined => {
      output.next(value)
    }
    return this.mailboxOf(node, node.edge, give, () => output.complete())
  }

  /** @param failed  called when the edge may not drop and is full: nothing more comes out of it */
  private mailboxOf(
    node: SourceNode | StageNode,
    edge: EdgeOptions,
    give: (value: unknown) => DropReason | undefined,
    failed: () => void,
  ): Way {
    const { options } = this
    return this.wayTo(
      node,
      edge,
      (pressure) =>
        new Edge<unknown>(edge, options.dispatcher, {
          name: this.edgeName(node),
          deliver: give,
          fault: (fault) => options.onFault(fault, node.name),
          fail: (fault) => {
            options.onFault(fault, node.name)
            failed()
          },
          pressure,
          conflate: conflateBatches(edge.onFull),
          receipts: this.receiptsFor(node),
        }),
      weightOf,
    )
  }

  private wayTo(
    node: NodeDescription,
    edge: EdgeOptions,
    make: (pressure: Pressure) => WayTarget,
    weigh: (value: unknown) => number,
  ): Way {
    const { outDir, pressure, outerPressure, onFault } = this.options
    return wayTo(
      {
        edge,
        name: this.edgeName(node),
        pipeline: this.description.name,
        node: node.name,
        outDir,
        // A mailbox is emptied by the stages: they must go on for it.
        pressure: node.kind === 'sink' ? outerPressure : pressure,
        onFault: (fault) => onFault(fault, node.name),
        receipts: () => this.receiptsFor(node),
        weigh,
      },
      make,
    )
  }

  private runnerOf(node: StageNode): StageRunner {
    const { options } = this
    return new StageRunner({
      name: node.name,
      path: this.path(node),
      operator: node.operator!,
      onFailure: node.onFailure,
      clock: options.streamClock,
      surround: (runner, failed, wire) => {
        const { clock, random, spawn } = options.host
        const own = (of: Clock): Clock => guarded(of, failed, (work) => runner.atWork(work))
        const surroundings = { clock: own(options.streamClock), waits: own(clock), random }
        const wiring = this.wiringOf(node, runner)
        const metrics = options.metrics?.(this.path(node))
        runWithClock(surroundings, () =>
          runWithSpawn(spawn, () => runWithMetrics(metrics, () => runWithWiring(wiring, wire))),
        )
      },
      failed: options.onFailure,
      escalate: (fault) => this.escalate(node.groups, fault),
      restarted: () => {
        if (this.keepsBooks(node)) options.refresh('all')
      },
      times: options.times,
      tracer: options.tracer,
    })
  }

  /** What the run offers to a stage that carries an edge of its own, or can resume. */
  private wiringOf(node: StageNode, runner: StageRunner): Wiring {
    const { options } = this
    return {
      pressure: options.outerPressure,
      onFault: (fault) => options.onFault(fault, node.name),
      showEdge: (edge) => this.showEdge(node, edge),
      resumes: (thrown, value) => runner.resumes(thrown, value),
    }
  }

  private showEdge(node: StageNode, { kind, capacity, onFull, account, waiting }: CarriedEdge): void {
    const edgeOf = (carried: readonly Readonly<Ledger>[]): WiredEdge => ({
      graph: { from: node.from[0]!, to: node.name, kind, capacity, onFull },
      carried,
      account: () => sumOf(carried),
      waits: () => (waiting?.() ?? account.inFlight) > capacity / 2,
    })
    const index = this.stageEdges.findIndex(({ graph }) => graph.to === node.name && graph.kind === kind)
    if (index >= 0 && node.edge === undefined) {
      // A new life of the stage: its account goes on where the one before it ended, and may be the same.
      const { carried = [] } = this.stageEdges[index]!
      this.edgesTo = undefined
      this.stageEdges[index] = edgeOf([...new Set([...carried, account])])
      return
    }
    // It takes the place of the edge in line: that one only hands over.
    const inline = this.stageEdges.findIndex(({ graph }) => graph.to === node.name && graph.kind === 'inline')
    const before = this.stageEdges[inline]?.turnedAway
    const accounts = before === undefined ? [account] : [before, account]
    this.edgesTo = undefined
    this.stageEdges.splice(Math.max(0, inline), inline < 0 ? 0 : 1, edgeOf(accounts))
  }

  /** Connects a node to one that it reads; returns how to end it. With `cuts` the connection can be cut. */
  private connect(from: string, node: StageNode | SinkNode, cuts: (() => void)[] | undefined): Connection {
    const upstream = this.outputs.get(from)!
    const entry = node.kind === 'sink' ? this.intoSink(from, node) : this.intoStage(from, node)
    const connection: Connection = { ended: () => undefined }
    let over = false
    const finish = (): void => {
      if (over) return
      over = true
      entry.end(() => connection.ended())
    }
    entry.onFailed?.(() => {
      over = true
      connection.ended()
    })
    const subscription = upstream.subscribe({ next: (value) => entry.take(value), complete: finish })
    cuts?.push(() => {
      subscription.unsubscribe()
      finish()
    })
    return connection
  }

  /** A stage ends when all that it reads has. */
  private completeWith(node: StageNode, connections: readonly Connection[]): void {
    let open = connections.length
    const runner = this.stages.get(node.name)
    const output = this.outputs.get(node.name)!
    for (const connection of connections) {
      connection.ended = () => {
        if (--open > 0) return
        if (runner === undefined) output.complete()
        else runner.complete()
      }
    }
  }

  /** What a stage reads: in line, or through a mailbox. */
  private intoStage(from: string, node: StageNode): Entry {
    const runner = this.stages.get(node.name)
    const output = this.outputs.get(node.name)!
    const give =
      runner === undefined
        ? (value: unknown): undefined => {
            output.next(value)
          }
        : (value: unknown): DropReason | undefined => runner.receive(value)
    const graph = graphEdge(from, node.name, node.edge)
    if (node.edge === undefined) {
      const edge = new InlineEdge(give, () => runner?.state !== 'restarting', this.receiptsFor(node))
      const target = {
        offer: (_: number | undefined, value: unknown) => edge.offer(value),
        skipped: (account: Receipts<unknown>) => edge.skipped(account),
      }
      const valve = new Valve(target, weightOf, () => this.receiptsFor(node))
      this.addEdge({
        graph,
        account: () => (valve.ledger.in === 0 ? edge.ledger : sumOf([valve.ledger, edge.ledger])),
        waits: () => false,
        turnedAway: valve.ledger,
      })
      this.addEntry(node.name, (setting) => valve.set(setting))
      return { take: (value) => valve.offer(undefined, value), end: (ended) => ended() }
    }
    return this.mailbox(node, node.edge, graph, give)
  }

  private addEdge(edge: WiredEdge): void {
    this.stageEdges.push(edge)
    this.edgesTo = undefined
  }

  private addEntry(name: string, restrict: (setting: ValveSetting | undefined) => void): void {
    this.entries.set(name, [...(this.entries.get(name) ?? []), restrict])
  }

  private mailbox(
    node: StageNode,
    edge: EdgeOptions,
    graph: GraphEdge,
    give: (value: unknown) => DropReason | undefined,
  ): Entry {
    let failed: () => void = () => undefined
    const way = this.mailboxOf(node, edge, give, () => failed())
    this.addEntry(node.name, (setting) => way.restrict(setting))
    this.addEdge({
      graph,
      account: () => way.ledger,
      waits: () => way.ledger.inFlight > edge.capacity / 2,
      way,
    })
    return {
      take: (value) => way.offer(undefined, value),
      end: (ended) => void way.settled().then(() => this.afterWhatWaits(ended)),
      onFailed: (ended) => (failed = ended),
    }
  }

  private intoSink(from: string, node: SinkNode): Entry {
    const { name, sink, edge } = node
    const { tracer } = this.options
    const latency = sink.reportsOnRun === true ? undefined : this.options.latency?.sink()
    let drain!: Drain<unknown>
    const make = (pressure: Pressure): WayTarget => {
      drain = this.drainOf(from, node, pressure, latency)
      return {
        offer: (_, value) => drain.push(value),
        skipped: (account) => drain.skipped(account),
        close: () => undefined, // a drain is finished, or killed
        get ledger() {
          return drain.ledger
        },
        get highWater() {
          return drain.highWater
        },
        get receipts() {
          return drain.receipts
        },
      }
    }
    const way = this.wayTo(node, edge, make, (value) => (isBatch(value) ? value.length : 1))
    let resolve!: () => void
    const ended = new Promise<void>((settle) => (resolve = settle))
    this.inOrder = undefined
    this.sinks.push({ name, from, edge, sink, drain, way, ended, result: undefined })
    const take = (value: unknown): void => {
      latency?.came(value)
      tracer?.came(name, value)
      way.offer(undefined, value)
    }
    return { take, end: () => void way.settled().then(resolve) }
  }

  private drainOf(from: string, node: SinkNode, pressure: Pressure, latency: SinkLatency | undefined): Drain<unknown> {
    const { options } = this
    const { name, sink, edge } = node
    const { tracer } = options
    const onWritten = (values: readonly unknown[]): void => {
      latency?.written(values)
      tracer?.written(name, values)
    }
    return new Drain<unknown>(sink, {
      capacity: edge.capacity,
      batchMax: edge.batchMax ?? 512,
      flushMs: edge.flushMs ?? 50,
      onFull: conflateRows(edge.onFull),
      clock: options.host.clock,
      streamClock: options.streamClock,
      outDir: options.outDir,
      digest: options.digest && this.isReplayable(from, new Set()),
      closeWithinMs: options.closeWithinMs,
      pressure,
      receipts: this.receiptsFor(node),
      run: options.runId,
      env: options.host.env,
      ...(options.look === undefined ? {} : { look: options.look }),
      deadLetters: edge.deadLetters,
      onFault: (fault) => options.onFault(fault, name),
      ...(edge.retry === undefined ? {} : { retry: edge.retry }),
      ...(latency === undefined && tracer === undefined ? {} : { onWritten }),
    })
  }

  /** Calls back when everything that waits now, in any mailbox, has been delivered. */
  private afterWhatWaits(callback: () => void): void {
    this.options.dispatcher.post(undefined, { process: callback }, undefined)
  }

  private whenDelivered(): Promise<void> {
    return new Promise((resolve) => this.afterWhatWaits(resolve))
  }

  private async detach(branch: PipelineDescription, cuts: readonly (() => void)[], deadlineMs: number): Promise<void> {
    const { clock } = this.options.host
    const deadlineUs = clock.nowUs() + deadlineMs * 1_000
    const cutOff = (): void => {
      for (const cut of cuts) cut()
    }
    // It may be the branch itself that holds up what waits.
    await within(
      this.options.host.clock,
      deadlineMs / 2,
      new Promise<void>((resolve) => {
        this.afterWhatWaits(() => {
          cutOff()
          resolve()
        })
      }),
    )
    cutOff()
    const names = new Set(branch.nodes.map(({ name }) => name))
    const sinks = this.sinks.filter(({ name }) => names.has(name))
    for (const node of branch.nodes) {
      if (node.kind !== 'stage' || !node.feedback) continue
      await within(this.options.host.clock, deadlineMs / 4, this.whenDelivered())
      this.outputs.get(node.name)!.complete()
    }
    await this.finishSinks(sinks, Math.max(0, (deadlineUs - clock.nowUs()) / 1_000))
    this.stopStages(names)
    for (const { graph, way } of this.stageEdges) if (names.has(graph.to)) await way?.close('stopped')
    this.detached.push({
      edges: branch.nodes.flatMap((node) => this.edgesInto(node)),
      sinks: sinks.map(sinkReport),
      sinkLooks: sinks.map(sinkLook),
    })
    if (this.detached.length > DETACHED_MAX) this.detached.shift()
    this.nodes = this.nodes.filter(({ name }) => !names.has(name))
    this.sinks = this.sinks.filter(({ name }) => !names.has(name))
    this.stageEdges = this.stageEdges.filter(({ graph }) => !names.has(graph.to))
    this.inOrder = this.edgesTo = undefined
    for (const name of names) {
      this.stages.delete(name)
      this.outputs.delete(name)
      this.entries.delete(name)
    }
    for (const { name } of branch.groups) this.groups.delete(name)
  }

  /** What reports on the run is finished last, to tell how the others have ended; a share of the time is kept for it. */
  private async finishSinks(sinks: readonly WiredSink[], deadlineMs: number): Promise<void> {
    const { clock } = this.options.host
    const deadlineUs = clock.nowUs() + deadlineMs * 1_000
    const reports = sinks.filter(({ sink }) => sink.reportsOnRun === true)
    const others = sinks.filter((each) => !reports.includes(each))
    await this.finishTogether(others, reports.length === 0 ? deadlineMs : deadlineMs * (1 - REPORTING_SHARE))
    await this.finishTogether(reports, Math.max(0, (deadlineUs - clock.nowUs()) / 1_000))
  }

  /** Each sink is finished when what leads to it has ended; one that waits in vain keeps no other from its end. */
  private async finishTogether(sinks: readonly WiredSink[], deadlineMs: number): Promise<void> {
    const { host, onFault } = this.options
    const deadlineUs = host.clock.nowUs() + deadlineMs * 1_000
    await Promise.all(
      sinks.map(async (sink) => {
        await within(host.clock, deadlineMs * (1 - CLOSING_SHARE), sink.ended)
        sink.result = await sink.drain.finish('completed', Math.max(0, (deadlineUs - host.clock.nowUs()) / 1_000))
        await sink.way.close('deadline')
        if (sink.result.fault !== undefined) onFault(sink.result.fault, sink.name)
      }),
    )
  }

  /** Stages that have not ended with their sources are left as they are; what they still have in hand is given up, and told. */
  private stopStages(names?: ReadonlySet<string>): void {
    for (const [name, stage] of this.stages) {
      if (names?.has(name) === false || stage.state === 'ended' || stage.state === 'stopped') continue
      const own = this.stageEdges.filter(({ graph, carried }) => graph.to === name && carried !== undefined)
      const inHand = own.reduce((sum, { account }) => sum + account().inFlight, 0)
      stage.stop()
      if (inHand === 0) continue
      const message = `The stage ${stage.report.path} had not ended when the time to end was over: ${inHand} ${inHand === 1 ? 'value was' : 'values were'} given up. Find out what it waits for, or allow more time.`
      this.options.onFault(new Fault('DEADLINE_EXCEEDED', message, { values: inHand }), name)
    }
  }

  private escalate(groups: readonly string[], fault: Fault): void {
    const name = groups.at(-1)
    const group = name === undefined ? undefined : this.groups.get(name)
    if (name === undefined || group === undefined) {
      this.options.escalate(fault)
      return
    }
    const members = this.nodes.flatMap((node) =>
      node.groups.includes(name) && this.stages.has(node.name) ? [this.stages.get(node.name)!] : [],
    )
    const verdict = group.supervisor.judge(fault)
    switch (verdict.directive) {
      case 'resume': // the group goes on, with a new instance of what failed
        for (const member of members) if (member.state === 'restarting') member.restart()
        return
      case 'restart': {
        const restart = (): void => {
          for (const member of members) member.restart()
        }
        if (verdict.delayMs === 0) restart()
        else this.options.streamClock.after(verdict.delayMs, restart)
        return
      }
      case 'stop':
        for (const member of members) member.stop()
        return
      case 'escalate':
        this.escalate(group.description.groups, fault)
    }
  }

  /** True where a lost value leaves books wrong: at the stage itself, or further down. */
  private keepsBooks(node: NodeDescription, seen = new Set<string>()): boolean {
    if (seen.has(node.name)) return false
    seen.add(node.name)
    if (node.kind === 'stage' && needsEveryValue(node.operator)) return true
    return this.nodes.some(
      (next) => next.kind !== 'source' && next.from.includes(node.name) && this.keepsBooks(next, seen),
    )
  }

  /** Receipts of what an edge dropped. Where they silence books behind it, those are asked for anew. */
  private receiptsFor(node: NodeDescription): ReturnType<typeof marketReceipts> {
    const { options } = this
    return marketReceipts({
      receipt: node.edge?.receipt,
      onTold: (notices) => {
        if (!this.keepsBooks(node)) return
        const lost = notices.filter(({ details }) => details['of'] === 'book')
        if (lost.length > 0) options.refresh(lost.map(({ exchange, symbol }) => ({ exchange, symbol })))
      },
      onBroken: (thrown) => {
        const message = `${this.edgeName(node)} could not make a receipt of what it dropped: ${messageOf(thrown)}. Look at the function receipt of its options.`
        options.onFault(new Fault('STAGE_FAILED', message, {}, { cause: thrown }), node.name)
      },
    })
  }

  /** True when all that flows here comes from the market: only that is the same in a replay. */
  private isReplayable(name: string, seen: Set<string>): boolean {
    if (seen.has(name)) return true
    seen.add(name)
    const node = this.nodes.find((each) => each.name === name)!
    if (node.kind === 'source') return node.source instanceof MarketSource || node.source instanceof FrameSource
    return node.from.every((from) => this.isReplayable(from, seen))
  }

  private edgeName(node: NodeDescription): string {
    return `The edge to ${this.path(node)}`
  }

  private path({ groups, name }: NodeDescription): string {
    return pathOf(this.description.name, groups, name)
  }
}

/** The way into a stage or sink. */
interface Entry {
  readonly take: (value: unknown) => void
  /** Nothing more comes: calls back when everything has been delivered. */
  readonly end: (ended: () => void) => void
  /** The edge can go on no more: its stage ends. */
  readonly onFailed?: (ended: () => void) => void
}

interface Connection {
  ended: () => void
}

function sinkReport({ name, sink, result }: WiredSink): SinkReport {
  const { written, bytes, failed } = sink.counters
  const digest = result?.digest
  return { name, written, bytes, failed, ...lettersOf(sink), ...(digest === undefined ? {} : { digest }) }
}

function standingOf(report: SinkReport, { retries }: Pick<SinkLook, 'retries'>): SinkStanding {
  return { ...report, retries }
}

function sinkLook({ name, sink }: WiredSink): SinkLook {
  const { written, bytes, failed, retries } = sink.counters
  return { name, written, bytes, failed, retries, ...lettersOf(sink) }
}

function lettersOf({ counters: { deadLettered } }: Sink<unknown>): Pick<SinkReport, 'deadLettered'> {
  return deadLettered > 0 ? { deadLettered } : {}
}

/** Views of books with so many levels a side; whatever is none, as it is. */
function upTo(value: unknown, levels: number): unknown {
  if (value instanceof BookView) return value.upTo(levels)
  return Array.isArray(value) && value[0] instanceof BookView
    ? value.map((each: unknown) => (each instanceof BookView ? each.upTo(levels) : each))
    : value
}

/** A clock whose callbacks run in a stage's name, and throw into `failed` instead of into whoever moves the clock. */
function guarded(clock: Clock, failed: (thrown: unknown) => void, inItsName: (work: () => void) => void): Clock {
  return {
    nowUs: () => clock.nowUs(),
    after: (delayMs, callback) =>
      clock.after(delayMs, () => {
        try {
          inItsName(callback)
        } catch (thrown) {
          failed(thrown)
        }
      }),
  }
}
