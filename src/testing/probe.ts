/**
 * The end of a stream that a test reads: it says how many values it wants, and what it expects them to be.
 *
 *     const out = probe<number>()
 *     of(1, 2).pipe(sampleEvery(...)).subscribe(out)
 *     out.expectNext(1, 2)
 *     out.expectComplete()
 *
 * An expectation that fails takes nothing: it may be asked again later, by `eventually` say.
 */
import type { Observer } from 'rxjs'
import type { Pressure } from '../actors/pressure'
import { Fault, messageOf, type FaultCode } from '../model/fault'
import { AssertionError } from './assertionError'
import { expectEqual, show } from './equality'

export interface ProbeOptions {
  /** Values that are wanted at first; more with `request`. Default all. */
  readonly demand?: number
  /** The brake of what feeds the probe: pulled when no more is wanted, let go when more is requested. */
  readonly pressure?: Pressure
  /** Values kept at most, read or not. Default 1,000,000: an endless source must not take all memory. */
  readonly capacity?: number
}

export interface Probe<T> extends Observer<T> {
  /** Wants so many values more. */
  request(count: number): void
  /** Values that came and were wanted, those included that were read. */
  readonly values: readonly T[]
  /** Values that came beyond what was wanted: they wait for the next request. */
  readonly waiting: number
  /** How the stream ended; undefined while it goes on. */
  readonly ended: 'completed' | 'failed' | undefined
  /** Reads one value; fails when there is none. */
  take(): T
  /** Reads whatever has come: for the end of a stream whose values are not the point. */
  takeAll(): T[]
  /** Reads as many values as there are arguments; fails unless they are these. */
  expectNext(...expected: readonly T[]): void
  /** Reads one batch; fails unless it holds these. */
  expectBatch(expected: Iterable<unknown>): void
  /** Fails when a value has come that was not read, or the end. */
  expectNothing(): void
  /** Fails when a value has come that was not read; the stream may have ended. */
  expectNoMore(): void
  /** Fails unless all values were read and the stream completed. */
  expectComplete(): void
  /** Fails unless all values were read and the stream failed, with this code when one is given. Gives the error. */
  expectError(code?: FaultCode): unknown
}

export function probe<T>({ demand = Infinity, pressure, capacity = 1_000_000 }: ProbeOptions = {}): Probe<T> {
  const values: T[] = []
  const beyond: T[] = []
  let wanted = checkedDemand('demand', demand)
  let read = 0
  let paused = false
  let end: { readonly how: 'completed' } | { readonly how: 'failed'; readonly error: unknown } | undefined
  /** What the source did against the rules; said by the next expectation, where it can be caught. */
  let broken: string | undefined

  const brake = (): void => {
    if (wanted > 0 || paused || end !== undefined) return
    paused = true
    pressure?.pause()
  }

  const ending = (next: NonNullable<typeof end>): void => {
    if (end !== undefined) {
      broken ??= `The stream ended twice: it ${end.how}, and then it ${next.how}.`
      return
    }
    end = next
  }

  const rules = (): void => {
    if (broken !== undefined) throw new AssertionError(broken)
  }

  /** `but nothing came`, `but the stream completed`: what there is in the place of a value. */
  const instead = (): string => {
    if (beyond.length > 0) return `${count(beyond.length)} came that nobody requested: call request first`
    if (end === undefined) return 'nothing more has come, and the stream goes on'
    return end.how === 'completed'
      ? 'the stream has completed'
      : `the stream has failed: ${messageOf(end.error).replace(/\.$/, '')}`
  }

  const noneUnread = (wish: string): void => {
    if (read < values.length) {
      throw new AssertionError(
        `Expected ${wish}, but ${came(values.slice(read))} and ${isOrAre(values.length - read)} unread.`,
        {
          actual: values.slice(read),
          expected: [],
        },
      )
    }
    if (beyond.length > 0) throw new AssertionError(`Expected ${wish}, but ${came(beyond)} beyond what was requested.`)
  }

  const next = (expected: readonly unknown[]): readonly T[] => {
    rules()
    const got = values.slice(read, read + expected.length)
    if (got.length < expected.length) {
      const missing = `Expected ${expected.length === 1 ? 'the value' : `${expected.length} values`} ${expected.map(show).join(', ')}`
      const some = got.length === 0 ? '' : `${came(got)}; then `
      throw new AssertionError(`${missing}, but ${some}${instead()}.`, { actual: got, expected })
    }
    return got
  }

  brake()
  return {
    values,
    get waiting() {
      return beyond.length
    },
    get ended() {
      return end?.how
    },
    next(value) {
      if (end !== undefined) {
        broken ??= `The value ${show(value)} came after the stream had ${end.how}.`
        return
      }
      if (values.length + beyond.length >= capacity) {
        broken ??= `More than ${capacity} values came: take fewer of an endless stream, or give the probe more capacity.`
        return
      }
      if (wanted > 0) {
        wanted--
        values.push(value)
      } else beyond.push(value)
      brake()
    },
    error: (error) => ending({ how: 'failed', error }),
    complete: () => ending({ how: 'completed' }),
    request(more) {
      wanted += checkedDemand('request', more)
      while (wanted > 0 && beyond.length > 0) {
        wanted--
        values.push(beyond.shift()!)
      }
      if (wanted > 0 && paused) {
        paused = false
        pressure?.resume()
      }
    },
    take() {
      rules()
      if (read >= values.length) throw new AssertionError(`Expected a value, but ${instead()}.`)
      return values[read++]!
    },
    takeAll() {
      rules()
      const taken = values.slice(read)
      read = values.length
      return taken
    },
    expectNext(...expected) {
      const got = next(expected)
      if (got.length === 1) expectEqual(got[0], expected[0], 'The next value')
      else expectEqual(got, expected, `What came next`)
      read += expected.length
    },
    expectBatch(expected) {
      const rows = [...expected]
      const [batch] = next([rows])
      if (!isIterable(batch)) throw new AssertionError(`Expected a batch, but ${show(batch)} came, which is none.`)
      expectEqual([...batch], rows, 'The next batch')
      read++
    },
    expectNothing() {
      rules()
      noneUnread('nothing')
      if (end !== undefined) throw new AssertionError(`Expected nothing, but ${instead()}.`)
    },
    expectNoMore() {
      rules()
      noneUnread('no more values')
    },
    expectComplete() {
      rules()
      noneUnread('the stream to be complete')
      if (end?.how !== 'completed') throw new AssertionError(`Expected the stream to be complete, but ${instead()}.`)
    },
    expectError(code) {
      rules()
      noneUnread('the stream to fail')
      if (end?.how !== 'failed') throw new AssertionError(`Expected the stream to fail, but ${instead()}.`)
      const { error } = end
      if (code === undefined) return error
      const got = error instanceof Fault ? error.code : undefined
      if (got !== code) {
        throw new AssertionError(
          `Expected the stream to fail with ${code}, but it failed with ${got ?? `what is no Fault`}: ${messageOf(error)}`,
          { actual: got, expected: code },
        )
      }
      return error
    },
  }
}

function checkedDemand(option: string, count: number): number {
  if (count === Infinity || (Number.isSafeInteger(count) && count >= 0)) return count
  throw new Fault('OPTION_INVALID', `probe: ${option} is ${count}; give a whole number of values, 0 or more.`, {
    option,
  })
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

function came(values: readonly unknown[]): string {
  const shown = values.slice(0, 5).map(show).join(', ')
  return `${shown}${values.length > 5 ? ` and ${values.length - 5} more` : ''} came`
}

function isOrAre(values: number): string {
  return values === 1 ? 'is' : 'are'
}

function count(values: number): string {
  return values === 1 ? 'a value' : `${values} values`
}
