import { expect } from 'chai'
import { concat, interval, NEVER, Observable, of, Subject, throwError, UnsubscriptionError } from 'rxjs'
import { balances } from '../../src/actors/ledger'
import { Fault } from '../../src/model/fault'
import { toAsyncIterable, type ToAsyncIterableOptions } from '../../src/sinks/toAsyncIterable'

describe('toAsyncIterable', () => {
  const EDGE: ToAsyncIterableOptions<number> = { capacity: 3, onFull: 'fail' }
  const DONE = { done: true, value: undefined }
  const value = (given: unknown) => ({ done: false, value: given })
  const all = async <T>(values: AsyncIterable<T>): Promise<T[]> => {
    const seen: T[] = []
    for await (const each of values) seen.push(each)
    return seen
  }
  const rejection = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => expect.fail('it resolved'),
      (error: unknown) => error,
    )

  it('gives the values in order and ends with the source', async () => {
    expect(await all(toAsyncIterable(of(1, 2, 3), EDGE))).to.deep.equal([1, 2, 3])
  })

  it('subscribes at once, so that nothing before the first next() is lost', async () => {
    const source = new Subject<number>()
    const values = toAsyncIterable(source, EDGE)
    expect(source.observed).to.equal(true)
    source.next(1)
    expect(await values.next()).to.deep.equal(value(1))
  })

  it('answers calls of next() that wait, in their order', async () => {
    const source = new Subject<number>()
    const values = toAsyncIterable(source, EDGE)
    const answers = Promise.all([values.next(), values.next(), values.next()])
    source.next(1)
    source.next(2)
    source.complete()
    expect(await answers).to.deep.equal([value(1), value(2), DONE])
  })

  it('takes a batch, an undefined and a promise as a value each', async () => {
    const promise = Promise.resolve(7)
    const values = toAsyncIterable<unknown>(of([1, 2], undefined, promise), { capacity: 3, onFull: 'fail' })
    expect(await values.next()).to.deep.equal(value([1, 2]))
    expect(await values.next()).to.deep.equal(value(undefined))
    expect((await values.next()).value).to.equal(promise)
  })

  it('rejects once with the error of the source, after what waits', async () => {
    const error = new Error('gone')
    const values = toAsyncIterable(
      concat(
        of(1, 2),
        throwError(() => error),
      ),
      EDGE,
    )
    expect(await values.next()).to.deep.equal(value(1))
    expect(await values.next()).to.deep.equal(value(2))
    expect(await rejection(values.next())).to.equal(error)
    expect(await values.next()).to.deep.equal(DONE)
  })

  it('leaves the source when a loop is left', async () => {
    const source = new Subject<number>()
    const values = toAsyncIterable(source, EDGE)
    source.next(1)
    source.next(2)
    for await (const each of values) {
      expect(each).to.equal(1)
      break
    }
    expect(source.observed).to.equal(false)
    expect(values.ledger).to.deep.equal({ in: 2, out: 1, dropped: { stopped: 1 }, inFlight: 0 })
    expect(await values.next()).to.deep.equal(DONE)
  })

  it('leaves the source by return() at once, also while a next() is under way, which is then done', async () => {
    const source = new Subject<number>()
    const values = toAsyncIterable(source, EDGE)
    const waiting = values.next()
    const returned = values.return()
    expect(source.observed).to.equal(false)
    expect(await waiting).to.deep.equal(DONE)
    expect(await returned).to.deep.equal(DONE)
    expect(await values.return()).to.deep.equal(DONE)
  })

  it('leaves the source by throw(), which rejects with what it was given', async () => {
    const source = new Subject<number>()
    const values = toAsyncIterable(source, EDGE)
    const error = new Error('stop')
    expect(await rejection(values.throw(error))).to.equal(error)
    expect(source.observed).to.equal(false)
    expect(await values.next()).to.deep.equal(DONE)
  })

  it('is told when a source cannot be left, and does not hang for it', async () => {
    const error = new Error('stuck')
    const stubborn = new Observable<number>(() => () => {
      throw error
    })
    const values = toAsyncIterable(stubborn, EDGE)
    expect(await rejection(values.return())).to.be.instanceOf(UnsubscriptionError)
    expect(await values.next()).to.deep.equal(DONE)
  })

  it('fails when a queue that may not drop is full, gives what waits first, and leaves the source', async () => {
    const endless = new Observable<number>((out) => {
      for (let n = 0; !out.closed; n++) out.next(n)
    })
    const values = toAsyncIterable(endless, EDGE)
    for (const expected of [0, 1, 2]) expect(await values.next()).to.deep.equal(value(expected))
    const error = await rejection(values.next())
    expect(error).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
    expect((error as Fault).message).to.match(/^The async iterable is full: 3 values wait, and none may be dropped\./)
    expect(await values.next()).to.deep.equal(DONE)
    expect(values.ledger).to.deep.equal({ in: 4, out: 3, dropped: { fail: 1 }, inFlight: 0 })
  })

  for (const [onFull, kept] of [
    ['dropOldest', [3, 4, 5]],
    ['dropNewest', [1, 2, 3]],
    ['keepLatest', [4, 5]],
    [{ conflate: (given: number) => given % 2 }, [5, 4]],
  ] as const) {
    it(`keeps what ${typeof onFull === 'string' ? onFull : 'conflate'} says, and counts the rest`, async () => {
      const values = toAsyncIterable(of(1, 2, 3, 4, 5), { capacity: 3, onFull })
      expect(await all(values)).to.deep.equal(kept)
      expect(balances(values.ledger)).to.equal(true)
      expect(values.ledger).to.include({ in: 5, out: kept.length, inFlight: 0 })
    })
  }

  it('pauses the source when it blocks, and lets it go on at half, also when that sends more within the call', async () => {
    const source = new Subject<number>()
    const told: string[] = []
    const pressure = {
      pause: () => void told.push('pause'),
      resume: () => {
        told.push('resume')
        if (source.observed) source.next(9)
      },
    }
    const values = toAsyncIterable(source, { capacity: 2, onFull: 'block', pressure })
    for (const each of [1, 2]) source.next(each)
    expect(told).to.deep.equal(['pause'])
    const answers = [values.next(), values.next(), values.next()]
    expect(await Promise.all(answers)).to.deep.equal([value(1), value(2), value(9)])
    expect(told.slice(0, 2)).to.deep.equal(['pause', 'resume'])
    await values.return()
    expect(balances(values.ledger)).to.equal(true)
  })

  it('ends when its signal is aborted: what waits is dropped, and next() rejects with the reason, once', async () => {
    const source = new Subject<number>()
    const stopping = new AbortController()
    const values = toAsyncIterable(source, { ...EDGE, signal: stopping.signal })
    const reason = new Error('enough')
    source.next(1)
    stopping.abort(reason)
    expect(source.observed).to.equal(false)
    expect(await rejection(values.next())).to.equal(reason)
    expect(await values.next()).to.deep.equal(DONE)
    expect(values.ledger.dropped).to.deep.equal({ stopped: 1 })

    const never = toAsyncIterable(interval(1), { ...EDGE, signal: AbortSignal.abort(reason) })
    expect(await rejection(never.next())).to.equal(reason)
  })

  it('refuses more calls of next() than anybody needs', async () => {
    const values = toAsyncIterable<number>(NEVER, EDGE)
    const waiting = Array.from({ length: 1_024 }, () => values.next())
    expect(await rejection(values.next()))
      .to.be.instanceOf(Fault)
      .with.property('code', 'EDGE_FULL')
    await values.return()
    expect(await Promise.all(waiting)).to.deep.equal(waiting.map(() => DONE))
  })

  it('refuses unusable options with a sentence', () => {
    for (const [options, message] of [
      [{ capacity: 0, onFull: 'fail' }, /capacity is 0; give a whole number/],
      [{ capacity: 1 }, /onFull is one of/],
      [{ capacity: 1, onFull: 'block' }, /there is no pressure/],
      [{ capacity: 1, onFull: { spill: 'a', bytesMax: 1 } }, /there is no disk here/],
    ] as const) {
      expect(() => toAsyncIterable(NEVER, options as never)).to.throw(Fault, message)
    }
  })
})
