import { Fault } from '../model/fault'

/** A sentence about an option that a sink cannot work with; `wanted` is what it should be. */
export function unusableOption(sink: string, option: string, value: unknown, wanted: string): Fault {
  return new Fault('OPTION_INVALID', `The sink ${sink} has ${option} = ${String(value)}: it should be ${wanted}.`, {
    option,
  })
}

/** @throws `Fault` OPTION_INVALID for what is no count */
export function wholeAboveZero(sink: string, option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw unusableOption(sink, option, value, 'a whole number above 0')
}

/**
 * A limit; one that is left out is none.
 *
 * @throws `Fault` OPTION_INVALID for one that nothing could keep to
 */
export function aboveZero(sink: string, option: string, value: number | undefined): number {
  if (value === undefined) return Infinity
  if (value > 0) return value
  throw unusableOption(sink, option, value, 'a number above 0')
}
