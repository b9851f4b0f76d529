/**
 * Books to JSON text.
 *
 * Why      a snapshot a second, or one with every change, is what research keeps; its text costs more than the book
 * Input    the synthetic depth stream, 50 books of 1,000 levels; after each frame the text of its book is made, so that each book is
 *          written once per change, and between two texts of one book come those of others
 * Variants `stringify`  `JSON.stringify` of the snapshot with its lists of levels, which have to be made for it
 *          `ready`      `JSON.stringify` alone, of lists that were made before the clock began
 *          `millrace`   `toJSONText` of the view, which gives the same text to the character
 *          `behind`     the same of views that are written 50 at a time, as by a sink that is one small batch behind
 *          `late`       the same, a thousand at a time: the book has long gone on
 *          Each with 10, 50 and 200 levels a side
 * Measures `text` ns a text by the clock, without what keeping the books costs: the median of single ones; `laid` the same and its
 *          bytes laid out, as a file gets them. Of both, what reading the clock costs is taken off. `mean` as `laid`, of all
 *          together, collections of garbage and whatever else the machine does included
 * Baseline `stringify`
 */
import { performance } from 'node:perf_hooks'
import type { BookView } from '../src/book/bookView'
import { fromFrames } from '../src/feed/fromFrames'
import { toBooks } from '../src/operators/toBooks'
import { depthStream, type DepthStream } from './kit/depthStream'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

/** Few are enough for what is compiled early; `millrace` is made of what the engine compiles when it has been called often. */
const FRAMES = isQuick() ? 4_000 : 30_000
const WARM_UP_FRAMES = isQuick() ? 2_000 : 15_000
const BEHIND = 50
const LATE = 1_000
/** Of the texts, which are made one after another: each is timed by itself, and the clock costs little beside them. */
const room = Buffer.alloc(1 << 20)
let stream: DepthStream | undefined
let bytes = 0

function eachView(frames: number, take: (view: BookView) => void): void {
  stream ??= depthStream({ frames: FRAMES })
  const { snapshots, instruments } = stream
  const options = { snapshots: [...snapshots], instruments }
  fromFrames('binance', stream.frames.slice(0, frames), options)
    .pipe(toBooks())
    .subscribe((batch) => {
      for (const view of batch) take(view)
    })
}

function snapshotOf(view: BookView, depth: number): object {
  const { exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, seq } = view
  const [bids, asks] = [view.bids(depth), view.asks(depth)]
  return { kind: 'snapshot', exchange, symbol, instrument, exchangeTimeUs, receiveTimeUs, bids, asks, seq }
}

/** Times of single texts, in milliseconds. */
class Times {
  private readonly text = new Float64Array(FRAMES)
  private readonly laid = new Float64Array(FRAMES)
  private count = 0

  /** Makes a text, lays it out, and takes the times of that. */
  of(make: () => string): void {
    const startedMs = performance.now()
    const text = make()
    const madeMs = performance.now()
    bytes += room.write(text, 0, 'latin1')
    this.laid[this.count] = performance.now() - startedMs
    this.text[this.count++] = madeMs - startedMs
  }

  forget(): void {
    this.count = 0
  }

  get sample(): Sample {
    if (bytes === 0) throw new Error('No text was made.')
    const clockMs = this.clockMs()
    const laid = this.laid.subarray(0, this.count)
    const mean = laid.reduce((sum, ms) => sum + ms, 0) / laid.length
    return {
      text: (medianOf(this.text.subarray(0, this.count)) - clockMs) * 1e6,
      laid: (medianOf(laid) - 2 * clockMs) * 1e6,
      mean: (mean - 2 * clockMs) * 1e6,
    }
  }

  /** What the clock says of nothing. */
  private clockMs(): number {
    const times = new Float64Array(FRAMES)
    for (let index = 0; index < times.length; index++) {
      const startedMs = performance.now()
      times[index] = performance.now() - startedMs
    }
    return medianOf(times)
  }
}

function medianOf(times: Float64Array): number {
  return times.toSorted()[times.length >> 1]!
}

/** Times `text` of what `prepare` makes of each view. */
function timed<T>(prepare: (view: BookView) => T, text: (prepared: T) => string): Sample {
  const times = new Times()
  const take = (view: BookView): void => {
    const prepared = prepare(view)
    times.of(() => text(prepared))
  }
  eachView(WARM_UP_FRAMES, take)
  times.forget()
  eachView(FRAMES, take)
  return times.sample
}

/** The same of views that wait until there are so many. */
function waiting(depth: number, most: number): Sample {
  const times = new Times()
  let views: BookView[] = []
  const take = (view: BookView): void => {
    views.push(view.upTo(depth))
    if (views.length < most) return
    for (const one of views) times.of(() => one.toJSONText())
    views = []
  }
  eachView(WARM_UP_FRAMES, take)
  times.forget()
  views = []
  eachView(FRAMES, take)
  return times.sample
}

void measure(
  __filename,
  [10, 50, 200].map((depth) => ({
    name: `books.text.${depth}`,
    measures: { text: 'ns/text', laid: 'ns/text', mean: 'ns/text' },
    baseline: 'stringify',
    variants: [
      {
        name: 'stringify',
        run: () =>
          Promise.resolve(
            timed(
              (view) => view,
              (view) => JSON.stringify(snapshotOf(view, depth)),
            ),
          ),
      },
      {
        name: 'ready',
        run: () =>
          Promise.resolve(
            timed(
              (view) => snapshotOf(view, depth),
              (snapshot) => JSON.stringify(snapshot),
            ),
          ),
      },
      {
        name: 'millrace',
        run: () =>
          Promise.resolve(
            timed(
              (view) => view.upTo(depth),
              (view) => view.toJSONText(),
            ),
          ),
      },
      { name: 'behind', run: () => Promise.resolve(waiting(depth, BEHIND)) },
      { name: 'late', run: () => Promise.resolve(waiting(depth, LATE)) },
    ],
  })),
)
