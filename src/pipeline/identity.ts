/**
 * Which input it was: what a fault says about the value that a stage was at work on, and by what its frame is found again.
 */
import { weightOf } from '../actors/ledger'

/** Of a batch, what its first row is; all fields that it has. */
export interface InputIdentity {
  readonly values: number
  readonly kind?: string
  readonly exchange?: string
  readonly symbol?: string
  readonly seq?: number
  readonly id?: string
  readonly receiveTimeUs?: number
}

export function identityOf(value: unknown): InputIdentity {
  const row: unknown = Array.isArray(value) ? value[0] : value
  const fields = (typeof row === 'object' && row !== null ? row : {}) as Partial<Record<keyof InputIdentity, unknown>>
  const identity: Record<string, unknown> = { values: weightOf(value) }
  for (const name of ['kind', 'exchange', 'symbol', 'id'] as const) {
    if (typeof fields[name] === 'string' && fields[name] !== '') identity[name] = fields[name]
  }
  for (const name of ['seq', 'receiveTimeUs'] as const) {
    if (typeof fields[name] === 'number') identity[name] = fields[name]
  }
  return identity as unknown as InputIdentity
}

/** `a trade of BTCUSDT on binance (id 17), received 2026-01-01T00:00:00.000123Z`. */
export function wordsOf({ values, kind, exchange, symbol, seq, id, receiveTimeUs }: InputIdentity): string {
  const what = kind === undefined ? (values === 1 ? 'a value' : `${values} values`) : `a ${kind}`
  const more = kind !== undefined && values > 1 ? ` and ${values - 1} more` : ''
  const of = symbol === undefined ? '' : ` of ${symbol}`
  const on = exchange === undefined ? '' : ` on ${exchange}`
  const number = seq !== undefined ? ` (seq ${seq})` : id !== undefined ? ` (id ${id})` : ''
  const when = receiveTimeUs === undefined ? '' : `, received ${isoOf(receiveTimeUs)}`
  return `${what}${more}${of}${on}${number}${when}`
}

/** With its microseconds; as a number where it is no time of a calendar. */
function isoOf(timeUs: number): string {
  const date = new Date(Math.floor(timeUs / 1_000))
  if (Number.isNaN(date.getTime())) return String(timeUs)
  return date.toISOString().replace('Z', `${String(((timeUs % 1_000) + 1_000) % 1_000).padStart(3, '0')}Z`)
}
