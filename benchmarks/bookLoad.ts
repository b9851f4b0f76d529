/**
 * What books cost the event loop while frames come faster than any exchange sends them to one connection.
 *
 * Why      a decoder that is fast on average may still keep everything else in the program waiting
 * Input    50,000 and 150,000 frames a second of Binance's combined depth stream (`kit/depthStream.ts`), 50 symbols with books of
 *          1,000 levels, each when it is due
 * Variants `idle` nothing comes; `jsonParse` the frames are parsed and nothing else; `millrace` the road of a feed behind its
 *          socket with `toBooks`, both best prices read after each
 * Measures `loopDelay` milliseconds by which the loop was late, looked at every millisecond; `latency` from when a frame was due
 *          until it was read, ms; `unhandled` percent of the frames that were due; `cpu` percent of a core
 * Baseline `idle`. The aim is a loop delay whose p99 is within 0.3 ms of it
 */
import { depthStream } from './kit/depthStream'
import { LOOP_DELAY_MEASURES, loopDelayOf, paced, type Paced } from './kit/paced'
import { PushedFrames } from './kit/pushedFrames'
import { isQuick } from './kit/report'
import { measure, type Sample, type Variant } from './kit/variants'

const RATES = isQuick() ? [5_000] : [50_000, 150_000]
const TIMES = { forMs: isQuick() ? 300 : 2_500, warmUpMs: isQuick() ? 200 : 1_500 }

/** Whatever is read ends here, so that it cannot be left out. */
let sink = 0

async function idle(): Promise<Sample> {
  return sampleOf(await paced({ ...TIMES, perSecond: 1 }, (index) => (sink += index + 1)))
}

async function jsonParse(perSecond: number): Promise<Sample> {
  const { frames } = depthStream({ frames: framesOf(perSecond) })
  const read = (index: number): void => {
    sink += (JSON.parse(frames[index]!.toString()) as { readonly data: { readonly b: readonly unknown[] } }).data.b
      .length
  }
  return sampleOf(await paced({ ...TIMES, perSecond }, read))
}

async function millrace(perSecond: number): Promise<Sample> {
  const stream = depthStream({ frames: framesOf(perSecond) })
  const road = new PushedFrames(stream, { keepsBooks: true })
  road.views.subscribe((views) => {
    for (const view of views) sink += view.bestBid()!.price + view.bestAsk()!.price
  })
  road.begin()
  return sampleOf(
    await paced({ ...TIMES, perSecond }, (index) => road.push(stream.frames[index]!, stream.receiveTimesUs[index]!)),
  )
}

/** As many as are due, and some for a run that ends late. */
function framesOf(perSecond: number): number {
  return Math.ceil((perSecond * (TIMES.forMs + TIMES.warmUpMs + 1_000)) / 1_000)
}

function sampleOf(measured: Paced): Sample {
  const { latencyUs, share, cpuPercent } = measured
  if (sink === 0) throw new Error('Nothing was read.')
  return {
    ...loopDelayOf(measured),
    'latency.p99': latencyUs.p99 / 1_000,
    unhandled: Math.max(0, 1 - share) * 100,
    cpu: cpuPercent,
  }
}

void measure(__filename, [
  {
    name: 'book.load',
    measures: {
      ...LOOP_DELAY_MEASURES,
      'latency.p99': 'ms',
      unhandled: '%',
      cpu: '%',
    },
    baseline: 'idle',
    variants: [
      { name: 'idle', run: idle },
      ...RATES.flatMap((rate): Variant[] => [
        { name: `jsonParse.${rate}`, run: () => jsonParse(rate) },
        { name: `millrace.${rate}`, run: () => millrace(rate) },
      ]),
    ],
  },
])
