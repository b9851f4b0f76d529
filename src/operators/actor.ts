import { Observable, type OperatorFunction } from 'rxjs'
import { currentWiring } from '../actors/wiring'
import type { Clock } from '../clock/clock'
import { currentClock } from '../clock/currentClock'
import type { Batch } from '../model/events'
import { subscribeWhileOpen } from './subscribeWhileOpen'

/** A stage as a thing with private state and a life: an instance takes values one at a time, and a restart is a new instance. */
export interface Actor<T> {
  receive(value: T): void
  /** All that came together has been received: the moment to publish. Called also when the last of it was given up. */
  endBatch?(): void
  /** The source has ended: the last chance to emit. */
  complete?(): void
  /** The instance is left: by its end, a restart or a stop. Releases what it holds. */
  close?(): void
}

/** What an actor is given at birth. */
export interface ActorContext<R> {
  /** Emits a value; those of one batch travel together. */
  readonly emit: (value: R) => void
  /** The stream's time. */
  readonly clock: Clock
}

/**
 * A stage written as an actor: state in an instance, one message at a time.
 *
 *     books.through('spreads', actor((context) => new SpreadKeeper(context)), { onFailure: 'resume' })
 *
 * Emits      what the actor emits while it handles a batch, as one batch; what it emits on a timer, each alone
 * Completes  after the source, when the actor has been told
 * Errors     with the source; with what the actor throws, unless its supervisor lets it resume: then that value alone is given
 *            up and the actor goes on with its state
 * Holds      the actor
 *
 * What an actor had emitted before it threw goes on.
 */
export function actor<T, R>(create: (context: ActorContext<R>) => Actor<T>): OperatorFunction<Batch<T>, Batch<R>> {
  const operator: OperatorFunction<Batch<T>, Batch<R>> = (source) =>
    new Observable((out) => {
      const resumes = currentWiring()?.resumes
      let gathering: R[] | undefined
      const emit = (value: R): void => {
        if (gathering === undefined) out.next([value])
        else gathering.push(value)
      }
      const instance = create({ emit, clock: currentClock() })
      out.add(() => instance.close?.())

      /** Calls the actor; what it emits meanwhile leaves as one batch, also when it throws in the middle. */
      const gather = (work: () => void): void => {
        const emitted: R[] = []
        gathering = emitted
        try {
          work()
        } finally {
          gathering = undefined
          if (emitted.length > 0 && !out.closed) out.next(emitted)
        }
      }

      const handle = (value: T): void => {
        try {
          instance.receive(value)
        } catch (thrown) {
          if (resumes?.(thrown, value) !== true) throw thrown
        }
      }

      subscribeWhileOpen(source, out, {
        next: (batch) => {
          try {
            gather(() => {
              for (const value of batch) {
                handle(value)
                if (out.closed) return
              }
              instance.endBatch?.()
            })
          } catch (thrown) {
            out.error(thrown)
          }
        },
        error: (error) => out.error(error),
        complete: () => {
          try {
            gather(() => instance.complete?.())
          } catch (thrown) {
            out.error(thrown)
            return
          }
          out.complete()
        },
      })
    })
  return Object.assign(operator, { keepsItsState: true })
}
