/**
 * Smallest steps of prices and sizes, as exchanges publish them with their instruments.
 */
import { decimalsOf, isDecimal } from '../model/decimal'

export interface Step {
  readonly step: number | undefined
  readonly decimals: number | undefined
}

const NO_STEP: Step = { step: undefined, decimals: undefined }

/** A step from its text: `0.01000000` is a step of 0.01 with 2 decimals. Absent and zero steps are none. */
export function stepOf(wire: unknown): Step {
  const text = typeof wire === 'number' ? String(wire) : wire
  if (!isDecimal(text)) return NO_STEP
  const step = Number(text)
  if (!(step > 0 && step < 1e18)) return NO_STEP
  const shortest = /[eE]/.test(text) || !text.includes('.') ? text : text.replace(/\.?0+$/, '')
  return { step, decimals: decimalsOf(shortest) }
}
