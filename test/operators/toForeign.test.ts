import { expect } from 'chai'
import { Observable, of, Subject, throwError } from 'rxjs'
import type { ForeignSubscriber } from '../../src/operators/toForeign'
import { toForeign } from '../../src/operators/toForeign'
import { otherRxjs, PlatformObservable } from './otherRxjs'

const fails = (): never => expect.fail('this is not to be called')

describe('toForeign', () => {
  const endless = new Observable<number>((out) => {
    for (let n = 0; !out.closed; n++) out.next(n)
  })

  const recorder = () => {
    const seen: unknown[] = []
    return {
      seen,
      observer: {
        next: (value: unknown) => void seen.push(value),
        error: (error: unknown) => void seen.push(['error', error]),
        complete: () => void seen.push('completed'),
      },
    }
  }

  /** The older proposal: only what is given back stops it. */
  class Older<T> {
    constructor(private readonly init: (subscriber: ForeignSubscriber<T>) => () => void) {}

    subscribe(observer: { next: (value: T) => void; error: (error: unknown) => void; complete: () => void }) {
      let closed = false
      const subscriber = {
        get closed() {
          return closed
        },
        next: (value: T) => {
          if (!closed) observer.next(value)
        },
        error: (error: unknown) => {
          closed = true
          observer.error(error)
        },
        complete: () => {
          closed = true
          observer.complete()
        },
      }
      const teardown = this.init(subscriber)
      return {
        unsubscribe: () => {
          closed = true
          teardown()
        },
      }
    }
  }

  it("gives an instance of another copy's Observable, with its operators", () => {
    const foreign = toForeign(of(1, 2, 3), otherRxjs.Observable)
    expect(foreign).to.be.instanceOf(otherRxjs.Observable)
    const { seen, observer } = recorder()
    foreign.pipe(otherRxjs.map((value) => value * 2)).subscribe(observer)
    expect(seen).to.deep.equal([2, 4, 6, 'completed'])
  })

  for (const [name, Class] of [
    ['another copy of RxJS 7', otherRxjs.Observable],
    ['the web platform', PlatformObservable],
    ['the older proposal', Older],
  ] as const) {
    const made = (source: Observable<number>) =>
      toForeign(source, Class as typeof Older<number>) as unknown as {
        subscribe(observer: object, options?: object): { unsubscribe(): void } | undefined
      }

    it(`passes values, the end and the error itself: ${name}`, () => {
      const error = new Error('ours')
      const whole = recorder()
      made(of(1, 2)).subscribe(whole.observer)
      expect(whole.seen).to.deep.equal([1, 2, 'completed'])
      const failing = recorder()
      made(throwError(() => error)).subscribe(failing.observer)
      expect(failing.seen).to.deep.equal([['error', error]])
    })

    it(`leaves the source when it is left, and subscribes for each subscriber: ${name}`, () => {
      const source = new Subject<number>()
      const foreign = made(source)
      expect(source.observed).to.equal(false)
      const { seen, observer } = recorder()
      const stopping = new AbortController()
      const stop = foreign.subscribe(observer, { signal: stopping.signal })
      const other = foreign.subscribe({ next: () => undefined }, { signal: stopping.signal })
      source.next(1)
      stop?.unsubscribe()
      other?.unsubscribe()
      stopping.abort()
      expect(source.observed).to.equal(false)
      source.next(2)
      expect(seen).to.deep.equal([1])
    })
  }

  it('leaves a source that emits endlessly within the call', () => {
    const { seen, observer } = recorder()
    toForeign(endless, otherRxjs.Observable).pipe(otherRxjs.take(2)).subscribe(observer)
    expect(seen).to.deep.equal([0, 1, 'completed'])

    const stopping = new AbortController()
    const values: number[] = []
    toForeign(endless, PlatformObservable<number>).subscribe(
      {
        next: (value) => {
          if (values.push(value) === 2) stopping.abort()
        },
      },
      { signal: stopping.signal },
    )
    expect(values).to.deep.equal([0, 1])
  })

  it('leaves it also when only `closed` tells of the end', () => {
    const values: number[] = []
    class Loose {
      closed = false
      constructor(init: (subscriber: ForeignSubscriber<number>) => () => void) {
        init(this)
      }
      next(value: number): void {
        this.closed = values.push(value) === 2
      }
      error = fails
      complete = fails
    }
    toForeign(endless, Loose)
    expect(values).to.deep.equal([0, 1])
  })

  it('listens to the signal of one that has nothing else, and lets go of it', () => {
    const stopping = new AbortController()
    const source = new Subject<number>()
    class SignalOnly {
      readonly name = 'SignalOnly'

      constructor(init: (subscriber: ForeignSubscriber<number>) => () => void) {
        init({ signal: stopping.signal, next: () => undefined, error: () => undefined, complete: () => undefined })
      }
    }
    toForeign(source, SignalOnly)
    expect(source.observed).to.equal(true)
    stopping.abort()
    expect(source.observed).to.equal(false)
    toForeign(source, SignalOnly) // whose signal was aborted before
    expect(source.observed).to.equal(false)
  })

  it('does not report an error to one that has ended: the platform would call it uncaught', () => {
    const source = new Subject<number>()
    const late = new Observable<number>((out) => {
      source.subscribe({ error: (error) => out.error(error) })
      return () => source.error(new Error('while stopping'))
    })
    const stopping = new AbortController()
    toForeign(late, PlatformObservable<number>).subscribe({ error: fails }, { signal: stopping.signal })
    stopping.abort()
  })

  it('ends when the foreign class lets through what its subscriber throws', () => {
    const error = new Error('in next')
    const errors: unknown[] = []
    const source = new Subject<number>()
    class Bare {
      readonly name = 'Bare'

      constructor(init: (subscriber: ForeignSubscriber<number>) => () => void) {
        const next = (): never => {
          throw error
        }
        init({ next, error: (thrown) => errors.push(thrown), complete: () => undefined })
      }
    }
    toForeign(source, Bare)
    source.next(1)
    expect(errors).to.deep.equal([error])
    expect(source.observed).to.equal(false)
  })
})
