import { expect } from 'chai'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { eventually } from '../kit/eventually'
import {
  answerOf,
  needsInstallation,
  RUN_WITHIN_MS,
  TS_NODE,
  TSC,
  TSC_OF_NOTEBOOKS,
  type Installation,
} from './installation'
import { said, type RunningProcess } from './runProcess'

/** Names types as well as values, of the package and of its subpath. */
const SCRIPT = `
import { map, type Observable } from 'rxjs'
import {
  feed, Fault, memory, mid, ofKind, pipeline, toBooks,
  type Batch, type BookView, type EdgeOptions, type MarketEvent, type RunSummary, type Trade,
} from 'millrace'
import { bars, type Bar } from 'millrace/operators'

const EDGE: EdgeOptions = { capacity: 10_000, onFull: 'fail' }
const kept = memory<Bar>({ capacity: 1_000 })
const mids = memory<number>({ capacity: 10_000 })
const price = (trade: Trade): number => trade.price
const events: (source: Observable<Batch<MarketEvent>>) => Observable<Batch<BookView>> = toBooks({ depth: 5 })

const own = pipeline('own', ({ source, sink }) => {
  const market = feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channels: ['book', 'trades'] })
  const all = source('market', market, EDGE)
  sink(all.through('trades', ofKind('trade')).through('bars', bars.time({ everyMs: 250 })), kept, EDGE)
  const books = all.through('books', events)
  sink(books.through('mid', map((batch) => [...batch].map((view) => mid(view) ?? 0))), mids, EDGE)
})

async function main(): Promise<void> {
  const running = own.start()
  while (mids.values.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  const summary: RunSummary = await running.stop()
  let fault = 'none'
  try {
    await own.run({ live: true, simulate: true })
  } catch (thrown) {
    if (thrown instanceof Fault) fault = thrown.code
  }
  console.log(JSON.stringify({ name: summary.pipeline, mids: mids.values.length > 0, fault, price: typeof price }))
}

void main()
`

describe('millrace in TypeScript', () => {
  let installed: Installation
  before(async function () {
    installed = await needsInstallation(this)
    await installed.write('own.ts', SCRIPT)
    await installed.write('own.mts', SCRIPT)
  })

  it('runs as a ts-node script under the tsconfig.json that it ships', async function () {
    this.timeout(RUN_WITHIN_MS)
    expect(JSON.parse(await installed.read('tsconfig.json'))).to.deep.equal({ extends: 'millrace/tsconfig.quant.json' })
    const result = await installed.node(TS_NODE, ['own.ts'])
    expect(result.status, said(result)).to.equal(0)
    expect(result.leftAlive).to.equal(false)
    expect(answerOf(result)).to.deep.equal({ name: 'own', mids: true, fault: 'OPTION_INVALID', price: 'function' })
  })

  it('has types that check in CommonJS and in ES modules, its own declarations included', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.node(TSC, ['--noEmit', '--skipLibCheck', 'false'])
    expect(result.status, said(result)).to.equal(0)
  })

  it('has types that notebooks can read: TypeScript 5.0.4 with its older way of finding them', async function () {
    this.timeout(RUN_WITHIN_MS)
    const options = '--noEmit --strict --target es2022 --module commonjs --moduleResolution node10 --esModuleInterop'
    const args = [...options.split(' '), '--types', 'node', '--skipLibCheck', 'false', 'own.ts']
    const result = await installed.node(TSC_OF_NOTEBOOKS, args)
    expect(result.status, said(result)).to.equal(0)
  })

  it('has types that refuse what would fail: an edge without capacity and policy, an unknown channel', async function () {
    this.timeout(RUN_WITHIN_MS)
    await installed.write(
      'refused.ts',
      `import { feed, pipeline } from 'millrace'
       export default pipeline('refused', ({ source }) => {
         source('a', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'trades' }), { capacity: 1 })
         source('b', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'quotes' }), { capacity: 1, onFull: 'fail' })
       })`,
    )
    const options = '--noEmit --strict --target es2023 --module nodenext --skipLibCheck --types node'
    const result = await installed.node(TSC, ['--ignoreConfig', ...options.split(' '), 'refused.ts'])
    await rm(path.join(installed.folder, 'refused.ts')) // the project as a whole is to compile
    expect(result.status).to.equal(2)
    const lines = result.stdout.split('\n').filter((line) => line.startsWith('refused.ts'))
    expect(lines.map((line) => /\((\d+),/.exec(line)?.[1])).to.deep.equal(['3', '4'])
  })

  it('runs a pipeline in the ts-node REPL, typed line by line', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.node(TS_NODE, ['-i'], {
      meanwhile: async (repl) => {
        await type(repl, `import { feed, memory, pipeline } from 'millrace'`)
        await type(repl, `const kept = memory({ capacity: 10_000 })`)
        await type(
          repl,
          `const wish = { exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'trades' as const }`,
        )
        await type(
          repl,
          `const own = pipeline('typed', ({ source, sink }) => sink(source('market', feed(wish), { capacity: 100, onFull: 'block' }), kept, { capacity: 100, onFull: 'block' }))`,
        )
        await type(repl, `const running = own.start()`)
        await type(
          repl,
          `const some = async () => { while (kept.values.length === 0) await new Promise((resolve) => setTimeout(resolve, 20)) }`,
        )
        await type(repl, `await some()`)
        await type(repl, `const summary = await running.stop()`)
        await type(repl, `console.log(JSON.stringify([summary.pipeline, summary.mode, kept.values.length > 0]))`)
        repl.write('.exit\n')
      },
    })
    expect(result.status, said(result)).to.equal(0)
    expect(result.leftAlive).to.equal(false)
    expect(result.stdout).to.include('["typed","simulate",true]')
    expect(result.stdout + result.stderr).not.to.match(/Uncaught|error TS/)
  })
})

/** Types a line when the prompt is there: what is piped in does not wait for an await before the next line. */
async function type(repl: RunningProcess, line: string): Promise<void> {
  await eventually(
    () => {
      if (repl.running() && !repl.stdout().endsWith('> ')) throw new Error(`There is no prompt: ${repl.stdout()}`)
    },
    { withinMs: RUN_WITHIN_MS / 2 },
  )
  const before = repl.stdout().length
  repl.write(`${line}\n`)
  await eventually(
    () => {
      if (repl.running() && repl.stdout().length === before) throw new Error(`No answer to ${line}`)
    },
    { withinMs: RUN_WITHIN_MS / 2 },
  )
}
