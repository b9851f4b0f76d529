/**
 * Where the messages go that stages fail on: a file beside the run's other output, with the bytes they came in, so that a
 * failure can be looked at, mended and tried again with `millrace quarantine`.
 *
 * Nothing touches the disk before the first such message. What is kept is bounded: by stage, by run, and by the size of
 * the file, which later runs go on with; what is more is counted, and told once.
 */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { droppedOf } from '../actors/ledger'
import type { Clock } from '../clock/clock'
import type { SessionRecord } from '../feed/record'
import { Fault } from '../model/fault'
import { Drain } from '../sinks/drain'
import { jsonLines } from '../sinks/jsonLines'
import { resolveOut, type Sink } from '../sinks/sink'
import { FrameLog, type LoggedFrame } from './frameLog'
import { identityOf } from './identity'
import { quarantineLine } from './quarantinedMessage'
import type { QuarantineKeeper } from './run'
import type { StageFailure } from './stageRunner'

export interface QuarantineOptions {
  /** The pipeline's name. */
  readonly pipeline: string
  readonly outDir: string
  /** The machine's. */
  readonly clock: Clock
  /** Told when a message cannot be kept: of each reason once. */
  readonly onFault: (fault: Fault) => void
  readonly limits?: Partial<QuarantineLimits>
}

export interface QuarantineLimits {
  /** Messages of one stage. */
  readonly perStage: number
  /** Messages of a run. They may all wait for the disk at once. */
  readonly perRun: number
  /** Bytes of a run. */
  readonly bytesPerRun: number
  /** Bytes of the file, with what earlier runs have left in it. */
  readonly fileBytes: number
}

const LIMITS: QuarantineLimits = {
  perStage: 100,
  perRun: 10_000,
  bytesPerRun: 64 * 1024 * 1024,
  fileBytes: 256 * 1024 * 1024,
}

/** Moments of a batch whose frames are looked for: one that was merged of many may hold thousands. */
const MOMENTS_MAX = 32

export function openQuarantine(options: QuarantineOptions): Quarantine {
  return new Quarantine(options)
}

export class Quarantine implements QuarantineKeeper {
  private readonly frames = new FrameLog()
  private readonly limits: QuarantineLimits
  private readonly stages = new Map<string, number>()
  private readonly path: string
  private drain: Drain<string> | undefined
  private readonly told = new Set<string>()
  private bytes = 0
  private accepted = 0
  /** Messages for which there was no room, before they were written. */
  private refused = 0

  constructor(private readonly options: QuarantineOptions) {
    this.limits = { ...LIMITS, ...options.limits }
    this.path = `quarantine/${fileNameOf(options.pipeline)}.jsonl`
  }

  /** Messages that are kept, and those that are not. */
  get counts(): { readonly kept: number; readonly unkept: number } {
    const lost = this.drain === undefined ? 0 : droppedOf(this.drain.ledger)
    return { kept: this.accepted - lost, unkept: this.refused + lost }
  }

  /** Messages that each stage failed on, kept or not, by its path. */
  get byStage(): ReadonlyMap<string, number> {
    return this.stages
  }

  /** Undefined while there is nothing in it. */
  get file(): string | undefined {
    return this.drain === undefined ? undefined : resolveOut(this.path, this.options.outDir)
  }

  saw(record: SessionRecord): void {
    this.frames.saw(record)
  }

  add(failure: StageFailure): void {
    const { poison, path } = failure
    if (poison === undefined) return
    const { limits, options } = this
    const ofStage = this.stages.get(path) ?? 0
    if (ofStage > 0 || this.stages.size < limits.perRun) this.stages.set(path, ofStage + 1)
    if (ofStage >= limits.perStage) {
      this.refuse(`of the stage ${path}, ${limits.perStage} messages are kept`)
      return
    }
    if (this.accepted >= limits.perRun) {
      this.refuse(`${limits.perRun} messages of this run are kept`)
      return
    }
    const where = { pipeline: options.pipeline, atUs: options.clock.nowUs(), streamTimeUs: failure.streamTimeUs }
    const line = quarantineLine(failure, where, this.framesOf(poison.value))
    const bytes = Buffer.byteLength(line) + 1
    if (this.bytes + bytes > limits.bytesPerRun) {
      this.refuse(`${mebibytes(limits.bytesPerRun)} of this run are kept`)
      return
    }
    this.bytes += bytes
    this.accepted++
    this.drain ??= this.open()
    this.drain.push(line)
  }

  /** Resolves when what is kept is on the disk, at the latest after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    await this.drain?.finish('completed', withinMs)
  }

  private open(): Drain<string> {
    const { clock, outDir, onFault } = this.options
    return new Drain<string>(this.sink(), {
      capacity: this.limits.perRun,
      batchMax: 64,
      onFull: 'dropNewest',
      clock,
      outDir,
      onFault,
    })
  }

  /** The file, as long as there is room in it. */
  private sink(): Sink<string> {
    const { path, limits, options } = this
    const lines = jsonLines<string>(path, { append: true, encode: (line) => line, name: 'quarantine' })
    let room = 0
    return {
      ...lines,
      async open(context) {
        await lines.open(context)
        room = limits.fileBytes - (await stat(resolveOut(path, options.outDir))).size
      },
      write: async (batch) => {
        let bytes = 0
        const fitting = batch.filter((line) => {
          const more = Buffer.byteLength(line) + 1
          if (bytes + more > room) return false
          bytes += more
          return true
        })
        if (fitting.length > 0) await lines.write(fitting)
        room -= bytes
        const unfit = batch.length - fitting.length
        if (unfit === 0) return
        this.accepted -= unfit
        this.refuse(`${mebibytes(limits.fileBytes)} are kept in ${this.file ?? path}`, unfit)
      },
    }
  }

  private refuse(why: string, messages = 1): void {
    this.refused += messages
    if (this.told.has(why) || this.told.size >= this.limits.perRun) return
    this.told.add(why)
    this.options.onFault(
      new Fault(
        'SINK_REJECTED',
        `The quarantine has no room for more: ${why}, and further ones are counted. Mend the stage, or move the file away.`,
        { file: this.file, ...this.counts },
      ),
    )
  }

  /** The frames of all moments that a value is of. */
  private framesOf(value: unknown): LoggedFrame[] {
    const moments = new Map<string, { readonly exchange: string; readonly receiveTimeUs: number }>()
    for (const row of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (moments.size === MOMENTS_MAX) break
      const { exchange, receiveTimeUs } = identityOf(row)
      if (exchange === undefined || receiveTimeUs === undefined) continue
      moments.set(`${receiveTimeUs} ${exchange}`, { exchange, receiveTimeUs })
    }
    return [...moments.values()].flatMap((moment) => this.frames.find(moment))
  }
}

/** A file name of a pipeline's: whatever it is called, it names a file in its folder, and no two names the same. */
function fileNameOf(pipeline: string): string {
  const plain = pipeline.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 80)
  if (plain === pipeline && plain !== '') return plain
  return `${plain}-${createHash('sha256').update(pipeline).digest('hex').slice(0, 8)}`
}

function mebibytes(bytes: number): string {
  return `${Number((bytes / 1024 / 1024).toPrecision(2))} MiB`
}
