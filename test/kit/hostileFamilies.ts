/**
 * Metrics that nobody should make: names, units, labels and numbers of any text and size.
 */
import * as fc from 'fast-check'
import type { MetricFamily, MetricKind } from '../../src/metrics/metric'

const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    ...['', 'le', '__proto__', 'constructor', 'a_total', 'x_bucket', '\\', '{', '1', '"} 9\n'],
    'a\n# TYPE b counter\nb 1',
  ),
)

export const hostileFamily: fc.Arbitrary<MetricFamily> = fc.record({
  name: hostileText,
  kind: fc.constantFrom<MetricKind>('counter', 'gauge', 'histogram'),
  unit: fc.oneof(hostileText, fc.constantFrom('us', 'ms', 'values', 'bytes', 'percent', 'frames/s')),
  meaning: hostileText,
  samples: fc.array(
    fc.record({
      labels: fc.dictionary(hostileText, hostileText, { maxKeys: 4 }),
      value: fc.nat(),
      distribution: fc.record({
        sum: fc.double(),
        buckets: fc.array(fc.record({ upTo: fc.double(), count: fc.nat() }), { maxLength: 4 }),
      }),
    }),
    { maxLength: 4 },
  ),
})

/** The same ones each time. */
export function hostileFamilies(many: number): MetricFamily[] {
  return fc.sample(hostileFamily, { seed: 11, numRuns: many })
}
