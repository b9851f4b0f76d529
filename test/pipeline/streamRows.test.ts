import { expect } from 'chai'
import { Streams } from '../../src/feed/streams'
import { StreamRows } from '../../src/pipeline/streamRows'

const FIRST_US = 1_760_000_000_000_000

describe('The rows of streams', () => {
  it('say what has come, how fast over the last second or more, and how long ago', () => {
    const { streams, rows, at } = made()
    const book = streams.of('kraken', 'book', 'BTC/USD', 'BTC-USD')
    rows(0)
    Object.assign(book, { frames: 40, bytes: 4_000, events: 50, lastFrameUs: at(1_900) })
    expect(rows(2_000)[0]).to.deep.equal({
      exchange: 'kraken',
      channel: 'book',
      symbol: 'BTC/USD',
      instrument: 'BTC-USD',
      frames: 40,
      bytes: 4_000,
      events: 50,
      eventsPerSecond: 25,
      ageMs: 100,
      gaps: 0,
      resyncs: 0,
      checksumFailures: 0,
      crossed: 0,
      labels: { exchange: 'kraken', channel: 'book', symbol: 'BTC/USD' },
    })
    book.events += 30
    expect(rows(5_000)[0]).to.include({ eventsPerSecond: 10, ageMs: 3_100 })
    expect(rows(7_000)[0]).to.include({ eventsPerSecond: 0, ageMs: 5_100 })
  })

  it('do not cut the rate short for those who look often', () => {
    const { streams, rows } = made()
    const book = streams.of('kraken', 'book', 'BTC/USD')
    rows(0)
    const rates: number[] = []
    for (let ms = 100; ms <= 3_000; ms += 100) {
      book.events += ms <= 1_000 ? 5 : 1
      rates.push(rows(ms)[0]!.eventsPerSecond)
    }
    expect(rates.slice(0, 9).every((rate) => rate === 0)).to.equal(true)
    expect(rates.slice(9, 19).every((rate) => rate === 50)).to.equal(true)
    expect(rates.slice(19, 29).every((rate) => rate === 10)).to.equal(true)
  })

  it('say nothing of the age of a stream of which nothing has come, and never one below 0', () => {
    const { streams, rows, at } = made()
    const book = streams.of('kraken', 'book', 'BTC/USD')
    expect(rows(0)[0]!.ageMs).to.equal(undefined)
    book.lastFrameUs = at(50)
    expect(rows(10)[0]!.ageMs).to.equal(0)
  })

  it('are none before there is any time', () => {
    const { streams } = made()
    streams.of('kraken', 'book', 'BTC/USD')
    expect(new StreamRows().look(streams.list, undefined)).to.deep.equal([])
  })
})

function made() {
  const streams = new Streams()
  const rows = new StreamRows()
  const at = (ms: number): number => FIRST_US + ms * 1_000
  return { streams, at, rows: (ms: number) => rows.look(streams.list, at(ms)) }
}
