import { expect } from 'chai'
import { kept, textOf, type InRecord, type SessionRecord } from '../../src/feed/record'

const base = { timeUs: 5, ns: 1, connection: 2, exchange: 'kraken' }

describe('A record that is kept', () => {
  it('has the frame as text where it was text, whatever becomes of the memory that it came in', () => {
    const chunk = Buffer.from('..{"a":"é☃"}..')
    const record = kept({ ...base, dir: 'in', data: chunk.subarray(2, -2), isText: true })
    chunk.fill(0)
    expect(record).to.deep.equal({ ...base, dir: 'in', data: '{"a":"é☃"}' })
  })

  it('has the bytes of a binary frame for itself, and not the chunk around them', () => {
    const chunk = Buffer.alloc(65_536, 7)
    const record = kept({ ...base, dir: 'in', data: chunk.subarray(10, 13), isText: false }) as InRecord
    chunk.fill(0)
    expect(record).to.deep.equal({ ...base, dir: 'in', data: Uint8Array.of(7, 7, 7), isText: false })
    const copied = kept({ ...base, dir: 'in', data: new Uint8Array(chunk.buffer, 0, 3) }) as InRecord
    expect((copied.data as Uint8Array).buffer.byteLength).to.equal(3)
  })

  it('stays bytes where a text frame is no UTF-8, so that nothing of it is lost', () => {
    const record = kept({ ...base, dir: 'in', data: Uint8Array.of(0x61, 0xc3), isText: true })
    expect(record).to.deep.equal({ ...base, dir: 'in', data: Uint8Array.of(0x61, 0xc3), isText: true })
  })

  it('is itself where it has no bytes', () => {
    const records: SessionRecord[] = [
      { ...base, dir: 'open', url: 'wss://x' },
      { ...base, dir: 'in', data: 'text' },
      { ...base, dir: 'out', data: 'text' },
      { ...base, dir: 'close', code: 1_000, reason: '' },
    ]
    for (const record of records) expect(kept(record)).to.equal(record)
  })
})

describe('The text of a frame', () => {
  it('is what was sent, with a byte order mark and with nothing in it', () => {
    const of = (text: string): string | undefined => textOf({ data: Buffer.from(text), isText: true })
    for (const text of ['', '\ufeff{}', '\u0000', '𝄞']) expect(of(text)).to.equal(text)
  })

  it('is none of a binary frame', () => {
    expect(textOf({ data: Buffer.from('{}'), isText: false })).to.equal(undefined)
    expect(textOf({ data: Buffer.from('{}') })).to.equal(undefined)
  })
})
