import type { Row } from './conformance'

/** The row of a number is the same in every life. Some are larger than what a disk writes at once. */
export function numberedRow(n: number): Row {
  const filling = n % 97 === 5 ? 'long '.repeat(2_000) : '.'.repeat(n % 50)
  return { n, text: `row ${n}, "quoted" ${filling}` }
}
