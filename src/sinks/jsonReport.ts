import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Clock, Timer } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { fileFault } from '../model/fileFault'
import { ByteDigest } from './byteDigest'
import { compileEncoder, type JsonSchema } from './encode'
import { jsonPieces } from './jsonPieces'
import { resolveOut, sinkCounters, type Sink, type SinkContext } from './sink'

export interface JsonReportOptions<T> {
  /** The file is rewritten at most this often; default 1,000. The last value is written at closing, however soon. */
  readonly everyMs?: number
  /** A JSON schema to compile an encoder from: compact text with only its fields. Default: any JSON, indented by two. */
  readonly schema?: JsonSchema
  /** Value to text, in place of both. */
  readonly encode?: (value: T) => string
  readonly name?: string
  readonly digest?: boolean
}

/**
 * Keeps a file that holds the latest value as JSON: a report that is replaced as a whole.
 *
 * A reader sees the old version or the new one, never a half: the text is written to `<path>.tmp` in the same folder,
 * flushed to the disk and renamed over the old one. Killed in between, the old report is whole, and the next run clears
 * the rest away. Large values are encoded and written in pieces, between which the event loop is free; with a schema, or an
 * encoder of one's own, only the writing is, so those are for reports of up to a few megabytes.
 *
 * Delivery  the latest value, whole; earlier ones are superseded. A value is acknowledged when it is due later, too: killed
 *           before, the file holds the one before it
 * Order     as received
 * Errors    `SINK_REJECTED { path }` when the file cannot be written: on the write that was due, on closing, or, when a
 *           rewriting on the timer failed, on the next write; `VALUE_INVALID` for a value without a text;
 *           `OPTION_INVALID` on opening for a path outside the output folder or a schema that is none
 *
 * @param sinkPath  inside the output folder; folders are created
 */
export function jsonReport<T>(sinkPath: string, options: JsonReportOptions<T> = {}): Sink<T> {
  const report = new Report<T>(sinkPath, options)
  return {
    name: report.name,
    counters: report.counters,
    delivery: 'latest',
    open: (context) => report.open(context),
    write: (batch) => report.write(batch),
    close: () => report.close(),
    enableDigest: () => report.digest.enable(),
    digest: () => report.digest.value(),
  }
}

class Report<T> {
  readonly name: string
  readonly counters = sinkCounters()
  readonly digest = new ByteDigest()
  private readonly everyMs: number
  private encode: ((value: T) => string) | undefined
  private file = ''
  private clock: Clock | undefined
  private onFault: ((fault: Fault) => void) | undefined
  private closed = true
  /** The latest value, boxed, while the file does not hold it. */
  private waiting: { readonly value: T } | undefined
  private writtenAtUs: number | undefined
  private timer: Timer | undefined
  private rewriting: Promise<void> | undefined
  /** The last rewriting failed: the next write does not wait for its turn, so that the failure surfaces. */
  private failing = false

  constructor(
    private readonly sinkPath: string,
    private readonly options: JsonReportOptions<T>,
  ) {
    this.name = options.name ?? `jsonReport(${sinkPath})`
    this.everyMs = options.everyMs ?? 1_000
    this.encode = options.encode
    if (!(this.everyMs >= 0)) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${this.name} has everyMs = ${this.everyMs}: it should be 0 or more.`,
        {
          everyMs: this.everyMs,
        },
      )
    }
    if (options.digest === true) this.digest.enable()
  }

  async open({ outDir, clock, resume, onFault }: SinkContext): Promise<void> {
    this.file = resolveOut(this.sinkPath, outDir)
    this.clock = clock
    this.onFault = onFault
    if (resume !== true) {
      this.waiting = undefined
      this.writtenAtUs = undefined
      this.failing = false
      this.digest.restart()
      this.counters.written = 0
      this.counters.bytes = 0
    }
    if (this.options.schema !== undefined) this.encode ??= compileEncoder(this.options.schema)
    try {
      await mkdir(path.dirname(this.file), { recursive: true })
      await rm(this.temporary, { force: true })
    } catch (cause) {
      throw fileFault(this.name, this.file, cause)
    }
    this.closed = false
  }

  async write(batch: readonly T[]): Promise<void> {
    if (batch.length === 0) return
    if (this.closed) throw fileFault(this.name, this.sinkPath, new Error('it is not open'))
    this.waiting = { value: batch[batch.length - 1]! }
    const dueInMs = this.dueInMs()
    if (dueInMs <= 0 || this.failing) await this.rewrite(batch.length - 1)
    else this.arm(dueInMs)
  }

  async close(): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    this.timer = undefined
    await this.rewrite(0)
  }

  private get temporary(): string {
    return `${this.file}.tmp`
  }

  private dueInMs(): number {
    if (this.writtenAtUs === undefined) return 0
    return this.everyMs - (this.clock!.nowUs() - this.writtenAtUs) / 1_000
  }

  private arm(delayMs: number): void {
    if (this.timer !== undefined || this.closed) return
    this.timer = this.clock!.after(delayMs, () => {
      this.timer = undefined
      // Told at once, and again by the next write or on closing if it lasts; until then each interval tries again.
      this.rewrite(0).catch((fault: unknown) => {
        if (fault instanceof Fault) this.onFault?.(fault)
        if (this.waiting !== undefined) this.arm(Math.max(this.everyMs, RETRY_MS))
      })
    })
  }

  /** Brings the file up to the latest value. One rewriting at a time; one that is under way is waited for. */
  private async rewrite(index: number): Promise<void> {
    while (this.rewriting !== undefined) await this.rewriting.catch(() => undefined)
    const box = this.waiting
    if (box === undefined) return
    this.timer?.cancel()
    this.timer = undefined
    this.rewriting = this.replaceFile(box.value, index)
    try {
      await this.rewriting
      this.failing = false
      if (this.waiting === box) this.waiting = undefined
      else this.arm(this.everyMs)
    } catch (cause) {
      this.failing = true
      if (cause instanceof Fault && cause.code === 'VALUE_INVALID' && this.waiting === box) {
        // It will never have a text: keeping it would fail for ever.
        this.waiting = undefined
      }
      throw cause
    } finally {
      this.rewriting = undefined
    }
  }

  private async replaceFile(value: T, index: number): Promise<void> {
    // Counted from the beginning, so that a slow disk is not written to without a pause.
    this.writtenAtUs = this.clock!.nowUs()
    const pieces = this.pieces(value)
    const digest = new ByteDigest()
    if (this.digest.enabled) digest.enable()
    let bytes = 0
    let file: FileHandle | undefined
    try {
      await mkdir(path.dirname(this.file), { recursive: true })
      await rm(this.temporary, { force: true })
      file = await open(this.temporary, 'wx')
      for (const piece of encoding(this.name, index, pieces)) {
        const chunk = Buffer.from(piece)
        for (let done = 0; done < chunk.length;) {
          done += (await file.write(chunk, done, chunk.length - done)).bytesWritten
        }
        digest.update(chunk)
        bytes += chunk.length
      }
      await file.sync()
      await file.close()
      file = undefined
      await rename(this.temporary, this.file)
    } catch (cause) {
      await file?.close().catch(() => undefined)
      await rm(this.temporary, { force: true }).catch(() => undefined)
      throw fileFault(this.name, this.file, cause)
    }
    await flushFolder(path.dirname(this.file))
    this.digest.replaceBy(digest)
    this.counters.written += 1
    this.counters.bytes += bytes
  }

  private *pieces(value: T): Iterable<string> {
    if (this.encode === undefined) yield* jsonPieces(value, { indent: 2, pieceChars: PIECE_CHARS })
    else {
      const text = this.encode(value)
      for (let at = 0; at < text.length;) {
        // A pair of surrogates is not cut: each half alone would be written as a replacement character.
        let end = Math.min(text.length, at + PIECE_CHARS)
        if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--
        yield text.slice(at, end)
        at = end
      }
    }
    yield '\n'
  }
}

const PIECE_CHARS = 65_536
const RETRY_MS = 1_000

/** What goes wrong in here is the value's fault, not the disk's. */
function* encoding(sink: string, index: number, pieces: Iterable<string>): Iterable<string> {
  try {
    yield* pieces
  } catch (cause) {
    throw new Fault(
      'VALUE_INVALID',
      `The sink ${sink} cannot write a value: ${messageOf(cause)}. The report stays as it was.`,
      { sink, index },
      { cause },
    )
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/** Makes the renaming itself durable where the system can; where it cannot, the file's own flush must do. */
async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // Not every file system lets a folder be opened or flushed; the report is complete either way.
  }
}
