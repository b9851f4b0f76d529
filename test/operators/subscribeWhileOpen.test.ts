import { expect } from 'chai'
import {
  NEVER,
  Observable,
  of,
  range,
  Subject,
  take,
  throwError,
  UnsubscriptionError,
  type Observer,
  type Subscriber,
} from 'rxjs'
import { subscribeWhileOpen } from '../../src/operators/subscribeWhileOpen'

const failure = new Error('the handler failed')
const fails = (): never => {
  throw failure
}

describe('subscribeWhileOpen', () => {
  const operator =
    <T>(handlers: Partial<Observer<T>> = {}) =>
    (source: Observable<T>): Observable<T> =>
      new Observable((out) => {
        subscribeWhileOpen(source, out, {
          next: (value) => out.next(value),
          error: (error) => out.error(error),
          complete: () => out.complete(),
          ...handlers,
        })
      })

  const watch = <T>(source: Observable<T>): unknown[] => {
    const seen: unknown[] = []
    source.subscribe({
      next: (value) => seen.push(value),
      error: (error) => seen.push(error),
      complete: () => seen.push('completed'),
    })
    return seen
  }

  it('passes values, the end and the error of a source', () => {
    expect(watch(of(1, 2).pipe(operator()))).to.deep.equal([1, 2, 'completed'])
    expect(watch(throwError(() => failure).pipe(operator()))).to.deep.equal([failure])
  })

  it('stops an endless synchronous source as soon as downstream has enough', () => {
    const endless = range(0, Number.MAX_SAFE_INTEGER)
    expect(watch(endless.pipe(operator(), take(3)))).to.deep.equal([0, 1, 2, 'completed'])
  })

  it('ends the output with what the handler of a value throws, and leaves the source', () => {
    const source = new Subject<number>()
    let calls = 0
    const seen = watch(
      source.pipe(
        operator<number>({
          next: () => {
            calls++
            fails()
          },
        }),
      ),
    )
    source.next(1)
    source.next(2)
    expect(seen).to.deep.equal([failure])
    expect(calls).to.equal(1)
    expect(source.observed).to.equal(false)
  })

  it('ends the output with what the handlers of the end and of the error throw', () => {
    expect(watch(of(1).pipe(operator<number>({ complete: fails })))).to.deep.equal([1, failure])
    expect(watch(throwError(() => new Error('first')).pipe(operator({ error: fails })))).to.deep.equal([failure])
  })

  it('ends the output with what subscribing to the source throws', () => {
    expect(watch(new Observable<number>(fails).pipe(operator()))).to.deep.equal([failure])
  })

  it('stops one source alone, which is not its end', () => {
    const [first, second] = [new Subject<number>(), new Subject<number>()]
    const seen = watch(
      new Observable<number>((out) => {
        const observer = { next: out.next.bind(out), error: out.error.bind(out), complete: () => out.complete() }
        const stop = subscribeWhileOpen(first, out, observer)
        subscribeWhileOpen(second, out, { ...observer, next: () => stop.unsubscribe() })
      }),
    )
    first.next(1)
    second.next(2)
    first.next(3)
    expect(first.observed).to.equal(false)
    expect(second.observed).to.equal(true)
    expect(seen).to.deep.equal([1])
  })

  it('lets a source give back what it holds before its end or its error is told', () => {
    const order: string[] = []
    const holding = (end: (out: Subscriber<number>) => void): Subject<void> => {
      const go = new Subject<void>()
      new Observable<number>((out) => {
        go.subscribe(() => end(out))
        return () => order.push('given back')
      })
        .pipe(operator({ error: () => order.push('error told'), complete: () => order.push('end told') }))
        .subscribe()
      return go
    }
    holding((out) => out.complete()).next()
    holding((out) => out.error(failure)).next()
    expect(order).to.deep.equal(['given back', 'end told', 'given back', 'error told'])
  })

  it('ends the output with what giving back throws', () => {
    const go = new Subject<void>()
    const stubborn = new Observable<number>((out) => {
      go.subscribe(() => out.complete())
      return fails
    })
    const seen = watch(stubborn.pipe(operator()))
    go.next()
    expect(seen).to.have.length(1)
    expect(seen[0]).to.be.instanceOf(UnsubscriptionError)
  })

  it('forgets sources that have ended, so that any number may follow one another', () => {
    let sources = 0
    let out: { _finalizers?: readonly unknown[] | null } | undefined
    const subscription = new Observable<number>((subscriber) => {
      out = subscriber as never
      for (; sources < 1_000; sources++) {
        subscribeWhileOpen(of(sources), subscriber, { next: () => undefined, error: fails, complete: () => undefined })
      }
      subscribeWhileOpen(NEVER, subscriber, { next: fails, error: fails, complete: fails })
    }).subscribe()
    expect(out!._finalizers).to.have.length(1)
    subscription.unsubscribe()
  })

  it('subscribes to nothing for an output that is closed', () => {
    let subscribed = 0
    const source = new Observable(() => {
      subscribed++
    })
    new Observable((out) => {
      out.complete()
      expect(subscribeWhileOpen(source, out, { next: fails, error: fails, complete: fails }).closed).to.equal(true)
    }).subscribe()
    expect(subscribed).to.equal(0)
  })
})
