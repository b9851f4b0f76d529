/**
 * Recorded sessions of each exchange, from a frame's bytes to verified books whose best prices are read.
 *
 * Why      every frame pays it, exchanges differ in what they send, and a recording has what no generator thinks of
 * Input    sessions of `../shared/fixtures/recorded`, all their frames in order, with their REST snapshots, in memory; handled
 *          from the beginning again and again, books included
 * Variants `jsonParse`  the same frames parsed and nothing else
 *          `millrace`   `fromFrames` and `toBooks`; on Kraken and OKX every checksum is verified
 *          `tardis`     tardis-dev's mapper and order book; it verifies nothing, and knows no book of Bybit's of 500 levels
 *          `ccxt`       ccxt pro's `handleMessage`, where it reads the recording and its checksums do not throw
 * Measures `time` ns a frame; `cpu` the same by what all threads of the process took of processors
 * Baseline `jsonParse`
 */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { exchangeById } from '../src/exchanges/exchanges'
import { fromFrames, type FromFramesOptions } from '../src/feed/fromFrames'
import { replayRecords } from '../src/feed/recording/mergeRecordings'
import { toBooks } from '../src/operators/toBooks'
import { ccxtOf, ccxtSnapshot, TardisBooks } from './kit/booksOf'
import { costPerItem } from './kit/passes'
import { measure, type Benchmark, type Sample, type Variant } from './kit/variants'

/** Two folders above the checkout's `.bench`. */
const RECORDED = path.resolve(__dirname, '../../../shared/fixtures/recorded')

interface Session {
  readonly exchange: string
  readonly file: string
  /** The peers' names for the exchange, where they read this recording. */
  readonly tardis?: string
  readonly ccxt?: { readonly id: string; readonly url: string; readonly market: RegExp }
}

const SESSIONS: readonly Session[] = [
  {
    exchange: 'binance',
    file: 'binance.ethusdt-20240808.ndjson.gz',
    tardis: 'binance',
    ccxt: { id: 'binance', url: 'wss://stream.binance.com:9443/ws/0', market: /"s":"(ETH)(USDT)"/ },
  },
  {
    exchange: 'binance-futures',
    file: 'binance-futures.btcusdt-20240808.first60.ndjson.gz',
    tardis: 'binance-futures',
  },
  {
    exchange: 'bybit',
    file: 'bybit.xrpusdt-ob500-20241201.first60.ndjson.gz',
    ccxt: { id: 'bybit', url: 'wss://stream.bybit.com/v5/public/spot', market: /"s":"(XRP)(USDT)"/ },
  },
  { exchange: 'kraken', file: 'kraken.ws50.first60.ndjson.gz', tardis: 'kraken' },
  { exchange: 'okx', file: 'okx.ws1.first60.ndjson.gz', tardis: 'okex' },
  {
    exchange: 'coinbase',
    file: 'coinbase.ws28.first60.ndjson.gz',
    tardis: 'coinbase',
    ccxt: {
      id: 'coinbaseexchange',
      url: 'wss://ws-feed.exchange.coinbase.com',
      market: /"product_id":"(\w+)-(\w+)"/,
    },
  },
]

interface Recorded {
  readonly frames: readonly Buffer[]
  readonly options: FromFramesOptions & { readonly snapshots: readonly { symbol: string; body: string }[] }
}

async function load(exchange: string, file: string): Promise<Recorded> {
  const frames: Buffer[] = []
  const receiveTimesUs: number[] = []
  const snapshots: { symbol: string; body: string }[] = []
  let instruments: string | undefined
  let url: string | undefined
  const protocol = exchangeById(exchange)
  for await (const batch of replayRecords([path.join(RECORDED, file)], { onFault: () => undefined })) {
    for (const record of batch) {
      if (record.dir === 'open') url = record.url
      if (record.dir === 'rest' && record.role === 'instruments') instruments ??= record.body
      if (record.dir === 'rest' && record.role === 'book-snapshot') {
        const symbol = protocol.book.snapshot?.symbolOf(record.url)
        if (symbol !== undefined) snapshots.push({ symbol, body: record.body })
      }
      if (record.dir !== 'in') continue
      frames.push(Buffer.from(record.data))
      receiveTimesUs.push(record.timeUs)
    }
  }
  const given = { ...(instruments !== undefined && { instruments }), ...(url !== undefined && { url }) }
  return { frames, options: { snapshots, receiveTimesUs, ...given } }
}

/** Whatever is read ends here, so that it cannot be left out. */
let sink = 0

function jsonParse({ frames }: Recorded): Sample {
  return {
    ...costPerItem(frames.length, () => frames.forEach((frame) => (sink += parsed(frame) === undefined ? 0 : 1))),
  }
}

function millrace(exchange: string, { frames, options }: Recorded): Sample {
  const pass = (): void => {
    fromFrames(exchange, frames, options)
      .pipe(toBooks())
      .subscribe((views) => {
        for (const view of views) sink += (view.bestBid()?.price ?? 0) + (view.bestAsk()?.price ?? 0)
      })
  }
  pass()
  if (!(sink > 0)) throw new Error(`No book of ${exchange} came to life.`)
  return { ...costPerItem(frames.length, pass) }
}

function tardis(exchange: string, { frames, options }: Recorded): Sample {
  const pass = (): void => {
    const books = new TardisBooks(exchange, (book) => {
      sink += (book.bestBid()?.price ?? 0) + (book.bestAsk()?.price ?? 0)
    })
    for (const snapshot of options.snapshots) books.snapshot(snapshot)
    for (const frame of frames) books.apply(parsed(frame))
  }
  pass()
  if (!(sink > 0)) throw new Error(`tardis-dev found no book in the recording of ${exchange}.`)
  return { ...costPerItem(frames.length, pass) }
}

/** `handleMessage` with each frame, and a look at the best prices of a book. */
function ccxt({ id, url, market }: NonNullable<Session['ccxt']>, { frames, options }: Recorded): Sample {
  const markets = new Map<string, { id: string; base: string; quote: string }>()
  for (const frame of frames) {
    const found = market.exec(frame.toString())
    if (found === null) continue
    const [base, quote] = [found[1]!, found[2]!]
    const name = id === 'coinbaseexchange' ? `${base}-${quote}` : `${base}${quote}`
    markets.set(name, { id: name, base, quote })
  }
  const pass = (): void => {
    const { exchange, client } = ccxtOf(id, url, [...markets.values()])
    for (const { symbol, body } of options.snapshots) {
      const { base, quote } = markets.get(symbol)!
      ccxtSnapshot(exchange, `${base}/${quote}`, body)
    }
    for (const frame of frames) {
      exchange.handleMessage(client, parsed(frame))
      for (const symbol in exchange.orderbooks) {
        const book = exchange.orderbooks[symbol]!
        sink += (book.bids[0]?.[0] ?? 0) + (book.asks[0]?.[0] ?? 0)
        break
      }
    }
  }
  pass()
  if (!(sink > 0)) throw new Error(`ccxt found no book in the recording of ${id}.`)
  return { ...costPerItem(frames.length, pass) }
}

function parsed(frame: Buffer): unknown {
  return JSON.parse(frame.toString()) as unknown
}

if (existsSync(RECORDED)) {
  const benchmarks = SESSIONS.map(({ exchange, file, ...peers }): Benchmark => {
    const on = (run: (recorded: Recorded) => Sample) => async () => run(await load(exchange, file))
    const variants: Variant[] = [
      { name: 'jsonParse', run: on(jsonParse) },
      { name: 'millrace', run: on((recorded) => millrace(exchange, recorded)) },
    ]
    const { tardis: tardisName, ccxt: ccxtSession } = peers
    if (tardisName !== undefined) {
      variants.push({ name: 'tardis', peer: 'tardis-dev', run: on((recorded) => tardis(tardisName, recorded)) })
    }
    if (ccxtSession !== undefined) {
      variants.push({ name: 'ccxt', peer: 'ccxt', run: on((recorded) => ccxt(ccxtSession, recorded)) })
    }
    return {
      name: `decode.${exchange}`,
      measures: { time: 'ns/frame', cpu: 'ns/frame' },
      baseline: 'jsonParse',
      variants,
    }
  })
  void measure(__filename, benchmarks)
} else {
  console.error(`There are no recordings at ${RECORDED}: the suite decode measures nothing.`)
  process.exitCode = 1
}
