/** The chosen instrument: the ladder of its book, and the depth of the book since it was first chosen. */
import { HeatCanvas } from '../../page/browser/heatCanvas'
import { HeatMap } from '../../page/heatMap'
import { Series } from '../../page/series'
import type { BookPart } from '../liveFormat'
import { element, section, setAttribute, setText } from './dom'
import { decimalsOf, type LiveState, type Row } from './liveState'
import { fixedText, spreadBpsOf } from './texts'

/** Levels of a side that the ladder shows. */
const LEVELS = 12
/** Points of the line of mids. */
const POINTS = 600
/** Instruments whose heat maps are kept: one that is chosen again goes on where it was left. */
const TRACKS_MAX = 6
const DRAW_EVERY_MS = 500

interface LadderRow {
  readonly element: HTMLTableRowElement
  readonly bid: HTMLTableCellElement
  readonly price: HTMLTableCellElement
  readonly ask: HTMLTableCellElement
}

/** What is remembered of a book while it is watched. */
class Track {
  readonly heat = new HeatMap()
  readonly mid = new Series(POINTS)
  priceDecimals = 0
  sizeDecimals = 0
  lastUs = NaN

  take({ receiveTimeUs, bids, asks, live }: BookPart, nowUs: number): void {
    if (!live || receiveTimeUs === null) {
      this.silence(nowUs)
      return
    }
    this.lastUs = receiveTimeUs
    const copySide = (side: 'bids' | 'asks', prices: Float64Array, sizes: Float64Array, n: number): number => {
      const levels = side === 'bids' ? bids : asks
      const count = Math.min(n, levels.length / 2)
      for (let at = 0; at < count; at++) {
        prices[at] = levels[2 * at]!
        sizes[at] = levels[2 * at + 1]!
      }
      return count
    }
    this.heat.see({ receiveTimeUs, copySide })
    if (bids.length > 0 && asks.length > 0) this.mid.add(receiveTimeUs, (bids[0]! + asks[0]!) / 2)
    for (const side of [bids, asks]) {
      for (let at = 0; at < Math.min(side.length, 2 * LEVELS); at += 2) {
        this.priceDecimals = Math.max(this.priceDecimals, decimalsOf(side[at]!))
        this.sizeDecimals = Math.max(this.sizeDecimals, Math.min(8, decimalsOf(side[at + 1]!)))
      }
    }
  }

  silence(timeUs: number): void {
    this.heat.silence(timeUs)
    this.mid.cut()
  }
}

export class Book {
  readonly element: HTMLElement
  private readonly title = element('p', { class: 'chosen' }, 'None is chosen.')
  private readonly why = element('p', { class: 'why' })
  private readonly rows: LadderRow[] = []
  private readonly spread = element('td', { colspan: '3', class: 'spread' })
  private readonly plot = element('div', { class: 'plot' })
  private readonly reading = element('div', { class: 'reading' })
  private canvas: HeatCanvas | undefined
  private readonly tracks = new Map<string, Track>()
  private track: Track | undefined
  private chosen: string | undefined
  private shown: BookPart | undefined
  private drawnAtMs = -Infinity

  constructor() {
    const body = element('tbody')
    for (let at = 0; at < 2 * LEVELS; at++) {
      if (at === LEVELS) body.append(element('tr', { class: 'middle' }, this.spread))
      const row = {
        bid: element('td', { class: 'size bid' }),
        price: element('td', { class: 'price' }),
        ask: element('td', { class: 'size ask' }),
      }
      const line = element('tr', { class: at < LEVELS ? 'ask' : 'bid' }, row.bid, row.price, row.ask)
      this.rows.push({ element: line, ...row })
      body.append(line)
    }
    const heads = ['bid size', 'price', 'ask size'].map((title) => element('th', { scope: 'col' }, title))
    const ladder = element(
      'table',
      { class: 'ladder', 'aria-label': 'Depth ladder' },
      element('thead', {}, element('tr', {}, ...heads)),
      body,
    )
    const figure = element(
      'figure',
      { class: 'heat' },
      element('figcaption', {}, 'Depth by price over time ', element('small', {}, 'the line is the mid')),
      this.plot,
      this.reading,
    )
    const parts = element('div', { class: 'book-parts' }, ladder, figure)
    this.element = section('book', 'Book', this.title, this.why, parts)
  }

  /** Another instrument. */
  choose(row: Row): void {
    const key = `${row.exchange} ${row.name}`
    if (key === this.chosen) return
    const track = this.tracks.get(key) ?? new Track()
    this.tracks.delete(key)
    this.tracks.set(key, track)
    for (const oldest of this.tracks.keys()) {
      if (this.tracks.size <= TRACKS_MAX) break
      this.tracks.delete(oldest)
    }
    // What becomes of the one before is not watched any more.
    if (this.track !== undefined) this.track.silence(this.track.lastUs)
    this.track = track
    this.chosen = key
    this.shown = undefined
    this.canvas?.destroy()
    this.canvas = undefined
    this.drawnAtMs = -Infinity
    setText(this.title, `${row.name} on ${row.exchange}`)
    this.fillLadder(undefined)
    this.explain(undefined)
  }

  /** Another run: what was drawn of the one before is no part of it. */
  forget(): void {
    this.tracks.clear()
    this.track = undefined
    this.chosen = undefined
    this.shown = undefined
    this.canvas?.destroy()
    this.canvas = undefined
    setText(this.title, 'None is chosen.')
    this.fillLadder(undefined)
    this.explain(undefined)
  }

  /** While the connection was lost nothing was known. */
  interrupted(): void {
    this.track?.silence(this.track.lastUs)
  }

  repaint(): void {
    this.drawnAtMs = -Infinity
    this.draw()
  }

  show({ book, atMs }: LiveState): void {
    if (book === undefined || `${book.exchange} ${book.name}` !== this.chosen) return
    if (book !== this.shown) {
      this.shown = book
      this.track?.take(book, atMs * 1_000)
      this.fillLadder(book)
      this.explain(book)
    }
    this.draw()
  }

  private explain(book: BookPart | undefined): void {
    setText(
      this.why,
      book === undefined || book.live
        ? ''
        : book.kept
          ? 'The book cannot vouch for itself: it is being repaired, and shows nothing.'
          : 'No stage of this pipeline keeps a book of it: there is nothing to show.',
    )
  }

  private fillLadder(book: BookPart | undefined): void {
    const { bids = [], asks = [] } = book ?? {}
    const sizes = [bids, asks].flatMap((side) => side.filter((_, at) => at % 2 === 1 && at < 2 * LEVELS))
    const most = Math.max(0, ...sizes)
    for (let at = 0; at < LEVELS; at++) {
      this.fillLevel(this.rows[LEVELS - 1 - at]!, asks, at, most, 'ask')
      this.fillLevel(this.rows[LEVELS + at]!, bids, at, most, 'bid')
    }
    const [bid = null, ask = null] = [bids[0], asks[0]]
    const bps = spreadBpsOf(bid, ask)
    const decimals = this.track?.priceDecimals ?? 0
    setText(
      this.spread,
      bps === undefined || bid === null || ask === null
        ? '–'
        : `mid ${fixedText((bid + ask) / 2, decimals + 1)}   ${fixedText(ask - bid, decimals)}   ${bps.toFixed(2)} bp`,
    )
  }

  private fillLevel(row: LadderRow, levels: readonly number[], at: number, most: number, side: 'bid' | 'ask'): void {
    const price = levels[2 * at]
    const size = levels[2 * at + 1]
    const { priceDecimals = 0, sizeDecimals = 0 } = this.track ?? {}
    setText(row.price, price === undefined ? '' : fixedText(price, priceDecimals))
    const cell = side === 'bid' ? row.bid : row.ask
    setText(cell, size === undefined ? '' : fixedText(size, sizeDecimals))
    const share = size === undefined || most === 0 ? 0 : size / most
    cell.style.setProperty('--share', `${(share * 100).toFixed(1)}%`)
  }

  private draw(): void {
    const { track, shown } = this
    const now = performance.now()
    if (track === undefined || shown === undefined || now - this.drawnAtMs < DRAW_EVERY_MS) return
    this.drawnAtMs = now
    const originUs = Math.floor((track.lastUs || 0) / 1e9) * 1e9
    const heat = track.heat.columns(originUs, track.lastUs)
    if (heat === undefined) return
    this.canvas ??= new HeatCanvas(this.plot, this.reading)
    this.canvas.show(heat, track.mid.columns(originUs), originUs)
    setAttribute(this.plot, 'data-columns', String(heat.t.length))
  }
}
