import type { Machine, Row } from './report'

/** What `bench --json` writes. */
export interface BenchDocument {
  readonly format: 'millrace-bench/1'
  readonly machine: Machine
  /** True when numbers show that benchmarks work and little else. */
  readonly quick: boolean
  readonly suites: readonly Suite[]
}

export interface Suite {
  readonly suite: string
  readonly rows: readonly Row[]
  /** Benchmarks of which nothing, or not all, was measured. */
  readonly failed: readonly string[]
}

export function rowsIn(document: BenchDocument): ReadonlyMap<string, Row> {
  return new Map(document.suites.flatMap(({ rows }) => rows.map((row) => [row.name, row])))
}
