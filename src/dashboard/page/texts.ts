/** Numbers that change several times a second: each form keeps its width as long as it can. */
import { NONE } from '../../page/numbers'

/** Something a second: `0`, `0.4`, `37`, `1.24k`, `18.2k`, `1.05M`. */
export function rateText(perSecond: number): string {
  if (perSecond === 0) return '0'
  if (perSecond < 9.95) return perSecond.toFixed(1)
  if (perSecond < 999.5) return perSecond.toFixed(0)
  const [scaled, letter] = perSecond < 999_500 ? [perSecond / 1e3, 'k'] : [perSecond / 1e6, 'M']
  return `${scaled < 9.995 ? scaled.toFixed(2) : scaled < 99.95 ? scaled.toFixed(1) : scaled.toFixed(0)}${letter}`
}

/** How old something is. Two clocks may disagree: what is from the future is new. */
export function ageText(ms: number): string {
  const age = Math.max(0, ms)
  if (age < 9_950) return `${(age / 1_000).toFixed(1)} s`
  if (age < 99_500) return `${(age / 1_000).toFixed(0)} s`
  if (age < 6_000_000) return `${Math.floor(age / 60_000)} min`
  return age < 360_000_000 ? `${Math.floor(age / 3_600_000)} h` : `${Math.floor(age / 86_400_000)} d`
}

/** A price or size with so many digits behind the point. */
export function fixedText(value: number | null | undefined, decimals: number): string {
  return value === null || value === undefined ? NONE : value.toFixed(decimals)
}

/** In 1/10,000 of the mid. */
export function spreadBpsOf(bid: number | null, ask: number | null): number | undefined {
  if (bid === null || ask === null || bid + ask === 0) return undefined
  return ((ask - bid) / (ask + bid)) * 20_000
}
