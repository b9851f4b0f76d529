/**
 * Each policy of a mailbox against the plainest list that could be meant by it, on ten thousand random schedules each: batches
 * of any weight, turns of the loop, stages that fail, throw and restart, values offered while one is delivered, closing.
 */
import { expect } from 'chai'
import { Dispatcher } from '../../src/actors/dispatcher'
import { Edge } from '../../src/actors/edge'
import { balances, type DropReason } from '../../src/actors/ledger'
import { conflationOf, type Conflation, type OnFull } from '../../src/actors/overflow'
import { VirtualClock } from '../../src/clock/virtualClock'
import { conflateBatches } from '../../src/pipeline/marketEdge'
import { MissingList, schedules, type Schedule } from '../kit/schedule'

const SCHEDULES = 10_000
const STEPS = 30
const OVERRUN_MAX = 12

interface Row {
  readonly key: number
  readonly n: number
  /** How many rows it was merged of. */
  readonly of: number
}
type Value = readonly Row[] | string
type Stage = 'well' | 'fails' | 'throws' | 'restarts'

interface Account {
  readonly received: number
  readonly out: number
  readonly dropped: Partial<Record<DropReason, number>>
  /** Of what was dropped, what a receipt may tell of. */
  readonly tellable: number
}

/** What happened, as texts: the same for the edge and for its model. */
abstract class Story {
  readonly delivered: string[] = []
  readonly asked: string[] = []
  stage: Stage = 'well'
  /** Offered by the stage while it takes the next value. */
  echo: readonly Row[] | undefined
  faults = 0
  failures = 0

  abstract offer(rows: readonly Row[]): void
  abstract turn(): void
  abstract close(): void
  abstract readonly inFlight: number
  abstract readonly highWater: number
  /** Without what is in flight. */
  abstract readonly account: Account

  protected taken(value: Value): DropReason | undefined {
    const text = typeof value === 'string' ? value : value.map(({ key, n, of }) => `${key}:${n}x${of}`).join(' ')
    this.delivered.push(`${this.stage} ${text}`)
    const { echo } = this
    if (echo !== undefined && typeof value !== 'string') {
      this.echo = undefined
      this.offer(echo)
    }
    if (this.stage === 'restarts') return 'restarting'
    return this.stage === 'well' ? undefined : 'failed'
  }
}

class Bench extends Story {
  private readonly edge: Edge<Value>
  private readonly deferred: (() => void)[] = []
  private nowMs = 0

  constructor(capacity: number, onFull: OnFull) {
    super()
    const dispatcher = new Dispatcher({
      clock: new VirtualClock(),
      budgetMs: 8,
      nowMs: () => this.nowMs,
      defer: (callback) => this.deferred.push(callback),
      onBroken: (thrown) => {
        throw thrown
      },
    })
    this.edge = new Edge<Value>({ capacity, onFull }, dispatcher, {
      name: 'The edge to test/stage',
      deliver: (value) => {
        this.nowMs += 100
        const throws = this.stage === 'throws'
        const reason = this.taken(value)
        if (throws) throw new Error('not this one')
        return reason
      },
      fault: () => this.faults++,
      fail: () => this.failures++,
      pressure: { pause: () => this.asked.push('pause'), resume: () => this.asked.push('resume') },
      conflate: conflateBatches(onFull) as ((values: readonly Value[]) => readonly Value[]) | undefined,
      receipts: new MissingList<number, Value>(numbersOf, receiptOf),
      overrunMax: OVERRUN_MAX,
    })
  }

  get inFlight(): number {
    return this.edge.ledger.inFlight
  }

  get highWater(): number {
    return this.edge.highWater
  }

  get account(): Account {
    const { in: received, out, dropped } = this.edge.ledger
    if (!balances(this.edge.ledger)) expect.fail('the ledger does not balance')
    return { received, out, dropped, tellable: this.edge.receipts.values }
  }

  offer(rows: readonly Row[]): void {
    this.edge.offer(undefined, rows)
  }

  turn(): void {
    for (const callback of this.deferred.splice(0)) callback()
  }

  close(): void {
    this.edge.close('stopped')
  }
}

/** One place in the line: a batch that waits, or what is left of one that is missing there. */
interface Place {
  rows: readonly Row[]
  state: 'waits' | 'is delivered' | 'missing' | 'missing behind' | 'gone'
}

/** The model. What is missing stays in the line, in its place, until it is told. */
class Model extends Story {
  highWater = 0
  private line: Place[] = []
  /** What the dispatcher has in line, withdrawn or not. */
  private posted: Place[] = []
  private readonly dropped: Partial<Record<DropReason, number>> = {}
  private received = 0
  private out = 0
  private told = 0
  private held: string | undefined
  private paused = false
  private overrun = 0
  private closed = false
  private sampling = false
  private sinceSample = 0
  private mergeAgainAfter = 0
  private isTurnSpent = false
  private isRunning = false

  constructor(
    private readonly capacity: number,
    private readonly onFull: OnFull,
  ) {
    super()
  }

  get inFlight(): number {
    let sum = 0
    for (const { rows, state } of this.line) if (state === 'waits' || state === 'is delivered') sum += rows.length
    return sum
  }

  get account(): Account {
    return { received: this.received, out: this.out, dropped: this.dropped, tellable: this.told }
  }

  private get waiting(): Place[] {
    return this.line.filter(({ state }) => state === 'waits')
  }

  offer(rows: readonly Row[]): void {
    const { capacity, onFull } = this
    const held = this.inFlight
    this.received += rows.length
    this.mergeAgainAfter -= rows.length
    if (this.closed) return this.count('closed', rows)
    if (rows.length === 0) {
      if (this.waiting.length < capacity) this.accept(rows)
      return
    }
    if (held <= capacity / 2) this.sampling = false
    if (!this.sampling && (held === 0 || held + rows.length <= capacity)) return this.accept(rows)
    if (onFull === 'block') {
      const keeps = held < capacity || this.overrun + rows.length <= OVERRUN_MAX
      return keeps ? this.accept(rows) : this.turnAway('overrun', rows)
    }
    if (onFull === 'dropNewest') return this.turnAway('dropNewest', rows)
    if (onFull === 'dropOldest') {
      this.giveUp('dropOldest', rows.length)
      return this.accept(rows)
    }
    if (onFull === 'keepLatest') {
      for (const place of this.waiting) this.lose(place, 'keepLatest')
      return this.accept(rows)
    }
    if (onFull === 'fail') {
      this.count('fail', rows)
      this.close()
      this.failures++
      return
    }
    if ('sample' in onFull) {
      this.sampling = true
      this.sinceSample = (this.sinceSample + 1) % onFull.sample
      if (this.sinceSample !== 0) return this.turnAway('sampled', rows)
      this.giveUp('sampled', rows.length)
      return this.accept(rows)
    }
    if (this.merge(rows, conflationOf(onFull)!)) return
    this.giveUp('dropOldest', rows.length)
    this.accept(rows)
  }

  turn(): void {
    this.isTurnSpent = false
    for (let place = this.posted.shift(); place !== undefined; place = this.posted.shift()) {
      if (place.state !== 'waits') continue
      this.process(place)
      return
    }
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    for (const place of this.waiting) {
      this.count('stopped', place.rows)
      place.state = 'gone'
    }
    this.line = this.line.filter(({ state }) => state === 'is delivered')
    this.held = undefined
    this.relax(true)
  }

  private accept(rows: readonly Row[]): void {
    const place: Place = { rows, state: 'waits' }
    this.line.push(place)
    this.highWater = Math.max(this.highWater, this.inFlight)
    if (this.paused) this.overrun += rows.length
    if (this.posted.length === 0 && !this.isTurnSpent && !this.isRunning) return this.process(place)
    this.posted.push(place)
    if (this.onFull === 'block' && this.inFlight >= this.capacity && !this.paused) {
      this.paused = true
      this.overrun = 0
      this.asked.push('pause')
    }
  }

  private process(place: Place): void {
    this.isRunning = true
    place.state = 'is delivered'
    const before = this.line.slice(0, this.line.indexOf(place))
    for (const each of before) each.state = 'missing'
    const reason = this.tell(before) ?? this.attempt(place.rows)
    if (reason === undefined) {
      this.out += place.rows.length
      this.line.splice(this.line.indexOf(place), 1)
    } else this.lose(place, reason)
    if (this.waiting.length === 0 && this.line.some(({ state }) => state === 'missing behind')) this.tell(this.line)
    this.relax(this.inFlight <= this.capacity / 2)
    this.isRunning = false
  }

  private tell(missing: readonly Place[]): DropReason | undefined {
    for (;;) {
      let receipt = this.held
      if (receipt === undefined) {
        const told = this.line.filter((place) => missing.includes(place))
        if (told.length === 0) return undefined
        receipt = receiptOf(told.flatMap(({ rows }) => rows.map(({ n }) => n)))
        this.line = this.line.filter((place) => !told.includes(place))
      }
      this.held = undefined
      const reason = this.attempt(receipt)
      if (reason !== undefined && reason !== 'failed') {
        this.held = receipt
        return reason
      }
    }
  }

  private attempt(value: Value): DropReason | undefined {
    this.isTurnSpent = true
    if (this.stage === 'throws') this.faults++
    return this.taken(value)
  }

  private relax(may: boolean): void {
    if (!may || !this.paused) return
    this.paused = false
    this.overrun = 0
    this.asked.push('resume')
  }

  private giveUp(reason: DropReason, weight: number): void {
    for (const place of this.waiting) {
      if (this.inFlight + weight <= this.capacity) return
      this.lose(place, reason)
    }
  }

  private merge(rows: readonly Row[], { merge }: Conflation): boolean {
    const { waiting } = this
    if (this.mergeAgainAfter > 0 || waiting.length === 0) return false
    const all = [...waiting.flatMap((place) => place.rows), ...rows]
    const merged: Row[] = []
    for (const row of all) {
      const at = merged.findIndex(({ key }) => key === row.key)
      if (at < 0) merged.push(row)
      else merged[at] = merge === undefined ? row : (merge(merged[at]!, row) as Row)
    }
    const saved = all.length - merged.length
    if (this.inFlight + rows.length - saved > this.capacity) {
      this.mergeAgainAfter = this.capacity / 4
      return false
    }
    waiting[0]!.rows = merged
    for (const place of waiting.slice(1)) place.state = 'gone'
    this.line = this.line.filter(({ state }) => state !== 'gone')
    if (saved > 0) this.dropped.conflated = (this.dropped.conflated ?? 0) + saved
    return true
  }

  private turnAway(reason: DropReason, rows: readonly Row[]): void {
    this.count(reason, rows)
    this.told += rows.length
    this.line.push({ rows, state: 'missing behind' })
  }

  private lose(place: Place, reason: DropReason): void {
    this.count(reason, place.rows)
    for (const before of this.line.slice(0, this.line.indexOf(place))) {
      if (before.state === 'missing behind') before.state = 'missing'
    }
    const isTold = place.rows.length > 0 && !this.closed
    place.state = isTold ? 'missing' : 'gone'
    if (isTold) this.told += place.rows.length
    else this.line.splice(this.line.indexOf(place), 1)
  }

  private count(reason: DropReason, { length }: readonly Row[]): void {
    if (length > 0) this.dropped[reason] = (this.dropped[reason] ?? 0) + length
  }
}

function numbersOf(value: Value): number[] {
  return typeof value === 'string' ? [] : value.map(({ n }) => n)
}

function receiptOf(missing: readonly number[]): string {
  return `missing ${missing.toSorted((a, b) => a - b).join(' ')}`
}

function isSame(one: Account, other: Account): boolean {
  for (const reason in one.dropped) {
    if (one.dropped[reason as DropReason] !== other.dropped[reason as DropReason]) return false
  }
  for (const reason in other.dropped) if (!(reason in one.dropped)) return false
  return one.received === other.received && one.out === other.out && one.tellable === other.tellable
}

const sum = (older: unknown, newer: unknown): Row => {
  const [before, after] = [older as Row, newer as Row]
  return { key: after.key, n: after.n, of: before.of + after.of }
}

const POLICIES: Readonly<Record<string, OnFull>> = {
  block: 'block',
  'block, by the name of a spill': { spill: 'x', bytesMax: 1 },
  dropOldest: 'dropOldest',
  dropNewest: 'dropNewest',
  keepLatest: 'keepLatest',
  fail: 'fail',
  conflate: { conflate: 'key' },
  'conflate with a merge': { conflate: (row) => (row as Row).key, merge: sum },
  'sample one of two': { sample: 2 },
  'sample one of five': { sample: 5 },
}

describe('Edge, as its model', () => {
  for (const [name, onFull] of Object.entries(POLICIES)) {
    it(`on ${SCHEDULES} random schedules: ${name}`, () => {
      schedules(SCHEDULES, (schedule) => compare(schedule, onFull))
    }).timeout(60_000)
  }
})

function compare(schedule: Schedule, onFull: OnFull): void {
  const capacity = 1 + schedule.below(10)
  const bench = new Bench(capacity, onFull)
  const model = new Model(capacity, typeof onFull === 'object' && 'spill' in onFull ? 'block' : onFull)
  let n = 0
  const rows = (): Row[] =>
    Array.from({ length: schedule.below(5) }, () => ({ key: schedule.below(4 + capacity), n: n++, of: 1 }))
  const stages: Stage[] = ['well', 'well', 'fails', 'throws', 'restarts']
  const calm = schedule.below(2) === 0
  for (let step = 0; step < STEPS; step++) {
    const dice = schedule.below(100)
    if (dice < 55) {
      const batch = rows()
      bench.offer(batch)
      model.offer(batch)
    } else if (dice < 85 || calm) {
      bench.turn()
      model.turn()
    } else if (dice < 93) bench.stage = model.stage = schedule.pick(stages)
    else if (dice < 99) bench.echo = model.echo = rows()
    else {
      bench.close()
      model.close()
    }
    agree(bench, model)
  }
  bench.stage = model.stage = 'well'
  for (let turn = 0; turn < 200 && model.inFlight > 0; turn++) {
    bench.turn()
    model.turn()
  }
  agree(bench, model)
  expect(model.inFlight).to.equal(0)
  expect(bench.delivered).to.deep.equal(model.delivered)
}

function agree(bench: Bench, model: Model): void {
  if (bench.inFlight !== model.inFlight) expect.fail(`${bench.inFlight} in flight, and not ${model.inFlight}`)
  if (bench.delivered.length !== model.delivered.length || bench.delivered.at(-1) !== model.delivered.at(-1)) {
    expect(bench.delivered).to.deep.equal(model.delivered)
  }
  const [account, expected] = [bench.account, model.account]
  if (!isSame(account, expected)) expect(account).to.deep.equal(expected)
  if (bench.asked.length !== model.asked.length) expect(bench.asked).to.deep.equal(model.asked)
  if (bench.highWater !== model.highWater) expect(bench.highWater).to.equal(model.highWater)
  if (bench.faults !== model.faults) expect(bench.faults).to.equal(model.faults)
  if (bench.failures !== model.failures) expect(bench.failures).to.equal(model.failures)
}
