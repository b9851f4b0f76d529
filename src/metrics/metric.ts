/**
 * The words of measuring: what a metric is called, what it counts, and what it says at one moment.
 *
 * A name is `<group>.<what>`: `edge.received`, `feed.bytes`. Its unit stands beside it and is no part of it; exporters put
 * both together by the conventions of those who read them. A reading is plain data: whoever has it holds on to nothing.
 */

/**
 * counter    only grows, from 0 at the start of the run
 * gauge      goes up and down
 * histogram  how often each size of a value was met
 */
export type MetricKind = 'counter' | 'gauge' | 'histogram'

export interface MetricSpec {
  readonly kind: MetricKind
  /** What is counted, in the plural (`values`, `bytes`), or the unit of what is measured: `us`, `ms`, `percent`, `ratio`. */
  readonly unit: string
  /** One line. */
  readonly meaning: string
}

/** A metric and all that it says now: one sample for each set of labels. */
export interface MetricFamily extends MetricSpec {
  readonly name: string
  readonly samples: readonly MetricSample[]
}

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>
  /** Of a counter or gauge; of a histogram the number of values. */
  readonly value: number
  /** Of a histogram alone. */
  readonly distribution?: MetricDistribution
}

export interface MetricDistribution {
  /** Of all values together, in the unit of the metric. */
  readonly sum: number
  /** Values up to and including `upTo`, those of the buckets before among them; the last bucket is up to Infinity. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[]
  /** Where they are known better than by the buckets. All zero while there is no value. */
  readonly percentiles?: { readonly p50: number; readonly p99: number; readonly max: number }
}
