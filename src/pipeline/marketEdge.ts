/**
 * What a mailbox does with batches of market data when it is full: how two batches are merged, and how it tells the stages
 * behind it what they did not get.
 */
import type { Receipts } from '../actors/edge'
import { conflateKey, type OnFull } from '../actors/overflow'
import { BookView } from '../book/bookView'
import { conflateEvents } from '../book/conflate'
import { EVENT_KINDS, type MarketEvent } from '../model/events'

/** Merges what waits. Market events merge by their meaning, other rows by the key that the policy names. */
export function conflateBatches(onFull: OnFull): ((values: readonly unknown[]) => readonly unknown[]) | undefined {
  if (typeof onFull !== 'object') return undefined
  const { conflate } = onFull
  return (values) => {
    if (!values.every(isList)) return latestByKey(conflate, values)
    // A batch of nothing is of any kind: it must not make rows of events, of which none but the latest would be left.
    if (values.every((batch) => batch.length === 0 || isMarketBatch(batch))) {
      return [conflateEvents([], values.flat() as MarketEvent[])]
    }
    return [latestByKey(conflate, values.flat())]
  }
}

/** The latest row of each key, in the place of the first. */
function latestByKey(conflate: string | ((row: unknown) => unknown), rows: readonly unknown[]): unknown[] {
  const latest = new Map<unknown, unknown>()
  for (const row of rows) latest.set(keyOf(conflate, row), row)
  return [...latest.values()]
}

/** Books have no field of the kind that names are conflated by: two exchanges trade one instrument. */
function keyOf(conflate: string | ((row: unknown) => unknown), row: unknown): unknown {
  if (typeof conflate === 'string' && row instanceof BookView) return `${row.exchange} ${row.instrument ?? row.symbol}`
  try {
    return conflateKey(conflate, row)
  } catch {
    return row // a row whose key cannot be told is like no other
  }
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function isMarketBatch(batch: readonly unknown[]): batch is readonly MarketEvent[] {
  const first = batch[0] as { kind?: unknown } | undefined
  return first !== undefined && (EVENT_KINDS as readonly unknown[]).includes(first.kind)
}

/** Instruments that one receipt can name; the rest is told as one notice about the exchange. */
const NAMED_MAX = 10_000

interface Missing {
  readonly exchange: string
  /** '' for all instruments of the exchange that could not be named. */
  readonly symbol: string
  readonly instrument: string | undefined
  count: number
  fromUs: number
  toUs: number
}

/** Tells what was dropped as `dropped` notices, one per instrument, so that books behind the edge fall silent. */
export function marketReceipts(): Receipts<unknown> {
  const missing = new Map<string, Missing>()
  return {
    add(dropped) {
      if (!isList(dropped) || !isMarketBatch(dropped)) return
      for (const event of dropped) {
        const named = missing.size < NAMED_MAX
        const key = `${event.exchange} ${named ? (event.instrument ?? event.symbol) : ''}`
        const known = missing.get(key)
        if (known === undefined) {
          missing.set(key, {
            exchange: event.exchange,
            symbol: named ? event.symbol : '',
            instrument: named ? event.instrument : undefined,
            count: 1,
            fromUs: event.receiveTimeUs,
            toUs: event.receiveTimeUs,
          })
        } else {
          known.count++
          known.toUs = event.receiveTimeUs
        }
      }
    },
    take() {
      if (missing.size === 0) return undefined
      const notices = [...missing.values()].map(
        ({ exchange, symbol, instrument, count, fromUs, toUs }): MarketEvent => ({
          kind: 'notice',
          exchange,
          symbol,
          instrument,
          exchangeTimeUs: undefined,
          receiveTimeUs: toUs,
          code: 'dropped',
          details: { events: count, fromUs, toUs },
        }),
      )
      missing.clear()
      return notices
    },
  }
}
