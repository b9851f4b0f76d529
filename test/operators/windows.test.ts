import { expect } from 'chai'
import fc from 'fast-check'
import { map, of, range, Subject, take, type Observable } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Batch, Trade } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { eventTimeLedger, type EventTimeLedger } from '../../src/operators/eventTime'
import { ofKind } from '../../src/operators/ofKind'
import { windows, type Aggregate, type Windowed } from '../../src/operators/windows'
import { trade } from '../kit/marketEvents'
import { keepsTheLaws } from './laws'
import { arrivals, byId, inTime, row, type Row } from './timedRows'

/** The rows themselves: sees every difference of order. */
const ids: Aggregate<Row, number[], number[]> = {
  start: () => [],
  add: (state, { id }) => {
    state.push(id)
    return state
  },
  merge: (earlier, later) => [...earlier, ...later],
  result: (state) => [...state],
}
const count = { start: () => 0, add: (rows: number) => rows + 1 }

type Short = [key: string, openUs: number, closeUs: number, ids: readonly number[], closed: boolean]
const short = ({ key, openTimeUs, closeTimeUs, value, closed }: Windowed<readonly number[]>): Short => [
  key,
  openTimeUs,
  closeTimeUs,
  value,
  closed,
]

const usual = { outOfOrderMs: 0.01, idleMs: 1_000, ties: byId, key: ({ symbol }: Row) => symbol, aggregate: ids }

describe('windows', () => {
  const everyKind = {
    tumbling: (clock: VirtualClock) =>
      windows.tumbling<Trade, number>({ everyMs: 1, outOfOrderMs: 1, idleMs: 10, aggregate: count, clock }),
    sliding: (clock: VirtualClock) =>
      windows.sliding<Trade, number>({ everyMs: 1, lengthMs: 3, outOfOrderMs: 1, idleMs: 10, aggregate: count, clock }),
    session: (clock: VirtualClock) =>
      windows.session<Trade, number>({ gapMs: 1, outOfOrderMs: 1, idleMs: 10, aggregate: count, clock }),
    count: (clock: VirtualClock) =>
      windows.count<Trade, number>({ count: 2, outOfOrderMs: 1, idleMs: 10, aggregate: count, clock }),
    volume: (clock: VirtualClock) =>
      windows.volume<Trade, number>({ size: 2, outOfOrderMs: 1, idleMs: 10, aggregate: count, clock }),
  }
  for (const [kind, operator] of Object.entries(everyKind)) {
    describe(`.${kind}`, () => keepsTheLaws(operator, [[trade()]]))
  }

  const started = (
    operatorOf: (
      ledger: EventTimeLedger,
      clock: VirtualClock,
    ) => (source: Observable<Batch<Row>>) => Observable<Batch<Windowed<readonly number[]>>>,
  ) => {
    const clock = new VirtualClock()
    const ledger = eventTimeLedger()
    const source = new Subject<readonly Row[]>()
    const out: Windowed<readonly number[]>[][] = []
    const ends: unknown[] = []
    source.pipe(operatorOf(ledger, clock)).subscribe({
      next: (batch) => out.push([...batch]),
      error: (error) => ends.push(error),
      complete: () => ends.push('completed'),
    })
    return { clock, ledger, source, out, ends }
  }

  it('know keys that come, go and come again from each other, more of them than are remembered without a window', () => {
    const keys = 3_000
    const { source, out } = started((ledger, clock) =>
      windows.tumbling({ ...usual, everyMs: 0.01, outOfOrderMs: 0, ledger, clock }),
    )
    const rounds = [0, 1, 2].map((round) =>
      Array.from({ length: keys }, (_, id) => row(round * 100, { id: round * keys + id, symbol: `key ${id}` })),
    )
    for (const rows of rounds) source.next(rows)
    source.complete()
    expect(
      out
        .flat()
        .map(({ key, openTimeUs, value }) => [key, openTimeUs, ...value].join(' '))
        .sort(),
    ).to.deep.equal(rounds.flatMap((rows, at) => rows.map(({ symbol, id }) => `${symbol} ${at * 100} ${id}`)).sort())
  })

  const balanced = (ledger: EventTimeLedger): boolean =>
    ledger.in === ledger.out + ledger.late + ledger.ignored + ledger.ahead + ledger.dropped + ledger.inFlight

  describe('of every kind give what sorting all rows first would give, for any arrival within the bound', () => {
    /** The windows of one key, whose rows are sorted. */
    type Kind = (more: object) => (source: Observable<Batch<Row>>) => Observable<Batch<Windowed<number[]>>>
    const oracles: Record<string, { operator: Kind; oracle: (rows: readonly Row[], endUs: number) => Short[] }> = {
      tumbling: {
        operator: (more) => windows.tumbling({ ...usual, everyMs: 0.008, ...more }),
        oracle: (rows, endUs) => intervals(rows, 8, 8, endUs),
      },
      'sliding, overlapping by a whole number': {
        operator: (more) => windows.sliding({ ...usual, everyMs: 0.004, lengthMs: 0.012, ...more }),
        oracle: (rows, endUs) => intervals(rows, 4, 12, endUs),
      },
      'sliding, overlapping by a fraction': {
        operator: (more) => windows.sliding({ ...usual, everyMs: 0.005, lengthMs: 0.012, ...more }),
        oracle: (rows, endUs) => intervals(rows, 5, 12, endUs),
      },
      session: {
        operator: (more) => windows.session({ ...usual, gapMs: 0.006, ...more }),
        oracle: (rows, endUs) => sessions(rows, 6, endUs),
      },
      count: {
        operator: (more) => windows.count({ ...usual, count: 3, ...more }),
        oracle: (rows) => counts(rows, 3, 3),
      },
      'count, overlapping': {
        operator: (more) => windows.count({ ...usual, count: 4, every: 3, ...more }),
        oracle: (rows) => counts(rows, 4, 3),
      },
      volume: {
        operator: (more) => windows.volume({ ...usual, size: 7, ...more }),
        oracle: (rows) => volumes(rows, 7),
      },
    }
    for (const [kind, { operator, oracle }] of Object.entries(oracles)) {
      it(kind, () => {
        const sources = ['a', 'b']
        fc.assert(
          fc.property(arrivals({ spanUs: 60, boundUs: 10, exchanges: sources, behindUs: 30 }), ({ rows, batches }) => {
            const { source, out, ledger } = started((account, clock) => operator({ ledger: account, clock, sources }))
            for (const batch of batches) source.next(batch)
            source.complete()
            const endUs = Math.max(...rows.map(({ exchangeTimeUs }) => exchangeTimeUs!))
            const expected = bySymbol([...rows].sort(inTime))
              .flatMap((ofKey) => oracle(ofKey, endUs))
              .sort(byEnd)
            expect(out.flat().map(short)).to.deep.equal(expected)
            expect(ledger).to.deep.include({ in: rows.length, out: rows.length, inFlight: 0, late: 0, dropped: 0 })
          }),
          { numRuns: 1_000 },
        )
      })
    }
  })

  describe('with lateness end at what sorting all rows first would give', () => {
    /** What a reader keeps who replaces a window by its revisions. */
    const latest = (out: readonly Windowed<readonly number[]>[]): Short[] => {
      const kept = new Map<string, Windowed<readonly number[]>>()
      for (const window of out) {
        const before = [window.openTimeUs, ...(window.replaces ?? [])].flatMap((openUs) => {
          const found = kept.get(`${window.key} ${openUs}`)
          kept.delete(`${window.key} ${openUs}`)
          return found === undefined ? [] : [found]
        })
        // What is replaced is there, and every revision is one more than the highest that it replaces.
        expect(before.length).to.equal(
          window.revision === 0
            ? 0
            : Math.max(
                1,
                (window.replaces?.length ?? 0) +
                  (before.some(({ openTimeUs }) => openTimeUs === window.openTimeUs) ? 1 : 0),
              ),
        )
        expect(window.revision).to.equal(Math.max(-1, ...before.map(({ revision }) => revision)) + 1)
        kept.set(`${window.key} ${window.openTimeUs}`, window)
      }
      return [...kept.values()].map(short).sort(byEnd)
    }

    type Kind = (more: object) => (source: Observable<Batch<Row>>) => Observable<Batch<Windowed<number[]>>>
    const kinds: Record<string, { operator: Kind; oracle: (rows: readonly Row[], endUs: number) => Short[] }> = {
      tumbling: {
        operator: (more) => windows.tumbling({ ...usual, everyMs: 0.008, ...more }),
        oracle: (rows, endUs) => intervals(rows, 8, 8, endUs),
      },
      sliding: {
        operator: (more) => windows.sliding({ ...usual, everyMs: 0.005, lengthMs: 0.012, ...more }),
        oracle: (rows, endUs) => intervals(rows, 5, 12, endUs),
      },
      session: {
        operator: (more) => windows.session({ ...usual, gapMs: 0.006, ...more }),
        oracle: (rows, endUs) => sessions(rows, 6, endUs),
      },
    }
    for (const [kind, { operator, oracle }] of Object.entries(kinds)) {
      for (const order of ['eventTime', 'arrival'] as const) {
        it(`${kind}, in order of ${order}`, () => {
          fc.assert(
            fc.property(arrivals({ spanUs: 80, boundUs: 50 }), ({ rows, batches }) => {
              const lateRows: Row[] = []
              const { source, out, ledger } = started((account, clock) =>
                operator({
                  outOfOrderMs: 0.004,
                  allowedLatenessMs: 0.02,
                  order,
                  ledger: account,
                  clock,
                  late: { next: (batch: Row[]) => lateRows.push(...batch) },
                }),
              )
              for (const batch of batches) {
                source.next(batch)
                if (!balanced(ledger)) throw new Error('the ledger does not balance')
              }
              source.complete()
              expect(ledger.late).to.equal(lateRows.length)
              expect(ledger.out + ledger.late).to.equal(rows.length)
              const accepted = rows.filter((each) => !lateRows.includes(each)).sort(inTime)
              const endUs = Math.max(...accepted.map(({ exchangeTimeUs }) => exchangeTimeUs!))
              const expected = bySymbol(accepted)
                .flatMap((ofKey) => oracle(ofKey, endUs))
                .sort(byEnd)
              // The times that end windows are those of the watermark, where rows do not wait.
              const comparable = ([key, openUs, closeUs, value, closed]: Short): unknown[] =>
                order === 'eventTime'
                  ? [key, openUs, closeUs, value, closed]
                  : [key, openUs, closeUs, [...value].sort((a, b) => a - b)]
              expect(latest(out.flat()).map(comparable)).to.deep.equal(expected.map(comparable))
            }),
            { numRuns: 1_000 },
          )
        })
      }
    }
  })

  it('carry their bounds, their rows and a value, and close when the watermark passes their end', () => {
    const { source, out } = started((ledger, clock) =>
      windows.tumbling({ ...usual, everyMs: 0.01, outOfOrderMs: 0.005, ledger, clock }),
    )
    source.next([row(12, { id: 1 }), row(11, { id: 2 }), row(24, { id: 3 })])
    expect(out).to.deep.equal([])
    source.next([row(25, { id: 4 })])
    expect(out).to.deep.equal([
      [
        {
          kind: 'window',
          key: 'X',
          openTimeUs: 10,
          closeTimeUs: 20,
          count: 2,
          value: [2, 1],
          revision: 0,
          replaces: undefined,
          closed: true,
        },
      ],
    ])
    source.complete()
    expect(out.slice(1).flat().map(short)).to.deep.equal([['X', 20, 30, [3, 4], false]])
  })

  it('open at the multiples of their interval, also before 1970, and hold the row of their opening', () => {
    const { source, out } = started((ledger, clock) =>
      windows.tumbling({ ...usual, everyMs: 0.01, outOfOrderMs: 0, ledger, clock }),
    )
    source.next([row(-10, { id: 1 }), row(-1, { id: 2 }), row(0, { id: 3 }), row(9, { id: 4 }), row(10, { id: 5 })])
    source.complete()
    expect(out.flat().map(short)).to.deep.equal([
      ['X', -10, 0, [1, 2], true],
      ['X', 0, 10, [3, 4], true],
      ['X', 10, 20, [5], false],
    ])
  })

  it('are revised by late rows in their order, until the lateness is over; then rows go to the side output', () => {
    const late: number[] = []
    const { source, out, ledger } = started((account, clock) =>
      windows.tumbling({
        ...usual,
        everyMs: 0.01,
        outOfOrderMs: 0,
        allowedLatenessMs: 0.01,
        late: { next: (rows) => late.push(...rows.map(({ id }) => id)) },
        ledger: account,
        clock,
      }),
    )
    const seen = (): unknown[] =>
      out
        .splice(0)
        .flat()
        .map(({ openTimeUs, value, revision }) => [openTimeUs, value, revision])
    source.next([row(1, { id: 1 }), row(8, { id: 2 })])
    source.next([row(10, { id: 3 })])
    expect(seen()).to.deep.equal([[0, [1, 2], 0]])
    source.next([row(5, { id: 4 }), row(3, { id: 5 })])
    expect(seen()).to.deep.equal([[0, [1, 5, 4, 2], 1]])
    source.next([row(15, { id: 6 })])
    source.next([row(9, { id: 7 }), row(4, { id: 8 })])
    expect(seen()).to.deep.equal([[0, [1, 5, 4, 2, 7], 2]])
    expect(late).to.deep.equal([8])
    source.next([row(20, { id: 9 }), row(9, { id: 10 })])
    expect(seen()).to.deep.equal([
      [0, [1, 5, 4, 2, 7, 10], 3],
      [10, [3, 6], 0],
    ])
    source.next([row(9, { id: 11 })])
    expect(late).to.deep.equal([8, 11])
    expect(ledger).to.deep.include({ in: 11, out: 8, late: 2, inFlight: 1 })
  })

  it('say which sessions they replace when a late row joins them, and take them back until the end is known again', () => {
    const { source, out } = started((ledger, clock) =>
      windows.session({ ...usual, gapMs: 0.005, outOfOrderMs: 0, allowedLatenessMs: 0.1, ledger, clock }),
    )
    const seen = (): unknown[] =>
      out
        .splice(0)
        .flat()
        .map(({ openTimeUs, closeTimeUs, value, revision, replaces }) => [
          openTimeUs,
          closeTimeUs,
          value,
          revision,
          replaces,
        ])
    source.next([row(1, { id: 1 }), row(8, { id: 2 }), row(30, { id: 3 })])
    expect(seen()).to.deep.equal([
      [1, 6, [1], 0, undefined],
      [8, 13, [2], 0, undefined],
    ])
    source.next([row(4, { id: 4 })])
    expect(seen()).to.deep.equal([[1, 13, [1, 4, 2], 1, [8]]])
    source.next([row(0, { id: 5 })])
    expect(seen()).to.deep.equal([[0, 13, [5, 1, 4, 2], 2, [1]]])
    source.next([row(26, { id: 6 })])
    expect(seen()).to.deep.equal([])
    source.next([row(40, { id: 7 })])
    expect(seen()).to.deep.equal([[26, 35, [6, 3], 0, undefined]])
    source.next([row(38, { id: 8 })])
    source.complete()
    expect(seen()).to.deep.equal([[38, 45, [8, 7], 0, undefined]])
  })

  it('end a session with a silence of just the gap', () => {
    const { source, out } = started((ledger, clock) =>
      windows.session({ ...usual, gapMs: 0.005, outOfOrderMs: 0, ledger, clock }),
    )
    source.next([row(0, { id: 1 }), row(4, { id: 2 }), row(9, { id: 3 }), row(13, { id: 4 })])
    source.complete()
    expect(out.flat().map(short)).to.deep.equal([
      ['X', 0, 9, [1, 2], true],
      ['X', 9, 18, [3, 4], false],
    ])
  })

  it('end with the row that fills them, ten times 0.1 being 1', () => {
    const { source, out, ledger } = started((account, clock) =>
      windows.volume({ ...usual, size: 1, outOfOrderMs: 0, ledger: account, clock }),
    )
    const rows = Array.from({ length: 12 }, (_, id) => row(id, { id, size: 0.1 }))
    source.next([...rows, row(12, { id: 12, size: NaN }), row(13, { id: 13, size: -1 }), row(14, { id: 14, size: 5 })])
    source.complete()
    expect(out.flat().map(short)).to.deep.equal([
      ['X', 0, 9, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], true],
      ['X', 10, 14, [10, 11, 14], true],
    ])
    expect(ledger).to.deep.include({ in: 15, out: 13, ignored: 2 })
  })

  it('close in a quiet market too, when the clock says that all are idle', () => {
    const { source, out, clock } = started((ledger, virtual) =>
      windows.tumbling({ ...usual, everyMs: 10, outOfOrderMs: 1, idleMs: 5, ledger, clock: virtual }),
    )
    source.next([row(2_000, { id: 1 })])
    clock.advance(5 + 8 + 1 - 0.001)
    expect(out).to.deep.equal([])
    clock.advance(0.001)
    expect(out.flat().map(short)).to.deep.equal([['X', 0, 10_000, [1], true]])
    expect(clock.pending).to.equal(0)
  })

  it('do not wait for a source that is idle', () => {
    const { source, out, clock } = started((ledger, virtual) =>
      windows.tumbling({ ...usual, everyMs: 1, outOfOrderMs: 0, idleMs: 5, ledger, clock: virtual }),
    )
    const heard = (timeUs: number, exchange: string, id: number): void =>
      source.next([row(timeUs, { exchange, id, receiveTimeUs: clock.nowUs() })])
    heard(100, 'a', 1)
    heard(100, 'b', 2)
    clock.advance(4)
    heard(4_000, 'a', 3)
    expect(out).to.deep.equal([])
    clock.advance(1)
    expect(out.flat().map(short)).to.deep.equal([['X', 0, 1_000, [1, 2], true]])
  })

  it('have instruments of an exchange as keys when they are told of no others', () => {
    const out: string[] = []
    of([trade(), trade({ instrument: undefined }), trade({ exchange: 'okx' })])
      .pipe(windows.count({ count: 1, outOfOrderMs: 0, idleMs: 1, aggregate: count, clock: new VirtualClock() }))
      .subscribe((batch) => out.push(...[...batch].map(({ key }) => key)))
    expect(out).to.deep.equal(['kraken BTC-USD', 'kraken BTC/USD', 'okx BTC-USD'])
  })

  it('put together what has the same key by other names, also when its last window was forgotten', () => {
    const source = new Subject<readonly Trade[]>()
    const counts: string[] = []
    source
      .pipe(windows.tumbling({ everyMs: 1, outOfOrderMs: 0, idleMs: 10, aggregate: count, clock: new VirtualClock() }))
      .subscribe((batch) => counts.push(...[...batch].map(({ key, value }) => `${key}: ${value}`)))
    const at = (timeUs: number, exchange: string, instrument: string): Trade =>
      trade({ exchange, instrument, exchangeTimeUs: timeUs, receiveTimeUs: timeUs })
    source.next([at(0, 'a', 'b c')])
    // More keys without a window than are remembered.
    source.next(Array.from({ length: 2_000 }, (_, id) => at(5_000, 'x', `other ${id}`)))
    source.next([at(10_000, 'x', 'other 0')])
    source.next([at(10_001, 'a', 'b c'), at(10_002, 'a b', 'c')])
    source.complete()
    expect(counts.filter((text) => text.startsWith('a b c'))).to.deep.equal(['a b c: 1', 'a b c: 2'])
  })

  it('know the types of rows, states and values by themselves', () => {
    const trades = new Subject<Batch<Trade>>()
    const volumes1m: Observable<Batch<Windowed<number>>> = trades.pipe(
      ofKind('trade'),
      windows.tumbling({
        everyMs: 60_000,
        outOfOrderMs: 500,
        idleMs: 5_000,
        aggregate: { start: () => 0, add: (volume, { size }) => volume + size },
      }),
    )
    const vwaps: Observable<Batch<Windowed<number | undefined>>> = trades.pipe(
      windows.session({
        gapMs: 1_000,
        outOfOrderMs: 500,
        idleMs: 5_000,
        key: ({ exchange }) => exchange,
        aggregate: {
          start: () => ({ volume: 0, notional: 0 }),
          add: ({ volume, notional }, { size, price }) => ({
            volume: volume + size,
            notional: notional + price * size,
          }),
          result: ({ volume, notional }) => (volume > 0 ? notional / volume : undefined),
        },
      }),
    )
    expect([volumes1m, vwaps]).to.have.length(2)
    const bare = new Subject<Batch<{ at: number }>>()
    const aggregate = { start: () => 0, add: (sum: number, { at }: { at: number }) => sum + at }
    const needs = { source: () => '', eventTimeUs: ({ at }: { at: number }) => at, key: () => 'all' }
    bare.pipe(windows.count({ count: 1, outOfOrderMs: 0, idleMs: 1, aggregate, ...needs }))
    // @ts-expect-error rows without the usual fields must say their time, source and key
    bare.pipe(windows.count({ count: 1, outOfOrderMs: 0, idleMs: 1, aggregate }))
  })

  it('never change a value that was emitted, though the state is the value', () => {
    const { source, out } = started((ledger, clock) =>
      windows.tumbling({
        ...usual,
        everyMs: 0.01,
        outOfOrderMs: 0,
        allowedLatenessMs: 1,
        aggregate: { start: ids.start, add: ids.add },
        ledger,
        clock,
      }),
    )
    source.next([row(1, { id: 1 }), row(10, { id: 2 })])
    source.next([row(3, { id: 3 })])
    expect(out.flat().map(({ value }) => value)).to.deep.equal([[1], [1, 3]])
  })

  it('pass a day of event time in a moment, with few windows open', () => {
    const { source, out, clock } = started((ledger, virtual) =>
      windows.sliding({
        ...usual,
        everyMs: 1_000,
        lengthMs: 5_000,
        windowsMax: 8,
        aheadMs: 1e9,
        ledger,
        clock: virtual,
      }),
    )
    for (let second = 0; second < 86_400; second += 10) {
      source.next(Array.from({ length: 10 }, (_, at) => row((second + at) * 1e6, { id: second + at })))
    }
    source.complete()
    expect(out.flat()).to.have.length(86_404)
    expect(out.flat()[50_000]!.value).to.have.length(5)
    expect(clock.pending).to.equal(0)
  })

  it('need no more room for a day in one batch', () => {
    const { source, out, ends } = started((ledger, clock) =>
      windows.tumbling({ ...usual, everyMs: 1_000, windowsMax: 1, aheadMs: 1e9, ledger, clock }),
    )
    source.next(Array.from({ length: 86_400 }, (_, second) => row(second * 1e6, { id: second })))
    source.complete()
    expect(ends).to.deep.equal(['completed'])
    expect(out.flat()).to.have.length(86_400)
  })

  describe('when there are too many', () => {
    const filled = (onFull: 'fail' | 'dropNewest' | 'hurry') => {
      const made = started((ledger, clock) =>
        windows.tumbling({ ...usual, everyMs: 0.01, outOfOrderMs: 0, windowsMax: 2, onFull, ledger, clock }),
      )
      made.source.next(['A', 'B', 'C', 'B'].map((symbol, id) => row(1, { symbol, id })))
      made.source.next([row(2)])
      if (made.ends.length === 0) made.source.complete()
      return made
    }

    it('fail', () => {
      const { ends, ledger, clock } = filled('fail')
      expect(ends[0]).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
      expect((ends[0] as Fault).message).to.match(/^windows\.tumbling holds 2 windows .* `windowsMax`/)
      expect(balanced(ledger)).to.equal(true)
      expect(ledger.inFlight).to.equal(0)
      expect(clock.pending).to.equal(0)
    })

    it('drop the rows that would need more', () => {
      const { out, ledger } = filled('dropNewest')
      expect(out.flat().map(({ key, count: rows, closed }) => [key, rows, closed])).to.deep.equal([
        ['A', 1, false],
        ['B', 2, false],
      ])
      expect(ledger).to.deep.include({ in: 5, out: 3, dropped: 2 })
    })

    it('emit the one that was opened first unfinished', () => {
      const { out, ledger } = filled('hurry')
      expect(out.map((batch) => batch.map(({ key, count: rows, closed }) => [key, rows, closed]))).to.deep.equal([
        [['A', 1, false]],
        [
          ['B', 2, false],
          ['C', 1, false],
          ['X', 1, false],
        ],
      ])
      expect(ledger).to.deep.include({ in: 5, out: 5, dropped: 0 })
    })

    it('and keep to it for every kind, with every row accounted for', () => {
      for (const onFull of ['dropNewest', 'hurry'] as const) {
        const bounds = { windowsMax: 5, rowsMax: 6, onFull }
        const kinds = {
          tumbling: windows.tumbling({ ...usual, ...bounds, everyMs: 0.004, allowedLatenessMs: 0.01 }),
          sliding: windows.sliding({ ...usual, ...bounds, everyMs: 0.004, lengthMs: 0.012, allowedLatenessMs: 0.01 }),
          session: windows.session({ ...usual, ...bounds, gapMs: 0.003, allowedLatenessMs: 0.01 }),
          merged: windows.session({ ...usual, ...bounds, gapMs: 0.003, allowedLatenessMs: 0.01, order: 'arrival' }),
          count: windows.count({ ...usual, ...bounds, count: 4, every: 2 }),
          volume: windows.volume({ ...usual, ...bounds, size: 4 }),
        }
        const symbols = ['A', 'B', 'C', 'D', 'E', 'F', 'G']
        fc.assert(
          fc.property(arrivals({ spanUs: 40, boundUs: 15, symbols }), ({ rows, batches }) => {
            for (const [kind, operator] of Object.entries(kinds)) {
              const source = new Subject<Batch<Row>>()
              let ended = false
              let placed = 0
              const seen = new Set<number>()
              source.pipe(operator).subscribe({
                next: (batch) => {
                  for (const { value, count: held } of batch) {
                    placed += held
                    if (held !== value.length) throw new Error(`${kind}: a count of ${held} for ${value.length} rows`)
                    for (const id of value) seen.add(id)
                  }
                },
                complete: () => (ended = true),
              })
              for (const batch of batches) source.next(batch)
              source.complete()
              expect(ended, kind).to.equal(true)
              expect(placed >= seen.size && seen.size <= rows.length, kind).to.equal(true)
            }
          }),
          { numRuns: 200 },
        )
      }
    })
  })

  it('end with what a function of the aggregate, or of the key, throws', () => {
    const error = new Error('no')
    const fail = (): never => {
      throw error
    }
    for (const wrong of [
      { key: fail },
      { aggregate: { ...ids, start: fail } },
      { aggregate: { ...ids, add: fail } },
      { aggregate: { ...ids, result: fail } },
    ]) {
      for (const atTheEnd of [false, true]) {
        const { source, ends, ledger, clock } = started((account, virtual) =>
          windows.tumbling({ ...usual, everyMs: 0.01, ...wrong, ledger: account, clock: virtual }),
        )
        source.next([row(1)])
        if (!atTheEnd) source.next([row(100)])
        source.complete()
        expect(ends).to.deep.equal([error])
        expect(balanced(ledger)).to.equal(true)
        expect(ledger.inFlight).to.equal(0)
        expect(clock.pending).to.equal(0)
      }
    }
  })

  it('end an endless synchronous source when downstream has enough', () => {
    let taken = 0
    range(0, Number.MAX_SAFE_INTEGER)
      .pipe(
        map((us) => [row(us)]),
        windows.tumbling({ ...usual, everyMs: 0.01, clock: new VirtualClock() }),
        take(3),
      )
      .subscribe(() => taken++)
    expect(taken).to.equal(3)
  })

  const refused: Record<string, () => unknown> = {
    'tumbling: everyMs': () => windows.tumbling({ ...usual, everyMs: 0 }),
    'tumbling: allowedLatenessMs': () => windows.tumbling({ ...usual, everyMs: 1, allowedLatenessMs: -1 }),
    'tumbling: order': () => windows.tumbling({ ...usual, everyMs: 1, order: 'size' as never }),
    'tumbling: windowsMax': () => windows.tumbling({ ...usual, everyMs: 1, windowsMax: 0 }),
    'tumbling: outOfOrderMs': () => windows.tumbling({ ...usual, everyMs: 1, outOfOrderMs: NaN }),
    'sliding: lengthMs': () => windows.sliding({ ...usual, everyMs: 2, lengthMs: 1 }),
    'sliding: lengthMs ': () => windows.sliding({ ...usual, everyMs: 1, lengthMs: 10_001 }),
    'session: gapMs': () => windows.session({ ...usual, gapMs: NaN }),
    'session: aggregate.merge': () =>
      windows.session({ ...usual, gapMs: 1, order: 'arrival', aggregate: { start: ids.start, add: ids.add } }),
    'count: count': () => windows.count({ ...usual, count: 0 }),
    'count: every': () => windows.count({ ...usual, count: 2, every: 3 }),
    'count: every ': () => windows.count({ ...usual, count: 20_000, every: 1 }),
    'volume: size': () => windows.volume({ ...usual, size: 0 }),
  }
  for (const [what, make] of Object.entries(refused)) {
    it(`refuse ${what}`, () => {
      expect(make).to.throw(Fault, new RegExp(`^windows\\.${what.trim()} is .*; give `))
    })
  }
})

function byEnd(a: Short, b: Short): number {
  if (a[4] !== b[4]) return a[4] ? -1 : 1
  return a[2] - b[2] || a[1] - b[1] || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)
}

function bySymbol(rows: readonly Row[]): Row[][] {
  const all = new Map<string, Row[]>()
  for (const each of rows) all.set(each.symbol, [...(all.get(each.symbol) ?? []), each])
  return [...all.values()]
}

const idsOf = (rows: readonly Row[]): number[] => rows.map(({ id }) => id)

function intervals(rows: readonly Row[], everyUs: number, lengthUs: number, endUs: number): Short[] {
  const all: Short[] = []
  for (let openUs = -lengthUs - (-lengthUs % everyUs) - everyUs; openUs <= 200; openUs += everyUs) {
    const inside = rows.filter(({ exchangeTimeUs: at }) => at! >= openUs && at! < openUs + lengthUs)
    if (inside.length === 0) continue
    all.push([inside[0]!.symbol, openUs, openUs + lengthUs, idsOf(inside), openUs + lengthUs <= endUs])
  }
  return all
}

function sessions(rows: readonly Row[], gapUs: number, endUs: number): Short[] {
  const all: Row[][] = []
  for (const each of rows) {
    const last = all.at(-1)
    if (last !== undefined && each.exchangeTimeUs! - last.at(-1)!.exchangeTimeUs! < gapUs) last.push(each)
    else all.push([each])
  }
  return all.map((inside) => {
    const closeUs = inside.at(-1)!.exchangeTimeUs! + gapUs
    return [inside[0]!.symbol, inside[0]!.exchangeTimeUs!, closeUs, idsOf(inside), closeUs <= endUs]
  })
}

function ofRows(inside: readonly Row[], closed: boolean): Short {
  return [inside[0]!.symbol, inside[0]!.exchangeTimeUs!, inside.at(-1)!.exchangeTimeUs!, idsOf(inside), closed]
}

function counts(rows: readonly Row[], size: number, every: number): Short[] {
  const all: Short[] = []
  for (let from = 0; from < rows.length; from += every) {
    const inside = rows.slice(from, from + size)
    all.push(ofRows(inside, inside.length === size))
  }
  return all
}

function volumes(rows: readonly Row[], size: number): Short[] {
  const all: Short[] = []
  let inside: Row[] = []
  for (const each of rows) {
    inside.push(each)
    if (inside.reduce((sum, { size: volume }) => sum + volume, 0) < size) continue
    all.push(ofRows(inside, true))
    inside = []
  }
  return inside.length > 0 ? [...all, ofRows(inside, false)] : all
}
