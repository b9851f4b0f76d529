/** Says that a recording without an index is read for one, and on a terminal how far that is. */
import { performance } from 'node:perf_hooks'

export interface IndexProgress {
  /** Bytes of the file that were read. */
  readonly update: (done: { readonly bytes: number; readonly of: number }) => void
  readonly end: () => void
}

/** Redrawn at most this often; what takes less is not worth a word. */
const DRAW_EVERY_MS = 200
/** Elsewhere than on a terminal one sentence is enough. */
const SAY_AFTER_MS = 1_000

export function indexProgress(stream: NodeJS.WriteStream): IndexProgress {
  const startedMs = performance.now()
  let drawnMs = startedMs
  let drawn = false
  return {
    update({ bytes, of }) {
      const nowMs = performance.now()
      if (stream.isTTY) {
        if (nowMs - drawnMs < DRAW_EVERY_MS) return
        drawnMs = nowMs
        drawn = true
        stream.write(`\x1b[2K\r${((bytes / Math.max(1, of)) * 100).toFixed(0).padStart(3)} %  making the index, once`)
      } else if (!drawn && nowMs - startedMs >= SAY_AFTER_MS) {
        drawn = true
        stream.write('The recording has no index: it is read once to make one.\n')
      }
    },
    end() {
      if (drawn && stream.isTTY) stream.write('\x1b[2K\r')
      drawn = false
    },
  }
}
