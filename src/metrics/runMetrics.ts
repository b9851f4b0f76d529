import { Observable } from 'rxjs'
import { every } from '../clock/clock'
import { currentWaits } from '../clock/currentClock'
import { Fault } from '../model/fault'
import { currentMetrics } from './currentMetrics'
import type { MetricFamily, MetricSample } from './metric'

/** What a metric says at one moment. */
export interface MetricRow {
  /** Of the machine, also on a replay: the same in all rows of a reading. */
  readonly timeUs: number
  /** Of a histogram with what is told of it behind: `latency.receive_to_sink.p99`, also `.count`, `.sum`, `.p50` and `.max`. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly unit: string
}

export interface RunMetricsOptions {
  readonly everyMs: number
  /** Names of metrics, or of whole groups (`edge`), that are told; default all. */
  readonly only?: readonly string[]
}

/**
 * The metrics of the run that it is a source of, as a stream like any other.
 *
 *     const metrics = source('metrics', runMetrics({ everyMs: 1_000, only: ['edge', 'latency'] }), { capacity: 10_000, onFull: 'dropOldest' })
 *     sink(metrics, jsonLines('out/metrics.jsonl'), { capacity: 100_000, onFull: 'dropOldest' })
 *
 * Emits      one batch of rows an interval, on multiples of it by the machine's clock, also on a replay
 * Completes  never; the run leaves it
 * Errors     OPTION_INVALID where it is no source of a pipeline: there is nothing to read then
 * Holds      one timer
 */
export function runMetrics({ everyMs, only }: RunMetricsOptions): Observable<readonly MetricRow[]> {
  if (!(everyMs >= 1 && everyMs < Infinity)) {
    throw new Fault('OPTION_INVALID', `runMetrics has everyMs = ${everyMs}: it should be 1 or more milliseconds.`, {
      everyMs,
    })
  }
  if (only !== undefined && !(Array.isArray(only) && only.every((name) => typeof name === 'string'))) {
    throw new Fault(
      'OPTION_INVALID',
      'runMetrics has an `only` that is no list of names: give such as ["edge", "run.faults"].',
    )
  }
  const rows = new Observable<readonly MetricRow[]>((out) => {
    const read = currentMetrics()?.read
    if (read === undefined) {
      const message = 'runMetrics is a source of a pipeline: outside of a run there is nothing to read.'
      out.error(new Fault('OPTION_INVALID', message))
      return undefined
    }
    const timer = every(currentWaits(), everyMs, (timeUs) => {
      const batch = rowsOf(read(), timeUs, only)
      if (batch.length > 0) out.next(batch)
    })
    return () => timer.cancel()
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(rows, { cannotPause: true })
}

/** What a reading says, row by row. */
export function rowsOf(families: readonly MetricFamily[], timeUs: number, only?: readonly string[]): MetricRow[] {
  const rows: MetricRow[] = []
  for (const family of families) {
    if (only !== undefined && !only.some((name) => isOf(family.name, name))) continue
    for (const sample of family.samples) {
      if (family.kind === 'histogram') rows.push(...rowsOfHistogram(family, sample, timeUs))
      else rows.push({ timeUs, name: family.name, labels: sample.labels, value: sample.value, unit: family.unit })
    }
  }
  return rows
}

function rowsOfHistogram({ name, unit }: MetricFamily, sample: MetricSample, timeUs: number): MetricRow[] {
  const { labels, value, distribution } = sample
  const { sum = 0, percentiles } = distribution ?? {}
  return [
    { timeUs, name: `${name}.count`, labels, value, unit: 'values' },
    { timeUs, name: `${name}.sum`, labels, value: sum, unit },
    ...Object.entries(percentiles ?? {}).map(([what, at]) => ({
      timeUs,
      name: `${name}.${what}`,
      labels,
      value: at,
      unit,
    })),
  ]
}

function isOf(name: string, wanted: string): boolean {
  return name === wanted || name.startsWith(`${wanted}.`)
}
