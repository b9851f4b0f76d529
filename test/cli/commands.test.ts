/**
 * The smaller commands, and what all commands have in common: help, exit statuses, machine output on standard output alone.
 */
import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import { eventually } from '../kit/eventually'
import { millrace, needsBuild, ROOT, startMillrace } from './millrace'

const COMMANDS = [
  ...['run', 'record', 'audit', 'decode', 'simulate', 'graph'],
  ...['quarantine', 'seeds', 'bench', 'exchanges', 'init', 'doctor'],
]

describe('millrace', function () {
  before(function () {
    needsBuild(this)
  })

  it('lists its commands, and exits 2 when it is called without one', async () => {
    const asked = await millrace(['--help'])
    expect(asked.status).to.equal(0)
    for (const name of COMMANDS) expect(asked.out).to.match(new RegExp(`^  ${name} +\\S`, 'm'))
    const bare = await millrace([])
    expect(bare.out).to.equal(asked.out)
    expect(bare.status).to.equal(2)
  })

  for (const name of COMMANDS) {
    it(`explains ${name} with its usage, in two ways of asking`, async () => {
      const [asked, helped] = await Promise.all([millrace([name, '--help']), millrace(['help', name])])
      expect(asked.out).to.match(new RegExp(`^Usage: millrace ${name}\\b`))
      expect(helped.out).to.equal(asked.out)
      expect(Math.max(...asked.out.split('\n').map((line) => line.length)), 'characters a line').to.be.at.most(200)
      expect([asked.status, helped.status]).to.deep.equal([0, 0])
    })
  }

  it('names the nearest command for one that it does not know', async () => {
    for (const args of [['audti'], ['help', 'audti'], ['Audit']]) {
      const ran = await millrace(args)
      expect(ran.err).to.match(/There is no command "[Aa]ud\w+"\. Did you mean audit\?/)
      expect(ran.status).to.equal(2)
      expect(ran.out).to.equal('')
    }
    expect((await millrace(['constructor'])).err).to.contain('There is no command "constructor".')
  })

  it('says which version it is', async () => {
    const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect((await millrace(['--version'])).out).to.equal(`${version}\n`)
  })

  for (const name of ['exchanges', 'simulate', 'record']) {
    it(`refuses words that ${name} has no use for`, async () => {
      const ran = await millrace([name, 'something'])
      expect(ran.err).to.contain(`${name} takes options only; something is none.`)
      expect(ran.status).to.equal(2)
    })
  }

  describe('exchanges', () => {
    it('shows each exchange with its channels and how its book is verified', async () => {
      const { out, err, status } = await millrace(['exchanges'])
      for (const id of EXCHANGES.keys()) expect(out).to.match(new RegExp(`^${id} +yes +yes`, 'm'))
      expect(out).to.match(/^kraken .*CRC32 of the ten best levels/m)
      expect([err, status]).to.deep.equal(['', 0])
    })

    it('says the same as one JSON object', async () => {
      const { out } = await millrace(['exchanges', '--json'])
      const { format, exchanges } = JSON.parse(out) as { format: string; exchanges: Record<string, unknown>[] }
      expect(format).to.equal('millrace-exchanges/1')
      expect(exchanges.map(({ id }) => id)).to.deep.equal([...EXCHANGES.keys()])
      expect(exchanges.find(({ id }) => id === 'bybit')).to.deep.include({
        channels: ['trades', 'book', 'ticker', 'candles', 'derivative', 'liquidations'],
        markets: ['spot', 'linear'],
      })
      expect(exchanges.find(({ id }) => id === 'binance')).to.deep.nested.include({
        'book.sequencing': 'range',
        'book.snapshot': 'rest',
      })
    })
  })

  describe('graph', () => {
    const monitor = path.join(ROOT, 'pipelines/market-monitor.ts')

    it('draws a pipeline for Markdown, for Graphviz and as data, without running it', async () => {
      const [mermaid, dot, json] = await Promise.all(
        [[], ['--format', 'dot'], ['--format', 'json']].map((format) => millrace(['graph', monitor, ...format])),
      )
      for (const { status, err } of [mermaid!, dot!, json!]) expect(status, err).to.equal(0)
      expect(mermaid!.out).to.match(/^flowchart LR\n/)
      expect(dot!.out).to.match(/^digraph /)
      const graph = JSON.parse(json!.out) as {
        format: string
        nodes: { name: string; kind: string }[]
        edges: { from: string; to: string; kind: string; capacity: number; onFull: string }[]
      }
      expect(graph.format).to.equal('millrace-graph/1')
      for (const { name } of graph.nodes) {
        expect(mermaid!.out).to.contain(`"${name}"`)
        expect(dot!.out).to.contain(`"${name}"`)
      }
      expect(graph.edges).to.deep.include({
        from: 'quotes',
        to: 'quotes-csv',
        kind: 'mailbox',
        capacity: 50_000,
        onFull: 'block',
      })
      expect(graph.nodes.filter(({ kind }) => kind === 'sink').map(({ name }) => name)).to.have.members([
        'report-json',
        'report-html',
        'bars-jsonl',
        'quotes-csv',
        'liquidations-jsonl',
        'resources-jsonl',
      ])
    })

    for (const [args, sentence] of [
      [[], 'Name a pipeline file'],
      [['nowhere.ts'], 'There is no file nowhere.ts.'],
      [[monitor, '--format', 'png'], '--format is mermaid, dot or json; it is "png".'],
      [[monitor, monitor], 'One pipeline is drawn at a time'],
    ] as const) {
      it(`refuses \`${['graph', ...args].join(' ').replaceAll(monitor, 'PIPELINE')}\``, async () => {
        const ran = await millrace(['graph', ...args])
        expect(ran.err).to.contain(sentence)
        expect(ran.status).to.equal(2)
      })
    }
  })

  describe('simulate', () => {
    it('prints the addresses, serves them, and stops in order', async () => {
      const running = startMillrace(['simulate', '--exchanges', 'kraken,okx', '--seed', '4', '--json'])
      const printed = await eventually(
        () =>
          JSON.parse(running.out()) as {
            format: string
            seed: number
            exchanges: Record<string, { ws: string; rest: string; instruments: { name: string }[] }>
          },
      )
      expect(printed).to.include({ format: 'millrace-simulator/1', seed: 4 })
      expect(Object.keys(printed.exchanges)).to.deep.equal(['kraken', 'okx'])
      expect(printed.exchanges['okx']!.ws).to.match(/^ws:\/\/127\.0\.0\.1:\d+$/)
      const answer = await fetch(`${printed.exchanges['kraken']!.rest}/0/public/AssetPairs`)
      expect(answer.status).to.equal(200)
      running.child.kill('SIGINT')
      expect((await running.done).status).to.equal(0)
    })

    it('shows people a table, on standard error, and stops when its time is over', async () => {
      const { out, err, status } = await millrace(['simulate', '--exchanges', 'bybit', '--seconds', '0.2'])
      expect(out).to.equal('')
      expect(err).to.match(/^bybit +ws:\/\/127\.0\.0\.1:\d+ +http:\/\/127\.0\.0\.1:\d+ +BTC-USDT/m)
      expect(status).to.equal(0)
    })

    for (const [args, sentence] of [
      [['--exchanges', 'krakn'], 'there is no simulated exchange "krakn"'],
      [['--faults', 'explode=1s'], 'there is no fault "explode"'],
      [['--port', '70000'], '--port is a whole number from 0 to 65535; it is "70000".'],
      [['--rate', '1e9'], '--rate is a number from 1 to 50000; it is "1e9".'],
      [['--seed', 'x'], '--seed is a whole number'],
      [['--seconds', '0'], '--seconds is a number from 0.001'],
    ] as const) {
      it(`refuses \`${['simulate', ...args].join(' ')}\``, async () => {
        const ran = await millrace(['simulate', ...args])
        expect(ran.err).to.contain(sentence)
        expect(ran.status).to.equal(2)
        expect(ran.out).to.equal('')
      })
    }
  })

  describe('doctor', () => {
    it('finds what is installed here, without the network when told so', async () => {
      const ran = await millrace(['doctor', '--offline', '--json'])
      const { format, ok, findings } = JSON.parse(ran.out) as {
        format: string
        ok: boolean
        findings: { check: string; state: string; found: string; advice: string }[]
      }
      expect(format).to.equal('millrace-doctor/1')
      expect(ok).to.equal(true)
      expect(findings.map(({ check }) => check)).to.include.members(['node', 'typescript', 'ts-node', 'clock'])
      expect(findings.map(({ check }) => check)).to.not.include('binance')
      expect(findings.find(({ check }) => check === 'node')).to.include({ state: 'ok', found: process.version })
      for (const { state, advice } of findings) if (state !== 'ok') expect(advice).to.not.equal('')
      expect(ran.status).to.equal(0)
    })

    it('shows the same as a table', async () => {
      const { out, status } = await millrace(['doctor', '--offline'])
      expect(out).to.match(/^check +state +found +what to do\n/)
      expect(out).to.match(/^node +ok +v\d+/m)
      expect(status).to.equal(0)
    })
  })
})
