/**
 * Checksums that exchanges send with their books, computed from the wire's own digits: by the kernel, or from texts where a
 * book has numbers that it does not print.
 */
import { createRequire } from 'node:module'
import type * as kernels from '../kernel/kernel'
import { KRAKEN_LEVELS, OKX_LEVELS, VERIFY_KRAKEN, VERIFY_OKX } from '../kernel/layout'
import type { Level2Book } from './level2Book'

export interface ChecksumRule {
  readonly name: string
  /** Levels a side that take part. */
  readonly levels: number
  /** How the kernel verifies it by itself. */
  readonly verify: number
  /** True for values by which the exchange says "no checksum". */
  isNone(sent: number): boolean
  compute(book: Level2Book): number
}

/**
 * Kraken, v1 and v2: the ten best asks, lowest first, then the ten best bids, highest first; of each level the price and
 * the size text without point and leading zeros, all joined; CRC32 as unsigned 32 bits.
 *
 * Source  https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
 */
export const krakenChecksum: ChecksumRule = {
  name: 'CRC32 of the ten best levels',
  levels: KRAKEN_LEVELS,
  verify: VERIFY_KRAKEN,
  isNone: () => false,
  compute(book) {
    const { checksumAddress: address } = book
    const quick = address === 0 ? -1 : kernel().code.krakenChecksum(address, KRAKEN_LEVELS)
    if (quick >= 0) return quick
    let text = ''
    for (const side of [book.asks, book.bids]) {
      for (const [price, size] of side.texts(KRAKEN_LEVELS)) text += significant(price) + significant(size)
    }
    return crc32(text)
  },
}

/**
 * OKX, until 2026: the 25 best bids and asks interleaved as `bidPrice:bidSize:askPrice:askSize`, a missing side skipped,
 * joined by colons, with the texts as sent; CRC32 as signed 32 bits. Zero has meant "no checksum" since.
 */
export const okxChecksum: ChecksumRule = {
  name: 'CRC32 of the 25 best levels',
  levels: OKX_LEVELS,
  verify: VERIFY_OKX,
  isNone: (sent) => sent === 0,
  compute(book) {
    const { checksumAddress: address } = book
    const quick = address === 0 ? -1 : kernel().code.okxChecksum(address, OKX_LEVELS)
    if (quick >= 0) return quick | 0
    const bids = book.bids.texts(OKX_LEVELS)
    const asks = book.asks.texts(OKX_LEVELS)
    const parts: string[] = []
    for (let index = 0; index < OKX_LEVELS; index++) {
      const bid = bids[index]
      const ask = asks[index]
      if (bid !== undefined) parts.push(bid[0], bid[1])
      if (ask !== undefined) parts.push(ask[0], ask[1])
    }
    return crc32(parts.join(':')) | 0
  },
}

/** The digits of a decimal text without point and leading zeros: `0.00050000` gives `50000`. */
function significant(text: string): string {
  return text.replace('.', '').replace(/^0+/, '')
}

/** Few texts come here, and what compresses would be loaded with everything else. */
function crc32(text: string): number {
  return process.getBuiltinModule('node:zlib').crc32(text)
}

let loaded: typeof kernels | undefined

/** The kernel is loaded for the first checksum: every exchange's description names its rule, and few of them are used. */
function kernel(): kernels.Kernel {
  loaded ??= createRequire(__filename)('../kernel/kernel') as typeof kernels
  return loaded.kernel()
}
