import { expect } from 'chai'
import { firstValueFrom, lastValueFrom, take, tap, toArray, type Observable } from 'rxjs'
import { balances, emptyLedger, type Ledger } from '../../src/actors/ledger'
import { Fault } from '../../src/model/fault'
import { fromWorker, type FromWorkerOptions } from '../../src/workers/fromWorker'
import { eventually } from '../kit/eventually'
import { compileEntries, type CompiledEntries } from './compiledEntries'
import type { Counted, Counting } from './entries/counting'

const threads = (): number => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length

describe('fromWorker', function () {
  this.slow(1_000)
  let entries: CompiledEntries
  let ledger: Ledger
  let faults: Fault[]
  let seen: Int32Array
  let threadsBefore: number

  before(async () => (entries = await compileEntries()))
  after(() => entries.remove())

  beforeEach(() => {
    ledger = emptyLedger()
    faults = []
    seen = new Int32Array(new SharedArrayBuffer(24))
    threadsBefore = threads()
  })

  afterEach('no thread is left', () => eventually(() => void expect(threads()).to.equal(threadsBefore)))

  const counted = (
    wish: Partial<Counting>,
    options: Partial<FromWorkerOptions> = {},
    entry = 'counting',
  ): Observable<Counted> =>
    fromWorker<Counted>(entries.entry(entry), {
      capacity: 1_000,
      onFull: 'block',
      batchMax: 64,
      restart: { atMost: 3, withinMs: 60_000, backoffMs: [1, 2] },
      deadlineMs: 60_000,
      data: { rows: 1_000, aTurn: 100, end: 'complete', seen, ...wish },
      ledger,
      onFault: (fault) => faults.push(fault),
      ...options,
    })
  const errorOf = (source: Observable<unknown>): Promise<unknown> =>
    lastValueFrom(source, { defaultValue: undefined }).then(
      () => expect.fail('it completed'),
      (error: unknown) => error,
    )
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, id) => id)

  it('emits the rows of the source in order, and completes with it', async () => {
    const rows = await lastValueFrom(counted({ rows: 5_000 }).pipe(toArray()))
    expect(rows.map(({ id }) => id)).to.deep.equal(numbers(5_000))
    expect(rows[7]!.column).to.deep.equal(Float64Array.of(7, 3.5))
    expect(ledger).to.deep.equal({ in: 5_000, out: 5_000, dropped: {}, inFlight: 0 })
  })

  it('emits what came before an error, then the error as it was', async () => {
    const rows: Counted[] = []
    const error = await new Promise((resolve) =>
      counted({ end: 'fail' }).subscribe({ next: (row) => rows.push(row), error: resolve }),
    )
    expect(rows).to.have.length(1_000)
    expect(error).to.be.instanceOf(Fault)
    expect(error).to.deep.include({ code: 'FEED_STALE', message: 'Nothing came.', details: { id: 1_000 } })
  })

  it('leaves the source when it is left, and ends the thread', async () => {
    const rows = await lastValueFrom(counted({ rows: 1e9 }).pipe(take(100), toArray()))
    expect(rows.map(({ id }) => id)).to.deep.equal(numbers(100))
    await eventually(() => void expect(seen[1]).to.equal(1))
    expect(balances(ledger)).to.equal(true)
  })

  it('pauses the source while there is no room, and loses nothing', async () => {
    const rows: number[] = []
    let isOver = false
    counted({ rows: 20_000, aTurn: 500 }, { ringBytes: 1_024, capacity: 100 }).subscribe({
      next: ({ id }) => {
        rows.push(id)
        if (id % 1_000 === 0) Atomics.wait(seen, 5, 0, 60_000) // nobody reads until the source is paused
      },
      complete: () => (isOver = true),
    })
    await eventually(() => void expect(isOver).to.equal(true))
    expect(rows).to.deep.equal(numbers(20_000))
    expect(seen[3]).to.be.above(10)
  })

  it('stops at what it may hold when nobody reads', async () => {
    counted({ rows: 1e9, aTurn: 50 }, { ringBytes: 1_024, capacity: 100 })
      .pipe(take(1))
      .subscribe(() => {
        const until = performance.now() + 100
        while (performance.now() < until); // the loop is kept: nobody reads
      })
    await eventually(() => void expect(seen[1]).to.equal(1))
    expect(seen[2]).to.be.below(1_000)
  })

  for (const onFull of ['dropOldest', 'conflate'] as const) {
    it(`drops in the thread what it was told to, and tells how much (${onFull})`, async () => {
      const source = counted({ rows: 50_000, aTurn: 1_000 }, { ringBytes: 1_024, capacity: 20, onFull })
      const rows = await lastValueFrom(source.pipe(toArray()))
      expect(rows.at(-1)!.id).to.equal(49_999)
      const reason = onFull === 'conflate' ? 'conflated' : onFull
      expect(ledger.dropped[reason]).to.be.above(0)
      expect(ledger).to.deep.equal({ in: 50_000, out: rows.length, dropped: ledger.dropped, inFlight: 0 })
      expect(balances(ledger)).to.equal(true)
    })
  }

  it('gathers what comes soon after, and sends the first at once', async () => {
    const turns = async (gatherMs: number): Promise<number> => {
      let turn = 0
      const seenTurns = new Set<number>()
      const count = (): void => void (turn++, setImmediate(count).unref())
      count()
      const source = counted({ rows: 400, aTurn: 1 }, { capacity: 1_000, batchMax: 1_000, gatherMs })
      const rows = await lastValueFrom(
        source.pipe(
          tap(() => seenTurns.add(turn)),
          toArray(),
        ),
      )
      expect(rows.map(({ id }) => id)).to.deep.equal(numbers(400))
      return seenTurns.size
    }
    expect(await turns(300)).to.be.within(2, 4)
    expect(await turns(0)).to.be.above(4)
  })

  it('ends with a fault when none may be dropped and more wait than it may hold', async () => {
    const full = await errorOf(counted({ rows: 50_000, aTurn: 1_000 }, { capacity: 20, onFull: 'fail' }))
    expect(full).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
    expect(balances(ledger)).to.equal(true)
    expect(seen[1]).to.equal(1)
  })

  it('opens the source anew on another thread when one dies', async () => {
    // What has not been read of a thread dies with it.
    const die = ({ id }: Counted): void => {
      if (id === 9) Atomics.store(seen, 4, 1)
    }
    const rows = await lastValueFrom(counted({ rows: 10, end: 'die' }).pipe(tap(die), toArray()))
    expect(rows.map(({ id }) => id)).to.deep.equal([...numbers(10), ...numbers(10)])
    expect(faults.map(({ code }) => code)).to.deep.equal(['WORKER_DIED'])
    expect(seen[0]).to.equal(2)
  })

  it('refuses, with a sentence, a value that is no plain row, and policies that the source cannot keep', async () => {
    const odd = await errorOf(counted({ rows: 10, odd: true }))
    expect(odd).to.be.instanceOf(Fault).with.property('message').that.includes('plain rows')
    expect(await errorOf(counted({}, {}, 'nowhere'))).to.have.property('code', 'OPTION_INVALID')
    for (const options of [{ capacity: 0 }, { batchMax: 1.5 }, { ringBytes: 1_000 }, { deadlineMs: 0 }]) {
      expect(() => counted({}, options))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    }
  })

  it('is its own source for each subscriber', async () => {
    const source = counted({})
    const both = await Promise.all([firstValueFrom(source), lastValueFrom(source)])
    expect(both.map(({ id }) => id)).to.deep.equal([0, 999])
    expect(seen[0]).to.equal(2)
  })
})
