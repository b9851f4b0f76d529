/**
 * An answer that is made now and then, and given to everyone who asks meanwhile: a thousand questions a second cost the run
 * no more reading of itself than four.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../clock/clock'

export interface Made {
  readonly status: number
  readonly type: string
  readonly pieces: Iterable<string>
  /** Each piece is made, and the whole is sent, in a turn of its own, so that the answer does not hold up the event loop. */
  readonly isLong: boolean
}

export interface SharedAnswerOptions {
  readonly clock: Clock
  /** How old an answer may be, milliseconds. */
  readonly everyMs: number
  readonly make: () => Made
  /** `make` threw, or one of its pieces: whoever asks until the next time is told 500. */
  readonly onFailed: (thrown: unknown) => void
}

interface Finished {
  readonly status: number
  readonly type: string
  readonly body: Buffer
  readonly madeUs: number
}

export class SharedAnswer {
  private last: Finished | undefined
  private waiting: ServerResponse[] = []

  constructor(private readonly options: SharedAnswerOptions) {}

  /** Answers now, or as soon as it is made. */
  give(response: ServerResponse): void {
    const { clock, everyMs } = this.options
    if (this.waiting.length === 0 && this.last !== undefined && clock.nowUs() - this.last.madeUs < everyMs * 1_000) {
      send(response, this.last)
      return
    }
    this.waiting.push(response)
    if (this.waiting.length === 1) this.begin()
  }

  private begin(): void {
    try {
      const made = this.options.make()
      const pieces = made.pieces[Symbol.iterator]()
      const parts: Buffer[] = []
      if (made.isLong) this.goOnLater(made, pieces, parts)
      else while (!this.goOn(made, pieces, parts));
    } catch (thrown) {
      this.failed(thrown)
    }
  }

  private goOnLater(made: Made, pieces: Iterator<string>, parts: Buffer[]): void {
    this.options.clock.after(0, () => {
      try {
        if (!this.goOn(made, pieces, parts)) this.goOnLater(made, pieces, parts)
      } catch (thrown) {
        this.failed(thrown)
      }
    })
  }

  /** Makes the next piece, or finishes when there is none: then true. */
  private goOn({ status, type }: Made, pieces: Iterator<string>, parts: Buffer[]): boolean {
    const next = pieces.next()
    if (next.done === true)
      this.finish({ status, type, body: Buffer.concat(parts), madeUs: this.options.clock.nowUs() })
    else parts.push(Buffer.from(next.value))
    return next.done === true
  }

  private failed(thrown: unknown): void {
    this.options.onFailed(thrown)
    const body = Buffer.from('The answer could not be made: see the faults of the run.\n')
    this.finish({ status: 500, type: 'text/plain; charset=utf-8', body, madeUs: this.options.clock.nowUs() })
  }

  private finish(finished: Finished): void {
    this.last = finished
    const { waiting } = this
    this.waiting = []
    for (const response of waiting) send(response, finished)
  }
}

function send(response: ServerResponse, { status, type, body }: Finished): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.end(body)
}
