import type { MarketEvent } from '../../src/model/events'
import { EVENT_FIELDS, type FieldType } from '../../src/sinks/eventFields'

/**
 * An event of a kind, of which each number makes another one. Odd ones have everything that an exchange can say, even ones
 * only what it must: no names, no times of its own, empty sides.
 */
export function anyEvent(kind: MarketEvent['kind'], n: number): MarketEvent {
  const isFull = n % 2 === 1
  const fields = Object.entries<FieldType>(EVENT_FIELDS[kind]).map(([name, type]) => [
    name,
    isFull || ALWAYS.has(name) ? fieldOf(name, type, n, isFull) : undefined,
  ])
  return { ...Object.fromEntries(fields), kind, receiveTimeUs: 1_700_000_000_000_001 + n } as MarketEvent
}

const ALWAYS: ReadonlySet<string> = new Set([
  ...['exchange', 'symbol', 'price', 'size', 'history', 'bids', 'asks', 'openTimeUs', 'intervalUs'],
  ...['open', 'high', 'low', 'close', 'volume', 'closed', 'code', 'details'],
])

function fieldOf(name: string, type: FieldType, n: number, isFull: boolean): unknown {
  switch (type) {
    case 'text':
      return name === 'side' ? 'sell' : `${name} ${n}, 'quoted' "twice", back\\slash\ttab\nline 日本 🜁`
    case 'number':
      return isFull ? 0.1 * n : -1e-300
    case 'integer':
      return isFull ? Number.MAX_SAFE_INTEGER - n : 0
    case 'timeUs':
      return 1_700_000_000_123_457 - n * 1_000_003
    case 'boolean':
      return isFull
    case 'levels':
      return isFull
        ? [
            [42_000.1 + n, 1e-8],
            [42_000, 0],
          ]
        : []
    case 'json':
      return { n, list: [1, null, 'a "quote"'], none: null }
  }
}
