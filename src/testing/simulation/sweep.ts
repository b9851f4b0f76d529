/**
 * Seed after seed, on as many cores as there are: what breaks an invariant is told with the line that shows it again.
 */
import path from 'node:path'
import type { Clock } from '../../clock/clock'
import { liveClock } from '../../clock/liveClock'
import { Fault, messageOf } from '../../model/fault'
import { spawnWorker, type WorkerHandle } from '../../workers/spawn'
import { simulateSeed, type SeedReport } from './simulateSeed'
import type { Invariant, Violation } from './verdict'

export interface SweepOptions {
  /** How many, from `from` on. */
  readonly seeds: number
  /** Default 1. */
  readonly from?: number
  /** Seeds at once, each on a thread of its own; 1, the default, runs in this thread. */
  readonly jobs?: number
  /** Every so many seeds one is run twice, and must be the same both times; default 16, 0 for never. */
  readonly twiceEvery?: number
  /** Aborting it ends the sweep after the seeds that are under way. */
  readonly signal?: AbortSignal
  readonly onSeed?: (outcome: SeedOutcome, progress: SweepProgress) => void
  /** Of the progress. */
  readonly clock?: Clock
}

/** What became of one seed. */
export interface SeedOutcome {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly digest: string
  readonly simulatedMs: number
  readonly records: number
}

export interface SweepProgress {
  readonly done: number
  readonly seeds: number
  readonly failed: number
  readonly seedsPerSecond: number
  readonly secondsLeft: number
}

/** One broken invariant of one seed. */
export interface SweepFailure {
  readonly seed: number
  readonly invariant: Invariant
  readonly message: string
  /** A command that shows it again. */
  readonly reproduce: string
}

export interface SweepResult {
  /** Seeds that were run: fewer than asked for when it was ended early. */
  readonly seeds: number
  readonly failures: readonly SweepFailure[]
  readonly simulatedMs: number
  readonly records: number
}

/** Real time in which a seed must be done; the usual is a fifth of a second. */
const SEED_MS = 300_000
const LOAD_MS = 60_000
const TWICE_EVERY = 16

/** What the thread's entry offers. */
export interface SweepApi {
  run(seed: number, twice: boolean): Promise<SeedOutcome>
}

/** @throws `Fault` OPTION_INVALID for numbers that cannot be swept */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { seeds, from = 1, jobs = 1, twiceEvery = TWICE_EVERY, signal, onSeed, clock = liveClock } = options
  check('seeds', seeds, 1)
  check('from', from, 0)
  check('jobs', jobs, 1)
  check('twiceEvery', twiceEvery, 0)
  const startUs = clock.nowUs()
  const failures: SweepFailure[] = []
  let next = from
  let done = 0
  let failed = 0
  let simulatedMs = 0
  let records = 0

  const take = (outcome: SeedOutcome): void => {
    done++
    simulatedMs += outcome.simulatedMs
    records += outcome.records
    if (outcome.violations.length > 0) failed++
    failures.push(...failuresOf(outcome))
    const seconds = Math.max(1e-6, (clock.nowUs() - startUs) / 1e6)
    const seedsPerSecond = done / seconds
    onSeed?.(outcome, { done, seeds, failed, seedsPerSecond, secondsLeft: (seeds - done) / seedsPerSecond })
  }
  const job = async (runner: Runner): Promise<void> => {
    try {
      while (next < from + seeds && signal?.aborted !== true) {
        const seed = next++
        take(await runner.run(seed, twiceEvery > 0 && (seed - from) % twiceEvery === 0))
      }
    } finally {
      await runner.stop()
    }
  }
  const runners = Array.from({ length: Math.min(jobs, seeds) }, () => (jobs === 1 ? HERE : new ThreadRunner()))
  await Promise.all(runners.map(job))
  failures.sort((a, b) => a.seed - b.seed)
  return { seeds: done, failures, simulatedMs, records }
}

/** Runs a seed, and a second time when it is to be the same twice. */
export async function outcomeOf(seed: number, twice: boolean): Promise<SeedOutcome> {
  const first = await simulateSeed(seed)
  const violations = [...first.violations]
  if (twice && violations.length === 0) {
    const second = await simulateSeed(seed)
    if (first.digest !== second.digest) {
      violations.push({
        invariant: 'determinism',
        message: `Two runs of seed ${seed} differ: ${differenceOf(first, second)}.`,
      })
    }
  }
  const { digest, simulatedMs, records } = first
  return { seed, violations, digest, simulatedMs, records }
}

function differenceOf(a: SeedReport, b: SeedReport): string {
  for (const field of ['records', 'steps', 'views', 'simulatedMs'] as const) {
    if (a[field] !== b[field]) return `${a[field]} and ${b[field]} ${field === 'simulatedMs' ? 'ms' : field}`
  }
  return 'what was recorded or written'
}

/** The first violation of each invariant. */
function failuresOf({ seed, violations }: SeedOutcome): SweepFailure[] {
  const reproduce = `millrace seeds --from ${seed} --seeds 1`
  return violations
    .filter(({ invariant }, index) => violations.findIndex((other) => other.invariant === invariant) === index)
    .map(({ invariant, message }) => ({ seed, invariant, message, reproduce }))
}

interface Runner {
  run(seed: number, twice: boolean): Promise<SeedOutcome>
  stop(): Promise<void>
}

const HERE: Runner = { run: outcomeOf, stop: () => Promise.resolve() }

/** A thread that is started again when a seed kills it, or keeps it busy for ever. */
class ThreadRunner implements Runner {
  private worker: WorkerHandle<SweepApi> | undefined

  async run(seed: number, twice: boolean): Promise<SeedOutcome> {
    this.worker ??= await spawnWorker<SweepApi>(path.join(__dirname, 'sweepEntry'), { deadlineMs: LOAD_MS })
    try {
      return await this.worker.call('run', [seed, twice], { deadlineMs: SEED_MS })
    } catch (thrown) {
      await this.stop()
      const message = `The seed could not be run to its end: ${messageOf(thrown)}`
      return { seed, violations: [{ invariant: 'life', message }], digest: '', simulatedMs: 0, records: 0 }
    }
  }

  async stop(): Promise<void> {
    await this.worker?.terminate()
    this.worker = undefined
  }
}

function check(option: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new Fault('OPTION_INVALID', `A sweep has ${option} = ${value}: give a whole number of ${least} or more.`, {
    option,
  })
}
