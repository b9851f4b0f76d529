import { rowsIn, type BenchDocument } from './document'

/** Two runs differ by at least so much before anything is said: machines are shared. */
const TOLERANCE = 0.05

/**
 * Ratios that are worse than in an earlier run, as sentences.
 *
 * Ratios are compared, not values, because both runs measured their baselines themselves; and only where both repeated the
 * pair, so that the ranges are known. Worse means that the whole range lies below the whole range of before, by more than
 * the noise that the baseline of that row showed when it was measured against itself, in either run.
 */
export function worse(before: BenchDocument, after: BenchDocument): string[] {
  const known = rowsIn(before)
  const sentences: string[] = []
  for (const [name, { ratio, ratioMax, again, baselineName }] of rowsIn(after)) {
    const was = known.get(name)
    if (again === true || ratioMax === undefined || was?.ratioMin === undefined) continue
    const noise = Math.max(TOLERANCE, noiseOf(before, baselineName), noiseOf(after, baselineName))
    if (ratioMax < was.ratioMin * (1 - noise)) {
      sentences.push(
        `${name} is worse: its ratio was ${was.ratio ?? 0} and is ${ratio ?? 0} (noise ${Math.round(noise * 100)} %).`,
      )
    }
  }
  return sentences
}

/** How far from 1 a baseline came when it was measured against itself. */
export function noiseOf(document: BenchDocument, baseline: string | undefined): number {
  const again = [...rowsIn(document).values()].filter((row) => row.again === true && row.baselineName === baseline)
  return Math.max(0, ...again.map(({ ratio = 1 }) => Math.abs(1 - ratio)))
}
