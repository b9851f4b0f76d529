import buildEncoder, { type Schema } from 'fast-json-stringify'
import type { Trade } from '../../src/model/events'
import { EVENT_FIELDS, type FieldType } from '../../src/sinks/eventFields'

/** Trades to JSON text by the plain library: compiled by fast-json-stringify, with the fields that ours writes. */
export function compiledJson(): (trade: Trade) => string {
  const types: Partial<Record<FieldType, Schema>> = {
    text: { type: 'string' },
    number: { type: 'number' },
    timeUs: { type: 'integer' },
  }
  const properties: Record<string, Schema> = {}
  for (const [field, type] of Object.entries<FieldType>(EVENT_FIELDS.trade)) {
    // As in ours, of a live trade it is not said that it is no history.
    if (field !== 'history') properties[field] = types[type]!
  }
  return buildEncoder({ type: 'object', properties })
}
