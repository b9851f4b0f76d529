import { expect } from 'chai'
import { map, tap, type OperatorFunction } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { Batch, MarketEvent } from '../../src/model/events'
import { countEvents } from '../../src/operators/countEvents'
import { ofKind } from '../../src/operators/ofKind'
import { summarizeBooks } from '../../src/operators/summarizeBooks'
import { toBooks } from '../../src/operators/toBooks'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { readsLevels } from '../../src/pipeline/levelReaders'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { simulateRun, type SimulateRunOptions, type SimulatedRun } from '../../src/testing/simulation/simulateRun'
import type { World } from '../../src/testing/simulation/world'

const BLOCK = { capacity: 10_000, onFull: 'block' } as const
const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']
const WISH = { exchanges: EXCHANGES, instruments: ['BTC-USDT', 'ETH-USDT', 'BTC-USDT-PERP'], depth: 50 } as const

type KeepBooks = () => OperatorFunction<Batch<MarketEvent>, Batch<BookView>>

/** As `toBooks`, and nobody is told that it reads no levels: deltas come as they always do. */
const plainBooks: KeepBooks = () => Object.assign(toBooks().bind(undefined), { needsEveryValue: true })

describe('Levels of book changes', () => {
  const reads = (build: (builder: PipelineBuilder) => void): boolean =>
    readsLevels(describePipeline('read', build).nodes)
  const books = feed({ ...WISH, channel: 'book' })
  const end = (): ReturnType<typeof memory> => memory({ capacity: 1 })

  it('are read by nobody where books are kept and other kinds are picked', () => {
    const read = reads(({ source, sink, merge }) => {
      const market = source('market', books, BLOCK)
      const notices = market.through('notices', ofKind('notice', 'trade'))
      const views = market.through('changes', ofKind('snapshot', 'delta')).through('books', toBooks())
      sink(merge('both', notices.through('rows', map(Object)), views.through('views', map(Object))), end(), BLOCK)
      sink(market.through('counts', countEvents({ everyMs: 1_000 })), end(), BLOCK)
    })
    expect(read).to.equal(false)
  })

  it('are read by sinks, by operators that do not say, and behind what only passes them', () => {
    const sources: ((builder: PipelineBuilder) => void)[] = [
      ({ source, sink }) => sink(source('market', books, BLOCK), end(), BLOCK),
      ({ source, sink }) => sink(source('market', books, BLOCK).through('own', map(Object)), end(), BLOCK),
      ({ source, sink }) => sink(source('market', books, BLOCK).through('deltas', ofKind('delta')), end(), BLOCK),
      ({ source, sink, merge }) => {
        const [one, other] = [source('one', books, BLOCK), source('other', books, BLOCK)]
        sink(merge('both', one, other).through('own', map(Object)), end(), BLOCK)
      },
    ]
    for (const build of sources) expect(reads(build)).to.equal(true)
  })

  it('are read by nobody where there are none', () => {
    const trades = feed({ ...WISH, channel: 'trades' })
    expect(reads(({ source, sink }) => sink(source('market', trades, BLOCK), end(), BLOCK))).to.equal(false)
  })
})

describe('A run whose deltas are packed', function () {
  this.timeout(180_000)

  /** Books before a stage that fails now and then and takes them with it, and whatever else may read a market. */
  const restarted =
    (keepBooks: KeepBooks) =>
    ({ source, sink, group }: PipelineBuilder): void => {
      const market = source('market', feed({ ...WISH, channels: ['book', 'trades'] }), BLOCK)
      sink(market.through('notices', ofKind('notice')), end('notices-sink'), BLOCK)
      sink(market.through('counts', countEvents({ everyMs: 500 })), end('counts-sink'), BLOCK)
      const restart = { restart: { atMost: 1_000, withinMs: 60_000, backoffMs: [100, 2_000] } } as const
      group('fragile', { onFailure: restart }, () => {
        const views = market.through('books', keepBooks())
        const judged = views.through(
          'judge',
          tap((batch) => {
            for (const { receiveTimeUs } of batch) if (receiveTimeUs % 97 === 0) throw new Error('It was this time.')
          }),
          { onFailure: 'escalate' },
        )
        sink(judged, end('views'), BLOCK)
      })
    }

  /** Books behind a mailbox that is too small, and before a stage that is too slow. */
  const conflated =
    (keepBooks: KeepBooks, world: () => World | undefined) =>
    ({ source, sink }: PipelineBuilder): void => {
      const edge = { capacity: 12, onFull: { conflate: 'symbol' } } as const
      const views = source('market', feed({ ...WISH, channels: ['book', 'trades'] }), edge).through(
        'books',
        keepBooks(),
      )
      const slow = views.through(
        'slow',
        tap(() => world()?.clock.spend(30)),
      )
      sink(slow.through('summaries', summarizeBooks({ levels: 5 })), end('summaries-sink'), BLOCK)
    }

  const end = (name: string): ReturnType<typeof memory> => memory({ capacity: 1, name })

  /** The same run, with and without packed deltas. */
  async function both(
    build: (keepBooks: KeepBooks, world: () => World | undefined) => (builder: PipelineBuilder) => void,
    options: SimulateRunOptions,
  ): Promise<readonly [packed: SimulatedRun, plain: SimulatedRun]> {
    const runs: SimulatedRun[] = []
    for (const keepBooks of [() => toBooks(), plainBooks]) {
      let world: World | undefined
      const { meanwhile } = options
      runs.push(
        await simulateRun(
          build(keepBooks, () => world),
          {
            ...options,
            meanwhile: async (run, its) => {
              world = its
              await meanwhile?.(run, its)
            },
          },
        ),
      )
    }
    return [runs[0]!, runs[1]!]
  }

  function expectSame([packed, plain]: readonly [packed: SimulatedRun, plain: SimulatedRun]): void {
    for (const [sink, lines] of plain.lines) {
      for (const [index, line] of lines.entries())
        expect(packed.lines.get(sink)![index], `${sink} ${index}`).to.equal(line)
    }
    expect(packed.summary).to.deep.equal(plain.summary)
    expect(packed.faults.map(({ message }) => message)).to.deep.equal(plain.faults.map(({ message }) => message))
    expect(packed.digest).to.equal(plain.digest)
  }

  for (const seed of [1, 2, 3]) {
    it(`is the same, through losses, resyncs and restarts (seed ${seed})`, async () => {
      const faults = 'drop=4s,skip=300ms,garbage=400ms'
      const runs = await both(restarted, { seed, seconds: 12, faults, network: { latencyMs: 15, jitterMs: 30 } })
      expectSame(runs)
      const { summary, lines } = runs[0]
      expect(lines.get('views')!.length).to.be.above(300)
      expect(summary.books.gaps).to.be.above(2)
      // The group has restarted its books with it, which then lack those that had no snapshot yet.
      expect(summary.stages.find(({ name }) => name === 'judge')!.failures).to.be.above(0)
    })

    it(`is the same where what waits is merged (seed ${seed})`, async () => {
      const runs = await both(conflated, { seed, seconds: 8, faults: 'skip=500ms', messagesPerSecond: 300 })
      expectSame(runs)
      expect(runs[0].summary.edges[0]!.dropped.conflated).to.be.above(15)
    })
  }

  it('gives a branch that comes later its levels, and goes on with its books', async () => {
    const options: SimulateRunOptions = {
      seed: 4,
      seconds: 6,
      faults: 'skip=500ms',
      meanwhile: async (run, world) => {
        await world.sleep(2_000)
        const branch = await run.attach(({ stream, sink }) => {
          sink(stream<Batch<MarketEvent>>('market'), end('visit'), BLOCK)
        })
        await world.sleep(2_000)
        await branch.detach()
      },
    }
    const runs = await both(restarted, options)
    expectSame(runs)
  })
})
