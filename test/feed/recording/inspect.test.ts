/**
 * What is said of recordings: what they hold, and where they are not what was written.
 */
import { expect } from 'chai'
import { readFile, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { liveClock } from '../../../src/clock/liveClock'
import {
  checkRecording,
  recordingInfo,
  type Defect,
  type RecordingCheck,
  type RecordingInfo,
} from '../../../src/feed/recording/inspect'
import { openIndex } from '../../../src/feed/recording/recordingIndex'
import { openRecording } from '../../../src/feed/recording/recordingWriter'
import { frame, HEADER, recordingOf, rejectionOf, temporaryFolder } from './recordings'

const infoOf = (file: string): Promise<RecordingInfo> => recordingInfo(file, { onFault: () => undefined })
const check = (file: string): Promise<RecordingCheck> => checkRecording(file, { onFault: () => undefined })
const placesOf = ({ defects }: RecordingCheck): unknown[] => defects.map(({ kind, line }) => [kind, line])

/** A recording as millrace writes it, of some blocks. */
async function written(file: string): Promise<string> {
  const writer = await openRecording(
    file,
    { venues: ['kraken'] },
    { clock: liveClock, onFault: () => undefined, blockBytes: 16_384, flushBytes: 4_096 },
  )
  const base = { exchange: 'kraken', connection: 0, ns: 0 }
  writer.write({ ...base, timeUs: 1, dir: 'open', url: 'wss://ws.kraken.com' })
  for (let i = 0; i < 2_000; i += 1) {
    writer.write({ ...base, timeUs: 2 + i, dir: 'in', data: `frame ${i} ${Math.imul(i + 1, 2_654_435_761)}` })
  }
  expect((await writer.close()).complete).to.equal(true)
  return file
}

describe('recordingInfo', () => {
  const at = temporaryFolder()

  it('counts lines by direction, connections and gaps, and tells the times', async () => {
    const file = await recordingOf(at('x.ndjson'), [
      { t: '1000', dir: 'open', url: 'wss://a' },
      { t: '2000', dir: 'out', raw: 'subscribe' },
      frame(3_000),
      { t: '4000', dir: 'in', b64: 'AAEC' },
      { t: '5000', dir: 'gap', lost: 5 },
      { t: '6000', dir: 'close', code: 1006, reason: '' },
      { t: '7000', dir: 'open', url: 'wss://a' },
      { t: '8000', dir: 'open', url: 'wss://b', c: 4 },
      'no line',
      { t: '9500', dir: 'news' },
      frame(9_000),
    ])
    const info = await infoOf(file)
    expect(info).to.deep.include({
      kind: 'session',
      venue: 'kraken',
      venues: ['kraken'],
      firstT: '1000',
      lastT: '9000',
      durationUs: 8,
      unreadable: 1,
      ignored: 1,
      connections: 3,
      index: 'missing',
      restFile: null,
      made: null,
      complete: false,
    })
    expect(info.lines).to.include({ open: 3, out: 1, in: 2, 'in-binary': 1, close: 1, rest: 0 })
    expect(info.gaps.lost).to.be.at.least(5)
    expect(info.bytes).to.equal((await readFile(file)).length)
  })

  it('tells whether a recording is complete, and what its index is worth', async () => {
    const file = await written(at('x.ndjson.gz'))
    const whole = await infoOf(file)
    expect(whole).to.include({ complete: true, index: 'fits', brokenBlocks: 0 })
    expect(whole.blocks).to.be.above(3)
    const bytes = await readFile(file)
    await writeFile(at('cut.ndjson.gz'), bytes.subarray(0, bytes.length - 100))
    expect(await infoOf(at('cut.ndjson.gz'))).to.include({ complete: false, index: 'missing' })
    await writeFile(`${file}.index`, 'nonsense')
    expect(await infoOf(file)).to.include({ complete: true, index: 'broken' })
  })

  it('sends files of others to the conversion, and names what is none', async () => {
    await writeFile(at('a.gz'), gzipSync('1723161254024619568 {}\n'))
    expect((await rejectionOf(infoOf(at('a.gz')))).message).to.include(
      "is of hftbacktest's collector, not of millrace; convert it first",
    )
    expect((await rejectionOf(check(at('a.gz')))).message).to.include('convert it first')
    await writeFile(at('b'), 'hello')
    expect((await rejectionOf(infoOf(at('b')))).message).to.include('does not start with a header line')
    expect((await rejectionOf(infoOf(at('c')))).message).to.include('does not exist')
  })
})

describe('checkRecording', () => {
  const at = temporaryFolder()

  it('finds nothing in what was written, with or without its index', async () => {
    const file = await written(at('x.ndjson.gz'))
    expect(await check(file)).to.deep.include({
      sound: true,
      lines: 2_002,
      index: 'fits',
      defects: [],
      defectsInAll: 0,
    })
    await writeFile(at('y.ndjson.gz'), await readFile(file))
    expect(await check(at('y.ndjson.gz'))).to.include({ sound: true, index: 'missing' })
  })

  it('finds a flipped bit wherever it is, and names the block and its first line', async () => {
    const file = await written(at('x.ndjson.gz'))
    const bytes = await readFile(file)
    const { blocks } = await openIndex(file, { save: false })
    for (const block of blocks.slice(1)) {
      const flipped = Buffer.from(bytes)
      flipped[block.offset + (block.length >> 1)]! ^= 4
      await writeFile(file, flipped)
      const found = await check(file)
      expect(found.sound).to.equal(false)
      const [first] = found.defects as [Defect]
      expect(first).to.include({ kind: 'block', offset: block.offset, length: block.length, line: block.firstLine })
      expect(first.what).to.include(`bytes ${block.offset} to ${block.offset + block.length - 1}`)
    }
  })

  it('says of a file whose only block is broken that nothing of it is whole', async () => {
    const packed = gzipSync([HEADER, frame(1), frame(2)].map((line) => `${JSON.stringify(line)}\n`).join(''))
    packed[packed.length - 6]! ^= 1
    await writeFile(at('x.ndjson.gz'), packed)
    const found = await check(at('x.ndjson.gz'))
    expect(found).to.include({ sound: false, blocks: 0, lines: 0, bytes: packed.length })
    expect(found.defects[0]).to.include({ kind: 'block', offset: 0, length: packed.length, line: 1 })
    expect(await infoOf(at('x.ndjson.gz'))).to.include({ complete: false, brokenBlocks: 1, firstT: null })
  })

  it('knows the header of a file whose first block is broken from its index', async () => {
    const file = await written(at('x.ndjson.gz'))
    const bytes = await readFile(file)
    bytes[20]! ^= 1
    await writeFile(file, bytes)
    const found = await check(file)
    expect(found).to.include({ sound: false, defectsInAll: 1, lines: 2_001 })
    expect(found.defects[0]).to.include({ kind: 'block', offset: 0 })
  })

  it('finds a block that was put in the place of another', async () => {
    const file = await written(at('x.ndjson.gz'))
    const bytes = await readFile(file)
    const [, a, b, c] = (await openIndex(file, { save: false })).blocks
    const part = ({ offset, length }: { offset: number; length: number }): Buffer =>
      bytes.subarray(offset, offset + length)
    await writeFile(file, Buffer.concat([bytes.subarray(0, a!.offset), part(b!), part(a!), bytes.subarray(c!.offset)]))
    const found = await check(file)
    expect(found.sound).to.equal(false)
    expect(found.defects.some(({ kind }) => kind === 'block' || kind === 'index')).to.equal(true)
    expect(found.defects.some(({ kind }) => kind === 'time')).to.equal(true)
  })

  it('names the lines that are none, and those whose time goes back', async () => {
    const file = await recordingOf(at('x.ndjson'), [
      frame(1_000),
      'what is this',
      frame(3_000),
      frame(2_000),
      { dir: 'in', raw: 'x' },
      frame(3_000),
      frame(2_999),
    ])
    const found = await check(file)
    expect(placesOf(found)).to.deep.equal([
      ['line', 3],
      ['line', 6],
      ['time', 5],
      ['time', 8],
    ])
    expect(found.defects[2]!.what).to.include('Line 5 of').and.include('has the time 2000, which is before 3000')
    expect(found).to.include({ sound: false, defectsInAll: 4 })
  })

  it('tells an end that is missing', async () => {
    const file = await written(at('x.ndjson.gz'))
    const bytes = await readFile(file)
    await writeFile(at('cut.ndjson.gz'), bytes.subarray(0, bytes.length - 100))
    expect((await check(at('cut.ndjson.gz'))).defects.map(({ kind }) => kind)).to.deep.equal(['end'])
    const unfinished = await recordingOf(at('u.ndjson'), [frame(1)], { ...HEADER, ended: false })
    expect(placesOf(await check(unfinished))).to.deep.equal([['end', 2]])
    const short = await recordingOf(at('s.ndjson'), [frame(1)], { ...HEADER, frames: 2 })
    expect(placesOf(await check(short))).to.deep.equal([['end', 2]])
  })

  it('takes what the recorder lost for no defect of the file', async () => {
    const file = await recordingOf(at('x.ndjson'), [frame(1), { t: '2', dir: 'gap', lost: 3 }, frame(3)])
    expect(await check(file)).to.include({ sound: true, lost: 3 })
  })

  it('lists a thousand defects and counts the others', async () => {
    const file = await recordingOf(
      at('x.ndjson'),
      Array.from({ length: 3_000 }, () => 'no line'),
    )
    const found = await check(file)
    expect(found.defects).to.have.length(1_000)
    expect(found.defectsInAll).to.equal(3_000)
  })
})
