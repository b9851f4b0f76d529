/**
 * Runs the work of a run one piece after another, in the order in which it was posted, and moves the stream's clock with it.
 *
 * Whatever a source delivers is posted here with its time. While nothing waits and the turn of the event loop is young,
 * it is run at once, so a quiet system has no added latency. When a burst takes longer than the turn's budget, the rest
 * waits in order and the loop gets its breath between turns: timers, sockets and sinks go on.
 *
 * Before each piece the stream's clock is moved to its time, which fires the timers that are due by then. So a timer due
 * at t fires before any frame stamped t or later and after all frames stamped earlier, live and on replay alike: that is
 * why a recording gives the same output as the run it was made of.
 *
 * It can be held: by whatever stands behind it, works by itself and is full (a sink, a thread). Pausing the sources is not
 * enough then, because what waits here would still flow into what is full. Time stands still as long.
 */
import type { VirtualClock } from '../clock/virtualClock'

/** Takes what was posted to it. Must not throw; what a stage throws is its edge's business. */
export interface Receiver<T> {
  process(value: T, posted: Posted): void
}

export interface Posted {
  readonly timeUs: number | undefined
  readonly to: Receiver<unknown>
  /** May be replaced by what is to run in its place. */
  value: unknown
  /** Set by {@link Dispatcher.withdraw} alone: it will not run. */
  withdrawn: boolean
}

export interface DispatcherOptions {
  /** The stream's clock. */
  readonly clock: VirtualClock
  /** Milliseconds of work after which the event loop is given a turn. */
  readonly budgetMs: number
  /** Monotonic milliseconds, for the budget only. */
  readonly nowMs: () => number
  /** Runs a function in a later turn of the event loop. */
  readonly defer: (callback: () => void) => void
  /** Called when something posted threw against its promise. */
  readonly onBroken: (thrown: unknown) => void
  /** Has some of the pieces timed. */
  readonly times?: PieceTimes | undefined
}

/** Chooses pieces to be timed, each with the timers that it fires. */
export interface PieceTimes {
  /** Whether the next piece is one of them: then `begin` and `end` are called around it. */
  isNext(): boolean
  begin(): void
  end(): void
}

/** Withdrawn pieces that may stay in line, however few others there are. */
const WITHDRAWN_MAX = 1_024

const TICK: Receiver<unknown> = { process: () => undefined }

export class Dispatcher {
  private readonly waiting: (Posted | undefined)[] = []
  private head = 0
  private running = false
  private turnOpen = false
  private turnStartedMs = 0
  private scheduled = false
  private idleListeners: (() => void)[] = []
  /** Withdrawn pieces that are still in line. */
  private withdrawn = 0
  private holds = 0

  constructor(private readonly options: DispatcherOptions) {}

  /** Pieces that have not run. */
  get depth(): number {
    return this.waiting.length - this.head
  }

  /** Runs `to.process(value)` now or, in order, later. `timeUs` undefined leaves the clock where it is. */
  post<T>(timeUs: number | undefined, to: Receiver<T>, value: T): Posted {
    const posted: Posted = { timeUs, to, value, withdrawn: false }
    if (this.running || this.holds > 0 || this.depth > 0 || !this.hasBudget()) {
      this.waiting.push(posted)
      this.schedule()
    } else {
      this.running = true
      this.run(posted)
      this.running = false
      if (this.depth > 0) this.schedule()
    }
    return posted
  }

  /**
   * Takes back what has not run. Its time still moves the clock. Withdrawn pieces are cleared away when they are the most of
   * the line: an edge that gives up what waits as fast as it comes must not make it grow.
   */
  withdraw(posted: Posted): void {
    if (posted.withdrawn) return
    posted.withdrawn = true
    posted.value = undefined
    this.withdrawn++
    if (this.withdrawn > WITHDRAWN_MAX && this.withdrawn * 2 > this.depth) this.clearAway()
  }

  /** Runs nothing more, after the piece that is running, until {@link release} was called as often. */
  hold(): void {
    this.holds++
  }

  release(): void {
    if (this.holds > 0 && --this.holds === 0 && this.depth > 0 && !this.running) this.schedule()
  }

  get held(): boolean {
    return this.holds > 0
  }

  /** Moves the clock, in order with what waits. */
  tick(timeUs: number): void {
    this.post(timeUs, TICK, undefined)
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    if (this.depth === 0) return Promise.resolve()
    return new Promise((resolve) => this.idleListeners.push(resolve))
  }

  private hasBudget(): boolean {
    if (!this.turnOpen) {
      this.turnOpen = true
      this.turnStartedMs = this.options.nowMs()
      this.options.defer(() => {
        this.turnOpen = false
      })
      return true
    }
    return this.options.nowMs() - this.turnStartedMs < this.options.budgetMs
  }

  private schedule(): void {
    if (this.scheduled || this.holds > 0) return
    this.scheduled = true
    this.options.defer(() => {
      this.scheduled = false
      this.turnOpen = false
      this.drain()
    })
  }

  private drain(): void {
    this.running = true
    while (this.depth > 0 && this.holds === 0 && this.hasBudget()) {
      const posted = this.waiting[this.head]!
      this.waiting[this.head++] = undefined
      this.run(posted)
    }
    this.running = false
    if (this.depth > 0) {
      // Shifting is paid once per thousand pieces, not per piece.
      if (this.head > 1_024) {
        this.waiting.splice(0, this.head)
        this.head = 0
      }
      this.schedule()
      return
    }
    this.waiting.length = 0
    this.head = 0
    const listeners = this.idleListeners
    this.idleListeners = []
    for (const listener of listeners) listener()
  }

  /** The last piece stays whatever it is: by it the clock is moved as far as it would have been. */
  private clearAway(): void {
    const last = this.waiting.length - 1
    const kept = this.waiting.filter((posted, index) => index >= this.head && (index === last || !posted!.withdrawn))
    this.waiting.length = 0
    for (const posted of kept) this.waiting.push(posted)
    this.head = 0
    this.withdrawn = kept.at(-1)?.withdrawn === true ? 1 : 0
  }

  private run(posted: Posted): void {
    const { times } = this.options
    if (times === undefined || !times.isNext()) {
      this.work(posted)
      return
    }
    times.begin()
    this.work(posted)
    times.end()
  }

  private work(posted: Posted): void {
    if (posted.timeUs !== undefined) this.advanceTo(posted.timeUs)
    // Its time may have fired a timer by which it was withdrawn.
    if (posted.withdrawn) {
      if (this.withdrawn > 0) this.withdrawn--
      return
    }
    try {
      posted.to.process(posted.value, posted)
    } catch (thrown) {
      this.options.onBroken(thrown)
    }
  }

  /** A timer that throws costs neither the timers behind it nor the piece whose time has come. */
  private advanceTo(timeUs: number): void {
    for (;;) {
      try {
        this.options.clock.advanceTo(timeUs)
        return
      } catch (thrown) {
        this.options.onBroken(thrown)
      }
    }
  }
}
