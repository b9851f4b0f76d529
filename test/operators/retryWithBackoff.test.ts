import { expect } from 'chai'
import fc from 'fast-check'
import { concat, defer, EMPTY, NEVER, Observable, of, range, Subject, take, throwError } from 'rxjs'
import { getEventListeners } from 'node:events'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { retryWithBackoff, type Retry, type RetryOptions } from '../../src/operators/retryWithBackoff'
import { SharedRetryBudget } from '../../src/operators/sharedRetryBudget'

const almostOne = 1 - Number.EPSILON / 2
const base = { minMs: 100, maxMs: 1_000, atMost: 3, withinMs: 60_000, random: () => almostOne }
const failure = new Error('the line is dead')

/** Lets promises go on, without letting time pass. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

describe('retryWithBackoff', () => {
  let clock: VirtualClock
  beforeEach(() => {
    clock = new VirtualClock()
  })

  describe('on an observable', () => {
    const watch = <T>(source: Observable<T>, options: Partial<RetryOptions> = {}): Watched<T> => {
      const seen: Watched<T> = { values: [], error: undefined, completed: false, stop: () => undefined }
      const subscription = source.pipe(retryWithBackoff<T>({ ...base, clock, ...options })).subscribe({
        next: (value) => seen.values.push(value),
        error: (error: unknown) => (seen.error = error),
        complete: () => (seen.completed = true),
      })
      seen.stop = () => subscription.unsubscribe()
      return seen
    }

    it('passes values and the end of a source that does not fail', () => {
      expect(watch(of(1, 2))).to.deep.include({ values: [1, 2], completed: true, error: undefined })
    })

    it('completes at once with an empty source, and waits for one that never says anything', () => {
      expect(watch(EMPTY).completed).to.equal(true)
      expect(watch(NEVER)).to.deep.include({ values: [], completed: false, error: undefined })
      expect(clock.pending).to.equal(0)
    })

    it('subscribes again after a growing wait, and goes on with what then comes', () => {
      let attempts = 0
      const seen = watch(
        defer(() =>
          ++attempts < 3
            ? concat(
                of(attempts),
                throwError(() => failure),
              )
            : of(attempts),
        ),
      )
      expect(seen.values).to.deep.equal([1])
      clock.advance(99)
      expect(attempts).to.equal(1)
      clock.advance(1)
      expect(attempts).to.equal(2)
      clock.advance(199)
      expect(attempts).to.equal(2)
      clock.advance(1)
      expect(seen).to.deep.include({ values: [1, 2, 3], completed: true })
    })

    it('tries at once the first time when asked so, yet never within the failing call', () => {
      let attempts = 0
      watch(
        defer(() => throwError(() => (attempts++, failure))),
        { firstAtOnce: true },
      )
      expect(attempts).to.equal(1)
      clock.advance(0)
      expect(attempts).to.equal(2)
      clock.advance(100)
      expect(attempts).to.equal(3)
    })

    it('gives up with the last error as the cause when the budget is spent', () => {
      const seen = watch(throwError(() => failure))
      clock.advance(10_000)
      expect(seen.error).to.be.instanceOf(Fault).with.property('code', 'RETRIES_EXHAUSTED')
      expect(seen.error).to.have.property('cause', failure)
      expect((seen.error as Fault).message)
        .to.include('3 retries')
        .and.to.include('the line is dead')
      expect(clock.pending).to.equal(0)
    })

    it('gives up on failures without a value between them that last longer than the window', () => {
      const seen = watch(
        throwError(() => failure),
        { atMost: 1_000, withinMs: 1_500 },
      )
      clock.advance(100_000)
      expect(seen.error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect(clock.nowUs()).to.equal(100_000_000)
    })

    it('gives up on a source that brings a value and fails, again and again', () => {
      const seen = watch(
        concat(
          of('x'),
          throwError(() => failure),
        ),
        { firstAtOnce: true },
      )
      clock.advance(10_000)
      expect(seen.error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect(seen.values).to.deep.equal(['x', 'x', 'x', 'x'])
    })

    it('lives on for ever when failures are rare', () => {
      const source = new Subject<number>()
      const seen = watch(
        defer(
          () =>
            new Observable<number>((out) =>
              source.subscribe({ next: (v) => (v < 0 ? out.error(failure) : out.next(v)) }),
            ),
        ),
      )
      for (let day = 1; day <= 50; day++) {
        source.next(day)
        source.next(-1)
        clock.advance(60_000)
      }
      expect(seen.error).to.equal(undefined)
      expect(seen.values).to.have.length(50)
    })

    it('waits at least as long as the other side asks', () => {
      let attempts = 0
      watch(
        defer(() => throwError(() => (attempts++, failure))),
        { retryAfterMs: () => 5_000 },
      )
      clock.advance(4_999)
      expect(attempts).to.equal(1)
      clock.advance(1)
      expect(attempts).to.equal(2)
    })

    it('hears without being told how long it is asked to stay away', () => {
      const asking = [
        new Fault('FEED_RATE_LIMITED', 'Wait.', { waitMs: 5_000 }),
        new Response(null, { status: 429, headers: { 'retry-after': '5' } }),
        Object.assign(new Error('429'), { response: { headers: { 'retry-after': '5' } } }),
        Object.assign(new Error('503'), { headers: { 'retry-after': 'Thu, 01 Jan 1970 00:00:05 GMT' } }),
      ]
      for (const error of asking) {
        clock = new VirtualClock()
        let attempts = 0
        watch(defer(() => throwError(() => (attempts++, error))))
        clock.advance(4_999)
        expect(attempts).to.equal(1)
        clock.advance(1)
        expect(attempts).to.equal(2)
      }
    })

    it('asks for the time of waits and the chance where it is subscribed to', () => {
      const waits = new VirtualClock()
      let attempts = 0
      const failing = defer(() => throwError(() => (attempts++, failure)))
      const operator = retryWithBackoff({ minMs: 100, maxMs: 1_000, atMost: 3, withinMs: 60_000 })
      runWithClock({ clock: new VirtualClock(), waits, random: () => 0.5 }, () =>
        failing.pipe(operator).subscribe({ error: () => undefined }),
      )
      waits.advance(49)
      expect(attempts).to.equal(1)
      waits.advance(1)
      expect(attempts).to.equal(2)
    })

    it('gives up at once when asked to stay away for longer than its window', () => {
      for (const askedMs of [1e9, Number.POSITIVE_INFINITY]) {
        expect(
          watch(
            throwError(() => failure),
            { retryAfterMs: () => askedMs },
          ).error,
        ).to.have.property('code', 'RETRIES_EXHAUSTED')
      }
      expect(
        watch(
          throwError(() => failure),
          { retryAfterMs: () => Number.NaN },
        ).error,
      ).to.equal(undefined)
    })

    it('passes on at once an error that another try cannot help', () => {
      const refused = new Fault('SUBSCRIBE_REFUSED', 'No such topic.')
      expect(watch(throwError(() => refused)).error).to.equal(refused)
      expect(
        watch(
          throwError(() => failure),
          { shouldRetry: () => false },
        ).error,
      ).to.equal(failure)
      expect(clock.pending).to.equal(0)
    })

    it('tells of each retry before its wait', () => {
      const told: Retry[] = []
      watch(
        throwError(() => failure),
        { onRetry: (retry) => told.push(retry) },
      )
      clock.advance(10_000)
      expect(told.map(({ attempt, delayMs }) => [attempt, Math.round(delayMs)])).to.deep.equal([
        [1, 100],
        [2, 200],
        [3, 400],
      ])
      expect(told[0]!.error).to.equal(failure)
    })

    it('ends with the error of a callback that throws', () => {
      const broken = new Error('callback')
      const breaks = (): never => {
        throw broken
      }
      expect(
        watch(
          throwError(() => failure),
          { shouldRetry: breaks },
        ).error,
      ).to.equal(broken)
      expect(
        watch(
          throwError(() => failure),
          { retryAfterMs: breaks },
        ).error,
      ).to.equal(broken)
      expect(
        watch(
          throwError(() => failure),
          { onRetry: breaks },
        ).error,
      ).to.equal(broken)
    })

    it('stops at once when aborted: before, while running, and in the middle of a wait', () => {
      const reason = new Error('stop')
      expect(watch(of(1), { signal: AbortSignal.abort(reason) })).to.deep.include({ values: [], error: reason })

      const running = new AbortController()
      const source = new Subject<number>()
      const seen = watch(source, { signal: running.signal })
      running.abort(reason)
      expect(seen.error).to.equal(reason)
      expect(source.observed).to.equal(false)

      const waiting = new AbortController()
      const stopped = watch(
        throwError(() => failure),
        { signal: waiting.signal },
      )
      expect(clock.pending).to.equal(1)
      waiting.abort(reason)
      expect(stopped.error).to.equal(reason)
      expect(clock.pending).to.equal(0)
    })

    it('leaves source and timer when it is left early', () => {
      const source = new Subject<number>()
      const live = watch(source)
      live.stop()
      expect(source.observed).to.equal(false)

      const waiting = watch(throwError(() => failure))
      waiting.stop()
      expect(clock.pending).to.equal(0)
      expect(waiting.error).to.equal(undefined)
    })

    it('stops an endless synchronous source when it is left early', () => {
      const values: number[] = []
      range(0, Number.MAX_SAFE_INTEGER)
        .pipe(retryWithBackoff({ ...base, clock }), take(3))
        .subscribe((value) => values.push(value))
      expect(values).to.deep.equal([0, 1, 2])
    })

    it('keeps every wait within its bounds, and the count within the budget', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 500 }),
          fc.integer({ min: 1, max: 20 }),
          fc.integer({ min: 0, max: 8 }),
          fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
          (minMs, factor, atMost, draws) => {
            clock = new VirtualClock()
            const maxMs = minMs * factor
            const told: Retry[] = []
            const seen = watch(
              throwError(() => failure),
              {
                minMs,
                maxMs,
                atMost,
                random: () => draws.next().value as number,
                onRetry: (retry) => told.push(retry),
              },
            )
            clock.advance(60_000)
            expect(seen.error).to.have.property('code', 'RETRIES_EXHAUSTED')
            expect(told.length).to.be.at.most(atMost)
            told.forEach(({ delayMs, attempt }) =>
              expect(delayMs).to.be.within(0, Math.min(maxMs, minMs * 2 ** (attempt - 1))),
            )
          },
        ),
        { numRuns: 200 },
      )
    })
  })

  describe('on a promise', () => {
    const track = <T>(promise: Promise<T>): Tracked<T> => {
      const tracked: Tracked<T> = { value: undefined, error: undefined }
      promise.then(
        (value) => (tracked.value = value),
        (error: unknown) => (tracked.error = error),
      )
      return tracked
    }

    it('gives the value of the first attempt that succeeds', async () => {
      const attempts: number[] = []
      const result = track(
        retryWithBackoff.promise(
          (attempt) => {
            attempts.push(attempt)
            return attempt < 3 ? Promise.reject(failure) : Promise.resolve('done')
          },
          { ...base, clock },
        ),
      )
      await settle()
      clock.advance(100)
      await settle()
      expect(attempts).to.deep.equal([1, 2])
      clock.advance(200)
      await settle()
      expect(result.value).to.equal('done')
      expect(clock.pending).to.equal(0)
    })

    it('treats a task that throws like one that rejects, and takes a plain value', async () => {
      const task = (attempt: number): string => {
        if (attempt === 1) throw failure
        return 'plain'
      }
      const result = track(retryWithBackoff.promise(task, { ...base, clock }))
      await settle()
      clock.advance(100)
      await settle()
      expect(result.value).to.equal('plain')
    })

    it('rejects with the last error as the cause when the budget is spent', async () => {
      const result = track(retryWithBackoff.promise(() => Promise.reject(failure), { ...base, clock }))
      for (let wait = 0; wait < 4; wait++) {
        await settle()
        clock.advance(1_000)
      }
      await settle()
      expect(result.error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect(result.error).to.have.property('cause', failure)
    })

    it('stops an attempt that takes too long, and tries again', async () => {
      const signals: AbortSignal[] = []
      const hangsOnce = (attempt: number, signal: AbortSignal): Promise<string> => {
        signals.push(signal)
        return attempt === 1 ? new Promise(() => undefined) : Promise.resolve('done')
      }
      const result = track(retryWithBackoff.promise(hangsOnce, { ...base, attemptMs: 50, clock }))
      await settle()
      clock.advance(50)
      await settle()
      expect(signals[0]!.aborted).to.equal(true)
      clock.advance(100)
      await settle()
      expect(result.value).to.equal('done')
      expect(signals[1]!.aborted).to.equal(false)
      expect(clock.pending).to.equal(0)
    })

    it('stops at once when aborted: before, in an attempt, and in the middle of a wait', async () => {
      const reason = new Error('stop')
      let calls = 0
      const before = track(
        retryWithBackoff.promise(() => calls++, { ...base, clock, signal: AbortSignal.abort(reason) }),
      )
      await settle()
      expect(before.error).to.equal(reason)
      expect(calls).to.equal(0)

      const inAttempt = new AbortController()
      let attemptSignal: AbortSignal | undefined
      const attempting = track(
        retryWithBackoff.promise(
          (_, signal) => {
            attemptSignal = signal
            return new Promise(() => undefined)
          },
          { ...base, clock, signal: inAttempt.signal },
        ),
      )
      await settle()
      inAttempt.abort(reason)
      await settle()
      expect(attempting.error).to.equal(reason)
      expect(attemptSignal?.aborted).to.equal(true)

      const inWait = new AbortController()
      const waiting = track(
        retryWithBackoff.promise(() => Promise.reject(failure), { ...base, clock, signal: inWait.signal }),
      )
      await settle()
      expect(clock.pending).to.equal(1)
      inWait.abort(reason)
      await settle()
      expect(waiting.error).to.equal(reason)
      expect(clock.pending).to.equal(0)
    })

    it('forgets the caller of an attempt that never ends', async () => {
      const caller = new AbortController()
      const result = track(
        retryWithBackoff.promise(() => new Promise(() => undefined), {
          ...base,
          attemptMs: 50,
          clock,
          signal: caller.signal,
        }),
      )
      for (let turn = 0; turn < 4; turn++) {
        await settle()
        expect(getEventListeners(caller.signal, 'abort')).to.have.length(1)
        clock.advance(50)
        await settle()
        clock.advance(1_000)
      }
      await settle()
      expect(result.error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect(getEventListeners(caller.signal, 'abort')).to.have.length(0)
    })

    it('has one timer for each of a thousand that wait, and none once they are aborted', async () => {
      const stop = new AbortController()
      const reason = new Error('stop')
      const results = Array.from({ length: 1_000 }, () =>
        track(retryWithBackoff.promise(() => Promise.reject(failure), { ...base, clock, signal: stop.signal })),
      )
      await settle()
      expect(clock.pending).to.equal(1_000)
      stop.abort(reason)
      expect(clock.pending).to.equal(0)
      await settle()
      expect(results.every(({ error }) => error === reason)).to.equal(true)
      expect(getEventListeners(stop.signal, 'abort')).to.have.length(0)
    })

    it('shares a budget with others, so that what is down is not asked by all of them', async () => {
      const budget = new SharedRetryBudget({ atMost: 100, withinMs: 10_000 })
      let calls = 0
      const ask = (): Tracked<unknown> =>
        track(retryWithBackoff.promise(() => (calls++, Promise.reject(failure)), { ...base, atMost: 1, clock, budget }))
      const results = Array.from({ length: 1_000 }, ask)
      await settle()
      expect(clock.pending).to.equal(100)
      const spent = results.filter(({ error }) => error !== undefined)
      expect(spent).to.have.length(900)
      expect(spent[0]!.error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect((spent[0]!.error as Fault).message)
        .to.include('shared')
        .and.to.include('the line is dead')
      clock.advance(1_000)
      await settle()
      expect(calls).to.equal(1_100)

      clock.advance(9_000) // the window has passed
      ask()
      await settle()
      expect(clock.pending).to.equal(1)
    })

    it('keeps a thousand retries waiting on timers alone', async () => {
      const results = Array.from({ length: 1_000 }, () =>
        track(
          retryWithBackoff.promise((attempt) => (attempt === 1 ? Promise.reject(failure) : attempt), {
            ...base,
            clock,
          }),
        ),
      )
      await settle()
      expect(clock.pending).to.equal(1_000)
      clock.advance(100)
      await settle()
      expect(results.every(({ value }) => value === 2)).to.equal(true)
    })
  })

  for (const [option, value] of [
    ['minMs', 0],
    ['minMs', 2_000],
    ['atMost', -1],
    ['withinMs', Number.NaN],
  ] as const) {
    it(`refuses ${option} = ${value}`, () => {
      expect(() => retryWithBackoff({ ...base, [option]: value }))
        .to.throw(Fault, option)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})

describe('SharedRetryBudget', () => {
  it('allows no more within any window, for any times', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 5 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat({ max: 10 }), { maxLength: 100 }),
        (atMost, withinMs, gapsMs) => {
          const budget = new SharedRetryBudget({ atMost, withinMs })
          const takenMs: number[] = []
          let nowMs = 0
          for (const gapMs of gapsMs) {
            nowMs += gapMs
            const within = takenMs.filter((takenAtMs) => takenAtMs > nowMs - withinMs).length
            const allowed = budget.take(nowMs * 1_000)
            expect(allowed).to.equal(within < atMost)
            if (allowed) takenMs.push(nowMs)
          }
        },
      ),
    )
  })

  it('refuses nonsense', () => {
    for (const budget of [
      { atMost: Number.NaN, withinMs: 1 },
      { atMost: -1, withinMs: 1 },
      { atMost: 1, withinMs: 0 },
    ]) {
      expect(() => new SharedRetryBudget(budget))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    }
  })
})

interface Watched<T> {
  readonly values: T[]
  error: unknown
  completed: boolean
  stop: () => void
}

interface Tracked<T> {
  value: T | undefined
  error: unknown
}
