/** Of the page's script: colours, texts, and the charts that uPlot draws. */
export const LINES_SCRIPT = String.raw`
const PALETTE = ['#1f77b4', '#ff7f0e', '#2ca02c', '#d62728', '#9467bd', '#17becf', '#e377c2', '#bcbd22']
const theme = {}

function readTheme() {
  const style = getComputedStyle(document.documentElement)
  for (const name of ['paper', 'panel', 'ink', 'muted', 'line', 'grid', 'accent', 'band', 'up', 'down', 'point', 'heat-line']) {
    theme[name] = style.getPropertyValue('--' + name).trim()
  }
  theme.isDark = matchMedia('(prefers-color-scheme: dark)').matches && document.documentElement.dataset.theme !== 'light'
}

function numberText(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  const text = String(Number(value.toPrecision(10)))
  return text.includes('e-') ? value.toFixed(14).replace(/0+$/, '') : text
}

function durationText(ms) {
  const units = [['d', 86400000], ['h', 3600000], ['min', 60000], ['s', 1000], ['ms', 1]]
  const [unit, length] = units.find(([, each]) => ms >= each) ?? units[4]
  return numberText(Number((ms / length).toPrecision(3))) + ' ' + unit
}

/** In UTC; no more digits than steps of so many seconds need. */
function clockText(seconds, step) {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return '–'
  const iso = date.toISOString()
  if (step < 1) return iso.slice(11, 23)
  if (step < 60) return iso.slice(11, 19)
  if (step < 86400) return iso.slice(11, 16)
  return iso.slice(5, 10)
}

function timeAxis() {
  return {
    ...axisColors(),
    space: 90,
    values: (_, splits, __, ___, step) => splits.map((split, index) => {
      const text = clockText(split, step)
      const day = new Date(split * 1000).toISOString().slice(0, 10)
      const isNewDay = index === 0 || new Date(splits[index - 1] * 1000).toISOString().slice(0, 10) !== day
      return isNewDay && step < 86400 ? text + '\n' + day : text
    }),
  }
}

function valueAxis() {
  return {
    ...axisColors(),
    values: (_, splits) => splits.map(numberText),
    size: (chart, values) => values === null ? 50 : 16 + Math.max(30, ...values.map((text) => text.length * 7)),
  }
}

function axisColors() {
  return { stroke: theme.muted, grid: { stroke: theme.grid, width: 1 }, ticks: { stroke: theme.line, width: 1 }, font: '11px system-ui, sans-serif' }
}

/** What a legend says: the value under the cursor; while there is none, the last one. */
function readings(textOf) {
  return (chart, value, index, at) => {
    const known = at === null || at === undefined ? chart.data[index].findLast((each) => each !== null && each !== undefined) : value
    return known === null || known === undefined ? '–' : textOf(known)
  }
}

function timeSeries() {
  return { label: 'UTC', value: readings((seconds) => new Date(seconds * 1000).toISOString().slice(0, 23).replace('T', ' ')) }
}

function heightOf(box) {
  return box.dataset.height === undefined ? 230 : Number(box.dataset.height)
}

/** A chart of uPlot that keeps to the width of its box. */
function plotIn(box, options, columns) {
  box.replaceChildren()
  const size = () => ({ width: Math.max(200, box.clientWidth), height: heightOf(box) })
  const chart = new uPlot({ ...size(), tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'), ...options }, columns, box)
  const watcher = new ResizeObserver(() => {
    const { width, height } = size()
    if (width !== chart.width) chart.setSize({ width, height })
  })
  watcher.observe(box)
  return { destroy() { watcher.disconnect(); chart.destroy() } }
}

function secondsOf(t, originUs) {
  return t.map((ms) => originUs / 1e6 + ms / 1000)
}

/** A range with room around it, also where all values are the same. */
function withRoom(low, high) {
  if (low === null || high === null) return [0, 1]
  const room = (high - low) * 0.08 || Math.abs(high) * 0.001 || 1
  return [low - room, high + room]
}

/** A line with nothing in the middle of the times of which nothing was known. */
function broken({ breaks, t, ...values }) {
  if (breaks === undefined) return { t, ...values }
  const filled = (column, between) => {
    const out = column.slice(0, breaks[0])
    breaks.forEach((at, index) => { out.push(between(at)); out.push(...column.slice(at, breaks[index + 1])) })
    return out
  }
  const others = Object.entries(values).map(([name, column]) => [name, Array.isArray(column) ? filled(column, () => null) : column])
  return { t: filled(t, (at) => (t[at - 1] + t[at]) / 2), ...Object.fromEntries(others) }
}

/** Lines over time, each with its own times; those with extremes are shaded from low to high. */
function lineChart(box, all, originUs) {
  const tables = []
  const series = [timeSeries()]
  const bands = []
  for (const { label, color, points, band, ...line } of all) {
    const { t, low, high, last } = broken(line)
    const x = secondsOf(t, originUs)
    const isSparse = t.length < 60
    const value = readings(numberText)
    series.push(points
      ? { label, stroke: color, paths: () => null, points: { show: true, size: t.length > 200 ? 3 : 5, fill: color, width: 0 }, value }
      : { label, stroke: color, width: 1.5, points: { show: isSparse, size: 4 }, value })
    if (band && low !== undefined) {
      tables.push([x, last, high, low])
      bands.push({ series: [series.length, series.length + 1], fill: theme.band })
      const edge = { stroke: theme.band, width: 0, points: { show: false }, value }
      series.push({ label: 'high', ...edge }, { label: 'low', ...edge })
    } else tables.push([x, last])
  }
  const columns = tables.length === 1 ? tables[0] : uPlot.join(tables)
  return plotIn(box, {
    series, bands,
    axes: [timeAxis(), valueAxis()],
    scales: {
      x: { range: (_, low, high) => columns[0].length === 1 ? [columns[0][0] - 1, columns[0][0] + 1] : [low, high] },
      y: { range: (_, low, high) => withRoom(low, high) },
    },
    cursor: { sync: { key: 'time' }, points: { size: 6 } },
  }, columns)
}

/** Open, high, low and close as candles, with the volume below. */
function candleChart(box, bars, originUs) {
  const columns = [secondsOf(bars.t, originUs), bars.open, bars.high, bars.low, bars.close, bars.volume]
  const width = bars.widthMs / 1000
  const hasVolume = bars.volume.some((volume) => volume > 0)
  const hidden = (label) => ({ label, stroke: theme.ink, paths: () => null, points: { show: false }, value: readings(numberText) })
  const colorOf = (at) => bars.close[at] >= bars.open[at] ? theme.up : theme.down
  const drawCandles = (chart) => {
    const { ctx } = chart
    const body = Math.max(1, Math.abs(chart.valToPos(columns[0][0] + width, 'x', true) - chart.valToPos(columns[0][0], 'x', true)) * 0.7)
    ctx.save()
    ctx.beginPath()
    ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height)
    ctx.clip()
    const [from, to] = chart.series[0].idxs
    for (let at = from; at <= to; at++) {
      const x = chart.valToPos(columns[0][at] + width / 2, 'x', true)
      const [open, high, low, close] = [1, 2, 3, 4].map((column) => chart.valToPos(columns[column][at], 'y', true))
      ctx.fillStyle = colorOf(at)
      ctx.fillRect(Math.round(x) - 0.5 * devicePixelRatio, high, devicePixelRatio, Math.max(1, low - high))
      ctx.fillRect(x - body / 2, Math.min(open, close), body, Math.max(devicePixelRatio, Math.abs(open - close)))
      if (!hasVolume) continue
      const top = chart.valToPos(bars.volume[at], 'volume', true)
      ctx.globalAlpha = 0.3
      ctx.fillRect(x - body / 2, top, body, chart.bbox.top + chart.bbox.height - top)
      ctx.globalAlpha = 1
    }
    ctx.restore()
  }
  const padded = (low, high) => {
    const [from, to] = withRoom(low, high)
    return [from - (hasVolume ? (to - from) * 0.25 : 0), to]
  }
  return plotIn(box, {
    series: [timeSeries(), hidden('open'), hidden('high'), hidden('low'), hidden('close'), { ...hidden('volume'), scale: 'volume' }],
    axes: [timeAxis(), valueAxis()],
    scales: {
      x: { range: (_, low, high) => columns[0].length === 1 ? [columns[0][0] - width, columns[0][0] + 2 * width] : [low - width / 2, high + width * 1.5] },
      y: { range: (_, low, high) => padded(low, high) },
      volume: { range: (_, low, high) => [0, (high || 1) * 4.5] },
    },
    cursor: { points: { show: false } },
    hooks: { draw: [drawCandles] },
  }, columns)
}
`
