/**
 * The exchanges that millrace speaks. A new one is a file beside this one and a line in the list.
 */
import { Fault } from '../model/fault'
import { noSuch } from '../model/nearest'
import { binance } from './binance'
import { binanceFutures } from './binanceFutures'
import { bybit } from './bybit'
import { coinbase } from './coinbase'
import { kraken } from './kraken'
import { okx } from './okx'
import { exchangeOfNormalised, normalised } from './normalised'
import type { ExchangeProtocol } from './protocol'

/** By id, in the order in which tables list them. */
export const EXCHANGES: ReadonlyMap<string, ExchangeProtocol> = new Map(
  [binance, binanceFutures, bybit, kraken, okx, coinbase].map((exchange): [string, ExchangeProtocol] => [
    exchange.id,
    exchange,
  ]),
)

/** Other names under which people and recordings know them. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['binance-spot', 'binance'],
  ['binance-usdm', 'binance-futures'],
  ['binance-usd-m', 'binance-futures'],
  ['bybit-spot', 'bybit'],
  ['bybit-linear', 'bybit'],
  ['coinbase-exchange', 'coinbase'],
  ['coinbase-pro', 'coinbase'],
  ['kraken-spot', 'kraken'],
  ['okex', 'okx'],
])

/**
 * The exchange of this name, however its letters are cased and its words joined; `normalised:NAME` is its data as somebody
 * else has decoded it, also of an exchange that is not in the list.
 *
 * @throws `Fault` OPTION_INVALID that names the nearest exchanges
 */
export function exchangeById(id: string): ExchangeProtocol {
  const name = id.trim().toLowerCase().replaceAll('_', '-')
  const exchange = EXCHANGES.get(ALIASES.get(name) ?? name)
  if (exchange !== undefined) return exchange
  const decoded = exchangeOfNormalised(name)
  if (decoded !== undefined) return normalised(decoded, EXCHANGES.get(decoded))
  throw new Fault('OPTION_INVALID', noSuch('exchange', id, EXCHANGES.keys()), {
    exchange: id.slice(0, 64),
    known: [...EXCHANGES.keys()],
  })
}
