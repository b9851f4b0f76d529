/**
 * Asynchronous work on a stream, in order where order matters.
 *
 * For work where order does not matter RxJS' own `mergeMap(project, concurrency)` is the right word, and is used by that
 * name. An unordered merge of what changes one instrument's state corrupts that state.
 */
import { from, Observable, type ObservableInput, type ObservedValueOf, type OperatorFunction } from 'rxjs'
import { drop, emptyLedger, pass, receive as receiveInto, type Ledger } from '../actors/ledger'
import type { OnFull } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import { currentWiring, type CarriesEdge } from '../actors/wiring'
import type { Clock, Timer } from '../clock/clock'
import { currentWaits } from '../clock/currentClock'
import { Fault, messageOf } from '../model/fault'
import { Fifo, type FifoNode } from './fifo'
import { requireCount, requireMs, requireOption } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

const POLICIES = ['block', 'fail', 'dropOldest', 'dropNewest'] as const satisfies readonly OnFull[]

export interface MergeMapByKeyOptions<T, K> {
  /**
   * The most values worked on at once, each of another key. It takes rate × duration of the work (50 values/s of 0.9 s
   * each need 45); with fewer, values wait and never catch up.
   */
  readonly concurrency: number
  /** Values of one key worked on at once: one, so that they stay in order. */
  readonly perKey: 1
  /** The most values that wait for their turn, all keys together. Default 65 536. */
  readonly capacity?: number
  /**
   * What happens when `capacity` wait already. `fail`, the default: an `EDGE_FULL` fault. `block`: the source is asked to
   * pause, and to go on at half; of what it had on its way as much again as `capacity` is kept, and more is an
   * `EDGE_FULL` fault.
   */
  readonly onFull?: (typeof POLICIES)[number]
  /** Asked to pause and resume the source when `onFull` is `block`. In a pipeline the run's sources without it. */
  readonly pressure?: Pressure
  /**
   * What an error of `key`, `project` or the work does. `fail`, the default, ends the output with it. `skip` gives up
   * that value alone: its key goes on with its next value, other keys are untouched.
   */
  readonly onError?: 'fail' | 'skip'
  /**
   * Told of each error that was skipped; `key` is undefined when finding it was what failed. In a pipeline the run is told
   * without it.
   */
  readonly onFault?: (error: unknown, value: T, key: K | undefined) => void
  /** Told of each value that was dropped. */
  readonly onDropped?: (value: T, reason: 'dropOldest' | 'dropNewest') => void
  /** How long the work on one value may take; then it is stopped and counts as failed (`DEADLINE_EXCEEDED`). */
  readonly deadlineMs?: number
  /** Filled in as values pass; see {@link keyedLedger}. */
  readonly ledger?: KeyedLedger
  /** Of the deadlines. Default: the machine's time, or what stands for it in a run. */
  readonly clock?: Clock
}

/** `out` are the values whose work has ended well, `inFlight` those that wait or are worked on. */
export interface KeyedLedger extends Ledger {
  /** Keys that are remembered: those that have work. */
  keys: number
}

export function keyedLedger(): KeyedLedger {
  return { ...emptyLedger(), keys: 0 }
}

/**
 * Maps each value to asynchronous work and merges what comes of it: concurrent across keys, strictly in order within
 * one.
 *
 *     source (keys a, b)   a1-a2-b1-------|        work of 4: a1 = A, a2 = B, b1 = C
 *     mergeMapByKey        ----A--(CB)|            a2 waits for a1, b1 for nobody
 *
 * Emits      what the work of each value emits, at once; never a value of a key before the end of the one before it
 * Completes  when the source and all work have completed
 * Errors     with the source; with the first error of `key`, `project` or the work unless `onError` is `skip`;
 *            `EDGE_FULL` when more than `capacity` wait and nothing may be dropped
 * Holds      at most `concurrency` values in work and `capacity` waiting (twice that with `block`). A key is remembered
 *            only while it has work, so endless new keys cost nothing
 *
 * Turns are fair: a key that has had one goes behind those that wait for theirs. Work that is synchronous is done
 * within the call, in the order of the source. Unsubscribing stops all work. In a pipeline what waits here is an edge of
 * the picture and of the summary.
 *
 * @param key      what decides the order: an instrument, an account
 * @param project  the work: a promise, an observable or an iterable. Its third parameter is a signal that is aborted when
 *                 the work is stopped before its end, which for a promise is the only way to know; it is made only for a
 *                 function that declares three parameters
 */
export function mergeMapByKey<T, K, Work extends ObservableInput<unknown>>(
  key: (value: T) => K,
  project: (value: T, key: K, signal: AbortSignal) => Work,
  options: MergeMapByKeyOptions<T, K>,
): OperatorFunction<T, ObservedValueOf<Work>> {
  check(options)
  const { concurrency, capacity = 65_536, onFull = 'fail', onError = 'fail', onDropped, deadlineMs } = options
  const waitingMax = onFull === 'block' ? 2 * capacity : capacity
  const takesSignal = project.length > 2

  const operator: OperatorFunction<T, ObservedValueOf<Work>> = (source) =>
    new Observable((out) => {
      const { clock = currentWaits(), ledger = keyedLedger() } = options
      const wiring = currentWiring()
      const pressure = options.pressure ?? wiring?.pressure
      if (onFull === 'block' && pressure === undefined) {
        out.error(new Fault('OPTION_INVALID', NOTHING_TO_PAUSE, { operator: 'mergeMapByKey', option: 'pressure' }))
        return
      }
      const onFault =
        options.onFault ??
        (wiring === undefined
          ? undefined
          : (error: unknown, _: T, valueKey: K | undefined) => wiring.onFault(gaveUp(error, valueKey)))

      const lanes = new Map<K, Lane<T, K>>()
      const waiting = new Fifo<Waiting<T, K>>() // of all keys, oldest first
      const ready = new Fifo<Lane<T, K>>() // keys that wait for a free place, the one that waited longest first
      const stoppable = new Set<Job>() // work that has more to be stopped than its subscription
      let working = 0
      let ended = false
      let failing = false
      let paused = false
      let startingReady = false

      wiring?.showEdge({ kind: 'mailbox', capacity, onFull, account: ledger, waiting: () => waiting.size })
      out.add(() => {
        drop(ledger, 'stopped', waiting.size + working)
        ledger.keys -= lanes.size
        working = 0
        lanes.clear()
        waiting.clear()
        ready.clear()
        for (const { deadline, controller } of stoppable) {
          deadline?.cancel()
          controller?.abort()
        }
        stoppable.clear()
        letGo()
      })

      subscribeWhileOpen(source, out, {
        next: receive,
        error: fail,
        complete: () => {
          ended = true
          completeWhenDone()
        },
      })

      function isOver(): boolean {
        return failing || out.closed
      }

      function receive(value: T): void {
        if (isOver()) return // whoever hears of the failure sends another value within the call
        receiveInto(ledger, 1)
        let valueKey: K
        try {
          valueKey = key(value)
        } catch (error) {
          drop(ledger, 'failed', 1)
          giveUp(error, value, undefined)
          return
        }
        const lane = lanes.get(valueKey)
        if (lane === undefined && working < concurrency && ready.size === 0) {
          work(addLane(valueKey), value)
          return
        }
        const isFull = waiting.size >= waitingMax
        if (isFull && onFull !== 'dropOldest') {
          refuse(value, onFull)
          return
        }
        const oldest = isFull ? dropOldest() : undefined
        wait(lanes.get(valueKey) ?? addLane(valueKey), value) // dropping the oldest may have ended the lane
        if (oldest !== undefined) tell(() => onDropped?.(oldest, 'dropOldest'))
        if (onFull === 'block') holdBack()
      }

      function wait(lane: Lane<T, K>, value: T): void {
        lane.waiting.push(waiting.push({ value, lane }))
        if (!lane.working && lane.ready === undefined) lane.ready = ready.push(lane)
      }

      function refuse(value: T, policy: 'block' | 'fail' | 'dropNewest'): void {
        drop(ledger, policy === 'block' ? 'overrun' : policy, 1)
        if (policy === 'dropNewest') tell(() => onDropped?.(value, 'dropNewest'))
        else fail(full(policy, waiting.size, lanes.size, capacity))
      }

      function dropOldest(): T {
        const { lane, value } = waiting.shift()!
        lane.waiting.shift() // the oldest of all is the oldest of its lane
        if (lane.waiting.size === 0 && !lane.working) forget(lane)
        drop(ledger, 'dropOldest', 1)
        return value
      }

      function work(lane: Lane<T, K>, value: T): void {
        lane.working = true
        working++
        const job = newJob()

        let input: Observable<ObservedValueOf<Work>>
        try {
          // A function that declares no signal reads none.
          const signal = takesSignal ? signalOf(job) : (undefined as unknown as AbortSignal)
          const started = project(value, lane.key, signal)
          if (isOver()) {
            abandon(started)
            return
          }
          input = from(started)
        } catch (error) {
          end(error)
          return
        }
        const subscription = subscribeWhileOpen(input, out, {
          next: (result) => out.next(result),
          error: end,
          complete: () => end(NO_ERROR),
        })
        if (deadlineMs === undefined || job.over || isOver()) return
        stoppable.add(job)
        job.deadline = clock.after(deadlineMs, () => {
          const fault = tooSlow(lane.key, deadlineMs)
          tell(() => subscription.unsubscribe())
          job.controller?.abort(fault)
          end(fault)
        })

        function end(error: unknown): void {
          if (job.over || isOver()) return
          job.over = true
          job.deadline?.cancel()
          stoppable.delete(job)
          working--
          lane.working = false
          // All is in order before anybody is told: within the call more values may come.
          if (lane.waiting.size === 0) forget(lane)
          else lane.ready = ready.push(lane)
          if (error === NO_ERROR) pass(ledger, 1)
          else {
            drop(ledger, 'failed', 1)
            giveUp(error, value, lane.key)
          }
          startReady()
          completeWhenDone()
        }
      }

      function signalOf(job: Job): AbortSignal {
        job.controller = new AbortController()
        stoppable.add(job)
        return job.controller.signal
      }

      /** A loop, not a recursion: a million synchronous values of one key would otherwise nest a million calls. */
      function startReady(): void {
        if (startingReady) return
        startingReady = true
        while (working < concurrency && !isOver()) {
          const lane = ready.shift()
          if (lane === undefined) break
          lane.ready = undefined
          const node = lane.waiting.shift()!
          waiting.remove(node)
          work(lane, node.value.value)
          if (paused && waiting.size <= capacity / 2) letGo()
        }
        startingReady = false
      }

      function holdBack(): void {
        if (paused || waiting.size < capacity) return
        paused = true
        tell(() => pressure!.pause())
      }

      function letGo(): void {
        if (!paused) return
        paused = false
        tell(() => pressure!.resume())
      }

      function giveUp(error: unknown, value: T, valueKey: K | undefined): void {
        if (onError === 'fail') fail(error)
        else tell(() => onFault?.(error, value, valueKey))
      }

      function tell(call: () => void): void {
        try {
          call()
        } catch (error) {
          fail(error)
        }
      }

      function fail(error: unknown): void {
        failing = true
        out.error(error)
      }

      function addLane(laneKey: K): Lane<T, K> {
        const lane: Lane<T, K> = { key: laneKey, working: false, waiting: new Fifo(), ready: undefined }
        lanes.set(laneKey, lane)
        ledger.keys++
        return lane
      }

      function forget(lane: Lane<T, K>): void {
        if (lane.ready !== undefined) ready.remove(lane.ready)
        lane.ready = undefined
        lanes.delete(lane.key)
        ledger.keys--
      }

      function completeWhenDone(): void {
        if (ended && working === 0 && waiting.size === 0) out.complete()
      }
    })
  const carries: CarriesEdge['carries'] = { kind: 'mailbox', capacity, onFull }
  return Object.assign(operator, { carries })
}

/** One key that has work. */
interface Lane<T, K> {
  readonly key: K
  working: boolean
  readonly waiting: Fifo<FifoNode<Waiting<T, K>>>
  /** Its place among the lanes that wait for a turn. */
  ready: FifoNode<Lane<T, K>> | undefined
}

interface Waiting<T, K> {
  readonly value: T
  readonly lane: Lane<T, K>
}

/** The work on one value. */
interface Job {
  over: boolean
  controller: AbortController | undefined
  deadline: Timer | undefined
}

function newJob(): Job {
  return { over: false, controller: undefined, deadline: undefined }
}

/** Not undefined: that can be thrown. */
const NO_ERROR = Symbol('no error')

const NOTHING_TO_PAUSE =
  'mergeMapByKey: onFull is block and there is no pressure; give what pauses the source, or choose what to drop.'

/** Nobody waits for this work any more: a promise among it that fails is not to end the process. */
function abandon(started: unknown): void {
  if (started instanceof Promise) started.catch(() => undefined)
}

function full(policy: 'block' | 'fail', waiting: number, keys: number, capacity: number): Fault {
  const why = policy === 'block' ? 'the source did not stop when it was paused' : 'none may be dropped'
  return new Fault(
    'EDGE_FULL',
    `mergeMapByKey has ${waiting} values of ${keys === 1 ? 'one key' : `${keys} keys`} waiting, and ${why}: raise \`concurrency\` or \`capacity\`, make the work faster, or choose what to drop with \`onFull\`.`,
    { capacity, waiting, keys },
  )
}

function tooSlow(key: unknown, deadlineMs: number): Fault {
  return new Fault(
    'DEADLINE_EXCEEDED',
    `mergeMapByKey stopped work on a value of key ${textOf(key)} after ${deadlineMs} ms: raise \`deadlineMs\` or find out what it waits for.`,
    { key: textOf(key), deadlineMs },
  )
}

/** What a run is told of a value that was skipped. */
function gaveUp(error: unknown, key: unknown): Fault {
  const of = key === undefined ? '' : ` of key ${textOf(key)}`
  const details = {
    ...(error instanceof Fault ? error.details : {}),
    ...(key === undefined ? {} : { key: textOf(key) }),
  }
  return new Fault(
    error instanceof Fault ? error.code : 'STAGE_FAILED',
    `mergeMapByKey gave up a value${of}: ${messageOf(error)}`,
    details,
    { cause: error },
  )
}

/** A key for a sentence: it may be anything, and as long as a stranger wishes. */
function textOf(key: unknown): string {
  const text = typeof key === 'object' && key !== null ? Object.prototype.toString.call(key) : String(key)
  return text.length > KEY_TEXT_MAX ? `${text.slice(0, KEY_TEXT_MAX)}…` : text
}

const KEY_TEXT_MAX = 100

function check(options: MergeMapByKeyOptions<never, never>): void {
  const { concurrency, perKey, capacity, onFull, onError, deadlineMs } = options
  requireCount('mergeMapByKey', 'concurrency', concurrency)
  requireOption(Object.is(perKey, 1), 'mergeMapByKey', 'perKey', perKey, '1, which keeps the values of a key in order')
  if (capacity !== undefined) requireCount('mergeMapByKey', 'capacity', capacity)
  if (onFull !== undefined) {
    requireOption(POLICIES.includes(onFull), 'mergeMapByKey', 'onFull', onFull, `one of ${POLICIES.join(', ')}`)
  }
  if (onError !== undefined) {
    requireOption(['fail', 'skip'].includes(onError), 'mergeMapByKey', 'onError', onError, 'fail or skip')
  }
  if (deadlineMs !== undefined) requireMs('mergeMapByKey', 'deadlineMs', deadlineMs)
}
