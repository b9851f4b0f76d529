import { expect } from 'chai'
import fc from 'fast-check'
import { VirtualClock } from '../../src/clock/virtualClock'
import { EventTime, EventTimeInput } from '../../src/operators/eventTime'

interface Row {
  readonly source: string
  readonly exchangeTimeUs: number
  readonly receiveTimeUs: number
}

const START_US = 1_700_000_000_000_000
const IDLE_US = 50
const BOUND_US = 5
const SOURCES_MAX = 4

/** The watermark as the head of `eventTime.ts` tells it: worked out anew from all sources each time something happens. */
class Plain {
  watermarkUs = -Infinity
  private marks: { readonly of: number; readonly source: string; us: number; heardUs: number }[] = []
  private lookedUs = -Infinity
  private latestUs = -Infinity
  private byEventsAlone = false

  constructor(private readonly clock: VirtualClock) {}

  receive(of: number, rows: readonly Row[]): void {
    this.look()
    for (const { receiveTimeUs } of rows) {
      if (receiveTimeUs === this.latestUs) continue // whether it is of another time than the clock has been seen
      this.latestUs = Math.max(this.latestUs, receiveTimeUs)
      this.byEventsAlone = this.clock.nowUs() - receiveTimeUs > 60_000_000
    }
    this.look()
    for (const { source, exchangeTimeUs } of rows) {
      let mark = this.marks.find((each) => each.of === of && each.source === source)
      if (mark === undefined) {
        if (this.marks.length >= SOURCES_MAX) this.forgetMostSilent()
        mark = { of, source, us: -Infinity, heardUs: 0 }
        this.marks.push(mark)
      }
      mark.us = Math.max(mark.us, exchangeTimeUs - BOUND_US)
      mark.heardUs = this.nowUs
    }
    this.look()
  }

  end(of: number): void {
    this.marks = this.marks.filter((mark) => mark.of !== of)
    this.look()
  }

  private get nowUs(): number {
    return this.byEventsAlone ? this.latestUs : Math.max(this.latestUs, this.clock.nowUs())
  }

  /** Each source that has become idle since may have let the watermark go on when it did. */
  private look(): void {
    const { nowUs } = this
    const times = this.marks.map(({ heardUs }) => heardUs + IDLE_US)
    for (const timeUs of [...times.filter((timeUs) => timeUs > this.lookedUs && timeUs < nowUs), nowUs]) {
      this.watermarkUs = Math.max(this.watermarkUs, this.at(timeUs))
    }
    this.lookedUs = nowUs
  }

  private at(timeUs: number): number {
    const active = this.marks.filter(({ heardUs }) => timeUs < heardUs + IDLE_US)
    if (active.length > 0) return Math.min(...active.map(({ us }) => us))
    if (this.marks.length === 0) return -Infinity
    return Math.min(...this.marks.map(({ us, heardUs }) => us + timeUs - heardUs - IDLE_US))
  }

  private forgetMostSilent(): void {
    const heardUs = Math.min(...this.marks.map((mark) => mark.heardUs))
    this.marks.splice(
      this.marks.findIndex((mark) => mark.heardUs === heardUs),
      1,
    )
  }
}

/** Holds nothing, so that the watermark moves with batches alone. */
function timeOf(clock: VirtualClock): EventTime<Row> {
  const time: EventTime<Row> = new EventTime<Row>(
    { idleMs: IDLE_US / 1_000, sourcesMax: SOURCES_MAX, onFull: 'hurry', clock },
    { operator: 'test', inOrder: false },
    {
      release: (timed) => time.pass(timed),
      advanced: () => undefined,
      nextUs: () => Infinity,
      held: () => 0,
      settled: () => undefined,
      failed: (error) => {
        throw error
      },
      isOver: () => false,
    },
  )
  return time
}

describe('EventTime', () => {
  const row = fc.record({ source: fc.constantFrom('a', 'b', 'c'), behindUs: fc.nat(80) })
  const batch = fc.record({
    input: fc.nat(1),
    rows: fc.array(row, { maxLength: 3 }),
    // Some are received far before the clock, as those of a recording.
    stampBehindUs: fc.oneof(
      { weight: 12, arbitrary: fc.constant(0) },
      { weight: 3, arbitrary: fc.nat(40) },
      fc.constant(61_000_000),
    ),
  })
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ waitUs: fc.nat(70) }) },
    { weight: 9, arbitrary: batch },
    { weight: 1, arbitrary: fc.record({ ends: fc.nat(1) }) },
  )

  it('has at every moment the watermark that looking at all sources anew would give', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const clock = new VirtualClock(START_US)
        const plain = new Plain(clock)
        const time = timeOf(clock)
        const inputs = [0, 1].map(
          (rank) => new EventTimeInput<Row>({ outOfOrderMs: BOUND_US / 1_000, source: ({ source }) => source }, rank),
        )
        for (const input of inputs) time.addInput(input, false)
        time.begin()
        const ended = new Set<number>()
        for (const each of steps) {
          if ('waitUs' in each) clock.advance(each.waitUs / 1_000)
          else if ('ends' in each) {
            // With the last of them the time is over.
            if (ended.size > 0 || ended.has(each.ends)) continue
            ended.add(each.ends)
            time.end(inputs[each.ends]!)
            plain.end(each.ends)
          } else if (!ended.has(each.input)) {
            const receiveTimeUs = clock.nowUs() - each.stampBehindUs
            const rows = each.rows.map(({ source, behindUs }) => ({
              source,
              receiveTimeUs,
              exchangeTimeUs: receiveTimeUs - behindUs,
            }))
            time.receive(inputs[each.input]!, rows)
            plain.receive(each.input, rows)
          }
          expect(time.watermarkUs).to.equal(plain.watermarkUs)
        }
        time.cancel()
      }),
      { numRuns: 2_000 },
    )
  })

  it('moves the watermark between rows of a batch only when a source has become idle between them', () => {
    const clock = new VirtualClock(START_US)
    const time = timeOf(clock)
    const input = new EventTimeInput<Row>({ outOfOrderMs: 0, source: ({ source }) => source })
    time.addInput(input, false)
    time.begin()
    const at = (us: number, happenedUs = us): Row => ({
      source: 'a',
      exchangeTimeUs: START_US + happenedUs,
      receiveTimeUs: START_US + us,
    })
    time.receive(input, [at(0)])
    time.receive(input, [at(40, 0)])
    // It would have become idle at 50, had it not been heard at 40.
    time.receive(input, [at(45), at(55, 44)])
    expect(input.ledger).to.include({ out: 4, late: 0 })
    time.receive(input, [at(60), at(130, 59)])
    expect(input.ledger).to.include({ out: 5, late: 1 })
    time.cancel()
  })
})
