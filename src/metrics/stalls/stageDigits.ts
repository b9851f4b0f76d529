/**
 * The number of a stage, written on the call stack: three digits to the base of eight, each a function of its own.
 *
 * A sampled stack names functions and nothing else. All stages are called by the same lines of the engine, so that a stack
 * alone does not say whose work it shows; what is called by way of {@link entered} says it, exactly, at every sample, whatever
 * the clocks do. For development: each call costs some nanoseconds more.
 */

type Step = (value: unknown) => void

const BASE = 8
export const DIGITS = 3

/** Stages beyond cannot be told apart. */
export const NUMBERS_MAX = BASE ** DIGITS - 1

const digits: readonly ((next: Step, value: unknown) => void)[] = [
  function stageDigit0(next, value) {
    next(value)
  },
  function stageDigit1(next, value) {
    next(value)
  },
  function stageDigit2(next, value) {
    next(value)
  },
  function stageDigit3(next, value) {
    next(value)
  },
  function stageDigit4(next, value) {
    next(value)
  },
  function stageDigit5(next, value) {
    next(value)
  },
  function stageDigit6(next, value) {
    next(value)
  },
  function stageDigit7(next, value) {
    next(value)
  },
]

/**
 * @param number  of the stage, 1 to {@link NUMBERS_MAX}; higher ones count as the last
 * @returns       a function that calls `work` with the number on the stack
 */
export function entered(number: number, work: Step): Step {
  let rest = Math.min(number, NUMBERS_MAX)
  let step = work
  for (let place = 0; place < DIGITS; place++) {
    const digit = digits[rest % BASE]!
    const next = step
    step = (value) => digit(next, value)
    rest = Math.floor(rest / BASE)
  }
  return step
}

/** The digit that a function stands for; undefined for all others. */
export function digitOf(functionName: string): number | undefined {
  const found = /^stageDigit([0-7])$/.exec(functionName)
  return found === null ? undefined : Number(found[1])
}

/** @param found  digits as they are met from the innermost call outwards: the lowest place first */
export function numberFrom(found: readonly number[]): number | undefined {
  if (found.length < DIGITS) return undefined
  return found.slice(0, DIGITS).reduce((number, digit, place) => number + digit * BASE ** place, 0)
}
