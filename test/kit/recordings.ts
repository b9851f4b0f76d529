/**
 * Recordings as the records that sessions take, each frame's bytes or text as a live socket gives them.
 */
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import type { SessionRecord } from '../../src/feed/record'
import { readRecording, type RecordedLine } from './shared'

/** The recordings of the six exchanges, with the REST answers that belong to them. */
export const RECORDINGS: readonly (readonly [exchange: string, session: string, rest?: string])[] = [
  ['binance', 'binance.ethusdt-20240808', 'binance.ethusdt-20240808.rest'],
  ['binance', 'binance.ws1', 'binance.rest'],
  ['binance-futures', 'binance-futures.btcusdt-20240808.first60', 'binance-futures.btcusdt-20240808.rest'],
  ['binance-futures', 'binance-futures.ws1', 'binance-futures.rest'],
  ['bybit', 'bybit.xrpusdt-ob500-20241201.first60'],
  ['coinbase', 'coinbase.ws28.first60', 'coinbase.rest'],
  ['kraken', 'kraken.ws48', 'kraken.rest'],
  ['kraken', 'kraken.ws49', 'kraken.rest'],
  ['kraken', 'kraken.ws50.first60', 'kraken.rest'],
  ['kraken', 'kraken.v2-btcusd-20260824', 'kraken.rest'],
  ['okx', 'okx.ws1.first60', 'okx.rest'],
]

/** A session's records, its instruments first and its snapshots when they became known; frames are bytes. */
export function recordsOf(protocol: ExchangeProtocol, session: string, rest?: string): SessionRecord[] {
  const { header, lines } = readRecording(session)
  const answers = rest === undefined ? [] : readRecording(rest).lines
  const snapshots = answers.filter(({ role }) => role === 'book-snapshot')
  const merged = [...lines, ...snapshots].sort((a, b) => (BigInt(a.t) < BigInt(b.t) ? -1 : a.t === b.t ? 0 : 1))
  const first = merged[0]!
  return [
    ...answers.filter(({ role }) => role === 'instruments').map((line) => recordOf(protocol, { ...line, t: first.t })),
    recordOf(protocol, { t: first.t, dir: 'open', url: header.url ?? '' }),
    ...merged.filter(({ dir }) => dir === 'in' || dir === 'rest').map((line) => recordOf(protocol, line)),
  ]
}

function recordOf(protocol: ExchangeProtocol, { t, dir, raw, url, role, body }: RecordedLine): SessionRecord {
  const base = {
    exchange: protocol.id,
    connection: 0,
    timeUs: Number(BigInt(t) / 1_000n),
    ns: Number(BigInt(t) % 1_000n),
  }
  switch (dir) {
    case 'in':
      return { ...base, dir: 'in', data: Buffer.from(raw!) }
    case 'rest':
      return { ...base, dir: 'rest', connection: -1, method: 'GET', url: url!, role: role!, body: body! }
    case 'open':
      return { ...base, dir: 'open', url: url! }
    case 'out':
      return { ...base, dir: 'out', data: raw! }
  }
}
