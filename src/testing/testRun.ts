/**
 * A run of a pipeline on market events of a test, in virtual time: its stages, edges and supervisors are those of any run,
 * its market, its machine's time and its sinks belong to the test.
 *
 *     const { values, summary, faults } = await testRun(tradeBars, { batches: [[trade({ price: 1 })], [trade({ price: 2 })]] })
 *     expect(values('bars')).to.deep.equal([...])
 *     expectBalanced(summary)
 *
 * Time    stands still while there is anything to do. Each batch moves it to its own time, and what is due by then happens
 *         before, timer by timer, as it would live
 * Sinks   are written in memory, unless the test gives its own in their place or asks for the pipeline's. Files are
 *         really written then, and waited for
 * Threads are real, and waited for. RxJS' own timers are real too, and are not: stages that wait should ask for the run's
 *         clock
 */
import { sleep } from '../clock/clock'
import { seededRandom } from '../clock/backoff'
import { liveClock } from '../clock/liveClock'
import { VirtualClock } from '../clock/virtualClock'
import { exchangeById } from '../exchanges/exchanges'
import type { SessionRecord } from '../feed/record'
import { Sessions } from '../feed/sessions'
import type { MarketEvent } from '../model/events'
import { Fault } from '../model/fault'
import { noSuch } from '../model/nearest'
import { describePipeline, type PipelineBuilder, type PipelineDescription } from '../pipeline/description'
import { liveHost } from '../pipeline/host'
import type { ConnectionView, Market, MarketOutput } from '../pipeline/market'
import type { Pipeline } from '../pipeline/pipeline'
import { Run } from '../pipeline/run'
import type { RunMode, RunStatus, RunSummary } from '../pipeline/runSummary'
import { FrameSource, MarketSource } from '../pipeline/sources'
import { DEFAULT_OUT_DIR, type Sink } from '../sinks/sink'
import { AssertionError } from './assertionError'
import { NO_COST } from './noCost'
import { sinkProbe } from './sinkProbe'

export interface TestRunOptions {
  /** `live` (default): while nothing arrives the stream's time goes on; `replay`: the batches alone move it. */
  readonly mode?: RunMode
  /** When it begins, microseconds since 1970. Default shortly before the first batch; without any, 2025-10-09. */
  readonly startUs?: number
  /** Sinks in the place of the pipeline's, by name: probes that are slow, or refuse. */
  readonly sinks?: Readonly<Record<string, Sink<unknown>>>
  /** True: the pipeline's own sinks are written, files and all. Default false: what they get is kept in memory alone. */
  readonly keepSinks?: boolean
  /** Where the pipeline's own sinks write. Default `out`. */
  readonly outDir?: string
  /** Has the pipeline's own sinks digest what they write. */
  readonly digest?: boolean
  /** Of all chance in the run. Default 1. */
  readonly seed?: number
  /** Virtual milliseconds that draining may take at the end. Default 5,000. */
  readonly stopWithinMs?: number
  /** Values kept of each sink. Default 1,000,000; one more is refused, which the summary tells. */
  readonly capacity?: number
}

/** What happens on the market: one of the three. */
export interface TestMarketOptions {
  /**
   * Events as they come together, in order. Each batch comes when its first event was received, or a millisecond after the
   * one before it when that is not later.
   */
  readonly batches?: Iterable<readonly MarketEvent[]>
  /** Events that come one by one. */
  readonly events?: Iterable<MarketEvent>
  /** What happens on connections, to be decoded: frames, answers, openings and ends. */
  readonly records?: Iterable<SessionRecord>
  /** Virtual milliseconds that the run goes on afterwards. Default 0; without a market, up to 60,000 until all sources have ended. */
  readonly forMs?: number
}

export interface TestRunResult {
  readonly summary: RunSummary
  readonly edges: RunSummary['edges']
  readonly faults: readonly Fault[]
  /** What each sink accepted, in order, by its name. */
  readonly sinks: ReadonlyMap<string, readonly unknown[]>
  /** What the sink of this name accepted. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the test knows what its sinks are given
  readonly values: <T>(sink: string) => readonly T[]
  /** How often the market was held back, and let go on. */
  readonly pauses: number
  readonly resumes: number
}

/** Runs the pipeline on what happens on the market, to its end. Rejects with a `Fault` when it cannot begin. */
export async function testRun(
  pipeline: Pipeline | ((builder: PipelineBuilder) => void),
  options: TestRunOptions & TestMarketOptions = {},
): Promise<TestRunResult> {
  const given = happenings(options)
  const [first] = given
  const run = new TestRun(pipeline, {
    ...options,
    startUs: options.startUs ?? (first === undefined ? START_US : timeOf(first, START_US) - 1_000),
  })
  try {
    if (given.length > 0) run.needMarket()
    for (const each of given) {
      await run.untilResumed()
      if ('dir' in each) await run.record(each)
      else await run.send(each)
    }
    if (run.hasMarket) await run.advance(options.forMs ?? 0)
    else await run.untilEnded(options.forMs ?? ENDS_WITHIN_MS)
    return await run.stop()
  } catch (thrown) {
    // Its threads and files are not to outlive the test that failed.
    await run.kill().catch(() => undefined)
    throw thrown
  }
}

/** Begins a run that the test drives step by step: what is sent, how time goes on, how sinks answer. */
export function startTestRun(
  pipeline: Pipeline | ((builder: PipelineBuilder) => void),
  options: TestRunOptions = {},
): TestRun {
  return new TestRun(pipeline, options)
}

/** A run of a pipeline in the hands of a test. */
export class TestRun {
  /** The machine's time, and with it the stream's. Moved by `send` and `advance`. */
  readonly clock: VirtualClock
  /** Every fault that was told, in order. */
  readonly faults: Fault[] = []
  readonly hasMarket: boolean
  private readonly run: Run
  private readonly market = new TestMarket()
  private readonly kept = new Map<string, () => readonly unknown[]>()
  private readonly contracts: (() => void)[] = []
  private readonly name: string
  private readonly writesFiles: boolean
  private threads = 0
  private ended = false
  /** What threads were given and did not answer. */
  private unanswered = ''

  constructor(
    pipeline: Pipeline | ((builder: PipelineBuilder) => void),
    {
      mode = 'live',
      startUs = START_US,
      sinks = {},
      keepSinks = false,
      outDir = DEFAULT_OUT_DIR,
      digest = false,
      seed = 1,
      stopWithinMs = 5_000,
      capacity = 1_000_000,
    }: TestRunOptions = {},
  ) {
    const description = descriptionOf(pipeline)
    this.name = description.name
    this.clock = new VirtualClock(startUs)
    this.writesFiles = keepSinks
    this.hasMarket = description.nodes.some((node) => node.kind === 'source' && isOfMarket(node.source))
    const sinkNames = description.nodes.flatMap((node) => (node.kind === 'sink' ? [node.name] : []))
    for (const name of Object.keys(sinks)) {
      if (!sinkNames.includes(name)) throw new Fault('OPTION_INVALID', noSuch('sink', name, sinkNames), { sink: name })
    }
    this.run = new Run({
      description: {
        ...description,
        nodes: description.nodes.map((node) => {
          if (node.kind !== 'sink') return node
          const given = Object.hasOwn(sinks, node.name) ? sinks[node.name] : keepSinks ? node.sink : undefined
          return { ...node, sink: this.keeping(node.name, given, capacity) }
        }),
      },
      mode,
      market: () => (this.hasMarket ? this.market : undefined),
      recorder: undefined,
      host: {
        clock: this.clock,
        random: seededRandom(seed),
        env: {},
        defer: setImmediate,
        spawn: (...args) => {
          this.threads++
          return liveHost.spawn(...args)
        },
        watch: () => NO_COST,
      },
      outDir,
      digest,
      stopWithinMs,
      onFault: (fault) => {
        if (this.faults.length < FAULTS_MAX) this.faults.push(fault)
      },
    })
    this.run.done.then(
      () => (this.ended = true),
      () => (this.ended = true),
    )
  }

  /** A batch of events that are received together, now or later. */
  async send(events: readonly MarketEvent[], timeUs = timeOf(events, this.clock.nowUs())): Promise<void> {
    await this.happen(
      { dir: 'in', timeUs, ns: 0, connection: 0, exchange: events[0]?.exchange ?? '', data: '' },
      events,
    )
  }

  /** What happens on a connection, decoded as in any run. */
  async record(record: SessionRecord): Promise<void> {
    await this.happen(record, undefined)
  }

  /** A fault of the market. */
  fault(fault: Fault): void {
    this.needMarket()
    this.market.output?.fault(fault)
  }

  /** Lets virtual time go on, timer by timer. */
  async advance(ms: number): Promise<void> {
    await this.advanceTo(this.clock.nowUs() + Math.round(ms * 1_000))
  }

  /** Resolves when everything that can happen at this time has happened. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
    if (this.writesFiles) await untilFilesAreWritten()
    if (this.threads > 0) await this.untilThreadsAnswered()
  }

  /** True while an edge holds the market back. */
  get paused(): boolean {
    return this.market.pauses > this.market.resumes
  }

  get pauses(): number {
    return this.market.pauses
  }

  get resumes(): number {
    return this.market.resumes
  }

  /** What the sink of this name has accepted so far. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the test knows what its sinks are given
  values<T>(sink: string): readonly T[] {
    const kept = this.kept.get(sink)
    if (kept === undefined) throw new Fault('OPTION_INVALID', noSuch('sink', sink, this.kept.keys()), { sink })
    return kept() as readonly T[]
  }

  status(): RunStatus {
    return this.run.status()
  }

  /** Ends the run in order, and lets as much virtual time pass as that takes. */
  async stop(): Promise<TestRunResult> {
    return await this.over(this.run.stop())
  }

  /** Ends the run where it stands: what is under way is given up. */
  async kill(): Promise<TestRunResult> {
    return await this.over(this.run.kill())
  }

  private async over(done: Promise<RunSummary>): Promise<TestRunResult> {
    done.catch(() => undefined) // it is waited for below
    await this.untilEnded(Infinity)
    const summary = await done
    for (const contract of this.contracts) contract()
    const sinks = new Map([...this.kept].map(([name, kept]) => [name, [...kept()]]))
    const { faults, pauses, resumes } = this
    return { summary, edges: summary.edges, faults, sinks, values: (sink) => this.values(sink), pauses, resumes }
  }

  /** Waits, in virtual time, until nothing holds the market back. */
  async untilResumed(): Promise<void> {
    await this.settle()
    const deadlineUs = this.clock.nowUs() + HELD_BACK_MS * 1_000
    while (this.paused && !this.ended) {
      const nextUs = this.clock.nextDueUs()
      if (nextUs === undefined || nextUs > deadlineUs) {
        const full = this.status().edges.filter(({ inFlight }) => inFlight > 0)
        throw new AssertionError(
          `The run of ${this.name} holds its market back for more than ${HELD_BACK_MS / 1_000} s, because what waits here is not taken: ${full.map(({ from, to, inFlight }) => `${from} > ${to} (${inFlight})`).join(', ')}.`,
        )
      }
      await this.advanceTo(nextUs)
    }
  }

  /** Waits until the run has ended by itself, for so many virtual milliseconds at most. */
  async untilEnded(ms: number): Promise<void> {
    const deadlineUs = this.clock.nowUs() + ms * 1_000
    let idleSinceUs: number | undefined
    for (;;) {
      await this.settle()
      if (this.ended) return
      const nextUs = this.clock.nextDueUs()
      if (nextUs !== undefined && nextUs <= deadlineUs) {
        idleSinceUs = undefined
        this.clock.advanceTo(nextUs)
        continue
      }
      if (ms < Infinity) {
        this.clock.advanceTo(deadlineUs)
        return
      }
      idleSinceUs ??= liveClock.nowUs()
      if (liveClock.nowUs() - idleSinceUs > REAL_WAIT_MS * 1_000) {
        throw new AssertionError(`The run of ${this.name} does not end, and nothing is left that could happen.`)
      }
      await sleep(liveClock, 1)
    }
  }

  /** Fails for a pipeline that reads no market. */
  needMarket(): void {
    if (this.hasMarket) return
    throw new Fault('OPTION_INVALID', `The pipeline ${this.name} has no source of market events to be given any.`, {})
  }

  private async happen(record: SessionRecord, events: readonly MarketEvent[] | undefined): Promise<void> {
    this.needMarket()
    if (this.ended) await this.run.done // it could not begin: that is what is to be told
    if (this.ended) throw new AssertionError(`The run of ${this.name} has ended: nothing can happen in it any more.`)
    await this.settle()
    await this.advanceTo(record.timeUs)
    // What is received is received now: time does not go back for what says it was earlier.
    const now = { ...record, timeUs: Math.max(record.timeUs, this.clock.nowUs()) }
    const { output, sessions } = this.market
    output?.record(now)
    const told = events ?? sessions.apply(now)
    if (told.length > 0) output?.events(now, told)
    await this.settle()
  }

  private async advanceTo(timeUs: number): Promise<void> {
    await this.settle()
    for (;;) {
      const nextUs = this.clock.nextDueUs()
      if (nextUs === undefined || nextUs > timeUs) break
      this.clock.advanceTo(nextUs)
      await this.settle()
    }
    this.clock.advanceTo(timeUs)
  }

  /** A sink that keeps what it accepts, in front of one that was given, or instead of any. */
  private keeping(name: string, given: Sink<unknown> | undefined, capacity: number): Sink<unknown> {
    if (given === undefined) {
      const probe = sinkProbe<unknown>({ name, allowed: Infinity, capacity })
      this.kept.set(name, () => probe.values)
      this.contracts.push(() => probe.expectContract())
      return probe
    }
    const accepted: unknown[] = []
    this.kept.set(name, () => accepted)
    return {
      name: given.name,
      counters: given.counters,
      open: (context) => given.open(context),
      async write(batch) {
        await given.write(batch)
        if (accepted.length + batch.length <= capacity) for (const value of batch) accepted.push(value)
      },
      close: () => given.close(),
      ...(given.enableDigest === undefined ? {} : { enableDigest: () => given.enableDigest!() }),
      ...(given.digest === undefined ? {} : { digest: () => given.digest!() }),
    }
  }

  /** What is on threads, as a text that changes when some of it comes back; empty when nothing is. */
  private onThreads(): string {
    return this.run
      .status()
      .edges.filter(({ kind, inFlight }) => kind === 'worker' && inFlight > 0)
      .map(({ to, out, inFlight }) => `${to} ${out} ${inFlight}`)
      .join()
  }

  /** Work that does not come back is waited for once: what it waits for itself may be virtual time. */
  private async untilThreadsAnswered(): Promise<void> {
    let last = this.onThreads()
    let deadlineUs = liveClock.nowUs() + REAL_WAIT_MS * 1_000
    while (last !== '' && last !== this.unanswered) {
      await sleep(liveClock, 1)
      const now = this.onThreads()
      if (now !== last) deadlineUs = liveClock.nowUs() + REAL_WAIT_MS * 1_000
      else if (liveClock.nowUs() > deadlineUs) this.unanswered = now
      last = now
    }
  }
}

/** When runs begin that are not told. */
const START_US = 1_760_000_000_000_000

/** Turns of the event loop in which promises settle and what was deferred is done. */
const TURNS = 3

/** The machine's own work is waited for so long. */
const REAL_WAIT_MS = 5_000

/** Virtual milliseconds that a run may hold its market back. */
const HELD_BACK_MS = 60_000

/** Virtual milliseconds that a run without a market is given to end by itself. */
const ENDS_WITHIN_MS = 60_000

/** Faults that are kept. */
const FAULTS_MAX = 10_000

/** A market on which happens what the test says. */
class TestMarket implements Market {
  readonly sessions = new Sessions({ protocolOf: exchangeById, onFault: (fault) => this.output?.fault(fault) })
  readonly byInstrument = true
  readonly ready = Promise.resolve()
  output: MarketOutput | undefined
  pauses = 0
  resumes = 0

  start(output: MarketOutput): Promise<void> {
    this.output = output
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  refresh(): void {
    // Whoever sends the events sends another snapshot when the test is about it.
  }

  restart(): boolean {
    return false
  }

  pause(): void {
    this.pauses++
  }

  resume(): void {
    this.resumes++
  }

  connections(): readonly ConnectionView[] {
    return []
  }
}

function descriptionOf(pipeline: Pipeline | ((builder: PipelineBuilder) => void)): PipelineDescription {
  return typeof pipeline === 'function' ? describePipeline('test', pipeline) : pipeline.describe()
}

function happenings({ batches, events, records }: TestMarketOptions): (SessionRecord | readonly MarketEvent[])[] {
  if ([batches, events, records].filter((each) => each !== undefined).length > 1) {
    throw new Fault('OPTION_INVALID', 'A test run is given batches, events or records: choose one.', {})
  }
  return [...(batches ?? []), ...[...(events ?? [])].map((event) => [event]), ...(records ?? [])]
}

/** When it happens: at its own time, or a millisecond from now. */
function timeOf(happening: SessionRecord | readonly MarketEvent[], nowUs: number): number {
  if ('dir' in happening) return happening.timeUs
  const [first] = happening
  return first !== undefined && first.receiveTimeUs > 0 ? first.receiveTimeUs : nowUs + 1_000
}

function isOfMarket(source: unknown): boolean {
  return source instanceof MarketSource || source instanceof FrameSource
}

/** Files are waited for in the machine's time; a disk that takes longer is left to the run's own deadlines. */
async function untilFilesAreWritten(): Promise<void> {
  const deadlineUs = liveClock.nowUs() + REAL_WAIT_MS * 1_000
  const isWriting = (): boolean =>
    process.getActiveResourcesInfo().some((resource) => /^(FSReq|(FileHandle)?CloseReq)/.test(resource))
  while (isWriting() && liveClock.nowUs() < deadlineUs) await sleep(liveClock, 1)
}
