import { expect } from 'chai'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { firstValueFrom, of, toArray } from 'rxjs'
import * as index from '../src/index'
import { later, PLACES, type LaterName } from '../src/later'
import * as main from '../src/main'
import type { Trade } from '../src/model/events'
import { memory } from '../src/sinks/memory'

/** The two have the same names with the same types: or the tests do not compile. */
const declared: typeof index = main
const run: typeof main = index

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
    const load = createRequire(path.join(__dirname, '../src/later.ts'))
    for (const [name, place] of Object.entries(PLACES) as [LaterName, string][]) {
      const file = load(place) as Readonly<Record<string, unknown>>
      expect(file[name], `${name} in ${place}`).to.equal(index[name])
    }
  })

  it('loads all but classes, constants and what is called for each event later', () => {
    const atOnce = Object.keys(index).filter((name) => !(name in PLACES))
    expect(atOnce.filter((name) => (main as object)[name as never] !== index[name as never])).to.deep.equal([])
    // No file of these: neither a sink nor an operator nor what describes a pipeline is among them.
    const factories = readdirSync(path.join(__dirname, '../src/sinks')).map((file) => path.basename(file, '.ts'))
    expect(atOnce.filter((name) => factories.includes(name))).to.deep.equal([])
  })

  it('calls what is loaded later with what it was given', async () => {
    const trade = { kind: 'trade', exchange: 'kraken', symbol: 'XBT/USD', price: 1, size: 2 } as unknown as Trade
    const kept = await firstValueFrom(of([trade]).pipe(main.ofKind('trade'), toArray()))
    expect(kept).to.deep.equal([[trade]])
    expect(later('memory')({ capacity: 3, name: 'kept' }).name).to.equal(memory({ capacity: 3, name: 'kept' }).name)
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
