import { expect } from 'chai'
import fc from 'fast-check'
import {
  concat,
  EMPTY,
  NEVER,
  Observable,
  of,
  range,
  Subject,
  take,
  throwError,
  UnsubscriptionError,
  type Subscriber,
  type Subscription,
} from 'rxjs'
import { carriedEdgeOf, runWithWiring, type CarriedEdge } from '../../src/actors/wiring'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import {
  keyedLedger,
  mergeMapByKey,
  type KeyedLedger,
  type MergeMapByKeyOptions,
} from '../../src/operators/mergeMapByKey'
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

  it('goes through ten million keys in flat memory, and remembers those with work', () => {
    const keys = 10_000_000
    const concurrency = 64
    const capacity = 64
    const input = new Subject<number>()
    const jobs: Subscriber<number>[] = []
    let started = 0
    const job = new Observable<number>((out) => void (jobs[started++ % (2 * concurrency)] = out))
    let results = 0
    input
      .pipe(
        mergeMapByKey(
          (value) => value,
          () => job,
          { concurrency, perKey: 1, capacity, ledger },
        ),
      )
      .subscribe(() => results++)

    let mostKeys = 0
    let finished = 0
    const heapBytes: number[] = []
    for (let key = 0; key < keys; key++) {
      input.next(key)
      if (ledger.keys > mostKeys) mostKeys = ledger.keys
      if (key >= concurrency + capacity - 1) {
        const out = jobs[finished++ % (2 * concurrency)]!
        out.next(key)
        out.complete()
      }
      if (key % 1_000_000 === 999_999) heapBytes.push(process.memoryUsage().heapUsed)
    }
    expect(mostKeys).to.equal(concurrency + capacity)
    expect(results).to.equal(keys - ledger.inFlight)
    expect(ledger).to.deep.include({ in: keys, keys: concurrency + capacity - 1, dropped: {} })
    // A number and a pointer remembered for each would be 160 MB; what is not collected yet is far below.
    expect(Math.max(...heapBytes) - heapBytes[0]!).to.be.below(150e6)
  }).timeout(180_000)

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

  it('keeps order, bounds and balance when results, faults and drops bring in more values within the call', () => {
    const started: string[] = []
    const open = new Set<string>()
    let together = 0
    let more = 500
    let drops = 0
    const again = (value: string): void => {
      if (more-- > 0) source.next(`${keyOf(value)}${1_000 - more}`)
      if (more-- > 0) source.next(`${'abc'[more % 3]!}${1_000 - more}`)
    }
    const work = (value: string): Observable<string> => {
      if ([...open].some((each) => keyOf(each) === keyOf(value))) together++
      started.push(value)
      open.add(value)
      const job = shop.work(value)
      return new Observable((out) => {
        job.subscribe({
          next: () => out.next(value),
          error: (error) => out.error(error),
          complete: () => out.complete(),
        })
        return () => open.delete(value)
      })
    }
    source
      .pipe(
        mergeMapByKey(keyOf, work, {
          concurrency: 2,
          perKey: 1,
          capacity: 3,
          onFull: 'dropOldest',
          onDropped: (value) => drops++ % 5 === 0 && again(value),
          onError: 'skip',
          onFault: (_, value) => again(value),
          ledger,
        }),
      )
      .subscribe(again)
    send('a1', 'a2', 'b1', 'c1')
    for (let turn = 0; turn < started.length; turn++) {
      if (turn % 3 === 2) shop.fail(started[turn]!)
      else shop.finish(started[turn]!)
      balanced()
      expect(ledger.inFlight).to.be.at.most(5)
      expect(open.size).to.be.at.most(2)
    }
    expect(together).to.equal(0)
    expect(ledger).to.deep.include({ inFlight: 0, keys: 0 })
    expect(ledger.out).to.be.above(20)
    for (const key of 'abc') {
      const ofKey = started.filter((value) => keyOf(value) === key).map((value) => Number(value.slice(1)))
      expect(ofKey).to.deep.equal(ofKey.toSorted((one, other) => one - other))
    }
  })

  it('hears nothing more once it has failed, though whoever hears of it sends more', () => {
    source.pipe(mergeMapByKey(keyOf, shop.work, { concurrency: 1, perKey: 1, ledger })).subscribe({
      error: () => {
        source.next('b1')
        shop.finish('c1')
      },
    })
    send('c1', 'a1')
    source.error(failure)
    expect(shop.started).to.deep.equal(['c1'])
    expect(ledger).to.deep.include({ in: 2, dropped: { stopped: 2 }, inFlight: 0, keys: 0 })
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

    it('asks for the time of waits where it is subscribed to', () => {
      const waits = new VirtualClock()
      runWithClock({ clock: new VirtualClock(), waits }, () => run({ deadlineMs: 100 }))
      send('a1')
      waits.advance(100)
      expect(seen.error).to.be.instanceOf(Fault).with.property('code', 'DEADLINE_EXCEEDED')
    })

    it('ends with what stopping the work threw', () => {
      const clock = new VirtualClock()
      const broken = new Error('cannot stop')
      const stubborn = new Observable<string>(() => () => {
        throw broken
      })
      source
        .pipe(mergeMapByKey(keyOf, () => stubborn, { concurrency: 1, perKey: 1, deadlineMs: 1, clock, ledger }))
        .subscribe({ error: (error: unknown) => (seen.error = error) })
      send('a1')
      clock.advance(1)
      expect(seen.error).to.be.instanceOf(UnsubscriptionError).with.deep.property('errors', [broken])
      balanced()
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

  describe('tells the work when it is stopped', () => {
    let signals: AbortSignal[]
    const hangs = (_value: string, _key: string, signal: AbortSignal): Observable<string> => {
      signals.push(signal)
      return NEVER
    }
    const start = (options: Partial<MergeMapByKeyOptions<string, string>> = {}): Subscription =>
      source.pipe(mergeMapByKey(keyOf, hangs, { concurrency: 2, perKey: 1, ...options })).subscribe({
        error: (error: unknown) => (seen.error = error),
      })
    beforeEach(() => (signals = []))

    it('because nobody listens any more', () => {
      const subscription = start()
      send('a1', 'b1')
      expect(signals.map(({ aborted }) => aborted)).to.deep.equal([false, false])
      subscription.unsubscribe()
      expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true, true])
      expect(signals[0]!.reason).to.have.property('name', 'AbortError')
    })

    it('because it took too long, with that as the reason, and nobody else', () => {
      const clock = new VirtualClock()
      start({ deadlineMs: 100, clock, onError: 'skip' })
      send('a1')
      clock.advance(50)
      send('b1')
      clock.advance(50)
      expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true, false])
      expect(signals[0]!.reason).to.have.property('code', 'DEADLINE_EXCEEDED')
    })

    it('because other work failed', () => {
      source
        .pipe(
          mergeMapByKey(
            keyOf,
            (value, _key, signal) => {
              signals.push(signal)
              return value === 'b1' ? throwError(() => failure) : NEVER
            },
            { concurrency: 2, perKey: 1 },
          ),
        )
        .subscribe({ error: () => undefined })
      send('a1', 'b1')
      expect(signals[0]!.aborted).to.equal(true)
    })

    it('and not when it has ended', () => {
      source
        .pipe(
          mergeMapByKey(
            keyOf,
            (value, _key, signal) => {
              signals.push(signal)
              return [value]
            },
            { concurrency: 2, perKey: 1 },
          ),
        )
        .subscribe()
      send('a1')
      source.complete()
      expect(signals[0]!.aborted).to.equal(false)
    })

    it('and makes no signal for work that declares none', () => {
      let given: unknown[] = []
      const work = (...all: unknown[]): string[] => {
        given = all
        return []
      }
      of('a1')
        .pipe(mergeMapByKey(keyOf, work, { concurrency: 1, perKey: 1 }))
        .subscribe()
      expect(given).to.deep.equal(['a1', 'a', undefined])
    })
  })

  it('lets a promise fail that was given back after it had been left', async () => {
    const unhandled: unknown[] = []
    const listener = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', listener)
    const subscription = source
      .pipe(
        mergeMapByKey(
          keyOf,
          () => {
            subscription.unsubscribe()
            return Promise.reject(failure)
          },
          { concurrency: 1, perKey: 1, ledger },
        ),
      )
      .subscribe()
    send('a1')
    await new Promise(setImmediate)
    process.off('unhandledRejection', listener)
    expect(unhandled).to.deep.equal([])
    balanced()
  })

  describe('when it blocks', () => {
    let told: string[]
    const pressure = { pause: () => void told.push('pause'), resume: () => void told.push('resume') }
    beforeEach(() => (told = []))

    it('asks its source to pause when it is full, and to go on at half', () => {
      run({ concurrency: 1, capacity: 4, onFull: 'block', pressure })
      send('a1', 'b1', 'b2', 'b3')
      expect(told).to.deep.equal([])
      send('b4', 'b5') // one more was on its way
      expect(told).to.deep.equal(['pause'])
      for (const value of ['a1', 'b1']) shop.finish(value)
      expect(told).to.deep.equal(['pause'])
      shop.finish('b2')
      expect(told).to.deep.equal(['pause', 'resume'])
      for (const value of ['b3', 'b4', 'b5']) shop.finish(value)
      expect(seen.values).to.have.length(6)
      expect(ledger.dropped).to.deep.equal({})
      expect(told).to.deep.equal(['pause', 'resume'])
    })

    it('ends with a fault when the source does not stop, having kept as much again', () => {
      run({ concurrency: 1, capacity: 2, onFull: 'block', pressure })
      send('a1', 'a2', 'a3', 'a4', 'a5')
      expect(seen.error).to.equal(undefined)
      send('a6')
      expect(seen.error).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect(ledger.dropped).to.deep.equal({ overrun: 1, stopped: 5 })
      expect(told, 'others may go on').to.deep.equal(['pause', 'resume'])
      balanced()
    })

    it('lets its source go on when it is left', () => {
      const leave = run({ concurrency: 1, capacity: 1, onFull: 'block', pressure })
      send('a1', 'a2')
      leave()
      expect(told).to.deep.equal(['pause', 'resume'])
    })

    it('takes in order what a source delivers within the call that lets it go on', () => {
      const rest = ['a6', 'b1', 'a7', 'b2']
      const eager = {
        pause: () => undefined,
        resume: () => {
          while (rest.length > 0) source.next(rest.shift()!)
        },
      }
      run({ concurrency: 1, capacity: 4, onFull: 'block', pressure: eager })
      send('a1', 'a2', 'a3', 'a4', 'a5')
      for (let turn = 0; turn < shop.started.length; turn++) shop.finish(shop.started[turn]!)
      const ofKey = (key: string): string[] => shop.started.filter((value) => keyOf(value) === key)
      expect(ofKey('a')).to.deep.equal(['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7'])
      expect(ofKey('b')).to.deep.equal(['b1', 'b2'])
    })

    it('ends with what its source throws when it is paused', () => {
      const broken = new Error('no brake')
      const breaks = { pause: () => { throw broken }, resume: () => undefined } // prettier-ignore
      run({ concurrency: 1, capacity: 1, onFull: 'block', pressure: breaks })
      send('a1', 'a2')
      expect(seen.error).to.equal(broken)
    })

    it('says so when there is nothing to pause', () => {
      run({ onFull: 'block' })
      expect(seen.error).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
      expect(source.observed).to.equal(false)
    })
  })

  describe('in a pipeline', () => {
    let edges: CarriedEdge[]
    let faults: Fault[]
    let held: number
    const inPipeline = (options: Partial<MergeMapByKeyOptions<string, string>>): void =>
      runWithWiring(
        {
          pressure: { pause: () => held++, resume: () => held-- },
          onFault: (fault) => faults.push(fault),
          showEdge: (edge) => edges.push(edge),
        },
        () => void run(options),
      )
    beforeEach(() => {
      edges = []
      faults = []
      held = 0
    })

    it('shows what waits as an edge, whose account is its own', () => {
      inPipeline({ concurrency: 1, capacity: 3, onFull: 'dropOldest' })
      expect(edges).to.have.length(1)
      expect(edges[0]).to.deep.include({ kind: 'mailbox', capacity: 3, onFull: 'dropOldest' })
      send('a1', 'a2', 'b1')
      expect(edges[0]!.account).to.deep.include({ in: 3, out: 0, inFlight: 3 })
      expect(edges[0]!.waiting?.()).to.equal(2)
    })

    it('says before it runs what edge it will carry', () => {
      const options = { concurrency: 1, perKey: 1, capacity: 3, onFull: 'block' } as const
      expect(carriedEdgeOf(mergeMapByKey(keyOf, shop.work, options))).to.deep.equal({
        kind: 'mailbox',
        capacity: 3,
        onFull: 'block',
      })
    })

    it('holds back the sources of the run', () => {
      inPipeline({ concurrency: 1, capacity: 2, onFull: 'block' })
      send('a1', 'a2', 'a3')
      expect(held).to.equal(1)
      shop.finish('a1')
      expect(held).to.equal(0)
    })

    it('tells the run of what it gave up, with its key, unless told whom else', () => {
      inPipeline({ onError: 'skip' })
      send('a1', 'b1')
      shop.fail('a1')
      shop.fail('b1', new Fault('VALUE_INVALID', 'No price.', { field: 'price' }))
      expect(faults.map(({ code }) => code)).to.deep.equal(['STAGE_FAILED', 'VALUE_INVALID'])
      expect(faults[0]!.message).to.equal('mergeMapByKey gave up a value of key a: the work failed')
      expect(faults[0]!.cause).to.equal(failure)
      expect(faults[1]!.details).to.deep.equal({ field: 'price', key: 'b' })

      const told: unknown[] = []
      inPipeline({ onError: 'skip', onFault: (error) => told.push(error) })
      send('c1')
      shop.fail('c1')
      expect(told).to.deep.equal([failure])
    })

    it('tells of keys that cannot be written, and of those that are too long', () => {
      const keys: unknown[] = [Object.create(null), Symbol('s'), 'x'.repeat(1_000)]
      runWithWiring(
        {
          pressure: { pause: () => held++, resume: () => held-- },
          onFault: (fault) => faults.push(fault),
          showEdge: () => undefined,
        },
        () =>
          of(...keys)
            .pipe(
              mergeMapByKey(
                (key) => key,
                () => throwError(() => failure),
                { concurrency: 1, perKey: 1, onError: 'skip' },
              ),
            )
            .subscribe(),
      )
      expect(faults.map(({ details }) => String(details['key']).slice(0, 20))).to.deep.equal([
        '[object Object]',
        'Symbol(s)',
        'x'.repeat(20),
      ])
      expect(faults[2]!.message.length).to.be.below(200)
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
    { onFull: 'conflate' },
    { onError: 'ignore' },
  ]) {
    it(`refuses ${Object.entries(options).flat().join(' = ')}`, () => {
      expect(() => mergeMapByKey(keyOf, shop.work, { concurrency: 1, perKey: 1, ...(options as object) }))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})
