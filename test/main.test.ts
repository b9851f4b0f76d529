import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { firstValueFrom, of, toArray } from 'rxjs'
import * as index from '../src/index'
import * as main from '../src/main'
import * as declaredOperators from '../src/operators/index'
import * as operators from '../src/operators/main'
import type { Trade } from '../src/model/events'

/** The two have the same names with the same types: or the tests do not compile. */
const declared: typeof index = main
const run: typeof main = index

const SRC = path.join(__dirname, '../src')

/** What stands in the two modules: a name, and the file that is loaded for it. */
function laterLines(): { name: keyof typeof index; file: string; load: NodeJS.Require }[] {
  return ['main.ts', 'operators/main.ts'].flatMap((module) => {
    const load = createRequire(path.join(SRC, module))
    const lines = readFileSync(path.join(SRC, module), 'utf8').matchAll(
      /\blater(?:In)?\('(\w+)',(?: '\w+',)? '(.+)'\)/g,
    )
    return [...lines].map(([, name, file]) => ({ name: name as keyof typeof index, file: file!, load }))
  })
}

describe('What import of millrace runs', () => {
  it('has what is declared, under the same names', () => {
    expect(Object.keys(declared).sort()).to.deep.equal(Object.keys(run).sort())
    for (const [name, value] of Object.entries(index)) {
      const own = (main as Readonly<Record<string, unknown>>)[name]
      expect(typeof own, name).to.equal(typeof value)
      if (typeof value === 'function') expect((own as () => unknown).name, name).to.equal(value.name)
    }
  })

  it('has the functions of objects and of functions too', () => {
    for (const name of ['bars', 'windows', 'retryWithBackoff'] as const) {
      expect(Object.keys(main[name]), name).to.deep.equal(Object.keys(index[name]))
    }
  })

  it('finds every function that it loads later in the file that is said', () => {
    for (const { name, file, load } of laterLines()) {
      const module = load(file) as Readonly<Record<string, unknown>>
      expect(module[name], `${name} in ${file}`).to.equal(index[name])
    }
  })

  it('loads all but classes, constants and what is called for each event later', () => {
    const isLater = new Set(laterLines().map(({ name }) => name))
    const atOnce = (Object.keys(index) as (keyof typeof index)[]).filter((name) => !isLater.has(name))
    expect(atOnce.filter((name) => main[name] !== index[name])).to.deep.equal([])
    // Neither a sink nor an operator nor what describes a pipeline is among them.
    const folders = ['sinks', 'operators', 'pipeline'].map((folder) => path.join(SRC, folder))
    const factories = folders.flatMap((folder) => readdirSync(folder)).map((file) => path.basename(file, '.ts'))
    expect(atOnce.filter((name) => factories.includes(name))).to.deep.equal([])
  })

  it('has the same functions in both of its entries', () => {
    for (const [name, value] of Object.entries(operators)) {
      expect((main as Readonly<Record<string, unknown>>)[name], name).to.equal(value)
    }
    expect(Object.keys(operators).sort()).to.deep.equal(Object.keys(declaredOperators).sort())
  })

  it('calls what is loaded later with what it was given', async () => {
    const trade = { kind: 'trade', exchange: 'kraken', symbol: 'XBT/USD', price: 1, size: 2 } as unknown as Trade
    const kept = await firstValueFrom(of([trade]).pipe(main.ofKind('trade'), toArray()))
    expect(kept).to.deep.equal([[trade]])
    expect(main.memory({ capacity: 3, name: 'kept' })).to.deep.include({ name: 'kept' })
    expect(() => main.bars.time({ everyMs: 0 })).to.throw(main.Fault)
    expect(() => main.windows.count({ size: 0 } as never)).to.throw(main.Fault)
    const tried = main.retryWithBackoff.promise(() => Promise.resolve(7), {
      minMs: 1,
      maxMs: 1,
      atMost: 1,
      withinMs: 1,
    })
    expect(await tried).to.equal(7)
  })
})
