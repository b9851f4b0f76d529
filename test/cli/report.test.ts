/**
 * `millrace report`: a page of every recording, whose numbers are those of the audit, and which takes the place of nothing
 * that it reads.
 */
import { expect } from 'chai'
import { copyFile, readFile, symlink, writeFile } from 'node:fs/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { AuditReport } from '../../src/feed/audit'
import { needsShared, readGolden, sharedPath } from '../kit/shared'
import { dataOf } from '../sinks/report/page'
import { recordingOf } from '../feed/recording/recordings'
import { millrace, needsBuild, temporaryFolder } from './millrace'

/** One recording of each exchange, and whose golden summary it has. */
const RECORDINGS: Readonly<Record<string, string>> = {
  'binance.ws1': 'binance',
  'binance-futures.ws1': 'binance-futures',
  'bybit.xrpusdt-ob500-20241201.first60': 'bybit.xrpusdt-ob500-20241201',
  'kraken.v2-btcusd-20260824': 'kraken.v2-btcusd-20260824',
  'okx.ws1.first60': 'okx',
  'coinbase.ws28.first60': 'coinbase',
}

interface Summary {
  readonly format: string
  readonly out: string
  readonly bytes: number
  readonly instruments: readonly {
    readonly name: string
    readonly trades: number
    readonly mid?: { readonly count: number }
  }[]
  readonly audit: AuditReport
}

describe('millrace report', function () {
  this.timeout(120_000)
  const file = temporaryFolder()

  before(function () {
    needsBuild(this)
    needsShared(this)
  })

  for (const [recording, golden] of Object.entries(RECORDINGS)) {
    it(`makes a page and a Markdown summary of ${recording}`, async () => {
      const args = ['report', recorded(recording), '--out', file('r.html'), '--markdown', file('r.md'), '--json']
      const ran = await millrace(args)
      expect(ran.status, ran.err).to.equal(0)
      const summary = JSON.parse(ran.out) as Summary
      const { totals, books } = readGolden(golden)
      expect(summary.format).to.equal('millrace-report/1')
      expect(summary.audit.counts.bookDeltas).to.equal(totals.book_updates ?? 0)
      expect(sum(summary.instruments.map(({ trades }) => trades))).to.equal(totals.trades ?? 0)
      const page = await readFile(file('r.html'), 'utf8')
      expect(Buffer.byteLength(page)).to.equal(summary.bytes)
      const data = dataOf(page)
      expect(data.format).to.equal('millrace-report-data/1')
      const drawn = data.instruments.filter(({ heat, mid }) => heat !== undefined && mid !== undefined)
      expect(drawn.length, 'books with a picture of depth').to.equal(Object.keys(books).length)
      for (const { mid } of drawn) expect(mid!.last.every((price) => price > 0)).to.equal(true)
      const markdown = await readFile(file('r.md'), 'utf8')
      expect(markdown).to.contain('## How far the recording can be trusted')
      for (const { name } of data.instruments) expect(markdown).to.contain(name)
    })
  }

  it('makes a page of the part between two times', async () => {
    const recording = file('session.ndjson')
    const seconds = [0, 1, 2, 3, 4]
    await recordingOf(recording, seconds.map(tradeLine))
    const args = ['report', recording, '--out', file('r.html'), '--json']
    const ran = await millrace([...args, '--from', new Date((T + 1e6) / 1_000).toISOString(), '--to', String(T + 3e6)])
    expect(ran.status, ran.err).to.equal(0)
    const [instrument] = (JSON.parse(ran.out) as Summary).instruments
    expect(instrument).to.include({ name: 'BTC/USD', trades: 2 })
    const page = await readFile(file('r.html'), 'utf8')
    expect(page).to.contain('What was received before 2023-11-14 22:13:21.000 (UTC) was left out.')
    expect(page).to.contain('What was received at 2023-11-14 22:13:23.000 (UTC) or later was left out.')
    expect(page).not.to.contain('where it stands')
    for (const wrong of [
      ['--from', 'yesterday'],
      ['--from', '6', '--to', '6'],
    ]) {
      expect((await millrace([...args, ...wrong])).status, wrong.join(' ')).to.equal(2)
    }
  })

  it('says with --lineage which line each single event came from, and each fault', async () => {
    const recording = file('session.ndjson')
    const broken = { t: String((T + 5e6) * 1_000), dir: 'in', raw: '{"channel":"trade"' }
    await recordingOf(recording, [...[0, 1, 2].map(tradeLine), broken, '{"cut'])
    const args = ['report', recording, '--lineage', '--out', file('r.html'), '--markdown', file('r.md')]
    expect((await millrace(args)).status).to.equal(1)
    const rows = (await readFile(file('r.md'), 'utf8')).split('\n').filter((row) => row.startsWith('|'))
    const rowsWith = (text: string): string[] => rows.filter((row) => row.includes(text))
    const place = (line: number): RegExp => new RegExp(String.raw`\| line ${line}, block 0 of .*session\\?\.ndjson \|$`)
    expect(rowsWith('| lowest |')[0]).to.match(place(2))
    expect(rowsWith('| highest |')[0]).to.match(place(4))
    expect(rowsWith('| largest |')[0]).to.match(place(2))
    // The reader's own sentences say which line it was; a fault of a frame says where the frame stands.
    const faults = rows.filter((row) => /UNREADABLE/.test(row) && !/\| \d+ \|$/.test(row))
    expect(faults.find((row) => row.includes('FRAME_UNREADABLE'))).to.match(place(5))
    expect(faults.find((row) => row.includes('RECORD_UNREADABLE'))).to.match(/^\| – \|.* Line 6 .*\| – \|$/)
    expect(await readFile(file('r.html'), 'utf8')).to.contain('where it stands')
  })

  it('draws only the instruments that are asked for', async () => {
    const args = ['report', recorded('binance.ws1'), '--out', file('r.html'), '--instrument', 'NKN-USDT', '--json']
    const ran = await millrace([...args, '--instrument', 'BLZETH'])
    expect(ran.status, ran.err).to.equal(0)
    const names = (JSON.parse(ran.out) as Summary).instruments.map(({ name }) => name)
    expect(names.sort()).to.deep.equal(['BLZ-ETH', 'NKN-USDT'])
  })

  it('says what is wrong with a recording, in its page and by its status', async () => {
    const lines = gunzipSync(await readFile(recorded('binance.ws1')))
      .toString('utf8')
      .split('\n')
    const broken = lines.map((line, at) => (at === 60 ? '{"half' : line)).join('\n')
    await copyFile(sharedPath('fixtures/recorded/binance.rest.ndjson.gz'), file('binance.rest.ndjson.gz'))
    await writeFile(file('binance.ws1.ndjson.gz'), gzipSync(broken))
    const ran = await millrace(['report', file('binance.ws1.ndjson.gz'), '--out', file('r.html'), '--json'])
    expect(ran.status, ran.err).to.equal(1)
    expect((JSON.parse(ran.out) as Summary).audit.unreadable).to.equal(1)
    expect(await readFile(file('r.html'), 'utf8'))
      .to.contain('Not clean')
      .and.to.contain('RECORD_UNREADABLE')
  })

  it('takes the place of no recording, also not by another name', async () => {
    const recording = file('session.ndjson.gz')
    await copyFile(recorded('kraken.v2-btcusd-20260824'), recording)
    await symlink(recording, file('alias.html'))
    const before = await readFile(recording)
    for (const out of [recording, file('alias.html')]) {
      const ran = await millrace(['report', recording, '--out', out])
      expect(ran.status).to.equal(2)
      expect(ran.err).to.contain('name another file for the report')
    }
    expect(await readFile(recording)).to.deep.equal(before)
  })

  it('refuses wrong usage with a sentence', async () => {
    const none = await millrace(['report'])
    expect(none.status).to.equal(2)
    expect(none.err).to.contain('Name at least one recording.')
    const same = await millrace(['report', recorded('binance.ws1'), '--out', file('a'), '--markdown', file('a')])
    expect(same.status).to.equal(2)
    const absent = await millrace(['report', file('absent.ndjson'), '--out', file('r.html')])
    expect(absent.status).to.equal(2)
    expect(absent.err).to.match(/absent\.ndjson.*\.\n/)
  })
})

const T = 1_700_000_000_000_000

/** A trade of Kraken, received so many seconds after `T`, and dearer the later it is. */
function tradeLine(second: number): object {
  const timeUs = T + second * 1e6
  const timestamp = new Date(timeUs / 1_000).toISOString()
  const trade = { symbol: 'BTC/USD', side: 'buy', price: 100 + second, qty: 1, ord_type: 'limit', trade_id: second }
  const raw = JSON.stringify({ channel: 'trade', type: 'update', data: [{ ...trade, timestamp }] })
  return { t: String(timeUs * 1_000), dir: 'in', raw }
}

function recorded(name: string): string {
  return sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
