/**
 * A spill and the edge behind it, as one list: on ten thousand random schedules each, with a disk that answers when the
 * schedule says so, fails when it says so, and before an edge that takes values when it says so.
 */
import { expect } from 'chai'
import { Dispatcher } from '../../src/actors/dispatcher'
import { Edge } from '../../src/actors/edge'
import { balances, type Ledger } from '../../src/actors/ledger'
import { VirtualClock } from '../../src/clock/virtualClock'
import { combinedLedger, Spill, type SpillFiles } from '../../src/pipeline/spill'
import { MissingList, Schedule } from '../kit/schedule'

const SCHEDULES = 10_000
const STEPS = 50

type Value = readonly number[] | string

/** A disk in memory whose calls are settled one after another, by hand. Promises that need no loop: it is synchronous. */
class FakeDisk implements SpillFiles {
  readonly files = new Map<string, string>()
  readonly calls: (() => void)[] = []
  bytesMost = 0
  failing = false
  gone = false

  write(name: string, text: string): Promise<void> {
    return this.call(() => {
      if (this.files.has(name)) throw new Error(`${name} is there already`)
      this.files.set(name, text)
      this.bytesMost = Math.max(this.bytesMost, this.bytes)
    })
  }

  read(name: string, bytes: number): Promise<string> {
    return this.call(() => {
      const text = this.files.get(name)
      if (text?.length !== bytes) throw Object.assign(new Error('gone'), { code: 'ENOENT' })
      return text
    })
  }

  remove(name: string): Promise<void> {
    return this.call(() => {
      if (!this.files.delete(name)) throw Object.assign(new Error('gone'), { code: 'ENOENT' })
    })
  }

  removeAll(): Promise<void> {
    this.files.clear()
    return Promise.resolve()
  }

  locationOf(name: string): string {
    return `/spill/${name}`
  }

  get bytes(): number {
    return [...this.files.values()].reduce((sum, text) => sum + text.length, 0)
  }

  private call<R>(act: () => R): Promise<R> {
    return new Promise((resolve, reject) => {
      this.calls.push(() => {
        try {
          if (this.failing) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
          resolve(act())
        } catch (thrown) {
          reject(thrown instanceof Error ? thrown : new Error(String(thrown)))
        }
      })
    })
  }
}

const missingOf = (): MissingList<number, Value> =>
  new MissingList<number, Value>(
    (value) => (typeof value === 'string' ? [] : value),
    (missing) => `missing ${missing.toSorted((one, other) => one - other).join(' ')}`,
  )

class Bench {
  readonly delivered: Value[] = []
  readonly asked: string[] = []
  readonly faults: string[] = []
  readonly disk = new FakeDisk()
  readonly spill: Spill<Value>
  readonly edge: Edge<Value>
  private readonly deferred: (() => void)[] = []
  private nowMs = 0

  constructor(capacity: number, bytesMax: number, segmentBytes: number) {
    const dispatcher = new Dispatcher({
      clock: new VirtualClock(),
      budgetMs: 8,
      nowMs: () => this.nowMs,
      defer: (callback) => this.deferred.push(callback),
      onBroken: (thrown) => {
        throw thrown
      },
    })
    this.spill = new Spill<Value>({
      name: 'The edge to test/stage',
      bytesMax,
      segmentBytes,
      memoryMax: 4 * segmentBytes,
      overrunMax: 6,
      files: this.disk,
      to: {
        offer: (timeUs, value) => this.edge.offer(timeUs, value),
        skipped: (account) => this.edge.skipped(account),
      },
      pressure: { pause: () => this.asked.push('pause'), resume: () => this.asked.push('resume') },
      onFault: (fault) => this.faults.push(fault.message),
      receipts: missingOf(),
    })
    this.edge = new Edge<Value>({ capacity, onFull: { spill: 'x', bytesMax } }, dispatcher, {
      name: 'The edge to test/stage',
      deliver: (value) => {
        this.delivered.push(value)
        this.nowMs += 100
        return undefined
      },
      fault: (fault) => this.faults.push(fault.message),
      fail: (fault) => this.faults.push(fault.message),
      pressure: this.spill,
      receipts: missingOf(),
    })
  }

  get ledger(): Ledger {
    return combinedLedger(this.spill.ledger, this.edge.ledger)
  }

  turn(): void {
    for (const callback of this.deferred.splice(0)) callback()
  }

  get isIdle(): boolean {
    return this.deferred.length === 0 && this.disk.calls.length === 0
  }
}

/** Lets promises go on; a schedule has some of these between its steps. */
async function settle(): Promise<void> {
  for (let tick = 0; tick < 6; tick++) await Promise.resolve()
}

async function run(schedule: Schedule, faulty: boolean): Promise<void> {
  const capacity = 1 + schedule.below(6)
  const segmentBytes = schedule.pick([1, 30, 100])
  const bytesMax = schedule.pick([40, 200, 1_000])
  const bench = new Bench(capacity, bytesMax, segmentBytes)
  const { disk, spill, edge } = bench
  const offered: number[] = []
  let paused = false
  let n = 0
  for (let step = 0; step < STEPS; step++) {
    const dice = schedule.below(100)
    // A source that was paused goes on for a while.
    if (dice < 55 && (!paused || schedule.below(3) === 0)) {
      const values = Array.from({ length: 1 + schedule.below(3) }, () => n++)
      offered.push(...values)
      spill.offer(schedule.below(2) === 0 ? undefined : step, values)
    } else if (dice < 80) bench.turn()
    else if (dice < 98) {
      disk.calls.shift()?.()
      await settle()
    } else if (faulty) {
      if (schedule.below(2) === 0) disk.failing = !disk.failing
      else disk.files.clear()
    }
    paused = bench.asked.at(-1) === 'pause'
    if (!balances(bench.ledger)) expect.fail('the ledger does not balance')
    if (edge.ledger.in !== spill.ledger.out) expect.fail('what left the spill did not come to the edge')
    if (disk.bytes > bytesMax) expect.fail(`${disk.bytes} bytes are on disk`)
  }
  disk.failing = false
  const closes = schedule.below(10) === 0
  if (closes) void spill.close()
  for (let round = 0; round < 1_000 && (!bench.isIdle || spill.ledger.inFlight > 0); round++) {
    bench.turn()
    disk.calls.shift()?.()
    await settle()
  }
  const { ledger } = bench
  const told = bench.delivered.flatMap((value) =>
    typeof value === 'string' ? value.split(' ').slice(1).map(Number) : value,
  )
  const passed = bench.delivered.flatMap((value) => (typeof value === 'string' ? [] : value))
  expect(ledger.in, 'in').to.equal(offered.length)
  expect(ledger.inFlight, 'in flight').to.equal(0)
  expect(ledger.out, 'out').to.equal(passed.length)
  if (!faulty && !closes) expect(disk.files.size, 'files').to.equal(0)
  // Delivered and told, in order, is exactly what was offered: nothing is lost, twice, late, or told in another place.
  if (!closes) {
    expect(told).to.deep.equal(offered)
    expect(bench.asked.length % 2, 'the source goes on').to.equal(0)
    await spill.settled()
  } else expect(passed).to.deep.equal(passed.toSorted((one, other) => one - other))
  const { overrun = 0, failed = 0, stopped = 0, ...others } = ledger.dropped
  expect(others).to.deep.equal({})
  expect(overrun + failed).to.equal(spill.receipts.values)
  if (!faulty) expect([failed, bench.faults]).to.deep.equal([0, []])
  if (!closes) expect(stopped).to.equal(0)
  await spill.close()
  expect(disk.files.size, 'files at the end').to.equal(0)
}

describe('Spill, as one list', () => {
  for (const [name, faulty] of [
    ['a disk that works', false],
    ['a disk that fails, fills up, and loses files', true],
  ] as const) {
    it(`on ${SCHEDULES} random schedules: ${name}`, async () => {
      for (let seed = 0; seed < SCHEDULES; seed++) {
        try {
          await run(new Schedule(seed), faulty)
        } catch (thrown) {
          const error = thrown as Error
          error.message = `with the schedule of seed ${seed}: ${error.message}`
          throw error
        }
      }
    }).timeout(60_000)
  }
})
