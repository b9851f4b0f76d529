import { liveClock } from '../clock/liveClock'
import { openRecording } from '../feed/recording/recordingWriter'
import { parseSpeed } from '../feed/recording/pace'
import { Fault } from '../model/fault'
import { DEFAULT_OUT_DIR } from '../sinks/sink'
import type { RunningSimulator } from '../simulator/simulator'
import { startSimulator } from '../simulator/startSimulator'
import {
  describePipeline,
  type BranchBuilder,
  type PipelineBuilder,
  type PipelineDescription,
  type Stream,
} from './description'
import { graphOf, runningGraphOf, type PipelineGraph, type RunningGraph, type RunningParts } from './graph'
import { liveMarketOf } from './liveMarkets'
import { liveHost } from './host'
import type { Market } from './market'
import { ReplayMarket } from './replayMarket'
import { toppedMarket } from './tops'
import { Run, type BranchHandle } from './run'
import type { RunMode, RunStatus, RunSummary } from './runSummary'
import { FrameSource, MarketSource, simulatorOptionsOf } from './sources'
import { openQuarantine } from './quarantine'
import type { QuarantinedMessage } from './quarantinedMessage'
import { tryStage, type StageTrial, type TrialOptions } from './stageTrial'
import { supervisionTree } from './supervisionTree'
import type { Wish } from './wish'

export interface RunOptions {
  /** The exchanges themselves. */
  readonly live?: boolean
  /** The exchange simulator on loopback; the default. */
  readonly simulate?: boolean
  /** Recordings in the place of the exchanges. */
  readonly replay?: readonly string[]
  /** Of a replay: `max` (default), `real`, or a multiple such as `10x`. */
  readonly speed?: string
  /** The run stops by itself after so many seconds; a replay also at its end. */
  readonly seconds?: number
  /** The folder for sinks' relative paths; default `out`. */
  readonly out?: string
  /** Of the simulator. */
  readonly seed?: number
  /** Of the simulator: market frames per second, up to 50,000. */
  readonly messagesPerSecond?: number
  /** Of the simulator: faults, as `millrace simulate --faults`. */
  readonly faults?: string
  /** Records the run into this file. */
  readonly record?: string
  /** Digests what sinks write. */
  readonly digest?: boolean
  /** The exchange whose protocol a replayed recording speaks, where its header names another. */
  readonly exchange?: string
  /** Hosts by exchange in the place of the exchanges' own. */
  readonly addresses?: ReadonlyMap<string, { readonly ws: string; readonly rest: string }>
  /** Milliseconds that draining and flushing may take at the end; default 5,000. */
  readonly stopWithinMs?: number
  readonly onFault?: (fault: Fault) => void
  /** Aborting it stops the run in order. */
  readonly signal?: AbortSignal
}

/** A run under way. */
export interface RunHandle {
  /** Resolves when the run has ended. */
  readonly done: Promise<RunSummary>
  /** Resolves when the stages are at work and every required feed is synced; rejects when that cannot happen any more. */
  readonly ready: Promise<void>
  /** Ends it in order: sources, what is under way, sinks. */
  stop(): Promise<RunSummary>
  /** Ends it where it stands: what is under way is given up, and counted. */
  kill(): Promise<RunSummary>
  /** Resolves when everything that had been received before is written; rejects when that takes longer than `stopWithinMs`. */
  flush(): Promise<void>
  /**
   * Adds a branch while the run goes on; it is taken away again with `detach()`. The others lose nothing.
   *
   *     const branch = await run.attach(({ stream, sink }) => {
   *       sink(stream<Batch<Trade>>('trades'), jsonLines('out/trades.jsonl'), { capacity: 10_000, onFull: 'block' })
   *     })
   *
   * @throws `Fault` PIPELINE_INVALID with all problems at once
   */
  attach(build: (builder: BranchBuilder & StreamFinder) => void): Promise<BranchHandle>
  /** The pipeline's picture as it stands, with what waits on its edges and how its stages fare. */
  graph(): RunningGraph
  /** How it stands: edges with what waits, stages and their restarts, sinks, connections. */
  status(): RunStatus
}

/** Finds the streams of a running pipeline by their names. */
export interface StreamFinder {
  stream<T>(name: string): Stream<T>
}

/** A declarative pipeline: the value that a pipeline file exports by default. */
export interface Pipeline {
  readonly name: string
  /** Runs it to its end. Rejects with a `Fault` when it cannot begin; faults on the way are in the summary. */
  run(options?: RunOptions): Promise<RunSummary>
  /** Begins a run and hands it over. */
  start(options?: RunOptions): RunHandle
  /** What it describes. Throws PIPELINE_INVALID with all problems. */
  describe(): PipelineDescription
  /** Its picture, without running it. Throws PIPELINE_INVALID with all problems. */
  graph(): PipelineGraph
  /** Gives a message that a stage failed on once more to a new instance of that stage, alone. */
  retry(message: QuarantinedMessage, options?: TrialOptions): Promise<StageTrial>
}

/**
 * Describes a pipeline. `build` is called for each picture and each run, so that every run has operators and sinks of its
 * own.
 *
 * @throws `Fault` PIPELINE_INVALID with all problems at once, each with its place, when it is run or drawn
 */
export function pipeline(name: string, build: (builder: PipelineBuilder) => void): Pipeline {
  const describe = (): PipelineDescription => describePipeline(name, build)
  const made: Pipeline = {
    name,
    run: async (options) => made.start(options).done,
    start: (options = {}) => startRun(describe(), options),
    describe,
    graph: () => graphOf(describe()),
    retry: (message, options) => tryStage(describe(), message, options),
  }
  return made
}

function startRun(description: PipelineDescription, options: RunOptions): RunHandle {
  const mode = modeOf(options)
  const speed = parseSpeed(options.speed ?? 'max')
  const wishes = wishesOf(description)
  const onFault = options.onFault ?? (() => undefined)
  let run: Run | undefined
  let told: 'stop' | 'kill' | undefined
  let begun!: (run: Run) => void
  const running = new Promise<Run>((resolve) => (begun = resolve))

  const outDir = options.out ?? DEFAULT_OUT_DIR
  const begin = async (): Promise<RunSummary> => {
    let simulated: RunningSimulator | undefined
    if (mode === 'simulate' && wishes.length > 0) simulated = await startSimulator(simulatorOptionsOf(wishes, options))
    try {
      const recorder =
        options.record === undefined
          ? undefined
          : await openRecording(
              options.record,
              { venues: venuesOf(wishes), subscribed: subscribedOf(wishes) },
              { clock: liveClock, onFault },
            )
      const current = new Run({
        description,
        mode,
        market: (ready) => marketOf(ready, simulated),
        recorder,
        quarantine: openQuarantine({ pipeline: description.name, outDir, clock: liveClock, onFault }),
        host: liveHost,
        outDir,
        digest: options.digest ?? false,
        stopWithinMs: options.stopWithinMs ?? 5_000,
        onFault,
      })
      run = current
      begun(current)
      const timer =
        options.seconds === undefined
          ? undefined
          : liveClock.after(options.seconds * 1_000, () => void current.expire())
      const abort = (): void => void current.stop()
      options.signal?.addEventListener('abort', abort, { once: true })
      if (told === 'kill') void current.kill()
      else if (told === 'stop' || options.signal?.aborted === true) abort()
      try {
        return await current.done
      } finally {
        timer?.cancel()
        options.signal?.removeEventListener('abort', abort)
      }
    } finally {
      await simulated?.stop()
    }
  }

  const marketOf = (
    ready: () => Promise<void> | undefined,
    simulated: RunningSimulator | undefined,
  ): Market | undefined => {
    if (wishes.length === 0) return undefined
    if (mode === 'replay') {
      const replayed = new ReplayMarket({
        files: options.replay!,
        exchange: options.exchange,
        speed,
        wishes,
        clock: liveClock,
        ready,
      })
      return toppedMarket(replayed, wishes)
    }
    const keepsFrames =
      options.record !== undefined ||
      description.nodes.some((node) => node.kind === 'source' && node.source instanceof FrameSource)
    return liveMarketOf({ wishes, addresses: simulated?.addresses ?? options.addresses, keepsFrames })
  }

  const done = begin()
  const end = (how: 'stop' | 'kill'): Promise<RunSummary> => {
    told = how
    void run?.[how]()
    return done
  }
  // A run that cannot begin is not ready either.
  const ready = Promise.race([running.then((begunRun) => begunRun.ready), done.then(() => undefined)])
  ready.catch(() => undefined)
  return {
    done,
    ready,
    stop: () => end('stop'),
    kill: () => end('kill'),
    flush: async () => run?.flush(),
    attach: async (build) => (await Promise.race([running, done.then(ended)])).attach(build),
    graph: () => run?.picture() ?? runningGraphOf(nothingYet(description)),
    status: () => run?.status() ?? emptyStatus(description, mode),
  }
}

function ended(): never {
  throw new Fault('OPTION_INVALID', 'The run has ended: nothing can be attached to it.')
}

/** What the sources of a pipeline wish of the exchanges. */
function wishesOf(description: PipelineDescription): Wish[] {
  return description.nodes.flatMap((node) => {
    if (node.kind !== 'source') return []
    const { source, edge } = node
    if (!(source instanceof MarketSource || source instanceof FrameSource)) return []
    return [{ ...source.wish, required: edge.required ?? true }]
  })
}

function modeOf({ live, simulate, replay }: RunOptions): RunMode {
  const chosen = [
    live === true ? 'live' : '',
    simulate === true ? 'simulate' : '',
    replay === undefined ? '' : 'replay',
  ].filter(Boolean)
  if (chosen.length > 1) {
    throw new Fault('OPTION_INVALID', `A run is live, simulated or a replay: choose one of ${chosen.join(', ')}.`, {
      chosen,
    })
  }
  return (chosen[0] ?? 'simulate') as RunMode
}

function venuesOf(wishes: readonly Wish[]): string[] {
  return [...new Set(wishes.flatMap((wish) => wish.exchanges))]
}

function subscribedOf(wishes: readonly Wish[]): Record<string, string[]> {
  const subscribed = new Map<string, Set<string>>()
  for (const { channels, instruments } of wishes) {
    for (const channel of channels) {
      const names = subscribed.get(channel) ?? new Set<string>()
      for (const instrument of instruments) names.add(instrument)
      subscribed.set(channel, names)
    }
  }
  return Object.fromEntries([...subscribed].map(([channel, names]) => [channel, [...names]]))
}

/** What pictures are drawn from before a run has begun. */
function nothingYet({ name, nodes, groups }: PipelineDescription): RunningParts {
  return { pipeline: name, nodes, groups, edges: [], stages: [], sinks: [] }
}

function emptyStatus(description: PipelineDescription, mode: RunMode): RunStatus {
  return {
    pipeline: description.name,
    mode,
    seconds: 0,
    records: 0,
    events: 0,
    streamTimeUs: undefined,
    rows: new Map(),
    edges: [],
    sinks: [],
    stages: [],
    faults: {},
    connections: [],
    tree: supervisionTree({ ...nothingYet(description), connections: [] }),
    quarantine: undefined,
    held: { times: 0, seconds: 0 },
  }
}
