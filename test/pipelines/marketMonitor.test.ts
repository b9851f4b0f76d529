/**
 * The flagship on the simulator, and on the recording of that run: its bars and quotes are what a plain computation from the
 * recorded events gives.
 */
import { expect } from 'chai'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Level2Book } from '../../src/book/level2Book'
import type { MarketEvent } from '../../src/model/events'
import type { Pipeline } from '../../src/pipeline/pipeline'
import type { RunSummary } from '../../src/pipeline/runSummary'
import { expectBalanced } from '../../src/testing/ledger'
import { dataOf, type PageNumbers } from '../sinks/report/page'
import { eventsOf, runUntil, shippedPipeline } from './pipelines'

const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'BTC-USDT-PERP', 'ETH-USDT-PERP']

describe('The pipeline market-monitor', function () {
  let folder: string
  let pipeline: Pipeline
  let summary: RunSummary
  let events: MarketEvent[][]

  before(async function () {
    pipeline = shippedPipeline(this, 'market-monitor')
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-monitor-'))
    const options = {
      simulate: true,
      seed: 5,
      messagesPerSecond: 800,
      // The quotes have to cope with books that are lost and come back.
      faults: 'drop=4s,skip=2s',
      record: path.join(folder, 'run.ndjson'),
      out: path.join(folder, 'out'),
    }
    summary = await runUntil(pipeline, options, async ({ rows }) => {
      expect((await rowsOf('bars-1s.jsonl')).length).to.be.greaterThan(20)
      expect((await rowsOf('resources.jsonl')).length).to.be.at.least(3)
      expect((await readFile(path.join(folder, 'out/quotes.csv'), 'utf8')).split('\n').length).to.be.greaterThan(102)
      namesAll(await report())
      expect(notDrawn(await page())).to.deep.equal([])
      // Not while an exchange has lost its books, of which the report could not tell.
      const live = [...rows.values()].filter(({ state }) => state === 'live')
      expect(live.map(({ exchange }) => exchange)).to.include.members(EXCHANGES)
      expect(live.map(({ name }) => name)).to.include.members(INSTRUMENTS)
      expect([...rows.values()].reduce((sum, { gaps }) => sum + gaps, 0)).to.be.greaterThan(0)
    })
    events = (await eventsOf(path.join(folder, 'run.ndjson'))).map((each) => [...each.events])
  })

  after(async () => {
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  it('keeps the books of every listed market and balances the ledger of every edge', () => {
    expect(summary.books.gaps).to.be.greaterThan(0)
    expectBalanced(summary)
    for (const sink of summary.sinks) expect(sink.failed, sink.name).to.equal(0)
  })

  it('writes bars equal to those computed from the recorded trades', async () => {
    const expected = new Map<string, ReturnType<typeof barOf>>()
    for (const trade of events.flat()) {
      if (trade.kind !== 'trade' || trade.history || !INSTRUMENTS.includes(trade.instrument ?? '')) continue
      const openTimeUs = Math.floor(trade.receiveTimeUs / 1e6) * 1e6
      const key = `${openTimeUs} ${trade.exchange} ${trade.instrument!}`
      const bar = expected.get(key)
      if (bar === undefined) expected.set(key, barOf(trade))
      else {
        bar.high = Math.max(bar.high, trade.price)
        bar.low = Math.min(bar.low, trade.price)
        bar.close = trade.price
        bar.volume += trade.size
        bar.buyVolume += trade.side === 'buy' ? trade.size : 0
        bar.sellVolume += trade.side === 'sell' ? trade.size : 0
        bar.notional += trade.price * trade.size
        bar.trades++
      }
    }
    const written = await rowsOf('bars-1s.jsonl')
    expect(written.length).to.equal(expected.size).and.be.greaterThan(20)
    for (const row of written) {
      const key = `${String(row['openTimeUs'])} ${String(row['exchange'])} ${String(row['instrument'])}`
      const { notional, ...bar } = expected.get(key)!
      for (const field of ['open', 'high', 'low', 'close', 'trades'] as const) {
        expect(row[field], `${field} of ${key}`).to.equal(bar[field])
      }
      for (const field of ['volume', 'buyVolume', 'sellVolume'] as const) {
        expect(row[field], `${field} of ${key}`).to.be.closeTo(bar[field], 1e-9 * (1 + bar[field]))
      }
      expect(row['vwap'], key).to.be.closeTo(notional / bar.volume, 1e-9 * bar.close)
      expect(row['closeTimeUs'], key).to.equal(Number(row['openTimeUs']) + 1e6)
    }
  })

  it('writes quotes equal to those computed from the recorded books', async () => {
    const expected = quotesOf(events)
    const [head, ...rows] = (await readFile(path.join(folder, 'out/quotes.csv'), 'utf8')).trimEnd().split('\r\n')
    expect(head).to.equal(
      'receiveTimeUs,instrument,bidPrice,bidSize,bidExchange,askPrice,askSize,askExchange,spreadBps,dislocationBps,exchanges',
    )
    const written = rows.map((row) => {
      const [timeUs, instrument, bidPrice, bidSize, bidExchange, askPrice, askSize, askExchange, , , exchanges] =
        row.split(',')
      return [timeUs, instrument, bidPrice, bidSize, bidExchange, askPrice, askSize, askExchange, exchanges].join(' ')
    })
    expect(written.length).to.be.greaterThan(100)
    for (const [index, row] of written.entries()) expect(row, `row ${index + 2}`).to.equal(expected[index])
    expect(written.length).to.equal(expected.length)
  })

  it('leaves a report that names all exchanges and instruments', async () => {
    const written = await report()
    namesAll(written)
    for (const { imbalance } of written.books) expect(imbalance).to.be.within(-1, 1)
    const resources = await rowsOf('resources.jsonl')
    expect(resources.length, 'one a second').to.be.within(3, summary.seconds + 1)
  })

  it('leaves a page that shows every book, trade and edge of the run', async () => {
    const written = await page()
    const shown = new Set(dataOf(written).instruments.map((each) => `${each.exchange} ${each.name}`))
    for (const { exchange, instrument } of (await report()).books) expect(shown).to.include(`${exchange} ${instrument}`)
    expect(notDrawn(written)).to.deep.equal([])
    expect(written).to.contain(`The accounts of all ${summary.edges.length} edges balance.`)
    for (const { name } of summary.sinks) expect(written).to.contain(`<td>${name}</td>`)
  })

  it('gives the same bars, quotes, liquidations and report when its recording is replayed', async () => {
    const again = await pipeline.run({ replay: [path.join(folder, 'run.ndjson')], out: path.join(folder, 'again') })
    expect(again.mode).to.equal('replay')
    for (const name of ['bars-1s.jsonl', 'quotes.csv', 'liquidations.jsonl', 'market-monitor.json']) {
      const first = await readFile(path.join(folder, 'out', name), 'utf8')
      expect(await readFile(path.join(folder, 'again', name), 'utf8'), name).to.equal(first)
    }
  })

  /** The markets of which a chart is missing. */
  function notDrawn(written: string): string[] {
    const isDrawn = ({ mid, heat, trades, bars }: PageNumbers['instruments'][number]): boolean =>
      bars.length > 0 && [mid, heat, trades].every((drawn) => drawn !== undefined && drawn.t.length > 0)
    const markets = dataOf(written).instruments.filter(({ exchange }) => EXCHANGES.includes(exchange))
    return markets.filter((each) => !isDrawn(each)).map(({ exchange, name }) => `${exchange} ${name}`)
  }

  function page(): Promise<string> {
    return readFile(path.join(folder, 'out/report.html'), 'utf8')
  }

  async function report(): Promise<MarketReport> {
    return JSON.parse(await readFile(path.join(folder, 'out/market-monitor.json'), 'utf8')) as MarketReport
  }

  function namesAll({ format, books, quotes, activity }: MarketReport): void {
    expect(format).to.equal('millrace-market-report/1')
    expect(new Set(books.map(({ exchange }) => exchange))).to.deep.equal(new Set(EXCHANGES))
    expect(new Set(quotes.map(({ instrument }) => instrument))).to.deep.equal(new Set(INSTRUMENTS))
    expect(new Set(activity.map(({ exchange }) => exchange))).to.include.keys(...EXCHANGES)
  }

  async function rowsOf(name: string): Promise<Record<string, unknown>[]> {
    const text = await readFile(path.join(folder, 'out', name), 'utf8')
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
})

interface MarketReport {
  readonly format: string
  readonly books: { readonly exchange: string; readonly instrument: string; readonly imbalance: number }[]
  readonly quotes: { readonly instrument: string }[]
  readonly activity: { readonly exchange: string }[]
}

function barOf({ price, size, side }: Extract<MarketEvent, { kind: 'trade' }>) {
  return {
    open: price,
    high: price,
    low: price,
    close: price,
    volume: size,
    buyVolume: side === 'buy' ? size : 0,
    sellVolume: side === 'sell' ? size : 0,
    notional: price * size,
    trades: 1,
  }
}

const EXPIRE_US = 5_000_000

interface Top {
  readonly bid: readonly [price: number, size: number] | undefined
  readonly ask: readonly [price: number, size: number] | undefined
  readonly changedUs: number
}

/** Every change of a cross-exchange quote: all books are looked at after each record, the plainest way there is. */
function quotesOf(records: readonly (readonly MarketEvent[])[]): string[] {
  const books = new Map<string, Level2Book>()
  const tops = new Map<string, Map<string, Top>>()
  const last = new Map<string, string>()
  const rows: string[] = []

  const look = (instrument: string, timeUs: number): void => {
    const taking = [...(tops.get(instrument) ?? [])]
    const best = (side: 'bid' | 'ask', direction: 1 | -1): string => {
      const sorted = taking
        .filter(([, top]) => top[side] !== undefined)
        .sort(
          ([a, { [side]: x }], [b, { [side]: y }]) => (y![0] - x![0]) * direction || y![1] - x![1] || (a < b ? -1 : 1),
        )
      const [exchange, top] = sorted[0] ?? []
      return `${top?.[side]?.[0] ?? ''} ${top?.[side]?.[1] ?? ''} ${exchange ?? ''}`
    }
    const quote = `${best('bid', 1)} ${best('ask', -1)} ${taking.length}`
    if (last.get(instrument) === quote || (!last.has(instrument) && taking.length === 0)) return
    if (taking.length === 0) last.delete(instrument)
    else last.set(instrument, quote)
    rows.push(`${timeUs} ${instrument} ${quote}`)
  }

  /** Takes out what has not changed for too long, each at its own moment. */
  const expire = (nowUs: number): void => {
    const due = [...tops].flatMap(([instrument, of]) =>
      [...of].flatMap(([exchange, { changedUs }]) =>
        changedUs + EXPIRE_US <= nowUs ? [{ instrument, exchange, atUs: changedUs + EXPIRE_US }] : [],
      ),
    )
    for (const { instrument, exchange, atUs } of due.sort((a, b) => a.atUs - b.atUs)) {
      tops.get(instrument)!.delete(exchange)
      look(instrument, atUs)
    }
  }

  for (const events of records) {
    const timeUs = events[0]?.receiveTimeUs
    if (timeUs === undefined) continue
    expire(timeUs)
    const touched = new Set<string>()
    for (const event of events) {
      if (event.symbol === '' || !INSTRUMENTS.includes(event.instrument ?? '')) continue
      const instrument = event.instrument!
      const key = `${event.exchange} ${instrument}`
      if (event.kind === 'notice' && (event.code === 'gap' || event.code === 'disconnected')) {
        books.delete(key)
        tops.get(instrument)?.delete(event.exchange)
        touched.add(instrument)
      }
      if (event.kind !== 'snapshot' && event.kind !== 'delta') continue
      let book = books.get(key)
      if (book === undefined) books.set(key, (book = new Level2Book()))
      if (event.kind === 'snapshot') book.snapshot(event)
      else book.delta(event)
      const bid = book.bids.texts(1)[0]
      const ask = book.asks.texts(1)[0]
      const of = tops.get(instrument) ?? new Map<string, Top>()
      tops.set(instrument, of)
      of.set(event.exchange, {
        bid: bid && [Number(bid[0]), Number(bid[1])],
        ask: ask && [Number(ask[0]), Number(ask[1])],
        changedUs: timeUs,
      })
      touched.add(instrument)
    }
    // Where one record changes several (a connection ends), the engine goes by instrument too.
    for (const instrument of [...touched].sort()) look(instrument, timeUs)
  }
  return rows
}
