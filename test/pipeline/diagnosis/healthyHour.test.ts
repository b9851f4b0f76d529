/**
 * An hour of a pipeline that is well, in simulated time, under everything that the doctor looks with: nothing may be found.
 *
 * What disturbs a loop without being anybody's mistake happens meanwhile: collections of garbage, a machine that gives no
 * processor for a while, the compiling of the first seconds.
 */
import { expect } from 'chai'
import { mergeAll } from 'rxjs'
import { every } from '../../../src/clock/clock'
import { judgeStall, type GcPause, type Stall } from '../../../src/metrics/stalls/stall'
import { Watchdog } from '../../../src/metrics/stalls/watchdog'
import type { BookView } from '../../../src/book/bookView'
import { bars } from '../../../src/operators/bars'
import { mergeMapByKey } from '../../../src/operators/mergeMapByKey'
import { ofKind } from '../../../src/operators/ofKind'
import { toBooks } from '../../../src/operators/toBooks'
import { EdgeLooks } from '../../../src/pipeline/diagnosis/edgeLooks'
import { findingsOf, type ObservedEdge } from '../../../src/pipeline/diagnosis/findings'
import { Instruments } from '../../../src/pipeline/diagnosis/instruments'
import { pipeline } from '../../../src/pipeline/pipeline'
import { feed } from '../../../src/pipeline/sources'
import { StallTeller } from '../../../src/pipeline/stallFaults'
import { memory } from '../../../src/sinks/memory'
import { simulateRun } from '../../../src/testing/simulation/simulateRun'
import type { Fault } from '../../../src/model/fault'
import { collectGarbage } from '../../kit/collectGarbage'

const HOUR_S = 3_600
const BEAT_MS = 50
const STALL_MS = 100
const roomy = { capacity: 10_000, onFull: 'block' } as const

const healthy = pipeline('healthy', ({ source, sink }) => {
  const wish = { exchanges: ['kraken'], instruments: ['BTC-USD', 'ETH-USD'], channels: ['trades', 'book'] } as const
  const market = source('market', feed({ ...wish, depth: 10 }), roomy)
  const views = market.through('books', toBooks({ depth: 10 })).through('views', mergeAll())
  const worked = views.through(
    'worked',
    mergeMapByKey(
      (view: BookView) => view.symbol,
      async (view: BookView) => {
        await Promise.resolve()
        return { symbol: view.symbol, best: view.bestBid()?.price }
      },
      { concurrency: 8, perKey: 1, capacity: 1_000, onFull: 'dropOldest', deadlineMs: 5_000 },
    ),
  )
  const trades = market.through('trades', ofKind('trade'))
  sink(trades.through('bars', bars.time({ everyMs: 1_000 })), memory({ capacity: 10 }), roomy)
  sink(worked, memory({ capacity: 10 }), roomy)
})

describe('an hour of simulated healthy running', () => {
  it('gives no finding', async function () {
    this.timeout(1_200_000)
    const instruments = new Instruments()
    const edges = new EdgeLooks()
    const stalls: Stall[] = []
    const faults: Fault[] = []
    let observed:
      { edges: readonly ObservedEdge[]; held: readonly number[]; seconds: number; beats: number } | undefined
    instruments.asyncWork.start()
    try {
      const described = instruments.prepare(healthy.describe({ places: true }))
      const { summary } = await simulateRun(
        { ...healthy, describe: () => described },
        {
          seconds: HOUR_S + 10,
          messagesPerSecond: 8,
          depth: 20,
          meanwhile: async (run, world) => {
            const { clock } = world
            const random = world.random('disturbances')
            const watchdog = new Watchdog({ afterMs: STALL_MS, beatMs: BEAT_MS })
            const teller = new StallTeller('healthy', clock, (fault) => faults.push(fault))
            const pauses: GcPause[] = []
            let beat = 0
            let starvedUs = 0
            const beating = every(world.host.clock, BEAT_MS, () => beat++)
            const startedUs = clock.nowUs()
            /** The loop stands still, and the watchdog goes on looking. */
            const standStill = (ms: number, starved: boolean): void => {
              const fromUs = clock.nowUs()
              world.spend(ms)
              if (starved) starvedUs += ms * 950
              else pauses.push({ startedUs: fromUs, endedUs: fromUs + ms * 1_000 })
              if (pauses.length > 100) pauses.shift()
            }
            let sinceUs = startedUs
            const looking = every(clock, BEAT_MS, (nowUs) => {
              const ranUs = nowUs - starvedUs - sinceUs
              const stall = watchdog.look({ nowUs: clock.nowUs(), beat, stage: 1, ranUs, starvedUs }, clock.nowUs())
              if (stall === undefined) return
              const judged = judgeStall(stall, pauses, STALL_MS)
              stalls.push(judged)
              teller.take(judged, 'healthy/books')
            })
            sinceUs = clock.nowUs()
            const edgeLooks = every(clock, 1_000, () => edges.look(run.status().edges))
            await world.sleep(2_000)
            while (clock.nowUs() - startedUs < HOUR_S * 1e6) {
              await world.sleep(5_000 + random.below(10_000))
              standStill(5 + random.below(60), false)
              if (random.chance(0.05)) standStill(150 + random.below(300), false)
              if (random.chance(0.05)) standStill(200 + random.below(800), true)
            }
            for (const timer of [beating, looking, edgeLooks]) timer.cancel()
            teller.end()
            await collectGarbage()
            observed = {
              edges: edges.observed((name) => `healthy/${name}`),
              held: instruments.observed.map((each) => each.held()),
              seconds: (clock.nowUs() - startedUs) / 1e6,
              beats: beat,
            }
          },
        },
      )
      expect(summary.problems).to.deep.equal([])
      expect(observed!.seconds).to.be.at.least(HOUR_S)
      expect(observed!.beats).to.be.at.least((HOUR_S * 1_000) / BEAT_MS / 2)
      // The disturbances were seen, and are nobody's fault.
      expect(stalls.length).to.be.at.least(10)
      expect(new Set(stalls.map(({ cause }) => cause))).to.deep.equal(new Set(['gc', 'machine']))
      expect(faults).to.deep.equal([])
      const stages = instruments.observed.map(({ waits, received, objects, begun, number, path, kind }, index) => ({
        ...{ received, objects, begun, number, path, kind, place: undefined, held: observed!.held[index]! },
        waits: [...waits.values()].map(({ times, ms, promised }) => ({ times, ms, promised, place: undefined })),
      }))
      expect(stages.find(({ path }) => path === 'healthy/books')!.received).to.be.at.least(HOUR_S)
      const findings = findingsOf({
        ...{ mode: 'simulate', seconds: observed!.seconds, stages, edges: observed!.edges, loopUtilization: 0.1 },
        stalls: stalls.map((stall) => ({ ...stall, early: false })),
        lines: {
          sampledMs: HOUR_S * 1_000,
          gcMs: HOUR_S * 20,
          spots: [],
          places: [],
          allocations: [],
          allocatedBytes: 0,
        },
        heldBackSeconds: summary.held.seconds,
      })
      expect(findings).to.deep.equal([])
    } finally {
      instruments.asyncWork.stop()
    }
  })
})
