/**
 * How far a run of benchmarks is, for whoever watches it on a terminal: which of how many, at which repetition, and how long
 * still, by what those before have taken. Elsewhere it says nothing, and what benchmarks say goes through as it is.
 */
import { clearProgress, progressLine } from '../../src/cli/progressLine'
import { canDraw } from '../../src/cli/view/screen'
import { every, type Timer } from '../../src/clock/clock'
import { liveClock } from '../../src/clock/liveClock'

/** As `variants` tells of itself: of such lines the latest is enough. */
const REPETITION = /: repetition (\d+) of (\d+)$/

const LOOK_EVERY_MS = 250

export interface BenchProgress {
  begin(suite: string, benchmark: string): void
  /** Text that the benchmark under way has written for people. */
  said(text: string): void
  /** The benchmark under way is over. */
  done(): void
  end(): void
}

/** @param benchmarks  of all suites together */
export function benchProgress(
  benchmarks: number,
  stream: NodeJS.WriteStream = process.stderr,
  nowMs: () => number = () => liveClock.nowUs() / 1_000,
): BenchProgress {
  if (!canDraw(stream)) {
    return {
      begin: () => undefined,
      said: (text) => void stream.write(text),
      done: () => undefined,
      end: () => undefined,
    }
  }
  const progress = progressLine({ unit: 'benchmarks', stream, nowMs })
  const beganMs = nowMs()
  let over = 0
  /** When the last one was over. */
  let lastMs = beganMs
  /** Of the benchmark under way: where it is, from 0 to 1, as far as it says. */
  let part = 0
  let name = ''
  let row = ''
  /** The beginning of a line. */
  let rest = ''
  const look = (): void => {
    const share = benchmarks > 0 ? Math.min(1, (over + part) / benchmarks) : 0
    // By what those before have taken, less what this one has; a first one tells nothing of the others.
    const each = over === 0 ? undefined : (lastMs - beganMs) / 1_000 / over
    const secondsLeft =
      each === undefined ? undefined : Math.max(0, each * (benchmarks - over) - (nowMs() - lastMs) / 1_000)
    progress.update({ done: over, share: each === undefined ? undefined : share, secondsLeft, note: name + row })
  }
  const timer: Timer = every(liveClock, LOOK_EVERY_MS, look)
  return {
    begin(suite, benchmark) {
      name = `${over + 1} of ${benchmarks}: ${suite}/${benchmark}`
      row = ''
      part = 0
    },
    said(text) {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const [, at, of] = REPETITION.exec(line) ?? []
        if (at === undefined) {
          clearProgress()
          stream.write(`${line}\n`)
          continue
        }
        row = ` ${line}`
        part = (Number(at) - 1) / Number(of)
      }
    },
    done() {
      if (rest !== '') {
        clearProgress()
        stream.write(`${rest}\n`)
      }
      rest = ''
      over++
      lastMs = nowMs()
      part = 0
    },
    end() {
      timer.cancel()
      progress.end()
    },
  }
}
