import { expect } from 'chai'
import { map, NEVER, Observable, of, type OperatorFunction } from 'rxjs'
import { currentWiring } from '../../src/actors/wiring'
import { LatencyBudget } from '../../src/metrics/latencyBudget'
import { memory } from '../../src/sinks/memory'
import { sinkCounters, type Sink } from '../../src/sinks/sink'
import { wired } from './wired'

const roomy = { capacity: 1_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const

describe('StageGraph', () => {
  it('carries values from a source through its stages into the sinks', async () => {
    const kept = memory<string>({ capacity: 10 })
    const { graph } = wired(({ source, sink }) => {
      sink(source('n', NEVER as Observable<number>, roomy).through('text', map(String)), kept, atOnce)
    })
    for (const value of [1, 2, 3]) graph.source('n').offer(undefined, value)
    await graph.finish(1_000)
    expect(kept.values).to.deep.equal(['1', '2', '3'])
  })

  it('shows every value that a source or stage emits to whoever looks', () => {
    const { graph, observed } = wired(({ source, sink }) => {
      sink(
        source('n', NEVER as Observable<number>, roomy).through('text', map(String)),
        memory<string>({ capacity: 1 }),
        atOnce,
      )
    })
    graph.source('n').offer(undefined, 7)
    expect(observed.sort()).to.deep.equal(['n 7', 'text 7'])
  })

  it('lets a batch weigh as much as its values, and a text as one', () => {
    const { graph } = wired(({ source, sink }) => {
      sink(
        source('n', NEVER as Observable<unknown>, roomy).through(
          'same',
          map((value) => value),
        ),
        sinkOf({}),
        atOnce,
      )
    })
    for (const value of [[1, 2, 3], 'abc', [], { length: 5 }]) graph.source('n').offer(undefined, value)
    const [outer, inner] = graph.edges()
    expect([outer!.in, outer!.out, inner!.in, inner!.out]).to.deep.equal([5, 5, 5, 5])
  })

  it('feeds every reader of a stream, and joins streams in the order in which they flow', async () => {
    const [one, two] = [memory<number>({ capacity: 9, name: 'one' }), memory<number>({ capacity: 9, name: 'two' })]
    const { graph } = wired(({ source, sink, merge }) => {
      const a = source('a', NEVER as Observable<number>, roomy)
      const b = source('b', NEVER as Observable<number>, roomy)
      sink(a, one, atOnce)
      sink(merge('both', a, b), two, atOnce)
    })
    for (const [name, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const)
      graph.source(name).offer(undefined, value)
    await graph.finish(1_000)
    expect([one.values, two.values]).to.deep.equal([
      [1, 3],
      [1, 2, 3],
    ])
  })

  it('ends what only one source feeds when that ends, and leaves the other running', async () => {
    let ended = 0
    const ending =
      <T>(): OperatorFunction<T, T> =>
      (input) =>
        new Observable((out) => input.subscribe({ next: (value) => out.next(value), complete: () => ended++ }))
    const { graph } = wired(({ source, sink, merge }) => {
      const a = source('a', NEVER as Observable<number>, roomy)
      const b = source('b', NEVER as Observable<number>, roomy)
      sink(a.through('alone', ending()), memory<number>({ capacity: 1, name: 'x' }), atOnce)
      sink(merge('both', a, b).through('joined', ending()), memory<number>({ capacity: 1, name: 'y' }), atOnce)
    })
    graph.complete('a')
    expect(ended).to.equal(1)
    graph.complete('b')
    expect(ended).to.equal(2)
    await Promise.resolve()
  })

  it('passes a mailbox before a stage in order, and counts what waits in it', async () => {
    const kept = memory<number>({ capacity: 100 })
    const { graph, dispatcher, nowMs } = wired(({ source, sink }) => {
      sink(
        source('n', NEVER as Observable<number>, roomy).through(
          'boxed',
          map((value) => value),
          { capacity: 50, onFull: 'block' },
        ),
        kept,
        atOnce,
      )
    })
    graph.source('n').offer(undefined, 0)
    nowMs.value += 100 // the turn is over: whatever comes waits
    for (let value = 1; value < 10; value++) graph.source('n').offer(undefined, value)
    const waiting = graph.edges()[0]!
    expect([waiting.in, waiting.inFlight]).to.deep.equal([10, 9])
    await dispatcher.idle()
    await graph.finish(1_000)
    expect(kept.values).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const edge of graph.edges()) expect(edge.in).to.equal(edge.out)
  })

  it('ends the stages behind an edge that may not drop and is full, and says so', async () => {
    const kept = memory<number>({ capacity: 100 })
    const { graph, dispatcher, nowMs, faults } = wired(({ source, sink }) => {
      sink(source('n', NEVER as Observable<number>, { capacity: 2, onFull: 'fail' }), kept, atOnce)
    })
    graph.source('n').offer(undefined, 0)
    nowMs.value += 100
    for (let value = 1; value < 6; value++) graph.source('n').offer(undefined, value)
    await dispatcher.idle()
    await graph.finish(1_000)
    expect(faults[0]).to.match(/^n EDGE_FULL: The edge to test\/n is full/)
    const [edge] = graph.edges()
    expect(edge!.in).to.equal(6)
    expect(edge!.out + Object.values(edge!.dropped).reduce((sum, values) => sum + values, 0)).to.equal(6)
  })

  it('puts the edge that a stage carries itself in the place of the one in line, and its brake on the sources', () => {
    const account = { in: 5, out: 3, dropped: new Map([['full', 1]]), inFlight: 1 }
    let brake: (() => void) | undefined
    const { graph, pressed } = wired(({ source, sink }) => {
      const hop: OperatorFunction<number, number> = (input) =>
        new Observable((out) => {
          const wiring = currentWiring()!
          brake = () => wiring.pressure.pause()
          wiring.showEdge({ kind: 'worker', capacity: 64, onFull: 'block', account } as never)
          return input.subscribe(out)
        })
      sink(source('n', NEVER as Observable<number>, roomy).through('hop', hop), memory<number>({ capacity: 1 }), atOnce)
    })
    const edges = graph.edges().filter(({ to }) => to === 'hop')
    expect(edges).to.have.length(1)
    expect(edges[0]).to.include({
      from: 'n',
      kind: 'worker',
      capacity: 64,
      onFull: 'block',
      in: 5,
      out: 3,
      inFlight: 1,
    })
    brake!()
    expect(pressed).to.deep.equal(['pause'])
    expect(currentWiring(), 'only while it is wired').to.equal(undefined)
  })

  it('is relaxed while no edge of it is more than half full', async () => {
    let release: (() => void) | undefined
    const { graph } = wired(({ source, sink }) => {
      const n = source('n', NEVER as Observable<number>, roomy)
      const gated = sinkOf({ write: () => new Promise<void>((resolve) => (release = resolve)) })
      sink(n, gated, { capacity: 4, onFull: 'block', flushMs: 0 })
      // A sink that only wants the latest is no reason to wait.
      const lazy = sinkOf({ name: 'lazy', write: () => new Promise<void>(() => undefined) })
      sink(n, lazy, { capacity: 1, onFull: 'keepLatest', flushMs: 0 })
    })
    expect(graph.relaxed).to.equal(true)
    for (let value = 0; value < 3; value++) graph.source('n').offer(undefined, value)
    expect(graph.relaxed).to.equal(false)
    for (let turn = 0; turn < 20 && !graph.relaxed; turn++) {
      release?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(graph.relaxed).to.equal(true)
  })

  it('reports every sink with what it has written', async () => {
    const { graph } = wired(({ source, sink }) => {
      const n = source('n', NEVER as Observable<number>, roomy)
      sink(n, memory<number>({ capacity: 5 }), { ...atOnce, name: 'first' })
      sink(n, memory<number>({ capacity: 5 }), { ...atOnce, name: 'second' })
    })
    graph.source('n').offer(undefined, 1)
    await graph.finish(1_000)
    expect(graph.sinkReports()).to.deep.equal([
      { name: 'first', written: 1, bytes: 0, failed: 0 },
      { name: 'second', written: 1, bytes: 0, failed: 0 },
    ])
  })

  it('finishes what reports on the run after the other sinks, and measures no latency by it', async () => {
    const said: string[] = []
    const latency = new LatencyBudget(() => 5_000)
    const sinkOf = (name: string, reportsOnRun: boolean): Sink<{ receiveTimeUs: number }> => ({
      ...memory<{ receiveTimeUs: number }>({ capacity: 5, name }),
      reportsOnRun,
      close: () => {
        said.push(`${name} closed`)
        return Promise.resolve()
      },
    })
    const { graph } = wired(
      ({ source, sink }) => {
        const n = source('n', NEVER as Observable<{ receiveTimeUs: number }>, roomy)
        sink(n, sinkOf('report', true), { ...atOnce, name: 'report' })
        sink(n, sinkOf('rows', false), { ...atOnce, name: 'rows' })
      },
      'out',
      { latency },
    )
    latency.decoded(1_000, [])
    graph.source('n').offer(undefined, { receiveTimeUs: 1_000 })
    await graph.finish(1_000)
    expect(said).to.deep.equal(['rows closed', 'report closed'])
    expect(latency.parts.receiveToSink.summary()).to.deep.equal({ count: 1, p50: 4_000, p99: 4_000, max: 4_000 })
  })

  it('waits for stages that do not end no longer than it may', async () => {
    const kept = memory<number>({ capacity: 5 })
    const { graph, clock } = wired(({ source, sink }) => {
      const neverEnds: OperatorFunction<number, number> = (input) =>
        new Observable((out) => input.subscribe((value) => out.next(value)))
      sink(source('n', of(1), roomy).through('neverEnds', neverEnds), kept, atOnce)
    })
    graph.source('n').offer(undefined, 1)
    let finished = false
    const finishing = graph.finish(300).then(() => (finished = true))
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(finished).to.equal(false)
    clock.advance(300)
    await finishing
    expect(kept.values).to.deep.equal([1])
  })
})

function sinkOf(verbs: Partial<Sink<unknown>>): Sink<unknown> {
  const done = (): Promise<void> => Promise.resolve()
  return { name: 'sink', counters: sinkCounters(), open: done, write: done, close: done, ...verbs }
}
