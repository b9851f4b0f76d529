/**
 * Progress of long work, in one line at the bottom of a terminal: how far, how fast, how long still. Silent where there is
 * no terminal that can be drawn on.
 *
 * Cost   an update that is not drawn is one look at the clock; at most five a second are drawn
 * Waits  never for the terminal (`view/screen.ts`): a recording must not stand still because somebody pressed Ctrl-S
 * Place  whatever else is said takes it away first (`say`, `print`), and the next update draws it anew
 */
import { performance } from 'node:perf_hooks'
import { bytesText, waitText } from './quantities'
import { drawn, plain } from './view/line'
import { bar } from './view/history'
import { canDraw, PatientWriter } from './view/screen'

export interface Standing {
  /** In the unit of the line. */
  readonly done: number
  /** Of the work, from 0 to 1; left out where nobody knows. */
  readonly share?: number | undefined
  /** Where it is known better than the share tells. */
  readonly secondsLeft?: number | undefined
  /** What else is worth a word. */
  readonly note?: string | undefined
}

export interface ProgressLine {
  update(standing: Standing): void
  /** Takes it away. May be called twice; a later update begins anew. */
  end(): void
}

export interface ProgressOptions {
  /** What is counted, in the plural; `bytes` are shown as kB and MB. */
  readonly unit: string
  readonly stream?: NodeJS.WriteStream
  readonly nowMs?: () => number
}

/** Redrawn at most this often; what takes less is not worth a word. */
const DRAW_EVERY_MS = 200
/** A change of the rate shows in about this time. */
const RATE_OVER_S = 3
const SLOW_PER_S = 10
const BAR_COLUMNS = 10

const ERASE_LINE = '\x1b[2K\r'

/** The terminal at whose bottom a line of ours stands. */
let standing: NodeJS.WriteStream | undefined

/** Takes the line away that stands at the bottom of the terminal, before something else is said. */
export function clearProgress(): void {
  standing?.write(ERASE_LINE)
  standing = undefined
}

export function progressLine({
  unit,
  stream = process.stderr,
  nowMs = () => performance.now(),
}: ProgressOptions): ProgressLine {
  if (!canDraw(stream)) return { update: () => undefined, end: () => undefined }
  const startedMs = nowMs()
  let writer: PatientWriter | undefined
  let drawnMs = startedMs
  let doneBefore = 0
  let perSecond: number | undefined

  const measure = (done: number, seconds: number): number => {
    const now = (done - doneBefore) / seconds
    perSecond = perSecond === undefined ? now : perSecond + (now - perSecond) * (1 - Math.exp(-seconds / RATE_OVER_S))
    doneBefore = done
    // Of what comes a few times a minute the last seconds tell nothing.
    const onAverage = (done * 1_000) / (drawnMs + seconds * 1_000 - startedMs)
    return onAverage < SLOW_PER_S ? onAverage : Math.max(0, perSecond)
  }
  return {
    update(at) {
      const now = nowMs()
      if (now - drawnMs < DRAW_EVERY_MS) return
      const rate = measure(at.done, (now - drawnMs) / 1_000)
      drawnMs = now
      writer ??= new PatientWriter(stream)
      if (!writer.isFree) return
      writer.write(ERASE_LINE + drawn([lineOf(at, unit, rate, (now - startedMs) / 1_000)], stream.columns || 80, plain))
      standing = stream
    },
    end() {
      if (writer === undefined) return
      writer.last(standing === stream ? ERASE_LINE : '')
      writer.close()
      writer = undefined
      standing = undefined
    },
  }
}

function lineOf(
  { done, share, secondsLeft, note }: Standing,
  unit: string,
  perSecond: number,
  seconds: number,
): string {
  const left = secondsLeft ?? (share !== undefined && share > 0 ? (seconds * (1 - share)) / share : undefined)
  return [
    ...(share === undefined
      ? []
      : [
          `${bar(share, BAR_COLUMNS)} ${Math.floor(share * 100)
            .toString()
            .padStart(3)} %`,
        ]),
    unit === 'bytes' ? bytesText(done) : `${done.toLocaleString('en')} ${unit}`,
    unit === 'bytes' ? `${bytesText(perSecond)}/s` : rateOf(perSecond),
    ...(note === undefined || note === '' ? [] : [note]),
    left === undefined ? `${Math.floor(seconds)} s` : `${waitText(left)} left`,
  ].join('  ')
}

/** Slow work is told by the minute. */
function rateOf(perSecond: number): string {
  if (perSecond < 1) return `${(perSecond * 60).toFixed(1)}/min`
  return `${perSecond < SLOW_PER_S ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString('en')}/s`
}
