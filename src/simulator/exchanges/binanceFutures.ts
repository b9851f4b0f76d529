/**
 * The simulated Binance USD-M futures.
 *
 * Docs    ../shared/protocols/binance-futures.md
 * Quirk   streams are split over `/public` and `/market`; the old paths without either carry all
 */
import { sizeText } from '../levels'
import type { MarketBook } from '../market'
import type { ExchangeContext, SimulatedExchange } from '../simulatedExchange'
import { BINANCE_INTERVALS, BinanceFamily, fundingRate, nextFundingMs, type BinancePart } from './binanceFamily'

export function simulatedBinanceFutures(context: ExchangeContext): SimulatedExchange {
  return new BinanceFamily(USD_M, context)
}

const USD_M: BinancePart = {
  id: 'binance-futures',
  futures: true,
  rest: '/fapi/v1',
  messagesPerSecond: 10,
  pingEveryMs: 180_000,
  pongWithinMs: 600_000,
  snapshotLimits: [5, 10, 20, 50, 100, 500, 1_000],
  intervals: new Map(BINANCE_INTERVALS),
  instruments: (books, nowMs) => ({
    timezone: 'UTC',
    serverTime: nowMs,
    futuresType: 'U_MARGINED',
    rateLimits: [{ rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 2_400 }],
    exchangeFilters: [],
    assets: [{ asset: 'USDT', marginAvailable: true, autoAssetExchange: '-10000' }],
    symbols: books.map(instrument),
  }),
  answer: (name, book, nowMs) => {
    if (name === 'fundingInfo') return []
    if (book === undefined) return undefined
    const { listing } = book
    if (name === 'openInterest')
      return { openInterest: sizeText(listing, book.openInterestLots), symbol: listing.symbol, time: nowMs }
    if (name !== 'premiumIndex') return undefined
    const mark = ((book.bids.bestKey - book.asks.bestKey) / 2) * listing.tickSize
    return {
      symbol: listing.symbol,
      markPrice: mark.toFixed(8),
      indexPrice: (book.indexTicks() * listing.tickSize).toFixed(8),
      estimatedSettlePrice: (book.indexTicks() * listing.tickSize).toFixed(8),
      lastFundingRate: fundingRate(book),
      interestRate: '0.00010000',
      nextFundingTime: nextFundingMs(nowMs * 1_000),
      time: nowMs,
    }
  },
}

function instrument({ listing }: MarketBook): unknown {
  const tick = listing.tickSize.toFixed(listing.priceTextDecimals)
  const step = listing.lotSize.toFixed(listing.sizeTextDecimals)
  return {
    symbol: listing.symbol,
    pair: listing.symbol,
    contractType: 'PERPETUAL',
    deliveryDate: 4_133_404_800_000,
    onboardDate: 1_569_398_400_000,
    status: 'TRADING',
    maintMarginPercent: '2.5000',
    requiredMarginPercent: '5.0000',
    baseAsset: listing.base,
    quoteAsset: listing.quote,
    marginAsset: listing.quote,
    pricePrecision: listing.priceTextDecimals,
    quantityPrecision: listing.sizeTextDecimals,
    baseAssetPrecision: 8,
    quotePrecision: 8,
    underlyingType: 'COIN',
    underlyingSubType: [],
    settlePlan: 0,
    triggerProtect: '0.0500',
    liquidationFee: '0.012500',
    marketTakeBound: '0.05',
    filters: [
      { minPrice: tick, maxPrice: '1000000', filterType: 'PRICE_FILTER', tickSize: tick },
      { stepSize: step, filterType: 'LOT_SIZE', maxQty: '1000000', minQty: step },
      { stepSize: step, filterType: 'MARKET_LOT_SIZE', maxQty: '10000', minQty: step },
      { limit: 200, filterType: 'MAX_NUM_ORDERS' },
      { notional: '5', filterType: 'MIN_NOTIONAL' },
    ],
    orderTypes: ['LIMIT', 'MARKET', 'STOP', 'STOP_MARKET', 'TAKE_PROFIT', 'TAKE_PROFIT_MARKET', 'TRAILING_STOP_MARKET'],
    timeInForce: ['GTC', 'IOC', 'FOK', 'GTX'],
  }
}
