/**
 * Books to JSON text.
 *
 * Why      a snapshot a second, or one with every change, is what research keeps; its text costs more than the book
 * Input    the synthetic depth stream, 50 books of 1,000 levels; after each frame the text of its book is made
 * Variants `stringify`  `JSON.stringify` of the snapshot with its lists of levels, which have to be made for it
 *          `ready`      `JSON.stringify` alone, of lists that were made before the clock began
 *          `millrace`   `toJSONText` of the view, which gives the same text to the character
 *          `late`       the same of views that are read when the book has long gone on, a thousand at a time
 *          Each with 10, 50 and 200 levels a side
 * Measures `time` ns a text by the clock, without what keeping the books costs, and with its bytes laid out, as a file gets them
 * Baseline `stringify`
 */
import { performance } from 'node:perf_hooks'
import type { BookView } from '../src/book/bookView'
import { fromFrames } from '../src/feed/fromFrames'
import { toBooks } from '../src/operators/toBooks'
import { depthStream, type DepthStream } from './kit/depthStream'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const FRAMES = isQuick() ? 2_000 : 6_000
const WARM_UP_FRAMES = isQuick() ? 1_000 : 3_000
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

function lay(text: string): void {
  bytes += room.write(text, 0, 'latin1')
}

/** Times `text` of what `prepare` makes of each view. */
function timed<T>(prepare: (view: BookView) => T, text: (prepared: T) => string): Sample {
  let ms = 0
  let texts = 0
  const take = (view: BookView): void => {
    const prepared = prepare(view)
    const startedMs = performance.now()
    lay(text(prepared))
    ms += performance.now() - startedMs
    texts++
  }
  eachView(WARM_UP_FRAMES, take)
  ms = 0
  texts = 0
  eachView(FRAMES, take)
  if (bytes === 0) throw new Error('No text was made.')
  return { time: (ms * 1e6) / texts }
}

const LATE = 1_000

function late(depth: number): Sample {
  let ms = 0
  let texts = 0
  let waiting: BookView[] = []
  const take = (view: BookView): void => {
    waiting.push(view)
    if (waiting.length < LATE) return
    const startedMs = performance.now()
    for (const one of waiting) lay(one.upTo(depth).toJSONText())
    ms += performance.now() - startedMs
    texts += LATE
    waiting = []
  }
  eachView(FRAMES, take)
  return { time: (ms * 1e6) / texts }
}

void measure(
  __filename,
  [10, 50, 200].map((depth) => ({
    name: `books.text.${depth}`,
    measures: { time: 'ns/text' },
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
      { name: 'late', run: () => Promise.resolve(late(depth)) },
    ],
  })),
)
