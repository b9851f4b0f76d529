import type { Writable } from 'node:stream'
import { fileFault } from '../model/fileFault'
import { ByteDigest } from './files/byteDigest'
import { encodeValue } from './encode'
import { encodeBatch } from './files/encodeBatch'
import { sinkCounters, type Sink } from './sink'

export interface ConsoleSinkOptions<T> {
  /** Value to a line for a person. Default: its JSON. */
  readonly format?: (value: T) => string
  /** `stderr` by default: standard output belongs to machine output. A stream of one's own is not ended on closing. */
  readonly to?: 'stderr' | 'stdout' | Writable
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Prints values, one line each.
 *
 * Control characters, which would let an exchange's text move the cursor or rename the window, are printed as their
 * code; tabs and line breaks of the format stay.
 *
 * Delivery  at least once. A reader that does not read holds the writes back, and then the edge's policy decides
 * Order     as received
 * Errors    `SINK_REJECTED` when the stream is broken (its reader has gone)
 */
export function consoleSink<T>(options: ConsoleSinkOptions<T> = {}): Sink<T> {
  const name = options.name ?? 'console'
  const counters = sinkCounters()
  const format = options.format ?? ((value: T) => encodeValue(value))
  const digest = new ByteDigest()
  if (options.digest === true) digest.enable()
  let stream: Writable | undefined

  // A broken stream says so twice, to the write and as an event; an event that nobody hears ends the process.
  const heard = (): void => undefined

  const release = (): void => {
    const released = stream
    stream = undefined
    if (released === undefined) return
    // The event of a write that has just failed may be still to come.
    if (released.errored) setImmediate(() => released.off('error', heard))
    else released.off('error', heard)
  }

  return {
    name,
    counters,
    delivery: 'atLeastOnce',
    open({ resume }) {
      release()
      if (resume !== true) {
        digest.restart()
        counters.written = 0
        counters.bytes = 0
      }
      const to = options.to ?? 'stderr'
      stream = to === 'stderr' ? process.stderr : to === 'stdout' ? process.stdout : to
      stream.on('error', heard)
      return Promise.resolve()
    },
    async write(batch) {
      if (batch.length === 0) return
      const text = encodeBatch(name, batch, (value) => `${printable(format(value))}\n`).join('')
      const bytes = Buffer.from(text)
      await new Promise<void>((resolve, reject) => {
        if (stream === undefined) {
          reject(fileFault(name, 'its stream', new Error('it is not open')))
          return
        }
        // A stream that has failed keeps what is written to it, and never says so.
        if (stream.errored) {
          reject(fileFault(name, 'its stream', stream.errored))
          return
        }
        stream.write(bytes, (error) => {
          if (error) reject(fileFault(name, 'its stream', error))
          else resolve()
        })
      })
      digest.update(bytes)
      counters.written += batch.length
      counters.bytes += bytes.length
    },
    close() {
      release()
      return Promise.resolve()
    },
    enableDigest: () => digest.enable(),
    digest: () => digest.value(),
  }
}

function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
