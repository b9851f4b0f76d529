/**
 * Harmed frames through the scanner and the plain decoder: the same comparison for the suite (a few thousand) and for
 * `benchmarks/scannerFuzz.ts` (as many as one has patience for).
 */
import { exchangeById } from '../../src/exchanges/exchanges'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import type { SessionRecord } from '../../src/feed/record'
import { DOCUMENTED } from '../exchanges/documentedFrames'
import { FrameMutator } from './frameMutator'
import { RECORDINGS, recordsOf } from './recordings'
import { hasShared } from './shared'
import { TODAYS_FRAMES } from './todaysFrames'
import { Twins } from './twins'

export interface FuzzReport {
  exchange: string
  /** Frames that are harmed, and how many of them can be scanned as they are. */
  samples: number
  scannable: number
  harmed: number
  /** Harmed frames that were scanned all the same, that gave events, and that were unreadable. */
  scanned: number
  eventful: number
  unreadable: number
  inexactNumbers: number
  /** Of the samples that could be scanned at the beginning of a round, how many still could at its end. */
  stillScanned: number
  stillScannable: number
  /** Those that could not, although they gave events. */
  lost: number
}

/**
 * Sessions are begun anew after so many frames: what harmed frames leave behind would fill the memory. Bybit's soon have
 * heard of a deeper book of every symbol, beside which the others count no more.
 */
const ROUND = 20_000
const ROUND_OF_BYBIT = 500
/** Frames of a recording that are harmed. */
const RECORDED_MAX = 400
/** Longer frames are snapshots: harming them costs much and shows little. */
const CHARS_MAX = 3_000

/** Where an exchange's markets speak alike, rounds take turns. */
const URLS: ReadonlyMap<string, readonly string[]> = new Map([
  ['bybit', ['wss://stream.bybit.com/v5/public/linear', 'wss://stream.bybit.com/v5/public/spot']],
])

export interface Samples {
  readonly frames: readonly string[]
  readonly instruments: readonly SessionRecord[]
}

/** Frames of all forms: recorded ones, documented ones, and those of today. */
export function samplesOf(exchange: string): Samples {
  const protocol = exchangeById(exchange)
  const documented = DOCUMENTED.get(exchange)!
  const frames = [
    ...(TODAYS_FRAMES.get(exchange) ?? []),
    ...Object.values(documented.frames).flat(),
    ...documented.control.map(([, frame]) => frame),
  ]
  const instruments: SessionRecord[] = []
  if (hasShared()) {
    for (const [id, session, rest] of RECORDINGS) {
      if (id !== exchange) continue
      const records = recordsOf(protocol, session, rest)
      instruments.push(...records.filter((record) => record.dir === 'rest' && record.role === 'instruments'))
      const recorded = records.flatMap((record) => (record.dir === 'in' ? [String(record.data)] : []))
      const short = recorded.filter(({ length }) => length <= CHARS_MAX)
      const every = Math.max(1, Math.floor(short.length / RECORDED_MAX))
      frames.push(...short.filter((_, index) => index % every === 0))
    }
  }
  return { frames: [...new Set(frames)], instruments }
}

/**
 * Harms so many frames of an exchange and compares what the two decoders make of each.
 *
 * @throws when they differ, with the frame
 */
export function fuzzScanner(exchange: string, count: number, seed: number, samples = samplesOf(exchange)): FuzzReport {
  const protocol = exchangeById(exchange)
  const report: FuzzReport = {
    exchange,
    samples: samples.frames.length,
    scannable: 0,
    harmed: 0,
    scanned: 0,
    eventful: 0,
    unreadable: 0,
    inexactNumbers: 0,
    stillScanned: 0,
    stillScannable: 0,
    lost: 0,
  }
  for (let round = 0; report.harmed < count; round++) {
    const [urls, mutator] = [URLS.get(exchange) ?? [''], new FrameMutator(seed * 1_000 + round, samples.frames)]
    const options = { guarded: round % 2 === 0, controlled: round % 4 < 2, wholeList: round % 8 === 7 }
    const run = new Round(protocol, new Twins(protocol, options), samples, urls[round % urls.length]!)
    const frames = exchange === 'bybit' ? ROUND_OF_BYBIT : ROUND
    run.harm(mutator, Math.min(frames, count - report.harmed), report)
  }
  return report
}

/** Frames with the same keys: each form is harmed as often as the others, however rare it is in recordings. */
function byForm(frames: readonly string[]): string[][] {
  const forms = new Map<string, string[]>()
  for (const frame of frames) {
    const form = (frame.match(/^\W+|"\w+":/g) ?? []).join('').replaceAll(/\d/g, '').slice(0, 200)
    const known = forms.get(form)
    if (known === undefined) forms.set(form, [frame])
    else known.push(frame)
  }
  return [...forms.values()]
}

class Round {
  private timeUs = 1_790_000_000_000_000

  constructor(
    private readonly protocol: ExchangeProtocol,
    private readonly twins: Twins,
    private readonly samples: Samples,
    url: string,
  ) {
    for (const record of samples.instruments) twins.apply(record)
    twins.apply({ ...this.base(), dir: 'open', url })
  }

  harm(mutator: FrameMutator, count: number, report: FuzzReport): void {
    const { twins, samples } = this
    const { frames } = samples
    const scannable = frames.filter((frame) => this.isScanned(frame))
    report.scannable = scannable.length
    const [all, forms] = [byForm(frames), byForm(scannable)]
    for (let index = 0; index < count; index++) {
      const frame = mutator.pick(mutator.pick(mutator.below(10) === 0 ? all : forms))
      // What was harmed before may have cost the key.
      if (mutator.below(3) > 0) this.receive(frame)
      const { scanned, unreadable, inexactNumbers } = twins.counts
      const events = this.receive(mutator.harmed(frame))
      report.harmed++
      report.scanned += twins.counts.scanned - scanned
      report.unreadable += twins.counts.unreadable - unreadable
      report.inexactNumbers += twins.counts.inexactNumbers - inexactNumbers
      if (events > 0) report.eventful++
    }
    report.stillScannable += scannable.length
    for (const frame of scannable) {
      if (this.isScanned(frame)) report.stillScanned++
      else if (twins.session?.reason === undefined && !this.isScannedInTheEnd(frame)) report.lost++
    }
  }

  /** True when a frame is scanned once its key has been learned. */
  private isScanned(frame: string): boolean {
    this.receive(frame)
    const { scanned } = this.twins.counts
    this.receive(frame)
    return this.twins.counts.scanned > scanned
  }

  /** True when a frame is scanned once its key, which harmed frames made look useless, is considered again. */
  private isScannedInTheEnd(frame: string): boolean {
    for (let times = 0; times <= 100; times++) if (this.isScanned(frame)) return true
    return false
  }

  private receive(data: string | Uint8Array): number {
    return this.twins.apply({ ...this.base(), dir: 'in', data }).length
  }

  private base() {
    return { exchange: this.protocol.id, connection: 0, timeUs: this.timeUs++, ns: 0 }
  }
}
