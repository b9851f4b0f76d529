import { wholeText } from './wholeText'

/** `.000` to `.999`, and the same without zeros at the end: nothing for `.000`. */
const THOUSANDTHS: readonly string[] = Array.from({ length: 1_000 }, (_, part) => `.${String(part).padStart(3, '0')}`)
const LAST_THOUSANDTHS: readonly string[] = THOUSANDTHS.map((text) => text.replace(/\.?0+$/, ''))
const DIGITS: readonly string[] = THOUSANDTHS.map((text) => text.slice(1))
const LAST_DIGITS: readonly string[] = DIGITS.map((text) => text.replace(/0+$/, ''))
const LAST_TWO: readonly string[] = Array.from({ length: 100 }, (_, part) =>
  String(part).padStart(2, '0').replace(/0+$/, ''),
)

/**
 * `String(number)`, in a fifth of the time for what prices, sizes and times are: up to eight places after the point below ten
 * million, and whole numbers of microseconds.
 *
 * A double that is the nearest to a decimal of at most fifteen digits is printed shortest by that decimal without the zeros
 * at its end.
 */
export function numberText(number: number): string {
  if (!(number >= 1e-6 && number < 1e7)) return wholeText(number)
  const whole = Math.floor(number * 1e8 + 0.5)
  if (whole / 1e8 !== number) return `${number}`
  const left = Math.floor(number)
  const fraction = whole - left * 1e8
  if (fraction === 0) return `${left}`
  const high = Math.floor(fraction / 1e5)
  const rest = fraction - high * 1e5
  if (rest === 0) return `${left}${LAST_THOUSANDTHS[high]!}`
  const middle = Math.floor(rest / 100)
  const low = rest - middle * 100
  const end = low === 0 ? LAST_DIGITS[middle]! : DIGITS[middle]! + LAST_TWO[low]!
  return `${left}${THOUSANDTHS[high]!}${end}`
}
