/**
 * `millrace run`: a run and the replay of its recording leave the same bytes, and every way of stopping is orderly.
 */
import { expect } from 'chai'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { RunSummary } from '../../src/pipeline/runSummary'
import { eventually } from '../kit/eventually'
import {
  millrace,
  millraceUntil,
  needsBuild,
  ROOT,
  startMillrace,
  startSimulator,
  temporaryFolder,
  type Ran,
  type Running,
} from './millrace'
import { expectBalanced } from '../../src/testing/ledger'

const MONITOR = path.join(ROOT, 'pipelines/market-monitor.ts')

/** Stands for a pipeline file in the calls below. */
const PIPELINE = 'PIPELINE'

/** A pipeline in plain JavaScript starts without a compiler. */
const TRADES = `
const { pipeline, feed, jsonLines, ofKind } = require('millrace')
exports.default = pipeline('trades', ({ source, sink }) => {
  const market = source('market', feed(WISH), { capacity: 10_000, onFull: 'block' })
  sink(market.through('only-trades', ofKind('trade')), jsonLines('trades.jsonl'), { capacity: 10_000, onFull: 'block', name: 'trades' })
})`
/** Its sink never says that a batch is safe. */
const STUCK = `
const { pipeline, feed } = require('millrace')
const stuck = { name: 'stuck', counters: { written: 0, bytes: 0, failed: 0, retries: 0 }, open: async () => {}, write: () => new Promise(() => {}), close: async () => {} }
exports.default = pipeline('stuck', ({ source, sink }) => {
  const market = source('market', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'book' }), { capacity: 1_000, onFull: 'dropOldest' })
  sink(market, stuck, { capacity: 100, onFull: 'dropOldest', name: 'stuck' })
})`
/** It has nothing to wait for but the end of its time. */
const QUIET = `
const { pipeline, memory } = require('millrace')
const { NEVER } = require('rxjs')
exports.default = pipeline('quiet', ({ source, sink }) => {
  sink(source('nothing', NEVER, { capacity: 1, onFull: 'block' }), memory({ capacity: 1 }), { capacity: 1, onFull: 'block' })
})`
const WISH = { exchanges: ['binance', 'okx'], instruments: ['BTC-USDT'], channels: ['book', 'trades'] }

describe('millrace run', function () {
  const file = temporaryFolder()

  before(function () {
    needsBuild(this)
  })

  describe('gives the same digests for a run and for the replay of its recording', () => {
    for (const [how, options] of [
      ['when nothing goes wrong', []],
      ['through dropped connections, skipped deltas and wrong checksums', ['--faults', 'drop=2s,skip=1s,checksum=2s']],
    ] as const) {
      it(how, async () => {
        const recording = file('run.ndjson.gz')
        const [live, again] = [file('live'), file('again')]
        const common = ['--digest', '--json'] as const
        const args = ['run', MONITOR, '--simulate', ...options, '--record', recording, '--out', live, ...common]
        const ran = await millraceUntil(args, async (running) => {
          if (options.length === 0) expect(running.err()).to.match(/ books 16 live /)
          else expect(gapsOf(running)).to.be.greaterThan(3)
          for (const name of ['bars-1s.jsonl', 'quotes.csv']) {
            expect((await stat(path.join(live, name))).size, name).to.be.greaterThan(2_000)
          }
        })
        const replayed = await millrace(['run', MONITOR, '--replay', recording, '--out', again, ...common])
        const first = summaryOf(ran)
        const second = summaryOf(replayed)
        expect(first.mode).to.equal('simulate')
        expect(second.mode).to.equal('replay')

        const digests = digestsOf(first)
        expect(Object.keys(digests)).to.include.members(['report-json', 'bars-jsonl', 'quotes-csv'])
        expect(digestsOf(second)).to.deep.equal(digests)
        for (const name of ['bars-1s.jsonl', 'quotes.csv', 'liquidations.jsonl', 'market-monitor.json']) {
          const bytes = await readFile(path.join(live, name), 'utf8')
          expect(await readFile(path.join(again, name), 'utf8'), name).to.equal(bytes)
        }
        for (const name of ['bars-1s.jsonl', 'quotes.csv']) {
          expect((await readFile(path.join(live, name), 'utf8')).length, name).to.be.greaterThan(1_000)
        }
        expect([second.books.gaps, second.books.resyncs]).to.deep.equal([first.books.gaps, first.books.resyncs])
        if (options.length === 0) expect(first.books).to.deep.equal({ live: 16, gaps: 0, resyncs: 0 })
        else expect(first.books.gaps).to.be.greaterThan(3)
        for (const { edges } of [first, second]) expectBalanced(edges)
        if (options.length === 0) expect([ran.status, replayed.status], ran.err + replayed.err).to.deep.equal([0, 0])
      })
    }
  })

  it('prints a summary of the agreed shape, and nothing else, on standard output', async () => {
    const ran = await millraceUntil(['run', await trades(), '--out', file('out'), '--json'], (running) =>
      expect(running.err()).to.match(LISTENING),
    )
    const summary = summaryOf(ran)
    expect(ran.out.trimEnd().split('\n')).to.have.length(1)
    expect(summary).to.include({ format: 'millrace-run/1', pipeline: 'trades', mode: 'simulate' })
    const edge = summary.edges.find(({ from }) => from === 'market')!
    expect(edge).to.include({ from: 'market', to: 'only-trades' })
    expect(Object.keys(edge)).to.have.members([
      'from',
      'to',
      'kind',
      'capacity',
      'onFull',
      'in',
      'out',
      'dropped',
      'inFlight',
    ])
    expect(summary.sinks).to.have.length(1)
    expect(summary.sinks[0]).to.have.keys('name', 'written', 'bytes', 'failed')
    expect(summary.sinks[0]).to.include({ name: 'trades', failed: 0 })
    expect(summary.faults).to.deep.equal({})
    expect(summary.books).to.deep.equal({ live: 2, gaps: 0, resyncs: 0 })
    expect(summary.latencyUs.receiveToSink).to.have.keys('p50', 'p99', 'max')
    expect(summary.process).to.have.keys('cpuPercent', 'rssBytes', 'loopDelayMs')
    const lines = (await readFile(file('out/trades.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(lines).to.have.length(summary.sinks[0]!.written)
    expectBalanced(summary.edges)
    expect(ran.err, 'without a terminal a line a second').to.match(/^ +\d+ s .*events\/s .*books 2 live/m)
    expect(ran.err, 'no colours without a terminal').to.not.contain('\x1b')
    expect(ran.status, ran.err).to.equal(0)
  })

  it('stops by itself when its seconds are over', async () => {
    await writeFile(file('quiet.js'), QUIET)
    const ran = await millrace(['run', file('quiet.js'), '--seconds', '2', '--out', file('out'), '--json'])
    expect(summaryOf(ran).seconds).to.be.at.least(1.9)
    expect(ran.err).to.match(/^ +\d+ s .*events\/s/m)
    expect(ran.status, ran.err).to.equal(0)
  })

  it('drains and flushes when it is interrupted, and exits 0', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const running = startMillrace(['run', await trades(), '--out', file(signal), '--json'])
      await eventually(() => expect(running.err()).to.match(/[1-9]\d* events\/s/), { everyMs: 50 })
      running.child.kill(signal)
      const ran = await running.done
      expect(ran.err).to.not.contain('Not repaired') // as it would say of what it gave up at its deadline of five seconds
      expect(ran.err).to.contain('Stopping: draining and flushing.')
      const summary = summaryOf(ran)
      const lines = (await readFile(file(`${signal}/trades.jsonl`), 'utf8')).trimEnd().split('\n')
      expect(lines, 'what was counted is there').to.have.length(summary.sinks[0]!.written)
      for (const line of lines) JSON.parse(line)
      expectBalanced(summary.edges)
      expect(ran.status, ran.err).to.equal(0)
    }
  })

  it('stops at once when it is interrupted a second time', async () => {
    await writeFile(file('stuck.js'), STUCK)
    const running = startMillrace(['run', file('stuck.js'), '--out', file('out')])
    await eventually(() => expect(running.err()).to.match(/[1-9]\d* events\/s/), { everyMs: 50 })
    running.child.kill('SIGINT')
    await eventually(() => expect(running.err()).to.contain('Once more to stop at once'))
    running.child.kill('SIGINT')
    const { status, err } = await running.done
    expect(err).to.not.contain('Not repaired') // as it would say at its deadline of five seconds
    expect(err).to.contain('Stopped at once')
    expect(status).to.equal(130)
  })

  for (const [extension, begins] of [
    ['.mmd', /^flowchart LR\n {2}n0\(\["market<br\/>\d+\/10000 block/],
    ['.dot', /^digraph "trades" \{\n/],
    ['.json', /^\{\n {2}"format": "millrace-graph\/1",\n {2}"running": true,/],
  ] as const) {
    it(`draws the running pipeline into a ${extension} file, which is whole whenever it is looked at`, async () => {
      const picture = file(`pictures/run${extension}`)
      let during = ''
      const args = ['run', await trades(), '--graph', picture, '--out', file('out')]
      const { status, err } = await millraceUntil(args, async (running) => {
        during = await readFile(picture, 'utf8')
        expect(running.err()).to.match(LISTENING)
      })
      expect(during).to.match(begins)
      expect(status, err).to.equal(0)
      const after = await readFile(picture, 'utf8')
      expect(after).to.match(begins)
      expect(after.match(/\n\n/), 'one line end').to.equal(null)
      expect(await readdir(path.dirname(picture)), 'no rest of a replacement').to.deep.equal([path.basename(picture)])
      expect(after.length).to.be.at.least(during.length - 100)
    })
  }

  it('says once that a picture cannot be written, and goes on', async () => {
    await writeFile(file('folder'), 'in the way')
    const args = ['run', await trades(), '--graph', file('folder/run.mmd'), '--out', file('out')]
    // Of the pictures of two seconds more none is told of again.
    const { status, err } = await millraceUntil(args, (running) =>
      expect(running.err()).to.match(/cannot write[^]*(\n +\d+ s .* [1-9]\d* events\/s .*[^]*){3}/),
    )
    expect(err.match(/The sink graph cannot write/g), err).to.have.length(1)
    expect(status, err).to.equal(0)
  })

  it('gives up a sink that does not finish within the deadline, and exits 1', async () => {
    await writeFile(file('stuck.js'), STUCK)
    const ran = await millraceUntil(['run', file('stuck.js'), '--out', file('out'), '--json'], (running) =>
      expect(running.err()).to.match(/[1-9]\d* events\/s/),
    )
    const summary = summaryOf(ran)
    expect(summary.seconds, 'seconds with the deadline of five').to.be.at.least(5.5)
    expect(ran.err).to.match(/Not repaired: .*stuck/)
    expect(ran.status, ran.err).to.equal(1)
  })

  it('replays at the speed that is asked for', async () => {
    const recording = await recorded('long.ndjson')
    // Two hundred times as long: at its own pace it would take longer than a process here may.
    const spanS = (await stretched([recording, file('long.rest.ndjson')], 200)) / 1e9
    expect(spanS).to.be.greaterThan(60)
    const seconds: number[] = []
    for (const speed of ['max', '100x']) {
      const ran = await millrace([
        'run',
        await trades(),
        '--replay',
        recording,
        '--speed',
        speed,
        '--out',
        file(speed),
        '--json',
      ])
      expect(ran.status, ran.err).to.equal(0)
      seconds.push(summaryOf(ran).seconds)
    }
    expect(seconds[0]).to.be.lessThan(spanS)
    expect(seconds[1]).to.be.within(spanS / 100, spanS)
    const [fast, slow] = await Promise.all(
      ['max', '100x'].map((speed) => readFile(file(`${speed}/trades.jsonl`), 'utf8')),
    )
    expect(slow).to.equal(fast)
  })

  it('replays a recording with a broken line: the line is named and the rest is there', async () => {
    const recording = await recorded('whole.ndjson')
    const lines = (await readFile(recording, 'utf8')).split('\n')
    const at = lines.findLastIndex((line) => line.includes('"dir":"in"'))
    await writeFile(recording, lines.map((line, index) => (index === at ? line.slice(0, 50) : line)).join('\n'))
    const ran = await millrace(['run', await trades(), '--replay', recording, '--out', file('again'), '--json'])
    expect(ran.err).to.match(new RegExp(`RECORD_UNREADABLE: .*\\b${at + 1}\\b`))
    expect(summaryOf(ran).faults).to.deep.equal({ RECORD_UNREADABLE: 1 })
    expect(summaryOf(ran).sinks[0]!.written).to.be.greaterThan(0)
  })

  it('shows the exchange’s own reason when it refuses a subscription', async () => {
    // One simulator lists an instrument that the other, to which the connection goes, does not know.
    const lists = await startSimulator(['--exchanges', 'okx', '--instruments', 'BTC-USDT,SOL-USDT'])
    const refuses = await startSimulator(['--exchanges', 'okx', '--instruments', 'BTC-USDT'])
    const ran = await millrace([
      ...['record', '--exchange', 'okx', '--instruments', 'SOL-USDT', '--channels', 'book', '--out', file('x.ndjson')],
      ...['--url', refuses.address('okx').ws, '--rest-url', lists.address('okx').rest, '--seconds', '20'],
    ])
    for (const { running } of [lists, refuses]) {
      running.child.kill('SIGTERM')
      await running.done
    }
    expect(ran.err).to.match(/SUBSCRIBE_REFUSED: .*OKX.*SOL-USDT/)
    expect(ran.status, ran.err).to.equal(1)
  })

  describe('refuses with a sentence and exit 2', () => {
    for (const [what, wish, sentence] of [
      ['an unknown exchange', { exchanges: ['binanse'] }, 'There is no exchange "binanse". Did you mean binance'],
      ['an unknown channel', { channels: ['boook'] }, 'There is no channel "boook". Did you mean book?'],
      ['an unknown instrument', { instruments: ['BTC-USTD'] }, 'BTC-USTD'],
    ] as const) {
      it(what, async () => {
        const ran = await millrace(['run', await trades({ ...WISH, ...wish }), '--out', file('out')])
        expect(ran.err).to.contain(sentence)
        expect(ran.status).to.equal(2)
        expect(ran.out).to.equal('')
      })
    }

    for (const [args, sentence] of [
      [[], 'Name a pipeline file'],
      [['nowhere.ts'], 'There is no file nowhere.ts.'],
      [['package.json'], 'A pipeline is a .ts or .js file; package.json is neither.'],
      [[PIPELINE, '--recrod', 'x'], 'There is no option --recrod. Did you mean record?'],
      [[PIPELINE, '--live', '--simulate'], 'choose one of live, simulate'],
      [[PIPELINE, '--speed', '2x'], '--speed goes with --replay; this run is --simulate.'],
      [[PIPELINE, '--replay', 'a.ndjson', '--seed', '3'], '--seed goes with --simulate; this run is --replay.'],
      [[PIPELINE, '--replay', 'nowhere.ndjson'], 'The recording nowhere.ndjson does not exist'],
      [[PIPELINE, '--replay', 'nowhere.ndjson', '--speed', 'fast'], 'The speed "fast" is not one'],
      [[PIPELINE, '--seconds'], '--seconds needs a value'],
      [[PIPELINE, '--seconds', '-1'], '--seconds needs a value'],
      [[PIPELINE, '--seconds=-1'], '--seconds is a number from 0.001'],
      [[PIPELINE, '--faults', 'explode=1s'], 'there is no fault "explode"'],
      [[PIPELINE, '--graph', 'picture.png'], '--graph FILE ends in .mmd, .dot, .json; it is "picture.png".'],
      [[PIPELINE, PIPELINE], 'One pipeline is run at a time'],
    ] as const) {
      it(`\`${['run', ...args].join(' ')}\``, async () => {
        const pipeline = await trades()
        const ran = await millrace(['run', ...args.map((arg) => (arg === PIPELINE ? pipeline : arg))])
        expect(ran.err).to.contain(sentence)
        expect(ran.status, ran.err).to.equal(2)
        expect(ran.out).to.equal('')
      })
    }
  })

  /** A recording of both exchanges in which there are trades. */
  async function recorded(name: string): Promise<string> {
    const recording = file(name)
    await millraceUntil(['run', await trades(), '--record', recording, '--out', file('out')], async (running) => {
      expect(running.err()).to.match(LISTENING)
      expect((await readFile(file('out/trades.jsonl'), 'utf8')).split('\n').length).to.be.greaterThan(20)
    })
    return recording
  }

  async function trades(wish: object = WISH): Promise<string> {
    const written = file('trades.js')
    await writeFile(written, TRADES.replace('WISH', JSON.stringify(wish)))
    return written
  }
})

/** Both books of `trades` are live, and events come. */
const LISTENING = /[1-9]\d* events\/s +books 2 live/

function gapsOf(running: Running): number {
  return Number([...running.err().matchAll(/ gaps (\d+) /g)].at(-1)?.[1])
}

/** Moves the records of files apart, so that all takes so many times as long; returns the nanoseconds that it takes then. */
async function stretched(files: readonly string[], times: number): Promise<number> {
  const texts = await Promise.all(files.map((name) => readFile(name, 'utf8')))
  const ofLine = /"t":"(\d+)"/g
  const all = texts.flatMap((text) => [...text.matchAll(ofLine)].map((match) => BigInt(match[1]!)))
  const [first, last] = [all.reduce((a, b) => (a < b ? a : b)), all.reduce((a, b) => (a > b ? a : b))]
  const moved = (t: string): string => `"t":"${first + (BigInt(t) - first) * BigInt(times)}"`
  for (const [index, name] of files.entries()) {
    await writeFile(
      name,
      texts[index]!.replace(ofLine, (_, t: string) => moved(t)),
    )
  }
  return Number(last - first) * times
}

function summaryOf(ran: Ran): RunSummary {
  expect(ran.out, ran.err).to.not.equal('')
  return JSON.parse(ran.out) as RunSummary
}

/** Digests by sink; a sink whose output depends on the machine has none. */
function digestsOf(summary: RunSummary): Record<string, string> {
  const digests = summary.sinks.flatMap(({ name, digest }) => (digest === undefined ? [] : [[name, digest] as const]))
  for (const [name, digest] of digests) expect(digest, name).to.match(/^sha256:[0-9a-f]{64}$/)
  return Object.fromEntries(digests)
}
