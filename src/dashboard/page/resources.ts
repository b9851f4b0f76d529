/** What the run costs, and how long things take: lines over time, and histograms. */
import type uPlotClass from 'uplot'
import {
  broken,
  plotIn,
  readings,
  secondsOf,
  timeAxis,
  timeSeries,
  valueAxis,
  withRoom,
  type Drawn,
} from '../../page/browser/charts'
import { PALETTE, readTheme } from '../../page/browser/theme'
import { histogramSvg } from '../../page/histogramSvg'
import { microsecondsText, numberText } from '../../page/numbers'
import { Series } from '../../page/series'
import type { LatencyPart, ProcessPart } from '../liveFormat'
import { element, section } from './dom'
import type { LiveState } from './liveState'

/** Points of a line: ten minutes by the second, a day by the few minutes. */
const POINTS = 600
const DRAW_EVERY_MS = 1_000

interface LineOf {
  readonly label: string
  readonly read: (part: ProcessPart, state: LiveState) => number | null
}

interface ChartOf {
  readonly title: string
  readonly unit: string
  readonly lines: readonly LineOf[]
}

const CHARTS: readonly ChartOf[] = [
  {
    title: 'Events',
    unit: 'a second',
    lines: [{ label: 'events/s', read: (_, state) => Math.round(state.events.perSecond * 10) / 10 }],
  },
  { title: 'CPU', unit: '% of one core', lines: [{ label: 'CPU, %', read: ({ cpuPercent }) => cpuPercent }] },
  {
    title: 'Memory',
    unit: 'MB',
    lines: [
      { label: 'resident', read: ({ rssBytes }) => (rssBytes === null ? null : Math.round(rssBytes / 1e5) / 10) },
      { label: 'heap', read: ({ heapUsedBytes }) => Math.round(heapUsedBytes / 1e5) / 10 },
    ],
  },
  {
    title: 'Event-loop delay',
    unit: 'ms, of each second',
    lines: [
      { label: 'max', read: ({ loopMax }) => loopMax },
      { label: 'p99', read: ({ loopP99 }) => loopP99 },
      { label: 'p50', read: ({ loopP50 }) => loopP50 },
    ],
  },
]

/** One chart of lines that have a point at the same times. */
class LiveChart {
  readonly element: HTMLElement
  private readonly box: HTMLElement
  private readonly series: Series[]
  private drawn: (Drawn & { readonly chart: uPlotClass }) | undefined

  constructor(private readonly of: ChartOf) {
    this.box = element('div', { class: 'plot', 'data-height': '170' })
    this.series = of.lines.map(() => new Series(POINTS))
    const caption = element('figcaption', {}, `${of.title} `, element('small', {}, of.unit))
    this.element = element('figure', {}, caption, this.box)
  }

  add(part: ProcessPart, state: LiveState): void {
    this.of.lines.forEach(({ read }, at) => this.series[at]!.add(part.atMs * 1_000, read(part, state) ?? NaN))
  }

  cut(): void {
    for (const series of this.series) series.cut()
  }

  draw(): void {
    const columns = this.columns()
    if (columns[0]!.length === 0) return
    if (this.drawn === undefined) this.drawn = this.plot(columns)
    else this.drawn.chart.setData(columns as uPlotClass.AlignedData)
  }

  /** Drawn anew the next time: in other colours, or of another run. */
  reset(): void {
    this.drawn?.destroy()
    this.drawn = undefined
  }

  private columns(): (readonly (number | null)[])[] {
    const lines = this.series.map((series) => broken(series.columns(0)))
    const longest = lines.reduce((most, line) => (line.t.length > most.t.length ? line : most))
    const valuesOf = (line: (typeof lines)[number]): readonly (number | null)[] => {
      if (line.t.length === longest.t.length) return line.last
      const byTime = new Map(line.t.map((t, at) => [t, line.last[at]!]))
      return longest.t.map((t) => byTime.get(t) ?? null)
    }
    return [secondsOf(longest.t, 0), ...lines.map(valuesOf)]
  }

  private plot(columns: (readonly (number | null)[])[]): Drawn & { readonly chart: uPlotClass } {
    const lines = this.of.lines.map(({ label }, at): uPlotClass.Series => {
      const stroke = PALETTE[at % PALETTE.length]!
      return { label, stroke, width: 1.5, points: { show: false }, value: readings(numberText) }
    })
    return plotIn(
      this.box,
      {
        series: [timeSeries(), ...lines],
        axes: [timeAxis(), valueAxis()],
        scales: {
          x: { range: (_, low, high) => [low, Math.max(high, low + 30)] },
          y: { range: (_, low, high) => [0, withRoom(low, high)[1]] },
        },
        cursor: { sync: { key: 'time' }, points: { size: 6 } },
      },
      columns,
    )
  }
}

class Histogram {
  readonly element: HTMLElement
  private readonly box = element('div', { class: 'histogram-box' })
  private readonly shown = element('small')
  private drawnOf: LatencyPart | undefined

  constructor(
    title: string,
    private readonly whenEmpty: string,
  ) {
    this.element = element('figure', {}, element('figcaption', {}, `${title} `, this.shown), this.box)
    this.box.textContent = whenEmpty
  }

  draw(latency: LatencyPart | undefined): void {
    if (latency === this.drawnOf) return
    this.drawnOf = latency
    if (latency === undefined || latency.count === 0) {
      this.box.textContent = this.whenEmpty
      this.shown.textContent = ''
      return
    }
    const { p50, p99, max } = latency
    this.shown.textContent = `p50 ${microsecondsText(p50)}, p99 ${microsecondsText(p99)}, max ${microsecondsText(max)}`
    const buckets = latency.buckets.map(([fromUs, toUs, count]) => ({ fromUs, toUs, count }))
    const marks = [
      { label: 'p50', us: p50 },
      { label: 'p99', us: p99 },
    ]
    // Made of numbers and of the two words above.
    this.box.innerHTML = histogramSvg(buckets, marks)
  }
}

export class Resources {
  readonly element: HTMLElement
  private charts: LiveChart[] = []
  private readonly chartBox = element('div', { class: 'charts' })
  private readonly latency = new Histogram(
    'Receive to safe at a sink',
    'Nothing has been written yet, or this is a replay.',
  )
  private readonly loop = new Histogram('Event-loop delay since the page is looked at', 'Measured from now on.')
  private taken: ProcessPart | undefined
  private drawnAtMs = -Infinity

  constructor() {
    const histograms = element('div', { class: 'charts' }, this.latency.element, this.loop.element)
    this.element = section('resources', 'Latency and resources', this.chartBox, histograms)
    this.forget()
  }

  /** Another run. */
  forget(): void {
    for (const chart of this.charts) chart.reset()
    this.charts = CHARTS.map((of) => new LiveChart(of))
    this.chartBox.replaceChildren(...this.charts.map((chart) => chart.element))
  }

  interrupted(): void {
    for (const chart of this.charts) chart.cut()
  }

  repaint(): void {
    readTheme()
    for (const chart of this.charts) chart.reset()
    this.drawnAtMs = -Infinity
  }

  show(state: LiveState): void {
    const { process } = state
    if (process !== undefined && process !== this.taken) {
      this.taken = process
      for (const chart of this.charts) chart.add(process, state)
    }
    const now = performance.now()
    if (now - this.drawnAtMs < DRAW_EVERY_MS) return
    this.drawnAtMs = now
    for (const chart of this.charts) chart.draw()
    this.latency.draw(state.latency)
    this.loop.draw(state.loop)
  }
}
