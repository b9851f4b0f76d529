/** A second copy of RxJS 7, as a program has it whose own dependency differs from millrace's: no class of one is of the other. */
import type * as rxjs from 'rxjs'

export const otherRxjs: typeof rxjs = secondCopy()

function secondCopy(): typeof rxjs {
  const kept = filesOfRxjs().map((file) => [file, require.cache[file]] as const)
  for (const file of filesOfRxjs()) Reflect.deleteProperty(require.cache, file)
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import gives the copy that is there
    return require('rxjs') as typeof rxjs
  } finally {
    for (const file of filesOfRxjs()) Reflect.deleteProperty(require.cache, file)
    for (const [file, module] of kept) require.cache[file] = module
  }
}

function filesOfRxjs(): string[] {
  return Object.keys(require.cache).filter((file) => /[\\/]node_modules[\\/]rxjs[\\/]/.test(file))
}

/** As much of the web platform's Observable as an adapter meets: a signal instead of a subscription, observers without `this`. */
export class PlatformObservable<T> {
  constructor(private readonly init: (subscriber: PlatformSubscriber<T>) => void) {}

  subscribe(observer: Partial<rxjs.Observer<T>>, { signal }: { signal?: AbortSignal } = {}): void {
    const subscriber = new PlatformSubscriber<T>({
      next: observer.next,
      error: observer.error,
      complete: observer.complete,
    })
    signal?.addEventListener('abort', () => subscriber.close())
    this.init(subscriber)
  }
}

export class PlatformSubscriber<T> {
  private teardowns: (() => void)[] = []
  private readonly controller = new AbortController()

  constructor(private readonly observer: { next: unknown; error: unknown; complete: unknown }) {}

  get active(): boolean {
    return !this.controller.signal.aborted
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  addTeardown(teardown: () => void): void {
    if (this.active) this.teardowns.push(teardown)
  }

  next(value: T): void {
    if (this.active) unbound(this.observer.next, value)
  }

  error(error: unknown): void {
    if (!this.active) throw new Error('reported as uncaught', { cause: error })
    this.close()
    unbound(this.observer.error, error)
  }

  complete(): void {
    if (!this.active) return
    this.close()
    unbound(this.observer.complete)
  }

  close(): void {
    if (!this.active) return
    this.controller.abort()
    for (const teardown of this.teardowns.splice(0).reverse()) teardown()
  }
}

function unbound(callback: unknown, ...args: readonly unknown[]): void {
  if (typeof callback === 'function') Reflect.apply(callback, undefined, args)
}
