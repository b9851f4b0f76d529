import { expect } from 'chai'
import { interval, map, NEVER, Observable, scan } from 'rxjs'
import type { OnFailure } from '../../src/actors/supervision'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { mergeMapByKey } from '../../src/operators/mergeMapByKey'
import { toBooks } from '../../src/operators/toBooks'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { liveHost } from '../../src/pipeline/host'
import { Run, type RunEngineOptions } from '../../src/pipeline/run'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { expectBalanced } from '../../src/testing/ledger'
import { trade } from '../kit/marketEvents'
import { FakeMarket, FIRST_US } from './fakeMarket'

const roomy = { capacity: 1_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const
const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trades' } as const

describe('The life of a run', () => {
  it('is ready when its stages are wired and its market says so', async () => {
    const { run, market } = started(listening)
    let synced!: () => void
    market.ready = new Promise((resolve) => (synced = resolve))
    let ready = false
    void run.ready.then(() => (ready = true))
    await turns()
    expect(ready, 'before the first record').to.equal(false)
    market.send([trade()])
    await turns()
    expect(ready, 'before the books are live').to.equal(false)
    synced()
    await turns()
    expect(ready).to.equal(true)
    await run.stop()
  })

  it('is not ready when a required feed will never be', async () => {
    const { run, market } = started(listening)
    market.ready = Promise.reject(new Fault('RETRIES_EXHAUSTED', 'Kraken is gone.'))
    market.ready.catch(() => undefined)
    market.send([trade()])
    const thrown: unknown = await run.ready.catch((error: unknown) => error)
    expect((thrown as Error).message).to.equal('Kraken is gone.')
    await run.stop()
  })

  it('flushes: what had been received is written, without an end', async () => {
    const kept = memory<MarketEvent>({ capacity: 100 })
    const { run, market } = started(({ source, sink }) =>
      sink(source('trades', feed(WISH), roomy), kept, { ...roomy, flushMs: 60_000 }),
    )
    market.send([trade()])
    market.send([trade()])
    await turns()
    expect(kept.values).to.have.length(0)
    await run.flush()
    expect(kept.values).to.have.length(2)
    market.send([trade()])
    await run.stop()
    expect(kept.values).to.have.length(3)
  })

  it('can be killed: nothing is drained, everything is counted, and it ends at once', async () => {
    const { run, market, clock } = started(({ source, sink }) => {
      sink(source('trades', feed(WISH), roomy), hanging(), { ...roomy, flushMs: 0 })
    })
    market.onStop = () => NEVER_SETTLES
    for (let sent = 0; sent < 5; sent++) market.send([trade()])
    await turns()
    const killed = run.kill()
    await turns()
    clock.advance(500)
    const summary = await killed
    expect(summary.problems.join()).to.contain('The run was killed')
    for (const edge of summary.edges) {
      expect(edge.inFlight, edge.to).to.equal(0)
      expect(edge.in).to.equal(edge.out + sum(edge.dropped))
    }
    expect(summary.edges.at(-1)!.dropped).to.have.any.keys('stopped', 'deadline')
  })

  it('can be killed in the middle of a stop that takes too long', async () => {
    const { run, market, clock } = started(({ source, sink }) => {
      sink(source('trades', feed(WISH), roomy), hanging(), { ...roomy, flushMs: 0 })
    })
    market.send([trade()])
    await turns()
    let ended = false
    void run.stop().then(() => (ended = true))
    await turns(20)
    expect(ended, 'waits for its sink').to.equal(false)
    const killed = run.kill()
    await turns()
    clock.advance(500)
    await killed
    expect(ended).to.equal(true)
  })

  it('ends within one deadline, whatever hangs', async () => {
    const { run, market, clock } = started(({ source, sink }) => {
      sink(source('trades', feed(WISH), roomy), hanging(), { ...roomy, flushMs: 0 })
    })
    market.onStop = () => NEVER_SETTLES
    market.send([trade()])
    await turns()
    const startUs = clock.nowUs()
    const ended = { is: false }
    const stopped = run.stop().then(() => (ended.is = true))
    while (!ended.is && clock.nowUs() < startUs + 60_000_000) {
      await turns(2)
      clock.advance(50)
    }
    await stopped
    expect((clock.nowUs() - startUs) / 1e6).to.be.at.most(5.3)
  })

  it('gives up what a stage has in hand when the time is over, says so, and closes the other sinks whole', async () => {
    const whole = memory<MarketEvent>({ capacity: 9, name: 'whole' })
    const { run, market, clock } = started(({ source, sink }) => {
      const trades = source('trades', feed(WISH), roomy)
      const hangs = mergeMapByKey(
        () => 'one',
        () => NEVER_SETTLES as Promise<number>,
        { concurrency: 1, perKey: 1 },
      )
      sink(trades.through('hangs', hangs), memory<number>({ capacity: 9, name: 'waits' }), atOnce)
      sink(trades, whole, atOnce)
    })
    for (let sent = 0; sent < 3; sent++) market.send([trade()])
    await turns()
    const over = { is: false }
    const stopped = run.stop()
    void stopped.then(() => (over.is = true))
    while (!over.is) {
      await turns(2)
      clock.advance(50)
    }
    const summary = await stopped
    expect(summary.problems).to.deep.equal([
      'The stage test/hangs had not ended when the time to end was over: 3 values were given up. Find out what it waits for, or allow more time.',
    ])
    expect(summary.faults).to.deep.equal({ DEADLINE_EXCEEDED: 1 })
    expectBalanced(summary)
    expect(whole.values).to.have.length(3)
  })

  it('does not wait for ever for a sink that hangs: not to flush, not to attach, not to detach', async () => {
    const { run, market, clock } = started(({ source, sink }) => {
      sink(source('trades', feed(WISH), roomy), hanging(), { capacity: 1, onFull: 'block', flushMs: 0, batchMax: 1 })
    })
    market.send([trade()])
    const branch = await run.attach(({ stream, sink }) =>
      sink(stream<Batch<MarketEvent>>('trades'), memory<MarketEvent>({ capacity: 9, name: 'guest' }), atOnce),
    )
    for (let sent = 0; sent < 5; sent++) market.send([trade()])
    await turns()
    const outcome = { flush: '', attach: '', detach: '' }
    void run.flush().catch((thrown: unknown) => (outcome.flush = (thrown as Fault).code))
    void run
      .attach(({ stream, sink }) =>
        sink(stream<Batch<MarketEvent>>('trades'), memory({ capacity: 9, name: 'late' }), atOnce),
      )
      .catch((thrown: unknown) => (outcome.attach = (thrown as Fault).code))
    void branch.detach().then(() => (outcome.detach = 'done'))
    for (let step = 0; step < 120 && Object.values(outcome).includes(''); step++) {
      await turns(2)
      clock.advance(50)
    }
    expect(outcome).to.deep.equal({ flush: 'DEADLINE_EXCEEDED', attach: 'DEADLINE_EXCEEDED', detach: 'done' })
    const killed = run.kill()
    await turns()
    clock.advance(500)
    const summary = await killed
    expectBalanced(summary)
    expect(summary.sinks.map(({ name }) => name)).to.deep.equal(['hangs', 'guest'])
  })

  it('takes a branch in and lets it go, and the branch that keeps books asks for them', async () => {
    const { run, market } = started(listening)
    const kept = memory<number>({ capacity: 9, name: 'prices' })
    const attaching = run.attach(({ stream, sink }) => {
      const market = stream<Batch<MarketEvent>>('trades')
      sink(
        market.through(
          'prices-of',
          map((batch) => [...batch].map((event) => (event as Trade).price)),
        ),
        kept,
        atOnce,
      )
      sink(market.through('books', toBooks()), memory({ capacity: 9, name: 'books-sink' }), atOnce)
    })
    market.send([trade({ price: 1 })])
    const branch = await attaching
    await turns()
    market.send([trade({ price: 2 })])
    await branch.detach()
    market.send([trade({ price: 3 })])
    const summary = await run.stop()
    expect(branch.names).to.deep.equal(['prices-of', 'prices', 'books', 'books-sink'])
    expect(kept.values).to.deep.equal([2])
    expect(market.asked).to.include('refresh all')
    expect(summary.problems).to.deep.equal([])
    const refused: unknown = await run.attach(() => undefined).catch((error: unknown) => error)
    expect((refused as Error).message).to.equal('The run has ended: nothing can be attached to it.')
  })

  it('asks once for the books that several stages lose together', async () => {
    const { run, market } = started(({ source, sink }) => {
      const market = source('trades', feed(WISH), roomy)
      for (const name of ['a', 'b']) {
        const broken = map((batch: Batch<MarketEvent>) => {
          if ([...batch].some((event) => event.kind === 'trade' && event.id === '2')) throw new Error('no')
          return batch
        })
        sink(
          market.through(name, broken).through(`${name}-books`, toBooks()),
          memory({ capacity: 9, name: `${name}-sink` }),
          atOnce,
        )
      }
    })
    for (const id of ['1', '2', '3']) market.send([trade({ id })])
    await turns()
    await run.stop()
    expect(market.asked.filter((what) => what.startsWith('refresh'))).to.deep.equal(['refresh all'])
  })

  describe('when an exchange is given up', () => {
    const gone = new Fault('RETRIES_EXHAUSTED', 'Kraken is given up.')

    it('ends, loudly, by default', async () => {
      const { run, market } = started(listening)
      market.send([trade()])
      market.exhaust('kraken', gone)
      const summary = await run.done
      expect(summary.problems).to.deep.equal(['Kraken is given up. (test/trades)'])
    })

    it('goes on without it when its source may stop', async () => {
      const { run, market } = started(fed('stop'))
      market.send([trade()])
      market.exhaust('kraken', gone)
      await turns()
      market.send([trade()])
      const summary = await run.stop()
      expect(summary.edges[0]!.in).to.equal(2)
      expect(summary.problems).to.deep.equal(['Kraken is given up. (test/trades)'])
    })

    it('ends when nothing is left of it to go on with', async () => {
      const { run, market } = started(fed('stop'))
      market.connections = () => [{ exchange: 'kraken', url: 'fake', state: 'failed', sinceUs: FIRST_US, attempts: 9 }]
      market.send([trade()])
      market.exhaust('kraken', gone)
      expect((await run.done).problems).to.deep.equal(['Kraken is given up. (test/trades)'])
    })

    it('begins it again within the budget of its source, then ends', async () => {
      const policy: OnFailure = { restart: { atMost: 2, withinMs: 60_000, backoffMs: [100, 200] }, then: 'escalate' }
      const { run, market, clock } = started(fed(policy))
      market.send([trade()])
      for (let time = 0; time < 3; time++) {
        market.exhaust('kraken', gone)
        clock.advance(1_000)
        await turns()
      }
      const summary = await run.done
      expect(market.asked.filter((what) => what.startsWith('restart'))).to.have.length(2)
      expect(summary.problems).to.deep.equal(['Kraken is given up. (test/trades)'])
    })
  })

  it('stops in order when a stage escalates, and says why', async () => {
    const { run, market } = started(({ source, sink }) => {
      const thrower = map(() => {
        throw new Error('this cannot go on')
      })
      sink(
        source('trades', feed(WISH), roomy).through('vital', thrower, { onFailure: 'escalate' }),
        memory({ capacity: 9 }),
        atOnce,
      )
    })
    market.send([trade()])
    const summary = await run.done
    expect(market.asked).to.include('stop')
    expect(summary.problems.join()).to.match(
      /The stage test\/vital failed on .*: this cannot go on\. The run is stopped\./,
    )
  })

  it('survives a subscriber that throws where nobody can hear it', async () => {
    const { run, market } = started(({ source, sink }) => {
      const deaf = (input: Observable<Batch<MarketEvent>>): Observable<Batch<MarketEvent>> =>
        new Observable((out) =>
          input.pipe(map((batch) => batch)).subscribe({
            next: (batch) => {
              if ([...batch].some((event) => event.kind === 'trade' && event.id === '2')) throw new Error('deep inside')
              out.next(batch)
            },
            complete: () => out.complete(),
          }),
        )
      sink(source('trades', feed(WISH), roomy).through('deaf', deaf), memory({ capacity: 9 }), atOnce)
    })
    for (const id of ['1', '2', '3']) market.send([trade({ id })])
    await new Promise((resolve) => setTimeout(resolve, 5)) // RxJS tells on a timer of its own
    const summary = await run.stop()
    expect(summary.problems.join()).to.contain('threw where nobody listens: deep inside')
    expect(summary.sinks[0]!.written).to.equal(2)
  })

  it('says how often and how long the sources were held back', async () => {
    const gate = hanging()
    const { run, market, clock } = started(({ source, sink }) => {
      sink(source('trades', feed(WISH), roomy), gate, { capacity: 2, onFull: 'block', flushMs: 0, batchMax: 1 })
    })
    for (let sent = 0; sent < 4; sent++) market.send([trade()])
    await turns()
    clock.advance(2_000)
    const { times, seconds } = run.status().held
    expect(times).to.be.at.least(1)
    expect(seconds).to.equal(2)
    const killed = run.kill()
    await turns()
    clock.advance(500)
    expect((await killed).held.times).to.equal(times)
  })

  it('moves time without a market, so that what goes by time goes on', async () => {
    const kept = memory<number>({ capacity: 100 })
    const { run, clock } = started(
      ({ source, sink }) => {
        sink(source('n', NEVER as Observable<number>, roomy), memory<number>({ capacity: 1, name: 'x' }), atOnce)
        sink(source('ticks', ticking(), roomy), kept, atOnce)
      },
      { market: () => undefined },
    )
    await turns()
    clock.advance(1_000)
    await turns()
    expect(run.status().streamTimeUs).to.be.at.least(FIRST_US + 1_900_000)
    await run.stop()
  })

  it('carries values round a loop, through its mailbox, and ends', async () => {
    const kept = memory<number>({ capacity: 1_000 })
    const { run, market } = started(({ source, sink, merge, feedback }) => {
      const trades = source('trades', feed(WISH), roomy).through(
        'one',
        map(() => 1),
      )
      const back = feedback<number>('back', { capacity: 16, onFull: 'fail' })
      const all = merge('all', trades, back)
      const counted = all.through(
        'counted',
        scan((sum: number, value: number) => sum + value, 0),
      )
      back.from(
        counted.through(
          'few',
          (input) =>
            new Observable((out) =>
              input.subscribe({ next: (value) => value < 40 && out.next(value), complete: () => out.complete() }),
            ),
        ),
      )
      sink(counted, kept, atOnce)
    })
    market.send([trade()])
    await turns(20)
    const summary = await run.stop()
    expect(kept.values).to.deep.equal([1, 2, 4, 8, 16, 32, 64])
    expect(summary.problems).to.deep.equal([])
    for (const edge of summary.edges) expect(edge.inFlight, edge.to).to.equal(0)
  })
})

const NEVER_SETTLES = new Promise<never>(() => undefined)

function listening({ source, sink }: PipelineBuilder): void {
  sink(source('trades', feed(WISH), roomy), memory<MarketEvent>({ capacity: 1_000 }), atOnce)
}

function fed(onFailure: OnFailure) {
  return ({ source, sink }: PipelineBuilder): void => {
    sink(source('trades', feed(WISH), { ...roomy, onFailure }), memory<MarketEvent>({ capacity: 1_000 }), atOnce)
  }
}

function ticking(): Observable<number> {
  return interval(1_000_000)
}

function hanging(): Sink<unknown> {
  const done = (): Promise<void> => Promise.resolve()
  return { name: 'hangs', counters: sinkCounters(), open: done, write: () => NEVER_SETTLES, close: done }
}

function sum(dropped: Readonly<Record<string, number>>): number {
  return Object.values(dropped).reduce((total, values) => total + values, 0)
}

async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A run on a market of the test, whose time stands still unless the test moves it. */
function started(build: (builder: PipelineBuilder) => void, options: Partial<RunEngineOptions> = {}) {
  const market = new FakeMarket()
  const clock = new VirtualClock(FIRST_US + 1_000_000)
  const run = new Run({
    description: describePipeline('test', build),
    mode: 'live',
    market: () => market,
    recorder: undefined,
    host: { ...liveHost, clock },
    outDir: 'out',
    digest: false,
    stopWithinMs: 5_000,
    onFault: () => undefined,
    ...options,
  })
  run.done.catch(() => undefined)
  return { run, market, clock }
}
