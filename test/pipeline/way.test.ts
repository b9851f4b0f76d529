import { expect } from 'chai'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { map, NEVER, type Observable } from 'rxjs'
import { balances } from '../../src/actors/ledger'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { eventually } from '../kit/eventually'
import { wired } from './wired'

const roomy = { capacity: 100_000, onFull: 'block' } as const
const VALUES = 5_000

describe('An edge of a pipeline that spills', () => {
  let outDir: string
  beforeEach(() => (outDir = mkdtempSync(path.join(tmpdir(), 'millrace-way-'))))
  afterEach(() => rmSync(outDir, { recursive: true, force: true }))

  it('keeps on disk what a slow sink leaves, in order, without holding the source back, and leaves no file', async () => {
    const gate = gated()
    const { graph, pressed } = wired(({ source, sink }) => {
      const n = source('n', NEVER as Observable<number>, roomy)
      sink(n, gate.sink, { capacity: 10, onFull: { spill: 'slow', bytesMax: 1e7 }, flushMs: 0, batchMax: 100 })
    }, outDir)
    for (let value = 0; value < VALUES; value++) graph.source('n').offer(undefined, value)
    const waiting = graph.edges().at(-1)!
    expect([waiting.in, waiting.onFull]).to.deep.equal([VALUES, 'spill'])
    expect(waiting.inFlight).to.equal(VALUES)
    expect(pressed).to.deep.equal([])
    gate.open()
    await eventually(() => expect(gate.written).to.have.length(VALUES))
    await graph.finish(5_000)
    expect(gate.written).to.deep.equal(Array.from({ length: VALUES }, (_, value) => value))
    const edge = graph.edges().at(-1)!
    expect([edge.in, edge.out, edge.inFlight, edge.dropped]).to.deep.equal([VALUES, VALUES, 0, {}])
    expect(existsSync(path.join(outDir, 'spill')) ? readdirSync(path.join(outDir, 'spill')) : []).to.deep.equal([])
  })

  it('keeps on disk what a mailbox has no room for, and delivers it before the end', async () => {
    const kept = memory<number>({ capacity: VALUES })
    const { graph, nowMs, pressed } = wired(({ source, sink }) => {
      const n = source('n', NEVER as Observable<number>, roomy)
      const boxed = n.through(
        'boxed',
        map((value) => value),
        { capacity: 10, onFull: { spill: 'box', bytesMax: 1e7 } },
      )
      sink(boxed, kept, { ...roomy, flushMs: 0 })
    }, outDir)
    graph.source('n').offer(undefined, 0)
    nowMs.value += 100 // the turn is over: whatever comes waits
    for (let value = 1; value < VALUES; value++) graph.source('n').offer(undefined, value)
    await graph.flush()
    await graph.finish(5_000)
    expect(kept.values).to.deep.equal(Array.from({ length: VALUES }, (_, value) => value))
    expect(pressed).to.deep.equal([])
    for (const edge of graph.edges()) expect(balances(edge) && edge.inFlight === 0, edge.to).to.equal(true)
  })

  it('holds the source back when as much waits as may, and drops nothing', async () => {
    const gate = gated()
    const { graph, pressed } = wired(({ source, sink }) => {
      const n = source('n', NEVER as Observable<number>, roomy)
      sink(n, gate.sink, { capacity: 10, onFull: { spill: 'small', bytesMax: 2_000 }, flushMs: 0, batchMax: 100 })
    }, outDir)
    let sent = 0
    while (!pressed.includes('pause')) graph.source('n').offer(undefined, sent++)
    expect(sent).to.be.within(20, 2_000)
    gate.open()
    await eventually(() => expect(pressed).to.include('resume'))
    await eventually(() => expect(gate.written).to.have.length(sent))
    await graph.finish(5_000)
    expect(graph.edges().at(-1)!.dropped).to.deep.equal({})
  })
})

/** A sink that writes nothing until it is let. */
function gated(): { readonly sink: Sink<number>; readonly written: number[]; open(): void } {
  const written: number[] = []
  let open!: () => void
  const opened = new Promise<void>((resolve) => (open = resolve))
  const sink: Sink<number> = {
    name: 'gated',
    counters: sinkCounters(),
    open: () => Promise.resolve(),
    async write(batch) {
      await opened
      written.push(...batch)
    },
    close: () => Promise.resolve(),
  }
  return { sink, written, open }
}
