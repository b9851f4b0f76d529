import { expect } from 'chai'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import { Sessions, type SessionsOptions } from '../../src/feed/sessions'
import { channelOf, FURTHER_SYMBOLS, Streams, type StreamCounts } from '../../src/feed/streams'
import type { MarketEvent } from '../../src/model/events'
import { needsShared } from '../kit/shared'
import { received, recordsOf, WHOLE_SESSIONS } from './sessionRecords'

describe('Streams', () => {
  it('count each channel of each symbol of each exchange for itself', () => {
    const streams = new Streams()
    const book = streams.of('kraken', 'book', 'BTC/USD')
    expect(streams.of('kraken', 'book', 'BTC/USD')).to.equal(book)
    for (const other of [
      streams.of('kraken', 'trades', 'BTC/USD'),
      streams.of('kraken', 'book', 'ETH/USD'),
      streams.of('okx', 'book', 'BTC/USD'),
    ]) {
      expect(other).not.to.equal(book)
    }
    expect(streams.list.map(({ exchange, channel, symbol }) => `${exchange} ${channel} ${symbol}`)).to.deep.equal([
      'kraken book BTC/USD',
      'kraken trades BTC/USD',
      'kraken book ETH/USD',
      'okx book BTC/USD',
    ])
  })

  it('learn the usual name of a symbol when it becomes known', () => {
    const streams = new Streams()
    streams.of('kraken', 'book', 'XBT/USD')
    expect(streams.of('kraken', 'book', 'XBT/USD', 'BTC-USD').instrument).to.equal('BTC-USD')
    expect(streams.of('kraken', 'book', 'XBT/USD').instrument).to.equal('BTC-USD')
  })

  it('count further symbols together when there are too many, by exchange and channel', () => {
    const streams = new Streams(3)
    for (let symbol = 0; symbol < 10; symbol++) streams.of('okx', 'trades', `S${symbol}`).frames++
    for (let symbol = 0; symbol < 10; symbol++) streams.of('okx', 'book', `S${symbol}`).frames++
    streams.of('okx', 'trades', 'S1').frames++
    expect(streams.list.map(({ channel, symbol, frames }) => [channel, symbol, frames])).to.deep.equal([
      ['trades', 'S0', 1],
      ['trades', 'S1', 2],
      ['trades', 'S2', 1],
      ['trades', FURTHER_SYMBOLS, 7],
      ['book', FURTHER_SYMBOLS, 10],
    ])
  })

  it('are not confused by names of prototypes', () => {
    const streams = new Streams()
    streams.of('__proto__', 'book', 'constructor').frames++
    expect(streams.of('__proto__', 'book', 'constructor').frames).to.equal(1)
    expect(streams.of('kraken', 'book', 'constructor').frames).to.equal(0)
  })
})

describe('What is counted of each stream', () => {
  it('is its frames, their bytes, events and the time of the last', () => {
    const frames = [1, 2, 3].map((id) => binanceTrade('ETHUSDT', id))
    const { streams } = played(frames.map((data, index) => received('binance', data, { timeUs: 1_000 + index })))
    expect(streams).to.have.length(1)
    expect(streams[0]).to.deep.include({
      exchange: 'binance',
      channel: 'trades',
      symbol: 'ETHUSDT',
      frames: 3,
      events: 3,
      bytes: frames.reduce((sum, { length }) => sum + length, 0),
      lastFrameUs: 1_002,
    })
  })

  it('is nothing when nobody wants to know', () => {
    const { streams } = played([received('binance', binanceTrade('ETHUSDT', 1))], { countsStreams: false })
    expect(streams).to.deep.equal([])
  })

  for (const [exchange, session] of Object.entries(WHOLE_SESSIONS)) {
    describe(`of a session of ${exchange}`, () => {
      let records: SessionRecord[]
      before(async function () {
        needsShared(this)
        records = await recordsOf(session)
      })

      it('adds up to what the session counts, and to the events that it gave', () => {
        const { streams, events, sessions } = played(records, { guarded: false })
        const counts = sessions.countsOf(exchange)
        const sumOf = (of: (stream: StreamCounts) => number): number =>
          streams.reduce((sum, stream) => sum + of(stream), 0)
        expect(sumOf(({ events }) => events)).to.equal(events.filter((event) => channelOf(event) !== undefined).length)
        expect(sumOf(({ bytes }) => bytes)).to.be.above(0)
        for (const { channel, symbol, events: counted } of streams) {
          const own = events.filter((event) => channelOf(event) === channel && event.symbol === symbol)
          expect(counted, `${channel} of ${symbol}`).to.equal(own.length)
        }
        const answers = records.filter(({ dir }) => dir === 'rest').length
        const controlFrames = counts.ignored + counts.unreadable
        expect(sumOf(({ frames }) => frames)).to.be.at.least(counts.frames - controlFrames - answers)
      })

      it('is the same whether frames are scanned, plainly decoded, or only books are wanted', () => {
        const scanned = played(records)
        const plain = played(records, { scanning: false })
        expect(scanned.sessions.countsOf(exchange).scanned).not.to.equal(0)
        expect(byName(plain.streams)).to.deep.equal(byName(scanned.streams))
        const kept = played(records, {}, (sessions) => sessions.keepBooks())
        expect(byName(kept.streams)).to.deep.equal(byName(scanned.streams))
      })

      it('is the same when deltas are packed', () => {
        const packed = played(records, {}, (sessions) => sessions.packDeltas(true))
        expect(byName(packed.streams)).to.deep.equal(byName(played(records).streams))
      })
    })
  }

  it('tells of the gap in one book and of no other', async function () {
    needsShared(this)
    const records = await recordsOf(WHOLE_SESSIONS['binance']!)
    const { events, streams } = played(withoutOne(records, (text) => text.includes('"depthUpdate"')))
    const gaps = (symbol: string): number =>
      events.filter((event) => event.kind === 'notice' && event.code === 'gap' && event.symbol === symbol).length
    const books = streams.filter(({ channel }) => channel === 'book')
    expect(books.reduce((sum, { gaps }) => sum + gaps, 0)).to.be.above(0)
    for (const book of books) expect(book.gaps, book.symbol).to.equal(gaps(book.symbol))
  })
})

function played(
  records: Iterable<SessionRecord>,
  options: Partial<SessionsOptions> = {},
  prepare: (sessions: Sessions) => void = () => undefined,
) {
  const events: MarketEvent[] = []
  const sessions = new Sessions({ protocolOf: exchangeById, ...options })
  prepare(sessions)
  for (const record of records) for (const event of sessions.apply(record)) events.push(event)
  return { sessions, events, streams: sessions.streams.list as readonly StreamCounts[] }
}

function byName(streams: readonly StreamCounts[]): Record<string, StreamCounts> {
  return Object.fromEntries(streams.map((stream) => [`${stream.channel} ${stream.symbol}`, { ...stream }]))
}

/** Without one of the frames in the middle that are of this kind. */
function withoutOne(records: readonly SessionRecord[], isOfKind: (text: string) => boolean): SessionRecord[] {
  const places = [...records.entries()].flatMap(([place, record]) =>
    record.dir === 'in' && isOfKind(Buffer.from(record.data as Uint8Array).toString()) ? [place] : [],
  )
  const left = places[Math.floor(places.length / 2)]
  return records.filter((_, place) => place !== left)
}

function binanceTrade(symbol: string, id: number): string {
  const data = {
    e: 'trade',
    E: 1_700_000_000_000,
    s: symbol,
    t: id,
    p: '100.5',
    q: '2',
    T: 1_700_000_000_000,
    m: false,
  }
  return JSON.stringify({ stream: `${symbol.toLowerCase()}@trade`, data })
}
