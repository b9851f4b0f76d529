/**
 * Cost of the road from a socket to order books: another process sends, as fast as it is read.
 *
 * Why      once decoding is fast, receiving small frames is the largest cost of a feed; and a feed that keeps the loop from
 *          turning keeps timers, sinks and other sockets waiting
 * Input    Binance `depthUpdate` frames of a combined stream over a WebSocket on loopback: 285 bytes, 50 symbols, books of 1,000
 *          levels, all of them kept (`kit/depthStream.ts`)
 * Baseline `ws`, the text of each message, and `JSON.parse` of it: what a feed costs at least that is made the usual way
 * Measures wall time per frame in µs, after a fifth of the frames as a warm-up; and what it took of the reader's processor, which
 *          says more where the sender, or somebody else on the machine, keeps the reader waiting. Each round of each variant runs in a process
 *          of its own; the rounds of all are interleaved. Variants with books end with the true best prices, or fail.
 *          And the 99th percentile of the loop's delay, in ms, in seconds in which 50,000 frames go into 50 books, beside that
 *          of the seconds between them, in which the same loop is idle
 *
 *     node .bench/benchmarks/socketToBooks.js [--quick]
 */
import { spawn } from 'node:child_process'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { filter } from 'rxjs'
import WebSocket from 'ws'
import type { BookView } from '../src/book/bookView'
import { liveClock } from '../src/clock/liveClock'
import { Connection, type ConnectionEvents, type ConnectionOptions } from '../src/feed/connection'
import { networkTransport } from '../src/feed/networkTransport'
import type { FeedConnection, Transport } from '../src/feed/transport'
import type { Batch } from '../src/model/events'
import { toBooks } from '../src/operators/toBooks'
import { LiveMarket } from '../src/pipeline/liveMarket'
import { pipeline } from '../src/pipeline/pipeline'
import { feed, MarketSource } from '../src/pipeline/sources'
import { wishOf } from '../src/pipeline/wish'
import { memory } from '../src/sinks/memory'
import { depthStream, type Touch } from './kit/depthStream'
import { startDepthServer, type Touches } from './kit/depthServer'
import { isQuick, median, ofRounds, report, rounded, rowOf } from './kit/report'

const FRAMES = isQuick() ? 60_000 : 1_000_000
const ROUNDS = isQuick() ? 2 : 5
const PER_SECOND = 50_000
const PACED_ROUNDS = isQuick() ? 1 : 3
/** In which frames come; between them are as many in which none do. */
const PACED_SECONDS = isQuick() ? 3 : 6
/** Snapshots of books that rest are asked for after three seconds. */
const READER_MS_MAX = 60_000

type Reader = (host: string, count: Counter) => Promise<void>

const BASELINE = 'wsParse'
const READERS: Readonly<Record<string, Reader>> = {
  /** The baseline. */
  wsParse: (host, count) => throughWs(host, count, (data) => typeof JSON.parse(data.toString()) === 'object'),
  /** The receiver of `ws` and nothing else; with its check of UTF-8, as everywhere. */
  wsCounting: (host, count) => throughWs(host, count, (data) => data.length > 0),
  /** The product's connection and nothing else. */
  connectionCounting: throughConnection,
  /** A script, with the receiver of `ws` in the place of the frame cutter. */
  wsBooks: (host, count) =>
    intoBooks(host, count, subscribeToBooks, {
      ...networkTransport,
      connect: (options, events) => new WsOnly(options, events),
    }),
  /** A script: connection, sessions, guarded books, an operator. */
  live: (host, count) => intoBooks(host, count, subscribeToBooks),
  /** A pipeline that runs: the same, and a mailbox, supervised stages, and the latest frames kept. */
  pipeline: (host, count) => intoBooks(host, count, runToBooks),
}

/** Counts frames, and times all but the first fifth. */
class Counter {
  usPerFrame = 0
  cpuUsPerFrame = 0
  private seen = 0
  private beganMs = 0
  private cpu = process.cpuUsage()

  constructor(
    private readonly frames: number,
    private readonly done: () => void,
  ) {}

  frame(): void {
    this.seen++
    if (this.seen === this.warmUp) {
      this.beganMs = performance.now()
      this.cpu = process.cpuUsage()
    }
    if (this.seen !== this.frames) return
    const { user, system } = process.cpuUsage(this.cpu)
    this.usPerFrame = ((performance.now() - this.beganMs) * 1_000) / (this.frames - this.warmUp)
    this.cpuUsPerFrame = (user + system) / (this.frames - this.warmUp)
    this.done()
  }

  private get warmUp(): number {
    return Math.floor(this.frames / 5)
  }
}

function throughWs(host: string, count: Counter, use: (data: Buffer) => boolean): Promise<void> {
  const websocket = new WebSocket(`ws://${host}/raw`, { perMessageDeflate: false })
  websocket.on('message', (data: Buffer) => {
    if (use(data)) count.frame()
  })
  return new Promise((resolve, reject) => websocket.on('close', resolve).on('error', reject))
}

const CONNECTION = { clock: liveClock, env: {}, connectMs: 10_000, closeMs: 1_000, maxPayloadBytes: 16 * 1024 * 1024 }

function throughConnection(host: string, count: Counter): Promise<void> {
  return new Promise((resolve, reject) => {
    new Connection(
      { ...CONNECTION, url: `ws://${host}/raw` },
      {
        opened: () => undefined,
        received: (bytes) => {
          if (bytes.length > 0) count.frame()
        },
        signed: () => undefined,
        ended: ({ how, reason }) => (how === 'closed' ? resolve() : reject(new Error(reason))),
      },
    )
  })
}

/** What a feed is asked for: all books of the stream. */
function wishAt(host: string) {
  return {
    exchanges: ['binance'],
    instruments: depthStream({ frames: 0 }).snapshots.map(({ symbol }) => symbol),
    channel: 'book',
    addresses: new Map([['binance', { ws: `ws://${host}`, rest: `http://${host}` }]]),
  } as const
}

/** Reads the best prices of each view. */
class Books {
  readonly touches = new Map<string, { bid: number; ask: number }>()

  /** @param booked  told of each frame whose book is up to date */
  constructor(private readonly booked: () => void) {}

  read(views: Batch<BookView>): void {
    for (const view of views) {
      const [bid, ask] = [view.bestBid(), view.bestAsk()]
      if (bid === undefined || ask === undefined) throw new Error(`${view.symbol} has an empty side.`)
      const touch = this.touches.get(view.symbol)
      if (touch === undefined) {
        // The first view of a book is that of its snapshot.
        this.touches.set(view.symbol, { bid: bid.price, ask: ask.price })
      } else {
        touch.bid = bid.price
        touch.ask = ask.price
        this.booked()
      }
    }
  }
}

/** A script: `feed(...).pipe(toBooks())`. */
function subscribeToBooks(host: string, transport: Transport, booked: () => void): Map<string, Touch> {
  const books = new Books(booked)
  const { addresses, ...options } = wishAt(host)
  const wish = wishOf(options, ['binance'])
  const source = new MarketSource(wish, () => ({ market: new LiveMarket({ wishes: [wish], addresses, transport }) }))
  source.pipe(toBooks()).subscribe({
    next: (views) => books.read(views),
    error: (thrown) => {
      throw thrown
    },
  })
  return books.touches
}

/** A pipeline that runs: a mailbox, books, and a stage that reads them. */
function runToBooks(host: string, _transport: Transport, booked: () => void): Map<string, Touch> {
  const books = new Books(booked)
  const { addresses, ...wish } = wishAt(host)
  void pipeline('socket', ({ source, sink }) => {
    const views = source('market', feed(wish), { capacity: 100_000, onFull: 'block' }).through('books', toBooks())
    const nothing = views.through(
      'read',
      filter((batch: Batch<BookView>) => {
        books.read(batch)
        return false
      }),
    )
    sink(nothing, memory({ capacity: 1 }), { capacity: 1, onFull: 'keepLatest' })
  }).start({ live: true, addresses, out: path.join(tmpdir(), 'millrace-bench') })
  return books.touches
}

async function intoBooks(
  host: string,
  count: Counter,
  begin: typeof subscribeToBooks,
  transport: Transport = networkTransport,
): Promise<void> {
  let finish!: () => void
  const finished = new Promise<void>((resolve) => (finish = resolve))
  let left = FRAMES
  const touches = begin(host, transport, () => {
    count.frame()
    if (--left === 0) finish()
  })
  await finished
  await verify(host, touches)
}

/** A variant that has lost a level ends with other best prices, and is not believed. */
async function verify(host: string, touches: ReadonlyMap<string, Touch>): Promise<void> {
  const truth = (await (await fetch(`http://${host}/touches`)).json()) as Touches
  for (const [symbol, { bid, ask }] of truth) {
    const ours = touches.get(symbol)
    if (ours?.bid !== bid || ours.ask !== ask) {
      throw new Error(`${symbol} ends at ${ours?.bid} / ${ours?.ask}, and should at ${bid} / ${ask}.`)
    }
  }
}

/** The connection as it would be with `ws`'s own receiver. */
class WsOnly implements FeedConnection {
  private readonly websocket: WebSocket

  constructor({ url, maxPayloadBytes }: ConnectionOptions, events: ConnectionEvents) {
    this.websocket = new WebSocket(url, { perMessageDeflate: false, maxPayload: maxPayloadBytes })
    this.websocket.on('open', () => events.opened())
    this.websocket.on('message', (data: Buffer, isBinary: boolean) => events.received(data, !isBinary))
  }

  send(text: string): boolean {
    this.websocket.send(text)
    return true
  }

  ping(): void {
    this.websocket.ping()
  }

  pause(): void {
    this.websocket.pause()
  }

  resume(): void {
    this.websocket.resume()
  }

  cut(): void {
    this.websocket.terminate()
  }

  close(): Promise<void> {
    this.websocket.terminate()
    return Promise.resolve()
  }
}

/** What a reader's process prints. */
interface Sample {
  readonly usPerFrame?: number
  readonly cpuUsPerFrame?: number
  readonly idleMs?: number
  readonly busyMs?: number
  readonly cpuPercent?: number
}

async function read(name: string, host: string): Promise<Sample> {
  if (name === 'paced') return readPaced(host)
  return new Promise((resolve, reject) => {
    const count = new Counter(FRAMES, () => setImmediate(() => void settle()))
    const reading = READERS[name]!(host, count)
    reading.catch(reject)
    const settle = async (): Promise<void> => {
      if (name.endsWith('ooks') || name === 'live' || name === 'pipeline') await reading
      resolve({ usPerFrame: count.usPerFrame, cpuUsPerFrame: count.cpuUsPerFrame })
    }
  })
}

/** The loop's delay in the seconds in which frames come, and in those between them. */
async function readPaced(host: string): Promise<Sample> {
  let finish!: () => void
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const idle: number[] = []
  const busy: number[] = []
  const cpuPercent: number[] = []
  let seen = 0
  let cpu = process.cpuUsage()
  const turn = (into: number[]): void => {
    // The first second is a warm-up.
    if (seen > PER_SECOND) into.push(delay.percentile(99) / 1e6)
    delay.reset()
  }
  const touches = subscribeToBooks(host, networkTransport, () => {
    seen++
    if (seen % PER_SECOND === 1) {
      turn(idle)
      cpu = process.cpuUsage()
    }
    if (seen % PER_SECOND > 0) return
    const { user, system } = process.cpuUsage(cpu)
    cpuPercent.push((user + system) / 10_000)
    turn(busy)
    if (seen === PER_SECOND * PACED_SECONDS) finish()
  })
  delay.enable()
  await finished
  await verify(host, touches)
  return { idleMs: median(idle), busyMs: median(busy), cpuPercent: median(cpuPercent) }
}

/** Runs a reader in a process of its own. */
function inItsOwnProcess(name: string, host: string): Promise<Sample> {
  return new Promise((resolve, reject) => {
    const args = [__filename, '--read', name, host, ...(isQuick() ? ['--quick'] : [])]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: READER_MS_MAX })
    let output = ''
    child.stdout.on('data', (piece: Buffer) => (output += piece.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Sample)
      else reject(new Error(`The reader ${name} ended with ${code}: what it said is above.`))
    })
  })
}

/** Of each round a ratio, and then the median: the machine's speed drifts between rounds. */
function compare(
  samples: ReadonlyMap<string, readonly Sample[]>,
  measure: string,
  valueOf: (sample: Sample) => number,
): void {
  const floor = samples.get(BASELINE)!.map(valueOf)
  const baseline = { name: `socketToBooks.${BASELINE}${measure}`, measured: ofRounds(floor) }
  for (const [name, taken] of samples) {
    const values = taken.map(valueOf)
    const row = rowOf(`socketToBooks.${name}${measure}`, 'µs/frame', ofRounds(values), baseline)
    const ratios = values.map((value, round) => floor[round]! / value)
    report(
      name === BASELINE
        ? rowOf(baseline.name, 'µs/frame', baseline.measured)
        : { ...row, ratio: rounded(median(ratios)) },
    )
  }
}

async function main(): Promise<void> {
  const samples = new Map<string, Sample[]>(Object.keys(READERS).map((name) => [name, []]))
  const fast = await startDepthServer(FRAMES)
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, taken] of samples) taken.push(await inItsOwnProcess(name, fast.host))
    }
  } finally {
    fast.stop()
  }
  compare(samples, '', ({ usPerFrame }) => usPerFrame!)
  compare(samples, '.cpu', ({ cpuUsPerFrame }) => cpuUsPerFrame!)

  const paced = await startDepthServer(PER_SECOND * PACED_SECONDS, PER_SECOND)
  const delays: Sample[] = []
  try {
    for (let round = 0; round < PACED_ROUNDS; round++) delays.push(await inItsOwnProcess('paced', paced.host))
  } finally {
    paced.stop()
  }
  const idle = { name: 'socketToBooks.loopDelayP99.idle', measured: ofRounds(delays.map(({ idleMs }) => idleMs!)) }
  report(rowOf(idle.name, 'ms', idle.measured))
  report(rowOf(`socketToBooks.loopDelayP99.at${PER_SECOND}`, 'ms', ofRounds(delays.map(({ busyMs }) => busyMs!)), idle))
  report(
    rowOf(`socketToBooks.cpu.at${PER_SECOND}`, '% of a core', ofRounds(delays.map(({ cpuPercent }) => cpuPercent!))),
  )
}

const [flag, name, host] = process.argv.slice(2)
if (flag === '--read') {
  void read(name!, host!).then(
    (sample) => {
      process.stdout.write(JSON.stringify(sample), () => process.exit(0))
    },
    (thrown: unknown) => {
      console.error(thrown)
      process.exit(1)
    },
  )
} else {
  void main().catch((thrown: unknown) => {
    console.error(thrown)
    process.exitCode = 1
  })
}
