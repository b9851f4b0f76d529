/**
 * How the log of a book (`bookLog.ts`) is laid out, as numbers: apart from it, so that who only reads what a view says does not
 * load the kernel.
 */
import {
  HEADER_EXCHANGE_TIME,
  HEADER_RECEIVE_TIME,
  HEADER_SEQ,
  LOG_AFTER,
  LOG_BEFORE,
  LOG_HEADER_BYTES,
  LOG_RECORD_BYTES,
} from '../kernel/layout'
import type { BookViewHead } from './bookView'

/** Numbers of a record: the price (negative for asks), the size that was there, the one that is there from then on. */
export const RECORD = LOG_RECORD_BYTES / 8
export const BEFORE = LOG_BEFORE / 8
export const AFTER = LOG_AFTER / 8
/** Of the two records that a view writes; they begin with NaN, as no level does. */
export const HEADER = LOG_HEADER_BYTES / 8
export const RECEIVE_TIME = HEADER_RECEIVE_TIME / 8
export const EXCHANGE_TIME = HEADER_EXCHANGE_TIME / 8
export const SEQ = HEADER_SEQ / 8

/** Writes what a view says beside its levels. */
export function writeHeader(log: Float64Array, at: number, head: BookViewHead): void {
  log[at] = NaN
  log[at + RECEIVE_TIME] = head.receiveTimeUs
  log[at + EXCHANGE_TIME] = head.exchangeTimeUs ?? NaN
  log[at + RECORD] = NaN
  log[at + SEQ] = head.seq ?? NaN
  log[at + HEADER - 1] = 0
}
