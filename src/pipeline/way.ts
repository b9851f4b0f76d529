/**
 * The way into a mailbox or into a sink's queue: straight, or past a spill that stands before it where its policy says so.
 */
import { copyOf, sumOf, type DropReason, type Ledger } from '../actors/ledger'
import { spillOf, type EdgeOptions } from '../actors/overflow'
import type { Pressure } from '../actors/pressure'
import type { ReceiptCounts, Receipts } from '../actors/receipts'
import type { Fault } from '../model/fault'
import { combinedLedger, Spill, spillFiles } from './spill'
import { Valve, type ValveSetting } from './valve'

export interface Way {
  /** Takes a value that happened at `timeUs` (undefined: outside the stream's time). */
  offer(timeUs: number | undefined, value: unknown): void
  /** The account from the one end to the other. */
  readonly ledger: Readonly<Ledger>
  /** What a report says beside the account. */
  readonly look: WayLook
  /** Resolves when nothing waits on disk. */
  settled(): Promise<void>
  /** Drops what waits, and takes no more. */
  close(reason: DropReason): Promise<void>
  /** Turns values away before they enter, and counts them; undefined lets all in again. */
  restrict(setting: ValveSetting | undefined): void
}

export interface WayLook {
  /** Most values that have waited at once in memory. */
  readonly highWater: number
  /** Runs of values that were dropped, and the latest of them; absent when there were none. */
  readonly receipts?: Readonly<ReceiptCounts>
  /** Most bytes that have waited at once on disk; where there is a spill. */
  readonly spilledBytesMax?: number
}

/** What the way leads into. */
export interface WayTarget {
  offer(timeUs: number | undefined, value: unknown): void
  skipped(account: Receipts<unknown>): void
  close(reason: DropReason): void
  readonly ledger: Readonly<Ledger>
  readonly highWater: number
  readonly receipts: Readonly<ReceiptCounts>
}

export interface WayOptions {
  readonly edge: EdgeOptions
  /** What it is called in a sentence: `The edge to spreads/best`. */
  readonly name: string
  readonly pipeline: string
  readonly node: string
  readonly outDir: string
  /** Holds back the source. */
  readonly pressure: Pressure
  readonly onFault: (fault: Fault) => void
  readonly receipts: () => Receipts<unknown>
  /** What a value counts at the target. */
  readonly weigh: (value: unknown) => number
}

/** @param make  makes the target, which asks `pressure` to pause and to go on */
export function wayTo(options: WayOptions, make: (pressure: Pressure) => WayTarget): Way {
  const way = unrestricted(options, make)
  const valve = new Valve(way, options.weigh, options.receipts)
  return {
    offer: (timeUs, value) => valve.offer(timeUs, value),
    get ledger() {
      return valve.ledger.in === 0 ? way.ledger : sumOf([valve.ledger, way.ledger])
    },
    get look() {
      return way.look
    },
    settled: () => way.settled(),
    close: (reason) => way.close(reason),
    restrict: (setting) => valve.set(setting),
  }
}

type Unrestricted = Omit<Way, 'restrict'> & Pick<WayTarget, 'skipped'>

function unrestricted(options: WayOptions, make: (pressure: Pressure) => WayTarget): Unrestricted {
  const policy = spillOf(options.edge.onFull)
  if (policy === undefined) return straightTo(make(options.pressure))
  const { name, pipeline, node, outDir, pressure, onFault, weigh } = options
  const spill = new Spill<unknown>({
    name,
    bytesMax: policy.bytesMax,
    files: spillFiles({ outDir, pipeline, edge: node, name: policy.spill, pid: process.pid }),
    to: {
      offer: (timeUs, value) => target.offer(timeUs, value),
      skipped: (account) => target.skipped(account),
    },
    pressure,
    onFault,
    weigh,
    receipts: options.receipts(),
  })
  const target = make(spill)
  return {
    offer: (timeUs, value) => spill.offer(timeUs, value),
    skipped: (account) => spill.skipped(account),
    get ledger() {
      return combinedLedger(spill.ledger, target.ledger)
    },
    get look() {
      return {
        ...lookOf(target.highWater, bothOf(spill.receipts, target.receipts)),
        spilledBytesMax: spill.highWaterBytes,
      }
    },
    settled: () => spill.settled(),
    async close(reason) {
      // The spill first: a target that is closed lets go, and would be handed what waits.
      const closing = spill.close(reason)
      target.close(reason)
      await closing
    },
  }
}

function straightTo(target: WayTarget): Unrestricted {
  return {
    offer: (timeUs, value) => target.offer(timeUs, value),
    skipped: (account) => target.skipped(account),
    get ledger() {
      return copyOf(target.ledger)
    },
    get look() {
      return lookOf(target.highWater, target.receipts)
    },
    settled: () => Promise.resolve(),
    close(reason) {
      target.close(reason)
      return Promise.resolve()
    },
  }
}

function lookOf(highWater: number, receipts: Readonly<ReceiptCounts>): WayLook {
  return receipts.runs === 0 ? { highWater } : { highWater, receipts: { ...receipts } }
}

function bothOf(earlier: Readonly<ReceiptCounts>, later: Readonly<ReceiptCounts>): ReceiptCounts {
  const latest = (earlier.lastToUs ?? -Infinity) > (later.lastToUs ?? -Infinity) ? earlier : later
  return { ...latest, runs: earlier.runs + later.runs, values: earlier.values + later.values }
}
