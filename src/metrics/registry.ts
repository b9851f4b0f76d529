/**
 * Where everything that a run counts is read: whoever has counters registers how to tell of them, and is asked when somebody
 * wants to know.
 *
 * Counters are plain number fields of plain objects. Whoever counts writes `counters.dropped += 1` and knows nothing of this
 * file; so a counter on the hot path costs one addition, and what is never read costs nothing more. Names, units and meanings
 * stand in `catalogue.ts`, and nothing else can be told.
 */
import { Fault } from '../model/fault'
import { CATALOGUE, type MetricName } from './catalogue'
import type { LatencyHistogram } from './histogram'
import type { MetricFamily, MetricSample } from './metric'
import type { UserMetrics } from './userMetrics'

export type Labels = Readonly<Record<string, string>>

/** Tells what it has counted, as it stands now. Must be quick, and change nothing. */
export type Teller = (reading: Reading) => void

/** Which metric each field of an object of counters is. */
export type Fields<T> = Readonly<Record<keyof T, MetricName>>

const NAMES = Object.keys(CATALOGUE) as readonly MetricName[]

/** What is told while somebody reads. */
export class Reading {
  private readonly samples = new Map<MetricName, MetricSample[]>()

  /** Of a counter or gauge. Undefined is not told: nobody knows it. */
  tell(name: MetricName, labels: Labels, value: number | undefined): void {
    if (value !== undefined) this.of(name).push({ labels, value })
  }

  /** The fields of an object of counters. */
  tellFields<F extends string>(
    fields: Readonly<Record<F, MetricName>>,
    labels: Labels,
    counters: Readonly<Record<F, number>>,
  ): void {
    for (const field in fields) this.of(fields[field]).push({ labels, value: counters[field] })
  }

  /** Of a histogram. */
  tellLatency(name: MetricName, labels: Labels, latencies: LatencyHistogram): void {
    this.of(name).push({ labels, value: latencies.count, distribution: latencies.distribution() })
  }

  /** All that was told, in the order of the catalogue. */
  families(): MetricFamily[] {
    const families: MetricFamily[] = []
    for (const name of NAMES) {
      const samples = this.samples.get(name)
      if (samples === undefined) continue
      const { kind, unit, meaning } = CATALOGUE[name]
      families.push({ name, kind, unit, meaning, samples })
    }
    return families
  }

  private of(name: MetricName): MetricSample[] {
    const known = this.samples.get(name)
    if (known !== undefined) return known
    const samples: MetricSample[] = []
    this.samples.set(name, samples)
    return samples
  }
}

export class MetricRegistry {
  private readonly tellers = new Set<Teller>()
  private readonly mute = new Set<Teller>()

  /**
   * @param own       metrics of the pipeline itself, told after those of millrace
   * @param onFault   told once of each teller that throws; the others are heard all the same
   * @param capacity  how many may be registered at once; more is a fault, because a leak would look like this
   */
  constructor(
    private readonly own: UserMetrics,
    private readonly onFault: (fault: Fault) => void,
    private readonly capacity = 1_000,
  ) {}

  /**
   * Has `teller` asked whenever somebody reads, until the returned function is called.
   *
   * @throws `Fault` OPTION_INVALID when the registry is full
   */
  register(teller: Teller): () => void {
    if (this.tellers.size >= this.capacity) {
      throw new Fault(
        'OPTION_INVALID',
        `The registry of metrics is full: ${this.capacity} tell already. Take out what has ended.`,
        { capacity: this.capacity },
      )
    }
    this.tellers.add(teller)
    return () => {
      this.tellers.delete(teller)
      this.mute.delete(teller)
    }
  }

  /** Everything as it stands now: one family for each metric that there is something to tell of. */
  read(): MetricFamily[] {
    const reading = new Reading()
    for (const teller of this.tellers) {
      try {
        teller(reading)
      } catch (cause) {
        this.failed(teller, cause)
      }
    }
    this.own.tell(reading)
    return [...reading.families(), ...this.own.families()]
  }

  private failed(teller: Teller, cause: unknown): void {
    if (this.mute.has(teller)) return
    this.mute.add(teller)
    const said = cause instanceof Error ? cause.message : String(cause)
    const message = `A part of the metrics cannot be told: ${said}. The others are.`
    this.onFault(new Fault('STAGE_FAILED', message, {}, { cause }))
  }
}
