/**
 * What stages and sinks wait for: which line of the user's began the work that is awaited, and for how long it was.
 *
 * The context of a stage follows its values through promises and timers (`AsyncLocalStorage`); whatever begins to wait in it is
 * seen by a hook of Node's, with the stack of that moment, so that an `await` is known by its own line. For development: such
 * a hook makes promises dearer.
 */
import { AsyncLocalStorage, createHook, type AsyncHook } from 'node:async_hooks'
import { userPlace } from '../../metrics/stalls/callPlace'
import { monotonicUs } from '../../metrics/stalls/heartbeat'
import type { RunningPlace } from '../../metrics/stalls/sourceLines'

/** Something that takes values and may wait: a stage or a sink. */
export interface Waiter {
  /** Pauses between two pieces of its work, by the line that had begun what was waited for; '' where none of the user's had. */
  readonly waits: Map<string, Wait>
  /** What was begun and may be waited for. */
  begun: number
}

export interface Wait {
  readonly place: RunningPlace | undefined
  times: number
  ms: number
  /** Of the times, those for promises: of work that something is awaited for. */
  promised: number
}

/** The context in which a waiter's code runs. */
export interface Scope {
  readonly waiter: Waiter
  /** By a value that came; false where it was begun with the stage itself, as a timer that goes on for ever is. */
  readonly byValue: boolean
  lastPlace: RunningPlace | undefined
  lastIsPromise: boolean
  /** When the last piece of its work was over; 0 while nothing is waited for. */
  sinceUs: number
  /** Stacks that were looked at in the second that has begun at `secondUs`. */
  looks: number
  secondUs: number
}

/** Shorter pauses are turns of the loop, and none that something is awaited for. */
const PAUSE_US = 2_000
/** Stacks of one waiter that are looked at in a second. */
const LOOKS_PER_SECOND = 200
/** Lines of one waiter that are told apart. */
const LINES_MAX = 200
/** What is begun and waited for by nobody. */
const TURNS: ReadonlySet<string> = new Set(['TickObject', 'Microtask', 'Immediate', 'AsyncLocalStorage'])

export class AsyncWork {
  private readonly storage = new AsyncLocalStorage<Scope | undefined>()
  private readonly hook: AsyncHook

  constructor() {
    const init = (_: number, type: string): void => {
      const scope = this.storage.getStore()
      if (scope !== undefined && !TURNS.has(type)) begin(scope, type === 'PROMISE')
    }
    const before = (): void => {
      const scope = this.storage.getStore()
      if (scope !== undefined) goOn(scope)
    }
    const after = (): void => {
      const scope = this.storage.getStore()
      if (scope !== undefined && scope.sinceUs > 0) scope.sinceUs = monotonicUs()
    }
    this.hook = createHook({ init, before, after })
  }

  start(): void {
    this.hook.enable()
  }

  stop(): void {
    this.hook.disable()
    this.storage.disable()
  }

  /** Calls `work` in the context of a waiter. */
  within<T>(scope: Scope, work: () => T): T {
    return this.storage.run(scope, work)
  }

  /** Calls `work` in no context: what a stage hands on is no business of the stage's. */
  outside<T>(work: () => T): T {
    return this.storage.run(undefined, work)
  }
}

export function scopeOf(waiter: Waiter, byValue: boolean): Scope {
  return { waiter, byValue, lastPlace: undefined, lastIsPromise: false, sinceUs: 0, looks: 0, secondUs: 0 }
}

function begin(scope: Scope, isPromise: boolean): void {
  const nowUs = monotonicUs()
  scope.waiter.begun++
  scope.sinceUs = nowUs
  if (nowUs - scope.secondUs > 1e6) {
    scope.secondUs = nowUs
    scope.looks = 0
  }
  if (++scope.looks > LOOKS_PER_SECOND) return
  const place = userPlace()
  if (place === undefined && scope.lastPlace !== undefined && isPromise) return // a promise of a library's, for the same wait
  scope.lastPlace = place
  scope.lastIsPromise = isPromise
}

function goOn(scope: Scope): void {
  const { sinceUs, lastPlace, waiter, byValue } = scope
  if (sinceUs === 0) return
  const pausedUs = monotonicUs() - sinceUs
  if (pausedUs < PAUSE_US) return
  scope.sinceUs = monotonicUs()
  // Without a line, what was begun with the stage itself is its own clockwork.
  if (lastPlace === undefined && !byValue) return
  const key = lastPlace === undefined ? '' : `${lastPlace.url}:${lastPlace.line}:${lastPlace.column}`
  let wait = waiter.waits.get(key)
  if (wait === undefined) {
    if (waiter.waits.size >= LINES_MAX) return
    waiter.waits.set(key, (wait = { place: lastPlace, times: 0, ms: 0, promised: 0 }))
  }
  wait.times++
  wait.ms += pausedUs / 1_000
  if (scope.lastIsPromise) wait.promised++
}
