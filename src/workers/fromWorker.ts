import type { ResourceLimits } from 'node:worker_threads'
import { Observable, type Subscriber } from 'rxjs'
import { drop, emptyLedger, pass, receive, type DropReason, type Ledger } from '../actors/ledger'
import type { RestartPolicy } from '../actors/supervision'
import { currentWiring } from '../actors/wiring'
import { backoffProblem } from '../clock/backoff'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { currentRandom, currentWaits } from '../clock/currentClock'
import { Fault } from '../model/fault'
import { DROPPED, type SourceApi, type WorkerOnFull } from './exposeSource'
import { RingReader, ringMemory } from './ring'
import { readValue } from './ringValues'
import type { WorkerHandle } from './spawn'
import { SupervisedWorker } from './supervisedWorker'

export interface FromWorkerOptions {
  /** Values that may wait in the thread while there is no room in the ring. */
  readonly capacity: number
  /** What the thread does when more wait: `block` pauses the source there; `conflate` keeps the latest of each key. */
  readonly onFull: WorkerOnFull
  /** The most values that cross together. */
  readonly batchMax: number
  /**
   * Milliseconds within which values may be gathered, so that this thread is woken less often: what comes after a quiet time
   * crosses at once, what comes within so many of the last crossing waits until they are over. Default 0.
   */
  readonly gatherMs?: number
  /** What is done about a worker that dies: the source is opened again on another. */
  readonly restart: RestartPolicy
  /** How long the worker may take to load, and to leave its source. */
  readonly deadlineMs: number
  /** What the source is opened with; a structured clone. */
  readonly data?: unknown
  /** Room of the ring to this thread, bytes: a power of two from 1,024. A value may take half of it. Default 1 MiB. */
  readonly ringBytes?: number
  /**
   * Told of each death of the worker, with which values on the way were lost; in a pipeline the run is told without it. With
   * neither, a death ends the output.
   */
  readonly onFault?: (fault: Fault) => void
  /** Filled in as values come and as the thread tells what it dropped. */
  readonly ledger?: Ledger
  readonly resourceLimits?: ResourceLimits
  readonly clock?: Clock
  /** Jitter of restarts. */
  readonly random?: () => number
}

/**
 * Subscribes to a source that lives on a worker thread, and emits its values here, in order.
 *
 * Why        what makes values costs the loop nothing then: another such source is another thread's worth of work
 * Emits      each value, in the batches in which they crossed, one after another; a turn of the loop between two batches
 * Completes  with the source
 * Errors     with the source, as a `Fault`; `RETRIES_EXHAUSTED` when the worker has died too often; VALUE_INVALID for a value
 *            that is no plain row
 * Holds      a ring of `ringBytes`, whose room is the thread's credit; in the thread at most `capacity` values
 *
 * A worker that dies is started again, and its source is opened anew: what it had on the way is lost with it, as with a
 * connection that breaks. The state of a source is rebuilt by whatever it is opened with (a feed asks for snapshots).
 *
 * @param entry  absolute path or `file:` address of a module that calls `exposeSource`
 */
export function fromWorker<T>(entry: string | URL, options: FromWorkerOptions): Observable<T> {
  check(options)
  return new Observable((out) => {
    const inlet = new Inlet<T>(entry, options, out)
    return () => inlet.close()
  })
}

const RING_BYTES = 2 ** 20

/** One subscription: the thread, and the ring that comes from it. */
export class Inlet<T> {
  private held: { readonly until: Promise<void>; readonly release: () => void } | undefined
  private readonly supervisor: SupervisedWorker<SourceApi>
  private readonly ledger: Ledger
  private readonly onFault: ((fault: Fault) => void) | undefined
  private worker: WorkerHandle<SourceApi> | undefined
  private ring: RingReader | undefined

  constructor(
    entry: string | URL,
    private readonly options: FromWorkerOptions,
    private readonly out: Subscriber<T>,
  ) {
    const { clock = currentWaits(), random = currentRandom(), ledger = emptyLedger(), onFault } = options
    this.ledger = ledger
    this.onFault = onFault ?? currentWiring()?.onFault
    const { restart, deadlineMs, resourceLimits } = options
    const spawning = { restart, deadlineMs, ...(resourceLimits === undefined ? {} : { resourceLimits }) }
    this.supervisor = new SupervisedWorker<SourceApi>(entry, spawning, clock, random, {
      started: (worker) => this.started(worker),
      died: (fault) => {
        this.ring?.abort()
        this.ring = undefined
        this.worker = undefined
        if (this.onFault === undefined) out.error(fault)
        else this.onFault(fault)
      },
      gaveUp: (fault) => out.error(fault),
    })
  }

  /** Takes nothing more from the ring until {@link letGo}: when that is full the thread's queue fills, and then its source waits. */
  hold(): void {
    if (this.held !== undefined) return
    let release!: () => void
    const until = new Promise<void>((resolve) => (release = resolve))
    this.held = { until, release }
  }

  letGo(): void {
    this.held?.release()
    this.held = undefined
  }

  /** Says something to the source; resolves with its answer. Undefined while there is none to speak to. */
  tell(message: unknown): Promise<unknown> | undefined {
    return this.worker?.call('tell', [message])
  }

  /** Ends the thread where it stands. */
  end(): void {
    this.letGo()
    this.ring?.abort()
    void this.supervisor.stop()
  }

  /** Leaves the source in order, within the deadline. */
  close(): void {
    this.letGo()
    const { worker } = this
    const stop = (): void => void this.supervisor.stop()
    this.ring?.abort()
    if (worker === undefined) stop()
    else worker.call('leave', [], { deadlineMs: this.options.deadlineMs }).then(stop, stop)
  }

  private started(worker: WorkerHandle<SourceApi>): void {
    const { capacity, onFull, batchMax, gatherMs = 0, data, ringBytes = RING_BYTES } = this.options
    const memory = ringMemory(ringBytes / 8)
    const ring = new RingReader(memory)
    this.worker = worker
    this.ring = ring
    this.supervisor.succeeded()
    const opened = worker.call('open', [{ ring: memory, capacity, onFull, batchMax, gatherMs, data }])
    const ended = opened.then(
      (): undefined => undefined,
      (error: unknown) => {
        // One that could not be opened has not closed its ring.
        if (worker.fault === undefined && ring.state === 'open') ring.abort()
        return { error }
      },
    )
    void this.read(ring).then(async () => {
      const failure = await ended
      if (this.out.closed || worker.fault !== undefined || this.ring !== ring) return // of a death `died` is told
      if (failure === undefined) this.out.complete()
      else this.out.error(failure.error)
    })
  }

  /** Until the ring has ended, one way or the other. */
  private async read(ring: RingReader): Promise<void> {
    let isNext = false
    while (!ring.isOver && !this.out.closed) {
      if (this.held !== undefined) await this.held.until
      else if (ring.next()) {
        if (isNext) await new Promise(setImmediate) // whatever else this thread has to do has a turn
        if (this.ring === ring) this.take(ring)
        isNext = true
      } else {
        isNext = false
        await ring.published()
      }
    }
  }

  private take(ring: RingReader): void {
    const read = readValue(ring, ring.at)
    const { tag } = ring
    ring.release()
    if (tag === DROPPED) {
      const [reason, values] = read as [DropReason, number]
      receive(this.ledger, values)
      drop(this.ledger, reason, values)
      return
    }
    const values = read as readonly T[]
    receive(this.ledger, values.length)
    let passed = 0
    for (const value of values) {
      if (this.out.closed) break
      pass(this.ledger, 1)
      passed++
      this.out.next(value)
    }
    drop(this.ledger, 'stopped', values.length - passed)
  }
}

function check(options: FromWorkerOptions): void {
  const { capacity, batchMax, gatherMs = 0, deadlineMs, restart, ringBytes = RING_BYTES } = options
  const { atMost, withinMs, backoffMs } = restart
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value > 0
  const problem = !isCount(capacity)
    ? `capacity is ${capacity}; give a whole number, 1 or more`
    : !isCount(batchMax)
      ? `batchMax is ${batchMax}; give a whole number, 1 or more`
      : !(gatherMs >= 0 && gatherMs <= LONGEST_WAIT_MS)
        ? `gatherMs is ${gatherMs}; give milliseconds, 0 or more`
        : !(ringBytes >= 1_024 && ringBytes <= 2 ** 30 && Number.isInteger(Math.log2(ringBytes)))
          ? `ringBytes is ${ringBytes}; give a power of two from 1,024 to 2^30`
          : !(deadlineMs > 0 && deadlineMs <= LONGEST_WAIT_MS)
            ? `deadlineMs is ${deadlineMs}; give milliseconds above 0 and at most ${LONGEST_WAIT_MS}`
            : backoffProblem({ atMost, withinMs, minMs: backoffMs[0], maxMs: backoffMs[1] })
  if (problem !== undefined) throw new Fault('OPTION_INVALID', `fromWorker: ${problem}.`, {})
}
