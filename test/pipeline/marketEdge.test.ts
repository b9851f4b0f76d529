import { expect } from 'chai'
import { Level2Book } from '../../src/book/level2Book'
import type { MarketEvent } from '../../src/model/events'
import { conflateBatches, marketReceipts } from '../../src/pipeline/marketEdge'
import { delta, notice, snapshot, trade, viewOf } from '../kit/marketEvents'

describe('conflateBatches', () => {
  const byInstrument = conflateBatches({ conflate: 'instrument' })!

  it('is nothing for policies that do not conflate', () => {
    for (const onFull of ['block', 'dropOldest', 'dropNewest', 'keepLatest', 'fail'] as const) {
      expect(conflateBatches(onFull)).to.equal(undefined)
    }
  })

  it('merges the changes of a book so that they leave the same book', () => {
    const changes: MarketEvent[][] = [
      [
        snapshot(
          [
            ['99', '1'],
            ['98', '2'],
          ],
          [['101', '1']],
          { seq: 1 },
        ),
      ],
      [delta([['99', '0']], [], { prevSeq: 1, seq: 2 })],
      [],
      [delta([['99', '5']], [['101', '3']], { prevSeq: 2, seq: 3 }), trade({ price: 99 })],
    ]
    const merged = byInstrument(changes).flat() as MarketEvent[]
    expect(merged.length).to.be.below(changes.flat().length)
    expect(bookOf(merged)).to.deep.equal(bookOf(changes.flat()))
    expect(merged.filter(({ kind }) => kind === 'snapshot' || kind === 'delta')).to.have.length(1)
  })

  it('never lets a batch of nothing make rows of market events', () => {
    const events = [delta([['99', '1']], []), delta([], [['101', '2']]), notice('gap')]
    for (const batches of [
      [[], events],
      [events, []],
      [[], []],
    ]) {
      const merged = byInstrument(batches).flat() as MarketEvent[]
      expect(merged.some(({ kind }) => kind === 'notice')).to.equal(batches.flat().length > 0)
    }
  })

  it('keeps the latest row of each key, in the place of the first', () => {
    const row = (instrument: string, value: number) => ({ instrument, value })
    expect(byInstrument([[row('A', 1), row('B', 1)], [row('A', 2)], [row('C', 3)]])).to.deep.equal([
      [row('A', 2), row('B', 1), row('C', 3)],
    ])
  })

  it('keeps the latest of single values by their key', () => {
    const row = (instrument: string, value: number) => ({ instrument, value })
    expect(byInstrument([row('A', 1), row('B', 1), row('A', 2)])).to.deep.equal([row('A', 2), row('B', 1)])
    expect(byInstrument([1, 2, 1])).to.deep.equal([1, 2])
  })

  it('keeps the latest view of each book, and takes books of two exchanges for two', () => {
    const view = (exchange: string, price: number) => viewOf([[price, 1]], [], { exchange })
    const [merged] = byInstrument([[view('kraken', 1), view('okx', 2)], [view('kraken', 3)]]) as [
      { exchange: string }[],
    ]
    expect(merged.map(({ exchange }) => exchange)).to.deep.equal(['kraken', 'okx'])
    expect(merged[0]).to.have.property('exchange', 'kraken')
  })

  it('asks a function for the key, and takes a row that it throws at for like no other', () => {
    const conflate = conflateBatches({
      conflate: (value: unknown) => {
        if (value === 13) throw new Error('unlucky')
        return (value as number) % 2
      },
    })!
    expect(conflate([[1, 2, 3], [13], [5]])).to.deep.equal([[5, 2, 13]])
  })
})

describe('marketReceipts', () => {
  it('tells nothing when nothing was dropped', () => {
    expect(marketReceipts().take()).to.equal(undefined)
  })

  it('tells once what was dropped, a notice for each instrument', () => {
    const receipts = marketReceipts()
    receipts.add([trade({ receiveTimeUs: 5 }), trade({ receiveTimeUs: 6 })])
    receipts.add([delta([], [], { exchange: 'okx', symbol: 'B', instrument: undefined, receiveTimeUs: 7 })])
    receipts.add([trade({ receiveTimeUs: 9 })])
    const told = receipts.take() as MarketEvent[]
    expect(told.map((event) => ({ ...event }))).to.deep.equal([
      {
        ...{ kind: 'notice', code: 'dropped', exchange: 'kraken', symbol: 'BTC/USD', instrument: 'BTC-USD' },
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 9, details: { events: 3, fromUs: 5, toUs: 9 } },
      },
      {
        ...{ kind: 'notice', code: 'dropped', exchange: 'okx', symbol: 'B', instrument: undefined },
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 7, details: { events: 1, fromUs: 7, toUs: 7 } },
      },
    ])
    expect(receipts.take()).to.equal(undefined)
  })

  it('tells nothing of rows that are no market events', () => {
    const receipts = marketReceipts()
    for (const dropped of [[1, 2], [{ instrument: 'A' }], 'text', undefined, { kind: 'trade' }, []])
      receipts.add(dropped)
    expect(receipts.take()).to.equal(undefined)
  })

  it('names a bounded number of instruments, and the rest as one for each exchange', () => {
    const receipts = marketReceipts()
    for (let index = 0; index < 10_100; index++) {
      receipts.add([
        trade({ symbol: `S${index}`, instrument: undefined, exchange: index % 2 === 0 ? 'okx' : 'kraken' }),
      ])
    }
    const told = receipts.take() as MarketEvent[]
    expect(told.length).to.equal(10_002)
    const rest = told.filter(({ symbol }) => symbol === '')
    expect(rest.map((event) => event.kind === 'notice' && event.details['events'])).to.deep.equal([50, 50])
  })
})

function bookOf(events: readonly MarketEvent[]): unknown {
  const book = new Level2Book()
  for (const event of events) {
    if (event.kind === 'snapshot') book.snapshot(event)
    else if (event.kind === 'delta') book.delta(event)
  }
  return [book.bids.texts(10), book.asks.texts(10)]
}
