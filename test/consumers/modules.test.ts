import { expect } from 'chai'
import { answerOf, needsInstallation, RUN_WITHIN_MS, type Installation } from './installation'
import { said } from './runProcess'

/** A pipeline of one's own: bars into memory, counts into a report. The same text behind both ways of importing. */
const PROGRAM = `
const kept = memory({ capacity: 10_000 })
const own = pipeline('own', ({ source, sink }) => {
  const market = feed({ exchanges: ['binance', 'kraken'], instruments: ['BTC-USDT'], channel: 'trades' })
  const trades = source('market', market, { capacity: 10_000, onFull: 'fail' }).through('trades', ofKind('trade'))
  sink(trades.through('bars', bars.time({ everyMs: 250 })), kept, { capacity: 1_000, onFull: 'fail' })
  sink(trades.through('count', map((batch) => ({ trades: batch.length }))), jsonReport('report.json', { everyMs: 250 }), {
    capacity: 1,
    onFull: 'keepLatest',
  })
})
const running = own.start({ out: OUT })
const looking = setInterval(() => {
  if (kept.values.length === 0) return
  clearInterval(looking)
  void running.stop()
}, 20)
running.done.then((summary) => {
  console.log(
    JSON.stringify({
      mode: summary.mode,
      problems: summary.problems,
      bars: kept.values.length,
      closes: kept.values.every((bar) => bar.close > 0),
      balanced: summary.edges.every(
        (edge) => edge.in === edge.out + Object.values(edge.dropped).reduce((a, b) => a + b, 0) + edge.inFlight,
      ),
    }),
  )
})
`

const IDENTITY = `
  feed({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'trades' }) instanceof Observable,
  operators.bars === bars
`

const NAMES = '{ feed, jsonReport, memory, ofKind, pipeline }'

describe('millrace in the two module systems', () => {
  let installed: Installation
  before(async function () {
    installed = await needsInstallation(this)
  })

  for (const { system, file, imports } of [
    {
      system: 'required by a CommonJS program',
      file: 'consumer.cjs',
      imports: `const ${NAMES} = require('millrace')
const operators = require('millrace')
const { bars } = require('millrace/operators')
const { Observable, map } = require('rxjs')
const OUT = 'out/commonjs'`,
    },
    {
      system: 'imported by an ES module',
      file: 'consumer.mjs',
      imports: `import ${NAMES} from 'millrace'
import * as operators from 'millrace'
import { bars } from 'millrace/operators'
import { Observable, map } from 'rxjs'
const OUT = 'out/esmodule'`,
    },
  ]) {
    it(`runs a pipeline on the simulator and ends by itself, ${system}`, async function () {
      this.timeout(RUN_WITHIN_MS)
      await installed.write(file, imports + PROGRAM)
      const result = await installed.node(file)

      expect(result.status, said(result)).to.equal(0)
      expect(result.leftAlive, 'something it started is still running').to.equal(false)
      const answer = answerOf(result)
      expect(answer).to.deep.include({ mode: 'simulate', problems: [], closes: true, balanced: true })
      expect(answer['bars']).to.be.above(0)
      const out = file.endsWith('.cjs') ? 'out/commonjs' : 'out/esmodule'
      expect(JSON.parse(await installed.read(`${out}/report.json`))).to.be.an('object')
    })

    it(`is one millrace on one rxjs, ${system}`, async function () {
      this.timeout(RUN_WITHIN_MS)
      await installed.write(`one-${file}`, imports + '\nconsole.log(JSON.stringify([' + IDENTITY + ']))')
      const result = await installed.node(`one-${file}`)
      expect(answerOf(result)).to.deep.equal([true, true])
    })
  }

  it('leaves the signals alone when it is loaded, and no timer or socket behind', async function () {
    this.timeout(RUN_WITHIN_MS)
    await installed.write(
      'loaded.cjs',
      `require('millrace')
       const signals = ['SIGINT', 'SIGTERM'].map((signal) => process.listenerCount(signal))
       console.log(JSON.stringify({ signals, resources: process.getActiveResourcesInfo() }))`,
    )
    const result = await installed.node('loaded.cjs')
    expect(result.status, said(result)).to.equal(0)
    const { signals, resources } = answerOf(result)
    expect(signals).to.deep.equal([0, 0])
    expect((resources as string[]).filter((each) => !/^(TTY|Pipe)Wrap$/.test(each))).to.deep.equal([])
  })

  it('refuses to be imported by its inner files, which may change', async function () {
    this.timeout(RUN_WITHIN_MS)
    await installed.write('deep.cjs', `require('millrace/dist/pipeline/run')`)
    const result = await installed.node('deep.cjs')
    expect(result.status).to.equal(1)
    expect(result.stderr).to.include('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })
})
