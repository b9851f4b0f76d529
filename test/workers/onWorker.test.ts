import { expect } from 'chai'
import {
  concat,
  EMPTY,
  from,
  lastValueFrom,
  NEVER,
  of,
  range,
  Subject,
  take,
  throwError,
  toArray,
  type Observable,
} from 'rxjs'
import { balances, emptyLedger, type Ledger } from '../../src/actors/ledger'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { runWithSpawn } from '../../src/workers/currentSpawn'
import { onWorker, type OnWorkerOptions } from '../../src/workers/onWorker'
import { eventually } from '../kit/eventually'
import { compileEntries, type CompiledEntries } from './compiledEntries'
import type { Addend, Total } from './entries/totals'
import type { Done, Job } from './entries/work'

const jobs = (count: number, act: Partial<Job> = {}): Job[] =>
  Array.from({ length: count }, (_, id) => ({ id, ...act }))

/** Counts of real threads: each has a port that keeps the process alive. */
const threads = (): number => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length

describe('onWorker', function () {
  this.slow(1_000)
  let entries: CompiledEntries
  const entry = (name: string): string => entries.entry(name)
  let ledger: Ledger
  let faults: Fault[]
  let threadsBefore: number
  const base = {
    capacity: 1_000,
    onFull: 'fail',
    batchMax: 10,
    restart: { atMost: 10, withinMs: 600_000, backoffMs: [1, 2] },
    deadlineMs: 60_000,
  } as const satisfies OnWorkerOptions<unknown, unknown>

  before(async () => (entries = await compileEntries()))
  after(() => entries.remove())

  beforeEach(() => {
    ledger = emptyLedger()
    faults = []
    threadsBefore = threads()
  })

  afterEach('no thread is left', () => eventually(() => void expect(threads()).to.equal(threadsBefore)))

  const run = (source: Observable<Job>, options: Partial<OnWorkerOptions<Job, Done>> = {}): Observable<Done> =>
    source.pipe(
      onWorker<Job, Done>(entry('work'), { ...base, ledger, onFault: (fault) => faults.push(fault), ...options }),
    )
  const resultsOf = (source: Observable<Job>, options: Partial<OnWorkerOptions<Job, Done>> = {}): Promise<Done[]> =>
    lastValueFrom(run(source, options).pipe(toArray()))
  const errorOf = (source: Observable<unknown>): Promise<unknown> =>
    lastValueFrom(source, { defaultValue: undefined }).then(
      () => expect.fail('it completed'),
      (error: unknown) => error,
    )
  const ids = (done: Done[]): number[] => done.map(({ id }) => id)
  const balanced = (): void => {
    expect(balances(ledger)).to.equal(true)
  }

  it('emits what the worker answers, in the order of the source, and completes when all has come back', async () => {
    const done = await resultsOf(from(jobs(500)))
    expect(ids(done)).to.deep.equal(jobs(500).map(({ id }) => id))
    expect(ledger).to.deep.equal({ in: 500, out: 500, dropped: {}, inFlight: 0 })
    expect(done[0]!.threadId).to.be.above(0)
  })

  it('sends together what came while the worker was busy, never more than its batch', async () => {
    const done = await resultsOf(from(jobs(95)), { concurrency: 1 })
    expect(done.filter(({ together }) => together === 10)).to.have.length(90)
    expect(done.at(-1)!.together).to.equal(5)
  })

  it('keeps the order when later batches are answered first', async () => {
    const slowFirst = jobs(30).map((job) => (job.id === 0 ? { ...job, waitMs: 60 } : job))
    const done = await resultsOf(from(slowFirst), { batchMax: 5, concurrency: 3 })
    expect(ids(done)).to.deep.equal(jobs(30).map(({ id }) => id))
  })

  it('completes at once with an empty source', async () => {
    expect(await resultsOf(EMPTY)).to.deep.equal([])
  })

  it('emits nothing while its source says nothing, and ends its thread when it is left', async () => {
    const subscription = run(NEVER).subscribe(() => expect.fail('a value'))
    await eventually(() => void expect(threads()).to.equal(threadsBefore + 1))
    subscription.unsubscribe()
  })

  it('passes on the error of its source after everything that came before it', async () => {
    const failure = new Error('source')
    const seen: number[] = []
    const error = await new Promise((resolve) =>
      run(
        concat(
          from(jobs(20)),
          throwError(() => failure),
        ),
      ).subscribe({ next: ({ id }) => seen.push(id), error: resolve }),
    )
    expect(error).to.equal(failure)
    expect(seen).to.have.length(20)
    balanced()
  })

  it('stops an endless source, its thread and what waits when it is left early', async () => {
    const source = new Subject<Job>()
    const seen = lastValueFrom(run(source).pipe(take(3), toArray()))
    for (const job of jobs(50)) source.next(job)
    expect(ids(await seen)).to.deep.equal([0, 1, 2])
    expect(source.observed).to.equal(false)
    expect(ledger.inFlight).to.equal(0)
    balanced()

    const endless = range(0, Number.MAX_SAFE_INTEGER).pipe(onWorker<number, Done>(entry('work'), base))
    expect(await errorOf(endless)).to.have.property('code', 'EDGE_FULL')
  })

  it('hands typed arrays over as copies of exactly what they show', async () => {
    const pooled = Buffer.from('abc')
    const numbers = Float64Array.of(1, 2)
    const echoed = from([pooled, numbers, { plain: true }]).pipe(
      onWorker<unknown, unknown>(entry('echo'), { ...base, decode: (reply) => [reply] }),
    )
    const batch = (await lastValueFrom(echoed)) as [Uint8Array, Float64Array, object, number[]]
    expect(batch[0]).to.deep.equal(Uint8Array.from([97, 98, 99]))
    expect(batch[1]).to.deep.equal(Float64Array.of(1, 2))
    expect(batch[2]).to.deep.equal({ plain: true })
    expect(batch[3]).to.deep.equal([3, 16]) // bytes that travelled: not the whole pool
    expect(pooled.toString()).to.equal('abc')
    expect(numbers).to.have.length(2)
  })

  it('keeps the order of what crosses in shared memory and of what is a message, there and back', async () => {
    const values = Array.from({ length: 300 }, (_, id) =>
      id % 3 === 0 ? Float64Array.of(id) : id % 3 === 1 ? new Date(id) : { id, name: `value ${id}` },
    )
    const echoed = from(values).pipe(
      onWorker<unknown, unknown>(entry('echo'), {
        ...base,
        batchMax: 1,
        concurrency: 8,
        decode: (reply) => [(reply as unknown[])[0]],
      }),
      toArray(),
    )
    expect(await lastValueFrom(echoed)).to.deep.equal(values)
  })

  it('takes what is larger than its ring, and goes on with what is not', async () => {
    const values = Array.from({ length: 200 }, (_, id) => new Float64Array(id % 7 === 0 ? 200 : id % 50).fill(id))
    const echoed = from(values).pipe(
      onWorker<unknown, unknown>(entry('echo'), {
        ...base,
        ringBytes: 1_024,
        batchMax: 1,
        concurrency: 16,
        decode: (reply) => [(reply as unknown[])[0]],
      }),
      toArray(),
    )
    expect(await lastValueFrom(echoed)).to.deep.equal(values)
  })

  describe('when work fails', () => {
    it('gives up that batch, tells why and goes on', async () => {
      const acts = jobs(30).map((job) => (job.id === 15 ? { ...job, act: 'throwFault' as const } : job))
      const done = await resultsOf(from(acts))
      expect(ids(done)).to.deep.equal(
        jobs(30)
          .map(({ id }) => id)
          .filter((id) => id < 10 || id >= 20),
      )
      expect(faults).to.have.length(1)
      expect(faults[0]).to.deep.include({ code: 'BOOK_GAP', message: 'A gap.', details: { id: 15 } })
      expect(ledger).to.deep.equal({ in: 30, out: 20, dropped: { failed: 10 }, inFlight: 0 })
    })

    it('ends with the fault when there is nobody to tell', async () => {
      const source = from(jobs(5, { act: 'throw' })).pipe(onWorker<Job, Done>(entry('work'), { ...base, ledger }))
      const error = await errorOf(source)
      expect(error).to.be.instanceOf(Fault).and.include({ code: 'STAGE_FAILED', message: 'no job 0' })
      balanced()
    })

    it('treats an answer that is no array, and callbacks that throw, like work that fails', async () => {
      const breaks = (): never => {
        throw new Error('callback')
      }
      await resultsOf(of<Job>({ id: 1, act: 'text' }))
      await resultsOf(from(jobs(25)), { encode: breaks })
      await resultsOf(from(jobs(2)), { decode: breaks })
      expect(faults.map(({ code }) => code)).to.deep.equal(Array(5).fill('STAGE_FAILED'))
      expect(ledger).to.deep.equal({ in: 28, out: 0, dropped: { failed: 28 }, inFlight: 0 })
    })

    it('loses a thousand batches that cannot be encoded without nesting calls', async () => {
      const encode = (): never => {
        throw new Error('callback')
      }
      await resultsOf(from(jobs(20_000)), { encode, capacity: 20_000, batchMax: 1 })
      expect(ledger.dropped).to.deep.equal({ failed: 20_000 })
    })

    it('ends with the error of `onFault` when that throws', async () => {
      const broken = new Error('callback')
      const onFault = (): never => {
        throw broken
      }
      expect(await errorOf(run(from(jobs(5, { act: 'throw' })), { onFault }))).to.equal(broken)
      balanced()
    })
  })

  describe('when the worker dies', () => {
    it('starts it again and offers what it had once more: nothing is lost, the order is kept', async () => {
      const seen = new Int32Array(new SharedArrayBuffer(4))
      const acts = jobs(60).map((job) => (job.id === 25 ? { ...job, act: 'dieOnce' as const, seen } : job))
      const done = await resultsOf(from(acts))
      expect(ids(done)).to.deep.equal(jobs(60).map(({ id }) => id))
      expect(new Set(done.map(({ threadId }) => threadId)).size).to.equal(2)
      expect(faults.map(({ code }) => code)).to.deep.equal(['WORKER_DIED'])
      expect(ledger).to.deep.equal({ in: 60, out: 60, dropped: {}, inFlight: 0 })
    })

    it('gives up a batch that kills it twice, and no other', async () => {
      const acts = jobs(60).map((job) => (job.id === 25 ? { ...job, act: 'die' as const } : job))
      const done = await resultsOf(from(acts), { concurrency: 3 })
      expect(ids(done)).to.deep.equal(
        jobs(60)
          .map(({ id }) => id)
          .filter((id) => id < 20 || id >= 30),
      )
      expect(faults.map(({ code }) => code)).to.deep.equal(['WORKER_DIED', 'WORKER_DIED', 'WORKER_DIED'])
      expect(faults[2]!.details).to.include({ values: 10 })
      expect(ledger).to.deep.equal({ in: 60, out: 50, dropped: { failed: 10 }, inFlight: 0 })
    })

    it('ends with a fault when it dies more often than its budget allows', async () => {
      const restart = { ...base.restart, atMost: 2 }
      const error = await errorOf(run(from(jobs(100, { act: 'die' })), { restart }))
      expect(error).to.be.instanceOf(Fault).with.property('code', 'RETRIES_EXHAUSTED')
      expect((error as Fault).cause).to.have.property('code', 'WORKER_DIED')
      balanced()
    })

    it('waits before it starts the worker again, on the clock it was given', async () => {
      const clock = new VirtualClock()
      const restart = { ...base.restart, backoffMs: [100, 1_000] } as const
      const seen = new Int32Array(new SharedArrayBuffer(4))
      let results: Done[] | undefined
      const finished = resultsOf(of<Job>({ id: 1, act: 'dieOnce', seen }), { restart, clock, random: () => 0.5 })
      void finished.then((done) => (results = done))
      await eventually(() => void expect(faults).to.have.length(1))
      expect(threads()).to.equal(threadsBefore)
      clock.advance(49)
      expect(threads()).to.equal(threadsBefore)
      clock.advance(1)
      await eventually(() => void expect(results).to.have.length(1))
    })

    it('counts a worker that gives no answer within the deadline as dead', async () => {
      const clock = new VirtualClock()
      const sent: number[] = []
      const acts: Job[] = [{ id: 0 }, { id: 1, act: 'spin' }, { id: 2 }]
      const finished = resultsOf(from(acts), {
        clock,
        batchMax: 1,
        concurrency: 1,
        encode: (values) => {
          sent.push(values[0]!.id)
          return { message: values }
        },
      })
      for (const deaths of [1, 2]) {
        await eventually(() => void expect(sent).to.have.length(deaths + 1))
        clock.advance(base.deadlineMs - 1)
        expect(threads()).to.equal(threadsBefore + 1)
        clock.advance(1)
        await eventually(() => void expect(faults).to.have.length(deaths === 1 ? 1 : 3))
        clock.advance(base.restart.backoffMs[1])
      }
      expect(ids(await finished)).to.deep.equal([0, 2])
      expect(sent).to.deep.equal([0, 1, 1, 2])
      expect(faults.map(({ details }) => details['reason'])).to.deep.equal(['deadline', 'deadline', 'deadline'])
      expect(ledger.dropped).to.deep.equal({ failed: 1 })
    })

    it('ends at once when there is no such entry', async () => {
      const source = of(1).pipe(onWorker(entry('nowhere'), base))
      expect(await errorOf(source)).to.have.property('code', 'OPTION_INVALID')
    })

    it('ends when the entry never loads, within its budget', async () => {
      const restart = { ...base.restart, atMost: 1 }
      const error = await errorOf(of(1).pipe(onWorker(entry('throwsAtTop'), { ...base, restart })))
      expect(error).to.have.property('code', 'RETRIES_EXHAUSTED')
      expect((error as Fault).message).to.include('broken at the top')
    })
  })

  describe('with several workers', () => {
    const keyOf = ({ id }: Job): number => id % 5

    it('gives all values of a key to one of them, in order, and uses more than one', async () => {
      const done = await resultsOf(from(jobs(500)), { workers: 3, keyOf })
      for (let key = 0; key < 5; key++) {
        const ofKey = done.filter(({ id }) => id % 5 === key)
        expect(ids(ofKey)).to.deep.equal(
          jobs(500)
            .map(({ id }) => id)
            .filter((id) => id % 5 === key),
        )
        expect(new Set(ofKey.map(({ threadId }) => threadId)).size).to.equal(1)
      }
      expect(new Set(done.map(({ threadId }) => threadId)).size).to.be.above(1)
      expect(ledger).to.deep.equal({ in: 500, out: 500, dropped: {}, inFlight: 0 })
    })

    it('lets no key wait for another that is slow, keeps the order after a death, and passes on an error last', async () => {
      const failure = new Error('source')
      const deaths = new Int32Array(new SharedArrayBuffer(4))
      const acts = jobs(300).map((job) => (job.id === 101 ? { ...job, act: 'dieOnce' as const, seen: deaths } : job))
      const seen: Done[] = []
      const source = concat(
        from(acts),
        throwError(() => failure),
      )
      const error = await new Promise((resolve) =>
        run(source, { workers: 2, keyOf }).subscribe({ next: (done) => seen.push(done), error: resolve }),
      )
      expect(error).to.equal(failure)
      expect(seen).to.have.length(300)
      for (let key = 0; key < 5; key++) {
        const ofKey = ids(seen).filter((id) => id % 5 === key)
        expect(ofKey).to.deep.equal(ofKey.toSorted((a, b) => a - b))
      }
      expect(faults.map(({ code }) => code)).to.deep.equal(['WORKER_DIED'])
    })

    it('gives up a value whose key cannot be told, and tells why', async () => {
      const broken = ({ id }: Job): number => {
        if (id === 3) throw new Error('no key')
        return id
      }
      const done = await resultsOf(from(jobs(10)), { workers: 2, keyOf: broken })
      expect(ids(done).toSorted((a, b) => a - b)).to.deep.equal([0, 1, 2, 4, 5, 6, 7, 8, 9])
      expect(faults.map(({ message }) => message)).to.deep.equal(['onWorker could not tell the key of a value: no key'])
      expect(ledger).to.deep.equal({ in: 10, out: 9, dropped: { failed: 1 }, inFlight: 0 })
    })

    it('pauses a source while any of them has too much, and lets it go on when none has', async () => {
      const source = new Subject<Job>()
      const calls: string[] = []
      const pressure = { pause: () => calls.push('pause'), resume: () => calls.push('resume') }
      const finished = resultsOf(source, { workers: 2, keyOf, capacity: 10, onFull: 'block', pressure })
      for (let id = 0; id < 200;) {
        if (calls.at(-1) === 'pause') await new Promise((resolve) => setImmediate(resolve))
        else source.next({ id: id++ })
      }
      source.complete()
      expect(await finished).to.have.length(200)
      expect(calls.length).to.be.above(2)
      expect(calls).to.deep.equal(calls.map((_, index) => (index % 2 === 0 ? 'pause' : 'resume')))
    })
  })

  describe('with an entry that keeps state', () => {
    const addends = (count: number, act: (id: number) => Partial<Addend> = () => ({})): Addend[] =>
      Array.from({ length: count }, (_, id) => ({ key: `k${id % 7}`, value: id, ...act(id) }))
    const dies = (times: number): Partial<Addend> => {
      const deaths = new Int32Array(new SharedArrayBuffer(4))
      deaths[0] = times
      return { act: 'die', deaths }
    }
    const totals = (source: Addend[], options: Partial<OnWorkerOptions<Addend, Total>> = {}): Promise<Total[]> =>
      lastValueFrom(
        from(source).pipe(
          onWorker<Addend, Total>(entry('totals'), {
            ...base,
            restart: { atMost: 100, withinMs: 60_000, backoffMs: [1, 2] },
            ledger,
            onFault: (fault) => faults.push(fault),
            ...options,
          }),
          toArray(),
        ),
      )
    const expected = (source: Addend[]): string[] => {
      const sums = new Map<string, number>()
      return source.map(({ key, value }) => {
        const total = (sums.get(key) ?? 0) + value
        sums.set(key, total)
        return `${key} ${total}`
      })
    }
    const rows = (results: Total[]): string[] => results.map(({ key, total }) => `${key} ${total}`)

    for (const everyValues of [1, 25, 100_000]) {
      it(`rebuilds it after each death, as if there had been none (saved every ${everyValues} values)`, async () => {
        const source = addends(400, (id) => (id % 50 === 33 ? dies(1) : {}))
        const results = await totals(source, { rebuild: { everyValues }, concurrency: 3 })
        expect(rows(results)).to.deep.equal(expected(source))
        expect(faults.filter(({ code }) => code === 'WORKER_DIED')).to.have.length(8)
        expect(new Set(results.map(({ threadId }) => threadId)).size).to.equal(9)
      })
    }

    it('rebuilds each of several workers by itself', async () => {
      const source = addends(400, (id) => (id % 50 === 33 ? dies(1) : {}))
      const results = await totals(source, { rebuild: { everyValues: 20 }, workers: 2, keyOf: ({ key }) => key })
      expect(rows(results).toSorted()).to.deep.equal(expected(source).toSorted())
    })

    it('knows of values that it threw on, and forgets those that killed it twice', async () => {
      const source = addends(40, (id) =>
        id === 10 ? { act: 'throw' } : id === 20 ? dies(2) : id === 30 ? dies(1) : {},
      )
      const results = await totals(source, { rebuild: { everyValues: 1_000 }, batchMax: 1 })
      const known = source.filter((_, id) => id !== 20)
      expect(rows(results)).to.deep.equal(expected(known).filter((_, id) => id !== 10))
      expect(ledger).to.deep.equal({ in: 40, out: 38, dropped: { failed: 2 }, inFlight: 0 })
    })

    it('begins with nothing when nobody asked for more', async () => {
      const source = addends(40, (id) => (id === 20 ? dies(1) : {}))
      const results = await totals(source, { batchMax: 1, concurrency: 1 })
      expect(rows(results)).to.deep.equal([...expected(source.slice(0, 20)), ...expected(source.slice(20))])
    })

    it('ends with a sentence when the entry offers nothing to save', async () => {
      const source = from(jobs(100)).pipe(
        onWorker<Job, Done>(entry('work'), { ...base, ledger, rebuild: { everyValues: 5 }, batchMax: 5 }),
      )
      const error = await errorOf(source)
      expect(error).to.be.instanceOf(Fault).with.property('message').that.includes('run, save and restore')
      balanced()
    })
  })

  describe('where the work is done', () => {
    const here = (some: readonly Job[]): Done[] =>
      some.map(({ id, act }) => {
        if (act === 'throw') throw new TypeError(`no job ${id}`)
        return { id, threadId: 0, together: some.length }
      })

    it('is here when it is to be, at once and without a thread', () => {
      const seen: number[] = []
      run(from(jobs(20)), { placement: 'loop', here }).subscribe(({ id }) => seen.push(id))
      expect(seen).to.deep.equal(jobs(20).map(({ id }) => id))
      expect(threads()).to.equal(threadsBefore)
      expect(ledger).to.deep.equal({ in: 20, out: 20, dropped: {}, inFlight: 0 })
    })

    it('gives up here what it would give up there', async () => {
      const acts = jobs(20).map((job) => (job.id === 5 ? { ...job, act: 'throw' as const } : job))
      const done = await resultsOf(from(acts), { placement: 'loop', here })
      expect(done).to.have.length(19)
      expect(faults.map(({ code, message }) => `${code} ${message}`)).to.deep.equal([
        'STAGE_FAILED onWorker could not do the work on a batch: no job 5',
      ])
    })

    it('keeps the order while it is measured, on either side', async () => {
      const source = new Subject<Job>()
      const done: Done[] = []
      let isOver = false
      const busily = (some: readonly Job[]): Done[] => {
        const untilMs = performance.now() + 0.3
        while (performance.now() < untilMs); // it takes some work until anything is known
        return here(some)
      }
      run(source, { placement: 'auto', here: busily, batchMax: 3 }).subscribe({
        next: (each) => done.push(each),
        complete: () => (isOver = true),
      })
      for (let id = 0; !done.some(({ threadId }) => threadId > 0); id += 3) {
        for (const job of jobs(3)) source.next({ id: id + job.id })
        await eventually(() => void expect(done).to.have.length(id + 3))
        await new Promise((resolve) => setImmediate(resolve)) // the thread becomes ready in a turn of its own
      }
      const before = done.length
      for (const { id } of jobs(600)) source.next({ id: before + id })
      source.complete()
      await eventually(() => void expect(isOver).to.equal(true))
      expect(ids(done)).to.deep.equal(jobs(before + 600).map(({ id }) => id))
      expect(new Set(done.map(({ threadId }) => threadId)).size).to.equal(2)
      balanced()
    })

    it('is not measured where threads are simulated: that would differ from run to run', async () => {
      const spawn = () => Promise.reject(new Fault('OPTION_INVALID', 'Asked for a thread.', {}))
      const source = runWithSpawn(spawn, () =>
        errorOf(run(from(jobs(3)), { placement: 'auto', here: () => expect.fail('it was done here') })),
      )
      expect(await source).to.have.property('message', 'Asked for a thread.')
    })
  })

  describe('when more wait than it may hold', () => {
    it('ends with a fault, unless told what to drop', async () => {
      expect(await errorOf(run(from(jobs(20)), { capacity: 10 }))).to.have.property('code', 'EDGE_FULL')
      balanced()
    })

    it('drops what it was told to, and counts it', async () => {
      expect(ids(await resultsOf(from(jobs(20)), { capacity: 5, onFull: 'dropOldest' }))).to.deep.equal([
        15, 16, 17, 18, 19,
      ])
      expect(ids(await resultsOf(from(jobs(20)), { capacity: 5, onFull: 'dropNewest' }))).to.deep.equal([0, 1, 2, 3, 4])
      const conflate = (job: Job): number => job.id % 5
      expect(ids(await resultsOf(from(jobs(20)), { capacity: 5, onFull: { conflate } }))).to.deep.equal([
        15, 16, 17, 18, 19,
      ])
      expect(ledger).to.deep.equal({
        in: 60,
        out: 15,
        dropped: { dropOldest: 15, dropNewest: 15, conflated: 15 },
        inFlight: 0,
      })
    })

    it('ends at once when it is to pause a source and is given nothing to pause it with', async () => {
      const error = await errorOf(run(from(jobs(1)), { onFull: 'block' }))
      expect(error).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
    })

    it('pauses a source that can be paused, and loses nothing', async () => {
      const source = new Subject<Job>()
      const pressure = {
        paused: false,
        pauses: 0,
        pause() {
          this.paused = true
          this.pauses++
        },
        resume() {
          this.paused = false
        },
      }
      const finished = resultsOf(source, { capacity: 20, onFull: 'block', pressure })
      for (let id = 0; id < 200;) {
        if (pressure.paused) await new Promise((resolve) => setImmediate(resolve))
        else source.next({ id: id++ })
      }
      source.complete()
      expect(ids(await finished)).to.deep.equal(jobs(200).map(({ id }) => id))
      expect(pressure.pauses).to.be.above(2)
      expect(ledger).to.deep.equal({ in: 200, out: 200, dropped: {}, inFlight: 0 })
    })
  })

  for (const options of [
    { capacity: 0 },
    { batchMax: 0.5 },
    { concurrency: 0 },
    { deadlineMs: Number.NaN },
    { ringBytes: 1_000 },
    { workers: 2 },
    { rebuild: { everyValues: 0 } },
    { placement: 'auto' as const },
    { placement: 'loop' as const, here: () => [], rebuild: { everyValues: 1 } },
    { restart: { atMost: 1, withinMs: 0, backoffMs: [1, 2] as const } },
    { restart: { atMost: 1, withinMs: 1_000, backoffMs: [3, 2] as const } },
  ]) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      expect(() => onWorker(entry('work'), { ...base, ...options }))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})
