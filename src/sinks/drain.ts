/**
 * From a stream into an asynchronous sink: the only place where async meets a stream.
 *
 * A subscriber that awaits is a trap: RxJS does not wait for it and never hears of its failure. Here values go into a
 * bounded queue, and one loop takes them out in batches, writes, retries and acknowledges. Nothing is written
 * concurrently, nothing waits without a deadline, and what is not written is counted under a reason:
 *
 *     in = out + sum(dropped) + inFlight        at every moment between two calls
 *
 * `inFlight` is what waits and what is being written. With `receipts`, the sink is also given a receipt in the place of
 * each run of dropped values. It is written like any value, and counted by the sink, but it is no value of the edge:
 * `written` of a sink is then `out` and the receipts.
 */
import { Subject, takeUntil, type Observable } from 'rxjs'
import { BoundedQueue } from '../actors/boundedQueue'
import { copyOf, drop, emptyLedger, pass, receive, type Ledger } from '../actors/ledger'
import { problemOfPolicy, spillOf, type EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import type { ReceiptCounts, Receipts } from '../actors/receipts'
import { seededRandom } from '../clock/backoff'
import type { Clock, Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { askedWaitMs } from '../clock/retryAfter'
import type { Batch } from '../model/events'
import { errorOf, Fault, messageOf } from '../model/fault'
import { deadLetter, type DeadLetter } from './deadLetter'
import type { RunLook } from './runLook'
import { DEFAULT_OUT_DIR, type BatchKey, type Sink, type SinkContext } from './sink'

export interface DrainOptions<T> extends EdgeOptions<T> {
  /** How many values are offered to the sink at once, at most. */
  readonly batchMax: number
  /** How long the first value of a batch may wait for others. Default 0: whatever has come while the sink was busy. */
  readonly flushMs?: number
  readonly retry?: RetryBudget
  /** A single write that takes longer is reported. It is not given up: it may still succeed, and nothing may be written beside it. Default 30,000. */
  readonly writeWithinMs?: number
  /** How long finishing may take. What is not written by then is dropped, counted as `deadline`. Default 5,000. */
  readonly closeWithinMs?: number
  /** For `block`: what the full queue stops and, at half, lets go on. */
  readonly pressure?: Pressure
  /** Told of each batch once it is safe at the destination. Must be quick. */
  readonly onWritten?: (batch: readonly T[]) => void
  /** Takes every fault: batches given up, values left out, an edge that overflowed, a sink that cannot be closed. */
  readonly onFault?: (fault: Fault) => void
  /** The time of waits: flushing, backoff, deadlines. It must go on while the source stands still. Default: the machine's. */
  readonly clock?: Clock
  /** The time of the stream, which the sink is given. Default: `clock`. */
  readonly streamClock?: Clock
  /** Where the sink's relative paths lead. Default `out`. */
  readonly outDir?: string
  /** Ends the drain early: the source is left, what waits is written, the sink is closed. */
  readonly signal?: AbortSignal
  /** Of the jitter between retries. */
  readonly seed?: number
  /** Has the sink digest its bytes. */
  readonly digest?: boolean
  /** The environment that the sink reads names of secrets and proxies from. Default: none. */
  readonly env?: SinkContext['env']
  /** The name of the run, by which a sink knows what it holds of it. Default: none, each run is a new one. */
  readonly run?: string | undefined
  /** Where values go that were given up: those the sink refused for longer than the retry budget, and those without a form. */
  readonly deadLetters?: Sink<DeadLetter<T>> | undefined
  /** The run that this is a part of, for sinks that report on it. */
  readonly look?: () => RunLook
  /** Where it matters to whoever reads the sink what was dropped. */
  readonly receipts?: Receipts<readonly T[] | T> | undefined
}

export interface RetryBudget {
  /** Attempts in all, the first one included. Default 8. */
  readonly attempts?: number
  /** The upper bound of the first pause; it doubles with each. Default 50. */
  readonly firstMs?: number
  /** No pause is longer, unless the destination asks for more (`retryAfterMs` in the details of its fault). Default 5,000. */
  readonly capMs?: number
}

export type DrainState = 'running' | 'finishing' | 'closed' | 'failed'

export interface DrainResult {
  /** How it ended: the source completed, it was told to finish early, or a fault that no retry can repair. */
  readonly ended: 'completed' | 'aborted' | 'failed'
  /** Why it failed. */
  readonly fault: Fault | undefined
  readonly ledger: Readonly<Ledger>
  /** Of the sink: values and bytes at the destination, batches given up, attempts after the first. */
  readonly written: number
  readonly bytes: number
  readonly failed: number
  readonly retries: number
  /** Values that were given up and are written down as dead letters. */
  readonly deadLettered: number
  readonly digest: string | undefined
}

/**
 * Writes everything that `source` emits, values or batches of them, to `sink`; resolves when the sink is closed.
 *
 * Rejects with the source's error (after writing what came before it), with `EDGE_FULL` when a queue that may not drop
 * is full, and with a fault of the sink that no retry can repair, such as a path outside the output folder. A batch that
 * the sink refuses for longer than the retry budget does not reject: it is counted in `failed` and told to `onFault`.
 */
export function drain<T>(
  source: Observable<T | Batch<T>>,
  sink: Sink<T>,
  options: DrainOptions<T>,
): Promise<DrainResult> {
  return new Promise((resolve, reject) => {
    const { signal } = options
    if (spillOf(options.onFull) !== undefined) {
      throw new Fault(
        'OPTION_INVALID',
        `The edge to the sink ${sink.name} has onFull = spill: drain has no disk of its own. Write the sink in a pipeline, or choose another policy.`,
        { option: 'onFull' },
      )
    }
    const stop = new Subject<void>()
    let ended = false

    const end = (how: 'completed' | 'aborted', sourceError?: { readonly error: unknown }): void => {
      if (ended) return
      ended = true
      signal?.removeEventListener('abort', abort)
      stop.next()
      void edge.finish(how).then((result) => {
        if (sourceError !== undefined) reject(errorOf(sourceError.error))
        else if (result.fault !== undefined) reject(result.fault)
        else resolve(result)
      })
    }
    const abort = (): void => end('aborted')

    const edge = new Drain<T>(sink, {
      ...options,
      onFault: (fault) => {
        options.onFault?.(fault)
        if (edge.state === 'failed') end('completed')
      },
    })
    if (signal?.aborted) {
      abort()
      return
    }
    signal?.addEventListener('abort', abort, { once: true })
    // Not by the subscription: a source that emits while it is being subscribed to could not be left by it.
    source.pipe(takeUntil(stop)).subscribe({
      next: (value) => edge.push(value),
      error: (error: unknown) => end('completed', { error }),
      complete: () => end('completed'),
    })
  })
}

/** One edge into a sink: the queue, the loop that empties it, and its ledger. `drain` is this with an observable before it. */
export class Drain<T> {
  private readonly options: Required<
    Pick<DrainOptions<T>, 'capacity' | 'batchMax' | 'flushMs' | 'writeWithinMs' | 'closeWithinMs' | 'outDir'>
  > &
    DrainOptions<T>
  private readonly clock: Clock
  private readonly attempts: number
  private readonly firstMs: number
  private readonly capMs: number
  private readonly random: () => number
  private readonly account = emptyLedger()
  private readonly waiting: BoundedQueue<T>
  private readonly context: SinkContext
  /** The batch that is with the sink, or between two attempts. */
  private writing: readonly T[] = []
  /** Which values it holds. */
  private key: BatchKey
  /** That batch is one of receipts, which are no values of the edge. */
  private writesReceipts = false
  private opened = false
  private everOpened = false
  private current: DrainState = 'running'
  private failure: Fault | undefined
  private finishing: Promise<DrainResult> | undefined
  /** Sets the deadline of finishing anew, while there is one. */
  private hurry: ((withinMs: number) => void) | undefined
  /** The deadline has passed: whatever the loop does now no longer counts. */
  private abandoned = false
  /** The sink has said that trying again cannot help. */
  private hopeless = false
  private killed = false
  private readonly flushes = new Set<Flush>()
  /** Attempts of the action under way. */
  private tried = 0
  private wake: (() => void) | undefined
  private readonly loop: Promise<void>
  private loopEnded = false
  private readonly letters: Drain<DeadLetter<T>> | undefined

  constructor(
    private readonly sink: Sink<T>,
    options: DrainOptions<T>,
  ) {
    const { name } = sink
    this.options = {
      ...options,
      capacity: whole(name, 'capacity', options.capacity),
      batchMax: whole(name, 'batchMax', options.batchMax),
      flushMs: duration(name, 'flushMs', options.flushMs ?? 0),
      writeWithinMs: duration(name, 'writeWithinMs', options.writeWithinMs ?? 30_000),
      closeWithinMs: duration(name, 'closeWithinMs', options.closeWithinMs ?? 5_000),
      outDir: options.outDir ?? DEFAULT_OUT_DIR,
    }
    this.attempts = whole(name, 'retry.attempts', options.retry?.attempts ?? 8)
    this.firstMs = duration(name, 'retry.firstMs', options.retry?.firstMs ?? 50)
    this.capMs = duration(name, 'retry.capMs', options.retry?.capMs ?? 5_000)
    this.clock = options.clock ?? liveClock
    this.random = seededRandom(options.seed ?? 1)
    const { capacity, onFull, receipts } = this.options
    const problem = problemOfPolicy(onFull)
    if (problem !== undefined) {
      throw new Fault('OPTION_INVALID', `The edge to the sink ${name}: ${problem}`, { option: 'onFull' })
    }
    this.waiting = new BoundedQueue<T>({
      capacity,
      onFull,
      receipts,
      pressure: this.guarded(options.pressure),
      ledger: this.account,
    })
    this.key = { run: options.run, from: 0, to: 0 }
    this.context = {
      outDir: this.options.outDir,
      run: options.run,
      clock: options.streamClock ?? this.clock,
      env: options.env,
      onFault: (fault) => this.report(fault),
      ...(options.look === undefined ? {} : { look: options.look }),
    }
    sink.counters.failed = 0
    sink.counters.retries = 0
    sink.counters.deadLettered = 0
    this.letters = options.deadLetters === undefined ? undefined : this.intoLetters(options.deadLetters)
    if (options.digest === true) sink.enableDigest?.()
    this.loop = this.run()
  }

  get state(): DrainState {
    return this.current
  }

  /** Goes on changing. */
  get ledger(): Readonly<Ledger> {
    return this.account
  }

  /** Runs of dropped values, for a summary: told to the sink where a receipt can be made. */
  get receipts(): Readonly<ReceiptCounts> {
    return this.waiting.receipts
  }

  /** Most values that have waited at once. */
  get highWater(): number {
    return this.waiting.highWater
  }

  /** What was dropped before it came here, as by a disk that is full: it is told before the next value. */
  skipped(account: Receipts<readonly T[] | T>): void {
    if (this.current !== 'running') return
    this.waiting.skipped(account)
    this.wakeUp()
  }

  /** Takes a value, or each value of a batch. Never waits and never throws: what cannot be kept is in the ledger. */
  push(value: T | Batch<T>): void {
    if (!isBatch(value)) {
      this.take(value, this.waiting.boundFor(1))
    } else {
      const bound = this.waiting.boundFor(value.length)
      try {
        for (const one of value) this.take(one, bound)
      } catch (cause) {
        this.fail(
          new Fault(
            'STAGE_FAILED',
            `A batch on its way to the sink ${this.sink.name} could not be read: ${messageOf(cause)}. Look at the stage before it.`,
            { sink: this.sink.name },
            { cause },
          ),
        )
      }
    }
    if (!this.waiting.isEmpty) this.wakeUp()
  }

  /**
   * Writes what waits, closes the sink, and resolves: always, and at the latest after `withinMs`. What comes afterwards is
   * dropped as `closed`. May be called again; then the first call's deadline holds.
   */
  finish(
    how: 'completed' | 'aborted' = 'completed',
    withinMs: number = this.options.closeWithinMs,
  ): Promise<DrainResult> {
    return (this.finishing ??= this.finishWithin(how, duration(this.sink.name, 'withinMs', withinMs)))
  }

  /**
   * Resolves when everything that was pushed before is written, or dropped with a reason. It does not wait for fuller batches,
   * the sink stays open, and what is pushed meanwhile may be written too. After `closeWithinMs` it resolves all the same,
   * and a fault says so.
   */
  flush(): Promise<void> {
    if (this.isOver) return Promise.resolve()
    return new Promise((resolve) => {
      const flush: Flush = {
        goneMin: this.waiting.gone + this.waiting.size,
        timer: this.clock.after(this.options.closeWithinMs, () => {
          this.flushes.delete(flush)
          this.report(this.lateFlush())
          resolve()
        }),
        resolve,
      }
      this.flushes.add(flush)
      this.settleFlushes()
      this.wakeUp()
    })
  }

  /**
   * Stops at once: what waits is dropped as `stopped`, a batch that the sink has is waited for but not offered again, and
   * the sink is closed, in one attempt. Resolves at the latest after `withinMs`, also when it was finishing already.
   */
  kill(withinMs: number = this.options.closeWithinMs): Promise<DrainResult> {
    if (!this.isOver) {
      this.killed = true
      this.waiting.clear('stopped')
      this.cutPauseShort()
      this.hurry?.(withinMs)
    }
    return this.finish('aborted', withinMs)
  }

  /** Nothing that is here can be written any more, or everything is. */
  private get isOver(): boolean {
    return this.abandoned || this.loopEnded
  }

  private settleFlushes(): void {
    for (const flush of this.flushes) {
      const isDone = this.isOver || (this.writing.length === 0 && this.waiting.gone >= flush.goneMin)
      if (!isDone) continue
      this.flushes.delete(flush)
      flush.timer.cancel()
      flush.resolve()
    }
  }

  private lateFlush(): Fault {
    const { closeWithinMs } = this.options
    return new Fault(
      'DEADLINE_EXCEEDED',
      `The sink ${this.sink.name} was not flushed within ${closeWithinMs / 1_000} s: ${this.account.inFlight} ${this.account.inFlight === 1 ? 'value is' : 'values are'} still to be written. Check its destination, or allow more time.`,
      { sink: this.sink.name, closeWithinMs, left: this.account.inFlight },
    )
  }

  private take(value: T, bound: number): void {
    if (this.current !== 'running') {
      receive(this.account, 1)
      drop(this.account, 'closed', 1)
      return
    }
    if (!this.waiting.add(value, bound)) this.fail(this.waiting.full(`The edge to the sink ${this.sink.name}`))
  }

  private fail(fault: Fault): void {
    if (this.failure !== undefined) return
    this.failure = fault
    if (this.current === 'running') this.current = 'failed'
    this.wakeUp()
    this.report(fault)
  }

  private report(fault: Fault): void {
    try {
      this.options.onFault?.(fault)
    } catch {
      // Whoever listens to faults must not stop the drain.
    }
  }

  private wakeUp(): void {
    const wake = this.wake
    this.wake = undefined
    wake?.()
  }

  private async run(): Promise<void> {
    // Not within the constructor: the caller first gets its drain, then its first fault.
    await Promise.resolve()
    // One attempt: if it fails, the first batch opens the sink within its own budget, or closing does.
    await this.attempt(() => this.openSink(), 1)
    await this.writeAll()
    this.loopEnded = true
    this.settleFlushes()
  }

  /** Opens the sink, then writes batch after batch until nothing is left and nothing more will come. */
  private async writeAll(): Promise<void> {
    while (!this.abandoned) {
      if (this.hopeless) {
        this.waiting.clear('rejected')
        return
      }
      if (this.waiting.isEmpty) {
        if (this.current !== 'running') return
        await new Promise<void>((resolve) => (this.wake = resolve))
        continue
      }
      if (this.options.flushMs > 0 && this.isBatchToBeFilled) await this.gather()
      // In a batch of their own: a sink that cannot write them must not refuse values for it.
      this.writing = this.waiting.takeReceipts(this.options.batchMax)
      this.writesReceipts = this.writing.length > 0
      if (!this.writesReceipts) this.writing = this.waiting.take(this.options.batchMax)
      const { run, to } = this.key
      this.key = { run, from: to, to: to + this.valuesInWriting }
      await this.deliver()
      this.settleFlushes()
    }
  }

  private get isBatchToBeFilled(): boolean {
    return this.waiting.size > 0 && this.waiting.size < this.batchGoal
  }

  /** When as much waits as may, a fuller batch will not come. */
  private get batchGoal(): number {
    return Math.min(this.options.batchMax, this.options.capacity)
  }

  /** Waits until a batch is full, `flushMs` have passed, or the end has come. */
  private async gather(): Promise<void> {
    const fired = { due: false }
    const timer = this.clock.after(this.options.flushMs, () => {
      fired.due = true
      this.wakeUp()
    })
    while (!fired.due && this.flushes.size === 0 && this.current === 'running' && this.waiting.size < this.batchGoal) {
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
    timer.cancel()
  }

  /** A source that cannot be told to pause is a fault, not an error in the middle of the queue. */
  private guarded(pressure: Pressure | undefined): Pressure | undefined {
    if (pressure === undefined) return undefined
    const tell = (what: 'pause' | 'resume'): void => {
      try {
        pressure[what]()
      } catch (cause) {
        this.fail(
          new Fault(
            'STAGE_FAILED',
            `The source of the sink ${this.sink.name} could not be told to ${what}: ${messageOf(cause)}.`,
            { sink: this.sink.name },
            { cause },
          ),
        )
      }
    }
    return { pause: () => tell('pause'), resume: () => tell('resume') }
  }

  /** Has the sink write the current batch, or gives it up. */
  private async deliver(): Promise<void> {
    while (this.writing.length > 0) {
      const fault = await this.attempt(async () => {
        await this.openSink()
        if (this.isLeft()) await this.watched(this.sink.write(this.writing, this.key))
      })
      if (this.isAbandoned()) return
      if (fault === undefined) {
        pass(this.account, this.valuesInWriting)
        this.options.onWritten?.(this.writing)
        this.writing = []
        return
      }
      const index = unwritable(fault, this.writing.length)
      if (index !== undefined) {
        this.bury([this.writing[index]!], 'unencodable', fault)
        this.leaveOut(index)
        this.report(fault)
        continue
      }
      const { length } = this.writing
      const lost = this.valuesInWriting
      if (!this.killed) this.bury(this.writing, 'rejected', fault)
      drop(this.account, this.killed ? 'stopped' : 'rejected', lost)
      this.sink.counters.failed++
      if (!this.killed && !this.writesReceipts) this.waiting.lose(this.writing, 'rejected')
      this.writing = []
      if (this.killed) {
        this.report(fault)
        return
      }
      this.report(
        new Fault(
          fault.code,
          `${fault.message} A batch of ${length} ${this.writesReceipts ? 'receipt' : 'value'}${length === 1 ? ' was' : 's were'} given up after ${this.tried} ${this.tried === 1 ? 'attempt' : 'attempts'}.`,
          { ...fault.details, values: lost, attempts: this.tried },
          { cause: fault },
        ),
      )
      await this.closeQuietly()
    }
  }

  private get valuesInWriting(): number {
    return this.writesReceipts ? 0 : this.writing.length
  }

  /** One value of the batch has no form in which it could be written. */
  private leaveOut(index: number): void {
    if (!this.writesReceipts) {
      drop(this.account, 'unencodable', 1)
      this.waiting.lose([this.writing[index]!], 'unencodable')
    }
    this.writing = this.writing.filter((_, at) => at !== index)
  }

  /**
   * What the destination holds already is not offered again: values of an earlier attempt at this run are left out, a batch
   * whose acknowledgement was lost is taken for written.
   *
   * @returns whether anything is left to be written
   */
  private isLeft(): boolean {
    const position = this.writesReceipts ? 0 : (this.sink.position?.() ?? 0)
    const { run, from, to } = this.key
    if (position <= from) return true
    if (this.tried > 1 && position >= to) return false
    // With values left out as unwritable the batch is shorter than its key; then it was offered, and is there whole or not at all.
    const written = position >= to ? this.writing.length : this.writing.length === to - from ? position - from : 0
    drop(this.account, 'alreadyWritten', written)
    this.writing = this.writing.slice(written)
    this.key = { run, from: from + written, to }
    return this.writing.length > 0
  }

  private intoLetters(sink: Sink<DeadLetter<T>>): Drain<DeadLetter<T>> {
    return new Drain(sink, {
      capacity: Math.max(LETTERS_MIN, this.options.batchMax * 2),
      batchMax: this.options.batchMax,
      onFull: 'dropNewest',
      clock: this.clock,
      closeWithinMs: this.options.closeWithinMs,
      writeWithinMs: this.options.writeWithinMs,
      outDir: this.options.outDir,
      streamClock: this.context.clock,
      run: this.options.run,
      env: this.options.env,
      retry: this.options.retry ?? {},
      onWritten: (letters) => {
        this.sink.counters.deadLettered += letters.length
      },
      onFault: (fault) => this.report(fault),
    })
  }

  /** Values that will not be written: they and the reason go where dead letters go. */
  private bury(values: readonly T[], reason: DeadLetter<T>['reason'], fault: Fault): void {
    if (this.letters === undefined || this.writesReceipts) return
    this.letters.push(
      values.map((value) => deadLetter(this.sink.name, reason, fault, this.tried, value, this.context.clock)),
    )
  }

  private async openSink(): Promise<void> {
    if (this.opened) return
    await this.watched(this.sink.open(this.everOpened ? { ...this.context, resume: true } : this.context))
    this.opened = true
    this.everOpened = true
  }

  /** A sink that gave up is opened anew for the next batch; how it takes its leave no longer matters. */
  private async closeQuietly(): Promise<void> {
    this.opened = false
    try {
      await this.watched(this.sink.close())
    } catch {
      // The batch's own fault has been told.
    }
  }

  /**
   * Tries until it succeeds or the budget is spent, with a pause of random length between two attempts, up to a bound that
   * doubles, and no shorter than the destination asks. Resolves with the last fault, or undefined.
   */
  private async attempt(action: () => Promise<void>, atMost = this.attempts): Promise<Fault | undefined> {
    for (let attempt = 1; ; attempt++) {
      let fault: Fault
      this.tried = attempt
      try {
        await action()
        return undefined
      } catch (cause) {
        fault = asFault(this.sink.name, cause)
        if (fault.repair === 'stop') {
          this.hopeless = true
          this.fail(fault)
        }
        const isFinal = fault.repair === 'skip' || fault.details['final'] === true
        const isLast = attempt >= atMost || this.hopeless || this.killed || isFinal
        if (this.abandoned || isLast) return fault
      }
      this.sink.counters.retries++
      const drawnMs = this.random() * Math.min(this.capMs, this.firstMs * 2 ** (attempt - 1))
      const askedMs = Math.min(ASKED_MS_MAX, askedWaitMs(fault, this.clock.nowUs()) ?? 0)
      await this.pause(Math.max(drawnMs, askedMs))
      if (this.isAbandoned()) return undefined
      // A pause that was cut short: what was to be tried again is given up.
      if (this.killed) return fault
    }
  }

  /** A call, because while something is awaited it changes unseen by the type checker. */
  private isAbandoned(): boolean {
    return this.abandoned
  }

  private pauseTimer: { readonly timer: Timer; readonly over: () => void } | undefined

  private cutPauseShort(): void {
    this.pauseTimer?.timer.cancel()
    this.pauseTimer?.over()
  }

  private async pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const over = (): void => {
        this.pauseTimer = undefined
        resolve()
      }
      this.pauseTimer = { timer: this.clock.after(delayMs, over), over }
    })
  }

  /** Reports a call that hangs. It is waited for all the same: nothing may be written beside it. */
  private async watched(call: Promise<void>): Promise<void> {
    const { writeWithinMs } = this.options
    const timer = this.clock.after(writeWithinMs, () => {
      this.report(
        new Fault(
          'DEADLINE_EXCEEDED',
          `The sink ${this.sink.name} has not answered for ${writeWithinMs / 1_000} s. It is waited for; meanwhile values wait or are dropped by the edge's policy.`,
          { sink: this.sink.name, writeWithinMs },
        ),
      )
    })
    try {
      await call
    } finally {
      timer.cancel()
    }
  }

  private async finishWithin(how: 'completed' | 'aborted', withinMs: number): Promise<DrainResult> {
    if (this.current === 'running') this.current = 'finishing'
    this.wakeUp()
    let deadlineUs = 0
    let timer: Timer | undefined
    const deadline = new Promise<'late'>((resolve) => {
      const wait = (ms: number): void => {
        timer?.cancel()
        // The letters of what is given up at the end are written after it.
        timer = this.clock.after(this.letters === undefined ? ms : ms * OWN_SHARE, () => resolve('late'))
        deadlineUs = this.clock.nowUs() + ms * 1_000
      }
      wait(withinMs)
      this.hurry = wait
    })
    const closing = this.loop.then(() => this.closeSink())
    const outcome = await Promise.race([closing, deadline])
    timer?.cancel()
    this.hurry = undefined
    if (outcome === 'late') this.abandon(withinMs)
    await this.finishLetters(Math.max(0, (deadlineUs - this.clock.nowUs()) / 1_000))
    this.current = this.failure === undefined ? 'closed' : 'failed'
    const { counters } = this.sink
    return {
      ended: this.failure !== undefined ? 'failed' : this.killed ? 'aborted' : how,
      fault: this.failure,
      ledger: copyOf(this.account),
      written: counters.written,
      bytes: counters.bytes,
      failed: counters.failed,
      retries: counters.retries,
      deadLettered: counters.deadLettered,
      digest: this.sink.digest?.(),
    }
  }

  /** A letter that is lost is said to be lost. */
  private async finishLetters(withinMs: number): Promise<void> {
    if (this.letters === undefined) return
    const { ledger } = await (this.killed ? this.letters.kill(withinMs) : this.letters.finish('completed', withinMs))
    this.sink.counters.deadLettered = ledger.out
    const lost = ledger.in - ledger.out
    if (lost === 0) return
    this.report(
      new Fault(
        'SINK_REJECTED',
        `${lost} of ${ledger.in} values that the sink ${this.sink.name} gave up could not be written down as dead letters either. Check where these go.`,
        { sink: this.sink.name, lost, dropped: { ...ledger.dropped } },
      ),
    )
  }

  /** Closing is retried like writing: a report that could not be written at the end is lost otherwise. */
  private async closeSink(): Promise<void> {
    if (this.hopeless) return
    const fault = await this.attempt(async () => {
      if (!this.everOpened) await this.openSink()
      await this.watched(this.sink.close())
    })
    if (fault === undefined || this.abandoned) return
    this.sink.counters.failed++
    this.report(fault)
  }

  /** The deadline has passed: what is left is dropped. The loop ends when the sink lets go of it, and closes the sink. */
  private abandon(withinMs: number): void {
    this.abandoned = true
    const left = this.waiting.size + this.valuesInWriting
    this.waiting.clear('deadline')
    drop(this.account, 'deadline', this.valuesInWriting)
    this.writing = []
    this.cutPauseShort()
    this.wakeUp()
    this.settleFlushes()
    this.sink.counters.failed++
    this.report(
      new Fault(
        'DEADLINE_EXCEEDED',
        `The sink ${this.sink.name} was not closed within ${withinMs / 1_000} s: ${left} ${left === 1 ? 'value was' : 'values were'} left unwritten. Check its destination, or allow more time.`,
        { sink: this.sink.name, closeWithinMs: withinMs, left },
      ),
    )
  }
}

/** Dead letters that may wait for their sink, at least. */
const LETTERS_MIN = 1_024
/** Of the time to close, what the sink itself has when letters are to be closed after it. */
const OWN_SHARE = 0.9

/** Nobody stays away longer because a destination asks for it. */
const ASKED_MS_MAX = 3_600_000

/** A call of `flush` that waits. */
interface Flush {
  /** So many places must have left the queue. */
  readonly goneMin: number
  readonly timer: Timer
  readonly resolve: () => void
}

/** True for what is emitted as one but is many: lists and batches, but not texts and bytes. */
export function isBatch<T>(value: T | Batch<T>): value is Batch<T> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !ArrayBuffer.isView(value) &&
    Symbol.iterator in value &&
    'length' in value &&
    typeof value.length === 'number'
  )
}

function unwritable(fault: Fault, length: number): number | undefined {
  if (fault.code !== 'VALUE_INVALID') return undefined
  const index = fault.details['index']
  return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < length ? index : undefined
}

function asFault(sink: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause
  return new Fault('SINK_REJECTED', `The sink ${sink} refused a batch: ${messageOf(cause)}.`, { sink }, { cause })
}

function whole(sink: string, option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value
  throw new Fault(
    'OPTION_INVALID',
    `The edge to the sink ${sink} has ${option} = ${value}: it should be a whole number above 0.`,
    {
      option,
    },
  )
}

function duration(sink: string, option: string, value: number): number {
  if (value >= 0 && value < Infinity) return value
  throw new Fault(
    'OPTION_INVALID',
    `The edge to the sink ${sink} has ${option} = ${value}: it should be 0 or more milliseconds.`,
    {
      option,
    },
  )
}
