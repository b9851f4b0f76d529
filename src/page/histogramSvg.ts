import { countText, microsecondsText } from './numbers'

/** How many were from `fromUs`, included, to `toUs`, excluded. */
export interface HistogramBucket {
  readonly fromUs: number
  readonly toUs: number
  readonly count: number
}

/** What is marked in a histogram. */
export interface Mark {
  readonly label: string
  readonly us: number
}

const WIDTH = 340
const HEIGHT = 150
const LEFT = 8
const RIGHT = 8
const TOP = 16
const BOTTOM = 22

/**
 * A histogram of latencies as SVG: time from left to right on a logarithmic scale, shares upwards. Made of numbers alone.
 * Each bar is as high as its share of all; bars of a quarter of an octave look alike wide.
 */
export function histogramSvg(buckets: readonly HistogramBucket[], marks: readonly Mark[]): string {
  const total = buckets.reduce((sum, { count }) => sum + count, 0)
  if (total === 0) return ''
  const from = placeOf(buckets[0]!.fromUs)
  const to = Math.max(from + 0.5, placeOf(buckets.at(-1)!.toUs))
  const most = Math.max(...buckets.map(({ count }) => count))
  const xOf = (us: number): number => LEFT + ((placeOf(us) - from) / (to - from)) * (WIDTH - LEFT - RIGHT)
  const bottom = HEIGHT - BOTTOM
  const bars = buckets.map(({ fromUs, toUs, count }) => {
    const x = xOf(fromUs)
    const height = Math.max(0.7, (count / most) * (bottom - TOP))
    const share = ((count / total) * 100).toPrecision(3)
    return `<rect x="${n(x)}" y="${n(bottom - height)}" width="${n(Math.max(0.6, xOf(toUs) - x - 0.4))}" height="${n(height)}"><title>${microsecondsText(fromUs)} to ${microsecondsText(toUs)}: ${countText(count)}, ${share} %</title></rect>`
  })
  const ticks = decades(from, to).map(
    (us) =>
      `<line x1="${n(xOf(us))}" x2="${n(xOf(us))}" y1="${bottom}" y2="${bottom + 4}"/><text x="${n(xOf(us))}" y="${HEIGHT - 6}" text-anchor="middle">${microsecondsText(us)}</text>`,
  )
  const marked = marks.map(({ label, us }, index) => {
    const x = Math.min(WIDTH - RIGHT, Math.max(LEFT, xOf(us)))
    const anchor = index % 2 === 0 ? 'end' : 'start'
    return `<line class="mark" x1="${n(x)}" x2="${n(x)}" y1="${TOP - 4}" y2="${bottom}"/><text x="${n(x + (anchor === 'end' ? -3 : 3))}" y="10" text-anchor="${x < 60 ? 'start' : x > WIDTH - 60 ? 'end' : anchor}">${label}</text>`
  })
  return `<svg class="histogram" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Histogram of ${countText(total)} latencies"><line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${bottom}" y2="${bottom}"/>${bars.join('')}${ticks.join('')}${marked.join('')}</svg>`
}

/** The powers of ten in microseconds, between two places; every other one where they would be many. */
function decades(from: number, to: number): number[] {
  const all: number[] = []
  for (let power = 0; power <= 10; power++) {
    const us = 10 ** power
    if (placeOf(us) >= from && placeOf(us) <= to) all.push(us)
  }
  return all.length > 6 ? all.filter((_, index) => index % 2 === 0) : all
}

/** Logarithmic; what is under a microsecond is taken as half of one. */
function placeOf(us: number): number {
  return Math.log10(Math.max(0.5, us))
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10)
}
