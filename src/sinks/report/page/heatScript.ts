import { SHADES } from '../heatMap'

/** Of the page's script: the depth of a book over time and price, on a canvas of its own. */
export const HEAT_SCRIPT = String.raw`
const SHADES = '${SHADES}'
const HEAT_COLORS = {
  light: ['#dceaf7', '#a9cfe8', '#62a8d4', '#2f7fbd', '#125597', '#082f66'],
  dark: ['#2a1650', '#5b1a7d', '#9a2f80', '#dd4a69', '#fd9b6b', '#fcfdbf'],
}

/** Colour of each shade as [red, green, blue], between the stops. */
function shadeColors() {
  const stops = (theme.isDark ? HEAT_COLORS.dark : HEAT_COLORS.light).map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)))
  return Array.from(SHADES, (_, shade) => {
    const place = (shade / (SHADES.length - 1)) * (stops.length - 1)
    const left = Math.min(stops.length - 2, Math.floor(place))
    return stops[left].map((from, part) => Math.round(from + (stops[left + 1][part] - from) * (place - left)))
  })
}

/** One pixel for each cell; empty cells are clear. */
function heatImage(heat, columns) {
  const image = new ImageData(columns, heat.rows)
  const colors = shadeColors()
  heat.t.forEach((t, index) => {
    const x = Math.round((t - heat.t[0]) / heat.widthMs)
    for (let at = 0; at < heat.shades[index].length; at++) {
      const shade = SHADES.indexOf(heat.shades[index][at])
      if (shade === 0) continue
      const row = heat.rows - 1 - heat.from[index] - at
      for (let column = x; column < x + heat.spans[index]; column++) image.data.set([...colors[shade], 255], (row * columns + column) * 4)
    }
  })
  const canvas = document.createElement('canvas')
  canvas.width = columns
  canvas.height = heat.rows
  canvas.getContext('2d').putImageData(image, 0, 0)
  return canvas
}

/** A step of 1, 2 or 5 times a power of ten that cuts a length into at most so many parts. */
function stepOf(length, parts) {
  const least = length / parts
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least)
}

function timeStepOf(seconds, parts) {
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
  return steps.find((step) => seconds / step <= parts) ?? Math.ceil(seconds / parts / 86400) * 86400
}

function heatMap(box, reading, heat, mid, originUs) {
  const canvas = document.createElement('canvas')
  canvas.className = 'heat'
  canvas.tabIndex = 0
  canvas.setAttribute('role', 'img')
  canvas.setAttribute('aria-label', 'Depth of the book by time and price. Arrow keys move a reading point.')
  box.replaceChildren(canvas)
  const columns = Math.round((heat.t.at(-1) - heat.t[0]) / heat.widthMs) + heat.spans.at(-1)
  const image = heatImage(heat, columns)
  const fromMs = heat.t[0]
  const lengthMs = columns * heat.widthMs
  const height = heat.rows * heat.rowPrice
  /** Where the reading point is, as column and row. */
  let point

  const area = () => {
    const left = Math.max(52, 14 + 7 * Math.max(...priceSplits().map((price) => numberText(price).length)))
    return { left, top: 6, width: Math.max(10, canvas.clientWidth - left - 8), height: Math.max(10, canvas.clientHeight - 46) }
  }

  const priceSplits = () => {
    const step = stepOf(height, 7)
    const splits = []
    for (let price = Math.ceil(heat.lowestPrice / step) * step; price <= heat.lowestPrice + height; price += step) splits.push(Number(price.toPrecision(10)))
    return splits
  }

  const paint = () => {
    const ratio = devicePixelRatio
    canvas.width = Math.round(canvas.clientWidth * ratio)
    canvas.height = Math.round(canvas.clientHeight * ratio)
    const ctx = canvas.getContext('2d')
    ctx.scale(ratio, ratio)
    ctx.font = '11px system-ui, sans-serif'
    const place = area()
    const xOf = (ms) => place.left + ((ms - fromMs) / lengthMs) * place.width
    const yOf = (price) => place.top + (1 - (price - heat.lowestPrice) / height) * place.height
    ctx.strokeStyle = theme.grid
    ctx.fillStyle = theme.muted
    ctx.textAlign = 'right'
    ctx.textBaseline = 'middle'
    for (const price of priceSplits()) {
      ctx.fillText(numberText(price), place.left - 8, yOf(price))
      ctx.strokeRect(place.left, yOf(price), place.width, 0)
    }
    paintTimes(ctx, place, xOf)
    ctx.imageSmoothingEnabled = false
    ctx.drawImage(image, place.left, place.top, place.width, place.height)
    ctx.beginPath()
    ctx.rect(place.left, place.top, place.width, place.height)
    ctx.strokeStyle = theme.line
    ctx.stroke()
    ctx.clip()
    if (mid !== undefined) {
      ctx.beginPath()
      const breaks = new Set(mid.breaks)
      mid.t.forEach((ms, at) => ctx[breaks.has(at) ? 'moveTo' : 'lineTo'](xOf(ms), yOf(mid.last[at])))
      ctx.strokeStyle = theme['heat-line']
      ctx.lineWidth = 1.3
      ctx.stroke()
    }
    if (point !== undefined) {
      ctx.strokeStyle = theme.ink
      ctx.lineWidth = 1
      ctx.strokeRect(xOf(fromMs + (point.column + 0.5) * heat.widthMs), place.top - 1, 0, place.height + 2)
      ctx.strokeRect(place.left - 1, yOf(heat.lowestPrice + (point.row + 0.5) * heat.rowPrice), place.width + 2, 0)
    }
  }

  const paintTimes = (ctx, place, xOf) => {
    ctx.textAlign = 'center'
    ctx.textBaseline = 'top'
    const step = timeStepOf(lengthMs / 1000, Math.max(2, place.width / 110))
    const begin = originUs / 1e6 + fromMs / 1000
    let day
    for (let at = Math.ceil(begin / step) * step; at <= begin + lengthMs / 1000; at += step) {
      const x = xOf((at - originUs / 1e6) * 1000)
      if (x < place.left + 20 || x > place.left + place.width - 20) continue
      ctx.fillText(clockText(at, step), x, place.top + place.height + 6)
      const date = new Date(at * 1000).toISOString().slice(0, 10)
      if (date !== day && step < 86400) ctx.fillText(date, x, place.top + place.height + 20)
      day = date
      ctx.strokeRect(x, place.top, 0, place.height + 4)
    }
  }

  const tell = () => {
    if (point === undefined) {
      reading.textContent = 'Size from ' + numberText(Number(heat.sizeMin.toPrecision(3))) + ' (faint) to ' + numberText(Number(heat.sizeMax.toPrecision(3))) + ' (dark); a column is ' + durationText(heat.widthMs) + ', a row ' + numberText(heat.rowPrice) + '. Point, or use the arrow keys, to read a cell.'
      return
    }
    const index = heat.t.findIndex((t, at) => {
      const column = Math.round((t - fromMs) / heat.widthMs)
      return column <= point.column && point.column < column + heat.spans[at]
    })
    const shade = index < 0 ? 0 : Math.max(0, SHADES.indexOf(heat.shades[index][point.row - heat.from[index]] ?? SHADES[0]))
    const size = shade === 0 ? 'nothing' : 'about ' + numberText(Number((heat.sizeMin * (heat.sizeMax / heat.sizeMin) ** ((shade - 1) / (SHADES.length - 2))).toPrecision(3)))
    const price = heat.lowestPrice + point.row * heat.rowPrice
    const when = new Date(originUs / 1000 + fromMs + point.column * heat.widthMs).toISOString().slice(0, 23).replace('T', ' ')
    reading.textContent = when + '  ·  ' + numberText(price) + ' to ' + numberText(price + heat.rowPrice) + '  ·  ' + size
  }

  const pointTo = (column, row) => {
    point = { column: Math.max(0, Math.min(columns - 1, column)), row: Math.max(0, Math.min(heat.rows - 1, row)) }
    paint()
    tell()
  }

  canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => {
    const place = area()
    pointTo(Math.floor(((offsetX - place.left) / place.width) * columns), Math.floor((1 - (offsetY - place.top) / place.height) * heat.rows))
  })
  canvas.addEventListener('pointerleave', () => { point = undefined; paint(); tell() })
  canvas.addEventListener('keydown', (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
    const move = moves[event.key]
    if (move === undefined) return
    event.preventDefault()
    const { column, row } = point ?? { column: columns - 1, row: Math.floor(heat.rows / 2) }
    pointTo(column + move[0], row + move[1])
  })
  const watcher = new ResizeObserver(paint)
  watcher.observe(box)
  paint()
  tell()
  return { destroy() { watcher.disconnect(); canvas.remove() } }
}
`
