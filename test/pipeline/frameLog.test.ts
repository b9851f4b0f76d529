import { expect } from 'chai'
import type { SessionRecord } from '../../src/feed/record'
import { FrameLog } from '../../src/pipeline/frameLog'

describe('The frame log', () => {
  it('finds what was received of an exchange at a time, with the address of its connection', () => {
    const log = new FrameLog()
    log.saw({ ...base(1), dir: 'open', url: 'wss://exchange/spot' })
    log.saw(frame(2, 'a'))
    log.saw({ ...frame(2, 'b'), exchange: 'okx' })
    const binary = { ...base(3), dir: 'in', data: Uint8Array.of(1, 2) } as const
    log.saw(binary)
    expect(log.find({ exchange: 'kraken', receiveTimeUs: 2 })).to.deep.equal([
      { record: frame(2, 'a'), url: 'wss://exchange/spot' },
    ])
    expect(log.find({ exchange: 'kraken', receiveTimeUs: 3 })[0]!.record).to.deep.equal(binary)
    expect(log.find({ exchange: 'kraken', receiveTimeUs: 4 })).to.deep.equal([])
    expect(log.find({ exchange: 'bybit', receiveTimeUs: 2 })).to.deep.equal([])
  })

  it('keeps REST answers that events are made of, with their own address, and no lists of instruments', () => {
    const log = new FrameLog()
    const rest = { ...base(5), dir: 'rest', method: 'GET', url: 'https://exchange/depth', body: '{}' } as const
    log.saw({ ...rest, role: 'instruments' })
    log.saw({ ...rest, role: 'book-snapshot' })
    log.saw({ ...base(5), dir: 'out', data: 'subscribe' })
    expect(log.find({ exchange: 'kraken', receiveTimeUs: 5 })).to.deep.equal([
      { record: { ...rest, role: 'book-snapshot' }, url: 'https://exchange/depth' },
    ])
    expect(log.size).to.equal(1)
  })

  it('forgets the oldest when it has as many as it may', () => {
    const log = new FrameLog({ records: 3, bytes: 1_000 })
    for (let at = 1; at <= 8; at++) log.saw(frame(at, String(at)))
    expect(log.size).to.equal(3)
    const found = Array.from({ length: 9 }, (_, at) => log.find({ exchange: 'kraken', receiveTimeUs: at }).length)
    expect(found).to.deep.equal([0, 0, 0, 0, 0, 0, 1, 1, 1])
  })

  it('forgets as many as it takes to keep to its bytes, and takes none that is larger alone', () => {
    const log = new FrameLog({ records: 100, bytes: 100 })
    for (let at = 1; at <= 5; at++) log.saw(frame(at, 'x'.repeat(10))) // 20 bytes each, as texts may take two a character
    expect(log.size).to.equal(5)
    log.saw(frame(6, 'x'.repeat(25)))
    expect(log.size).to.equal(3)
    log.saw(frame(7, 'x'.repeat(51)))
    expect([log.size, log.find({ exchange: 'kraken', receiveTimeUs: 7 }).length]).to.deep.equal([3, 0])
    log.saw({ ...base(8), dir: 'in', data: new Uint8Array(100) })
    expect(log.size).to.equal(1)
    for (let at = 9; at < 1_000; at++) log.saw(frame(at, 'x'.repeat(at % 40)))
    expect(log.size).to.be.within(1, 100)
  })

  it('forgets the address of a connection with its end', () => {
    const log = new FrameLog()
    log.saw({ ...base(1), dir: 'open', url: 'wss://exchange' })
    log.saw({ ...base(2), dir: 'close', code: 1_000, reason: '' })
    log.saw(frame(3, 'late'))
    expect(log.find({ exchange: 'kraken', receiveTimeUs: 3 })[0]!.url).to.equal(undefined)
  })

  it('has memory of its own: what becomes of the memory of a frame, or of a block that is used again, changes nothing', () => {
    const log = new FrameLog({ records: 200, bytes: 1024 * 1024 })
    const socket = new Uint8Array(100_000)
    const found: { readonly at: number; readonly data: Uint8Array }[] = []
    for (let at = 1; at <= 3_000; at++) {
      const size = at % 50 === 0 ? 80_000 : (at * 37) % 3_000
      const slice = socket.subarray(7, 7 + size).fill(at % 251)
      log.saw({ ...base(at), dir: 'in', data: slice, isText: at % 2 === 0 })
      slice.fill(255)
      const back = log.find({ exchange: 'kraken', receiveTimeUs: at - (at % 60) })
      for (const { record } of back) {
        if (record.dir !== 'in') continue
        expect(record.isText === true).to.equal(record.timeUs % 2 === 0)
        found.push({ at: record.timeUs, data: record.data as Uint8Array })
      }
    }
    expect(found.length).to.be.greaterThan(1_000)
    for (const { at, data } of found) {
      expect(data).to.have.length(at % 50 === 0 ? 80_000 : (at * 37) % 3_000)
      expect(data.every((byte) => byte === at % 251)).to.equal(true)
    }
    expect(log.size).to.be.within(1, 200)
  })

  it('gives what came at one time in its order', () => {
    const log = new FrameLog({ records: 2, bytes: 1_000 })
    for (const text of ['gone', 'first', 'second']) log.saw(frame(1, text))
    const texts = log
      .find({ exchange: 'kraken', receiveTimeUs: 1 })
      .map(({ record }) => 'data' in record && record.data)
    expect(texts).to.deep.equal(['first', 'second'])
  })
})

function base(timeUs: number): { exchange: string; connection: number; timeUs: number; ns: number } {
  return { exchange: 'kraken', connection: 1, timeUs, ns: 0 }
}

function frame(timeUs: number, data: string): Extract<SessionRecord, { dir: 'in' }> {
  return { ...base(timeUs), dir: 'in', data }
}
