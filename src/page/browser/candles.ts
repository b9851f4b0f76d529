import type uPlotClass from 'uplot'
import { numberText } from '../numbers'
import { plotIn, readings, secondsOf, timeAxis, timeSeries, valueAxis, withRoom, type Drawn } from './charts'
import { theme } from './theme'

/** Bars of equal length: columns, in milliseconds since an origin. */
export interface BarValues {
  readonly t: readonly number[]
  readonly widthMs: number
  readonly open: readonly number[]
  readonly high: readonly number[]
  readonly low: readonly number[]
  readonly close: readonly number[]
  readonly volume: readonly number[]
}

/** Open, high, low and close as candles, with the volume below. */
export function candleChart(box: HTMLElement, bars: BarValues, originUs: number): Drawn {
  const times = secondsOf(bars.t, originUs)
  const { open, high, low, close, volume } = bars
  const width = bars.widthMs / 1_000
  const hasVolume = volume.some((each) => each > 0)
  const hidden = (label: string): uPlotClass.Series => ({
    label,
    stroke: theme.ink,
    paths: () => null,
    points: { show: false },
    value: readings(numberText),
  })
  const drawCandles = (chart: uPlotClass): void => {
    const { ctx, bbox } = chart
    const yOf = (value: number): number => chart.valToPos(value, 'y', true)
    const length = chart.valToPos(times[0]! + width, 'x', true) - chart.valToPos(times[0]!, 'x', true)
    const body = Math.max(1, Math.abs(length) * 0.7)
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    const [from, to] = chart.series[0]!.idxs ?? [0, -1]
    for (let at = from; at <= to; at++) {
      const x = chart.valToPos(times[at]! + width / 2, 'x', true)
      const [top, bottom] = [yOf(high[at]!), yOf(low[at]!)]
      const [begin, end] = [yOf(open[at]!), yOf(close[at]!)]
      ctx.fillStyle = close[at]! >= open[at]! ? theme.up : theme.down
      ctx.fillRect(Math.round(x) - 0.5 * devicePixelRatio, top, devicePixelRatio, Math.max(1, bottom - top))
      ctx.fillRect(x - body / 2, Math.min(begin, end), body, Math.max(devicePixelRatio, Math.abs(begin - end)))
      if (!hasVolume) continue
      const level = chart.valToPos(volume[at]!, 'volume', true)
      ctx.globalAlpha = 0.3
      ctx.fillRect(x - body / 2, level, body, bbox.top + bbox.height - level)
      ctx.globalAlpha = 1
    }
    ctx.restore()
  }
  return plotIn(
    box,
    {
      series: [
        timeSeries(),
        hidden('open'),
        hidden('high'),
        hidden('low'),
        hidden('close'),
        { ...hidden('volume'), scale: 'volume' },
      ],
      axes: [timeAxis(), valueAxis()],
      scales: {
        x: {
          range: (_, first, last) =>
            times.length === 1 ? [times[0]! - width, times[0]! + 2 * width] : [first - width / 2, last + width * 1.5],
        },
        y: {
          range: (_, lowest, highest) => {
            const [from, to] = withRoom(lowest, highest)
            return [from - (hasVolume ? (to - from) * 0.25 : 0), to]
          },
        },
        volume: { range: (_, __, most) => [0, (most || 1) * 4.5] },
      },
      cursor: { points: { show: false } },
      hooks: { draw: [drawCandles] },
    },
    [times, open, high, low, close, volume],
  )
}
