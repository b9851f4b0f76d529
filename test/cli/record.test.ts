/**
 * `millrace record` against `millrace simulate`, two processes: what is recorded audits clean, and a recorder that is killed
 * leaves a recording that can be read.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Audit, type AuditReport } from '../../src/feed/audit'
import { replayRecords } from '../../src/feed/recording/mergeRecordings'
import { eventually } from '../kit/eventually'
import { millrace, millraceUntil, needsBuild, startMillrace, startSimulator, temporaryFolder } from './millrace'

/** What each exchange trades on the simulator, and the channels that are recorded of it. */
const MARKETS: Readonly<Record<string, { readonly instruments: string; readonly channels: string }>> = {
  binance: { instruments: 'BTC-USDT,ETH-USDT', channels: 'book,trades' },
  'binance-futures': { instruments: 'BTC-USDT-PERP', channels: 'book,trades,derivative' },
  bybit: { instruments: 'BTC-USDT,BTC-USDT-PERP', channels: 'book,trades' },
  kraken: { instruments: 'BTC-USDT,ETH-USDT', channels: 'book,trades,ticker' },
  okx: { instruments: 'BTC-USDT,BTC-USDT-PERP', channels: 'book,trades' },
  coinbase: { instruments: 'BTC-USDT,ETH-USDT', channels: 'book,trades' },
}

describe('millrace record', function () {
  const file = temporaryFolder()

  let simulator: Awaited<ReturnType<typeof startSimulator>>

  before(async function () {
    needsBuild(this)
    simulator = await startSimulator(['--seed', '11', '--rate', '1000'])
  })

  after(async () => {
    simulator.running.child.kill('SIGTERM')
    expect((await simulator.running.done).status).to.equal(0)
  })

  it('records every exchange of the simulator so that the audit is clean', async () => {
    const names = Object.keys(MARKETS)
    const ran = await Promise.all(
      names.map((name) => millraceUntil([...recordArgs(name), '--json'], () => hasBooks(name))),
    )
    for (const [index, name] of names.entries()) {
      const { status, err, out } = ran[index]!
      expect(status, err).to.equal(0)
      const recorded = JSON.parse(out) as { format: string; frames: number; lines: number; complete: boolean }
      expect(recorded).to.include({ format: 'millrace-record/1', complete: true })

      const audit = await millrace(['audit', recordingOf(name), '--json'])
      const report = JSON.parse(audit.out) as AuditReport
      expect(audit.status, audit.err).to.equal(0)
      expect(report.exchange).to.equal(name)
      expect(report.frames, name).to.equal(recorded.frames)
      expect(report.counts.bookDeltas, name).to.be.greaterThan(10)
      expect({ unreadable: report.unreadable, crossed: report.crossed, inexact: report.inexactNumbers }).to.deep.equal({
        unreadable: 0,
        crossed: 0,
        inexact: 0,
      })
      expect(Object.keys(report.books), name).to.have.length(MARKETS[name]!.instruments.split(',').length)
      for (const book of Object.values(report.books)) expect(book.state).to.equal('live')
    }
  })

  it('leaves a recording that is read up to the last quarter of a second when it is killed', async () => {
    for (const name of ['binance', 'kraken']) {
      const running = startMillrace(recordArgs(name))
      const said = await eventually(
        () => {
          const count = /^([1-9]\d*) frames/m.exec(running.err())?.[1]
          expect(count).to.not.equal(undefined)
          return Number(count)
        },
        { everyMs: 50 },
      )
      // How soon the disk has it is told by a clock that stands still, in the test of the writer; here it comes by itself.
      const onDisk = await eventually(
        async () => {
          const { frames } = await hasBooks(name)
          expect(frames).to.be.at.least(Math.max(said, 101))
          return frames
        },
        { everyMs: 100 },
      )
      running.child.kill('SIGKILL')
      const { signal } = await running.done
      expect(signal).to.equal('SIGKILL')

      const audit = await millrace(['audit', recordingOf(name), '--json'])
      const report = JSON.parse(audit.out) as AuditReport
      expect(report.frames).to.be.at.least(onDisk)
      expect(report.counts.bookDeltas).to.be.greaterThan(10)
      expect(report.unreadable).to.equal(0)
      expect(audit.err).to.match(/RECORDING_CUT: .+\./)
      expect(audit.status, audit.err).to.equal(0)
    }
  })

  it('finishes the file when it is interrupted, and exits 0', async () => {
    const running = startMillrace(recordArgs('okx'))
    await eventually(() => expect(running.err()).to.match(/^[1-9]\d* frames/m), { everyMs: 50 })
    running.child.kill('SIGINT')
    const ran = await running.done
    expect(ran.status, ran.err).to.equal(0)
    expect(ran.err).to.match(/session\.okx\.ndjson\.gz: \d+ lines, .* REST answers in /)
    const audit = await millrace(['audit', recordingOf('okx')])
    expect(audit.err).to.contain('Clean').and.not.contain('RECORDING_CUT')
    expect(audit.status).to.equal(0)
  })

  it('stops while it still waits for the exchange, and leaves alone what stood at its path', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await writeFile(file('x.ndjson'), 'of yesterday')
    const running = startMillrace([
      ...['record', '--exchange', 'okx', '--instruments', 'BTC-USDT', '--channels', 'book', '--out', file('x.ndjson')],
      ...['--url', `ws://127.0.0.1:${port}`, '--rest-url', `http://127.0.0.1:${port}`],
    ])
    await eventually(() => expect(running.err()).to.match(/^0 frames/m), { everyMs: 50 })
    running.child.kill('SIGINT')
    const { status, err } = await running.done
    silent.close()
    expect(err).to.contain('nothing was recorded')
    expect(status).to.equal(1)
    expect(await readFile(file('x.ndjson'), 'utf8')).to.equal('of yesterday')
  })

  it('stops by itself when its seconds are over', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const startedMs = performance.now()
    const { status, err } = await millrace([
      ...['record', '--exchange', 'okx', '--instruments', 'BTC-USDT', '--channels', 'book', '--out', file('x.ndjson')],
      ...['--url', `ws://127.0.0.1:${port}`, '--rest-url', `http://127.0.0.1:${port}`, '--seconds', '1'],
    ])
    silent.close()
    expect(performance.now() - startedMs).to.be.at.least(1_000)
    expect(err).to.contain('nothing was recorded')
    expect(status).to.equal(1)
  })

  it('gives up on a server that cannot be reached, says why and exits 1', async () => {
    const ran = await millrace([
      ...[
        'record',
        '--exchange',
        'kraken',
        '--instruments',
        'BTC-USDT',
        '--channels',
        'book',
        '--out',
        file('x.ndjson'),
      ],
      ...['--url', 'ws://127.0.0.1:9', '--rest-url', 'http://127.0.0.1:9'],
    ])
    expect(ran.err).to.contain('ECONNREFUSED 127.0.0.1:9')
    expect(ran.err).to.contain('Check the network, or try again later.')
    expect(ran.status).to.equal(1)
  })

  for (const [args, sentence] of [
    [[], '--exchange is needed: one of binance, binance-futures, bybit, kraken, okx, coinbase.'],
    [['--exchange', 'krakn'], '--instruments is needed'],
    [all({ exchange: 'krakn' }), 'There is no exchange "krakn". Did you mean kraken?'],
    [all({ channels: 'bok' }), 'There is no channel "bok". Did you mean book?'],
    [[...all({}), '--url', 'http://127.0.0.1'], '--url is an address that starts with ws:// or wss://'],
    [[...all({}), '--rest-url', 'nonsense'], '--rest-url is an address that starts with http:// or https://'],
    [[...all({}), '--depth', 'deep'], '--depth is a whole number from 1 to 100000; it is "deep".'],
    [[...all({}), 'more'], 'record takes options only; more is none.'],
  ] as const) {
    it(`refuses \`${['record', ...args].join(' ')}\` with one sentence`, async () => {
      const ran = await millrace(['record', ...args])
      expect(ran.err).to.contain(sentence)
      expect(ran.status).to.equal(2)
      expect(ran.out).to.equal('')
    })
  }

  it('refuses an instrument that the exchange does not trade, with the nearest names, and leaves no recording', async () => {
    const { ws, rest } = simulator.address('kraken')
    const out = file('none.ndjson')
    const ran = await millrace([
      ...['record', '--exchange', 'kraken', '--instruments', 'BTC-USTD', '--channels', 'book', '--out', out],
      ...['--url', ws, '--rest-url', rest],
    ])
    expect(ran.err).to.match(/"?BTC-USTD"?.*BTC-USDT/)
    expect(ran.status).to.equal(2)
    expect(await stat(out).catch(() => undefined)).to.equal(undefined)
  })

  it('writes both directions, times that rise, and the REST answers beside', async () => {
    const { ws, rest } = simulator.address('binance')
    const out = file('plain.ndjson')
    const args = [
      ...['record', '--exchange', 'binance', '--instruments', 'BTC-USDT', '--channels', 'book', '--out', out],
      ...['--url', ws, '--rest-url', rest],
    ]
    const ran = await millraceUntil(args, () => onDisk(out, 1))
    expect(ran.status, ran.err).to.equal(0)
    const lines = linesOf(await readFile(out, 'utf8'))
    expect(lines[0]).to.include({ format: 'millrace-recording/1', venue: 'binance' })
    expect(new Set(lines.slice(1).map(({ dir }) => dir))).to.include.keys('open', 'out', 'in')
    const times = lines.slice(1).map(({ t }) => BigInt(String(t)))
    expect(times.every((t, index) => index === 0 || t > times[index - 1]!)).to.equal(true)
    const answers = linesOf(await readFile(file('plain.rest.ndjson'), 'utf8')).slice(1)
    expect(new Set(answers.map(({ role }) => role))).to.deep.equal(new Set(['instruments', 'book-snapshot']))
  })

  function recordArgs(exchange: string): string[] {
    const { ws, rest } = simulator.address(exchange)
    const { instruments, channels } = MARKETS[exchange]!
    return [
      ...['record', '--exchange', exchange, '--instruments', instruments, '--channels', channels],
      ...['--url', ws, '--rest-url', rest, '--out', recordingOf(exchange)],
    ]
  }

  /** What the disk holds by now, when that is a live book of each instrument, and changes of them. */
  function hasBooks(exchange: string): Promise<AuditReport> {
    return onDisk(recordingOf(exchange), MARKETS[exchange]!.instruments.split(',').length)
  }

  async function onDisk(recording: string, books: number): Promise<AuditReport> {
    const audit = new Audit(exchangeById)
    for await (const batch of replayRecords([recording], { onFault: () => undefined })) {
      for (const record of batch) audit.take(record)
    }
    const report = audit.report([recording])
    expect(report.counts.bookDeltas).to.be.greaterThan(10)
    expect(Object.values(report.books).map(({ state }) => state)).to.deep.equal(Array(books).fill('live'))
    return report
  }

  function recordingOf(exchange: string): string {
    return file(`session.${exchange}.ndjson.gz`)
  }
})

function all(options: { exchange?: string; channels?: string }): string[] {
  const { exchange = 'kraken', channels = 'book' } = options
  return ['--exchange', exchange, '--instruments', 'BTC-USD', '--channels', channels, '--out', '/nowhere/x.ndjson']
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
