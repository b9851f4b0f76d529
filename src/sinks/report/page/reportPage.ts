/**
 * What a report does in the browser: draws charts of the numbers that it holds. Tables are there without it.
 *
 * Nothing here touches the network, and no text is ever taken for markup: names go into `textContent` alone.
 */
import { candleChart, type BarValues } from '../../../page/browser/candles'
import { lineChart, type Drawn, type Line, type LineValues } from '../../../page/browser/charts'
import { HeatCanvas } from '../../../page/browser/heatCanvas'
import { PALETTE, readTheme, theme } from '../../../page/browser/theme'
import type { HeatColumns } from '../../../page/heatMap'
import { durationText } from '../../../page/numbers'

/** `millrace-report-data/1`, as far as it is drawn; what was not known is left out. */
interface PageData {
  readonly originUs: number
  readonly process: { readonly cpu?: LineValues; readonly rssMb?: LineValues; readonly loopMs?: LineValues }
  readonly instruments: readonly InstrumentData[]
}

interface InstrumentData {
  readonly exchange: string
  readonly name: string
  readonly values: number
  readonly mid?: LineValues
  readonly spreadBps?: LineValues
  readonly trades?: LineValues
  readonly dislocationBps?: LineValues
  readonly heat?: HeatColumns
  readonly bars: readonly (BarValues & { readonly label: string })[]
}

const data = JSON.parse(document.getElementById('data')!.textContent) as PageData
/** Absent in a report without instruments. */
const pick = document.getElementById('pick') as HTMLSelectElement | null
const root = document.documentElement

let drawn: Drawn[] = []

function draw(): void {
  for (const chart of drawn) chart.destroy()
  drawn = []
  readTheme()
  if (pick !== null) drawInstrument(data.instruments[Number(pick.value)])
  // Where nothing is known of the process the page has no place for it.
  if (document.getElementById('process') !== null) drawProcess(data.process)
}

interface Figure {
  readonly element: HTMLElement
  readonly plot: HTMLElement
  show(visible: boolean): void
  note(text: string): void
}

function figureOf(id: string): Figure {
  const element = document.getElementById(`chart-${id}`)!
  return {
    element,
    plot: element.querySelector<HTMLElement>('.plot')!,
    show: (visible) => (element.hidden = !visible),
    note: (text) => (element.querySelector('small')!.textContent = text),
  }
}

function drawInstrument(instrument: InstrumentData | undefined): void {
  document.getElementById('charts')!.hidden = instrument === undefined
  if (instrument === undefined) return
  const { mid, trades, spreadBps, dislocationBps, heat, bars } = instrument
  lines(
    'price',
    [
      mid && { label: 'mid', color: theme.accent, band: true, ...mid },
      trades && { label: 'trade', color: theme.point, points: true, ...trades },
    ],
    mid?.low === undefined ? '' : 'shaded from low to high where several updates share a point',
  )
  figureOf('spread').element.classList.toggle('wide', bars.length === 0 && dislocationBps === undefined)
  const bps = 'in 1/10,000 of the mid'
  lines('spread', [spreadBps && { label: 'spread, bps', color: theme.accent, band: true, ...spreadBps }], bps)
  lines(
    'dislocation',
    [dislocationBps && { label: 'crossed, bps', color: theme.down, band: true, ...dislocationBps }],
    `how far exchanges are crossed, ${bps}`,
  )
  drawAcross(instrument)
  drawBars(bars)
  const figure = figureOf('heat')
  figure.show(heat !== undefined)
  if (heat === undefined) return
  const canvas = new HeatCanvas(figure.plot, figure.element.querySelector<HTMLElement>('.reading')!)
  canvas.show(heat, mid, data.originUs)
  drawn.push(canvas)
}

/** The same instrument on every exchange that has it. */
function drawAcross({ name }: InstrumentData): void {
  const same = data.instruments.filter((other) => other.name === name && other.mid !== undefined)
  const all = same.map(({ exchange, mid }, index): Line => {
    const { t, last, breaks } = mid!
    return { label: exchange, color: PALETTE[index % PALETTE.length]!, t, last, breaks }
  })
  lines('across', all.length > 1 ? all : [], `${name}, mid by exchange`)
}

/** Of all bars those that there are most of. */
function drawBars(all: InstrumentData['bars']): void {
  const [first] = all
  const bars =
    first === undefined ? undefined : all.reduce((most, each) => (each.t.length > most.t.length ? each : most), first)
  const figure = figureOf('bars')
  figure.show(bars !== undefined && bars.t.length > 0)
  if (bars === undefined || bars.t.length === 0) return
  figure.note(bars.label.includes(',') ? bars.label : `${bars.label}, ${durationText(bars.widthMs)}`)
  drawn.push(candleChart(figure.plot, bars, data.originUs))
}

function lines(id: string, wanted: readonly (Line | undefined)[], note: string): void {
  const series = wanted.filter((each) => each !== undefined && each.t.length > 0) as Line[]
  const figure = figureOf(id)
  figure.show(series.length > 0)
  if (series.length === 0) return
  figure.note(note)
  drawn.push(lineChart(figure.plot, series, data.originUs))
}

function drawProcess({ cpu, rssMb, loopMs }: PageData['process']): void {
  const color = theme.accent
  lines('cpu', [cpu && { label: 'CPU, %', color, ...cpu }], '% of one core')
  lines('rss', [rssMb && { label: 'memory, MB', color, ...rssMb }], 'resident, MB')
  lines('loop', [loopMs && { label: 'p99, ms', color, ...loopMs }], 'p99 of each sample, ms')
}

function fillPick(choice: HTMLSelectElement): void {
  const sorted = data.instruments.map((instrument, index) => ({ ...instrument, index }))
  sorted.sort((left, right) => compare(left.name, right.name) || compare(left.exchange, right.exchange))
  let liveliest: (typeof sorted)[number] | undefined
  for (const instrument of sorted) {
    const option = document.createElement('option')
    option.value = String(instrument.index)
    option.textContent = `${instrument.name} on ${instrument.exchange}`
    choice.append(option)
    if (liveliest === undefined || instrument.values > liveliest.values) liveliest = instrument
  }
  if (liveliest !== undefined) choice.value = String(liveliest.index)
  const step = (by: number): void => {
    choice.selectedIndex = (choice.selectedIndex + by + choice.length) % choice.length
    draw()
  }
  document.getElementById('before')!.addEventListener('click', () => step(-1))
  document.getElementById('next')!.addEventListener('click', () => step(1))
  choice.addEventListener('change', draw)
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

if (pick !== null) fillPick(pick)
draw()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
// Paper is light.
addEventListener('beforeprint', () => {
  root.dataset['theme'] = 'light'
  draw()
})
addEventListener('afterprint', () => {
  delete root.dataset['theme']
  draw()
})
