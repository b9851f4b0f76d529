/**
 * Records for tests of sessions: those of real sessions, and single ones made of what a test is about.
 */
import { Level2Book } from '../../src/book/level2Book'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { FromFramesOptions } from '../../src/feed/fromFrames'
import type { InRecord, RestRecord, SessionRecord } from '../../src/feed/record'
import { replayRecords } from '../../src/feed/recording/mergeRecordings'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import type { Fault } from '../../src/model/fault'
import { sharedPath } from '../kit/shared'

/** A session of each exchange that is whole and short, and the set of golden numbers it belongs to. */
export const WHOLE_SESSIONS: Readonly<Record<string, string>> = {
  binance: 'binance.ws1',
  'binance-futures': 'binance-futures.ws1',
  bybit: 'bybit.xrpusdt-ob500-20241201.first60',
  kraken: 'kraken.ws50.first60',
  okx: 'okx.ws1.first60',
  coinbase: 'coinbase.ws28.first60',
}

/** All records of a real session, its REST answers among them. */
export async function recordsOf(session: string): Promise<SessionRecord[]> {
  const records: SessionRecord[] = []
  const throwing = (fault: Fault): never => {
    throw fault
  }
  for await (const batch of replayRecords([sharedPath('fixtures', 'recorded', `${session}.ndjson.gz`)], {
    onFault: throwing,
  })) {
    records.push(...batch)
  }
  return records
}

/** What the records of a run gave. */
export interface Played {
  readonly sessions: Sessions
  readonly faults: readonly Fault[]
  readonly events: readonly MarketEvent[]
}

export function play(records: Iterable<SessionRecord>): Played {
  const faults: Fault[] = []
  const events: MarketEvent[] = []
  const sessions = new Sessions({ protocolOf: exchangeById, onFault: (fault) => faults.push(fault) })
  for (const record of records) for (const event of sessions.apply(record)) events.push(event)
  return { sessions, faults, events }
}

/** The events of each symbol as texts; those about a whole connection under ''. */
export function textsBySymbol(events: readonly MarketEvent[]): Map<string, string[]> {
  const texts = new Map<string, string[]>()
  for (const event of events) {
    const known = texts.get(event.symbol)
    if (known === undefined) texts.set(event.symbol, [textOf(event)])
    else known.push(textOf(event))
  }
  return texts
}

function textOf(event: MarketEvent): string {
  return JSON.stringify(event, (_, value: unknown) => (value instanceof Map ? [...value] : value))
}

/** The books that the events leave behind. */
export function booksOf(events: Iterable<MarketEvent>): Map<string, Level2Book> {
  const books = new Map<string, Level2Book>()
  for (const event of events) {
    let book = books.get(event.symbol)
    if (event.kind === 'snapshot' || event.kind === 'delta') {
      if (book === undefined) books.set(event.symbol, (book = new Level2Book()))
      if (event.kind === 'snapshot') book.snapshot(event)
      else book.delta(event)
    } else if (event.kind === 'notice' && event.code === 'gap') book?.clear()
  }
  return books
}

export function received(
  exchange: string,
  data: string | Uint8Array | object,
  fields: Partial<Pick<InRecord, 'timeUs' | 'connection'>> = {},
): InRecord {
  const bytes = typeof data === 'string' || data instanceof Uint8Array ? data : JSON.stringify(data)
  return { dir: 'in', exchange, timeUs: 1_760_000_000_000_000, ns: 0, connection: 0, ...fields, data: bytes }
}

export function answered(
  exchange: string,
  url: string,
  body: string | object,
  fields: Partial<Pick<RestRecord, 'timeUs' | 'connection' | 'role'>> = {},
): RestRecord {
  return {
    ...{ dir: 'rest', exchange, timeUs: 1_760_000_000_000_000, ns: 0, connection: -1, method: 'GET', url },
    role: 'book-snapshot',
    ...fields,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  }
}

/** What a recording is to `fromFrames`: its frames with their times, and the texts of its REST answers. */
export function argumentsOf(
  exchange: string,
  records: readonly SessionRecord[],
): { frames: Uint8Array[]; options: FromFramesOptions } {
  const protocol = exchangeById(exchange)
  const received = records.flatMap((record) => (record.dir === 'in' ? [record] : []))
  const rest = records.flatMap((record) => (record.dir === 'rest' ? [record] : []))
  const instruments = rest.find(({ role }) => role === 'instruments')?.body
  const snapshots = rest.flatMap(({ url, role, body }) => {
    const symbol = role === 'book-snapshot' ? protocol.book.snapshot?.symbolOf(url) : undefined
    return symbol === undefined ? [] : [{ symbol, body }]
  })
  const url = records.flatMap((record) => (record.dir === 'open' ? [record.url] : []))[0]
  return {
    frames: received.map(({ data }) => Buffer.from(data)),
    options: {
      receiveTimesUs: received.map(({ timeUs }) => timeUs),
      snapshots,
      ...(instruments === undefined ? {} : { instruments }),
      ...(url === undefined ? {} : { url }),
    },
  }
}
