import type { ResourceLimits } from 'node:worker_threads'
import { Observable, Subject, takeUntil, type OperatorFunction, type Subscriber } from 'rxjs'
import { drop, emptyLedger, receive, type Ledger } from '../actors/ledger'
import { policyName, spillOf, type EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import type { RestartPolicy } from '../actors/supervision'
import { currentWiring, type CarriesEdge } from '../actors/wiring'
import { backoffProblem } from '../clock/backoff'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { currentRandom, currentWaits } from '../clock/currentClock'
import { Fault, messageOf } from '../model/fault'
import { currentSpawn } from './currentSpawn'
import type { WorkerMessage } from './handedOver'
import { fixedPlacement, MeasuredPlacement, type Placement, type PlacementRule } from './placement'
import type { Rebuild } from './rebuildLog'
import { spawnWorker } from './spawn'
import { threadTimeUs } from './threadTime'
import { WorkerEdge, type EdgeOutput } from './workerEdge'

/** `capacity` is the most values that wait to be sent; with several workers, to each of them. */
export interface OnWorkerOptions<T, R> extends EdgeOptions<T> {
  /** The most values that are sent together. */
  readonly batchMax: number
  /** Batches that are away at once, so that the worker need not wait for the next one. Default 2. */
  readonly concurrency?: number
  /**
   * Threads. With more than one, `keyOf` says which values belong together: those of one key go to the same thread, in
   * order, and come back in order; between keys there is none. Default 1.
   */
  readonly workers?: number
  readonly keyOf?: (value: T) => string | number
  /** What is done about a worker that dies. */
  readonly restart: RestartPolicy
  /**
   * For an entry that keeps state: it offers `save()` and `restore(saved)` beside `run`. Its state is asked for every
   * `everyValues` values, and kept here with the values since. A thread that takes the place of a dead one is given both
   * before anything else, and is then what the dead one was; what it answers on the way is not emitted again. Without it a
   * new thread begins with nothing.
   */
  readonly rebuild?: Rebuild
  /**
   * Where the work is done: `worker`, the default; `loop`, by `here`, without a thread; `auto`, wherever it has cost the loop
   * less, which is measured. What comes out is the same, in the same order. A simulated run does not measure: there `auto`
   * is `worker`.
   */
  readonly placement?: Placement
  /** The work of the entry for this thread, from values to results: what it does must not depend on what it did before. */
  readonly here?: (values: readonly T[]) => Iterable<R>
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
 * Sends values to a worker thread and emits what it answers, in the order of the source; of several threads, in the order of
 * the source for each key.
 *
 *     source      a-bcd------e---|         the worker takes 4 for each batch
 *     onWorker    ----A----(BCD)---E|      b, c and d came while it was busy: they travel together
 *
 * Emits      the results of each batch when it and all before it have come back; results of a batch in its order
 * Completes  when everything that was sent has come back and gone on
 * Errors     with the source, after everything before it; `EDGE_FULL` as `onFull` says; `RETRIES_EXHAUSTED` when the
 *            worker has died too often; and what `onFault` would have been told, when there is none
 * Holds      for each worker: at most `capacity` values waiting and `concurrency` × `batchMax` away or held back for their
 *            order; two rings of `ringBytes`; with `rebuild` its saved state and the values since. The threads of a
 *            subscription end with it
 *
 * The worker's entry calls `exposeEntry((message) => results)`. A batch whose work throws is given up, and the next one
 * goes its way. A worker that dies is started again; the batches it had are offered once more, each alone, so that the
 * one that kills it cannot take others with it; then they are given up.
 *
 * A hop costs the loop some ten microseconds and one copy of what it carries: it pays for work that takes longer than that,
 * and `placement: 'auto'` finds out.
 *
 * @param entry  absolute path (`path.join(__dirname, 'entry')`) or `file:` address; TypeScript where ts-node is installed
 */
export function onWorker<T, R>(entry: string | URL, options: OnWorkerOptions<T, R>): OperatorFunction<T, R> {
  check(options)
  const { workers = 1 } = options
  const capacity = options.capacity * workers
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
      const hop = new Hop(
        entry,
        {
          ...options,
          ledger: account,
          ...(pressure === undefined ? {} : { pressure: workers === 1 ? pressure : pressureOfMany(pressure) }),
          ...(onFault === undefined ? {} : { onFault }),
        },
        out,
      )
      const closed = new Subject<void>() // known before the first value, so that a synchronous endless source stops too
      out.add(() => {
        hop.close()
        closed.next()
      })
      source.pipe(takeUntil(closed)).subscribe({
        next: (value) => hop.receive(value),
        error: (error) => hop.end({ error }),
        complete: () => hop.end(undefined),
      })
    })
  const carries: CarriesEdge['carries'] = { kind: 'worker', capacity, onFull }
  return Object.assign(operator, { carries })
}

/** One subscription: its workers, and which value goes to which. */
class Hop<T, R> {
  private readonly edges: readonly WorkerEdge<T, R>[]
  private sourceEnded: { readonly failure: { readonly error: unknown } | undefined } | undefined
  private open: number

  constructor(
    entry: string | URL,
    private readonly options: OnWorkerOptions<T, R> & { readonly ledger: Ledger },
    private readonly out: Subscriber<R>,
  ) {
    const { clock = currentWaits(), random = currentRandom(), ringBytes = RING_BYTES, workers = 1, ledger } = options
    this.open = workers
    const output: EdgeOutput<R> = {
      get closed() {
        return out.closed
      },
      next: (result) => out.next(result),
      error: (error) => out.error(error),
      complete: () => this.edgeEnded(),
    }
    const hasThread = options.placement !== 'loop'
    this.edges = Array.from(
      { length: workers },
      () =>
        new WorkerEdge(
          entry,
          options,
          { clock, random, ledger, ringBytes, hasThread, placement: placementOf(options) },
          output,
        ),
    )
  }

  receive(value: T): void {
    const edge = this.edgeFor(value)
    if (edge !== undefined) edge.receive(value)
  }

  end(failure: { readonly error: unknown } | undefined): void {
    if (this.out.closed) return
    this.sourceEnded = { failure }
    for (const edge of this.edges) edge.end()
  }

  close(): void {
    for (const edge of this.edges) edge.close()
  }

  /** Undefined for a value whose key cannot be told: it is given up. */
  private edgeFor(value: T): WorkerEdge<T, R> | undefined {
    const { keyOf, ledger, onFault } = this.options
    if (keyOf === undefined || this.edges.length === 1) return this.edges[0]
    try {
      return this.edges[hashOf(keyOf(value)) % this.edges.length]
    } catch (cause) {
      receive(ledger, 1)
      drop(ledger, 'failed', 1)
      const fault = new Fault(
        'STAGE_FAILED',
        `onWorker could not tell the key of a value: ${messageOf(cause)}`,
        {},
        { cause },
      )
      if (onFault === undefined) this.out.error(fault)
      else onFault(fault)
      return undefined
    }
  }

  private edgeEnded(): void {
    if (--this.open > 0) return
    const { failure } = this.sourceEnded!
    if (failure === undefined) this.out.complete()
    else this.out.error(failure.error)
  }
}

/** What is measured differs from run to run: only threads that are real are worth measuring. */
function placementOf<T, R>({ placement = 'worker' }: OnWorkerOptions<T, R>): PlacementRule {
  if (placement !== 'auto') return fixedPlacement(placement)
  if (currentSpawn() !== spawnWorker) return fixedPlacement('worker')
  return new MeasuredPlacement(threadTimeUs)
}

/** A source that several queues hold back goes on when the last of them lets it. */
function pressureOfMany(pressure: Pressure): Pressure {
  let paused = 0
  return {
    pause() {
      if (paused++ === 0) pressure.pause()
    },
    resume() {
      if (--paused === 0) pressure.resume()
    },
  }
}

/** FNV-1a: the same key goes to the same worker, also after a restart and in another process. */
function hashOf(key: string | number): number {
  const text = String(key)
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

const RING_BYTES = 2 ** 20

const PLACEMENTS: readonly Placement[] = ['loop', 'worker', 'auto']

const NOTHING_TO_PAUSE =
  'onWorker: onFull is block and there is no pressure; give what pauses the source, or choose what to drop.'

function check<T>(options: OnWorkerOptions<T, unknown>): void {
  const { capacity, batchMax, concurrency = 2, restart, deadlineMs, onFull, ringBytes = RING_BYTES } = options
  const { workers = 1, keyOf, rebuild, placement = 'worker', here } = options
  const { atMost, withinMs, backoffMs } = restart
  const problem =
    (spillOf(onFull) === undefined ? undefined : 'it cannot spill by itself; give the stage a mailbox that does') ??
    notCount('capacity', capacity) ??
    notCount('batchMax', batchMax) ??
    notCount('concurrency', concurrency) ??
    notCount('workers', workers) ??
    (workers === 1 || typeof keyOf === 'function'
      ? undefined
      : `there are ${workers} workers; give keyOf, which says what values belong together`) ??
    (rebuild === undefined ? undefined : notCount('rebuild.everyValues', rebuild.everyValues)) ??
    (PLACEMENTS.includes(placement)
      ? undefined
      : `placement is ${JSON.stringify(placement)}; give one of ${PLACEMENTS.join(', ')}`) ??
    (placement === 'worker' || typeof here === 'function'
      ? undefined
      : `placement is ${placement}; give the same work as a function of this thread in here`) ??
    (placement === 'worker' || rebuild === undefined
      ? undefined
      : `placement is ${placement}, and the entry keeps state: state that is kept in two places is kept in none`) ??
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
