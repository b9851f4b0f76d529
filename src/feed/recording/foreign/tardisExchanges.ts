/**
 * Exchanges as tardis.dev names them, where that differs from us.
 *
 * Truth  https://api.tardis.dev/v1/exchanges and https://docs.tardis.dev/historical-data-details (read 2026-11-28)
 */

export interface TardisExchange {
  /** Our id; theirs, where we do not speak it. */
  readonly exchange: string
  /** The address of the market, where one of ours is several of theirs. */
  readonly url: string | undefined
}

const OTHERS: ReadonlyMap<string, TardisExchange> = new Map([
  ['bybit', { exchange: 'bybit', url: 'wss://stream.bybit.com/v5/public/linear' }],
  ['bybit-spot', { exchange: 'bybit', url: 'wss://stream.bybit.com/v5/public/spot' }],
  ['okex', { exchange: 'okx', url: undefined }],
  ['okex-swap', { exchange: 'okx', url: undefined }],
  ['okex-futures', { exchange: 'okx', url: undefined }],
  ['okex-options', { exchange: 'okx', url: undefined }],
])

export function tardisExchange(name: string): TardisExchange {
  return OTHERS.get(name) ?? { exchange: name, url: undefined }
}
