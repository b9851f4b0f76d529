/** The samples of the process as metrics: what the registry of a run, and exporters, read. */
import { GC_KINDS, type GcKind } from './gcPauses'
import { PROCESS_METRICS } from './catalogue'
import type { MetricFamily, MetricSample } from './metric'
import { processMetrics, type ProcessMetricsOptions } from './processMetrics'
import type { ProcessSample, WorkerSample } from './processSample'

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
