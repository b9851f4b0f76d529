/**
 * From a frame's bytes to a book whose best prices are read: millrace beside what else a team could take.
 *
 * Why      every frame of every exchange pays it; it decides how many markets one core can follow
 * Input    200,000 frames of Binance's combined `depthUpdate` stream (`kit/depthStream.ts`): 50 symbols, books of 1,000 levels,
 *          in memory; each variant takes them until they are through or four seconds are over
 * Variants `jsonParse`     the text parsed and nothing else: the floor that others stand on
 *          `sortedArrays`  `JSON.parse` and a book in sorted typed arrays
 *          `teamPipeline`  an RxJS pipeline as teams write it: parse, `Map`, sort both sides on every update
 *          `millrace`      `fromFrames` and `toBooks`
 *          `tardis`        tardis-dev's mapper and order book
 *          `ccxt`          ccxt pro's `handleMessage`; `ccxtWatching` awaits `watchOrderBook` for each frame
 * Measures `time`       ns a frame, both best prices read after each
 *          `cpu`        the same by what all threads of the process took of processors: on a machine that others use too,
 *                       the steadier of the two
 *          `allocated`  bytes of the JavaScript heap a frame takes in steady state, with a young generation so large that
 *                       nothing is collected while it is looked at; `external` beside it, memory outside of the heap
 * Baseline `jsonParse`. After the last frame every variant's best prices must be those of the stream
 */
import { constants, performance, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'
import {
  ccxt,
  ccxtWatching,
  jsonParse,
  millrace,
  sortedArrays,
  tardis,
  teamPipeline,
  wasRead,
  type Reader,
} from './kit/booksOf'
import { depthStream, type DepthStream, type Touch } from './kit/depthStream'
import type { Peer } from './kit/peers'
import { isQuick } from './kit/report'
import { Span } from './kit/span'
import { measure, type Sample, type Variant } from './kit/variants'

const TIMED = isQuick()
  ? { frames: 6_000, warmUpFrames: 2_000, warmUpMs: 500, msMax: 500 }
  : { frames: 200_000, warmUpFrames: 60_000, warmUpMs: 2_000, msMax: 4_000 }
const LOOKED_AT = isQuick()
  ? { frames: 3_000, warmUpFrames: 2_000, warmUpMs: 500, msMax: 200 }
  : { frames: 30_000, warmUpFrames: 20_000, warmUpMs: 2_000, msMax: 100 }
/** What may be allocated while memory is looked at: far less than the young generation holds. */
const HEAP_BYTES_MAX = 60_000_000

const READERS: readonly { readonly name: string; readonly read: Reader; readonly peer?: Peer }[] = [
  { name: 'jsonParse', read: jsonParse },
  { name: 'sortedArrays', read: sortedArrays },
  { name: 'teamPipeline', read: teamPipeline },
  { name: 'millrace', read: millrace },
  { name: 'tardis', read: tardis, peer: 'tardis-dev' },
  { name: 'ccxt', read: ccxt, peer: 'ccxt' },
  { name: 'ccxtWatching', read: ccxtWatching, peer: 'ccxt' },
]

async function time(read: Reader): Promise<Sample> {
  const stream = depthStream(TIMED)
  const span = new Span(stream.frames, TIMED)
  const touches = await read(stream, span)
  believe(stream, touches, span.handedOut)
  return { ...span.cost }
}

/** What Node tells of a garbage collection; its types leave the detail out. */
interface Collection extends PerformanceEntry {
  readonly detail: { readonly kind: number }
}

async function allocated(read: Reader): Promise<Sample> {
  const stream = depthStream(LOOKED_AT)
  let before = process.memoryUsage()
  let after = before
  let beganMs = 0
  let endedMs = 0
  const span = new Span(stream.frames, LOOKED_AT, () => {
    globalThis.gc?.()
    globalThis.gc?.() // what the first left to be swept is gone after the second
    before = process.memoryUsage()
    beganMs = performance.now()
  })
  // The books are looked at while they live, at the moment when no frame is left.
  const lookedAt = {
    [Symbol.iterator]: () => ({
      next: () => {
        if (span.counted % 64 === 63 && process.memoryUsage().heapUsed - before.heapUsed > HEAP_BYTES_MAX) span.stop()
        const result = span.next()
        if (result.done === true) {
          endedMs = performance.now()
          after = process.memoryUsage()
        }
        return result
      },
    }),
  }
  const collections: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const {
      startTime,
      detail: { kind },
    } of list.getEntries() as Collection[]) {
      // Marking a little at a time frees nothing.
      if (kind !== constants.NODE_PERFORMANCE_GC_INCREMENTAL) collections.push(startTime)
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  believe(stream, await read(stream, lookedAt), span.handedOut)
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve))) // the observer is told in turns to come
  observer.disconnect()
  if (globalThis.gc === undefined || collections.some((startedMs) => startedMs > beganMs && startedMs < endedMs)) {
    throw new Error('Memory was collected while it was looked at: take fewer frames.')
  }
  return {
    heap: (after.heapUsed - before.heapUsed) / span.counted,
    external: (after.external - before.external) / span.counted,
  }
}

/** Throws when the best prices are not those that the stream has after so many frames. */
function believe(stream: DepthStream, touches: ReadonlyMap<string, Touch>, frames: number): void {
  if (!wasRead()) throw new Error('Nothing was read.')
  if (touches.size === 0) return
  const truth = frames === stream.frames.length ? stream.touches : depthStream({ frames }).touches
  for (const [symbol, { bid, ask }] of touches) {
    const right = truth.get(symbol)
    if (right?.bid !== bid || right.ask !== ask) {
      throw new Error(`${symbol} ends at ${bid} / ${ask} and should at ${right?.bid ?? '?'} / ${right?.ask ?? '?'}.`)
    }
  }
}

const variantsOf = (run: (read: Reader) => Promise<Sample>): Variant[] =>
  READERS.map(({ read, ...rest }) => ({ ...rest, run: () => run(read) }))

void measure(__filename, [
  { name: 'book', measures: { time: 'ns/frame', cpu: 'ns/frame' }, baseline: 'jsonParse', variants: variantsOf(time) },
  {
    name: 'book.allocated',
    measures: { heap: 'bytes/frame', external: 'bytes/frame' },
    baseline: 'jsonParse',
    variants: variantsOf(allocated),
    nodeArgs: ['--expose-gc', '--max-semi-space-size=256', '--min-semi-space-size=256'],
  },
])
