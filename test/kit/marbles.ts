import { expect } from 'chai'
import { TestScheduler, type RunHelpers } from 'rxjs/testing'
import type { Clock } from '../../src/clock/clock'

/** The helpers of RxJS, and a clock that runs on the same marbles. */
export interface MarbleHelpers extends RunHelpers {
  readonly clock: Clock
}

/**
 * Runs marbles in virtual time: one character is one millisecond, and timers fire without waiting, those of operators
 * that take a clock included, when they are given `clock`.
 */
export function marbles(body: (helpers: MarbleHelpers) => void): void {
  const scheduler = new TestScheduler((actual, expected) => void expect(actual).to.deep.equal(expected))
  const clock: Clock = {
    nowUs: () => Math.round(scheduler.now() * 1_000),
    after(delayMs, callback) {
      const action = scheduler.schedule(() => callback(), delayMs)
      return { cancel: () => action.unsubscribe() }
    },
  }
  scheduler.run((helpers) => body({ ...helpers, clock }))
}
