/**
 * Where a run's market data comes from: live exchanges, the simulator or recordings, behind one face.
 *
 * All feeds of a run share one market, so that an instrument that two sources wish is received once, and a recording of
 * the run holds everything exactly once. Whatever it is, a market gives records in the order in which they happened, with
 * the events of each.
 */
import type { SessionRecord } from '../feed/record'
import type { Sessions } from '../feed/sessions'
import type { MarketEvent } from '../model/events'
import type { Fault } from '../model/fault'

export interface MarketOutput {
  /** Every record, before its events. */
  record(record: SessionRecord): void
  /** The events of the record that was told of last; never none. */
  events(record: SessionRecord, events: readonly MarketEvent[]): void
  fault(fault: Fault): void
  /** Nothing more will come: the recordings are at their end, or the retry budget is spent. */
  ended(): void
}

export interface Market {
  readonly sessions: Sessions
  /** Resolves when the sources are open. Rejects with a `Fault` that says what cannot be had. */
  start(output: MarketOutput): Promise<void>
  /** Closes everything in order; the last records come while it does. */
  stop(): Promise<void>
  /** Holds the sources back, and lets them go on. */
  pause(): void
  resume(): void
  /** The connections as they are, for people. */
  connections(): readonly ConnectionView[]
  /** False when the recording holds none of the wished instruments, so that all it holds are meant. */
  readonly byInstrument: boolean
}

export interface ConnectionView {
  readonly exchange: string
  readonly url: string
  readonly state: string
}
