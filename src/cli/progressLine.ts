/** Progress of long work on a terminal: how far, how fast, how long still. Silent when not on a terminal. */
import { performance } from 'node:perf_hooks'

export interface ProgressLine {
  /** @param share  of the work, from 0 to 1, where its total is not known in records */
  update(done: number, share?: number): void
  end(): void
}

/** Redrawn at most this often. */
const DRAW_EVERY_MS = 200

/** @param total  0 where it is not known: then only the rate is shown */
export function progressLine(stream: NodeJS.WriteStream, total: number): ProgressLine {
  const startedMs = performance.now()
  let drawnMs = startedMs
  let drawn = false
  return {
    update(done, share) {
      if (!stream.isTTY) return
      const nowMs = performance.now()
      if (nowMs - drawnMs < DRAW_EVERY_MS) return
      drawnMs = nowMs
      drawn = true
      const seconds = (nowMs - startedMs) / 1_000
      const rate = `${Math.round(done / seconds).toLocaleString('en')} records/s`
      const part = share ?? (total > 0 ? Math.min(done, total) / total : undefined)
      const far = part === undefined ? `${done}  ` : `${(part * 100).toFixed(0).padStart(3)} %  `
      const left = part !== undefined && part > 0 ? `, ${((seconds * (1 - part)) / part).toFixed(0)} s left` : ''
      stream.write(`\x1b[2K\r${far}${rate}${left}`)
    },
    end() {
      if (drawn) stream.write('\x1b[2K\r')
    },
  }
}
