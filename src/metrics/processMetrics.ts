/**
 * The process looked at from beside the road: CPU, memory, event loop and garbage collection, as an interval stream.
 *
 * What costs the loop something is done elsewhere (pidusage on a thread, the loop's delay by Node in C++) and the rest
 * costs some 30 µs a sample. There is one sampler per interval and clock, shared by all who subscribe: two of them asking
 * separately would end each other's windows.
 */
import { performance, PerformanceObserver } from 'node:perf_hooks'
import { Observable, type Subscriber } from 'rxjs'
import { every, type Clock, type Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { loopDelay, type LoopDelaySummary } from './loopDelay'
import { acquireUsageProbe, type Usage, type UsageProbe } from './processUsage'

export interface ProcessSample {
  readonly timeUs: number
  /** Of one core, since the sample before: 200 is two cores. Undefined when pidusage did not answer in time. */
  readonly cpuPercent: number | undefined
  /** Undefined when pidusage did not answer in time. */
  readonly rssBytes: number | undefined
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  /** Memory of C++ objects bound to JavaScript ones, array buffers included. */
  readonly externalBytes: number
  readonly arrayBuffersBytes: number
  /** Share of the time since the sample before in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number
  /** Since the sample before. */
  readonly loopDelayMs: LoopDelaySummary
  /** Garbage collections since the sample before. */
  readonly gc: GcSummary
  /** The worker threads that were named in the options. */
  readonly workers: readonly WorkerSample[]
}

export interface GcSummary {
  readonly count: number
  readonly pauseMs: number
  readonly pauseMsMax: number
}

export interface WorkerSample {
  readonly name: string
  /** Share of the time since the sample before in which its event loop was busy; undefined when it has gone. */
  readonly loopUtilization: number | undefined
}

/** A worker thread to look at: `{ name, performance: worker.performance }` for a worker of Node's. */
export interface WorkerGauge {
  readonly name: string
  readonly performance: {
    eventLoopUtilization(since?: LoopUtilization): LoopUtilization
  }
}

interface LoopUtilization {
  readonly idle: number
  readonly active: number
  readonly utilization: number
}

export interface ProcessMetricsOptions {
  readonly everyMs: number
  readonly clock?: Clock
  /** The worker threads, or a function that names those of the moment. */
  readonly workers?: readonly WorkerGauge[] | (() => readonly WorkerGauge[])
}

/**
 * Samples this process every `everyMs`.
 *
 * Emits      one sample an interval, on multiples of it, late by the time pidusage takes (0.3 ms) and at most by its
 *            deadline: half the interval, and no more than a second
 * Completes  never
 * Errors     never; what could not be had is undefined
 * Holds      while somebody is subscribed: a timer, a thread (which keeps no process alive), an observer of collections
 */
export function processMetrics(options: ProcessMetricsOptions): Observable<ProcessSample> {
  const { everyMs, clock = liveClock, workers = [] } = options
  if (!(everyMs >= 1 && everyMs < Infinity)) {
    throw new Fault('OPTION_INVALID', `processMetrics has everyMs = ${everyMs}: it should be 1 or more milliseconds.`, {
      everyMs,
    })
  }
  const samples = new Observable<ProcessSample>((out) => {
    const readWorkers = workerReader(typeof workers === 'function' ? workers : () => workers)
    return samplerOf(clock, everyMs).add((sample) => out.next({ ...sample, workers: readWorkers() }), out)
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(samples, { cannotPause: true })
}

/** The samplers that somebody is subscribed to. */
const samplers = new Map<Clock, Map<number, Sampler>>()

function samplerOf(clock: Clock, everyMs: number): Sampler {
  const ofClock = samplers.get(clock) ?? new Map<number, Sampler>()
  samplers.set(clock, ofClock)
  const found = ofClock.get(everyMs)
  if (found !== undefined) return found
  const sampler = new Sampler(clock, everyMs, acquireUsageProbe, () => {
    ofClock.delete(everyMs)
    if (ofClock.size === 0) samplers.delete(clock)
  })
  ofClock.set(everyMs, sampler)
  return sampler
}

type SharedSample = Omit<ProcessSample, 'workers'>

/** Runs from the first listener to the last. Exported for its test: everybody else subscribes to `processMetrics`. */
export class Sampler {
  private readonly listeners = new Set<(sample: SharedSample) => void>()
  private readonly timer: Timer
  private readonly delay = loopDelay()
  private readonly collections = new Collections()
  private readonly probe: UsageProbe
  private readonly deadlineMs: number
  private utilizationBefore = performance.eventLoopUtilization()
  private usageBefore: Usage | undefined
  private asking: Timer | undefined

  constructor(
    private readonly clock: Clock,
    everyMs: number,
    acquire: () => UsageProbe,
    private readonly stopped: () => void,
  ) {
    this.deadlineMs = Math.min(everyMs / 2, 1_000)
    this.probe = acquire()
    this.timer = every(clock, everyMs, (nowUs) => this.sample(nowUs))
    // The beginning of the first window: without it the first sample would have no CPU.
    this.probe.ask((usage) => (this.usageBefore ??= usage))
  }

  /** The returned function takes the listener out again. */
  add(listener: (sample: SharedSample) => void, out?: Subscriber<ProcessSample>): () => void {
    this.listeners.add(listener)
    let left = false
    const leave = (): void => {
      if (left) return
      left = true
      this.listeners.delete(listener)
      if (this.listeners.size === 0) this.stop()
    }
    out?.add(leave)
    return leave
  }

  private stop(): void {
    this.timer.cancel()
    this.asking?.cancel()
    this.delay.stop()
    this.collections.stop()
    this.probe.release()
    this.stopped()
  }

  private sample(timeUs: number): void {
    let answered = false
    const emit = (usage: Usage | undefined): void => {
      if (answered) return
      answered = true
      this.asking?.cancel()
      this.asking = undefined
      if (this.listeners.size === 0) return
      const sample = this.read(timeUs, usage)
      for (const listener of [...this.listeners]) listener(sample)
    }
    this.asking = this.clock.after(this.deadlineMs, () => {
      this.probe.missed()
      emit(undefined)
    })
    this.probe.ask(emit)
  }

  private read(timeUs: number, usage: Usage | undefined): SharedSample {
    const memory = process.memoryUsage()
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.utilizationBefore)
    this.utilizationBefore = now
    const cpuPercent = usage === undefined ? undefined : cpuPercentBetween(this.usageBefore, usage)
    this.usageBefore = usage ?? this.usageBefore
    return {
      timeUs,
      cpuPercent,
      rssBytes: usage?.rssBytes,
      heapUsedBytes: memory.heapUsed,
      heapTotalBytes: memory.heapTotal,
      externalBytes: memory.external,
      arrayBuffersBytes: memory.arrayBuffers,
      loopUtilization: utilization,
      loopDelayMs: this.delay.read(),
      gc: this.collections.read(),
    }
  }
}

function cpuPercentBetween(before: Usage | undefined, after: Usage): number | undefined {
  if (before === undefined) return undefined
  const elapsedMs = after.readAtMs - before.readAtMs
  if (elapsedMs <= 0) return undefined
  return Math.max(0, Math.round(((after.cpuTimeMs - before.cpuTimeMs) / elapsedMs) * 1_000) / 10)
}

/** Garbage collections since the last look. */
class Collections {
  private count = 0
  private pauseMs = 0
  private pauseMsMax = 0
  private readonly observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      this.count++
      this.pauseMs += duration
      this.pauseMsMax = Math.max(this.pauseMsMax, duration)
    }
  })

  constructor() {
    this.observer.observe({ entryTypes: ['gc'] })
  }

  read(): GcSummary {
    const summary = { count: this.count, pauseMs: this.pauseMs, pauseMsMax: this.pauseMsMax }
    this.count = 0
    this.pauseMs = 0
    this.pauseMsMax = 0
    return summary
  }

  stop(): void {
    this.observer.disconnect()
  }
}

/** Reads what each worker has done since the last reading; one that is seen for the first time, since its start. */
function workerReader(list: () => readonly WorkerGauge[]): () => WorkerSample[] {
  let before = new Map<WorkerGauge['performance'], LoopUtilization>()
  return () => {
    const now = new Map<WorkerGauge['performance'], LoopUtilization>()
    const samples = list().map(({ name, performance: gauge }): WorkerSample => {
      try {
        const total = gauge.eventLoopUtilization()
        now.set(gauge, total)
        const last = before.get(gauge) ?? { idle: 0, active: 0 }
        const active = total.active - last.active
        const all = active + total.idle - last.idle
        return { name, loopUtilization: all > 0 ? active / all : 0 }
      } catch {
        return { name, loopUtilization: undefined }
      }
    })
    before = now
    return samples
  }
}
