/**
 * An answer that is made now and then, and given to everyone who asks meanwhile: a thousand questions a second cost the run
 * no more reading of itself than four.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../clock/clock'

export interface Made {
  readonly status: number
  readonly type: string
  /** The text in pieces: one is made a turn of the event loop, so that a long answer does not hold it up. */
  readonly pieces: Iterable<string>
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
      const { status, type, pieces } = this.options.make()
      this.goOn(status, type, pieces[Symbol.iterator](), [])
    } catch (thrown) {
      this.failed(thrown)
    }
  }

  private goOn(status: number, type: string, pieces: Iterator<string>, made: Buffer[]): void {
    const next = pieces.next()
    if (next.done === true) {
      this.finish({ status, type, body: Buffer.concat(made), madeUs: this.options.clock.nowUs() })
      return
    }
    made.push(Buffer.from(next.value))
    const later = (): void => {
      try {
        this.goOn(status, type, pieces, made)
      } catch (thrown) {
        this.failed(thrown)
      }
    }
    if (made.length === 1 && next.value.length < WHOLE_LENGTH) later()
    else this.options.clock.after(0, later)
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

/** A first piece that is shorter is most likely the only one, and its answer is given in the same turn. */
const WHOLE_LENGTH = 16_384

function send(response: ServerResponse, { status, type, body }: Finished): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.end(body)
}
