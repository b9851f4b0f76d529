/** What stands above everything else: which run it is, how it fares, its figures. */
import { bytesText, countText, NONE, roundedText, secondsText, timeText } from '../../page/numbers'
import { element, setAttribute, setText } from './dom'
import type { LiveState } from './liveState'
import { rateText } from './texts'

export type Connection = 'connecting' | 'open' | 'lost' | 'paused'

const CONNECTION_WORDS: Readonly<Record<Connection, string>> = {
  connecting: 'connecting',
  open: 'live',
  lost: 'connection lost, trying again',
  paused: 'paused',
}

const FIGURES = [
  'events',
  'records',
  'books live',
  'in repair',
  'gaps',
  'faults',
  'CPU',
  'memory',
  'loop p99',
  'to a sink, p99',
] as const

export class Overview {
  readonly element: HTMLElement
  readonly pauseButton = element('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause')
  readonly helpButton = element('button', { type: 'button', 'aria-label': 'Keys and help' }, '?')
  private readonly title = element('h1', {}, 'millrace')
  private readonly mode = element('span', { class: 'chip' })
  private readonly connection = element('span', { class: 'connection', 'data-state': 'connecting' }, 'connecting')
  private readonly elapsed = element('span', { class: 'elapsed' })
  private readonly health = element('div', { class: 'health', role: 'status', 'aria-live': 'polite' })
  private readonly figures = new Map<string, HTMLElement>()

  constructor() {
    const list = element('dl', { class: 'figures' })
    for (const label of FIGURES) {
      const value = element('dd', {}, NONE)
      this.figures.set(label, value)
      list.append(element('div', {}, element('dt', {}, label), value))
    }
    const buttons = element('span', { class: 'buttons' }, this.pauseButton, this.helpButton)
    const line = element('div', { class: 'titles' }, this.title, this.mode, this.connection, this.elapsed, buttons)
    this.element = element('header', {}, line, this.health, list)
  }

  showConnection(state: Connection): void {
    setText(this.connection, CONNECTION_WORDS[state])
    setAttribute(this.connection, 'data-state', state)
    setAttribute(this.pauseButton, 'aria-pressed', String(state === 'paused'))
    setText(this.pauseButton, state === 'paused' ? 'Go on' : 'Pause')
    document.body.classList.toggle('stale', state === 'lost' || state === 'connecting')
  }

  show(state: LiveState): void {
    const { hello, run, process, latency, health } = state
    setText(this.title, hello.pipeline)
    setText(this.mode, hello.mode)
    if (document.title !== `${hello.pipeline} · millrace`) document.title = `${hello.pipeline} · millrace`
    const streamMs = run?.streamMs ?? undefined
    const at =
      hello.mode !== 'replay' || streamMs === undefined ? '' : `  ${timeText(streamMs * 1_000).slice(0, 19)} UTC`
    const progress = run?.progress ?? undefined
    const share = progress === undefined ? '' : `  ${(progress * 100).toFixed(0)} % read`
    const end = `${share}${run?.ended === true ? ', ended' : ''}`
    setText(this.elapsed, run === undefined ? '' : `${secondsText(Math.floor(run.seconds))}${at}${end}`)
    this.showHealth(health)
    const states = { live: 0, repair: 0, gaps: 0 }
    for (const row of state.rows) {
      if (row.state === 'live') states.live++
      else if (row.state !== 'waiting') states.repair++
      states.gaps += row.gaps
    }
    this.figure('events', `${rateText(state.events.perSecond)}/s`)
    this.figure('records', `${rateText(state.records.perSecond)}/s`)
    this.figure('books live', `${countText(states.live)} of ${countText(state.rows.length)}`)
    this.figure('in repair', countText(states.repair), states.repair > 0)
    this.figure('gaps', countText(states.gaps), states.gaps > 0)
    this.figure('faults', countText(state.faultsTotal), state.faultsTotal > 0)
    this.figure(
      'CPU',
      process === undefined || process.cpuPercent === null ? NONE : `${process.cpuPercent.toFixed(0)} %`,
    )
    this.figure('memory', process === undefined || process.rssBytes === null ? NONE : bytesText(process.rssBytes))
    this.figure('loop p99', process === undefined ? NONE : `${process.loopP99.toFixed(1)} ms`)
    this.figure('to a sink, p99', latency === undefined || latency.count === 0 ? NONE : millisecondsText(latency.p99))
  }

  private showHealth(health: LiveState['health']): void {
    setAttribute(this.health, 'data-level', health?.level ?? '')
    this.health.hidden = health === undefined
    if (health !== undefined)
      setText(
        this.health,
        [capital(health.level), ...health.reasons, ...health.reactions].join('. ').replace(/\.\./g, '.'),
      )
  }

  private figure(label: (typeof FIGURES)[number], text: string, isBad = false): void {
    const value = this.figures.get(label)!
    setText(value, text)
    value.classList.toggle('bad', isBad)
  }
}

function millisecondsText(us: number): string {
  return us < 10_000
    ? `${(us / 1_000).toFixed(2)} ms`
    : us < 1e6
      ? `${roundedText(us / 1_000, 3)} ms`
      : `${roundedText(us / 1e6, 3)} s`
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1)
}
