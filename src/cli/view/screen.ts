/**
 * A terminal that is drawn on: a screen of its own, one write for a picture, and the shell's screen back whatever ends the
 * process.
 *
 * Waits  never for the terminal. One that takes nothing (Ctrl-S, a connection that hangs) would hold up a process that
 *        writes to it as Node does, and with it the pipeline: here writes are not waited for, and there is no next picture
 *        before the one under way was taken. Only the last words wait, when the run is over.
 * Lost   a terminal that is gone is written to no more
 */
import { writeSync } from 'node:fs'
import { terminalLost } from './lostTerminal'

const OWN_SCREEN = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const BACK_TO_THE_SHELL = '\x1b[?7h\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const ERASE_LINE_END = '\x1b[K'
const ERASE_BELOW = '\x1b[J'

/** True for a terminal on which the cursor can be moved. */
export function canDraw(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && process.env['TERM'] !== 'dumb'
}

/** A stream of Node, which has no public word for this. */
interface WithHandle {
  readonly _handle?: { readonly fd?: number; readonly setBlocking?: (blocking: boolean) => unknown } | null
}

/** Whether writes to a terminal or a pipe hold up the process until they are taken. */
export function setBlocking(stream: NodeJS.WriteStream, blocking: boolean): void {
  ;(stream as WithHandle)._handle?.setBlocking?.(blocking)
}

/** Writes that are left out while an earlier one has not been taken. */
export class PatientWriter {
  private underWay = false
  private gone = false
  private readonly onGone = (error: NodeJS.ErrnoException): void => {
    this.gone = true
    if (error.code === 'EIO') terminalLost()
  }

  constructor(private readonly stream: NodeJS.WriteStream) {
    setBlocking(stream, false)
    stream.on('error', this.onGone)
  }

  /** False where nothing is taken just now, or ever again. */
  get isFree(): boolean {
    return !this.underWay && !this.gone
  }

  write(text: string): void {
    if (!this.isFree) return
    this.underWay = true
    this.stream.write(text, () => {
      this.underWay = false
    })
  }

  /** Writes what the process ends with, past what was not taken: there is no time any more in which it could be. */
  atExit(text: string): void {
    if (!this.underWay || this.gone) return this.last(text)
    const { fd } = (this.stream as WithHandle)._handle ?? {}
    try {
      if (fd !== undefined) writeSync(fd, text)
    } catch {
      // A terminal that takes nothing now gets its shell's screen back from its user.
    }
  }

  /** Writes even behind what is under way, and goes back to writing as Node does. */
  last(text: string): void {
    setBlocking(this.stream, true)
    if (!this.gone && text !== '') this.stream.write(text)
  }

  close(): void {
    this.stream.off('error', this.onGone)
  }
}

export class Screen {
  private isOpen = false
  private readonly writer: PatientWriter
  private readonly restore = (): void => this.writer.atExit(BACK_TO_THE_SHELL)

  constructor(private readonly stream: NodeJS.WriteStream) {
    this.writer = new PatientWriter(stream)
  }

  get columns(): number {
    return this.stream.columns || 80
  }

  get rows(): number {
    return this.stream.rows || 24
  }

  open(): void {
    if (this.isOpen) return
    this.isOpen = true
    setBlocking(this.stream, false)
    process.on('exit', this.restore)
    this.writer.write(OWN_SCREEN + HOME + ERASE_BELOW)
  }

  /** Draws lines that fit; leaves it out while the terminal has not taken the picture before. */
  draw(lines: readonly string[]): void {
    if (this.isOpen)
      this.writer.write(`${HOME}${lines.map((line) => line + ERASE_LINE_END).join('\r\n')}${ERASE_BELOW}`)
  }

  /** Gives the shell its screen back. */
  leave(): void {
    if (!this.isOpen) return
    this.isOpen = false
    process.off('exit', this.restore)
    this.writer.last(BACK_TO_THE_SHELL)
  }

  /** The same, for good, with what stays on it. */
  close(text: string): void {
    this.leave()
    this.writer.last(text)
    this.writer.close()
  }
}
