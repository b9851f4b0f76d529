/**
 * S2: order books on the event loop, sorted on every update, and kept sorted.
 *
 * Why      the monitor that millrace was made from sorted its books on the loop, and everything else waited for that
 * Input    5,000 frames a second of 50 symbols with books of 1,000 levels a side, each when it is due
 * Variants `sorting`  a `Map` of levels, both sides sorted on every update: what was
 *          `books`    the road of a feed and `toBooks`: what is
 *          `idle`     the same frames come, and nobody does anything with them
 * Measures `loopDelay` milliseconds by which the loop was late, looked at every millisecond; `latency` from when a frame was
 *          due until both best prices of its book were read, ms; `unhandled` percent of the frames that were due; `cpu`
 *          percent of a core
 * Baseline `sorting`, what was. The aim is a loop delay within twice that of `idle`
 */
import { toBooks } from '../src/operators/toBooks'
import { depthStream } from './kit/depthStream'
import { apply, sideOf, sorted, type WireLevel } from './kit/mapBook'
import { LOOP_DELAY_MEASURES, loopDelayOf, paced, type Paced } from './kit/paced'
import { PushedFrames } from './kit/pushedFrames'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PACE = { perSecond: 5_000, forMs: isQuick() ? 400 : 4_000, warmUpMs: isQuick() ? 200 : 1_500 }
/** A thousand a side. */
const LEVELS = 2_000
const FRAMES = (PACE.perSecond * (PACE.forMs + PACE.warmUpMs)) / 1_000 + PACE.perSecond

interface Wire {
  readonly data: { readonly s: string; readonly b: WireLevel[]; readonly a: WireLevel[] }
}

let sink = 0

async function idle(): Promise<Sample> {
  return sampleOf(await paced(PACE, (index) => (sink += index + 1)))
}

async function books(): Promise<Sample> {
  const stream = depthStream({ frames: FRAMES, levels: LEVELS })
  const road = new PushedFrames(stream)
  road.events.pipe(toBooks()).subscribe((views) => {
    for (const view of views) sink += view.bestBid()!.price + view.bestAsk()!.price
  })
  road.begin()
  return sampleOf(await paced(PACE, (index) => road.push(stream.frames[index]!, stream.receiveTimesUs[index]!)))
}

async function sorting(): Promise<Sample> {
  const stream = depthStream({ frames: FRAMES, levels: LEVELS })
  const kept = new Map(
    stream.snapshots.map(({ symbol, body }) => {
      const { bids, asks } = JSON.parse(body) as { bids: WireLevel[]; asks: WireLevel[] }
      return [symbol, { bids: sideOf(bids), asks: sideOf(asks) }]
    }),
  )
  return sampleOf(
    await paced(PACE, (index) => {
      const { data } = JSON.parse(stream.frames[index]!.toString()) as Wire
      const book = kept.get(data.s)!
      apply(book.bids, data.b)
      apply(book.asks, data.a)
      sink += sorted(book.bids, -1)[0]!.price + sorted(book.asks, 1)[0]!.price
    }),
  )
}

function sampleOf(measured: Paced): Sample {
  const { latencyUs, share, cpuPercent } = measured
  if (sink === 0) throw new Error('Nothing was read.')
  return {
    ...loopDelayOf(measured),
    'latency.p50': latencyUs.p50 / 1_000,
    'latency.p99': latencyUs.p99 / 1_000,
    'latency.max': latencyUs.max / 1_000,
    unhandled: Math.max(0, 1 - share) * 100,
    cpu: cpuPercent,
  }
}

void measure(__filename, [
  {
    name: 'S2',
    measures: {
      ...LOOP_DELAY_MEASURES,
      'latency.p50': 'ms',
      'latency.p99': 'ms',
      'latency.max': 'ms',
      unhandled: '%',
      cpu: '%',
    },
    baseline: 'sorting',
    variants: [
      { name: 'sorting', run: sorting },
      { name: 'books', run: books },
      { name: 'idle', run: idle },
    ],
  },
])
