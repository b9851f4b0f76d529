/**
 * Faults as they come, without a storm: of each code the first few are said, then only counted, and the last and the number
 * are said at the end.
 */
import type { Fault } from '../model/fault'
import { say } from './command'

/** Faults of one code that are said as they come. */
const SAID_MAX = 3

export interface FaultLog {
  readonly add: (fault: Fault) => void
  /** Says what was only counted. */
  close(): void
}

/** @param quiet  says nothing until the end: a picture is being drawn where the sentences would go */
export function faultLog(quiet: boolean): FaultLog {
  const seen = new Map<string, { count: number; first: string; last: string }>()
  return {
    add(fault) {
      const entry = seen.get(fault.code)
      if (entry === undefined) seen.set(fault.code, { count: 1, first: fault.message, last: fault.message })
      else {
        entry.count++
        entry.last = fault.message
      }
      const count = entry?.count ?? 1
      if (!quiet && count <= SAID_MAX) say(`${fault.code}: ${fault.message}`)
      if (!quiet && count === SAID_MAX) say(`${fault.code}: further ones are counted.`)
    },
    close() {
      for (const [code, { count, first, last }] of seen) {
        if (quiet) say(`${code}: ${first}`)
        if (count > 1 && (quiet || count > SAID_MAX)) say(`${code}: ${count} in all; the last: ${last}`)
      }
    },
  }
}
