import { expect } from 'chai'
import fc from 'fast-check'
import { BookSide } from '../../src/simulator/bookSide'
import { DepthWindow } from '../../src/simulator/depthWindow'
import { fixed, isoTime, secondsTime, trimmed } from '../../src/simulator/digits'
import { DEFAULT_INSTRUMENTS, listInstruments, SIMULATED_EXCHANGES } from '../../src/simulator/listing'
import { MarketBook } from '../../src/simulator/market'
import { PricePath } from '../../src/simulator/pricePath'

const START_US = 1_790_000_000_000_000

function bookOf(exchange: string, name: string, seed = 1, depth = 200): MarketBook {
  const [listing] = listInstruments(exchange, [name])
  return new MarketBook(listing!, seed, depth, START_US)
}

/** What a step did, as plain data. */
function story(book: MarketBook, steps: number): unknown[] {
  return Array.from({ length: steps }, (_, index) => {
    book.step(START_US + index)
    const side = ({ changes }: BookSide): unknown => [
      changes.keys.slice(0, changes.count),
      changes.lots.slice(0, changes.count),
    ]
    return [side(book.bids), side(book.asks), [...book.trades], book.updateId]
  })
}

describe('the simulated market', () => {
  it('tells the same story for the same seed, and another for another', () => {
    const [first, again, other] = [1, 1, 2].map((seed) => story(bookOf('kraken', 'BTC-USD', seed), 200))
    expect(again).to.deep.equal(first)
    expect(other).to.not.deep.equal(first)
  })

  it('never crosses, keeps its levels sorted and positive, and its depth nearly full, on every instrument', () => {
    for (const exchange of SIMULATED_EXCHANGES) {
      for (const listing of listInstruments(exchange, [...DEFAULT_INSTRUMENTS, 'PEPE-USDT', 'ETH-BTC', 'SOL-EUR'])) {
        const book = new MarketBook(listing, 3, 200, START_US)
        for (let step = 0; step < 500; step++) {
          book.step(START_US + step)
          expect(book.bids.bestKey, listing.symbol).to.be.below(-book.asks.bestKey)
        }
        for (const side of [book.bids, book.asks]) {
          const keys = [...side.keys.subarray(0, side.size)]
          expect(keys).to.deep.equal([...new Set(keys)].sort((a, b) => a - b))
          expect(side.size).to.be.within(150, 200)
          expect(
            [...side.lots.subarray(0, side.size)].every((lots) => Number.isSafeInteger(lots) && lots > 0),
          ).to.equal(true)
        }
        expect(book.bids.keys[0]).to.be.at.least(1)
      }
    }
  })

  it('changes levels as recorded frames do: five a step, two thirds of them new sizes', () => {
    const book = bookOf('binance', 'ETH-USDT', 1, 1_000)
    const counted = { changes: 0, arrivals: 0, removals: 0, trades: 0 }
    const steps = 5_000
    for (let step = 0; step < steps; step++) {
      book.step(START_US + step)
      counted.trades += book.trades.length
      for (const { changes } of [book.bids, book.asks]) {
        counted.changes += changes.count
        for (let index = 0; index < changes.count; index++) {
          if (changes.lots[index] === 0) counted.removals++
          else if (changes.prior[index] === 0) counted.arrivals++
        }
      }
    }
    expect(counted.changes / steps).to.be.within(4, 6.5)
    expect(counted.arrivals / counted.changes).to.be.within(0.12, 0.25)
    expect(counted.removals / counted.changes).to.be.within(0.12, 0.25)
    expect(counted.trades / steps).to.be.within(0.1, 1.5)
  })

  it('numbers changes without a gap on spot, and with gaps where others share the counter', () => {
    const spot = bookOf('binance', 'BTC-USDT')
    const futures = bookOf('binance-futures', 'BTC-USDT-PERP')
    let apart = 0
    for (let step = 0; step < 100; step++) {
      const [spotBefore, futuresBefore] = [spot.updateId, futures.updateId]
      spot.step(START_US)
      futures.step(START_US)
      expect(spot.firstUpdateId).to.equal(spotBefore + 1)
      expect(spot.updateId).to.be.at.least(spot.firstUpdateId)
      expect(futures.previousUpdateId).to.equal(futuresBefore)
      if (futures.firstUpdateId > futuresBefore + 1) apart++
    }
    expect(apart).to.be.greaterThan(50)
  })

  it('makes trades that take what rested: at the best price, and never more than was there', () => {
    const book = bookOf('coinbase', 'BTC-USD')
    for (let step = 0; step < 500; step++) {
      const [bid, ask] = [book.bids.bestKey, -book.asks.bestKey]
      const [bidLots, askLots] = [book.bids.bestLots, book.asks.bestLots]
      book.step(START_US + step)
      const [trade] = book.trades
      if (trade === undefined) continue
      expect(trade.tick).to.equal(trade.bought ? ask : bid)
      expect(trade.lots).to.be.within(1, trade.bought ? askLots : bidLots)
    }
  })

  it('keeps an asset together on all exchanges', () => {
    const books = SIMULATED_EXCHANGES.filter((id) => id !== 'binance-futures').map((id) => bookOf(id, 'BTC-USDT'))
    for (let step = 0; step < 20_000; step++) for (const book of books) book.step(START_US + step)
    const mids = books.map(({ bids, asks, listing }) => ((bids.bestKey - asks.bestKey) / 2) * listing.tickSize)
    expect(Math.max(...mids) / Math.min(...mids) - 1).to.be.below(0.001)
  })

  it('moves the hidden price like a walk that stays within bounds, readable at any step', () => {
    const path = new PricePath(7)
    const again = new PricePath(7)
    let farthest = 0
    for (let step = 0; step < 1_000_000; step += 997) farthest = Math.max(farthest, Math.abs(path.at(step)))
    expect(farthest).to.be.within(0.0005, 0.01)
    expect(again.at(123_456)).to.equal(path.at(123_456))
  })

  it('lists an instrument only where such a thing trades', () => {
    const places = (name: string): string[] =>
      SIMULATED_EXCHANGES.flatMap((id) =>
        listInstruments(id, [name]).map(({ market, symbol }) => `${id} ${market} ${symbol}`),
      )
    expect(places('BTC-USD')).to.deep.equal(['kraken spot BTC/USD', 'coinbase spot BTC-USD'])
    expect(places('DOGE-USDT-PERP')).to.deep.equal([
      'binance-futures usdm DOGEUSDT',
      'bybit linear DOGEUSDT',
      'okx SWAP DOGE-USDT-SWAP',
    ])
    expect(() => listInstruments('okx', ['btc/usdt']))
      .to.throw('BASE-QUOTE')
      .with.property('code', 'OPTION_INVALID')
  })
})

describe('DepthWindow', () => {
  /** A client that follows what it is told, and cuts when the exchange leaves that to it. */
  const steps = fc.array(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.nat({ max: 3 })), { minLength: 1, maxLength: 12 }),
    { minLength: 1, maxLength: 40 },
  )

  for (const removes of [true, false]) {
    it(`tells enough to keep the best levels, where levels pushed out are ${removes ? 'removed' : 'for the client to cut'}`, () =>
      fc.assert(
        fc.property(steps, fc.integer({ min: 1, max: 8 }), (all, depth) => {
          const side = new BookSide(1, 30)
          const window = new DepthWindow(side, depth, removes)
          const client = new Map<number, number>()
          for (const changes of all) {
            side.begin()
            for (const [key, lots] of changes) side.put(key, lots)
            side.finish()
            const told = window.update()
            for (let index = 0; index < told.count; index++) {
              const [key, lots] = [told.keys[index]!, told.lots[index]!]
              if (removes && lots === 0) expect(client.has(key), `removal of unknown ${key}`).to.equal(true)
              if (lots === 0) client.delete(key)
              else client.set(key, lots)
            }
            const sorted = [...client].sort(([a], [b]) => b - a)
            if (removes) expect(sorted.length).to.be.at.most(depth)
            else for (const [key] of sorted.splice(depth)) client.delete(key)
            const truth: [number, number][] = []
            for (let index = side.size - 1; index >= Math.max(0, side.size - depth); index--)
              truth.push([side.keys[index]!, side.lots[index]!])
            expect(sorted).to.deep.equal(truth)
          }
        }),
        { numRuns: 300 },
      ))
  }
})

describe('digits of the simulator', () => {
  it('writes ticks and lots as decimals', () => {
    expect(fixed(786_500, 1, 8)).to.equal('78650.00000000')
    expect(fixed(5, 5, 5)).to.equal('0.00005')
    expect(fixed(0, 3, 3)).to.equal('0.000')
    expect(fixed(42, 0, 0)).to.equal('42')
    expect(fixed(42, 0, 2)).to.equal('42.00')
  })

  it('leaves out zeros at the end where the exchange does', () => {
    expect(trimmed(786_500, 1)).to.equal('78650')
    expect(trimmed(1_950, 3)).to.equal('1.95')
    expect(trimmed(0, 8)).to.equal('0')
  })

  it('writes times with six digits', () => {
    expect(isoTime(1_787_610_117_000_183)).to.equal('2026-08-24T22:21:57.000183Z')
    expect(secondsTime(1_618_678_137_000_504)).to.equal('1618678137.000504')
  })
})
