import { expect } from 'chai'
import type { ChannelName } from '../../src/exchanges/protocol'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import type { SessionControl } from '../../src/feed/session'
import { Sessions } from '../../src/feed/sessions'
import { ARRIVALS_MIN, STALE_RULE, Staleness, type Silence, type StaleRule } from '../../src/feed/staleness'
import type { MarketEvent, Notice } from '../../src/model/events'
import { Random } from '../../src/simulator/random'
import { RECORDINGS, recordsOf } from '../kit/recordings'
import { needsShared } from '../kit/shared'

const START_US = 1_760_000_000_000_000
const HOUR_MS = 3_600_000

/** Milliseconds until the next arrival, at a time since the beginning. */
type Gaps = (chance: Random, ms: number) => number

const poisson =
  (meanMs: number): Gaps =>
  (chance) =>
    chance.exponential(meanMs)
/** As bursty as trades: the tail falls as the root of the gap. */
const weibull =
  (scaleMs: number): Gaps =>
  (chance) =>
    scaleMs * Math.log(1 - chance.unit()) ** 2
const bursts =
  (size: number, pauseMs: number): Gaps =>
  (chance) =>
    chance.exponential(chance.unit() < 1 / size ? pauseMs : 5)
/** Twenty times as many by day as by night. */
const dayAndNight =
  (meanMs: number): Gaps =>
  (chance, ms) =>
    chance.exponential(meanMs) / Math.exp((Math.log(20) / 2) * Math.sin((2 * Math.PI * ms) / (24 * HOUR_MS)))

const MARKETS: readonly (readonly [title: string, hours: number, gaps: Gaps])[] = [
  ['a book every 100 ms', 1, () => 100],
  ['trades at random, one a second', 24, poisson(1_000)],
  ['trades at random, one a minute', 24, poisson(60_000)],
  ['an instrument that trades once an hour', 240, poisson(HOUR_MS)],
  ['trades in clusters', 24, weibull(5_000)],
  ['bursts of twenty and pauses of minutes', 24, bursts(20, 300_000)],
  ['bursts of two hundred and pauses of a minute', 24, bursts(200, 60_000)],
  ['a day and a night', 48, dayAndNight(2_000)],
  ['a quiet day and a quieter night', 48, dayAndNight(30_000)],
]

describe('Staleness', function () {
  this.timeout(120_000)

  for (const [title, hours, gaps] of MARKETS) {
    it(`says nothing of ${title} over ${hours} hours, and tells within its bound when it freezes`, () => {
      for (const seed of [1, 2, 3]) {
        const watch = new Watch()
        watch.live(new Random(seed, title), gaps, hours * HOUR_MS)
        expect(watch.silences, `seed ${seed}`).to.deep.equal([])
        const { stream } = watch
        const { lastUs, intervalMs } = stream
        const limitMs = stream.limitMs(STALE_RULE)
        expect(limitMs).to.be.at.most(Math.max(STALE_RULE.minMs, STALE_RULE.afterIntervals * intervalMs))
        watch.pass(2 * limitMs + 10_000)
        expect(watch.silences.map(({ times }) => times).slice(0, 2)).to.deep.equal([0, 1])
        const [{ silentMs } = NEVER] = watch.silences
        const boundMs = limitMs + 2_001 + stream.knownUs / 32_000
        expect((watch.toldUs[0]! - lastUs) / 1_000).to.be.within(limitMs, boundMs)
        expect(silentMs).to.be.closeTo((watch.toldUs[0]! - lastUs) / 1_000, 1)
      }
    })
  }

  it('follows the cadence: a book of ten changes a second is told of after the floor, trades after eight of their intervals', () => {
    const book = new Watch()
    book.live(new Random(1, 'book'), () => 100, HOUR_MS)
    expect(book.stream.limitMs(STALE_RULE)).to.equal(5_000)
    const ticks = new Watch()
    ticks.live(new Random(1, 'ticks'), () => 1_000, HOUR_MS)
    expect(ticks.stream.intervalMs).to.be.within(1_000, 1_100)
    expect(ticks.stream.limitMs(STALE_RULE)).to.be.within(8_000, 8_800)
    expect(ticks.stream.limitMs({ afterIntervals: 20, minMs: 0, maxMs: 1e9 })).to.be.within(20_000, 22_000)
    expect(ticks.stream.limitMs({ afterIntervals: 20, minMs: 0, maxMs: 15_000 })).to.equal(15_000)
  })

  it('gives a stream that it hardly knows the more time', () => {
    const watch = new Watch()
    const limits: number[] = []
    for (const forMs of [500, 59_500, 540_000]) {
      watch.live(new Random(1, 'young'), () => 100, forMs)
      limits.push(watch.stream.limitMs(STALE_RULE))
    }
    expect(limits[0], 'too few').to.equal(Infinity)
    expect(limits[1], 'a minute').to.be.closeTo(60_000, 1_000)
    expect(limits[2], 'ten minutes').to.be.closeTo(6_000, 100)
    expect(ARRIVALS_MIN).to.be.at.least(6)
  })

  it('is not moved by a connection that stands still and then brings everything that waited', () => {
    const watch = new Watch()
    watch.live(new Random(1, 'stall'), () => 100, 2 * HOUR_MS)
    watch.nowUs += 300_000_000
    for (let frame = 0; frame < 3; frame++) {
      watch.nowUs += 200_000
      watch.beat()
    }
    watch.hear()
    watch.live(new Random(2, 'stall'), () => 100, 60_000)
    expect(watch.silences).to.deep.equal([])
  })

  it('says nothing while no frame shows that the connection is lively', () => {
    const watch = new Watch()
    watch.live(new Random(1, 'dead'), () => 100, HOUR_MS)
    watch.nowUs += HOUR_MS * 1_000
    expect(watch.silences).to.deep.equal([])
    watch.beat()
    expect(watch.silences, 'one frame is no life').to.deep.equal([])
    watch.nowUs += 30_000_000
    watch.beat()
    expect(watch.silences).to.have.length(1)
  })

  it('tells the end of a silence with how long it was, and the next one anew', () => {
    const watch = new Watch()
    watch.live(new Random(1, 'again'), () => 1_000, HOUR_MS)
    watch.pass(60_000)
    expect(watch.silences.map(({ times }) => times)).to.deep.equal([0, 1, 2])
    watch.hear()
    const ended = watch.staleness.takeEnded()
    expect(ended.map(({ stream, silentMs }) => [stream.symbol, Math.round(silentMs / 1_000)])).to.deep.equal([
      ['A', 60],
    ])
    expect(watch.staleness.takeEnded()).to.deep.equal([])
    watch.silences.length = 0
    watch.live(new Random(2, 'again'), () => 1_000, HOUR_MS)
    expect(watch.silences).to.deep.equal([])
    watch.pass(2 * watch.stream.limitMs(STALE_RULE))
    expect(watch.silences[0]!.times).to.equal(0)
  })

  it("keeps to the exchange's own bound, also of what came once", () => {
    const watch = new Watch(STALE_RULE, 20_000)
    watch.hear()
    watch.pass(19_000)
    expect(watch.silences).to.deep.equal([])
    watch.pass(62_000)
    expect(watch.silences).to.have.length.of.at.least(1)
  })

  it('holds nothing against a stream whose frames may be missing', () => {
    const watch = new Watch()
    watch.live(new Random(1, 'gap'), () => 100, HOUR_MS)
    watch.nowUs += 60_000_000
    watch.staleness.forgive(watch.nowUs)
    watch.pass(3_000)
    expect(watch.silences).to.deep.equal([])
    watch.pass(4_000)
    expect(watch.silences).to.have.length(1)
  })

  it('forgets a long pause after some hours, and not before', () => {
    const watch = new Watch()
    watch.live(new Random(1, 'pause'), () => 100, HOUR_MS)
    watch.nowUs += 20_000_000
    watch.hear()
    watch.live(new Random(2, 'pause'), () => 100, 2 * HOUR_MS)
    expect(watch.stream.limitMs(STALE_RULE)).to.be.at.least(80_000)
    watch.live(new Random(3, 'pause'), () => 100, 9 * HOUR_MS)
    expect(watch.stream.limitMs(STALE_RULE)).to.equal(5_000)
  })

  it('watches no more streams than it may', () => {
    const staleness = new Staleness(STALE_RULE, () => undefined)
    let made = 0
    for (let index = 0; index < 20_010; index++) {
      if (staleness.stream('trades', `S${index}`, START_US) !== undefined) made++
    }
    expect(made).to.equal(20_000)
    expect(staleness.stream('trades', 'S5', START_US)).to.equal(staleness.known('trades', 'S5'))
  })

  describe('over the recordings', () => {
    before(function () {
      needsShared(this)
    })

    for (const [exchange, name, rest] of RECORDINGS) {
      it(`says nothing of ${name}, wherever it is begun`, () => {
        const heard = arrivalsOf(recordsOf(exchangeById(exchange), name, rest))
        expect(heard.length).to.be.greaterThan(3)
        const step = Math.max(1, Math.floor(heard.length / 150))
        for (let first = 0; first < heard.length; first += step) {
          const staleness = new Staleness(STALE_RULE, (channel) => exchangeById(exchange).channels[channel]?.idleMsMax)
          for (let index = first; index < heard.length; index++) {
            const { channel, symbol, timeUs } = heard[index]!
            const stream = staleness.stream(channel, symbol, timeUs)!
            staleness.heard(stream, timeUs)
            if (staleness.isDue(timeUs)) expect(staleness.sweep(timeUs), `from ${first}`).to.deep.equal([])
          }
        }
      })
    }

    for (const [exchange, name, rest, channel, frozenAfterS] of [
      ['binance', 'binance.ethusdt-20240808', 'binance.ethusdt-20240808.rest', 'trades', 120],
      ['binance', 'binance.ethusdt-20240808', 'binance.ethusdt-20240808.rest', 'book', 180],
      [
        ...['binance-futures', 'binance-futures.btcusdt-20240808.first60', 'binance-futures.btcusdt-20240808.rest'],
        ...(['book', 130] as const),
      ],
    ] as [string, string, string, ChannelName, number][]) {
      it(`tells of ${channel} of ${name} when they freeze, and changes nothing else`, () => {
        const protocol = exchangeById(exchange)
        const records = recordsOf(protocol, name, rest)
        const frozenUs = records[0]!.timeUs + frozenAfterS * 1_000_000
        const isOfStream = channelTest(records, exchange, channel)
        const cut = records.filter((record, index) => record.timeUs < frozenUs || !isOfStream(index))
        expect(cut.length).to.be.within(1_000, records.length - 100)
        const events = eventsOf(cut)
        const stale = events.filter(isStale)
        expect(stale).to.have.length(1)
        const { details, symbol, receiveTimeUs } = stale[0]!
        const lastUs = Math.max(
          ...events.filter((event) => isOf(event, channel, symbol)).map(({ receiveTimeUs: us }) => us),
        )
        expect(details).to.include({ channel })
        const { silentMs, limitMs } = details as { silentMs: number; limitMs: number }
        expect(silentMs).to.be.closeTo((receiveTimeUs - lastUs) / 1_000, 50)
        expect(silentMs).to.be.within(limitMs - 1, limitMs + 2_500 + (frozenAfterS * 1_000) / 32)
        expect(limitMs).to.be.at.most(Math.max(3_600_000 / (frozenAfterS - 10), 5_000))
        expect(eventsOf(cut, false).filter(isStale), 'decoded plainly').to.deep.equal(stale)
        const keeping = new Sessions({ protocolOf: exchangeById })
        keeping.keepBooks()
        const steps = cut.flatMap((record) => [...keeping.apply(record)])
        expect(steps.filter(isStale), 'of sessions that keep the books').to.deep.equal(stale)
        expect(eventsOf(records).filter(isStale), 'uncut').to.deep.equal([])
        const others = (event: MarketEvent): boolean => !isStale(event) && !isOf(event, channel, symbol)
        expect(events.filter(others), 'all else').to.deep.equal(eventsOf(records).filter(others))
      })
    }
  })
})

const NEVER: Pick<Silence, 'silentMs'> = { silentMs: NaN }

/** One stream on a connection with a heartbeat each second. */
class Watch {
  readonly staleness: Staleness
  readonly silences: Silence[] = []
  readonly toldUs: number[] = []
  nowUs = START_US
  private beatUs = START_US

  constructor(rule: StaleRule = STALE_RULE, idleMsMax?: number) {
    this.staleness = new Staleness(rule, () => idleMsMax)
  }

  get stream() {
    return this.staleness.stream('trades', 'A', this.nowUs)!
  }

  hear(): void {
    this.staleness.heard(this.stream, this.nowUs)
  }

  /** Arrivals for so long. */
  live(chance: Random, gaps: Gaps, forMs: number): void {
    const startUs = this.nowUs
    for (;;) {
      const waitUs = Math.max(1, Math.round(gaps(chance, (this.nowUs - START_US) / 1_000) * 1_000))
      if (this.nowUs + waitUs > startUs + forMs * 1_000) return
      this.pass(waitUs / 1_000)
      this.hear()
    }
  }

  /** Only heartbeats. */
  pass(forMs: number): void {
    const endUs = this.nowUs + forMs * 1_000
    if (this.beatUs < this.nowUs - 1_000_000) this.beatUs = this.nowUs
    for (; this.beatUs <= endUs; this.beatUs += 1_000_000) {
      this.nowUs = this.beatUs
      this.beat()
    }
    this.nowUs = endUs
  }

  beat(): void {
    if (!this.staleness.isDue(this.nowUs)) return
    for (const silence of this.staleness.sweep(this.nowUs)) {
      this.silences.push(silence)
      this.toldUs.push(this.nowUs)
    }
  }
}

interface Arrival {
  readonly channel: ChannelName
  readonly symbol: string
  readonly timeUs: number
}

function controlled(heard: SessionControl['heard']): SessionControl {
  const nothing = (): void => undefined
  return {
    ...{ acknowledged: nothing, refused: nothing, answer: nothing, reconnect: nothing, resync: nothing },
    ...{ stale: nothing, fault: nothing, heard },
  }
}

function arrivalsOf(records: readonly SessionRecord[]): Arrival[] {
  const heard: Arrival[] = []
  const control = controlled((channel, symbol, timeUs) => heard.push({ channel, symbol: symbol ?? '', timeUs }))
  const sessions = new Sessions({ protocolOf: exchangeById, controlOf: () => control })
  for (const record of records) sessions.apply(record)
  return heard
}

/** Whether the record at an index was routed to the channel. */
function channelTest(
  records: readonly SessionRecord[],
  exchange: string,
  wanted: ChannelName,
): (index: number) => boolean {
  expect(records[0]!.exchange).to.equal(exchange)
  const indices = new Set<number>()
  let index = 0
  const control = controlled((channel) => {
    if (channel === wanted) indices.add(index)
  })
  const sessions = new Sessions({ protocolOf: exchangeById, controlOf: () => control })
  for (; index < records.length; index++) sessions.apply(records[index]!)
  return (each) => indices.has(each)
}

function eventsOf(records: readonly SessionRecord[], scanning = true): MarketEvent[] {
  const sessions = new Sessions({ protocolOf: exchangeById, scanning })
  return records.flatMap((record) => [...sessions.apply(record)])
}

function isStale(event: MarketEvent): event is Notice {
  return event.kind === 'notice' && event.code === 'stale'
}

function isOf(event: MarketEvent, channel: ChannelName, symbol: string): boolean {
  const kinds = channel === 'book' ? ['snapshot', 'delta'] : ['trade']
  return event.symbol === symbol && kinds.includes(event.kind)
}
