import { rowsIn, type BenchDocument } from './document'

/** Two runs differ by at least so much before anything is said: machines are shared. */
const TOLERANCE = 0.05

/**
 * Ratios that are worse than in an earlier run, as sentences.
 *
 * Ratios are compared, not values, because both runs measured their baselines themselves; and only where both repeated the
 * pair, so that the ranges are known. Worse means that the whole range lies below the whole range of before, by more than
 * the noise that the runs themselves showed.
 */
export function worse(before: BenchDocument, after: BenchDocument): string[] {
  const known = rowsIn(before)
  const noise = Math.max(TOLERANCE, ...[before, after].map(noiseOf))
  const sentences: string[] = []
  for (const [name, { ratio, ratioMax, again }] of rowsIn(after)) {
    const was = known.get(name)
    if (again === true || ratioMax === undefined || was?.ratioMin === undefined) continue
    if (ratioMax < was.ratioMin * (1 - noise)) {
      sentences.push(
        `${name} is worse: its ratio was ${was.ratio ?? 0} and is ${ratio ?? 0} (noise ${Math.round(noise * 100)} %).`,
      )
    }
  }
  return sentences
}

/** How far from 1 the baselines came when they were measured against themselves. */
export function noiseOf(document: BenchDocument): number {
  const again = [...rowsIn(document).values()].filter((row) => row.again === true)
  return Math.max(0, ...again.map(({ ratio = 1 }) => Math.abs(1 - ratio)))
}
