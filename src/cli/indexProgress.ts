/** Says that a recording without an index is read for one, and on a terminal how far that is. */
import { performance } from 'node:perf_hooks'
import { progressLine } from './progressLine'
import { canDraw } from './view/screen'

export interface IndexProgress {
  /** Bytes of the file that were read. */
  readonly update: (done: { readonly bytes: number; readonly of: number }) => void
  readonly end: () => void
}

/** Elsewhere than on a terminal one sentence is enough, of what takes longer than this. */
const SAY_AFTER_MS = 1_000

export function indexProgress(stream: NodeJS.WriteStream): IndexProgress {
  if (canDraw(stream)) return bytesProgress(stream, 'making the index, once')
  const startedMs = performance.now()
  let said = false
  return {
    update() {
      if (said || performance.now() - startedMs < SAY_AFTER_MS) return
      said = true
      stream.write('The recording has no index: it is read once to make one.\n')
    },
    end() {
      said = false
    },
  }
}

/** How far the bytes of a file are read. */
export function bytesProgress(stream: NodeJS.WriteStream, note: string): IndexProgress {
  const progress = progressLine({ unit: 'bytes', stream })
  return {
    update: ({ bytes, of }) => progress.update({ done: bytes, share: bytes / Math.max(1, of), note }),
    end: () => progress.end(),
  }
}
