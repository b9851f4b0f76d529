import { expect } from 'chai'
import {
  concat,
  map,
  mergeMap,
  NEVER,
  Observable,
  of,
  Subject,
  tap,
  throwError,
  timer,
  type OperatorFunction,
} from 'rxjs'
import { currentClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { RecordingWriter } from '../../src/feed/recording/recordingWriter'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { pipeline } from '../../src/pipeline/pipeline'
import { liveHost } from '../../src/pipeline/host'
import { Run, type RunEngineOptions } from '../../src/pipeline/run'
import type { RunSummary } from '../../src/pipeline/runSummary'
import { feed, frames } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { expectBalanced } from '../../src/testing/ledger'
import { eventually } from '../kit/eventually'
import { notice, snapshot, trade } from '../kit/marketEvents'
import { FakeMarket, FIRST_US } from './fakeMarket'

const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades', 'book'] } as const
const roomy = { capacity: 100_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const

describe('A run', () => {
  it('wires its stages at the first record, with the clock of the stream at its time', async () => {
    let wiredAtUs: number | undefined
    const { run, market } = started(({ source, sink }) => {
      const wired: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> = (trades) =>
        new Observable((out) => {
          wiredAtUs = currentClock().nowUs()
          return trades.subscribe(out)
        })
      sink(source('trades', feed(WISH), roomy).through('wired', wired), memory({ capacity: 10 }), atOnce)
    })
    await turns()
    expect(wiredAtUs).to.equal(undefined)
    expect(run.status()).to.deep.include({ records: 0, streamTimeUs: undefined, edges: [], sinks: [] })
    market.send([], FIRST_US + 5)
    expect(wiredAtUs).to.equal(FIRST_US + 5)
    expectBalanced(await run.stop())
  })

  it('gives stages what they wish, moves their time with the records, and writes it in order', async () => {
    const kept = memory<Trade>({ capacity: 100 })
    const timesUs: number[] = []
    const { run, market } = started(({ source, sink }) => {
      const trades = source('trades', feed({ ...WISH, channels: ['trades'] }), roomy)
      sink(
        trades.through(
          'clocked',
          (input) =>
            new Observable<Trade[]>((out) => {
              const clock = currentClock()
              return input.subscribe({
                next: (batch) => {
                  timesUs.push(clock.nowUs())
                  out.next([...batch] as Trade[])
                },
                complete: () => out.complete(),
              })
            }),
        ),
        kept,
        atOnce,
      )
    })
    const other = { symbol: 'ETH/USD', instrument: 'ETH-USD' }
    market.send([trade({ id: '1' }), snapshot([], []), trade({ id: '2' })])
    market.send([trade({ id: 'x', ...other })])
    market.send([trade({ id: '3' })])
    const summary = await run.stop()
    expect(kept.values.map(({ id }) => id)).to.deep.equal(['1', '2', '3'])
    expect(timesUs).to.deep.equal([FIRST_US + 1_000, FIRST_US + 3_000])
    expect(summary).to.deep.include({
      format: 'millrace-run/1',
      pipeline: 'test',
      mode: 'live',
      problems: [],
      faults: {},
    })
    expect(summary.sinks).to.deep.equal([{ name: 'memory', written: 3, bytes: 0, failed: 0 }])
    expect(market.asked).to.deep.equal(['start', 'stop'])
    expectBalanced(summary)
  })

  it('meets two wishes from one market, each with its own', async () => {
    const trades = memory<MarketEvent>({ capacity: 10, name: 'trades-out' })
    const books = memory<MarketEvent>({ capacity: 10, name: 'books-out' })
    const { run, market } = started(({ source, sink }) => {
      sink(source('trades', feed({ ...WISH, channels: ['trades'] }), roomy), trades, atOnce)
      sink(source('books', feed({ ...WISH, channels: ['book'] }), roomy), books, atOnce)
    })
    market.send([notice('connected', { symbol: '' }), trade(), snapshot([], [])])
    expectBalanced(await run.stop())
    expect(trades.values.map(({ kind }) => kind)).to.deep.equal(['notice', 'trade'])
    expect(books.values.map(({ kind }) => kind)).to.deep.equal(['notice', 'snapshot'])
  })

  it('gives sources of frames the records themselves, to keep', async () => {
    const kept = memory<unknown>({ capacity: 10 })
    const { run, market } = started(({ source, sink }) => sink(source('frames', frames(WISH), roomy), kept, atOnce))
    market.send([trade()])
    market.close()
    expectBalanced(await run.stop())
    expect(kept.values).to.have.length(2)
    expect(kept.values[0]).to.include({ dir: 'in', data: 'frame' })
    expect(kept.values[1]).to.include({ dir: 'close' })
  })

  it('moves the time of its stages while nothing arrives, except in a replay', async () => {
    for (const [mode, expected] of [
      ['live', true],
      ['replay', false],
    ] as const) {
      const { run, market, clock } = started(listening, { mode })
      market.send([trade()])
      clock.advance(10_000)
      await turns()
      expect(run.status().streamTimeUs! > FIRST_US + 5_000_000, mode).to.equal(expected)
      await run.stop()
    }
  })

  describe('when a stage fails', () => {
    const failing = (good: Sink<MarketEvent>, bad: Sink<MarketEvent>) => (builder: PipelineBuilder) => {
      const trades = builder.source('trades', feed(WISH), roomy)
      const broken = trades.through(
        'broken',
        map((batch) => {
          if ([...batch].some((event) => event.kind === 'trade' && event.id === '2')) throw new Error('two is too much')
          return batch
        }),
      )
      builder.sink(
        broken.through(
          'behind',
          map((batch) => batch),
        ),
        bad,
        atOnce,
      )
      builder.sink(trades, good, atOnce)
    }

    it('gives up what it failed on and goes on, says so, and hurts nobody else', async () => {
      const [good, bad] = [
        memory<MarketEvent>({ capacity: 9, name: 'good' }),
        memory<MarketEvent>({ capacity: 9, name: 'bad' }),
      ]
      const { run, market, faults } = started(failing(good, bad))
      for (const id of ['1', '2', '3']) market.send([trade({ id })])
      const summary = await run.stop()
      expect(ids(bad.values)).to.deep.equal(['1', '3'])
      expect(ids(good.values)).to.deep.equal(['1', '2', '3'])
      const sentence =
        'The stage test/broken failed on a trade of BTC/USD on kraken (id 2), received 1970-01-01T00:00:00.000000Z: two is too much'
      expect(summary.problems).to.deep.equal([
        `The stage test/broken failed and was restarted; the first fault: ${sentence}`,
      ])
      expect(summary.faults).to.deep.equal({ STAGE_FAILED: 1 })
      expect(faults[0]!.details).to.include({ stage: 'test/broken' })
      expect(summary.stages).to.deep.equal([
        { name: 'broken', path: 'test/broken', state: 'ended', failures: 1, restarts: 1, lastFault: sentence },
      ])
      expectBalanced(summary)
    })

    it('keeps the code of a fault that a stage throws', async () => {
      const { run, market } = started(({ source, sink }) => {
        const thrower = map(() => {
          throw new Fault('EDGE_FULL', 'It is full.')
        })
        sink(source('trades', feed(WISH), roomy).through('full', thrower), memory({ capacity: 1 }), atOnce)
      })
      market.send([trade()])
      const summary = await run.stop()
      expect(summary.faults).to.deep.equal({ EDGE_FULL: 1 })
      expect(summary.problems.join()).to.match(
        /The stage test\/full ended on a trade of BTC\/USD on kraken, .*: It is full\./,
      )
    })

    it('as it is wired, lets the others be wired', async () => {
      const good = memory<MarketEvent>({ capacity: 9, name: 'good' })
      const { run, market } = started(({ source, sink }) => {
        const trades = source('trades', feed(WISH), roomy)
        const unwirable: OperatorFunction<unknown, MarketEvent> = () => {
          throw new Error('not like this')
        }
        sink(trades.through('unwirable', unwirable), memory<MarketEvent>({ capacity: 9, name: 'bad' }), atOnce)
        sink(trades, good, atOnce)
      })
      market.send([trade({ id: '1' })])
      const summary = await run.stop()
      expect(ids(good.values)).to.deep.equal(['1'])
      expect(summary.problems.join()).to.contain('The stage test/unwirable failed: not like this')
    })
  })

  describe('with sinks that fail', () => {
    it('goes on with the others when one can never be opened, and says which', async () => {
      const good = memory<MarketEvent>({ capacity: 1_000, name: 'good' })
      const { run, market } = started(({ source, sink }) => {
        const trades = source('trades', feed(WISH), roomy)
        sink(trades, scripted({ name: 'bad', open: () => Promise.reject(new Fault('OPTION_INVALID', 'Not there.')) }), {
          ...{ capacity: 2, onFull: 'dropOldest', flushMs: 0 },
        })
        sink(trades, good, atOnce)
      })
      for (let sent = 0; sent < 50; sent++) {
        market.send([trade({ id: String(sent) })])
        await turns(1)
      }
      const summary = await run.stop()
      expect(good.values).to.have.length(50)
      expect(summary.problems.join('\n')).to.contain('Not there.')
      expect(market.asked, 'nobody is held back by it').not.to.include('pause')
      expectBalanced(summary)
    })

    it('does not wait for one that hangs while it runs, and at the end no longer than it may', async () => {
      const good = memory<MarketEvent>({ capacity: 1_000, name: 'good' })
      const { run, market, clock, faults } = started(
        ({ source, sink }) => {
          const trades = source('trades', feed(WISH), roomy)
          sink(trades, scripted({ name: 'hangs', write: () => NEVER_SETTLES }), {
            capacity: 5,
            onFull: 'dropOldest',
            flushMs: 0,
          })
          sink(trades, good, atOnce)
        },
        { stopWithinMs: 700 },
      )
      for (let sent = 0; sent < 50; sent++) {
        market.send([trade({ id: String(sent) })])
        await turns(1)
      }
      expect(good.values, 'written while the other hangs').to.have.length.above(40)
      let ended = false
      const stopping = run.stop().then((summary) => {
        ended = true
        return summary
      })
      await turns()
      clock.advance(699)
      await turns()
      expect(ended).to.equal(false)
      clock.advance(1)
      const summary = await stopping
      expect(good.values).to.have.length(50)
      expect(faults.map(({ code }) => code)).to.include('DEADLINE_EXCEEDED')
      expect(summary.problems.join('\n')).to.match(/The sink hangs was not closed within 0\.7 s/)
      const edge = summary.edges.find(({ to }) => to === 'hangs')!
      expect(edge.inFlight).to.equal(0)
      expect(edge.dropped).to.include.keys('deadline')
      expectBalanced(summary)
    })
  })

  describe('holds back the market', () => {
    it('when an edge that may not drop is full, and lets it go on when there is room', async () => {
      let release: (() => void) | undefined
      const { run, market } = started(({ source, sink }) => {
        const gated = scripted({ name: 'gated', write: () => new Promise<void>((resolve) => (release = resolve)) })
        sink(source('trades', feed(WISH), roomy), gated, { capacity: 4, onFull: 'block', flushMs: 0, batchMax: 2 })
      })
      let sent = 0
      for (; sent < 12 && !market.asked.includes('pause'); sent++) {
        market.send([trade()])
        await turns(2)
      }
      expect(sent, 'what is being written and what waits').to.be.within(4, 8)
      expect(market.asked).to.deep.equal(['start', 'pause'])
      await eventually(() => {
        release?.()
        expect(market.asked).to.deep.equal(['start', 'pause', 'resume'])
      })
      const stopping = run.stop()
      const releasing = setInterval(() => release?.(), 1)
      const summary = await stopping
      clearInterval(releasing)
      expect(summary.edges.at(-1)).to.deep.include({ in: sent, out: sent, dropped: {} })
      expectBalanced(summary)
    })

    it('in a replay by waiting, so that nothing is dropped even where it may be', async () => {
      const slow = memory<MarketEvent>({ capacity: 10_000 })
      const sink = {
        ...slow,
        name: 'slow',
        write: async (batch: readonly MarketEvent[]) => {
          await turns(3)
          await slow.write(batch)
        },
      }
      const market = new FakeMarket()
      let ready: () => Promise<void> | undefined = () => undefined
      const { run } = started(
        ({ source, sink: into }) => {
          const trades = source('trades', feed(WISH), { capacity: 5, onFull: 'dropOldest' })
          into(
            trades.through(
              'same',
              map((batch) => batch),
            ),
            sink,
            { capacity: 10, onFull: 'dropOldest', flushMs: 0, batchMax: 3 },
          )
        },
        { mode: 'replay', market: (told) => ((ready = told), market), liveClock: undefined },
      )
      for (let sent = 0; sent < 300; sent++) {
        market.send([trade({ id: String(sent) })])
        const wait = ready()
        if (wait !== undefined) await wait
      }
      market.end()
      const summary = await run.done
      expect(slow.counters.written).to.equal(300)
      for (const { dropped } of summary.edges) expect(dropped).to.deep.equal({})
      expectBalanced(summary)
    })
  })

  describe('without a market', () => {
    it('ends with the last of its sources, whatever ends before', async () => {
      const kept = memory<number>({ capacity: 100 })
      const { run } = started(
        ({ source, sink, merge }) => {
          const now = source('now', of(1, 2), roomy)
          const later = source('later', timer(5).pipe(map(() => 3)), roomy)
          const last = source('last', concat(timer(10), of(4)).pipe(map(() => 4)), roomy)
          sink(merge('all', now, later, last), kept, atOnce)
        },
        { market: () => undefined, liveClock: undefined },
      )
      const summary = await run.done
      expect(kept.values).to.deep.equal([1, 2, 3, 4, 4])
      expectBalanced(summary)
    })

    it('tells of a source that fails, and goes on with the others', async () => {
      const kept = memory<number>({ capacity: 100 })
      const { run } = started(
        ({ source, sink, merge }) => {
          const broken = source(
            'broken',
            concat(
              of(1),
              throwError(() => new Error('it broke')),
            ),
            roomy,
          )
          sink(merge('all', broken, source('fine', timer(5).pipe(map(() => 2)), roomy)), kept, atOnce)
        },
        { market: () => undefined, liveClock: undefined },
      )
      const summary = await run.done
      expect(kept.values).to.deep.equal([1, 2])
      expect(summary.problems).to.deep.equal(['The source test/broken failed: it broke'])
      expect(summary.faults).to.deep.equal({ STAGE_FAILED: 1 })
    })

    it('is stopped when nobody else ends it, and leaves its sources', async () => {
      let left = 0
      const { run } = started(
        ({ source, sink }) => {
          const endless = new Observable<number>((out) => {
            out.next(1)
            return () => left++
          })
          sink(source('endless', endless, roomy), memory<number>({ capacity: 10 }), atOnce)
        },
        { market: () => undefined },
      )
      const summary = await run.stop()
      expect(left).to.equal(1)
      expect(summary.sinks[0]).to.include({ written: 1 })
    })

    it('waits at the end for work that stages have begun', async () => {
      const kept = memory<number>({ capacity: 10 })
      const { run } = started(
        ({ source, sink }) => {
          const slow = mergeMap((value: number) => timer(10).pipe(map(() => value)))
          sink(source('numbers', of(1, 2, 3), roomy).through('slow', slow, roomy), kept, atOnce)
        },
        { market: () => undefined, liveClock: undefined },
      )
      expectBalanced(await run.done)
      expect(kept.values).to.deep.equal([1, 2, 3])
    })
  })

  describe('beside a market', () => {
    it('takes sources of other things, and goes on when they end', async () => {
      const kept = memory<number>({ capacity: 10, name: 'numbers' })
      const { run, market } = started(({ source, sink }) => {
        sink(source('trades', feed(WISH), roomy), memory<MarketEvent>({ capacity: 10 }), atOnce)
        sink(source('numbers', of(1), roomy), kept, atOnce)
      })
      market.send([trade()])
      await turns()
      market.send([trade()])
      const summary = await run.stop()
      expect(kept.values).to.deep.equal([1])
      expect(summary.sinks.map(({ written }) => written)).to.deep.equal([2, 1])
      expectBalanced(summary)
    })

    it('digests only what a replay would give again', async () => {
      const digested: string[] = []
      const digesting = (name: string): Sink<unknown> => ({
        ...scripted({ name }),
        enableDigest: () => digested.push(name),
        digest: () => (digested.includes(name) ? `sha256:${name}` : undefined),
      })
      const { run, market } = started(
        ({ source, sink, merge }) => {
          const trades = source('trades', feed(WISH), roomy)
          const numbers = source('numbers', of(1), roomy)
          sink(
            trades.through(
              'same',
              map((batch) => batch),
            ),
            digesting('market'),
            atOnce,
          )
          sink(numbers, digesting('other'), atOnce)
          sink(
            merge(
              'mixed',
              trades.through(
                'one',
                map(() => 1),
              ),
              numbers,
            ),
            digesting('mixture'),
            atOnce,
          )
        },
        { digest: true },
      )
      market.send([trade()])
      const { sinks } = await run.stop()
      expect(sinks.map(({ name, digest }) => [name, digest])).to.deep.equal([
        ['market', 'sha256:market'],
        ['other', undefined],
        ['mixture', undefined],
      ])
    })

    it('digests nothing unless it is asked to', async () => {
      let enabled = 0
      const { run, market } = started(({ source, sink }) =>
        sink(source('trades', feed(WISH), roomy), { ...scripted({}), enableDigest: () => enabled++ }, atOnce),
      )
      market.send([trade()])
      await run.stop()
      expect(enabled).to.equal(0)
    })
  })

  describe('at its beginning and end', () => {
    it('rejects when the market cannot be had, and closes what was opened for it', async () => {
      const market = new FakeMarket()
      market.onStart = () => Promise.reject(new Fault('RETRIES_EXHAUSTED', 'Nobody answers.'))
      const { recorder, closed } = fakeRecorder()
      const { run } = started(listening, { market: () => market, recorder })
      expect(await rejectionOf(run.done)).to.include({ code: 'RETRIES_EXHAUSTED' })
      expect(market.asked).to.deep.equal(['start', 'stop'])
      expect(closed()).to.equal(1)
    })

    it('rejects when its stages cannot be wired, and hurts nobody who delivers records', async () => {
      const unwirable = (): never => {
        throw new Error('no digest of this')
      }
      const { run, market } = started(
        ({ source, sink }) => sink(source('trades', feed(WISH), roomy), scripted({ enableDigest: unwirable }), atOnce),
        { digest: true },
      )
      market.send([trade()])
      market.send([trade()])
      expect(await rejectionOf(run.done)).to.have.property('message', 'no digest of this')
      expect(market.asked).to.include('stop')
    })

    it('is stopped while the market still opens', async () => {
      const market = new FakeMarket()
      market.onStart = () => NEVER_SETTLES
      const { run } = started(listening, { market: () => market })
      const summary = await run.stop()
      expect(market.asked).to.deep.equal(['start', 'stop'])
      expect(summary.sinks, 'an empty run has its reports too').to.have.length(1)
    })

    it('waits for a market that does not stop no longer than it may', async () => {
      const market = new FakeMarket()
      market.onStop = () => NEVER_SETTLES
      const { run, clock } = started(listening, { market: () => market, stopWithinMs: 500 })
      market.send([trade()])
      let ended = false
      const stopping = run.stop().then(() => (ended = true))
      await turns()
      expect(ended).to.equal(false)
      clock.advance(500)
      await stopping
    })

    it('ends when the market does', async () => {
      const { run, market } = started(listening)
      market.send([trade()])
      market.end()
      expect((await run.done).sinks[0]).to.include({ written: 1 })
    })

    it('gives one summary, however often it is stopped', async () => {
      const { run, market } = started(listening)
      market.send([trade()])
      const [first, second] = await Promise.all([run.stop(), run.stop()])
      expect(first).to.equal(second)
      expect(await run.stop()).to.equal(first)
      expect(market.asked).to.deep.equal(['start', 'stop'])
    })

    it('takes the last records that come while the market stops', async () => {
      const market = new FakeMarket()
      market.onStop = () => {
        market.send([trade({ id: 'last' })])
        return Promise.resolve()
      }
      const kept = memory<MarketEvent>({ capacity: 10 })
      const { run } = started(({ source, sink }) => sink(source('trades', feed(WISH), roomy), kept, atOnce), {
        market: () => market,
      })
      market.send([trade({ id: 'first' })])
      await run.stop()
      expect(ids(kept.values)).to.deep.equal(['first', 'last'])
    })

    it('records every record once, and closes the recording', async () => {
      const { recorder, records, closed } = fakeRecorder()
      const { run, market } = started(listening, { recorder })
      market.send([trade()])
      market.send([])
      await run.stop()
      expect([records(), closed()]).to.deep.equal([2, 1])
    })

    it('tells of a recording that could not be finished', async () => {
      const { recorder } = fakeRecorder(() => Promise.reject(new Error('the disk is full')))
      const { run, market } = started(listening, { recorder })
      market.send([trade()])
      const summary = await run.stop()
      expect(summary.problems).to.deep.equal(['The recording could not be finished: the disk is full'])
      expect(summary.faults).to.deep.equal({ SINK_REJECTED: 1 })
    })

    it('counts the market’s faults, and makes problems of those that nothing can repair', async () => {
      const { run, market, faults } = started(listening)
      market.send([trade()])
      for (const code of ['FRAME_UNREADABLE', 'FRAME_UNREADABLE', 'BOOK_GAP', 'SUBSCRIBE_REFUSED'] as const) {
        market.fault(new Fault(code, `It was ${code}.`))
      }
      const summary = await run.stop()
      expect(summary.faults).to.deep.equal({ FRAME_UNREADABLE: 2, BOOK_GAP: 1, SUBSCRIBE_REFUSED: 1 })
      expect(summary.problems).to.deep.equal(['It was SUBSCRIBE_REFUSED.'])
      expect(faults).to.have.length(4)
    })

    it('says that nothing came when its time is over', async () => {
      const { run } = started(listening)
      expect((await run.expire()).problems.join()).to.match(/^Nothing was received within/)
      const busy = started(listening)
      busy.market.send([trade()])
      expect((await busy.run.expire()).problems).to.deep.equal([])
    })
  })

  describe('judges its books', () => {
    const judged = async (mode: RunEngineOptions['mode'], ...events: MarketEvent[]): Promise<RunSummary> => {
      const { run, market } = started(listening, { mode })
      for (const event of events) market.send([event])
      return run.stop()
    }
    const live = snapshot([], [])

    it('as live, with the gaps that were repaired', async () => {
      const { books, problems } = await judged('live', live, notice('gap'), notice('resynced'), live)
      expect(books).to.deep.equal({ live: 1, gaps: 1, resyncs: 1 })
      expect(problems).to.deep.equal([])
    })

    it('as a problem when a gap was not repaired', async () => {
      const { books, problems } = await judged('live', live, notice('gap'))
      expect(books).to.deep.equal({ live: 0, gaps: 1, resyncs: 0 })
      expect(problems).to.deep.equal(['The book of BTC-USD on kraken had a gap that was not repaired.'])
    })

    it('as lost when its connection is down at the end, except at the end of a recording', async () => {
      const down = await judged('live', live, notice('disconnected'))
      expect(down.books.live).to.equal(0)
      expect(down.problems).to.deep.equal(['The connection with the book of BTC-USD on kraken was down at the end.'])
      const replayed = await judged('replay', live, notice('disconnected'))
      expect(replayed.books.live).to.equal(1)
      expect(replayed.problems).to.deep.equal([])
    })
  })

  it('shows how it is while it runs', async () => {
    const { run, market } = started(listening)
    market.send([snapshot([], []), trade()], FIRST_US)
    await turns()
    const status = run.status()
    expect(status).to.deep.include({ pipeline: 'test', mode: 'live', records: 1, events: 2, streamTimeUs: FIRST_US })
    expect(status.rows.get('kraken BTC-USD')).to.include({ state: 'live', events: 2, trades: 1 })
    expect(status.edges.map(({ from, to }) => `${from} > ${to}`)).to.deep.equal([
      'exchanges > trades',
      'trades > memory',
    ])
    expect(status.sinks).to.have.length(1)
    expect(status.connections).to.deep.equal([
      { exchange: 'kraken', url: 'fake', state: 'open', sinceUs: FIRST_US, attempts: 1 },
    ])
    expect(status.seconds).to.be.at.least(0)
    await run.stop()
  })

  it('measures how long events took to their sink, where the time is that of now', async () => {
    const { run, market, clock } = started(listening)
    market.send([trade({ receiveTimeUs: FIRST_US })], FIRST_US)
    const atLeastUs = clock.nowUs() - FIRST_US
    const { latencyUs, process: spent } = await run.stop()
    expect(latencyUs.receiveToSink.max).to.be.at.least(atLeastUs)
    expect(spent.rssBytes).to.be.above(0)
    const replayed = started(listening, { mode: 'replay' })
    replayed.market.send([trade({ receiveTimeUs: 1 })])
    expect((await replayed.run.stop()).latencyUs.receiveToSink).to.deep.equal({ p50: 0, p99: 0, max: 0 })
  })

  it('balances its accounts under every policy and any burst', async () => {
    for (const onFull of ['block', 'dropOldest', 'dropNewest', 'keepLatest', { conflate: 'instrument' }] as const) {
      const { run, market } = started(({ source, sink }) => {
        const trades = source('trades', feed(WISH), { capacity: 3, onFull })
        const busy = tap(() => {
          for (const endMs = performance.now() + 1; performance.now() < endMs;);
        })
        const slow = trades.through('slow', busy as OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>>, {
          ...{ capacity: 2, onFull },
        })
        sink(slow, memory<MarketEvent>({ capacity: 1_000 }), { capacity: 2, onFull, flushMs: 0 })
      })
      for (let sent = 0; sent < 40; sent++) {
        market.send([trade(), trade(), snapshot([], [])].slice(0, (sent % 3) + 1))
        if (sent % 10 === 0) expectBalanced(run.status().edges)
      }
      const summary = await run.stop()
      expectBalanced(summary)
      expect(summary.edges[0]!.in).to.be.above(40)
    }
  })
})

describe('A pipeline', () => {
  const numbers = (kept: Sink<number>, endless = true) =>
    pipeline('numbers', ({ source, sink }) => {
      sink(source('n', endless ? concat(of(1), NEVER) : of(1), roomy), kept, atOnce)
    })

  it('runs to its end', async () => {
    const kept = memory<number>({ capacity: 10 })
    const summary = await numbers(kept, false).run()
    expect(summary).to.deep.include({ pipeline: 'numbers', mode: 'simulate', problems: [] })
    expect(kept.values).to.deep.equal([1])
  })

  it('stops in order when its signal is aborted, before and after its beginning', async () => {
    const kept = memory<number>({ capacity: 10 })
    const abort = new AbortController()
    const handle = numbers(kept).start({ signal: abort.signal })
    await eventually(() => expect(kept.values).to.deep.equal([1]))
    abort.abort()
    expect((await handle.done).sinks[0]).to.include({ written: 1 })
    expect((await numbers(kept).run({ signal: abort.signal })).problems).to.deep.equal([])
  })

  it('stops when it is told to, at once after its start as well', async () => {
    const handle = numbers(memory<number>({ capacity: 10 })).start()
    const summary = await handle.stop()
    expect(summary).to.equal(await handle.done)
    expect(handle.status()).to.include({ pipeline: 'numbers', mode: 'simulate' })
  })

  it('stops by itself when its seconds are over', async () => {
    const summary = await numbers(memory<number>({ capacity: 10 })).run({ seconds: 0.05 })
    expect(summary.seconds).to.be.within(0.04, 2)
  })

  it('describes itself anew for each run and each picture', async () => {
    let described = 0
    const subject = new Subject<number>()
    const made = pipeline('p', ({ source, sink }) => {
      described++
      sink(source('n', subject, roomy), memory<number>({ capacity: 1 }), atOnce)
    })
    expect(described).to.equal(0)
    made.graph()
    await made.start().stop()
    expect(described).to.equal(2)
  })

  it('rejects, and does not throw, when it cannot begin', async () => {
    const kept = memory<number>({ capacity: 10 })
    for (const [running, code] of [
      [() => numbers(kept).run({ live: true, replay: ['x'] }), 'OPTION_INVALID'],
      [() => numbers(kept).run({ replay: ['x'], speed: 'fast' }), 'OPTION_INVALID'],
      [() => pipeline('empty', () => undefined).run(), 'PIPELINE_INVALID'],
    ] as const) {
      expect(await rejectionOf(running())).to.include({ code })
    }
  })
})

function listening({ source, sink }: PipelineBuilder): void {
  sink(source('trades', feed(WISH), roomy), memory<MarketEvent>({ capacity: 1_000 }), atOnce)
}

/** A run of a pipeline on a market of the test; time stands still unless it is told to go on, or `liveClock` is left out. */
function started(
  build: (builder: PipelineBuilder) => void,
  options: Partial<Omit<RunEngineOptions, 'liveClock'>> & { liveClock?: undefined } = {},
) {
  const market = new FakeMarket()
  const clock = new VirtualClock(FIRST_US + 1_000_000)
  const faults: Fault[] = []
  const run = new Run({
    description: describePipeline('test', build),
    mode: 'live',
    market: () => market,
    recorder: undefined,
    host: { ...liveHost, clock: 'liveClock' in options ? passing : clock },
    outDir: 'out',
    digest: false,
    stopWithinMs: 5_000,
    onFault: (fault) => faults.push(fault),
    ...withoutClock(options),
  })
  run.done.catch(() => undefined)
  return { run, market, clock, faults }
}

function withoutClock<T extends object>(options: T): Omit<T, 'liveClock'> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name !== 'liveClock')) as Omit<T, 'liveClock'>
}

/** Real time, for runs that have to wait for the work of others. */
const passing = {
  nowUs: () => Math.floor((performance.timeOrigin + performance.now()) * 1_000),
  after: (delayMs: number, callback: () => void) => {
    const waiting = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(waiting) }
  },
}

const NEVER_SETTLES = new Promise<never>(() => undefined)

function scripted(verbs: Partial<Sink<unknown>>): Sink<unknown> {
  const done = (): Promise<void> => Promise.resolve()
  return { name: 'scripted', counters: sinkCounters(), open: done, write: done, close: done, ...verbs }
}

function fakeRecorder(close: () => Promise<void> = () => Promise.resolve()) {
  let records = 0
  let closed = 0
  const recorder = {
    write: () => {
      records++
    },
    close: () => {
      closed++
      return close()
    },
  } as unknown as RecordingWriter
  return { recorder, records: () => records, closed: () => closed }
}

function ids(events: readonly MarketEvent[]): (string | undefined)[] {
  return events.flatMap((event) => (event.kind === 'trade' ? [event.id] : []))
}

async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function rejectionOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (thrown) {
    return thrown
  }
  throw new Error('expected a rejection')
}
