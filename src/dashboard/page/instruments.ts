/**
 * The table of instruments. Of thousands of rows only those in sight are in the page, and of these only what has changed is
 * written. It is gone through with the arrow keys; Enter, or a click, chooses the instrument whose book is shown.
 */
import { countText, NONE } from '../../page/numbers'
import { element, section, setAttribute, setText } from './dom'
import type { LiveState, Row } from './liveState'
import { ageText, fixedText, rateText, spreadBpsOf } from './texts'

interface Column {
  readonly id: string
  readonly title: string
  readonly isNumber: boolean
  readonly text: (row: Row, nowMs: number) => string
  /** What it is sorted by, from the smallest to the largest. */
  readonly order: (row: Row, nowMs: number) => number | string
}

/** Last where there is none. */
const LAST = Infinity

const COLUMNS: readonly Column[] = [
  { id: 'name', title: 'instrument', isNumber: false, text: (row) => row.name, order: (row) => row.name },
  { id: 'exchange', title: 'exchange', isNumber: false, text: (row) => row.exchange, order: (row) => row.exchange },
  { id: 'state', title: 'book', isNumber: false, text: standingOf, order: standingOf },
  {
    id: 'rate',
    title: 'events/s',
    isNumber: true,
    text: (row) => rateText(row.rate.perSecond),
    order: (row) => -row.rate.perSecond,
  },
  {
    id: 'age',
    title: 'last',
    isNumber: true,
    text: (row, nowMs) => (row.lastMs === 0 ? NONE : ageText(nowMs - row.lastMs)),
    order: (row) => row.lastMs || -1,
  },
  {
    id: 'bid',
    title: 'bid',
    isNumber: true,
    text: (row) => fixedText(row.bid, row.decimals),
    order: (row) => (row.bid === null ? LAST : -row.bid),
  },
  {
    id: 'ask',
    title: 'ask',
    isNumber: true,
    text: (row) => fixedText(row.ask, row.decimals),
    order: (row) => (row.ask === null ? LAST : -row.ask),
  },
  {
    id: 'spread',
    title: 'spread bp',
    isNumber: true,
    text: (row) => fixedText(spreadBpsOf(row.bid, row.ask), 2),
    order: (row) => -(spreadBpsOf(row.bid, row.ask) ?? -LAST),
  },
  { id: 'gaps', title: 'gaps', isNumber: true, text: (row) => countText(row.gaps), order: (row) => -row.gaps },
  {
    id: 'resyncs',
    title: 'resyncs',
    isNumber: true,
    text: (row) => countText(row.resyncs),
    order: (row) => -row.resyncs,
  },
  {
    id: 'levels',
    title: 'levels',
    isNumber: true,
    text: ({ bidLevels, askLevels }) => (bidLevels === null ? NONE : `${bidLevels}/${askLevels ?? 0}`),
    order: (row) => -(row.bidLevels ?? -1),
  },
]

/** A book that is live may be of a stream that has fallen silent. */
function standingOf({ state, stale }: Row): string {
  return stale !== '' && state === 'live' ? 'stale' : state
}

const ROW_PX = 27
/** Rows above and below those in sight. */
const MORE = 6
/** Rows that change places all the time cannot be read: their order is looked at this often. */
const SORT_EVERY_MS = 2_000
/** What has not moved for so long is marked. */
const OLD_MS = 10_000

interface ShownRow {
  readonly row: HTMLTableRowElement
  readonly cells: readonly HTMLTableCellElement[]
}

export class Instruments {
  readonly element: HTMLElement
  private readonly filter = element('input', {
    type: 'search',
    id: 'filter',
    placeholder: 'Filter: name, exchange, gap …',
    'aria-label': 'Filter the instruments by name, exchange or state',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: '100',
  })
  private readonly count = element('span', { class: 'count' })
  private readonly view = element('div', { class: 'grid-view' })
  private readonly grid = element('table', {
    role: 'grid',
    tabindex: '0',
    'aria-label': 'Instruments. Arrow keys move, Enter shows the book.',
  })
  private readonly body = element('tbody')
  private readonly above = element(
    'tr',
    { class: 'space', 'aria-hidden': 'true' },
    element('td', { colspan: String(COLUMNS.length) }),
  )
  private readonly below = element(
    'tr',
    { class: 'space', 'aria-hidden': 'true' },
    element('td', { colspan: String(COLUMNS.length) }),
  )
  private readonly heads = new Map<string, HTMLElement>()
  private readonly shown: ShownRow[] = []
  private state: LiveState | undefined
  private listed: Row[] = []
  private sortBy: Column = COLUMNS[0]!
  private isReversed = false
  private sortedAtMs = -Infinity
  /** Rows of the run when the list was made. */
  private known = 0
  private active: Row | undefined
  private chosen: Row | undefined

  constructor(private readonly choose: (row: Row) => void) {
    const head = element('tr', { 'aria-rowindex': '1' })
    for (const column of COLUMNS) head.append(this.headOf(column))
    this.body.append(this.above, this.below)
    this.grid.append(element('thead', {}, head), this.body)
    this.view.append(this.grid)
    const bar = element('div', { class: 'bar' }, this.filter, this.count)
    this.element = section('instruments', 'Instruments', bar, this.view)
    this.view.addEventListener('scroll', () => this.paint(), { passive: true })
    new ResizeObserver(() => this.paint()).observe(this.view)
    this.filter.addEventListener('input', () => this.relist())
    this.filter.addEventListener('keydown', (event) => this.filterKey(event))
    this.grid.addEventListener('keydown', (event) => this.key(event))
    this.body.addEventListener('click', (event) => this.click(event))
  }

  /** @param isFresh  another run: what was chosen is looked for by its name */
  show(state: LiveState, isFresh: boolean): void {
    this.state = state
    if (isFresh) {
      this.active = this.sameOf(this.active)
      this.chosen = this.sameOf(this.chosen)
    }
    if (isFresh || this.isListOld(state)) this.relist()
    else this.paint()
  }

  focusFilter(): void {
    this.filter.focus()
    this.filter.select()
  }

  focus(): void {
    this.grid.focus()
  }

  /** The first in the list, or the liveliest: what is shown before anybody has chosen. */
  liveliest(): Row | undefined {
    const candidates = this.state?.rows.filter(({ state, bidLevels }) => state === 'live' && bidLevels !== null) ?? []
    return candidates.reduce<Row | undefined>(
      (most, row) => (most === undefined || row.rate.perSecond > most.rate.perSecond ? row : most),
      undefined,
    )
  }

  mark(row: Row): void {
    this.chosen = row
    this.active ??= row
    this.paint()
  }

  private headOf(column: Column): HTMLElement {
    const button = element('button', { type: 'button' }, column.title)
    const head = element('th', { scope: 'col', class: classOf(column) }, button)
    this.heads.set(column.id, head)
    button.addEventListener('click', () => {
      this.isReversed = this.sortBy === column && !this.isReversed
      this.sortBy = column
      this.relist()
    })
    return head
  }

  private sameOf(row: Row | undefined): Row | undefined {
    if (row === undefined) return undefined
    return this.state?.rows.find(({ exchange, name }) => exchange === row.exchange && name === row.name)
  }

  private isListOld({ rows }: LiveState): boolean {
    if (rows.length !== this.known) return true
    const isStill = this.sortBy.id === 'name' || this.sortBy.id === 'exchange'
    return (!isStill || this.filter.value !== '') && performance.now() - this.sortedAtMs > SORT_EVERY_MS
  }

  private relist(): void {
    const { state } = this
    if (state === undefined) return
    this.sortedAtMs = performance.now()
    this.known = state.rows.length
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean)
    const nowMs = state.nowMs(this.sortedAtMs)
    const { order } = this.sortBy
    const sign = this.isReversed ? -1 : 1
    this.listed = state.rows
      .filter(({ searched, state: book, stale }) =>
        words.every((word) => searched.includes(word) || book === word || (word === 'stale' && stale !== '')),
      )
      .map((row) => ({ row, by: order(row, nowMs) }))
      .sort((left, right) => sign * compare(left.by, right.by) || byName(left.row, right.row))
      .map(({ row }) => row)
    for (const column of COLUMNS) {
      const sorted = this.sortBy === column ? (this.isReversed ? 'descending' : 'ascending') : 'none'
      setAttribute(this.heads.get(column.id)!, 'aria-sort', sorted)
    }
    setAttribute(this.grid, 'aria-rowcount', String(this.listed.length + 1))
    const all = state.rows.length
    setText(
      this.count,
      this.listed.length === all ? countText(all) : `${countText(this.listed.length)} of ${countText(all)}`,
    )
    this.paint()
  }

  private paint(): void {
    const { state, view, listed } = this
    if (state === undefined) return
    const from = Math.max(0, Math.min(listed.length - 1, Math.floor(view.scrollTop / ROW_PX) - MORE))
    const to = Math.min(listed.length, from + Math.ceil(view.clientHeight / ROW_PX) + 2 * MORE)
    this.space(this.above, from)
    this.space(this.below, listed.length - to)
    while (this.shown.length > to - from) this.shown.pop()!.row.remove()
    const nowMs = state.nowMs(performance.now())
    let active = ''
    for (let at = from; at < to; at++) {
      const row = listed[at]!
      const shown = this.shown[at - from] ?? this.addShown()
      this.fill(shown, row, at, nowMs)
      if (row === this.active) active = shown.row.id
    }
    setAttribute(this.grid, 'aria-activedescendant', active)
  }

  private fill({ row: tr, cells }: ShownRow, row: Row, at: number, nowMs: number): void {
    setAttribute(tr, 'aria-rowindex', String(at + 2))
    setAttribute(tr, 'data-at', String(at))
    setAttribute(tr, 'aria-selected', String(row === this.chosen))
    setAttribute(tr, 'class', row === this.active ? 'active' : '')
    setAttribute(tr, 'data-book', standingOf(row))
    setAttribute(tr, 'title', row.stale === '' ? '' : `stale: ${row.stale}`)
    setAttribute(tr, 'data-old', String(row.lastMs > 0 && nowMs - row.lastMs > OLD_MS))
    COLUMNS.forEach((column, index) => setText(cells[index]!, column.text(row, nowMs)))
  }

  private addShown(): ShownRow {
    const cells = COLUMNS.map((column) => element('td', { role: 'gridcell', class: classOf(column) }))
    const added = { row: element('tr', { id: `row-${this.shown.length}` }, ...cells), cells }
    this.body.insertBefore(added.row, this.below)
    this.shown.push(added)
    return added
  }

  private space(row: HTMLTableRowElement, rows: number): void {
    row.hidden = rows <= 0
    row.cells[0]!.style.height = `${Math.max(0, rows) * ROW_PX}px`
  }

  private filterKey(event: KeyboardEvent): void {
    if (event.key === 'Escape' && this.filter.value !== '') {
      event.stopPropagation()
      this.filter.value = ''
      this.relist()
    } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
      event.preventDefault()
      this.active = this.listed[0]
      this.view.scrollTop = 0
      this.paint()
      this.grid.focus()
      if (event.key === 'Enter' && this.active !== undefined) this.choose(this.active)
    }
  }

  private key(event: KeyboardEvent): void {
    if (event.target !== this.grid) return
    const page = Math.max(1, Math.floor(this.view.clientHeight / ROW_PX) - 2)
    const at = this.active === undefined ? -1 : this.listed.indexOf(this.active)
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.listed.length - 1,
    }
    const to = moves[event.key]
    if (to !== undefined) {
      event.preventDefault()
      this.moveTo(Math.max(0, Math.min(this.listed.length - 1, to)))
    } else if ((event.key === 'Enter' || event.key === ' ') && this.active !== undefined) {
      event.preventDefault()
      this.choose(this.active)
    }
  }

  private moveTo(at: number): void {
    this.active = this.listed[at]
    const top = at * ROW_PX
    const { scrollTop, clientHeight } = this.view
    const room = clientHeight - 2 * ROW_PX
    if (top < scrollTop) this.view.scrollTop = top
    else if (top > scrollTop + room) this.view.scrollTop = top - room
    this.paint()
  }

  private click({ target }: MouseEvent): void {
    const at = (target as Element).closest('tr')?.dataset['at']
    const row = at === undefined ? undefined : this.listed[Number(at)]
    if (row === undefined) return
    this.active = row
    this.choose(row)
  }
}

function classOf({ id, isNumber }: Column): string {
  return isNumber ? `${id} number` : id
}

function byName(left: Row, right: Row): number {
  return compare(left.name, right.name) || compare(left.exchange, right.exchange)
}

function compare(left: number | string, right: number | string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
