/**
 * A running pipeline on a terminal: the market, the pipeline and its faults, each a page that a person turns to by a key. On
 * a screen of its own, drawn in one write and fitted to the window, so that nothing flickers and a resize mends itself; the
 * last picture stays. Without a terminal: one line a second.
 *
 * Cost   two pictures a second, which are made for the window; a pressed key draws one more, at most ten a second
 * Waits  never for the terminal (`view/screen.ts`)
 * Ends   what ends the process gives the terminal back; while it is suspended or in the background nothing is drawn
 */
import { performance } from 'node:perf_hooks'
import { liveClock } from '../clock/liveClock'
import type { Timer } from '../clock/clock'
import { isForeground } from './view/foreground'
import { Keyboard } from './view/keyboard'
import { coloured, drawn, plain, type Line } from './view/line'
import { oneLine } from './view/oneLine'
import { lastPicture, picture } from './view/picture'
import { Readings, type Moment, type ViewedRun } from './view/readings'
import { canDraw, PatientWriter, Screen } from './view/screen'
import { FIRST_VIEW, pressed, type Act, type Key, type ViewState } from './view/viewState'

export type { ViewedRun } from './view/readings'
export { canDraw } from './view/screen'

export interface TerminalView {
  /** A sentence that stays in the picture; without a terminal it is said as it is. */
  note(sentence: string): void
  /** Ends it and leaves the last picture standing. May be called twice. */
  stop(): void
}

export interface TerminalViewOptions {
  readonly stream: NodeJS.WriteStream
  /** Where keys are pressed; one that is no terminal is never read. Default: none. */
  readonly input?: NodeJS.ReadStream
  /** Does what a key asks for. */
  readonly act?: (act: Act) => void
  readonly isForeground?: () => boolean
}

const PICTURE_EVERY_MS = 500
const LINE_EVERY_MS = 1_000
/** The picture that stays is about so old when nobody said that the end was near. */
const REMEMBER_EVERY_MS = 2_000
/** Between two pictures, however many keys are pressed and whatever the window does. */
const PICTURE_AFTER_MS = 100

export function terminalView(run: ViewedRun, options: TerminalViewOptions): TerminalView {
  return canDraw(options.stream) ? new DrawnView(run, options) : new LineView(run, options.stream)
}

/** One line a second. Where nobody takes them, as behind a pipe that is not read, lines are left out. */
class LineView implements TerminalView {
  private readonly readings: Readings
  private readonly writer: PatientWriter
  private timer: Timer

  constructor(
    run: ViewedRun,
    private readonly stream: NodeJS.WriteStream,
  ) {
    this.readings = new Readings(run)
    this.writer = new PatientWriter(stream)
    this.timer = liveClock.after(LINE_EVERY_MS, () => this.tell())
  }

  note(sentence: string): void {
    this.stream.write(`${sentence}\n`)
  }

  stop(): void {
    this.timer.cancel()
    this.readings.stop()
    this.writer.last('')
    this.writer.close()
  }

  private tell(): void {
    const moment = this.readings.take()
    this.writer.write(`${oneLine(moment)}\n`)
    this.timer = liveClock.after(LINE_EVERY_MS, () => this.tell())
  }
}

class DrawnView implements TerminalView {
  private readonly readings: Readings
  private readonly screen: Screen
  private readonly keyboard: Keyboard | undefined
  private readonly foreground: () => boolean
  private moment: Moment
  private state: ViewState = FIRST_VIEW
  private pageLines = 1
  private sentence = ''
  /** Of the market before its connections were closed, which voids every book. */
  private last: readonly string[] | undefined
  private lastAtMs = -Infinity
  private timer: Timer
  /** A picture that somebody waits for, and when the one before was drawn. */
  private soon: Timer | undefined
  private drawnAtMs = -Infinity
  /** Suspended, or in the background. */
  private isAway = true
  private stopped = false
  private readonly redraw = (): void => this.drawSoon()
  private readonly suspend = (): void => {
    this.goAway()
    process.kill(process.pid, 'SIGSTOP')
  }
  private readonly resume = (): void => this.comeBack()

  constructor(
    run: ViewedRun,
    private readonly options: TerminalViewOptions,
  ) {
    const { stream, input } = options
    this.readings = new Readings(run)
    this.moment = this.readings.take()
    this.screen = new Screen(stream)
    this.keyboard = input?.isTTY === true ? new Keyboard(input, (key) => this.press(key)) : undefined
    this.foreground = options.isForeground ?? isForeground
    stream.on('resize', this.redraw)
    process.on('SIGTSTP', this.suspend)
    process.on('SIGCONT', this.resume)
    this.comeBack()
    this.timer = liveClock.after(PICTURE_EVERY_MS, () => this.look())
  }

  note(sentence: string): void {
    this.sentence = sentence
    this.remember()
    this.draw()
  }

  stop(): void {
    if (this.stopped) return
    this.stopped = true
    this.timer.cancel()
    this.soon?.cancel()
    this.options.stream.off('resize', this.redraw)
    process.off('SIGTSTP', this.suspend)
    process.off('SIGCONT', this.resume)
    this.moment = this.readings.take()
    this.remember()
    this.readings.stop()
    this.keyboard?.close()
    this.screen.close(`${this.last!.join('\n')}\n`)
  }

  private look(): void {
    this.timer = liveClock.after(PICTURE_EVERY_MS, () => this.look())
    if (this.isAway) this.comeBack()
    this.moment = this.readings.take()
    if (performance.now() - this.lastAtMs >= REMEMBER_EVERY_MS) this.remember()
    this.draw()
  }

  private remember(): void {
    // Rows go on changing after they were counted.
    if (this.last !== undefined && !this.moment.market.rows.some(({ state }) => state === 'live')) return
    this.lastAtMs = performance.now()
    this.last = this.drawnLines(lastPicture(this.moment, this.screen.columns))
  }

  private drawSoon(): void {
    if (this.soon !== undefined) return
    const wait = Math.max(0, this.drawnAtMs + PICTURE_AFTER_MS - performance.now())
    this.soon = liveClock.after(wait, () => {
      this.soon = undefined
      this.draw()
    })
  }

  private draw(): void {
    if (this.isAway || this.stopped) return
    this.drawnAtMs = performance.now()
    const { columns, rows } = this.screen
    const options = { window: { columns, rows }, sentence: this.sentence, keys: this.keyboard !== undefined }
    const { lines, state, pageLines } = picture(this.moment, this.state, options)
    this.state = state
    this.pageLines = pageLines
    this.screen.draw(this.drawnLines(lines))
  }

  private drawnLines(lines: readonly Line[]): string[] {
    const { columns } = this.screen
    const style = this.options.stream.hasColors() ? coloured : plain
    return lines.map((line) => drawn(line, columns, style))
  }

  private press(key: Key): void {
    const { state, act } = pressed(this.state, key, this.pageLines)
    this.state = state
    if (act === undefined) this.drawSoon()
    if (act === 'SIGQUIT') this.goAway() // nobody will be asked to clean up
    if (act !== undefined) this.options.act?.(act)
  }

  private goAway(): void {
    this.isAway = true
    this.keyboard?.close()
    this.screen.leave()
  }

  private comeBack(): void {
    if (this.stopped || !this.isAway || !this.foreground()) return
    this.isAway = false
    this.screen.open()
    this.keyboard?.open()
    this.drawSoon()
  }
}
