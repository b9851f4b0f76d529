/**
 * What the simulated exchanges list: each instrument's names, digits and first price.
 *
 * Prices are steps of 10^-priceDecimals (ticks) and sizes steps of 10^-sizeDecimals (lots); the digits follow the
 * exchanges' own metadata of 2026 for the five best-known assets, and the usual rule of thumb for others.
 */
import { Fault } from '../model/fault'
import type { Instrument, InstrumentKind } from '../model/instrument'
import { hash32 } from './random'

/** One instrument on one simulated exchange. */
export interface Listing extends Instrument {
  readonly kind: InstrumentKind
  readonly tickSize: number
  readonly priceDecimals: number
  readonly lotSize: number
  readonly sizeDecimals: number
  /** Digits after the point that the exchange writes: at least as many as the steps have. */
  readonly priceTextDecimals: number
  readonly sizeTextDecimals: number
  /** The price around which its market begins, in quote units. */
  readonly startPrice: number
  /** Value of one lot in US dollars, for believable sizes. */
  readonly lotUsd: number
  /** How often its book moves, relative to others; equal on all exchanges, so that they stay together. */
  readonly weight: number
}

export const SIMULATED_EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase'] as const

export const DEFAULT_INSTRUMENTS: readonly string[] = [
  ...['BTC', 'ETH', 'SOL', 'XRP', 'DOGE'].flatMap((base) => [`${base}-USDT`, `${base}-USDT-PERP`]),
  'BTC-USD',
  'ETH-USD',
]

/** Every place where the named instruments trade; throws OPTION_INVALID for a name that is none. */
export function listInstruments(exchange: string, names: readonly string[]): Listing[] {
  const listings: Listing[] = []
  for (const name of new Set(names)) {
    const match = /^([A-Z0-9]{1,16})-([A-Z0-9]{1,16})(-PERP)?$/.exec(name)
    if (match === null)
      throw new Fault(
        'OPTION_INVALID',
        `The simulator cannot list "${name}": write BASE-QUOTE for spot or BASE-QUOTE-PERP for a perpetual, such as BTC-USDT or BTC-USDT-PERP.`,
        { option: 'instruments', value: name },
      )
    const [, base = '', quote = '', perpetual] = match
    for (const place of PLACES) {
      if (place.exchange !== exchange || place.kind !== (perpetual === undefined ? 'spot' : 'perpetual')) continue
      if (place.quotes !== undefined && !place.quotes.includes(quote)) continue
      if (place.notQuotes?.includes(quote) === true) continue
      listings.push(list(place, name, base, quote))
    }
  }
  return listings
}

/** A part of an exchange that trades one kind of instrument. */
interface Place {
  readonly exchange: string
  readonly market: string
  readonly kind: 'spot' | 'perpetual'
  readonly quotes?: readonly string[]
  readonly notQuotes?: readonly string[]
  readonly symbol: (base: string, quote: string) => string
  /** Digits of the well-known: price decimals, size decimals, and digits written where they differ. */
  readonly digits: ReadonlyMap<string, Digits>
  /** Digits written of every size or price, where the exchange fills up with zeros. */
  readonly textDecimals?: number
  /** Size decimals that the exchange gives to every instrument. */
  readonly sizeDecimals?: number
  readonly contractSize?: ReadonlyMap<string, number>
}

type Digits = readonly [priceDecimals: number, sizeDecimals: number, priceTextDecimals?: number]

const glued = (base: string, quote: string): string => base + quote

function digitsOf(table: Readonly<Record<string, Digits>>): ReadonlyMap<string, Digits> {
  return new Map(Object.entries(table))
}

const PLACES: readonly Place[] = [
  {
    exchange: 'binance',
    market: 'spot',
    kind: 'spot',
    notQuotes: ['USD'],
    symbol: glued,
    digits: digitsOf({ BTC: [2, 5], ETH: [2, 4], SOL: [2, 3], XRP: [4, 1], DOGE: [5, 0] }),
    textDecimals: 8,
  },
  {
    exchange: 'binance-futures',
    market: 'usdm',
    kind: 'perpetual',
    quotes: ['USDT', 'USDC'],
    symbol: glued,
    digits: digitsOf({ BTC: [1, 3, 2], ETH: [2, 3], SOL: [2, 2, 4], XRP: [4, 1], DOGE: [5, 0] }),
  },
  {
    exchange: 'bybit',
    market: 'spot',
    kind: 'spot',
    notQuotes: ['USD'],
    symbol: glued,
    digits: digitsOf({ BTC: [1, 6], ETH: [2, 5], SOL: [2, 3], XRP: [4, 2], DOGE: [5, 1] }),
  },
  {
    exchange: 'bybit',
    market: 'linear',
    kind: 'perpetual',
    quotes: ['USDT', 'USDC'],
    symbol: (base, quote) => (quote === 'USDC' ? `${base}PERP` : base + quote),
    digits: digitsOf({ BTC: [1, 3, 2], ETH: [2, 2], SOL: [2, 1, 3], XRP: [4, 1], DOGE: [5, 0] }),
  },
  {
    exchange: 'kraken',
    market: 'spot',
    kind: 'spot',
    symbol: (base, quote) => `${base}/${quote}`,
    digits: digitsOf({ BTC: [1, 8], ETH: [2, 8], SOL: [2, 8], XRP: [5, 8], DOGE: [7, 8] }),
    sizeDecimals: 8,
  },
  {
    exchange: 'okx',
    market: 'SPOT',
    kind: 'spot',
    symbol: (base, quote) => `${base}-${quote}`,
    notQuotes: ['USD'],
    digits: digitsOf({ BTC: [1, 8], ETH: [2, 6], SOL: [2, 6], XRP: [4, 6], DOGE: [5, 6] }),
  },
  {
    exchange: 'okx',
    market: 'SWAP',
    kind: 'perpetual',
    quotes: ['USDT', 'USDC'],
    symbol: (base, quote) => `${base}-${quote}-SWAP`,
    digits: digitsOf({ BTC: [1, 2], ETH: [2, 2], SOL: [2, 2], XRP: [4, 2], DOGE: [5, 2] }),
    contractSize: new Map([
      ['BTC', 0.01],
      ['ETH', 0.1],
      ['SOL', 1],
      ['XRP', 100],
      ['DOGE', 1_000],
    ]),
  },
  {
    exchange: 'coinbase',
    market: 'spot',
    kind: 'spot',
    symbol: (base, quote) => `${base}-${quote}`,
    digits: digitsOf({ BTC: [2, 8], ETH: [2, 8], SOL: [2, 8], XRP: [4, 6], DOGE: [5, 1] }),
  },
]

/** US dollars of one unit, where it is known; others get a price of their own from their name. */
const USD: ReadonlyMap<string, number> = new Map([
  ['BTC', 78_800],
  ['ETH', 2_650],
  ['SOL', 158],
  ['XRP', 1.95],
  ['DOGE', 0.185],
  ['ADA', 0.62],
  ['LTC', 92],
  ['BNB', 640],
  ['AVAX', 28],
  ['LINK', 16.5],
  ['DOT', 4.8],
  ['TRX', 0.27],
  ['BCH', 410],
  ['USDT', 0.9998],
  ['USDC', 1],
  ['USD', 1],
  ['EUR', 1.12],
  ['GBP', 1.31],
])

const WEIGHTS: ReadonlyMap<string, number> = new Map([
  ['BTC', 4],
  ['ETH', 3],
  ['SOL', 2],
])

function usdOf(currency: string): number {
  const known = USD.get(currency)
  if (known !== undefined) return known
  return Number((0.05 * 10 ** ((hash32(1, currency) / 0x1_0000_0000) * 4)).toPrecision(4))
}

function list(place: Place, name: string, base: string, quote: string): Listing {
  const startPrice = usdOf(base) / usdOf(quote)
  const contractSize =
    place.kind === 'perpetual' && place.contractSize ? (place.contractSize.get(base) ?? 1) : undefined
  const unitUsd = usdOf(base) * (contractSize ?? 1)
  const dollarQuote = quote.startsWith('USD')
  const known = dollarQuote ? place.digits.get(base) : undefined
  // Rule of thumb: a tick is about a hundred-thousandth of the price, a lot about ten cents.
  const priceDecimals = known?.[0] ?? clamp(5 - Math.ceil(Math.log10(startPrice)), 0, 8)
  const sizeDecimals = place.sizeDecimals ?? known?.[1] ?? clamp(Math.ceil(Math.log10(unitUsd)) + 1, 0, 8)
  const fill = place.textDecimals ?? 0
  return {
    exchange: place.exchange,
    symbol: place.symbol(base, quote),
    name,
    kind: place.kind,
    base,
    quote,
    tickSize: Number(`1e-${priceDecimals}`),
    priceDecimals,
    lotSize: Number(`1e-${sizeDecimals}`),
    sizeDecimals,
    contractSize,
    inverse: false,
    expiryTimeUs: undefined,
    trading: true,
    market: place.market,
    priceTextDecimals: Math.max(fill, priceDecimals, known?.[2] ?? 0),
    sizeTextDecimals: Math.max(fill, sizeDecimals),
    startPrice,
    lotUsd: unitUsd * 10 ** -sizeDecimals,
    weight: WEIGHTS.get(base) ?? 1,
  }
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
