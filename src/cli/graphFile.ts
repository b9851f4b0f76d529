/**
 * The picture of a running pipeline as a file that is replaced every second: Mermaid, DOT or JSON by its extension.
 *
 * It is replaced as reports are: whoever looks at it sees the old picture or the new one, never a half.
 */
import path from 'node:path'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { toDot, toMermaid, type RunningGraph } from '../pipeline/graph'
import { jsonReport } from '../sinks/jsonReport'
import { UsageError } from './command'

export interface GraphFile {
  /** Draws the last picture. */
  close(): Promise<void>
}

const DRAWN_EVERY_MS = 1_000

const ENCODERS: ReadonlyMap<string, (graph: RunningGraph) => string> = new Map([
  ['.mmd', (graph: RunningGraph) => toMermaid(graph).trimEnd()],
  ['.dot', (graph: RunningGraph) => toDot(graph).trimEnd()],
  ['.json', (graph: RunningGraph) => JSON.stringify(graph, null, 2)],
])

/** @throws UsageError for an extension that names no format */
export function checkGraphFile(file: string): void {
  if (!ENCODERS.has(path.extname(file))) {
    throw new UsageError(`--graph FILE ends in ${[...ENCODERS.keys()].join(', ')}; it is ${JSON.stringify(file)}.`)
  }
}

/** @param onFault  told of a picture that cannot be written: once until one is written again */
export function graphFile(file: string, read: () => RunningGraph, onFault: (fault: Fault) => void): GraphFile {
  const { dir, base, ext } = path.parse(path.resolve(file))
  const sink = jsonReport<RunningGraph>(base, { everyMs: 0, encode: ENCODERS.get(ext)!, name: 'graph' })
  let failing = false
  let opened = false
  let drawing = Promise.resolve()

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
      failing = false
    } catch (thrown) {
      if (!failing && thrown instanceof Fault) onFault(thrown)
      failing = true
    }
  }
  const draw = (): Promise<void> =>
    attempt(async () => {
      if (!opened) await sink.open({ outDir: dir, clock: liveClock })
      opened = true
      await sink.write([read()])
    })

  // The next second begins when the picture of this one is there: a slow disk is never asked for two at once.
  let timer = liveClock.after(0, function again() {
    drawing = draw().then(() => {
      timer = liveClock.after(DRAWN_EVERY_MS, again)
    })
  })
  return {
    async close() {
      timer.cancel()
      await drawing
      timer.cancel()
      await draw()
      await attempt(() => sink.close())
    },
  }
}
