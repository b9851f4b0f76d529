import { expect } from 'chai'
import fc from 'fast-check'
import { map, range, Subject, take } from 'rxjs'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { eventTimeLedger, type EventTimeLedger } from '../../src/operators/eventTime'
import { orderByEventTime, type OrderByEventTimeOptions } from '../../src/operators/orderByEventTime'
import { trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'
import { arrivals, byId, inTime, row, type Row } from './timedRows'

describe('orderByEventTime', () => {
  keepsTheLaws((clock) => orderByEventTime({ outOfOrderMs: 1, idleMs: 10, clock }), [[trade()]])

  const started = (options: Partial<OrderByEventTimeOptions<Row>> = {}, startUs = 0) => {
    const clock = new VirtualClock(startUs)
    const ledger = eventTimeLedger()
    const source = new Subject<Row[]>()
    const late = new Subject<Row[]>()
    const lateIds: number[] = []
    late.subscribe((rows) => lateIds.push(...rows.map(({ id }) => id)))
    const out: (number | undefined)[][] = []
    const ends: unknown[] = []
    const subscription = source
      .pipe(orderByEventTime({ outOfOrderMs: 0.01, idleMs: 1, clock, ledger, late, ...options }))
      .subscribe({
        next: (rows) => out.push(rows.map(({ exchangeTimeUs }) => exchangeTimeUs)),
        error: (error) => ends.push(error),
        complete: () => ends.push('completed'),
      })
    /** Rows that are received now. */
    const send = (...rows: Row[]): void => source.next(rows.map((each) => ({ ...each, receiveTimeUs: clock.nowUs() })))
    return { clock, source, out, ledger, lateIds, ends, send, subscription }
  }

  const balanced = (ledger: EventTimeLedger): boolean =>
    ledger.in === ledger.out + ledger.late + ledger.ignored + ledger.ahead + ledger.dropped + ledger.inFlight

  it('lets a row go on when the bound has passed it, in the order of event time', () => {
    const { out, send, source, ends, clock } = started()
    send(row(3))
    send(row(1))
    send(row(11))
    expect(out).to.deep.equal([])
    send(row(12))
    expect(out).to.deep.equal([[1]])
    send(row(9), row(13))
    expect(out).to.deep.equal([[1]])
    send(row(20))
    expect(out).to.deep.equal([[1], [3, 9]])
    source.complete()
    expect(out).to.deep.equal([[1], [3, 9], [11, 12, 13, 20]])
    expect(ends).to.deep.equal(['completed'])
    expect(clock.pending).to.equal(0)
  })

  it('takes a row of the very time of the watermark, and puts an older one aside', () => {
    const { out, send, lateIds, ledger, source } = started()
    send(row(30, { id: 1 }))
    send(row(20, { id: 2 }))
    send(row(19, { id: 3 }))
    expect(lateIds).to.deep.equal([3])
    source.complete()
    expect(out.flat()).to.deep.equal([20, 30])
    expect(ledger).to.deep.include({ in: 3, out: 2, late: 1, inFlight: 0 })
  })

  it('waits for the slowest source', () => {
    const { out, send } = started({ outOfOrderMs: 0 })
    send(row(5, { exchange: 'a' }), row(2, { exchange: 'b' }))
    expect(out).to.deep.equal([])
    send(row(9, { exchange: 'a' }))
    expect(out).to.deep.equal([])
    send(row(7, { exchange: 'b' }))
    expect(out).to.deep.equal([[2, 5]])
  })

  it('does not wait for a source that is idle, on the clock of the stream', () => {
    const { out, send, clock } = started({ outOfOrderMs: 0, idleMs: 2 })
    send(row(5, { exchange: 'a' }), row(2, { exchange: 'b' }))
    clock.advance(1)
    send(row(9, { exchange: 'a' }))
    clock.advance(0.999)
    expect(out).to.deep.equal([])
    clock.advance(0.001)
    expect(out).to.deep.equal([[2, 5]])
  })

  it('sees the idleness before a row that is later than it, also when its timer is late', () => {
    const { out, source } = started({ outOfOrderMs: 0, idleMs: 2 })
    source.next([row(5, { exchange: 'a' }), row(2, { exchange: 'b' })])
    source.next([row(9, { exchange: 'a', receiveTimeUs: 1_000 })])
    source.next([row(4, { exchange: 'b', receiveTimeUs: 2_000 })])
    expect(out).to.deep.equal([[2, 5]])
  })

  it('lets a source that returns take part again, with its first rows late', () => {
    const { out, send, clock, lateIds } = started({ outOfOrderMs: 0, idleMs: 2 })
    send(row(5, { exchange: 'a' }), row(2, { exchange: 'b' }))
    clock.advance(1)
    send(row(50, { exchange: 'a' }))
    clock.advance(1)
    send(row(20, { exchange: 'b', id: 7 }))
    expect(lateIds).to.deep.equal([7])
    send(row(60, { exchange: 'a' }))
    expect(out).to.deep.equal([[2, 5]])
    send(row(55, { exchange: 'b' }))
    expect(out).to.deep.equal([[2, 5], [50]])
  })

  it('lets time go on by the clock while every source is idle, so that nothing is held forever', () => {
    const { out, send, clock } = started({ outOfOrderMs: 0, idleMs: 2 })
    send(row(5_000), row(6_000))
    clock.advance(2)
    expect(out).to.deep.equal([[5_000]])
    clock.advance(0.001)
    expect(out).to.deep.equal([[5_000], [6_000]])
    expect(clock.pending).to.equal(0)
  })

  it('waits for a source that was named until its first row, or until it is idle', () => {
    const late: Row[][] = []
    const named = started({ outOfOrderMs: 0, sources: ['a', 'b'], late: { next: (rows) => late.push(rows) } })
    named.send(row(5, { exchange: 'a' }), row(9, { exchange: 'a' }))
    expect(named.out).to.deep.equal([])
    named.send(row(3, { exchange: 'b' }), row(9, { exchange: 'b' }))
    expect(named.out).to.deep.equal([[3, 5]])

    const silent = started({ outOfOrderMs: 0, sources: ['a', 'b'], idleMs: 3 })
    silent.clock.advance(100)
    silent.send(row(5, { exchange: 'a' }), row(9, { exchange: 'a' }))
    silent.clock.advance(2)
    silent.send(row(10, { exchange: 'a' }))
    expect(silent.out).to.deep.equal([])
    silent.clock.advance(1)
    expect(silent.out).to.deep.equal([[5, 9]])
  })

  it('gives one order for every arrival within the bound, over several sources, some of them behind', () => {
    const [sources, boundUs] = [['a', 'b', 'c'], 10]
    fc.assert(
      fc.property(arrivals({ spanUs: 60, boundUs, exchanges: sources, behindUs: 50 }), ({ rows, batches }) => {
        const source = new Subject<readonly Row[]>()
        const ledger = eventTimeLedger()
        const out: Row[] = []
        const clock = new VirtualClock()
        source
          .pipe(orderByEventTime({ outOfOrderMs: boundUs / 1_000, idleMs: 1, sources, ties: byId, ledger, clock }))
          .subscribe((ordered) => out.push(...ordered))
        for (const batch of batches) {
          source.next(batch)
          if (!balanced(ledger)) throw new Error('the ledger does not balance')
        }
        source.complete()
        expect(out).to.deep.equal([...rows].sort(inTime))
        expect(ledger).to.deep.include({ in: rows.length, out: rows.length, inFlight: 0 })
      }),
      { numRuns: 2_000 },
    )
  })

  it('gives the same, whether timers are on time or rows are quicker', () => {
    const arrival = fc.record({
      waitUs: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 60 })),
      timeUs: fc.integer({ min: -20, max: 20 }),
      exchange: fc.constantFrom('a', 'b', 'c'),
    })
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 30 }), (all) => {
        const onTime = started({ idleMs: 0.02, outOfOrderMs: 0.005 })
        const late = started({ idleMs: 0.02, outOfOrderMs: 0.005 })
        let nowUs = 0
        for (const [id, { waitUs, timeUs, exchange }] of all.entries()) {
          nowUs += waitUs
          onTime.clock.advanceTo(nowUs)
          const one = row(nowUs + timeUs, { exchange, id, receiveTimeUs: nowUs })
          onTime.source.next([one])
          late.source.next([one])
          expect(late.lateIds).to.deep.equal(onTime.lateIds)
          expect(late.ledger).to.deep.equal(onTime.ledger)
        }
        onTime.source.complete()
        late.source.complete()
        expect(late.out.flat()).to.deep.equal(onTime.out.flat())
      }),
      { numRuns: 2_000 },
    )
  })

  it('is ordered, and accounts for every row, whatever comes', () => {
    fc.assert(
      fc.property(arrivals({ spanUs: 60, boundUs: 60 }), ({ rows, batches }) => {
        const { out, source, ledger, lateIds } = started()
        for (const batch of batches) source.next([...batch])
        source.complete()
        const times = out.flat() as number[]
        expect(times).to.deep.equal([...times].sort((a, b) => a - b))
        expect(times.length + lateIds.length).to.equal(rows.length)
        expect(balanced(ledger)).to.equal(true)
      }),
      { numRuns: 1_000 },
    )
  })

  it('orders rows of one time by source, then by receive stamp, then by arrival', () => {
    const { out, source } = started({ eventTimeUs: () => 7, ties: undefined as never })
    const seen: number[] = []
    out.length = 0
    const at = (id: number, exchange: string, receiveTimeUs: number): Row => row(id, { exchange, receiveTimeUs, id })
    source.next([at(4, 'b', 1), at(3, 'a', 2), at(1, 'a', 1), at(2, 'a', 1)])
    source.complete()
    for (const id of out.flat()) seen.push(id!)
    expect(seen).to.deep.equal([1, 2, 3, 4])
  })

  it('ignores rows without a time, and does not believe one from the future', () => {
    const dropped: string[] = []
    const { out, source, ledger } = started({
      aheadMs: 1,
      onDropped: ({ id }, reason) => dropped.push(`${id} ${reason}`),
    })
    source.next([row(NaN), row(Infinity), row(1e300), row(5), row(1_001, { id: 9 }), row(1_000)])
    source.complete()
    expect(out.flat()).to.deep.equal([5, 1_000])
    expect(dropped).to.deep.equal(['9 ahead'])
    expect(ledger).to.deep.equal({ in: 6, out: 2, late: 0, ignored: 3, ahead: 1, dropped: 0, inFlight: 0 })
  })

  it('goes by the receive stamp where the exchange gave no time', () => {
    const { out, source } = started()
    source.next([row(undefined, { receiveTimeUs: 3 })].map((each) => ({ ...each, id: 1 })))
    source.next([row(2, { receiveTimeUs: 3 })])
    source.complete()
    expect(out.flat()).to.deep.equal([2, undefined])
  })

  describe('when it is full', () => {
    it('fails, saying what to do', () => {
      const { send, ends, ledger, clock } = started({ rowsMax: 2, outOfOrderMs: 1 })
      send(row(1), row(2), row(3))
      expect(ends).to.have.length(1)
      expect(ends[0]).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect((ends[0] as Fault).message).to.match(/orderByEventTime holds 2 rows .* raise `rowsMax`/)
      expect(balanced(ledger)).to.equal(true)
      expect(ledger).to.deep.include({ in: 3, dropped: 3, inFlight: 0 })
      expect(clock.pending).to.equal(0)
    })

    it('drops the newest, and counts it', () => {
      const dropped: number[] = []
      const { send, source, out, ledger } = started({
        rowsMax: 2,
        outOfOrderMs: 1,
        onFull: 'dropNewest',
        onDropped: ({ id }) => dropped.push(id),
      })
      send(row(1), row(2), row(3, { id: 3 }))
      source.complete()
      expect(out.flat()).to.deep.equal([1, 2])
      expect(dropped).to.deep.equal([3])
      expect(ledger).to.deep.include({ in: 3, out: 2, dropped: 1 })
    })

    it('hurries: the oldest goes on at once, and what is older than that is late', () => {
      const { send, source, out, lateIds, ledger } = started({ rowsMax: 2, outOfOrderMs: 1, onFull: 'hurry' })
      send(row(4), row(2), row(3))
      expect(out).to.deep.equal([[2]])
      send(row(2, { id: 5 }))
      expect(lateIds).to.deep.equal([5])
      source.complete()
      expect(out.flat()).to.deep.equal([2, 3, 4])
      expect(balanced(ledger)).to.equal(true)
    })

    it('forgets an idle source for a new one, and fails when none is idle', () => {
      const { send, clock, ends } = started({ sourcesMax: 2, idleMs: 2 })
      send(row(1, { exchange: 'a' }))
      clock.advance(1)
      send(row(1, { exchange: 'b' }))
      clock.advance(1)
      send(row(1, { exchange: 'c' }))
      expect(ends).to.deep.equal([])
      send(row(1, { exchange: 'd' }))
      expect(ends[0]).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
    })

    it('drops rows of one source too many, or waits no longer for the most silent, as it is told', () => {
      const dropping = started({ sourcesMax: 1, onFull: 'dropNewest', outOfOrderMs: 0 })
      dropping.send(row(1, { exchange: 'a' }), row(2, { exchange: 'b' }))
      expect(dropping.ledger).to.deep.include({ in: 2, dropped: 1, inFlight: 1 })
      const hurrying = started({ sourcesMax: 1, onFull: 'hurry', outOfOrderMs: 0 })
      hurrying.send(row(1, { exchange: 'a' }), row(2, { exchange: 'b' }))
      expect(hurrying.out).to.deep.equal([[1]])
    })
  })

  it('counts what it holds as dropped when it is left', () => {
    const { send, subscription, ledger, clock } = started()
    send(row(1), row(2))
    expect(ledger.inFlight).to.equal(2)
    expect(clock.pending).to.equal(1)
    subscription.unsubscribe()
    expect(ledger).to.deep.include({ in: 2, dropped: 2, inFlight: 0 })
    expect(clock.pending).to.equal(0)
  })

  it('accounts for the rows of a batch within which it is left', () => {
    const source = new Subject<Row[]>()
    const ledger = eventTimeLedger()
    source
      .pipe(orderByEventTime({ outOfOrderMs: 0, idleMs: 1, ledger, clock: new VirtualClock() }), take(1))
      .subscribe()
    source.next([row(1), row(2), row(5_000, { receiveTimeUs: 5_000 }), row(6_000, { receiveTimeUs: 6_000 })])
    expect(source.observed).to.equal(false)
    expect(balanced(ledger)).to.equal(true)
    expect(ledger).to.deep.include({ in: 3, out: 2, dropped: 1, inFlight: 0 })
  })

  it('ends with what a function of its options throws', () => {
    const error = new Error('no')
    const fail = (): never => {
      throw error
    }
    for (const options of [
      { eventTimeUs: fail },
      { source: fail },
      { ties: fail },
      { late: { next: fail } },
      { onDropped: fail, aheadMs: 0 },
    ]) {
      const { send, ends, ledger, clock } = started(options)
      send(row(50), row(50))
      send(row(1))
      expect(ends, Object.keys(options)[0]).to.deep.equal([error])
      expect(balanced(ledger)).to.equal(true)
      expect(clock.pending).to.equal(0)
    }
  })

  it('follows the clock of the run that is being wired when it is given none', () => {
    const clock = new VirtualClock()
    const source = new Subject<Row[]>()
    let ordered = 0
    runWithClock(clock, () => source.pipe(orderByEventTime({ outOfOrderMs: 1, idleMs: 5 })).subscribe(() => ordered++))
    source.next([row(3)])
    clock.advance(6.001)
    expect(ordered).to.equal(1)
  })

  it('goes by the time of the rows when they are of another time than the clock', () => {
    const { clock, source, out } = started({ outOfOrderMs: 0, idleMs: 1 }, 1e15)
    source.next([row(5, { exchange: 'a' }), row(3, { exchange: 'b' })])
    clock.advance(1_000)
    expect(out).to.deep.equal([])
    source.next([row(2_000, { exchange: 'a', receiveTimeUs: 2_000 })])
    expect(out).to.deep.equal([[3, 5]])
    expect(clock.pending).to.equal(0)
  })

  it('ends an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map((us) => [row(us)]),
        orderByEventTime({ outOfOrderMs: 0, idleMs: 1, clock: new VirtualClock() }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  for (const options of [
    { outOfOrderMs: -1 },
    { outOfOrderMs: NaN },
    { idleMs: 0 },
    { idleMs: Infinity },
    { rowsMax: 0 },
    { sourcesMax: 1.5 },
    { aheadMs: -1 },
    { onFull: 'block' as never },
    { sources: 'a' as never },
  ]) {
    it(`refuses ${Object.entries(options).join(' ')}`, () => {
      expect(() => orderByEventTime<Row>({ outOfOrderMs: 1, idleMs: 1, ...options })).to.throw(
        Fault,
        /^orderByEventTime: \w+ is .*; give /,
      )
    })
  }
})
