/**
 * A registry of counters: for each its name, unit and one line of meaning.
 *
 * Counters are plain number fields of plain objects. Whoever counts writes `counters.dropped += 1` and knows nothing of
 * this file; reading is the sampler's work, when it wants to. So a counter on the hot path costs one addition.
 */
import { Fault } from '../model/fault'

/** What every counter of an object says about itself. */
export type CounterSpecs<T> = Readonly<Record<keyof T, CounterSpec>>

export interface CounterSpec {
  /** What is counted, in the plural: `values`, `bytes`. */
  readonly unit: string
  /** One line. */
  readonly meaning: string
}

export interface CounterReading {
  /** `<group>.<field>`: `sink.written`. */
  readonly name: string
  /** Which of the group: `{ sink: 'bars' }`. */
  readonly labels: Readonly<Record<string, string>>
  readonly unit: string
  readonly meaning: string
  readonly value: number
}

export class CounterRegistry {
  private readonly registered = new Set<Registered>()

  /** @param capacity  how many objects may be registered at once; more is a fault, because a leak would look like this */
  constructor(private readonly capacity = 10_000) {}

  /** How many objects are registered. */
  get size(): number {
    return this.registered.size
  }

  /**
   * Makes the fields of `counters` readable under `group`, until the returned function is called.
   *
   * @throws `OPTION_INVALID` when the same group and labels are registered already, or the registry is full
   */
  register<T extends { readonly [K in keyof T]: number }>(
    group: string,
    labels: Readonly<Record<string, string>>,
    specs: CounterSpecs<T>,
    counters: T,
  ): () => void {
    const key = keyOf(group, labels)
    if (this.registered.size >= this.capacity) {
      throw new Fault(
        'OPTION_INVALID',
        `The counters of ${key} cannot be registered: the registry holds its ${this.capacity} objects already. Unregister what has ended.`,
        { group, capacity: this.capacity },
      )
    }
    for (const other of this.registered) {
      if (other.key === key) {
        throw new Fault(
          'OPTION_INVALID',
          `The counters of ${key} are registered already: give one of them another label.`,
          {
            group,
          },
        )
      }
    }
    const fields = (Object.keys(specs) as (keyof T & string)[]).map((field) => ({
      name: `${group}.${field}`,
      spec: specs[field],
      read: () => counters[field],
    }))
    const entry: Registered = { key, labels: { ...labels }, fields }
    this.registered.add(entry)
    return () => void this.registered.delete(entry)
  }

  /** Every counter as it stands now, in order of registration. */
  read(): CounterReading[] {
    const readings: CounterReading[] = []
    for (const { labels, fields } of this.registered) {
      for (const { name, spec, read } of fields) {
        readings.push({ name, labels, unit: spec.unit, meaning: spec.meaning, value: read() })
      }
    }
    return readings
  }
}

interface Registered {
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  readonly fields: readonly { readonly name: string; readonly spec: CounterSpec; readonly read: () => number }[]
}

function keyOf(group: string, labels: Readonly<Record<string, string>>): string {
  const inner = Object.entries(labels)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    .sort()
    .join(', ')
  return inner === '' ? group : `${group} { ${inner} }`
}
