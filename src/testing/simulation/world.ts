/**
 * The machine of a simulated run: one clock, and everything that a real machine would decide drawn from one seed.
 *
 * Time      moves from timer to timer, so that quiet hours cost nothing. Timers fire one at a time, a little late as on a
 *           real machine, and between two of them all promises settle
 * Chance    named streams of the seed, so that drawing more of one changes no other
 * Turns     what is deferred runs a few microseconds later, in an order that the seed decides
 * Work      costs time when somebody says so ({@link World.spend}): timers become late, bursts pile up, budgets run out
 *
 * Nothing real may be awaited inside: no file, socket, thread or timer of the machine. That is watched, because such a wait
 * would make two runs of a seed differ. When nothing is left that could happen and the run is not over, that is a deadlock,
 * and said at once.
 */
import path from 'node:path'
import { setTimeout as realPause } from 'node:timers/promises'
import { config as rxjs } from 'rxjs'
import type { Clock } from '../../clock/clock'
import { VirtualClock } from '../../clock/virtualClock'
import { errorOf, Fault } from '../../model/fault'
import type { Host } from '../../pipeline/host'
import { Random } from '../../simulator/random'
import type { SpawnWorker } from '../../workers/currentSpawn'
import { NO_COST } from '../noCost'

export interface WorldOptions {
  /** Timers that may fire: what goes on for longer is not going to end. Default 5,000,000. */
  readonly stepsMax?: number
  /** Simulated time that may pass, milliseconds. Default a day. */
  readonly withinMs?: number
  /** How threads are started. Default: not at all, which is told to whoever tries. */
  readonly threads?: (world: World) => SpawnWorker
  /** Remembers where each timer was set, which costs a lot, so that those left behind can be told. */
  readonly trace?: boolean
}

const STEPS_MAX = 5_000_000
const DAY_MS = 86_400_000
/** Simulated time begins here, 2026-01-01, and a part of a second later that the seed decides. */
const START_US = 1_767_225_600_000_000
/** Timers of the machine fire up to so much late. */
const LATE_US_MAX = 1_500
/** A deferred function waits up to so long for its turn. */
const TURN_US_MAX = 8
/** Timers fired in one round of the machine's event loop; promises settle between any two of them. */
const STEPS_PER_ROUND = 64
/** Errors of one run that are kept. */
const ERRORS_MAX = 20
/** RxJS tells of what subscribers threw on a real timer of no delay: it is waited for so long at the end. */
const RXJS_MS = 2
/** Rounds that a real timer may be seen: those of RxJS are over by then. */
const PATIENCE = 50

export class World {
  readonly clock: VirtualClock
  readonly host: Host
  /** What nobody caught: thrown by timers and subscribers, or rejected. */
  readonly errors: unknown[] = []
  steps = 0
  private readonly waiting = new Set<string>()
  private readonly origins = new Set<string>()
  private readonly startUs: number

  constructor(
    readonly seed: number,
    private readonly options: WorldOptions = {},
  ) {
    this.startUs = START_US + this.random('start').below(1_000_000)
    this.clock = new VirtualClock(this.startUs)
    if (options.trace === true) this.rememberOrigins()
    this.host = this.hostOf(options.threads?.(this) ?? noThreads)
  }

  /** A stream of chance of its own. */
  random(name: string): Random {
    return new Random(this.seed, name)
  }

  /** Milliseconds since the beginning. */
  get elapsedMs(): number {
    return (this.clock.nowUs() - this.startUs) / 1_000
  }

  /** Work that takes the machine so long: nothing else happens meanwhile, and what became due is late. */
  spend(ms: number): void {
    this.clock.spend(ms)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve))
  }

  /** Waits for `promise`, and can say so if that is for ever. */
  async waitFor<T>(what: string, promise: Promise<T>): Promise<T> {
    this.waiting.add(what)
    try {
      return await promise
    } finally {
      this.waiting.delete(what)
    }
  }

  /**
   * Lets `body` happen, timer by timer, until it has settled.
   *
   * @throws `Fault` DEADLINE_EXCEEDED when nothing is left that could happen, when it goes on beyond its bounds, or when it
   *         waits for something real; what `body` throws otherwise
   */
  async run<T>(body: () => Promise<T>): Promise<T> {
    const { stepsMax = STEPS_MAX, withinMs = DAY_MS } = this.options
    const keep = (error: unknown): void => {
      if (this.errors.length < ERRORS_MAX) this.errors.push(error)
    }
    const { onUnhandledError } = rxjs
    rxjs.onUnhandledError = keep
    process.on('unhandledRejection', keep)
    // A turn later, because whoever has called may still be setting timers of its own, as test runners do.
    await new Promise((resolve) => setImmediate(resolve))
    const real = realWaits()
    try {
      return await new Promise<T>((resolve, reject) => {
        const over = { settled: false }
        const end = (settle: () => void): void => {
          over.settled = true
          settle()
        }
        const fail = (problem: string): void => {
          const details = { seed: this.seed, steps: this.steps, elapsedMs: this.elapsedMs, waiting: [...this.waiting] }
          end(() => reject(new Fault('DEADLINE_EXCEEDED', problem, details)))
        }
        let left = 0
        let patience = PATIENCE
        const round = (): void => {
          left = STEPS_PER_ROUND
          for (let step = 0; step < STEPS_PER_ROUND; step++) setImmediate(turn)
        }
        const turn = (): void => {
          left--
          if (over.settled) return
          if (left === 0) {
            const awaited = realWait(real)
            patience = awaited === 'Timeout' ? patience - 1 : PATIENCE
            if (awaited !== undefined && (awaited !== 'Timeout' || patience === 0)) {
              fail(`Something real is waited for (${awaited}), which no seed decides. ${this.wanted}`)
              return
            }
            round()
          }
          if (++this.steps > stepsMax) {
            fail(`It went on for more than ${stepsMax} steps, ${Math.round(this.elapsedMs)} ms. ${this.wanted}`)
          } else if (this.elapsedMs > withinMs) {
            fail(`It went on for more than ${withinMs} ms of simulated time. ${this.wanted}`)
          } else {
            try {
              if (!this.clock.fireNext()) {
                fail(`Nothing is left that could happen, and it is not over: a deadlock. ${this.wanted}`)
              }
            } catch (error) {
              keep(error)
            }
          }
        }
        body().then(
          (value) => end(() => resolve(value)),
          (error: unknown) => end(() => reject(errorOf(error))),
        )
        round()
      })
    } finally {
      await realPause(RXJS_MS)
      process.off('unhandledRejection', keep)
      rxjs.onUnhandledError = onUnhandledError
    }
  }

  /** Where the timers that have not fired were set, by their stacks; nothing without `trace`. */
  get timersLeft(): readonly string[] {
    return [...this.origins]
  }

  private rememberOrigins(): void {
    const { clock, origins } = this
    const after = clock.after.bind(clock)
    clock.after = (delayMs, callback) => {
      const origin = `${delayMs} ms, set at ${clock.nowUs()}: ${new Error().stack?.split('\n').slice(2, 9).join('\n') ?? ''}`
      origins.add(origin)
      const timer = after(delayMs, () => {
        origins.delete(origin)
        callback()
      })
      return {
        cancel: () => {
          origins.delete(origin)
          timer.cancel()
        },
      }
    }
  }

  private get wanted(): string {
    return this.waiting.size === 0 ? 'Nobody said for what it waits.' : `It waits for ${[...this.waiting].join(', ')}.`
  }

  private hostOf(spawn: SpawnWorker): Host {
    const late = this.random('late timers')
    const turns = this.random('turns')
    const jitter = this.random('jitter')
    const clock: Clock = {
      nowUs: () => this.clock.nowUs(),
      after: (delayMs, callback) => this.clock.after(delayMs + late.below(LATE_US_MAX) / 1_000, callback),
    }
    return {
      clock,
      random: () => jitter.unit(),
      env: {},
      defer: (callback) => void this.clock.after(turns.below(TURN_US_MAX) / 1_000, callback),
      spawn,
      // What a simulated run costs the process says nothing about the run.
      watch: () => NO_COST,
    }
  }
}

/** What keeps the process alive, by kind: what is more than before was begun inside. */
function realWaits(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== 'Immediate') counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/** The kind of something that keeps the process alive and did not before. */
function realWait(before: ReadonlyMap<string, number>): string | undefined {
  for (const [kind, count] of realWaits()) if (count > (before.get(kind) ?? 0)) return kind
  return undefined
}

const noThreads: SpawnWorker = (entry) =>
  Promise.reject(
    new Fault('OPTION_INVALID', `This simulation has no threads, and ${path.basename(String(entry))} needs one.`, {
      entry: String(entry),
    }),
  )
