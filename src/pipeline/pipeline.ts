import { liveClock } from '../clock/liveClock'
import { openRecording } from '../feed/recording/recordingWriter'
import { parseSpeed } from '../feed/recording/pace'
import { Fault } from '../model/fault'
import { DEFAULT_OUT_DIR } from '../sinks/sink'
import { startSimulator, type RunningSimulator } from '../simulator/simulator'
import { describePipeline, type PipelineBuilder, type PipelineDescription } from './description'
import { graphOf, type PipelineGraph } from './graph'
import { LiveMarket } from './liveMarket'
import { liveHost } from './host'
import type { Market } from './market'
import { ReplayMarket } from './replayMarket'
import { Run, type RunMode, type RunStatus, type RunSummary } from './run'
import { FrameSource, MarketSource, simulatorOptionsOf } from './sources'
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
  /** Ends it in order: sources, what is under way, sinks. */
  stop(): Promise<RunSummary>
  status(): RunStatus
}

/** A declarative pipeline: the value that a pipeline file exports by default. */
export interface Pipeline {
  readonly name: string
  /** Runs it to its end. Rejects with a `Fault` when it cannot begin; faults on the way are in the summary. */
  run(options?: RunOptions): Promise<RunSummary>
  /** Begins a run and hands it over. */
  start(options?: RunOptions): RunHandle
  /** Its picture, without running it. Throws PIPELINE_INVALID with all problems. */
  graph(): PipelineGraph
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
    graph: () => graphOf(describe()),
  }
  return made
}

function startRun(description: PipelineDescription, options: RunOptions): RunHandle {
  const mode = modeOf(options)
  const speed = parseSpeed(options.speed ?? 'max')
  const wishes = description.nodes.flatMap((node) =>
    node.kind === 'source' && (node.source instanceof MarketSource || node.source instanceof FrameSource)
      ? [node.source.wish]
      : [],
  )
  const onFault = options.onFault ?? (() => undefined)
  let run: Run | undefined
  let stopRequested = false

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
        host: liveHost,
        outDir: options.out ?? DEFAULT_OUT_DIR,
        digest: options.digest ?? false,
        stopWithinMs: options.stopWithinMs ?? 5_000,
        onFault,
      })
      run = current
      const timer =
        options.seconds === undefined
          ? undefined
          : liveClock.after(options.seconds * 1_000, () => void current.expire())
      const abort = (): void => void current.stop()
      options.signal?.addEventListener('abort', abort, { once: true })
      if (stopRequested || options.signal?.aborted === true) abort()
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
      return new ReplayMarket({
        files: options.replay!,
        exchange: options.exchange,
        speed,
        wishes,
        clock: liveClock,
        ready,
      })
    }
    return new LiveMarket({ wishes, addresses: simulated?.addresses ?? options.addresses })
  }

  const done = begin()
  return {
    done,
    stop: () => {
      stopRequested = true
      void run?.stop()
      return done
    },
    status: () => run?.status() ?? emptyStatus(description.name, mode),
  }
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

function emptyStatus(pipeline: string, mode: RunMode): RunStatus {
  return {
    pipeline,
    mode,
    seconds: 0,
    records: 0,
    events: 0,
    streamTimeUs: undefined,
    rows: new Map(),
    edges: [],
    sinks: [],
    faults: {},
    connections: [],
  }
}
