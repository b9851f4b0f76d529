/**
 * `fromFrames(...).pipe(toBooks())`, and what is made of `feed`, `replay` and `simulator`, keeps the books where the frames are decoded, and makes no events between. What it gives
 * must be what the same operator makes of the events.
 */
import { expect } from 'chai'
import { lastValueFrom, map, toArray, type Observable } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import { fromFrames, type FromFramesOptions } from '../../src/feed/fromFrames'
import type { Batch, MarketEvent } from '../../src/model/events'
import { toBooks } from '../../src/operators/toBooks'
import { replay } from '../../src/pipeline/sources'
import { needsShared, sharedPath } from '../kit/shared'
import { argumentsOf, recordsOf } from './sessionRecords'

const SESSIONS: readonly (readonly [exchange: string, session: string])[] = [
  ['binance', 'binance.ws1'],
  ['binance', 'binance.ethusdt-20240808'],
  ['binance-futures', 'binance-futures.ws1'],
  ['binance-futures', 'binance-futures.btcusdt-20240808.first60'],
  ['bybit', 'bybit.xrpusdt-ob500-20241201.first60'],
  ['kraken', 'kraken.ws50.first60'],
  ['kraken', 'kraken.v2-btcusd-20260824'],
  ['okx', 'okx.ws1.first60'],
  ['coinbase', 'coinbase.ws28.first60'],
]

/** What a view says at once. */
const told = (view: BookView): unknown[] => [
  view.exchange,
  view.symbol,
  view.instrument,
  view.exchangeTimeUs,
  view.receiveTimeUs,
  view.seq,
  view.bestBid(),
  view.bestAsk(),
  view.bids(12),
  view.asks(12),
]

interface Seen {
  readonly batches: unknown[][]
  /** Some views, and all of their levels as they were. */
  readonly kept: { readonly view: BookView; readonly bids: string; readonly asks: string }[]
}

function see(exchange: string, frames: Iterable<Uint8Array>, options: FromFramesOptions, isFused: boolean): Seen {
  const seen: Seen = { batches: [], kept: [] }
  const source = fromFrames(exchange, frames, options)
  const books = isFused ? source.pipe(toBooks()) : source.pipe(map((batch) => batch)).pipe(toBooks())
  let count = 0
  books.subscribe((batch) => {
    seen.batches.push([...batch].map(told))
    for (const view of batch) {
      if (count++ % 97 !== 0) continue
      seen.kept.push({ view, bids: JSON.stringify(view.bids()), asks: JSON.stringify(view.asks()) })
    }
  })
  return seen
}

function expectSame(exchange: string, frames: readonly Uint8Array[], options: FromFramesOptions): number {
  const fused = see(exchange, frames, options, true)
  const plain = see(exchange, frames, options, false)
  expect(fused.batches.length).to.equal(plain.batches.length)
  for (let index = 0; index < fused.batches.length; index++) {
    expect(fused.batches[index], `batch ${index}`).to.deep.equal(plain.batches[index])
  }
  for (const { kept } of [fused, plain]) {
    for (const { view, bids, asks } of kept) {
      expect(JSON.stringify(view.bids())).to.equal(bids)
      expect(JSON.stringify(view.asks())).to.equal(asks)
      expect(view.levels()).to.deep.equal([view.bids().length, view.asks().length])
    }
  }
  return fused.batches.length
}

describe('The books of frames', () => {
  for (const [exchange, session] of SESSIONS) {
    it(`are those of their events, and views stay as they were (${session})`, async function () {
      this.timeout(60_000)
      needsShared(this)
      const { frames, options } = argumentsOf(exchange, await recordsOf(session))
      expect(expectSame(exchange, frames, options)).to.be.above(3)
    })

    it(`fall silent and come back as those of events do (${session})`, async function () {
      this.timeout(60_000)
      needsShared(this)
      const { frames, options } = argumentsOf(exchange, await recordsOf(session))
      // Every 50th frame is lost, every 70th comes twice, every 90th is cut short.
      const harmed = frames.slice(0, 3_000).flatMap((frame, index) => {
        if (index % 50 === 49) return []
        if (index % 70 === 69) return [frame, frame]
        return index % 90 === 89 ? [frame.subarray(0, frame.length >> 1)] : [frame]
      })
      expectSame(exchange, harmed, options)
    })
  }
})

describe('The books of a replay', () => {
  for (const session of ['binance.ethusdt-20240808', 'kraken.v2-btcusd-20260824', 'okx.ws1.first60']) {
    it(`are those of its events (${session})`, async function () {
      this.timeout(60_000)
      needsShared(this)
      const recording = sharedPath('fixtures', 'recorded', `${session}.ndjson.gz`)
      const batchesOf = (source: Observable<Batch<MarketEvent>>): Promise<unknown[][]> =>
        lastValueFrom(
          source.pipe(
            toBooks({ depth: 5 }),
            map((views) => [...views].map(told)),
            toArray(),
          ),
        )
      const kept = await batchesOf(replay(recording))
      const plain = await batchesOf(replay(recording).pipe(map((batch) => batch)))
      expect(kept.length).to.equal(plain.length).and.to.be.above(3)
      for (let index = 0; index < kept.length; index++)
        expect(kept[index], `batch ${index}`).to.deep.equal(plain[index])
    })
  }
})
