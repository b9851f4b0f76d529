/**
 * What a mailbox does with batches of market data when it is full: how two batches are merged, and how it tells the stages
 * behind it what they did not get.
 */
import type { OnFull, Receipts } from '../actors/edge'
import { BookView } from '../book/bookView'
import { conflateEvents } from '../book/conflate'
import { EVENT_KINDS, type MarketEvent } from '../model/events'

/** Merges two batches that wait. Market events merge by their meaning, other rows by the field that the policy names. */
export function conflateBatches(onFull: OnFull): ((older: unknown, newer: unknown) => unknown) | undefined {
  if (typeof onFull !== 'object') return undefined
  const field = onFull.conflate
  return (older, newer) => {
    if (!isList(older) || !isList(newer)) return newer
    if (isMarketBatch(older) && isMarketBatch(newer)) return conflateEvents(older, newer)
    const latest = new Map<unknown, unknown>()
    for (const row of [...older, ...newer]) {
      const key = row instanceof BookView ? `${row.exchange} ${row.instrument ?? row.symbol}` : keyed(row, field)
      latest.delete(key)
      latest.set(key, row)
    }
    return [...latest.values()]
  }
}

function keyed(row: unknown, field: string): unknown {
  return typeof row === 'object' && row !== null ? (row as Record<string, unknown>)[field] : row
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
