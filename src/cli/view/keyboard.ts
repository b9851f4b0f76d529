/**
 * The keys of a terminal, one by one and without showing them. Never touches an input that is no terminal.
 *
 * Quirk  a terminal that is read in this way sends no signals: Ctrl-C and Ctrl-Z come as keys, and whoever listens raises
 *        what the terminal would have
 */
import { emitKeypressEvents } from 'node:readline'
import type { Key } from './viewState'

export class Keyboard {
  private isOpen = false
  private readonly pressed = (_: string | undefined, key: Key): void => this.onKey(key)
  private readonly restore = (): void => this.close()

  constructor(
    private readonly stream: NodeJS.ReadStream,
    private readonly onKey: (key: Key) => void,
  ) {}

  open(): void {
    const { stream } = this
    if (this.isOpen || !stream.isTTY) return
    this.isOpen = true
    emitKeypressEvents(stream)
    stream.on('keypress', this.pressed)
    stream.on('error', this.restore) // the terminal is gone
    stream.setRawMode(true)
    stream.ref()
    stream.resume()
    process.on('exit', this.restore)
  }

  /** Gives the terminal back as it was. May be called twice. */
  close(): void {
    const { stream } = this
    if (!this.isOpen) return
    this.isOpen = false
    process.off('exit', this.restore)
    stream.off('keypress', this.pressed)
    try {
      stream.setRawMode(false)
    } catch {
      // There is no terminal any more whose mode would matter.
    }
    stream.pause()
    stream.unref()
  }
}
