import { SHADES, type HeatColumns } from '../heatMap'
import { clockText, dayOf, durationText, numberText, timeText } from '../numbers'
import type { Drawn, LineValues } from './charts'
import { theme } from './theme'

/** From the faintest shade to the darkest. */
const COLORS = {
  light: ['#dceaf7', '#a9cfe8', '#62a8d4', '#2f7fbd', '#125597', '#082f66'],
  dark: ['#2a1650', '#5b1a7d', '#9a2f80', '#dd4a69', '#fd9b6b', '#fcfdbf'],
}

const TIME_STEPS_S = [
  ...[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400],
]

/** A shade of each character of {@link SHADES}. */
const SHADE_OF = new Map(Array.from(SHADES, (letter, shade) => [letter, shade]))

interface Place {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/**
 * The depth of a book over time and price, on a canvas of its own, with a line through the mids. A cell is read with the
 * pointer or with the arrow keys.
 */
export class HeatCanvas implements Drawn {
  private readonly canvas = document.createElement('canvas')
  private readonly image = document.createElement('canvas')
  private readonly watcher = new ResizeObserver(() => this.paint())
  private heat: HeatColumns | undefined
  private mid: LineValues | undefined
  private originUs = 0
  private columns = 0
  /** Where the reading point is. */
  private point: { readonly column: number; readonly row: number } | undefined

  constructor(
    box: HTMLElement,
    private readonly reading: HTMLElement,
  ) {
    const { canvas } = this
    canvas.className = 'heat'
    canvas.tabIndex = 0
    canvas.setAttribute('role', 'img')
    canvas.setAttribute('aria-label', 'Depth of the book by time and price. Arrow keys move a reading point.')
    box.replaceChildren(canvas)
    canvas.addEventListener('pointermove', (event) => this.follow(event))
    canvas.addEventListener('pointerleave', () => this.leave())
    canvas.addEventListener('keydown', (event) => this.step(event))
    this.watcher.observe(box)
  }

  /** Draws another heat map in the place of the one before; the reading point stays. */
  show(heat: HeatColumns, mid: LineValues | undefined, originUs: number): void {
    this.heat = heat
    this.mid = mid
    this.originUs = originUs
    this.columns = Math.round((heat.t.at(-1)! - heat.t[0]!) / heat.widthMs) + heat.spans.at(-1)!
    this.drawImage(heat)
    if (this.point !== undefined) this.pointTo(heat, this.point.column, this.point.row)
    else {
      this.paint()
      this.tell()
    }
  }

  destroy(): void {
    this.watcher.disconnect()
    this.canvas.remove()
  }

  /** One pixel for each cell; empty cells are clear. */
  private drawImage(heat: HeatColumns): void {
    const { columns, image } = this
    image.width = columns
    image.height = heat.rows
    const pixels = new ImageData(columns, heat.rows)
    const cells = new Uint32Array(pixels.data.buffer)
    const colors = shadeColors()
    heat.t.forEach((t, index) => {
      const begin = Math.round((t - heat.t[0]!) / heat.widthMs)
      const end = begin + heat.spans[index]!
      const shades = heat.shades[index]!
      for (let at = 0; at < shades.length; at++) {
        const shade = SHADE_OF.get(shades[at]!) ?? 0
        if (shade === 0) continue
        const row = (heat.rows - 1 - heat.from[index]! - at) * columns
        cells.fill(colors[shade]!, row + begin, row + end)
      }
    })
    image.getContext('2d')!.putImageData(pixels, 0, 0)
  }

  private place(heat: HeatColumns): Place {
    const { clientWidth, clientHeight } = this.canvas
    const left = Math.max(52, 14 + 7 * Math.max(0, ...priceSplits(heat).map((price) => numberText(price).length)))
    return { left, top: 6, width: Math.max(10, clientWidth - left - 8), height: Math.max(10, clientHeight - 46) }
  }

  private paint(): void {
    const { canvas, heat, mid, point } = this
    if (heat === undefined) return
    const ratio = devicePixelRatio
    canvas.width = Math.round(canvas.clientWidth * ratio)
    canvas.height = Math.round(canvas.clientHeight * ratio)
    const ctx = canvas.getContext('2d')!
    ctx.scale(ratio, ratio)
    ctx.font = '11px system-ui, sans-serif'
    const place = this.place(heat)
    const fromMs = heat.t[0]!
    const xOf = (ms: number): number => place.left + ((ms - fromMs) / (this.columns * heat.widthMs)) * place.width
    const yOf = (price: number): number =>
      place.top + (1 - (price - heat.lowestPrice) / (heat.rows * heat.rowPrice)) * place.height
    ctx.strokeStyle = theme.grid
    ctx.fillStyle = theme.muted
    ctx.textAlign = 'right'
    ctx.textBaseline = 'middle'
    for (const price of priceSplits(heat)) {
      ctx.fillText(numberText(price), place.left - 8, yOf(price))
      ctx.strokeRect(place.left, yOf(price), place.width, 0)
    }
    this.paintTimes(ctx, heat, place, xOf)
    ctx.imageSmoothingEnabled = false
    ctx.drawImage(this.image, place.left, place.top, place.width, place.height)
    ctx.beginPath()
    ctx.rect(place.left, place.top, place.width, place.height)
    ctx.strokeStyle = theme.line
    ctx.stroke()
    ctx.clip()
    if (mid !== undefined) {
      ctx.beginPath()
      const breaks = new Set(mid.breaks)
      mid.t.forEach((ms, at) => ctx[breaks.has(at) ? 'moveTo' : 'lineTo'](xOf(ms), yOf(mid.last[at]!)))
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

  private paintTimes(
    ctx: CanvasRenderingContext2D,
    heat: HeatColumns,
    place: Place,
    xOf: (ms: number) => number,
  ): void {
    ctx.textAlign = 'center'
    ctx.textBaseline = 'top'
    const seconds = (this.columns * heat.widthMs) / 1_000
    const step = timeStepOf(seconds, Math.max(2, place.width / 110))
    const origin = this.originUs / 1e6
    const begin = origin + heat.t[0]! / 1_000
    let day: string | undefined
    for (let at = Math.ceil(begin / step) * step; at <= begin + seconds; at += step) {
      const x = xOf((at - origin) * 1_000)
      if (x < place.left + 20 || x > place.left + place.width - 20) continue
      ctx.fillText(clockText(at, step), x, place.top + place.height + 6)
      if (dayOf(at) !== day && step < 86_400) ctx.fillText(dayOf(at), x, place.top + place.height + 20)
      day = dayOf(at)
      ctx.strokeRect(x, place.top, 0, place.height + 4)
    }
  }

  /** Says what is at the reading point; without one, what the shades mean. */
  private tell(): void {
    const { heat, point, reading } = this
    if (heat === undefined) return
    if (point === undefined) {
      reading.textContent = `Size from ${rounded(heat.sizeMin)} (faint) to ${rounded(heat.sizeMax)} (dark); a column is ${durationText(heat.widthMs)}, a row ${numberText(heat.rowPrice)}. Point, or use the arrow keys, to read a cell.`
      return
    }
    const index = heat.t.findIndex((t, at) => {
      const column = Math.round((t - heat.t[0]!) / heat.widthMs)
      return column <= point.column && point.column < column + heat.spans[at]!
    })
    const letter = index < 0 ? undefined : heat.shades[index]![point.row - heat.from[index]!]
    const shade = SHADE_OF.get(letter ?? SHADES[0]!) ?? 0
    const factor = (heat.sizeMax / heat.sizeMin) ** ((shade - 1) / (SHADES.length - 2))
    const size = shade === 0 ? 'nothing' : `about ${rounded(heat.sizeMin * factor)}`
    const price = heat.lowestPrice + point.row * heat.rowPrice
    const when = timeText(this.originUs + (heat.t[0]! + point.column * heat.widthMs) * 1_000)
    reading.textContent = `${when}  ·  ${numberText(price)} to ${numberText(price + heat.rowPrice)}  ·  ${size}`
  }

  private pointTo(heat: HeatColumns, column: number, row: number): void {
    this.point = {
      column: Math.max(0, Math.min(this.columns - 1, column)),
      row: Math.max(0, Math.min(heat.rows - 1, row)),
    }
    this.paint()
    this.tell()
  }

  private follow({ offsetX, offsetY }: PointerEvent): void {
    const { heat, columns } = this
    if (heat === undefined) return
    const { left, top, width, height } = this.place(heat)
    const column = Math.floor(((offsetX - left) / width) * columns)
    this.pointTo(heat, column, Math.floor((1 - (offsetY - top) / height) * heat.rows))
  }

  private leave(): void {
    this.point = undefined
    this.paint()
    this.tell()
  }

  private step(event: KeyboardEvent): void {
    const { heat } = this
    const by = STEPS.get(event.key)
    if (heat === undefined || by === undefined) return
    event.preventDefault()
    event.stopPropagation()
    const { column, row } = this.point ?? { column: this.columns - 1, row: Math.floor(heat.rows / 2) }
    this.pointTo(heat, column + by[0], row + by[1])
  }
}

const STEPS = new Map<string, readonly [columns: number, rows: number]>([
  ['ArrowLeft', [-1, 0]],
  ['ArrowRight', [1, 0]],
  ['ArrowUp', [0, 1]],
  ['ArrowDown', [0, -1]],
])

function rounded(size: number): string {
  return numberText(Number(size.toPrecision(3)))
}

/** Of each shade, between the stops, as a pixel's four bytes. */
function shadeColors(): Uint32Array {
  const stops = (theme.isDark ? COLORS.dark : COLORS.light).map((hex) =>
    [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
  )
  const bytes = new Uint8ClampedArray(SHADES.length * 4)
  for (let shade = 0; shade < SHADES.length; shade++) {
    const place = (shade / (SHADES.length - 1)) * (stops.length - 1)
    const left = Math.min(stops.length - 2, Math.floor(place))
    const [from, to] = [stops[left]!, stops[left + 1]!]
    for (let part = 0; part < 3; part++)
      bytes[shade * 4 + part] = from[part]! + (to[part]! - from[part]!) * (place - left)
    bytes[shade * 4 + 3] = 255
  }
  return new Uint32Array(bytes.buffer)
}

function priceSplits(heat: HeatColumns): number[] {
  const height = heat.rows * heat.rowPrice
  const step = stepOf(height, 7)
  const splits: number[] = []
  const first = Math.ceil(heat.lowestPrice / step) * step
  for (let price = first; price <= heat.lowestPrice + height; price += step) splits.push(Number(price.toPrecision(10)))
  return splits
}

/** A step of 1, 2 or 5 times a power of ten that cuts a length into at most so many parts. */
function stepOf(length: number, parts: number): number {
  const least = length / parts
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least) ?? 10 * power
}

function timeStepOf(seconds: number, parts: number): number {
  return TIME_STEPS_S.find((step) => seconds / step <= parts) ?? Math.ceil(seconds / parts / 86_400) * 86_400
}
