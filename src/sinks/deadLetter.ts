import type { Clock } from '../clock/clock'
import type { Fault, FaultCode } from '../model/fault'

/**
 * A value that was given up, with the reason. It is written where the pipeline says (`deadLetters` of a sink's edge), so
 * that it can be looked at, mended and sent again.
 */
export interface DeadLetter<T> {
  readonly sink: string
  /** `rejected`: refused for longer than the retry budget. `unencodable`: it has no form in which it could be written. */
  readonly reason: 'rejected' | 'unencodable'
  readonly code: FaultCode
  readonly message: string
  readonly attempts: number
  /** Time of the stream. */
  readonly timeUs: number
  readonly value: T
}

export function deadLetter<T>(
  sink: string,
  reason: DeadLetter<T>['reason'],
  { code, message }: Fault,
  attempts: number,
  value: T,
  clock: Clock,
): DeadLetter<T> {
  return { sink, reason, code, message, attempts, timeUs: clock.nowUs(), value }
}
