import { expect } from 'chai'
import { createWriteStream, existsSync, readdirSync, readlinkSync } from 'node:fs'
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createGzip, gzipSync } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import type { InRecord } from '../../../src/feed/record'
import { headerLine } from '../../../src/feed/recording/recordingHeader'
import { readHeader, readRecording, type ReadOptions } from '../../../src/feed/recording/recordingReader'
import { all, frame, HEADER, read, recordingOf, rejectionOf, temporaryFolder, textsOf } from './recordings'

const RECORDED = path.resolve(__dirname, '../../../../shared/fixtures/recorded')

describe('readRecording', () => {
  const at = temporaryFolder()

  describe('reads what the format says', () => {
    it('gives each line as a record, with its time to the nanosecond', async () => {
      const file = await recordingOf(at('a.ndjson'), [
        { t: '1626992740179554001', dir: 'open', url: 'wss://ws.test' },
        { t: '1626992740179554002', dir: 'out', raw: '{"op":"subscribe"}' },
        { t: '1626992740179554003', dir: 'in', raw: '{"a":"é☃"}' },
        { t: '1626992740179554004', dir: 'in', b64: 'AP9h' },
        { t: '1626992740179555999', dir: 'close', code: 1006, reason: 'gone' },
      ])
      const { records, faults } = await read(file)
      const base = { timeUs: 1626992740179554, connection: 0, exchange: 'kraken' }
      expect(faults).to.deep.equal([])
      expect(records).to.deep.equal([
        { ...base, ns: 1, dir: 'open', url: 'wss://ws.test' },
        { ...base, ns: 2, dir: 'out', data: '{"op":"subscribe"}' },
        { ...base, ns: 3, dir: 'in', data: '{"a":"é☃"}' },
        { ...base, ns: 4, dir: 'in', data: Buffer.from([0, 255, 97]) },
        { ...base, timeUs: 1626992740179555, ns: 999, dir: 'close', code: 1006, reason: 'gone' },
      ])
    })

    it('gives REST answers, in their own files and among the lines of a session', async () => {
      const rest = { dir: 'rest', method: 'GET', url: 'https://x.test/depth', role: 'book-snapshot', body: '{}' }
      const file = await recordingOf(at('a.rest.ndjson.gz'), [
        { t: '1000', ...rest },
        { t: '2000', ...rest, role: 'instruments', headers: { a: 1 } },
        { t: '3000', ...rest, role: 'poll', c: 3 },
      ])
      const { records } = await read(file)
      expect(
        records.map((record) => [record.timeUs, record.connection, record.dir === 'rest' && record.role]),
      ).to.deep.equal([
        [1, -1, 'book-snapshot'],
        [2, -1, 'instruments'],
        [3, 3, 'poll'],
      ])
    })

    it('tells the exchange of each connection of a recording of several', async () => {
      const file = await recordingOf(
        at('a.ndjson'),
        [
          { t: '1', dir: 'open', venue: 'okx', url: 'u' },
          { t: '2', dir: 'open', c: 1, venue: 'kraken', url: 'u' },
          { t: '3', dir: 'in', raw: 'a' },
          { t: '4', dir: 'in', c: 1, raw: 'b' },
          { t: '5', dir: 'close', c: 1, code: 1000, reason: '' },
          { t: '6', dir: 'in', c: 1, raw: 'after its end' },
          { t: '7', dir: 'rest', venue: 'okx', method: 'GET', url: 'u', role: 'poll', body: '' },
        ],
        { ...HEADER, venue: 'several', venues: ['okx', 'kraken'] },
      )
      const { records, faults } = await read(file)
      expect(records.map(({ connection, exchange, dir }) => `${connection} ${exchange} ${dir}`)).to.deep.equal([
        '0 okx open',
        '1 kraken open',
        '0 okx in',
        '1 kraken in',
        '1 kraken close',
        '0 okx gap',
        '-1 okx rest',
      ])
      expect(faults.map(({ details }) => details['line'])).to.deep.equal([7])
    })

    it('speaks of another exchange, and of other connection numbers, when told to', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(1), { ...frame(2), c: 5 }])
      const { records } = await read(file, { exchange: 'binance', renumber: (connection) => connection + 100 })
      expect(records.map(({ connection, exchange }) => `${connection} ${exchange}`)).to.deep.equal([
        '100 binance',
        '105 binance',
      ])
    })

    it('keeps the order of lines whose times repeat or go back', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(5), frame(5), frame(3), frame(9)])
      expect((await read(file)).records.map(({ ns }) => ns)).to.deep.equal([5, 5, 3, 9])
    })

    it('tells gzip from text by the first bytes, whatever the name', async () => {
      const text = `${JSON.stringify(HEADER)}\n${JSON.stringify(frame(1))}\n`
      await writeFile(at('a.ndjson'), gzipSync(text))
      await writeFile(at('b.gz'), text)
      for (const name of ['a.ndjson', 'b.gz']) expect((await read(at(name))).counters.records).to.equal(1)
    })

    it('reads gzip members that follow each other as one file', async () => {
      const lines = [HEADER, frame(1), frame(2), frame(3)].map((line) => gzipSync(JSON.stringify(line) + '\n'))
      await writeFile(at('a.ndjson.gz'), Buffer.concat(lines))
      const { records, faults } = await read(at('a.ndjson.gz'))
      expect(records).to.have.length(3)
      expect(faults).to.deep.equal([])
    })

    it('reads recordings that were joined into one file, each under its own header', async () => {
      await recordingOf(at('a.ndjson.gz'), [frame(1)], { ...HEADER, frames: 1 })
      await recordingOf(at('b.ndjson.gz'), [frame(2), frame(3)], { ...HEADER, venue: 'okx', frames: 2 })
      await writeFile(
        at('c.ndjson.gz'),
        Buffer.concat([await readFile(at('a.ndjson.gz')), await readFile(at('b.ndjson.gz'))]),
      )
      const { records, faults, counters } = await read(at('c.ndjson.gz'))
      expect(records.map(({ exchange }) => exchange)).to.deep.equal(['kraken', 'okx', 'okx'])
      expect(counters).to.include({ lines: 3, unreadable: 0 })
      expect(faults).to.deep.equal([])
    })

    it('does not mind blank lines, other line ends, or a last line without one', async () => {
      await writeFile(
        at('a.ndjson'),
        `${JSON.stringify(HEADER)}\r\n${JSON.stringify(frame(1))}\r\n\n${JSON.stringify(frame(2))}`,
      )
      const { records, faults } = await read(at('a.ndjson'))
      expect(textsOf(records)).to.deep.equal(['frame at 1', 'frame at 2'])
      expect(faults).to.deep.equal([])
    })

    it('reads a recording without any line', async () => {
      await recordingOf(at('a.ndjson.gz'), [])
      expect(await read(at('a.ndjson.gz'))).to.deep.include({ records: [], faults: [] })
    })

    it('ignores and counts lines of kinds that it does not know', async () => {
      const rest = { t: '2', dir: 'rest', method: 'GET', url: 'u', role: 'weather', body: '' }
      const file = await recordingOf(at('a.ndjson'), [{ t: '1', dir: 'ping' }, rest, frame(3)])
      const { records, faults, counters } = await read(file)
      expect(records).to.have.length(1)
      expect(faults).to.deep.equal([])
      expect(counters).to.include({ lines: 3, records: 1, ignored: 2 })
    })

    it('reads every recorded fixture with exactly the lines that its header promises', async function () {
      if (!existsSync(RECORDED)) this.skip()
      for (const name of readdirSync(RECORDED).filter((file) => file.endsWith('.gz'))) {
        const file = path.join(RECORDED, name)
        const { records, faults, counters } = await read(file)
        expect(records, name).to.have.length((await readHeader(file)).frames!)
        expect(faults, name).to.deep.equal([])
        expect(counters, name).to.include({ unreadable: 0, ignored: 0, lost: 0 })
      }
    })
  })

  describe('when a line is broken', () => {
    const broken: readonly [what: string, line: unknown, says: RegExp][] = [
      ['text that is not JSON', '{"t":"1","dir":"in","raw":"', /is not JSON/],
      ['JSON that is no object', '[1]', /is not a JSON object/],
      ['null', 'null', /is not a JSON object/],
      ['no direction', { t: '1', raw: '' }, /has no "dir"/],
      ['no time', { dir: 'in', raw: '' }, /has no "t"/],
      ['a time that is a number', { t: 1, dir: 'in', raw: '' }, /has no "t"/],
      ['a negative time', { t: '-1', dir: 'in', raw: '' }, /has no "t"/],
      ['an empty time', { t: '', dir: 'in', raw: '' }, /has no "t"/],
      ['a time beyond all times', { t: '9'.repeat(19), dir: 'in', raw: '' }, /beyond the year/],
      ['a time of a thousand digits', { t: '1'.repeat(1_000), dir: 'in', raw: '' }, /has no "t"/],
      ['a frame without content', { t: '1', dir: 'in' }, /neither a "raw" text nor "b64"/],
      ['a frame that is an object', { t: '1', dir: 'in', raw: {} }, /neither/],
      ['bytes that are no base64', { t: '1', dir: 'in', b64: '!!!!' }, /neither/],
      ['base64 that was cut', { t: '1', dir: 'in', b64: 'AP9' }, /neither/],
      ['a sent frame without text', { t: '1', dir: 'out' }, /has no "raw"/],
      ['an opening without address', { t: '1', dir: 'open' }, /has no "url"/],
      ['a closing without code', { t: '1', dir: 'close', reason: '' }, /has no "code"/],
      ['a closing without reason', { t: '1', dir: 'close', code: 1 }, /has no "reason"/],
      ['a REST answer without body', { t: '1', dir: 'rest', method: 'GET', url: 'u', role: 'poll' }, /has no "body"/],
      ['a REST answer without role', { t: '1', dir: 'rest', method: 'GET', url: 'u', body: '' }, /has no "role"/],
      ['a connection that is no number', { t: '1', dir: 'in', raw: '', c: 'a' }, /"c"/],
      ['a negative connection', { t: '1', dir: 'in', raw: '', c: -2 }, /"c"/],
      ['an exchange that is no text', { t: '1', dir: 'in', raw: '', venue: 7 }, /"venue"/],
      ['a gap without number', { t: '1', dir: 'gap', lost: 'many' }, /"lost"/],
      ['a header of another version', { format: 'millrace-recording/9' }, /header that cannot be read/],
    ]
    for (const [what, line, says] of broken) {
      it(`names its number and goes on: ${what}`, async () => {
        const file = await recordingOf(at('a.ndjson'), [frame(1), line, frame(2)])
        const { records, faults, counters } = await read(file)
        expect(textsOf(records)).to.deep.equal(['frame at 1', 'frame at 2'])
        expect(faults).to.have.length(1)
        expect(faults[0]).to.include({ code: 'RECORD_UNREADABLE' })
        expect(faults[0]!.message).to.match(says).and.include(file).and.include('Line 3 ')
        expect(faults[0]!.details).to.deep.equal({ path: file, line: 3 })
        expect(counters).to.include({ lines: 3, records: 2, unreadable: 1 })
      })
    }

    it('takes keys of the prototype for what they are: keys of no meaning', async () => {
      const file = await recordingOf(at('a.ndjson'), [
        '{"__proto__":{"raw":"x"},"t":"1","dir":"in"}',
        '{"t":"1","dir":"constructor"}',
      ])
      const { records, counters } = await read(file)
      expect(records).to.deep.equal([])
      expect(counters).to.include({ unreadable: 1, ignored: 1 })
    })

    it('survives nesting of any depth', async () => {
      const file = await recordingOf(at('a.ndjson'), [
        `{"t":"1","dir":"in","raw":"a","x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
        frame(2),
      ])
      expect((await read(file)).counters.records).to.equal(2)
    })

    it('does not take broken UTF-8 for what an exchange said', async () => {
      const lines = [frame(1), '{"t":"2","dir":"in","raw":"caf\xe9"}', frame(3, 'café')].map((line, i) =>
        Buffer.from((typeof line === 'string' ? line : JSON.stringify(line)) + '\n', i === 1 ? 'latin1' : 'utf8'),
      )
      await writeFile(at('a.ndjson'), Buffer.concat([Buffer.from(JSON.stringify(HEADER) + '\n'), ...lines]))
      const { records, faults } = await read(at('a.ndjson'))
      expect(textsOf(records)).to.deep.equal(['frame at 1', 'café'])
      expect(faults[0]!.message).to.match(/^Line 3 .* is not UTF-8/)
    })

    for (const length of [2_000, 300_000]) {
      it(`skips a line of ${length} bytes where fewer are allowed, and keeps counting lines`, async () => {
        const file = await recordingOf(at('a.ndjson'), [frame(1), frame(2, 'x'.repeat(length)), frame(3), 'broken'])
        const { records, faults } = await read(file, { lineBytesMax: 1_000 })
        expect(textsOf(records)).to.deep.equal(['frame at 1', 'frame at 3'])
        expect(faults.map(({ message }) => message)).to.have.length(2)
        expect(faults[0]!.message).to.match(/^Line 3 .* is longer than 1000 bytes/)
        expect(faults[1]!.message).to.match(/^Line 5 /)
      })
    }

    it('reports lines that the recorder itself says are missing', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(1), { t: '2', dir: 'gap', lost: 12 }, frame(3)])
      const { records, faults, counters } = await read(file)
      expect(textsOf(records)).to.deep.equal(['frame at 1', 'frame at 3'])
      expect(records[1]).to.deep.equal({
        ...{ timeUs: 0, ns: 2, connection: 0, exchange: 'kraken', dir: 'gap', lost: 12 },
        reason: 'its recorder could not write as fast as they came',
      })
      expect(counters.lost).to.equal(12)
      expect(faults[0]).to.include({ code: 'RECORD_UNREADABLE' })
      expect(faults[0]!.details).to.include({ line: 3, lost: 12 })
    })
  })

  describe('when the file is cut or damaged', () => {
    it('reads a text up to the cut, at whatever byte, and says where that is', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(1), frame(2, 'é'), frame(3)])
      const bytes = await readFile(file)
      const start = bytes.indexOf(10) + 1
      for (let end = start; end < bytes.length - 1; end += 1) {
        await writeFile(at('cut.ndjson'), bytes.subarray(0, end))
        const whole = bytes.subarray(start, end).toString('latin1').split('\n').length - 1
        // A line that only lacks its line end is whole.
        const lacksEnd = bytes[end] === 10
        const { records, faults } = await read(at('cut.ndjson'))
        expect(records, `cut at ${end}`).to.have.length(whole + (lacksEnd ? 1 : 0))
        const inLine = bytes[end - 1] !== 10 && !lacksEnd
        expect(faults.map(({ code }) => code)).to.deep.equal(inLine ? ['RECORDING_CUT'] : [])
        if (inLine) expect(faults[0]!.details).to.deep.equal({ path: at('cut.ndjson'), line: whole + 2 })
      }
    })

    it('says so when the header promises more lines than there are', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(1)], { ...HEADER, frames: 3 })
      const { records, faults } = await read(file)
      expect(records).to.have.length(1)
      expect(faults[0]).to.include({ code: 'RECORDING_CUT' })
      expect(faults[0]!.message).to.include('1 of the 3 lines')
    })

    it('says so when its recorder has not finished it', async () => {
      const file = await recordingOf(at('a.ndjson'), [frame(1)], { ...HEADER, ended: false })
      const { faults } = await read(file)
      expect(faults.map(({ code }) => code)).to.deep.equal(['RECORDING_CUT'])
      expect(faults[0]!.message).to.include('not finished by its recorder')
    })

    it('reads up to a damaged place and says why nothing behind it can be read', async () => {
      const members = [HEADER, frame(1), frame(2)].map((line) => gzipSync(JSON.stringify(line) + '\n'))
      members[2]![1]! ^= 0xff
      await writeFile(at('a.ndjson.gz'), Buffer.concat(members))
      const { records, faults } = await read(at('a.ndjson.gz'))
      expect(textsOf(records)).to.deep.equal(['frame at 1'])
      expect(faults.map(({ code }) => code)).to.deep.equal(['RECORDING_CUT'])
      expect(faults[0]!.message).to.include('is damaged after line 2')
    })

    it('says so when something else follows the gzip data', async () => {
      const file = await recordingOf(at('a.ndjson.gz'), [frame(1)])
      await appendFile(file, 'not gzip')
      const { records, faults } = await read(file)
      expect(records).to.have.length(1)
      expect(faults.map(({ code }) => code)).to.deep.equal(['RECORDING_CUT'])
    })
  })

  describe('when it is no recording', () => {
    const refusals: readonly [what: string, content: string | Buffer, says: RegExp][] = [
      ['nothing', '', /is empty/],
      ['a text', 'hello\nworld\n', /does not start with a header/],
      ['one word', 'hello', /does not start with a header/],
      ['a list', '[]\n', /does not start with a header/],
      ['an object without format', '{"venue":"kraken"}\n', /has no "format"/],
      ['another format of ours', '{"format":"millrace-run/1"}\n', /"millrace-run\/1", which is not a recording/],
      [
        'a newer version',
        '{"format":"millrace-recording/2","venue":"kraken"}\n',
        /reads millrace-recording\/1; use the millrace that wrote it/,
      ],
      ['no venue', '{"format":"millrace-recording/1"}\n', /which exchange/],
      ['a venue that is a number', '{"format":"millrace-recording/1","venue":1}\n', /which exchange/],
      ['zeros', Buffer.alloc(5_000_000), /does not start with a header/],
      ['the first byte of gzip', Buffer.from([0x1f]), /ends within its first line/],
      ['gzip of nothing', gzipSync(''), /is empty/],
      ['gzip that is damaged at its start', Buffer.from([0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]), /cannot be read/],
      ['gzip cut in the header', gzipSync(JSON.stringify(HEADER) + '\n').subarray(0, 20), /ends within its first line/],
    ]
    for (const [what, content, says] of refusals) {
      it(`refuses ${what}`, async () => {
        await writeFile(at('a'), content)
        const fault = await rejectionOf(read(at('a')))
        expect(fault).to.include({ code: 'RECORDING_INVALID' })
        expect(fault.message).to.match(says).and.include(at('a'))
        expect((await rejectionOf(readHeader(at('a')))).message).to.equal(fault.message)
      })
    }

    it('refuses what is no file', async () => {
      await mkdir(at('folder'))
      expect((await rejectionOf(read(at('folder')))).message).to.match(/is not a file/)
      expect((await rejectionOf(read(at('absent')))).message).to.match(/does not exist/)
      expect((await rejectionOf(read(at('absent/deeper')))).message).to.match(/does not exist/)
      expect((await rejectionOf(read('/dev/null'))).message).to.match(/is not a file/)
    })

    it('refuses a limit that is none', () => {
      for (const lineBytesMax of [0, -1, 1.5, NaN]) {
        expect(() => readRecording(at('a'), { onFault: () => undefined, lineBytesMax }))
          .to.throw()
          .with.property('code', 'OPTION_INVALID')
      }
    })
  })

  describe('says how far it is', () => {
    const lines = Array.from({ length: 3_000 }, (_, i) => frame(i * 1_000_000))
    const cases: readonly [string, object, Partial<ReadOptions>][] = [
      ['by its lines, where the header says how many there are', { ...HEADER, frames: 3_000 }, {}],
      ['by its bytes, where it does not', HEADER, {}],
      ['from where it begins', HEADER, { fromUs: 1_500_000 }],
      ['by the time, where its end comes before that of the file', HEADER, { fromUs: 100_000, toUs: 400_000 }],
    ]
    for (const [how, header, options] of cases) {
      it(how, async () => {
        const file = await recordingOf(at('a.ndjson'), lines, header)
        const reader = readRecording(file, { onFault: () => undefined, ...options })
        expect(reader.progress).to.deep.equal({ share: 0, bytes: 0 })
        const shares: number[] = []
        for await (const batch of reader) {
          expect(batch.length).to.be.above(0)
          shares.push(reader.progress.share)
        }
        shares.push(reader.progress.share)
        expect(shares).to.deep.equal([...shares].sort((a, b) => a - b))
        expect(shares.at(0)).to.be.within(0, 1)
        expect(shares.at(-1)).to.equal(1)
        expect(reader.progress.bytes).to.be.above(0)
      })
    }

    it('as far as lines were given', async () => {
      const file = await recordingOf(at('a.ndjson.gz'), lines, { ...HEADER, frames: 3_000 })
      const reader = readRecording(file, { onFault: () => undefined })
      const { value } = await reader.next()
      expect(reader.progress.share).to.equal(value!.length / 3_000)
      await reader.return()
    })
  })

  describe('as an iterator', () => {
    it('can be left at any time, and its file is closed', async () => {
      const file = await recordingOf(
        at('a.ndjson.gz'),
        Array.from({ length: 20_000 }, (_, i) => frame(i)),
      )
      for await (const batch of readRecording(file, { onFault: () => undefined })) {
        expect(batch.length).to.be.greaterThan(0)
        break
      }
      const reader = readRecording(file, { onFault: () => undefined })
      const pending = reader.next()
      await reader.return()
      await pending
      expect(await reader.next()).to.deep.equal({ done: true, value: undefined })
      expect(openFilesUnder(at(''))).to.deep.equal([])
    })

    it('may be left before it was started, and twice', async () => {
      const reader = readRecording(at('absent'), { onFault: () => undefined })
      await reader.return()
      await reader.return()
      expect((await reader.next()).done).to.equal(true)
    })

    it('keeps the order when it is asked for several batches at once', async () => {
      const file = await recordingOf(
        at('a.ndjson.gz'),
        Array.from({ length: 10_000 }, (_, i) => frame(i)),
      )
      const reader = readRecording(file, { onFault: () => undefined })
      const batches = await Promise.all(Array.from({ length: 5 }, () => reader.next()))
      const rest = await all(reader)
      const records = [...batches.flatMap(({ value }) => value ?? []), ...rest] as InRecord[]
      expect(records.map(({ data }) => data)).to.deep.equal(Array.from({ length: 10_000 }, (_, i) => `frame at ${i}`))
    })

    it('lets the event loop turn while it reads', async () => {
      const file = await recordingOf(
        at('a.ndjson'),
        Array.from({ length: 10_000 }, (_, i) => frame(i, 'x'.repeat(200))),
      )
      let turns = 0
      let reading = true
      const count = (): void => {
        turns += 1
        if (reading) setImmediate(count)
      }
      setImmediate(count)
      await read(file)
      reading = false
      expect(turns).to.be.greaterThan(30)
    })

    it('closes its file when whoever hears of a fault throws', async () => {
      const file = await recordingOf(at('a.ndjson'), ['broken'])
      const reader = readRecording(file, {
        onFault: () => {
          throw new Error('of the listener')
        },
      })
      expect((await rejectionOf(reader.next())).message).to.equal('of the listener')
      expect(openFilesUnder(at(''))).to.deep.equal([])
    })

    it('reads a hundred megabytes in the memory of a few', async function () {
      this.timeout(30_000)
      const block = Array.from({ length: 1_000 }, (_, i) => JSON.stringify(frame(i, 'x'.repeat(960))) + '\n').join('')
      function* text(): Generator<string> {
        yield JSON.stringify(HEADER) + '\n'
        for (let i = 0; i < 100; i += 1) yield block
      }
      await pipeline(Readable.from(text()), createGzip({ level: 1 }), createWriteStream(at('a.ndjson.gz')))
      const reader = readRecording(at('a.ndjson.gz'), { onFault: () => undefined })
      const before = memoryInUse()
      let most = 0
      let records = 0
      for await (const batch of reader) {
        if (Math.floor(records / 10_000) !== Math.floor((records + batch.length) / 10_000)) {
          most = Math.max(most, memoryInUse() - before)
        }
        records += batch.length
      }
      expect(records).to.equal(100_000)
      expect(most / 1e6).to.be.lessThan(40)
    })
  })
})

describe('readHeader', () => {
  const at = temporaryFolder()

  it('tells what was recorded', async () => {
    const file = await recordingOf(at('a.ndjson.gz'), [frame(1)], {
      ...HEADER,
      kind: 'rest',
      protocol: 'v2',
      url: 'wss://x.test',
      recorded: '2021-04-17T16:48:52Z',
      source: 's',
      frames: 1,
      last_t: '1618678132000000123',
      for_sessions: ['kraken.ws1', 7],
      made: { by: 'cut' },
      subscribed: { trades: ['BTC-USD', 1], __proto__: null },
    })
    expect(await readHeader(file)).to.deep.equal({
      kind: 'rest',
      venue: 'kraken',
      venues: ['kraken'],
      protocol: 'v2',
      url: 'wss://x.test',
      recorded: '2021-04-17T16:48:52Z',
      source: 's',
      subscribed: { trades: ['BTC-USD'] },
      frames: 1,
      lastUs: 1_618_678_132_000_000,
      ended: true,
      forSessions: ['kraken.ws1'],
      made: { by: 'cut' },
      isOurs: false,
    })
  })

  it('tells a recording of millrace by the room in its first line, killed or finished', async () => {
    const header = { kind: 'session', venues: ['kraken'], startedUs: 1e15 } as const
    const totals = { frames: 1, counts: new Map([['in', 1]]), firstT: '1', lastT: '1' }
    for (const line of [headerLine(header), headerLine(header, totals)]) {
      await writeFile(at('a.ndjson'), `${line}${JSON.stringify(frame(1))}\n`)
      expect(await readHeader(at('a.ndjson'))).to.include({ isOurs: true })
    }
  })

  it('reads no more of a large file than its beginning', async () => {
    await writeFile(at('a.ndjson'), JSON.stringify(HEADER) + '\n' + 'x'.repeat(10_000_000))
    expect((await readHeader(at('a.ndjson'))).venue).to.equal('kraken')
  })
})

/** Paths under a folder that this process has open, where the system tells. */
function openFilesUnder(folder: string): string[] {
  if (!existsSync('/proc/self/fd')) return []
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(folder) ? [target] : []
    } catch {
      return []
    }
  })
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
