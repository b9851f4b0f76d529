/**
 * The beginning of a stream that a test drives: it sends what it is told to, and counts how the stream holds it back.
 */
import { Observable, type Subscriber } from 'rxjs'
import type { Pressure } from '../actors/pressure'
import { AssertionError } from './assertionError'

export interface SourceProbe<T> extends Observable<T> {
  /** Sends values to all subscribers, one after the other. Fails when there is no subscriber to get them. */
  sendNext(...values: readonly T[]): void
  /** Ends the stream of all subscribers; later ones are ended at once. */
  complete(): void
  error(error: unknown): void
  /** To be given to an edge or a `drain`: the demand that comes back. */
  readonly pressure: Pressure
  /** How often it was told to pause, and to go on. */
  readonly pauses: number
  readonly resumes: number
  /** True while it was told to pause more often than to go on: several edges may hold it back at once. */
  readonly paused: boolean
  /** Values sent while it was paused: what an edge gets of what was already on its way. */
  readonly sentWhilePaused: number
  /** Subscriptions that are open now, and all there have been. */
  readonly subscribers: number
  readonly subscriptions: number
  expectPaused(): void
  /** Fails unless it was paused and goes on again. */
  expectResumed(): void
  /** Fails when it was ever told to pause. */
  expectNeverPaused(): void
  expectSubscribed(): void
  expectUnsubscribed(): void
}

export function sourceProbe<T>(): SourceProbe<T> {
  const open = new Set<Subscriber<T>>()
  let end: ((out: Subscriber<T>) => void) | undefined
  const counts = { pauses: 0, resumes: 0, sentWhilePaused: 0, subscriptions: 0 }
  /** A resume too many cannot be thrown into the stream that sent it: expectations say it. */
  let broken: string | undefined

  const observable = new Observable<T>((out) => {
    counts.subscriptions++
    if (end !== undefined) {
      end(out)
      return
    }
    open.add(out)
    return () => open.delete(out)
  })

  const isPaused = (): boolean => counts.pauses > counts.resumes

  const rules = (): void => {
    if (broken !== undefined) throw new AssertionError(broken)
  }

  const history = (): string => `it was told to pause ${times(counts.pauses)} and to go on ${times(counts.resumes)}`

  const finish = (how: (out: Subscriber<T>) => void): void => {
    if (end !== undefined) throw new AssertionError('The source has ended already: it cannot end twice.')
    end = how
    for (const out of [...open]) how(out)
  }

  return Object.defineProperties(
    Object.assign(observable, {
      sendNext(...values: readonly T[]) {
        if (end !== undefined) throw new AssertionError('The source has ended: it cannot send any more.')
        for (const value of values) {
          if (open.size === 0) throw new AssertionError('The source has no subscriber: what it sends would be lost.')
          if (isPaused()) counts.sentWhilePaused++
          for (const out of [...open]) out.next(value)
        }
      },
      complete: () => finish((out) => out.complete()),
      error: (error: unknown) => finish((out) => out.error(error)),
      pressure: {
        pause: () => {
          counts.pauses++
        },
        resume: () => {
          if (!isPaused()) broken ??= 'The source was told to go on when nothing held it back.'
          counts.resumes++
        },
      },
      expectPaused() {
        rules()
        if (!isPaused()) throw new AssertionError(`Expected the source to be paused, but ${history()}.`)
      },
      expectResumed() {
        rules()
        if (counts.pauses === 0 || isPaused()) {
          throw new AssertionError(`Expected the source to have been paused and to go on again, but ${history()}.`)
        }
      },
      expectNeverPaused() {
        rules()
        if (counts.pauses > 0) throw new AssertionError(`Expected the source never to be paused, but ${history()}.`)
      },
      expectSubscribed() {
        if (open.size > 0) return
        throw new AssertionError(
          counts.subscriptions === 0
            ? 'Expected the source to be subscribed to, but nobody ever was.'
            : `Expected the source to be subscribed to, but all have left (${counts.subscriptions} so far).`,
        )
      },
      expectUnsubscribed() {
        if (open.size === 0) return
        throw new AssertionError(
          `Expected nobody to be subscribed to the source, but ${open.size === 1 ? 'one subscription is' : `${open.size} subscriptions are`} open.`,
        )
      },
    }),
    {
      pauses: { get: () => counts.pauses },
      resumes: { get: () => counts.resumes },
      paused: { get: isPaused },
      sentWhilePaused: { get: () => counts.sentWhilePaused },
      subscribers: { get: () => open.size },
      subscriptions: { get: () => counts.subscriptions },
    },
  ) as SourceProbe<T>
}

function times(count: number): string {
  return count === 0 ? 'never' : count === 1 ? 'once' : `${count} times`
}
