import { expect } from 'chai'
import fc from 'fast-check'
import { existsSync } from 'node:fs'
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { VirtualClock } from '../../../src/clock/virtualClock'
import type { InRecord, SessionRecord } from '../../../src/feed/record'
import type { WritableFile } from '../../../src/feed/recording/lineFile'
import { replayRecords } from '../../../src/feed/recording/mergeRecordings'
import { readHeader } from '../../../src/feed/recording/recordingReader'
import {
  openRecording,
  type RecordingWriter,
  type RecordingWriterHeader,
  type RecordingWriterOptions,
} from '../../../src/feed/recording/recordingWriter'
import type { Fault } from '../../../src/model/fault'
import { eventually } from '../../kit/eventually'
import { all, HEADER, read, recordingOf, rejectionOf, temporaryFolder, textsOf } from './recordings'
import { asUnprivileged } from '../../kit/unprivileged'

const START_US = 1_626_992_740_000_000

describe('openRecording', () => {
  const at = temporaryFolder()

  interface Recorder {
    readonly clock: VirtualClock
    readonly faults: Fault[]
    readonly writer: RecordingWriter
    readonly file: string
  }

  async function record(
    name: string,
    options: Partial<RecordingWriterOptions> = {},
    header: Partial<RecordingWriterHeader> = {},
  ): Promise<Recorder> {
    const clock = new VirtualClock(START_US)
    const faults: Fault[] = []
    const writer = await openRecording(
      at(name),
      { venues: ['kraken'], startedUs: START_US, ...header },
      { clock, onFault: (fault) => faults.push(fault), random: () => 0.5, ...options },
    )
    return { clock, faults, writer, file: at(name) }
  }

  describe('writes what the format says', () => {
    const base = { timeUs: START_US, connection: 0, exchange: 'kraken' }
    const session: SessionRecord[] = [
      { ...base, ns: 1, dir: 'open', url: 'wss://ws.test/?token=abc' },
      { ...base, ns: 20, dir: 'out', data: '{"op":"subscribe"}' },
      { ...base, ns: 300, dir: 'in', data: '{"a":"é"}' },
      { ...base, ns: 301, dir: 'in', data: new Uint8Array([0, 255, 97]) },
      { ...base, ns: 302, dir: 'close', code: 1000, reason: 'bye' },
    ]
    const answer: SessionRecord = {
      ...base,
      connection: -1,
      ns: 7,
      dir: 'rest',
      method: 'GET',
      url: 'https://x.test/depth?symbol=A&apiKey=abc',
      role: 'book-snapshot',
      body: '{}',
    }

    it('as lines that are those of any recording of one connection', async () => {
      const { writer, file } = await record('a.ndjson')
      for (const one of [...session, answer]) writer.write(one)
      await writer.close()
      expect((await readFile(file, 'utf8')).split('\n').slice(1)).to.deep.equal([
        '{"t":"1626992740000000001","dir":"open","url":"wss://ws.test/?token=TOKEN"}',
        '{"t":"1626992740000000020","dir":"out","raw":"{\\"op\\":\\"subscribe\\"}"}',
        '{"t":"1626992740000000300","dir":"in","raw":"{\\"a\\":\\"é\\"}"}',
        '{"t":"1626992740000000301","dir":"in","b64":"AP9h"}',
        '{"t":"1626992740000000302","dir":"close","code":1000,"reason":"bye"}',
        '',
      ])
      expect((await readFile(at('a.rest.ndjson'), 'utf8')).split('\n').slice(1)).to.deep.equal([
        '{"t":"1626992740000000007","dir":"rest","method":"GET","url":"https://x.test/depth?symbol=A&apiKey=TOKEN","role":"book-snapshot","body":"{}"}',
        '',
      ])
    })

    it('the same for frames that are still bytes: a text frame as text, unless it is no UTF-8', async () => {
      const { writer, file } = await record('a.ndjson')
      const frame = (data: Uint8Array, isText?: boolean): SessionRecord => ({
        ...{ ...base, ns: 1, dir: 'in', data },
        ...(isText !== undefined && { isText }),
      })
      writer.write(frame(Buffer.from('{"a":"é"}'), true))
      writer.write(frame(Buffer.from('{}'), false))
      writer.write(frame(Buffer.from('{}')))
      writer.write(frame(Uint8Array.of(0xc3), true))
      await writer.close()
      const [header, ...lines] = (await readFile(file, 'utf8')).split('\n')
      expect(lines).to.deep.equal([
        '{"t":"1626992740000000001","dir":"in","raw":"{\\"a\\":\\"é\\"}"}',
        '{"t":"1626992740000000001","dir":"in","b64":"e30="}',
        '{"t":"1626992740000000001","dir":"in","b64":"e30="}',
        '{"t":"1626992740000000001","dir":"in","b64":"ww=="}',
        '',
      ])
      expect(JSON.parse(header!)).to.have.property('counts').that.deep.equals({ in: 1, 'in-binary': 3 })
    })

    it('with a header that tells the totals once the recording has ended', async () => {
      const { writer, file } = await record(
        'a.ndjson.gz',
        {},
        { protocol: 'v2', source: 'test', url: 'wss://ws.test', subscribed: { book: ['A'] } },
      )
      const before = headerOf(await readFile(file))
      expect(before).to.deep.equal({
        format: 'millrace-recording/1',
        venue: 'kraken',
        protocol: 'v2',
        url: 'wss://ws.test',
        source: 'test',
        recorded: '2021-07-22T22:25:40Z',
        subscribed: { book: ['A'] },
        ended: false,
      })
      for (const one of [...session, answer]) writer.write(one)
      await writer.close()
      const { ended, ...started } = before as Record<string, unknown>
      expect(ended).to.equal(false)
      expect(headerOf(await readFile(file))).to.deep.equal({
        ...started,
        frames: 5,
        counts: { open: 1, out: 1, in: 1, 'in-binary': 1, close: 1 },
        first_t: '1626992740000000001',
        last_t: '1626992740000000302',
      })
      expect(headerOf(await readFile(at('a.rest.ndjson.gz')))).to.deep.include({
        kind: 'rest',
        venue: 'kraken',
        frames: 1,
        for_sessions: ['a'],
      })
    })

    it('as a summary', async () => {
      const { writer, file, faults } = await record('deep/er/a.ndjson.gz')
      for (const one of [...session, answer]) writer.write(one)
      const summary = await writer.close()
      expect(summary).to.deep.equal({
        path: file,
        restPath: at('deep/er/a.rest.ndjson.gz'),
        lines: 5,
        restLines: 1,
        lost: 0,
        bytes: (await stat(file)).size + (await stat(at('deep/er/a.rest.ndjson.gz'))).size,
        complete: true,
      })
      expect(await writer.close()).to.equal(summary)
      expect(faults).to.deep.equal([])
    })

    it('without a REST file where there was no answer', async () => {
      const { writer } = await record('a.ndjson.gz')
      expect(await writer.close()).to.include({ restPath: undefined, restLines: 0, complete: true })
      expect(existsSync(at('a.rest.ndjson.gz'))).to.equal(false)
      expect(await read(at('a.ndjson.gz'))).to.deep.include({ records: [], faults: [] })
    })

    it('naming the exchange of each connection where there are several', async () => {
      const { writer, file } = await record('a.ndjson', {}, { venues: ['okx', 'kraken'] })
      writer.write({ ...session[0]!, exchange: 'okx' })
      writer.write({ ...session[0]!, connection: 1 })
      writer.write({ ...session[2]!, connection: 1 })
      writer.write(answer)
      await writer.close()
      const lines = (await readFile(file, 'utf8')).split('\n')
      expect(JSON.parse(lines[0]!)).to.deep.include({ venue: 'several', venues: ['okx', 'kraken'] })
      expect(lines.slice(1, 4)).to.deep.equal([
        '{"t":"1626992740000000001","dir":"open","venue":"okx","url":"wss://ws.test/?token=TOKEN"}',
        '{"t":"1626992740000000001","dir":"open","venue":"kraken","c":1,"url":"wss://ws.test/?token=TOKEN"}',
        '{"t":"1626992740000000300","dir":"in","c":1,"raw":"{\\"a\\":\\"é\\"}"}',
      ])
      expect((await readFile(at('a.rest.ndjson'), 'utf8')).split('\n')[1]).to.include('"venue":"kraken"')
    })
  })

  it('is read back as what was written, whatever that is', async function () {
    this.timeout(60_000)
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.json())
    const exchange = fc.constantFrom('okx', 'kraken', 'binance')
    const base = { timeUs: fc.nat(9e15), ns: fc.nat(999), exchange, connection: fc.nat(5) }
    const any: fc.Arbitrary<SessionRecord> = fc.oneof(
      fc.record({
        ...base,
        dir: fc.constant('open' as const),
        url: fc.constantFrom('wss://a.test', 'wss://b.test/?streams=a@b'),
      }),
      fc.record({ ...base, dir: fc.constant('out' as const), data: text }),
      fc.record({ ...base, dir: fc.constant('in' as const), data: fc.oneof(text, fc.uint8Array()) }),
      fc.record({ ...base, dir: fc.constant('close' as const), code: fc.nat(4999), reason: text }),
      fc.record({
        ...base,
        connection: fc.integer({ min: -1, max: 5 }),
        dir: fc.constant('rest' as const),
        method: fc.constant('GET'),
        url: fc.constant('https://a.test/depth?limit=5'),
        role: fc.constantFrom('instruments', 'book-snapshot', 'poll'),
        body: text,
      }),
    )
    let run = 0
    const property = fc.asyncProperty(
      fc.array(any, { maxLength: 30 }),
      fc.constantFrom(['kraken'], ['okx', 'kraken', 'binance']),
      fc.boolean(),
      async (records, venues, gzip) => {
        run += 1
        const { writer, file, faults } = await record(
          `${run}.ndjson${gzip ? '.gz' : ''}`,
          { flushBytes: 200 },
          { venues },
        )
        for (const one of records) writer.write(one)
        expect(await writer.close()).to.include({ complete: true, lost: 0 })
        const session = await read(file)
        const sessionRecords = records.filter(({ dir }) => dir !== 'rest')
        const restRecords = records.filter(({ dir }) => dir === 'rest')
        expect(session.records.map(plain)).to.deep.equal(sessionRecords.map(plain))
        if (restRecords.length > 0)
          expect((await read(at(`${run}.rest.ndjson${gzip ? '.gz' : ''}`))).records).to.deep.equal(restRecords)
        expect([...faults, ...session.faults]).to.deep.equal([])
        const replayed = await all(replayRecords([file], { onFault: (fault) => expect.fail(fault.message) }))
        expect(replayed).to.have.length(records.length)
      },
    )
    await fc.assert(property, { seed: 11, numRuns: 60 })
  })

  describe('when the recorder is killed', () => {
    it('has lost no line older than the time between flushes', async () => {
      const { clock, writer, file } = await record('a.ndjson.gz')
      writer.write(frameRecord(0))
      clock.advance(249)
      writer.write(frameRecord(1))
      const before = writer.counters.bytes
      clock.advance(1)
      await eventually(() => expect(writer.counters.bytes).to.be.greaterThan(before))
      const { records, faults } = await read(file)
      expect(textsOf(records)).to.deep.equal(['frame 0', 'frame 1'])
      expect(faults.map(({ code }) => code)).to.deep.equal(['RECORDING_CUT'])
      await writer.close()
    })

    it('has lost no line older than the bytes between flushes, without any time passing', async () => {
      const { writer, file } = await record('a.ndjson.gz')
      for (let i = 0; i < 600; i += 1) writer.write(frameRecord(i, 'x'.repeat(2_000)))
      await eventually(async () => expect((await read(file)).records).to.have.length.greaterThan(500))
      await writer.close()
    })

    it('says so also where no byte of it is torn', async () => {
      const { clock, writer, file } = await record('a.ndjson')
      writer.write(frameRecord(0))
      clock.advance(250)
      await eventually(async () => expect((await read(file)).records).to.have.length(1))
      expect((await read(file)).faults.map(({ code }) => code)).to.deep.equal(['RECORDING_CUT'])
      await writer.close()
      expect((await read(file)).faults).to.deep.equal([])
    })

    it('can be read up to the cut at whatever byte, with every line that had been flushed', async function () {
      this.timeout(60_000)
      const { clock, writer, file } = await record('a.ndjson.gz')
      const headerBytes = writer.counters.bytes
      const flushedAt: number[] = []
      for (let i = 0; i < 4; i += 1) {
        const before = writer.counters.bytes
        writer.write(frameRecord(2 * i))
        writer.write(frameRecord(2 * i + 1, `{"price":"${(i * 7919) % 1000}.5","é":${i}}`))
        clock.advance(250)
        await eventually(() => expect(writer.counters.bytes).to.be.greaterThan(before))
        flushedAt.push(writer.counters.bytes)
      }
      await writer.close()
      const bytes = await readFile(file)
      const whole = (await read(file)).records
      for (let end = 1; end < bytes.length; end += 1) {
        await writeFile(at('cut.ndjson.gz'), bytes.subarray(0, end))
        if (end < headerBytes - 8) {
          // The trailer of the header's own member may be missing; the header itself may not.
          const fault = await rejectionOf(read(at('cut.ndjson.gz')))
          expect(fault.code, `cut at ${end}`).to.equal('RECORDING_INVALID')
          continue
        }
        const { records, faults } = await read(at('cut.ndjson.gz'))
        const flushed = 2 * flushedAt.filter((size) => size <= end).length
        expect(records.length, `cut at ${end}`).to.be.at.least(flushed)
        expect(records, `cut at ${end}`).to.deep.equal(whole.slice(0, records.length))
        expect(
          faults.map(({ code }) => code),
          `cut at ${end}`,
        ).to.deep.equal(['RECORDING_CUT'])
      }
    })
  })

  describe('when the disk is slow', () => {
    it('loses lines in one run, says how many, and goes on', async () => {
      const disk = new Disk()
      const { writer, file, faults } = await record('a.ndjson', {
        openFile: disk.open,
        queueBytesMax: 1_000,
        flushBytes: 100,
      })
      disk.hold()
      let i = 0
      while (writer.counters.lost < 10) writer.write(frameRecord(i++))
      const taken = writer.counters.lines
      expect(taken).to.equal(i - 10)
      expect(faults.map(({ code }) => code)).to.deep.equal(['EDGE_FULL'])
      disk.release()
      // There is room again when the disk has said that it has taken all of it, which is later than that it has.
      await eventually(async () => {
        expect((await readFile(file, 'utf8')).split('\n')).to.have.length(taken + 2)
        expect(writer.counters.bytes).to.equal((await stat(file)).size)
      })
      writer.write(frameRecord(i))
      const summary = await writer.close()
      expect(summary).to.include({ lines: taken + 2, lost: 10, complete: true })

      const back = await read(file)
      expect(textsOf(back.records)).to.deep.equal([...Array(taken).keys(), i].map((n) => `frame ${n}`))
      expect(back.counters).to.include({ lost: 10 })
      expect(back.faults.map(({ details }) => details['lost'])).to.deep.equal([10])
      expect(JSON.parse((await readFile(file, 'utf8')).split('\n')[0]!)).to.deep.include({
        frames: taken + 2,
        counts: { in: taken + 1, gap: 1 },
      })
    })

    it('notes what was lost at the very end, too', async () => {
      const disk = new Disk()
      const { writer, file } = await record('a.ndjson', { openFile: disk.open, queueBytesMax: 500, flushBytes: 100 })
      disk.hold()
      for (let i = 0; writer.counters.lost < 3; i += 1) writer.write(frameRecord(i))
      disk.release()
      await writer.close()
      expect((await read(file)).counters).to.include({ lost: 3 })
    })

    it('loses a line that is larger than all that may wait', async () => {
      const { writer, file } = await record('a.ndjson', { queueBytesMax: 1_000 })
      writer.write(frameRecord(0, 'x'.repeat(2_000)))
      writer.write(frameRecord(1))
      await writer.close()
      const { records, counters } = await read(file)
      expect(textsOf(records)).to.deep.equal(['frame 1'])
      expect(counters.lost).to.equal(1)
    })

    it('names the exchange again where the line that did so was lost', async () => {
      const disk = new Disk()
      const venues = ['okx', 'kraken']
      const { writer, file } = await record(
        'a.ndjson',
        { openFile: disk.open, queueBytesMax: 350, flushBytes: 10 },
        { venues },
      )
      const headerBytes = writer.counters.bytes
      disk.hold()
      writer.write(frameRecord(0, 'x'.repeat(250)))
      writer.write({
        ...frameRecord(1),
        connection: 1,
        exchange: 'okx',
        dir: 'open',
        url: 'wss://x.test',
      })
      expect(writer.counters.lost).to.equal(1)
      disk.release()
      await eventually(() => expect(writer.counters.bytes).to.be.greaterThan(headerBytes + 250))
      await eventually(() => {
        writer.write({ ...frameRecord(2), connection: 1, exchange: 'okx' })
        expect(writer.counters.lines).to.be.greaterThan(1)
      })
      await writer.close()
      const { records, faults } = await read(file)
      expect(records.at(-1)).to.include({ exchange: 'okx', connection: 1 })
      expect(faults.map(({ details }) => details['lost'])).to.have.length(1)
    })

    it('gives up closing at its deadline', async () => {
      const disk = new Disk()
      const { clock, writer, faults } = await record('a.ndjson.gz', { openFile: disk.open, closeWithinMs: 2_000 })
      disk.hold()
      for (let i = 0; i < 5; i += 1) writer.write(frameRecord(i))
      const closing = writer.close()
      clock.advance(1_999)
      expect(faults).to.deep.equal([])
      clock.advance(1)
      expect(await closing).to.include({ lost: 5, complete: false })
      expect(faults.map(({ code }) => code)).to.deep.equal(['DEADLINE_EXCEEDED'])
      disk.release()
    })
  })

  describe('when the disk fails', () => {
    it('tries again from the byte where it failed, and reports an outage once', async () => {
      const disk = new Disk()
      const { clock, writer, file, faults } = await record('a.ndjson.gz', { openFile: disk.open })
      for (let outage = 1; outage <= 2; outage += 1) {
        disk.fail(4, 'ENOSPC')
        disk.takeAtMost = 7
        for (let i = 0; i < 20; i += 1) writer.write(frameRecord(i))
        clock.advance(250)
        const retries = 4 * outage
        await eventually(() => {
          clock.advance(10_000)
          expect(writer.counters.retries).to.equal(retries)
        })
        const before = writer.counters.bytes
        await eventually(() => {
          clock.advance(10_000)
          expect(writer.counters.bytes).to.be.greaterThan(before)
        })
        disk.takeAtMost = Infinity
      }
      expect(await writer.close()).to.include({ lines: 40, lost: 0, complete: true })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED', 'SINK_REJECTED'])
      expect(faults[0]!.message).to.include(file).and.include('the disk is full; free some space')
      const back = await read(file)
      expect(back.records).to.have.length(40)
      expect(back.faults).to.deep.equal([])
    })

    it('creates the REST file later when it cannot be created at once', async () => {
      const disk = new Disk()
      const { clock, writer, faults } = await record('a.ndjson.gz', { openFile: disk.open })
      disk.failOpen(3, 'EMFILE')
      writer.write(restRecord())
      clock.advance(250)
      await eventually(() => {
        clock.advance(1_000)
        expect(writer.counters.retries).to.equal(3)
      })
      await eventually(async () => {
        clock.advance(10_000)
        expect((await read(at('a.rest.ndjson.gz'))).records).to.have.length(1)
      })
      expect(await writer.close()).to.include({ restLines: 1, complete: true })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED'])
    })

    it('gives up when its budget is spent, counts what is lost from then on, and never throws', async () => {
      const disk = new Disk()
      const retry = { minMs: 100, maxMs: 100, atMost: 3, withinMs: 60_000 }
      const { clock, writer, faults, file } = await record('a.ndjson.gz', { openFile: disk.open, retry })
      disk.fail(1_000, 'EIO')
      writer.write(frameRecord(0))
      clock.advance(250)
      await eventually(() => {
        clock.advance(100)
        expect(faults).to.have.length(2)
      })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED', 'RETRIES_EXHAUSTED'])
      expect(faults[1]!.message).to.include('3 more attempts').and.include(file)
      writer.write(frameRecord(1))
      expect(await writer.close()).to.include({ lost: 2, complete: false })
      expect(clock.pending).to.equal(0)
      expect(faults).to.have.length(2)
    })

    it('does not sleep through the deadline of closing', async () => {
      const disk = new Disk()
      const retry = { minMs: 60_000, maxMs: 60_000, atMost: 100, withinMs: 600_000 }
      const { clock, writer, file } = await record('a.ndjson.gz', { openFile: disk.open, retry })
      disk.fail(3, 'EIO')
      writer.write(frameRecord(0))
      clock.advance(250)
      await eventually(() => expect(writer.counters.retries).to.equal(1))
      const closing = writer.close()
      let closed = false
      void closing.then(() => (closed = true))
      await eventually(() => {
        clock.advance(100)
        expect(closed).to.equal(true)
      })
      expect(await closing).to.include({ complete: true, lost: 0 })
      expect((await read(file)).records).to.have.length(1)
    })

    it('keeps what was written when the end cannot be', async () => {
      const disk = new Disk()
      const { clock, writer, file, faults } = await record('a.ndjson.gz', { openFile: disk.open })
      writer.write(frameRecord(0))
      const before = writer.counters.bytes
      clock.advance(250)
      await eventually(() => expect(writer.counters.bytes).to.be.greaterThan(before))
      disk.failClose('EIO')
      expect(await writer.close()).to.include({ complete: false })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED'])
      expect((await read(file)).records).to.have.length(1)
    })

    it('is not stopped by a listener that throws', async () => {
      const disk = new Disk()
      const { clock, writer } = await record('a.ndjson', {
        openFile: disk.open,
        onFault: () => {
          throw new Error('of the listener')
        },
      })
      disk.fail(1, 'EIO')
      writer.write(frameRecord(0))
      clock.advance(250)
      await eventually(() => {
        clock.advance(1_000)
        expect(writer.counters.retries).to.equal(1)
      })
      writer.write({ ...frameRecord(1), data: Symbol('not a frame') as unknown as string })
      expect(await writer.close()).to.include({ lines: 1, lost: 1, complete: true })
    })
  })

  describe('takes care', () => {
    it('never throws at a record that it cannot write, and says so', async () => {
      const { writer, faults } = await record('a.ndjson')
      writer.write({ ...frameRecord(0), dir: 'in', data: 5n as unknown as string })
      expect(faults.map(({ code }) => code)).to.deep.equal(['VALUE_INVALID'])
      expect(writer.counters.lost).to.equal(1)
      await writer.close()
    })

    it('does not keep the bytes that it was given', async () => {
      const { writer, file } = await record('a.ndjson.gz')
      const data = new Uint8Array([1, 2, 3])
      writer.write({ ...frameRecord(0), data })
      data.fill(9)
      await writer.close()
      expect(
        Buffer.from((await read(file)).records.map((one) => (one as InRecord).data as Uint8Array)[0]!),
      ).to.deep.equal(Buffer.from([1, 2, 3]))
    })

    it('counts what comes after its end as lost', async () => {
      const { writer } = await record('a.ndjson')
      await writer.close()
      writer.write(frameRecord(0))
      expect(writer.counters.lost).to.equal(1)
    })

    it('takes away the REST file of the recording that it replaces, and no other', async () => {
      const first = await record('a.ndjson.gz')
      first.writer.write(restRecord())
      await first.writer.close()
      expect(existsSync(at('a.rest.ndjson.gz'))).to.equal(true)
      await (await record('a.ndjson.gz')).writer.close()
      expect(existsSync(at('a.rest.ndjson.gz'))).to.equal(false)

      await recordingOf(at('kraken.rest.ndjson.gz'), [], { ...HEADER, kind: 'rest', for_sessions: ['kraken.ws1'] })
      const fault = await rejectionOf(record('kraken.ndjson.gz'))
      expect(fault).to.include({ code: 'OPTION_INVALID' })
      expect(fault.message).to.include('REST answers of other sessions')
      expect((await readHeader(at('kraken.rest.ndjson.gz'))).kind).to.equal('rest')
    })

    it('refuses a file that cannot be created, with what to do', async () => {
      await mkdir(at('folder.ndjson'))
      await writeFile(at('file'), '')
      const folder = await rejectionOf(record('folder.ndjson'))
      expect(folder).to.include({ code: 'OPTION_INVALID' })
      expect(folder.message).to.include('there is a folder of that name')
      expect((await rejectionOf(record('file/a.ndjson'))).message).to.match(/a part of its path is a file/)
      await mkdir(at('locked'))
      await chmod(at('locked'), 0o500)
      const locked = await asUnprivileged(() => rejectionOf(record('locked/a.ndjson')), at('.'))
      expect(locked.message).to.match(/permission is denied/)
    })

    it('refuses options that are not usable', async () => {
      const wrong: [Partial<RecordingWriterOptions>, Partial<RecordingWriterHeader>?][] = [
        [{}, { venues: [] }],
        [{ queueBytesMax: 0 }],
        [{ flushBytes: -1 }],
        [{ flushEveryMs: NaN }],
        [{ closeWithinMs: Infinity }],
        [{ level: 0 }],
        [{ retry: { minMs: 0, maxMs: 1, atMost: 1, withinMs: 1 } }],
      ]
      for (const [options, header] of wrong) {
        expect(await rejectionOf(record('a.ndjson', options, header))).to.include({ code: 'OPTION_INVALID' })
      }
      expect(await rejectionOf(record('a.rest.ndjson'))).to.include({ code: 'OPTION_INVALID' })
      expect(existsSync(at('a.ndjson'))).to.equal(false)
    })
  })

  function frameRecord(i: number, data = `frame ${i}`): InRecord {
    return { timeUs: START_US + i, ns: 0, connection: 0, exchange: 'kraken', dir: 'in', data }
  }

  function restRecord(): SessionRecord {
    return {
      timeUs: START_US,
      ns: 0,
      connection: -1,
      exchange: 'kraken',
      dir: 'rest',
      method: 'GET',
      url: 'https://x.test',
      role: 'instruments',
      body: '[]',
    }
  }
})

/** Real files whose disk can be made to wait and to fail. */
class Disk {
  /** Bytes that one write takes. */
  takeAtMost = Infinity
  private held: Promise<void> | undefined
  private free: (() => void) | undefined
  private failures: { left: number; code: string } = { left: 0, code: '' }
  private openFailures: { left: number; code: string } = { left: 0, code: '' }
  private closeFailure: string | undefined

  readonly open = async (path: string): Promise<WritableFile> => {
    if (this.openFailures.left-- > 0) throw errno(this.openFailures.code)
    const file = await open(path, 'w')
    return {
      write: async (bytes, offset, length, position) => {
        await this.held
        if (this.failures.left-- > 0) throw errno(this.failures.code)
        return file.write(bytes, offset, Math.min(length, this.takeAtMost), position)
      },
      close: async () => {
        await file.close()
        if (this.closeFailure !== undefined) throw errno(this.closeFailure)
      },
    }
  }

  hold(): void {
    this.held = new Promise((resolve) => (this.free = resolve))
  }

  release(): void {
    this.free?.()
    this.held = undefined
  }

  fail(times: number, code: string): void {
    this.failures = { left: times, code }
  }

  failOpen(times: number, code: string): void {
    this.openFailures = { left: times, code }
  }

  failClose(code: string): void {
    this.closeFailure = code
  }
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** The first line, whatever follows it: also of a file that is still being written. */
function headerOf(bytes: Buffer): unknown {
  const text = bytes[0] === 0x1f ? gunzipSync(bytes) : bytes
  return JSON.parse(text.toString('utf8').split('\n')[0]!)
}

/** Bytes compare by their values. */
function plain(record: SessionRecord): unknown {
  return record.dir === 'in' && typeof record.data !== 'string' ? { ...record, data: [...record.data] } : record
}
