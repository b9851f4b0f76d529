/**
 * Tasks that live and die together.
 *
 * A group ends when its own function and every task that was started in it have ended. When one fails, all others are told
 * to stop by their signal and are waited for; only then the group fails. So nothing that was begun in a group goes on behind
 * its back, and no failure is lost: what is caught outside names all of them.
 *
 * A promise cannot be ended from outside. A task that does not heed its signal is waited for `stopWithinMs`, and then named
 * in the failure and given up: whatever comes of it later, nobody hears.
 */
import type { Clock, Timer } from '../clock/clock'
import { LONGEST_WAIT_MS } from '../clock/clock'
import { currentWaits } from '../clock/currentClock'
import { onAbort } from '../clock/onAbort'
import { Fault, messageOf, type FaultCode } from '../model/fault'

export interface TaskGroupOptions {
  /** What the group is called in a sentence. Default `the group`. */
  readonly name?: string
  /** Tasks at once, the group's own function not counted. A task that awaits another of its group needs a place for both. */
  readonly concurrency: number
  /** Tasks that may wait for a place; one more is refused with `EDGE_FULL`. Default 65 536. */
  readonly capacity?: number
  /** How long tasks may take to end once they are told to stop. */
  readonly stopWithinMs: number
  /** How long the whole group may take; then it fails (`DEADLINE_EXCEEDED`). Default: as long as it takes. */
  readonly deadlineMs?: number
  /** Stops the group: it then rejects with the signal's reason, when all have ended. */
  readonly signal?: AbortSignal
  /** Default: the machine's time, or what stands for it in a run. */
  readonly clock?: Clock
}

export interface TaskGroup {
  /** Aborted when the group is to stop; the reason is the failure that stopped it. */
  readonly signal: AbortSignal
  /**
   * Starts a task, now or when there is a place. What it returns may be ignored: a failure stops the group anyway, also
   * when it is caught here.
   *
   * @param name  what failures call it
   * @throws      `EDGE_FULL` when too many wait, `OPTION_INVALID` when the group has ended
   */
  spawn<T>(name: string, task: (signal: AbortSignal) => Promise<T> | T): Promise<T>
}

/** The failure of a group: the code of the first, and all of them. */
export class TasksFault extends Fault {
  constructor(
    code: FaultCode,
    message: string,
    details: Readonly<Record<string, unknown>>,
    /** What was thrown, in the order in which it was. The first of them is the `cause`. */
    readonly errors: readonly unknown[],
  ) {
    super(code, message, details, { cause: errors[0] })
  }
}

/**
 * Runs a function with a group of tasks around it.
 *
 *     const [book, trades] = await withTasks(
 *       (group) => Promise.all([group.spawn('book', loadBook), group.spawn('trades', loadTrades)]),
 *       { concurrency: 8, stopWithinMs: 5_000 },
 *     )
 *
 * @returns  what the function returns, when it and all tasks have ended
 * @throws   {@link TasksFault} when it or a task failed, or did not end in time; the signal's reason when that stopped it
 */
export async function withTasks<T>(body: (group: TaskGroup) => Promise<T> | T, options: TaskGroupOptions): Promise<T> {
  check(options)
  options.signal?.throwIfAborted()
  return new Group(options).run(body)
}

interface Task {
  readonly name: string
  /** The subject of a sentence. */
  readonly who: string
  readonly run: (signal: AbortSignal) => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Failure {
  /** The subject of a sentence. */
  readonly who: string
  readonly error: unknown
}

class Group implements TaskGroup {
  private readonly name: string
  private readonly capacity: number
  private readonly clock: Clock
  private readonly controller = new AbortController()
  private readonly running = new Set<Task>()
  /** In the order in which they came. */
  private readonly waiting = new Set<Task>()
  /** The first of them stopped the group, unless it was stopped from outside. */
  private readonly failures: Failure[] = []
  private stoppedFromOutside = false
  private hasEnded = false
  private stopTimer: Timer | undefined
  private body: Task | undefined
  private end!: () => void
  private readonly ended = new Promise<void>((resolve) => (this.end = resolve))

  constructor(private readonly options: TaskGroupOptions) {
    const { name = 'the group', capacity = CAPACITY, clock = currentWaits() } = options
    this.name = name
    this.capacity = capacity
    this.clock = clock
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  spawn<T>(name: string, run: (signal: AbortSignal) => Promise<T> | T): Promise<T> {
    if (this.hasEnded) {
      throw new Fault(
        'OPTION_INVALID',
        `The task ${name} comes too late: ${this.name} has ended. Start tasks before the last of the others ends.`,
        { task: name, group: this.name },
      )
    }
    const { concurrency } = this.options
    const hasPlace = this.placesTaken < concurrency && this.waiting.size === 0
    if (!this.signal.aborted && !hasPlace && this.waiting.size >= this.capacity) {
      throw new Fault(
        'EDGE_FULL',
        `The task ${name} finds ${this.waiting.size} tasks of ${this.name} waiting and ${concurrency} at work: raise \`concurrency\` or \`capacity\`, or await some before starting more.`,
        { task: name, group: this.name, concurrency, capacity: this.capacity },
      )
    }
    return this.take(name, `The task ${name}`, run, hasPlace)
  }

  async run<T>(body: (group: TaskGroup) => Promise<T> | T): Promise<T> {
    const { signal, deadlineMs } = this.options
    const forget = signal === undefined ? undefined : onAbort(signal, () => this.stopFromOutside(signal.reason))
    const deadline =
      deadlineMs === undefined
        ? undefined
        : this.clock.after(deadlineMs, () =>
            this.failed(`The tasks of ${this.name}`, tookTooLong(this.name, deadlineMs)),
          )
    let result: T | undefined
    this.take('its function', `The function of ${this.name}`, () => body(this), true).then(
      (value) => (result = value),
      () => undefined, // it is among the failures
    )
    await this.ended
    forget?.()
    deadline?.cancel()
    this.stopTimer?.cancel()
    if (this.failures.length > 0) throw this.fault()
    if (this.stoppedFromOutside) throw this.signal.reason
    return result as T
  }

  /** Tasks at work, without the group's own function. */
  private get placesTaken(): number {
    return this.running.size - (this.body !== undefined && this.running.has(this.body) ? 1 : 0)
  }

  private take<T>(
    name: string,
    who: string,
    run: (signal: AbortSignal) => Promise<T> | T,
    atOnce: boolean,
  ): Promise<T> {
    const promise = new Promise<unknown>((resolve, reject) => {
      const task: Task = { name, who, run, resolve, reject }
      this.body ??= task
      if (this.signal.aborted) reject(this.signal.reason as Error)
      else if (atOnce) this.start(task)
      else this.waiting.add(task)
    })
    promise.catch(() => undefined) // heard by the group, so it may go unheard by whoever started it
    return promise as Promise<T>
  }

  private start(task: Task): void {
    this.running.add(task)
    // It begins within the call, and what it throws there is a failure like any other.
    const work = new Promise((resolve) => resolve(task.run(this.signal)))
    work.then(
      (value) => {
        if (!this.running.delete(task)) return // given up
        task.resolve(value)
        this.goOn()
      },
      (error: unknown) => {
        if (!this.running.delete(task)) return
        task.reject(error)
        this.failed(task.who, error)
        this.goOn()
      },
    )
  }

  private goOn(): void {
    for (const task of this.waiting) {
      if (this.placesTaken >= this.options.concurrency) break
      this.waiting.delete(task)
      this.start(task)
    }
    if (this.running.size > 0 || this.waiting.size > 0 || this.hasEnded) return
    this.hasEnded = true
    this.end()
  }

  private failed(who: string, error: unknown): void {
    if (this.hasEnded) return
    if (!this.isConsequence(error)) this.failures.push({ who, error })
    this.stop(error)
  }

  private stopFromOutside(reason: unknown): void {
    if (this.hasEnded || this.signal.aborted) return
    this.stoppedFromOutside = true
    this.stop(reason)
  }

  /** Tells all to stop, and waits for those that have begun. */
  private stop(reason: unknown): void {
    if (this.signal.aborted) return
    const { stopWithinMs } = this.options
    this.stopTimer = this.clock.after(stopWithinMs, () => {
      if (this.hasEnded) return
      const late = [...this.running]
      this.running.clear()
      const fault = didNotEnd(this.name, late, stopWithinMs)
      this.failures.push({ who: `The tasks of ${this.name}`, error: fault })
      for (const task of late) task.reject(fault)
      this.goOn()
    })
    this.controller.abort(reason)
    for (const { reject } of this.waiting) reject(this.signal.reason)
    this.waiting.clear()
  }

  /** Whoever is told to stop often ends with the reason, or an error about it: that is obedience, not a failure. */
  private isConsequence(error: unknown): boolean {
    if (!this.signal.aborted) return false
    const { reason } = this.signal as { reason: unknown }
    if (error === reason || this.failures.some((failure) => failure.error === error)) return true
    return (
      error instanceof Error && (error.name === 'AbortError' || (error.cause !== undefined && error.cause === reason))
    )
  }

  private fault(): TasksFault {
    const [first, ...others] = this.failures as [Failure, ...Failure[]]
    const code = first.error instanceof Fault ? first.error.code : 'STAGE_FAILED'
    const also =
      others.length === 0
        ? ''
        : ` Then also: ${others.slice(0, NAMED_MAX).map(sentenceOf).join(' ')}${more(others.length)}`
    return new TasksFault(
      code,
      `${sentenceOf(first)}${also}`,
      {
        group: this.name,
        failed: first.who,
        others: others.slice(0, NAMED_MAX).map(({ who, error }) => ({ failed: who, message: messageOf(error) })),
        failures: this.failures.length,
      },
      this.failures.map(({ error }) => error),
    )
  }
}

const CAPACITY = 65_536

/** Failures and tasks that one sentence names. */
const NAMED_MAX = 10

function sentenceOf({ who, error }: Failure): string {
  const message = messageOf(error).replace(/\.?$/, '.')
  return error instanceof Fault && error.code === 'DEADLINE_EXCEEDED' && error.details['group'] !== undefined
    ? message // which names the group or its tasks by itself
    : `${who} failed: ${message}`
}

function more(count: number): string {
  return count > NAMED_MAX ? ` And ${count - NAMED_MAX} more.` : ''
}

function tookTooLong(group: string, deadlineMs: number): Fault {
  return new Fault(
    'DEADLINE_EXCEEDED',
    `The tasks of ${group} took longer than ${deadlineMs} ms together: raise \`deadlineMs\` or find out what they wait for.`,
    { group, deadlineMs },
  )
}

function didNotEnd(group: string, late: readonly Task[], stopWithinMs: number): Fault {
  const names = late.slice(0, NAMED_MAX).map(({ name }) => name)
  const rest = late.length > NAMED_MAX ? ` and ${late.length - NAMED_MAX} more` : ''
  return new Fault(
    'DEADLINE_EXCEEDED',
    `Of ${group}, ${names.join(', ')}${rest} did not end within ${stopWithinMs} ms of being told to stop: end when the signal is aborted.`,
    { group, tasks: names, late: late.length, stopWithinMs },
  )
}

function check({ concurrency, capacity, stopWithinMs, deadlineMs }: TaskGroupOptions): void {
  const problem =
    notCount('concurrency', concurrency) ??
    (capacity === undefined ? undefined : notCount('capacity', capacity)) ??
    notMs('stopWithinMs', stopWithinMs) ??
    (deadlineMs === undefined ? undefined : notMs('deadlineMs', deadlineMs))
  if (problem !== undefined) throw new Fault('OPTION_INVALID', `withTasks: ${problem}.`, {})

  function notCount(option: string, value: number): string | undefined {
    if (Number.isSafeInteger(value) && value > 0) return undefined
    return `${option} is ${value}; give a whole number, 1 or more`
  }

  function notMs(option: string, value: number): string | undefined {
    if (value > 0 && value <= LONGEST_WAIT_MS) return undefined
    return `${option} is ${value}; give milliseconds above 0 and at most ${LONGEST_WAIT_MS}`
  }
}
