/**
 * The one sampler of the process: everything that is watched is watched once, whoever subscribes, and each interval has a
 * window of its own upon it.
 *
 * What costs the loop something is done elsewhere or seldom: pidusage is asked on a thread that writes into shared memory,
 * workers say themselves how they are, and what cannot be had cheaply is looked at every ten seconds, in a turn of its own.
 * Nothing is waited for: what is not there when a sample is due is not in it.
 */
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { every, type Clock, type Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { GcWindow, observeGc } from './gcPauses'
import { askWorkers } from './knownWorkers'
import { DelayWindow, observeLoop } from './loopBeat'
import type { ProcessSample, WorkerSample } from './processSample'
import { usageProbe, type Usage, type UsageProbe } from './processUsage'
import { socketGauges } from './socketGauges'
import type { ThreadReport } from './threadReport'
import { percentOf, StartedWorkers } from './workerWindow'

/** An observer, as RxJS has them: a function around it would be one more that runs for the first time with the first sample. */
export interface SampleListener {
  next(sample: ProcessSample): void
}

/** Tests give another probe; everybody else takes {@link processSampler}. */
export class ProcessSampler {
  private readonly windows = new Map<Clock, Map<number, Window>>()
  private watch: Watch | undefined

  constructor(private readonly probe: () => UsageProbe = usageProbe) {}

  /** Gives `listener` a sample every `everyMs` on the clock's multiples of it, until the returned function is called. */
  listen(clock: Clock, everyMs: number, listener: SampleListener): () => void {
    const window = this.windowOf(clock, everyMs)
    window.listeners.add(listener)
    return () => {
      if (window.listeners.delete(listener) && window.listeners.size === 0) this.leave(window)
    }
  }

  private windowOf(clock: Clock, everyMs: number): Window {
    let ofClock = this.windows.get(clock)
    if (ofClock === undefined) this.windows.set(clock, (ofClock = new Map<number, Window>()))
    const found = ofClock.get(everyMs)
    if (found !== undefined) return found
    const watch = (this.watch ??= new Watch(this.probe()))
    const window = new Window(clock, everyMs, watch)
    window.start()
    ofClock.set(everyMs, window)
    watch.add(window)
    return window
  }

  private leave(window: Window): void {
    const { clock, everyMs } = window
    window.stop()
    const ofClock = this.windows.get(clock)
    ofClock?.delete(everyMs)
    if (ofClock?.size === 0) this.windows.delete(clock)
    if (this.watch?.remove(window) === true) this.watch = undefined
  }
}

/** That of this process. */
export const processSampler = new ProcessSampler()

/** What is watched as long as there is a window. */
class Watch {
  readonly seldom = new SeldomLook()
  private readonly windows = new Set<Window>()
  private readonly ends: readonly (() => void)[]

  constructor(readonly probe: UsageProbe) {
    const rehearsed = new Window(liveClock, Infinity, this)
    rehearsed.listeners.add({ next: () => undefined })
    for (let left = REHEARSALS; left > 0; left--) rehearsed.rehearse()
    this.ends = [
      observeLoop((delayMs) => {
        for (const window of this.windows) window.delays.add(delayMs)
      }),
      observeGc((kind, pauseMs) => {
        for (const window of this.windows) window.collections.add(kind, pauseMs)
      }),
      () => this.seldom.stop(),
      () => probe.stop(),
      () => askWorkers(0),
    ]
  }

  add(window: Window): void {
    this.windows.add(window)
    this.askAll()
  }

  /** True when it was the last one. */
  remove(window: Window): boolean {
    this.windows.delete(window)
    if (this.windows.size > 0) this.askAll()
    else for (const end of this.ends) end()
    return this.windows.size === 0
  }

  private askAll(): void {
    const everyMs = Math.min(...[...this.windows].map((window) => window.everyMs))
    this.probe.every(everyMs)
    askWorkers(everyMs)
  }
}

/** What one interval on one clock has seen since its last sample. */
class Window {
  readonly listeners = new Set<SampleListener>()
  readonly delays = new DelayWindow()
  readonly collections = new GcWindow()
  private readonly workers: StartedWorkers
  private timer: Timer | undefined
  private readMs = 0
  private idleMs = 0
  private usageBefore: Usage

  constructor(
    readonly clock: Clock,
    readonly everyMs: number,
    private readonly watch: Watch,
  ) {
    this.workers = new StartedWorkers(everyMs)
    this.usageBefore = watch.probe.soFar()
  }

  start(): void {
    this.workers.read(performance.now(), () => undefined)
    this.utilization(performance.now())
    this.timer = every(this.clock, this.everyMs, this.tick)
  }

  stop(): void {
    this.timer?.cancel()
  }

  /** Does all that a sample does, on a window that is then thrown away. */
  rehearse(): void {
    const nowMs = performance.now()
    this.tick(0) // without a usage, and mostly without delays and collections
    this.delays.add(nowMs % 3)
    this.collections.add('scavenge', 1)
    this.sample(0, nowMs, { ...this.usageBefore, readAtMs: this.usageBefore.readAtMs + 1 })
  }

  /** What the timer calls. */
  private readonly tick = (timeUs: number): void => {
    const nowMs = performance.now()
    this.sample(timeUs, nowMs, this.watch.probe.latest(nowMs))
  }

  private sample(timeUs: number, nowMs: number, usage: Usage | undefined): void {
    const sample = this.read(timeUs, nowMs, this.since(usage))
    this.watch.seldom.due(nowMs)
    for (const listener of [...this.listeners]) listener.next(sample)
  }

  private read(timeUs: number, nowMs: number, usage: UsageSince | undefined): ProcessSample {
    const { used_heap_size, total_heap_size, external_memory } = getHeapStatistics()
    const { arrayBuffersBytes, activeResources } = this.watch.seldom
    const { count, unsentBytes, unreadBytes } = socketGauges.look()
    const sockets = { count, unsentBytes, unreadBytes }
    const workers: readonly WorkerSample[] = this.workers.read(nowMs, (report) => add(sockets, report))
    return {
      timeUs,
      cpuPercent: usage?.cpuPercent,
      cpuTimeMs: usage?.cpuTimeMs,
      rssBytes: usage?.rssBytes,
      heapUsedBytes: used_heap_size,
      heapTotalBytes: total_heap_size,
      externalBytes: external_memory,
      arrayBuffersBytes,
      activeResources,
      sockets,
      loopUtilization: this.utilization(nowMs),
      loopDelayMs: this.delays.read(),
      gc: this.collections.read(),
      workers,
    }
  }

  /** Undefined when there is nothing newer than at the sample before. */
  private since(usage: Usage | undefined): UsageSince | undefined {
    const before = this.usageBefore
    if (usage === undefined || usage.readAtMs <= before.readAtMs) return undefined
    this.usageBefore = usage
    const { cpuTimeMs, readAtMs, rssBytes } = usage
    const cpuPercent = percentOf(cpuTimeMs - before.cpuTimeMs, readAtMs - before.readAtMs)
    return { cpuPercent, cpuTimeMs, rssBytes }
  }

  /** `performance.eventLoopUtilization` says the same and costs three times as much. */
  private utilization(nowMs: number): number {
    const idleMs = performance.nodeTiming.idleTime
    const elapsedMs = nowMs - this.readMs
    const share = elapsedMs > 0 ? 1 - (idleMs - this.idleMs) / elapsedMs : 0
    this.readMs = nowMs
    this.idleMs = idleMs
    return Math.min(1, Math.max(0, share))
  }
}

interface UsageSince extends Omit<Usage, 'readAtMs'> {
  /** Of one core since the sample before. */
  readonly cpuPercent: number | undefined
}

/** The first time that code runs it is read from its source, which takes far longer than a sample may: that is done before. */
const REHEARSALS = 20

function add(sockets: { count: number; unsentBytes: number; unreadBytes: number }, report: ThreadReport): void {
  sockets.count += report.sockets
  sockets.unsentBytes += report.unsentBytes
  sockets.unreadBytes += report.unreadBytes
}

const SELDOM_MS = 10_000

/**
 * What costs too much for a sample: some 25 µs for the memory of array buffers, which Node tells together with what the
 * system says of the process, and some tens of nanoseconds for each timer and socket there is.
 */
class SeldomLook {
  arrayBuffersBytes = 0
  activeResources: Readonly<Record<string, number>> = {}
  private takenMs = 0
  private coming: NodeJS.Immediate | undefined

  constructor() {
    this.take()
  }

  /** Looks in a turn of its own when the last look was long ago. */
  due(nowMs: number): void {
    if (this.coming !== undefined || nowMs - this.takenMs < SELDOM_MS) return
    this.coming = setImmediate(() => {
      this.coming = undefined
      this.take()
    })
  }

  stop(): void {
    clearImmediate(this.coming)
  }

  private take(): void {
    this.takenMs = performance.now()
    this.arrayBuffersBytes = process.memoryUsage().arrayBuffers
    const active: Record<string, number> = {}
    for (const kind of process.getActiveResourcesInfo()) active[kind] = (active[kind] ?? 0) + 1
    this.activeResources = active
  }
}
