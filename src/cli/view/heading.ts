/** What stands above every page: which run it is, how far, how fast, how well; the process. */
import { latencyText, rateText, waitText } from '../quantities'
import { bar, sparkline } from './history'
import { flowed, type Format, type Line, type Piece } from './line'
import type { Moment } from './readings'

/** Columns of a sparkline: half a minute in a usual window, all of it in a wide one. */
const WIDE = 140
const LOOP_MS_TOP = 10
const BAR_COLUMNS = 10

/** @param linesMax  what does not fit is left out from the end */
export function heading(moment: Moment, columns: number, linesMax: number): Line[] {
  const { status, process, eventsPerSecond, eventsHistory, loopHistory } = moment
  const seconds = columns >= WIDE ? 60 : columns >= WIDE / 2 ? 20 : 10
  const { count, p50, p99 } = status.latencyUs.receiveToSink
  const things: Line[] = [
    [[status.pipeline, 'bold'], `  ${status.mode}`],
    ...progressOf(moment),
    [`${rateText(eventsPerSecond)} events/s `, [sparkline(eventsHistory.last(seconds)), 'dim']],
    ...healthOf(moment),
    booksOf(moment),
    ...heldOf(moment),
    [`cpu ${process.cpuPercent.toFixed(0)} %`],
    [`rss ${(process.rssBytes / 1e6).toFixed(0)} MB, heap ${(process.heapBytes / 1e6).toFixed(0)}`],
    [
      `loop p99 ${process.loopMsP99.toFixed(1)} ms `,
      [sparkline(loopHistory.last(seconds), LOOP_MS_TOP), process.loopMsP99 > 100 ? 'red' : 'dim'],
    ],
    ...(count > 0 ? [[`receive to sink p50 ${latencyText(p50)}, p99 ${latencyText(p99)}`]] : []),
  ]
  const lines = flowed(things, columns, linesMax)
  const room = linesMax - lines.length
  return [...lines, ...reasonsOf(moment).slice(0, room)]
}

/** How long it has been running; of a replay where it is, and how long still. */
function progressOf({ status: { mode, seconds, streamTimeUs, progress } }: Moment): Line[] {
  const running: Line = [`${seconds.toFixed(0)} s`]
  if (mode !== 'replay') return [running]
  const time: Line[] = streamTimeUs === undefined ? [] : [[`${timeOf(streamTimeUs)} UTC`]]
  if (progress === undefined) return [running, ...time]
  const left = secondsLeft(progress, seconds)
  const far = `${bar(progress.share, BAR_COLUMNS)} ${percent(progress.share)}`
  return [running, ...time, [left === undefined ? far : `${far}, ${waitText(left)} left`]]
}

/** Of a replay; undefined as long as nobody can tell. */
export function secondsLeft(
  { share, secondsLeft: known }: { readonly share: number; readonly secondsLeft: number | undefined },
  seconds: number,
): number | undefined {
  if (known !== undefined) return known
  return share > 0 ? (seconds * (1 - share)) / share : undefined
}

export function percent(share: number): string {
  return `${Math.floor(share * 100)} %`
}

export function timeOf(us: number): string {
  return new Date(us / 1_000).toISOString().slice(0, 19).replace('T', ' ')
}

export const LEVEL_FORMATS: Readonly<Record<'healthy' | 'degraded' | 'unhealthy', Format>> = {
  healthy: 'green',
  degraded: 'yellow',
  unhealthy: 'red',
}

function healthOf({ health }: Moment): Line[] {
  return health === undefined ? [] : [[[health.level, LEVEL_FORMATS[health.level]]]]
}

function reasonsOf({ health }: Moment): Line[] {
  if (health === undefined) return []
  return health.reasons.map((reason) => [[reason, LEVEL_FORMATS[health.level]]])
}

function booksOf({ market: { counts } }: Moment): Line {
  const repairing = counts.gap + counts.down
  const pieces: Piece[] = ['books ', [`${counts.live} live`, 'green']]
  if (repairing > 0) pieces.push('  ', [`${repairing} in repair`, 'red'])
  if (counts.stale > 0) pieces.push('  ', [`${counts.stale} stale`, 'yellow'])
  if (counts.waiting > 0) pieces.push('  ', [`${counts.waiting} waiting`, 'dim'])
  pieces.push(`  gaps ${counts.gaps}  resyncs ${counts.resyncs}`)
  return pieces
}

function heldOf({ status: { held } }: Moment): Line[] {
  return held.times === 0 ? [] : [[[`held back ${held.times} times, ${held.seconds.toFixed(1)} s`, 'yellow']]]
}
