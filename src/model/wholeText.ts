/** `000` to `999` */
const DIGITS: readonly string[] = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'))

/**
 * `String(number)`, in a third of the time for the whole numbers of microseconds since 1970: the engine writes integers above
 * 32 bits as it writes fractions, digit by digit until they are told apart from their neighbours.
 */
export function wholeText(number: number): string {
  if (!(number >= 1e9 && number < 2e15)) return `${number}`
  const high = Math.floor(number / 1e6)
  const low = number - high * 1e6
  const thousands = Math.floor(low / 1e3)
  const rest = DIGITS[low - thousands * 1e3]
  // A fraction has no text in the table.
  return rest === undefined ? `${number}` : `${high}${DIGITS[thousands]!}${rest}`
}
