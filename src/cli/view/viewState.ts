/** What a person has chosen to see, and what each key makes of it. */

export const PAGES = ['market', 'pipeline', 'faults'] as const

export type Page = (typeof PAGES)[number]

export interface ViewState {
  readonly page: Page
  readonly isHelp: boolean
  /** Lines that are scrolled past, of each page. More than there are is the end: the picture says how many there were. */
  readonly scrolled: Readonly<Record<Page, number>>
  readonly filter: string
  /** The filter is being typed. */
  readonly isTyping: boolean
  /** Only books that are not live, or stale. */
  readonly troubled: boolean
}

export const FIRST_VIEW: ViewState = {
  page: 'market',
  isHelp: false,
  scrolled: { market: 0, pipeline: 0, faults: 0 },
  filter: '',
  isTyping: false,
  troubled: false,
}

/** As Node's `readline` tells keys. */
export interface Key {
  readonly name?: string | undefined
  readonly sequence?: string | undefined
  readonly ctrl?: boolean | undefined
  readonly meta?: boolean | undefined
}

/** Stop in order; do what the terminal does on Ctrl-C, Ctrl-Z and Ctrl-\. */
export type Act = 'stop' | 'SIGINT' | 'SIGTSTP' | 'SIGQUIT'

export interface Pressed {
  readonly state: ViewState
  readonly act?: Act
}

const FILTER_MAX = 40

const SIGNALS: Readonly<Record<string, Act>> = { '\x03': 'SIGINT', '\x1a': 'SIGTSTP', '\x1c': 'SIGQUIT' }

/** @param pageLines  how far a page down goes */
export function pressed(state: ViewState, key: Key, pageLines: number): Pressed {
  const { sequence = '', name = '' } = key
  if (Object.hasOwn(SIGNALS, sequence)) return { state, act: SIGNALS[sequence]! }
  if (state.isTyping) return { state: typed(state, key) }
  if (state.isHelp) return { state: { ...state, isHelp: false } }
  if (key.ctrl === true || key.meta === true) return { state }
  if (sequence === 'q') return { state, act: 'stop' }
  return { state: chosen(state, name, sequence, Math.max(1, pageLines)) }
}

function typed(state: ViewState, { name, sequence = '', ctrl, meta }: Key): ViewState {
  switch (name) {
    case 'escape':
      return filteredBy(state, '', false)
    case 'return':
    case 'enter':
      return { ...state, isTyping: false }
    case 'backspace':
      return filteredBy(state, state.filter.replace(/.$/su, ''), true)
    default:
  }
  const isLetter = ctrl !== true && meta !== true && /^[^\p{C}]$/u.test(sequence)
  return isLetter && state.filter.length < FILTER_MAX ? filteredBy(state, state.filter + sequence, true) : state
}

function filteredBy(state: ViewState, filter: string, isTyping: boolean): ViewState {
  return { ...state, filter, isTyping, scrolled: { ...state.scrolled, market: 0 } }
}

function chosen(state: ViewState, name: string, sequence: string, pageLines: number): ViewState {
  const at = PAGES.indexOf(state.page)
  const turned = (by: number): ViewState => ({ ...state, page: PAGES[(at + by + PAGES.length) % PAGES.length]! })
  switch (sequence) {
    case '1':
    case '2':
    case '3':
      return { ...state, page: PAGES[Number(sequence) - 1]! }
    case '?':
      return { ...state, isHelp: true }
    case '/':
      return { ...state, page: 'market', isTyping: true }
    case 'G':
      return scrolledTo(state, Infinity)
    default:
  }
  switch (name) {
    case 'tab':
    case 'right':
      return turned(1)
    case 'left':
      return turned(-1)
    case 'up':
    case 'k':
      return scrolledBy(state, -1)
    case 'down':
    case 'j':
      return scrolledBy(state, 1)
    case 'pageup':
    case 'b':
      return scrolledBy(state, -pageLines)
    case 'pagedown':
    case 'space':
      return scrolledBy(state, pageLines)
    case 'home':
    case 'g':
      return scrolledTo(state, 0)
    case 'end':
      return scrolledTo(state, Infinity)
    case 't':
      return { ...state, troubled: !state.troubled, page: 'market', scrolled: { ...state.scrolled, market: 0 } }
    case 'escape':
      return { ...filteredBy(state, '', false), troubled: false }
    default:
      return state
  }
}

function scrolledBy(state: ViewState, lines: number): ViewState {
  return scrolledTo(state, Math.max(0, state.scrolled[state.page] + lines))
}

export function scrolledTo(state: ViewState, line: number): ViewState {
  return { ...state, scrolled: { ...state.scrolled, [state.page]: line } }
}
