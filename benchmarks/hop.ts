/**
 * What crossing to another thread costs, and what it saves.
 *
 * Why      a thread is only worth its hop: the loop must come out of it with less to do, and never with more
 * Input    `oneWay`   events of four numbers, as fast as they go: each as a message of its own, in batches of 1,024 that are
 *                     handed over, through the ring in records of 64, and through `onWorker` in columns of 1,024 whose sums
 *                     come back. The other thread adds all numbers up, and the sum is checked
 *          `sort`     books of so many unsorted levels on each side through `sortBooks`, with price buckets, one at a time: the
 *                     next when the one before has come back, so that nothing is shared by a batch
 * Variants of `sort`  `loop`, `worker`, `auto`: its `placement`, round by round in an order that rotates, each with one
 *                     subscription all along, which has hopped with small books until everything is compiled. The first two
 *                     take part twice: how far `Again` is from the first is what chance does
 * Measures `oneWay`   ns/event from the first to the moment the other thread has had the last
 *          `sort`     µs of the loop for each book, by `kit/loopTime.ts`: all that its thread has done, which is
 *                     packing, sending, waking up, reading and emitting, and of course sorting where it is done here
 *          `share`, `excess`  % of sorting here, and % more than the better of the two fixed ones, each by the medians of the
 *                     ratios of one round; `noise` the excess of the better one's second lane
 * Baseline of `oneWay` a message for each event; of `worker` `loop`; of `auto` the better of the two
 *
 * Run it compiled: `npm run bench -- hop`.
 */
import { once } from 'node:events'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { lastValueFrom, from, Subject, toArray, type Subscription } from 'rxjs'
import type { BookSides } from '../src/workers/bookDepth'
import { onWorker } from '../src/workers/onWorker'
import type { Placement } from '../src/workers/placement'
import { ringMemory, RingWriter } from '../src/workers/ring'
import { sortBooks, type SortedBook } from '../src/workers/sortBooks'
import type { ReaderData } from './entries/reader'
import { loopTimeUs } from './kit/loopTime'
import { seeded } from './kit/random'
import { isQuick, median, ofRounds, report, rowOf, type Measured } from './kit/report'

const ROUNDS = isQuick() ? 3 : 9
const SORT_ROUNDS = isQuick() ? 3 : 15
const LEVELS = [10, 100, 1_000, 10_000]
/** Rounds of `sort` that do not count: until everything is compiled, and `auto` has measured. */
const WARM_UP = isQuick() ? 12 : 8
/** Books of ten levels by which a lane is compiled: seconds of deep ones would be too few calls for that. */
const COMPILING_BOOKS = isQuick() ? 500 : 5_000
/** Books of a round, by their levels: about as much work for each. */
const BOOKS = new Map([
  [10, 4_000],
  [100, 2_000],
  [1_000, 500],
  [10_000, 60],
])
const HOP = {
  capacity: 1_000,
  onFull: 'fail',
  batchMax: 32,
  deadlineMs: 10_000,
  restart: { atMost: 1, withinMs: 60_000, backoffMs: [10, 100] },
} as const

async function main(): Promise<void> {
  await oneWay()
  for (const levels of LEVELS) await sort(levels)
}

async function oneWay(): Promise<void> {
  const many = isQuick() ? 2_097_152 : 8_388_608
  const few = many / 64
  const message = await nsAnEvent(few, {}, (worker) => {
    for (let event = 0; event < few; event++) worker.postMessage([event, 1, 2, 3])
  })
  report(rowOf('hop.oneWay.message', 'ns/event', message))
  const baseline = { name: 'hop.oneWay.message', measured: message }
  const handedOver = await nsAnEvent(many, {}, (worker) => {
    for (let event = 0; event < many;) {
      const batch = new Float64Array(4 * 1_024)
      for (let at = 0; at < batch.length; at += 4) put(batch, at, event++)
      worker.postMessage(batch, [batch.buffer])
    }
  })
  report(rowOf('hop.oneWay.handedOver', 'ns/event', handedOver, baseline))

  const memory = ringMemory(2 ** 16)
  const ring = new RingWriter(memory)
  const overRing = await nsAnEvent(many, { memory }, () => {
    for (let event = 0; event < many;) {
      while (!ring.reserve(4 * 64, 0)) ring.sleepUntilRoom(1_000)
      const { words, at } = ring
      for (let index = at; index < at + 4 * 64; index += 4) put(words, index, event++)
      ring.commit()
      ring.publish()
    }
  })
  ring.close()
  report(rowOf('hop.oneWay.ring', 'ns/event', overRing, baseline))
  const { value, min, max } = overRing
  report(rowOf('hop.oneWay.ring.rate', 'M events/s', { value: 1e3 / value, min: 1e3 / max, max: 1e3 / min }))
  report(rowOf('hop.oneWay.onWorker', 'ns/event', await overOperator(many), baseline))
}

function put(words: Float64Array, at: number, event: number): void {
  words[at] = event
  words[at + 1] = 1
  words[at + 2] = 2
  words[at + 3] = 3
}

function sumOf(events: number): number {
  return (events * (events - 1)) / 2 + 6 * events
}

/** Rounds of sending so many events to a thread of their own. */
async function nsAnEvent(
  events: number,
  data: Omit<ReaderData, 'events'>,
  send: (worker: Worker) => void,
): Promise<Measured> {
  const worker = new Worker(path.join(__dirname, 'entries', 'reader.js'), { workerData: { ...data, events } })
  await once(worker, 'online')
  const rounds: number[] = []
  for (let round = -2; round < ROUNDS; round++) {
    const startedMs = performance.now()
    const had = once(worker, 'message')
    send(worker)
    const [sum] = (await had) as [number]
    if (sum !== sumOf(events)) throw new Error(`The other thread has added up ${sum}, not ${sumOf(events)}.`)
    if (round >= 0) rounds.push(((performance.now() - startedMs) * 1e6) / events)
  }
  if (data.memory === undefined) await worker.terminate()
  return ofRounds(rounds)
}

/** Columns through `onWorker`, whose sums come back: as many as there may be on the way are made as they are asked for. */
async function overOperator(events: number): Promise<Measured> {
  const columns = Array.from({ length: events / 1_024 }, (_, column) => {
    const rows = new Float64Array(4 * 1_024)
    for (let row = 0; row < 1_024; row++) put(rows, 4 * row, column * 1_024 + row)
    return rows
  })
  const rounds: number[] = []
  const entry = path.join(__dirname, 'entries', 'sum.js')
  const source = new Subject<Float64Array>()
  let sums: number[] = []
  let had: () => void = () => undefined
  const subscription = source
    .pipe(onWorker<Float64Array, number>(entry, { ...HOP, capacity: columns.length, batchMax: 8, concurrency: 4 }))
    .subscribe({
      next: (sum) => {
        sums.push(sum)
        if (sums.length === columns.length) had()
      },
      error: failed,
    })
  for (let round = -2; round < ROUNDS; round++) {
    const startedMs = performance.now()
    await new Promise<void>((resolve) => {
      had = resolve
      for (const column of columns) source.next(column)
    })
    const sum = sums.reduce((total, each) => total + each, 0)
    if (sum !== sumOf(events)) throw new Error(`The other thread has added up ${sum}, not ${sumOf(events)}.`)
    sums = []
    if (round >= 0) rounds.push(((performance.now() - startedMs) * 1e6) / events)
  }
  subscription.unsubscribe()
  return ofRounds(rounds)
}

async function sort(levels: number): Promise<void> {
  const count = Math.ceil(BOOKS.get(levels)! / (isQuick() ? 4 : 1))
  const books = booksOf(levels, 16)
  const expected = (await lastValueFrom(from(books).pipe(sortBooks({ ...HOP, placement: 'loop' }), toArray()))).map(
    checksum,
  )
  const lanes = (['loop', 'worker', 'auto', 'loop', 'worker'] as const).map((placement) => new Lane(placement))
  const small = booksOf(10, 16)
  for (const lane of lanes.filter(({ placement }) => placement !== 'auto')) {
    for (let book = 0; book < COMPILING_BOOKS; book++) await lane.sort(small[book % small.length]!)
  }
  const spentUs = lanes.map((): number[] => [])
  for (let round = -WARM_UP; round < SORT_ROUNDS; round++) {
    for (let turn = 0; turn < lanes.length; turn++) {
      const index = (turn + round + WARM_UP) % lanes.length
      const lane = lanes[index]!
      const beforeUs = loopTimeUs()
      for (let book = 0; book < count; book++) {
        const sorted = await lane.sort(books[book % books.length]!)
        if (book < books.length && checksum(sorted) !== expected[book]) throw new Error('A book was sorted otherwise.')
      }
      const us = loopTimeUs() - beforeUs
      if (round >= 0) spentUs[index]!.push(us / count)
    }
  }
  for (const lane of lanes) lane.close()
  const name = `hop.sort.${levels}`
  const [loopUs, workerUs, autoUs, loopAgainUs, workerAgainUs] = spentUs as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ]
  const [loop, worker, auto] = [loopUs, workerUs, autoUs].map(ofRounds) as [Measured, Measured, Measured]
  const ofLoop = { name: `${name}.loop`, measured: loop }
  report(rowOf(`${name}.loop`, 'µs/book', loop))
  report({ ...rowOf(`${name}.loopAgain`, 'µs/book', ofRounds(loopAgainUs), ofLoop), again: true })
  report(rowOf(`${name}.worker`, 'µs/book', worker, ofLoop))
  const ofWorker = { name: `${name}.worker`, measured: worker }
  report({ ...rowOf(`${name}.workerAgain`, 'µs/book', ofRounds(workerAgainUs), ofWorker), again: true })
  report(rowOf(`${name}.worker.share`, '% of sorting here', percent(workerUs, loopUs)))
  const isLoopBetter = median(percents(workerUs, loopUs)) > 100
  const [betterUs, betterAgainUs] = isLoopBetter ? [loopUs, loopAgainUs] : [workerUs, workerAgainUs]
  report(rowOf(`${name}.auto`, 'µs/book', auto, isLoopBetter ? ofLoop : ofWorker))
  const both = betterUs.map((us, round) => (us + betterAgainUs[round]!) / 2)
  report(rowOf(`${name}.auto.excess`, '% more than the better', percent(autoUs, both, 100)))
  report(rowOf(`${name}.noise.excess`, '% more than the better', percent(betterAgainUs, betterUs, 100)))
}

/** Round by round, because the machine's speed drifts. */
function percents(values: readonly number[], of: readonly number[]): number[] {
  return values.map((value, round) => (100 * value) / of[round]!)
}

/** @param less  percent that are taken off */
function percent(values: readonly number[], of: readonly number[], less = 0): Measured {
  const shares = percents(values, of).map((share) => share - less)
  return { value: median(shares), min: Math.min(...shares), max: Math.max(...shares) }
}

/** One subscription, one book at a time. */
class Lane {
  private readonly source = new Subject<BookSides>()
  private readonly subscription: Subscription
  private came: (sorted: SortedBook<BookSides>) => void = () => undefined

  constructor(readonly placement: Placement) {
    this.subscription = this.source
      .pipe(sortBooks({ ...HOP, placement }))
      .subscribe({ next: (sorted) => this.came(sorted), error: failed })
  }

  sort(book: BookSides): Promise<SortedBook<BookSides>> {
    return new Promise((resolve) => {
      this.came = resolve
      this.source.next(book)
    })
  }

  close(): void {
    this.subscription.unsubscribe()
  }
}

function booksOf(levels: number, count: number): BookSides[] {
  const random = seeded(2_024)
  const column = (from: number, to: number): Float64Array =>
    Float64Array.from({ length: levels }, () => Math.round((from + random() * (to - from)) * 100) / 100)
  return Array.from({ length: count }, () => ({
    bidPrices: column(50_000, 60_000),
    bidSizes: column(0.01, 10),
    askPrices: column(60_000, 70_000),
    askSizes: column(0.01, 10),
    bucketSize: 10,
  }))
}

function checksum({ bids, asks }: SortedBook<BookSides>): number {
  return bids.prices[0]! + asks.prices.at(-1)! + bids.cumulativeNotional.at(-1)! + asks.cumulativeSizes.at(-1)!
}

function failed(error: unknown): never {
  throw error
}

void main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
