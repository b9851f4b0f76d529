/**
 * Variants of the same work, measured against each other.
 *
 * Each repetition of each variant runs in a process of its own, so that none inherits what another has left in the heap or
 * the compiler. Repetitions are interleaved (all variants, then all again, in an order that rotates), because the speed of a
 * machine drifts; a ratio is made within one repetition and only then is the median taken.
 *
 * The baseline takes part twice. The second time, `...Again`, nothing differs but chance: its ratio is the noise below which
 * no other ratio of the run says anything. A row `differs` when all its repetitions lie on the same side of the baseline:
 * with six of them chance alone does that in 3 runs of 100.
 *
 * A benchmark is a module that calls `measure` when it is run. The processes of its variants run the same module with
 * `--variant`, and print what they measured.
 */
import { spawn } from 'node:child_process'
import { messageOf } from '../../src/model/fault'
import { isInstalled, type Peer } from './peers'
import { isQuick, LEAST, median, ofRounds, report, rounded, type Row } from './report'

/** What one repetition measured, by measure: costs, so that less is better. */
export type Sample = Readonly<Record<string, number>>

export interface Variant {
  readonly name: string
  /** What it stands on beside the product; it is left out, and said so, where that is not installed. */
  readonly peer?: Peer
  run(): Sample | Promise<Sample>
}

export interface Benchmark {
  readonly name: string
  /** Units by measure. The measure `''` has no name of its own in the rows. */
  readonly measures: Readonly<Record<string, string>>
  /** The name of the variant that others are compared with. */
  readonly baseline: string
  readonly variants: readonly Variant[]
  /** What it lacks on this machine, if anything; then it is left out, and said so. */
  readonly missing?: () => string | undefined
  readonly nodeArgs?: readonly string[]
  /** False where a neighbour on the curve shows the noise already. */
  readonly again?: false
  /** Where this benchmark lies on a curve. */
  readonly curve?: { readonly name: string; readonly at: number }
}

/** By chance alone all of six lie on one side once in 32 times; of five, once in 16. */
const REPETITIONS = 6
/** Enough to show that everything works, and nothing about speed. */
const REPETITIONS_QUICK = 1
const DIFFERENCE_SHOWS_FROM = 6
/** A variant that takes longer is ended. */
const VARIANT_MS_MAX = 120_000
const OUTPUT_BYTES_MAX = 1_000_000

/**
 * Measures, or, in the process of a variant, runs that variant.
 *
 * @param file  the compiled module that calls this, which is `__filename` there
 */
export async function measure(file: string, benchmarks: readonly Benchmark[]): Promise<void> {
  const wanted = process.argv.indexOf('--variant')
  if (wanted >= 0) await runVariant(benchmarks, process.argv[wanted + 1] ?? '')
  else for (const benchmark of benchmarks) await compare(file, benchmark)
}

async function runVariant(benchmarks: readonly Benchmark[], wanted: string): Promise<void> {
  for (const { name, variants } of benchmarks) {
    for (const variant of variants) {
      if (`${name}/${variant.name}` !== wanted) continue
      const sample = await variant.run()
      console.log(JSON.stringify({ sample }))
      return
    }
  }
  throw new Error(`There is no variant ${wanted}.`)
}

async function compare(file: string, benchmark: Benchmark): Promise<void> {
  const { name, variants, baseline } = benchmark
  const missing = benchmark.missing?.()
  if (missing !== undefined) {
    console.error(`${name} is left out: ${missing}.`)
    return
  }
  const taking = variants.filter(({ name: variant, peer }) => {
    if (peer === undefined || isInstalled(peer)) return true
    console.error(`${name}: ${variant} is left out, because ${peer} is not installed.`)
    return false
  })
  const again = taking.find((variant) => variant.name === baseline)
  if (again === undefined) throw new Error(`${name} has no variant ${baseline} to compare with.`)
  const entries = taking.flatMap((variant) =>
    variant === again && benchmark.again !== false
      ? [
          { shown: variant.name, variant },
          { shown: `${variant.name}Again`, variant },
        ]
      : [{ shown: variant.name, variant }],
  )
  const repetitions = isQuick() ? REPETITIONS_QUICK : REPETITIONS
  const samples = new Map<string, Sample[]>(entries.map(({ shown }) => [shown, []]))
  const failed = new Set<string>()
  for (let repetition = 0; repetition < repetitions; repetition++) {
    console.error(`${name}: repetition ${repetition + 1} of ${repetitions}`)
    for (let turn = 0; turn < entries.length; turn++) {
      const { shown, variant } = entries[(turn + repetition) % entries.length]!
      if (failed.has(shown)) continue
      try {
        samples.get(shown)!.push(await inItsOwnProcess(file, benchmark, variant))
      } catch (thrown) {
        // One that fails is not tried again, costs the others nothing, and shows in the exit status.
        failed.add(shown)
        process.exitCode = 1
        console.error(`${name}: ${shown} failed: ${messageOf(thrown)}`)
      }
    }
  }
  for (const row of rowsOf(benchmark, samples, failed, repetitions)) report(row)
}

/** The rows of all measures, the baseline's first. */
export function rowsOf(
  { name, measures, baseline, curve }: Benchmark,
  samples: ReadonlyMap<string, readonly Sample[]>,
  failed: ReadonlySet<string> = new Set(),
  repetitions = Math.max(...[...samples.values()].map(({ length }) => length)),
): Row[] {
  const rows: Row[] = []
  for (const [measure, unit] of Object.entries(measures)) {
    const nameOf = (shown: string): string => [name, measure, shown].filter((part) => part !== '').join('.')
    const valuesOf = (shown: string): number[] =>
      (failed.has(shown) ? [] : (samples.get(shown) ?? [])).flatMap((sample) => sample[measure] ?? [])
    const base = valuesOf(baseline)
    for (const shown of [baseline, ...[...samples.keys()].filter((other) => other !== baseline)]) {
      const values = valuesOf(shown)
      if (values.length === 0) continue
      const { value, min, max } = ofRounds(values)
      rows.push({
        ...{ name: nameOf(shown), value: rounded(value), unit, min: rounded(min), max: rounded(max), repetitions },
        ...(shown !== baseline &&
          base.length > 0 &&
          median(base) >= LEAST && { ...comparison(values, base), baselineName: nameOf(baseline) }),
        ...(shown === `${baseline}Again` && { again: true }),
        ...(curve !== undefined && {
          curve: [curve.name, measure, shown].filter((part) => part !== '').join('.'),
          at: curve.at,
        }),
      })
    }
  }
  return rows
}

function comparison(values: readonly number[], base: readonly number[]): Partial<Row> {
  const ratios = values.map((value, index) => base[index]! / Math.max(value, LEAST))
  const ratioMin = Math.min(...ratios)
  const ratioMax = Math.max(...ratios)
  return {
    baseline: rounded(median(base)),
    ratio: rounded(median(ratios)),
    ratioMin: rounded(ratioMin),
    ratioMax: rounded(ratioMax),
    ...(ratios.length >= DIFFERENCE_SHOWS_FROM && { differs: ratioMin > 1 || ratioMax < 1 }),
  }
}

function inItsOwnProcess(file: string, { name, nodeArgs = [] }: Benchmark, variant: Variant): Promise<Sample> {
  return new Promise((resolve, reject) => {
    const args = [...nodeArgs, file, '--variant', `${name}/${variant.name}`, ...(isQuick() ? ['--quick'] : [])]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: VARIANT_MS_MAX })
    let output = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      if (output.length < OUTPUT_BYTES_MAX) output += text
    })
    child.on('error', (error) => reject(new Error(`its process could not be started: ${error.message}.`)))
    child.on('close', (code, signal) => {
      const line = output.split('\n').find((candidate) => candidate.startsWith('{"sample":'))
      if (signal !== null) reject(new Error(`it took more than ${VARIANT_MS_MAX / 1_000} s and was ended.`))
      else if (code !== 0 || line === undefined) reject(new Error('it measured nothing. What it said is above.'))
      else resolve((JSON.parse(line) as { sample: Sample }).sample)
    })
  })
}
