/**
 * A value that is in force while something is being wired, for whoever asks meanwhile.
 *
 * Operators are plain functions that a quant composes; what a run gives them (its clock, its brake, its threads) cannot be
 * passed through RxJS. They ask at subscription, which is synchronous, so nothing else can come in between.
 */
export interface Ambient<T> {
  /** What is in force. To be asked at subscription, not later. */
  readonly current: () => T
  /** Calls `wire` with `value` in force. */
  readonly runWith: <R>(value: T, wire: () => R) => R
}

/** @param outside  what is in force where nothing is being wired */
export function ambient<T>(outside: T): Ambient<T> {
  let inForce = outside
  return {
    current: () => inForce,
    runWith: (value, wire) => {
      const before = inForce
      inForce = value
      try {
        return wire()
      } finally {
        inForce = before
      }
    },
  }
}
