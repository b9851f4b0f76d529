/**
 * Integers of ticks and lots as the decimal texts that exchanges send. Non-negative integers below 2^53 only: what the
 * market keeps.
 */

const ZEROS = '0'.repeat(40)

/** `mantissa / 10^decimals`, with exactly `textDecimals` digits after the point (at least `decimals`). */
export function fixed(mantissa: number, decimals: number, textDecimals: number): string {
  let digits = String(mantissa)
  if (decimals === 0) return textDecimals === 0 ? digits : `${digits}.${ZEROS.slice(0, textDecimals)}`
  if (digits.length <= decimals) digits = ZEROS.slice(0, decimals - digits.length + 1) + digits
  const point = digits.length - decimals
  const text = digits.slice(0, point) + '.' + digits.slice(point)
  return textDecimals > decimals ? text + ZEROS.slice(0, textDecimals - decimals) : text
}

/** `mantissa / 10^decimals` without zeros at the end, as OKX writes numbers. */
export function trimmed(mantissa: number, decimals: number): string {
  let left = mantissa
  let places = decimals
  while (places > 0 && left % 10 === 0) {
    left /= 10
    places--
  }
  return fixed(left, places, places)
}

let lastSecond = Number.NaN
let lastPrefix = ''

/** Microseconds since 1970 as RFC 3339 with six digits: `2026-08-24T22:21:57.110183Z`. */
export function isoTime(timeUs: number): string {
  const second = Math.floor(timeUs / 1_000_000)
  if (second !== lastSecond) {
    lastSecond = second
    lastPrefix = new Date(second * 1_000).toISOString().slice(0, 20)
  }
  return `${lastPrefix}${sixDigits(timeUs - second * 1_000_000)}Z`
}

/** Microseconds since 1970 as seconds with six digits after the point: `1618678137.640504`. */
export function secondsTime(timeUs: number): string {
  const second = Math.floor(timeUs / 1_000_000)
  return `${second}.${sixDigits(timeUs - second * 1_000_000)}`
}

function sixDigits(micros: number): string {
  return String(micros).padStart(6, '0')
}
