import { expect } from 'chai'
import { appendFile, chmod, readdir, copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createGzip, gzipSync } from 'node:zlib'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { VirtualClock } from '../../../src/clock/virtualClock'
import type { GapRecord, SessionRecord } from '../../../src/feed/record'
import { frameAt } from '../../../src/feed/recording/frameAt'
import { replayRecords } from '../../../src/feed/recording/mergeRecordings'
import {
  indexPathOf,
  openIndex,
  readBlock,
  verifyRecording,
  type RecordingBlock,
} from '../../../src/feed/recording/recordingIndex'
import { openRecording, type RecordingWriterOptions } from '../../../src/feed/recording/recordingWriter'
import type { Fault } from '../../../src/model/fault'
import { all, frame, HEADER, read, recordingOf, rejectionOf, temporaryFolder, textsOf } from './recordings'

const START_US = 1_626_992_740_000_000
const FRAMES = 400
const STEP_US = 1_000

describe('the index of a recording', () => {
  const at = temporaryFolder()

  /** A recording of some twenty blocks, with the faults of its recorder. */
  async function recorded(
    name: string,
    records: readonly SessionRecord[] = frames(),
    options: Partial<RecordingWriterOptions> = {},
  ): Promise<{ file: string; faults: Fault[] }> {
    const faults: Fault[] = []
    const venues = [...new Set(records.map(({ exchange }) => exchange))]
    const writer = await openRecording(
      at(name),
      { venues, startedUs: START_US },
      {
        clock: new VirtualClock(START_US),
        onFault: (fault) => faults.push(fault),
        flushBytes: 500,
        blockBytes: 2_000,
        ...options,
      },
    )
    for (const record of records) writer.write(record)
    await writer.close()
    return { file: at(name), faults }
  }

  describe('that its recorder writes', () => {
    it('is the one that is made from the file', async () => {
      const { file, faults } = await recorded('a.ndjson.gz')
      const written = await openIndex(file)
      expect(written).to.include({ origin: 'read', complete: true, lines: FRAMES + 2 })
      expect(written.blocks.length).to.be.greaterThan(15)
      await rm(indexPathOf(file))
      const made = await openIndex(file)
      expect(made).to.include({ origin: 'built', complete: true, lines: FRAMES + 2 })
      expect(made.blocks).to.deep.equal(written.blocks)
      expect((await openIndex(file)).origin).to.equal('read')
      expect(faults).to.deep.equal([])
    })

    it('has a block of its own for the header, and blocks of whole lines without a hole between them', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks, bytes: accounted } = await openIndex(file)
      expect(accounted).to.equal((await stat(file)).size)
      let line = 1
      let offset = 0
      for (const block of blocks) {
        expect(block).to.include({ offset, firstLine: line })
        const bytes = await readBlock(file, block)
        expect(bytes).to.have.length(block.textBytes)
        const text = bytes.toString()
        expect(text.endsWith('\n')).to.equal(true)
        expect(text.split('\n')).to.have.length(block.lines + 1)
        line += block.lines
        offset += block.length
      }
      expect(blocks[0]).to.include({ lines: 1, firstT: undefined })
    })

    it('notes what the recorder lost, and which blocks hold what stays in force', async () => {
      const { file } = await recorded('a.ndjson.gz', frames(), { queueBytesMax: 3_000 })
      const { blocks } = await openIndex(file)
      const lost = blocks.reduce((sum, block) => sum + block.lost, 0)
      expect(lost).to.be.greaterThan(0)
      expect((await read(file)).counters.lost).to.equal(lost)
      expect(blocks.filter(({ state }) => state > 0).map(({ number }) => number)).to.deep.equal([1])
    })

    it('costs the recording nothing when it cannot be written', async () => {
      const { file, faults } = await recorded('a.ndjson.gz', frames(), {
        openIndexFile: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })),
      })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED'])
      expect(faults[0]!.message).to.include(indexPathOf(file)).and.include('the disk is full')
      expect((await read(file)).records).to.have.length(FRAMES + 1)
      expect(await verifyRecording(file)).to.include({ sound: true, index: 'missing' })
    })

    it('is not kept, and nothing said, where this user may only read', async () => {
      const { file } = await recorded('a.ndjson.gz')
      await rm(indexPathOf(file))
      await chmod(path.dirname(file), 0o555)
      const found = await asUnprivileged(() => read(file, { fromUs: START_US + 200 * STEP_US }))
      await chmod(path.dirname(file), 0o755)
      expect(found.records.filter(({ dir }) => dir === 'in')).to.have.length(FRAMES - 200)
      expect(found.faults).to.deep.equal([])
      expect(await readdir(path.dirname(file))).to.deep.equal(['a.ndjson.gz'])
    })

    it('is not written beside a file of others unless it is asked for, and is then kept up', async () => {
      const lines = Array.from({ length: 10 }, (_, i) => frame(1e18 + i * 1e6))
      for (const name of ['a.ndjson', 'b.ndjson.gz']) {
        const file = await recordingOf(at(name), lines)
        expect((await read(file, { fromUs: 1e15 + 5_000 })).records).to.have.length(5)
        expect((await openIndex(file)).origin).to.equal('built')
        expect(await rejectionOf(stat(indexPathOf(file)))).to.include({ code: 'ENOENT' })
        expect((await openIndex(file, { save: true })).origin).to.equal('built')
        expect((await openIndex(file)).origin).to.equal('read')
        await writeFile(indexPathOf(file), 'no index\n')
        expect((await openIndex(file)).origin).to.equal('built')
        expect((await openIndex(file)).origin).to.equal('read')
      }
    })

    it('goes with the recording that is replaced', async () => {
      await recorded('a.ndjson.gz')
      const { file } = await recorded('a.ndjson.gz', frames(10))
      expect(await openIndex(file)).to.include({ origin: 'read', complete: true, lines: 12 })
    })
  })

  describe('when it does not fit', () => {
    it('is taken as far as it goes, at whatever byte it was cut', async function () {
      this.timeout(60_000)
      const { file } = await recorded('a.ndjson.gz', frames(120))
      const { blocks } = await openIndex(file)
      const text = await readFile(indexPathOf(file))
      for (let end = 0; end <= text.length; end += 13) {
        await writeFile(indexPathOf(file), text.subarray(0, end))
        const index = await openIndex(file, { save: false })
        expect(index.blocks, `cut at ${end}`).to.deep.equal(blocks)
        expect(index.complete, `cut at ${end}`).to.equal(true)
      }
    })

    it('is extended by what the recording has grown by', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      await appendFile(file, gzipSync(JSON.stringify(frame(9e18)) + '\n'))
      const index = await openIndex(file)
      expect(index.origin).to.equal('extended')
      expect(index.blocks.slice(0, -1)).to.deep.equal(blocks)
      expect(index.blocks.at(-1)).to.include({ lines: 1, firstT: String(9e18), firstLine: FRAMES + 3 })
      expect((await openIndex(file)).origin).to.equal('read')
    })

    it('is made anew when it is of another recording, or no index at all, and that is said', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      const other = await recorded('b.ndjson.gz', frames(100, 'other'))
      for (const content of [await readFile(indexPathOf(other.file)), 'no index\n', Buffer.alloc(1_000)]) {
        await writeFile(indexPathOf(file), content)
        const faults: Fault[] = []
        const index = await openIndex(file, { onFault: (fault) => faults.push(fault) })
        expect(index.origin).to.equal('built')
        expect(index.blocks).to.deep.equal(blocks)
        expect(faults.map(({ code }) => code)).to.deep.equal(['RECORD_UNREADABLE'])
        expect(faults[0]!.message).to.include('made anew')
      }
    })

    it('leaves out blocks that a cut recording does not have any more', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      const cut = blocks[9]!.offset + 5
      await writeFile(file, (await readFile(file)).subarray(0, cut))
      const index = await openIndex(file)
      expect(index.blocks).to.deep.equal(blocks.slice(0, 9))
      expect(index.complete).to.equal(false)
    })

    it('is made of any gzip file, and of one that is not compressed', async () => {
      const lines = Array.from({ length: 5_000 }, (_, i) => frame(1e18 + i * 1e6, `frame ${i} é ${'x'.repeat(200)}`))
      const whole = await openIndex(await recordingOf(at('a.ndjson.gz'), lines))
      expect(whole.blocks).to.have.length(1)
      expect(whole).to.include({ lines: 5_001, complete: true })

      const plain = await recordingOf(at('b.ndjson'), lines)
      const index = await openIndex(plain)
      expect(index.blocks.length).to.equal(Math.ceil((await stat(plain)).size / (256 * 1_024)))
      expect(index).to.include({ lines: 5_001, complete: true })
      for (const block of index.blocks)
        expect((await readBlock(plain, block)).toString().startsWith('{')).to.equal(true)

      // Members that end within lines are blocks only together.
      const bytes = await readFile(plain)
      const members: Buffer[] = []
      for (let from = 0; from < bytes.length; from += 100_000)
        members.push(gzipSync(bytes.subarray(from, from + 100_000)))
      await writeFile(at('c.ndjson.gz'), Buffer.concat(members))
      expect(await openIndex(at('c.ndjson.gz'))).to.include({ lines: 5_001, complete: true })
      expect((await read(at('c.ndjson.gz'))).records).to.have.length(5_000)
    })
  })

  describe('leads to a time', () => {
    it('so that reading from there gives what reading all and leaving out gives', async function () {
      this.timeout(60_000)
      const { file } = await recorded('a.ndjson.gz')
      const plain = await recordingOf(at('b.ndjson'), (await linesOf(file)).slice(1))
      const data = (await read(file)).records.filter(({ dir }) => dir === 'in')
      for (const source of [file, plain]) {
        for (let i = -1; i <= FRAMES + 1; i += 7) {
          const fromUs = START_US + i * STEP_US + (i % 2)
          const { records, faults } = await read(source, { fromUs, toUs: fromUs + 20 * STEP_US })
          const wanted = data.filter(({ timeUs }) => timeUs >= fromUs && timeUs < fromUs + 20 * STEP_US)
          expect(records.filter(({ dir }) => dir === 'in')).to.deep.equal(wanted)
          expect(faults).to.deep.equal([])
        }
      }
    })

    it('and gives first what is in force then, as of just before', async () => {
      const base = { ns: 0, exchange: 'kraken' }
      const at1 = { ...base, timeUs: START_US, dir: 'open', url: 'wss://x.test/1', connection: 1 } as const
      const at2 = { ...at1, connection: 2, url: 'wss://x.test/2', exchange: 'okx' }
      const close1: SessionRecord = { ...at1, dir: 'close', code: 1000, reason: '', timeUs: START_US + 50 * STEP_US }
      const all3 = frames().map((record) => ({ ...record, connection: 2, exchange: 'okx' }))
      const { file } = await recorded('a.ndjson.gz', [at1, at2, ...all3.slice(1, 50), close1, ...all3.slice(50)])
      const fromUs = START_US + 300 * STEP_US
      const { records } = await read(file, { fromUs })
      expect(records[0]).to.deep.equal({ ...at2, timeUs: fromUs - 1 })
      expect(records[1]).to.deep.equal(all3[301])
      expect(records).to.have.length(FRAMES - 300 + 1)
    })

    it('of its REST answers the lists of instruments, and no snapshot of a book', async () => {
      const rest = (ms: number, role: 'instruments' | 'book-snapshot', url: string): SessionRecord => ({
        ...{ timeUs: START_US + ms * STEP_US, ns: 0, connection: -1, exchange: 'kraken', dir: 'rest', method: 'GET' },
        ...{ url, role, body: `${role} at ${ms}` },
      })
      const answers = [
        rest(1, 'instruments', 'https://x.test/list'),
        rest(2, 'book-snapshot', 'https://x.test/a'),
        rest(3, 'instruments', 'https://x.test/list'),
        rest(390, 'book-snapshot', 'https://x.test/a'),
      ]
      const { file } = await recorded('a.ndjson.gz', [...frames(), ...answers])
      const fromUs = START_US + 380 * STEP_US
      const replayed = await all(replayRecords([file], { onFault: (fault) => expect.fail(fault.message), fromUs }))
      const bodies = replayed.flatMap((record) => (record.dir === 'rest' ? [[record.body, record.timeUs]] : []))
      expect(bodies).to.deep.equal([
        ['instruments at 3', fromUs - 1],
        ['book-snapshot at 390', START_US + 390 * STEP_US],
      ])
      expect(replayed[0]!.dir).to.equal('open')
    })

    it('where times go back, as of the latest before', async () => {
      const times = [10, 20, 15, 30, 5, 40]
      const file = await recordingOf(
        at('a.ndjson'),
        times.map((ms) => frame(ms * 1_000)),
      )
      const { records } = await read(file, { fromUs: 18, toUs: 40 })
      expect(records.map(({ timeUs }) => timeUs)).to.deep.equal([20, 15, 30, 5])
    })

    it('of a recording that was killed, in what no index tells of', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      const last = blocks.at(-1)!
      const inLast = blocks.at(-2)!
      await writeFile(file, (await readFile(file)).subarray(0, last.offset - 10))
      const { records } = await read(file, { fromUs: timeOf(inLast.firstT!) })
      expect(records.filter(({ dir }) => dir === 'in').length).to.be.greaterThan(0)
    })
  })

  describe('leads to a line', () => {
    it('which is the record that its lineage names', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      const plain = await recordingOf(at('b.ndjson'), (await linesOf(file)).slice(1))
      for (const source of [file, plain]) {
        const { records } = await read(source, { lineage: true })
        expect(records.map(({ lineage }) => lineage!.line)).to.deep.equal(records.map((_, i) => i + 2))
        for (const record of records.filter((_, i) => i % 37 === 0)) {
          const { line, block } = record.lineage!
          expect(await frameAt(source, line)).to.deep.equal(record)
          const inBlock = (source === file ? blocks : (await openIndex(source)).blocks).find(
            (one) => one.number === block,
          )!
          expect(line).to.be.within(inBlock.firstLine, inBlock.firstLine + inBlock.lines - 1)
        }
      }
    })

    it('or says that there is no record', async () => {
      const { file } = await recorded('a.ndjson.gz')
      for (const line of [0, 1, FRAMES + 3, 1.5]) {
        expect(await rejectionOf(frameAt(file, line)), String(line)).to.include({ code: 'OPTION_INVALID' })
      }
      const broken = await recordingOf(at('b.ndjson'), [frame(1), 'broken', frame(2)])
      expect((await rejectionOf(frameAt(broken, 3))).message).to.include('Line 3')
      expect(await frameAt(broken, 4)).to.include({ data: 'frame at 2' })
    })

    it('and nothing of it is on a record that was not asked for it', async () => {
      const { file } = await recorded('a.ndjson.gz')
      for (const record of (await read(file)).records) expect(record).to.not.have.property('lineage')
    })
  })

  describe('and a recorder that is killed', () => {
    it('leaves every block that was whole, at whatever byte', async function () {
      this.timeout(120_000)
      const { file } = await recorded('a.ndjson.gz', frames(60), { flushBytes: 200, blockBytes: 600 })
      const bytes = await readFile(file)
      const whole = (await read(file)).records
      const { blocks } = await openIndex(file)
      const cuts = new Set<number>()
      for (let end = blocks.at(-2)!.offset; end < bytes.length; end += 1) cuts.add(end)
      const random = randomly(3)
      while (cuts.size < bytes.length - blocks.at(-2)!.offset + 200) {
        cuts.add(blocks[1]!.offset + Math.floor(random() * (bytes.length - blocks[1]!.offset)))
      }
      for (const end of cuts) {
        await writeFile(at('cut.ndjson.gz'), bytes.subarray(0, end))
        const { records, faults } = await read(at('cut.ndjson.gz'))
        const complete = blocks.filter(({ offset, length }) => offset + length <= end)
        const lines = complete.reduce((sum, block) => sum + block.lines, 0) - 1
        expect(records.length, `cut at ${end}`).to.be.at.least(lines)
        expect(records, `cut at ${end}`).to.deep.equal(whole.slice(0, records.length))
        expect(codesOf(faults), `cut at ${end}`).to.deep.equal(['RECORDING_CUT'])
      }
    })
  })

  describe('and a bit that is flipped', () => {
    it('spoils its block and no other, and is told', async function () {
      this.timeout(120_000)
      const { file } = await recorded('a.ndjson.gz', frames(150))
      const bytes = await readFile(file)
      const whole = (await read(file, { lineage: true })).records
      const { blocks } = await openIndex(file)
      const random = randomly(5)
      const flipped = at('flipped.ndjson.gz')
      for (let i = 0; i < 200; i += 1) {
        const place = blocks[1]!.offset + Math.floor(random() * (bytes.length - blocks[1]!.offset))
        const spoilt = blocks.findLast(({ offset }) => offset <= place)!
        const damaged = Buffer.from(bytes)
        damaged[place]! ^= 1 << Math.floor(random() * 8)
        await writeFile(flipped, damaged)
        await copyFile(indexPathOf(file), indexPathOf(flipped))
        const { records, faults } = await read(flipped, { lineage: true })
        const told = `bit of byte ${place}, in block ${spoilt.number}`
        const happened = records.filter(({ dir }) => dir !== 'gap')
        const lineOf = ({ lineage }: SessionRecord): number => lineage!.line
        // What is not part of the data (a time, a name of the file) may be another without harm.
        if (faults.length > 0) {
          const kept = whole.filter(({ lineage }) => lineage!.block !== spoilt.number)
          expect(happened.map(lineOf), told).to.deep.equal(kept.map(lineOf))
          expect(codesOf(faults)[0], told).to.be.oneOf(['RECORD_UNREADABLE', 'RECORDING_CUT'])
          expect(faults[0]!.details['block'], told).to.equal(spoilt.number)
        } else expect(happened.map(lineOf), told).to.deep.equal(whole.map(lineOf))
        const verified = await verifyRecording(flipped)
        expect(verified.sound, told).to.equal(false)
        expect(
          verified.broken.map(({ number }) => number),
          told,
        ).to.deep.equal([spoilt.number])
        expect(verified.broken[0], told).to.include({ firstLine: spoilt.firstLine, lines: spoilt.lines })
      }
    })

    it('is a gap in each connection, which nobody can take for what follows', async () => {
      const records = frames().map((record, i) => ({ ...record, connection: i % 3 }))
      const { file } = await recorded('a.ndjson.gz', records)
      const { blocks } = await openIndex(file)
      const spoilt = blocks[5]!
      await flip(file, spoilt.offset + 30)
      const { records: read1, faults, counters } = await read(file)
      const gaps = read1.filter((record): record is GapRecord => record.dir === 'gap')
      expect(gaps.map(({ connection, lost }) => [connection, lost])).to.deep.equal(
        [0, 1, 2].map((c) => [c, spoilt.lines]),
      )
      expect(gaps[0]!.reason).to.match(/^block 5 of it is damaged/)
      const before = read1.indexOf(gaps[0]!)
      expect(read1[before - 1]!.timeUs).to.be.lessThan(timeOf(spoilt.firstT!))
      expect(read1[before + 3]!.timeUs).to.be.greaterThan(timeOf(spoilt.lastT!))
      expect(counters.lost).to.equal(spoilt.lines)
      expect(faults[0]!.message).to.include(`${spoilt.lines} lines after line ${spoilt.firstLine - 1}`)
      // Without an index nobody knows how many.
      await rm(indexPathOf(file))
      const unknown = (await read(file)).records.filter((record): record is GapRecord => record.dir === 'gap')
      expect(unknown.map(({ lost }) => lost)).to.deep.equal([undefined, undefined, undefined])
    })

    it('in the header leaves the rest: the index and what is left of it tell what it said', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const place = (await readFile(file)).indexOf('venue') - 2
      for (const withIndex of [true, false]) {
        if (withIndex) await flip(file, 12)
        else {
          await flip(file, 12)
          await flip(file, place + 40)
          await rm(indexPathOf(file))
        }
        const { records, faults } = await read(file)
        expect(records).to.have.length(FRAMES + 1)
        expect(codesOf(faults)).to.deep.equal(['RECORD_UNREADABLE'])
      }
    })
  })

  describe('and a file that was put together', () => {
    it('is not sound where a block is missing, comes twice, or is of another recording', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const other = await recorded('b.ndjson.gz', frames(FRAMES, 'other'))
      const bytes = await readFile(file)
      const { blocks } = await openIndex(file)
      const part = (block: RecordingBlock, of = bytes): Buffer => of.subarray(block.offset, block.offset + block.length)
      const [fourth, fifth] = [blocks[4]!, blocks[5]!]
      const foreign = (await openIndex(other.file)).blocks[4]!
      const before = bytes.subarray(0, fourth.offset)
      const behind = bytes.subarray(fifth.offset)
      const spliced: readonly (readonly [string, Buffer])[] = [
        ['missing', Buffer.concat([before, behind])],
        ['twice', Buffer.concat([before, part(fourth), part(fourth), behind])],
        ['foreign', Buffer.concat([before, part(foreign, await readFile(other.file)), behind])],
      ]
      for (const [what, content] of spliced) {
        await writeFile(file, content)
        const { records } = await read(file)
        expect(records.length, what).to.be.greaterThan(FRAMES / 2)
        const verified = await verifyRecording(file)
        expect(verified, what).to.include({ sound: false, cut: false })
        expect(verified.broken.length + Number(verified.index === 'differs'), what).to.be.greaterThan(0)
      }
    })

    it('reads on behind what is cut off within a block', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const other = await recorded('b.ndjson.gz', frames(FRAMES, 'other'))
      const { blocks } = await openIndex(file)
      const cut = (await readFile(file)).subarray(0, blocks[6]!.offset + 20)
      await writeFile(at('c.ndjson.gz'), Buffer.concat([cut, await readFile(other.file)]))
      const { records, faults } = await read(at('c.ndjson.gz'))
      const before = blocks.slice(1, 6).reduce((sum, { lines }) => sum + lines, 0)
      expect(textsOf(records)).to.have.length(before + FRAMES + 1)
      expect(codesOf(faults)).to.deep.equal(['RECORD_UNREADABLE'])
      expect(faults[0]!.details).to.include({ block: 6, offset: blocks[6]!.offset })
    })
  })

  describe('of hostile files', () => {
    it('takes a line of a hundred megabytes in bounded memory: it is reported, and the rest is read', async function () {
      this.timeout(120_000)
      const million = 'x'.repeat(1_000_000)
      function* text(): Generator<string> {
        yield `${JSON.stringify(HEADER)}\n${JSON.stringify(frame(1e18))}\n`
        yield '{"t":"1000000000000000001","dir":"in","raw":"'
        for (let i = 0; i < 100; i += 1) yield million
        yield `"}\n${JSON.stringify(frame(1e18 + 1e6, 'behind'))}\n`
      }
      await pipeline(Readable.from(text()), createGzip({ level: 1 }), createWriteStream(at('a.ndjson.gz')))
      const before = memoryInUse()
      let most = 0
      const watch = setInterval(() => (most = Math.max(most, memoryInUse() - before)), 500)
      const { records, faults } = await read(at('a.ndjson.gz'))
      const index = await openIndex(at('a.ndjson.gz'))
      const verified = await verifyRecording(at('a.ndjson.gz'))
      clearInterval(watch)
      expect(textsOf(records)).to.deep.equal(['frame at 1000000000000000000', 'behind'])
      expect(codesOf(faults)).to.deep.equal(['RECORD_UNREADABLE'])
      expect(faults[0]!.message).to.match(/^Line 3 .* is longer than 67108864 bytes/)
      expect(index).to.include({ lines: 4, complete: true })
      expect(verified).to.include({ unreadable: 1, sound: false })
      // To verify is to look at lines twice, and each look holds a line of 64 MiB at most.
      expect(most / 1e6).to.be.lessThan(180)
    })

    it('refuses to unpack a block to more than it says', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const block = (await openIndex(file)).blocks[2]!
      expect(await rejectionOf(readBlock(file, { ...block, textBytes: 10 }))).to.include({ code: 'RECORD_UNREADABLE' })
      const wrong = await rejectionOf(readBlock(file, { ...block, sha256: '0'.repeat(64) }))
      expect(wrong.message).to.include('is not what was written').and.include(`from line ${block.firstLine}`)
    })

    it('can be left while it is made', async () => {
      const { file } = await recorded('a.ndjson.gz')
      await rm(indexPathOf(file))
      const leaving = new AbortController()
      const reason = new Error('left')
      const opening = openIndex(file, { signal: leaving.signal, onProgress: () => leaving.abort(reason) })
      expect(await rejectionOf(opening)).to.equal(reason)
      expect(await rejectionOf(stat(indexPathOf(file)))).to.include({ code: 'ENOENT' })
    })
  })

  describe('says of a recording that is whole', () => {
    it('that it is sound', async () => {
      const { file } = await recorded('a.ndjson.gz')
      const { blocks } = await openIndex(file)
      const { size } = await stat(file)
      expect(await verifyRecording(file)).to.deep.equal({
        ...{ path: file, blocks: blocks.length, lines: FRAMES + 2, bytes: size, broken: [], unreadable: 0, lost: 0 },
        ...{ index: 'fits', cut: false, ended: true, sound: true },
      })
      expect(path.basename(indexPathOf(file))).to.equal('a.ndjson.gz.index')
    })
  })
})

/** An opening, and frames a millisecond apart whose texts do not repeat. */
function frames(count = FRAMES, what = 'frame'): SessionRecord[] {
  const base = { ns: 0, connection: 0, exchange: 'kraken' }
  const random = randomly(what.length)
  const received = Array.from({ length: count }, (_, i): SessionRecord => {
    const data = `{"${what}":${i},"price":"${random()}","é":"${random().toString(36)}"}`
    return { ...base, timeUs: START_US + i * STEP_US, dir: 'in', data }
  })
  return [{ ...base, timeUs: START_US - 1, dir: 'open', url: 'wss://x.test' }, ...received]
}

function randomly(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

async function linesOf(file: string): Promise<string[]> {
  const lines: string[] = []
  for (const block of (await openIndex(file)).blocks) {
    lines.push(...(await readBlock(file, block)).toString().trimEnd().split('\n'))
  }
  return lines
}

/** Root may write anywhere: for as long as the work takes it is somebody who may not. */
async function asUnprivileged<T>(work: () => Promise<T>): Promise<T> {
  const { geteuid, seteuid } = process
  if (geteuid?.() !== 0) return work()
  seteuid!(NOBODY)
  try {
    return await work()
  } finally {
    seteuid!(0)
  }
}

const NOBODY = 65_534

async function flip(file: string, place: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[place]! ^= 1
  await writeFile(file, bytes)
}

function timeOf(t: string): number {
  return Number(t.slice(0, -3))
}

function codesOf(faults: readonly Fault[]): string[] {
  return faults.map(({ code }) => code)
}

/** Bytes that are really held: after a collection. */
function memoryInUse(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const collect = ((): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()
