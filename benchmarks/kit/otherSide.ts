import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Had, Said } from '../entries/otherSide'

/** A process that takes what is sent over a wire: see `entries/otherSide`. */
export class OtherSide {
  private constructor(
    private readonly child: ChildProcess,
    /** Where it listens; 0 of one that does not. */
    readonly port: number,
  ) {}

  static async start(...args: readonly string[]): Promise<OtherSide> {
    const child = fork(path.join(__dirname, '..', 'entries', 'otherSide.js'), args, { execArgv: [] })
    const [said] = (await once(child, 'message')) as [{ port: number }]
    return new OtherSide(child, said.port)
  }

  async had(): Promise<Had> {
    this.child.send('had')
    const [said] = (await once(this.child, 'message')) as [Said]
    return said as Had
  }

  /** Waits until it has had so many messages. */
  async untilHad(messages: number): Promise<Had> {
    for (;;) {
      const had = await this.had()
      if (had.messages >= messages) return had
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit')
    this.child.disconnect()
    await ended
  }
}
