import { expect } from 'chai'
import { EMPTY, NEVER, Subject, throwError, type Observable, type OperatorFunction } from 'rxjs'
import type { Clock } from '../../src/clock/clock'
import { VirtualClock } from '../../src/clock/virtualClock'

/**
 * What every operator owes, whatever it does: silence for a source that is silent, an end for one that ends, errors
 * passed on, and nothing left running when nobody listens.
 *
 * @param operator  the operator under test
 * @param values    something to receive, which makes it hold what it holds
 */
export function keepsTheLaws<T>(operator: (clock: Clock) => OperatorFunction<T, unknown>, values: readonly T[]): void {
  it('says nothing and starts nothing for a source that never says anything', () => {
    const clock = new VirtualClock()
    const out = record(operator(clock), NEVER)
    clock.advance(60_000)
    expect(out).to.deep.equal([])
  })

  it('completes at once, without a value, with an empty source', () => {
    const clock = new VirtualClock()
    expect(record(operator(clock), EMPTY)).to.deep.equal(['completed'])
    expect(clock.pending).to.equal(0)
  })

  it('passes the error of the source on, and leaves no timer', () => {
    const clock = new VirtualClock()
    const error = new Error('gone')
    expect(
      record(
        operator(clock),
        throwError(() => error),
      ),
    ).to.deep.equal([error])

    const source = new Subject<T>()
    const out = record(operator(clock), source)
    for (const value of values) source.next(value)
    source.error(error)
    expect(out.at(-1)).to.equal(error)
    expect(clock.pending).to.equal(0)
  })

  it('leaves the source and its timers when it is unsubscribed from', () => {
    const clock = new VirtualClock()
    const source = new Subject<T>()
    const out: unknown[] = []
    const subscription = source.pipe(operator(clock)).subscribe((value) => out.push(value))
    for (const value of values) source.next(value)
    subscription.unsubscribe()
    const before = out.length
    expect(source.observed).to.equal(false)
    expect(clock.pending).to.equal(0)
    clock.advance(60_000)
    expect(out).to.have.length(before)
  })

  it('keeps the state of its subscribers apart', () => {
    const clock = new VirtualClock()
    const shared = operator(clock)
    const [first, second] = [new Subject<T>(), new Subject<T>()]
    const one = record(shared, first)
    const other = record(shared, second)
    for (const value of values) first.next(value)
    second.complete()
    expect(other).to.deep.equal(['completed'])
    first.complete()
    expect(one.at(-1)).to.equal('completed')
    expect(clock.pending).to.equal(0)
  })
}

function record<T>(operator: OperatorFunction<T, unknown>, source: Observable<T>): unknown[] {
  const out: unknown[] = []
  source.pipe(operator).subscribe({
    next: (value) => out.push(value),
    error: (error) => out.push(error),
    complete: () => out.push('completed'),
  })
  return out
}
