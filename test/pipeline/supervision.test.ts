import { expect } from 'chai'
import { concatMap, delay, map, NEVER, Observable, scan, type OperatorFunction } from 'rxjs'
import { balances } from '../../src/actors/ledger'
import { currentClock } from '../../src/clock/currentClock'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { actor } from '../../src/operators/actor'
import { toBooks } from '../../src/operators/toBooks'
import { bars } from '../../src/operators/bars'
import type { OnFailure } from '../../src/actors/supervision'
import type { PipelineBuilder } from '../../src/pipeline/description'
import { memory } from '../../src/sinks/memory'
import { snapshot, trade } from '../kit/marketEvents'
import { wired } from './wired'

const roomy = { capacity: 1_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const

describe('A supervised stage', () => {
  describe('that throws on a value', () => {
    it('is restarted by default: the value is given up, its state with it, and it goes on', async () => {
      const { graph, kept, failures } = running(summing())
      await feed(graph, [1, 2, BAD, 3, 4])
      expect(kept.values).to.deep.equal([1, 3, 3, 7])
      expect(failures.map(({ directive, poison }) => [directive, poison?.value])).to.deep.equal([['restart', BAD]])
      expect(graph.stageReports()[0]).to.include({ name: 'stage', state: 'ended', restarts: 1, failures: 1 })
    })

    it('ends when it is told to stop, and what is behind it is flushed', async () => {
      const { graph, kept, failures } = running(summing(), 'stop')
      await feed(graph, [1, BAD, 3])
      expect(kept.values).to.deep.equal([1])
      expect(failures.map(({ directive }) => directive)).to.deep.equal(['stop'])
      expect(graph.edges()[1]!.dropped).to.deep.equal({ failed: 1, closed: 1 })
      expect(graph.stageReports()[0]!.state).to.equal('stopped')
    })

    it('hands the decision up when it is told to escalate', async () => {
      const { graph, escalated } = running(summing(), 'escalate')
      await feed(graph, [1, BAD])
      expect(escalated).to.have.length(1)
      expect(escalated[0]).to.match(/^The stage test\/stage failed on a value: this is bad$/)
    })

    it('names itself, its pipeline and its input', async () => {
      const { graph, faults, failures } = running(
        map((batch: Batch<Trade>) => {
          throw new Error(`cannot read ${batch.length} trades`)
        }),
      )
      graph.source('n').offer(undefined, [tradeAt(1_760_000_000_000_123, { id: '17' }), tradeAt(1)])
      await graph.finish(1_000)
      expect(faults).to.deep.equal([
        'stage STAGE_FAILED: The stage test/stage failed on a trade and 1 more of BTCUSDT on binance (id 17), received 2025-10-09T08:53:20.000123Z: cannot read 2 trades',
      ])
      expect(failures[0]!.fault.details).to.deep.equal({
        stage: 'test/stage',
        input: {
          values: 2,
          kind: 'trade',
          exchange: 'binance',
          symbol: 'BTCUSDT',
          id: '17',
          receiveTimeUs: 1_760_000_000_000_123,
        },
      })
    })

    it('waits longer before each restart, refuses what comes meanwhile, and is given up when the budget is spent', async () => {
      const policy: OnFailure = { restart: { atMost: 2, withinMs: 60_000, backoffMs: [100, 1_000] } }
      const { graph, kept, faults, clock } = running(summing(), policy)
      const offer = (value: unknown): void => graph.source('n').offer(undefined, value)
      offer(BAD) // restarted at once
      offer(BAD) // restarted after a wait
      expect(graph.stageReports()[0]!.state).to.equal('restarting')
      offer(1)
      clock.advance(100)
      expect(graph.stageReports()[0]!.state).to.equal('running')
      offer(2)
      offer(BAD) // once too often
      offer(3)
      await graph.finish(1_000)
      expect(kept.values).to.deep.equal([2])
      expect(graph.edges()[1]!.dropped).to.deep.equal({ failed: 3, restarting: 1, closed: 1 })
      expect(faults.at(-1)).to.match(
        /RETRIES_EXHAUSTED: The stage test\/stage failed on a value: this is bad\. It has been restarted 2 times and is given up \(the budget is 2 within 60000 ms\)\.$/,
      )
      for (const edge of graph.edges()) expect(balances(edge), edge.to).to.equal(true)
    })

    it('leaves its siblings at work', async () => {
      const [hurt, whole] = [
        memory<number>({ capacity: 99, name: 'hurt' }),
        memory<number>({ capacity: 99, name: 'whole' }),
      ]
      const { graph } = wired(({ source, sink }) => {
        const n = source('n', NEVER as Observable<number>, roomy)
        sink(n.through('bad', throwing(), { onFailure: 'stop' }), hurt, atOnce)
        sink(
          n.through(
            'good',
            map((value) => value),
          ),
          whole,
          atOnce,
        )
      })
      await feed(graph, [1, 2, 3])
      expect([hurt.values, whole.values]).to.deep.equal([[], [1, 2, 3]])
    })
  })

  it('may resume when it is an actor: one value is given up, the rest of its batch and its state are not', async () => {
    const sums = actor<number, number>(({ emit }) => {
      let sum = 0
      let touched = false
      return {
        receive(value) {
          touched = true
          if (value === BAD) throw new Error('this is bad')
          sum += value
        },
        endBatch() {
          if (touched) emit(sum)
          touched = false
        },
      }
    })
    const { graph, kept, failures } = running(sums, 'resume')
    await feed(graph, [
      [1, 2],
      [3, BAD, 4],
      [5, BAD],
    ])
    expect(kept.values).to.deep.equal([3, 10, 15])
    expect(failures.map(({ poison }) => poison?.value)).to.deep.equal([BAD, BAD])
    expect(graph.stageReports()[0]).to.include({ failures: 2, restarts: 0 })
  })

  it('is closed when it is an actor that is restarted, and begins with a new instance', async () => {
    const lives: string[] = []
    const living = actor<number, number>(() => {
      const life = lives.length
      lives.push(`born ${life}`)
      return {
        receive(value) {
          if (value === BAD) throw new Error('this is bad')
        },
        close: () => lives.push(`closed ${life}`),
      }
    })
    const { graph } = running(living, 'restart')
    await feed(graph, [[1], [BAD, 2], [3]])
    expect(lives).to.deep.equal(['born 0', 'closed 0', 'born 2', 'closed 2'])
  })

  it('is caught wherever it throws: in a subscriber of its own, in a timer, in work that ends later, at its start', async () => {
    const places: Record<string, OperatorFunction<number, number>> = {
      subscriber: (input) =>
        new Observable((out) =>
          input.subscribe((value) => {
            if (value === BAD) throw new Error('this is bad')
            out.next(value)
          }),
        ),
      timer: (input) =>
        new Observable((out) => {
          const clock = currentClock()
          return input.subscribe((value) => {
            if (value !== BAD) out.next(value)
            else
              clock.after(5, () => {
                throw new Error('this is bad')
              })
          })
        }),
      later: concatMap(async (value) => {
        await Promise.resolve()
        if (value === BAD) throw new Error('this is bad')
        return value
      }),
    }
    for (const [place, operator] of Object.entries(places)) {
      const { graph, kept, failures, clock } = running(operator)
      for (const value of [1, BAD]) graph.source('n').offer(undefined, value)
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      clock.advance(10)
      graph.source('n').offer(undefined, 2)
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      const over = { is: false }
      const finished = graph.finish(1_000).then(() => (over.is = true))
      while (!over.is) {
        await new Promise((resolve) => setImmediate(resolve))
        clock.advance(100) // these do not hand on that their source has ended
      }
      await finished
      expect(kept.values, place).to.deep.equal([1, 2])
      expect(
        failures.map(({ fault }) => fault.code),
        place,
      ).to.deep.equal(['STAGE_FAILED'])
    }
    const atStart = running(() => {
      throw new Error('this is bad')
    })
    expect(atStart.failures.length, 'an operator that cannot even begin').to.be.at.least(1)
    atStart.clock.advance(60_000)
    expect(atStart.graph.stageReports()[0]!.state).to.equal('stopped')
  })

  it('stops at once on a fault that no restart can mend', async () => {
    const { graph, failures } = running(
      map(() => {
        throw new Fault('OPTION_INVALID', 'It was asked for nonsense.')
      }),
    )
    await feed(graph, [1, 2])
    expect(failures.map(({ directive, fault }) => [directive, fault.code])).to.deep.equal([['stop', 'OPTION_INVALID']])
  })

  it('asks for its books anew when it keeps books, or when changes of books were lost before them', async () => {
    let fail = false
    const breaking: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> = map((batch) => {
      if (fail) throw new Error('this is bad')
      return batch
    })
    const { graph, refreshed, clock } = wired(({ source, sink }) => {
      const market = source('n', NEVER as Observable<Batch<MarketEvent>>, roomy)
      sink(market.through('filter', breaking).through('books', toBooks()), memory({ capacity: 9 }), atOnce)
    })
    const book = snapshot([['1', '1']], [['2', '1']])
    const failOn = (event: MarketEvent): void => {
      fail = true
      graph.source('n').offer(undefined, [event])
      fail = false
      clock.advance(60_000) // all but the first restart wait
      graph.source('n').offer(undefined, [event])
    }
    graph.source('n').offer(undefined, [book])
    expect(refreshed).to.deep.equal([])
    failOn(book)
    // The new instance of the filter, and the receipt of what it lost.
    expect(refreshed).to.deep.equal(['all', [{ exchange: book.exchange, symbol: book.symbol }]])
    failOn(tradeAt(1))
    expect(refreshed.slice(2), 'a trade that is lost costs no book').to.deep.equal(['all'])
    await graph.finish(1_000)
  })

  it('tells the stages behind it what it lost, before the next value that it takes', async () => {
    let fail = false
    const { graph, kept } = running(
      map((batch: Batch<Trade>) => {
        if (fail) throw new Error('this is bad')
        return batch
      }),
    )
    graph.source('n').offer(undefined, [tradeAt(10)])
    fail = true
    graph.source('n').offer(undefined, [tradeAt(20), tradeAt(30)])
    fail = false
    graph.source('n').offer(undefined, [tradeAt(40)])
    await graph.finish(1_000)
    const rows = kept.values as unknown as { kind: string; code?: string; details?: { events: number } }[]
    expect(rows.map(({ kind, code, details }) => [kind, code, details?.events])).to.deep.equal([
      ['trade', undefined, undefined],
      ['notice', 'dropped', 2],
      ['trade', undefined, undefined],
    ])
  })

  describe('in a group', () => {
    it('is restarted together with its siblings when it escalates', async () => {
      const { graph, one, two } = grouped({ onFailure: 'restart' })
      await feed(graph, [1, 2, BAD, 3])
      expect(one.values).to.deep.equal([1, 3, 3])
      expect(two.values).to.deep.equal([1, 3, 3 + BAD, 3])
    })

    it('is stopped with its siblings, while what is outside goes on', async () => {
      const { graph, one, two, outside, escalated } = grouped({ onFailure: 'stop' })
      await feed(graph, [1, BAD, 3])
      expect([one.values, two.values, outside.values]).to.deep.equal([[1], [1, 1 + BAD], [1, BAD, 3]])
      expect(escalated).to.deep.equal([])
    })

    it('escalates further where the group does not decide', async () => {
      const { graph, escalated } = grouped({})
      await feed(graph, [1, BAD])
      expect(escalated).to.have.length(1)
      expect(escalated[0]).to.match(/^The stage test\/group\/one failed/)
    })
  })
})

describe('Every operator', () => {
  /** What a function of the user's own can do in each operator, and where it does it. */
  const OPERATORS: Record<string, (poisoned: (value: number) => number) => OperatorFunction<number, unknown>> = {
    map: (poisoned) => map(poisoned),
    scan: (poisoned) => scan((sum: number, value: number) => sum + poisoned(value), 0),
    concatMap: (poisoned) => concatMap((value) => [poisoned(value)]),
    'map behind delay': (poisoned) => (input) => input.pipe(map(poisoned), delay(0)),
    actor: (poisoned) => (input) =>
      input.pipe(
        map((value) => [value]),
        actor<number, number>(({ emit }) => ({ receive: (value) => emit(poisoned(value)) })),
      ),
    'bars of a field': (poisoned) => (input) =>
      input.pipe(
        map((value) => [{ ...tradeAt(value * 1_000), mid: poisoned(value) }]),
        bars.time({ everyMs: 1, field: 'mid' }),
      ),
  }

  for (const [name, operator] of Object.entries(OPERATORS)) {
    for (const directive of ['restart', 'stop', 'escalate'] as const) {
      it(`${name}: a thrown value under ${directive} costs that value, is told once, and the account balances`, async () => {
        const { graph, failures, escalated } = running(
          operator((value) => {
            if (value === BAD) throw new Error('this is bad')
            return value
          }),
          directive,
        )
        await feed(graph, [1, BAD, 3])
        expect(failures).to.have.length(1)
        expect(escalated).to.have.length(directive === 'escalate' ? 1 : 0)
        const [outer, inner] = graph.edges()
        expect(outer!.out).to.equal(3)
        expect(inner!.in).to.equal(3)
        expect(inner!.dropped.failed).to.equal(1)
        for (const edge of graph.edges()) expect(balances(edge), edge.to).to.equal(true)
      })
    }
  }
})

const BAD = 666

function tradeAt(receiveTimeUs: number, fields: Partial<Trade> = {}): Trade {
  return trade({ receiveTimeUs, exchange: 'binance', symbol: 'BTCUSDT', instrument: 'BTC-USDT', ...fields })
}

function summing(): OperatorFunction<number, number> {
  return scan((sum: number, value: number) => {
    if (value === BAD) throw new Error('this is bad')
    return sum + value
  }, 0)
}

function throwing(): OperatorFunction<number, number> {
  return map(() => {
    throw new Error('this is bad')
  })
}

/** One stage between a source and a sink. */
function running<T, R>(operator: OperatorFunction<T, R>, onFailure?: OnFailure) {
  const kept = memory<R>({ capacity: 1_000 })
  const parts = wired(({ source, sink }) => {
    const options = onFailure === undefined ? undefined : { onFailure }
    sink(source('n', NEVER as Observable<T>, roomy).through('stage', operator, options), kept as never, atOnce)
  })
  return { ...parts, kept }
}

/** Two stages in a group, of which the first throws, and one beside it. */
function grouped(options: { onFailure?: OnFailure }) {
  const [one, two, outside] = ['one', 'two', 'outside'].map((name) =>
    memory<number>({ capacity: 99, name: `${name}-sink` }),
  ) as [ReturnType<typeof memory<number>>, ReturnType<typeof memory<number>>, ReturnType<typeof memory<number>>]
  const build = ({ source, sink, group }: PipelineBuilder): void => {
    const n = source('n', NEVER as Observable<number>, roomy)
    group('group', options, () => {
      sink(n.through('one', summing(), { onFailure: 'escalate' }), one, atOnce)
      sink(
        n.through(
          'two',
          scan((sum: number, value: number) => sum + value, 0),
        ),
        two,
        atOnce,
      )
    })
    sink(n, outside, atOnce)
  }
  return { ...wired(build), one, two, outside }
}

async function feed(graph: ReturnType<typeof wired>['graph'], values: readonly unknown[]): Promise<void> {
  for (const value of values) graph.source('n').offer(undefined, value)
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  await graph.finish(1_000)
}
