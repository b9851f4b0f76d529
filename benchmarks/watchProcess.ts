/**
 * What it costs the event loop to look at the process.
 *
 * Why      the monitor that millrace was made from asked for its CPU and memory on the loop that carried the data, and so was
 *          part of what it complained about
 * Input    depth frames that are parsed: work that takes the caches, as it does in a pipeline
 * Variants `pidusage`       CPU and memory by pidusage, called on the loop: what teams do, and have two figures of
 *          `memoryUsage`    `process.memoryUsage()`: five figures of memory
 *          `processMetrics` a sample: those, and loop, collections, workers, sockets, resources
 *          `interval`       an interval stream that looks at nothing: what there is before anything is read
 * Measures `hot`    µs of the loop for one of a thousand, one after another
 *          `amid`   the same, each after ten milliseconds of parsing: everything must be fetched from memory again
 *          `timer`  the same by the loop's own account of when it was not idle, on a timer of 10 ms, with what the timer and
 *                   being woken cost
 *          `first`  µs of the loop for the very first
 *          `begin`  µs for which subscribing blocks the loop, in two turns; of `processMetrics` alone, once for the process
 * Baseline `pidusage`. By the clock, medians: what else the machine does is in the tails
 */
import { performance } from 'node:perf_hooks'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import pidusage from 'pidusage'
import { Subject, type Subscription } from 'rxjs'
import { every, type Clock, type Timer } from '../src/clock/clock'
import { liveClock } from '../src/clock/liveClock'
import { processMetrics } from '../src/metrics/processMetrics'
import { depthStream } from './kit/depthStream'
import { isQuick, median } from './kit/report'
import { measure, type Sample } from './kit/variants'

const HOT = isQuick() ? 20 : 1_000
const AMID = isQuick() ? 5 : 150
const TIMED_MS = isQuick() ? 200 : 4_000
const TIMER_MS = 10
const WORK_MS = 10
/** In which a thread has begun, and whatever else began with it. */
const SETTLE_MS = isQuick() ? 300 : 2_000

const { frames } = depthStream({ frames: 1_000 })
let sink = 0

/** Returns how long the loop was busy with it, µs. */
type Look = () => Promise<number>

async function looks(look: Look): Promise<Sample> {
  work()
  const first = await look()
  const amid: number[] = []
  for (let round = 0; round < AMID; round++) {
    work()
    amid.push(await look())
  }
  const hot: number[] = []
  for (let round = 0; round < HOT; round++) hot.push(await look())
  return { first, amid: median(amid), hot: median(hot) }
}

function work(): void {
  const endMs = performance.now() + WORK_MS
  for (let index = 0; performance.now() < endMs; index++) {
    sink += (JSON.parse(frames[index % frames.length]!.toString()) as { data: { u: number } }).data.u
  }
}

function timed(look: () => void): number {
  const began = process.hrtime.bigint()
  look()
  return Number(process.hrtime.bigint() - began) / 1_000
}

/** The loop's time per call of what a timer calls, being woken for it included. */
async function byTimer(begin: (counted: () => void) => () => void): Promise<number> {
  let calls = 0
  const end = begin(() => calls++)
  await pause(SETTLE_MS)
  const before = performance.eventLoopUtilization()
  calls = 0
  await pause(TIMED_MS)
  const { active } = performance.eventLoopUtilization(before)
  end()
  return (active * 1_000) / Math.max(1, calls)
}

async function byPidusage(): Promise<Sample> {
  const look: Look = async () => {
    // An answer takes several turns; between them the loop is idle.
    const before = performance.eventLoopUtilization()
    sink += (await pidusage(process.pid)).memory
    return performance.eventLoopUtilization(before).active * 1_000
  }
  const sample = await looks(look)
  const timer = await byTimer((counted) => {
    const interval = setInterval(() => {
      pidusage(process.pid).then(({ memory }) => {
        sink += memory
        counted()
      }, counted)
    }, TIMER_MS)
    return () => clearInterval(interval)
  })
  return { ...sample, timer }
}

async function byMemoryUsage(): Promise<Sample> {
  const look = (): void => void (sink += process.memoryUsage().rss)
  const sample = await looks(() => Promise.resolve(timed(look)))
  const timer = await byTimer((counted) => {
    const interval = setInterval(() => {
      look()
      counted()
    }, TIMER_MS)
    return () => clearInterval(interval)
  })
  return { ...sample, timer }
}

/** A clock whose timer fires when it is told to, in a call that can be timed. */
class HandClock implements Clock {
  private readonly timers: (() => void)[] = []
  private us = 1_700_000_000_000_000

  nowUs(): number {
    return this.us
  }

  after(delayMs: number, callback: () => void): Timer {
    this.us += delayMs * 1_000
    this.timers.push(callback)
    return { cancel: () => void this.timers.splice(0) }
  }

  fire(): void {
    this.timers.pop()!()
  }
}

/** What is done with a value that comes. */
function read({ heapUsedBytes }: { readonly heapUsedBytes: number }): void {
  sink += heapUsedBytes
}

/** As in any pipeline, values have passed through RxJS and timers have fired before. */
function intervalStream(clock: HandClock): Timer {
  const values = new Subject<{ readonly heapUsedBytes: number }>()
  values.subscribe(read)
  const timer = every(clock, 1_000, () => values.next({ heapUsedBytes: 1 }))
  for (let fired = 0; fired < 50; fired++) clock.fire()
  return timer
}

async function byInterval(): Promise<Sample> {
  const clock = new HandClock()
  intervalStream(clock)
  await pause(SETTLE_MS)
  const sample = await looks(() => Promise.resolve(timed(() => clock.fire())))
  const timer = await byTimer((counted) => {
    const interval = every(liveClock, TIMER_MS, counted)
    return () => interval.cancel()
  })
  return { ...sample, timer }
}

async function byProcessMetrics(): Promise<Sample> {
  intervalStream(new HandClock()).cancel()

  const clock = new HandClock()
  const metrics = processMetrics({ everyMs: 1_000, clock })
  let subscription: Subscription | undefined
  const subscribing = timed(() => {
    subscription = metrics.subscribe(read)
  })
  // The thread is started in the turn after.
  const beforeTurn = performance.eventLoopUtilization()
  await turn()
  const starting = performance.eventLoopUtilization(beforeTurn).active * 1_000
  await pause(SETTLE_MS)
  const sample = await looks(() => Promise.resolve(timed(() => clock.fire())))
  subscription?.unsubscribe()
  const perSample = await byTimer((counted) => {
    const samples = processMetrics({ everyMs: TIMER_MS }).subscribe(counted)
    return () => samples.unsubscribe()
  })
  if (sink === 0) throw new Error('Nothing was read.')
  return { ...sample, timer: perSample, begin: subscribing + starting }
}

void measure(__filename, [
  {
    name: 'watch.process',
    measures: { hot: 'µs', amid: 'µs', timer: 'µs', first: 'µs', begin: 'µs' },
    baseline: 'pidusage',
    variants: [
      { name: 'pidusage', run: byPidusage },
      { name: 'memoryUsage', run: byMemoryUsage },
      { name: 'processMetrics', run: byProcessMetrics },
      { name: 'interval', run: byInterval },
    ],
  },
])
