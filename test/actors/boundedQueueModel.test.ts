/**
 * Each policy of a queue against the plainest list that could be meant by it, on ten thousand random schedules each: values and
 * batches that come, batches that are taken and partly lost again, clearing.
 */
import { expect } from 'chai'
import { BoundedQueue } from '../../src/actors/boundedQueue'
import { balances, drop, emptyLedger, pass, type DropReason } from '../../src/actors/ledger'
import { conflateKey, conflationOf, type OnFull } from '../../src/actors/overflow'
import { MissingList, schedules, type Schedule } from '../kit/schedule'

const SCHEDULES = 10_000
const STEPS = 40

interface Row {
  readonly key: number
  readonly n: number
  readonly of: number
}

interface Place {
  row: Row
  state: 'waits' | 'missing'
}

/** The model. What is missing stays in the line, in its place, until it is told. */
class Model {
  asked: string[] = []
  dropped: Partial<Record<DropReason, number>> = {}
  received = 0
  highWater = 0
  tellable = 0
  private line: Place[] = []
  private told: Row[] = []
  private paused = false
  private conflating = false
  private sampling = false
  private sinceSample = 0

  constructor(
    private readonly capacity: number,
    private readonly onFull: OnFull<Row>,
  ) {}

  get size(): number {
    let size = 0
    for (const { state } of this.line) if (state === 'waits') size++
    return size
  }

  get isEmpty(): boolean {
    return this.line.length === 0 && this.told.length === 0
  }

  boundFor(values: number): number {
    const { capacity, size } = this
    if (this.onFull !== 'block') return capacity
    return size < capacity ? Math.max(2 * capacity, size + values) : 2 * capacity
  }

  add(row: Row, bound: number): boolean {
    const kept = this.put(row, bound)
    this.highWater = Math.max(this.highWater, this.size)
    return kept
  }

  takeReceipts(max: number): Row[] {
    const until = this.line.findIndex(({ state }) => state === 'waits')
    const missing = this.line.splice(0, until < 0 ? this.line.length : until)
    if (this.told.length === 0) {
      this.told = inOrder(missing.map(({ row }) => row))
    } else this.line.unshift(...missing)
    const taken = this.told.splice(0, max)
    // The next run that is to be told here follows at once.
    return taken.length < max && taken.length > 0 ? [...taken, ...this.takeReceipts(max - taken.length)] : taken
  }

  take(max: number): Row[] {
    const first = this.line.findIndex(({ state }) => state === 'waits')
    const taken: Row[] = []
    while (first >= 0 && taken.length < max && this.line[first]?.state === 'waits') {
      taken.push(this.line.splice(first, 1)[0]!.row)
    }
    if (this.size === 0) this.conflating = false
    if (this.size <= this.capacity / 2 && this.paused) {
      this.paused = false
      this.asked.push('resume')
    }
    return taken
  }

  /** Rows that were taken: before all that is in the line. */
  lose(rows: readonly Row[]): void {
    const first = this.line.findIndex(({ state }) => state === 'waits')
    this.line.splice(
      first < 0 ? this.line.length : first,
      0,
      ...rows.map((row) => ({ row, state: 'missing' as const })),
    )
    this.tellable += rows.length
  }

  clear(): void {
    this.count('stopped', this.size)
    this.line = []
    this.told = []
    this.conflating = false
    if (this.paused) this.asked.push('resume')
    this.paused = false
  }

  private put(row: Row, bound: number): boolean {
    const { onFull, capacity } = this
    this.received++
    if (this.conflating) {
      this.conflate(row)
      return true
    }
    if (this.size <= capacity / 2) this.sampling = false
    if (this.size < bound && !this.sampling) {
      this.append(row)
      if (onFull === 'block' && this.size >= capacity && !this.paused) {
        this.paused = true
        this.asked.push('pause')
      }
      return true
    }
    if (onFull === 'block' || onFull === 'fail') {
      this.count(onFull === 'block' ? 'overrun' : 'fail', 1)
      return false
    }
    if (onFull === 'dropNewest') this.turnAway('dropNewest', row)
    else if (onFull === 'dropOldest') {
      this.giveUpFirst('dropOldest')
      this.append(row)
    } else if (onFull === 'keepLatest') {
      while (this.size > 0) this.giveUpFirst('keepLatest')
      this.append(row)
    } else if ('sample' in onFull) {
      this.sampling = true
      this.sinceSample = (this.sinceSample + 1) % onFull.sample
      if (this.sinceSample !== 0) this.turnAway('sampled', row)
      else {
        if (this.size >= capacity) this.giveUpFirst('sampled')
        this.append(row)
      }
    } else {
      this.conflating = true
      const waiting = this.line.filter(({ state }) => state === 'waits')
      this.line = this.line.filter(({ state }) => state === 'missing')
      for (const place of waiting) this.conflate(place.row)
      this.conflate(row)
    }
    return true
  }

  private conflate(row: Row): void {
    const { conflate, merge } = conflationOf(this.onFull)!
    const same = this.line.find(
      (place) => place.state === 'waits' && conflateKey(conflate, place.row) === conflateKey(conflate, row),
    )
    if (same !== undefined) {
      same.row = merge === undefined ? row : (merge(same.row, row) as Row)
      this.count('conflated', 1)
      return
    }
    if (this.size >= this.capacity) this.giveUpFirst('dropOldest')
    this.append(row)
  }

  private append(row: Row): void {
    this.line.push({ row, state: 'waits' })
  }

  private turnAway(reason: DropReason, row: Row): void {
    this.count(reason, 1)
    this.tellable++
    this.line.push({ row, state: 'missing' })
  }

  private giveUpFirst(reason: DropReason): void {
    const first = this.line.find(({ state }) => state === 'waits')!
    first.state = 'missing'
    this.tellable++
    this.count(reason, 1)
  }

  private count(reason: DropReason, rows: number): void {
    if (rows > 0) this.dropped[reason] = (this.dropped[reason] ?? 0) + rows
  }
}

/** In which order a receipt names what is missing is its own business. */
function inOrder(rows: readonly Row[]): Row[] {
  return rows.toSorted((one, other) => one.n - other.n)
}

const byKey = (row: Row): number => row.key
const sum = (older: Row, newer: Row): Row => ({ key: newer.key, n: newer.n, of: older.of + newer.of })

const POLICIES: Readonly<Record<string, OnFull<Row>>> = {
  block: 'block',
  'block, by the name of a spill': { spill: 'x', bytesMax: 1 },
  dropOldest: 'dropOldest',
  dropNewest: 'dropNewest',
  keepLatest: 'keepLatest',
  fail: 'fail',
  conflate: { conflate: 'key' },
  'conflate with a merge': { conflate: byKey, merge: sum },
  'sample one of two': { sample: 2 },
  'sample one of five': { sample: 5 },
}

describe('BoundedQueue, as its model', () => {
  for (const [name, onFull] of Object.entries(POLICIES)) {
    it(`on ${SCHEDULES} random schedules: ${name}`, () => {
      schedules(SCHEDULES, (schedule) => compare(schedule, onFull))
    }).timeout(60_000)
  }
})

function compare(schedule: Schedule, onFull: OnFull<Row>): void {
  const capacity = 1 + schedule.below(20)
  const keys = schedule.pick([2, capacity, 3 * capacity])
  const ledger = emptyLedger()
  const asked: string[] = []
  const queue = new BoundedQueue<Row>({
    capacity,
    onFull,
    ledger,
    pressure: { pause: () => asked.push('pause'), resume: () => asked.push('resume') },
    receipts: new MissingList<Row, readonly Row[]>((dropped) => dropped, inOrder),
  })
  const model = new Model(capacity, typeof onFull === 'object' && 'spill' in onFull ? 'block' : onFull)
  let n = 0
  let out = 0
  const same = (one: readonly Row[], other: readonly Row[]): void => {
    const isSame =
      one.length === other.length && one.every((row, at) => row.n === other[at]!.n && row.of === other[at]!.of)
    if (!isSame) expect(one).to.deep.equal(other)
  }
  const take = (max: number, loses: boolean): void => {
    const receipts = queue.takeReceipts(max)
    same(receipts, model.takeReceipts(max))
    if (receipts.length > 0) return
    const taken = queue.take(max)
    same(taken, model.take(max))
    const lost = loses ? taken.slice(taken.length >> 1) : []
    pass(ledger, taken.length - lost.length)
    drop(ledger, 'rejected', lost.length)
    out += taken.length - lost.length
    queue.lose(lost, 'rejected')
    model.lose(lost)
    if (lost.length > 0) model.dropped.rejected = (model.dropped.rejected ?? 0) + lost.length
  }
  for (let step = 0; step < STEPS; step++) {
    const dice = schedule.below(100)
    if (dice < 70) {
      const values = 1 + schedule.below(4)
      const bound = queue.boundFor(values)
      if (bound !== model.boundFor(values)) expect(bound).to.equal(model.boundFor(values))
      for (let index = 0; index < values; index++) {
        const row = { key: schedule.below(keys), n: n++, of: 1 }
        if (queue.add(row, bound) !== model.add(row, bound)) expect.fail('one refused a row, the other took it')
      }
    } else if (dice < 95) take(1 + schedule.below(8), false)
    else if (dice < 99) take(1 + schedule.below(8), true)
    else {
      queue.clear('stopped')
      model.clear()
    }
    if (!balances(ledger)) expect.fail('the ledger does not balance')
    const isSame =
      queue.size === model.size &&
      ledger.inFlight === model.size &&
      ledger.in === model.received &&
      ledger.out === out &&
      (model.isEmpty || !queue.isEmpty) &&
      queue.highWater === model.highWater &&
      queue.receipts.values === model.tellable &&
      asked.length === model.asked.length
    if (!isSame) {
      const { size, highWater, isEmpty, tellable } = model
      expect({
        asked,
        size: queue.size,
        highWater: queue.highWater,
        isEmpty: queue.isEmpty,
        tellable: queue.receipts.values,
      }).to.deep.equal({ asked: model.asked, size, highWater, isEmpty, tellable })
    }
  }
  expect(ledger.dropped).to.deep.equal(model.dropped)
  expect(asked).to.deep.equal(model.asked)
  for (let round = 0; round < 500 && !queue.isEmpty; round++) take(1_000, false)
  expect([queue.isEmpty, model.isEmpty]).to.deep.equal([true, true])
}
