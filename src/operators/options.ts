import { LONGEST_WAIT_MS } from '../clock/clock'
import { Fault } from '../model/fault'

/** Throws a sentence about an option that an operator cannot work with; `wanted` is what to give instead. */
export function requireOption(usable: boolean, operator: string, option: string, value: unknown, wanted: string): void {
  if (usable) return
  throw new Fault('OPTION_INVALID', `${operator}: ${option} is ${String(value)}; give ${wanted}.`, { operator, option })
}

export function requireMs(operator: string, option: string, value: number): void {
  const wanted = `milliseconds above 0 and at most ${LONGEST_WAIT_MS}`
  requireOption(value > 0 && value <= LONGEST_WAIT_MS, operator, option, value, wanted)
}

export function requireCount(operator: string, option: string, value: number, least = 1): void {
  requireOption(
    Number.isSafeInteger(value) && value >= least,
    operator,
    option,
    value,
    `a whole number, ${least} or more`,
  )
}
