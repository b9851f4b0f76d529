/** A moment as a person types it: ISO 8601, or microseconds since 1970. */
import { UsageError, type ParsedArgs } from './command'

/**
 * @returns integer microseconds since 1970; undefined when the option was not given
 * @throws  UsageError when it is neither of the two
 */
export function instant(parsed: ParsedArgs, option: string): number | undefined {
  const text = parsed.text(option)?.trim()
  if (text === undefined) return undefined
  const timeUs = /^\d{1,16}$/.test(text) ? Number(text) : microsecondsOf(text)
  if (Number.isSafeInteger(timeUs)) return timeUs
  throw new UsageError(
    `--${option} is a time such as 2026-08-24T22:30:00.5Z (UTC where no zone is given), or microseconds since 1970; it is ${JSON.stringify(text)}.`,
  )
}

/** @throws UsageError when a span would be empty */
export function span(parsed: ParsedArgs): { readonly fromUs: number | undefined; readonly toUs: number | undefined } {
  const fromUs = instant(parsed, 'from')
  const toUs = instant(parsed, 'to')
  if (fromUs !== undefined && toUs !== undefined && toUs <= fromUs) {
    throw new UsageError(
      `--to is not after --from: nothing is between ${parsed.text('from')} and ${parsed.text('to')}.`,
    )
  }
  return { fromUs, toUs }
}

/** What commands that read recordings have in common. */
export const SPAN_OPTIONS = {
  from: { value: 'TIME', meaning: 'begin at this time (2026-08-24T22:30:00Z, or microseconds since 1970)' },
  to: { value: 'TIME', meaning: 'end before this time' },
} as const

/** NaN for what is no time. `Date` knows milliseconds; the digits behind them are added. */
function microsecondsOf(text: string): number {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?$/i.exec(text)
  if (parts === null) return NaN
  const [, day, time = '00:00', fraction = '', zone = 'Z'] = parts
  const ms = Date.parse(`${day}T${time.length === 5 ? `${time}:00` : time}${zone.toUpperCase()}`)
  return ms * 1_000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}
