/**
 * The leak assertion: after its body nothing is left of what the body began. No timer, listening port, socket, child
 * process, watched file or worker thread; no listener of the process or of a watched emitter or signal; no timer of a
 * watched clock; no subscription to a watched observable.
 *
 * What Node begins is met through `node:async_hooks`, with the stack of where it was begun; worker threads through the
 * process's own event. Things close asynchronously, so the assertion waits until all are gone, with a deadline: it asks
 * again and again on the machine's clock.
 *
 * What was there before is not looked at, nor what only Node or the test runner itself began (its time-outs, say). An open
 * file is not seen: Node tells neither when it is opened nor when it is closed.
 */
import { createHook } from 'node:async_hooks'
import { EventEmitter, getEventListeners } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { Observable } from 'rxjs'
import type { Clock, Timer } from '../clock/clock'
import { sleep } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { AssertionError } from './assertionError'

export interface LeakOptions {
  /** What closes asynchronously has so long to do so. Default 2,000. */
  readonly withinMs?: number
  /** Clocks on which no timer may be left; the machine's need not be named. */
  readonly clocks?: readonly Clock[]
  /** Emitters and signals on which no listener may be left; the process need not be named. */
  readonly listened?: readonly (NodeJS.EventEmitter | EventTarget)[]
  /** True for what may stay. */
  readonly mayStay?: (leak: Leak) => boolean
}

type Listened = NodeJS.EventEmitter | EventTarget

/** What was left behind. */
export interface Leak {
  readonly kind: 'timer' | 'port' | 'socket' | 'process' | 'file watcher' | 'worker' | 'listener' | 'subscription'
  /** `a timer`, `a listener of 'SIGINT'`. */
  readonly what: string
  /** Where it was made, the nearest frame first; empty where that is not known. */
  readonly madeAt: readonly string[]
}

export interface LeakCheck {
  /** What is there now of what was begun since the check was. */
  left(): Leak[]
  /** Ends the check: resolves when nothing is left, rejects with the list of what is after `withinMs`. */
  stop(): Promise<void>
}

/**
 * Runs `body` and fails when it leaves something behind; what `body` throws goes first.
 *
 * @returns  what `body` returned
 */
export async function withoutLeaks<T>(body: () => T | Promise<T>, options: LeakOptions = {}): Promise<T> {
  const check = new Check(options)
  let result: T
  try {
    result = await body()
  } catch (thrown) {
    check.end()
    throw thrown
  }
  await check.stop()
  return result
}

/** Begins a check, for what begins before a test and ends after it. To be stopped, or it goes on watching. */
export function leakCheck(options: LeakOptions = {}): LeakCheck {
  return new Check(options)
}

/** An observable whose subscriptions are watched: one that is still open when a check ends is a leak. */
export function watched<T>(observable: Observable<T>, name = 'an observable'): Observable<T> {
  return new Observable<T>((out) => {
    const made: Made = { kind: 'subscription', what: `a subscription to ${name}`, stack: stackHere() }
    subscriptions.add(made)
    out.add(() => subscriptions.delete(made))
    return observable.subscribe(out)
  })
}

/** Something that was begun. Its stack is read when it is told of: that is what costs. */
interface Made {
  readonly kind: Leak['kind']
  readonly what: string
  readonly stack: Error | undefined
}

const subscriptions = new Set<Made>()

/** True while a check sets a timer of its own. */
let own = false

/** What Node calls the things that are looked at. Requests that are under way end by themselves. */
const RESOURCES: ReadonlyMap<string, Pick<Made, 'kind' | 'what'>> = new Map([
  ['Timeout', { kind: 'timer', what: 'a timer' }],
  ['Immediate', { kind: 'timer', what: 'an immediate' }],
  ['TCPSERVERWRAP', { kind: 'port', what: 'a listening port' }],
  ['PIPESERVERWRAP', { kind: 'port', what: 'a listening pipe' }],
  ['UDPWRAP', { kind: 'port', what: 'a UDP socket' }],
  ['MESSAGEPORT', { kind: 'port', what: 'a message port' }],
  ['TCPWRAP', { kind: 'socket', what: 'a socket' }],
  ['PIPEWRAP', { kind: 'socket', what: 'a pipe' }],
  ['PROCESSWRAP', { kind: 'process', what: 'a child process' }],
  ['FSEVENTWRAP', { kind: 'file watcher', what: 'a file watcher' }],
  ['STATWATCHER', { kind: 'file watcher', what: 'a file watcher' }],
] as const)

/** Frames of a stack that are kept, and leaks that one message names. */
const FRAMES_MAX = 8
const NAMED_MAX = 20

class Check implements LeakCheck {
  private readonly resources = new Map<number, Made>()
  private readonly workers = new Set<Made>()
  /** Where the workers were made of whose thread the process has not told yet, oldest first. */
  private readonly workerStacks: Error[] = []
  private readonly before: ReadonlySet<Made>
  private readonly ends: (() => void)[] = []
  private readonly lookers: (() => Made[])[] = []
  private readonly withinMs: number

  constructor(private readonly options: LeakOptions) {
    const { withinMs = 2_000, clocks = [], listened = [] } = options
    if (!(withinMs >= 0 && withinMs < Infinity)) {
      throw new Fault('OPTION_INVALID', `A leak check has withinMs = ${withinMs}; give milliseconds, 0 or more.`, {})
    }
    this.withinMs = withinMs
    this.before = new Set(subscriptions)
    this.watchWorkers()
    for (const clock of clocks) this.watchClock(clock)
    this.watchListeners(process)
    for (const target of listened) this.watchListeners(target)
    this.watchResources()
  }

  left(): Leak[] {
    const made = [
      ...this.resources.values(),
      ...this.workers,
      ...[...subscriptions].filter((each) => !this.before.has(each)),
      ...this.lookers.flatMap((look) => look()),
    ]
    const leaks = made.flatMap((each): Leak[] => {
      const madeAt = framesOf(each.stack)
      return isOthers(each, madeAt) ? [] : [{ kind: each.kind, what: each.what, madeAt: ownFrames(madeAt) }]
    })
    const { mayStay } = this.options
    return mayStay === undefined ? leaks : leaks.filter((leak) => !mayStay(leak))
  }

  async stop(): Promise<void> {
    const deadlineUs = liveClock.nowUs() + this.withinMs * 1_000
    try {
      // Node tells of what was closed in a turn of its own.
      for (let turn = 0; turn < 2; turn++) await unwatched(() => new Promise((resolve) => setImmediate(resolve)))
      for (
        let pauseMs = 1;
        this.left().length > 0 && liveClock.nowUs() < deadlineUs;
        pauseMs = Math.min(20, pauseMs * 2)
      ) {
        await unwatched(() => sleep(liveClock, pauseMs))
      }
      const left = this.left()
      if (left.length > 0) throw leftBehind(left, this.withinMs)
    } finally {
      this.end()
    }
  }

  /** Watches no longer. */
  end(): void {
    for (const end of this.ends.splice(0)) end()
  }

  private watchResources(): void {
    const { resources, workerStacks } = this
    const hook = createHook({
      init(id, type) {
        if (own) return
        if (type === 'WORKER') {
          workerStacks.push(stackHere())
          return
        }
        const known = RESOURCES.get(type)
        if (known !== undefined) resources.set(id, { ...known, stack: stackHere() })
      },
      destroy(id) {
        resources.delete(id)
      },
    }).enable()
    this.ends.push(() => hook.disable())
  }

  private watchWorkers(): void {
    const began = (worker: Worker): void => {
      const made: Made = { kind: 'worker', what: `worker thread ${worker.threadId}`, stack: this.workerStacks.shift() }
      this.workers.add(made)
      worker.once('exit', () => this.workers.delete(made))
    }
    process.on('worker', began)
    this.ends.push(() => process.off('worker', began))
  }

  private watchClock(clock: Clock): void {
    const timers = new Set<Made>()
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
    const plain = clock.after
    const noting = function (this: Clock, delayMs: number, callback: () => void): Timer {
      const made: Made = { kind: 'timer', what: `a timer of ${delayMs} ms on a watched clock`, stack: stackHere() }
      timers.add(made)
      const timer = plain.call(this, delayMs, () => {
        timers.delete(made)
        callback()
      })
      return {
        cancel: () => {
          timers.delete(made)
          timer.cancel()
        },
      }
    }
    const owned = Object.getOwnPropertyDescriptor(clock, 'after')
    Object.defineProperty(clock, 'after', { value: noting, configurable: true, writable: true, enumerable: true })
    this.ends.push(() => {
      if (owned === undefined) delete (clock as { after?: unknown }).after
      else Object.defineProperty(clock, 'after', owned)
    })
    this.lookers.push(() => [...timers])
  }

  private watchListeners(target: Listened): void {
    const stacks = new Map<unknown, Error>()
    const name = target === process ? 'the process' : `a watched ${target.constructor.name}`
    const earlier = listenersOf(target)
    if (target instanceof EventEmitter) {
      const noting = (_: unknown, listener: unknown): void => void stacks.set(listener, stackHere())
      target.on('newListener', noting)
      this.ends.push(() => target.off('newListener', noting))
      earlier.set('newListener', [...(earlier.get('newListener') ?? []), noting])
    }
    this.lookers.push(() => {
      const made: Made[] = []
      for (const [event, listeners] of listenersOf(target)) {
        const old = [...(earlier.get(event) ?? [])]
        for (const listener of listeners) {
          const index = old.indexOf(listener)
          if (index >= 0) old.splice(index, 1)
          else made.push({ kind: 'listener', what: `a listener of ${name} to '${event}'`, stack: stacks.get(listener) })
        }
      }
      return made
    })
  }
}

/** The listeners of each event. Of a target only those to `abort` can be asked for: it does not tell its events. */
function listenersOf(target: Listened): Map<string, unknown[]> {
  if (!(target instanceof EventEmitter)) return new Map([['abort', [...getEventListeners(target, 'abort')]]])
  return new Map(target.eventNames().map((event) => [String(event), target.listeners(event)]))
}

/** Calls `begin` without watching what it begins. */
function unwatched<T>(begin: () => T): T {
  own = true
  try {
    return begin()
  } finally {
    own = false
  }
}

/** An error for its stack, deep enough to come out of RxJS. */
function stackHere(): Error {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 50
  const here = new Error()
  Error.stackTraceLimit = stackTraceLimit
  return here
}

function framesOf(stack: Error | undefined): string[] {
  const lines = (stack?.stack ?? '').split('\n').slice(1)
  return lines.map((line) => line.trim()).filter((line) => !line.includes(__filename) && !HOOK.test(line))
}

/** What a person looks for: the own code, if there is any. */
function ownFrames(frames: readonly string[]): readonly string[] {
  const owned = frames.filter((frame) => !/\(?node:|[\\/]node_modules[\\/]|\(<anonymous>\)/.test(frame))
  return (owned.length > 0 ? owned : frames).slice(0, FRAMES_MAX)
}

const HOOK = /emitInitNative|emitInitScript|AsyncHook\.init|node:internal\/async_hooks/
const RUNNER = /[\\/]node_modules[\\/](mocha|jest[^\\/]*|@jest|vitest|@vitest|ava|tap)[\\/]|node:internal\/test_runner/

/** What Node keeps for itself (the date of HTTP answers), what the test runner began, and the ports of a worker's own. */
function isOthers({ kind, what, stack }: Made, frames: readonly string[]): boolean {
  if (stack === undefined || kind === 'subscription') return false
  if (what === 'a message port' && frames.some((frame) => frame.includes('new Worker (node:internal/worker')))
    return true
  const nearest = frames.find((frame) => !/\(?node:/.test(frame))
  if (nearest === undefined) return kind === 'timer' && frames.length > 0
  return RUNNER.test(nearest)
}

function leftBehind(left: readonly Leak[], withinMs: number): AssertionError {
  const lines = left.slice(0, NAMED_MAX).map(({ what, madeAt }) => {
    const where = madeAt.length === 0 ? '' : `, made\n${madeAt.map((frame) => `      ${frame}`).join('\n')}`
    return `  ${what}${where}`
  })
  if (left.length > NAMED_MAX) lines.push(`  and ${left.length - NAMED_MAX} more`)
  const count = left.length === 1 ? 'One thing was' : `${left.length} things were`
  return new AssertionError(`${count} left behind after ${withinMs} ms:\n${lines.join('\n')}`, {
    actual: left.map(({ what }) => what),
    expected: [],
  })
}
