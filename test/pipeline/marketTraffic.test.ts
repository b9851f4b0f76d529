import { expect } from 'chai'
import { sessionCounts } from '../../src/feed/session'
import { Streams, type StreamCounts } from '../../src/feed/streams'
import type { MarketTraffic } from '../../src/pipeline/market'
import { exchangesTold, TrafficReader, TrafficWriter } from '../../src/pipeline/marketTraffic'
import { decodeValue, encodeValue } from '../../src/pipeline/valueCodec'

const NO_REST = { requests: 0, answers: 0, retries: 0, rateLimited: 0, failures: 0, waiting: 0 }

describe('The traffic of a market on a worker', () => {
  it('comes over as it was counted there', () => {
    const { streams, tell, told } = thread(new TrafficReader())
    Object.assign(streams.of('kraken', 'book', 'BTC/USD', 'BTC-USD'), {
      ...{ frames: 3, bytes: 300, events: 4, lastFrameUs: 77, gaps: 2, resyncs: 1, checksumFailures: 1, crossed: 5 },
    })
    streams.of('okx', 'trades', 'X')
    streams.of('okx', 'trades', 'Y').frames = 1
    tell()
    expect(told()).to.deep.equal(streams.list)
    streams.of('okx', 'trades', 'X').frames = 9
    tell()
    expect(told()).to.deep.equal(streams.list)
  })

  it('is told of what has changed, and of names once', () => {
    const writer = new TrafficWriter()
    const streams = new Streams()
    streams.of('okx', 'trades', 'X').frames = 1
    streams.of('okx', 'trades', 'Y').frames = 1
    expect(writer.row(streams.list)!.names).to.have.length(8)
    expect(writer.row(streams.list)).to.equal(undefined)
    streams.of('okx', 'trades', 'Y').gaps++
    const row = writer.row(streams.list)!
    expect([row.names.length, row.numbers[0], row.numbers.length]).to.deep.equal([0, 1, 9])
  })

  it('goes on where it stood when another thread takes the place of one that died', () => {
    const reader = new TrafficReader()
    const first = thread(reader)
    Object.assign(first.streams.of('okx', 'trades', 'X'), { frames: 5, events: 7, lastFrameUs: 1 })
    Object.assign(first.counts, { frames: 5, trades: 7 })
    first.counts.guard.gaps = 2
    first.rest.requests = 3
    first.tell()
    reader.restart()
    const second = thread(reader)
    second.streams.of('okx', 'book', 'Z').frames = 1
    Object.assign(second.streams.of('okx', 'trades', 'X'), { frames: 2, events: 2, lastFrameUs: 9 })
    Object.assign(second.counts, { frames: 3, trades: 2 })
    second.counts.guard.gaps = 1
    second.rest.requests = 4
    second.rest.waiting = 6
    second.tell()
    const { streams, exchanges, rest } = reader.traffic
    expect(
      streams.map(({ symbol, frames, events, lastFrameUs }) => [symbol, frames, events, lastFrameUs]),
    ).to.deep.equal([
      ['X', 7, 9, 9],
      ['Z', 1, 0, NaN],
    ])
    expect(exchanges.get('okx')).to.deep.include({ frames: 8, trades: 9 })
    expect(exchanges.get('okx')!.guard.gaps).to.equal(3)
    expect(rest.get('okx')).to.deep.include({ requests: 7, waiting: 6 })
  })
})

/** What is counted on a thread, and how it is told. */
function thread(reader: TrafficReader) {
  const streams = new Streams()
  const counts = sessionCounts()
  const rest = { ...NO_REST }
  const writer = new TrafficWriter()
  return {
    streams,
    counts,
    rest,
    tell(): void {
      const row = writer.row(streams.list)
      if (row !== undefined) reader.take(row)
      const traffic: MarketTraffic = {
        ...{ exchanges: new Map([['okx', counts]]), streams: streams.list, readings: new Map() },
        rest: new Map([['okx', rest]]),
      }
      reader.takeExchanges(decodeValue(encodeValue(exchangesTold(traffic))) as ReturnType<typeof exchangesTold>)
    },
    told: (): readonly Readonly<StreamCounts>[] => reader.traffic.streams,
  }
}
