/**
 * A thousand retries that wait at once: what they cost the event loop, and how soon they stop.
 *
 * Why      the monitor that millrace was made from retried by sleeping its thread: while one call waited to be tried again,
 *          nothing else happened
 * Input    calls that always fail, tried again with the same growing, jittered waits of up to five seconds
 * Variants `idle`     nothing at all
 *          `timers`   a thousand calls of `retryWithBackoff.promise`: what is. Some hundreds are tried again every second
 *          `asleep`   one call whose waits put the thread to sleep, then a pause in which the loop may turn: what was
 * Measures `loopDelay`: milliseconds by which the event loop was late, looked at every millisecond, in rounds of the three
 *          variants in turn. `attempts` is how often the calls were tried in a round. `abort`: milliseconds from the abort to
 *          the rejection of the last of the thousand; the sleeping one can be stopped when it wakes
 * Baseline `asleep`, what was. The aim is that `timers` cannot be told from `idle`
 *
 * Run it compiled: `npm run bench -- seed`.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { backoffDelayMs } from '../src/clock/backoff'
import { loopDelay, type LoopDelaySummary } from '../src/metrics/loopDelay'
import { retryWithBackoff } from '../src/operators/retryWithBackoff'
import { seeded } from './kit/random'
import { isQuick, ofRounds, report, rowOf } from './kit/report'

const RETRIES = 1_000
const ROUNDS = isQuick() ? 1 : 5
const ROUND_MS = isQuick() ? 500 : 4_000
const BEGIN_MS = isQuick() ? 500 : 1_000
const RESOLUTION_MS = 1
const SCHEDULE = { minMs: 500, maxMs: 5_000, atMost: 1_000_000, withinMs: 3_600_000 }

interface Round extends LoopDelaySummary {
  readonly attempts: number
  readonly abortMs: number
}

async function main(): Promise<void> {
  const rounds: Record<'idle' | 'timers' | 'asleep', Round[]> = { idle: [], timers: [], asleep: [] }
  let clean = true
  for (let round = 0; round <= ROUNDS; round++) {
    const counts = round > 0 // the first one warms up
    console.error(counts ? `retries: round ${round} of ${ROUNDS}` : 'retries: warming up')
    const timers = await onTimers(round)
    clean = clean && timers.rejected === RETRIES && timers.attempts >= RETRIES && timers.timersLeft === 0
    const idle = await onIdleLoop()
    const asleep = await onSleepingThread(round)
    if (!counts) continue
    rounds.idle.push(idle)
    rounds.timers.push(timers)
    rounds.asleep.push(asleep)
  }
  const of = (variant: keyof typeof rounds, field: keyof Round) =>
    ofRounds(rounds[variant].map((round) => round[field]))
  for (const rank of ['p50', 'p99', 'max'] as const) {
    const baseline = { name: `S4.loopDelay.${rank}.asleep`, measured: of('asleep', rank) }
    report(rowOf(baseline.name, 'ms', baseline.measured))
    report(rowOf(`S4.loopDelay.${rank}.timers`, 'ms', of('timers', rank), baseline))
    report(rowOf(`S4.loopDelay.${rank}.idle`, 'ms', of('idle', rank), baseline))
  }
  report(rowOf('S4.attempts.timers', 'attempts/round', of('timers', 'attempts')))
  report(rowOf('S4.attempts.asleep', 'attempts/round', of('asleep', 'attempts')))
  const asleep = { name: 'S4.abort.asleep', measured: of('asleep', 'abortMs') }
  report(rowOf(asleep.name, 'ms', asleep.measured))
  report(rowOf('S4.abort.timers', 'ms', of('timers', 'abortMs'), asleep))
  // A retry that was not made, or not stopped, is measured for nothing.
  if (!clean) {
    console.error('retries: not all retries were made and stopped.')
    process.exitCode = 1
  }
}

async function onIdleLoop(): Promise<Round> {
  const delay = loopDelay(RESOLUTION_MS)
  await pause(ROUND_MS)
  const summary = delay.read()
  delay.stop()
  return { ...summary, attempts: 0, abortMs: 0 }
}

async function onTimers(round: number): Promise<Round & { readonly rejected: number; readonly timersLeft: number }> {
  const random = seeded(round + 1)
  const stop = new AbortController()
  const failure = new Error('no answer')
  const timersBefore = timersNow()
  let attempts = 0
  let rejected = 0
  const calls = Array.from({ length: RETRIES }, () =>
    retryWithBackoff
      .promise(() => (attempts++, Promise.reject(failure)), { ...SCHEDULE, random, signal: stop.signal })
      .catch(() => rejected++),
  )
  await pause(BEGIN_MS) // a thousand calls that begin at once are not a thousand that wait
  const delay = loopDelay(RESOLUTION_MS)
  await pause(ROUND_MS)
  const summary = delay.read()
  delay.stop()
  const abortedMs = performance.now()
  stop.abort(failure)
  await Promise.all(calls)
  return {
    ...summary,
    attempts,
    abortMs: performance.now() - abortedMs,
    rejected,
    timersLeft: timersNow() - timersBefore,
  }
}

async function onSleepingThread(round: number): Promise<Round> {
  const random = seeded(round + 1)
  const sleeping = new Int32Array(new SharedArrayBuffer(4))
  const delay = loopDelay(RESOLUTION_MS)
  const endMs = performance.now() + ROUND_MS
  let attempts = 0
  let longestMs = 0
  while (performance.now() < endMs) {
    attempts++
    const waitMs = backoffDelayMs(attempts, { ...SCHEDULE, random })
    const sleptMs = performance.now()
    Atomics.wait(sleeping, 0, 0, waitMs)
    longestMs = Math.max(longestMs, performance.now() - sleptMs)
    await pause(5)
  }
  const summary = delay.read()
  delay.stop()
  return { ...summary, attempts, abortMs: longestMs }
}

/** Timers that keep the process alive. */
function timersNow(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}

void main()
