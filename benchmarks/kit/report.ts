/**
 * What benchmarks have in common: the machine, the spread of their rounds, and how they report.
 *
 * A benchmark runs in a process of its own and prints one JSON line for each row to standard output, so that it can be run
 * alone as well as by `run.ts`, which puts the rows of all into one document (`millrace-bench/1`).
 */
import { existsSync, readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import path from 'node:path'

export interface Row {
  /** From the general to the special, with dots. */
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The smallest and the largest of the rounds, or of the slices of a run. */
  readonly min: number
  readonly max: number
  /** What the baseline came to in the same run; undefined for what is itself one. */
  readonly baseline?: number
  /** Which row that is, or what was measured for it. */
  readonly baselineName?: string
  /** `baseline / value`: above 1, this is so many times less than the baseline. */
  readonly ratio?: number
  /** The smallest and the largest ratio of a repetition, where each repetition measured both. */
  readonly ratioMin?: number
  readonly ratioMax?: number
  readonly repetitions?: number
  /** True for the baseline measured a second time: how far its ratio is from 1 is what the machine does by itself. */
  readonly again?: boolean
  /** Whether it differs from the baseline; undefined when too few repetitions were made to say so. */
  readonly differs?: boolean
  /** Where on a curve the row lies: the curve's name and the place on its axis. */
  readonly curve?: string
  readonly at?: number
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly node: string
  readonly versions: Readonly<Record<string, string>>
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    versions: {
      v8: process.versions.v8,
      uv: process.versions.uv,
      millrace: versionIn(PACKAGE),
      rxjs: versionOf('rxjs'),
    },
  }
}

/** Two folders up as written, three as compiled. */
const PACKAGE = ['../..', '../../..'].map((up) => path.resolve(__dirname, up, 'package.json')).find(existsSync)!

function versionOf(dependency: string): string {
  return versionIn(require.resolve(`${dependency}/package.json`))
}

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** Prints a row. */
export function report(row: Row): void {
  console.log(JSON.stringify({ format: 'millrace-bench/1', ...row }))
}

/** What was measured, with its spread. */
export interface Measured {
  readonly value: number
  readonly min: number
  readonly max: number
}

/** Of several rounds: their median. */
export function ofRounds(values: readonly number[]): Measured {
  return { value: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** A row, compared with a baseline of the same run. */
export function rowOf(
  name: string,
  unit: string,
  { value, min, max }: Measured,
  baseline?: { readonly name: string; readonly measured: Measured },
): Row {
  const row = { name, value: rounded(value), unit, min: rounded(min), max: rounded(max) }
  if (baseline === undefined) return row
  return {
    ...row,
    baseline: rounded(baseline.measured.value),
    baselineName: baseline.name,
    ratio: rounded(baseline.measured.value / Math.max(value, LEAST)),
  }
}

/** What is less cannot be told from nothing, and a ratio to nothing says nothing. */
export const LEAST = 0.001

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** The value below which a share (0 to 1) of the values lies; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0
}

export function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}

/** True when asked to be quick: fewer and shorter rounds, whose numbers show that it works and little else. */
export function isQuick(): boolean {
  return process.argv.includes('--quick')
}
