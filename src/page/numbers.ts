/** Numbers, times and texts as a person reads them, on a page or in a file. What is not known is a dash. */

export const NONE = '–'

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function countText(count: number): string {
  return WHOLE.format(count)
}

/** A price or size without the noise of binary fractions, and never with an exponent. */
export function exactText(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE
  const rounded = Number(value.toPrecision(12))
  const text = String(rounded)
  if (!text.includes('e')) return text
  return Math.abs(rounded) < 1 ? rounded.toFixed(18).replace(/\.?0+$/, '') : WHOLE.format(rounded)
}

/** @param digits  significant ones */
export function roundedText(value: number | undefined, digits = 4): string {
  if (value === undefined || !Number.isFinite(value)) return NONE
  return exactText(Number(value.toPrecision(digits)))
}

/** Of a chart: without the noise of binary fractions. */
export function numberText(value: number | null | undefined): string {
  return roundedText(value ?? undefined, 10)
}

export function microsecondsText(us: number | undefined): string {
  if (us === undefined || !Number.isFinite(us)) return NONE
  if (us < 1_000) return `${roundedText(us, 3)} µs`
  if (us < 1e6) return `${roundedText(us / 1_000, 3)} ms`
  if (us < 60e6) return `${roundedText(us / 1e6, 3)} s`
  return `${roundedText(us / 60e6, 3)} min`
}

export function secondsText(seconds: number): string {
  if (seconds < 120) return `${roundedText(seconds, 3)} s`
  const whole = Math.round(seconds)
  const hours = Math.floor(whole / 3_600)
  const minutes = Math.floor((whole % 3_600) / 60)
  return hours > 0 ? `${countText(hours)} h ${minutes} min` : `${minutes} min ${whole % 60} s`
}

/** In the largest unit that it has one of. */
export function durationText(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const
  const [unit, length] = units.find(([, each]) => ms >= each) ?? ['ms', 1]
  return `${roundedText(ms / length, 3)} ${unit}`
}

export function bytesText(bytes: number): string {
  if (bytes < 1e3) return `${countText(bytes)} B`
  if (bytes < 1e6) return `${roundedText(bytes / 1e3, 3)} kB`
  if (bytes < 1e9) return `${roundedText(bytes / 1e6, 3)} MB`
  return `${roundedText(bytes / 1e9, 4)} GB`
}

/** In UTC, to the millisecond. */
export function timeText(timeUs: number | undefined): string {
  const date = new Date((timeUs ?? NaN) / 1_000)
  return Number.isNaN(date.getTime()) ? NONE : date.toISOString().replace('T', ' ').replace('Z', '')
}

/** The time of day in UTC; no more digits than steps of so many seconds need. */
export function clockText(seconds: number, step: number): string {
  const date = new Date(seconds * 1_000)
  if (Number.isNaN(date.getTime())) return NONE
  const iso = date.toISOString()
  if (step < 1) return iso.slice(11, 23)
  if (step < 60) return iso.slice(11, 19)
  return step < 86_400 ? iso.slice(11, 16) : iso.slice(5, 10)
}

/** The day of a time in UTC. */
export function dayOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().slice(0, 10)
}

/** `1 gap`, `2 gaps` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}

/** Text from outside without what moves a cursor or turns the direction of writing: it must not change what stands beside it. */
export function harmless(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]/g, '·')
}
