/** As much of a terminal as is drawn on, and a keyboard. */
import { EventEmitter } from 'node:events'

export class FakeTerminal extends EventEmitter {
  text = ''
  /** False as after Ctrl-S: what is written is not taken. */
  takes = true
  private readonly waiting: (() => void)[] = []

  constructor(
    readonly isTTY: boolean,
    public columns = 120,
    public rows = 40,
    private readonly colours = false,
  ) {
    super()
  }

  write(text: string, taken?: () => void): boolean {
    this.text += text
    if (taken === undefined) return true
    if (this.takes) queueMicrotask(taken)
    else this.waiting.push(taken)
    return this.takes
  }

  /** Takes what was written, and whatever will be. */
  thaw(): void {
    this.takes = true
    for (const taken of this.waiting.splice(0)) taken()
  }

  hasColors(): boolean {
    return this.colours
  }

  get stream(): NodeJS.WriteStream {
    return this as unknown as NodeJS.WriteStream
  }

  /** The latest picture, without what moves the cursor. */
  get picture(): string[] {
    return this.text
      .slice(this.text.lastIndexOf('\x1b[H') + 3)
      .replaceAll(/\x1b\[[0-9?]*[KJhl]/g, '')
      .split('\r\n')
  }
}

export class FakeKeyboard extends EventEmitter {
  readonly isTTY = true
  /** Modes that were set, in order. */
  readonly modes: boolean[] = []
  isRead = false

  setRawMode(raw: boolean): this {
    this.modes.push(raw)
    return this
  }

  resume(): this {
    this.isRead = true
    return this
  }

  pause(): this {
    this.isRead = false
    return this
  }

  ref(): void {
    // It keeps no process alive.
  }

  unref(): void {
    // It keeps no process alive.
  }

  press(name: string, sequence = name): void {
    this.emit('keypress', sequence, { name, sequence })
  }

  get stream(): NodeJS.ReadStream {
    return this as unknown as NodeJS.ReadStream
  }
}
