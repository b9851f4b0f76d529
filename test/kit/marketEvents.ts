/**
 * Market events for tests: made of what a test is about, the rest filled in. Level texts keep the digits they are given
 * with, as a decoder would.
 */
import { BookView } from '../../src/book/bookView'
import { Level2Book } from '../../src/book/level2Book'
import { decimalsOf, isExactDecimal } from '../../src/model/decimal'
import type { BookChange, Level, LevelDigits, LevelText, Notice, NoticeCode, Trade } from '../../src/model/events'

const BASE = {
  exchange: 'kraken',
  symbol: 'BTC/USD',
  instrument: 'BTC-USD',
  exchangeTimeUs: undefined,
  receiveTimeUs: 0,
} as const

export function trade(fields: Partial<Trade> = {}): Trade {
  return {
    kind: 'trade',
    ...BASE,
    id: undefined,
    side: 'buy',
    price: 100,
    size: 1,
    priceDecimals: 2,
    sizeDecimals: 2,
    history: false,
    ...fields,
  }
}

export function notice(code: NoticeCode, fields: Partial<Notice> = {}): Notice {
  return { kind: 'notice', ...BASE, code, details: {}, ...fields }
}

type Texts = readonly LevelText[]

export function snapshot(bids: Texts, asks: Texts, fields: Partial<BookChange> = {}): BookChange {
  return bookChange('snapshot', bids, asks, fields)
}

export function delta(bids: Texts, asks: Texts, fields: Partial<BookChange> = {}): BookChange {
  return bookChange('delta', bids, asks, fields)
}

/** A view of a book with these levels, `[price, size]`. */
export function viewOf(
  bids: readonly Level[],
  asks: readonly Level[],
  fields: Partial<BookChange> = {},
  depth = Infinity,
): BookView {
  const book = new Level2Book()
  const change = snapshot(bids.map(textOf), asks.map(textOf), fields)
  book.snapshot(change)
  return BookView.of(change, book, depth)
}

function textOf([price, size]: Level): LevelText {
  return [String(price), String(size)]
}

function bookChange(kind: BookChange['kind'], bids: Texts, asks: Texts, fields: Partial<BookChange>): BookChange {
  return {
    kind,
    ...BASE,
    bids: bids.map(levelOf),
    asks: asks.map(levelOf),
    seq: undefined,
    prevSeq: undefined,
    firstSeq: undefined,
    checksum: undefined,
    depth: undefined,
    bidDigits: digitsOf(bids),
    askDigits: digitsOf(asks),
    ...fields,
  }
}

function levelOf([price, size]: LevelText): Level {
  return [Number(price), Number(size)]
}

function digitsOf(levels: Texts): LevelDigits {
  const texts = new Map<number, LevelText>()
  const decimals = levels.map(([price, size], index) => {
    if (!isExact(price) || !isExact(size)) texts.set(index, [price, size])
    return decimalsOf(price) * 128 + decimalsOf(size)
  })
  return { decimals, texts: texts.size > 0 ? texts : undefined }
}

function isExact(text: string): boolean {
  return isExactDecimal(text, Number(text), decimalsOf(text))
}
