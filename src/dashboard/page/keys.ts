import { element } from './dom'

/** What keys do anywhere on the page, but not while somebody writes. */
export interface KeyActions {
  readonly filter: () => void
  readonly instruments: () => void
  readonly pause: () => void
}

const SECTIONS = ['instruments', 'book', 'pipeline', 'exchanges', 'resources', 'sinks', 'faults'] as const

const WORDS: readonly (readonly [keys: string, meaning: string])[] = [
  ['/', 'filter the instruments; Escape clears the filter'],
  ['i', 'go to the table of instruments'],
  ['↑ ↓ PageUp PageDown Home End', 'move in the table of instruments'],
  ['Enter', 'show the book of the instrument'],
  ['← → ↑ ↓ on the heat map', 'read a cell'],
  ['1 to 7', `go to ${SECTIONS.join(', ')}`],
  ['p', 'hold the page, or let it go on; the run does not notice'],
  ['?', 'this help'],
]

/** Hears the keys; the returned function opens the help. */
export function hearKeys(actions: KeyActions): () => void {
  const close = element('button', { type: 'button' }, 'Close')
  const list = element('dl')
  for (const [keys, meaning] of WORDS) list.append(element('dt', {}, keys), element('dd', {}, meaning))
  const dialog = element(
    'dialog',
    { 'aria-labelledby': 'help-title' },
    element('h2', { id: 'help-title' }, 'Keys'),
    list,
    close,
  )
  document.body.append(dialog)
  close.addEventListener('click', () => dialog.close())
  const help = (): void => {
    if (!dialog.open) dialog.showModal()
  }
  const byKey: Readonly<Record<string, () => void>> = {
    '/': actions.filter,
    i: actions.instruments,
    p: actions.pause,
    '?': help,
    ...Object.fromEntries(SECTIONS.map((id, at) => [String(at + 1), () => jumpTo(id)])),
  }
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || isWriting(event.target)) return
    if (!Object.hasOwn(byKey, event.key)) return
    event.preventDefault()
    byKey[event.key]!()
  })
  return help
}

function jumpTo(id: string): void {
  const heading = document.getElementById(`${id}-title`)
  heading?.scrollIntoView({ block: 'start' })
  heading?.focus({ preventScroll: true })
}

function isWriting(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
  )
}
