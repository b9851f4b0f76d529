/**
 * Material that lies beside the checkout, in `../shared`: recordings of real sessions, sample messages, golden summaries.
 * A checkout without it still tests everything else: tests that need it skip themselves and are counted here.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

/** A compiled copy of this file lies one folder deeper. */
const SHARED =
  ['../../../shared', '../../../../shared']
    .map((way) => path.resolve(__dirname, way))
    .find((each) => existsSync(each)) ?? path.resolve(__dirname, '../../../shared')

/** Tests that were skipped because `../shared` is absent. */
export const skipped = { count: 0 }

/** An absolute path inside `../shared`. */
export function sharedPath(...parts: readonly string[]): string {
  return path.join(SHARED, ...parts)
}

export function hasShared(): boolean {
  return existsSync(SHARED)
}

/** Skips the running test (or hook) when `../shared` is absent. */
export function needsShared(context: { skip(): void }): void {
  if (hasShared()) return
  skipped.count++
  context.skip()
}

/** One line of a recording that is not its header. */
export interface RecordedLine {
  /** Nanoseconds since 1970, as digits. */
  readonly t: string
  readonly dir: 'open' | 'out' | 'in' | 'rest'
  readonly raw?: string
  readonly url?: string
  readonly role?: 'instruments' | 'book-snapshot'
  readonly body?: string
}

export interface RecordingHeader {
  readonly venue: string
  readonly url?: string
}

/** A whole recording of `fixtures/recorded`, by its name without `.ndjson.gz`. */
export function readRecording(name: string): { header: RecordingHeader; lines: RecordedLine[] } {
  const text = gunzipSync(readFileSync(sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`))).toString('utf8')
  const [header, ...lines] = text.trimEnd().split('\n')
  return {
    header: JSON.parse(header!) as RecordingHeader,
    lines: lines.map((line) => JSON.parse(line) as RecordedLine),
  }
}

/** The sample messages of an exchange in `fixtures/current`: name without `.json`, and text. */
export function currentFixtures(exchange: string): { name: string; text: string }[] {
  const folder = sharedPath('fixtures', 'current', exchange)
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ name: file.slice(0, -'.json'.length), text: readFileSync(path.join(folder, file), 'utf8') }))
}

export interface GoldenCounts {
  readonly trades?: number
  readonly trades_history?: number
  readonly tickers?: number
  readonly candles?: number
  readonly book_snapshots?: number
  readonly book_updates?: number
}

export interface GoldenBook {
  readonly bids: readonly (readonly [price: string, size: string])[]
  readonly asks: readonly (readonly [price: string, size: string])[]
  readonly levels: readonly [number, number]
}

export interface Golden {
  readonly frames_in: number
  readonly totals: GoldenCounts
  readonly checksum: { readonly checked?: number; readonly ok?: number; readonly bad?: number }
  readonly book_integrity: Readonly<Record<string, number>>
  readonly symbols: Readonly<Record<string, GoldenCounts & { readonly normalized: string | null }>>
  readonly books: Readonly<Record<string, GoldenBook>>
}

/** What a correct replay of a set of recordings gives. */
export function readGolden(set: string): Golden {
  return JSON.parse(readFileSync(sharedPath('fixtures', 'golden', `${set}.json`), 'utf8')) as Golden
}
