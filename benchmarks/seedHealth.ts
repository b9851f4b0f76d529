/**
 * S5: a health check that hangs.
 *
 * Why      in the monitor that millrace was made from a check that did not answer kept all others, and what waited for
 *          them, waiting
 * Input    two checks, looked at ten times a second; from its third time on one of them never answers
 * Variants `awaited`  the checks awaited one after another in a loop: what was
 *          `health`   `health({ everyMs, checks })`: what is
 * Measures `samples.longestGap` the longest time without a sample, ms; for `awaited` it grows with the run, which lasts three
 *          seconds; `noticed` after what time the hanging check was known to be unhealthy, ms
 * Baseline `awaited`, what was
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { health } from '../src/metrics/health'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const EVERY_MS = 100
const DEADLINE_MS = 50
const RUN_MS = isQuick() ? 700 : 3_000
const HANGS_FROM = 3

/** Answers at once, and from its third time on never; tells when that began. */
function hanging(): { check: () => Promise<boolean>; hungSinceMs: () => number | undefined } {
  let asked = 0
  let sinceMs: number | undefined
  return {
    check: () => {
      if (++asked < HANGS_FROM) return Promise.resolve(true)
      sinceMs ??= performance.now()
      return new Promise(() => undefined)
    },
    hungSinceMs: () => sinceMs,
  }
}

async function ours(): Promise<Sample> {
  const { check, hungSinceMs } = hanging()
  const watch = gaps()
  let noticedMs: number | undefined
  const samples = health({
    everyMs: EVERY_MS,
    checks: [
      { name: 'quick', check: () => true, deadlineMs: DEADLINE_MS },
      { name: 'hanging', check, deadlineMs: DEADLINE_MS },
    ],
  }).subscribe(({ level }) => {
    watch.sample()
    if (level === 'unhealthy') noticedMs ??= performance.now()
  })
  await pause(RUN_MS)
  samples.unsubscribe()
  return { 'samples.longestGap': watch.longestMs(), noticed: since(hungSinceMs(), noticedMs) }
}

async function awaited(): Promise<Sample> {
  const { check, hungSinceMs } = hanging()
  const watch = gaps()
  const ended = new AbortController()
  const loop = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      for (const one of [() => Promise.resolve(true), check]) await one()
      watch.sample()
      await pause(EVERY_MS)
    }
  }
  void loop()
  await pause(RUN_MS)
  ended.abort()
  return { 'samples.longestGap': watch.longestMs(), noticed: since(hungSinceMs(), undefined) }
}

/** Never noticed counts as long as it went unnoticed. */
function since(hungMs: number | undefined, noticedMs: number | undefined): number {
  if (hungMs === undefined) throw new Error('The check never hung, so nothing was measured.')
  return (noticedMs ?? performance.now()) - hungMs
}

function gaps(): { sample(): void; longestMs(): number } {
  let lastMs = performance.now()
  let longestMs = 0
  const look = (): void => {
    longestMs = Math.max(longestMs, performance.now() - lastMs)
  }
  return {
    sample: () => {
      look()
      lastMs = performance.now()
    },
    longestMs: () => {
      look()
      return longestMs
    },
  }
}

void measure(__filename, [
  {
    name: 'S5',
    measures: { 'samples.longestGap': 'ms', noticed: 'ms' },
    baseline: 'awaited',
    variants: [
      { name: 'awaited', run: awaited },
      { name: 'health', run: ours },
    ],
  },
])
