/**
 * A whole feed for `hopFeeds`: Binance depth frames in memory instead of a socket, decoded, sequenced and kept as books as
 * fast as the thread can. What crosses is the best prices of each book, sampled.
 */
import { Observable } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { fromFrames } from '../../src/feed/fromFrames'
import { toBooks } from '../../src/operators/toBooks'
import { exposeSource } from '../../src/workers/exposeSource'
import { threadTimeUs } from '../../src/workers/threadTime'
import { seeded } from '../kit/random'

export interface FeedWish {
  readonly seed: number
  readonly sampleMs: number
  /** In shared memory. First: 1 while it is to work. */
  readonly switch: Int32Array
  /** In shared memory: frames so far, and the thread's time on a processor so far, µs. */
  readonly counts: Float64Array
}

export interface Best {
  readonly symbol: string
  readonly bidPrice: number
  readonly askPrice: number
}

const SYMBOLS = 20
const LEVELS = 500
const FRAMES = 4_000
const TICK = 0.1
/** Frames between two looks at the thread's time. */
const TOLD_EVERY = 256

exposeSource(({ seed, sampleMs, switch: running, counts }: FeedWish) => {
  const { frames, snapshots } = synthetic(seed)
  let passed = 0
  const counted = {
    *[Symbol.iterator]() {
      for (const frame of frames) {
        if (++passed % TOLD_EVERY === 0) {
          counts[0] = passed
          counts[1] = threadTimeUs() ?? 0
        }
        yield frame
      }
    },
  }
  const source = new Observable<Best>((out) => {
    const latest = new Map<string, BookView>()
    const pass = (): void => {
      if (out.closed) return
      if (Atomics.load(running, 0) === 0) {
        Atomics.wait(running, 0, 0, 20)
        setImmediate(pass)
        return
      }
      fromFrames('binance', counted, { snapshots })
        .pipe(toBooks())
        .subscribe((views) => {
          for (const view of views) latest.set(view.symbol, view)
        })
      setImmediate(pass)
    }
    setImmediate(pass)
    const sampler = setInterval(() => {
      for (const [symbol, view] of latest) {
        out.next({ symbol, bidPrice: view.bestBid()?.price ?? 0, askPrice: view.bestAsk()?.price ?? 0 })
      }
      latest.clear()
    }, sampleMs)
    return () => clearInterval(sampler)
  })
  return { source, keyOf: ({ symbol }) => symbol }
})

/** Frames of some 285 bytes: three to eight levels each, most of them near the touch. */
function synthetic(seed: number): {
  readonly frames: readonly Uint8Array[]
  readonly snapshots: readonly { readonly symbol: string; readonly body: string }[]
} {
  const random = seeded(seed)
  const symbols = Array.from({ length: SYMBOLS }, (_, index) => `S${index}USDT`)
  const mid = 50_000
  const level = (side: number, distance: number, removed: boolean): string => {
    const price = (mid + side * (distance + 1) * TICK).toFixed(2)
    return `["${price}0000","${removed ? '0.00000000' : (random() * 10 + 0.001).toFixed(8)}"]`
  }
  const sideOf = (side: number): string =>
    Array.from({ length: LEVELS }, (_, distance) => level(side, distance, false)).join()
  const snapshots = symbols.map((symbol) => ({
    symbol,
    body: `{"lastUpdateId":1000,"bids":[${sideOf(-1)}],"asks":[${sideOf(1)}]}`,
  }))
  const next = new Map(symbols.map((symbol) => [symbol, 1_001]))
  const changes = (side: number): string =>
    Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
      const distance = Math.min(LEVELS - 1, Math.floor(random() ** 4 * LEVELS))
      return level(side, distance, distance > 0 && random() < 0.17)
    }).join()
  const frames = Array.from({ length: FRAMES }, (_, index) => {
    const symbol = symbols[Math.floor(random() * SYMBOLS)]!
    const first = next.get(symbol)!
    const last = first + Math.floor(random() * 5)
    next.set(symbol, last + 1)
    const text = `{"stream":"${symbol.toLowerCase()}@depth@100ms","data":{"e":"depthUpdate","E":${1_700_000_000_000 + index},"s":"${symbol}","U":${first},"u":${last},"b":[${changes(-1)}],"a":[${changes(1)}]}}`
    return new TextEncoder().encode(text)
  })
  return { frames, snapshots }
}
