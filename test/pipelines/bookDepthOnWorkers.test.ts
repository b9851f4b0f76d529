/**
 * Whole books through a worker thread: what comes back is what a plain computation from the recorded books gives, in order.
 */
import { expect } from 'chai'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Level2Book } from '../../src/book/level2Book'
import { eventsOf, runUntil, shippedPipeline } from './pipelines'
import { expectBalanced } from '../../src/testing/ledger'

interface Row {
  readonly exchange: string
  readonly instrument: string
  readonly receiveTimeUs: number
  readonly bidLevels: number
  readonly bidSize: number
  readonly bidNotional: number
  readonly askLevels: number
  readonly askSize: number
  readonly askNotional: number
}

describe('The pipeline book-depth-on-workers', function () {
  let folder: string
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-depth-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('adds up books as they were, in order per instrument, and loses nothing silently', async function () {
    const pipeline = shippedPipeline(this, 'book-depth-on-workers')
    const recording = path.join(folder, 'run.ndjson')
    const exchanges = new Set(['binance', 'okx', 'coinbase'])
    const written = async (): Promise<Row[]> => {
      const lines = (await readFile(path.join(folder, 'depth.jsonl'), 'utf8')).trimEnd().split('\n')
      return lines.map((line) => JSON.parse(line) as Row)
    }
    const options = { simulate: true, seed: 3, record: recording, out: folder }
    const summary = await runUntil(pipeline, options, async () => {
      const rows = await written()
      expect(rows.length).to.be.greaterThan(50)
      expect(new Set(rows.map(({ exchange }) => exchange))).to.deep.equal(exchanges)
    })
    expect(summary.problems).to.deep.equal([])
    expectBalanced(summary)

    const rows = await written()
    const expected = await totalsOf(recording)
    expect(new Set(rows.map(({ exchange }) => exchange))).to.deep.equal(exchanges)
    expect(rows.length).to.be.greaterThan(50)
    const latest = new Map<string, number>()
    for (const row of rows) {
      const key = `${row.exchange} ${row.instrument}`
      expect(row.receiveTimeUs, `order of ${key}`).to.be.greaterThan(latest.get(key) ?? 0)
      latest.set(key, row.receiveTimeUs)
      const book = expected.get(`${key} ${row.receiveTimeUs}`)!
      expect(book, `${key} at ${row.receiveTimeUs}`).to.not.equal(undefined)
      expect([row.bidLevels, row.askLevels], key).to.deep.equal([book.bids.levels, book.asks.levels])
      for (const [field, value] of [
        ['bidSize', book.bids.size],
        ['askSize', book.asks.size],
        ['bidNotional', book.bids.notional],
        ['askNotional', book.asks.notional],
      ] as const) {
        expect(row[field], `${field} of ${key}`).to.be.closeTo(value, 1e-9 * value)
      }
    }
  })
})

interface SideTotal {
  readonly levels: number
  readonly size: number
  readonly notional: number
}

/** Each state of each book, by exchange, instrument and time. */
async function totalsOf(recording: string): Promise<Map<string, { bids: SideTotal; asks: SideTotal }>> {
  const books = new Map<string, Level2Book>()
  const totals = new Map<string, { bids: SideTotal; asks: SideTotal }>()
  for (const { record, events } of await eventsOf(recording)) {
    for (const event of events) {
      if (event.kind !== 'snapshot' && event.kind !== 'delta') continue
      const key = `${event.exchange} ${event.instrument ?? event.symbol}`
      let book = books.get(key)
      if (book === undefined) books.set(key, (book = new Level2Book()))
      if (event.kind === 'snapshot') book.snapshot(event)
      else book.delta(event)
      totals.set(`${key} ${record.timeUs}`, { bids: totalOf(book, 'bids'), asks: totalOf(book, 'asks') })
    }
  }
  return totals
}

function totalOf(book: Level2Book, side: 'bids' | 'asks'): SideTotal {
  const levels = book[side].texts(Infinity)
  const sum = (of: (price: number, size: number) => number): number =>
    levels.reduce((total, [price, size]) => total + of(Number(price), Number(size)), 0)
  return { levels: levels.length, size: sum((_, size) => size), notional: sum((price, size) => price * size) }
}
