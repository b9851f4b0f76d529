/**
 * A feed with `placement: 'worker'` as the market of a run: live, recorded, replayed, and when its thread dies.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { mergeAll } from 'rxjs'
import { emptyLedger } from '../../src/actors/ledger'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import type { Batch, BookChange, MarketEvent, Notice } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { encodeEvent } from '../../src/sinks/encode'
import { jsonLines } from '../../src/sinks/jsonLines'
import { toBooks } from '../../src/operators/toBooks'
import { summarizeBooks } from '../../src/operators/summarizeBooks'
import { groupsOnWorkers } from '../../src/pipeline/liveMarkets'
import type { MarketOutput } from '../../src/pipeline/market'
import { MarketOnWorker } from '../../src/pipeline/marketOnWorker'
import { pipeline, type Pipeline } from '../../src/pipeline/pipeline'
import { feed } from '../../src/pipeline/sources'
import { wishOf } from '../../src/pipeline/wish'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'

const IDS = [...EXCHANGES.keys()]

describe('a feed on a worker', function () {
  this.timeout(60_000)
  this.slow(15_000)
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(path.join(tmpdir(), 'millrace-worker-feed-'))))
  afterEach(() => rm(folder, { recursive: true }))

  /** One exchange on a worker by its best levels, one here whole: events and summaries of books into files. */
  const both = (): Pipeline =>
    pipeline('both', ({ source, sink }) => {
      const there = source(
        'there',
        feed({
          exchanges: ['kraken'],
          instruments: ['BTC-USDT'],
          channels: ['book', 'trades'],
          placement: 'worker',
          levels: 3,
        }),
        { capacity: 10_000, onFull: 'block' },
      )
      const here = source('here', feed({ exchanges: ['bybit'], instruments: ['BTC-USDT'], channel: 'book' }), {
        capacity: 10_000,
        onFull: 'block',
      })
      const files = { capacity: 10_000, onFull: 'block' } as const
      const events = there.through('events', mergeAll<Batch<MarketEvent>>())
      sink(events, jsonLines('out/events.jsonl', { encode: encodeEvent }), {
        ...files,
        name: 'events-file',
      })
      for (const [name, stream] of Object.entries({ there, here })) {
        const rows = stream
          .through(`books-${name}`, toBooks({ depth: 3 }))
          .through(`rows-${name}`, summarizeBooks({ levels: 3 }))
          .through(`each-${name}`, mergeAll())
        sink(rows, jsonLines(`out/${name}.jsonl`), { ...files, name: `${name}-file` })
      }
    })

  it('gives the same bytes when the recording of its run is replayed', async () => {
    const record = path.join(folder, 'run.ndjson')
    const out = path.join(folder, 'out')
    const run = both().start({ simulate: true, record, digest: true, out })
    await run.ready
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    const live = await run.stop()
    expect(live.problems).to.deep.equal([])
    const replayed = await both().run({ replay: [record], digest: true, out })
    expect(replayed.sinks.map(({ name, written, digest }) => ({ name, written, digest }))).to.deep.equal(
      live.sinks.map(({ name, written, digest }) => ({ name, written, digest })),
    )
    for (const { name, written } of live.sinks) expect(written, name).to.be.above(20)
    for (const edge of live.edges) expect(edge.in).to.equal(edge.out + edge.inFlight)
    expect(live.books.live).to.equal(2)
  })

  it('lets only the best levels of books cross, each when it has changed, and everything else', async () => {
    const simulator = await startSimulator({ exchanges: ['kraken'], seed: 3 })
    const seen = new Observed()
    const market = seen.open(simulator, { channels: ['book', 'trades'], levels: 2 })
    await market.start(seen.output)
    await market.ready
    await eventually(() => void expect(seen.events.length).to.be.above(300))
    await market.stop()
    const books = seen.events.filter((event): event is BookChange => 'bids' in event)
    expect(books[0]).to.include({ kind: 'snapshot', depth: 2 })
    expect(new Set(books.slice(1).map(({ kind }) => kind))).to.deep.equal(new Set(['delta']))
    let before = ''
    const sides = [new Map<number, number>(), new Map<number, number>()]
    for (const { bids, asks } of books) {
      for (const [index, levels] of [bids, asks].entries()) {
        for (const [price, size] of levels) {
          if (size > 0) sides[index]!.set(price, size)
          else expect(sides[index]!.delete(price)).to.equal(true)
        }
      }
      expect(sides.map(({ size }) => size)).to.deep.equal([2, 2])
      expect(Math.max(...sides[0]!.keys())).to.be.below(Math.min(...sides[1]!.keys()))
      const levels = JSON.stringify(sides.map((side) => [...side].toSorted(([a], [b]) => a - b)))
      expect(levels).to.not.equal(before)
      before = levels
    }
    expect(seen.events.some(({ kind }) => kind === 'trade')).to.equal(true)
    expect(seen.records.filter(({ dir }) => dir === 'in' || dir === 'rest')).to.deep.equal([])
    expect(seen.records.map(({ dir }) => dir)).to.deep.equal(['open', 'close'])
    const times = seen.events.map(({ receiveTimeUs }) => receiveTimeUs)
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b))
    await eventually(() => void expect(simulator.stats.connections).to.equal(0))
    await simulator.stop()
  })

  for (const way of ['exit', 'throw', 'memory']) {
    it(`says that its books are void when its thread dies, and begins again (${way})`, async () => {
      process.env['MORTAL_MARKET'] = way
      const simulator = await startSimulator({ exchanges: ['kraken'], seed: 3 })
      const seen = new Observed()
      const ledger = emptyLedger()
      const market = seen.open(
        simulator,
        { channel: 'book' },
        {
          entry: path.join(__dirname, 'entries', 'mortalMarket'),
          restart: { atMost: 100, withinMs: 60_000, backoffMs: [1, 10] },
          resourceLimits: { maxOldGenerationSizeMb: 256 },
          ledger,
        },
      )
      await market.start(seen.output)
      await eventually(() => void expect(seen.faults.map(({ code }) => code)).to.include('WORKER_DIED'), {
        withinMs: 20_000,
      })
      const until = seen.events.length
      await eventually(
        () => void expect(seen.events.slice(until).some(({ kind }) => kind === 'snapshot')).to.equal(true),
        { withinMs: 20_000 },
      )
      await market.stop()
      const notices = seen.events.filter((event): event is Notice => event.kind === 'notice')
      const lost = notices.filter(
        ({ code, details }) => code === 'disconnected' && details['reason'] === 'its worker died',
      )
      expect(lost.slice(0, 2).map(({ symbol, instrument }) => [symbol === '', instrument])).to.deep.equal([
        [true, undefined],
        [false, 'BTC-USDT'],
      ])
      const between = seen.events.slice(seen.events.indexOf(lost[1]!) + 1).find(({ kind }) => kind !== 'notice')
      expect(between?.kind).to.equal('snapshot')
      const turns = seen.records.filter(({ dir }) => dir === 'open' || dir === 'close')
      expect(turns.slice(0, 3).map(({ dir, connection }) => [dir, connection])).to.deep.equal([
        ['open', 0],
        ['close', 0],
        ['open', 1],
      ])
      const dropped = Object.values(ledger.dropped).reduce((sum, each) => sum + each, 0)
      expect(ledger.in).to.equal(ledger.out + dropped + ledger.inFlight)
      await eventually(() => void expect(simulator.stats.connections).to.equal(0))
      await simulator.stop()
    })
  }

  it('is given up when its thread dies too often', async () => {
    process.env['MORTAL_MARKET'] = 'exit'
    const simulator = await startSimulator({ exchanges: ['kraken'], seed: 3 })
    const seen = new Observed()
    const market = seen.open(
      simulator,
      { channel: 'book' },
      {
        entry: path.join(__dirname, 'entries', 'mortalMarket'),
        restart: { atMost: 0, withinMs: 60_000, backoffMs: [1, 10] },
      },
    )
    await market.start(seen.output)
    await eventually(() => void expect(seen.hasEnded).to.equal(true), { withinMs: 20_000 })
    expect(seen.faults.at(-1)).to.have.property('code', 'RETRIES_EXHAUSTED')
    await market.stop()
    await simulator.stop()
  })

  it('is ended at the deadline of a stop when its thread does not answer', async () => {
    process.env['MORTAL_MARKET'] = 'spin'
    const simulator = await startSimulator({ exchanges: ['kraken'], seed: 3 })
    const seen = new Observed()
    const entry = path.join(__dirname, 'entries', 'mortalMarket')
    const market = seen.open(simulator, { channel: 'trades' }, { entry })
    await market.start(seen.output)
    await eventually(
      async () => {
        const before = seen.events.length
        await new Promise((resolve) => setTimeout(resolve, 500))
        expect(seen.events.length).to.equal(before)
      },
      { withinMs: 20_000 },
    )
    const startedMs = performance.now()
    await market.stop(300)
    expect(performance.now() - startedMs).to.be.below(3_000)
    await eventually(() => void expect(simulator.stats.connections).to.equal(0))
    await simulator.stop()
  })

  it('waits in its thread while it is paused, and loses nothing', async () => {
    const simulator = await startSimulator({ exchanges: ['kraken'], seed: 3 })
    const seen = new Observed()
    const market = seen.open(simulator, { channel: 'trades' })
    await market.start(seen.output)
    await eventually(() => void expect(seen.events.length).to.be.above(10))
    market.pause()
    await eventually(async () => {
      const before = seen.events.length
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect(seen.events.length).to.equal(before)
    })
    const before = seen.events.length
    market.resume()
    await eventually(() => void expect(seen.events.length).to.be.above(before))
    expect(seen.events.some((event) => event.kind === 'notice' && event.code === 'dropped')).to.equal(false)
    await market.stop()
    await simulator.stop()
  })

  it('refuses what makes no sense', () => {
    const wish = { exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'book' } as const
    for (const wrong of [
      { ...wish, levels: 3 },
      { ...wish, levels: 0, placement: 'worker' },
      { ...wish, placement: 'moon' },
    ]) {
      expect(() => feed(wrong as Parameters<typeof feed>[0]))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    }
  })

  it('shares a thread with every source that wishes for one of its exchanges', () => {
    const wish = (exchanges: string[], placement: 'loop' | 'worker' = 'worker') =>
      wishOf({ exchanges, instruments: ['X'], channel: 'trades', placement }, IDS)
    const groups = groupsOnWorkers([
      wish(['kraken']),
      wish(['bybit', 'okx']),
      wish(['coinbase', 'kraken']),
      wish(['binance'], 'loop'),
      wish(['okx', 'coinbase']),
    ])
    expect(groups.map((group) => [...group].toSorted())).to.deep.equal([['bybit', 'coinbase', 'kraken', 'okx']])
    expect(groupsOnWorkers([wish(['kraken']), wish(['okx'])])).to.have.length(2)
  })
})

/** What a market says. */
class Observed {
  readonly records: SessionRecord[] = []
  readonly events: MarketEvent[] = []
  readonly faults: Fault[] = []
  hasEnded = false

  open(
    simulator: RunningSimulator,
    wish: Omit<Parameters<typeof wishOf>[0], 'exchanges' | 'instruments'>,
    options: Partial<ConstructorParameters<typeof MarketOnWorker>[0]> = {},
  ): MarketOnWorker {
    const asked = { exchanges: ['kraken'], instruments: ['BTC-USDT'], placement: 'worker', ...wish } as const
    return new MarketOnWorker({
      wishes: [wishOf(asked, IDS)],
      addresses: simulator.addresses,
      keepsFrames: false,
      ...options,
    })
  }

  readonly output: MarketOutput = {
    record: (record) => this.records.push(record),
    events: (_, events) => this.events.push(...events),
    fault: (fault) => this.faults.push(fault),
    ended: () => (this.hasEnded = true),
  }
}
