/**
 * A part of a recording replays by itself: the same events as the whole gives for that part, and the same books after it.
 */
import { expect } from 'chai'
import { copyFile } from 'node:fs/promises'
import { liveClock } from '../../../src/clock/liveClock'
import { exchangeById } from '../../../src/exchanges/exchanges'
import { Audit, type AuditReport } from '../../../src/feed/audit'
import { cutRecordings, type CutOptions, type CutReport } from '../../../src/feed/recording/cut'
import { replayRecords } from '../../../src/feed/recording/mergeRecordings'
import { readHeader } from '../../../src/feed/recording/recordingReader'
import { openRecording } from '../../../src/feed/recording/recordingWriter'
import { Sessions } from '../../../src/feed/sessions'
import type { Fault } from '../../../src/model/fault'
import { encodeEvent } from '../../../src/sinks/encode'
import { RECORDINGS } from '../../kit/recordings'
import { needsShared, sharedPath } from '../../kit/shared'
import { all, frame, HEADER, recordingOf, rejectionOf, temporaryFolder } from './recordings'

const recorded = (name: string): string => sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)

interface Seen {
  readonly audit: AuditReport
  /** Events received from a time on, as text. */
  readonly events: readonly string[]
  readonly faults: readonly string[]
}

async function seen(file: string, fromUs: number, toUs: number): Promise<Seen> {
  const faults: Fault[] = []
  const onFault = (fault: Fault): void => void faults.push(fault)
  const audit = new Audit(exchangeById, onFault)
  const sessions = new Sessions({ protocolOf: exchangeById })
  const events: string[] = []
  for await (const batch of replayRecords([file], { onFault })) {
    for (const record of batch) {
      if (record.timeUs >= toUs) continue
      audit.take(record)
      for (const event of sessions.apply(record)) if (event.receiveTimeUs >= fromUs) events.push(encodeEvent(event))
    }
  }
  return { audit: audit.report([]), events, faults: faults.map(({ message }) => message) }
}

function cut(options: Omit<CutOptions, 'clock' | 'onFault'>): Promise<CutReport> {
  return cutRecordings({ ...options, clock: liveClock, onFault: () => undefined })
}

describe('cutRecordings', function () {
  this.timeout(600_000)
  const at = temporaryFolder()

  describe('of real sessions', () => {
    before(function () {
      needsShared(this)
    })

    for (const [, session] of RECORDINGS) {
      for (const [share, name] of [
        [0.5, 'from its middle on'],
        [0.9, 'near its end'],
      ] as const) {
        it(`gives the events of the whole ${session} for a part ${name}, and its books`, async () => {
          const times = (await all(replayRecords([recorded(session)], { onFault: () => undefined }))).map(
            ({ timeUs }) => timeUs,
          )
          const fromUs = times[Math.floor(times.length * share)]!
          const toUs = times[Math.floor(times.length * (share + 0.08))]! + 1
          const report = await cut({ files: [recorded(session)], out: at('part.ndjson.gz'), fromUs, toUs })
          const whole = await seen(recorded(session), fromUs, toUs)
          const part = await seen(at('part.ndjson.gz'), fromUs, toUs)
          expect(part.faults).to.deep.equal(whole.faults)
          expect(part.events).to.deep.equal(whole.events)
          expect(part.audit.sequence.gaps).to.equal(0)
          expect(part.audit.checksums.failed).to.equal(0)
          expect(report.missing).to.deep.equal([])
          const live = Object.entries(whole.audit.books).filter(([, { state }]) => state === 'live')
          expect(part.audit.books).to.deep.equal(Object.fromEntries(live))
        })
      }
    }

    it('says in the header what was carried over and what is missing', async () => {
      // Copies: what is sought gets an index beside it.
      for (const name of ['binance.ws1', 'binance.rest']) await copyFile(recorded(name), at(`${name}.ndjson.gz`))
      const file = at('binance.ws1.ndjson.gz')
      const times = (await all(replayRecords([file], { onFault: () => undefined }))).map(({ timeUs }) => timeUs)
      const fromUs = times[150]!
      await cut({ files: [file], out: at('part.ndjson'), fromUs, books: false })
      const { made, recorded: since } = await readHeader(at('part.ndjson'))
      expect((await all(replayRecords([at('part.ndjson')], { onFault: () => undefined })))[0]).to.include({
        dir: 'rest',
        role: 'instruments',
      })
      expect(made).to.include({ by: 'cut', of: 'binance.ws1.ndjson.gz' })
      expect(made!['carried']).to.include({ openings: 1, instruments: 1, books: 0 })
      expect(made!['missing']).to.deep.equal([
        { exchange: 'binance', connection: 0, symbol: '*', why: 'books were not wanted' },
      ])
      expect(Date.parse(since!)).to.equal(Math.floor(fromUs / 1_000_000) * 1_000)
    })
  })

  it('takes the lines from its beginning on to before its end', async () => {
    const file = await recordingOf(at('x.ndjson'), [
      frame(1_000),
      frame(2_999),
      frame(3_000),
      frame(4_000),
      frame(5_000),
    ])
    const report = await cut({ files: [file], out: at('part.ndjson'), fromUs: 3, toUs: 5 })
    expect(report.records).to.equal(2)
    const records = await all(replayRecords([at('part.ndjson')], { onFault: () => undefined }))
    expect(records.map(({ timeUs }) => timeUs)).to.deep.equal([3, 4])
  })

  it('finds the range by the index where books are not wanted, with what is in force then', async () => {
    const file = at('x.ndjson.gz')
    const writer = await openRecording(
      file,
      { venues: ['kraken'] },
      { clock: liveClock, onFault: () => undefined, blockBytes: 8_192, flushBytes: 2_048 },
    )
    const base = { exchange: 'kraken', connection: 3, ns: 0 }
    writer.write({ ...base, timeUs: 1, dir: 'open', url: 'wss://ws.kraken.com/v2' })
    for (let i = 10; i < 4_000; i += 1) {
      writer.write({ ...base, timeUs: i, dir: 'in', data: `{"channel":"heartbeat","n":${i}}` })
    }
    await writer.close()
    const report = await cut({ files: [file], out: at('part.ndjson'), fromUs: 3_000, toUs: 3_100, books: false })
    expect(report).to.deep.include({ records: 100, whole: true })
    expect(report.carried).to.include({ openings: 1, books: 0 })
    const records = await all(replayRecords([at('part.ndjson')], { onFault: () => undefined }))
    expect(records[0]).to.deep.include({ dir: 'open', timeUs: 2_999, url: 'wss://ws.kraken.com/v2' })
    expect(records.slice(1).map(({ timeUs }) => timeUs)).to.deep.equal(Array.from({ length: 100 }, (_, i) => 3_000 + i))
  })

  it('cuts what it cannot decode without its books, and says so', async () => {
    const file = await recordingOf(at('x.ndjson'), [frame(1_000), frame(5_000)], { ...HEADER, venue: 'huobi' })
    const options = { files: [file], out: at('part.ndjson'), fromUs: 3 }
    expect((await rejectionOf(cut(options))).message).to.include('cut it without them (--no-books)')
    expect((await cut({ ...options, books: false })).records).to.equal(1)
  })

  it('refuses a range that is empty, and one that holds no record', async () => {
    const file = await recordingOf(at('x.ndjson'), [frame(1_000)])
    const refused = async (fromUs: number, toUs?: number): Promise<string> =>
      (await rejectionOf(cut({ files: [file], out: at('part.ndjson'), fromUs, toUs }))).message
    expect(await refused(5, 5)).to.include('The range is empty')
    expect(await refused(2)).to.include('is in the range from 1970-01-01T00:00:00.000002Z to the end')
  })
})
