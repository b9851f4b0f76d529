import { expect } from 'chai'
import fc from 'fast-check'
import { map, range, Subject, take } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Notice } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { consolidate, type ConsolidatedQuote } from '../../src/operators/consolidate'
import { summarizeBooks } from '../../src/operators/summarizeBooks'
import { notice, viewOf } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'

describe('consolidate', () => {
  /** A book with one level a side; `undefined` for an empty side. */
  const book = (
    exchange: string,
    bid: readonly [number, number] | undefined,
    ask: readonly [number, number] | undefined,
    receiveTimeUs = 0,
    instrument: string | undefined = 'BTC-USDT',
  ): BookView =>
    viewOf(bid === undefined ? [] : [bid], ask === undefined ? [] : [ask], { exchange, instrument, receiveTimeUs })

  keepsTheLaws((clock) => consolidate({ expireMs: 100, clock }), [[book('okx', [99, 1], [101, 1])]])

  const started = (options: { booksMax?: number; startUs?: number } = {}) => {
    const clock = new VirtualClock(options.startUs)
    const source = new Subject<(BookView | Notice)[]>()
    const out: ConsolidatedQuote[][] = []
    const { booksMax } = options
    source
      .pipe(consolidate({ expireMs: 100, clock, ...(booksMax === undefined ? {} : { booksMax }) }))
      .subscribe((quotes) => out.push([...quotes]))
    return { clock, source, out }
  }

  const short = ({ bidPrice, bidExchange, askPrice, askExchange, exchanges }: ConsolidatedQuote): string =>
    `${bidPrice ?? '-'}@${bidExchange ?? '-'} ${askPrice ?? '-'}@${askExchange ?? '-'} of ${exchanges}`

  it('joins the best bid and the best ask of all exchanges, and says whose they are', () => {
    const { source, out } = started()
    source.next([book('okx', [99, 1], [101, 2], 5)])
    source.next([book('bybit', [100, 3], [102, 4], 7)])
    expect(out).to.have.length(2)
    expect(short(out[0]![0]!)).to.equal('99@okx 101@okx of 1')
    expect(out[1]).to.deep.equal([
      {
        kind: 'quote',
        exchange: 'consolidated',
        symbol: 'BTC-USDT',
        instrument: 'BTC-USDT',
        exchangeTimeUs: undefined,
        receiveTimeUs: 7,
        bidPrice: 100,
        bidSize: 3,
        bidExchange: 'bybit',
        askPrice: 101,
        askSize: 2,
        askExchange: 'okx',
        mid: 100.5,
        spread: 1,
        spreadBps: (1 / 100.5) * 10_000,
        dislocationBps: 0,
        exchanges: 2,
      },
    ])
  })

  it('shows by a negative spread, and its dislocation, that exchanges are crossed', () => {
    const { source, out } = started()
    source.next([book('okx', [99, 1], [100, 1]), book('bybit', [102, 1], [103, 1])])
    expect(out[0]![0]).to.include({ spread: -2, mid: 101, dislocationBps: (2 / 101) * 10_000 })
  })

  it('emits one batch for a batch, with each instrument that changed once, by name', () => {
    const { source, out } = started()
    source.next([
      book('okx', [1, 1], [2, 1], 0, 'ETH-USDT'),
      book('okx', [99, 1], [101, 1]),
      book('bybit', [98, 1], [100, 1]),
    ])
    expect(out.map((quotes) => quotes.map(({ instrument }) => instrument))).to.deep.equal([['BTC-USDT', 'ETH-USDT']])
  })

  it('says nothing when a book changes behind the best prices', () => {
    const { source, out } = started()
    source.next([book('okx', [99, 1], [101, 1])])
    source.next([book('okx', [99, 1], [101, 1], 5)])
    expect(out).to.have.length(1)
  })

  it('prefers the larger size at equal prices, then the first by name, whoever came first', () => {
    for (const order of [
      ['okx', 'bybit', 'kraken'],
      ['kraken', 'bybit', 'okx'],
    ]) {
      const { source, out } = started()
      source.next(order.map((exchange) => book(exchange, [99, exchange === 'okx' ? 2 : 1], [101, 1])))
      expect(short(out[0]![0]!)).to.equal('99@okx 101@bybit of 3')
    }
  })

  it('knows empty sides, and has no mid without both', () => {
    const { source, out } = started()
    source.next([book('okx', undefined, [101, 1])])
    expect(short(out[0]![0]!)).to.equal('-@- 101@okx of 1')
    expect(out[0]![0]).to.include({
      mid: undefined,
      spread: undefined,
      spreadBps: undefined,
      dislocationBps: undefined,
    })
    source.next([book('bybit', [99, 1], undefined)])
    expect(short(out[1]![0]!)).to.equal('99@bybit 101@okx of 2')
  })

  it('leaves out an exchange that falls silent, and says so at that moment', () => {
    const { clock, source, out } = started()
    source.next([book('okx', [99, 1], [101, 1], 0)])
    clock.advance(40)
    source.next([book('bybit', [98, 1], [102, 1], 40_000)])
    clock.advance(59)
    expect(out).to.have.length(2)
    clock.advance(1)
    expect(out.slice(2).flat().map(short)).to.deep.equal(['98@bybit 102@bybit of 1'])
    expect(out[2]![0]!.receiveTimeUs).to.equal(100_000)
    clock.advance(40)
    expect(out.slice(3).flat().map(short)).to.deep.equal(['-@- -@- of 0'])
    expect(out[3]![0]!.receiveTimeUs).to.equal(140_000)
    expect(clock.pending).to.equal(0)
  })

  it('keeps an exchange as long as its book changes, with one timer', () => {
    const { clock, source, out } = started()
    for (let ms = 0; ms < 1_000; ms += 50) {
      clock.advanceTo(ms * 1_000)
      source.next([book('okx', [99, 1 + ms], [101, 1], ms * 1_000)])
      expect(clock.pending).to.equal(1)
    }
    expect(out.flat().every(({ exchanges }) => exchanges === 1)).to.equal(true)
    clock.advanceTo(1_049_999)
    expect(out.at(-1)![0]!.exchanges).to.equal(1)
    clock.advanceTo(1_050_000)
    expect(out.at(-1)![0]).to.include({ exchanges: 0, receiveTimeUs: 1_050_000 })
  })

  it('welcomes an exchange back, also with the quote it left with', () => {
    const { clock, source, out } = started()
    source.next([book('okx', [99, 1], [101, 1])])
    clock.advance(200)
    source.next([book('okx', [99, 1], [101, 1], 200_000)])
    expect(out.flat().map(short)).to.deep.equal(['99@okx 101@okx of 1', '-@- -@- of 0', '99@okx 101@okx of 1'])
  })

  it('does not believe a book that waited for longer than it is good for', () => {
    const { clock, source, out } = started()
    clock.advance(500)
    source.next([book('okx', [99, 1], [101, 1], 399_000), book('bybit', [98, 1], [102, 1], 450_000)])
    expect(out.flat().map(short)).to.deep.equal(['98@bybit 102@bybit of 1'])
    source.next([book('bybit', [98, 9], [102, 1], 400_000)])
    expect(out.slice(1).flat().map(short)).to.deep.equal(['-@- -@- of 0'])
  })

  it('expires by the time of the events when they are of another time than the clock', () => {
    const { clock, source, out } = started({ startUs: 1e15 })
    source.next([book('okx', [99, 1], [101, 1], 1_000_000)])
    clock.advance(10_000)
    expect(out).to.have.length(1)
    source.next([book('bybit', [98, 1], [102, 1], 1_050_000)])
    source.next([book('bybit', [98, 2], [102, 1], 1_100_000)])
    expect(out.flat().map(short)).to.deep.equal([
      '99@okx 101@okx of 1',
      '99@okx 101@okx of 2',
      '98@bybit 102@bybit of 1',
      '98@bybit 102@bybit of 1',
    ])
    expect(clock.pending).to.equal(0)
  })

  it('leaves out at once a book that is stale, and takes it in again when it speaks', () => {
    const { source, out } = started()
    const stale = (details: Record<string, unknown>): Notice =>
      notice('stale', { exchange: 'okx', instrument: 'BTC-USDT', details })
    source.next([book('okx', [99, 1], [101, 1])])
    source.next([stale({ channel: 'trades' })])
    expect(out.map(([quote]) => quote!.exchanges)).to.deep.equal([1])
    source.next([stale({ channel: 'book' })])
    expect(out.map(([quote]) => quote!.exchanges)).to.deep.equal([1, 0])
    source.next([stale({ channel: 'book', ended: true }), book('okx', [99, 1], [101, 1])])
    expect(out.map(([quote]) => quote!.exchanges)).to.deep.equal([1, 0, 1])
  })

  it('leaves out at once a book that a notice puts in doubt, and all of an exchange when it is not said which', () => {
    const { source, out } = started()
    source.next([
      book('okx', [99, 1], [101, 1]),
      book('bybit', [98, 1], [102, 1]),
      book('okx', [5, 1], [6, 1], 0, 'ETH-USDT'),
    ])
    source.next([notice('gap', { exchange: 'okx', instrument: 'BTC-USDT' })])
    source.next([notice('connected', { exchange: 'bybit', symbol: '', instrument: undefined })])
    source.next([notice('disconnected', { exchange: 'bybit', symbol: '', instrument: undefined })])
    source.next([notice('dropped', { exchange: 'okx', symbol: '', instrument: undefined })])
    expect(out.slice(1).map((quotes) => quotes.map(short))).to.deep.equal([
      ['98@bybit 102@bybit of 1'],
      ['-@- -@- of 0'],
    ])
  })

  it('leaves out books without a unified name', () => {
    const { source, out } = started()
    const unnamed = viewOf([[1, 1]], [[2, 1]], { instrument: undefined })
    source.next([unnamed, notice('gap', { instrument: undefined })])
    expect(out).to.deep.equal([])
  })

  it('drops the book that has not changed for longest when it is full', () => {
    const { source, out } = started({ booksMax: 2 })
    source.next([book('okx', [99, 1], [101, 1])])
    source.next([book('bybit', [98, 1], [102, 1])])
    source.next([book('okx', [99, 2], [101, 1])])
    source.next([book('kraken', [97, 1], [103, 1])])
    expect(short(out.at(-1)![0]!)).to.equal('99@okx 101@okx of 2')
    source.next([book('okx', [5, 1], [6, 1], 0, 'ETH-USDT'), book('okx', [5, 1], [6, 1], 0, 'SOL-USDT')])
    expect(out.at(-1)!.map((quote) => `${quote.instrument} ${quote.exchanges}`)).to.deep.equal([
      'BTC-USDT 0',
      'ETH-USDT 1',
      'SOL-USDT 1',
    ])
  })

  it('gives the same from summaries as from views', () => {
    const clock = new VirtualClock()
    const source = new Subject<BookView[]>()
    const [fromViews, fromSummaries]: [unknown[], unknown[]] = [[], []]
    source.pipe(consolidate({ expireMs: 100, clock })).subscribe((quotes) => fromViews.push(quotes))
    source
      .pipe(summarizeBooks({ levels: 1 }), consolidate({ expireMs: 100, clock }))
      .subscribe((quotes) => fromSummaries.push(quotes))
    source.next([book('okx', [99, 1], [101, 1]), book('bybit', undefined, [100.5, 1])])
    source.next([book('kraken', [99.5, 2], undefined)])
    expect(fromSummaries).to.deep.equal(fromViews).and.to.have.length(2)
  })

  it('is at every moment what looking at all fresh books anew would give', () => {
    const step = fc.record({
      exchange: fc.constantFrom('a', 'b', 'c'),
      instrument: fc.constantFrom('X', 'Y'),
      bid: fc.option(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 })), { nil: undefined }),
      ask: fc.option(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 })), { nil: undefined }),
      waitMs: fc.integer({ min: 0, max: 120 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { clock, source, out } = started()
        const books = new Map<string, { step: (typeof steps)[number]; atUs: number }>()
        for (const next of steps) {
          clock.advance(next.waitMs)
          books.set(`${next.instrument} ${next.exchange}`, { step: next, atUs: clock.nowUs() })
          source.next([book(next.exchange, next.bid, next.ask, clock.nowUs(), next.instrument)])
          for (const instrument of ['X', 'Y']) {
            const fresh = [...books.values()].filter(
              (known) => known.step.instrument === instrument && known.atUs + 100_000 > clock.nowUs(),
            )
            const bids = fresh.flatMap(({ step: { bid } }) => (bid === undefined ? [] : [bid[0]]))
            const asks = fresh.flatMap(({ step: { ask } }) => (ask === undefined ? [] : [ask[0]]))
            const last = out.flat().findLast((quote) => quote.instrument === instrument)
            if (last === undefined) expect(fresh).to.have.length(0)
            else {
              expect(last.exchanges).to.equal(fresh.length)
              expect(last.bidPrice).to.equal(bids.length === 0 ? undefined : Math.max(...bids))
              expect(last.askPrice).to.equal(asks.length === 0 ? undefined : Math.min(...asks))
            }
          }
        }
      }),
      { seed: 7, numRuns: 200 },
    )
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(1, Number.MAX_SAFE_INTEGER)
      .pipe(
        map((size) => [book('okx', [99, size], [101, 1])]),
        consolidate({ expireMs: 100, clock: new VirtualClock() }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  it('refuses unusable options', () => {
    expect(() => consolidate({ expireMs: 0 })).to.throw(Fault, /consolidate: expireMs is 0/)
    expect(() => consolidate({ expireMs: 1, booksMax: -1 })).to.throw(Fault, /booksMax is -1/)
  })
})
