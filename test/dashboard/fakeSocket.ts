import { EventEmitter } from 'node:events'
import type { WebSocket } from 'ws'
import type { LiveMessage, TickMessage } from '../../src/dashboard/liveFormat'

/** The server's end of a page's connection: what was sent over it, and what the page says. */
export class FakeSocket extends EventEmitter {
  readonly sent: string[] = []
  closedWith: number | undefined
  terminated = false

  send(text: string): void {
    this.sent.push(text)
  }

  close(code: number): void {
    this.closedWith = code
  }

  terminate(): void {
    this.terminated = true
    this.emit('close')
  }

  get asSocket(): WebSocket {
    return this as unknown as WebSocket
  }

  get messages(): LiveMessage[] {
    return this.sent.map((text) => JSON.parse(text) as LiveMessage)
  }

  get ticks(): TickMessage[] {
    return this.messages.filter((message) => message.type === 'tick')
  }

  says(value: unknown): void {
    this.emit('message', Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), false)
  }

  /** Says that it has seen the last tick. */
  sees(): void {
    this.says({ seen: this.ticks.at(-1)!.tick })
  }
}
