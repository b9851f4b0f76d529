/** The feed on a network and a clock of its own: other snapshots of books, for stages that have lost theirs. */
import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { LiveFeed, type LiveFeedOptions } from '../../src/feed/liveFeed'
import { kept, type SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import type { Fault } from '../../src/model/fault'
import { fakeProtocol, type FakeOptions } from './fakeProtocol'
import { FakeTransport, type FakeLine, type FakeNetwork } from './fakeTransport'

describe('LiveFeed.refresh', () => {
  let clock: VirtualClock
  let network: FakeTransport
  let feed: LiveFeed
  let records: SessionRecord[]
  let events: MarketEvent[]
  let faults: Fault[]

  const told = (): string[] =>
    events.map((event) =>
      event.kind === 'notice'
        ? `${event.code} ${event.symbol}`.trim()
        : event.kind === 'trade'
          ? 'trade'
          : `${event.kind} ${event.symbol} ${(event as { seq?: number }).seq ?? '-'}`,
    )
  const asked = (line: FakeLine): string[] => line.requests.map(({ op, keys }) => `${op} ${keys.join(' ')}`)

  async function start(
    behaviour: FakeNetwork,
    protocolOptions: FakeOptions,
    options: Partial<LiveFeedOptions> = {},
  ): Promise<void> {
    network = new FakeTransport(clock, behaviour)
    const protocol = fakeProtocol(protocolOptions)
    feed = new LiveFeed({
      wishes: [{ exchange: 'fake', instruments: ['A-B', 'C-D'], channels: ['book'] }],
      protocolOf: () => protocol,
      clock,
      random: () => 0.5,
      transport: network,
      onEvents: (batch) => events.push(...batch),
      onRecord: (record) => records.push(kept(record)),
      onFault: (fault) => faults.push(fault),
      ...options,
    })
    const started = feed.start()
    clock.advance(2)
    await started
    // Where the stream sends no snapshots, the first are asked for three seconds after the acknowledgement.
    clock.advance(4_000)
    await feed.ready
    // A minute of rest, so that the first refresh goes out at once.
    clock.advance(59_000)
    network.line.say({ beat: 1 })
    clock.advance(2_000)
    events.splice(0)
  }

  const replayed = (protocolOptions: FakeOptions): MarketEvent[] => {
    const protocol = fakeProtocol(protocolOptions)
    const sessions = new Sessions({ protocolOf: () => protocol, wholeList: true })
    return records.flatMap((record) => sessions.apply(record))
  }

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    records = []
    events = []
    faults = []
  })

  afterEach(async () => {
    const stopped = feed.stop()
    clock.advance(10_000)
    await stopped
    expect(clock.pending, 'timers that are left').to.equal(0)
  })

  describe('where snapshots come in the stream', () => {
    /** Each subscription starts at the number that the exchange has come to. */
    const exchange = (seqOf: (key: string) => number): FakeNetwork => ({
      requested(line, { op, id, keys }) {
        line.say({ ack: { id } })
        if (op !== 'subscribe') return
        for (const key of keys)
          line.say({ channel: 'book', symbol: key.slice('book:'.length), kind: 'snapshot', seq: seqOf(key) })
      },
    })

    it('renews the subscription of one book, and nobody is told of a gap', async () => {
      let seq = 5
      await start(
        exchange(() => seq),
        {},
      )
      const { line } = network
      line.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 5, seq: 6 })
      clock.advance(1)
      feed.refresh([{ exchange: 'fake', symbol: 'AB' }])
      line.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 6, seq: 7 })
      seq = 9
      clock.advance(20)
      line.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 9, seq: 10 })
      clock.advance(60_000)
      expect(asked(line).slice(1)).to.deep.equal(['unsubscribe book:AB', 'subscribe book:AB'])
      expect(told()).to.deep.equal(['delta AB 6', 'delta AB 7', 'snapshot AB 9', 'delta AB 10'])
      expect(faults).to.deep.equal([])
      expect(feed.counts).to.deep.include({ refreshes: 1, resyncs: 0 })
    })

    it('renews all with one request each way', async () => {
      await start(
        exchange(() => 5),
        {},
      )
      feed.refresh('all')
      feed.refresh('all')
      clock.advance(100)
      expect(asked(network.line).slice(1)).to.deep.equal(['unsubscribe book:AB book:CD', 'subscribe book:AB book:CD'])
      expect(told()).to.deep.equal(['snapshot AB 5', 'snapshot CD 5'])
    })

    it('gives the same events when the recording is replayed', async () => {
      let seq = 5
      await start(
        exchange(() => seq++),
        {},
      )
      feed.refresh('all')
      clock.advance(100)
      const all = replayed({})
      expect(all.slice(-events.length)).to.deep.equal(events)
      expect(events).to.have.length(2)
    })

    it('asks nothing of other exchanges, and nothing for books that nobody wished for', async () => {
      await start(
        exchange(() => 5),
        {},
      )
      feed.refresh([
        { exchange: 'other', symbol: 'AB' },
        { exchange: 'fake', symbol: 'XY' },
        { exchange: '__proto__', symbol: 'AB' },
      ])
      clock.advance(100)
      expect(network.line.requests).to.have.length(1)
    })

    it('leaves a book that is being repaired to its repair', async () => {
      await start(
        exchange(() => 5),
        {},
      )
      network.line.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 8, seq: 9 })
      clock.advance(1)
      feed.refresh('all')
      clock.advance(5_000)
      const renewals = asked(network.line).filter((request) => request.startsWith('unsubscribe'))
      expect(renewals).to.deep.equal(['unsubscribe book:AB', 'unsubscribe book:CD'])
      expect(told()).to.deep.equal(['gap AB', 'resynced AB', 'snapshot AB 5', 'snapshot CD 5'])
    })

    it('leaves everything to the connection that is being made', async () => {
      await start(
        exchange(() => 5),
        {},
      )
      network.line.end()
      feed.refresh('all')
      clock.advance(1_000)
      expect(network.lines).to.have.length(2)
      expect(asked(network.line)).to.deep.equal(['subscribe book:AB book:CD'])
    })
  })

  describe('where snapshots come by REST', () => {
    let seq: number
    const exchange = (answer: () => object | string | undefined = () => ({ seq })): FakeNetwork => ({
      rest: (url) => (url.includes('/depth') ? answer() : undefined),
    })
    const delta = (symbol: string, firstSeq: number, last: number): object => ({
      channel: 'book',
      symbol,
      kind: 'delta',
      firstSeq,
      seq: last,
    })
    const depthRequests = (): string[] => network.restUrls.filter((url) => url.includes('/depth'))

    beforeEach(() => {
      seq = 5
    })

    const startRest = (behaviour: FakeNetwork): Promise<void> => start(behaviour, { rest: true })

    it('lets an answer that the stream has overtaken out, with what came after it', async () => {
      await startRest(exchange())
      const { line } = network
      line.say(delta('AB', 6, 7))
      line.say(delta('AB', 8, 9))
      clock.advance(1)
      seq = 6
      feed.refresh([{ exchange: 'fake', symbol: 'AB' }])
      clock.advance(1)
      line.say(delta('AB', 10, 10))
      clock.advance(1)
      expect(told()).to.deep.equal([
        'delta AB 7',
        'delta AB 9',
        'snapshot AB 6',
        'delta AB 7',
        'delta AB 9',
        'delta AB 10',
      ])
      expect(faults).to.deep.equal([])
      expect(replayed({ rest: true }).slice(-6)).to.deep.equal(events)
      expect(records.at(-2)).to.include({ dir: 'rest', role: 'book-snapshot' })
    })

    it('lets a newer one out, and joins the stream to it', async () => {
      await startRest(exchange())
      seq = 8
      feed.refresh('all')
      clock.advance(1)
      for (const symbol of ['AB', 'CD']) for (const at of [6, 8, 10]) network.line.say(delta(symbol, at, at + 1))
      clock.advance(1)
      expect(told()).to.deep.equal([
        'snapshot AB 8',
        'snapshot CD 8',
        ...['AB', 'CD'].flatMap((symbol) => [`delta ${symbol} 9`, `delta ${symbol} 11`]),
      ])
      expect(faults).to.deep.equal([])
    })

    it('asks again when the answer is too old, and tells nobody of a gap', async () => {
      await startRest(exchange())
      for (let at = 6; at < 206; at++) network.line.say(delta('AB', at, at))
      clock.advance(1)
      events.splice(0)
      seq = 20
      feed.refresh([{ exchange: 'fake', symbol: 'AB' }])
      clock.advance(1)
      expect(told()).to.deep.equal([])
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
      seq = 206
      clock.advance(1_001)
      expect(told()).to.deep.equal(['snapshot AB 206'])
    })

    it('keeps the book when the answer cannot be read, and asks again', async () => {
      const answers = ['{', '{"seq":"x","bids":7}']
      let broken = false
      await startRest(exchange(() => (broken ? answers.shift() : undefined) ?? { seq }))
      broken = true
      feed.refresh([{ exchange: 'fake', symbol: 'AB' }])
      clock.advance(10_000)
      expect(told()).to.deep.equal(['snapshot AB 5'])
      expect(answers).to.deep.equal([])
    })

    it('asks again when the deltas that waited for a snapshot show at once that one of them is missing', async () => {
      const answers = [19, 40]
      let broken = false
      await startRest(exchange(() => ({ seq: (broken ? answers.shift() : undefined) ?? seq })))
      broken = true
      for (const [first, last] of [
        [6, 7],
        [20, 21], // lost: 8 to 19
        [30, 31], // lost: 22 to 29
      ] as const) {
        network.line.say(delta('AB', first, last))
      }
      clock.advance(10_000)
      expect(told()).to.deep.equal([
        'delta AB 7',
        'gap AB',
        'resynced AB',
        'snapshot AB 19',
        'delta AB 21',
        'gap AB',
        'resynced AB',
        'snapshot AB 40',
      ])
    })

    it('keeps within the rate limit: what is asked for in a moment is spread over time', async () => {
      const times: number[] = []
      await startRest({
        rest: (url) => {
          if (!url.includes('/depth')) return undefined
          times.push(clock.nowUs())
          return { seq }
        },
      })
      const before = times.length
      for (let round = 0; round < 50; round++) {
        feed.refresh('all')
        clock.advance(100)
      }
      clock.advance(60_000)
      // Two books, at 0, 1, 3 and 7 s of the asking, which ends after five.
      expect(times.length - before).to.be.at.most(8)
      expect(depthRequests()).to.have.length(times.length)
    })
  })
})
