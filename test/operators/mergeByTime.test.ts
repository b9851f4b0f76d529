import { expect } from 'chai'
import fc from 'fast-check'
import { map, NEVER, of, range, Subject, take, type Observable } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Batch, Notice, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { eventTimeLedger } from '../../src/operators/eventTime'
import { mergeByTime, type MergeByTimeOptions } from '../../src/operators/mergeByTime'
import { trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'
import { arrivals, inTime, row, type Row } from './timedRows'

describe('mergeByTime', () => {
  keepsTheLaws<Batch<Trade>>(
    (clock) => (source) => mergeByTime([source], { idleMs: 10, capacity: 10, onFull: 'fail', clock }),
    [[trade()]],
  )

  const started = (count: number, options: Partial<MergeByTimeOptions<Row>> = {}) => {
    const clock = new VirtualClock()
    const ledger = eventTimeLedger()
    const sources = Array.from({ length: count }, () => new Subject<readonly Row[]>())
    const late: number[] = []
    const out: number[][] = []
    const ends: unknown[] = []
    const subscription = mergeByTime(sources, {
      idleMs: 2,
      capacity: 1_000,
      onFull: 'fail',
      ledger,
      clock,
      late: { next: (rows) => late.push(...rows.map(({ id }) => id)) },
      ...options,
    }).subscribe({
      next: (rows) => out.push(rows.map(({ id }) => id)),
      error: (error) => ends.push(error),
      complete: () => ends.push('completed'),
    })
    /** Rows of these times, which are their ids as well, received now. */
    const send = (index: number, ...timesUs: number[]): void =>
      sources[index]!.next(timesUs.map((us) => row(us, { id: us, receiveTimeUs: clock.nowUs() })))
    const balanced = (): boolean =>
      ledger.in === ledger.out + ledger.late + ledger.ignored + ledger.ahead + ledger.dropped + ledger.inFlight
    return { clock, ledger, sources, late, out, ends, send, balanced, subscription }
  }

  it('lets a row go on as soon as no other source can have an earlier one', () => {
    const { send, out, sources, ends } = started(3)
    send(0, 1, 4)
    send(1, 2)
    expect(out).to.deep.equal([])
    send(2, 3)
    expect(out).to.deep.equal([[1, 2]])
    send(1, 5)
    expect(out).to.deep.equal([[1, 2], [3]])
    sources[2]!.complete()
    expect(out).to.deep.equal([[1, 2], [3], [4]])
    sources[0]!.complete()
    expect(out.flat()).to.deep.equal([1, 2, 3, 4, 5])
    expect(ends).to.deep.equal([])
    sources[1]!.complete()
    expect(ends).to.deep.equal(['completed'])
  })

  it('puts rows of one time in the order of the sources, then of their arrival, however they come', () => {
    const { sources, out } = started(3)
    const at = (index: number, ...ids: number[]): void => sources[index]!.next(ids.map((id) => row(7, { id })))
    at(2, 20, 21)
    at(0, 0)
    at(1, 10)
    at(0, 1)
    expect(out.flat()).to.deep.equal([0, 1])
    for (const source of sources) source.complete()
    expect(out.flat()).to.deep.equal([0, 1, 10, 20, 21])
  })

  it('does not wait for a row of the same time of a source that comes after', () => {
    const { send, out } = started(2)
    send(1, 7)
    send(0, 7)
    expect(out.flat()).to.deep.equal([7])
    send(0, 8)
    expect(out.flat()).to.deep.equal([7, 7])
  })

  it('does not wait for a source that is idle; what it brings too late goes aside', () => {
    const { send, out, clock, late, ledger } = started(2)
    send(0, 1)
    send(1, 2)
    clock.advance(1)
    send(0, 5, 6)
    expect(out.flat()).to.deep.equal([1, 2])
    clock.advance(0.999)
    expect(out.flat()).to.deep.equal([1, 2])
    clock.advance(0.001)
    expect(out.flat()).to.deep.equal([1, 2, 5, 6])
    expect(clock.pending).to.equal(0)
    send(1, 3, 6, 8)
    expect(late).to.deep.equal([3])
    expect(out.flat()).to.deep.equal([1, 2, 5, 6])
    send(0, 9)
    expect(out.flat()).to.deep.equal([1, 2, 5, 6, 6, 8])
    expect(ledger).to.deep.include({ in: 8, out: 6, late: 1, inFlight: 1 })
  })

  it('waits for a source that has said nothing yet, until it is idle', () => {
    const { send, out, clock } = started(2)
    clock.advance(1_000)
    send(0, 1)
    clock.advance(1.999)
    expect(out).to.deep.equal([])
    clock.advance(0.001)
    expect(out).to.deep.equal([[1]])
  })

  it('sees the idleness before a row that is later than it, also when its timer is late', () => {
    const { sources, out } = started(2)
    sources[0]!.next([row(5, { id: 1 })])
    sources[1]!.next([row(3, { id: 2, receiveTimeUs: 2_000 })])
    expect(out).to.deep.equal([[1]])
  })

  it('puts a row aside that is out of the order of its source', () => {
    const { send, late, out, sources } = started(1)
    send(0, 5, 4, 5, 6)
    sources[0]!.complete()
    expect(out.flat()).to.deep.equal([5, 5, 6])
    expect(late).to.deep.equal([4])
  })

  it('gives what sorting all rows would give, for any number of sources, batches and ends', () => {
    const exchanges = ['a', 'b', 'c', 'd']
    fc.assert(
      fc.property(
        arrivals({ spanUs: 30, boundUs: 40, exchanges, atMost: 60 }),
        fc.boolean(),
        ({ rows, batches }, endsEarly) => {
          const { sources, out, ends, ledger, balanced } = started(exchanges.length)
          // Each source is in order itself: its rows come when they came, with the times sorted.
          const timesOf = exchanges.map((exchange) => rows.filter((each) => each.exchange === exchange).sort(inTime))
          const expected = timesOf
            .flatMap((all, index) => all.map((each, order) => ({ each, index, order })))
            .sort((a, b) => a.each.exchangeTimeUs! - b.each.exchangeTimeUs! || a.index - b.index || a.order - b.order)
            .map(({ each }) => each.id)
          for (const batch of batches) {
            for (const exchange of new Set(batch.map((each) => each.exchange))) {
              const index = exchanges.indexOf(exchange)
              sources[index]!.next(timesOf[index]!.splice(0, batch.filter((each) => each.exchange === exchange).length))
              if (endsEarly && timesOf[index]!.length === 0) sources[index]!.complete()
              if (!balanced()) throw new Error('the ledger does not balance')
            }
          }
          for (const source of sources) source.complete()
          expect(out.flat()).to.deep.equal(expected)
          expect(ends).to.deep.equal(['completed'])
          expect(ledger).to.deep.include({ in: rows.length, out: rows.length, inFlight: 0 })
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('is in order, and accounts for every row, whatever comes', () => {
    const exchanges = ['a', 'b', 'c']
    fc.assert(
      fc.property(
        arrivals({ spanUs: 30, boundUs: 30, exchanges }),
        fc.constantFrom('dropNewest' as const, 'hurry' as const),
        ({ rows, batches }, onFull) => {
          const { sources, out, late, ledger, balanced } = started(exchanges.length, { capacity: 3, onFull })
          for (const batch of batches) {
            for (const each of batch) sources[exchanges.indexOf(each.exchange)]!.next([each])
            expect(balanced()).to.equal(true)
            expect(ledger.inFlight).to.be.at.most(9)
          }
          for (const source of sources) source.complete()
          const times = out.flat().map((id) => rows.find((each) => each.id === id)!.exchangeTimeUs!)
          expect(times).to.deep.equal([...times].sort((a, b) => a - b))
          expect(times.length + late.length + ledger.dropped).to.equal(rows.length)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('merges sources that are read in one go', () => {
    const merged: number[] = []
    const at = (us: number): Row => row(us, { id: us, receiveTimeUs: us * 1e6 })
    mergeByTime([of([at(1), at(4)], [at(5)]), of([at(2), at(3), at(9)])], {
      idleMs: 1,
      capacity: 10,
      onFull: 'fail',
      clock: new VirtualClock(),
    }).subscribe((rows) => merged.push(...rows.map(({ id }) => id)))
    expect(merged).to.deep.equal([1, 2, 3, 4, 5, 9])
  })

  describe('when too many rows of a source wait', () => {
    it('fails, saying what to do', () => {
      const { send, ends, balanced, sources, clock } = started(2, { capacity: 2 })
      send(1, 1, 2)
      expect(ends).to.deep.equal([])
      send(1, 3)
      expect(ends[0]).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect((ends[0] as Fault).message).to.match(/^mergeByTime has 2 rows of source 1 waiting .* raise `capacity`/)
      expect(balanced()).to.equal(true)
      expect([sources[0]!.observed, clock.pending]).to.deep.equal([false, 0])
    })

    it('drops the newest', () => {
      const dropped: string[] = []
      const { send, out, ledger, sources } = started(2, {
        capacity: 2,
        onFull: 'dropNewest',
        onDropped: ({ id }, reason) => dropped.push(`${id} ${reason}`),
      })
      send(1, 1, 2, 3)
      for (const source of sources) source.complete()
      expect(out.flat()).to.deep.equal([1, 2])
      expect(dropped).to.deep.equal(['3 dropNewest'])
      expect(ledger).to.deep.include({ in: 3, out: 2, dropped: 1 })
    })

    it('hurries: the oldest goes on, and what is older than that is late', () => {
      const { send, out, late } = started(2, { capacity: 2, onFull: 'hurry' })
      send(1, 1, 4, 5)
      expect(out).to.deep.equal([[1]])
      send(1, 6)
      expect(out).to.deep.equal([[1], [4]])
      send(0, 3, 4)
      expect(late).to.deep.equal([3])
      expect(out.flat()).to.deep.equal([1, 4, 4])
    })
  })

  it('ignores rows without a time, and does not believe one from the future', () => {
    const { sources, out, ledger } = started(1, { aheadMs: 1 })
    sources[0]!.next([
      row(NaN),
      row(Infinity),
      row(1_001),
      row(1_000, { id: 1 }),
      row(undefined, { id: 2, receiveTimeUs: 1_000 }),
    ])
    sources[0]!.complete()
    expect(out.flat()).to.deep.equal([1, 2])
    expect(ledger).to.deep.include({ in: 5, out: 2, ignored: 2, ahead: 1 })
  })

  it('ends with the first error of a source, or of a function of its options', () => {
    const error = new Error('gone')
    const first = started(2)
    first.send(0, 1)
    first.sources[1]!.error(error)
    expect(first.ends).to.deep.equal([error])
    expect([first.sources[0]!.observed, first.clock.pending]).to.deep.equal([false, 0])
    expect(first.ledger).to.deep.include({ in: 1, dropped: 1, inFlight: 0 })

    const fail = (): never => {
      throw error
    }
    for (const options of [{ eventTimeUs: fail }, { late: { next: fail } }, { aheadMs: 0, onDropped: fail }]) {
      const { send, ends, balanced } = started(1, options)
      send(0, 5, 4)
      expect(ends).to.deep.equal([error])
      expect(balanced()).to.equal(true)
    }
  })

  it('leaves every source, and its timer, when it is left', () => {
    const { sources, subscription, clock, send, ledger } = started(2)
    send(0, 1)
    expect(clock.pending).to.equal(1)
    subscription.unsubscribe()
    expect(sources.map(({ observed }) => observed)).to.deep.equal([false, false])
    expect(clock.pending).to.equal(0)
    expect(ledger).to.deep.include({ in: 1, dropped: 1, inFlight: 0 })
  })

  it('completes at once without sources, and says nothing for silent ones', () => {
    let completed = false
    const usual = { idleMs: 1, capacity: 1, onFull: 'fail' } as const
    mergeByTime([], usual).subscribe({ complete: () => (completed = true) })
    expect(completed).to.equal(true)
    const clock = new VirtualClock()
    mergeByTime([NEVER as Observable<Row[]>], { ...usual, clock }).subscribe(() => expect.fail('said something'))
    clock.advance(1_000)
    expect(clock.pending).to.equal(0)
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    mergeByTime([range(0, Number.MAX_SAFE_INTEGER).pipe(map((us) => [row(us)]))], {
      idleMs: 1,
      capacity: 10,
      onFull: 'fail',
      clock: new VirtualClock(),
    })
      .pipe(take(3))
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  it('knows the rows of all sources, and what must be said of them', () => {
    const [trades, notices] = [new Subject<Batch<Trade>>(), new Subject<Batch<Notice>>()]
    const usual = { idleMs: 1, capacity: 1, onFull: 'fail' } as const
    const merged: Observable<(Trade | Notice)[]> = mergeByTime([trades, notices], usual)
    expect(merged).to.have.property('subscribe')
    const bare = new Subject<Batch<{ at: number }>>()
    mergeByTime([bare], { ...usual, eventTimeUs: ({ at }) => at })
    // @ts-expect-error rows without the usual fields must say their time
    mergeByTime([bare, trades], usual)
  })

  for (const options of [
    { idleMs: 0 },
    { capacity: 0 },
    { capacity: NaN },
    { onFull: undefined as never },
    { onFull: 'block' as never },
    { aheadMs: -1 },
  ]) {
    it(`refuses ${Object.entries(options).join(' ')}`, () => {
      const usual = { idleMs: 1, capacity: 1, onFull: 'fail' } as const
      expect(() => mergeByTime([NEVER as Observable<Row[]>], { ...usual, ...options })).to.throw(
        Fault,
        /^mergeByTime: \w+ is .*; give /,
      )
    })
  }
})
