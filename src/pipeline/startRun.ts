/**
 * A run of a pipeline, from what was asked for to how it ended: the market that it reads, what it is recorded into, and who
 * may stop it.
 */
import { createRequire } from 'node:module'
import { liveClock } from '../clock/liveClock'
import { parseSpeed } from '../feed/recording/pace'
import { openRecording } from '../feed/recording/recordingWriter'
import type { FrameTracer } from '../metrics/exporters/frameTracer'
import { Fault } from '../model/fault'
import { DEFAULT_OUT_DIR } from '../sinks/sink'
import type { RunningSimulator } from '../simulator/simulator'
import { startSimulator } from '../simulator/startSimulator'
import type * as serving from '../dashboard/serve'
import type { RunServer } from '../dashboard/serve'
import type { PipelineDescription } from './description'
import { runningGraphOf, type RunningParts } from './graph'
import { liveHost } from './host'
import { liveMarketOf } from './liveMarkets'
import type { Market } from './market'
import type { RunHandle, RunOptions } from './pipeline'
import type { OpenTelemetryOptions } from './openTelemetryOptions'
import { openQuarantine } from './quarantine'
import { ReplayMarket } from './replayMarket'
import { Run } from './run'
import { notBegun } from './runHealth'
import type { Glance, RunMode, RunStatus, RunSummary } from './runSummary'
import { FrameSource, MarketSource, simulatorOptionsOf } from './sources'
import { tellStalls } from './stallFaults'
import { supervisionTree } from './supervisionTree'
import type * as telemetry from './telemetry'
import type { Telemetry } from './telemetry'
import { toppedMarket } from './tops'
import { noLatencies } from './watching'
import type { Wish } from './wish'

/** What tells others of a run is loaded when it is asked for. */
const load = createRequire(__filename)

/** Begins a run, and hands it over. */
export function startRun(description: PipelineDescription, options: RunOptions): RunHandle {
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
    const { serve, openTelemetry = false } = options
    if (serve === undefined && openTelemetry === false) return live()
    await Promise.resolve() // then the handle is there
    const telling = openTelemetry === false ? undefined : await tell(openTelemetry)
    try {
      const server = serve === undefined ? undefined : await served(serve)
      try {
        return await live(telling?.tracer)
      } finally {
        await server?.close()
      }
    } finally {
      telling?.end()
    }
  }

  const tell = (how: true | OpenTelemetryOptions): Promise<Telemetry> => {
    const { openTelemetry } = load('./telemetry') as typeof telemetry
    return openTelemetry(how, { run: handle, clock: liveClock, onFault })
  }

  const served = (how: NonNullable<RunOptions['serve']>): Promise<RunServer> => {
    const { serve } = load('../dashboard/serve') as typeof serving
    const glance = (): Glance => run?.glance() ?? { ...handle.status(), graph: handle.graph(), health: handle.health() }
    return serve({ ...handle, glance }, how, { clock: liveClock, env: liveHost.env, onFault })
  }

  const live = async (tracer?: FrameTracer): Promise<RunSummary> => {
    const { stalls } = options
    const endWatch =
      stalls === false
        ? undefined
        : tellStalls({
            ...stalls,
            pipeline: description.name,
            clock: liveClock,
            onFault: (fault) => run?.report(fault),
          })
    let simulated: RunningSimulator | undefined
    try {
      if (mode === 'simulate' && wishes.length > 0)
        simulated = await startSimulator(simulatorOptionsOf(wishes, options))
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
        runId: options.runId,
        stopWithinMs: options.stopWithinMs ?? 5_000,
        onFault,
        watching: options.watching,
        // Of a replay, what frames took on their way was long ago.
        tracer: mode === 'replay' ? undefined : tracer,
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
      endWatch?.()
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
        ...{ fromUs: options.fromUs, toUs: options.toUs, lineage: options.lineage },
        wishes,
        clock: liveClock,
        ready,
        countsStreams: options.watching,
      })
      return toppedMarket(replayed, wishes)
    }
    const keepsFrames =
      options.record !== undefined ||
      description.nodes.some((node) => node.kind === 'source' && node.source instanceof FrameSource)
    const addresses = simulated?.addresses ?? options.addresses
    return liveMarketOf({ wishes, addresses, keepsFrames, countsStreams: options.watching })
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
  const handle: RunHandle = {
    done,
    ready,
    stop: () => end('stop'),
    kill: () => end('kill'),
    flush: async () => run?.flush(),
    attach: async (build) => (await Promise.race([running, done.then(ended)])).attach(build),
    graph: () => run?.picture() ?? runningGraphOf(nothingYet(description)),
    status: () => run?.status() ?? emptyStatus(description, mode),
    metrics: () => run?.metrics() ?? [],
    health: () => run?.health() ?? notBegun(liveClock.nowUs()),
  }
  return handle
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
    phase: 'starting',
    pipeline: description.name,
    mode,
    seconds: 0,
    records: 0,
    events: 0,
    streamTimeUs: undefined,
    progress: undefined,
    rows: new Map(),
    edges: [],
    sinks: [],
    stages: [],
    streams: [],
    latencyUs: noLatencies(),
    faults: {},
    latestFaults: [],
    receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
    connections: [],
    tree: supervisionTree({ ...nothingYet(description), connections: [] }),
    quarantine: undefined,
    held: { times: 0, seconds: 0 },
  }
}
