import { backoffDelayMs, RetryBudget } from '../clock/backoff'
import type { RestartPolicy } from '../actors/supervision'
import type { Clock, Timer } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { currentSpawn } from './currentSpawn'
import type { SpawnOptions, WorkerHandle } from './spawn'

/** What happens to a supervised worker; each is told in a turn of its own, never within a call to it. */
export interface WorkerEvents<Api extends object> {
  /** It is ready, for the first time or again. */
  started(worker: WorkerHandle<Api>): void
  /** It died, or did not start. It is started again unless `gaveUp` follows. */
  died(fault: Fault): void
  /** The budget is spent; nothing more will happen. */
  gaveUp(fault: Fault): void
}

/**
 * One worker thread that is started again when it dies, within a budget. Knows nothing of what the worker is used for;
 * the work it had when it died is its owner's to offer again.
 */
export class SupervisedWorker<Api extends object> {
  private readonly budget: RetryBudget
  private readonly stopped = new AbortController()
  private readonly spawn = currentSpawn()
  private worker: WorkerHandle<Api> | undefined
  private verdict: Fault | undefined
  private timer: Timer | undefined

  constructor(
    private readonly entry: string | URL,
    private readonly options: Omit<SpawnOptions, 'signal' | 'clock'> & { readonly restart: RestartPolicy },
    private readonly clock: Clock,
    private readonly random: () => number,
    private readonly events: WorkerEvents<Api>,
  ) {
    this.budget = new RetryBudget(options.restart)
    void this.start()
  }

  /** To be told when the worker has done something: unbroken failures are counted from here. */
  succeeded(): void {
    this.budget.succeeded()
  }

  /** Ends a worker that cannot be trusted any more; `verdict` is why, and what `died` is told. */
  condemn(verdict: Fault): void {
    this.verdict = verdict
    void this.worker?.terminate()
  }

  /** Ends it for good. Nothing is told afterwards. */
  async stop(): Promise<void> {
    this.timer?.cancel()
    this.stopped.abort()
    await this.worker?.terminate()
  }

  private async start(): Promise<void> {
    const { signal } = this.stopped
    let fault: Fault
    try {
      this.worker = await this.spawn<Api>(this.entry, { ...this.options, clock: this.clock, signal })
      if (signal.aborted) {
        await this.worker.terminate()
        return
      }
      this.events.started(this.worker)
      fault = await this.worker.died
    } catch (error) {
      fault = error instanceof Fault ? error : new Fault('WORKER_DIED', messageOf(error), {}, { cause: error })
    }
    if (signal.aborted) return
    this.worker = undefined
    this.buried(this.verdict ?? fault)
  }

  private buried(fault: Fault): void {
    this.verdict = undefined
    this.events.died(fault)
    if (this.stopped.signal.aborted) return
    if (fault.code === 'OPTION_INVALID') {
      this.events.gaveUp(fault) // there is no such entry: starting it again cannot help
      return
    }
    const { atMost, withinMs, backoffMs } = this.options.restart
    const nowUs = this.clock.nowUs()
    const attempt = this.budget.failed(nowUs)
    const delayMs = backoffDelayMs(attempt, { minMs: backoffMs[0], maxMs: backoffMs[1], random: this.random })
    if (this.budget.take(nowUs, delayMs)) {
      this.timer = this.clock.after(delayMs, () => void this.start())
      return
    }
    const message = `Gave up restarting after ${attempt - 1} restarts (the budget is ${atMost} within ${withinMs} ms): ${fault.message}`
    this.events.gaveUp(new Fault('RETRIES_EXHAUSTED', message, { atMost, withinMs }, { cause: fault }))
  }
}
