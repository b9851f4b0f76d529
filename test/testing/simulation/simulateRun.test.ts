import { expect } from 'chai'
import { map, mergeMap, take } from 'rxjs'
import { balances } from '../../../src/actors/ledger'
import type { BookView } from '../../../src/book/bookView'
import type { Batch } from '../../../src/model/events'
import { consolidate } from '../../../src/operators/consolidate'
import { timeBars } from '../../../src/operators/timeBars'
import { toBooks } from '../../../src/operators/toBooks'
import { pipeline } from '../../../src/pipeline/pipeline'
import { feed } from '../../../src/pipeline/sources'
import { jsonLines } from '../../../src/sinks/jsonLines'
import { memory, type MemorySink } from '../../../src/sinks/memory'
import { simulateRun } from '../../../src/testing/simulation/simulateRun'

const BLOCK = { capacity: 10_000, onFull: 'block' } as const

const quotesAndBars = pipeline('quotes-and-bars', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['binance', 'kraken'], instruments: ['BTC-USDT'], channels: ['trades', 'book'], depth: 50 }),
    BLOCK,
  )
  sink(market.through('bars', timeBars({ everyMs: 1_000 })), jsonLines('bars.jsonl', { name: 'bars-sink' }), BLOCK)
  const books = market.through('books', toBooks({ depth: 20 }))
  sink(
    books.through('quotes', consolidate({ expireMs: 2_000 })),
    jsonLines('quotes.jsonl', { name: 'quotes-sink' }),
    BLOCK,
  )
})

describe('simulateRun', function () {
  it('runs a pipeline without touching its files, and says what they would hold', async () => {
    const { summary, lines, faults, timersLeft, uncaught } = await simulateRun(quotesAndBars, { seconds: 5 })
    expect(summary.problems).to.deep.equal([])
    expect(faults).to.deep.equal([])
    expect([timersLeft, uncaught]).to.deep.equal([0, []])
    expect([...lines.keys()]).to.have.members(['bars-sink', 'quotes-sink'])
    const bars = lines.get('bars-sink')!.map((line) => JSON.parse(line) as { kind: string; openTimeUs: number })
    expect(bars.length).to.be.greaterThan(4)
    expect(bars.every(({ kind, openTimeUs }) => kind === 'bar' && openTimeUs % 1_000_000 === 0)).to.equal(true)
    expect(summary.sinks.map(({ name, written }) => [name, written])).to.deep.equal(
      ['bars-sink', 'quotes-sink'].map((name) => [name, lines.get(name)!.length]),
    )
    for (const edge of summary.edges) expect([edge.inFlight, balances(edge)], edge.to).to.deep.equal([0, true])
  })

  it('gives the same run for the same seed, and another one for another', async () => {
    const options = { seconds: 3, faults: 'drop=1s,skip=500ms', network: { latencyMs: 20, jitterMs: 10 } }
    const first = await simulateRun(quotesAndBars, { ...options, seed: 5 })
    const second = await simulateRun(quotesAndBars, { ...options, seed: 5 })
    const other = await simulateRun(quotesAndBars, { ...options, seed: 6 })
    expect(second.digest).to.equal(first.digest)
    expect(second.lines).to.deep.equal(first.lines)
    expect(other.digest).to.not.equal(first.digest)
    expect(first.summary.faults).to.have.property('FEED_CLOSED')
  })

  it('writes the pipeline’s own sinks when they are of memory', async () => {
    const kept: MemorySink<BookView> = memory<BookView>({ capacity: 10_000 })
    const { lines } = await simulateRun(
      ({ source, sink }) => {
        const market = source('market', feed({ exchanges: ['okx'], instruments: ['ETH-USDT'], channel: 'book' }), BLOCK)
        sink(market.through('books', toBooks()), kept, BLOCK)
      },
      { seconds: 2, sinks: 'own' },
    )
    expect(lines.size).to.equal(0)
    expect(kept.values.length).to.be.greaterThan(100)
  })

  it('stops a run that waits for the real machine, and says so', async () => {
    let real: NodeJS.Timeout | undefined
    const error = await failureOf(
      simulateRun(
        ({ source, sink }) => {
          const market = source(
            'market',
            feed({ exchanges: ['okx'], instruments: ['ETH-USDT'], channel: 'trades' }),
            BLOCK,
          )
          const wait = mergeMap(() => new Promise<number>((resolve) => (real = setTimeout(resolve, 600_000, 1))))
          const waiting = market.through('wait', (batches) => batches.pipe(take(1), wait))
          sink(waiting, memory({ capacity: 1_000 }), BLOCK)
        },
        { seconds: 3_600, sinks: 'own' },
      ),
    )
    clearTimeout(real)
    expect(error.message).to.include('Something real is waited for (Timeout)')
  })

  it('says when nothing is left that could happen', async () => {
    const error = await failureOf(
      simulateRun(quotesAndBars, { seconds: 1, meanwhile: () => new Promise(() => undefined), faults: '' }).then(
        () => undefined,
      ),
    )
    expect(error.message).to.match(/deadlock|more than .* simulated time/)
    expect(error.message).to.include('what happens meanwhile')
  })

  it('lets a branch come and go while it runs', async () => {
    const { lines, summary } = await simulateRun(quotesAndBars, {
      seconds: 4,
      async meanwhile(run, world) {
        await run.ready
        const branch = await run.attach(({ stream, sink }) => {
          const views = stream<Batch<BookView>>('books').through(
            'count',
            map(({ length }) => length),
          )
          sink(views, memory<number>({ capacity: 100_000, name: 'visitor' }), BLOCK)
        })
        await world.sleep(1_000)
        await branch.detach()
      },
    })
    expect(lines.get('bars-sink')!.length).to.be.greaterThan(2)
    expect(summary.sinks.find(({ name }) => name === 'visitor')?.written).to.be.greaterThan(20)
  })

  it('refuses times that are none', async () => {
    for (const seconds of [0, -1, Number.NaN, Infinity]) {
      const error = await failureOf(simulateRun(quotesAndBars, { seconds }))
      expect(error.message).to.include('seconds')
    }
  })

  it('runs through 24 hours of market time in seconds', async () => {
    const started = process.cpuUsage()
    const { summary, lines, steps } = await simulateRun(
      ({ source, sink }) => {
        const market = source(
          'market',
          feed({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channels: ['trades', 'book'], depth: 10 }),
          BLOCK,
        )
        sink(
          market.through('bars', timeBars({ everyMs: 60_000, emitEmpty: true })),
          memory({ capacity: 1, name: 'bars-sink' }),
          BLOCK,
        )
        sink(market.through('books', toBooks({ depth: 10 })), memory({ capacity: 1, name: 'views' }), BLOCK)
      },
      { seconds: 86_400, messagesPerSecond: 0.3, depth: 50 },
    )
    expect(summary.seconds).to.be.within(86_400, 86_405)
    expect(summary.problems).to.deep.equal([])
    expect(lines.get('bars-sink')!.length).to.be.within(1_380, 1_441)
    expect(lines.get('views')!.length).to.be.greaterThan(10_000)
    if (process.env['SHOW'] !== undefined) console.log(steps, process.cpuUsage(started).user / 1_000)
    expect(process.cpuUsage(started).user / 1_000, `${steps} steps`).to.be.lessThan(60_000)
  })
})

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (thrown) {
    return thrown as Error
  }
  throw new Error('It was expected to fail.')
}
