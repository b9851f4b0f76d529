/**
 * A feed whose sockets, decoding and books live on a worker: what crosses is what a feed here would give.
 */
import { expect } from 'chai'
import { lastValueFrom, of, take, toArray } from 'rxjs'
import type { Batch, MarketEvent, Notice } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { booksOnWorker, topsOf, type BookTop } from '../../src/pipeline/booksOnWorker'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import { notice, snapshot } from '../kit/marketEvents'

const EDGE = {
  capacity: 10_000,
  onFull: 'block',
  batchMax: 64,
  restart: { atMost: 3, withinMs: 60_000, backoffMs: [10, 100] },
  deadlineMs: 120_000,
} as const

describe('booksOnWorker', function () {
  this.slow(10_000)
  let simulator: RunningSimulator
  before(async () => {
    simulator = await startSimulator({ exchanges: ['kraken', 'bybit'], seed: 4 })
  })
  after(() => simulator.stop())

  it('gives the best levels of live books, in order, and the notices of their streams', async () => {
    const rows = await lastValueFrom(
      booksOnWorker({
        ...EDGE,
        exchanges: ['kraken', 'bybit'],
        instruments: ['BTC-USDT'],
        levels: 3,
        addresses: simulator.addresses,
      }).pipe(take(200), toArray()),
    )
    const notices = rows.filter((row): row is Notice => row.kind === 'notice')
    const tops = rows.filter((row): row is BookTop => row.kind === 'top')
    expect(new Set(notices.map(({ code, exchange }) => `${code} ${exchange}`))).to.include('connected kraken')
    expect(new Set(tops.map(({ exchange }) => exchange))).to.deep.equal(new Set(['kraken', 'bybit']))
    for (const exchange of ['kraken', 'bybit']) {
      const times = tops.filter((top) => top.exchange === exchange).map(({ receiveTimeUs }) => receiveTimeUs)
      expect(times).to.deep.equal(times.toSorted((a, b) => a - b))
    }
    for (const { bidPrices, bidSizes, askPrices, askSizes, instrument } of tops) {
      expect(instrument).to.equal('BTC-USDT')
      expect([bidPrices.length, bidSizes.length, askPrices.length, askSizes.length]).to.deep.equal([3, 3, 3, 3])
      expect([...bidPrices]).to.deep.equal([...bidPrices].sort((a, b) => b - a))
      expect([...askPrices]).to.deep.equal([...askPrices].sort((a, b) => a - b))
      expect(bidPrices[0]).to.be.below(askPrices[0]!)
      expect(Math.min(...bidSizes, ...askSizes)).to.be.above(0)
    }
    await eventually(() => void expect(simulator.stats.connections).to.equal(0))
  })

  it('refuses what a feed refuses, before anything is started', () => {
    const wish = { ...EDGE, exchanges: ['krakn'], instruments: ['BTC-USDT'], levels: 1 }
    expect(() => booksOnWorker(wish))
      .to.throw(Fault)
      .with.property('message')
      .that.includes('kraken')
    expect(() => booksOnWorker({ ...wish, exchanges: ['kraken'], levels: 0 }))
      .to.throw(Fault)
      .with.property('code', 'OPTION_INVALID')
  })

  it('tells of a loss before the book that has come after it', async () => {
    const book = snapshot([['1', '2']], [['3', '4']], { seq: 7 })
    const batches: Batch<MarketEvent>[] = [[book], [notice('gap'), book], [notice('gap')]]
    const rows = await lastValueFrom(of(...batches).pipe(topsOf(5), toArray()))
    expect(rows.map(({ kind }) => kind)).to.deep.equal(['top', 'notice', 'top', 'notice'])
    expect(rows[0]).to.deep.include({
      kind: 'top',
      seq: 7,
      bidPrices: Float64Array.of(1),
      askSizes: Float64Array.of(4),
    })
  })
})
