/**
 * The pipeline of a scenario: every kind of edge and stage that must hold, with probes between them.
 *
 *     everything (block) ─ witness ─ books ─ judge ─┬─ keyed work ─ order ─► keyed
 *                                                  ├─ quotes ─► quotes
 *                                                  └─ (worker thread) ─ order ─► depths
 *                         └─ bars ─► bars
 *                         └─► events
 *                └─ flaky books ─ judge ─► flaky
 *     some (drops) ─ arrivals ─ slow work ─► some
 *     books (conflates) ─ arrivals ─ books ─ judge ─ slow work ─► conflated
 */
import { defer, map, Observable, type OperatorFunction } from 'rxjs'
import type { BookView } from '../../book/bookView'
import type { Batch, MarketEvent } from '../../model/events'
import { Fault } from '../../model/fault'
import { consolidate } from '../../operators/consolidate'
import { keyedLedger, mergeMapByKey } from '../../operators/mergeMapByKey'
import { summarizeBooks } from '../../operators/summarizeBooks'
import { timeBars } from '../../operators/timeBars'
import { toBooks } from '../../operators/toBooks'
import { describePipeline, type PipelineDescription } from '../../pipeline/description'
import type { Run } from '../../pipeline/run'
import { feed } from '../../pipeline/sources'
import { encodeEvent, encodeValue } from '../../sinks/encode'
import type { BookSides, SideDepth } from '../../workers/bookDepth'
import type { Sink } from '../../sinks/sink'
import { sortBooks, type SortedBook } from '../../workers/sortBooks'
import { hash32 } from '../../simulator/random'
import { bookKey, type BookTruths } from './bookTruth'
import { Arrivals, LiveBooks, look, numbered, OrderJudge, ViewJudge, type Numbered } from './probes'
import type { Scenario } from './scenario'
import { simulatedSink } from './simulatedSink'
import type { Verdict } from './verdict'
import type { World } from './world'

/** A pipeline that is about to run, and what its probes will know. */
export interface ProbedPipeline {
  readonly description: PipelineDescription
  /** By the name of the source whose edge they lie behind. */
  readonly arrivals: ReadonlyMap<string, Arrivals>
  /** Where views are judged, and where each book is looked for in the end. */
  readonly judges: readonly ViewJudge[]
  readonly keyed: ReturnType<typeof keyedLedger>
  /** Of the stage on a worker thread; undefined where there is none. */
  readonly threadOrder: OrderJudge | undefined
  /** What each lossless sink has taken, and each of a visit, line by line. */
  readonly lines: ReadonlyMap<string, readonly string[]>
  /** A branch to be attached: it takes what passes the witness. */
  readonly visit: (name: string) => Parameters<Run['attach']>[0]
}

/** The stage that throws, and its judge; and the sink behind it. What it gives up, it gives up in a replay too. */
export const FLAKY = 'flaky-books'
const FLAKY_SINK = 'flaky-sink'

/** Sinks whose bytes a replay must write again. */
export const LOSSLESS_SINKS: readonly string[] = ['events', 'bars', 'quotes', 'depths', FLAKY_SINK]

/** How the sinks of visits are called: this, and a number. */
export const VISIT = 'visit-'

const CHANNELS = ['trades', 'book'] as const
const BLOCK = { capacity: 50_000, onFull: 'block' } as const

export function scenarioPipeline(
  scenario: Scenario,
  world: World,
  truths: BookTruths | undefined,
  verdict: Verdict,
): ProbedPipeline {
  const { exchanges, instruments, keyed, lossy, conflated } = scenario
  const arrivals = new Map<string, Arrivals>()
  const judges: ViewJudge[] = []
  const keyedAccount = keyedLedger()
  const lines = new Map<string, string[]>()
  const weather = scenario.weather.sinks
  const random = world.random('stages')

  const arrivalsAt = (source: string): Arrivals => {
    const made = new Arrivals()
    arrivals.set(source, made)
    return made
  }
  const sinkOf = <T>(name: string, encode: (value: T) => string = encodeValue): Sink<T> => {
    if (!LOSSLESS_SINKS.includes(name) && !name.startsWith(VISIT))
      return simulatedSink<T>({ name, world, weather, encode })
    const taken: string[] = []
    lines.set(name, taken)
    return simulatedSink<T>({ name, world, weather, encode, onTaken: (line) => taken.push(line) })
  }
  const judged = (where: string, live: LiveBooks): ((batch: Batch<BookView>) => void) => {
    // A replay has no exchange to ask; its views are the live run's, or their bytes differ.
    if (truths === undefined) return () => undefined
    const judge = new ViewJudge(where, truths, live, verdict)
    judges.push(judge)
    return (batch) => judge.judge(batch)
  }
  const busy = (workMs: number, chance: number): void => {
    if (workMs > 0 && random.chance(chance)) world.spend(random.exponential(workMs))
  }

  /** Takes its time, fails, or goes on for longer than it may, and stops when it is told to. */
  const work = (item: Numbered<BookView>): Observable<Numbered<string>> =>
    new Observable((out) => {
      const waitMs = random.chance(keyed.hangChance) ? keyed.deadlineMs * 3 : random.exponential(keyed.workMs)
      const fails = random.chance(keyed.failureChance)
      const finish = (): void => {
        if (fails) {
          out.error(
            new Fault('VALUE_INVALID', `The work on ${item.key} failed, as the seed decided.`, { key: item.key }),
          )
          return
        }
        out.next({ ...item, value: viewText(item.value) })
        out.complete()
      }
      if (waitMs === 0) {
        finish()
        return
      }
      const timer = world.clock.after(waitMs, finish)
      return () => timer.cancel()
    })

  let threadOrder: OrderJudge | undefined
  const description = describePipeline(`seed-${scenario.seed}`, ({ source, sink }) => {
    const everything = source('everything', feed({ exchanges, instruments, channels: CHANNELS, depth: 50 }), {
      capacity: scenario.capacity,
      onFull: 'block',
    })
    const live = new LiveBooks()
    const arrived = arrivalsAt('everything')
    const witness = everything.through(
      'witness',
      look<Batch<MarketEvent>>((batch) => {
        arrived.count(batch)
        live.follow(batch)
      }),
    )
    sink(witness, sinkOf<MarketEvent>('events', encodeEvent), BLOCK)
    sink(witness.through('bars-of-trades', timeBars({ everyMs: scenario.barsMs, graceMs: 0 })), sinkOf('bars'), BLOCK)

    const books = witness.through('books', toBooks()).through('judge', look(judged('books', live)))
    const quotes = books
      .through('summaries', summarizeBooks({ levels: 5 }))
      .through('best', consolidate({ expireMs: 700 }))
    sink(quotes, sinkOf('quotes'), BLOCK)

    const order = new OrderJudge('keyed work', verdict)
    const worked = books
      .through(
        'numbers',
        numbered<BookView>((view) => bookKey(view.exchange, view.instrument ?? view.symbol)),
      )
      .through(
        'keyed-work',
        mergeMapByKey((item: Numbered<BookView>) => item.key, work, {
          concurrency: keyed.concurrency,
          perKey: 1,
          capacity: keyed.capacity,
          onFull: keyed.onFull,
          onError: 'skip',
          deadlineMs: keyed.deadlineMs,
          onFault: (_, item) => order.excuse(item),
          onDropped: (item) => order.excuse(item),
          ledger: keyedAccount,
          clock: world.host.clock,
        }),
      )
      .through(
        'order',
        look((item: Numbered<string>) => order.judge(item)),
      )
    sink(worked, sinkOf<Numbered<string>>('keyed'), BLOCK)

    if (scenario.worker) {
      const judge = new OrderJudge('worker', verdict, 'counted')
      threadOrder = judge
      const depths = books
        .through(
          'views',
          numbered<BookView>((view) => bookKey(view.exchange, view.instrument ?? view.symbol)),
        )
        .through('sides', map(sidesOf))
        .through(
          'sent',
          look(() => judge.send()),
        )
        .through(
          'worker',
          sortBooks<NumberedSides>({
            capacity: 5_000,
            onFull: 'block',
            batchMax: 16,
            concurrency: 2,
            deadlineMs: 2_000,
            restart: { atMost: 1_000, withinMs: 60_000, backoffMs: [1, 50] },
          }),
        )
        .through(
          'worker-order',
          look(({ book }) => judge.judge(book)),
        )
      sink(depths, sinkOf('depths', depthText), BLOCK)
    }

    // What makes it throw is in the data, so that a replay throws at the same places.
    const { failureChance, onFailure } = scenario.flaky
    const throwing = look<Batch<MarketEvent>>((batch) => {
      for (const { receiveTimeUs } of batch) {
        if (hash32(scenario.seed, `throws ${receiveTimeUs}`) >= failureChance * 0x1_0000_0000) continue
        throw new Error(`The seed decided that this batch of ${batch.length} breaks the stage.`)
      }
    })
    const flakyLive = new LiveBooks()
    const flakyJudge = look(judged(FLAKY, flakyLive))
    const throwingBooks: OperatorFunction<Batch<MarketEvent>, Batch<BookView>> = (events) =>
      defer(() => {
        flakyLive.clear() // a new instance knows no book
        return events.pipe(
          throwing,
          look((batch) => flakyLive.follow(batch)),
          toBooks(),
          flakyJudge,
        )
      })
    // As `toBooks` says of itself: a restart needs other snapshots.
    const flaky = everything.through(FLAKY, Object.assign(throwingBooks, { needsEveryValue: true }), { onFailure })
    sink(flaky.through('flaky-summaries', summarizeBooks({ levels: 2 })), sinkOf(FLAKY_SINK), BLOCK)

    const some = source('some', feed({ exchanges, instruments, channels: CHANNELS, depth: 50 }), lossy)
    const someArrived = arrivalsAt('some')
    const slow = some.through(
      'slow',
      look<Batch<MarketEvent>>((batch) => {
        someArrived.count(batch)
        busy(lossy.workMs, lossy.workChance)
      }),
    )
    sink(slow, sinkOf<MarketEvent>('some-events', encodeEvent), lossy.sink)

    const merged = source('merged', feed({ exchanges, instruments, channel: 'book', depth: 50 }), {
      capacity: conflated.capacity,
      onFull: { conflate: 'symbol' },
    })
    const mergedLive = new LiveBooks()
    const mergedBooks = merged
      .through(
        'merged-witness',
        look<Batch<MarketEvent>>((batch) => {
          mergedLive.follow(batch)
          busy(conflated.workMs, 0.3)
        }),
      )
      .through('merged-books', toBooks())
      .through('merged-judge', look(judged('conflated books', mergedLive)))
    sink(mergedBooks.through('merged-summaries', summarizeBooks({ levels: 3 })), sinkOf('merged-summaries-sink'), {
      capacity: 8,
      onFull: { conflate: 'symbol' },
    })
  })
  const visit: ProbedPipeline['visit'] =
    (name) =>
    ({ sink, stream }) => {
      sink(stream<Batch<MarketEvent>>('witness'), sinkOf<MarketEvent>(name, encodeEvent), BLOCK)
    }
  return { description, arrivals, judges, keyed: keyedAccount, threadOrder, lines, visit }
}

interface NumberedSides extends Numbered<undefined>, BookSides {}

function sidesOf({ key, number, value: view }: Numbered<BookView>): NumberedSides {
  const [bids, asks] = view.levels()
  const sides = {
    bidPrices: new Float64Array(bids),
    bidSizes: new Float64Array(bids),
    askPrices: new Float64Array(asks),
    askSizes: new Float64Array(asks),
  }
  view.copySide('bids', sides.bidPrices, sides.bidSizes, bids)
  view.copySide('asks', sides.askPrices, sides.askSizes, asks)
  return { key, number, value: undefined, ...sides }
}

function depthText({ book: { key, number }, bids, asks }: SortedBook<NumberedSides>): string {
  const side = ({ prices, cumulativeSizes, cumulativeNotional }: SideDepth): (number | undefined)[] => [
    prices[0],
    cumulativeSizes.at(-1),
    cumulativeNotional.at(-1),
  ]
  return encodeValue({ key, number, bids: side(bids), asks: side(asks) })
}

function viewText(view: BookView): string {
  const { exchange, symbol, receiveTimeUs, seq } = view
  return encodeValue({ exchange, symbol, receiveTimeUs, seq, bids: view.bids(3), asks: view.asks(3) })
}
