/**
 * The engine against the exchange simulator while connections drop, deltas go missing and checksums are wrong: in the end
 * every book is the simulator's own, and each fault has been noticed.
 */
import { expect } from 'chai'
import { map, merge, Subject, type Subscription } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { MarketEvent, Notice } from '../../src/model/events'
import { feed, type MarketSource } from '../../src/pipeline/sources'
import { toBooks } from '../../src/operators/toBooks'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'

const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'BTC-USDT-PERP']

/** Levels a side that are compared: what the shallowest of the subscribed channels holds. */
const DEPTH = 100

describe('The engine against the simulator', () => {
  let simulator: RunningSimulator
  let subscription: Subscription
  const views = new Map<string, BookView>()
  const notices: Notice[] = []

  beforeEach(async () => {
    views.clear()
    notices.length = 0
    simulator = await startSimulator({ messagesPerSecond: 800, seed: 7, instruments: INSTRUMENTS })
    const events = new Subject<readonly MarketEvent[]>()
    subscription = new Subject<never>().subscribe()
    events.pipe(toBooks()).subscribe((batch) => {
      for (const view of batch) views.set(keyOf(view), view)
    })
    events.subscribe((batch) => {
      for (const event of batch) {
        if (event.kind !== 'notice') continue
        notices.push(event)
        if (event.symbol !== '' && event.code !== 'resynced') views.delete(keyOf(event))
      }
    })
    const source: MarketSource = feed({
      exchanges: EXCHANGES,
      instruments: INSTRUMENTS,
      channel: 'book',
      depth: DEPTH,
      addresses: simulator.addresses,
    })
    subscription.add(
      merge(source)
        .pipe(map((batch) => [...batch]))
        .subscribe(events),
    )
    await eventually(() => expect(views.size, [...views.keys()].join(' ')).to.equal(books().length))
  })

  afterEach(async () => {
    subscription.unsubscribe()
    await simulator.stop()
  })

  it('keeps every book equal to the simulator’s when nothing goes wrong', async () => {
    await compareAll()
    expect(notices.filter((notice) => notice.code === 'gap')).to.deep.equal([])
  })

  it('notices a dropped connection of each exchange and ends with every book right', async () => {
    for (const exchange of EXCHANGES) {
      simulator.inject({ kind: 'drop', exchange })
      await noticed(exchange, 'disconnected')
    }
    await compareAll()
  })

  it('notices a skipped delta and repairs that book alone', async () => {
    // Coinbase sends neither numbers nor checksums: a lost delta shows only when the book crosses.
    for (const exchange of EXCHANGES.filter((id) => id !== 'coinbase')) {
      simulator.inject({ kind: 'skip', exchange })
      await noticed(exchange, 'gap')
      await noticed(exchange, 'resynced')
    }
    const gaps = new Set(notices.filter((notice) => notice.code === 'gap').map((notice) => keyOf(notice)))
    expect(gaps.size, 'books that had a gap').to.be.at.most(EXCHANGES.length)
    await compareAll(EXCHANGES.filter((id) => id !== 'coinbase'))
  })

  it('notices a wrong checksum and asks for the book again', async () => {
    simulator.inject({ kind: 'checksum', exchange: 'kraken' })
    const gap = await noticed('kraken', 'gap')
    expect(gap.details['code']).to.equal('BOOK_CHECKSUM')
    await noticed('kraken', 'resynced')
    await compareAll()
  })

  function books(): { exchange: string; symbol: string; name: string; market: string }[] {
    return EXCHANGES.flatMap((exchange) =>
      simulator
        .symbols(exchange)
        .filter(({ name }) => INSTRUMENTS.includes(name))
        .map((each) => ({ exchange, ...each })),
    )
  }

  async function noticed(exchange: string, code: string): Promise<Notice> {
    let found: Notice | undefined
    await eventually(() => {
      found = notices.find((notice) => notice.exchange === exchange && notice.code === code)
      expect(found, `${code} of ${exchange}`).to.not.equal(undefined)
    })
    return found!
  }

  async function compareAll(exchanges: readonly string[] = EXCHANGES): Promise<void> {
    await eventually(() => expect(views.size).to.equal(books().length))
    await simulator.freeze()
    await eventually(() => {
      for (const { exchange, symbol, name, market } of books()) {
        if (!exchanges.includes(exchange)) continue
        const truth = simulator.book(exchange, symbol, market)
        const view = views.get(`${exchange} ${name}`)
        expect(view, `${exchange} ${name} is live`).to.not.equal(undefined)
        for (const side of ['bids', 'asks'] as const) {
          const theirs = truth[side].slice(0, DEPTH).map(([price, size]) => [Number(price), Number(size)])
          expect(view![side](DEPTH), `${side} of ${exchange} ${name}`).to.deep.equal(theirs)
        }
      }
    })
  }
})

function keyOf(of: { exchange: string; instrument: string | undefined; symbol: string }): string {
  return `${of.exchange} ${of.instrument ?? of.symbol}`
}
