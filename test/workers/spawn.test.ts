import { execFile } from 'node:child_process'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import type { WorkerMessage } from '../../src/workers/handedOver'
import { spawnWorker, type SpawnOptions, type WorkerHandle } from '../../src/workers/spawn'
import { compileEntries, type CompiledEntries } from './compiledEntries'
import type { Misbehave } from './entries/misbehave'

const source = (name: string): string => path.join(__dirname, 'entries', name)

describe('spawnWorker', function () {
  this.slow(2_000)
  let entries: CompiledEntries
  const entry = (name: string): string => entries.entry(name)
  let workers: WorkerHandle<object>[] = []

  const spawn = async <Api extends object = Misbehave>(
    name: string | URL = entry('misbehave'),
    options: Partial<SpawnOptions> = {},
  ): Promise<WorkerHandle<Api>> => {
    const worker = await spawnWorker<Api>(name, { deadlineMs: 60_000, ...options })
    workers.push(worker)
    return worker
  }
  const faultOf = (promise: Promise<unknown>): Promise<Fault> =>
    promise.then(
      () => expect.fail('it resolved'),
      (error: unknown) => {
        expect(error).to.be.instanceOf(Fault)
        return error as Fault
      },
    )
  const asked = (worker: WorkerHandle<object>, message: WorkerMessage): Promise<unknown> =>
    new Promise((resolve, reject) => worker.ask!(message, { answered: resolve, failed: reject }))
  /** Long enough for any machine, and a tenth of the deadlines and waits that what is promised must not wait for. */
  const AT_ONCE_MS = 60_000
  const atOnce = async <T>(promise: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`took longer than ${AT_ONCE_MS} ms`)), AT_ONCE_MS)
    })
    return Promise.race([promise, late]).finally(() => clearTimeout(timer))
  }

  before(async () => (entries = await compileEntries()))
  after(() => entries.remove())

  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()))
    workers = []
  })

  describe('a worker that behaves', () => {
    let worker: WorkerHandle<Misbehave>
    before(async () => {
      worker = await spawnWorker<Misbehave>(entry('misbehave'), { deadlineMs: 60_000, workerData: { seed: 7 } })
    })
    after(() => worker.terminate())

    it('answers with values of every kind, those that are falsy included', async () => {
      const values = [
        0,
        1,
        '',
        'a',
        false,
        true,
        null,
        undefined,
        Number.NaN,
        [0],
        { a: undefined },
        0n,
        new Map([[1, 2]]),
      ]
      for (const value of values) expect(await worker.call('echo', [value])).to.deep.equal(value)
    })

    it('keeps the class, code, details, message and cause of a fault', async () => {
      const fault = await faultOf(worker.call('throwFault', []))
      expect(fault).to.deep.include({ code: 'BOOK_GAP', message: 'Change 9 does not follow 7.', repair: 'resync' })
      expect(fault.details).to.deep.include({ symbol: 'BTC-USDT', expected: 7 })
      expect(fault.details['callback']).to.be.a('string')
      expect(fault.cause).to.be.an('error').and.include({ name: 'RangeError', message: 'inner' })
    })

    it('turns any other error, thrown, rejected or not an error at all, into a fault that names it', async () => {
      const thrown = await faultOf(worker.call('throwError', []))
      expect(thrown).to.include({ code: 'STAGE_FAILED', message: 'not a book' })
      expect(thrown.cause).to.include({ name: 'TypeError', message: 'not a book' })
      expect((thrown.cause as Error).stack).to.include('misbehave.js')
      expect(await faultOf(worker.call('reject', []))).to.include({ code: 'STAGE_FAILED', message: 'rejected' })
      expect(await faultOf(worker.call('throwText', []))).to.include({ code: 'STAGE_FAILED', message: 'just text' })
      expect(await worker.call('echo', ['still alive'])).to.equal('still alive')
    })

    it('hands buffers over in both directions instead of copying them', async () => {
      const values = Float64Array.of(1, 2, 3)
      const doubled = await worker.call('double', [values], { transfer: [values.buffer] })
      expect(values.length).to.equal(0)
      expect(doubled).to.deep.equal(Float64Array.of(2, 4, 6))

      const kept = Float64Array.of(1, 2, 3)
      expect(await worker.call('sum', [kept])).to.equal(6)
      expect(kept.length).to.equal(3)
    })

    it('passes the data it was started with', async () => {
      expect(await worker.call('workerData', [])).to.deep.equal({ seed: 7 })
    })

    it('refuses a call to what it does not offer, and names what it does', async () => {
      const unknown = worker as unknown as WorkerHandle<{ toString: () => string; nonsense: () => void }>
      for (const name of ['nonsense', 'toString'] as const) {
        const fault = await faultOf(unknown.call(name, []))
        expect(fault.code).to.equal('OPTION_INVALID')
        expect(fault.message).to.include('echo')
      }
    })

    it('rejects what cannot cross, in either direction, and goes on', async () => {
      expect(await faultOf(worker.call('echo', [() => undefined]))).to.have.property('code', 'STAGE_FAILED')
      expect(await faultOf(worker.call('sendFunction', []))).to.have.property('code', 'STAGE_FAILED')
      expect(await worker.call('echo', [1])).to.equal(1)
    })

    it('answers many calls at once, each with its own answer', async () => {
      const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => worker.call('echo', [index])))
      expect(answers).to.deep.equal(Array.from({ length: 200 }, (_, index) => index))
    })

    it('gives up a call at its deadline, and is ready for the next', async () => {
      const clock = new VirtualClock()
      const timed = await spawn(entry('misbehave'), { clock })
      const call = faultOf(timed.call('wait', [50], { deadlineMs: 10 }))
      clock.advance(10)
      expect(await call).to.have.property('code', 'DEADLINE_EXCEEDED')
      expect(await timed.call('echo', [1], { deadlineMs: 10 })).to.equal(1)
      expect(clock.pending).to.equal(0)
    })

    it('says how busy its thread is', () => {
      expect(worker.eventLoopUtilization().utilization).to.be.within(0, 1)
    })
  })

  describe('a worker that dies', () => {
    const deaths: [name: keyof Misbehave, reason: string, args: unknown[]][] = [
      ['exit', 'exit', [3]],
      ['throwLater', 'error', []],
      ['rejectLater', 'error', []],
      ['useMemory', 'memory', []],
    ]
    for (const [name, reason, args] of deaths) {
      it(`rejects every call under way, and later ones, at once (${name})`, async () => {
        const limits = { maxOldGenerationSizeMb: 150, maxYoungGenerationSizeMb: 16 }
        const worker = await spawn(entry('misbehave'), { resourceLimits: limits })
        const waiting = faultOf(worker.call('wait', [600_000]))
        const call = faultOf(worker.call(name, args as never))
        for (const fault of await atOnce(Promise.all([call, waiting, worker.died]))) {
          expect(fault.code).to.equal('WORKER_DIED')
          expect(fault.details).to.include({ worker: 'misbehave.js', reason, callsLost: 2 })
        }
        expect(await faultOf(worker.call('echo', [1]))).to.equal(worker.fault)
      })
    }

    it('says the exit code, or the error, that ended it', async () => {
      const exited = await spawn()
      void exited.call('exit', [3]).catch(() => undefined)
      expect((await exited.died).message).to.include('exited with code 3')

      const failed = await spawn()
      void failed.call('throwLater', []).catch(() => undefined)
      const fault = await failed.died
      expect(fault.message).to.include('late throw')
      expect(fault.cause).to.have.property('message', 'late throw')
    })

    it('is noticed also when its entry uses the library itself', async () => {
      const worker = await spawn<{ throwLater: () => Promise<never> }>(entry('rawThreads'))
      const call = faultOf(worker.call('throwLater', []))
      expect(await atOnce(call)).to.have.property('code', 'WORKER_DIED')
    })

    it('rejects its calls when it is stopped, once and for all', async () => {
      const worker = await spawn()
      const call = faultOf(worker.call('wait', [600_000]))
      await worker.terminate()
      await worker.terminate()
      expect((await call).details).to.include({ reason: 'stopped' })
      expect((await worker.died).details).to.include({ reason: 'stopped' })
    })

    it('can be stopped while it is in an endless loop', async () => {
      const worker = await spawn()
      const call = faultOf(worker.call('spin', []))
      await atOnce(worker.terminate())
      expect(await call).to.have.property('code', 'WORKER_DIED')
    })
  })

  describe('a worker that is asked over rings', () => {
    const ask = async (name: string, message: unknown): Promise<unknown> => {
      const worker = await spawn(entry(name), { ringBytes: 4_096 })
      return asked(worker, { message })
    }

    it('answers as one that is called, whatever crosses how', async () => {
      const values = [
        0,
        '',
        null,
        undefined,
        [1, 2],
        { a: Float64Array.of(1) },
        new Map([[1, 2]]),
        new Float64Array(900),
      ]
      for (const value of values) expect(await ask('echo', [value])).to.deep.include.members([value])
      expect(await faultOf(ask('work', [{ id: 1, act: 'throwFault' }]))).to.include({ code: 'BOOK_GAP' })
      expect(await faultOf(ask('work', [() => undefined]))).to.include({ code: 'STAGE_FAILED' })
    })

    it('empties what is handed over, in order with what is not', async () => {
      const worker = await spawn(entry('echo'), { ringBytes: 4_096 })
      const handed = Float64Array.of(1, 2)
      const answers = await Promise.all([
        asked(worker, { message: [1] }),
        asked(worker, { message: [handed], transfer: [handed.buffer] }),
        asked(worker, { message: [3] }),
      ])
      expect(handed).to.have.length(0)
      expect(answers.map((answer) => (answer as unknown[])[0])).to.deep.equal([1, Float64Array.of(1, 2), 3])
    })

    it('rejects every question when it dies, and later ones', async () => {
      const worker = await spawn(entry('work'), { ringBytes: 4_096 })
      const waiting = faultOf(asked(worker, { message: [{ id: 1, waitMs: 600_000 }] }))
      const deadly = faultOf(asked(worker, { message: [{ id: 2, act: 'die' }] }))
      for (const fault of await atOnce(Promise.all([waiting, deadly]))) {
        expect(fault).to.include({ code: 'WORKER_DIED' })
        expect(fault.details).to.include({ callsLost: 2 })
      }
      expect(await faultOf(asked(worker, { message: [] }))).to.equal(worker.fault)
    })

    it('has answers that are let go of freed without a look at the whole heap', async () => {
      const script = `
        const { constants, PerformanceObserver } = require('node:perf_hooks')
        const { spawnWorker } = require('./src/workers/spawn')
        const looks = { young: 0, all: 0 }
        new PerformanceObserver((list) => {
          for (const { detail } of list.getEntries()) {
            if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) looks.young++
            if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) looks.all++
          }
        }).observe({ entryTypes: ['gc'] })
        void (async () => {
          const worker = await spawnWorker(${JSON.stringify(entry('large'))}, { deadlineMs: 60000, ringBytes: 4096 })
          let numbers = 0
          for (let round = 0; round < 1000; round++) {
            const column = await new Promise((answered, failed) => worker.ask({ message: 80000 }, { answered, failed }))
            numbers += column.length
          }
          await worker.terminate()
          setTimeout(() => console.log(JSON.stringify({ numbers, ...looks })), 100)
        })()
      `
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['-r', 'ts-node/register/transpile-only', '-e', script],
        { cwd: path.resolve(__dirname, '../..') },
      )
      const { numbers, young, all } = JSON.parse(stdout) as { numbers: number; young: number; all: number }
      expect(numbers).to.equal(80_000_000)
      expect(young).to.be.above(5)
      expect(all).to.be.below(4) // ten, when they are left to lie
    })

    it('has no rings when nobody asked for them, or its entry offers nothing to ask', async () => {
      expect((await spawn(entry('echo'))).ask).to.equal(undefined)
      expect((await spawn(entry('misbehave'), { ringBytes: 4_096 })).ask).to.equal(undefined)
    })
  })

  describe('an entry that does not load', () => {
    for (const [name, reason, said] of [
      ['throwsAtTop', 'error', 'broken at the top'],
      ['exitsBeforeExpose', 'exit', 'exited with code 0'],
    ] as const) {
      it(`rejects at once, not at the deadline (${name})`, async () => {
        const fault = await atOnce(faultOf(spawn(entry(name), { deadlineMs: 600_000 })))
        expect(fault.code).to.equal('WORKER_DIED')
        expect(fault.details).to.include({ reason })
        expect(fault.message).to.include(said)
      })
    }

    it('is given up at the deadline when it never says that it is ready', async () => {
      const clock = new VirtualClock()
      const spawned = faultOf(spawn(entry('neverExposes'), { deadlineMs: 500, clock }))
      clock.advance(500)
      const fault = await atOnce(spawned)
      expect(fault.code).to.equal('WORKER_DIED')
      expect(fault.details).to.include({ reason: 'deadline' })
      expect(fault.message).to.include('exposeEntry')
    })

    it('is stopped when the caller no longer wants it', async () => {
      const reason = new Error('no longer')
      const controller = new AbortController()
      const spawned = spawn(entry('neverExposes'), { signal: controller.signal })
      controller.abort(reason)
      expect(await atOnce(spawned.catch((error: unknown) => error))).to.equal(reason)
      const early = spawn(entry('neverExposes'), { signal: controller.signal })
      expect(await early.catch((error: unknown) => error)).to.equal(reason)
    })

    it('is refused with a sentence when there is no such file, or its path is relative', async () => {
      const missing = await faultOf(spawn(entry('nowhere')))
      expect(missing).to.include({ code: 'OPTION_INVALID' })
      expect(missing.message).to.include('nowhere')
      const relative = await faultOf(spawn('./entries/misbehave'))
      expect(relative).to.include({ code: 'OPTION_INVALID' })
      expect(relative.message).to.include('path.join(__dirname')
    })

    it('is refused when memory limits or data make no sense', async () => {
      expect(await faultOf(spawn(entry('misbehave'), { workerData: () => undefined }))).to.include({
        code: 'WORKER_DIED',
      })
      expect(await faultOf(spawn(entry('misbehave'), { deadlineMs: 0 }))).to.include({ code: 'OPTION_INVALID' })
    })
  })

  it('finds entries by path with or without extension, by address, TypeScript or compiled', async () => {
    for (const location of [
      source('misbehave'),
      source('misbehave.ts'),
      pathToFileURL(source('misbehave.ts')),
      pathToFileURL(source('misbehave.ts')).href,
    ]) {
      const worker = await spawn(location)
      expect(await worker.call('echo', [1])).to.equal(1)
    }
    const compiled = await spawn<{ run: (batch: unknown[]) => unknown[] }>(entry('echo'))
    expect(await compiled.call('run', [[1]])).to.deep.equal([1, []])
  })

  it('leaves SIGINT and SIGTERM to the process, keeps its own handlers, and holds nothing when workers are gone', async () => {
    const script = `
      const mine = () => {}
      process.on('SIGINT', mine)
      const { spawnWorker } = require('./src/workers/spawn')
      const started = Date.now()
      const spawn = (name) => spawnWorker(${JSON.stringify(path.join(__dirname, 'entries'))} + '/' + name, { deadlineMs: 600_000 })
      spawn('misbehave').then((worker) => worker.terminate())
        .then(() => spawn('exitsBeforeExpose')).catch((fault) => fault.code)
        .then((code) => console.log(JSON.stringify({ code, sigint: process.listeners('SIGINT').length, mine: process.listeners('SIGINT')[0] === mine, sigterm: process.listenerCount('SIGTERM') })))
    `
    const run = promisify(execFile)
    const root = path.resolve(__dirname, '../..')
    const started = performance.now()
    const { stdout } = await run(process.execPath, ['-r', 'ts-node/register/transpile-only', '-e', script], {
      cwd: root,
    })
    expect(JSON.parse(stdout)).to.deep.equal({ code: 'WORKER_DIED', sigint: 1, mine: true, sigterm: 0 })
    expect(performance.now() - started).to.be.below(300_000) // a forgotten timer would have kept it for ten minutes
  })
})
