/**
 * What can go wrong on purpose, and how often.
 *
 * A plan as text: `drop=10s,skip=5s,kraken:checksum=3s`: each kind with the average time between two of them on each
 * exchange (or on the one named), drawn from an exponential distribution of the simulator's seed.
 */
import { Fault } from '../model/fault'

/**
 * drop      all connections of the exchange are cut
 * skip      one change of a book is not sent to one client
 * checksum  one client gets a book change with a wrong checksum, and then the right one
 * silence   one connection gets nothing for a while; what would have been sent is lost
 * freeze    one instrument stands still for a while: nothing is lost, but nothing of it is sent on any channel
 * garbage   one client gets a frame that is not JSON
 * refuse    the next connection is refused (503)
 * http429   the next REST request is refused (429, Retry-After)
 */
export const FAULT_KINDS = ['drop', 'skip', 'checksum', 'silence', 'freeze', 'garbage', 'refuse', 'http429'] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

export interface FaultRule {
  readonly kind: FaultKind
  /** Undefined: every exchange where a client can notice it. */
  readonly exchange: string | undefined
  /** On average, on each exchange. */
  readonly everyMs: number
}

export type FaultPlan = readonly FaultRule[]

/** One fault, now. */
export interface InjectedFault {
  readonly kind: FaultKind
  readonly exchange: string
  /**
   * For `skip` and `checksum`: the exchange's symbol whose book it befalls. Default: the next that changes. For `freeze`: the
   * one that stands still. Default: any that somebody watches.
   */
  readonly symbol?: string
  /** For `silence`, default 5,000; and for `freeze`, default 60,000. */
  readonly forMs?: number
}

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
])

const SHORTEST_MS = 10
const LONGEST_MS = 86_400_000

/** Throws OPTION_INVALID, with what is known, for a text that is no plan. */
export function parseFaultPlan(spec: string, exchanges: readonly string[]): FaultPlan {
  const plan: FaultRule[] = []
  for (const part of spec.split(',').map((text) => text.trim())) {
    if (part === '') continue
    const match = /^(?:([\w-]+):)?([\w-]+)=(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(part)
    if (match === null)
      throw invalid(spec, `"${part}" is not KIND=TIME or EXCHANGE:KIND=TIME with a time such as 500ms, 10s or 2m`)
    const [, exchange, kind = '', amount = '', unit = ''] = match
    const everyMs = Number(amount) * UNIT_MS.get(unit)!
    const problem = problemOf(exchange, kind, everyMs, exchanges)
    if (problem !== undefined) throw invalid(spec, problem)
    plan.push({ kind: kind as FaultKind, exchange, everyMs })
  }
  return plan
}

/** The plan itself, if it can be followed; throws OPTION_INVALID otherwise. */
export function checkFaultPlan(plan: FaultPlan, exchanges: readonly string[]): FaultPlan {
  for (const rule of plan) {
    const problem = problemOf(rule.exchange, rule.kind, rule.everyMs, exchanges)
    if (problem !== undefined) throw invalid(`${rule.kind}=${rule.everyMs}ms`, problem)
  }
  return plan
}

function problemOf(
  exchange: string | undefined,
  kind: string,
  everyMs: number,
  exchanges: readonly string[],
): string | undefined {
  if (!isFaultKind(kind)) return `there is no fault "${kind}"; known are ${FAULT_KINDS.join(', ')}`
  if (exchange !== undefined && !exchanges.includes(exchange))
    return `there is no simulated exchange "${exchange}"; running are ${exchanges.join(', ')}`
  if (everyMs >= SHORTEST_MS && everyMs <= LONGEST_MS) return undefined
  return `the time of "${kind}" is not between 10ms and a day`
}

export function isFaultKind(kind: string): kind is FaultKind {
  return (FAULT_KINDS as readonly string[]).includes(kind)
}

function invalid(spec: string, problem: string): Fault {
  return new Fault('OPTION_INVALID', `The fault plan cannot be used: ${problem}.`, { option: 'faults', value: spec })
}
