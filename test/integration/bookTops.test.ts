/** Complete tops in the place of changes, against the simulator: live without a question by REST, and equal to its own books. */
import { expect } from 'chai'
import { Subject } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { MarketEvent } from '../../src/model/events'
import { toBooks } from '../../src/operators/toBooks'
import { LiveMarket } from '../../src/pipeline/liveMarket'
import { wishOf } from '../../src/pipeline/wish'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'

const EXCHANGES = ['binance', 'binance-futures']
const INSTRUMENTS = ['BTC-USDT', 'BTC-USDT-PERP']
const DEPTH = 10

describe('Tops of books from the simulator', () => {
  let simulator: RunningSimulator
  let market: LiveMarket

  before(async () => {
    simulator = await startSimulator({
      exchanges: EXCHANGES,
      messagesPerSecond: 400,
      seed: 5,
      instruments: INSTRUMENTS,
    })
    market = new LiveMarket({
      wishes: [
        wishOf(
          { exchanges: EXCHANGES, instruments: INSTRUMENTS, channel: 'book', depth: DEPTH, bookTops: true },
          EXCHANGES,
        ),
      ],
      addresses: simulator.addresses,
    })
  })

  after(async () => {
    await market.stop(1_000)
    await simulator.stop()
  })

  it('are live from the first frame on, and right', async () => {
    const views = new Map<string, BookView>()
    const kinds = new Set<string>()
    const roles = new Set<string>()
    const batches = new Subject<readonly MarketEvent[]>()
    batches.pipe(toBooks()).subscribe((batch) => {
      for (const view of batch) views.set(view.exchange, view)
    })
    await market.start({
      record: (record) => {
        if (record.dir === 'rest') roles.add(record.role)
      },
      events: (_, events) => {
        for (const { kind } of events) kinds.add(kind)
        batches.next(events)
      },
      fault: (fault) => {
        throw fault
      },
      ended: () => undefined,
    })
    await market.ready
    // Tops are sent at intervals: each book is the exchange's own again whenever one has just come.
    for (const exchange of EXCHANGES) {
      for (const { symbol, market: part } of simulator.symbols(exchange)) {
        for (const side of ['bids', 'asks'] as const) {
          await eventually(
            () => {
              const truth = simulator.book(exchange, symbol, part)
              const theirs = truth[side].slice(0, DEPTH).map(([price, size]) => [Number(price), Number(size)])
              expect(views.get(exchange)![side](DEPTH + 1), `${side} of ${exchange}`).to.deep.equal(theirs)
            },
            { everyMs: 1 },
          )
        }
      }
    }
    expect([...kinds].sort()).to.deep.equal(['notice', 'snapshot'])
    expect([...roles]).to.deep.equal(['instruments'])
  })
})
