/**
 * Feeds on workers: what a second thread adds.
 *
 * Why      work that shares one loop, or one bus between threads, does not grow with the threads
 * Input    in each worker Binance depth frames of 20 symbols, made from a seed and lying in memory, again and again, each
 *          pass with its snapshots: decoded, sequenced and kept as books of 500 levels a side (`fromFrames`, `toBooks`), as
 *          fast as the thread can. No socket and no sender: on two processors a sender would take what is to be measured.
 *          The best prices of every book cross to this thread every 20 ms, by `fromWorker`
 * Measures frames/s of one feed, and of two at once, round by round in turn in one run; and ns of processor time a frame of
 *          each, which says whether they disturb each other. Where other processes take a part of the machine, the first is
 *          what is left of it and the second is not
 * Scale    two feeds / one feed, the median of the rounds, each with the one before it: `wall` by frames/s; `processors` by
 *          processor time, which is what two free processors give: twice one, less by as much as a frame costs more beside
 *          another feed
 *
 * Run it compiled: `npm run bench -- hop`.
 */
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import type { Subscription } from 'rxjs'
import { fromWorker } from '../src/workers/fromWorker'
import type { Best, FeedWish } from './entries/frameFeed'
import { isQuick, ofRounds, report, rowOf } from './kit/report'

const ROUNDS = isQuick() ? 3 : 9
const ROUND_MS = isQuick() ? 700 : 2_000

/** One feed, and what it says of itself. */
class Feed {
  readonly running = new Int32Array(new SharedArrayBuffer(4))
  readonly counts = new Float64Array(new SharedArrayBuffer(16))
  crossed = 0
  private readonly subscription: Subscription

  constructor(seed: number) {
    const wish: FeedWish = { seed, sampleMs: 20, switch: this.running, counts: this.counts }
    this.subscription = fromWorker<Best>(path.join(__dirname, 'entries', 'frameFeed.js'), {
      capacity: 1_000,
      onFull: 'conflate',
      batchMax: 64,
      restart: { atMost: 0, withinMs: 60_000, backoffMs: [10, 100] },
      deadlineMs: 20_000,
      data: wish,
    }).subscribe({
      next: ({ bidPrice, askPrice }) => {
        if (!(bidPrice < askPrice)) throw new Error('A book is crossed.')
        this.crossed++
      },
      error: (error: unknown) => {
        throw error
      },
    })
  }

  turn(on: boolean): void {
    Atomics.store(this.running, 0, on ? 1 : 0)
    Atomics.notify(this.running, 0)
  }

  close(): void {
    this.subscription.unsubscribe()
  }
}

interface Round {
  readonly framesASecond: number
  readonly nsAFrame: number
}

async function main(): Promise<void> {
  const feeds = [new Feed(1), new Feed(2)]
  const one: Round[] = []
  const two: Round[] = []
  for (let round = -2; round < ROUNDS; round++) {
    // The one is now this, now that: they need not be alike.
    const alone = await measured([feeds[round & 1]!])
    const both = await measured(feeds)
    if (round < 0) continue
    one.push(alone)
    two.push(both)
  }
  for (const feed of feeds) feed.close()
  const rate = (rounds: readonly Round[]): number[] => rounds.map(({ framesASecond }) => framesASecond)
  const time = (rounds: readonly Round[]): number[] => rounds.map(({ nsAFrame }) => nsAFrame)
  report(rowOf('hop.feeds.one', 'frames/s', ofRounds(rate(one))))
  report(rowOf('hop.feeds.two', 'frames/s', ofRounds(rate(two))))
  const scale = (of: (round: number) => number) => ofRounds(one.map((_, round) => of(round)))
  report(
    rowOf(
      'hop.feeds.scale.wall',
      'times one',
      scale((at) => rate(two)[at]! / rate(one)[at]!),
    ),
  )
  report(
    rowOf(
      'hop.feeds.scale.processors',
      'times one',
      scale((at) => (2 * time(one)[at]!) / time(two)[at]!),
    ),
  )
  const baseline = { name: 'hop.feeds.one.processor', measured: ofRounds(time(one)) }
  report(rowOf('hop.feeds.one.processor', 'ns/frame', baseline.measured))
  report(rowOf('hop.feeds.two.processor', 'ns/frame', ofRounds(time(two)), baseline))
  if (feeds.some(({ crossed }) => crossed === 0)) process.exitCode = 1
}

async function measured(feeds: readonly Feed[]): Promise<Round> {
  for (const feed of feeds) feed.turn(true)
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS / 4)) // until each is in the middle of a pass
  const before = feeds.map(({ counts }) => [...counts] as [number, number])
  const startedMs = performance.now()
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
  const seconds = (performance.now() - startedMs) / 1_000
  const frames = sum(feeds.map(({ counts }, index) => counts[0]! - before[index]![0]))
  const processorUs = sum(feeds.map(({ counts }, index) => counts[1]! - before[index]![1]))
  for (const feed of feeds) feed.turn(false)
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS / 4))
  return { framesASecond: frames / seconds, nsAFrame: (1_000 * processorUs) / frames }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

void main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
