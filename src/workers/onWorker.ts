import path from 'node:path'
import type { ResourceLimits } from 'node:worker_threads'
import { Observable, Subject, takeUntil, type OperatorFunction, type Subscriber } from 'rxjs'
import { BoundedQueue } from '../actors/boundedQueue'
import { drop, emptyLedger, pass, type Ledger } from '../actors/ledger'
import { policyName, spillOf, type EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import type { RestartPolicy } from '../actors/supervision'
import { currentWiring, type CarriesEdge } from '../actors/wiring'
import { backoffProblem } from '../clock/backoff'
import { LONGEST_WAIT_MS, type Clock, type Timer } from '../clock/clock'
import { currentRandom, currentWaits } from '../clock/currentClock'
import { Fault, messageOf } from '../model/fault'
import { handedOver, type WorkerMessage } from './handedOver'
import type { WorkerHandle } from './spawn'
import { SupervisedWorker } from './supervisedWorker'

/** `capacity` is the most values that wait to be sent. */
export interface OnWorkerOptions<T, R> extends EdgeOptions<T> {
  /** The most values that are sent together. */
  readonly batchMax: number
  /** Batches that are away at once, so that the worker need not wait for the next one. Default 2. */
  readonly concurrency?: number
  /** What is done about a worker that dies. */
  readonly restart: RestartPolicy
  /** How long the worker may take to load, and to answer a batch. One that takes longer is ended and counts as dead. */
  readonly deadlineMs: number
  /**
   * Values to what is sent. Called again for a batch that is offered again, so it must not empty the values themselves.
   * Default: the values. Numbers, texts, typed arrays and plain rows of such cross in shared memory, as one copy; whatever
   * else there is among them makes a message of the batch, as does what is handed over (`transfer`).
   */
  readonly encode?: (values: readonly T[]) => WorkerMessage
  /** What the worker answered to results, in order; with the values that were sent. Default: an array of results. */
  readonly decode?: (reply: unknown, values: readonly T[]) => Iterable<R>
  /** Asked to pause and resume the source when `onFull` is `block`. In a pipeline the run's sources without it. */
  readonly pressure?: Pressure
  /**
   * Told of each death of the worker, and of each batch that was given up; in a pipeline the run is told without it. With
   * neither, a batch that is given up ends the output with that fault: nothing is lost silently.
   */
  readonly onFault?: (fault: Fault) => void
  /** Filled in as values pass; see {@link emptyLedger}. */
  readonly ledger?: Ledger
  /**
   * Room of each of the two rings between the threads, bytes: a power of two from 1,024. What takes more than half of it
   * crosses as a message. Default 1 MiB.
   */
  readonly ringBytes?: number
  readonly resourceLimits?: ResourceLimits
  /** What the entry finds as `workerData`. */
  readonly workerData?: unknown
  readonly clock?: Clock
  /** Jitter of restarts. */
  readonly random?: () => number
}

export type { WorkerMessage } from './handedOver'

/**
 * Sends values to a worker thread and emits what it answers, in the order of the source.
 *
 *     source      a-bcd------e---|         the worker takes 4 for each batch
 *     onWorker    ----A----(BCD)---E|      b, c and d came while it was busy: they travel together
 *
 * Emits      the results of each batch when it and all before it have come back; results of a batch in its order
 * Completes  when everything that was sent has come back and gone on
 * Errors     with the source, after everything before it; `EDGE_FULL` as `onFull` says; `RETRIES_EXHAUSTED` when the
 *            worker has died too often; and what `onFault` would have been told, when there is none
 * Holds      at most `capacity` values waiting and `concurrency` × `batchMax` away or held back for their order; one
 *            thread per subscription, ended with it
 *
 * The worker's entry calls `exposeEntry((message) => results)`. A batch whose work throws is given up, and the next one
 * goes its way. A worker that dies is started again; the batches it had are offered once more, each alone, so that the
 * one that kills it cannot take others with it; then they are given up.
 *
 * A hop costs some tens of microseconds whatever it carries: it pays for work that takes longer than that.
 *
 * @param entry  absolute path (`path.join(__dirname, 'entry')`) or `file:` address; TypeScript where ts-node is installed
 */
export function onWorker<T, R>(entry: string | URL, options: OnWorkerOptions<T, R>): OperatorFunction<T, R> {
  check(options)
  const { capacity } = options
  const onFull = policyName(options.onFull)
  const operator: OperatorFunction<T, R> = (source) =>
    new Observable((out) => {
      const wiring = currentWiring()
      const pressure = options.pressure ?? wiring?.pressure
      if (onFull === 'block' && pressure === undefined) {
        out.error(new Fault('OPTION_INVALID', NOTHING_TO_PAUSE, {}))
        return
      }
      const onFault = options.onFault ?? wiring?.onFault
      const account = options.ledger ?? emptyLedger()
      wiring?.showEdge({ kind: 'worker', capacity, onFull, account })
      const edge = new WorkerEdge(
        entry,
        {
          ...options,
          ledger: account,
          ...(pressure === undefined ? {} : { pressure }),
          ...(onFault === undefined ? {} : { onFault }),
        },
        out,
      )
      const closed = new Subject<void>() // known before the first value, so that a synchronous endless source stops too
      out.add(() => {
        edge.close()
        closed.next()
      })
      source.pipe(takeUntil(closed)).subscribe({
        next: (value) => edge.receive(value),
        error: (error) => edge.end({ error }),
        complete: () => edge.end(undefined),
      })
    })
  const carries: CarriesEdge['carries'] = { kind: 'worker', capacity, onFull }
  return Object.assign(operator, { carries })
}

const RING_BYTES = 2 ** 20

const NOTHING_TO_PAUSE =
  'onWorker: onFull is block and there is no pressure; give what pauses the source, or choose what to drop.'

/** What the entry offers: `exposeEntry` with one function calls it `run`. */
interface EntryApi {
  run(message: unknown): unknown
}

/** Values that travel together. */
interface Batch<T, R> {
  readonly values: readonly T[]
  /** `again`: its worker died, it waits to be offered once more. `back` and `lost` are final. */
  state: 'away' | 'again' | 'back' | 'lost'
  offers: number
  results: readonly R[]
}

/** One subscription: the queue, the worker, and the batches between them. */
class WorkerEdge<T, R> {
  private readonly name: string
  private readonly clock: Clock
  private readonly ledger: Ledger
  private readonly queue: BoundedQueue<T>
  private readonly concurrency: number
  private readonly supervisor: SupervisedWorker<EntryApi>
  private worker: WorkerHandle<EntryApi> | undefined

  /** Sent and not yet emitted, in the order of the source: what holds results back for their order. */
  private readonly sent: Batch<T, R>[] = []
  /** Those of `sent` that the worker had when it died, waiting to be offered once more, each alone. */
  private again: Batch<T, R>[] = []
  private away = 0
  /** The batch that is away may have killed a worker: nothing travels with it. */
  private alone = false

  private sourceEnded: { readonly failure: { readonly error: unknown } | undefined } | undefined
  private progressUs = 0
  private watch: Timer | undefined
  private turnPlanned = false
  private sending = false
  private releasing = false

  constructor(
    entry: string | URL,
    private readonly options: OnWorkerOptions<T, R>,
    private readonly out: Subscriber<R>,
  ) {
    const {
      clock = currentWaits(),
      ledger = emptyLedger(),
      concurrency = 2,
      random = currentRandom(),
      ringBytes = RING_BYTES,
    } = options
    const { capacity, onFull, pressure } = options
    this.clock = clock
    this.ledger = ledger
    this.concurrency = concurrency
    this.name = `The edge to onWorker ${path.basename(String(entry))}`
    this.queue = new BoundedQueue({ capacity, onFull, pressure, ledger })
    this.supervisor = new SupervisedWorker<EntryApi>(entry, { ...options, ringBytes }, clock, random, {
      started: (worker) => {
        this.worker = worker
        this.send()
      },
      died: (fault) => this.died(fault),
      gaveUp: (fault) => out.error(fault),
    })
  }

  receive(value: T): void {
    if (!this.queue.add(value)) {
      this.out.error(this.queue.full(this.name))
      return
    }
    if (this.worker === undefined) return
    if (this.queue.size >= this.options.batchMax) {
      this.send()
    } else if (!this.turnPlanned) {
      this.turnPlanned = true // what else comes in this turn of the loop travels along
      queueMicrotask(() => {
        this.turnPlanned = false
        this.send()
      })
    }
  }

  end(failure: { readonly error: unknown } | undefined): void {
    if (this.out.closed) return
    this.sourceEnded = { failure }
    this.finishWhenDone()
  }

  close(): void {
    this.watch?.cancel()
    const held = this.sent.reduce((sum, { state, values }) => sum + (state === 'lost' ? 0 : values.length), 0)
    drop(this.ledger, 'stopped', held)
    this.sent.length = 0
    this.again = []
    this.queue.clear('stopped')
    void this.supervisor.stop()
  }

  private send(): void {
    if (this.sending) return // a batch that cannot be encoded is lost within the call; the loop below goes on to the next
    this.sending = true
    while (this.worker !== undefined && !this.out.closed) {
      if (this.again.length > 0) {
        if (this.away > 0) break
        this.alone = true
        this.offer(this.worker, this.again.shift()!)
      } else {
        if (this.alone && this.away > 0) break
        this.alone = false
        if (this.sent.length >= this.concurrency || this.queue.size === 0) break
        const batch: Batch<T, R> = {
          values: this.queue.take(this.options.batchMax),
          state: 'again',
          offers: 0,
          results: [],
        }
        this.sent.push(batch)
        this.offer(this.worker, batch)
      }
    }
    this.sending = false
  }

  private offer(worker: WorkerHandle<EntryApi>, batch: Batch<T, R>): void {
    const { encode } = this.options
    let sending: WorkerMessage
    try {
      sending = encode === undefined ? { message: batch.values } : encode(batch.values)
    } catch (error) {
      this.lose(batch, asFault('encode', error))
      return
    }
    batch.state = 'away'
    batch.offers++
    if (this.away++ === 0) this.progressUs = this.clock.nowUs()
    this.watchProgress(this.options.deadlineMs)
    ask(worker, sending).then(
      (reply) => this.came(batch, reply),
      (error: unknown) => {
        // Of a death `died` is told, for all batches together; anything else is about this one.
        if (worker.fault === undefined && batch.state === 'away') {
          this.landed()
          this.lose(batch, error as Fault)
          this.send()
        }
      },
    )
  }

  private came(batch: Batch<T, R>, reply: unknown): void {
    if (batch.state !== 'away' || this.out.closed) return
    const decode = this.options.decode ?? (decodeArray as (reply: unknown) => R[])
    this.landed()
    try {
      batch.results = [...decode(reply, batch.values)]
      batch.state = 'back'
      this.release()
    } catch (error) {
      this.lose(batch, asFault('decode', error))
    }
    this.send()
  }

  private landed(): void {
    this.away--
    this.progressUs = this.clock.nowUs()
    this.supervisor.succeeded()
  }

  private lose(batch: Batch<T, R>, fault: Fault): void {
    batch.state = 'lost'
    drop(this.ledger, 'failed', batch.values.length)
    if (this.options.onFault === undefined) this.out.error(fault)
    else this.report(fault)
    this.release()
  }

  private report(fault: Fault): void {
    try {
      this.options.onFault?.(fault)
    } catch (error) {
      this.out.error(error)
    }
  }

  /** Emits, in order, whatever no longer waits for anything before it. */
  private release(): void {
    if (this.releasing) return
    this.releasing = true
    for (let batch = this.sent[0]; batch?.state === 'back' || batch?.state === 'lost'; batch = this.sent[0]) {
      this.sent.shift()
      if (batch.state === 'lost') continue
      pass(this.ledger, batch.values.length)
      for (const result of batch.results) this.out.next(result)
    }
    this.releasing = false
    this.finishWhenDone()
  }

  private finishWhenDone(): void {
    if (this.sourceEnded === undefined || this.queue.size > 0 || this.sent.length > 0) return
    const { failure } = this.sourceEnded
    if (failure === undefined) this.out.complete()
    else this.out.error(failure.error)
  }

  private died(fault: Fault): void {
    this.worker = undefined
    this.away = 0
    this.alone = false
    const interrupted = this.sent.filter(({ state }) => state === 'away')
    const givenUp = interrupted.filter(({ offers }) => offers > 1)
    for (const batch of interrupted) batch.state = 'again'
    this.again = [...interrupted.filter((batch) => !givenUp.includes(batch)), ...this.again]
    this.report(fault)
    for (const batch of givenUp) this.lose(batch, diedTwice(fault, batch.values.length))
  }

  /** One timer, not one for each batch: it fires, looks at the last answer, and sleeps for what remains. */
  private watchProgress(delayMs: number): void {
    this.watch ??= this.clock.after(delayMs, () => {
      this.watch = undefined
      if (this.away === 0) return
      const { deadlineMs } = this.options
      const remainingMs = deadlineMs - (this.clock.nowUs() - this.progressUs) / 1_000
      if (remainingMs > 0) this.watchProgress(remainingMs)
      else if (this.worker !== undefined) this.supervisor.condemn(tooSlow(this.worker.name, deadlineMs))
    })
  }
}

/** Over the rings where there are any: a thread that is simulated, or an entry that does not use `exposeEntry`, has none. */
function ask(worker: WorkerHandle<EntryApi>, sending: WorkerMessage): Promise<unknown> {
  if (worker.ask !== undefined) return worker.ask(sending)
  const { message, transfer = [] } = sending.transfer === undefined ? handedOver(sending.message) : sending
  return worker.call('run', [message], { transfer })
}

function decodeArray(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new TypeError('The worker did not answer with an array of results: give `decode`, or answer with one.')
}

function asFault(step: 'encode' | 'decode', error: unknown): Fault {
  if (error instanceof Fault) return error
  return new Fault(
    'STAGE_FAILED',
    `onWorker could not ${step} a batch: ${messageOf(error)}`,
    { step },
    { cause: error },
  )
}

function diedTwice(cause: Fault, values: number): Fault {
  const given = values === 1 ? 'one value' : `${values} values`
  const message = `Gave up ${given}: the worker died each of the two times it had ${values === 1 ? 'it' : 'them'}. ${cause.message}`
  return new Fault('WORKER_DIED', message, { ...cause.details, values }, { cause })
}

function tooSlow(worker: string, deadlineMs: number): Fault {
  const message = `Worker ${worker} had work and gave no answer for ${deadlineMs} ms: raise \`deadlineMs\`, or send smaller batches.`
  return new Fault('WORKER_DIED', message, { worker, reason: 'deadline', deadlineMs })
}

function check<T>(options: OnWorkerOptions<T, unknown>): void {
  const { capacity, batchMax, concurrency = 2, restart, deadlineMs, onFull, ringBytes = RING_BYTES } = options
  const { atMost, withinMs, backoffMs } = restart
  const problem =
    (spillOf(onFull) === undefined ? undefined : 'it cannot spill by itself; give the stage a mailbox that does') ??
    notCount('capacity', capacity) ??
    notCount('batchMax', batchMax) ??
    notCount('concurrency', concurrency) ??
    (ringBytes >= 1_024 && ringBytes <= 2 ** 30 && Number.isInteger(Math.log2(ringBytes))
      ? undefined
      : `ringBytes is ${ringBytes}; give a power of two from 1,024 to 2^30`) ??
    (deadlineMs > 0 && deadlineMs <= LONGEST_WAIT_MS
      ? undefined
      : `deadlineMs is ${deadlineMs}; give milliseconds above 0 and at most ${LONGEST_WAIT_MS}`) ??
    backoffProblem({ atMost, withinMs, minMs: backoffMs[0], maxMs: backoffMs[1] })
  if (problem !== undefined) throw new Fault('OPTION_INVALID', `onWorker: ${problem}.`, {})

  function notCount(option: string, value: number): string | undefined {
    return Number.isSafeInteger(value) && value > 0
      ? undefined
      : `${option} is ${value}; give a whole number, 1 or more`
  }
}
