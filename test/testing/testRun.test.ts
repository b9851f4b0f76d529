import { expect } from 'chai'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { map, mergeAll, NEVER, Observable, of, tap } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { every } from '../../src/clock/clock'
import { currentClock } from '../../src/clock/currentClock'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { bars } from '../../src/operators/bars'
import { ofKind } from '../../src/operators/ofKind'
import type { Bar } from '../../src/operators/timeBars'
import { toBooks } from '../../src/operators/toBooks'
import { pipeline } from '../../src/pipeline/pipeline'
import type { PipelineBuilder } from '../../src/pipeline/description'
import { feed } from '../../src/pipeline/sources'
import { jsonLines } from '../../src/sinks/jsonLines'
import { memory } from '../../src/sinks/memory'
import { failAt } from '../../src/testing/faults'
import { withoutLeaks } from '../../src/testing/leaks'
import { expectBalanced } from '../../src/testing/ledger'
import { sinkProbe } from '../../src/testing/sinkProbe'
import type { BookSides } from '../../src/workers/bookDepth'
import { sortBooks, type SortedBook } from '../../src/workers/sortBooks'
import { startTestRun, testRun } from '../../src/testing/testRun'
import { snapshot, trade } from '../kit/marketEvents'
import { rejectionOf } from './failureOf'

const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades', 'book'] } as const
const roomy = { capacity: 10_000, onFull: 'block' } as const
const FIRST_US = 1_760_000_000_000_000
const atMs = (ms: number, fields: Partial<Trade> = {}): Trade =>
  trade({ receiveTimeUs: FIRST_US + ms * 1_000, ...fields })

function tradeBars({ source, sink }: PipelineBuilder): void {
  const trades = source('market', feed(WISH), roomy).through('only-trades', ofKind('trade'))
  sink(trades.through('bars-1s', bars.time({ everyMs: 1_000 })), jsonLines('bars.jsonl'), { ...roomy, name: 'bars' })
  sink(trades, jsonLines('trades.jsonl'), { ...roomy, name: 'trades' })
}

describe('A test run', () => {
  it('gives what each sink got, the faults, the edges and the summary', async () => {
    const result = await testRun(tradeBars, {
      batches: [
        [atMs(100, { price: 10, id: '1' }), atMs(100, { price: 12, id: '2' })],
        [atMs(900, { price: 11, id: '3' })],
        [atMs(1_200, { price: 13, id: '4' })],
      ],
    })
    expect(result.values<Trade>('trades').map(({ id }) => id)).to.deep.equal(['1', '2', '3', '4'])
    const [first, second] = result.values<Bar>('bars')
    expect(first).to.include({ open: 10, high: 12, low: 10, close: 11 })
    expect(second).to.include({ open: 13, close: 13 })
    expect([...result.sinks.keys()]).to.deep.equal(['bars', 'trades'])
    expect(result.faults).to.deep.equal([])
    expect(result.summary).to.deep.include({ format: 'millrace-run/1', mode: 'live', problems: [] })
    expect(result.edges).to.equal(result.summary.edges)
    expect([result.pauses, result.resumes]).to.deep.equal([0, 0])
    expectBalanced(result.summary)
  })

  it('closes what the clock closes, between batches and after the last', async () => {
    const batches = [[atMs(100)], [atMs(60_100)]]
    const { values } = await testRun(tradeBars, { batches, forMs: 5_000 })
    expect(values<Bar>('bars')).to.have.length(2)
    const run = startTestRun(tradeBars, { startUs: FIRST_US })
    await run.send([atMs(100)])
    await run.advance(850)
    expect(run.values('bars')).to.have.length(0)
    await run.advance(200)
    expect(run.values('bars')).to.have.length(1)
    expect(run.status()).to.include({ records: 1, events: 1 })
    expectBalanced(run.status())
    expectBalanced((await run.stop()).summary)
  })

  it('gives the same for the same, hours of the market within moments', async () => {
    const hours = (): Promise<unknown> => {
      const batches = Array.from({ length: 1_200 }, (_, at) => [
        atMs(at * 9_000, { price: 100 + (at % 7), id: `${at}` }),
      ])
      return testRun(tradeBars, { batches, mode: 'replay' }).then(({ values, summary }) => [values('bars'), summary])
    }
    expect(await hours()).to.deep.equal(await hours())
  })

  it('takes events one by one, and those without a time a millisecond apart', async () => {
    const timesUs: number[] = []
    const { values } = await testRun(
      ({ source, sink }) => {
        const clocked = source('market', feed(WISH), roomy).through(
          'clocked',
          (input) =>
            new Observable<Batch<MarketEvent>>((out) => {
              const clock = currentClock()
              return input.pipe(tap(() => timesUs.push(clock.nowUs()))).subscribe(out)
            }),
        )
        sink(clocked, memory({ capacity: 1 }), roomy)
      },
      { events: [trade(), trade(), atMs(500), atMs(0)] },
    )
    expect(values('memory')).to.have.length(4)
    expect(timesUs.map((us) => us - FIRST_US)).to.deep.equal([1_000, 2_000, 500_000, 500_000])
  })

  it('decodes records as any run does', async () => {
    const base = { timeUs: FIRST_US, ns: 0, connection: 1, exchange: 'kraken' } as const
    const frame = {
      channel: 'trade',
      type: 'update',
      data: [
        {
          ...{ symbol: 'BTC/USD', side: 'sell', price: 5.5, qty: 2, ord_type: 'market', trade_id: 7 },
          timestamp: '2025-10-09T08:53:20.000000Z',
        },
      ],
    }
    const { values, faults } = await testRun(
      ({ source, sink }) =>
        sink(
          source('market', feed({ ...WISH, instruments: ['BTC/USD'] }), roomy),
          memory<MarketEvent>({ capacity: 9 }),
          roomy,
        ),
      {
        records: [
          { ...base, dir: 'open', url: 'wss://ws.kraken.com/v2' },
          { ...base, dir: 'in', timeUs: FIRST_US + 1, data: JSON.stringify(frame) },
          { ...base, dir: 'in', timeUs: FIRST_US + 2, data: '{"broken' },
        ],
      },
    )
    const trades = values<MarketEvent>('memory').filter(({ kind }) => kind === 'trade')
    expect(trades).to.have.length(1)
    expect(trades[0]).to.deep.include({ price: 5.5, size: 2, side: 'sell', id: '7', receiveTimeUs: FIRST_US + 1 })
    expect(faults.map(({ code }) => code)).to.deep.equal(['FRAME_UNREADABLE'])
  })

  it('has stages fail and tells of it', async () => {
    const { faults, summary, values } = await testRun(
      ({ source, sink }) => {
        const trades = source('market', feed(WISH), roomy)
        sink(trades.through('poor', failAt<Batch<MarketEvent>>(2)), memory<MarketEvent>({ capacity: 9 }), roomy)
      },
      { events: [trade({ id: '1' }), trade({ id: '2' })] },
    )
    expect(faults.map(({ code }) => code)).to.deep.equal(['STAGE_FAILED'])
    expect(summary.problems.join(' ')).to.include('test/poor')
    expect(values('memory')).to.have.length(1)
    expectBalanced(summary)
  })

  it('lets sinks be slow and refuse, and waits while the market is held back', async () => {
    const slow = sinkProbe<unknown>()
    const run = startTestRun(
      ({ source, sink }) =>
        sink(source('market', feed(WISH), roomy), memory<MarketEvent>({ capacity: 9 }), {
          capacity: 2,
          onFull: 'block',
          flushMs: 0,
        }),
      { sinks: { memory: slow } },
    )
    for (let sent = 0; sent < 4; sent++) await run.send([trade({ id: `${sent}` })])
    slow.expectWriting()
    expect(run.paused).to.equal(true)
    expect(run.values('memory')).to.deep.equal([])
    slow.refuse(new Fault('SINK_REJECTED', 'No.'))
    await run.advance(10_000)
    slow.allow()
    await run.settle()
    expect(run.paused).to.equal(false)
    const { values, pauses, resumes, summary } = await run.stop()
    expect(values<Trade>('memory').map(({ id }) => id)).to.deep.equal(['0', '1', '2', '3'])
    expect([pauses, resumes]).to.deep.equal([1, 1])
    slow.expectContract()
    expectBalanced(summary)
  })

  it('fails when the market is held back for good, naming the edge', async () => {
    const events = Array.from({ length: 20 }, () => trade())
    const stuck = sinkProbe<unknown>()
    const message = await rejectionOf(() =>
      testRun(
        ({ source, sink }) =>
          sink(source('market', feed(WISH), roomy), memory<MarketEvent>({ capacity: 9 }), {
            capacity: 2,
            onFull: 'block',
          }),
        { events, sinks: { memory: stuck } },
      ),
    )
    expect(message).to.match(
      /^The run of test holds its market back for more than 60 s, .*: market > memory \(\d+\)\.$/,
    )
  })

  it('ends in virtual time though a sink hangs, and says what was left', async () => {
    const hanging = sinkProbe<unknown>()
    const { summary, values } = await testRun(
      ({ source, sink }) => sink(source('market', feed(WISH), roomy), memory<MarketEvent>({ capacity: 9 }), roomy),
      { events: [trade()], sinks: { memory: hanging }, stopWithinMs: 3_600_000 },
    )
    expect(values('memory')).to.deep.equal([])
    expect(summary.faults).to.have.property('DEADLINE_EXCEEDED')
    expectBalanced(summary)
  })

  it('writes the pipeline’s own sinks when it is asked to', async () => {
    const outDir = await mkdtemp(path.join(tmpdir(), 'millrace-testrun-'))
    try {
      const { summary, values } = await testRun(tradeBars, {
        ...{ events: [atMs(100), atMs(1_100), atMs(2_100)], keepSinks: true, outDir, digest: true },
      })
      const text = await readFile(path.join(outDir, 'trades.jsonl'), 'utf8')
      expect(text.trimEnd().split('\n')).to.have.length(3)
      expect(values('trades')).to.have.length(3)
      expect(summary.problems).to.deep.equal([])
      expect(summary.sinks.find(({ name }) => name === 'trades')!.digest).to.match(/^sha256:/)
    } finally {
      await rm(outDir, { recursive: true })
    }
  })

  it('runs pipelines without a market until their sources end, or for as long as it is told', async () => {
    const numbers =
      (source: Observable<number>) =>
      (builder: PipelineBuilder): void =>
        builder.sink(
          builder.source('n', source, { capacity: 100, onFull: 'fail' }),
          memory<number>({ capacity: 9 }),
          roomy,
        )
    expect((await testRun(numbers(of(1, 2)))).values('memory')).to.deep.equal([1, 2])
    expect((await testRun(numbers(NEVER), { forMs: 10 })).values('memory')).to.deep.equal([])
    const ticks = new Observable<number>((out) => {
      const ticking = every(currentClock(), 1_000, (tickUs) => out.next(tickUs))
      return () => ticking.cancel()
    })
    expect((await testRun(numbers(ticks), { forMs: 10_500 })).values('memory').length).to.be.within(9, 11)
  })

  it('runs a pipeline as files export it', async () => {
    const made = pipeline('bars', tradeBars)
    const { summary } = await testRun(made, { events: [trade()] })
    expect(summary.pipeline).to.equal('bars')
    expectBalanced(summary)
  })

  it('keeps books as any run does', async () => {
    const { values } = await testRun(
      ({ source, sink }) =>
        sink(
          source('market', feed(WISH), roomy)
            .through('books', toBooks())
            .through(
              'best',
              map((batch) => [...batch].map((view) => view.bestBid()!.price)),
            ),
          memory<number>({ capacity: 9 }),
          roomy,
        ),
      { batches: [[snapshot([['10', '1']], [['11', '1']])]] },
    )
    expect(values('memory')).to.deep.equal([10])
  })

  it('waits for the work of threads', async () => {
    const run = startTestRun(({ source, sink }) =>
      sink(
        source('market', feed(WISH), roomy)
          .through('books', toBooks())
          .through('views', mergeAll())
          .through('columns', map(columnsOf))
          .through(
            'sorted',
            sortBooks<BookSides>({
              ...{ capacity: 100, onFull: 'fail', batchMax: 8, deadlineMs: 20_000 },
              restart: { atMost: 3, withinMs: 60_000, backoffMs: [100, 1_000] },
            }),
          ),
        memory<SortedBook<BookSides>>({ capacity: 9 }),
        { ...roomy, flushMs: 0 },
      ),
    )
    await run.send([snapshot([['10', '1']], [['11', '1']])])
    expect(run.values<SortedBook<BookSides>>('memory')[0]!.ignored).to.equal(0)
    expectBalanced((await run.stop()).summary)
  })

  it('says what cannot be tested', async () => {
    const refused = async (running: () => Promise<unknown>): Promise<string> => {
      try {
        await running()
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(Fault)
        return (thrown as Fault).message
      }
      throw new Error('expected a refusal')
    }
    expect(await refused(() => testRun(tradeBars, { events: [], records: [] }))).to.include('choose one')
    expect(await refused(() => testRun(tradeBars, { sinks: { bras: sinkProbe() } }))).to.include('Did you mean bars?')
    expect(await refused(async () => (await testRun(tradeBars)).values('trade'))).to.include('Did you mean trades?')
    expect(await refused(() => testRun(() => undefined))).to.include('A pipeline needs a source.')
    const numbers = ({ source, sink }: PipelineBuilder): void =>
      sink(source('n', of(1), { capacity: 1, onFull: 'fail' }), memory<number>({ capacity: 1 }), roomy)
    expect(await refused(() => testRun(numbers, { events: [trade()] }))).to.include('has no source of market events')
  })

  it('ends where it stands when it is killed', async () => {
    const stuck = sinkProbe<unknown>()
    const run = startTestRun(tradeBars, { sinks: { trades: stuck } })
    await run.send([trade()])
    const { summary, values } = await run.kill()
    expect(values('trades')).to.deep.equal([])
    expect(summary.problems.join(' ')).to.include('killed')
    expectBalanced(summary)
  })

  it('does not go on after its end', async () => {
    const run = startTestRun(tradeBars)
    await run.stop()
    expect(await rejectionOf(() => run.send([trade()]))).to.include('has ended')
  })

  it('leaves nothing behind, of the machine or of its clock', () =>
    withoutLeaks(async () => {
      const run = startTestRun(tradeBars)
      await withoutLeaks(
        async () => {
          await run.send([atMs(10)])
          await run.advance(3_000)
          await run.stop()
        },
        { clocks: [run.clock] },
      )
      expect(run.clock.pending).to.equal(0)
    }))
})

function columnsOf(view: BookView): BookSides {
  const [bids, asks] = [view.bids(10), view.asks(10)]
  return {
    bidPrices: Float64Array.from(bids, ([price]) => price),
    bidSizes: Float64Array.from(bids, ([, size]) => size),
    askPrices: Float64Array.from(asks, ([price]) => price),
    askSizes: Float64Array.from(asks, ([, size]) => size),
  }
}
