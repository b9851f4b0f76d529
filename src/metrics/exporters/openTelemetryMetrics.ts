/**
 * Metrics of a run as instruments of OpenTelemetry, read when the SDK collects: nothing is done in between.
 *
 * Names    `edge.received` is `millrace.edge.received`
 * Units    those of UCUM in which semantic conventions count: `s`, `By`, `1`, and `{values}` for what is counted
 * Kinds    a counter and a gauge are what they are called. A histogram is three counters, because the API observes none:
 *          `.count`, `.sum`, and `.bucket` by `le`, as Prometheus has them
 * End      the last state is collected once more after the end; then the instruments are let go
 */
import type { Clock } from '../../clock/clock'
import type { MetricFamily, MetricSample } from '../metric'
import type { InstrumentOptions, Meter, ObservableCallback, ObservableInstrument } from './openTelemetryApi'

export interface ObservedRun {
  metrics(): readonly MetricFamily[]
}

export interface OpenTelemetryMetrics {
  /** The run has ended: what it says now is its last. */
  end(): void
}

export interface OpenTelemetryMetricsOptions {
  readonly run: ObservedRun
  readonly meter: Meter
  readonly clock: Clock
  /** The run could not be read. Told once. */
  readonly onFailed: (thrown: unknown) => void
}

export function openTelemetryMetrics(options: OpenTelemetryMetricsOptions): OpenTelemetryMetrics {
  const bridge = new Bridge(options)
  bridge.read()
  return { end: () => bridge.end() }
}

/** One collection calls every instrument: they share a reading that is not older than this. */
const SHARED_MS = 50

/** Metrics of a run that are observed; what comes beyond is left out, and told. */
const FAMILIES_MAX = 2_000

interface Observed {
  readonly instrument: ObservableInstrument
  readonly callback: ObservableCallback
}

class Bridge {
  private families: ReadonlyMap<string, MetricFamily> = new Map()
  private readUs = -Infinity
  private readonly observed = new Map<string, Observed[]>()
  private hasFailed = false
  private state: 'running' | 'ended' | 'told' | 'over' = 'running'

  constructor(private readonly options: OpenTelemetryMetricsOptions) {
    const instrument = options.meter.createObservableGauge('millrace.metrics', {
      description: 'metrics of the run, each of which has its instrument from the next collection on',
      unit: '{metrics}',
    })
    // It is called also while there is nothing else to call: a run that has not begun counts nothing.
    const callback: ObservableCallback = (result) => {
      const { size } = this.read()
      if (this.state !== 'over') result.observe(size, {})
    }
    instrument.addCallback(callback)
    this.observed.set('', [{ instrument, callback }])
  }

  /** Reads the run, unless that was done just now; what is new gets its instruments, and is observed from the next time on. */
  read(): ReadonlyMap<string, MetricFamily> {
    const { run, clock } = this.options
    const nowUs = clock.nowUs()
    if (nowUs - this.readUs < SHARED_MS * 1_000) return this.families
    this.readUs = nowUs
    if (this.state === 'told') this.letGo()
    if (this.state === 'ended') this.state = 'told'
    if (this.state !== 'running') return this.families
    try {
      this.families = new Map(run.metrics().map((family) => [family.name, family]))
      for (const family of this.families.values()) if (!this.observed.has(family.name)) this.observe(family)
    } catch (thrown) {
      this.failed(thrown)
    }
    return this.families
  }

  end(): void {
    if (this.state !== 'running') return
    this.readUs = -Infinity
    this.read()
    this.readUs = -Infinity
    this.state = 'ended'
  }

  private failed(thrown: unknown): void {
    if (this.hasFailed) return
    this.hasFailed = true
    this.options.onFailed(thrown)
  }

  private observe(family: MetricFamily): void {
    if (this.observed.size >= FAMILIES_MAX) {
      this.failed(new RangeError(`it has more than ${FAMILIES_MAX} metrics, of which the further ones are left out`))
      return
    }
    const samples = (): readonly MetricSample[] => this.read().get(family.name)?.samples ?? []
    const made = instrumentsOf(family).map(({ isGauge, name, options, tell }): Observed => {
      const { meter } = this.options
      const instrument = isGauge
        ? meter.createObservableGauge(name, options)
        : meter.createObservableCounter(name, options)
      const callback: ObservableCallback = (result) => {
        for (const sample of samples()) tell(sample, result)
      }
      instrument.addCallback(callback)
      return { instrument, callback }
    })
    this.observed.set(family.name, made)
  }

  private letGo(): void {
    for (const each of this.observed.values()) {
      for (const { instrument, callback } of each) instrument.removeCallback(callback)
    }
    this.observed.clear()
    this.state = 'over'
    this.families = new Map()
  }
}

interface InstrumentOfFamily {
  readonly isGauge: boolean
  readonly name: string
  readonly options: InstrumentOptions
  readonly tell: (sample: MetricSample, result: Parameters<ObservableCallback>[0]) => void
}

function instrumentsOf(family: MetricFamily): InstrumentOfFamily[] {
  const { kind, meaning: description } = family
  const name = nameOf(family.name)
  const { unit, divisor } = unitOf(family.unit)
  if (kind !== 'histogram') {
    const tell: InstrumentOfFamily['tell'] = ({ value, labels }, result) => result.observe(value / divisor, labels)
    return [{ isGauge: kind === 'gauge', name, options: { description, unit }, tell }]
  }
  const part = (
    suffix: string,
    ofWhat: string,
    inUnit: string,
    tell: InstrumentOfFamily['tell'],
  ): InstrumentOfFamily => ({
    isGauge: false,
    name: name + suffix,
    options: { description: `${description} (${ofWhat})`, unit: inUnit },
    tell,
  })
  return [
    part('.count', 'how many', '1', ({ value, labels }, result) => result.observe(value, labels)),
    part('.sum', 'of all together', unit, ({ distribution, labels }, result) => {
      if (distribution !== undefined) result.observe(distribution.sum / divisor, labels)
    }),
    part('.bucket', 'how many are up to `le`', '1', ({ value, distribution, labels }, result) => {
      for (const { upTo, count } of distribution?.buckets ?? []) {
        if (upTo !== Infinity) result.observe(count, { ...labels, le: String(upTo / divisor) })
      }
      result.observe(value, { ...labels, le: '+Inf' })
    }),
  ]
}

/** What the API takes for a name: letters, digits and `_.-/`, at most 255. */
function nameOf(name: string): string {
  return `millrace.${name.replace(/[^\w./-]+/g, '_')}`.slice(0, 200)
}

function unitOf(unit: string): { readonly unit: string; readonly divisor: number } {
  const measure = MEASURES.get(unit)
  if (measure !== undefined) return measure
  const [what, per] = unit.replace(/[{}]/g, '').slice(0, 50).split('/')
  return { unit: per === undefined ? `{${what}}` : `{${what}}/${per}`, divisor: 1 }
}

const MEASURES: ReadonlyMap<string, { readonly unit: string; readonly divisor: number }> = new Map([
  ['ns', { unit: 's', divisor: 1e9 }],
  ['us', { unit: 's', divisor: 1e6 }],
  ['ms', { unit: 's', divisor: 1e3 }],
  ['s', { unit: 's', divisor: 1 }],
  ['bytes', { unit: 'By', divisor: 1 }],
  ['percent', { unit: '1', divisor: 100 }],
  ['%', { unit: '1', divisor: 100 }],
  ['ratio', { unit: '1', divisor: 1 }],
  ['1', { unit: '1', divisor: 1 }],
])
