import { expect } from 'chai'
import { map, NEVER, type Observable } from 'rxjs'
import { balances } from '../../src/actors/ledger'
import { seededRandom } from '../../src/clock/backoff'
import { describeBranch } from '../../src/pipeline/description'
import type { WiredBranch } from '../../src/pipeline/stageGraph'
import { memory } from '../../src/sinks/memory'
import { wired } from './wired'

const roomy = { capacity: 100_000, onFull: 'block' } as const
const atOnce = { ...roomy, flushMs: 0 } as const

describe('A branch of a running pipeline', () => {
  it('gets what comes while it is attached, and nothing before or after', async () => {
    const { graph, main, offer } = running()
    offer(1)
    const kept = memory<number>({ capacity: 9, name: 'branch' })
    const branch = await graph.attach((to) =>
      describeBranch(to, ({ stream, sink }) => {
        sink(
          stream<number>('n').through(
            'doubled',
            map((value) => value * 2),
          ),
          kept,
          atOnce,
        )
      }),
    )
    offer(2)
    offer(3)
    await branch.detach(1_000)
    offer(4)
    await graph.finish(1_000)
    expect(kept.values).to.deep.equal([4, 6])
    expect(main.values).to.deep.equal([1, 2, 3, 4])
  })

  it('leaves its accounts in the summary when it is gone', async () => {
    const { graph, offer } = running()
    const kept = memory<number>({ capacity: 9, name: 'branch' })
    const branch = await graph.attach((to) =>
      describeBranch(to, ({ stream, sink }) => sink(stream<number>('n'), kept, atOnce)),
    )
    offer(1)
    await branch.detach(1_000)
    offer(2)
    expect(graph.edges().find(({ to }) => to === 'branch')).to.include({ in: 1, out: 1, inFlight: 0 })
    expect(graph.sinkReports().find(({ name }) => name === 'branch')).to.include({ written: 1, failed: 0 })
    await graph.finish(1_000)
  })

  it('writes what waits in its mailboxes before it goes', async () => {
    const { graph, offer, nowMs } = running()
    const kept = memory<number>({ capacity: 99, name: 'branch' })
    const branch = await graph.attach((to) =>
      describeBranch(to, ({ stream, sink }) => {
        sink(
          stream<number>('n').through(
            'boxed',
            map((value) => value),
            roomy,
          ),
          kept,
          atOnce,
        )
      }),
    )
    offer(0)
    nowMs.value += 100 // the turn is over: whatever comes waits
    for (let value = 1; value < 10; value++) offer(value)
    await branch.detach(1_000)
    expect(kept.values).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await graph.finish(1_000)
  })

  it('is refused with all that is wrong with it, each with its place', () => {
    const { graph } = running()
    expect(() =>
      describeBranch(graph.described, ({ stream, sink }) => {
        sink(stream<number>('m'), memory<number>({ capacity: 1, name: 'main' }), { capacity: 0, onFull: 'block' })
        stream<number>('n').through(
          'same',
          map((value) => value),
        )
      }),
    )
      .to.throw()
      .with.property(
        'message',
        [
          'The branch of test has 4 problems:',
          '  test/m: There is no stream of this name in test: there are n, same.',
          '  test/main-2: capacity is a whole number of values, 1 or more; it is 0.',
          '  test/same: The name "same" is taken: names are unique in a pipeline.',
          '  test/main-2: Nothing reaches this sink: no source leads to it.',
        ].join('\n'),
      )
  })

  it('costs the others nothing: a thousand attachments and detachments at random moments', async () => {
    const { graph, main, offer, nowMs } = running()
    const random = seededRandom(7)
    const pick = (below: number): number => Math.floor(random() * below)
    const attached: { readonly from: number; readonly kept: ReturnType<typeof memory<number>>; branch: WiredBranch }[] =
      []
    const pending: Promise<void>[] = []
    let sent = 0
    let attachments = 0
    let detachments = 0
    const join = (): void => {
      const name = `branch-${attachments++}`
      const kept = memory<number>({ capacity: 100_000, name })
      const from = sent
      const upstream = pick(2) === 0 ? 'n' : 'same'
      const edge = pick(2) === 0 ? roomy : undefined
      const wiring = graph.attach((to) =>
        describeBranch(to, ({ stream, sink }) => {
          sink(
            stream<number>(upstream).through(
              `${name}-stage`,
              map((value) => value),
              edge,
            ),
            kept,
            atOnce,
          )
        }),
      )
      pending.push(wiring.then((branch) => void attached.push({ from, kept, branch })))
    }
    const leave = (): void => {
      const [{ from, kept, branch }] = attached.splice(pick(attached.length), 1) as [(typeof attached)[number]]
      const to = sent
      detachments++
      pending.push(
        branch.detach(1_000_000).then(() => {
          expect(kept.values, `branch of ${from} to ${to}`).to.deep.equal(range(from, to))
        }),
      )
    }
    while (detachments < 1_000) {
      const what = pick(10)
      if (what < 2 && attached.length < 8 && attachments < 1_000) join()
      else if (what < 4 && attached.length > 0) leave()
      else if (what === 4) nowMs.value += 5
      else if (what === 5) await new Promise((resolve) => setImmediate(resolve))
      else offer(sent++)
    }
    await Promise.all(pending)
    await graph.finish(1_000)
    expect([attachments, detachments]).to.deep.equal([1_000, 1_000])
    expect(main.values).to.deep.equal(range(0, sent))
    for (const edge of graph.edges()) expect(balances(edge) && edge.inFlight === 0, edge.to).to.equal(true)
  })
})

function running() {
  const main = memory<number>({ capacity: 100_000, name: 'main' })
  const parts = wired(({ source, sink }) => {
    sink(
      source('n', NEVER as Observable<number>, roomy).through(
        'same',
        map((value) => value),
      ),
      main,
      atOnce,
    )
  })
  return { ...parts, main, offer: (value: number) => parts.graph.source('n').offer(undefined, value) }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}
