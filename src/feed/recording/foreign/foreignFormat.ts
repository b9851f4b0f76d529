/**
 * What a format of another recorder is to us: how its files are recognised, and what its lines mean.
 *
 * A decoder turns lines of one file into records, in order; it knows no file. `foreignReader.ts` reads the files,
 * `foreignFormats.ts` lists the formats.
 */
import type { SessionRecord } from '../../record'

export type ForeignFormatName = 'hftbacktest' | 'cryptofeed' | 'tardis-raw' | 'tardis-csv'

export interface ForeignFormat {
  readonly name: ForeignFormatName
  /** For people: whose files these are. */
  readonly title: string
  /** True where no file says which exchange it is of, so that the caller has to. */
  readonly needsExchange: boolean
  /** Whether a file begins as files of this format do. `start` is some thousand characters of it. */
  recognises(start: string): boolean
  /** @throws `OPTION_INVALID` where something has to be said about a file that nobody has said */
  decoder(file: ForeignFile): LineDecoder
}

/** What a decoder is told of its file. */
export interface ForeignFile {
  readonly path: string
  /** The exchange's id as the caller gave it; undefined where the file says it. */
  readonly exchange: string | undefined
  /** The address that was connected to, where the caller says so. */
  readonly url: string | undefined
  /** Of CSV files whose columns leave it open. */
  readonly dataType: string | undefined
  /** The number that the file's connection gets. */
  readonly connection: number
}

export interface LineDecoder {
  /**
   * Appends the records of a line, which comes without its end; also of blank ones.
   *
   * @returns why it cannot be read, as the end of a sentence ("has no time"); undefined where it could be
   */
  line(text: string, out: SessionRecord[]): string | undefined
  /** The file has ended: what was held back. */
  end(out: SessionRecord[]): void
  /** What is left out on purpose: counts by reason, each the end of a sentence ("3 lines …"). */
  readonly leftOut: ReadonlyMap<string, number>
}

/** Counts what is left out on purpose. */
export class LeftOut extends Map<string, number> {
  add(reason: string): void {
    this.set(reason, (this.get(reason) ?? 0) + 1)
  }
}

export interface RecordTimeParts {
  readonly timeUs: number
  readonly ns: number
}

/** Nanoseconds since 1970 as digits, into the two parts of a record's time; undefined when it is no time of ours. */
export function timeOfNanoseconds(digits: string): RecordTimeParts | undefined {
  if (!/^\d{1,19}$/.test(digits)) return undefined
  const timeUs = digits.length > 3 ? Number(digits.slice(0, -3)) : 0
  if (timeUs > Number.MAX_SAFE_INTEGER) return undefined
  return { timeUs, ns: Number(digits.slice(-3)) }
}

/** Seconds since 1970 with a fraction of any length; what is finer than a nanosecond is cut off. */
export function timeOfSeconds(text: string): RecordTimeParts | undefined {
  const match = /^(\d{1,10})(?:\.(\d{1,30}))?$/.exec(text)
  if (match === null) return undefined
  return timeOfNanoseconds(match[1]! + (match[2] ?? '').slice(0, 9).padEnd(9, '0'))
}

/** The inverse of {@link timeOfSeconds}, exactly: as many digits as are needed, at least one. */
export function secondsText({ timeUs, ns }: RecordTimeParts): string {
  const seconds = Math.floor(timeUs / 1_000_000)
  const fraction = `${String(timeUs % 1_000_000).padStart(6, '0')}${String(ns).padStart(3, '0')}`.replace(/0+$/, '')
  return `${seconds}.${fraction === '' ? '0' : fraction}`
}
