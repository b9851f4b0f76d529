/** The samples of the process as metrics: what the registry of a run, and exporters, read. */
import { GC_KINDS, type GcKind } from './gcPauses'
import type { MetricFamily, MetricSample, MetricSpec } from './metric'
import { processMetrics, type ProcessMetricsOptions } from './processMetrics'
import type { ProcessSample, WorkerSample } from './processSample'

/** All that is told of the process, its event loop, its collections and its workers, by name. */
export const PROCESS_METRICS = {
  'process.cpu': { kind: 'gauge', unit: 'percent', meaning: 'of one core, all threads, over the last interval' },
  'process.cpu_time': { kind: 'counter', unit: 'ms', meaning: 'processor time of all threads since the process began' },
  'process.rss': { kind: 'gauge', unit: 'bytes', meaning: 'resident memory of the process' },
  'process.heap_used': { kind: 'gauge', unit: 'bytes', meaning: 'live objects of the main thread, garbage included' },
  'process.heap_total': { kind: 'gauge', unit: 'bytes', meaning: 'memory that the main thread has for objects' },
  'process.external': { kind: 'gauge', unit: 'bytes', meaning: 'memory outside of the heap that objects hold' },
  'process.array_buffers': {
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'of that in array buffers, as of up to ten seconds ago',
  },
  'process.active': {
    kind: 'gauge',
    unit: 'resources',
    meaning: 'what keeps the process going, by type, as of up to ten seconds ago',
  },
  'process.sockets': { kind: 'gauge', unit: 'sockets', meaning: 'open WebSockets of feeds and sinks' },
  'process.unsent': { kind: 'gauge', unit: 'bytes', meaning: 'waiting in WebSockets for the other side to take them' },
  'process.unread': { kind: 'gauge', unit: 'bytes', meaning: 'received by WebSockets and not read yet' },
  'loop.utilization': {
    kind: 'gauge',
    unit: 'ratio',
    meaning: 'share of the last interval in which the loop was busy',
  },
  'loop.delay_p50': { kind: 'gauge', unit: 'ms', meaning: 'by which timers were late in the last interval, median' },
  'loop.delay_p90': { kind: 'gauge', unit: 'ms', meaning: 'by which timers were late in the last interval, p90' },
  'loop.delay_p99': { kind: 'gauge', unit: 'ms', meaning: 'by which timers were late in the last interval, p99' },
  'loop.delay_max': { kind: 'gauge', unit: 'ms', meaning: 'by which a timer was late in the last interval, at most' },
  'gc.collections': { kind: 'counter', unit: 'collections', meaning: 'garbage collections of the main thread' },
  'gc.pause': { kind: 'counter', unit: 'ms', meaning: 'for which collections held the main thread up' },
  'gc.pause_max': { kind: 'gauge', unit: 'ms', meaning: 'the longest pause of the last interval' },
  'worker.utilization': {
    kind: 'gauge',
    unit: 'ratio',
    meaning: 'share of the last interval in which the loop of the worker was busy',
  },
  'worker.cpu': { kind: 'gauge', unit: 'percent', meaning: 'of one core, the thread of the worker' },
  'worker.heap_used': { kind: 'gauge', unit: 'bytes', meaning: 'live objects of the worker, garbage included' },
  'worker.heap_total': { kind: 'gauge', unit: 'bytes', meaning: 'memory that the worker has for objects' },
  'worker.external': {
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'memory outside of the heap that objects of the worker hold',
  },
} as const satisfies Readonly<Record<string, MetricSpec>>

export type ProcessMetricName = keyof typeof PROCESS_METRICS

/** Kinds of resources told at most; of more, those there are most of. */
const RESOURCES_MAX = 32

/** Metrics of the samples that it is given: gauges of the latest, counters of all. */
export class ProcessFamilies {
  private latest: ProcessSample | undefined
  /** The latest that had it: a counter does not go away for a while. */
  private cpuTimeMs: number | undefined
  private readonly collections = new Map<GcKind, { count: number; pauseMs: number }>()

  take(sample: ProcessSample): void {
    this.latest = sample
    this.cpuTimeMs = sample.cpuTimeMs ?? this.cpuTimeMs
    for (const kind of GC_KINDS) {
      const { count, pauseMs } = sample.gc.byKind[kind]
      const before = this.collections.get(kind)
      this.collections.set(kind, { count: (before?.count ?? 0) + count, pauseMs: (before?.pauseMs ?? 0) + pauseMs })
    }
  }

  /** Empty before the first sample; a family without anything to say is left out. */
  read(): readonly MetricFamily[] {
    const { latest } = this
    if (latest === undefined) return []
    const values = this.valuesOf(latest)
    return Object.entries(PROCESS_METRICS).flatMap(([name, spec]): MetricFamily[] => {
      const samples = values[name as ProcessMetricName].filter(({ value }) => Number.isFinite(value))
      return samples.length === 0 ? [] : [{ name, ...spec, samples }]
    })
  }

  private valuesOf(sample: ProcessSample): Readonly<Record<ProcessMetricName, readonly MetricSample[]>> {
    const { loopDelayMs, sockets, gc, workers } = sample
    const ofGc = (value: (kind: GcKind) => number): MetricSample[] =>
      GC_KINDS.map((kind) => ({ labels: { kind }, value: value(kind) }))
    const ofWorkers = (value: (worker: WorkerSample) => number | undefined): MetricSample[] =>
      distinct(workers).map((worker) => ({ labels: { worker: worker.name }, value: value(worker) ?? NaN }))
    return {
      'process.cpu': one(sample.cpuPercent),
      'process.cpu_time': one(this.cpuTimeMs),
      'process.rss': one(sample.rssBytes),
      'process.heap_used': one(sample.heapUsedBytes),
      'process.heap_total': one(sample.heapTotalBytes),
      'process.external': one(sample.externalBytes),
      'process.array_buffers': one(sample.arrayBuffersBytes),
      'process.active': Object.entries(sample.activeResources)
        .sort(([, a], [, b]) => b - a)
        .slice(0, RESOURCES_MAX)
        .map(([type, value]) => ({ labels: { type }, value })),
      'process.sockets': one(sockets.count),
      'process.unsent': one(sockets.unsentBytes),
      'process.unread': one(sockets.unreadBytes),
      'loop.utilization': one(sample.loopUtilization),
      'loop.delay_p50': one(loopDelayMs.p50),
      'loop.delay_p90': one(loopDelayMs.p90),
      'loop.delay_p99': one(loopDelayMs.p99),
      'loop.delay_max': one(loopDelayMs.max),
      'gc.collections': ofGc((kind) => this.collections.get(kind)?.count ?? 0),
      'gc.pause': ofGc((kind) => this.collections.get(kind)?.pauseMs ?? 0),
      'gc.pause_max': ofGc((kind) => gc.byKind[kind].pauseMsMax),
      'worker.utilization': ofWorkers(({ loopUtilization }) => loopUtilization),
      'worker.cpu': ofWorkers(({ cpuPercent }) => cpuPercent),
      'worker.heap_used': ofWorkers(({ heapUsedBytes }) => heapUsedBytes),
      'worker.heap_total': ofWorkers(({ heapTotalBytes }) => heapTotalBytes),
      'worker.external': ofWorkers(({ externalBytes }) => externalBytes),
    }
  }
}

/** Samples the process from now on, for somebody who reads metrics now and then. */
export function processFamilies(options: ProcessMetricsOptions): ProcessFamiliesReader {
  const families = new ProcessFamilies()
  const samples = processMetrics(options).subscribe((sample) => families.take(sample))
  return { read: () => families.read(), stop: () => samples.unsubscribe() }
}

export interface ProcessFamiliesReader {
  /** Of the latest sample; empty before the first. */
  read(): readonly MetricFamily[]
  stop(): void
}

function one(value: number | undefined): readonly MetricSample[] {
  return value === undefined ? [] : [{ labels: {}, value }]
}

/** Names that somebody gave twice would be one metric with two values: the first has it. */
function distinct(workers: readonly WorkerSample[]): readonly WorkerSample[] {
  return [...new Map(workers.toReversed().map((worker) => [worker.name, worker])).values()].toReversed()
}
