import type { Trade } from '../../src/model/events'

/**
 * Trades to JSON text, as fast as the platform does it by itself, with the fields that ours writes: `JSON.stringify` of a
 * literal of one shape. It takes two thirds of the time of an encoder compiled by fast-json-stringify.
 */
export function plainJson(trade: Trade): string {
  const { kind, exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, id, side, price, size } = trade
  return JSON.stringify({
    kind,
    exchange,
    symbol,
    instrument,
    exchangeTimeUs,
    receiveTimeUs,
    id,
    side,
    price,
    size,
    // As in ours, of a live trade it is not said that it is no history.
    history: trade.history ? true : undefined,
  })
}
