/**
 * One source of a running pipeline that is not of the market: any observable, subscribed to for as long as the run goes on.
 *
 * A source that fails has ended, unless its policy says that it is begun again: what it emits then may repeat what it had
 * emitted before, which only its author can know to be right.
 */
import type { Observable, Subscription } from 'rxjs'
import { Supervisor, type OnFailure } from '../actors/supervision'
import type { Clock, Timer } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import type { StageReport } from './stageRunner'

export interface SourceRunnerOptions {
  readonly name: string
  readonly path: string
  readonly source: Observable<unknown>
  readonly onFailure: OnFailure | undefined
  /** A source waits for the outside world: its restarts follow the machine's time. */
  readonly clock: Clock
  readonly random: () => number
  /** Calls `wire` with everything in force that an operator may ask for. */
  readonly surround: (wire: () => void) => void
  readonly next: (value: unknown) => void
  readonly failed: (fault: Fault) => void
  readonly ended: () => void
  readonly escalate: (fault: Fault) => void
}

export class SourceRunner {
  state: 'running' | 'restarting' | 'ended' | 'stopped' = 'running'
  restarts = 0
  failures = 0
  lastFault: Fault | undefined
  private subscription: Subscription | undefined
  private timer: Timer | undefined
  private readonly supervisor: Supervisor

  constructor(private readonly options: SourceRunnerOptions) {
    this.supervisor = new Supervisor(options.onFailure ?? 'stop', options.clock, options.random)
  }

  get report(): StageReport {
    const { name, path } = this.options
    const { state, failures, restarts, lastFault } = this
    return { name, path, state, failures, restarts, lastFault: lastFault?.message }
  }

  start(): void {
    const { source, next, surround } = this.options
    this.state = 'running'
    try {
      surround(() => {
        this.subscription = source.subscribe({
          next: (value) => {
            this.supervisor.succeeded()
            next(value)
          },
          error: (thrown: unknown) => this.failed(thrown),
          complete: () => this.end('ended'),
        })
      })
    } catch (thrown) {
      this.failed(thrown)
    }
  }

  stop(): void {
    this.timer?.cancel()
    this.subscription?.unsubscribe()
    if (this.state === 'running' || this.state === 'restarting') this.state = 'stopped'
  }

  private failed(thrown: unknown): void {
    const { path, clock, failed, escalate } = this.options
    const fault = new Fault(
      thrown instanceof Fault ? thrown.code : 'STAGE_FAILED',
      `The source ${path} failed: ${messageOf(thrown)}`,
      { ...(thrown instanceof Fault ? thrown.details : {}), stage: path },
      { cause: thrown },
    )
    this.failures++
    this.lastFault = fault
    const verdict = this.supervisor.judge(fault)
    failed(fault)
    if (verdict.directive === 'restart') {
      this.restarts++
      this.state = 'restarting'
      this.timer = clock.after(verdict.delayMs, () => this.start())
      return
    }
    if (verdict.directive === 'escalate') escalate(fault)
    this.end(verdict.directive === 'escalate' ? 'stopped' : 'ended')
  }

  private end(state: 'ended' | 'stopped'): void {
    this.state = state
    this.options.ended()
  }
}
