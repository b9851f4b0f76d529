/**
 * The dashboard: a run as it goes on. It shows what the server tells of it (`liveFormat.ts`) and asks nobody else for anything.
 */
import { readTheme } from '../../page/browser/theme'
import type { HelloMessage, TickMessage } from '../liveFormat'
import { Book } from './book'
import { element } from './dom'
import { Instruments } from './instruments'
import { hearKeys } from './keys'
import { Exchanges, Faults, Sinks } from './lists'
import { LiveConnection } from './liveConnection'
import { LiveState, type Row } from './liveState'
import { Overview } from './overview'
import { PipelineGraph } from './pipelineGraph'
import { Resources } from './resources'

class Dashboard {
  private readonly overview = new Overview()
  private readonly instruments = new Instruments((row) => this.choose(row))
  private readonly book = new Book()
  private readonly graph = new PipelineGraph()
  private readonly exchanges = new Exchanges()
  private readonly resources = new Resources()
  private readonly sinks = new Sinks()
  private readonly faults = new Faults()
  private readonly connection: LiveConnection
  private state: LiveState | undefined
  /** The page shows another run than before, which it has not shown yet. */
  private isFresh = true
  private unseen: number | undefined
  private isPaused = false
  /** By name: it is looked for again in another run. */
  private wanted: { readonly exchange: string; readonly name: string } | undefined
  private isChosen = false

  constructor() {
    readTheme()
    const main = element(
      'main',
      {},
      element('div', { class: 'pair' }, this.instruments.element, this.book.element),
      this.graph.element,
      this.exchanges.element,
      this.resources.element,
      this.sinks.element,
      this.faults.element,
    )
    const skip = element('a', { class: 'skip', href: '#instruments' }, 'Skip to the instruments')
    const foot = element(
      'footer',
      {},
      'millrace dashboard. All times are UTC. Press ? for keys. Charts are drawn with uPlot (MIT), © Leon Sorokin.',
    )
    document.body.replaceChildren(skip, this.overview.element, main, foot)
    const help = hearKeys({
      filter: () => this.instruments.focusFilter(),
      instruments: () => this.instruments.focus(),
      pause: () => this.pause(),
    })
    this.overview.helpButton.addEventListener('click', help)
    this.overview.pauseButton.addEventListener('click', () => this.pause())
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.resources.repaint()
      this.book.repaint()
    })
    // A frame is never drawn while nobody looks.
    document.addEventListener('visibilitychange', () => this.render())
    this.connection = new LiveConnection({
      hello: (message) => this.hello(message),
      tick: (message) => this.tick(message),
      connected: (isConnected) => this.connected(isConnected),
    })
  }

  private connected(isConnected: boolean): void {
    this.overview.showConnection(isConnected ? (this.isPaused ? 'paused' : 'open') : 'lost')
    if (isConnected) return
    this.unseen = undefined
    this.state?.interrupted()
    this.resources.interrupted()
    this.book.interrupted()
  }

  /** After a lost connection the same run goes on, or another has begun. In both cases everything is told anew. */
  private hello(message: HelloMessage): void {
    const isSame = this.state?.hello.run === message.run
    this.state = new LiveState(message)
    this.isFresh = true
    this.faults.forget()
    if (isSame) return
    this.isChosen = false
    this.resources.forget()
    this.book.forget()
  }

  private tick(message: TickMessage): void {
    if (this.state === undefined) return
    this.state.take(message, performance.now())
    const isWaiting = this.unseen !== undefined
    this.unseen = message.tick
    if (document.hidden) this.render()
    else if (!isWaiting) requestAnimationFrame(() => this.render())
  }

  /** Shows what came, and says that the next may come. */
  private render(): void {
    const { state, unseen } = this
    if (state === undefined || unseen === undefined) return
    this.unseen = undefined
    if (!document.hidden) this.show(state)
    this.connection.seen(unseen)
  }

  private show(state: LiveState): void {
    this.overview.show(state)
    this.instruments.show(state, this.isFresh)
    this.isFresh = false
    if (!this.isChosen) this.chooseAgain(state)
    this.book.show(state)
    this.graph.show(state)
    this.exchanges.show(state, performance.now())
    this.resources.show(state)
    this.sinks.show(state)
    this.faults.show(state)
  }

  /** The instrument that somebody chose before, or the liveliest. */
  private chooseAgain({ rows }: LiveState): void {
    const { wanted } = this
    const row =
      wanted === undefined
        ? this.instruments.liveliest()
        : rows.find(({ exchange, name }) => exchange === wanted.exchange && name === wanted.name)
    if (row !== undefined) this.watch(row)
  }

  private choose(row: Row): void {
    this.wanted = { exchange: row.exchange, name: row.name }
    this.watch(row)
  }

  private watch(row: Row): void {
    this.isChosen = true
    this.instruments.mark(row)
    this.book.choose(row)
    this.connection.watch(row.exchange, row.name)
  }

  private pause(): void {
    this.isPaused = !this.isPaused
    this.connection.pause(this.isPaused)
    this.overview.showConnection(this.isPaused ? 'paused' : 'open')
  }
}

new Dashboard()
