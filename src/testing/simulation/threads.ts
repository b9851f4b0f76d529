/**
 * Worker threads that are none: what an entry offers is run in this thread, on structured clones, after waits and with
 * deaths that the seed decides.
 *
 * As with real threads, arguments and results are copies, what is transferred is empty afterwards, calls are answered one
 * after another, and a thread that has died answers nothing more.
 */
import path from 'node:path'
import type { Timer } from '../../clock/clock'
import { Fault, messageOf } from '../../model/fault'
import { sortedColumns } from '../../workers/bookColumns'
import { thrownFromData, thrownToData } from '../../workers/crossing'
import type { SpawnWorker } from '../../workers/currentSpawn'
import { Transferred } from '../../workers/transferred'
import type { CallOptions, WorkerHandle } from '../../workers/spawn'
import type { ThreadWeather } from './weather'
import type { World } from './world'

/** What an entry gives to `exposeEntry`: one function, or several by name. */
export type EntryFunctions = ((...args: never[]) => unknown) | Readonly<Record<string, (...args: never[]) => unknown>>

/** Entries by the name of their file, without folder and extension. */
export type Entries = Readonly<Record<string, EntryFunctions>>

/** Those of the engine itself. */
const OWN_ENTRIES: Entries = { sortBook: sortedColumns }

export function simulatedThreads(world: World, weather: ThreadWeather, entries: Entries = {}): SpawnWorker {
  const random = world.random('threads')
  return async function spawn<Api extends object>(
    entry: string | URL,
    { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<WorkerHandle<Api>> {
    signal?.throwIfAborted()
    const name = path.basename(String(entry)).replace(/\.[cm]?[jt]sx?$/, '')
    const offered = Object.hasOwn(entries, name)
      ? entries[name]
      : Object.hasOwn(OWN_ENTRIES, name)
        ? OWN_ENTRIES[name]
        : undefined
    if (offered === undefined) {
      const message = `The simulation knows no worker entry "${name}": give its functions in \`entries\`.`
      throw new Fault('OPTION_INVALID', message, { entry: String(entry) })
    }
    const stillborn = random.chance(weather.stillbornChance)
    await abortable(world, stillborn ? deadlineMs : weather.loadMs * (0.5 + random.unit()), signal)
    if (stillborn) {
      const message = `Worker ${name} was not ready within ${deadlineMs} ms: it must call exposeEntry when it has loaded.`
      throw new Fault('WORKER_DIED', message, { worker: name, reason: 'deadline', callsLost: 0 })
    }
    const functions = typeof offered === 'function' ? { run: offered } : offered
    return new SimulatedThread(world, weather, random, name, functions) as WorkerHandle<object>
  }
}

function abortable(world: World, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = world.clock.after(ms, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    const abort = (): void => {
      timer.cancel()
      reject(signal!.reason as Error)
    }
    signal?.addEventListener('abort', abort, { once: true })
  })
}

class SimulatedThread implements WorkerHandle<Record<string, (...args: never[]) => unknown>> {
  readonly died: Promise<Fault>
  fault: Fault | undefined
  private tellDeath!: (fault: Fault) => void
  private readonly calls = new Set<(fault: Fault) => void>()
  private readonly timers = new Set<Timer>()
  /** When it has done what it was given. */
  private busyUntilUs = 0

  constructor(
    private readonly world: World,
    private readonly weather: ThreadWeather,
    private readonly random: {
      unit(): number
      chance(probability: number): boolean
      exponential(mean: number): number
    },
    readonly name: string,
    private readonly functions: Readonly<Record<string, (...args: never[]) => unknown>>,
  ) {
    this.died = new Promise((resolve) => (this.tellDeath = resolve))
  }

  call(name: string, args: never[], { transfer = [], deadlineMs }: CallOptions = {}): Promise<never> {
    return new Promise<never>((resolve, reject) => {
      if (this.fault !== undefined) {
        reject(this.fault)
        return
      }
      const run = Object.hasOwn(this.functions, name) ? this.functions[name] : undefined
      if (run === undefined) {
        const message = `Worker ${this.name} offers no function "${name}"; it offers ${Object.keys(this.functions).join(', ')}.`
        reject(new Fault('OPTION_INVALID', message, { worker: this.name, function: name }))
        return
      }
      let received: never[]
      try {
        received = structuredClone(args, { transfer: [...transfer] as ArrayBuffer[] })
      } catch (cause) {
        const message = `The arguments or the result of "${name}" of worker ${this.name} could not cross the thread: ${messageOf(cause)}`
        reject(new Fault('STAGE_FAILED', message, { worker: this.name, function: name }, { cause }))
        return
      }
      const over = { settled: false }
      const settle = (finish: () => void): void => {
        if (over.settled) return
        over.settled = true
        deadline?.cancel()
        this.calls.delete(abandon)
        finish()
      }
      const abandon = (fault: Fault): void => settle(() => reject(fault))
      const deadline =
        deadlineMs === undefined
          ? undefined
          : this.world.clock.after(deadlineMs, () => {
              const message = `Worker ${this.name} did not answer "${name}" within ${deadlineMs} ms.`
              abandon(new Fault('DEADLINE_EXCEEDED', message, { worker: this.name, function: name, deadlineMs }))
            })
      this.calls.add(abandon)
      const { hopMs, workMs, deathChance } = this.weather
      const nowUs = this.world.clock.nowUs()
      const workUs = this.random.exponential(workMs) * 1_000
      this.busyUntilUs = Math.max(this.busyUntilUs, nowUs + hopMs * 1_000) + workUs
      if (this.random.chance(deathChance)) {
        this.later((this.busyUntilUs - nowUs - workUs * this.random.unit()) / 1_000, () => {
          this.end('exit', 'exited with code 134', { exitCode: 134 })
        })
      }
      this.later((this.busyUntilUs - nowUs) / 1_000, () => void this.answer(run, received, settle, resolve, reject))
    })
  }

  eventLoopUtilization() {
    return { idle: 0, active: 0, utilization: 0 }
  }

  terminate(): Promise<void> {
    this.end('stopped', 'was stopped', {})
    return Promise.resolve()
  }

  private async answer(
    run: (...args: never[]) => unknown,
    args: never[],
    settle: (finish: () => void) => void,
    resolve: (value: never) => void,
    reject: (error: Fault) => void,
  ): Promise<void> {
    const { hopMs } = this.weather
    try {
      const result = await run(...args)
      const crossed =
        result instanceof Transferred
          ? structuredClone(result.value as unknown, { transfer: [...(result as Transferred<unknown>).buffers] })
          : structuredClone(result)
      this.later(hopMs, () => settle(() => resolve(crossed as never)))
    } catch (thrown) {
      // As it crosses a real boundary: as plain data.
      const data = structuredClone(thrownToData(thrown))
      this.later(hopMs, () => settle(() => reject(thrownFromData(data))))
    }
  }

  private end(reason: string, sentence: string, details: Readonly<Record<string, unknown>>): void {
    if (this.fault !== undefined) return
    const lost = { worker: this.name, reason, ...details, callsLost: this.calls.size }
    const fault = new Fault('WORKER_DIED', `Worker ${this.name} ${sentence}.`, lost)
    this.fault = fault
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.tellDeath(fault)
    for (const abandon of [...this.calls]) abandon(fault)
  }

  private later(delayMs: number, callback: () => void): void {
    if (this.fault !== undefined) return
    const timer = this.world.clock.after(delayMs, () => {
      this.timers.delete(timer)
      callback()
    })
    this.timers.add(timer)
  }
}
