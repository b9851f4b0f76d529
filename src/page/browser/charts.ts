/** The charts that uPlot draws: axes, legends and lines as all pages have them. */
import type uPlotClass from 'uplot'
import { clockText, dayOf, NONE, numberText, timeText } from '../numbers'
import { theme } from './theme'

/** The page has loaded it before this script. */
declare const uPlot: typeof uPlotClass

/** What is drawn, to be taken away again. */
export interface Drawn {
  destroy(): void
}

/** A line over time: columns of equal length, in milliseconds since an origin. */
export interface LineValues {
  readonly t: readonly number[]
  readonly last: readonly number[]
  /** Extremes of each point, where they differ from the last value. */
  readonly low?: readonly number[] | undefined
  readonly high?: readonly number[] | undefined
  /** Points, by their index, between which and the point before nothing was known. */
  readonly breaks?: readonly number[] | undefined
}

export interface LineStyle {
  readonly label: string
  readonly color: string
  /** Points without a line. */
  readonly points?: boolean
  /** Shaded from low to high. */
  readonly band?: boolean
}

export type Line = LineStyle & LineValues

type Column = readonly (number | null)[]

export function timeAxis(): uPlotClass.Axis {
  return {
    ...axisColors(),
    space: 90,
    values: (_, splits, __, ___, step) =>
      splits.map((split, index) => {
        const text = clockText(split, step)
        const isNewDay = index === 0 || dayOf(splits[index - 1]!) !== dayOf(split)
        return isNewDay && step < 86_400 ? `${text}\n${dayOf(split)}` : text
      }),
  }
}

export function valueAxis(): uPlotClass.Axis {
  return {
    ...axisColors(),
    values: (_, splits) => splits.map((split) => numberText(split)),
    size: (_, values) =>
      (values as readonly string[] | null) === null
        ? 50
        : 16 + Math.max(30, ...values.map((text) => (text as string | null)?.length ?? 0).map((length) => length * 7)),
  }
}

export function axisColors(): uPlotClass.Axis {
  return {
    stroke: theme.muted,
    grid: { stroke: theme.grid, width: 1 },
    ticks: { stroke: theme.line, width: 1 },
    font: '11px system-ui, sans-serif',
  }
}

/** What a legend says: the value under the cursor; while there is none, the last one. */
export function readings(textOf: (value: number) => string): uPlotClass.Series.Value {
  return (chart, value, index, at) => {
    const column = chart.data[index] as Column
    const known =
      (at as number | null | undefined) === null || (at as number | undefined) === undefined
        ? column.findLast((each) => each !== null && (each as number | undefined) !== undefined)
        : (value as number | null)
    return known === null || known === undefined ? NONE : textOf(known)
  }
}

export function timeSeries(): uPlotClass.Series {
  return { label: 'UTC', value: readings((seconds) => timeText(seconds * 1e6)) }
}

/** A chart that keeps to the width of its box, whose `data-height` is its height. */
export function plotIn(
  box: HTMLElement,
  options: Omit<uPlotClass.Options, 'width' | 'height'>,
  columns: readonly Column[],
): Drawn & { readonly chart: uPlotClass } {
  box.replaceChildren()
  const size = (): { width: number; height: number } => ({
    width: Math.max(200, box.clientWidth),
    height: Number(box.dataset['height'] ?? 230),
  })
  const tzDate = (seconds: number): Date => uPlot.tzDate(new Date(seconds * 1_000), 'Etc/UTC')
  const chart = new uPlot({ ...size(), tzDate, ...options }, columns as uPlotClass.AlignedData, box)
  const watcher = new ResizeObserver(() => {
    const { width, height } = size()
    if (width !== chart.width) chart.setSize({ width, height })
  })
  watcher.observe(box)
  return {
    chart,
    destroy() {
      watcher.disconnect()
      chart.destroy()
    },
  }
}

export function secondsOf(t: readonly number[], originUs: number): number[] {
  return t.map((ms) => originUs / 1e6 + ms / 1_000)
}

/** A range with room around it, also where all values are the same. */
export function withRoom(low: number | null, high: number | null): [low: number, high: number] {
  if (low === null || high === null) return [0, 1]
  const room = (high - low) * 0.08 || Math.abs(high) * 0.001 || 1
  return [low - room, high + room]
}

/** Lines over time, each with its own times; those with extremes are shaded from low to high. */
export function lineChart(box: HTMLElement, lines: readonly Line[], originUs: number): Drawn {
  const tables: Column[][] = []
  const series: uPlotClass.Series[] = [timeSeries()]
  const bands: uPlotClass.Band[] = []
  const value = readings(numberText)
  for (const line of lines) {
    const { label, color } = line
    const { t, last, low, high } = broken(line)
    const x = secondsOf(t, originUs)
    series.push(
      line.points === true
        ? {
            label,
            stroke: color,
            paths: () => null,
            points: { show: true, size: t.length > 200 ? 3 : 5, fill: color, width: 0 },
            value,
          }
        : { label, stroke: color, width: 1.5, points: { show: t.length < 60, size: 4 }, value },
    )
    if (line.band === true && low !== undefined && high !== undefined) {
      tables.push([x, last, high, low])
      bands.push({ series: [series.length, series.length + 1], fill: theme.band })
      const edge = { stroke: theme.band, width: 0, points: { show: false }, value }
      series.push({ label: 'high', ...edge }, { label: 'low', ...edge })
    } else tables.push([x, last])
  }
  const columns: readonly Column[] =
    tables.length === 1 ? tables[0]! : (uPlot.join(tables as uPlotClass.AlignedData[]) as readonly Column[])
  const only = columns[0]!.length === 1 ? columns[0]![0]! : undefined
  return plotIn(
    box,
    {
      series,
      bands,
      axes: [timeAxis(), valueAxis()],
      scales: {
        x: { range: (_, low, high) => (only === undefined ? [low, high] : [only - 1, only + 1]) },
        y: { range: (_, low, high) => withRoom(low, high) },
      },
      cursor: { sync: { key: 'time' }, points: { size: 6 } },
    },
    columns,
  )
}

interface BrokenLine {
  readonly t: readonly number[]
  readonly last: Column
  readonly low: Column | undefined
  readonly high: Column | undefined
}

/** A line with nothing in the middle of the times of which nothing was known. */
export function broken({ t, last, low, high, breaks }: LineValues): BrokenLine {
  if (breaks === undefined || breaks.length === 0) return { t, last, low, high }
  const filled = <T>(column: readonly T[], between: (at: number) => T): T[] => {
    const out = column.slice(0, breaks[0])
    breaks.forEach((at, index) => {
      out.push(between(at), ...column.slice(at, breaks[index + 1]))
    })
    return out
  }
  const gapped = (column: Column | undefined): Column | undefined =>
    column === undefined ? undefined : filled(column, () => null)
  return {
    t: filled(t, (at) => (t[at - 1]! + t[at]!) / 2),
    last: filled<number | null>(last, () => null),
    low: gapped(low),
    high: gapped(high),
  }
}
