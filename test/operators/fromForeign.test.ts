import { expect } from 'chai'
import { Observable, of, Subject, take, type Subscription } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { fromForeign, type ForeignObserver, type ForeignSource } from '../../src/operators/fromForeign'
import { eventually } from '../kit/eventually'
import { otherRxjs, PlatformObservable, type PlatformSubscriber } from './otherRxjs'

/** What comes of a source, as it comes. */
function watch<T>(source: Observable<T>): { readonly seen: unknown[]; readonly subscription: Subscription } {
  const seen: unknown[] = []
  const subscription = source.subscribe({
    next: (value) => seen.push(value),
    error: (error: unknown) => seen.push(['error', error]),
    complete: () => seen.push('completed'),
  })
  return { seen, subscription }
}

const fails = (): never => expect.fail('this is not to be called')

describe('fromForeign', () => {
  it('gives an observable of ours back as it is', () => {
    const ours = of(1)
    expect(fromForeign(ours)).to.equal(ours)
  })

  describe('with another copy of RxJS 7', () => {
    it('is another copy, or these tests would show nothing', () => {
      expect(otherRxjs.Observable).not.to.equal(Observable)
      expect(otherRxjs.of(1)).not.to.be.instanceOf(Observable)
    })

    it('passes values and the end', () => {
      const source = fromForeign(otherRxjs.of(1, 2).pipe(otherRxjs.map((value) => value * 10)))
      expect(source).to.be.instanceOf(Observable)
      expect(watch(source).seen).to.deep.equal([10, 20, 'completed'])
    })

    it('passes the error itself', () => {
      const error = new Error('theirs')
      expect(watch(fromForeign(otherRxjs.throwError(() => error))).seen).to.deep.equal([['error', error]])
    })

    it('unsubscribes', () => {
      const source = new otherRxjs.Subject<number>()
      const { seen, subscription } = watch(fromForeign(source))
      source.next(1)
      expect(source.observed).to.equal(true)
      subscription.unsubscribe()
      expect(source.observed).to.equal(false)
      source.next(2)
      expect(seen).to.deep.equal([1])
    })

    it('ends one that emits endlessly within the call, through an operator and without', () => {
      const endless = new otherRxjs.Observable<number>((out) => {
        for (let n = 0; !out.closed; n++) out.next(n)
      })
      expect(watch(fromForeign(endless).pipe(take(3))).seen).to.deep.equal([0, 1, 2, 'completed'])
      const mapped = endless.pipe(otherRxjs.mergeMap((value) => otherRxjs.of(value * 2)))
      expect(watch(fromForeign(mapped).pipe(take(3))).seen).to.deep.equal([0, 2, 4, 'completed'])
    })

    it('forgets inner sources that have ended, so that any number may follow one another', () => {
      const source = new otherRxjs.Subject<number>()
      let out: { _finalizers?: readonly unknown[] | null } | undefined
      const subscription = new Observable<number>((subscriber) => {
        out = subscriber as never
        fromForeign(source.pipe(otherRxjs.mergeMap((value) => otherRxjs.of(value)))).subscribe(subscriber)
      }).subscribe()
      source.next(0)
      const held = out!._finalizers!.length
      for (let n = 0; n < 1_000; n++) source.next(n)
      expect(out!._finalizers).to.have.length(held)
      subscription.unsubscribe()
      expect(source.observed).to.equal(false)
    })

    it('passes what an operator of theirs throws', () => {
      const error = new Error('in map')
      const source = otherRxjs.of(1).pipe(
        otherRxjs.map(() => {
          throw error
        }),
      )
      expect(watch(fromForeign(source)).seen).to.deep.equal([['error', error]])
    })
  })

  describe("with the web platform's Observable", () => {
    it('passes values and the end, and needs no `this`', () => {
      const source = new PlatformObservable<number>((out) => {
        out.next(1)
        out.complete()
      })
      expect(watch(fromForeign<number>(source)).seen).to.deep.equal([1, 'completed'])
    })

    it('aborts the signal when it is left', () => {
      let subscriber: PlatformSubscriber<number> | undefined
      let stopped = 0
      const source = new PlatformObservable<number>((out) => {
        subscriber = out
        out.addTeardown(() => stopped++)
      })
      const { seen, subscription } = watch(fromForeign<number>(source))
      subscriber!.next(1)
      subscription.unsubscribe()
      subscriber!.next(2)
      expect(stopped).to.equal(1)
      expect(seen).to.deep.equal([1])
    })

    it('ends one that emits endlessly within the call', () => {
      const source = new PlatformObservable<number>((out) => {
        for (let n = 0; out.active; n++) out.next(n)
      })
      expect(watch(fromForeign<number>(source).pipe(take(2))).seen).to.deep.equal([0, 1, 'completed'])
    })
  })

  describe('with anything that has subscribe', () => {
    const subscribable = (subscribe: (observer: ForeignObserver<number>, options?: object) => unknown) => ({
      subscribe,
    })

    it('passes nothing after the end', () => {
      const source = subscribable((out) => {
        out.next(1)
        out.complete()
        out.next(2)
        out.error(new Error('late'))
        out.complete()
      })
      expect(watch(fromForeign(source)).seen).to.deep.equal([1, 'completed'])
    })

    it('stops at its end a source that goes on', () => {
      const told: string[] = []
      const source = subscribable((out, options) => {
        const { signal } = options as { signal: AbortSignal }
        signal.addEventListener('abort', () => told.push('aborted'))
        out.complete()
        return { unsubscribe: () => told.push('unsubscribed') }
      })
      watch(fromForeign(source))
      expect(told).to.deep.equal(['aborted', 'unsubscribed'])
    })

    it('ends with what subscribing throws', () => {
      const error = new Error('not today')
      const source = subscribable(() => {
        throw error
      })
      expect(watch(fromForeign(source)).seen).to.deep.equal([['error', error]])
    })

    it('calls a function that subscribing gives back', () => {
      let stopped = 0
      const { subscription } = watch(fromForeign(subscribable(() => () => stopped++)))
      subscription.unsubscribe()
      subscription.unsubscribe()
      expect(stopped).to.equal(1)
    })

    it('ends one that hands its subscription to start, within the call', () => {
      const source = subscribable((observer) => {
        let closed = false
        const isClosed = (): boolean => closed
        const { start } = observer as ForeignObserver<number> & { start: (subscription: object) => void }
        start({ unsubscribe: () => (closed = true) })
        for (let n = 0; !isClosed(); n++) observer.next(n)
        return undefined
      })
      expect(watch(fromForeign(source).pipe(take(2))).seen).to.deep.equal([0, 1, 'completed'])
    })

    it('prefers what Symbol.observable or its older text gives', () => {
      const store = {
        subscribe: () => expect.fail('that is for listeners'),
        '@@observable': () => otherRxjs.of('state'),
      }
      expect(watch(fromForeign(store)).seen).to.deep.equal(['state', 'completed'])
    })

    it('ends with a sentence when Symbol.observable gives something else', () => {
      const [[, error]] = watch(fromForeign({ '@@observable': () => 7 } as unknown as ForeignSource<number>)).seen as [
        [string, Fault],
      ]
      expect(error).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
    })
  })

  describe('with an async iterable', () => {
    /** Answers by hand. */
    class Pulled implements AsyncIterableIterator<number> {
      asked: { resolve: (result: IteratorResult<number>) => void; reject: (error: unknown) => void }[] = []
      returned = 0
      returns: Promise<unknown> = Promise.resolve({ done: true, value: undefined })

      next(): Promise<IteratorResult<number>> {
        return new Promise((resolve, reject) => this.asked.push({ resolve, reject }))
      }

      return(): Promise<IteratorResult<number>> {
        this.returned++
        return this.returns as Promise<IteratorResult<number>>
      }

      [Symbol.asyncIterator](): this {
        return this
      }
    }

    it('passes values and the end, asking for one at a time', async () => {
      const source = new Pulled()
      const { seen } = watch(fromForeign(source))
      expect(source.asked).to.have.length(1)
      source.asked[0]!.resolve({ done: false, value: 1 })
      await eventually(() => expect(source.asked).to.have.length(2))
      source.asked[1]!.resolve({ done: true, value: undefined })
      await eventually(() => expect(seen).to.deep.equal([1, 'completed']))
      expect(source.returned).to.equal(0)
    })

    it('gives each subscriber an iterator of its own', async () => {
      const source = fromForeign({
        [Symbol.asyncIterator]: async function* () {
          yield await Promise.resolve(1)
        },
      })
      const [first, second] = [watch(source), watch(source)]
      const once = [1, 'completed']
      await eventually(() => expect([first.seen, second.seen]).to.deep.equal([once, once]))
    })

    it('calls return() at once when it is left, also while next() is under way, and waits for neither', async () => {
      const source = new Pulled()
      source.returns = new Promise(() => undefined)
      const { seen, subscription } = watch(fromForeign(source))
      subscription.unsubscribe()
      expect(source.returned).to.equal(1)
      source.asked[0]!.resolve({ done: false, value: 1 })
      await Promise.resolve()
      expect(source.asked).to.have.length(1)
      expect(seen).to.deep.equal([])
    })

    it('hears no late rejection of what it has left', async () => {
      const source = new Pulled()
      const { subscription } = watch(fromForeign(source))
      subscription.unsubscribe()
      source.asked[0]!.reject(new Error('late'))
      await Promise.resolve()
    })

    it('ends with what next() rejects with or throws, and leaves such an iterator alone', async () => {
      const error = new Error('broken')
      const source = new Pulled()
      const { seen } = watch(fromForeign(source))
      source.asked[0]!.reject(error)
      await eventually(() => expect(seen).to.deep.equal([['error', error]]))
      expect(source.returned).to.equal(0)

      const throwing = new Pulled()
      throwing.next = () => {
        throw error
      }
      expect(watch(fromForeign(throwing)).seen).to.deep.equal([['error', error]])
    })

    it('ends with a sentence when next() gives no result', async () => {
      const source = new Pulled()
      const { seen } = watch(fromForeign(source))
      source.asked[0]!.resolve(7 as never)
      await eventually(() => expect(seen).to.have.length(1))
      const [[, error]] = seen as [[string, Fault]]
      expect(error).to.be.instanceOf(Fault).with.property('message').that.includes('gave number instead of')
    })

    it('tells when an iterator cannot be closed', async () => {
      for (const failing of [
        () => Promise.reject(new Error('stuck')),
        () => {
          throw new Error('stuck')
        },
      ]) {
        const faults: Fault[] = []
        const source = new Pulled()
        source.return = failing
        watch(fromForeign(source, { onFault: (fault) => faults.push(fault) })).subscription.unsubscribe()
        await eventually(() => expect(faults).to.have.length(1))
        expect(faults[0]!.message).to.include('could not be closed: stuck')
      }
    })

    it('pauses for a turn after many values of one that is always ready', async () => {
      const clock = new VirtualClock()
      let asked = 0
      const source: AsyncIterableIterator<number> = {
        [Symbol.asyncIterator]: () => source,
        next: () => Promise.resolve({ done: false, value: asked++ }),
      }
      const { subscription } = watch(fromForeign(source, { clock }))
      await eventually(() => expect(clock.pending).to.equal(1))
      expect(asked).to.equal(1_024)
      clock.advance(1)
      await eventually(() => expect(asked).to.equal(2_048))
      subscription.unsubscribe()
      expect(clock.pending).to.equal(0)
    })
  })

  it('passes the values of an iterable within the call, and closes it when it is left', () => {
    expect(watch(fromForeign([1, 2])).seen).to.deep.equal([1, 2, 'completed'])
    let closed = 0
    function* endless(): Generator<number> {
      try {
        for (let n = 0; ; n++) yield n
      } finally {
        closed++
      }
    }
    expect(watch(fromForeign(endless()).pipe(take(2))).seen).to.deep.equal([0, 1, 'completed'])
    expect(closed).to.equal(1)
  })

  it('passes the value of a promise, or its rejection', async () => {
    const error = new Error('no')
    const kept = watch(fromForeign(Promise.resolve(1)))
    const broken = watch(fromForeign(Promise.reject<number>(error)))
    await eventually(() => expect(kept.seen.concat(broken.seen)).to.deep.equal([1, 'completed', ['error', error]]))
  })

  it('listens to a promise no longer when it is left', async () => {
    const { seen, subscription } = watch(fromForeign(Promise.resolve(1)))
    subscription.unsubscribe()
    await Promise.resolve()
    await Promise.resolve()
    expect(seen).to.deep.equal([])
  })

  it('takes what has several faces as an observable first', () => {
    const subject = new Subject<number>()
    const both = { subscribe: (out: ForeignObserver<number>) => subject.subscribe(out), [Symbol.iterator]: fails }
    const { seen } = watch(fromForeign<number>(both as never))
    subject.next(1)
    expect(seen).to.deep.equal([1])
  })

  it('refuses what is none of these, with a sentence', () => {
    for (const given of [undefined, null, 7, 'text', {}, () => 1]) {
      expect(() => fromForeign(given as never)).to.throw(Fault, /^fromForeign was given .*; give an observable/)
    }
  })
})
