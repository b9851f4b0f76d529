import { expect } from 'chai'
import fc from 'fast-check'
import { concat, EMPTY, NEVER, of, range, Subject, take, throwError, type Observable } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { keyedLedger, mergeMapByKey, type KeyedLedger } from '../../src/operators/mergeMapByKey'
import { marbles } from '../kit/marbles'

/** The key of `a1` is `a`. */
const keyOf = (value: string): string => value[0]!
const failure = new Error('the work failed')

/** Work that ends when the test says so. */
class Workshop {
  readonly started: string[] = []
  private readonly jobs = new Map<string, Subject<string>>()

  readonly work = (value: string): Observable<string> => {
    this.started.push(value)
    const job = new Subject<string>()
    this.jobs.set(value, job)
    return job
  }

  finish(value: string): void {
    const job = this.jobs.get(value)!
    job.next(value.toUpperCase())
    job.complete()
  }

  fail(value: string, error: unknown = failure): void {
    this.jobs.get(value)!.error(error)
  }

  isWorkedOn(value: string): boolean {
    return this.jobs.get(value)!.observed
  }
}

describe('mergeMapByKey', () => {
  let source: Subject<string>
  let shop: Workshop
  let ledger: KeyedLedger
  let seen: { values: string[]; error: unknown; completed: boolean }

  beforeEach(() => {
    source = new Subject()
    shop = new Workshop()
    ledger = keyedLedger()
    seen = { values: [], error: undefined, completed: false }
  })

  const run = (
    options: Partial<Parameters<typeof mergeMapByKey<string, string, Observable<string>>>[2]> = {},
  ): (() => void) => {
    const subscription = source
      .pipe(mergeMapByKey(keyOf, shop.work, { concurrency: 2, perKey: 1, ledger, ...options }))
      .subscribe({
        next: (value) => seen.values.push(value),
        error: (error: unknown) => (seen.error = error),
        complete: () => (seen.completed = true),
      })
    return () => subscription.unsubscribe()
  }
  const send = (...values: string[]): void => values.forEach((value) => source.next(value))
  const balanced = (): void => {
    const dropped = Object.values(ledger.dropped).reduce((sum, count) => sum + count, 0)
    expect(ledger.in).to.equal(ledger.out + dropped + ledger.inFlight)
  }

  it('works on different keys at once and on one key in order', () =>
    marbles(({ hot, cold, expectObservable, expectSubscriptions }) => {
      const work: Record<string, Observable<string>> = {
        a: cold('             ----A|'),
        b: cold('                  ----B|'), // of the key of a: starts when a has ended
        c: cold('               -C|'), //         of another key: waits for nobody
      }
      const incoming = hot('  abc---------|')
      const expected = '      ---CA----B--|'
      const key = (value: string): string => (value === 'c' ? 'other' : 'shared')
      const result = incoming.pipe(mergeMapByKey(key, (value) => work[value]!, { concurrency: 2, perKey: 1 }))
      expectObservable(result).toBe(expected)
      expectSubscriptions(incoming.subscriptions).toBe('^-----------!')
    }))

  it('never starts more than its concurrency', () => {
    run()
    send('a1', 'b1', 'c1', 'd1')
    expect(shop.started).to.deep.equal(['a1', 'b1'])
    shop.finish('b1')
    expect(shop.started).to.deep.equal(['a1', 'b1', 'c1'])
  })

  it('gives turns to the key that waited longest, so that a busy key starves nobody', () => {
    run({ concurrency: 1 })
    send('a1', 'a2', 'a3', 'b1', 'c1')
    for (const value of ['a1', 'b1', 'c1', 'a2', 'a3']) shop.finish(value)
    expect(shop.started).to.deep.equal(['a1', 'b1', 'c1', 'a2', 'a3'])
  })

  it('passes each result at once, in the order in which work ends', () => {
    run()
    send('a1', 'b1')
    shop.finish('b1')
    shop.finish('a1')
    expect(seen.values).to.deep.equal(['B1', 'A1'])
  })

  it('remembers a key only while it has work', () => {
    run()
    send('a1', 'a2', 'b1', 'c1')
    expect(ledger.keys).to.equal(3)
    for (const value of ['a1', 'b1', 'c1', 'a2']) shop.finish(value)
    expect(ledger.keys).to.equal(0)
    expect(ledger).to.deep.include({ in: 4, out: 4, inFlight: 0 })
  })

  it('takes promises and iterables as work', async () => {
    const results: unknown[] = []
    await new Promise<void>((resolve) =>
      of('a1', 'b1', 'a2')
        .pipe(
          mergeMapByKey(keyOf, (value) => (value === 'b1' ? [1, 2] : Promise.resolve(value)), {
            concurrency: 9,
            perKey: 1,
          }),
        )
        .subscribe({ next: (value) => results.push(value), complete: resolve }),
    )
    expect(results).to.deep.equal([1, 2, 'a1', 'a2'])
  })

  it('does synchronous work within the call, in the order of the source', () => {
    const values = Array.from({ length: 1_000 }, (_, index) => `${'abcdefg'[(index * index) % 7]!}${index}`)
    const results: string[] = []
    of(...values)
      .pipe(mergeMapByKey(keyOf, (value) => of(value), { concurrency: 1, perKey: 1 }))
      .subscribe((value) => results.push(value))
    expect(results).to.deep.equal(values)
  })

  it('goes through a million keys and remembers none of them', () => {
    let count = 0
    let mostKeys = 0
    range(0, 1_000_000)
      .pipe(
        mergeMapByKey(
          (value) => value,
          (value) => [value],
          { concurrency: 4, perKey: 1, ledger: ledger },
        ),
      )
      .subscribe(() => {
        count++
        mostKeys = Math.max(mostKeys, ledger.keys)
      })
    expect(count).to.equal(1_000_000)
    expect(mostKeys).to.equal(1)
    expect(ledger).to.deep.include({ keys: 0, inFlight: 0 })
  }).timeout(60_000)

  it('does a hundred thousand waiting values of one key without nesting calls', () => {
    let first = true
    const gate = new Subject<string>()
    let count = 0
    range(0, 100_000)
      .pipe(
        mergeMapByKey(
          () => 'one',
          () => {
            if (!first) return of('x')
            first = false
            return gate
          },
          { concurrency: 1, perKey: 1, capacity: 100_000 },
        ),
      )
      .subscribe(() => count++)
    gate.complete()
    expect(count).to.equal(99_999)
  })

  it('completes with an empty source, and after the last work otherwise', () => {
    EMPTY.pipe(mergeMapByKey(keyOf, shop.work, { concurrency: 1, perKey: 1 })).subscribe({
      complete: () => (seen.completed = true),
    })
    expect(seen.completed).to.equal(true)

    seen.completed = false
    run({ concurrency: 1 })
    send('a1', 'b1')
    source.complete()
    shop.finish('a1')
    expect(seen.completed).to.equal(false)
    shop.finish('b1')
    expect(seen.completed).to.equal(true)
    balanced()
  })

  it('says nothing while its source says nothing', () => {
    NEVER.pipe(mergeMapByKey(keyOf, shop.work, { concurrency: 1, perKey: 1 })).subscribe(() => expect.fail('a value'))
    expect(shop.started).to.deep.equal([])
  })

  it('passes on the error of its source at once and stops all work', () => {
    run()
    send('a1', 'a2')
    source.error(failure)
    expect(seen.error).to.equal(failure)
    expect(shop.isWorkedOn('a1')).to.equal(false)
    expect(ledger.dropped).to.deep.equal({ stopped: 2 })
    balanced()
  })

  it('stops all work and forgets what waits when it is left', () => {
    const leave = run()
    send('a1', 'a2', 'b1', 'c1')
    leave()
    expect(source.observed).to.equal(false)
    expect(shop.isWorkedOn('a1') || shop.isWorkedOn('b1')).to.equal(false)
    expect(ledger).to.deep.include({ keys: 0, inFlight: 0, dropped: { stopped: 4 } })
    expect(shop.started).to.deep.equal(['a1', 'b1'])
  })

  it('stops endless synchronous sources and endless synchronous work when it is left', () => {
    const endless = range(0, Number.MAX_SAFE_INTEGER)
    const values: number[] = []
    endless
      .pipe(
        mergeMapByKey(
          (value) => value,
          () => endless,
          { concurrency: 3, perKey: 1 },
        ),
        take(3),
      )
      .subscribe((value) => values.push(value))
    endless
      .pipe(
        mergeMapByKey(
          (value) => value,
          (value) => [value],
          { concurrency: 3, perKey: 1 },
        ),
        take(3),
      )
      .subscribe((value) => values.push(value))
    expect(values).to.deep.equal([0, 1, 2, 0, 1, 2])
  })

  describe('when work fails', () => {
    it('ends with the error, unless told otherwise', () => {
      run()
      send('a1', 'b1')
      shop.fail('a1')
      expect(seen.error).to.equal(failure)
      expect(shop.isWorkedOn('b1')).to.equal(false)
      expect(ledger.dropped).to.deep.equal({ failed: 1, stopped: 1 })
      balanced()
    })

    it('gives up that value alone when told to skip: its key and others go on', () => {
      const told: unknown[] = []
      run({ onError: 'skip', onFault: (error, value, key) => told.push([error, value, key]) })
      send('a1', 'a2', 'b1')
      shop.fail('a1')
      expect(shop.started).to.deep.equal(['a1', 'b1', 'a2'])
      shop.finish('a2')
      shop.finish('b1')
      source.complete()
      expect(seen).to.deep.equal({ values: ['A2', 'B1'], error: undefined, completed: true })
      expect(told).to.deep.equal([[failure, 'a1', 'a']])
      expect(ledger).to.deep.include({ in: 3, out: 2, dropped: { failed: 1 }, inFlight: 0, keys: 0 })
    })

    it('treats a throw of `project` and of `key` like work that fails', () => {
      const breaks = (): never => {
        throw failure
      }
      const outcomes: unknown[] = []
      const options = { concurrency: 1, perKey: 1 } as const
      of('a1')
        .pipe(mergeMapByKey(keyOf, breaks, options))
        .subscribe({ error: (error) => outcomes.push(error) })
      of('a1')
        .pipe(mergeMapByKey(breaks, shop.work, options))
        .subscribe({ error: (error) => outcomes.push(error) })
      const skip = { ...options, onError: 'skip', onFault: (error: unknown) => outcomes.push(error) } as const
      of('a1')
        .pipe(mergeMapByKey(keyOf, breaks, skip))
        .subscribe({ complete: () => outcomes.push('completed') })
      of('a1')
        .pipe(mergeMapByKey(breaks, shop.work, skip))
        .subscribe({ complete: () => outcomes.push('completed') })
      expect(outcomes).to.deep.equal([failure, failure, failure, 'completed', failure, 'completed'])
    })

    it('ends with the error of a callback that throws', () => {
      const broken = new Error('callback')
      run({
        onError: 'skip',
        onFault: () => {
          throw broken
        },
      })
      send('a1')
      shop.fail('a1')
      expect(seen.error).to.equal(broken)
    })

    it('keeps what work emitted before it failed', () => {
      of('a1')
        .pipe(
          mergeMapByKey(
            keyOf,
            () =>
              concat(
                of('x'),
                throwError(() => failure),
              ),
            {
              concurrency: 1,
              perKey: 1,
              onError: 'skip',
            },
          ),
        )
        .subscribe((value) => seen.values.push(value))
      expect(seen.values).to.deep.equal(['x'])
    })
  })

  describe('when work takes too long', () => {
    it('stops it, reports the deadline and goes on', () => {
      const clock = new VirtualClock()
      const told: unknown[] = []
      run({ deadlineMs: 100, clock, onError: 'skip', onFault: (error) => told.push(error) })
      send('a1', 'a2')
      clock.advance(100)
      expect(shop.isWorkedOn('a1')).to.equal(false)
      expect(told[0]).to.be.instanceOf(Fault).with.property('code', 'DEADLINE_EXCEEDED')
      shop.finish('a2')
      expect(seen.values).to.deep.equal(['A2'])
      expect(clock.pending).to.equal(0)
    })

    it('leaves no timer behind', () => {
      const clock = new VirtualClock()
      const leave = run({ deadlineMs: 100, clock })
      send('a1', 'b1')
      shop.finish('a1')
      expect(clock.pending).to.equal(1)
      leave()
      expect(clock.pending).to.equal(0)
    })
  })

  describe('when more wait than it may hold', () => {
    it('ends with a fault, unless told what to drop', () => {
      run({ concurrency: 1, capacity: 2 })
      send('a1', 'a2', 'b1')
      expect(seen.error).to.equal(undefined)
      send('c1')
      expect(seen.error).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect(shop.isWorkedOn('a1')).to.equal(false)
      balanced()
    })

    it('drops the newest when told so', () => {
      const told: unknown[] = []
      run({ concurrency: 1, capacity: 2, onFull: 'dropNewest', onDropped: (...drop) => told.push(drop) })
      send('a1', 'b1', 'c1', 'd1', 'a2')
      expect(told).to.deep.equal([
        ['d1', 'dropNewest'],
        ['a2', 'dropNewest'],
      ])
      for (const value of ['a1', 'b1', 'c1']) shop.finish(value)
      expect(seen.values).to.deep.equal(['A1', 'B1', 'C1'])
      expect(ledger).to.deep.include({ in: 5, out: 3, dropped: { dropNewest: 2 }, inFlight: 0, keys: 0 })
    })

    it('drops the oldest that waits when told so, of whichever key', () => {
      const told: unknown[] = []
      run({ concurrency: 1, capacity: 2, onFull: 'dropOldest', onDropped: (...drop) => told.push(drop) })
      send('a1', 'b1', 'a2', 'c1', 'd1')
      expect(told).to.deep.equal([
        ['b1', 'dropOldest'],
        ['a2', 'dropOldest'],
      ])
      for (const value of ['a1', 'c1', 'd1']) shop.finish(value)
      expect(seen.values).to.deep.equal(['A1', 'C1', 'D1'])
      expect(ledger).to.deep.include({ in: 5, out: 3, dropped: { dropOldest: 2 }, inFlight: 0, keys: 0 })
    })

    it('queues a value of the very key whose only waiting value it pushes out', () => {
      run({ concurrency: 1, capacity: 1, onFull: 'dropOldest' })
      send('a1', 'b1', 'b2')
      shop.finish('a1')
      shop.finish('b2')
      expect(seen.values).to.deep.equal(['A1', 'B2'])
      expect(ledger.keys).to.equal(0)
    })
  })

  it('keeps order per key, its bounds and its balance for any schedule', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom('dropOldest', 'dropNewest'),
        fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat({ max: 5 })), { maxLength: 60 }),
        (concurrency, capacity, onFull, steps) => {
          const jobs: { value: string; job: Subject<string> }[] = []
          const dropped = new Set<string>()
          const results: string[] = []
          const sent: string[] = []
          const input = new Subject<string>()
          const books = keyedLedger()
          let mostAtOnce = 0
          const work = (value: string): Observable<string> => {
            const job = new Subject<string>()
            jobs.push({ value, job })
            mostAtOnce = Math.max(mostAtOnce, jobs.length)
            return job
          }
          const finish = (index: number): void => {
            const [done] = jobs.splice(index % jobs.length, 1)
            done!.job.next(done!.value)
            done!.job.complete()
          }
          let completed = false
          input
            .pipe(
              mergeMapByKey(keyOf, work, {
                concurrency,
                perKey: 1,
                capacity,
                onFull,
                ledger: books,
                onDropped: (value) => dropped.add(value),
              }),
            )
            .subscribe({ next: (value) => results.push(value), complete: () => (completed = true) })

          for (const step of steps) {
            if (typeof step === 'string') {
              const value = `${step}${sent.length}`
              sent.push(value)
              input.next(value)
            } else if (jobs.length > 0) finish(step)
            expect(books.in).to.equal(books.out + dropped.size + books.inFlight)
            expect(books.inFlight).to.be.at.most(concurrency + capacity)
          }
          input.complete()
          while (jobs.length > 0) finish(0)

          expect(completed).to.equal(true)
          expect(mostAtOnce).to.be.at.most(concurrency)
          for (const key of 'abcd') {
            const ofKey = (values: string[]): string[] => values.filter((value) => keyOf(value) === key)
            expect(ofKey(results)).to.deep.equal(ofKey(sent).filter((value) => !dropped.has(value)))
          }
          expect(books).to.deep.include({ in: sent.length, out: results.length, inFlight: 0, keys: 0 })
        },
      ),
      { numRuns: 500 },
    )
  })

  for (const options of [
    { concurrency: 0 },
    { concurrency: Number.POSITIVE_INFINITY },
    { perKey: 2 },
    { capacity: 0 },
    { deadlineMs: -1 },
  ]) {
    it(`refuses ${Object.entries(options).flat().join(' = ')}`, () => {
      expect(() => mergeMapByKey(keyOf, shop.work, { concurrency: 1, perKey: 1, ...(options as object) }))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})
