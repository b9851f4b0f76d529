import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import { CHANNELS, type ExchangeProtocol, type Topic } from '../../src/exchanges/protocol'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import { BareClient } from './bareClient'

/**
 * The simulator and the descriptions in src/exchanges/ are two readings of the same pages, written apart: whatever the one
 * sends, the other must understand.
 */
describe('the simulator and the descriptions of exchanges', () => {
  const clock = new VirtualClock(1_790_000_000_000_000)
  let simulator: RunningSimulator

  before(async () => {
    simulator = await startSimulator({ clock, messagesPerSecond: 2_000, depth: 300 })
  })
  after(() => simulator.stop())

  for (const protocol of EXCHANGES.values()) {
    it(`agree on every channel of ${protocol.id}`, async () => {
      const faults: string[] = []
      const sessions = new Sessions({ protocolOf: () => protocol, onFault: (fault) => faults.push(fault.message) })
      await learnInstruments(protocol, sessions)
      const listed = simulator.symbols(protocol.id)
      for (const { name, symbol } of listed) {
        expect(sessions.instruments(protocol.id).find(name), name).to.have.property('symbol', symbol)
      }

      const topics = topicsOf(protocol, sessions)
      const events: MarketEvent[] = []
      const scanned: MarketEvent[] = []
      let connection = 0
      for (const [endpoint, wanted] of topics) {
        connection++
        await listen(protocol, sessions, connection, endpoint, wanted, events, scanned)
      }

      expect(faults).to.deep.equal([])
      const kinds = new Set(events.map(({ kind }) => kind))
      const expected = CHANNELS.filter(
        (channel) => protocol.channels[channel] !== undefined && channel !== 'liquidations',
      )
      const KINDS = {
        trades: 'trade',
        book: 'delta',
        ticker: 'ticker',
        candles: 'candle',
        derivative: 'derivative',
      } as const
      for (const channel of expected)
        if (channel !== 'liquidations') expect([...kinds], channel).to.include(KINDS[channel])
      // Its frames have the shapes that are described: what is measured on it is measured on the fast road.
      const scannedKinds = new Set(scanned.map(({ kind }) => kind))
      expect(scannedKinds).to.include('trade').and.include('delta')
      // Bybit's tickers are merged with what is known of them.
      if (protocol.id !== 'bybit') expect(scannedKinds).to.include('ticker')
      const counts = sessions.countsOf(protocol.id)
      expect(counts.unreadable).to.equal(0)
      expect(counts.inexactNumbers).to.equal(0)
      expect(counts.guard.gaps).to.equal(0)
      expect(counts.guard.checksumsFailed).to.equal(0)
    })
  }

  async function get(protocol: ExchangeProtocol, path: string): Promise<string> {
    return (await fetch(simulator.addresses.get(protocol.id)!.rest + path)).text()
  }

  async function learnInstruments(protocol: ExchangeProtocol, sessions: Sessions): Promise<void> {
    for (const { path } of protocol.instruments.requests) {
      const url = protocol.hosts.rest + path
      const body = await get(protocol, path)
      const timeUs = clock.nowUs()
      sessions.apply({
        ns: 0,
        connection: -1,
        exchange: protocol.id,
        dir: 'rest',
        method: 'GET',
        role: 'instruments',
        timeUs,
        url,
        body,
      })
    }
  }

  /** All topics of the first few instruments of each kind, by endpoint. */
  function topicsOf(protocol: ExchangeProtocol, sessions: Sessions): Map<string, Topic[]> {
    const topics = new Map<string, Topic[]>()
    for (const { name, symbol, market } of simulator.symbols(protocol.id)) {
      const instrument = sessions.instruments(protocol.id).symbol(market, symbol)
      expect(instrument, name).to.not.equal(undefined)
      if (!name.startsWith('BTC-') && !name.startsWith('DOGE-')) continue
      for (const channel of CHANNELS) {
        for (const topic of protocol.channels[channel]?.topics(instrument!, { depth: 50, intervalMs: 60_000 }) ?? []) {
          const list = topics.get(topic.endpoint) ?? []
          if (!list.some(({ key }) => key === topic.key)) list.push(topic)
          topics.set(topic.endpoint, list)
        }
      }
    }
    return topics
  }

  async function listen(
    protocol: ExchangeProtocol,
    sessions: Sessions,
    connection: number,
    endpoint: string,
    topics: readonly Topic[],
    events: MarketEvent[],
    scanned: MarketEvent[],
  ): Promise<void> {
    const base = { ns: 0, connection, exchange: protocol.id }
    const path = protocol.endpoints[endpoint]!.path
    const client = await BareClient.open(simulator.addresses.get(protocol.id)!.ws + path)
    events.push(...sessions.apply({ ...base, dir: 'open', timeUs: clock.nowUs(), url: protocol.hosts.ws + path }))
    const { topicsPerRequest, requestEveryMs } = protocol.limits
    for (let from = 0, id = 1; from < topics.length; from += topicsPerRequest, id++) {
      const { received } = simulator.stats
      client.send(protocol.subscribe(topics.slice(from, from + topicsPerRequest), id))
      await eventually(() => expect(simulator.stats.received).to.equal(received + 1))
      clock.advance(Math.max(requestEveryMs, 1))
    }
    if (protocol.heartbeat !== undefined) client.send(protocol.heartbeat.message(99))
    const run = async (): Promise<void> => {
      for (let round = 0; round < 8; round++) {
        clock.advance(100)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await run()
    // Where books need one, a snapshot becomes known in the middle of the stream.
    const before = client.frames.length
    const snapshots: { url: string; body: string }[] = []
    const { snapshot } = protocol.book
    for (const { symbol } of topics.filter(({ channel }) => channel === 'book' && snapshot !== undefined)) {
      const path = snapshot!.path(symbol, { depth: undefined, intervalMs: 60_000 })
      snapshots.push({ url: protocol.hosts.rest + path, body: await get(protocol, path) })
    }
    await run()
    await simulator.freeze()
    await new Promise((resolve) => {
      client.socket.once('pong', resolve)
      client.socket.ping()
    })
    expect(client.closed, endpoint).to.equal(undefined)
    for (const [index, frame] of client.frames.entries()) {
      if (index === before) {
        for (const answer of snapshots) {
          const rest = { ...base, dir: 'rest', method: 'GET', role: 'book-snapshot', timeUs: clock.nowUs() } as const
          events.push(...sessions.apply({ ...rest, ...answer }))
        }
      }
      const counts = sessions.countsOf(protocol.id)
      const scannedBefore = counts.scanned
      const got = sessions.apply({ ...base, dir: 'in', timeUs: clock.nowUs(), data: Buffer.from(frame) })
      events.push(...got)
      if (counts.scanned > scannedBefore) scanned.push(...got)
    }
    for (const poll of protocol.polls) {
      for (const instrument of sessions.instruments(protocol.id)) {
        const path = poll.path(instrument)
        if (path === undefined) continue
        const url = protocol.hosts.rest + path
        const body = await get(protocol, path)
        events.push(
          ...sessions.apply({ ...base, dir: 'rest', method: 'GET', role: 'poll', timeUs: clock.nowUs(), url, body }),
        )
      }
    }
    client.close()
    simulator.thaw()
  }
})
