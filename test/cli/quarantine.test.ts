/**
 * `millrace quarantine`: what a stage failed on in a run is listed, tried again by command, and passes once it is mended.
 */
import { expect } from 'chai'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { millrace, millraceUntil, needsBuild, type Ran } from './millrace'

/** A pipeline in plain JavaScript starts without a compiler. `BAD` names the trades that it cannot take. */
const CHECKS = `
const { pipeline, feed, jsonLines } = require('millrace')
const { map } = require('rxjs')
exports.default = pipeline('trade-checks', ({ source, sink }) => {
  const market = source('market', feed({ exchanges: ['binance'], instruments: ['BTC-USDT'], channel: 'trades' }), { capacity: 100, onFull: 'block' })
  const checked = market.through('check', map((batch) => {
    const trades = [...batch].filter(({ kind }) => kind === 'trade')
    for (const { id } of trades) if (BAD.includes(id)) throw new Error('no trade has the id ' + id)
    return trades
  }))
  sink(checked, jsonLines('trades.jsonl'), { capacity: 100, onFull: 'block', name: 'trades' })
})`

/** Fails on books and on trades, now and then; `MENDED` says when no longer. */
const SOMETIMES = `
const { pipeline, feed, jsonLines, ofKind, toBooks } = require('millrace')
const { map } = require('rxjs')
exports.default = pipeline('sometimes', ({ source, sink, group }) => {
  let seen = 0
  const sometimes = () => map((batch) => {
    if (!MENDED && ++seen % 50 === 0) throw new Error('not today')
    return [...batch].map(({ symbol }) => symbol)
  })
  const wish = { exchanges: ['binance', 'okx'], instruments: ['BTC-USDT'], channels: ['book', 'trades'] }
  const market = source('market', feed(wish), { capacity: 10_000, onFull: 'block' })
  const restart = { onFailure: { restart: { atMost: 100, withinMs: 60_000, backoffMs: [1, 10] } } }
  const views = group('checks', {}, () => market.through('books', toBooks()).through('views', sometimes(), restart))
  const trades = group('prices', {}, () => market.through('only-trades', ofKind('trade')).through('trades', sometimes(), restart))
  for (const [name, stream] of Object.entries({ views, trades })) {
    sink(stream, jsonLines(name + '.jsonl'), { capacity: 10_000, onFull: 'block', name: name + '-lines' })
  }
})`

const AT_US = 1_760_000_000_000_000
const FIRST = 'a trade of BTCUSDT on binance (id 12), received 2025-10-09T08:53:20.000002Z'
const SECOND = 'a trade of BTCUSDT on binance (id 14), received 2025-10-09T08:53:20.000004Z'

describe('millrace quarantine', function () {
  let folder = ''
  let kept = ''
  let run: Ran

  before(async function () {
    needsBuild(this)
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-quarantine-'))
    await pipelineWith('12', '14')
    const lines = [
      { format: 'millrace-recording/1', venue: 'binance' },
      { t: `${AT_US}000`, dir: 'open', url: 'wss://stream.binance.com:9443/ws' },
      ...[11, 12, 13, 14, 15].map((id, index) => ({ t: `${AT_US + index + 1}000`, dir: 'in', raw: frame(id) })),
    ]
    await writeFile(file('run.ndjson'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    run = await millrace(['run', file('checks.js'), '--replay', file('run.ndjson'), '--out', file('out'), '--json'])
    kept = file('out/quarantine/trade-checks.jsonl')
  })

  beforeEach(() => pipelineWith('12', '14'))

  after(() => rm(folder, { recursive: true, force: true }))

  it('is told of by the run that keeps the messages, with the command that tries them again', async () => {
    expect(run.err).to.contain('Quarantine: 2 messages that stages failed on are kept. When the cause is mended')
    expect(run.err).to.contain(`  millrace quarantine ${kept} --pipeline ${file('checks.js')}\n`)
    expect(run.err).to.match(/^trade-checks\/check +ended +2 +2 +The stage trade-checks\/check failed on a trade of/m)
    expect(run.err).to.match(/^market → check +inline +none +6 +3 +3 +0$/m) // and one while it waited to be restarted
    const summary = JSON.parse(run.out) as { quarantine: unknown; stages: Record<string, unknown>[] }
    expect(summary.quarantine).to.deep.equal({ kept: 2, unkept: 0, file: kept })
    expect(summary.stages).to.have.length(1)
    expect(summary.stages[0]).to.include({ path: 'trade-checks/check', failures: 2, restarts: 2 })
    expect(run.status).to.equal(1)
    const frames = (await lines()).map(({ frames: [only] }) => only!.text)
    expect(frames, 'the bytes that were recorded').to.deep.equal([frame(12), frame(14)])
  })

  it('lists what is there', async () => {
    const ran = await millrace(['quarantine', kept])
    const [first, second] = await lines()
    expect(ran.err.split('\n').map((line) => line.trimEnd())).to.deep.equal([
      `line  time                      stage               input${' '.repeat(70)}  frames  fault`,
      ran.err.split('\n')[1],
      `   1  ${first!.at}  trade-checks/check  ${FIRST}       1  The stage trade-checks/check failed on ${FIRST}: no trade has the id 12`,
      `   2  ${second!.at}  trade-checks/check  ${SECOND}       1  The stage trade-checks/check failed on ${SECOND}: no trade has the id 14`,
      '',
      `2 messages in ${kept}. Name the pipeline with --pipeline to try them again.`,
      '',
    ])
    expect([ran.out, ran.status]).to.deep.equal(['', 0])
  })

  it('tries them again: what fails still, what passes once it is mended', async () => {
    const same = await tried()
    expect(same.err).to.equal(
      [
        `   1  fails still  The stage trade-checks/check failed on ${FIRST}: no trade has the id 12`,
        `   2  fails still  The stage trade-checks/check failed on ${SECOND}: no trade has the id 14`,
        '',
        '2 messages: 0 pass now, 2 fail still.',
        '',
      ].join('\n'),
    )
    expect([same.out, same.status]).to.deep.equal(['', 1])

    await pipelineWith('14')
    const half = await tried()
    expect(half.err).to.equal(
      [
        `   1  passes now   trade-checks/check on ${FIRST}: gave 1 value.`,
        `   2  fails still  The stage trade-checks/check failed on ${SECOND}: no trade has the id 14`,
        '',
        '2 messages: 1 pass now, 1 fail still.',
        '',
      ].join('\n'),
    )
    expect(half.status).to.equal(1)

    await pipelineWith()
    expect((await tried()).status).to.equal(0)
  })

  it('decodes the frames anew, and prints what the stage gives', async () => {
    await pipelineWith()
    const ran = await tried('--from-frame', '--values')
    expect(ran.err).to.contain(`passes now   trade-checks/check on the frame of ${FIRST}: gave 1 value.`)
    const values = ran.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(values.map(({ kind, id, price, receiveTimeUs }) => [kind, id, price, receiveTimeUs])).to.deep.equal([
      ['trade', '12', 12.5, AT_US + 2],
      ['trade', '14', 14.5, AT_US + 4],
    ])
    expect(ran.status).to.equal(0)
  })

  it('says the same as one JSON object', async () => {
    const listed = JSON.parse((await millrace(['quarantine', kept, '--json'])).out) as Report
    expect(listed).to.include({ format: 'millrace-quarantine-report/1', file: kept })
    expect(listed.messages.map(({ line, stage, frames }) => [line, stage, frames])).to.deep.equal([
      [1, 'trade-checks/check', 1],
      [2, 'trade-checks/check', 1],
    ])
    await pipelineWith('14')
    const ran = await tried('--json')
    const report = JSON.parse(ran.out) as Report
    expect(ran.err).to.equal('')
    expect(report).to.deep.include({ pipeline: 'trade-checks', counts: { passes: 1, fails: 1, untried: 0 } })
    expect(report.messages.map(({ trial }) => trial)).to.deep.equal([
      { outcome: 'passes', given: 'value', values: 1 },
      {
        ...{ outcome: 'fails', given: 'value', values: 0 },
        message: `The stage trade-checks/check failed on ${SECOND}: no trade has the id 14`,
      },
    ])
  })

  it('tries messages of one stage only, and names the stages where there is none of the name', async () => {
    const ran = await tried('--stage', 'check')
    expect(ran.err).to.contain('2 messages: ')
    const none = await tried('--stage', 'chekc')
    expect(none.err).to.contain(`No message in ${kept} is of a stage chekc: there are trade-checks/check.`)
    expect(none.status).to.equal(2)
  })

  it('says so of a pipeline of another name, and of a stage that is not there', async () => {
    await writeFile(file('checks.js'), CHECKS.replaceAll('BAD', '[]').replace("'trade-checks'", "'renamed'"))
    const renamed = await tried()
    expect(renamed.err).to.contain('Kept from a pipeline trade-checks; this one is renamed.')
    expect(renamed.status).to.equal(0)
    await writeFile(file('checks.js'), CHECKS.replaceAll('BAD', '[]').replace("through('check'", "through('other'"))
    const gone = await tried()
    expect(gone.err).to.contain(
      '   1  not tried    The pipeline trade-checks has no stage trade-checks/check: there are other.',
    )
    expect(gone.err).to.contain('2 messages: 0 pass now, 0 fail still, 2 could not be tried.')
    expect(gone.status).to.equal(1)
  })

  it('names the lines that it cannot read, tries the others, and exits 1', async () => {
    await pipelineWith()
    const broken = file('broken.jsonl')
    await writeFile(broken, `${await readFile(kept, 'utf8')}{"format":"millrace-run/1"}\nnonsense`)
    const ran = await millrace(['quarantine', broken, '--pipeline', file('checks.js')])
    expect(ran.err).to.contain(`${broken}:3 is of the format "millrace-run/1".\n${broken}:4 is not JSON.\n`)
    expect(ran.err).to.contain('2 messages: 2 pass now, 0 fail still.')
    expect(ran.status).to.equal(1)
  })

  it('has the bytes of a live run as the recording has them, and books as they were', async () => {
    const recording = file('live.ndjson')
    await writeFile(file('sometimes.js'), SOMETIMES.replace('MENDED', 'false'))
    const out = file('live')
    const args = ['--record', recording, '--rate', '300', '--out', out, '--json']
    const ran = await millraceUntil(['run', file('sometimes.js'), ...args], async () => {
      const messages = await lines(path.join(out, 'quarantine/sometimes.jsonl'))
      expect(messages.length).to.be.greaterThan(3)
      expect(messages.map(({ input }) => input.kind)).to.include.members(['view', 'trade'])
    })
    const { quarantine, edges } = JSON.parse(ran.out) as {
      quarantine: { kept: number; file: string }
      edges: { in: number; out: number; inFlight: number; dropped: Record<string, number> }[]
    }
    expect(quarantine.kept, ran.err).to.be.greaterThan(3)
    for (const { in: received, out: passed, inFlight, dropped } of edges) {
      expect(received).to.equal(passed + inFlight + Object.values(dropped).reduce((sum, count) => sum + count, 0))
    }
    const raws = new Set<string>()
    for (const line of (await readFile(recording, 'utf8')).trimEnd().split('\n')) {
      const { t, raw, body } = JSON.parse(line) as { t?: string; raw?: string; body?: string }
      raws.add(`${t} ${raw ?? body}`)
    }
    const messages = await lines(quarantine.file)
    expect(messages).to.have.length(quarantine.kept)
    for (const { frames, input } of messages) {
      expect(frames, JSON.stringify(input)).to.have.length(1)
      const { timeUs, ns, text } = frames[0]!
      expect(raws.has(`${timeUs}${String(ns).padStart(3, '0')} ${text}`), text).to.equal(true)
    }
    expect(messages.map(({ input }) => input.kind)).to.include.members(['view', 'trade'])

    await writeFile(file('sometimes.js'), SOMETIMES.replace('MENDED', 'true'))
    const mended = await millrace([
      'quarantine',
      quarantine.file,
      '--pipeline',
      file('sometimes.js'),
      '--from-frame',
      '--json',
    ])
    const report = JSON.parse(mended.out) as Report & { counts: unknown }
    expect(report.counts).to.deep.equal({ passes: messages.length, fails: 0, untried: 0 })
    const given = new Set(report.messages.map(({ stage, trial }) => `${stage} ${(trial as { given: string }).given}`))
    expect([...given]).to.have.members(['sometimes/checks/views value', 'sometimes/prices/trades frame'])
    expect(mended.status).to.equal(0)
  })

  it('explains itself', async () => {
    const { out } = await millrace(['quarantine', '--help'])
    expect(out.split('\n')[0]).to.equal('Usage: millrace quarantine FILE [--pipeline FILE] [OPTIONS]')
    for (const option of [
      '--pipeline FILE',
      '--stage NAME',
      '--from-frame',
      '--values',
      '--within SECONDS',
      '--json',
    ]) {
      expect(out).to.match(new RegExp(`^  ${option} +[a-z]`, 'm'))
    }
    expect(out).to.contain('\n  millrace quarantine out/quarantine/trade-bars.jsonl --pipeline bars.ts\n')
    expect(out.trimEnd().split('\n').at(-1)).to.match(/^Exit status: 0 done, all pass; 1 .+; 2 wrong usage\.$/)
  })

  describe('refuses with a sentence and exit 2', () => {
    for (const [args, sentence] of [
      [[], 'Name a quarantine file, such as out/quarantine/market-monitor.jsonl.'],
      [['nowhere.jsonl'], 'There is no file nowhere.jsonl.'],
      [['package.json', 'README.md'], 'One file is looked at at a time; README.md is more.'],
      [['package.json', '--pipeline', 'nowhere.ts'], 'There is no file nowhere.ts.'],
      [['package.json', '--from-frame'], '--from-frame goes with --pipeline.'],
      [['package.json', '--values'], '--values goes with --pipeline.'],
      [['package.json', '--pipeline', 'a.ts', '--values', '--json'], 'choose one'],
      [['package.json', '--within', '0'], '--within is a number from 0.001'],
      [['package.json', '--stgae', 'x'], 'There is no option --stgae. Did you mean stage?'],
      [['src'], 'src cannot be read: '],
    ] as const) {
      it(`\`${['quarantine', ...args].join(' ')}\``, async () => {
        const ran = await millrace(['quarantine', ...args])
        expect(ran.err).to.contain(sentence)
        expect([ran.out, ran.status]).to.deep.equal(['', 2])
      })
    }
  })

  function file(name: string): string {
    return path.join(folder, name)
  }

  interface Report {
    readonly format: string
    readonly messages: readonly { line: number; stage: string; frames: number; trial?: unknown }[]
  }

  interface Kept {
    readonly at: string
    readonly input: { readonly kind?: string }
    readonly frames: readonly { readonly text: string; readonly timeUs: number; readonly ns: number }[]
  }

  async function lines(from = kept): Promise<Kept[]> {
    const text = await readFile(from, 'utf8')
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Kept)
  }

  function tried(...options: readonly string[]): Promise<Ran> {
    return millrace(['quarantine', kept, '--pipeline', file('checks.js'), ...options])
  }

  async function pipelineWith(...bad: readonly string[]): Promise<void> {
    await writeFile(file('checks.js'), CHECKS.replaceAll('BAD', JSON.stringify(bad)))
  }
})

function frame(id: number): string {
  return `{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":${id},"p":"${id}.5","q":"100","T":1672515782136,"m":true,"M":true}`
}
