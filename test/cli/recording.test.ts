/**
 * `millrace recording`: what each of its commands says, prints and exits with.
 */
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { AuditReport } from '../../src/feed/audit'
import type { ConvertReport } from '../../src/feed/recording/convert'
import type { CutReport } from '../../src/feed/recording/cut'
import type { RecordingCheck, RecordingInfo } from '../../src/feed/recording/inspect'
import { needsShared, readGolden, sharedPath } from '../kit/shared'
import { millrace, millraceUntil, needsBuild, ROOT, temporaryFolder, type Ran } from './millrace'

const recorded = (name: string): string => sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)
const json = ({ out }: Ran): unknown => JSON.parse(out)

const TRADES = `exchange,symbol,timestamp,local_timestamp,id,side,price,amount
binance,BTCUSDT,1785542400000000,1785542400005000,1,buy,60000.10,0.5
binance,BTCUSDT,1785542401000000,1785542401005000,2,sell,60000.00,0.25
`

/** Calls millrace where no file may grow beyond so many blocks of 1 KiB. */
function limited(blocks: number, args: readonly string[]): Promise<Pick<Ran, 'status' | 'err'>> {
  return new Promise((resolve, reject) => {
    const command = `ulimit -f ${blocks * 2}; exec "$@"`
    const child = spawn('sh', ['-c', command, 'sh', process.execPath, path.join(ROOT, 'dist/cli/millrace.js'), ...args])
    let err = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, err }))
  })
}

async function largeRecording(file: string): Promise<string> {
  const lines = Array.from({ length: 5_000 }, (_, i) => ({
    t: String(i + 1),
    dir: 'in',
    raw: `a frame of ${i} `.repeat(5),
  }))
  const all = [{ format: 'millrace-recording/1', venue: 'kraken' }, ...lines]
  await writeFile(file, all.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return file
}

describe('millrace recording', function () {
  this.timeout(120_000)
  const at = temporaryFolder()

  before(function () {
    needsBuild(this)
  })

  it('explains itself and each of its commands with examples', async () => {
    const overview = await millrace(['recording', '--help'])
    expect(overview.status).to.equal(0)
    for (const command of ['info', 'verify', 'cut', 'merge', 'convert']) {
      expect(overview.out).to.include(`  ${command}`)
      const help = await millrace(['recording', command, '--help'])
      expect(help.status).to.equal(0)
      expect(help.out).to.include(`Usage: millrace recording ${command} FILE...`)
      expect(help.out).to.include(`\n  millrace recording ${command} `)
      expect(help.out).to.include('Exit status: 0')
    }
    expect((await millrace(['help', 'recording', 'cut'])).out).to.include('Usage: millrace recording cut')
    expect((await millrace(['recording'])).status).to.equal(2)
  })

  it('says what is wrong with how it was called', async () => {
    const said = async (...args: string[]): Promise<string> => {
      const { status, out, err } = await millrace(['recording', ...args])
      expect(status, args.join(' ')).to.equal(2)
      expect(out).to.equal('')
      return err
    }
    await writeFile(at('t_trades.csv'), TRADES)
    expect(await said('covert', 'x')).to.include('Did you mean convert')
    expect(await said('info')).to.include('Name at least one recording.')
    expect(await said('cut', 'x', '--out', 'y')).to.include('--from or --to')
    expect(await said('cut', 'x', '--from', 'yesterday', '--out', 'y')).to.include('--from is a time such as')
    expect(await said('cut', 'x', '--from', '1')).to.include('--out')
    expect(await said('merge', 'x')).to.include('--out')
    expect(await said('convert', 'x', '--out', 'y', '--to', 'parquet')).to.include('There is no format "parquet"')
    expect(await said('convert', 'x', '--out', 'y', '--form-format', 'z')).to.include('from-format')
    expect(await said('convert', at('absent'), '--out', at('y'))).to.include('does not exist')
    expect(await said('convert', at('t_trades.csv'), '--out', at('n'.repeat(300)))).to.include(
      'has a name of 300 bytes',
    )
    expect(await said('convert', at('t_trades.csv'), '--out', at('t_trades.csv'), '--force')).to.include(
      'one of the inputs',
    )
    expect(await said('verify', at('t_trades.csv'))).to.include('convert it first: millrace recording convert')
    expect(await readdir(path.dirname(at('x')))).to.deep.equal(['t_trades.csv'])
  })

  it('converts decoded data into a recording that audit, decode and a pipeline take as the exchange itself', async () => {
    await writeFile(at('t_trades.csv'), TRADES)
    const converted = await millrace(['recording', 'convert', at('t_trades.csv'), '--out', at('t.ndjson.gz'), '--json'])
    expect(converted.status).to.equal(0)
    expect(json(converted)).to.deep.include({
      format: 'millrace-recording-convert/1',
      exchanges: ['normalised:binance'],
      records: 2,
      firstT: '1785542400005000000',
    })
    const decoded = await millrace(['decode', at('t.ndjson.gz')])
    const events = decoded.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(events[0]).to.deep.equal({
      kind: 'trade',
      exchange: 'binance',
      symbol: 'BTCUSDT',
      exchangeTimeUs: 1785542400000000,
      receiveTimeUs: 1785542400005000,
      id: '1',
      side: 'buy',
      price: 60000.1,
      size: 0.5,
    })
    const audit = json(await millrace(['audit', at('t.ndjson.gz'), '--json'])) as AuditReport
    expect(audit.counts.trades).to.equal(2)
    const run = await millrace([
      'run',
      'pipelines/market-monitor.ts',
      '--replay',
      at('t.ndjson.gz'),
      '--out',
      at('out'),
      '--json',
    ])
    expect(run.status).to.equal(0)
    expect((json(run) as { edges: { in: number }[] }).edges[0]!.in).to.equal(2)
  })

  it('converts what can be read, says what cannot, and exits with 1', async () => {
    await writeFile(at('t_trades.csv'), `${TRADES}binance,BTCUSDT,x,y,3,buy,1,1\n`)
    const { status, err, out } = await millrace([
      'recording',
      'convert',
      at('t_trades.csv'),
      '--out',
      at('t.ndjson'),
      '--json',
    ])
    expect(status).to.equal(1)
    expect(err).to.include('Line 4 of the file').and.include('has a local_timestamp that is no time in microseconds')
    expect((JSON.parse(out) as ConvertReport).inputs[0]).to.include({ records: 2, unreadable: 1 })
  })

  it('exits with 1 and leaves nothing where the disk takes no more', async () => {
    const rows = Array.from({ length: 50_000 }, (_, i) => `binance,BTCUSDT,${i},${i + 1},${i * 7_919},buy,${i + 1}.5,1`)
    await writeFile(at('t_trades.csv'), `${TRADES}${rows.join('\n')}\n`)
    for (const to of ['millrace', 'tardis-raw']) {
      const input = to === 'millrace' ? at('t_trades.csv') : await largeRecording(at('k.ndjson'))
      // A limit to the size of files stands for a full disk: writing fails in the same way.
      const { status, err } = await limited(64, ['recording', 'convert', input, '--to', to, '--out', at('out.x')])
      expect(status, err).to.equal(1)
      expect(err).to.include('the file is as large as the file system allows')
      expect((await readdir(path.dirname(at('x')))).filter((name) => name.includes('out.x'))).to.deep.equal([])
    }
  })

  it('stops in order when it is interrupted, and leaves nothing', async () => {
    const lines = Array.from({ length: 400_000 }, (_, i) => `${1_723_161_254_024_619_000n + BigInt(i)} {"n":${i}}`)
    await writeFile(at('btcusdt_20240808'), `${lines.join('\n')}\n`)
    const args = ['recording', 'convert', at('btcusdt_20240808'), '--exchange', 'binance', '--out', at('x.ndjson.gz')]
    const names = (): string[] => readdirSync(path.dirname(at('x')))
    const { status, err } = await millraceUntil(args, () =>
      expect(names().some((name) => name.endsWith('.part'))).to.equal(true),
    )
    expect(err).to.include('Stopped before the end: nothing was written.')
    expect(status).to.equal(1)
    expect(names()).to.deep.equal(['btcusdt_20240808'])
  })

  describe('of real sessions', () => {
    before(function () {
      needsShared(this)
    })

    it('tells what they hold and that they are sound', async () => {
      const files = [recorded('binance.ws1'), recorded('okx.rest')]
      const ran = await millrace(['recording', 'info', ...files, '--json'])
      expect(ran.status).to.equal(0)
      const { format, files: infos } = json(ran) as { format: string; files: RecordingInfo[] }
      expect(format).to.equal('millrace-recording-info/1')
      expect(infos.map(({ kind, venue, firstT }) => [kind, venue, firstT])).to.deep.equal([
        ['session', 'binance', '1633998511159679000'],
        ['rest', 'okx', '1652459223338643600'],
      ])
      expect(infos[0]!.lines).to.include({ open: 1, in: 265 })
      expect(ran.err).to.include('2021-10-12T00:28:31.159679Z')
      const verified = await millrace(['recording', 'verify', ...files])
      expect(verified.status).to.equal(0)
      expect(verified.err).to.include('sound')
    })

    it('finds a flipped bit, and exits with 1', async () => {
      const bytes = await readFile(recorded('kraken.ws50.first60'))
      bytes[100_000]! ^= 1
      await writeFile(at('k.ndjson.gz'), bytes)
      const ran = await millrace(['recording', 'verify', at('k.ndjson.gz'), '--json'])
      expect(ran.status).to.equal(1)
      const { format, files } = json(ran) as { format: string; files: RecordingCheck[] }
      expect(format).to.equal('millrace-recording-verify/1')
      expect(files[0]).to.include({ sound: false })
      expect(files[0]!.defects[0]!.kind).to.equal('block')
      expect(ran.err).to.include('Block 0 of')
    })

    it('cuts a part out of one that audits clean, and says what it carried over', async () => {
      const ran = await millrace([
        'recording',
        'cut',
        recorded('binance.ws1'),
        '--from',
        '2021-10-12T00:28:40',
        '--to',
        '1633998535000000',
        '--out',
        at('part.ndjson.gz'),
        '--json',
      ])
      expect(ran.status).to.equal(0)
      const report = json(ran) as CutReport
      expect(report).to.include({
        format: 'millrace-recording-cut/1',
        fromUs: 1633998520000000,
        toUs: 1633998535000000,
      })
      expect(report.carried).to.include({ openings: 1, instruments: 1 })
      expect(report.missing).to.deep.equal([])
      expect(ran.err).to.include('Carried over from before: 1 openings')
      const audited = await millrace(['audit', at('part.ndjson.gz'), '--json'])
      expect(audited.status).to.equal(0)
      const none = await millrace([
        'recording',
        'cut',
        recorded('binance.ws1'),
        '--from',
        '2030-01-01',
        '--out',
        at('none'),
      ])
      expect(none.status).to.equal(2)
      expect(none.err).to.include('No record of binance.ws1.ndjson.gz is in the range from 2030-01-01T00:00:00.000000Z')
    })

    it('gives the golden counts after a way through the formats of others and a merge', async () => {
      const { totals } = readGolden('kraken')
      const ways = ['kraken.ws48', 'kraken.ws49', 'kraken.ws50.first60']
      for (const [index, name] of ways.entries()) {
        const there = await millrace([
          'recording',
          'convert',
          recorded(name),
          '--to',
          'cryptofeed',
          '--out',
          at(`c${index}`),
        ])
        expect(there.status).to.equal(0)
        const files = (await readdir(at(`c${index}`))).map((file) => path.join(at(`c${index}`), file))
        const back = await millrace(['recording', 'convert', ...files, '--out', at(`${index}.ndjson.gz`)])
        expect(back.status).to.equal(0)
      }
      const merged = await millrace([
        'recording',
        'merge',
        ...ways.map((_, index) => at(`${index}.ndjson.gz`)),
        '--out',
        at('all.ndjson.gz'),
      ])
      expect(merged.status).to.equal(0)
      const audit = json(await millrace(['audit', at('all.ndjson.gz'), '--json'])) as AuditReport
      expect(audit.counts).to.deep.equal({
        trades: totals.trades ?? 0,
        tradesHistory: totals.trades_history ?? 0,
        tickers: totals.tickers ?? 0,
        candles: totals.candles ?? 0,
        bookSnapshots: totals.book_snapshots ?? 0,
        bookDeltas: totals.book_updates ?? 0,
      })
      expect(audit.checksums.failed).to.equal(0)
    })

    it('writes files of hftbacktest, one for each instrument and day', async () => {
      await mkdir(at('in'))
      await copyFile(recorded('binance.ws1'), at('in/binance.ws1.ndjson.gz'))
      const ran = await millrace([
        'recording',
        'convert',
        at('in/binance.ws1.ndjson.gz'),
        '--to',
        'hftbacktest',
        '--out',
        at('hft'),
      ])
      expect(ran.status).to.equal(0)
      expect((await readdir(at('hft'))).sort()).to.deep.equal([
        'blzeth_20211012.gz',
        'lrcbtc_20211012.gz',
        'nknusdt_20211012.gz',
        'runeeur_20211012.gz',
      ])
      const [first] = gunzipSync(await readFile(at('hft/nknusdt_20211012.gz')))
        .toString()
        .split('\n')
      expect(first).to.match(/^1633998512063356900 \{"stream":"nknusdt@depth@100ms",/)
    })
  })
})
