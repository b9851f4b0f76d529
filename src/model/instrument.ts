/**
 * Instruments: what is traded, under the exchange's name and under ours.
 *
 * The unified name is `BASE-QUOTE` for spot, `BASE-QUOTE-PERP` for perpetuals and `BASE-QUOTE-YYMMDD` for dated futures
 * (settled at that date, UTC), with the currencies spelled the common way (BTC, DOGE). It is made from the exchange's
 * metadata, never by cutting symbols.
 */
export type InstrumentKind = 'spot' | 'perpetual' | 'future' | 'option'

export interface Instrument {
  readonly exchange: string
  /** The exchange's own name, as it appears in data frames. */
  readonly symbol: string
  /** The unified name. */
  readonly name: string
  readonly kind: InstrumentKind
  readonly base: string
  readonly quote: string
  /** Smallest price step, in quote units. */
  readonly tickSize: number | undefined
  readonly priceDecimals: number | undefined
  /** Smallest size step, in the size unit. */
  readonly lotSize: number | undefined
  readonly sizeDecimals: number | undefined
  /** Base units per contract on linear, quote units on inverse contracts; undefined where sizes are base units. */
  readonly contractSize: number | undefined
  /** True when size counts quote units and the contract settles in base. */
  readonly inverse: boolean
  readonly expiryTimeUs: number | undefined
  readonly trading: boolean
  /** The protocol's part of the exchange that trades it (`spot`, `linear` ...): decides addresses and topics. */
  readonly market: string
}

/** The unified name of an instrument, from its metadata. */
export function unifiedName(
  kind: InstrumentKind,
  base: string,
  quote: string,
  expiryTimeUs?: number,
  option?: { readonly strike: string; readonly right: 'C' | 'P' },
): string {
  const pair = `${base}-${quote}`
  if (kind === 'spot') return pair
  if (kind === 'perpetual') return `${pair}-PERP`
  const dated = expiryTimeUs === undefined ? pair : `${pair}-${yymmdd(expiryTimeUs)}`
  return option === undefined ? dated : `${dated}-${option.strike}-${option.right}`
}

function yymmdd(timeUs: number): string {
  return new Date(timeUs / 1_000).toISOString().slice(2, 10).replaceAll('-', '')
}

/** The instruments of one exchange, found by the exchange's name or by ours. Never keyed by plain-object properties. */
export class InstrumentTable {
  private inMarket = new Map<string, Instrument>()
  private bySymbol = new Map<string, Instrument>()
  private byName = new Map<string, Instrument>()
  /** True while what it holds belongs to another table. */
  private borrowed = false

  constructor(instruments: Iterable<Instrument> = []) {
    for (const instrument of instruments) this.add(instrument)
  }

  get size(): number {
    return this.inMarket.size
  }

  /**
   * Begins a table that is empty with all that another one holds, which must not change afterwards. Nothing is copied until this
   * one changes: an exchange lists thousands, and they are the same for each of its connections.
   */
  beginAs({ inMarket, bySymbol, byName }: InstrumentTable): void {
    this.inMarket = inMarket
    this.bySymbol = bySymbol
    this.byName = byName
    this.borrowed = true
  }

  /** The first instrument of a name wins: exchanges list an instrument's main market first. */
  add(instrument: Instrument): void {
    if (this.borrowed) {
      this.borrowed = false
      this.inMarket = new Map(this.inMarket)
      this.bySymbol = new Map(this.bySymbol)
      this.byName = new Map(this.byName)
    }
    const key = symbolKey(instrument.market, instrument.symbol)
    if (!this.inMarket.has(key)) this.inMarket.set(key, instrument)
    if (!this.bySymbol.has(instrument.symbol)) this.bySymbol.set(instrument.symbol, instrument)
    if (!this.byName.has(instrument.name)) this.byName.set(instrument.name, instrument)
  }

  /** By the exchange's own symbol: in the given market first, since two markets may spell alike, then anywhere. */
  symbol(market: string, symbol: string): Instrument | undefined {
    return this.inMarket.get(symbolKey(market, symbol)) ?? this.bySymbol.get(symbol)
  }

  /** By unified name, or by the exchange's own symbol. */
  find(nameOrSymbol: string): Instrument | undefined {
    return this.byName.get(nameOrSymbol) ?? this.bySymbol.get(nameOrSymbol)
  }

  names(): string[] {
    return [...this.byName.keys()]
  }

  [Symbol.iterator](): IterableIterator<Instrument> {
    return this.inMarket.values()
  }
}

function symbolKey(market: string, symbol: string): string {
  return `${market} ${symbol}`
}
