/**
 * Numbers as exchanges write them: decimal text, whose digits count.
 *
 * At the API a price or size is the double nearest to the exchange's text; beside it travels the number of decimals of
 * that text, so that it prints back digit for digit. A text with more significant digits than a double can hold is
 * found by {@link isExactDecimal}: it is counted and its text is kept, never silently rounded.
 */

const DECIMAL = /^-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?$/

/** True for plain and exponent decimal text: no spaces, no hex, no `Infinity`, no empty string. */
export function isDecimal(text: unknown): text is string {
  return typeof text === 'string' && DECIMAL.test(text)
}

/** The number of digits after the decimal point that are needed to write `text` without an exponent, 0 to 100. */
export function decimalsOf(text: string): number {
  const exponentAt = text.search(/[eE]/)
  const mantissaEnd = exponentAt < 0 ? text.length : exponentAt
  const point = text.indexOf('.')
  const decimals = point < 0 || point > mantissaEnd ? 0 : mantissaEnd - point - 1
  if (exponentAt < 0) return decimals
  return Math.min(100, Math.max(0, decimals - Number(text.slice(exponentAt + 1))))
}

/** Writes `value` with `decimals` digits after the point, without an exponent: the inverse of reading a wire text. */
export function printDecimal(value: number, decimals: number): string {
  return value.toFixed(decimals)
}

/**
 * True when the double nearest to `text`, printed with `decimals` digits, gives the digits of `text` again.
 *
 * Fifteen significant digits always survive at the magnitudes of markets; only other texts are printed and compared.
 */
export function isExactDecimal(text: string, value: number, decimals: number): boolean {
  const magnitude = Math.abs(value)
  if (text.length <= 15 && magnitude >= 1e-60 && magnitude < 1e21) return true
  return printDecimal(value, decimals) === withoutExponent(text, decimals)
}

/** The text's digits with the point where the exponent puts it; undefined when they do not end within `decimals`. */
function withoutExponent(text: string, decimals: number): string | undefined {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const sign = mantissa.startsWith('-') ? '-' : ''
  const [whole = '', fraction = ''] = mantissa.slice(sign.length).split('.')
  const places = whole.length + Number(exponent)
  const integers = Math.max(0, places)
  const digits = ('0'.repeat(integers - places) + whole + fraction).padEnd(integers + decimals, '0')
  const end = integers + decimals
  if (/[1-9]/.test(digits.slice(end))) return undefined
  const integer = digits.slice(0, integers).replace(/^0+(?=\d)/, '') || '0'
  // The double zero has no sign to print.
  const printedSign = /[1-9]/.test(digits) ? sign : ''
  return printedSign + integer + (decimals > 0 ? `.${digits.slice(integers, end)}` : '')
}

const POWERS = Array.from({ length: 16 }, (_, power) => 10 ** power)

/** Digits after the point of what {@link shortDecimal} has read last. */
let shortPlaces = 0

/**
 * The number of a plain text of at most fifteen digits, without sign or exponent: what exchanges write nearly all of their
 * numbers as, and always exact. NaN for any other, which is then read with all care. {@link shortDecimals} tells its decimals.
 *
 * A whole number below 2^53, divided by a power of ten up to 10^22, is the double nearest to the text.
 */
export function shortDecimal(text: unknown): number {
  if (typeof text !== 'string' || text.length === 0 || text.length > 16) return NaN
  let digits = 0
  let point = -1
  for (let index = 0; index < text.length; index++) {
    const c = text.charCodeAt(index)
    if (c >= 48 && c <= 57) digits = digits * 10 + (c - 48)
    else if (c === 46 && point < 0 && index > 0) point = index
    else return NaN
  }
  if (point < 0) {
    if (text.length > 15) return NaN
    shortPlaces = 0
    return digits
  }
  shortPlaces = text.length - 1 - point
  return shortPlaces === 0 ? NaN : digits / POWERS[shortPlaces]!
}

export function shortDecimals(): number {
  return shortPlaces
}
