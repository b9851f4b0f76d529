/**
 * Messages that come when they are due, whether or not anybody is ready for them, as an exchange sends them.
 *
 * Latency counts from when a message was due, not from when it was handed over: a loop that stands still cannot excuse
 * itself by not having looked (coordinated omission). What was not handled by the end counts with what it had waited by then.
 *
 * Like a socket it hands over at most what fits into one read of 64 KiB, then lets the loop turn.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as elapsed } from 'node:timers/promises'
import { LatencyHistogram, type LatencySummary } from '../../src/metrics/histogram'
import { loopDelay, type LoopDelaySummary } from '../../src/metrics/loopDelay'
import { loopTimeUs } from './loopTime'

export interface PacedOptions {
  readonly perSecond: number
  readonly forMs: number
  /** What comes in so much time at the beginning is handled and not counted. */
  readonly warmUpMs: number
}

export interface Paced {
  readonly latencyUs: LatencySummary
  readonly loopDelayMs: LoopDelaySummary
  readonly handled: number
  /** Handled ones of those that were due, 0 to 1. */
  readonly share: number
  /** Of one core, in percent, all threads of the process. */
  readonly cpuPercent: number
  /** As `cpuPercent`, of the loop's thread alone. */
  readonly loopPercent: number
}

/** The loop's delay as benchmarks report it, and in which unit. */
export const LOOP_DELAY_MEASURES = { 'loopDelay.p50': 'ms', 'loopDelay.p99': 'ms', 'loopDelay.max': 'ms' } as const

export function loopDelayOf({ loopDelayMs: { p50, p99, max } }: Pick<Paced, 'loopDelayMs'>) {
  return { 'loopDelay.p50': p50, 'loopDelay.p99': p99, 'loopDelay.max': max }
}

const MESSAGES_A_TURN = 230
const RESOLUTION_MS = 1

/** @param handle  takes the index of a message and when it was due, in the time of `performance.now`; it is handled when that returns */
export async function paced(
  { perSecond, forMs, warmUpMs }: PacedOptions,
  handle: (index: number, dueMs: number) => void,
): Promise<Paced> {
  const latency = new LatencyHistogram()
  const everyMs = 1_000 / perSecond
  const endMs = warmUpMs + forMs
  const delay = loopDelay(RESOLUTION_MS)
  const beganMs = performance.now()
  const now = (): number => performance.now() - beganMs
  let cpu = process.cpuUsage()
  let loopUs = loopTimeUs()
  let countsFrom = -1
  let sent = 0
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      try {
        for (let taken = 0; taken < MESSAGES_A_TURN && sent * everyMs <= now(); taken++) {
          if (countsFrom < 0 && now() >= warmUpMs) {
            countsFrom = sent
            delay.read()
            cpu = process.cpuUsage()
            loopUs = loopTimeUs()
          }
          const dueMs = sent * everyMs
          handle(sent++, beganMs + dueMs)
          if (countsFrom >= 0) latency.record((now() - dueMs) * 1_000)
        }
      } catch (thrown) {
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)))
        return
      }
      if (now() >= endMs) resolve()
      else if (sent * everyMs <= now()) setImmediate(turn)
      else setTimeout(turn, 1)
    }
    turn()
  })
  const endedMs = now()
  const { user, system } = process.cpuUsage(cpu)
  const workedUs = loopTimeUs() - loopUs
  const due = Math.floor(endedMs / everyMs)
  const handled = sent - Math.max(0, countsFrom)
  for (let index = sent; index < due; index++) latency.record((endedMs - index * everyMs) * 1_000)
  // The loop may have stood still until now: that is recorded when it turns.
  await elapsed(10 * RESOLUTION_MS)
  const loopDelayMs = delay.read()
  delay.stop()
  return {
    latencyUs: latency.summary(),
    loopDelayMs,
    handled,
    share: handled / Math.max(1, due - Math.max(0, countsFrom)),
    cpuPercent: (user + system) / 10 / (endedMs - warmUpMs),
    loopPercent: workedUs / 10 / (endedMs - warmUpMs),
  }
}
