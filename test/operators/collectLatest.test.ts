import { expect } from 'chai'
import { Subject } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { collectLatest } from '../../src/operators/collectLatest'
import { keepsTheLaws } from './laws'

describe('collectLatest', () => {
  interface Row {
    readonly id: string
    readonly value: number
  }
  const row = (id: string, value: number): Row => ({ id, value })
  const key = (of: Row): string => of.id

  keepsTheLaws((clock) => collectLatest<Row>({ key, everyMs: 10, capacity: 8, clock }), [[row('a', 1)]])

  const started = (capacity = 8) => {
    const clock = new VirtualClock()
    const source = new Subject<Row[]>()
    const out: unknown[] = []
    source.pipe(collectLatest({ key, everyMs: 10, capacity, clock })).subscribe({
      next: (rows) => out.push(rows.map(({ id, value }) => `${id}${value}`).join(' ')),
      error: (error) => out.push(error),
      complete: () => out.push('completed'),
    })
    return { clock, source, out }
  }

  it('passes the latest value of every key at each tick, sorted by key', () => {
    const { clock, source, out } = started()
    source.next([row('b', 1), row('a', 1), row('b', 2)])
    clock.advance(10)
    source.next([row('a', 2)])
    clock.advance(10)
    expect(out).to.deep.equal(['a1 b2', 'a2 b2'])
  })

  it('says nothing at a tick after which nothing changed', () => {
    const { clock, source, out } = started()
    source.next([row('a', 1)])
    clock.advance(50)
    source.next([])
    clock.advance(50)
    expect(out).to.deep.equal(['a1'])
    expect(clock.pending).to.equal(0)
  })

  it('passes what changed since the last tick at completion', () => {
    const { clock, source, out } = started()
    source.next([row('a', 1)])
    clock.advance(10)
    source.next([row('b', 1)])
    source.complete()
    expect(out).to.deep.equal(['a1', 'a1 b1', 'completed'])
  })

  it('emits fresh arrays', () => {
    const clock = new VirtualClock()
    const source = new Subject<Row[]>()
    const out: Row[][] = []
    source.pipe(collectLatest({ key, everyMs: 10, capacity: 8, clock })).subscribe((rows) => out.push(rows))
    source.next([row('a', 1)])
    clock.advance(10)
    source.next([row('a', 2)])
    clock.advance(10)
    expect(out).to.deep.equal([[row('a', 1)], [row('a', 2)]])
  })

  it('drops the key that has had no value for longest when it is full', () => {
    const { clock, source, out } = started(2)
    source.next([row('a', 1), row('b', 1), row('a', 2), row('c', 1)])
    clock.advance(10)
    expect(out).to.deep.equal(['a2 c1'])
  })

  it('treats the names of prototypes as any other key', () => {
    const { clock, source, out } = started()
    source.next([row('__proto__', 1), row('constructor', 2)])
    clock.advance(10)
    expect(out).to.deep.equal(['__proto__1 constructor2'])
  })

  it('ends with what the key function throws', () => {
    const error = new Error('no key')
    const clock = new VirtualClock()
    const source = new Subject<Row[]>()
    const out: unknown[] = []
    const thrower = (): string => {
      throw error
    }
    source.pipe(collectLatest({ key: thrower, everyMs: 10, capacity: 1, clock })).subscribe({
      error: (thrown) => out.push(thrown),
    })
    source.next([row('a', 1)])
    expect(out).to.deep.equal([error])
    expect(source.observed).to.equal(false)
  })

  it('refuses unusable options', () => {
    expect(() => collectLatest({ key, everyMs: 0, capacity: 1 })).to.throw(Fault, /everyMs is 0/)
    expect(() => collectLatest({ key, everyMs: 1, capacity: 0 })).to.throw(Fault, /capacity is 0/)
  })
})
