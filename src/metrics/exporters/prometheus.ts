/**
 * Metrics as the text that Prometheus reads.
 *
 * Formats  text 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics 1.0
 *          (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md); read 2026-08-24
 * Names    group, name, unit, and `_total` where it only grows: `stage.busy` in us is `millrace_stage_busy_seconds_total`. What
 *          is counted is named where a counter's name does not say it: `edge.received` in values is
 *          `millrace_edge_received_values_total`, `feed.frames` in frames `millrace_feed_frames_total`
 * Units    the base units that Prometheus asks for: times in seconds, percents as ratios
 *
 * Nothing that comes in makes a text that Prometheus refuses: names are made valid, labels are escaped, two metrics that
 * would have one name are told apart (`_2`), and of samples with the same labels the first is given.
 */
import type { MetricFamily, MetricSample } from '../metric'

export type PrometheusFormat = 'text' | 'openMetrics'

export const CONTENT_TYPES: Readonly<Record<PrometheusFormat, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openMetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** The whole text at once. */
export function prometheusText(families: readonly MetricFamily[], format: PrometheusFormat = 'text'): string {
  let text = ''
  for (const piece of prometheusPieces(families, format)) text += piece
  return text
}

/**
 * The text in pieces of about `PIECE_LINES` lines, each of which costs the event loop a small part of a millisecond: whoever
 * has many series makes one a turn.
 */
export function* prometheusPieces(
  families: readonly MetricFamily[],
  format: PrometheusFormat = 'text',
): Generator<string, void, undefined> {
  let lines: string[] = []
  // The same object stands in many families, and its text is dear.
  const texts = new Map<MetricSample['labels'], string>()
  for (const family of named(families)) {
    lines.push(...headOf(family, format))
    const seen = new Set<string>()
    for (const sample of family.samples) {
      let labels = texts.get(sample.labels)
      if (labels === undefined) texts.set(sample.labels, (labels = labelsOf(sample.labels)))
      if (seen.has(labels)) continue
      seen.add(labels)
      writeSample(lines, family, sample, labels)
      if (lines.length < PIECE_LINES) continue
      yield `${lines.join('\n')}\n`
      lines = []
    }
  }
  if (format === 'openMetrics') lines.push('# EOF')
  if (lines.length > 0) yield `${lines.join('\n')}\n`
}

/** The format that a scraper would rather have. What it does not name it does not want; what names nothing gets text. */
export function formatFor(accept: string | undefined): PrometheusFormat {
  let best: PrometheusFormat = 'text'
  let bestWeight = 0
  for (const range of (accept ?? '').split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const format = FORMATS.get(type!)
    const said = (name: string): string | undefined =>
      parameters.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
    if (format === undefined || (format === 'openMetrics' && (said('version') ?? '1.0.0') !== '1.0.0')) continue
    const weight = Number(said('q') ?? 1)
    if (weight > bestWeight) [best, bestWeight] = [format, weight]
  }
  return best
}

const FORMATS: ReadonlyMap<string, PrometheusFormat> = new Map([
  ['application/openmetrics-text', 'openMetrics'],
  ['text/plain', 'text'],
  ['text/*', 'text'],
  ['*/*', 'text'],
])

const PIECE_LINES = 256

/** A metric under the name that Prometheus knows it by. */
interface NamedFamily extends FamilyName {
  readonly meaning: string
  readonly samples: readonly MetricSample[]
}

interface FamilyName {
  /** Without `_total`. */
  readonly name: string
  readonly kind: MetricFamily['kind']
  /** The word of the unit at the end of the name; empty where it has none. */
  readonly unit: string
  /** What a value is divided by to be in the base unit. */
  readonly divisor: number
}

/** Families with names that are valid and each its own; those of the same metric are made one. */
function named(families: readonly MetricFamily[]): NamedFamily[] {
  const sameMetric = new Map<string, MetricFamily[]>()
  for (const family of families) {
    const key = `${family.kind} ${family.name.length} ${family.name} ${family.unit}`
    const others = sameMetric.get(key)
    if (others === undefined) sameMetric.set(key, [family])
    else others.push(family)
  }
  const metrics = [...sameMetric.values()]
  const names = namesOf(metrics.map(([first]) => first!))
  return metrics.map((parts, index) => ({
    ...names[index]!,
    meaning: parts[0]!.meaning,
    samples: parts.length === 1 ? parts[0]!.samples : parts.flatMap(({ samples }) => samples),
  }))
}

type Unnamed = Pick<MetricFamily, 'name' | 'kind' | 'unit'>

/** What was named last, and how: whoever reads metrics reads the same ones again and again. */
let lastNamed: { readonly metrics: readonly Unnamed[]; readonly names: readonly FamilyName[] } = {
  metrics: [],
  names: [],
}

/** Names of different metrics, each its own. */
function namesOf(metrics: readonly Unnamed[]): readonly FamilyName[] {
  const { metrics: before } = lastNamed
  if (metrics.length === before.length && metrics.every((metric, index) => isSame(metric, before[index]!))) {
    return lastNamed.names
  }
  const taken = new Set<string>()
  const names = metrics.map(({ name, kind, unit }): FamilyName => {
    const base = baseUnitOf(unit)
    return {
      name: claim(taken, prometheusName(name, kind, base), kind),
      kind,
      unit: base.word,
      divisor: base.divisor,
    }
  })
  lastNamed = { metrics: metrics.map(({ name, kind, unit }) => ({ name, kind, unit })), names }
  return names
}

function isSame(one: Unnamed, other: Unnamed): boolean {
  return one.name === other.name && one.kind === other.kind && one.unit === other.unit
}

/** The name of a metric for Prometheus, without `_total`. */
function prometheusName(name: string, kind: MetricFamily['kind'], { word, isMeasure }: BaseUnit): string {
  let words = wordsOf(name)
  if (kind === 'counter') words = words.replace(/(?:_total)+$/, '')
  // A plural at its end says what is counted; a participle does not.
  const saysIt = isMeasure
    ? words === word || words.endsWith(`_${word}`)
    : kind !== 'counter' || words.endsWith('s') || words.split('_').includes(word)
  if (word !== '' && !saysIt) words = words === '' ? word : `${words}_${word}`
  // At the end of a name these have a meaning of their own.
  if (/(?:^|_)(?:total|sum|count|bucket|created|info)$/.test(words)) words += '_value'
  return words === '' ? 'millrace_unnamed' : `millrace_${words}`
}

/** Takes a name with all the names that its samples have, and a number where one of them is had by another metric. */
function claim(taken: Set<string>, wanted: string, kind: MetricFamily['kind']): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}_${number}`
    const names = [name, ...SUFFIXES[kind].map((suffix) => name + suffix)]
    if (names.some((each) => taken.has(each))) continue
    for (const each of names) taken.add(each)
    return name
  }
}

/** Of the samples of each kind. */
const SUFFIXES = {
  counter: ['_total', '_created'],
  gauge: [],
  histogram: ['_bucket', '_sum', '_count', '_created'],
} as const

function headOf({ name, kind, unit, meaning }: NamedFamily, format: PrometheusFormat): string[] {
  const isOpen = format === 'openMetrics'
  const family = kind === 'counter' && !isOpen ? `${name}_total` : name
  const lines = [`# HELP ${family} ${escapedHelp(meaning, isOpen)}`, `# TYPE ${family} ${kind}`]
  if (isOpen && name.endsWith(`_${unit}`)) lines.push(`# UNIT ${family} ${unit}`)
  return lines
}

function writeSample(lines: string[], family: NamedFamily, sample: MetricSample, labels: string): void {
  const { name, kind, divisor } = family
  if (kind !== 'histogram') {
    const value = numberOf(sample.value / divisor)
    lines.push(`${kind === 'counter' ? `${name}_total` : name}${braced(labels)} ${value}`)
    return
  }
  const bucket = `${name}_bucket{${labels === '' ? '' : `${labels},`}le="`
  const count = numberOf(sample.value)
  let below = -Infinity
  let least = 0
  for (const { upTo, count: within } of sample.distribution?.buckets ?? []) {
    const bound = upTo / divisor
    if (!(bound > below) || bound === Infinity) continue
    below = bound
    least = Math.max(least, Math.min(within, sample.value))
    lines.push(`${bucket}${boundOf(bound)}"} ${numberOf(least)}`)
  }
  lines.push(`${bucket}+Inf"} ${count}`)
  lines.push(`${name}_sum${braced(labels)} ${numberOf((sample.distribution?.sum ?? NaN) / divisor)}`)
  lines.push(`${name}_count${braced(labels)} ${count}`)
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}

/** In the order of the sample's own labels. */
function labelsOf(labels: MetricSample['labels']): string {
  const all = Object.keys(labels)
  if (all.length === 1) return `${labelName(all[0]!)}="${escapedValue(labels[all[0]!]!)}"`
  const names: string[] = []
  let text = ''
  for (const label of all) {
    let name = labelName(label)
    for (let number = 2; names.includes(name); number++) name = `${labelName(label)}_${number}`
    names.push(name)
    text += `${text === '' ? '' : ','}${name}="${escapedValue(labels[label]!)}"`
  }
  return text
}

function labelName(label: string): string {
  const known = LABEL_NAMES.get(label)
  if (known !== undefined) return known
  const words = wordsOf(label)
  const isTaken = words === 'le' || words === 'quantile' || /^\d/.test(words)
  const name = words === '' ? 'unnamed' : isTaken ? `label_${words}` : words
  if (LABEL_NAMES.size < LABEL_NAMES_MAX) LABEL_NAMES.set(label, name)
  return name
}

/** Labels are few, and each is met thousands of times. */
const LABEL_NAMES = new Map<string, string>()
const LABEL_NAMES_MAX = 1_000

/** `lastFrameAge` and `last-frame.age` as `last_frame_age`. */
function wordsOf(name: string): string {
  return name
    .slice(0, NAME_LENGTH_MAX)
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z\d]+/g, '_')
    .replace(/^_+|_+$/g, '')
}

const NAME_LENGTH_MAX = 200

/** The unit that Prometheus wants, as a word of a name. */
interface BaseUnit {
  readonly word: string
  /** What a value is divided by to be in it. */
  readonly divisor: number
  /** Else it is the word for what is counted. */
  readonly isMeasure: boolean
}

function baseUnitOf(unit: string): BaseUnit {
  const measure = MEASURES.get(unit)
  if (measure !== undefined) return { ...measure, isMeasure: true }
  return { word: wordsOf(unit.replace('/s', '_per_second')), divisor: 1, isMeasure: unit.endsWith('/s') }
}

const MEASURES: ReadonlyMap<string, Pick<BaseUnit, 'word' | 'divisor'>> = new Map([
  ['bytes', { word: 'bytes', divisor: 1 }],
  ['ns', { word: 'seconds', divisor: 1e9 }],
  ['us', { word: 'seconds', divisor: 1e6 }],
  ['ms', { word: 'seconds', divisor: 1e3 }],
  ['s', { word: 'seconds', divisor: 1 }],
  ['percent', { word: 'ratio', divisor: 100 }],
  ['%', { word: 'ratio', divisor: 100 }],
  ['ratio', { word: 'ratio', divisor: 1 }],
  ['1', { word: '', divisor: 1 }],
])

function numberOf(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
}

/** The upper bound of a bucket: a number with a point in it, so that both formats name the same series. */
function boundOf(bound: number): string {
  const known = BOUND_TEXTS.get(bound)
  if (known !== undefined) return known
  const text = Number.isInteger(bound) && Math.abs(bound) < 1e15 ? bound.toFixed(1) : String(bound)
  if (BOUND_TEXTS.size < BOUND_TEXTS_MAX) BOUND_TEXTS.set(bound, text)
  return text
}

/** Bounds are few, and each stands in many series. */
const BOUND_TEXTS = new Map<number, string>()
const BOUND_TEXTS_MAX = 1_000

function escapedHelp(meaning: string, isOpen: boolean): string {
  const text = printable(meaning).replace(/\\/g, '\\\\').replace(/\n/g, '\\n')
  return isOpen ? text.replace(/"/g, '\\"') : text
}

function escapedValue(value: string): string {
  const text = typeof value === 'string' ? value : String(value)
  if (/^[\w :./,()>+-]*$/.test(text) && text.length <= VALUE_LENGTH_MAX) return text
  return printable(text.slice(0, VALUE_LENGTH_MAX)).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}

/** Of a label's value, in UTF-16 units: what is longer was not meant for people. */
const VALUE_LENGTH_MAX = 1_024

/** What no reader of a text expects: control characters, and halves of characters. */
function printable(text: string): string {
  return text.replace(/[\0-\x09\x0b-\x1f\x7f-\x9f]|\p{Surrogate}/gu, '\ufffd')
}
