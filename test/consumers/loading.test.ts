import { expect } from 'chai'
import path from 'node:path'
import { needsBuild, ROOT } from '../cli/millrace'
import { runProcess, said } from './runProcess'

const WITHIN_MS = 180_000
/** What an import brings: classes, constants, and what is called for each event. The rest comes with its first call. */
const AT_ONCE = [
  'actors/ledger',
  'actors/taskGroup',
  'book/bookMath',
  'book/bookView',
  'book/logRecords',
  'clock/ambient',
  'clock/backoff',
  'clock/clock',
  'clock/currentClock',
  'clock/liveClock',
  'clock/onAbort',
  'clock/virtualClock',
  'kernel/layout',
  'main',
  'metrics/catalogue',
  'model/events',
  'model/fault',
  'model/later',
  'operators/main',
  'operators/options',
  'operators/sharedRetryBudget',
  'sinks/encode',
  'sinks/eventFields',
  'sinks/wires/httpSignature',
  'workers/bookDepth',
  'workers/transferred',
]
/** A market, a stage and a sink: what every script has. */
const DESCRIBE = `
  const edge = { capacity: 1_000, onFull: 'block' }
  millrace.pipeline('described', ({ source, sink }) => {
    const market = source('market', millrace.feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['trades'] }), edge)
    const trades = market.through('trades', millrace.ofKind('trade'), edge)
    sink(trades, millrace.jsonLines('trades.jsonl'), edge)
  }).graph()
`

describe('Importing millrace', function () {
  this.timeout(WITHIN_MS)

  before(function () {
    needsBuild(this)
  })

  /** Packages, and modules of ours without their ending, that a process has loaded when it has run some lines. */
  async function loadedBy(lines: string): Promise<{ packages: string[]; own: string[] }> {
    const script = `
      const millrace = require(${JSON.stringify(ROOT)})
      ${lines}
      console.log(JSON.stringify(Object.keys(require.cache)))
    `
    const ran = await runProcess(process.execPath, ['-e', script], { cwd: ROOT, withinMs: WITHIN_MS })
    expect(ran.status, said(ran)).to.equal(0)
    const files = (JSON.parse(ran.stdout) as string[]).map((file) => file.split(path.sep).join('/'))
    const packages = files.flatMap((file) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? [])
    const own = files.filter((file) => !file.includes('/node_modules/'))
    return {
      packages: [...new Set(packages)],
      own: own.flatMap((file) => /\/dist\/(.*)\.js$/.exec(file)?.[1] ?? []).sort(),
    }
  }

  it('loads no package, and of its own what is there for every script', async () => {
    expect(await loadedBy('')).to.deep.equal({ packages: [], own: AT_ONCE })
  })

  it('loads RxJS and what a pipeline names when it is described, and leaves what is optional or for later to later', async () => {
    const { packages, own } = await loadedBy(DESCRIBE)
    expect(packages).to.deep.equal(['rxjs'])
    expect(own.filter((file) => /^(cli|dashboard|page|testing)\//.test(file))).to.deep.equal([])
    expect(own.filter((file) => file.startsWith('simulator/'))).to.deep.equal(['simulator/startSimulator'])
    expect(own.filter((file) => file.startsWith('workers/'))).to.deep.equal([
      'workers/bookDepth',
      'workers/transferred',
    ])
    // No implementation of a sink that the pipeline has not.
    expect(own.filter((file) => /^sinks\/(parquet|arrow|tables|report)\//.test(file))).to.deep.equal([])
    expect(own.filter((file) => file.startsWith('sinks/wires/'))).to.deep.equal(['sinks/wires/httpSignature'])
    const others = ['parquet', 'arrow', 'duckdb', 'postgres', 'questdb', 'http', 'websocketServer', 'htmlReport', 'csv']
    expect(others.filter((name) => own.includes(`sinks/${name}`))).to.deep.equal([])
    // Nor what runs a pipeline, reads a market, keeps a book, or looks at the process.
    const later = [
      'pipeline/run',
      'pipeline/stageTrial',
      'pipeline/diagnosis/examine',
      'feed/liveFeed',
      'feed/sessions',
      'feed/recording/recordingWriter',
      'metrics/processSampler',
      'book/level2Book',
      'kernel/kernel',
    ]
    expect(later.filter((file) => own.includes(file))).to.deep.equal([])
  })
})
