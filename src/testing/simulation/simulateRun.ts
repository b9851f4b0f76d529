/**
 * Anybody's pipeline in a world of its own: simulated exchanges, network, threads and sinks, all from one seed.
 *
 *     const { summary, lines, digest } = await simulateRun(pipeline, { seed: 7, seconds: 60, faults: 'drop=10s,skip=5s' })
 *
 * Time    is simulated: hours of it take seconds. The same seed and version give the same run
 * Sinks   are simulated: what the pipeline's own would have been given is in `lines`. With `sinks: 'own'` they are written
 *         themselves, which must not touch anything real: `memory(...)` is fine; files, databases and consoles belong to the
 *         machine, and a run that waits for it is stopped, because no seed decides what comes of that
 * Threads are simulated: the functions that an entry exposes are given in `entries`, by the name of its file
 */
import { createHash } from 'node:crypto'
import { BookView } from '../../book/bookView'
import { EVENT_KINDS, type MarketEvent } from '../../model/events'
import { Fault } from '../../model/fault'
import { describePipeline, type NodeDescription, type PipelineBuilder } from '../../pipeline/description'
import { LiveMarket } from '../../pipeline/liveMarket'
import type { Pipeline } from '../../pipeline/pipeline'
import { Run } from '../../pipeline/run'
import type { RunSummary } from '../../pipeline/runSummary'
import { FrameSource, MarketSource } from '../../pipeline/sources'
import { encodeEvent, encodeValue } from '../../sinks/encode'
import { startSimulator } from '../../simulator/simulator'
import { SimulatedNetwork } from './network'
import { simulatedSink } from './simulatedSink'
import { simulatedThreads, type Entries } from './threads'
import { CALM, type NetworkWeather, type SinkWeather, type ThreadWeather } from './weather'
import { World } from './world'

export interface SimulateRunOptions {
  /** Of everything that chance decides. Default 1. */
  readonly seed?: number
  /** Simulated time that the run goes on. Default 10. */
  readonly seconds?: number
  /** Faults of the exchanges, as `millrace simulate --faults`. */
  readonly faults?: string
  /** Market frames a second over everything that is subscribed to. Default 200. */
  readonly messagesPerSecond?: number
  /** Levels a side of the exchanges' books. Default 200. */
  readonly depth?: number
  /** Instruments that the exchanges list. Default those that the pipeline's feeds wish for. */
  readonly instruments?: readonly string[]
  /** How the surroundings behave; what is left out is calm. */
  readonly network?: Partial<NetworkWeather>
  readonly threads?: Partial<ThreadWeather>
  readonly sinkWeather?: Partial<SinkWeather>
  /** What worker entries expose, by the name of their file without folder and extension. */
  readonly entries?: Entries
  /** `simulated` (default), or the pipeline's `own`. */
  readonly sinks?: 'simulated' | 'own'
  /** Lines of each simulated sink that are kept, the latest; its digest is of all of them. Default 100,000. */
  readonly linesMax?: number
  /** Simulated milliseconds that draining may take at the end. Default 5,000. */
  readonly stopWithinMs?: number
  readonly onFault?: (fault: Fault) => void
  /** Happens while the run goes on: `world.sleep(ms)`, `run.attach(...)`, `run.stop()`. The run ends when its time is over and this has ended. */
  readonly meanwhile?: (run: Run, world: World) => Promise<void>
  /** Bound of the simulation itself: timers that may fire. Default 5,000,000 for each simulated hour that was begun. */
  readonly stepsMax?: number
}

export interface SimulatedRun {
  readonly summary: RunSummary
  readonly faults: readonly Fault[]
  /** What each simulated sink has taken, by its name, as one line of JSON a value. */
  readonly lines: ReadonlyMap<string, readonly string[]>
  /** Of the whole run: its summary, its faults, and every byte that simulated sinks have taken. */
  readonly digest: string
  /** Timers that fired, and what was thrown that nobody caught. */
  readonly steps: number
  readonly uncaught: readonly unknown[]
  /** Timers that the run left behind: none, if all is well. */
  readonly timersLeft: number
}

const LINES_MAX = 100_000
const STEPS_AN_HOUR = 5_000_000

/**
 * Runs a pipeline in a world made from a seed.
 *
 * @throws `Fault` PIPELINE_INVALID for a pipeline that cannot be run, OPTION_INVALID for options that are none, and
 *         DEADLINE_EXCEEDED when the simulation is stuck, goes on for ever, or waits for something real
 */
export async function simulateRun(
  pipeline: Pipeline | ((builder: PipelineBuilder) => void),
  options: SimulateRunOptions = {},
): Promise<SimulatedRun> {
  const { seed = 1, seconds = 10, stopWithinMs = 5_000, linesMax = LINES_MAX } = options
  if (!(seconds > 0 && seconds < 1e9)) {
    throw new Fault('OPTION_INVALID', `A simulated run has seconds = ${seconds}: give a number above 0.`, {
      option: 'seconds',
    })
  }
  const described = typeof pipeline === 'function' ? describePipeline('simulated', pipeline) : pipeline.describe()
  const world = new World(seed, {
    threads: (of) => simulatedThreads(of, { ...CALM.threads, ...options.threads }, options.entries),
    withinMs: seconds * 1_000 + 10 * stopWithinMs + 3_600_000,
    stepsMax: options.stepsMax ?? STEPS_AN_HOUR * Math.ceil(seconds / 3_600),
  })
  const lines = new Map<string, string[]>()
  const description =
    options.sinks === 'own'
      ? described
      : { ...described, nodes: described.nodes.map((node) => withSimulatedSink(node, world, options, lines, linesMax)) }
  const network = new SimulatedNetwork(world.clock, world.random('network'), { ...CALM.network, ...options.network })
  const wishes = description.nodes.flatMap((node) => {
    if (node.kind !== 'source') return []
    const { source, edge } = node
    if (!(source instanceof MarketSource || source instanceof FrameSource)) return []
    return [{ ...source.wish, required: edge.required ?? true }]
  })
  const faults: Fault[] = []

  try {
    const summary = await world.run(async () => {
      const simulator =
        wishes.length === 0
          ? undefined
          : await startSimulator({
              exchanges: [...new Set(wishes.flatMap(({ exchanges }) => exchanges))],
              instruments: options.instruments ?? [...new Set(wishes.flatMap(({ instruments }) => instruments))],
              seed,
              messagesPerSecond: options.messagesPerSecond ?? 200,
              depth: options.depth ?? 200,
              faults: options.faults ?? [],
              clock: world.clock,
              serve: network.serve,
            })
      const run = new Run({
        description,
        mode: 'simulate',
        market: () =>
          simulator === undefined
            ? undefined
            : new LiveMarket({
                wishes,
                addresses: simulator.addresses,
                clock: world.host.clock,
                random: world.host.random,
                transport: network.transport,
                env: {},
              }),
        recorder: undefined,
        host: world.host,
        outDir: 'out',
        digest: true,
        stopWithinMs,
        onFault: (fault) => {
          faults.push(fault)
          options.onFault?.(fault)
        },
      })
      const over = world.clock.after(seconds * 1_000, () => void run.expire().catch(() => undefined))
      try {
        if (options.meanwhile !== undefined)
          await world.waitFor('what happens meanwhile', options.meanwhile(run, world))
        return await world.waitFor('the end of the run', run.done)
      } catch (thrown) {
        await run.kill().catch(() => undefined)
        throw thrown
      } finally {
        over.cancel()
        await simulator?.stop()
        await world.sleep(100) // turns of the event loop that were asked for are no timers left behind
      }
    })
    network.close()
    const hash = createHash('sha256').update(JSON.stringify([summary, faults.map((fault) => fault.toData())]))
    return {
      summary,
      faults,
      lines,
      digest: `sha256:${hash.digest('hex')}`,
      steps: world.steps,
      uncaught: world.errors,
      timersLeft: world.clock.pending,
    }
  } finally {
    network.close()
  }
}

function withSimulatedSink(
  node: NodeDescription,
  world: World,
  { sinkWeather }: SimulateRunOptions,
  lines: Map<string, string[]>,
  linesMax: number,
): NodeDescription {
  if (node.kind !== 'sink') return node
  const taken: string[] = []
  lines.set(node.name, taken)
  const sink = simulatedSink<unknown>({
    name: node.name,
    world,
    weather: { ...CALM.sinks, ...sinkWeather },
    encode: rowText,
    onTaken: (line) => {
      taken.push(line)
      if (taken.length >= 2 * linesMax) taken.splice(0, taken.length - linesMax)
    },
  })
  return { ...node, sink }
}

/** Levels a side of a book that a line shows. */
const LEVELS = 10

function rowText(row: unknown): string {
  if (row instanceof BookView) {
    const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = row
    const head = { kind: row.kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq }
    return encodeValue({ ...head, bids: row.bids(LEVELS), asks: row.asks(LEVELS) })
  }
  const { kind } = (row ?? {}) as { readonly kind?: unknown }
  return (EVENT_KINDS as readonly unknown[]).includes(kind) ? encodeEvent(row as MarketEvent) : encodeValue(row)
}
