/**
 * What watching a run costs it.
 *
 * Why      a pipeline whose watching costs something is watched when it is too late: all of it has to be on, always
 * Input    of `road` Binance's combined depth stream (`kit/depthStream.ts`), 50 symbols, as many frames in all variants, put
 *          into a run behind its socket; of `run` 20,000 market frames a second (books and trades of three simulated exchanges,
 *          two instruments each), from a process of its own over WebSockets on loopback, through books, summaries and quotes
 *          into a file
 * Variants `off`: stages are neither marked nor timed, no frame is followed, nothing is counted of each channel and symbol, the
 *          loop is not watched. `counted`: all of that but the watch, and whatever reads it within the program: the metrics
 *          once a second, twice over, as a stream into a file and by hand; the process sampled once a second; the state of the
 *          run read four times a second. In `road` a second is 20,000 frames, and the process is not sampled, which goes by
 *          the clock. `on`: besides, the watch over the loop, and the run is served: its metrics and its health are scraped
 *          once a second, and its page is open, in a process of its own
 * Measures `road`: what the loop's thread took for a frame, ns. `run`: `apart` how far apart frames are taken, µs, which says
 *          whether it keeps up with what is sent; `loop` what the loop's thread took of a processor for a frame, µs, of which
 *          each half is one percent of a core, and `process` what all threads took; `delayP99` of the event loop, ms
 * Warm-up  so long that what looks once or a few times a second is compiled too, as in a run of any length
 * Baseline `off`
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import type { Subscription } from 'rxjs'
import {
  consolidate,
  feed,
  jsonLines,
  ofKind,
  pipeline,
  processMetrics,
  runMetrics,
  summarizeBooks,
  toBooks,
  type RunHandle,
} from '../src'
import { every } from '../src/clock/clock'
import { liveClock } from '../src/clock/liveClock'
import { exchangeById } from '../src/exchanges/exchanges'
import type { SessionRecord } from '../src/feed/record'
import { Sessions } from '../src/feed/sessions'
import { Stamper } from '../src/feed/stamper'
import { loopDelay } from '../src/metrics/loopDelay'
import { liveHost } from '../src/pipeline/host'
import type { Market, MarketOutput, MarketTraffic } from '../src/pipeline/market'
import { Run } from '../src/pipeline/run'
import { depthStream, type DepthStream } from './kit/depthStream'
import { loopTimeUs } from './kit/loopTime'
import { isQuick } from './kit/report'
import { simulatorProcess } from './kit/simulatorProcess'
import { measure, type Sample } from './kit/variants'

const EXCHANGES = ['binance', 'kraken', 'bybit']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT']
const PER_SECOND = isQuick() ? 2_000 : 20_000
const WARM_UP_MS = isQuick() ? 500 : 15_000
const FOR_MS = isQuick() ? 1_000 : 12_000

type Watching = 'off' | 'counted' | 'on'

/** Whatever looks at a run from within the program; each says how to stop. */
const LOOKERS: readonly ((run: RunHandle) => () => void)[] = [
  (run) => looking(1_000, () => run.metrics()),
  (run) => looking(250, () => run.status()),
  () => {
    const subscription: Subscription = processMetrics({ everyMs: 1_000 }).subscribe()
    return () => subscription.unsubscribe()
  },
]

function looking(everyMs: number, look: () => unknown): () => void {
  const timer = every(liveClock, everyMs, look)
  return () => timer.cancel()
}

async function running(watching: Watching): Promise<Sample> {
  const isWatched = watching !== 'off'
  const simulator = await simulatorProcess({
    exchanges: EXCHANGES,
    instruments: INSTRUMENTS,
    messagesPerSecond: PER_SECOND,
  })
  const out = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    let url = ''
    const run = quotes(isWatched).start({
      live: true,
      addresses: simulator.addresses,
      watching: isWatched,
      out,
      ...(watching === 'on' ? { serve: { port: 0, onServing: (at) => (url = at) } } : { stalls: false as const }),
    })
    await run.ready
    const stops = isWatched ? LOOKERS.map((look) => look(run)) : []
    const onlooker = watching === 'on' ? fork(path.join(__dirname, 'entries', 'onlooker.js'), [url]) : undefined
    await passed(WARM_UP_MS)
    const delay = loopDelay()
    const framesBefore = run.status().records
    const cpuBefore = process.cpuUsage()
    const loopBefore = loopTimeUs()
    const beganMs = performance.now()
    await passed(FOR_MS)
    const tookUs = (performance.now() - beganMs) * 1_000
    const loopUs = loopTimeUs() - loopBefore
    const { user, system } = process.cpuUsage(cpuBefore)
    const frames = run.status().records - framesBefore
    const { p99 } = delay.read()
    delay.stop()
    for (const stop of stops) stop()
    if (onlooker !== undefined) await seenBy(onlooker)
    const { problems } = await run.stop()
    if (problems.length > 0) throw new Error(problems.join(' '))
    if (frames < (PER_SECOND * FOR_MS) / 1_000 / 4) throw new Error(`Only ${frames} frames came.`)
    return { apart: tookUs / frames, loop: loopUs / frames, process: (user + system) / frames, delayP99: p99 }
  } finally {
    simulator.kill()
    rmSync(out, { recursive: true, force: true })
  }
}

/** Ends an onlooker. Throws when it has seen too little for its cost to be one. */
async function seenBy(onlooker: ChildProcess): Promise<void> {
  onlooker.send('')
  const [{ scrapes, ticks }] = (await once(onlooker, 'message')) as [{ scrapes: number; ticks: number }]
  onlooker.disconnect()
  const seconds = (WARM_UP_MS + FOR_MS) / 1_000
  if (scrapes < seconds || ticks < seconds) throw new Error(`Only ${scrapes} scrapes and ${ticks} ticks were answered.`)
}

function quotes(isWatched: boolean, exchanges = EXCHANGES, instruments = INSTRUMENTS) {
  return pipeline('watched', ({ source, merge, sink }) => {
    const market = source('market', feed({ exchanges, instruments, channels: ['book', 'trades'], depth: 100 }), {
      capacity: 50_000,
      onFull: 'block',
    })
    const notices = market.through('notices', ofKind('notice'))
    const summaries = market
      .through('books', toBooks({ depth: 100 }))
      .through('summaries', summarizeBooks({ levels: 10 }))
    const best = merge('tops', notices, summaries).through('quotes', consolidate({ expireMs: 5_000 }))
    sink(best, jsonLines('out/quotes.jsonl'), { capacity: 50_000, onFull: 'block', name: 'quotes-file' })
    const trades = market.through('trades', ofKind('trade'))
    sink(trades, jsonLines('out/trades.jsonl'), { capacity: 50_000, onFull: 'block', name: 'trades-file' })
    if (!isWatched) return
    const metrics = source('metrics', runMetrics({ everyMs: 1_000 }), { capacity: 10_000, onFull: 'dropOldest' })
    sink(metrics, jsonLines('out/metrics.jsonl'), { capacity: 50_000, onFull: 'dropOldest', name: 'metrics-file' })
  })
}

// ── The road alone ──────────────────────────────────────────────────────────────────────────────────────────────────

const ROAD = isQuick() ? { warmUp: 5_000, frames: 20_000 } : { warmUp: 60_000, frames: 300_000 }
const FRAMES_A_SECOND = 20_000
/** Frames that come in one turn of the loop. */
const TURN = 50

async function road(isWatched: boolean): Promise<Sample> {
  const out = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'))
  try {
    const { warmUp, frames } = ROAD
    const stream = depthStream({ frames: warmUp + frames })
    const market = new PushedMarket(stream, isWatched)
    const instruments = stream.snapshots.map(({ symbol }) => symbol.replace(/USDT$/, '-USDT'))
    const run = new Run({
      description: quotes(false, ['binance'], instruments).describe(),
      mode: 'live',
      market: () => market,
      recorder: undefined,
      host: liveHost,
      outDir: out,
      digest: false,
      stopWithinMs: 5_000,
      onFault: ({ message }) => console.error(message),
      watching: isWatched,
    })
    await run.ready
    let beganUs = 0
    for (let frame = 0; frame < warmUp + frames; frame++) {
      if (frame === warmUp) beganUs = loopTimeUs()
      market.push(stream.frames[frame]!)
      if (frame % TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      if (isWatched && frame % (FRAMES_A_SECOND / 4) === 0) run.status()
      if (isWatched && frame % (FRAMES_A_SECOND / 2) === 0) run.metrics()
    }
    const tookUs = loopTimeUs() - beganUs
    const { problems, sinks } = await run.stop()
    if (problems.length > 0) throw new Error(problems.join(' '))
    if (sinks[0]!.written < frames / 10) throw new Error('Hardly anything came through.')
    return { '': (tookUs * 1_000) / frames }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

/** A live feed behind its socket. */
class PushedMarket implements Market {
  readonly sessions: Sessions
  readonly byInstrument = true
  readonly ready = Promise.resolve()
  private readonly stamper = new Stamper(liveClock)
  private output: MarketOutput | undefined

  constructor(
    private readonly stream: DepthStream,
    countsStreams: boolean,
  ) {
    const protocol = exchangeById('binance')
    this.sessions = new Sessions({ protocolOf: () => protocol, countsStreams })
  }

  start(output: MarketOutput): Promise<void> {
    this.output = output
    const rest = { dir: 'rest', method: 'GET' } as const
    this.take({ ...this.base(), ...rest, url: '', role: 'instruments', body: this.stream.instruments })
    this.take({ ...this.base(), dir: 'open', url: '' })
    for (const { symbol, body } of this.stream.snapshots) {
      const url = `https://api.binance.com/api/v3/depth?symbol=${symbol}&limit=1000`
      this.take({ ...this.base(), ...rest, url, role: 'book-snapshot', body })
    }
    return Promise.resolve()
  }

  push(data: Uint8Array): void {
    this.take({ ...this.base(), dir: 'in', data, isText: true })
  }

  traffic(): MarketTraffic {
    const { counts, streams } = this.sessions
    return { exchanges: counts, streams: streams.list, rest: new Map(), readings: new Map() }
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  refresh(): void {
    // No book is lost here.
  }

  restart(): boolean {
    return false
  }

  pause(): void {
    // Sinks get their turns; what waits meanwhile is within the edges' capacity.
  }

  resume(): void {
    // As above.
  }

  connections(): [] {
    return []
  }

  private base() {
    return { ...this.stamper.next(), connection: 0, exchange: 'binance' }
  }

  private take(record: SessionRecord): void {
    this.output!.record(record)
    const events = this.sessions.apply(record)
    if (events.length > 0) this.output!.events(record, events)
  }
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

void measure(__filename, [
  {
    name: 'watch.road',
    measures: { '': 'ns/frame' },
    baseline: 'off',
    variants: [
      { name: 'off', run: () => road(false) },
      { name: 'counted', run: () => road(true) },
    ],
  },
  {
    name: 'watch.run',
    measures: { apart: 'µs/frame', loop: 'µs/frame', process: 'µs/frame', delayP99: 'ms' },
    baseline: 'off',
    variants: [
      { name: 'off', run: () => running('off') },
      { name: 'counted', run: () => running('counted') },
      { name: 'on', run: () => running('on') },
    ],
  },
])
