import { expect } from 'chai'
import fc from 'fast-check'
import { LATENCY_PARTS, LatencyBudget, type LatencyPart, type SinkLatency } from '../../src/metrics/latencyBudget'

const FIRST_US = 1_760_000_000_000_000

describe('The latency budget', () => {
  it('divides the way of a frame at the moments at which it is seen', () => {
    const { budget, at } = made()
    const sink = budget.sink()
    at(100)
    at(130)
    budget.decoded(FIRST_US + 100, [{ exchangeTimeUs: FIRST_US + 40 }])
    at(180)
    sink.came([{ receiveTimeUs: FIRST_US + 100 }])
    at(1_180)
    sink.written([{ receiveTimeUs: FIRST_US + 100 }])
    expect(maxima(budget)).to.deep.equal({
      exchangeToReceive: 60,
      receiveToDecode: 30,
      decodeToOperator: 50,
      operatorToSink: 1_000,
      receiveToSink: 1_080,
      exchangeToSink: 1_140,
    })
  })

  it('adds up to the whole, whatever the clocks say', () => {
    const step = fc.integer({ min: -500, max: 5_000 })
    fc.assert(
      fc.property(fc.array(fc.tuple(step, step, step, step), { minLength: 1, maxLength: 300 }), (ways) => {
        const { budget, at } = made()
        const sink = budget.sink()
        let receiveUs = 0
        for (const [ahead, decode, operator, written] of ways) {
          receiveUs += 5_000
          at(receiveUs + decode)
          budget.decoded(FIRST_US + receiveUs, [{ exchangeTimeUs: FIRST_US + receiveUs - ahead }])
          at(receiveUs + decode + operator)
          sink.came({ receiveTimeUs: FIRST_US + receiveUs })
          at(receiveUs + decode + operator + written)
          sink.written([{ receiveTimeUs: FIRST_US + receiveUs }])
        }
        const { exchangeToReceive, receiveToDecode, decodeToOperator, operatorToSink } = sums(budget)
        const { receiveToSink, exchangeToSink } = sums(budget)
        expect(receiveToDecode + decodeToOperator + operatorToSink).to.equal(receiveToSink)
        expect(exchangeToReceive + receiveToSink).to.equal(exchangeToSink)
        expect(budget.ahead).to.equal(ways.filter(([ahead]) => ahead < 0).length)
        for (const part of LATENCY_PARTS) expect(budget.parts[part].count).to.equal(ways.length)
      }),
      { numRuns: 100 },
    )
  })

  it('begins at the receipt where the clock of the exchange is ahead, and counts how often it is', () => {
    const { budget, through } = made()
    through(100, { exchangeTimeUs: FIRST_US + 700 })
    through(200, { exchangeTimeUs: FIRST_US + 150 })
    expect(budget.ahead).to.equal(1)
    expect(sums(budget).exchangeToReceive).to.equal(50)
    expect(sums(budget).exchangeToSink).to.equal(sums(budget).receiveToSink + 50)
  })

  it('tells the rest of the way where the exchange says no time', () => {
    const { budget, through } = made()
    through(100, { exchangeTimeUs: undefined })
    through(200)
    expect(budget.parts.exchangeToReceive.count).to.equal(0)
    expect(budget.parts.exchangeToSink.count).to.equal(0)
    expect(budget.parts.receiveToSink.count).to.equal(2)
  })

  it('measures a frame at each sink that something of it comes to, and of several values the first', () => {
    const { budget, at } = made()
    const [one, other] = [budget.sink(), budget.sink()]
    const value = { receiveTimeUs: FIRST_US }
    budget.decoded(FIRST_US, [])
    one.came([value, value])
    at(10)
    one.came(value)
    one.written([value, value])
    other.came(value)
    at(30)
    other.written([value])
    one.written([value])
    expect(budget.parts.operatorToSink.count).to.equal(2)
    expect(sums(budget)).to.include({ operatorToSink: 10 + 20, decodeToOperator: 0 + 10 })
  })

  it('does not mistake anything else for a frame', () => {
    const { budget } = made()
    const sink = budget.sink()
    budget.decoded(FIRST_US, [])
    for (const value of [undefined, null, 7, 'text', {}, { receiveTimeUs: 'x' }, { receiveTimeUs: FIRST_US + 1 }, []]) {
      sink.came(value)
      sink.came([value])
      sink.written([value])
    }
    expect(budget.parts.receiveToSink.count).to.equal(0)
  })

  it('follows all of the first frames, then one in 64, each of which stands for the others', () => {
    const { budget, through } = made()
    for (let frame = 1; frame <= 1_000; frame++) through(frame * 50)
    expect(budget.parts.receiveToSink.count).to.equal(1_000)
    for (let frame = 1_001; frame <= 300_000; frame++) through(frame * 50)
    expect(budget.parts.receiveToSink.count).to.be.closeTo(300_000, 15_000)
  })

  it('chooses frames that are like the others, also when these come at a beat', () => {
    for (const beat of [2, 5, 10, 64, 100, 128]) {
      const { budget, at } = made()
      const sink = budget.sink()
      const frames = 200_000
      for (let frame = 1; frame <= frames; frame++) {
        // Every so many is slow; receive stamps are a beat of their own.
        const [receiveUs, tookUs] = [frame * 50, frame % beat === 0 ? 1_000 : 10]
        at(receiveUs)
        budget.decoded(FIRST_US + receiveUs, [])
        at(receiveUs + tookUs)
        sink.came({ receiveTimeUs: FIRST_US + receiveUs })
        sink.written([{ receiveTimeUs: FIRST_US + receiveUs }])
      }
      const { sum, count } = budget.parts.receiveToSink
      const mean = (1_000 + 10 * (beat - 1)) / beat
      expect(sum / count, `every ${beat} slow`).to.be.closeTo(mean, (mean * 6) / Math.sqrt(frames / 64 / beat))
    }
  })

  it('follows no value that was dropped on the way, and holds on to nothing for it', () => {
    const { budget, at } = made()
    const sink = budget.sink()
    for (let frame = 1; frame <= 900; frame++) {
      at(frame)
      budget.decoded(FIRST_US + frame, [])
      sink.came({ receiveTimeUs: FIRST_US + frame })
      // All but every third are dropped.
      if (frame % 3 === 0) sink.written([{ receiveTimeUs: FIRST_US + frame }])
    }
    expect(budget.parts.receiveToSink.count).to.equal(300)
    expect(held(sink)).to.equal(0)
  })

  it('holds a bounded number of frames, however many nothing is made of, and of values that wait', () => {
    const { budget, at } = made()
    const sink = budget.sink()
    for (let frame = 1; frame <= 1_500_000; frame++) {
      at(frame * 50)
      budget.decoded(FIRST_US + frame * 50, [])
      sink.came({ receiveTimeUs: FIRST_US + frame * 50 })
    }
    expect((budget as unknown as { followed: Map<number, unknown> }).followed.size).to.equal(16_384)
    expect(held(sink)).to.be.within(2_048, 4_096)
  })

  it('tells of a queue in which more waits than it holds, each for as many as are left out', () => {
    const { budget, at } = made()
    const sink = budget.sink()
    const waiting: { receiveTimeUs: number }[] = []
    const frames = 1_000_000
    const waitUs = 600_000 * 50
    for (let frame = 1; frame <= frames; frame++) {
      at(frame * 50)
      const value = { receiveTimeUs: FIRST_US + frame * 50 }
      budget.decoded(value.receiveTimeUs, [])
      sink.came(value)
      waiting.push(value)
      if (frame > 600_000) sink.written([waiting[frame - 600_001]!])
    }
    const { sum, count } = budget.parts.operatorToSink
    expect(sum / count).to.be.closeTo(waitUs, 1)
    expect(count).to.be.closeTo(400_000, 40_000)
  })

  it('goes on when all that waited was dropped, however much it was', () => {
    const { budget, at } = made()
    const sink = budget.sink()
    for (let frame = 1; frame <= 1_000_000; frame++) {
      at(frame * 50)
      const value = { receiveTimeUs: FIRST_US + frame * 50 }
      budget.decoded(value.receiveTimeUs, [])
      sink.came(value)
      if (frame > 900_000) sink.written([value])
    }
    expect(budget.parts.receiveToSink.count).to.be.closeTo(100_000, 10_000)
  })
})

function made() {
  let nowUs = FIRST_US
  const budget = new LatencyBudget(() => nowUs)
  const sink = budget.sink()
  const at = (us: number): void => void (nowUs = FIRST_US + us)
  return {
    budget,
    at,
    /** A frame whose value is at once at a sink. */
    through(receiveUs: number, ...events: readonly { exchangeTimeUs: number | undefined }[]): void {
      at(receiveUs)
      budget.decoded(FIRST_US + receiveUs, events)
      sink.came([{ receiveTimeUs: FIRST_US + receiveUs }])
      sink.written([{ receiveTimeUs: FIRST_US + receiveUs }])
    },
  }
}

function maxima({ parts }: LatencyBudget): Record<string, number> {
  return Object.fromEntries(LATENCY_PARTS.map((part) => [part, parts[part].max]))
}

function sums({ parts }: LatencyBudget): Record<LatencyPart, number> {
  return Object.fromEntries(LATENCY_PARTS.map((part) => [part, parts[part].sum])) as Record<LatencyPart, number>
}

function held(sink: SinkLatency): number {
  return (sink as unknown as { underWay: Map<number, unknown> }).underWay.size
}
