import { inspect } from 'node:util'

/** A value in one line, shortened. */
export function printable(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Infinity }).slice(0, 2_000)
}
