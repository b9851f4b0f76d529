import { expect } from 'chai'
import { conflateEvents } from '../../../src/book/conflate'
import { Level2Book } from '../../../src/book/level2Book'
import { DeltaPacker, type PackedDelta, type PackedColumns } from '../../../src/model/codec/packedDelta'
import type { BookChange, Level } from '../../../src/model/events'
import { decodeValue, encodeValue } from '../../../src/pipeline/valueCodec'

const OF = { symbol: 'BTCUSDT', instrument: 'BTC-USDT', depth: undefined }
const RECEIVED_US = 1_760_000_000_000_001

/** Sizes have three decimals, prices two. */
const DECIMALS = 2 * 128 + 3

describe('A packed delta', () => {
  const packer = new DeltaPacker()

  function packed(bids: readonly Level[], asks: readonly Level[], seq = 7): PackedDelta {
    const columns = [bids, asks].map((levels) => [
      ...levels.map(([price]) => price),
      ...levels.map(([, size]) => size),
      ...levels.map(() => DECIMALS),
    ])
    const at = (from: number, count: number): PackedColumns => ({
      prices: from,
      sizes: from + count,
      decimals: from + 2 * count,
    })
    return packer.pack(
      'binance',
      OF,
      {
        exchangeTimeUs: NaN,
        seq,
        prevSeq: NaN,
        firstSeq: seq - 1,
        checksum: NaN,
        bids: bids.length,
        asks: asks.length,
      },
      RECEIVED_US,
      Float64Array.from(columns.flat()),
      at(0, bids.length),
      at(3 * bids.length, asks.length),
    )
  }

  const bids: Level[] = [
    [100.5, 1.25],
    [100.25, 0],
  ]
  const asks: Level[] = [[101.75, 3]]
  const plain: BookChange = {
    kind: 'delta',
    exchange: 'binance',
    symbol: 'BTCUSDT',
    instrument: 'BTC-USDT',
    exchangeTimeUs: undefined,
    receiveTimeUs: RECEIVED_US,
    bids,
    asks,
    seq: 7,
    prevSeq: undefined,
    firstSeq: 6,
    checksum: undefined,
    depth: undefined,
    bidDigits: { decimals: [DECIMALS, DECIMALS], texts: undefined },
    askDigits: { decimals: [DECIMALS], texts: undefined },
  }

  it('reads as the delta that it stands for, whatever was packed behind it', () => {
    const delta = packed(bids, asks)
    for (let index = 0; index < 1_000; index++) packed([[index, index]], [])
    expect(delta.plain()).to.deep.equal(plain)
    for (const field of Object.keys(plain) as (keyof BookChange)[]) {
      expect(delta[field], field).to.deep.equal(plain[field])
    }
    const none = packed([], [])
    expect([none.bids, none.asks]).to.deep.equal([[], []])
  })

  it('takes more levels than arrays are made for', () => {
    const many = Array.from({ length: 3_000 }, (_, index): Level => [index + 0.5, index])
    const delta = packed(many, asks)
    expect(delta.bids).to.deep.equal(many)
    expect(delta.asks).to.deep.equal(asks)
  })

  it('waits on disk, and in a quarantine, as the delta that it stands for', () => {
    expect(encodeValue([packed(bids, asks)])).to.equal(encodeValue([plain]))
    expect(decodeValue(encodeValue([packed(bids, asks)]))).to.deep.equal([plain])
  })

  it('is merged as the delta that it stands for', () => {
    const next = packed([[100.25, 5]], [[101.75, 0]], 9)
    const merged = conflateEvents([plain], [next.plain()])
    expect(conflateEvents([packed(bids, asks)], [next])).to.deep.equal(merged)
    expect(conflateEvents([plain], [next])).to.deep.equal(merged)
    expect(conflateEvents([packed(bids, asks)], [next.plain()])).to.deep.equal(merged)
  })

  it('changes a book as the delta that it stands for, on any ticks and cut to a depth', () => {
    const snapshot = {
      ...plain,
      kind: 'snapshot' as const,
      bids: [[100, 1] as Level],
      bidDigits: { decimals: [DECIMALS], texts: undefined },
    }
    const changes = [
      packed(bids, asks),
      packed([[100.125, 2]], []),
      packed([[1_234_567_890.123456, 1]], [[1_234_567_899.5, 2]]),
      packed([], [[101, 1e-9]]),
    ]
    const [one, other] = [new Level2Book(), new Level2Book()]
    for (const book of [one, other]) book.snapshot(snapshot)
    for (const change of changes) {
      one.delta(change)
      other.delta(change.plain())
      expect(one.bids.texts(10)).to.deep.equal(other.bids.texts(10))
      expect(one.asks.texts(10)).to.deep.equal(other.asks.texts(10))
    }
    for (const book of [one, other]) book.clear()
  })
})
