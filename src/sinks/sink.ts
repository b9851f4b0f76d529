/**
 * What a sink is: three verbs and a few counters.
 *
 * A sink is a plain value. Creating one does nothing (no file, no connection), so that a pipeline can be described,
 * checked and drawn without side effects; `open` is where the outside world begins. The queue, batching, retries and
 * what happens when full belong to `drain`, not to each sink.
 */
import path from 'node:path'
import type { Clock } from '../clock/clock'
import { Fault } from '../model/fault'
import type { RunLook } from './runLook'

export interface Sink<T> {
  readonly name: string
  readonly counters: SinkCounters
  /** What is promised of a value that was acknowledged. Default `atLeastOnce`. */
  readonly delivery?: Delivery
  /**
   * True for a sink that reports on the whole run. It is finished after the others, so that it tells how they ended; and what
   * it is given is in no latency, for it is not written one by one.
   */
  readonly reportsOnRun?: boolean
  /** Resolves when writes can be accepted. After `close` it may be opened again, for another run or to resume this one. */
  open(context: SinkContext): Promise<void>
  /**
   * Resolves when the whole batch is safe at the destination; rejects with a `Fault` otherwise. Never called
   * concurrently. A batch that was rejected is offered again, as the same array.
   *
   * A value that can never be written is refused with `VALUE_INVALID` and its `index` in the details, before anything of
   * the batch is written: the batch is then offered again without it. A fault with `final: true` in its details says
   * that the destination will not take this batch however often it is asked, one with `retryAfterMs` how long it wants to
   * be left alone.
   *
   * @param key  says which values these are; the same when the batch is offered again
   */
  write(batch: readonly T[], key?: BatchKey): Promise<void>
  /**
   * For `effectivelyOnce`, once it is open: how many values of this run stand at the destination already, as the
   * destination itself remembers. They are not offered again.
   */
  position?(): number
  /** Flushes and releases. May be called twice, and again after it failed. */
  close(): Promise<void>
  /** Starts digesting what is written. Called before `open`. */
  enableDigest?(): void
  /** `sha256:<hex>` over the bytes at the destination; undefined when digesting was not asked for. */
  digest?(): string | undefined
}

/**
 * What is promised of acknowledged values, through retries, crashes and repetitions of a run.
 *
 * atMostOnce       each was handed to those who were connected, and none is handed out twice; who misses some is told so
 * atLeastOnce      each is there; a repetition of the run, or a batch whose acknowledgement was lost, may add it again
 * effectivelyOnce  each is there once: what is written and how far the run has come are one transaction at the destination
 * latest           the latest is there, whole; earlier ones are superseded
 */
export type Delivery = 'atMostOnce' | 'atLeastOnce' | 'effectivelyOnce' | 'latest'

/**
 * Which values of its edge a batch holds: the idempotency key of a write.
 *
 * Counted are the values that the edge let through since the run began, so that a run that is repeated over the same input
 * counts alike wherever its batches begin. Values that were left out as unwritable are counted too.
 */
export interface BatchKey {
  /** Undefined when the run has no name: then no other run can go on where it stood. */
  readonly run: string | undefined
  /** Values before the first of the batch, and up to its last. */
  readonly from: number
  readonly to: number
}

export interface SinkContext {
  /** The folder that relative paths are meant in, and that no path may leave. */
  readonly outDir: string
  /** The time of the stream: decides when a file is rotated or a report rewritten. */
  readonly clock: Clock
  /** True when this run has opened the sink before: it goes on where it stood. Otherwise it begins anew. */
  readonly resume?: boolean
  /** The name of the run: one that was killed may be repeated under the same name over the same input. */
  readonly run?: string | undefined
  /** Where names of secrets and of proxies are looked up: the environment of the process, which no sink reads by itself. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Takes failures that happen between writes, on a timer of the sink's own. */
  readonly onFault?: (fault: Fault) => void
  /** The run as it stands, for sinks that report on it; undefined where there is none. */
  readonly look?: () => RunLook
}

/** Plain fields, counted where the thing happens and read by whoever samples. */
export interface SinkCounters {
  /** Values at the destination. For a report, which is replaced: its versions. Counted by the sink. */
  written: number
  /** Bytes at the destination, as they were written in order. Counted by the sink. */
  bytes: number
  /** Batches that were given up. Counted by `drain`. */
  failed: number
  /** Attempts after the first. Counted by `drain`. */
  retries: number
  /** Values that were given up and stand among the dead letters. Counted by `drain`. */
  deadLettered: number
}

export function sinkCounters(): SinkCounters {
  return { written: 0, bytes: 0, failed: 0, retries: 0, deadLettered: 0 }
}

/** Where files go when nobody says otherwise. */
export const DEFAULT_OUT_DIR = 'out'

/**
 * The file that a sink's path means, absolute.
 *
 * A leading `out/` stands for the output folder itself, whatever its name: `out/spread.json` is `out/spread.json` by
 * default and `elsewhere/spread.json` when the run was told to write elsewhere.
 *
 * @throws `OPTION_INVALID` for a path that leaves `outDir`, or that names no file
 */
export function resolveOut(sinkPath: string, outDir: string): string {
  const details = { path: sinkPath, outDir }
  if (sinkPath.includes('\0') || /(?:^|[\\/])\.{0,2}$/.test(sinkPath)) {
    throw new Fault('OPTION_INVALID', `The sink path ${JSON.stringify(sinkPath)} does not name a file.`, details)
  }
  const folder = path.resolve(outDir)
  const within = path.normalize(sinkPath).replace(/^out[\\/]+/, '')
  const resolved = path.resolve(folder, within)
  const relative = path.relative(folder, resolved)
  if (relative === '') {
    throw new Fault('OPTION_INVALID', `The sink path ${JSON.stringify(sinkPath)} does not name a file.`, details)
  }
  if (relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)) {
    throw new Fault(
      'OPTION_INVALID',
      `The sink path ${JSON.stringify(sinkPath)} leaves the output folder ${folder}: use a path inside it, or choose another output folder.`,
      details,
    )
  }
  return resolved
}
