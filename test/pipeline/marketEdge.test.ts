import { expect } from 'chai'
import { Level2Book } from '../../src/book/level2Book'
import { BoundedQueue } from '../../src/actors/boundedQueue'
import { emptyLedger } from '../../src/actors/ledger'
import type { OnFull, Skipped } from '../../src/actors/overflow'
import type { BookView } from '../../src/book/bookView'
import type { MarketEvent } from '../../src/model/events'
import { conflateBatches, conflateRows, marketReceipts } from '../../src/pipeline/marketEdge'
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

describe('conflateBatches with a merge', () => {
  const row = (key: string, volume: number): { key: string; volume: number } => ({ key, volume })
  const merge = (older: unknown, newer: unknown): unknown => {
    const [before, after] = [older as ReturnType<typeof row>, newer as ReturnType<typeof row>]
    if (after.volume === 13) throw new Error('unlucky')
    return row(after.key, before.volume + after.volume)
  }
  const conflate = conflateBatches({ conflate: 'key', merge })!

  it('makes one row of those with the same key, in the place of the first', () => {
    expect(conflate([[row('a', 1), row('b', 1)], [row('a', 2)], [row('a', 3)]])).to.deep.equal([
      [row('a', 6), row('b', 1)],
    ])
    expect(conflate([row('a', 1), row('a', 2)])).to.deep.equal([row('a', 3)])
  })

  it('keeps two rows that it throws at as two', () => {
    expect(conflate([[row('a', 1)], [row('a', 13)], [row('a', 2)]])).to.deep.equal([[row('a', 3), row('a', 13)]])
  })

  it('merges market events by their meaning all the same', () => {
    const merged = conflate([[delta([['99', '1']], [])], [delta([['98', '1']], [])]]).flat() as MarketEvent[]
    expect(merged.map(({ kind }) => kind)).to.deep.equal(['delta'])
  })
})

describe('conflateRows', () => {
  const written = (capacity: number, onFull: OnFull, rows: readonly unknown[]): unknown[] => {
    const queue = new BoundedQueue<unknown>({ capacity, onFull: conflateRows(onFull), ledger: emptyLedger() })
    for (const row of rows) queue.add(row)
    return queue.take(1_000)
  }

  it('leaves other policies as they are', () => {
    for (const onFull of ['block', 'keepLatest', { sample: 2 }] as const) expect(conflateRows(onFull)).to.equal(onFull)
  })

  it('merges the changes of a book on their way into a sink so that they leave the same book', () => {
    const events = [
      snapshot(
        [
          ['99', '1'],
          ['98', '2'],
        ],
        [['101', '1']],
        { seq: 1 },
      ),
      delta([['99', '0']], [], { prevSeq: 1, seq: 2 }),
      trade({ price: 99 }),
      delta([['97', '3']], [], { prevSeq: 2, seq: 3, exchange: 'okx' }),
      delta([['97', '3']], [['101', '5']], { prevSeq: 2, seq: 3 }),
    ]
    const merged = written(3, { conflate: 'instrument' }, events) as MarketEvent[]
    expect(merged.map(({ kind, exchange }) => `${kind} ${exchange}`)).to.deep.equal([
      'snapshot kraken',
      'trade kraken',
      'delta okx',
    ])
    expect(bookOf(merged.slice(0, 1))).to.deep.equal(bookOf(events.filter(({ exchange }) => exchange === 'kraken')))
  })

  it('merges nothing across a notice', () => {
    const events = [snapshot([['99', '1']], []), notice('gap'), snapshot([['98', '1']], []), delta([['97', '1']], [])]
    const merged = written(3, { conflate: 'instrument' }, events) as MarketEvent[]
    expect(merged.map(({ kind }) => kind)).to.deep.equal(['snapshot', 'notice', 'snapshot'])
  })

  it('keeps the latest of other rows by their key, or what merge makes of them', () => {
    const rows = [
      { key: 'a', n: 1 },
      { key: 'b', n: 2 },
      { key: 'a', n: 3 },
    ]
    const merge = (older: unknown, newer: unknown): unknown => [older, newer]
    expect(written(2, { conflate: 'key' }, rows)).to.deep.equal([rows[2], rows[1]])
    expect(written(2, { conflate: 'key', merge }, rows)).to.deep.equal([[rows[0], rows[2]], rows[1]])
    const [book] = written(1, { conflate: 'instrument' }, [viewOf([[1, 1]], []), viewOf([[2, 1]], [])]) as BookView[]
    expect(book!.bestBid()!.price).to.equal(2)
  })
})

describe('marketReceipts', () => {
  it('tells nothing when nothing was dropped', () => {
    expect(marketReceipts().take()).to.equal(undefined)
  })

  it('tells once what was dropped, a notice for each stream of an instrument and each reason', () => {
    const receipts = marketReceipts()
    receipts.add([trade({ receiveTimeUs: 5, id: '17' }), trade({ receiveTimeUs: 6, id: '18' })], 'dropOldest')
    receipts.add(
      [delta([], [], { exchange: 'okx', symbol: 'B', instrument: undefined, receiveTimeUs: 7 })],
      'dropOldest',
    )
    receipts.add([delta([], [], { receiveTimeUs: 8, seq: 40, firstSeq: 31 })], 'dropOldest')
    receipts.add([trade({ receiveTimeUs: 9, id: '19' }), delta([], [], { receiveTimeUs: 9, seq: 50 })], 'dropOldest')
    receipts.add([trade({ receiveTimeUs: 10, id: 'x-20' })], 'failed')
    const told = receipts.take() as MarketEvent[]
    const btc = { kind: 'notice', code: 'dropped', exchange: 'kraken', symbol: 'BTC/USD', instrument: 'BTC-USD' }
    expect(told.map((event) => ({ ...event }))).to.deep.equal([
      {
        ...btc,
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 9 },
        details: { events: 3, of: 'trades', reason: 'dropOldest', fromUs: 5, toUs: 9, fromSeq: 17, toSeq: 19 },
      },
      {
        ...{ kind: 'notice', code: 'dropped', exchange: 'okx', symbol: 'B', instrument: undefined },
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 7 },
        details: { events: 1, of: 'book', reason: 'dropOldest', fromUs: 7, toUs: 7 },
      },
      {
        ...btc,
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 9 },
        details: { events: 2, of: 'book', reason: 'dropOldest', fromUs: 8, toUs: 9, fromSeq: 31, toSeq: 50 },
      },
      {
        ...btc,
        ...{ exchangeTimeUs: undefined, receiveTimeUs: 10 },
        details: { events: 1, of: 'trades', reason: 'failed', fromUs: 10, toUs: 10 },
      },
    ])
    expect(receipts.take()).to.equal(undefined)
  })

  it('tells of a receipt that was dropped itself what that told', () => {
    const first = marketReceipts()
    first.add([delta([], [], { seq: 3 }), delta([], [], { seq: 4 })], 'sampled')
    const second = marketReceipts()
    second.add([delta([], [], { seq: 2 })], 'sampled')
    second.add(first.take(), 'dropNewest')
    const told = second.take() as MarketEvent[]
    expect(told.map((event) => event.kind === 'notice' && event.details)).to.deep.equal([
      { events: 3, of: 'book', reason: 'sampled', fromUs: 0, toUs: 0, fromSeq: 2, toSeq: 4 },
    ])
  })

  it('tells of single events one by one', () => {
    const single = marketReceipts()
    single.add(trade({ id: '1' }), 'dropNewest')
    single.add(delta([], []), 'dropNewest')
    expect([single.take(), single.take()].map((event) => (event as MarketEvent).kind)).to.deep.equal([
      'notice',
      'notice',
    ])
    expect(single.take()).to.equal(undefined)
  })

  it('tells of other rows what the edge makes of it, as they came', () => {
    const skipped: Skipped[] = []
    const broken: unknown[] = []
    const receipts = marketReceipts({
      receipt: (run) => {
        skipped.push(run)
        if (run.reason === 'failed') throw new Error('no')
        return { skipped: run.values }
      },
      onBroken: (thrown) => broken.push(thrown),
    })
    receipts.add(
      [
        { seq: 4, receiveTimeUs: 1 },
        { seq: 5, receiveTimeUs: 2 },
      ],
      'sampled',
    )
    receipts.add([{ seq: 6, receiveTimeUs: 3 }], 'failed')
    receipts.add({ price: 1 }, 'dropOldest')
    expect([receipts.take(), receipts.take(), receipts.take()]).to.deep.equal([
      [{ skipped: 2 }],
      { skipped: 1 },
      undefined,
    ])
    expect(broken).to.have.length(1)
    expect(skipped[0]).to.deep.equal({ values: 2, reason: 'sampled', fromUs: 1, toUs: 2, fromSeq: 4, toSeq: 5 })
    expect(skipped[2]).to.deep.include({ values: 1, fromUs: undefined, fromSeq: undefined })
  })

  it('says what it tells when it tells it', () => {
    const told: unknown[] = []
    const receipts = marketReceipts({ onTold: (notices) => told.push(...notices.map(({ symbol }) => symbol)) })
    const other = receipts.another!()
    other.add([trade()], 'dropNewest')
    expect(told).to.deep.equal([])
    other.take()
    expect(told).to.deep.equal(['BTC/USD'])
  })

  it('takes over the account of another place: first and last of both', () => {
    const receipts = marketReceipts()
    const later = receipts.another!()
    receipts.add([delta([], [], { seq: 1, receiveTimeUs: 1 })], 'sampled')
    later.add([delta([], [], { seq: 5, receiveTimeUs: 5 }), trade({ id: '9', receiveTimeUs: 6 })], 'sampled')
    receipts.absorb!(later)
    const told = receipts.take() as { details: unknown }[]
    expect(told.map(({ details }) => details)).to.deep.equal([
      { events: 2, of: 'book', reason: 'sampled', fromUs: 1, toUs: 5, fromSeq: 1, toSeq: 5 },
      { events: 1, of: 'trades', reason: 'sampled', fromUs: 6, toUs: 6, fromSeq: 9, toSeq: 9 },
    ])
    expect(later.take()).to.equal(undefined)
  })

  it('tells nothing of rows that are no market events', () => {
    const receipts = marketReceipts()
    for (const dropped of [[1, 2], [{ instrument: 'A' }], 'text', undefined, { kind: 'trade' }, []])
      receipts.add(dropped, 'dropOldest')
    expect(receipts.take()).to.equal(undefined)
  })

  it('names as many again when what was named was told, from whichever account', () => {
    const [one, other] = [marketReceipts(), marketReceipts()]
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 9_000; index++) {
        one.add([trade({ symbol: `S${index}`, instrument: undefined })], 'dropOldest')
      }
      other.absorb!(one)
      expect(other.take()).to.have.length(9_000)
    }
  })

  it('names a bounded number of instruments, and the rest as one for each exchange', () => {
    const receipts = marketReceipts()
    for (let index = 0; index < 10_100; index++) {
      receipts.add(
        [trade({ symbol: `S${index}`, instrument: undefined, exchange: index % 2 === 0 ? 'okx' : 'kraken' })],
        'dropOldest',
      )
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
