/**
 * One seed: the scenario that it stands for, run in its world, held against every invariant, and its recording replayed.
 */
import { createHash } from 'node:crypto'
import { balances, droppedOf } from '../../actors/ledger'
import { Fault, messageOf, type FaultCode } from '../../model/fault'
import { LiveMarket } from '../../pipeline/liveMarket'
import type { Market } from '../../pipeline/market'
import { Run } from '../../pipeline/run'
import type { RunMode, RunSummary } from '../../pipeline/runSummary'
import type { EdgeReport } from '../../pipeline/stageGraph'
import { FrameSource, MarketSource } from '../../pipeline/sources'
import type { Wish } from '../../pipeline/wish'
import { startSimulator, type RunningSimulator } from '../../simulator/simulator'
import { BookTruths, bookKey, difference } from './bookTruth'
import { SimulatedNetwork } from './network'
import { MemoryRecording, RecordedMarket } from './recordedMarket'
import { scenarioOf, type Scenario, type Visit } from './scenario'
import { FLAKY, LOSSLESS_SINKS, scenarioPipeline, VISIT, type ProbedPipeline } from './scenarioPipeline'
import { simulatedThreads } from './threads'
import { Verdict, type Violation } from './verdict'
import { World } from './world'

export interface SeedReport {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** Of everything that the run did: its records, its sinks, its faults and its accounts. */
  readonly digest: string
  readonly steps: number
  readonly simulatedMs: number
  readonly records: number
  readonly views: number
  readonly faults: Readonly<Record<string, number>>
  /** Each of them: when, its code, its sentence. */
  readonly faultLines: readonly string[]
}

/** Timers of one run: a seed that goes on for longer is not going to end. */
const STEPS_MAX = 2_000_000
/**
 * After market and weather have come to rest, every book must be right within so long: silences take minutes to be noticed, and
 * longer where the sources are held back meanwhile.
 */
const REST_MS = 900_000
/** How a run may decline a visit. */
const REFUSALS: readonly FaultCode[] = ['OPTION_INVALID', 'RETRIES_EXHAUSTED', 'DEADLINE_EXCEEDED']
const LOOK_MS = 250
/** Levels a side that are compared in the end. */
const DEPTH = 10
/** What a run may take beyond its deadline: the last writes, and timers that are late. */
const SLACK_MS = 1_100
const KILL_MS = 1_100
/** What a deadline has cut short, and nobody can stop, goes on for so long at most. */
const LINGER_MS = 5_000
/** A machine that is busy is so late at most. */
const SETTLE_MS = 100
/** Stages fail, and are restarted, by the stream's time and what is in it. */
const REPEATED: ReadonlySet<string> = new Set(['failed', 'restarting'])
/** What was merged is not missing; and when an edge ends, nothing follows in which it could be told. */
const UNTOLD: ReadonlySet<string> = new Set(['conflated', 'fail', 'stopped', 'deadline', 'closed'])
/** A replay of it all is given so long: sinks are as slow as they were. */
const REPLAY_MS = 3_600_000

export interface SimulateSeedOptions {
  /** Remembers where timers were set, so that one left behind is told with its origin. Slow. */
  readonly trace?: boolean
}

export async function simulateSeed(seed: number, options: SimulateSeedOptions = {}): Promise<SeedReport> {
  const scenario = scenarioOf(seed)
  const verdict = new Verdict()
  const live = await runLive(scenario, verdict, options)
  if (live.summary !== undefined && live.reached) await runReplay(scenario, live, live.summary, verdict)
  return {
    seed,
    violations: verdict.violations,
    digest: digestOf(live),
    steps: live.world.steps,
    simulatedMs: live.world.elapsedMs,
    records: live.lines.length,
    views: live.views,
    faults: live.summary?.faults ?? {},
    faultLines: live.faults,
  }
}

interface LiveRun {
  readonly world: World
  readonly lines: readonly string[]
  readonly summary: RunSummary | undefined
  /** A connection was open in the end: its closing tells a replay how long the run went on. */
  readonly reached: boolean
  readonly faults: readonly string[]
  readonly probed: ProbedPipeline
  readonly views: number
}

async function runLive(scenario: Scenario, verdict: Verdict, { trace = false }: SimulateSeedOptions): Promise<LiveRun> {
  const world = new World(scenario.seed, {
    stepsMax: STEPS_MAX,
    withinMs: scenario.seconds * 1_000 + REST_MS * 2,
    threads: (of) => simulatedThreads(of, scenario.weather.threads),
    trace,
  })
  const recording = new MemoryRecording()
  const faults: string[] = []
  const truths = new BookTruths()
  const network = new SimulatedNetwork(world.clock, world.random('network'), scenario.weather.network)
  const probed = scenarioPipeline(scenario, world, truths, verdict)
  let summary: RunSummary | undefined
  let reached = false
  try {
    summary = await world.run(async () => {
      const simulator = await startSimulator({
        exchanges: scenario.exchanges,
        instruments: scenario.instruments,
        seed: scenario.seed,
        messagesPerSecond: scenario.messagesPerSecond,
        depth: scenario.depth,
        faults: scenario.faults,
        clock: world.clock,
        serve: network.serve,
        onChange: truths.changed,
      })
      const run = new Run({
        description: probed.description,
        mode: 'live',
        market: () =>
          new LiveMarket({
            wishes: wishesOf(probed),
            addresses: simulator.addresses,
            clock: world.host.clock,
            random: world.host.random,
            transport: network.transport,
            env: {},
          }),
        recorder: recording,
        host: world.host,
        outDir: 'simulated',
        digest: true,
        stopWithinMs: scenario.stopWithinMs,
        onFault: (fault: Fault) => faults.push(`${world.elapsedMs} ${fault.code} ${fault.message}`),
      })
      const ended = { itself: true }
      void run.done.then(
        () =>
          verdict.expect(!ended.itself, 'life', () => `The run ended by itself: ${faults.at(-1) ?? 'without a fault'}`),
        () => undefined,
      )
      const visits = scenario.visits.map((visit, index) => pay(world, visit, index, run, probed, verdict))
      const flushes = scenario.flushesMs.map((atMs) => flush(world, atMs, run, verdict))
      const ready = { told: false }
      void run.ready.then(
        () => (ready.told = true),
        () => undefined,
      )
      await watch(world, scenario, run, verdict)
      if (scenario.ending === 'calm') {
        network.calm()
        await simulator.freeze()
        await comeToRest(world, simulator, run, probed, scenario, verdict)
        // A connection that carries no book may take longer.
        const restedMs = world.elapsedMs
        while (!ready.told && world.elapsedMs - restedMs < REST_MS) await world.sleep(LOOK_MS)
        verdict.expect(ready.told, 'life', () => 'Every book has been live, and the run does not say that it is ready.')
      }
      ended.itself = false
      reached = run.status().connections.some(({ state }) => state === 'open')
      const before = world.elapsedMs
      const result = await world.waitFor('the end of the run', scenario.ending === 'killed' ? run.kill() : run.stop())
      const tookMs = world.elapsedMs - before
      const deadlineMs = scenario.ending === 'killed' ? KILL_MS : scenario.stopWithinMs + SLACK_MS
      verdict.expect(tookMs <= deadlineMs, 'life', () => {
        return `The run took ${Math.round(tookMs)} ms to end; ${deadlineMs} ms are what it may.`
      })
      await world.waitFor('visits and flushes', Promise.all([...visits, ...flushes]))
      await simulator.stop()
      // Turns of the event loop that were asked for are no timers left behind; nor is what a deadline has cut short and that
      // nobody can stop: a sink that is still closing, goodbyes that are still on their way.
      const cutShort = scenario.ending === 'killed' || result.faults['DEADLINE_EXCEEDED'] !== undefined
      await world.sleep(cutShort ? LINGER_MS : SETTLE_MS)
      return result
    })
  } catch (thrown) {
    verdict.fail('life', messageOf(thrown))
  }
  network.close()
  judgeLife(world, verdict, summary !== undefined)
  if (summary !== undefined) {
    judgeAccounts(summary, probed, scenario, verdict)
    judgeVisits(probed, summary, verdict)
  }
  return {
    world,
    lines: recording.lines,
    summary,
    reached,
    faults,
    probed,
    views: probed.judges.reduce((sum, { views }) => sum + views, 0),
  }
}

/** Lets the scenario's time pass, and looks at the accounts now and then. */
async function watch(world: World, scenario: Scenario, run: Run, verdict: Verdict): Promise<void> {
  const random = world.random('looks')
  const endMs = scenario.seconds * 1_000
  while (world.elapsedMs < endMs) {
    await world.sleep(Math.max(1, Math.min(random.exponential(400), endMs - world.elapsedMs)))
    for (const edge of run.status().edges) judgeBalance(edge, `after ${Math.round(world.elapsedMs)} ms`, verdict)
  }
}

/** Attaches a branch, and detaches it after its time. */
async function pay(
  world: World,
  { atMs, forMs }: Visit,
  index: number,
  run: Run,
  { visit }: ProbedPipeline,
  verdict: Verdict,
): Promise<void> {
  await world.sleep(atMs)
  try {
    const branch = await run.attach(visit(`${VISIT}${index}`))
    await world.sleep(forMs)
    await branch.detach()
  } catch (thrown) {
    // A run that has ended takes no more visits, and may end before it has begun; one whose sink is slow may say no in time.
    if (!(thrown instanceof Fault && REFUSALS.includes(thrown.code))) {
      verdict.fail('life', `A branch could not be attached or detached: ${messageOf(thrown)}`)
    }
  }
}

async function flush(world: World, atMs: number, run: Run, verdict: Verdict): Promise<void> {
  await world.sleep(atMs)
  try {
    await run.flush()
  } catch (thrown) {
    // A slow sink may take longer than a flush waits.
    if (thrown instanceof Fault && thrown.code === 'DEADLINE_EXCEEDED') return
    verdict.fail('life', `Flushing failed: ${messageOf(thrown)}`)
  }
}

/** What a visit has taken is what passed while it was there: a run of neighbours among all lines. */
function judgeVisits({ lines }: ProbedPipeline, summary: RunSummary, verdict: Verdict): void {
  const all = lines.get('events') ?? []
  for (const [name, taken] of lines) {
    if (!name.startsWith(VISIT) || taken.length === 0) continue
    if ([name, 'events'].some((sink) => lost(summary, sink) || hasFailed(summary, sink))) continue
    let from = all.indexOf(taken[0]!)
    while (from >= 0 && taken.some((line, index) => all[from + index] !== line)) from = all.indexOf(taken[0]!, from + 1)
    verdict.expect(from >= 0, 'order', () => {
      return `The branch ${name} took ${taken.length} events that are no neighbours among the ${all.length} that passed.`
    })
  }
}

function hasFailed({ sinks }: RunSummary, name: string): boolean {
  return sinks.some((sink) => sink.name === name && sink.failed > 0)
}

/** Waits until every book is live and the exchange's own, in every place that keeps books. */
async function comeToRest(
  world: World,
  simulator: RunningSimulator,
  run: Run,
  { judges }: ProbedPipeline,
  { exchanges, instruments }: Scenario,
  verdict: Verdict,
): Promise<void> {
  const books = exchanges.flatMap((exchange) =>
    simulator.symbols(exchange).flatMap((book) => (instruments.includes(book.name) ? [{ exchange, ...book }] : [])),
  )
  const problem = (): string | undefined => {
    const stopped = new Set(run.status().stages.flatMap(({ name, state }) => (state === 'stopped' ? [name] : [])))
    for (const judge of judges) {
      if (stopped.has(judge.where)) continue
      for (const book of books) {
        const key = bookKey(book.exchange, book.name)
        const view = judge.viewOf(key)
        const wrong = view === undefined ? 'it is not live' : difference(simulator, book, view, DEPTH)
        if (wrong !== undefined) return `The book of ${key} in ${judge.where}: ${wrong}.`
      }
    }
    return undefined
  }
  const startMs = world.elapsedMs
  while (problem() !== undefined && world.elapsedMs - startMs < REST_MS) await world.sleep(LOOK_MS)
  const wrong = problem()
  if (wrong !== undefined)
    verdict.fail('books', `${wrong} This was so ${REST_MS / 1_000} s after all had come to rest.`)
}

function judgeBalance(edge: EdgeReport, when: string, verdict: Verdict): void {
  verdict.expect(balances(edge) && edge.inFlight >= 0, 'ledger', () => {
    return `The edge from ${edge.from} to ${edge.to} does not balance ${when}: ${JSON.stringify(edge)}.`
  })
}

function judgeAccounts(
  summary: RunSummary,
  { arrivals, keyed, threadOrder }: ProbedPipeline,
  { ending }: Scenario,
  verdict: Verdict,
): void {
  for (const edge of summary.edges) {
    judgeBalance(edge, 'at the end', verdict)
    verdict.expect(edge.inFlight === 0, 'ledger', () => {
      return `${edge.inFlight} values are in flight from ${edge.from} to ${edge.to} at the end.`
    })
  }
  verdict.expect(balances(keyed) && keyed.inFlight === 0 && keyed.keys === 0, 'ledger', () => {
    return `The account of the keyed work does not balance at the end: ${JSON.stringify(keyed)}.`
  })
  if (threadOrder !== undefined) {
    const edge = summary.edges.find(({ to }) => to === 'worker')
    const dropped = edge === undefined ? 0 : droppedOf(edge)
    verdict.expect(threadOrder.lost === dropped, 'order', () => {
      return `${threadOrder.lost} values did not come back from the worker; its account says ${dropped}.`
    })
  }
  for (const [source, { values, told }] of arrivals) {
    const edge = summary.edges.find(({ to }) => to === source)
    if (edge === undefined) {
      verdict.fail('ledger', `The summary does not show the edge to ${source}.`)
      continue
    }
    verdict.expect(values === edge.out, 'ledger', () => {
      return `${values} values came out of the edge to ${source}; its account says ${edge.out}.`
    })
    const dropped = Object.entries(edge.dropped).reduce(
      (sum, [reason, count]) => (UNTOLD.has(reason) ? sum : sum + count),
      0,
    )
    // A run that is killed, or has to end before all is delivered, leaves no time to tell of what was dropped last.
    const cutShort = ending === 'killed' || (edge.dropped.deadline ?? 0) + (edge.dropped.stopped ?? 0) > 0
    verdict.expect(told === dropped || (cutShort && told < dropped), 'receipts', () => {
      return `Behind the edge to ${source} notices told of ${told} dropped values; its account says ${dropped}.`
    })
  }
}

function judgeLife(world: World, verdict: Verdict, ended: boolean): void {
  for (const error of world.errors) {
    verdict.fail('life', `Nobody caught: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}`)
  }
  verdict.expect(!ended || world.clock.pending === 0, 'life', () => {
    return ['Timers are left behind.', ...world.timersLeft].join('\n')
  })
}

async function runReplay(scenario: Scenario, live: LiveRun, original: RunSummary, verdict: Verdict): Promise<void> {
  // Another machine, on which everything takes another time.
  const world = new World(scenario.seed + 0x1_0000_0000, {
    stepsMax: STEPS_MAX,
    withinMs: REPLAY_MS,
    threads: (of) => simulatedThreads(of, scenario.weather.threads),
  })
  const unjudged = new Verdict()
  const probed = scenarioPipeline(scenario, world, undefined, unjudged)
  let summary: RunSummary
  try {
    summary = await world.run(async () => {
      const run = new Run({
        description: probed.description,
        mode: 'replay' satisfies RunMode,
        market: (ready): Market => new RecordedMarket(live.lines, ready),
        recorder: undefined,
        host: world.host,
        outDir: 'simulated',
        digest: true,
        stopWithinMs: 60_000,
        onFault: () => undefined,
      })
      return world.waitFor('the end of the replay', run.done)
    })
  } catch (thrown) {
    verdict.fail('replay', `The replay failed: ${messageOf(thrown)}`)
    return
  }
  for (const { invariant, message } of unjudged.violations) verdict.fail(invariant, `In the replay: ${message}`)
  for (const name of LOSSLESS_SINKS) {
    const [first, second] = [original, summary].map(({ sinks }) => sinks.find((sink) => sink.name === name))
    if (first === undefined || second === undefined) continue
    if ([original, summary].some((each) => hasFailed(each, name) || lost(each, name))) continue
    if (first.digest === second.digest && first.digest !== undefined) continue
    const [before, after] = [live.probed, probed].map(({ lines }) => lines.get(name) ?? [])
    const at = before!.findIndex((line, index) => line !== after![index])
    verdict.fail(
      'replay',
      `The sink ${name} wrote ${first.written} values live and ${second.written} in the replay. Line ${at + 1} was ${before![at] ?? 'missing'} and became ${after![at] ?? 'missing'}.`,
    )
  }
}

/** Whether something on the way to a sink was given up, for a reason that a replay would not have. */
function lost({ edges }: RunSummary, sink: string): boolean {
  const gaveUp = ({ to, dropped }: EdgeReport): boolean =>
    Object.keys(dropped).some((reason) => !(to === FLAKY && REPEATED.has(reason)))
  const upstream = (to: string): boolean =>
    edges.some((edge) => edge.to === to && (gaveUp(edge) || upstream(edge.from)))
  return upstream(sink)
}

function wishesOf({ description }: ProbedPipeline): Wish[] {
  return description.nodes.flatMap((node) =>
    node.kind === 'source' && (node.source instanceof MarketSource || node.source instanceof FrameSource)
      ? [node.source.wish]
      : [],
  )
}

function digestOf({ lines, summary, faults, world }: LiveRun): string {
  const hash = createHash('sha256')
  for (const line of lines) hash.update(line)
  hash.update(JSON.stringify([summary, faults, world.steps, world.clock.nowUs()]))
  return hash.digest('hex')
}
