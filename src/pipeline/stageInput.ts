import { Subscriber, type Observer, type Subscription } from 'rxjs'
import { Outlet } from './outlet'

/**
 * What a stage reads. Whoever subscribes with functions of its own and throws in one of them is caught here: RxJS would
 * report that on a timer, to nobody, and end the process.
 */
export class StageInput extends Outlet {
  constructor(private readonly failed: (thrown: unknown) => void) {
    super()
  }

  override subscribe(
    observerOrNext?: Partial<Observer<unknown>> | ((value: unknown) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // Operators of RxJS are told of what they throw by themselves.
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext)
    const observer: Partial<Observer<unknown>> =
      typeof observerOrNext === 'object' && observerOrNext !== null
        ? observerOrNext
        : {
            ...(observerOrNext ? { next: observerOrNext } : {}),
            ...(error ? { error } : {}),
            ...(complete ? { complete } : {}),
          }
    return super.subscribe({
      next: (value) => this.guarded(() => observer.next?.(value)),
      error: (thrown: unknown) => this.guarded(() => observer.error?.(thrown)),
      complete: () => this.guarded(() => observer.complete?.()),
    })
  }

  private guarded(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.failed(thrown)
    }
  }
}
