/** The single event that a frame should give, with the fields of every kind open to a test's questions. */
import { expect } from 'chai'
import type { MarketEvent } from '../../src/model/events'

type Keys<T> = T extends unknown ? keyof T : never
export type AnyEvent = Readonly<Partial<Record<Keys<MarketEvent>, unknown>>>

export function one(events: readonly MarketEvent[]): AnyEvent {
  expect(events).to.have.length(1)
  return events[0]!
}
