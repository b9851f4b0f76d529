/**
 * What a run tells of itself: on a market of the test, whose time stands still, and on the simulator.
 */
import { expect } from 'chai'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { concatMap, map, Observable, of, type OperatorFunction } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { CATALOGUE, type MetricName } from '../../src/metrics/catalogue'
import type { MetricFamily, MetricSample } from '../../src/metrics/metric'
import { runMetrics, type MetricRow } from '../../src/metrics/runMetrics'
import { counter, gauge, type Counter } from '../../src/metrics/userMetrics'
import type { Batch, MarketEvent, Trade } from '../../src/model/events'
import type { Fault } from '../../src/model/fault'
import { ofKind } from '../../src/operators/ofKind'
import { toBooks } from '../../src/operators/toBooks'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import { liveHost } from '../../src/pipeline/host'
import { pipeline, type RunHandle } from '../../src/pipeline/pipeline'
import { Run, type RunEngineOptions } from '../../src/pipeline/run'
import { feed } from '../../src/pipeline/sources'
import { jsonLines } from '../../src/sinks/jsonLines'
import { memory } from '../../src/sinks/memory'
import { eventually } from '../kit/eventually'
import { trade } from '../kit/marketEvents'
import { FakeMarket, FIRST_US } from './fakeMarket'

const WISH = { exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades'] } as const
const roomy = { capacity: 100_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const

describe('The metrics of a run', () => {
  it('are those of the catalogue, each with one sample for each set of labels', async () => {
    const { run, market } = started(passing())
    market.send([trade({ receiveTimeUs: FIRST_US })])
    await turns()
    expectWellFormed(run.metrics())
    await run.stop()
    expectWellFormed(run.metrics())
  })

  it('can be read before the first record, and after the end as it was then', async () => {
    const { run, market, clock } = started(passing())
    expect(valueOf(run.metrics(), 'run.records')).to.equal(0)
    expect(find(run.metrics(), 'edge.received')).to.equal(undefined)
    market.send([trade(), trade()])
    clock.advance(7_000)
    await run.stop()
    const atEnd = run.metrics()
    clock.advance(60_000)
    expect(run.metrics()).to.deep.equal(atEnd)
    expect(valueOf(atEnd, 'run.seconds')).to.equal(7)
    expect([valueOf(atEnd, 'run.records'), valueOf(atEnd, 'run.events')]).to.deep.equal([1, 2])
    expect(run.status().seconds).to.equal(7)
  })

  it('are of each edge what its account says, with why values were dropped', async () => {
    const { run, market } = started(({ source, sink }) => {
      const trades = source('trades', feed(WISH), roomy)
      const kept = trades.through('kept', ofKind('trade'), { capacity: 2, onFull: 'dropNewest' })
      sink(kept, memory<Trade>({ capacity: 10, name: 'out' }), atOnce)
    })
    for (let batch = 0; batch < 4; batch++) market.send([trade(), trade(), trade()])
    await run.stop()
    const families = run.metrics()
    for (const { from: start, to, in: received, out, dropped, inFlight } of run.status().edges) {
      const labels = { from: start, to }
      expect(valueOf(families, 'edge.received', labels)).to.equal(received)
      expect(valueOf(families, 'edge.sent', labels)).to.equal(out)
      expect(valueOf(families, 'edge.depth', labels)).to.equal(inFlight)
      for (const [reason, values] of Object.entries(dropped)) {
        expect(valueOf(families, 'edge.dropped', { ...labels, reason })).to.equal(values)
      }
    }
    expect(valueOf(families, 'edge.capacity', { from: 'trades', to: 'kept' })).to.equal(2)
    expect(valueOf(families, 'edge.high_water', { from: 'trades', to: 'kept' })).to.be.at.least(2)
    expect(valueOf(families, 'stage.values', { stage: 'kept' })).to.equal(
      valueOf(families, 'edge.sent', { from: 'trades', to: 'kept' }),
    )
  })

  it('are of each sink what it has written, and what waits for it', async () => {
    let release!: () => void
    const held = new Promise<void>((resolve) => (release = resolve))
    const slow = memory<MarketEvent>({ capacity: 100, name: 'slow' })
    const waiting = { ...slow, write: (batch: readonly MarketEvent[]) => held.then(() => slow.write(batch)) }
    const { run, market } = started(({ source, sink }) => sink(source('trades', feed(WISH), roomy), waiting, atOnce))
    market.send([trade(), trade(), trade()])
    await turns()
    expect(valueOf(run.metrics(), 'sink.queue', { sink: 'slow' })).to.equal(3)
    expect(valueOf(run.metrics(), 'sink.written', { sink: 'slow' })).to.equal(0)
    release()
    await run.stop()
    expect(valueOf(run.metrics(), 'sink.queue', { sink: 'slow' })).to.equal(0)
    expect(valueOf(run.metrics(), 'sink.written', { sink: 'slow' })).to.equal(3)
  })

  it('are of each stage how long it works by itself, how often it failed and was restarted', async () => {
    let steadyUs = 0
    const taking =
      (us: number): OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> =>
      (source) =>
        new Observable((out) =>
          source.subscribe({
            next: (batch) => {
              steadyUs += us
              if (batch.length === 3) throw new Error('three')
              out.next(batch)
              steadyUs += us
            },
            complete: () => out.complete(),
          }),
        )
    const { run, market } = started(
      ({ source, sink }) => {
        const outer = source('trades', feed(WISH), roomy).through('outer', taking(10))
        sink(outer.through('inner', taking(3)), memory<MarketEvent>({ capacity: 100 }), atOnce)
      },
      { steadyUs: () => steadyUs },
    )
    for (const size of [1, 2, 3, 1]) market.send(Array.from({ length: size }, () => trade()))
    await run.stop()
    const families = run.metrics()
    // Three batches, and the notice of the one that was lost.
    expect(valueOf(families, 'stage.busy', { stage: 'outer' })).to.equal(4 * 20 + 10)
    expect(valueOf(families, 'stage.busy', { stage: 'inner' })).to.equal(4 * 6)
    expect(valueOf(families, 'stage.faults', { stage: 'outer' })).to.equal(1)
    expect(valueOf(families, 'stage.restarts', { stage: 'outer' })).to.equal(1)
    expect(valueOf(families, 'stage.faults', { stage: 'inner' })).to.equal(0)
    const { distribution } = sampleOf(families, 'stage.latency', { stage: 'outer' })!
    expect(distribution!.percentiles!.max).to.equal(20)
    expect(run.status().stages.map(({ name, values, busyUs }) => [name, values, busyUs])).to.deep.equal([
      ['outer', 4, 90],
      ['inner', 5, 24],
    ])
  })

  it('divide the way of a frame to the sink, and add up', async () => {
    const { run, market, clock } = started(({ source, sink }) => {
      const delayed = source('trades', feed(WISH), roomy).through('same', ofKind('trade'))
      sink(delayed, memory<Trade>({ capacity: 1_000 }), { ...roomy, flushMs: 20 })
    })
    for (let frame = 0; frame < 50; frame++) {
      clock.advance(3)
      const receiveTimeUs = clock.nowUs() - 400
      market.send([trade({ receiveTimeUs, exchangeTimeUs: receiveTimeUs - 1_500 + 100 * frame })], receiveTimeUs)
      await turns()
    }
    clock.advance(100)
    await run.stop()
    const sum = (part: string): number => sampleOf(run.metrics(), `latency.${part}` as MetricName)!.distribution!.sum
    const whole = sum('exchange_to_sink')
    expect(whole).to.be.above(50 * 400)
    expect(sum('receive_to_decode')).to.equal(50 * 400)
    expect(sum('operator_to_sink')).to.be.above(0)
    const parts = sum('exchange_to_receive') + sum('receive_to_decode') + sum('decode_to_operator')
    expect(parts + sum('operator_to_sink')).to.equal(whole)
    expect(valueOf(run.metrics(), 'latency.exchange_ahead')).to.equal(34)
    expect(run.status().latencyUs.exchangeToSink.count).to.equal(50)
  })

  it('tell no latencies of a replay: when its frames were received says nothing of this machine', async () => {
    const { run, market } = started(passing(), { mode: 'replay' })
    market.send([trade({ receiveTimeUs: FIRST_US + 1_000 })])
    await run.stop()
    expect(find(run.metrics(), 'latency.receive_to_sink')).to.equal(undefined)
    expect(run.status().latencyUs.receiveToSink.count).to.equal(0)
  })

  it('count the faults by code, and how long the sources were held back', async () => {
    let release!: () => void
    const held = new Promise<void>((resolve) => (release = resolve))
    const slow = memory<MarketEvent>({ capacity: 100, name: 'slow' })
    const waiting = { ...slow, write: (batch: readonly MarketEvent[]) => held.then(() => slow.write(batch)) }
    const { run, market, clock } = started(({ source, sink }) => {
      const trades = source('trades', feed(WISH), roomy)
      sink(
        trades.through('failing', (events) =>
          events.pipe(
            map((batch) => {
              if (batch.length === 1 && [...batch].every(({ kind }) => kind === 'trade')) throw new Error('one')
              return batch
            }),
          ),
        ),
        waiting,
        { ...atOnce, capacity: 2 },
      )
    })
    market.send([trade()])
    for (let batch = 0; batch < 3; batch++) market.send([trade(), trade(), trade()])
    await turns()
    clock.advance(250)
    expect(valueOf(run.metrics(), 'run.faults', { code: 'STAGE_FAILED' })).to.equal(1)
    expect(valueOf(run.metrics(), 'run.quarantined')).to.equal(0)
    expect(valueOf(run.metrics(), 'run.holds')).to.equal(run.status().held.times).and.above(0)
    expect(valueOf(run.metrics(), 'run.held')).to.equal(250)
    release()
    await run.stop()
  })

  it('are added up of a branch that is attached again under its name', async () => {
    const { run, market } = started(passing())
    market.send([trade()])
    for (let time = 0; time < 2; time++) {
      const branch = await run.attach(({ stream, sink }) => {
        sink(stream<Batch<Trade>>('same'), memory<Trade>({ capacity: 9 }), { ...atOnce, name: 'branch' })
      })
      market.send([trade(), trade()])
      await turns()
      await branch.detach()
    }
    await run.stop()
    expectWellFormed(run.metrics())
    expect(valueOf(run.metrics(), 'edge.received', { from: 'same', to: 'branch' })).to.equal(4)
    expect(valueOf(run.metrics(), 'sink.written', { sink: 'branch' })).to.equal(4)
  })

  it('leave out what costs more than an addition when nobody is to watch', async () => {
    const { run, market } = started(passing(), { watching: false })
    market.send([trade({ receiveTimeUs: FIRST_US + 1_000 })])
    const { latencyUs, problems } = await run.stop()
    expect(problems).to.deep.equal([])
    expect(latencyUs.receiveToSink).to.deep.equal({ p50: 0, p99: 0, max: 0 })
    expect(find(run.metrics(), 'latency.receive_to_sink')).to.equal(undefined)
    expect(sampleOf(run.metrics(), 'stage.latency', { stage: 'same' })!.value).to.equal(0)
    expect(valueOf(run.metrics(), 'edge.received', { from: 'trades', to: 'same' })).to.equal(1)
  })

  describe('of a pipeline’s own', () => {
    const SEEN = { unit: 'trades', meaning: 'trades that were seen' }

    it('count what its stages count, also when they are defined where they are subscribed to', async () => {
      const counting: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> = (source) =>
        new Observable((out) => {
          const batches = counter('seen.batches', { unit: 'batches', meaning: 'batches that were seen' })
          return source.subscribe({
            next: (batch) => {
              batches.add()
              out.next(batch)
            },
            complete: () => out.complete(),
          })
        })
      const { run, market } = started(({ source, sink }) => {
        const seen = counter('seen.trades', { ...SEEN, labels: ['symbol'] })
        const trades = source('trades', feed(WISH), roomy).through('counting', counting)
        const each = trades.through(
          'each',
          concatMap((batch) => {
            for (const { symbol } of batch) seen.add(1, { symbol })
            return of(batch)
          }),
        )
        sink(each, memory<MarketEvent>({ capacity: 99 }), atOnce)
      })
      market.send([trade(), trade({ instrument: 'BTC-USD', symbol: 'XBT/USD' })])
      market.send([trade()])
      await run.stop()
      const families = run.metrics()
      expect(find(families, 'seen.trades')).to.deep.equal({
        ...{ name: 'seen.trades', kind: 'counter', ...SEEN },
        samples: [
          { labels: { symbol: 'BTC/USD' }, value: 2 },
          { labels: { symbol: 'XBT/USD' }, value: 1 },
        ],
      })
      expect(valueOf(families, 'seen.batches')).to.equal(2)
    })

    it('go on through a restart of the stage that defines them', async () => {
      const counting: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> = (source) =>
        new Observable((out) => {
          const seen = counter('seen.batches', { unit: 'batches', meaning: 'batches that were seen' })
          const size = gauge('seen.size', { unit: 'trades', meaning: 'trades of the last batch' })
          return source.subscribe({
            next: (batch) => {
              seen.add()
              size.set(batch.length)
              if (batch.length === 2) throw new Error('two')
              out.next(batch)
            },
            complete: () => out.complete(),
          })
        })
      const { run, market } = started(({ source, sink }) =>
        sink(source('trades', feed(WISH), roomy).through('counting', counting), memory({ capacity: 9 }), atOnce),
      )
      for (const size of [1, 2, 1]) market.send(Array.from({ length: size }, () => trade()))
      await run.stop()
      expect(valueOf(run.metrics(), 'stage.restarts', { stage: 'counting' })).to.equal(1)
      // With the notice of the batch that was lost.
      expect(valueOf(run.metrics(), 'seen.batches')).to.equal(4)
      expect(valueOf(run.metrics(), 'seen.size')).to.equal(1)
    })

    it('are of one run each', async () => {
      const counted: Counter[] = []
      const build = ({ source, sink }: PipelineBuilder): void => {
        counted.push(counter('seen.trades', SEEN))
        sink(source('trades', feed(WISH), roomy), memory({ capacity: 9 }), atOnce)
      }
      const [one, other] = [started(build), started(build)]
      counted[0]!.add(5)
      expect(valueOf(one.run.metrics(), 'seen.trades')).to.equal(5)
      expect(valueOf(other.run.metrics(), 'seen.trades')).to.equal(0)
      await Promise.all([one.run.stop(), other.run.stop()])
    })

    it('are problems of the pipeline where they cannot be, all told at once with the others', () => {
      const build = ({ source, sink }: PipelineBuilder): void => {
        counter('edge.mine', SEEN)
        counter('seen.trades', SEEN)
        gauge('seen_trades', SEEN)
        sink(source('trades', feed(WISH), roomy), memory({ capacity: 9 }), { ...atOnce, capacity: 0 })
      }
      expect(() => describePipeline('test', build))
        .to.throw()
        .with.property('message')
        .that.contains('3 problems')
        .and.contains('The metric edge.mine cannot be defined: what begins with edge is counted by millrace itself.')
        .and.contains('seen.trades is defined already, in the pipeline')
        .and.contains('capacity is a whole number')
    })

    it('stop the stage that defines one that cannot be, with its sentence, and no other', async () => {
      const defining: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> = (source) =>
        new Observable((out) => {
          counter('seen.trades', { ...SEEN, unit: 'rows' })
          return source.subscribe(out)
        })
      const kept = memory<MarketEvent>({ capacity: 9, name: 'kept' })
      const { run, market } = started(({ source, sink }) => {
        counter('seen.trades', SEEN)
        const trades = source('trades', feed(WISH), roomy)
        sink(trades.through('defining', defining), memory({ capacity: 9, name: 'none' }), atOnce)
        sink(trades, kept, atOnce)
      })
      market.send([trade()])
      const { problems } = await run.stop()
      expect(kept.values).to.have.length(1)
      expect(problems.join()).to.contain('The stage test/defining ended')
      expect(problems.join()).to.contain('seen.trades is defined already, in the pipeline')
    })

    it('are told together when their labels do not end, and the run goes on', async () => {
      const { run, market, faults } = started(({ source, sink }) => {
        const seen = counter('seen.trades', { ...SEEN, labels: ['id'] })
        const counting = source('trades', feed(WISH), roomy).through('counting', (events) =>
          events.pipe(
            map((batch) => {
              for (const event of batch) seen.add(1, { id: (event as Trade).id ?? '' })
              return batch
            }),
          ),
        )
        sink(counting, memory<MarketEvent>({ capacity: 5_000 }), atOnce)
      })
      market.send(Array.from({ length: 1_500 }, (_, id) => trade({ id: String(id) })))
      const { problems } = await run.stop()
      expect(problems).to.deep.equal([])
      expect(faults.map(({ code }) => code)).to.deep.equal(['OPTION_INVALID'])
      expect(valueOf(run.metrics(), 'metrics.overflowed', { metric: 'seen.trades' })).to.equal(500)
    })
  })

  describe('as a stream', () => {
    it('go to sinks like market data', async () => {
      const kept = memory<MetricRow>({ capacity: 10_000, name: 'metrics' })
      const { run, market, clock } = started(({ source, sink }) => {
        sink(source('trades', feed(WISH), roomy), memory({ capacity: 99, name: 'trades-out' }), atOnce)
        const metrics = source('metrics-of-run', runMetrics({ everyMs: 1_000, only: ['run', 'sink.written'] }), {
          capacity: 100,
          onFull: 'dropOldest',
        })
        sink(metrics, kept, atOnce)
      })
      market.send([trade(), trade()])
      await turns()
      clock.advance(1_000)
      await turns()
      market.send([trade()])
      await turns()
      clock.advance(1_000)
      const { problems } = await run.stop()
      expect(problems).to.deep.equal([])
      const of = (name: string, labels: object = {}): (readonly [ms: number, value: number])[] =>
        kept.values.flatMap((row) =>
          row.name === name && JSON.stringify(row.labels) === JSON.stringify(labels)
            ? [[(row.timeUs - FIRST_US) / 1_000, row.value] as const]
            : [],
        )
      expect(of('run.events')).to.deep.equal([
        [2_000, 2],
        [3_000, 3],
      ])
      expect(of('sink.written', { sink: 'trades-out' })).to.deep.equal([
        [2_000, 2],
        [3_000, 3],
      ])
    })
  })
})

describe('The metrics of a run on the simulator', function () {
  this.timeout(60_000)
  this.slow(20_000)
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(path.join(tmpdir(), 'millrace-metrics-'))))
  afterEach(() => rm(folder, { recursive: true }))

  const watched = (placement: 'worker' | 'inline', isWatched = true) =>
    pipeline('watched', ({ source, sink }) => {
      const market = source(
        'market',
        feed({
          exchanges: ['binance', 'kraken'],
          instruments: ['BTC-USDT', 'ETH-USDT'],
          channels: ['book', 'trades'],
          ...(placement === 'worker' && { placement }),
        }),
        { capacity: 50_000, onFull: 'block' },
      )
      const trades = market.through('trades', ofKind('trade'))
      sink(trades, jsonLines('out/trades.jsonl'), { capacity: 10_000, onFull: 'block', name: 'file', flushMs: 5 })
      const books = market.through('books', toBooks())
      sink(books, memory({ capacity: 1 }), { capacity: 1_000, onFull: 'dropOldest', name: 'books-out', flushMs: 5 })
      if (!isWatched) return
      const rows = source('metrics', runMetrics({ everyMs: 50 }), { capacity: 10_000, onFull: 'dropOldest' })
      sink(rows, jsonLines('out/metrics.jsonl'), { capacity: 100_000, onFull: 'dropOldest', name: 'metrics-out' })
    })

  const wholeRun = async (placement: 'worker' | 'inline', record: string): Promise<RunHandle> => {
    const run = watched(placement).start({
      ...{ simulate: true, messagesPerSecond: 400, out: folder, digest: true, record },
    })
    await run.ready
    await eventually(() => {
      const { streams, events } = run.status()
      expect(events).to.be.above(600)
      expect(streams).to.have.length(8)
      expect(run.status().latencyUs.exchangeToSink.count).to.be.above(100)
    })
    await run.stop()
    return run
  }

  for (const placement of ['inline', 'worker'] as const) {
    it(`tell of feeds, exchanges, streams and latencies, with sockets ${placement === 'worker' ? 'on a worker' : 'on the loop'}`, async () => {
      const run = await wholeRun(placement, path.join(folder, 'run.ndjson'))
      const families = run.metrics()
      expectWellFormed(families)
      const samplesOf = (name: MetricName): readonly MetricSample[] => find(families, name)?.samples ?? []
      const sumOf = (name: MetricName): number => samplesOf(name).reduce((sum, { value }) => sum + value, 0)
      expect(new Set(samplesOf('feed.frames').map(({ labels }) => labels['exchange']))).to.deep.equal(
        new Set(['binance', 'kraken']),
      )
      expect(sumOf('feed.frames')).to.be.at.least(sumOf('stream.frames') * 0.9)
      expect(sumOf('exchange.frames')).to.be.above(500)
      expect(sumOf('stream.events')).to.be.above(500)
      expect(samplesOf('stream.rate').every(({ value }) => value >= 0)).to.equal(true)
      expect(samplesOf('stream.gaps')).to.have.length(4)
      expect(sumOf('rest.requests')).to.be.above(0)
      expect(sumOf('recording.lines')).to.be.above(500)
      const sum = (part: string): number => sampleOf(families, `latency.${part}` as MetricName)!.distribution!.sum
      const parts = sum('exchange_to_receive') + sum('receive_to_decode') + sum('decode_to_operator')
      expect(parts + sum('operator_to_sink')).to.be.closeTo(sum('exchange_to_sink'), sum('exchange_to_sink') / 100)
      const { streams } = run.status()
      expect(streams.every(({ instrument }) => instrument?.endsWith('-USDT'))).to.equal(true)
      expect(streams.every(({ ageMs }) => ageMs !== undefined && ageMs < 60_000)).to.equal(true)
    })
  }

  it('do not change what a replay writes elsewhere', async () => {
    const record = path.join(folder, 'run.ndjson')
    const live = await (await wholeRun('inline', record)).done
    const digestOf = (summary: typeof live): string | undefined =>
      summary.sinks.find(({ name }) => name === 'file')!.digest
    for (const isWatched of [true, false]) {
      const replayed = watched('inline', isWatched).start({ replay: [record], digest: true, out: folder })
      const summary = await replayed.done
      expect(summary.problems).to.deep.equal([])
      expect(digestOf(summary), isWatched ? 'watched' : 'alone').to.equal(digestOf(live))
      const families = replayed.metrics()
      expectWellFormed(families)
      expect(find(families, 'reading.records')!.samples[0]!.value).to.be.above(500)
      expect(find(families, 'stream.age')!.samples.every(({ value }) => value < 60_000)).to.equal(true)
    }
  })
})

/** Every name stands in the catalogue, with what that says of it, once; no labels come twice; all values are numbers. */
function expectWellFormed(families: readonly MetricFamily[]): void {
  const names = families.map(({ name }) => name)
  expect(new Set(names).size).to.equal(names.length)
  for (const { name, kind, unit, meaning, samples } of families) {
    expect({ kind, unit, meaning }, name).to.deep.equal(CATALOGUE[name as MetricName])
    const labels = samples.map((sample) => JSON.stringify(sample.labels))
    expect(new Set(labels).size, name).to.equal(labels.length)
    expect(samples.length, name).to.be.above(0)
    for (const { value, distribution } of samples) {
      expect(Number.isFinite(value), name).to.equal(true)
      if (kind !== 'gauge') expect(value, name).to.be.at.least(0)
      expect(distribution !== undefined, name).to.equal(kind === 'histogram')
      if (distribution !== undefined) expect(distribution.buckets.at(-1)!.count, name).to.equal(value)
    }
  }
}

function find(families: readonly MetricFamily[], name: string): MetricFamily | undefined {
  return families.find((family) => family.name === name)
}

function sampleOf(
  families: readonly MetricFamily[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): MetricSample | undefined {
  return find(families, name)?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))
}

function valueOf(
  families: readonly MetricFamily[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  return sampleOf(families, name, labels)?.value
}

/** A stage and a sink. */
function passing(): (builder: PipelineBuilder) => void {
  return ({ source, sink }) => {
    const trades = source('trades', feed(WISH), roomy).through('same', ofKind('trade'))
    sink(trades, memory<Trade>({ capacity: 100, name: 'out' }), atOnce)
  }
}

/** A run on a market of the test, whose time stands still unless the test moves it. */
function started(
  build: (builder: PipelineBuilder) => void,
  { steadyUs, ...options }: Partial<RunEngineOptions> & { steadyUs?: () => number } = {},
) {
  const market = new FakeMarket()
  const clock = new VirtualClock(FIRST_US + 1_000_000)
  const faults: Fault[] = []
  const run = new Run({
    description: describePipeline('test', build),
    mode: 'live',
    market: () => market,
    recorder: undefined,
    host: { ...liveHost, clock, steadyUs: steadyUs ?? (() => clock.nowUs()) },
    outDir: 'out',
    digest: false,
    stopWithinMs: 5_000,
    onFault: (fault) => faults.push(fault),
    ...options,
  })
  run.done.catch(() => undefined)
  return { run, market, clock, faults }
}

async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
