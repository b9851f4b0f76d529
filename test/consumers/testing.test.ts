import { expect } from 'chai'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { answerOf, needsInstallation, RUN_WITHIN_MS, TSC, TSC_OF_NOTEBOOKS, type Installation } from './installation'
import { said } from './runProcess'

/** A test of one's own without any test runner. The same text behind both ways of importing. */
const PROGRAM = `
const trade = (ms, price) => ({
  kind: 'trade', exchange: 'kraken', symbol: 'BTC/USD', instrument: 'BTC-USD', exchangeTimeUs: undefined,
  receiveTimeUs: 1_760_000_000_000_000 + ms * 1_000, id: undefined, side: 'buy', price, size: 1, priceDecimals: 0,
  sizeDecimals: 0, history: false,
})
const own = pipeline('own', ({ source, sink }) => {
  const market = feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trades' })
  const trades = source('market', market, { capacity: 100, onFull: 'block' }).through('trades', ofKind('trade'))
  sink(trades.through('bars', bars.time({ everyMs: 1_000 })), jsonLines('never-written.jsonl'), {
    capacity: 100, onFull: 'block', name: 'out',
  })
})
const messageOf = (failing) => {
  try { failing() } catch (error) { return error.name + ': ' + error.message.split('\\n')[0] }
  return 'it held'
}
withoutLeaks(async () => {
  const { values, summary } = await testRun(own, { events: [trade(100, 1), trade(200, 3), trade(1_100, 2)] })
  expectBalanced(summary)
  for (const { run } of operatorSuite(() => map((value) => value + 1), { values: [1], emits: [2] })) run()
  marbles(({ hot, expectObservable }) => {
    expectObservable(hot('a-b-|').pipe(sampleEvery({ everyMs: 3 }))).toBe('---b(|)')
  })
  return values('out').map((bar) => [bar.open, bar.high, bar.close])
}).then((bars) => {
  const failed = [
    messageOf(() => marbles(({ hot, expectObservable }) => expectObservable(hot('a|')).toBe('b|'))),
    messageOf(() => expectBalanced({ in: 1, out: 0, dropped: {}, inFlight: 0 })),
    messageOf(() => probe().expectComplete()),
  ]
  console.log(JSON.stringify({ bars, failed, one: VirtualClock === clockOfTesting }))
})
`

const KIT = '{ expectBalanced, marbles, operatorSuite, probe, testRun, VirtualClock: clockOfTesting, withoutLeaks }'
const NAMES = '{ bars, feed, jsonLines, ofKind, pipeline, sampleEvery, VirtualClock }'

/** Names what a typed test names. */
const TYPED = `
import { map } from 'rxjs'
import { feed, memory, ofKind, pipeline, type Trade } from 'millrace'
import {
  eventually, marbles, operatorSuite, probe, reorderWithin, seededRandom, sinkProbe, sourceProbe, startTestRun, withoutLeaks,
  type LeakOptions, type Probe, type SinkProbe, type TestRun,
} from 'millrace/testing'

const own = pipeline('own', ({ source, sink }) => {
  const market = feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trades' })
  const trades = source('market', market, { capacity: 100, onFull: 'block' }).through('trades', ofKind('trade'))
  sink(trades, memory<Trade>({ capacity: 10 }), { capacity: 100, onFull: 'block', name: 'out' })
})
const options: LeakOptions = { withinMs: 100 }
const slow: SinkProbe<unknown> = sinkProbe()
const run: TestRun = startTestRun(own, { sinks: { out: slow } })
const out: Probe<number> = probe<number>({ demand: 1 })
const source = sourceProbe<number>()
source.pipe(reorderWithin({ values: 2 }, { random: seededRandom(1) }), map((value) => value + 1)).subscribe(out)
const prices: number[] = run.values<Trade>('out').map(({ price }) => price)
const titles: string[] = operatorSuite(() => map((value: number) => value + 1), { values: [1] }).map(({ title }) => title)
marbles(({ cold, clock, expectObservable }) => expectObservable(cold('a', { a: clock.nowUs() })).toBe('a', { a: 0 }))
void withoutLeaks(() => eventually(() => out.expectNext(1)), options)
export { prices, titles }
`

describe('millrace/testing', () => {
  let installed: Installation
  before(async function () {
    installed = await needsInstallation(this)
  })

  for (const { system, file, imports } of [
    {
      system: 'required by a CommonJS program',
      file: 'kit.cjs',
      imports: `const ${NAMES} = require('millrace')
const ${KIT} = require('millrace/testing')
const { map } = require('rxjs')`,
    },
    {
      system: 'imported by an ES module',
      file: 'kit.mjs',
      imports: `import ${NAMES} from 'millrace'
import ${KIT.replace(': ', ' as ')} from 'millrace/testing'
import { map } from 'rxjs'`,
    },
  ]) {
    it(`tests a pipeline, an operator and marbles without a test runner, ${system}`, async function () {
      this.timeout(RUN_WITHIN_MS)
      await installed.write(file, imports + PROGRAM)
      const result = await installed.node(file)
      expect(result.status, said(result)).to.equal(0)
      expect(result.leftAlive).to.equal(false)
      expect(answerOf(result)).to.deep.equal({
        bars: [
          [1, 3, 3],
          [2, 2, 2],
        ],
        failed: [
          'AssertionError: The marbles differ.',
          'AssertionError: The accounts do not balance.',
          'AssertionError: Expected the stream to be complete, but nothing more has come, and the stream goes on.',
        ],
        one: true,
      })
    })
  }

  it('has types that check, its own declarations included, also for those who find them the older way', async function () {
    this.timeout(2 * RUN_WITHIN_MS)
    await installed.write('kit.ts', TYPED)
    await installed.write('kit.mts', TYPED)
    const strict = '--noEmit --strict --types node --skipLibCheck false'
    const now = `--ignoreConfig --target es2023 --module nodenext ${strict} kit.ts kit.mts`
    const result = await installed.node(TSC, now.split(' '))
    const older = `--target es2022 --module commonjs --moduleResolution node10 --esModuleInterop ${strict} kit.ts`
    const other = await installed.node(TSC_OF_NOTEBOOKS, older.split(' '))
    for (const name of ['kit.ts', 'kit.mts']) await rm(path.join(installed.folder, name))
    expect(result.status, said(result)).to.equal(0)
    expect(other.status, said(other)).to.equal(0)
  })
})
