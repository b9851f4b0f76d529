/**
 * `millrace audit`: every recording of a session gives what an independent program computed from the published rules, and
 * what is damaged is said.
 */
import { expect } from 'chai'
import { readFile, writeFile } from 'node:fs/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { AuditReport } from '../../src/feed/audit'
import { hasShared, needsShared, readGolden, sharedPath } from '../kit/shared'
import { millrace, needsBuild, temporaryFolder, type Ran } from './millrace'

/** Sets of recordings, each with the sessions it consists of. REST files are found beside them. */
const SETS: Readonly<Record<string, readonly string[]>> = {
  binance: ['binance.ws1'],
  'binance.ethusdt-20240808': ['binance.ethusdt-20240808'],
  'binance-futures': ['binance-futures.ws1'],
  'binance-futures.btcusdt-20240808': ['binance-futures.btcusdt-20240808.first60'],
  'bybit.xrpusdt-ob500-20241201': ['bybit.xrpusdt-ob500-20241201.first60'],
  kraken: ['kraken.ws48', 'kraken.ws49', 'kraken.ws50.first60'],
  'kraken.v2-btcusd-20260824': ['kraken.v2-btcusd-20260824'],
  okx: ['okx.ws1.first60'],
  coinbase: ['coinbase.ws28.first60'],
}

describe('millrace audit', function () {
  this.timeout(60_000)

  before(function () {
    needsBuild(this)
  })

  describe('of real sessions', () => {
    before(function () {
      needsShared(this)
    })

    for (const [set, sessions] of Object.entries(SETS)) {
      it(`gives the golden summary of ${set}`, async () => {
        const ran = await millrace(['audit', ...sessions.map(recorded), '--json'])
        const report = reportOf(ran)
        const golden = readGolden(set)
        expect(report.format).to.equal('millrace-audit/1')
        expect(report.exchange).to.equal(set.split('.')[0])
        expect(report.files).to.deep.equal(sessions.map(recorded))
        expect(report.frames).to.equal(golden.frames_in)
        expect(report.counts).to.deep.equal({
          trades: golden.totals.trades ?? 0,
          tradesHistory: golden.totals.trades_history ?? 0,
          tickers: golden.totals.tickers ?? 0,
          candles: golden.totals.candles ?? 0,
          bookSnapshots: golden.totals.book_snapshots ?? 0,
          bookDeltas: golden.totals.book_updates ?? 0,
        })
        expect(report.checksums).to.deep.equal({ checked: golden.checksum.checked ?? 0, failed: 0 })
        expect(golden.checksum.bad ?? 0).to.equal(0)
        expect(report.sequence).to.deep.equal({
          checked: golden.book_integrity['continuity_checked'] ?? 0,
          gaps: 0,
          stale: golden.book_integrity['dropped_stale'] ?? 0,
        })
        expect({
          unreadable: report.unreadable,
          crossed: report.crossed,
          inexact: report.inexactNumbers,
        }).to.deep.equal({
          unreadable: 0,
          crossed: golden.book_integrity['crossed_states'] ?? 0,
          inexact: 0,
        })
        expect(Object.keys(report.books).sort()).to.deep.equal(Object.keys(golden.books).sort())
        for (const [symbol, book] of Object.entries(golden.books)) {
          expect(report.books[symbol]!.bids, `bids of ${symbol}`).to.deep.equal(book.bids)
          expect(report.books[symbol]!.asks, `asks of ${symbol}`).to.deep.equal(book.asks)
          expect(report.books[symbol]!.levels, `levels of ${symbol}`).to.deep.equal(book.levels)
          expect(report.books[symbol]!.state, symbol).to.equal('live')
        }
        expect(ran.status, ran.err).to.equal(0)
        expect(ran.err).to.contain('Clean')
      })
    }

    it('gives the same for the files of a set in any order, and for a REST file that is named too', async () => {
      const files = [...SETS['kraken']!.map(recorded), recorded('kraken.rest')].reverse()
      const report = reportOf(await millrace(['audit', ...files, '--json']))
      const inOrder = reportOf(await millrace(['audit', ...SETS['kraken']!.map(recorded), '--json']))
      expect(report.files).to.have.length(4)
      expect({ ...report, files: inOrder.files }).to.deep.equal(inOrder)
    })

    it('reports two exchanges side by side and together', async () => {
      const files = [recorded('bybit.xrpusdt-ob500-20241201.first60'), recorded('okx.ws1.first60')]
      const report = reportOf(await millrace(['audit', ...files, '--json']))
      expect(Object.keys(report.exchanges!)).to.have.members(['bybit', 'okx'])
      expect(report.counts.bookDeltas).to.equal(
        report.exchanges!['bybit']!.counts.bookDeltas + report.exchanges!['okx']!.counts.bookDeltas,
      )
      expect(report.books).to.include.keys('bybit XRPUSDT', 'okx BTC-USD-220527')
    })
  })

  describe('of damaged recordings', () => {
    const file = temporaryFolder()

    before(function () {
      if (!hasShared()) needsShared(this)
    })

    it('reports a gap and exits 1 when one delta has been deleted', async () => {
      const lines = await linesOf('bybit.xrpusdt-ob500-20241201.first60')
      const ran = await millrace(['audit', await written(file('bybit.cut.ndjson.gz'), without(lines, 12)), '--json'])
      expect(reportOf(ran).sequence.gaps).to.equal(1)
      expect(reportOf(ran).books['XRPUSDT']!.state).to.equal('awaitingSnapshot')
      expect(reportOf(ran).books['XRPUSDT']!.bids, 'a book that lost a delta says nothing').to.deep.equal([])
      expect(ran.status).to.equal(1)
      expect(ran.err).to.contain('Not clean')
    })

    it('names the line that is broken and goes on', async () => {
      const lines = await linesOf('kraken.ws48')
      const broken = lines.map((line, index) => (index === 20 ? line.slice(0, 40) : line))
      const ran = await millrace(['audit', await written(file('kraken.ws48.ndjson'), broken), '--json'])
      const report = reportOf(ran)
      expect(report.unreadable).to.equal(1)
      expect(report.frames).to.equal(lines.filter((line) => line.includes('"dir":"in"')).length - 1)
      expect(ran.err).to.match(/RECORD_UNREADABLE: .*21/)
      expect(ran.status).to.equal(1)
    })

    it('reads a recording that was cut off in the middle up to the cut, and says so', async () => {
      const bytes = await readFile(recorded('bybit.xrpusdt-ob500-20241201.first60'))
      await writeFile(file('cut.ndjson.gz'), bytes.subarray(0, bytes.length * 0.6))
      const ran = await millrace(['audit', file('cut.ndjson.gz'), '--json'])
      const report = reportOf(ran)
      expect(report.counts.bookDeltas).to.be.within(5, 28)
      expect(report.books['XRPUSDT']!.state).to.equal('live')
      expect(ran.err).to.match(/RECORDING_CUT: .+\./)
      expect(ran.status, 'what is there is right').to.equal(0)
    })

    it('counts a wrong checksum', async () => {
      const lines = (await linesOf('kraken.v2-btcusd-20260824')).map((line) => line.replace('2416540570', '2416540571'))
      const ran = await millrace(['audit', await written(file('kraken.v2.ndjson'), lines), '--json'])
      expect(reportOf(ran).checksums.failed).to.equal(1)
      expect(ran.err).to.match(/BOOK_CHECKSUM: The book of BTC\/USD on kraken has checksum 2416540570; .* 2416540571/)
      expect(ran.status).to.equal(1)
    })

    it('speaks another exchange’s protocol when it is told to', async () => {
      const lines = await linesOf('binance.ws1')
      const renamed = [lines[0]!.replace('"binance"', '"binance-us"'), ...lines.slice(1)]
      const copy = await written(file('binance-us.ws1.ndjson'), renamed)
      await written(file('binance-us.rest.ndjson'), await linesOf('binance.rest'))
      const ran = await millrace(['audit', copy, '--exchange', 'binance', '--json'])
      expect(reportOf(ran).exchange).to.equal('binance')
      expect(reportOf(ran).counts.bookDeltas).to.equal(readGolden('binance').totals.book_updates)
      expect(ran.status, ran.err).to.equal(0)
    })
  })

  it('wants a recording that is there, and one that is one', async () => {
    for (const [args, sentence] of [
      [['audit'], 'Name at least one recording.'],
      [['audit', 'nowhere.ndjson.gz'], 'The recording nowhere.ndjson.gz does not exist'],
      [['audit', 'package.json'], 'The recording package.json does not start with a header line'],
      [['audit', 'package.json', '--exchange', 'krakn'], 'There is no exchange "krakn". Did you mean kraken?'],
    ] as const) {
      const ran = await millrace(args)
      expect(ran.err).to.contain(sentence)
      expect(ran.status, sentence).to.equal(2)
      expect(ran.out).to.equal('')
    }
  })
})

function reportOf(ran: Ran): AuditReport {
  return JSON.parse(ran.out) as AuditReport
}

function recorded(name: string): string {
  return sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)
}

async function linesOf(name: string): Promise<string[]> {
  return gunzipSync(await readFile(recorded(name)))
    .toString('utf8')
    .trimEnd()
    .split('\n')
}

function without(lines: readonly string[], index: number): string[] {
  return lines.filter((_, at) => at !== index)
}

async function written(file: string, lines: readonly string[]): Promise<string> {
  const text = `${lines.join('\n')}\n`
  await writeFile(file, file.endsWith('.gz') ? gzipSync(text) : text)
  return file
}
