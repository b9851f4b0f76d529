/**
 * What a page does in the browser: draws charts of the numbers that it holds. Tables are there without it.
 *
 * Nothing here touches the network, and no text is ever taken for markup: names go into `textContent` alone.
 */
import { HEAT_SCRIPT } from './heatScript'
import { LINES_SCRIPT } from './linesScript'

/** Follows uPlot in the page. */
export const PAGE_SCRIPT = String.raw`(() => {
'use strict'
${LINES_SCRIPT}
${HEAT_SCRIPT}

const data = JSON.parse(document.getElementById('data').textContent)
const pick = document.getElementById('pick')
const root = document.documentElement

/** What is drawn, to be taken away again. */
let drawn = []

function draw() {
  for (const chart of drawn) chart.destroy()
  drawn = []
  readTheme()
  drawInstrument(data.instruments[Number(pick.value)])
  // Where nothing is known of the process the page has no place for it.
  if (document.getElementById('process') !== null) drawProcess(data.process)
}

function figureOf(id) {
  const figure = document.getElementById('chart-' + id)
  return {
    show(visible) { figure.hidden = !visible },
    plot: figure.querySelector('.plot'),
    reading: figure.querySelector('.reading'),
    note(text) { figure.querySelector('small').textContent = text },
  }
}

function drawInstrument(instrument) {
  document.getElementById('charts').hidden = instrument === undefined
  if (instrument === undefined) return
  const { mid, trades, spreadBps, dislocationBps, heat, bars } = instrument
  lines('price', [
    mid && { label: 'mid', color: theme.accent, band: true, ...mid },
    trades && { label: 'trade', color: theme.point, points: true, ...trades },
  ], mid && mid.low ? 'shaded from low to high where several updates share a point' : '')
  document.getElementById('chart-spread').classList.toggle('wide', bars.length === 0 && dislocationBps === undefined)
  lines('spread', [spreadBps && { label: 'spread, bps', color: theme.accent, band: true, ...spreadBps }], 'in 1/10,000 of the mid')
  lines('dislocation', [dislocationBps && { label: 'crossed, bps', color: theme.down, band: true, ...dislocationBps }], 'how far exchanges are crossed, in 1/10,000 of the mid')
  drawAcross(instrument)
  drawBars(bars.reduce((most, each) => most === undefined || each.t.length > most.t.length ? each : most, undefined))
  const figure = figureOf('heat')
  figure.show(heat !== undefined)
  if (heat !== undefined) drawn.push(heatMap(figure.plot, figure.reading, heat, mid, data.originUs))
}

/** The same instrument on every exchange that has it. */
function drawAcross({ name }) {
  const same = data.instruments.filter((other) => other.name === name && other.mid)
  const all = same.map(({ exchange, mid }, index) => ({ label: exchange, color: PALETTE[index % PALETTE.length], t: mid.t, last: mid.last, breaks: mid.breaks }))
  lines('across', all.length > 1 ? all : [], name + ', mid by exchange')
}

function drawBars(series) {
  const figure = figureOf('bars')
  figure.show(series !== undefined && series.t.length > 0)
  if (series === undefined || series.t.length === 0) return
  figure.note(series.label + (series.label.includes(',') ? '' : ', ' + durationText(series.widthMs)))
  drawn.push(candleChart(figure.plot, series, data.originUs))
}

function lines(id, wanted, note) {
  const series = wanted.filter((each) => each && each.t.length > 0)
  const figure = figureOf(id)
  figure.show(series.length > 0)
  if (series.length === 0) return
  figure.note(note)
  drawn.push(lineChart(figure.plot, series, data.originUs))
}

function drawProcess({ cpu, rssMb, loopMs }) {
  lines('cpu', [cpu && { label: 'CPU, %', color: theme.accent, ...cpu }], '% of one core')
  lines('rss', [rssMb && { label: 'memory, MB', color: theme.accent, ...rssMb }], 'resident, MB')
  lines('loop', [loopMs && { label: 'p99, ms', color: theme.accent, ...loopMs }], 'p99 of each sample, ms')
}

function fillPick() {
  const sorted = data.instruments.map((instrument, index) => ({ ...instrument, index }))
  sorted.sort((left, right) => left.name < right.name ? -1 : left.name > right.name ? 1 : left.exchange < right.exchange ? -1 : 1)
  for (const { name, exchange, index } of sorted) {
    const option = document.createElement('option')
    option.value = String(index)
    option.textContent = name + ' on ' + exchange
    pick.append(option)
  }
  const liveliest = sorted.reduce((most, each) => most === undefined || each.values > most.values ? each : most, undefined)
  if (liveliest !== undefined) pick.value = String(liveliest.index)
  const step = (by) => {
    pick.selectedIndex = (pick.selectedIndex + by + pick.length) % pick.length
    draw()
  }
  document.getElementById('before').addEventListener('click', () => step(-1))
  document.getElementById('next').addEventListener('click', () => step(1))
  pick.addEventListener('change', draw)
}

fillPick()
draw()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
// Paper is light.
addEventListener('beforeprint', () => { root.dataset.theme = 'light'; draw() })
addEventListener('afterprint', () => { delete root.dataset.theme; draw() })
})()`
