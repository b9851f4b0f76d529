/**
 * One stage of a running pipeline: an instance of its operator, and the supervisor that puts a new one in its place.
 *
 * Whatever the stage throws ends here: in its operator, in a timer it set, in a subscriber of its own. What happens then is
 * the policy's matter (`src/actors/supervision.ts`). The stream behind the stage lives on through restarts, so what reads
 * it notices nothing but what is missing; values that come while it waits to be restarted are refused, and counted.
 */
import type { Observable, OperatorFunction, Subscription } from 'rxjs'
import type { DropReason } from '../actors/ledger'
import { Supervisor, type OnFailure } from '../actors/supervision'
import { seededRandom } from '../clock/backoff'
import type { Clock, Timer } from '../clock/clock'
import type { FrameTracer } from '../metrics/exporters/frameTracer'
import { MARK, stageMarks } from '../metrics/stageMarks'
import { StageTime, type StageTimes } from '../metrics/stageTimes'
import { asSentence, Fault, messageOf } from '../model/fault'
import { identityOf, wordsOf } from './identity'
import { Outlet } from './outlet'
import { StageInput } from './stageInput'

/** `ended` by itself or with its source; `stopped` by its supervisor. */
export type StageState = 'running' | 'restarting' | 'ended' | 'stopped'

/** How a stage, or a source, has fared. */
export interface StageReport {
  readonly name: string
  /** With the pipeline's name and its groups: `market-monitor/bars/bars-1s`. */
  readonly path: string
  readonly state: StageState
  readonly failures: number
  readonly restarts: number
  readonly lastFault: string | undefined
}

/** What a stage has thrown, and what is done about it. */
export interface StageFailure {
  readonly path: string
  readonly fault: Fault
  /** The value it was at work on; undefined when it failed on its own time. */
  readonly poison: { readonly value: unknown } | undefined
  readonly directive: 'resume' | 'restart' | 'stop' | 'escalate'
  /** When it was, in the stream's time. */
  readonly streamTimeUs: number
}

export interface StageRunnerOptions {
  readonly name: string
  /** With the pipeline's name: `market-monitor/bars-1s`. */
  readonly path: string
  readonly operator: OperatorFunction<unknown, unknown>
  readonly onFailure: OnFailure | undefined
  /** The stream's. Restarts follow it, so that a replay restarts where the run did. */
  readonly clock: Clock
  /** Calls `wire` with everything in force that an operator may ask for; what its timers throw goes to `failed`. */
  readonly surround: (runner: StageRunner, failed: (thrown: unknown) => void, wire: () => void) => void
  readonly failed: (failure: StageFailure) => void
  /** A failure that this stage's supervisor does not decide about. */
  readonly escalate: (fault: Fault) => void
  /** A new instance is at work in the place of one that has failed. */
  readonly restarted: () => void
  /** Undefined: it is neither marked nor timed while it works. */
  readonly times: StageTimes | undefined
  /** Follows some frames; undefined where nobody does. */
  readonly tracer?: FrameTracer | undefined
}

/** One life of the operator. */
interface Instance {
  readonly input: StageInput
  subscription: Subscription | undefined
  over: boolean
}

const { marks } = stageMarks

export class StageRunner {
  readonly output = new Outlet()
  state: StageState = 'running'
  restarts = 0
  failures = 0
  lastFault: Fault | undefined
  private instance: Instance | undefined
  /** What the stage is at work on, where it is. */
  private isHandling = false
  private handled: unknown
  private timer: Timer | undefined
  private readonly supervisor: Supervisor
  readonly time = new StageTime()
  private readonly mark: number

  constructor(private readonly options: StageRunnerOptions) {
    this.mark = stageMarks.numberOf(options.path)
    // The jitter is the stage's own and the same in every run, for a replay to restart it at the same places.
    this.supervisor = new Supervisor(options.onFailure, options.clock, seededRandom(options.path))
  }

  get report(): StageReport {
    const { name, path } = this.options
    const { state, failures, restarts, lastFault } = this
    return { name, path, state, failures, restarts, lastFault: lastFault?.message }
  }

  /** Begins. Not part of the constructor: what it fails with needs the runner. */
  start(): void {
    const instance: Instance = {
      input: new StageInput((thrown) => this.instanceFailed(instance, thrown)),
      subscription: undefined,
      over: false,
    }
    this.instance = instance
    this.state = 'running'
    const failed = (thrown: unknown): void => this.instanceFailed(instance, thrown)
    this.atWork(() => this.wire(instance, failed))
  }

  /** Calls `work`, a timer of the stage say, in the stage's name. */
  atWork(work: () => void): void {
    const { times } = this.options
    if (times === undefined) work()
    else stageMarks.during(this.mark, times.isOn ? () => times.during(this.time, work) : work)
  }

  private wire(instance: Instance, failed: (thrown: unknown) => void): void {
    try {
      this.options.surround(this, failed, () => {
        const staged: Observable<unknown> = this.options.operator(instance.input)
        const subscription = staged.subscribe({
          next: (value) => {
            if (!instance.over) this.output.next(value)
          },
          error: failed,
          complete: () => this.instanceEnded(instance),
        })
        instance.subscription = subscription
        if (instance.over) subscription.unsubscribe()
      })
    } catch (thrown) {
      failed(thrown)
    }
  }

  /** Gives the stage a value; returns why it did not take it, if so. */
  receive(value: unknown): DropReason | undefined {
    const { instance } = this
    if (instance === undefined) return this.state === 'restarting' ? 'restarting' : 'closed'
    const { isHandling, handled, failures: failuresBefore } = this
    this.isHandling = true
    this.handled = value
    const { times } = this.options
    if (times === undefined) this.give(instance, value)
    else {
      const outer = marks[MARK.stage]!
      marks[MARK.stage] = this.mark
      if (outer === 0) marks[MARK.turns]! += 1
      if (times.isOn) this.giveTimed(times, instance, value)
      else this.give(instance, value)
      marks[MARK.stage] = outer
    }
    this.isHandling = isHandling
    this.handled = handled
    if (this.failures !== failuresBefore) return 'failed'
    this.supervisor.succeeded()
    return undefined
  }

  private give(instance: Instance, value: unknown): void {
    const { tracer } = this.options
    if (tracer === undefined) instance.input.next(value)
    else this.giveTraced(tracer, instance, value)
  }

  /** Functions of their own: what a closure takes hold of would cost every value an allocation, also those without it. */
  private giveTimed(times: StageTimes, instance: Instance, value: unknown): void {
    times.during(this.time, () => this.give(instance, value))
  }

  private giveTraced(tracer: FrameTracer, { input }: Instance, value: unknown): void {
    tracer.stage(this.options.path, value, () => input.next(value))
  }

  /** Nothing more will come: the stage gives what it still has, and ends. */
  complete(): void {
    const { instance } = this
    if (instance !== undefined) this.atWork(() => instance.input.complete())
    else this.end('ended')
  }

  /** Ends the stage as it is; what is behind it is flushed. */
  stop(): void {
    this.end('stopped')
  }

  /** Puts a new instance in the place of this one, by order of the supervisor above. */
  restart(): void {
    if (this.state === 'ended' || this.state === 'stopped') return
    this.again(0)
  }

  /** An actor tells of a value that it threw on. True: it goes on with its state. */
  resumes(thrown: unknown, value: unknown): boolean {
    const fault = this.faultOf(thrown, { value })
    const verdict = this.supervisor.judge(fault)
    if (verdict.directive !== 'resume') {
      this.act(fault, { value }, verdict)
      return false
    }
    this.failures++
    this.lastFault = fault
    const { path, clock, failed } = this.options
    failed({ path, fault, poison: { value }, directive: 'resume', streamTimeUs: clock.nowUs() })
    return true
  }

  private instanceFailed(instance: Instance, thrown: unknown): void {
    if (instance.over) return
    const poison = this.isHandling ? { value: this.handled } : undefined
    const fault = this.faultOf(thrown, poison)
    this.act(fault, poison, this.supervisor.judge(fault))
  }

  private act(fault: Fault, poison: StageFailure['poison'], verdict: ReturnType<Supervisor['judge']>): void {
    const { path, failed, escalate } = this.options
    this.failures++
    this.discard()
    const spent = 'spent' in verdict ? verdict.spent : undefined
    const told =
      spent === undefined
        ? fault
        : new Fault(
            'RETRIES_EXHAUSTED',
            `${asSentence(fault.message)} It has been restarted ${this.restarts === 1 ? 'once' : `${this.restarts} times`} and is given up (the budget is ${spent.atMost} within ${spent.withinMs} ms).`,
            fault.details,
            { cause: fault },
          )
    this.lastFault = told
    // A resume that nothing can resume is a restart on the spot.
    const directive = verdict.directive === 'resume' ? 'restart' : verdict.directive
    failed({ path, fault: told, poison, directive, streamTimeUs: this.options.clock.nowUs() })
    if (directive === 'restart') this.again('delayMs' in verdict ? verdict.delayMs : 0)
    else if (directive === 'stop') this.end('stopped')
    else {
      this.state = 'restarting' // whoever decides now does so within this call
      escalate(told)
    }
  }

  private again(delayMs: number): void {
    this.discard()
    this.restarts++
    const start = (): void => {
      this.timer = undefined
      this.start()
      if (this.state === 'running') this.options.restarted()
    }
    if (delayMs === 0) {
      start()
      return
    }
    this.state = 'restarting'
    this.timer = this.options.clock.after(delayMs, start)
  }

  private instanceEnded(instance: Instance): void {
    if (!instance.over) this.end('ended')
  }

  private end(state: 'ended' | 'stopped'): void {
    if (this.state === 'ended' || this.state === 'stopped') return
    this.discard()
    this.state = state
    this.output.complete()
  }

  private discard(): void {
    this.timer?.cancel()
    this.timer = undefined
    const { instance } = this
    this.instance = undefined
    if (instance === undefined) return
    instance.over = true
    try {
      instance.subscription?.unsubscribe()
    } catch {
      // How it takes its leave no longer matters.
    }
  }

  /** What was thrown, with the stage's path and the identity of its input. */
  private faultOf(thrown: unknown, poison: StageFailure['poison']): Fault {
    const { path } = this.options
    const input = poison === undefined ? undefined : identityOf(poison.value)
    const on = input === undefined ? '' : ` on ${wordsOf(input)}`
    const details = { stage: path, ...(input === undefined ? {} : { input }) }
    if (thrown instanceof Fault) {
      const message = `The stage ${path} ended${on}: ${thrown.message}`
      return new Fault(thrown.code, message, { ...thrown.details, ...details }, { cause: thrown })
    }
    return new Fault('STAGE_FAILED', `The stage ${path} failed${on}: ${messageOf(thrown)}`, details, { cause: thrown })
  }
}
