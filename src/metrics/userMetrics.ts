/**
 * Metrics of a pipeline's own: what a quant counts and measures beside what millrace does.
 *
 *     const crossed = counter('spreads.crossed', { unit: 'quotes', meaning: 'quotes with a bid above the ask', labels: ['instrument'] })
 *     ...
 *     crossed.add(1, { instrument: quote.instrument })
 *
 * To be defined where a pipeline is described (in its `build`), or where an operator is subscribed to. They belong to that
 * run: they are in `RunHandle.metrics()`, in `runMetrics` and wherever else its metrics go. What was defined goes on through
 * restarts of its stage. Defined elsewhere, as in a test of an operator alone, they count all the same, and nobody reads them.
 *
 * Names    words of small letters, digits and `_`, with dots between them. One of millrace, or of another metric, is refused
 *          with a sentence; the same definition again is the same metric
 * Labels   their names are part of the definition; of their values {@link LABEL_SETS_MAX} sets have a cell of their own. What
 *          comes with others is counted together, under `(further)`, and told once: labels that never end would take all memory
 * Numbers  what is none is not counted, but how often is (`metrics.refused`)
 */
import { Fault } from '../model/fault'
import { OWN_GROUPS } from './catalogue'
import { currentMetrics } from './currentMetrics'
import type { MetricDistribution, MetricFamily, MetricKind, MetricSample } from './metric'
import type { Labels, Reading } from './registry'

export interface UserMetricOptions<L extends string = never> {
  /** What is counted, in the plural (`quotes`), or the unit of what is measured: `us`, `ms`, `bps`. */
  readonly unit: string
  /** One line. */
  readonly meaning: string
  /** Names of labels. */
  readonly labels?: readonly L[]
}

export interface UserHistogramOptions<L extends string = never> extends UserMetricOptions<L> {
  /** Upper bounds of the buckets, ascending. Default 1, 2 and 5 of each power of ten from a thousandth to a million. */
  readonly bounds?: readonly number[]
}

/** The labels that a metric was defined with; nothing where it has none. */
export type GivenLabels<L extends string> = [L] extends [never] ? [] : [labels: Readonly<Record<L, string>>]

/** Only grows. */
export interface Counter<L extends string = never> {
  /** @param by  0 or more; default 1 */
  add(by?: number, ...labels: GivenLabels<L>): void
}

/** Goes up and down. */
export interface Gauge<L extends string = never> {
  set(value: number, ...labels: GivenLabels<L>): void
}

/** How often each size of a value was met. */
export interface Histogram<L extends string = never> {
  record(value: number, ...labels: GivenLabels<L>): void
}

/** @throws `Fault` OPTION_INVALID when it cannot be; PIPELINE_INVALID with the other problems where a pipeline is described */
export function counter<const L extends string = never>(name: string, options: UserMetricOptions<L>): Counter<L> {
  return define('counter', name, options, (own) => new CounterMetric(own)) as Counter<L>
}

/** @throws as {@link counter} */
export function gauge<const L extends string = never>(name: string, options: UserMetricOptions<L>): Gauge<L> {
  return define('gauge', name, options, (own) => new GaugeMetric(own)) as Gauge<L>
}

/** @throws as {@link counter} */
export function histogram<const L extends string = never>(
  name: string,
  options: UserHistogramOptions<L>,
): Histogram<L> {
  const bounds = options.bounds ?? DEFAULT_BOUNDS
  return define('histogram', name, { ...options, bounds }, (own) => new HistogramMetric(own, bounds)) as Histogram<L>
}

/** Sets of label values that have a cell of their own, of one metric. */
export const LABEL_SETS_MAX = 1_000

const FURTHER = '(further)'
const METRICS_MAX = 1_000
const LABELS_MAX = 8
const LABEL_CHARACTERS_MAX = 200
const BOUNDS_MAX = 100
const DEFAULT_BOUNDS = Array.from(
  { length: 28 },
  (_, index) => [1, 2, 5][index % 3]! * 10 ** (Math.floor(index / 3) - 3),
)

type AnyMetric = CounterMetric | GaugeMetric | HistogramMetric

function define(
  kind: MetricKind,
  name: string,
  options: UserHistogramOptions<string>,
  make: (own: OwnMetric) => AnyMetric,
): AnyMetric {
  const inForce = currentMetrics()
  const spec: OwnSpec = {
    name,
    kind,
    unit: options.unit,
    meaning: options.meaning,
    labels: options.labels ?? [],
    bounds: options.bounds,
  }
  const problem = problemOf(spec)
  try {
    if (problem !== undefined) throw refusal(name, problem)
    return inForce === undefined ? make(new OwnMetric(spec)) : inForce.metrics.define(spec, inForce.owner, make)
  } catch (thrown) {
    if (!(thrown instanceof Fault) || inForce === undefined) throw thrown
    inForce.refused(thrown)
    // Whoever makes a note of it goes on, to find the other problems too.
    return make(new OwnMetric({ ...spec, labels: [] }))
  }
}

interface OwnSpec {
  readonly name: string
  readonly kind: MetricKind
  readonly unit: string
  readonly meaning: string
  readonly labels: readonly string[]
  readonly bounds: readonly number[] | undefined
}

interface Defined {
  readonly spec: OwnSpec
  readonly owner: string
  readonly metric: AnyMetric
}

/** All metrics of one pipeline's own. */
export class UserMetrics {
  /** By names in which dots are no different from `_`: there are exporters who write both alike. */
  private readonly defined = new Map<string, Defined>()
  private onFault: (fault: Fault) => void = () => undefined

  /** Has faults that come up while it counts told to `onFault`, each once for a metric. */
  listen(onFault: (fault: Fault) => void): void {
    this.onFault = onFault
  }

  /**
   * @param owner  who defines it: a gauge is set by one alone
   * @throws       `Fault` OPTION_INVALID for a name that another metric has, and when there are too many
   */
  define<M extends AnyMetric>(spec: OwnSpec, owner: string, make: (own: OwnMetric) => M): M {
    const key = spec.name.replaceAll('.', '_')
    const known = this.defined.get(key)
    if (known !== undefined) {
      if (!isSame(known.spec, spec)) {
        throw refusal(
          spec.name,
          `${known.spec.name} is defined already, ${where(known.owner)}, as another metric (a ${known.spec.kind} in ${known.spec.unit}). Choose another name`,
        )
      }
      if (spec.kind === 'gauge' && known.owner !== owner) {
        throw refusal(
          spec.name,
          `it is set ${where(known.owner)} already, and a gauge that two set says nothing. Choose another name`,
        )
      }
      return known.metric as M
    }
    if (this.defined.size >= METRICS_MAX) {
      throw refusal(spec.name, `there are ${METRICS_MAX} metrics already. Use labels for what is of one kind`)
    }
    const metric = make(new OwnMetric(spec, (fault) => this.onFault(fault)))
    this.defined.set(key, { spec, owner, metric })
    return metric
  }

  /** As they stand, in the order of their definition; those that there is nothing to tell of are left out. */
  families(): MetricFamily[] {
    return [...this.defined.values()].flatMap(({ spec: { name, kind, unit, meaning }, metric }) => {
      const samples = metric.samples()
      return samples.length === 0 ? [] : [{ name, kind, unit, meaning, samples }]
    })
  }

  /** What went wrong in counting. */
  tell(reading: Reading): void {
    for (const { spec, metric } of this.defined.values()) {
      const { overflowed, refused } = metric.own
      if (overflowed > 0) reading.tell('metrics.overflowed', { metric: spec.name }, overflowed)
      if (refused > 0) reading.tell('metrics.refused', { metric: spec.name }, refused)
    }
  }
}

/** What every metric has: its definition, and how much of what came could not be counted as it should. */
class OwnMetric {
  overflowed = 0
  refused = 0

  constructor(
    readonly spec: OwnSpec,
    private readonly onFault: (fault: Fault) => void = () => undefined,
  ) {}

  overflow(): void {
    if (this.overflowed++ > 0) return
    const { name, labels } = this.spec
    const message = `The metric ${name} has met more than ${LABEL_SETS_MAX} sets of ${labels.join(', ')}: further ones are counted together, as ${FURTHER}. Labels are for what there are few of.`
    this.onFault(new Fault('OPTION_INVALID', message, { metric: name, capacity: LABEL_SETS_MAX }))
  }

  refuse(value: number): void {
    if (this.refused++ > 0) return
    const { name, kind } = this.spec
    const why = typeof value === 'number' && value < 0 ? `a counter only grows` : `that is no number to count with`
    const message = `The ${kind} ${name} was given ${String(value)}: ${why}. It was left out, as others like it will be.`
    this.onFault(new Fault('OPTION_INVALID', message, { metric: name }))
  }
}

class CounterMetric implements Counter<string> {
  private readonly cells: Cells<{ value: number }>

  constructor(readonly own: OwnMetric) {
    this.cells = new Cells(own, () => ({ value: 0 }))
    if (own.spec.labels.length === 0) this.cells.of(undefined)
  }

  add(by = 1, labels?: Labels): void {
    if (by >= 0 && by < Infinity) this.cells.of(labels).value += by
    else this.own.refuse(by)
  }

  samples(): MetricSample[] {
    return this.cells.samples(({ value }) => ({ value }))
  }
}

class GaugeMetric implements Gauge<string> {
  private readonly cells: Cells<{ value: number }>

  constructor(readonly own: OwnMetric) {
    this.cells = new Cells(own, () => ({ value: 0 }))
  }

  set(value: number, labels?: Labels): void {
    if (Number.isFinite(value)) this.cells.of(labels).value = value
    else this.own.refuse(value)
  }

  samples(): MetricSample[] {
    return this.cells.samples(({ value }) => ({ value }))
  }
}

class HistogramMetric implements Histogram<string> {
  private readonly cells: Cells<SizeCounts>

  constructor(
    readonly own: OwnMetric,
    private readonly bounds: readonly number[],
  ) {
    this.cells = new Cells(own, () => ({ count: 0, sum: 0, counts: new Float64Array(bounds.length) }))
  }

  record(value: number, labels?: Labels): void {
    if (!Number.isFinite(value)) {
      this.own.refuse(value)
      return
    }
    const cell = this.cells.of(labels)
    cell.count++
    cell.sum += value
    const bucket = this.bounds.findIndex((bound) => value <= bound)
    if (bucket >= 0) cell.counts[bucket]! += 1
  }

  samples(): MetricSample[] {
    return this.cells.samples((cell) => ({ value: cell.count, distribution: this.distributionOf(cell) }))
  }

  private distributionOf({ count, sum, counts }: SizeCounts): MetricDistribution {
    let upToHere = 0
    const buckets = this.bounds.map((upTo, index) => ({ upTo, count: (upToHere += counts[index]!) }))
    return { sum, buckets: [...buckets, { upTo: Infinity, count }] }
  }
}

interface SizeCounts {
  count: number
  sum: number
  /** By bound; what is above the last is in `count` alone. */
  readonly counts: Float64Array
}

/** The cells of a metric, by their labels. */
class Cells<C> {
  private readonly cells = new Map<string, { readonly labels: Labels; readonly cell: C }>()
  private further: { readonly labels: Labels; readonly cell: C } | undefined

  constructor(
    private readonly own: OwnMetric,
    private readonly make: () => C,
  ) {}

  of(labels: Labels | undefined): C {
    const { labels: names } = this.own.spec
    const key = names.length === 0 ? '' : keyOf(names, labels)
    const known = this.cells.get(key)
    if (known !== undefined) return known.cell
    if (this.cells.size >= LABEL_SETS_MAX) {
      this.own.overflow()
      this.further ??= { labels: labelled(names, () => FURTHER), cell: this.make() }
      return this.further.cell
    }
    const made = { labels: labelled(names, (name) => textOf(labels, name)), cell: this.make() }
    this.cells.set(key, made)
    return made.cell
  }

  samples(read: (cell: C) => Omit<MetricSample, 'labels'>): MetricSample[] {
    const all = this.further === undefined ? this.cells.values() : [...this.cells.values(), this.further]
    return Array.from(all, ({ labels, cell }) => ({ labels, ...read(cell) }))
  }
}

/** Lengths keep values apart whatever they hold. */
function keyOf(names: readonly string[], labels: Labels | undefined): string {
  if (names.length === 1) return textOf(labels, names[0]!)
  let key = ''
  for (const name of names) {
    const text = textOf(labels, name)
    key += `${text.length} ${text}`
  }
  return key
}

/** Plain JavaScript may leave labels out, or give anything for one. */
function textOf(labels: Labels | undefined, name: string): string {
  const value: unknown = labels?.[name]
  const text = typeof value === 'string' ? value : value === undefined ? '' : String(value as number)
  return text.length > LABEL_CHARACTERS_MAX ? text.slice(0, LABEL_CHARACTERS_MAX) : text
}

function labelled(names: readonly string[], value: (name: string) => string): Labels {
  return Object.fromEntries(names.map((name) => [name, value(name)]))
}

const NAME = /^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*$/
const LABEL = /^[a-z][a-z0-9_]*$/
/** They have a meaning of their own for those who read. */
const RESERVED_LABELS: ReadonlySet<string> = new Set(['le', 'quantile', 'job', 'instance'])

/** What is wrong with a definition, the end of a sentence; plain JavaScript may pass anything. */
function problemOf({ name, unit, meaning, labels, bounds }: OwnSpec): string | undefined {
  if (typeof name !== 'string' || name.length > 100 || !NAME.test(name)) {
    return 'a name is words of small letters, digits and _ with dots between them, such as spreads.crossed'
  }
  const [group] = name.split('.') as [string]
  if (OWN_GROUPS.has(group)) {
    return `what begins with ${group} is counted by millrace itself. Choose another name`
  }
  if (typeof unit !== 'string' || unit.trim() === '' || unit.length > 32) {
    return "it needs a unit: what is counted, in the plural ('quotes'), or what it is measured in ('us')"
  }
  if (typeof meaning !== 'string' || meaning.trim() === '' || /[\n\r]/.test(meaning) || meaning.length > 300) {
    return 'it needs a meaning: one line for those who read it'
  }
  if (!Array.isArray(labels) || labels.length > LABELS_MAX || new Set(labels).size < labels.length) {
    return `its labels are a list of up to ${LABELS_MAX} different names`
  }
  const label = labels.find(
    (each: unknown) => typeof each !== 'string' || !LABEL.test(each) || RESERVED_LABELS.has(each),
  )
  if (label !== undefined) {
    return `${JSON.stringify(label)} cannot be a label: one is a word of small letters, digits and _, and not ${[...RESERVED_LABELS].join(', ')}`
  }
  if (bounds === undefined) return undefined
  const areBounds =
    Array.isArray(bounds) &&
    bounds.length >= 1 &&
    bounds.length <= BOUNDS_MAX &&
    bounds.every(
      (bound: unknown, index) => Number.isFinite(bound) && (index === 0 || bounds[index - 1]! < (bound as number)),
    )
  return areBounds ? undefined : `its bounds are 1 to ${BOUNDS_MAX} numbers, each above the one before`
}

function refusal(name: string, problem: string): Fault {
  const shown = typeof name === 'string' ? name : JSON.stringify(name)
  return new Fault('OPTION_INVALID', `The metric ${shown} cannot be defined: ${problem}.`, { metric: shown })
}

function where(owner: string): string {
  return owner === '' ? 'in the pipeline' : `by ${owner}`
}

function isSame(one: OwnSpec, other: OwnSpec): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
