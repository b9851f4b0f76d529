/**
 * Stages that have lost their books behind a feed that has not: whatever the exchange, a refresh gives them the simulator's
 * own books, those beside them never notice, and a replay of what was received gives the same events.
 */
import { expect } from 'chai'
import { Subject } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { exchangeById } from '../../src/exchanges/exchanges'
import { kept, type SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import { toBooks } from '../../src/operators/toBooks'
import { LiveMarket } from '../../src/pipeline/liveMarket'
import { wishOf } from '../../src/pipeline/wish'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'

const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']
const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'BTC-USDT-PERP']
/** Levels a side that are compared: what the shallowest of the subscribed channels holds. */
const DEPTH = 100

describe('A refresh of books against the simulator', () => {
  let simulator: RunningSimulator
  let market: LiveMarket
  const records: SessionRecord[] = []
  const events: MarketEvent[] = []
  const batches = new Subject<readonly MarketEvent[]>()

  /** A stage that keeps books, from now on. */
  function stage(): Map<string, BookView> {
    const views = new Map<string, BookView>()
    batches.pipe(toBooks()).subscribe((batch) => {
      for (const view of batch) views.set(`${view.exchange} ${view.instrument ?? view.symbol}`, view)
    })
    return views
  }

  const books = () =>
    EXCHANGES.flatMap((exchange) =>
      simulator
        .symbols(exchange)
        .filter(({ name }) => INSTRUMENTS.includes(name))
        .map((each) => ({ exchange, ...each })),
    )

  before(async () => {
    simulator = await startSimulator({ messagesPerSecond: 800, seed: 11, instruments: INSTRUMENTS })
    market = new LiveMarket({
      wishes: [wishOf({ exchanges: EXCHANGES, instruments: INSTRUMENTS, channel: 'book', depth: DEPTH }, EXCHANGES)],
      addresses: simulator.addresses,
    })
  })

  after(async () => {
    await market.stop(1_000)
    await simulator.stop()
  })

  it('gives a stage that begins anew every book, while those beside it never notice', async () => {
    const old = stage()
    await market.start({
      record: (record) => records.push(kept(record)),
      events: (_record, batch) => {
        events.push(...batch)
        batches.next(batch)
      },
      fault: (fault) => {
        throw fault
      },
      ended: () => undefined,
    })
    await market.ready

    const stages = [old]
    for (let round = 0; round < 2; round++) {
      const fresh = stage()
      stages.push(fresh)
      market.refresh('all')
      await eventually(() => expect(fresh.size).to.equal(books().length))
    }
    const named = stage()
    stages.push(named)
    const wanted = books().filter(({ name }) => name === 'ETH-USDT')
    market.refresh(wanted)
    await eventually(() => expect(named.size).to.be.at.least(wanted.length))
    expect(
      [...named.keys()].every((key) => wanted.some(({ exchange, name }) => key === `${exchange} ${name}`)),
    ).to.equal(true)

    await simulator.freeze()
    await eventually(() => {
      for (const views of stages) {
        for (const { exchange, symbol, name, market: part } of views === named ? wanted : books()) {
          const truth = simulator.book(exchange, symbol, part)
          for (const side of ['bids', 'asks'] as const) {
            const theirs = truth[side].slice(0, DEPTH).map(([price, size]) => [Number(price), Number(size)])
            const ours = views.get(`${exchange} ${name}`)!
            expect(ours[side](DEPTH), `${side} of ${exchange} ${name}`).to.deep.equal(theirs)
          }
        }
      }
    })
    const told = events.filter((event) => event.kind === 'notice').map(({ code }) => code)
    expect(new Set(told)).to.deep.equal(new Set(['connected']))
  })

  it('is in the recording: a replay gives the same events', () => {
    const sessions = new Sessions({ protocolOf: exchangeById, wholeList: true })
    const replayed = records.flatMap((record) => sessions.apply(record))
    expect(replayed).to.have.length(events.length)
    for (const [index, event] of replayed.entries()) expect(event).to.deep.equal(events[index])
  })
})
