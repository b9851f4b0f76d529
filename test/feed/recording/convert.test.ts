/**
 * Converting what is broken, hostile or in the way: each case a sentence, everything whole kept, nothing half written.
 */
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { link, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { liveClock } from '../../../src/clock/liveClock'
import {
  convertRecordings,
  isWhole,
  type ConvertOptions,
  type ConvertReport,
} from '../../../src/feed/recording/convert'
import { FORMAT_NAMES, formatNamed, formatOf } from '../../../src/feed/recording/foreign/foreignFormats'
import { outputPlace } from '../../../src/feed/recording/outputPlace'
import { readHeader } from '../../../src/feed/recording/recordingReader'
import type { Fault } from '../../../src/model/fault'
import { eventually } from '../../kit/eventually'
import { frame, read, recordingOf, rejectionOf, temporaryFolder, textsOf } from './recordings'

interface Converted {
  readonly report: ConvertReport
  readonly faults: readonly string[]
}

async function convert(options: Partial<ConvertOptions> & Pick<ConvertOptions, 'files' | 'out'>): Promise<Converted> {
  const faults: string[] = []
  const report = await convertRecordings({
    clock: liveClock,
    onFault: ({ code, message }) => faults.push(`${code} ${message}`),
    ...options,
  })
  return { report, faults }
}

const T = 1_723_161_254_024_619_000

/** Lines of hftbacktest's collector. */
function lines(count: number, at = (i: number): string => `{"data":{"s":"BTCUSDT","i":${i}}}`): string {
  return Array.from({ length: count }, (_, i) => `${BigInt(T) + BigInt(i) * 1_000n} ${at(i)}\n`).join('')
}

describe('convertRecordings', function () {
  this.timeout(120_000)
  const at = temporaryFolder()
  const left = async (): Promise<string[]> => (await readdir(path.dirname(at('x')))).sort()

  async function refusal(options: Partial<ConvertOptions> & Pick<ConvertOptions, 'files' | 'out'>): Promise<Fault> {
    return rejectionOf(convert({ exchange: 'binance', ...options }))
  }

  describe('reads what is whole of', () => {
    it('a file that was cut, and says where it ends', async () => {
      const packed = gzipSync(lines(5_000, (i) => `{"data":{"s":"BTCUSDT","r":"${Math.imul(i, 2_654_435_761)}"}}`))
      await writeFile(at('btcusdt_20240808.gz'), packed.subarray(0, packed.length >> 1))
      const { report, faults } = await convert({
        files: [at('btcusdt_20240808.gz')],
        out: at('x.ndjson'),
        exchange: 'binance',
      })
      expect(isWhole(report)).to.equal(false)
      expect(report.inputs[0]).to.include({ cut: true, unreadable: 0 })
      expect(report.records).to.be.above(1_000)
      expect(faults).to.have.length(1)
      expect(faults[0]).to.match(
        /^RECORDING_CUT The file .* ends in the middle after line \d+: everything before that was read\.$/,
      )
      const { records } = await read(at('x.ndjson'))
      expect(records).to.have.length(report.records)
    })

    it('a file with a damaged member, whose place a gap takes', async () => {
      const members = [lines(10), lines(20), lines(30)].map((text) => gzipSync(text))
      members[1]![20]! ^= 0xff
      await writeFile(at('a.gz'), Buffer.concat(members))
      const { report, faults } = await convert({ files: [at('a.gz')], out: at('x.ndjson'), exchange: 'binance' })
      expect(isWhole(report)).to.equal(false)
      expect(faults[0]).to.include('is damaged from byte')
      const { records } = await read(at('x.ndjson'))
      const kinds = records.map(({ dir }) => dir)
      expect(kinds.filter((dir) => dir === 'in')).to.have.length(40)
      expect(kinds.indexOf('gap')).to.equal(10)
    })

    it('files that were spliced: lines that are no line of theirs are told with their numbers', async () => {
      const text = `${lines(2)}{"format":"millrace-recording/1","venue":"kraken"}\n\x00\x01\xff\n${lines(1)}`
      await writeFile(at('a'), Buffer.from(text, 'latin1'))
      const { report, faults } = await convert({ files: [at('a')], out: at('x.ndjson'), exchange: 'binance' })
      expect(report.inputs[0]).to.include({ lines: 5, records: 3, unreadable: 2 })
      expect(faults.map((fault) => /Line (\d+)/.exec(fault)![1])).to.deep.equal(['3', '4'])
      expect((await read(at('x.ndjson'))).records.map(({ dir }) => dir)).to.deep.equal(['in', 'in', 'gap', 'gap', 'in'])
    })

    it('a file with a line of 100 MB, which is skipped without holding it', async () => {
      const handle = at('a')
      await writeFile(handle, lines(1))
      for (let i = 0; i < 100; i += 1) await writeFile(handle, Buffer.alloc(1_000_000, 0x61), { flag: 'a' })
      await writeFile(handle, `\n${lines(1)}`, { flag: 'a' })
      const { report, faults } = await convert({ files: [handle], out: at('x.ndjson'), exchange: 'binance' })
      expect(report.inputs[0]).to.include({ records: 2, unreadable: 1 })
      expect(faults[0]).to.include('is longer than 67108864 bytes')
    })

    it('frames nested 100,000 deep, and frames that are no JSON, as they are', async () => {
      const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
      await writeFile(
        at('a'),
        lines(3, (i) => (i === 0 ? '{}' : i === 1 ? deep : '{"')),
      )
      await convert({ files: [at('a')], out: at('x.ndjson'), exchange: 'binance' })
      expect(textsOf((await read(at('x.ndjson'))).records)).to.deep.equal(['{}', deep, '{"'])
      const { report } = await convert({ files: [at('x.ndjson')], out: at('raw'), to: 'tardis-raw' })
      expect(report.records).to.equal(3)
      const none = await refusal({ files: [at('x.ndjson')], out: at('hft'), to: 'hftbacktest' })
      expect(none.message).to.include('3 frames of no instrument')
    })
  })

  describe('refuses, with nothing written,', () => {
    it('files of no known format, empty ones, and ones that are not there', async () => {
      await writeFile(at('unknown'), 'What is this?\n')
      await writeFile(at('empty'), '')
      await writeFile(at('capture.pcap'), Buffer.from('d4c3b2a1020004000000', 'hex'))
      await writeFile(at('blank.gz'), gzipSync('\n\n'))
      const said = async (name: string): Promise<string> =>
        (await refusal({ files: [at(name)], out: at('x.ndjson') })).message
      expect(await said('unknown')).to.include('begins as no recording that is known: millrace, hftbacktest')
      expect(await said('empty')).to.include('no record to convert')
      expect(await said('blank.gz')).to.include('no record to convert')
      expect(await said('capture.pcap')).to.include('is a capture of network packets')
      expect(await said('absent')).to.include('does not exist')
      expect(await said('')).to.include('is not a file')
      expect(await left()).to.deep.equal(['blank.gz', 'capture.pcap', 'empty', 'unknown'])
    })

    it('recordings of its own beside those of others', async () => {
      await recordingOf(at('own.ndjson'), [frame(1)])
      await writeFile(at('other'), lines(1))
      const { message } = await refusal({ files: [at('own.ndjson'), at('other')], out: at('x.ndjson') })
      expect(message).to.include('convert the others first, and merge the recordings')
    })

    it('an exchange that a format has not, and a format that is not written', async () => {
      await recordingOf(at('own.ndjson'), [frame(1)])
      const said = async (to: ConvertOptions['to']): Promise<string> =>
        (await refusal({ files: [at('own.ndjson')], out: at('x'), to, exchange: undefined })).message
      expect(await said('hftbacktest')).to.include(
        'hftbacktest reads files of binance, binance-futures, bybit, and this is of kraken',
      )
      expect(await said('tardis-csv')).to.include('tardis-csv is read and not written')
      expect(() => formatNamed('tardis-cvs')).to.throw('Did you mean tardis-csv')
      expect(FORMAT_NAMES.map(formatNamed)).to.deep.equal(FORMAT_NAMES)
    })

    it('several exchanges or markets where nothing would tell them apart', async () => {
      const header = { format: 'millrace-recording/1', venue: 'several', venues: ['binance', 'binance-futures'] }
      await recordingOf(at('two.ndjson'), [{ ...frame(1), venue: 'binance' }], header)
      for (const to of ['hftbacktest', 'tardis-raw'] as const) {
        const { message } = await refusal({ files: [at('two.ndjson')], out: at('x'), to, exchange: undefined })
        expect(message).to.include('this is of binance, binance-futures; convert one at a time')
      }
      const book = { topic: 'orderbook.50.BTCUSDT', type: 'delta', ts: 1, data: { s: 'BTCUSDT', b: [], a: [], u: 1 } }
      const of = (t: number, c: number): object => ({ t: String(t), c, dir: 'in', raw: JSON.stringify(book) })
      const open = (c: number, market: string): object => ({
        t: '1',
        c,
        dir: 'open',
        url: `wss://stream.bybit.com/v5/public/${market}`,
      })
      const lines = [open(1, 'linear'), open(2, 'spot'), of(2, 1), of(3, 2), of(4, 1)]
      await recordingOf(at('bybit.ndjson'), lines, { format: 'millrace-recording/1', venue: 'bybit' })
      const { report } = await convert({ files: [at('bybit.ndjson')], out: at('hft'), to: 'hftbacktest' })
      expect(report.records).to.equal(2)
      expect(report.leftOut).to.include({ 'frames of a second market that spells the instrument alike': 1 })
    })

    it('symbols that would leave the folder', async () => {
      const name = '../../evil'
      const text = `{"stream":"x@trade","data":{"e":"trade","E":1,"s":${JSON.stringify(name)},"t":1,"p":"1","q":"1","T":1,"m":true}}`
      const good = text.replace(JSON.stringify(name), '"BTCUSDT"')
      await recordingOf(at('own.ndjson'), [frame(1_000, text), frame(2_000, good)], {
        format: 'millrace-recording/1',
        venue: 'binance',
      })
      const { report } = await convert({ files: [at('own.ndjson')], out: at('hft'), to: 'hftbacktest' })
      expect(report.leftOut).to.deep.equal({ 'frames of instruments whose name cannot be a file’s': 1 })
      expect(await readdir(at('hft'))).to.deep.equal(['btcusdt_19700101.gz'])
    })
  })

  describe('writes where it is told, and', () => {
    it('refuses names that no file system takes, folders, and what is there already', async () => {
      await writeFile(at('in'), lines(1))
      await writeFile(at('there.ndjson'), 'mine')
      await mkdir(at('folder'))
      const said = async (out: string): Promise<string> => {
        const fault = await refusal({ files: [at('in')], out })
        expect(fault.code).to.equal('OPTION_INVALID')
        return fault.message
      }
      expect(await said('')).to.include('has no name')
      expect(await said(at('a\0b'))).to.include('has a NUL in its name')
      expect(await said(at(`${'n'.repeat(300)}.ndjson`))).to.include('has a name of 307 bytes')
      expect(await said('/')).to.include('is the root')
      expect(await said(at('folder'))).to.include('is a folder')
      expect(await said(at('folder/..'))).to.include('is a folder')
      expect(await said(at('in/x.ndjson'))).to.include('cannot be created')
      expect(await said(at('there.ndjson'))).to.include('exists already')
      expect(await said(at('x.rest.ndjson'))).to.include('ends in .rest')
      expect(await readFile(at('there.ndjson'), 'utf8')).to.equal('mine')
      expect(await left()).to.deep.equal(['folder', 'in', 'there.ndjson'])
    })

    it('refuses to write over its input, by whatever name it goes', async () => {
      await writeFile(at('in'), lines(1))
      await link(at('in'), at('hard'))
      await symlink(at('in'), at('soft'))
      const before = await readFile(at('in'), 'utf8')
      for (const out of ['in', 'hard', 'soft', './../' + path.basename(path.dirname(at('x'))) + '/in']) {
        const { message } = await refusal({ files: [at('in')], out: at(out), replace: true })
        expect(message, out).to.include('one of the inputs')
      }
      expect(await readFile(at('in'), 'utf8')).to.equal(before)
    })

    it('refuses to write over the REST answers of what it reads, or of other sessions', async () => {
      await recordingOf(at('kraken.ws1.ndjson'), [frame(1)])
      const rest = { format: 'millrace-recording/1', venue: 'kraken', kind: 'rest', for_sessions: ['kraken.ws1'] }
      await recordingOf(at('kraken.rest.ndjson'), [], rest)
      const own = await refusal({ files: [at('kraken.ws1.ndjson')], out: at('kraken.ndjson'), replace: true })
      expect(own.message).to.include('has REST answers of other sessions')
      await writeFile(at('in'), lines(1))
      const other = await refusal({ files: [at('in')], out: at('kraken.ndjson'), replace: true })
      expect(other.message).to.include('has REST answers of other sessions')
    })

    it('replaces what is there when it is told to, REST answers and index with it', async () => {
      const answer = '{"lastUpdateId":1,"bids":[],"asks":[]}'
      await writeFile(
        at('with_x'),
        lines(2, (i) => (i === 0 ? '{"data":{"s":"BTCUSDT"}}' : answer)),
      )
      await writeFile(at('without_x'), lines(1))
      await convert({ files: [at('with_x')], out: at('o.ndjson.gz'), exchange: 'binance' })
      const all = [
        'o.ndjson.gz',
        'o.ndjson.gz.index',
        'o.rest.ndjson.gz',
        'o.rest.ndjson.gz.index',
        'with_x',
        'without_x',
      ]
      expect(await left()).to.deep.equal(all)
      expect((await refusal({ files: [at('without_x')], out: at('o.ndjson.gz') })).message).to.include('exists already')
      await convert({ files: [at('without_x')], out: at('o.ndjson.gz'), exchange: 'binance', replace: true })
      expect(await left()).to.deep.equal(['o.ndjson.gz', 'o.ndjson.gz.index', 'with_x', 'without_x'])
      expect((await read(at('o.ndjson.gz'))).records).to.have.length(1)
    })

    it('leaves nothing when it is stopped, or when it finds its input to be none on the way', async () => {
      await writeFile(at('in'), lines(100_000))
      const stop = new AbortController()
      const stopped = await rejectionOf(
        convert({
          files: [at('in')],
          out: at('x.ndjson'),
          exchange: 'binance',
          signal: stop.signal,
          onProgress: () => stop.abort(),
        }),
      )
      expect(stopped.name).to.equal('AbortError')
      const head = 'exchange,symbol,timestamp,local_timestamp,id,side,price,amount'
      const rows = Array.from({ length: 20_000 }, (_, i) => `bybit,BTCUSDT,${i},${i},${i},buy,1,1`)
      await writeFile(at('x_trades.csv'), [head, ...rows, 'bybit-spot,BTCUSDT,1,1,1,buy,1,1', ''].join('\n'))
      expect((await refusal({ files: [at('x_trades.csv')], out: at('x.ndjson') })).message).to.include(
        'two markets of bybit',
      )
      expect(await left()).to.deep.equal(['in', 'x_trades.csv'])
    })

    it('leaves nothing under the final name when it is killed', async function () {
      await writeFile(at('in.gz'), gzipSync(lines(100_000), { level: 1 }))
      const script = `
        require('ts-node').register({ transpileOnly: true })
        const { convertRecordings } = require('./src/feed/recording/convert')
        const { liveClock } = require('./src/clock/liveClock')
        void convertRecordings({ files: [process.argv[1]], out: process.argv[2], exchange: 'binance', clock: liveClock, onFault() {},
          onProgress() { process.stdout.write('.') } }).then(() => process.stdout.write('done'))`
      const child = spawn(process.execPath, ['-e', script, at('in.gz'), at('x.ndjson.gz')], {
        cwd: path.resolve(__dirname, '../../..'),
      })
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      const ended = new Promise((resolve) => child.on('close', resolve))
      await eventually(() => expect(said).to.include('.'), { everyMs: 5 })
      child.kill('SIGKILL')
      await ended
      if (said.includes('done')) this.skip() // the machine was quicker than the kill
      const names = await left()
      expect(names).to.include('in.gz').and.not.include('x.ndjson.gz')
      expect(names.filter((name) => name !== 'in.gz').every((name) => name.endsWith('.part'))).to.equal(true)
      // What was left lies in nobody's way.
      await convert({ files: [at('in.gz')], out: at('x.ndjson.gz'), exchange: 'binance' })
      expect((await stat(at('x.ndjson.gz'))).size).to.be.above(0)
    })
  })

  it('merges recordings by time, with connections of their own and what all of them say', async () => {
    const header = { format: 'millrace-recording/1', venue: 'kraken', subscribed: { trades: ['A'] } }
    await recordingOf(at('a.ndjson'), [frame(1_000, 'a1'), frame(3_000, 'a2')], { ...header, url: 'wss://a' })
    await recordingOf(at('b.ndjson'), [frame(1_000, 'b1'), frame(2_000, 'b2')], {
      ...header,
      venue: 'okx',
      subscribed: { trades: ['B'], book: ['A'] },
    })
    const { report } = await convert({ files: [at('a.ndjson'), at('b.ndjson')], out: at('m.ndjson') })
    expect(report).to.deep.include({ exchanges: ['kraken', 'okx'], records: 4, firstT: '1000', lastT: '3000' })
    const { records } = await read(at('m.ndjson'))
    expect(textsOf(records)).to.deep.equal(['a1', 'b1', 'b2', 'a2'])
    expect(records.map(({ connection, exchange }) => `${exchange} ${connection}`)).to.deep.equal([
      'kraken 0',
      'okx 1',
      'okx 1',
      'kraken 0',
    ])
    expect(await readHeader(at('m.ndjson'))).to.deep.include({
      venue: 'several',
      venues: ['kraken', 'okx'],
      source: 'merged from a.ndjson, b.ndjson',
      subscribed: { trades: ['A', 'B'], book: ['A'] },
      url: undefined,
    })
  })

  it('keeps the gaps of what it reads', async () => {
    const other = { t: '1500', dir: 'in', c: 1, raw: 'x' }
    await recordingOf(at('a.ndjson'), [frame(1_000), other, { t: '2000', dir: 'gap', lost: 7 }, frame(3_000)])
    await convert({ files: [at('a.ndjson')], out: at('m.ndjson') })
    const { records, counters } = await read(at('m.ndjson'))
    expect(records.map(({ dir, connection }) => [dir, connection])).to.deep.equal([
      ['in', 0],
      ['in', 1],
      ['gap', 0],
      ['gap', 1],
      ['in', 0],
    ])
    expect(counters.lost).to.equal(7)
  })

  it('tells the format of a file by how it begins, gzip or not', async () => {
    const begins: [string, string][] = [
      ['millrace', '{"format":"millrace-recording/1","venue":"kraken"}\n'],
      ['hftbacktest', lines(1)],
      ['cryptofeed', 'wss://ws.kraken.com <-> 1618678132.368463\n'],
      ['cryptofeed', '1618678132.831468: {}\n'],
      ['cryptofeed', 'https://api.kraken.com/0/public/AssetPairs -> 1618678132.83: {}\n'],
      ['tardis-raw', '\n2019-06-01T00:03:03.1238784Z {}\n'],
      ['tardis-raw', '{"localTimestamp":"2019-07-01T00:00:00.0540000Z","message":{}}\n'],
      ['tardis-csv', 'exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n'],
    ]
    for (const [format, text] of begins) {
      await writeFile(at('plain'), text)
      await writeFile(at('packed'), gzipSync(text))
      expect(await formatOf(at('plain')), text).to.equal(format)
      expect(await formatOf(at('packed')), text).to.equal(format)
    }
  })
})

describe('outputPlace', () => {
  const at = temporaryFolder()

  it('keeps the name of the output below its folder, however long it is', async () => {
    const name = `${'é'.repeat(120)}.ndjson.gz`
    const place = await outputPlace(at(name), { kind: 'file', inputs: [] })
    await writeFile(place.path, 'x')
    await place.commit()
    await place.abandon()
    expect(await readdir(path.dirname(at('x')))).to.deep.equal([name])
  })

  it('says where the output lies when it cannot be moved', async () => {
    const place = await outputPlace(at('x'), { kind: 'file', inputs: [] })
    await writeFile(place.path, 'x')
    await mkdir(at('x'))
    await writeFile(at('x/in-the-way'), '')
    const fault = await rejectionOf(place.commit())
    expect(fault.code).to.equal('SINK_REJECTED')
    expect(fault.message).to.include('is whole and could not be moved').and.include('.part')
    expect(await readFile(place.path, 'utf8')).to.equal('x')
  })
})
