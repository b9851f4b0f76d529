/**
 * Recorded and converted files give the same events: real sessions are written in the formats of other recorders, read back,
 * and decoded beside the originals.
 */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { liveClock } from '../../../../src/clock/liveClock'
import { exchangeById } from '../../../../src/exchanges/exchanges'
import { Audit, type AuditReport } from '../../../../src/feed/audit'
import type { SessionRecord } from '../../../../src/feed/record'
import {
  convertRecordings,
  isWhole,
  type ConvertOptions,
  type ConvertReport,
} from '../../../../src/feed/recording/convert'
import { replayRecords } from '../../../../src/feed/recording/mergeRecordings'
import { Sessions } from '../../../../src/feed/sessions'
import type { Fault } from '../../../../src/model/fault'
import { encodeEvent } from '../../../../src/sinks/encode'
import { RECORDINGS } from '../../../kit/recordings'
import { needsShared, sharedPath } from '../../../kit/shared'
import { all, temporaryFolder } from '../recordings'

const recorded = (name: string): string => sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)

interface Digest {
  readonly audit: AuditReport
  /** Events by symbol, each symbol's in order. */
  readonly events: Readonly<Record<string, { readonly count: number; readonly sha256: string }>>
}

/** What a replay gives. Openings of connections are told by no format but cryptofeed's, names of instruments by lists of them. */
async function digestOf(files: readonly string[], bare: boolean): Promise<Digest> {
  const faults: Fault[] = []
  const audit = new Audit(exchangeById)
  const sessions = new Sessions({ protocolOf: exchangeById })
  const hashes = new Map<string, { count: number; hash: ReturnType<typeof createHash> }>()
  for await (const batch of replayRecords(files, { onFault: (fault) => faults.push(fault) })) {
    for (const record of batch) {
      if (bare && (record.dir === 'open' || record.dir === 'close' || isList(record))) continue
      audit.take(record)
      for (const event of sessions.apply(record)) {
        let symbol = hashes.get(event.symbol)
        if (symbol === undefined) hashes.set(event.symbol, (symbol = { count: 0, hash: createHash('sha256') }))
        symbol.count += 1
        symbol.hash.update(encodeEvent(event))
      }
    }
  }
  expect(faults.map(({ message }) => message)).to.deep.equal([])
  expect(hashes.size, 'instruments with events').to.be.above(0)
  return {
    audit: audit.report([]),
    events: Object.fromEntries(
      [...hashes].map(([symbol, { count, hash }]) => [symbol, { count, sha256: hash.digest('hex') }]),
    ),
  }
}

function isList(record: SessionRecord): boolean {
  return record.dir === 'rest' && record.role === 'instruments'
}

async function converted(options: Omit<ConvertOptions, 'clock' | 'onFault'>): Promise<ConvertReport> {
  const faults: Fault[] = []
  const report = await convertRecordings({ ...options, clock: liveClock, onFault: (fault) => faults.push(fault) })
  expect(faults.map(({ message }) => message)).to.deep.equal([])
  expect(isWhole(report)).to.equal(true)
  return report
}

async function filesOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort().map((name) => path.join(folder, name))
}

describe('Recorded and converted files give the same events', function () {
  this.timeout(600_000)
  const at = temporaryFolder()

  before(function () {
    needsShared(this)
  })

  for (const [exchange, session] of RECORDINGS) {
    const file = recorded(session)

    it(`${session} as a recording of millrace`, async () => {
      await converted({ files: [file], out: at('back.ndjson.gz') })
      expect(await digestOf([at('back.ndjson.gz')], false)).to.deep.equal(await digestOf([file], false))
      expect(await recordsOf([at('back.ndjson.gz')])).to.deep.equal(await recordsOf([file]))
    })

    it(`${session} by way of cryptofeed's lines`, async () => {
      await converted({ files: [file], out: at('cryptofeed'), to: 'cryptofeed' })
      await converted({ files: await filesOf(at('cryptofeed')), out: at('back.ndjson.gz') })
      expect(await digestOf([at('back.ndjson.gz')], false)).to.deep.equal(await digestOf([file], false))
    })

    it(`${session} by way of tardis.dev's raw lines`, async () => {
      await converted({ files: [file], out: at('raw.gz'), to: 'tardis-raw' })
      await converted({ files: [at('raw.gz')], out: at('back.ndjson.gz'), exchange })
      expect(await digestOf([at('back.ndjson.gz')], true)).to.deep.equal(await digestOf([file], true))
    })

    if (['binance', 'binance-futures', 'bybit'].includes(exchange)) {
      it(`${session} by way of hftbacktest's files`, async () => {
        await converted({ files: [file], out: at('hft'), to: 'hftbacktest' })
        await converted({ files: await filesOf(at('hft')), out: at('back.ndjson.gz'), exchange })
        const [back, original] = [await digestOf([at('back.ndjson.gz')], true), await digestOf([file], true)]
        expect(back.events).to.deep.equal(original.events)
        expect(back.audit.counts).to.deep.equal(original.audit.counts)
        expect(back.audit.sequence).to.deep.equal(original.audit.sequence)
        expect(back.audit.books).to.deep.equal(original.audit.books)
      })
    }
  }

  it("writes the very lines of cryptofeed's own sample of this session", async () => {
    await converted({ files: [recorded('kraken.ws48')], out: at('cryptofeed'), to: 'cryptofeed' })
    const text = await readFile(path.join(at('cryptofeed'), 'KRAKEN.ws.1.0'), 'utf8')
    // sample_data/KRAKEN.ws.48.0 of bmoscon/cryptofeed, without the blank lines at its end.
    expect(createHash('sha256').update(text).digest('hex')).to.equal(SAMPLE_SHA256)
  })

  it('keeps binary frames of another exchange to the byte', async () => {
    const file = recorded('huobi.ws44.first60')
    await converted({ files: [file], out: at('cryptofeed'), to: 'cryptofeed' })
    await converted({ files: await filesOf(at('cryptofeed')), out: at('back.ndjson.gz') })
    const frames = async (name: string): Promise<readonly string[]> =>
      (await recordsOf([name])).flatMap((record) =>
        record.dir === 'in' ? [Buffer.from(record.data).toString('base64')] : [],
      )
    expect(await frames(at('back.ndjson.gz'))).to.deep.equal(await frames(file))
  })
})

const SAMPLE_SHA256 = '804329299a4035b13766b0c9a8ee5e1d4f3f27100331e4289fe4aeb0da0246c2'

async function recordsOf(files: readonly string[]): Promise<SessionRecord[]> {
  return all(replayRecords(files, { onFault: () => undefined }))
}
