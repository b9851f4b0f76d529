/**
 * Sessions that keep their books give what `toBooks` makes of the events of the plain road, whatever comes.
 */
import { expect } from 'chai'
import { BookKeeper } from '../../src/feed/bookKeeper'
import type { SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import { EXCHANGES, exchangeById } from '../../src/exchanges/exchanges'
import { fuzzBooks } from '../kit/booksFuzz'
import { BookTwins } from '../kit/bookTwins'
import { RECORDINGS, recordsOf } from '../kit/recordings'
import { needsShared } from '../kit/shared'

describe('Kept books', () => {
  /** Of a recording: two are longer. */
  const RECORDS = 15_000

  for (const [exchange, session, rest] of RECORDINGS) {
    it(`are those of the plain road in the frames of ${session}, at once and late`, function () {
      needsShared(this)
      this.timeout(60_000)
      const protocol = exchangeById(exchange)
      const twins = new BookTwins(protocol, { controlled: true })
      for (const record of recordsOf(protocol, session, rest).slice(0, RECORDS)) twins.apply(record)
      twins.end()
    })
  }

  /** More of them: benchmarks/scannerFuzz.ts. */
  const FRAMES = 6_000

  for (const exchange of EXCHANGES.keys()) {
    it(`are those of the plain road where frames of ${exchange} are harmed, lost, doubled or swapped`, function () {
      this.timeout(60_000)
      const report = fuzzBooks(exchange, FRAMES, 20_261_128)
      // The comparison means something only where the kernel takes most deltas by itself, and books come back.
      expect(report.taken).to.be.greaterThan(FRAMES / 4)
      expect(report.lateReads).to.be.greaterThan(FRAMES / 10)
      expect(report.disturbed).to.be.greaterThan(FRAMES / 500)
      expect(report.resyncs).to.be.greaterThan(0)
    })
  }

  it('tell of a gap in the frame that shows it, and of its end in the one that ends it', () => {
    const { receive } = bybit()
    const codes = [snapshot(1), delta(2), delta(3), delta(4), delta(6), snapshot(6), delta(7)].map((frame, index) =>
      receive(frame, index).map((event) => (event.kind === 'notice' ? event.code : event.kind)),
    )
    expect(codes).to.deep.equal([[], [], [], [], ['gap'], ['resynced'], []])
  })

  it('begin with the time of their snapshot, and do not go back in time from there', () => {
    const { receive, books } = bybit()
    const times = [
      [snapshot(1), 50],
      [delta(2), 40],
      [delta(3), 60],
      [snapshot(3), 30],
      [delta(4), 20],
      [delta(5), 40],
    ] as const
    const said = times.map(([frame, timeUs]) => {
      receive(frame, timeUs)
      return [...books.take()!].map((view) => view.receiveTimeUs)
    })
    expect(said).to.deep.equal([[50], [50], [60], [30], [30], [40]])
  })

  it('say nothing of an answer that is older than they are', () => {
    const protocol = exchangeById('binance')
    const books = new BookKeeper(Infinity)
    const sessions = new Sessions({ protocolOf: () => protocol, books })
    const base = { exchange: protocol.id, connection: 0, ns: 0, timeUs: 7 } as const
    sessions.apply({ ...base, dir: 'open', url: '' })
    const seqs = [100, 90, 100, 110].map((lastUpdateId) => {
      const url = `${protocol.hosts.rest}${protocol.book.snapshot!.path('A', { depth: undefined, intervalMs: 60_000 })}`
      const body = JSON.stringify({ lastUpdateId, bids: [['2', '1']], asks: [['9', '1']] })
      sessions.apply({ ...base, dir: 'rest', method: 'GET', url, role: 'book-snapshot', body })
      return [...(books.take() ?? [])].map((view) => view.seq)
    })
    expect(seqs).to.deep.equal([[100], [], [], [110]])
    expect(sessions.countsOf('binance').guard).to.include({ snapshots: 2, stale: 2 })
  })
})

function bybit() {
  const protocol = exchangeById('bybit')
  const books = new BookKeeper(Infinity)
  const sessions = new Sessions({ protocolOf: () => protocol, books })
  const base = { exchange: protocol.id, connection: 0, ns: 0 } as const
  sessions.apply({ ...base, dir: 'open', timeUs: 0, url: 'wss://stream.bybit.com/v5/public/linear' })
  const receive = (data: string, timeUs: number) =>
    sessions.apply({ ...base, dir: 'in', timeUs, data } satisfies SessionRecord)
  return { receive, books }
}

const frame = (type: string, u: number): string =>
  `{"topic":"orderbook.50.BTCUSDT","type":"${type}","ts":1733011201990,"data":{"s":"BTCUSDT","b":[["1.9533","${u}"]],"a":[["1.9535","7"]],"u":${u},"seq":${u}},"cts":1733011201982}`
const snapshot = (u: number): string => frame('snapshot', u)
const delta = (u: number): string => frame('delta', u)
