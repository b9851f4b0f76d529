/**
 * The simulated Binance spot.
 *
 * Docs    ../shared/protocols/binance.md
 */
import { sizeText } from '../levels'
import type { MarketBook } from '../market'
import type { ExchangeContext, SimulatedExchange } from '../simulatedExchange'
import { BINANCE_INTERVALS, BinanceFamily, type BinancePart } from './binanceFamily'

export function simulatedBinance(context: ExchangeContext): SimulatedExchange {
  return new BinanceFamily(SPOT, context)
}

const SPOT: BinancePart = {
  id: 'binance',
  futures: false,
  rest: '/api/v3',
  messagesPerSecond: 5,
  pingEveryMs: 20_000,
  pongWithinMs: 60_000,
  snapshotLimits: undefined,
  intervals: new Map([['1s', 1_000], ...BINANCE_INTERVALS]),
  instruments: (books, nowMs) => ({
    timezone: 'UTC',
    serverTime: nowMs,
    rateLimits: [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 6_000 },
      { rateLimitType: 'RAW_REQUESTS', interval: 'MINUTE', intervalNum: 5, limit: 61_000 },
    ],
    exchangeFilters: [],
    symbols: books.map(instrument),
  }),
  answer: (name, book) => (name === 'ticker/bookTicker' && book !== undefined ? bestOf(book) : undefined),
}

function instrument({ listing }: MarketBook): unknown {
  const tick = listing.tickSize.toFixed(listing.priceTextDecimals)
  const step = listing.lotSize.toFixed(listing.sizeTextDecimals)
  return {
    symbol: listing.symbol,
    status: 'TRADING',
    baseAsset: listing.base,
    baseAssetPrecision: 8,
    quoteAsset: listing.quote,
    quotePrecision: 8,
    quoteAssetPrecision: 8,
    baseCommissionPrecision: 8,
    quoteCommissionPrecision: 8,
    orderTypes: ['LIMIT', 'LIMIT_MAKER', 'MARKET', 'STOP_LOSS', 'STOP_LOSS_LIMIT', 'TAKE_PROFIT', 'TAKE_PROFIT_LIMIT'],
    icebergAllowed: true,
    ocoAllowed: true,
    quoteOrderQtyMarketAllowed: true,
    allowTrailingStop: true,
    cancelReplaceAllowed: true,
    isSpotTradingAllowed: true,
    isMarginTradingAllowed: true,
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: tick, maxPrice: '1000000.00000000', tickSize: tick },
      { filterType: 'LOT_SIZE', minQty: step, maxQty: '9000.00000000', stepSize: step },
      { filterType: 'ICEBERG_PARTS', limit: 10 },
      {
        filterType: 'NOTIONAL',
        minNotional: '5.00000000',
        applyMinToMarket: true,
        maxNotional: '9000000.00000000',
        applyMaxToMarket: false,
        avgPriceMins: 5,
      },
    ],
    permissions: [],
    permissionSets: [['SPOT', 'MARGIN']],
    defaultSelfTradePreventionMode: 'EXPIRE_MAKER',
    allowedSelfTradePreventionModes: ['EXPIRE_TAKER', 'EXPIRE_MAKER', 'EXPIRE_BOTH'],
  }
}

function bestOf({ listing, bids, asks }: MarketBook): unknown {
  const price = (tick: number): string => (tick * listing.tickSize).toFixed(listing.priceTextDecimals)
  return {
    symbol: listing.symbol,
    bidPrice: price(bids.bestKey),
    bidQty: sizeText(listing, bids.bestLots),
    askPrice: price(-asks.bestKey),
    askQty: sizeText(listing, asks.bestLots),
  }
}
