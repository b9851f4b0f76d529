import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { BookView } from '../../src/book/bookView'
import type { Batch, MarketEvent } from '../../src/model/events'
import type { Fault } from '../../src/model/fault'
import { toBooks } from '../../src/operators/toBooks'
import { describeBranch, describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import type { HealthDeclaration, Reaction } from '../../src/pipeline/healthDeclaration'
import { liveHost } from '../../src/pipeline/host'
import { Run, type RunEngineOptions } from '../../src/pipeline/run'
import { runHealth, type RunHealth } from '../../src/pipeline/runHealth'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { expectBalanced } from '../../src/testing/ledger'
import { NO_COST } from '../../src/testing/noCost'
import { simulateRun } from '../../src/testing/simulation/simulateRun'
import { delta, snapshot, trade } from '../kit/marketEvents'
import { turns } from '../sinks/support'
import { FakeMarket, FIRST_US } from './fakeMarket'
import { map } from 'rxjs'

const roomy = { capacity: 1_000, onFull: 'block', flushMs: 0 } as const
const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades', 'book'] } as const

const BIDS = [
  ['10', '1'],
  ['9', '1'],
  ['8', '1'],
] as const
const ASKS = [['11', '1']] as const

describe('What a pipeline does about its health', () => {
  /** What the pipeline's own check says. */
  let load: number
  beforeEach(() => {
    load = 0
  })
  const declaring = (...reactions: Reaction[]): HealthDeclaration => ({
    checks: [{ name: 'load', check: () => load, degradedAbove: 1, unhealthyAbove: 10, deadlineMs: 100 }],
    reactions,
  })

  it('sheds load at a named edge, tells it, counts it, and undoes it when it has been well for long enough', async () => {
    const kept = memory<MarketEvent>({ capacity: 1_000 })
    const { run, market, clock, faults } = begun(({ source, sink, health }) => {
      health(declaring({ when: 'degraded', of: 'load', shed: 'kept', keepEvery: 3, undoAfterMs: 5_000 }))
      sink(source('trades', feed(WISH), roomy), kept, { ...roomy, name: 'kept' })
    })
    const sent = async (trades: number): Promise<string[]> => {
      const before = kept.values.length
      for (let each = 0; each < trades; each++) market.send([trade()], clock.nowUs() + each)
      await turns()
      await run.flush()
      return kept.values.slice(before).map((event) => (event.kind === 'notice' ? event.code : event.kind))
    }
    expect(await sent(3)).to.deep.equal(['trade', 'trade', 'trade'])
    load = 5
    clock.advance(1_000)
    expect(await sent(7)).to.deep.equal(['dropped', 'trade', 'dropped', 'trade'])
    expect(run.health().reactions[0]).to.deep.include({ inForce: true, times: 1 })
    expect(run.status().health!.reactions[0]!.does).to.equal('of what comes to kept one in 3 is kept')
    load = 0
    clock.advance(3_000)
    load = 5
    clock.advance(1_000)
    load = 0
    clock.advance(5_000)
    expect(run.health().reactions[0]!.inForce, 'it was not well in between').to.equal(true)
    clock.advance(1_000)
    expect(run.health().reactions[0]).to.deep.include({ inForce: false, times: 1 })
    expect(await sent(2)).to.deep.equal(['dropped', 'trade', 'trade'])
    expect(faults.map(({ code, message }) => [code, message])).to.deep.equal([
      [
        'RUN_UNWELL',
        'What the check load looks at is degraded, so of what comes to kept one in 3 is kept. load is 5, above 1.',
      ],
      [
        'RUN_UNWELL',
        'What the check load looks at is well enough again: no longer of what comes to kept one in 3 is kept.',
      ],
    ])
    const summary = await run.stop()
    expectBalanced(summary)
    const edge = summary.edges.find(({ to }) => to === 'kept')!
    expect([edge.in, edge.out, edge.dropped]).to.deep.equal([12, 7, { shed: 5 }])
  })

  for (const where of ['a mailbox', 'an edge in line', 'a spill'] as const) {
    it(`pauses the branch behind ${where}: its books fall silent, and begin anew when it goes on`, async () => {
      const views = memory<BookView>({ capacity: 1_000 })
      const others = memory<MarketEvent>({ capacity: 1_000 })
      const edge =
        where === 'a mailbox'
          ? roomy
          : where === 'a spill'
            ? ({ capacity: 1_000, onFull: { spill: 'paused', bytesMax: 10_000 } } as const)
            : undefined
      const { run, market, clock } = begun(({ source, sink, health }) => {
        health(declaring({ when: 'unhealthy', of: 'load', pause: 'books', undoAfterMs: 0 }))
        const events = source('events', feed(WISH), roomy)
        const books = edge === undefined ? events.through('books', toBooks()) : events.through('books', toBooks(), edge)
        sink(books, views, { ...roomy, name: 'views' })
        sink(events, others, { ...roomy, name: 'others' })
      })
      const send = async (event: MarketEvent): Promise<number> => {
        const before = views.values.length
        market.send([event], clock.nowUs())
        await turns()
        await run.flush()
        return views.values.length - before
      }
      expect(await send(snapshot(BIDS, ASKS, { seq: 1 }))).to.equal(1)
      expect(await send(delta(BIDS, [], { prevSeq: 1, seq: 2 }))).to.equal(1)
      load = 20
      clock.advance(1_000)
      expect(await send(delta(BIDS, [], { prevSeq: 2, seq: 3 }))).to.equal(0)
      expect(await send(delta(BIDS, [], { prevSeq: 3, seq: 4 }))).to.equal(0)
      load = 0
      clock.advance(2_000)
      expect(await send(delta(BIDS, [], { prevSeq: 4, seq: 5 })), 'without a snapshot').to.equal(0)
      expect(market.asked.filter((asked) => asked.startsWith('refresh')).length).to.be.greaterThan(0)
      expect(await send(snapshot(BIDS, ASKS, { seq: 6 }))).to.equal(1)
      expect(await send(delta(BIDS, [], { prevSeq: 6, seq: 7 }))).to.equal(1)
      const summary = await run.stop()
      expectBalanced(summary)
      const into = summary.edges.find(({ to }) => to === 'books')!
      expect(into.dropped).to.deep.equal({ paused: 2 })
      expect(into.in).to.equal(7)
      expect(others.values, 'the other branch').to.have.length(7)
    })
  }

  it('shows fewer levels of books, and all of them again', async () => {
    const views = memory<BookView>({ capacity: 1_000 })
    const { run, market, clock } = begun(({ source, sink, health }) => {
      health(declaring({ when: 'degraded', depth: 'books', levels: 1, undoAfterMs: 0 }))
      sink(source('events', feed(WISH), roomy).through('books', toBooks()), views, { ...roomy, name: 'views' })
    })
    const levels: number[] = []
    for (load of [0, 5, 0]) {
      clock.advance(2_000)
      market.send([snapshot(BIDS, ASKS)], clock.nowUs())
      await turns()
      await run.flush()
      levels.push(views.values.at(-1)!.bids(10).length)
    }
    expect(levels).to.deep.equal([3, 1, 3])
    expectBalanced(await run.stop())
  })

  it('takes the sterner of two reactions at one place, and leaves one when the other is undone', async () => {
    const kept = memory<MarketEvent>({ capacity: 1_000 })
    const { run, market, clock } = begun(({ source, sink, health }) => {
      health(
        declaring(
          { when: 'degraded', of: 'load', shed: 'kept', keepEvery: 2, undoAfterMs: 0 },
          { when: 'unhealthy', of: 'load', pause: 'kept', undoAfterMs: 0 },
        ),
      )
      sink(source('trades', feed(WISH), roomy), kept, { ...roomy, name: 'kept' })
    })
    const counts: number[] = []
    for (load of [5, 20, 5, 0]) {
      clock.advance(2_000)
      const before = kept.values.length
      for (let each = 0; each < 10; each++) market.send([trade()], clock.nowUs() + each)
      await turns()
      await run.flush()
      counts.push(kept.values.slice(before).filter(({ kind }) => kind === 'trade').length)
    }
    expect(counts).to.deep.equal([5, 0, 5, 10])
    expectBalanced(await run.stop())
  })

  it('stops the run when it has been unhealthy for long enough, and says why', async () => {
    const { run, market, clock } = begun(({ source, sink, health }) => {
      health(declaring({ when: 'unhealthy', stop: true, afterMs: 3_000 }))
      sink(source('trades', feed(WISH), roomy), memory({ capacity: 1_000 }), roomy)
    })
    market.send([trade()])
    await turns()
    load = 20
    clock.advance(3_000)
    load = 0
    clock.advance(1_000)
    load = 20
    clock.advance(3_000)
    expect(market.asked).not.to.include('stop')
    clock.advance(1_000)
    await turns()
    const summary = await run.done
    expect(summary.problems).to.deep.equal(['The run was stopped because it was unhealthy: load is 20, above 10.'])
  })

  it('does nothing on a replay', async () => {
    const kept = memory<MarketEvent>({ capacity: 1_000 })
    load = 20
    const { run, market, clock, faults } = begun(
      ({ source, sink, health }) => {
        health(declaring({ when: 'degraded', pause: 'kept' }, { when: 'degraded', stop: true }))
        sink(source('trades', feed(WISH), roomy), kept, { ...roomy, name: 'kept' })
      },
      { mode: 'replay' },
    )
    for (let each = 0; each < 5; each++) {
      market.send([trade()])
      clock.advance(1_000)
      await turns()
    }
    expect(run.health()).to.deep.include({ level: 'unhealthy', reactions: [] })
    await run.stop()
    expect(kept.values).to.have.length(5)
    expect(faults).to.deep.equal([])
  })

  it('gives the health of the run as a stream', async () => {
    const reports = memory<RunHealth>({ capacity: 100 })
    const { run, market, clock } = begun(({ source, sink, health }) => {
      health({ ...declaring(), everyMs: 500 })
      sink(source('trades', feed(WISH), roomy), memory({ capacity: 1_000 }), { ...roomy, name: 'trades-kept' })
      sink(source('health', runHealth(), { capacity: 10, onFull: 'dropOldest' }), reports, {
        ...roomy,
        name: 'reports',
      })
    })
    market.send([trade()])
    await turns()
    for (load of [0, 5, 20]) {
      clock.advance(500)
      await turns()
    }
    await run.flush()
    expect(reports.values.map(({ level }) => level).slice(-3)).to.deep.equal(['healthy', 'degraded', 'unhealthy'])
    expectBalanced(await run.stop())
    const outside: unknown[] = []
    runHealth().subscribe({ error: (error: Fault) => outside.push(error.code) })
    expect(outside).to.deep.equal(['OPTION_INVALID'])
  })

  it('says everything that is wrong with a declaration at once, each with its place', () => {
    const check = (): number => 1
    const wrong = {
      everyMs: 0,
      checks: [
        { name: 'books', check, deadlineMs: 1 },
        { name: 'mine', check, deadlineMs: 0 },
      ],
      builtIn: { memry: false, 'loop delay': { degradedAbove: 9_000 } },
      reactions: [
        { when: 'sick', shed: 'views', keepEvery: 1 },
        { when: 'degraded', of: 'mien', pause: 'veiws' },
        { when: 'degraded', shed: 'events', keepEvery: 2 },
        { when: 'degraded', shed: 'views', keepEvery: 2, stop: true },
        { when: 'degraded', depth: 'books-kept', levels: 0.5, afterMs: -1 },
      ],
    } as unknown as HealthDeclaration
    const build = ({ source, sink, health }: PipelineBuilder): void => {
      health(wrong)
      health({})
      const books = source('events', feed(WISH), roomy).through('books-kept', toBooks())
      sink(books, memory({ capacity: 1 }), { ...roomy, name: 'views' })
    }
    const problems = ['Health is declared once: put all checks and reactions into it.']
    expect(() => describePipeline('test', build)).to.throw('test/health: ' + problems[0]!)
    const { problems: found } = problemsIn(() =>
      describePipeline('test', (builder) =>
        build({ ...builder, health: (given) => given === wrong && builder.health(given) }),
      ),
    )
    expect(found.map(({ path }) => path)).to.deep.equal(found.map(() => 'test/health'))
    const sentences = found.map(({ problem }) => problem)
    for (const [index, part] of [
      'EveryMs is 0',
      'Mine has deadlineMs 0',
      'no built-in check "memry"',
      'Loop delay is unhealthy before it is degraded',
      'The name "books" is that of a check that is built in',
      'reactions[0]: when is degraded or unhealthy',
      'reactions[0]: keepEvery is a whole number',
      'reactions[1]: There is no check "mien"',
      'reactions[1]: There is no stream or sink "veiws"',
      'reactions[2]: books are kept behind "events"',
      'reactions[3]: a reaction does one thing',
      'reactions[4]: afterMs is milliseconds',
      'reactions[4]: levels is a whole number',
    ].entries()) {
      expect(sentences[index]).to.contain(part)
    }
    expect(sentences).to.have.length(13)
  })

  it('belongs to the pipeline, not to a branch of it', () => {
    const description = describePipeline('test', ({ source, sink }) =>
      sink(source('trades', feed(WISH), roomy), memory({ capacity: 1 }), roomy),
    )
    const attach = (): unknown =>
      describeBranch(description, (builder) => {
        ;(builder as unknown as PipelineBuilder).health({})
        builder.sink(builder.stream<Batch<MarketEvent>>('trades'), memory({ capacity: 1 }), { ...roomy, name: 'more' })
      })
    expect(attach).to.throw('test/health: Health is declared with the pipeline')
  })

  it('acts and recovers over a simulated hour in which instruments freeze, and every account balances', async function () {
    this.timeout(120_000)
    const seen: boolean[] = []
    const { summary, faults, uncaught } = await simulateRun(
      ({ source, sink, health }) => {
        health({
          reactions: [
            { when: 'degraded', of: 'staleness', shed: 'prices', keepEvery: 4, undoAfterMs: 10_000 },
            { when: 'degraded', of: 'staleness', pause: 'all', undoAfterMs: 10_000 },
            { when: 'degraded', of: 'staleness', depth: 'books', levels: 1, undoAfterMs: 10_000 },
          ],
        })
        const wish = {
          exchanges: ['kraken'],
          instruments: ['BTC-USDT', 'ETH-USDT'],
          channels: ['book', 'trades'],
        } as const
        const events = source('market', feed(wish), roomy)
        const prices = events.through('books', toBooks({ depth: 10 })).through(
          'mids',
          map((views) => [...views]),
        )
        sink(prices, memory({ capacity: 1 }), { ...roomy, name: 'prices' })
        sink(events, memory({ capacity: 1 }), { ...roomy, name: 'all' })
      },
      {
        ...{ seconds: 3_600, messagesPerSecond: 8, seed: 3, faults: 'kraken:freeze=8m', linesMax: 10 },
        meanwhile: async (run, world) => {
          for (let look = 0; look < 700; look++) {
            await world.sleep(5_000)
            seen.push(run.health().reactions.every(({ inForce }) => inForce))
          }
        },
      },
    )
    expect(uncaught).to.deep.equal([])
    expectBalanced(summary)
    const turnsOf = seen.filter((inForce, index) => inForce !== (seen[index - 1] ?? false)).length
    expect(turnsOf, 'turned and returned').to.be.greaterThan(3)
    expect(seen.at(-1)).to.equal(false)
    const unwell = faults.filter(({ code }) => code === 'RUN_UNWELL')
    expect(unwell.filter(({ details }) => details['inForce'] === true)).to.have.length(unwell.length / 2)
    const dropped = (to: string) => summary.edges.find((edge) => edge.to === to)!.dropped
    expect(dropped('prices').shed).to.be.greaterThan(0)
    expect(dropped('all').paused).to.be.greaterThan(0)
    expect(summary.problems).to.deep.equal([])
  })

  const runs: { run: Run; clock: VirtualClock }[] = []
  afterEach(async () => {
    for (const { run, clock } of runs.splice(0)) {
      const ended = run.kill()
      await turns()
      clock.advance(10_000)
      await ended
    }
  })

  function begun(build: (builder: PipelineBuilder) => void, options: Partial<RunEngineOptions> = {}) {
    const market = new FakeMarket()
    const clock = new VirtualClock(FIRST_US + 1_000_000)
    const faults: Fault[] = []
    const run = new Run({
      description: describePipeline('test', build),
      mode: 'live',
      market: () => market,
      recorder: undefined,
      host: { ...liveHost, clock, watch: () => NO_COST, memoryPercent: () => 0 },
      outDir: 'out',
      digest: false,
      stopWithinMs: 5_000,
      onFault: (fault) => faults.push(fault),
      ...options,
    })
    run.done.catch(() => undefined)
    runs.push({ run, clock })
    return { run, market, clock, faults }
  }
})

function problemsIn(describe: () => unknown): { problems: { path: string; problem: string }[] } {
  try {
    describe()
  } catch (thrown) {
    return (thrown as Fault).details as { problems: { path: string; problem: string }[] }
  }
  return { problems: [] }
}
