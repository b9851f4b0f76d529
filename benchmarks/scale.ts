/**
 * How the cost of a frame and the memory of a book grow: curves, not points.
 *
 * Why      a number for fifty symbols says nothing about five thousand; a structure that is fast while it fits into the
 *          processor's cache may not be afterwards
 * Input    Binance's combined depth stream (`kit/depthStream.ts`): from 1 to 5,000 symbols of 1,000 levels each, and from 10 to
 *          10,000 levels a book at 50 symbols
 * Variants `jsonParse` the same frames parsed and nothing else; `millrace` `fromFrames` and `toBooks`
 * Measures `time`   ns a frame, both best prices read after each
 *          `cpu`    the same by what all threads of the process took of processors
 *          `level`  bytes that a level of a book takes, on the heap and outside of it, guard and view included; `symbol` the
 *                   same for a whole book
 * Baseline `jsonParse` at the same place of the curve
 */
import { jsonParse, millrace, wasRead, type Reader } from './kit/booksOf'
import { depthStream } from './kit/depthStream'
import { isQuick } from './kit/report'
import { Span } from './kit/span'
import { measure, type Benchmark, type Sample } from './kit/variants'

const TIMED = isQuick()
  ? { frames: 3_000, warmUpFrames: 1_000, warmUpMs: 300, msMax: 200 }
  : { frames: 60_000, warmUpFrames: 30_000, warmUpMs: 1_000, msMax: 1_500 }
const SYMBOLS = isQuick() ? [1, 50] : [1, 10, 100, 1_000, 5_000]
const LEVELS = isQuick() ? [10, 1_000] : [10, 100, 1_000, 10_000]

/** Where on a curve the baseline is measured against itself as well. */
const NOISE_AT = 1_000

interface Size {
  readonly symbols: number
  readonly levels: number
}

async function time(read: Reader, size: Size): Promise<Sample> {
  const stream = depthStream({ ...TIMED, ...size })
  const span = new Span(stream.frames, TIMED)
  await read(stream, span)
  if (!wasRead()) throw new Error('Nothing was read.')
  return { ...span.cost }
}

/** What is kept after some frames, while the books live. */
function memory({ symbols, levels }: Size): Sample {
  const stream = depthStream({ frames: Math.min(TIMED.frames, 20_000), symbols, levels })
  const frames = stream.frames
  let after = 0
  function* lookedAt(): Generator<Buffer, undefined> {
    yield* frames
    after = kept()
    return undefined
  }
  // What loads and compiles with the first frame is not the books'.
  const small = depthStream({ frames: 2_000, symbols: 1, levels: 10 })
  millrace(small, small.frames)
  const before = kept()
  millrace(stream, lookedAt())
  return { level: (after - before) / (symbols * levels), symbol: (after - before) / symbols }
}

function kept(): number {
  if (globalThis.gc === undefined) throw new Error('Memory can only be looked at with --expose-gc.')
  globalThis.gc()
  globalThis.gc() // what the first left to be swept is gone after the second
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function at(curve: string, place: number, size: Size): Benchmark[] {
  const name = `scale.${curve}.${place}`
  return [
    {
      name,
      measures: { time: 'ns/frame', cpu: 'ns/frame' },
      baseline: 'jsonParse',
      ...(place !== NOISE_AT && { again: false as const }),
      curve: { name: `scale.${curve}`, at: place },
      variants: [
        { name: 'jsonParse', run: () => time(jsonParse, size) },
        { name: 'millrace', run: () => time(millrace, size) },
      ],
    },
    {
      name: `${name}.memory`,
      measures: { level: 'bytes/level', symbol: 'bytes/symbol' },
      baseline: 'millrace',
      again: false,
      nodeArgs: ['--expose-gc', '--max-old-space-size=4096'],
      curve: { name: `scale.${curve}.memory`, at: place },
      variants: [{ name: 'millrace', run: () => memory(size) }],
    },
  ]
}

void measure(__filename, [
  ...SYMBOLS.flatMap((symbols) => at('symbols', symbols, { symbols, levels: 1_000 })),
  ...LEVELS.flatMap((levels) => at('levels', levels, { symbols: 50, levels })),
])
