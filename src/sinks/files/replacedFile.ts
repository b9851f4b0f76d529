import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Clock, Timer } from '../../clock/clock'
import { Fault, messageOf } from '../../model/fault'
import { fileFault } from '../../model/fileFault'
import { ByteDigest } from './byteDigest'
import { replaceFile, temporaryOf } from './replaceFile'
import { resolveOut, sinkCounters, type SinkContext } from '../sink'

export interface ReplacedFileOptions<T> {
  /** Of the sink. */
  readonly name: string
  /** Inside the output folder; folders are created. */
  readonly sinkPath: string
  /** The file is rewritten at most this often; infinity for nothing but the end. */
  readonly everyMs: number
  /** When the file is written first: with the first value, or `everyMs` after it was opened. */
  readonly first: 'atOnce' | 'whenDue'
  /** The text of a value. What it throws is the value's fault. */
  readonly pieces: (value: T) => Iterable<string>
  readonly digest?: boolean
}

/**
 * What sinks share that keep one file, which holds the latest value and is replaced as a whole.
 *
 * A value waits until the file may be rewritten, and is superseded by a later one. One rewriting at a time. One that fails
 * on its timer is told of and tried again; the next `put` then does not wait for its turn, so that the failure surfaces.
 */
export class ReplacedFile<T> {
  readonly counters = sinkCounters()
  readonly digest = new ByteDigest()
  private readonly name: string
  private readonly everyMs: number
  private file = ''
  private clock: Clock | undefined
  private onFault: ((fault: Fault) => void) | undefined
  private closed = true
  /** The latest value, boxed, while the file does not hold it. */
  private waiting: { readonly value: T } | undefined
  private writtenAtUs: number | undefined
  private timer: Timer | undefined
  private rewriting: Promise<void> | undefined
  private failing = false

  constructor(private readonly options: ReplacedFileOptions<T>) {
    const { name, everyMs, digest } = options
    this.name = name
    this.everyMs = everyMs
    if (!(everyMs >= 0)) {
      throw new Fault('OPTION_INVALID', `The sink ${name} has everyMs = ${everyMs}: it should be 0 or more.`, {
        everyMs,
      })
    }
    if (digest === true) this.digest.enable()
  }

  async open({ outDir, clock, resume, onFault }: SinkContext): Promise<void> {
    this.file = resolveOut(this.options.sinkPath, outDir)
    this.clock = clock
    this.onFault = onFault
    if (resume !== true) {
      this.waiting = undefined
      this.writtenAtUs = this.options.first === 'whenDue' ? clock.nowUs() : undefined
      this.failing = false
      this.digest.restart()
      this.counters.written = 0
      this.counters.bytes = 0
    }
    try {
      await mkdir(path.dirname(this.file), { recursive: true })
      await rm(temporaryOf(this.file), { force: true })
    } catch (cause) {
      throw fileFault(this.name, this.file, cause)
    }
    this.closed = false
  }

  /** @param index  of the value in its batch, for a fault that names it */
  async put(value: T, index: number): Promise<void> {
    if (this.closed) throw fileFault(this.name, this.options.sinkPath, new Error('it is not open'))
    this.waiting = { value }
    const dueInMs = this.dueInMs()
    if (dueInMs <= 0 || this.failing) await this.rewrite(index)
    else this.arm(dueInMs)
  }

  /** As `put`, but what is there to be written is written when the file is closed. */
  mark(value: T): void {
    this.waiting = { value }
  }

  async close(): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    this.timer = undefined
    await this.rewrite(0)
  }

  private dueInMs(): number {
    if (this.writtenAtUs === undefined) return 0
    return this.everyMs - (this.clock!.nowUs() - this.writtenAtUs) / 1_000
  }

  private arm(delayMs: number): void {
    if (this.timer !== undefined || this.closed || delayMs === Infinity) return
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
    this.rewriting = this.replace(box.value, index)
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

  private async replace(value: T, index: number): Promise<void> {
    // Counted from the beginning, so that a slow disk is not written to without a pause.
    this.writtenAtUs = this.clock!.nowUs()
    const digest = new ByteDigest()
    if (this.digest.enabled) digest.enable()
    const pieces = encoding(this.name, index, this.options.pieces(value))
    const { bytes } = await replaceFile(this.name, this.file, pieces, (chunk) => digest.update(chunk))
    this.digest.replaceBy(digest)
    this.counters.written += 1
    this.counters.bytes += bytes
  }
}

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
