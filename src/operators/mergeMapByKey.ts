import { from, Observable, Subscription, type ObservableInput, type ObservedValueOf, type OperatorFunction } from 'rxjs'
import { drop, emptyLedger, pass, receive as receiveInto, type Ledger } from '../actors/ledger'
import type { OnFull } from '../actors/overflow'
import type { Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { Fifo, type FifoNode } from './fifo'
import { requireCount, requireMs, requireOption } from './options'
import { subscribeWhileOpen } from './subscribeWhileOpen'

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
  /** What happens to a value when `capacity` wait already. Default `fail`: an `EDGE_FULL` fault. */
  readonly onFull?: Extract<OnFull, 'fail' | 'dropOldest' | 'dropNewest'>
  /**
   * What an error of `key`, `project` or the work does. `fail`, the default, ends the output with it. `skip` gives up
   * that value alone: its key goes on with its next value, other keys are untouched.
   */
  readonly onError?: 'fail' | 'skip'
  /** Told of each error that was skipped; `key` is undefined when finding it was what failed. */
  readonly onFault?: (error: unknown, value: T, key: K | undefined) => void
  /** Told of each value that was dropped. */
  readonly onDropped?: (value: T, reason: 'dropOldest' | 'dropNewest') => void
  /** How long the work on one value may take; then it is stopped and counts as failed (`DEADLINE_EXCEEDED`). */
  readonly deadlineMs?: number
  /** Filled in as values pass; see {@link keyedLedger}. */
  readonly ledger?: KeyedLedger
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
 * Holds      at most `concurrency` values in work and `capacity` waiting. A key is remembered only while it has work,
 *            so endless new keys cost nothing
 *
 * Turns are fair: a key that has had one goes behind those that wait for theirs. Work that is synchronous is done
 * within the call, in the order of the source. Unsubscribing stops all work.
 *
 * @param key      what decides the order: an instrument, an account
 * @param project  the work: a promise, an observable or an iterable
 */
export function mergeMapByKey<T, K, Work extends ObservableInput<unknown>>(
  key: (value: T) => K,
  project: (value: T, key: K) => Work,
  options: MergeMapByKeyOptions<T, K>,
): OperatorFunction<T, ObservedValueOf<Work>> {
  check(options)
  const { concurrency, capacity = 65_536, onFull = 'fail', onError = 'fail', deadlineMs } = options
  const { onFault, onDropped, clock = liveClock } = options

  return (source) =>
    new Observable((out) => {
      const ledger = options.ledger ?? keyedLedger()
      const lanes = new Map<K, Lane<T, K>>()
      const waiting = new Fifo<Waiting<T, K>>() // of all keys, oldest first
      const ready = new Fifo<Lane<T, K>>() // keys that wait for a free place, the one that waited longest first
      let working = 0
      let ended = false
      let startingReady = false

      out.add(() => {
        drop(ledger, 'stopped', waiting.size + working)
        ledger.keys -= lanes.size
        lanes.clear()
        waiting.clear()
        ready.clear()
      })

      subscribeWhileOpen(source, out, {
        next: receive,
        error: (error) => out.error(error),
        complete: () => {
          ended = true
          completeWhenDone()
        },
      })

      function receive(value: T): void {
        receiveInto(ledger, 1)
        let lane: Lane<T, K> | undefined
        let valueKey: K
        try {
          valueKey = key(value)
          lane = lanes.get(valueKey)
        } catch (error) {
          failed(error, value, undefined)
          return
        }
        if (lane === undefined && working < concurrency) {
          lane = addLane(valueKey)
          work(lane, value)
        } else if (waiting.size < capacity || makeRoom(value)) {
          lane = lanes.get(valueKey) ?? addLane(valueKey) // making room may have ended the lane
          lane.waiting.push(waiting.push({ value, lane }))
          if (!lane.working && lane.ready === undefined) lane.ready = ready.push(lane)
        }
      }

      function makeRoom(value: T): boolean {
        if (onFull === 'fail') {
          drop(ledger, 'fail', 1)
          out.error(full(capacity, lanes.size))
          return false
        }
        const oldest = onFull === 'dropOldest' ? waiting.shift() : undefined
        drop(ledger, onFull, 1)
        if (oldest === undefined) {
          tell(() => onDropped?.(value, 'dropNewest'))
          return false
        }
        const { lane } = oldest // the oldest of all is the oldest of its lane
        lane.waiting.shift()
        if (lane.waiting.size === 0 && !lane.working) forget(lane)
        tell(() => onDropped?.(oldest.value, 'dropOldest'))
        return !out.closed
      }

      function work(lane: Lane<T, K>, value: T): void {
        lane.working = true
        working++
        let over = false
        const end = (settle: () => void): void => {
          if (over || out.closed) return
          over = true
          working--
          lane.working = false
          settle()
          if (lane.waiting.size === 0) forget(lane)
          else lane.ready = ready.push(lane)
          startReady()
          completeWhenDone()
        }
        const fail = (error: unknown): void => end(() => failed(error, value, lane.key))

        let input: Observable<ObservedValueOf<Work>>
        try {
          input = from(project(value, lane.key))
        } catch (error) {
          fail(error)
          return
        }
        const stop = new Subscription()
        if (deadlineMs !== undefined) {
          const deadline = clock.after(deadlineMs, () => {
            stop.unsubscribe()
            fail(tooSlow(lane.key, deadlineMs))
          })
          stop.add(() => deadline.cancel())
          out.add(stop)
        }
        const subscription = subscribeWhileOpen(input, out, {
          next: (result) => out.next(result),
          error: (error) => {
            out.remove(stop)
            stop.unsubscribe()
            fail(error)
          },
          complete: () => {
            out.remove(stop)
            stop.unsubscribe()
            end(() => pass(ledger, 1))
          },
        })
        stop.add(subscription)
      }

      /** A loop, not a recursion: a million synchronous values of one key would otherwise nest a million calls. */
      function startReady(): void {
        if (startingReady) return
        startingReady = true
        while (working < concurrency && !out.closed) {
          const lane = ready.shift()
          if (lane === undefined) break
          lane.ready = undefined
          const node = lane.waiting.shift()
          if (node === undefined) continue
          waiting.remove(node)
          work(lane, node.value.value)
        }
        startingReady = false
      }

      function failed(error: unknown, value: T, valueKey: K | undefined): void {
        drop(ledger, 'failed', 1)
        if (onError === 'fail') out.error(error)
        else tell(() => onFault?.(error, value, valueKey))
      }

      function tell(call: () => void): void {
        try {
          call()
        } catch (error) {
          out.error(error)
        }
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
        if (lanes.delete(lane.key)) ledger.keys--
      }

      function completeWhenDone(): void {
        if (ended && working === 0 && waiting.size === 0) out.complete()
      }
    })
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

function full(capacity: number, keys: number): Fault {
  return new Fault(
    'EDGE_FULL',
    `mergeMapByKey has ${capacity} values of ${keys} keys waiting and may drop none: raise \`concurrency\`, make the work faster, or choose what to drop with \`onFull\`.`,
    { capacity, keys },
  )
}

function tooSlow(key: unknown, deadlineMs: number): Fault {
  return new Fault(
    'DEADLINE_EXCEEDED',
    `mergeMapByKey stopped work on a value of key ${String(key)} after ${deadlineMs} ms: raise \`deadlineMs\` or find out what it waits for.`,
    { key: String(key), deadlineMs },
  )
}

function check(options: MergeMapByKeyOptions<never, never>): void {
  const { concurrency, perKey, capacity, deadlineMs } = options
  requireCount('mergeMapByKey', 'concurrency', concurrency)
  requireOption(Object.is(perKey, 1), 'mergeMapByKey', 'perKey', perKey, '1, which keeps the values of a key in order')
  if (capacity !== undefined) requireCount('mergeMapByKey', 'capacity', capacity)
  if (deadlineMs !== undefined) requireMs('mergeMapByKey', 'deadlineMs', deadlineMs)
}
