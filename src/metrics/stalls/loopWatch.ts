/**
 * The event loop of this thread under watch: a heartbeat in shared memory, and a thread that listens to it.
 *
 * What it costs the loop is a store ten times a second, and a callback for each collection of garbage. The thread keeps no
 * process alive, and ends with this one. It remembers nothing but the stall that is going on.
 */
import { createRequire } from 'node:module'
import path from 'node:path'
import { performance, PerformanceObserver } from 'node:perf_hooks'
import { isMainThread, Worker } from 'node:worker_threads'
import { Fault } from '../../model/fault'
import { stageMarks } from '../stageMarks'
import { BEAT, monotonicUs, type LinesData, type WatchdogData } from './heartbeat'
import type { LinesFound, LinesQuestion } from './lineDetective'
import { judgeStall, type GcPause, type RawStall, type Stall } from './stall'
import type { WatchdogMessage, WatchdogRequest } from './watchdogEntry'

export interface LoopWatchOptions {
  /** How long the loop may stand still, milliseconds. */
  readonly afterMs: number
  /** Called for each stall when it is over, whoever caused it. */
  readonly onStall: (stall: Stall) => void
  /** From when on a stall is said on standard error while it lasts, milliseconds. Default never. */
  readonly hangMs?: number
  /** From when on the process is ended, which nothing in it can do any more: for one that does nothing else. Default never. */
  readonly endMs?: number
  /** Where the lines are wanted too. It costs: for development. */
  readonly lines?: LinesData
  /** The thread could not be had, or has died: nothing is watched any more. */
  readonly onBroken?: (fault: Fault) => void
}

/** The heart beats so often within the time that a stall has to last; no more often than the first, no more rarely than the last. */
const BEATS_IN_A_STALL = 2.5
const BEAT_MS = [40, 100] as const
/** Collections that are remembered: they come in order, and a stall is judged right after it. */
const PAUSES_MAX = 256
/** Stalls that wait for the observer of collections to be told of those that fell into them. */
const WAITING_MAX = 64

export class LoopWatch {
  private readonly beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  private readonly beatMs: number
  private readonly pauses: GcPause[] = []
  private waiting: RawStall[] = []
  private readonly timer: NodeJS.Timeout
  private readonly observer: PerformanceObserver
  private readonly worker: Worker | undefined
  private readonly asked = new Map<number, Asked>()
  private lastId = 0
  private broken: Fault | undefined
  private stopped = false

  constructor(private readonly options: LoopWatchOptions) {
    this.beatMs = Math.round(Math.min(BEAT_MS[1], Math.max(BEAT_MS[0], options.afterMs / BEATS_IN_A_STALL)))
    const originUs = monotonicUs() - performance.now() * 1_000
    this.observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        const startedUs = originUs + startTime * 1_000
        this.pauses.push({ startedUs, endedUs: startedUs + duration * 1_000 })
      }
      if (this.pauses.length > PAUSES_MAX) this.pauses.splice(0, this.pauses.length - PAUSES_MAX)
    })
    this.observer.observe({ entryTypes: ['gc'] })
    this.timer = setInterval(() => this.beat(), this.beatMs)
    this.timer.unref()
    this.worker = this.begin()
  }

  /** Tells the thread by which names it may speak of stages, should the loop not come back. */
  nameStages(): void {
    const names: [number, string][] = []
    for (let number = 1; ; number++) {
      const stage = stageMarks.pathOf(number)
      if (stage === undefined) break
      names.push([number, stage])
    }
    this.worker?.postMessage({ ask: 'names', names } satisfies WatchdogRequest)
  }

  /** Begins to sample the stack. Resolves when it does. */
  async startLines(): Promise<void> {
    await this.ask({ ask: 'start' })
  }

  /** Collects all garbage, so that what is still there is held by somebody. */
  async collectGarbage(): Promise<void> {
    await this.ask({ ask: 'collect' })
  }

  /** Where the time went, by lines of the user's files. Ends the sampling. */
  async lines(question: LinesQuestion): Promise<LinesFound> {
    return (await this.ask({ ask: 'lines', ...question }))!
  }

  /** Stalls that have ended are judged and told first. May be called twice. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    clearInterval(this.timer)
    this.judge()
    this.observer.disconnect()
    for (const { reject } of this.asked.values())
      reject(new Fault('WORKER_DIED', 'The watch over the loop was stopped.'))
    this.asked.clear()
    void this.worker?.terminate()
  }

  private beat(): void {
    this.beats[BEAT.count]! += 1
    if (this.waiting.length > 0) this.judge()
  }

  private begin(): Worker | undefined {
    const { afterMs, hangMs = Infinity, endMs = Infinity, lines } = this.options
    const data: WatchdogData = {
      marks: stageMarks.marks,
      beats: this.beats,
      afterMs,
      beatMs: this.beatMs,
      // On Linux the main thread's number is that of the process.
      thread: isMainThread && process.platform === 'linux' ? process.pid : undefined,
      hangMs,
      endMs,
      lines,
    }
    try {
      const worker = startThread(data)
      worker.on('message', (message: WatchdogMessage) => this.take(message))
      worker.on('error', (cause) => this.breakOff('failed', cause))
      worker.on('exit', () => this.breakOff('has ended', undefined))
      // Last: a listener to messages holds the process again.
      worker.unref()
      return worker
    } catch (cause) {
      this.breakOff('could not be started', cause)
      return undefined
    }
  }

  private take(message: WatchdogMessage): void {
    if (message.kind === 'stall') {
      // Collections are told by the observer in a later turn: judged at the next beat.
      if (this.waiting.length < WAITING_MAX) this.waiting.push(message.stall)
      return
    }
    const asked = this.asked.get(message.id)
    if (asked === undefined) return
    this.asked.delete(message.id)
    if (this.asked.size === 0) this.worker?.unref()
    if (message.problem === undefined) asked.resolve(message.lines)
    else asked.reject(new Fault('STAGE_FAILED', `The loop could not be looked into: ${message.problem}`))
  }

  private judge(): void {
    const { waiting, pauses, options } = this
    this.waiting = []
    for (const raw of waiting) options.onStall(judgeStall(raw, pauses, options.afterMs))
  }

  private ask(request: AskedRequest): Promise<LinesFound | undefined> {
    return new Promise((resolve, reject) => {
      const { worker } = this
      if (worker === undefined || this.broken !== undefined || this.stopped) {
        reject(this.broken ?? new Fault('WORKER_DIED', 'The watch over the loop was stopped.'))
        return
      }
      const id = ++this.lastId
      this.asked.set(id, { resolve, reject })
      worker.ref() // whoever waits for an answer wants it before the process ends
      worker.postMessage({ ...request, id } satisfies WatchdogRequest)
    })
  }

  private breakOff(how: string, cause: unknown): void {
    if (this.stopped || this.broken !== undefined) return
    const message = `The thread that watches the event loop ${how}: stalls are not seen any more.`
    this.broken = new Fault('WORKER_DIED', message, { worker: 'watchdog' }, { cause })
    for (const { reject } of this.asked.values()) reject(this.broken)
    this.asked.clear()
    clearInterval(this.timer)
    this.options.onBroken?.(this.broken)
  }
}

interface Asked {
  readonly resolve: (lines: LinesFound | undefined) => void
  readonly reject: (fault: Fault) => void
}

type AskedRequest =
  { readonly ask: 'start' } | { readonly ask: 'collect' } | ({ readonly ask: 'lines' } & LinesQuestion)

/** The entry lies beside this file, as TypeScript in development and as JavaScript when built. */
function startThread(workerData: WatchdogData): Worker {
  const extension = path.extname(__filename)
  const entry = path.join(__dirname, `watchdogEntry${extension}`)
  const options = { name: 'millrace-watchdog', execArgv: [] }
  // Parsing profiles takes memory; looking at two numbers does not.
  const limits = workerData.lines === undefined ? { resourceLimits: { maxOldGenerationSizeMb: 32 } } : {}
  if (extension !== '.ts') return new Worker(entry, { ...options, ...limits, workerData })
  const register = createRequire(__filename).resolve('ts-node/register/transpile-only')
  const bootstrap = `require(${JSON.stringify(register)}); require(${JSON.stringify(entry)})`
  return new Worker(bootstrap, { ...options, workerData, eval: true })
}
