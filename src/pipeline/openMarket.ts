import { createRequire } from 'node:module'
import type * as live from './liveMarket'
import type { LiveMarketOptions } from './liveMarket'
import type * as severalLive from './liveMarkets'
import type { LiveMarketsOptions } from './liveMarkets'
import type { Market } from './market'
import type * as replay from './replayMarket'
import type { ReplayMarketOptions } from './replayMarket'

/** Connections, REST and recordings are loaded with the first market: who only describes a pipeline does not wait for them. */
const load = createRequire(__filename)

/** The exchanges themselves. */
export function liveMarket(options: LiveMarketOptions): Market {
  return new (load('./liveMarket') as typeof live).LiveMarket(options)
}

/** The same, some of them on workers. */
export function liveMarkets(options: LiveMarketsOptions): Market {
  return (load('./liveMarkets') as typeof severalLive).liveMarketOf(options)
}

/** Recordings in their place. */
export function replayMarket(options: ReplayMarketOptions): Market {
  return new (load('./replayMarket') as typeof replay).ReplayMarket(options)
}
