/**
 * A picture of a moment, fitted to the window: what stands above every page, the page that was chosen, and what the keys do.
 *
 * Cost  bounded by the window, apart from choosing rows by a filter
 */
import { countLines, faultLines, stageLines } from './faultsPage'
import { heading } from './heading'
import { helpLines } from './helpPage'
import type { Line } from './line'
import { marketListing } from './marketPage'
import { edgeLines, pipelineLines } from './pipelinePage'
import type { Moment } from './readings'
import { PAGES, scrolledTo, type ViewState } from './viewState'

export interface Window {
  readonly columns: number
  readonly rows: number
}

export interface Picture {
  readonly lines: readonly Line[]
  /** As chosen, scrolled no further than there are lines. */
  readonly state: ViewState
  /** Lines of the page that are in the window. */
  readonly pageLines: number
}

export interface PictureOptions {
  readonly window: Window
  /** A sentence above the page; none where it is empty. */
  readonly sentence: string
  /** Somebody may press keys: what they do is said in the last line. */
  readonly keys: boolean
}

export function picture(moment: Moment, state: ViewState, options: PictureOptions): Picture {
  const { window, sentence, keys } = options
  const { columns, rows } = window
  const head = heading(moment, columns, rows < SMALL_ROWS ? Math.ceil(rows / 4) : Math.max(3, Math.floor(rows / 4)))
  if (sentence !== '') head.push([[sentence, 'yellow']])
  const foot = keys && rows > head.length + 3 ? 1 : 0
  const room = Math.max(0, rows - head.length - foot)
  const page = chosenPage(moment, state, { columns, rows: room }, keys)
  const body = page.lines.slice(0, room)
  while (foot > 0 && body.length < room) body.push([])
  const lines = [...head, ...body, ...(foot > 0 ? [footer(state, page, columns)] : [])]
  return {
    lines: lines.slice(0, rows),
    state: state.isHelp ? state : scrolledTo(state, page.from),
    pageLines: Math.max(1, page.to - page.from),
  }
}

/** What of a page is in the window. */
interface Shown {
  readonly lines: Line[]
  /** Of the lines, or rows, that can be scrolled. */
  readonly from: number
  readonly to: number
  readonly count: number
}

function chosenPage(moment: Moment, state: ViewState, window: Window, keys: boolean): Shown {
  if (state.isHelp) return pageOf(helpLines(window.columns), 0, window.rows - 1)
  switch (state.page) {
    case 'market':
      return marketPage(moment, state, window, keys)
    case 'pipeline':
      return pageOf(pipelineLines(moment, window.columns), state.scrolled.pipeline, window.rows - 1)
    case 'faults':
      return pageOf(faultLines(moment, window.columns), state.scrolled.faults, window.rows - 1)
  }
}

/** Lines below an empty one. */
function pageOf(all: readonly Line[], scrolled: number, room: number): Shown {
  const from = clamped(scrolled, all.length, room)
  const to = Math.min(all.length, from + Math.max(0, room))
  return { lines: [[], ...all.slice(from, to)], from, to, count: all.length }
}

function clamped(wanted: number, count: number, room: number): number {
  return Math.max(0, Math.min(wanted, count - Math.max(1, room)))
}

/** Above the rows stand an empty line and the titles. */
const ABOVE_ROWS = 2
const EDGES_LEAST = 3
/** Windows of fewer lines have to do with less above the page. */
const SMALL_ROWS = 10
/** Windows of fewer columns have no room to say what other pages there are. */
const NARROW_COLUMNS = 64

/** Instruments, and below them what waits, which stages failed, and the faults, where there is room. */
function marketPage(moment: Moment, state: ViewState, { columns, rows }: Window, keys: boolean): Shown {
  const { status } = moment
  const listing = marketListing(moment, { text: state.filter, troubled: state.troubled }, columns)
  const isTight = rows < ROOMY
  const faults = countLines(status, columns)
  const tail = isTight ? faults.slice(0, rows > 6 ? 1 : 0) : [...stageLines(status, columns), ...spaced(faults)]
  const edges = isTight ? [] : edgeLines(moment, columns)
  // The market comes first: edges are left out before instruments are, those in which nothing waits before the others.
  let room = rows - ABOVE_ROWS - tail.length
  const edgesShown = edges.length === 0 ? [] : edges.slice(0, 1 + Math.max(EDGES_LEAST, room - listing.count - 2))
  room -= edgesShown.length === 0 ? 0 : edgesShown.length + 1
  room = Math.max(1, room)
  const from = clamped(state.scrolled.market, listing.count, room)
  const to = Math.min(listing.count, from + room)
  const shown = listing.lines(from, to)
  const hidden = listing.count - to
  // Where nobody can scroll it is said; else the last line says where one is.
  if (hidden > 0 && !keys) shown.splice(-1, 1, [[`… ${hidden + 1} more`, 'dim']])
  if (listing.count === 0) shown.push([[nothingShown(state), 'dim']])
  const lines: Line[] = [[], listing.titles, ...shown, ...spaced(edgesShown), ...tail]
  return { lines, from, to, count: listing.count }
}

/** Fewer lines than this are for the market alone. */
const ROOMY = 14

function nothingShown({ filter, troubled }: ViewState): string {
  if (filter !== '') return `Nothing is named like ${JSON.stringify(filter)}.`
  return troubled ? 'Every book is live and fresh.' : 'Nothing has been received yet.'
}

function spaced(lines: readonly Line[]): Line[] {
  return lines.length === 0 ? [] : [[], ...lines]
}

function footer(state: ViewState, { from, to, count }: Shown, columns: number): Line {
  if (state.isTyping)
    return [['show only: ', 'bold'], state.filter, [' ', 'inverse'], ['  Enter keeps it, Esc takes it away', 'dim']]
  if (state.isHelp) return [['any key: back', 'dim']]
  const isNarrow = columns < NARROW_COLUMNS
  const pages = PAGES.map((page, index): Line =>
    isNarrow && page !== state.page ? [] : [[` ${index + 1} ${page} `, page === state.page ? 'inverse' : 'dim']],
  ).flat()
  const place = to - from < count ? `  ${from + 1}-${to} of ${count}` : ''
  const filters = [...(state.filter === '' ? [] : [`like ${state.filter}`]), ...(state.troubled ? ['trouble'] : [])]
  return [
    ...pages,
    [place, 'dim'],
    ...(filters.length === 0 ? [] : [[`  ${filters.join(', ')}`, 'yellow'] as const]),
    [isNarrow ? '  ? help' : '  / find  t trouble  q stop  ? help', 'dim'],
  ]
}

/** Instruments in the last picture, which no window limits. */
const ROWS_LEFT_MAX = 100

/** What stays on the terminal when the run is over. */
export function lastPicture(moment: Moment, columns: number): readonly Line[] {
  const { status } = moment
  const listing = marketListing(moment, { text: '', troubled: false }, columns)
  const shown = listing.lines(0, ROWS_LEFT_MAX)
  const hidden = listing.count - shown.length
  return [
    ...heading(moment, columns, Infinity),
    [],
    listing.titles,
    ...shown,
    ...(hidden > 0 ? [[[`… ${hidden} more`, 'dim'] as const]] : []),
    ...spaced(edgeLines(moment, columns)),
    ...stageLines(status, columns),
    ...spaced(countLines(status, columns)),
  ]
}
