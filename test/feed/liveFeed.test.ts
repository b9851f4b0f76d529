import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import { LiveFeed, type LiveFeedLimits, type LiveFeedOptions } from '../../src/feed/liveFeed'
import { compareTimes, kept, type SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import type { FeedWish } from '../../src/feed/subscriptionPlan'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { eventually } from '../kit/eventually'
import { startFakeExchange, type FakeBehaviour, type FakeClient, type FakeExchange } from './fakeExchange'
import { fakeProtocol, type FakeOptions } from './fakeProtocol'

describe('LiveFeed', () => {
  let clock: VirtualClock
  let exchange: FakeExchange
  let protocol: ExchangeProtocol
  let feed: LiveFeed
  let records: SessionRecord[]
  let events: MarketEvent[]
  let faults: Fault[]
  let terminal: Fault[]

  const codes = (): string[] => faults.map(({ code }) => code)
  const dirs = (): string[] =>
    records.filter(({ dir }) => dir !== 'in').map(({ dir, connection }) => `${dir} ${connection}`)
  const kinds = (): string[] => events.map((event) => (event.kind === 'notice' ? event.code : event.kind))

  /** Both ends of every socket are here, so this many turns of the loop are enough for a handshake or an answer. */
  const work = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Lets virtual time pass in steps, and lets sockets work after each. */
  function flowing<T>(check: () => T, stepMs = 5): Promise<T> {
    return eventually(async () => {
      clock.advance(stepMs)
      await work()
      return check()
    })
  }

  /** Lets sockets work while virtual time stands still. */
  const settle = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 30))
    await work()
  }

  interface Setting extends Partial<LiveFeedOptions> {
    readonly wish?: Partial<FeedWish>
    readonly protocol?: FakeOptions
    readonly limits?: Partial<LiveFeedLimits>
  }

  async function make(
    behaviour: FakeBehaviour = {},
    { wish, protocol: fake, ...options }: Setting = {},
  ): Promise<void> {
    exchange = await startFakeExchange(behaviour)
    protocol = fakeProtocol(fake)
    feed = new LiveFeed({
      wishes: [{ exchange: 'fake', instruments: ['A-B'], channels: ['trades'], ...wish }],
      protocolOf: (id) => {
        if (id === 'fake') return protocol
        throw new Fault('OPTION_INVALID', `There is no exchange "${id}".`)
      },
      addresses: new Map([['fake', exchange.address]]),
      clock,
      random: () => 0.999,
      onEvents: (batch) => events.push(...batch),
      onRecord: (record) => records.push(kept(record)),
      onFault: (fault) => faults.push(fault),
      onTerminal: (fault) => terminal.push(fault),
      ...options,
    })
  }

  async function start(behaviour?: FakeBehaviour, setting?: Setting): Promise<void> {
    await make(behaviour, setting)
    await feed.start()
  }

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    records = []
    events = []
    faults = []
    terminal = []
  })

  afterEach(async () => {
    const stopping = feed.stop()
    await flowing(() => undefined, 2_000)
    await settle()
    clock.advance(10_000)
    await stopping
    expect(clock.pending, 'timers left behind').to.equal(0)
    await exchange.stop()
  })

  describe('starting', () => {
    it('fetches instruments, connects, subscribes and gives what comes, in order', async () => {
      await start({
        requested: (client, { id, op }) => {
          if (op !== 'subscribe') return
          client.say({ ack: { id } })
          for (const price of ['1', '2', '3']) client.say({ channel: 'trades', symbol: 'AB', price })
        },
      })
      await feed.ready
      await eventually(() => expect(kinds()).to.deep.equal(['connected', 'trade', 'trade', 'trade']))
      expect(events.map((event) => (event.kind === 'trade' ? event.price : event.kind))).to.deep.equal([
        'notice',
        1,
        2,
        3,
      ])
      expect(events[1]).to.include({ exchange: 'fake', symbol: 'AB', instrument: 'A-B' })
      expect(exchange.client.path).to.equal('/spot')
      expect(dirs()).to.deep.equal(['rest -1', 'open 0', 'out 0'])
      expect(faults).to.deep.equal([])
    })

    it('stamps every record later than the one before it, though the clock stands still', async () => {
      await start({
        opened: (client) => {
          for (let count = 0; count < 1_500; count++) client.say({ channel: 'trades', symbol: 'AB' })
        },
      })
      await eventually(() => expect(events.length).to.be.greaterThan(1_500))
      expect(records.every((record, index) => index === 0 || compareTimes(records[index - 1]!, record) < 0)).to.equal(
        true,
      )
    })

    it('gives records from which a replay makes the same events', async () => {
      let seq = 1
      await start(
        {
          requested: (client, { id, op }) => {
            if (op === 'subscribe') {
              client.say({ ack: { id } })
              client.say({ channel: 'book', symbol: 'AB', kind: 'snapshot', seq })
            }
          },
        },
        { wish: { channels: ['book', 'trades'] } },
      )
      await feed.ready
      exchange.client.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: seq, seq: ++seq })
      exchange.client.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 77, seq: 78 })
      await flowing(() => expect(kinds().slice(-2)).to.deep.equal(['resynced', 'snapshot']))
      exchange.client.socket.terminate()
      await flowing(() => expect(exchange.clients).to.have.length(2))
      await flowing(() => expect(kinds().slice(-2)).to.deep.equal(['connected', 'snapshot']))
      const replay = new Sessions({ protocolOf: () => protocol })
      expect(records.flatMap((record) => replay.apply(record))).to.deep.equal(events)
    })

    it('follows the pages of instruments until every wished one is known', async () => {
      const page = (symbol: string, next?: string): object => ({ symbols: [symbol], next })
      await start(
        {
          rest: (url) =>
            url === '/instruments'
              ? page('CD', '/instruments?2')
              : page('AB', url === '/instruments?2' ? '/instruments?3' : undefined),
        },
        { wish: { instruments: ['A-B', 'C-D'] } },
      )
      expect(exchange.restUrls).to.deep.equal(['/instruments', '/instruments?2'])
    })

    it('does not follow pages without end', async () => {
      await make(
        { rest: (_url, _response, count) => ({ symbols: ['CD'], next: `/instruments?${count}` }) },
        { limits: { pagesMax: 5 } },
      )
      const failed = await flowing(() => feed).then((it) => it.start().catch((thrown: unknown) => thrown as Fault))
      expect(failed).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
      expect(exchange.restUrls).to.have.length(5)
    })

    it('tells all problems of the wishes at once and connects to nobody', async () => {
      await make(
        {},
        {
          wishes: [{ exchange: 'fake', instruments: ['A-X', 'A-B'], channels: ['trades', 'candles'] }],
        },
      )
      const fault = await feed.start().catch((thrown: unknown) => thrown as Fault)
      expect(fault).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
      expect((fault as Fault).message)
        .to.include('no instrument "A-X"')
        .and.include('Did you mean')
        .and.include('no channel candles')
      await settle()
      expect(exchange.handshakes).to.equal(0)
    })

    it('tells unknown exchanges, senseless options and addresses before asking anyone', async () => {
      await make(
        {},
        {
          wishes: [
            { exchange: 'fake', instruments: ['A-B'], channels: ['trade' as never], depth: -1 },
            { exchange: 'fakke', instruments: ['A-B'], channels: ['trades'] },
          ],
          addresses: new Map([['fake', { ws: 'http://x', rest: 'nonsense' }]]),
          env: { HTTPS_PROXY: 'socks5://x:1' },
        },
      )
      const fault = (await feed.start().catch((thrown: unknown) => thrown)) as Fault
      expect(fault.details['problems']).to.have.length(5)
      expect(exchange.restUrls).to.deep.equal([])
    })

    it('gives up with a sentence when the instruments cannot be had', async () => {
      await make({
        rest: (_url, response) => {
          response.writeHead(503).end('busy')
          return 'handled'
        },
      })
      let failed: Fault | undefined
      feed.start().catch((thrown: unknown) => (failed = thrown as Fault))
      await flowing(() => expect(failed).to.be.instanceOf(Fault), 1_000)
      expect(failed!.code).to.equal('RETRIES_EXHAUSTED')
      expect(failed!.message).to.include('Exchange fake').and.include('status 503: busy')
      expect(exchange.restUrls).to.have.length(7)
    })

    it('can be stopped while it waits for the instruments', async () => {
      await make({ rest: () => 'handled' })
      const starting = feed.start().catch((thrown: unknown) => thrown as Fault)
      await eventually(() => expect(exchange.restUrls).to.have.length(1))
      await feed.stop()
      expect(await starting).to.be.instanceOf(Fault)
      expect(await feed.ready.catch((thrown: unknown) => thrown as Fault)).to.be.instanceOf(Fault)
    })

    it('starts once', async () => {
      await start()
      expect(await feed.start().catch((thrown: unknown) => thrown as Fault)).to.be.instanceOf(Fault)
    })

    it('opens as many connections as the topics need, spaced as the exchange asks', async () => {
      await start(
        {},
        {
          wish: { instruments: ['AB', 'CD', 'EF', 'ABP'] },
          protocol: { limits: { topicsPerConnection: 2, connectEveryMs: 1_000 } },
        },
      )
      const paths = (): string[] => exchange.clients.map(({ path }) => path)
      await eventually(() => expect(paths()).to.deep.equal(['/spot']))
      clock.advance(999)
      await settle()
      expect(paths()).to.deep.equal(['/spot'])
      clock.advance(1)
      await eventually(() => expect(paths()).to.deep.equal(['/spot', '/spot']))
      clock.advance(1_000)
      await eventually(() => expect(paths()).to.deep.equal(['/spot', '/spot', '/linear']))
      await feed.ready
      expect(feed.status().map(({ topics, acked, state }) => ({ topics, acked, state }))).to.deep.equal([
        { topics: 2, acked: 2, state: 'open' },
        { topics: 1, acked: 1, state: 'open' },
        { topics: 1, acked: 1, state: 'open' },
      ])
    })
  })

  describe('subscribing', () => {
    it('reports a refused topic in the words of the exchange and goes on with the others', async () => {
      await start(
        {
          requested: (client, { id, keys }) => {
            if (keys.includes('trades:CD')) client.say({ refused: { id, reason: 'CD is delisted' } })
            else client.say({ ack: { id } })
          },
        },
        { wish: { instruments: ['AB', 'CD', 'EF'] } },
      )
      await flowing(() => expect(codes()).to.deep.equal(['SUBSCRIBE_REFUSED']))
      await flowing(() => expect(feed.status()[0]).to.include({ acked: 2, refused: 1 }))
      expect(faults[0]!.message).to.include('CD is delisted').and.include('trades of CD')
      await feed.ready
      expect(terminal).to.deep.equal([])
    })

    it('says so when everything was refused, and does not keep a connection for nothing', async () => {
      await start({ requested: (client, { id }) => client.say({ refused: { id, reason: 'no' } }) })
      await eventually(() => expect(terminal.map(({ code }) => code)).to.deep.equal(['SUBSCRIBE_REFUSED']))
      expect(await feed.ready.catch((thrown: unknown) => thrown)).to.equal(terminal[0])
      await eventually(() => expect(exchange.client.closedWith).to.equal(1_000))
      clock.advance(600_000)
      await settle()
      expect(exchange.clients).to.have.length(1)
    })

    it('renews a connection on which subscriptions stay unanswered', async () => {
      await start({
        requested: (client, { id }) => {
          if (exchange.clients.length > 1) client.say({ ack: { id } })
        },
      })
      await flowing(() => expect(exchange.client.requests).to.have.length(1))
      clock.advance(10_000)
      await eventually(() => expect(exchange.client.requests).to.have.length(2))
      clock.advance(10_000)
      await flowing(() => expect(exchange.clients).to.have.length(2))
      expect(codes()).to.deep.equal(['STREAM_STALE'])
      await feed.ready
    })

    it('answers what the exchange asks', async () => {
      await start({ opened: (client) => client.say({ ask: 'pong 7' }) })
      await eventually(() => expect(exchange.client.texts).to.include('pong 7'))
      expect(
        records.filter(({ dir }) => dir === 'out').map((record) => (record.dir === 'out' ? record.data : '')),
      ).to.include('pong 7')
    })

    it('subscribes anew to a topic that has fallen silent on a lively connection, and to that alone', async () => {
      await start(
        {},
        { wish: { instruments: ['AB', 'CD'], channels: ['trades', 'book'] }, protocol: { bookIdleMsMax: 20_000 } },
      )
      await flowing(() => expect(feed.status()[0]!.acked).to.equal(4))
      exchange.client.say({ channel: 'book', symbol: 'AB', kind: 'snapshot', seq: 1 })
      exchange.client.say({ channel: 'book', symbol: 'CD', kind: 'snapshot', seq: 1 })
      await eventually(() => expect(kinds().filter((kind) => kind === 'snapshot')).to.have.length(2))
      clock.advance(14_000)
      exchange.client.say({ channel: 'book', symbol: 'CD', kind: 'delta', prevSeq: 1, seq: 2 })
      await eventually(() => expect(kinds().at(-1)).to.equal('delta'))
      clock.advance(6_000)
      const lastTwo = (): string[][] => exchange.client.requests.slice(-2).map(({ op, keys }) => [op, ...keys])
      await flowing(
        () =>
          expect(lastTwo()).to.deep.equal([
            ['unsubscribe', 'book:AB'],
            ['subscribe', 'book:AB'],
          ]),
        50,
      )
      expect(faults.map(({ code, details }) => [code, details['symbol']])).to.deep.equal([['STREAM_STALE', 'AB']])
      expect(feed.counts.staleStreams).to.equal(1)
    })
  })

  describe('keeping books', () => {
    const streaming: FakeBehaviour = {
      requested: (client, { id, op, keys }) => {
        client.say({ ack: { id } })
        if (op !== 'subscribe') return
        for (const key of keys) {
          if (key.startsWith('book:')) client.say({ channel: 'book', symbol: key.slice(5), kind: 'snapshot', seq: 10 })
        }
      },
    }

    it('is ready when every wished book has been live', async () => {
      const late: FakeClient[] = []
      await start(
        {
          requested: (client, { id }) => {
            client.say({ ack: { id } })
            late.push(client)
          },
        },
        { wish: { instruments: ['AB', 'CD'], channels: ['book'] } },
      )
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(2))
      let ready = false
      void feed.ready.then(() => (ready = true))
      late[0]!.say({ channel: 'book', symbol: 'AB', kind: 'snapshot', seq: 1 })
      await settle()
      expect(ready).to.equal(false)
      late[0]!.say({ channel: 'book', symbol: 'CD', kind: 'snapshot', seq: 1 })
      await eventually(() => expect(ready).to.equal(true))
    })

    it('repairs a book with a gap by its own topic, and disturbs no other', async () => {
      await start(streaming, { wish: { instruments: ['AB', 'CD'], channels: ['book'] } })
      await feed.ready
      exchange.client.say({ channel: 'book', symbol: 'AB', kind: 'delta', prevSeq: 99, seq: 100 })
      await flowing(() => expect(kinds().slice(-3)).to.deep.equal(['gap', 'resynced', 'snapshot']))
      expect(events.slice(-3).every(({ symbol }) => symbol === 'AB')).to.equal(true)
      expect(exchange.client.requests.map(({ op, keys }) => [op, ...keys])).to.deep.equal([
        ['subscribe', 'book:AB', 'book:CD'],
        ['unsubscribe', 'book:AB'],
        ['subscribe', 'book:AB'],
      ])
      expect(codes()).to.deep.equal(['BOOK_GAP'])
      expect(feed.counts.resyncs).to.equal(1)
      expect(exchange.clients).to.have.length(1)
    })

    it('asks for a REST snapshot when the first delta waits for it, and again when it does not join', async () => {
      const snapshots = [{ seq: 3 }, { seq: 12 }]
      await start(
        {
          rest: (url) => (url.startsWith('/depth') ? snapshots.shift() : undefined),
          requested: (client, { id }) => {
            client.say({ ack: { id } })
            client.say({ channel: 'book', symbol: 'AB', kind: 'delta', firstSeq: 11, seq: 13 })
          },
        },
        { wish: { channels: ['book'] }, protocol: { rest: true } },
      )
      await flowing(() => expect(kinds()).to.deep.equal(['connected', 'snapshot', 'delta']), 100)
      await feed.ready
      expect(codes()).to.deep.equal(['SNAPSHOT_FAILED'])
      expect(exchange.restUrls.slice(1)).to.deep.equal(['/depth?symbol=AB', '/depth?symbol=AB'])
      expect(records.filter(({ dir }) => dir === 'rest').map(({ connection }) => connection)).to.deep.equal([-1, 0, 0])
    })

    it('asks for the REST snapshot of a quiet book three seconds after its acknowledgement', async () => {
      await start(
        { rest: (url) => (url.startsWith('/depth') ? { seq: 3 } : undefined) },
        { wish: { channels: ['book'] }, protocol: { rest: true } },
      )
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(1))
      expect(exchange.restUrls).to.have.length(1)
      clock.advance(3_000)
      await feed.ready
      expect(kinds()).to.deep.equal(['connected', 'snapshot'])
    })

    it('waits as long as the exchange says when it limits REST requests', async () => {
      let asked = 0
      await start(
        {
          rest: (url, response) => {
            if (!url.startsWith('/depth')) return undefined
            if (++asked > 1) return { seq: 3 }
            response.writeHead(429, { 'retry-after': '30' }).end()
            return 'handled'
          },
        },
        { wish: { channels: ['book'] }, protocol: { rest: true } },
      )
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(1))
      clock.advance(3_000)
      await eventually(() => expect(codes()).to.deep.equal(['FEED_RATE_LIMITED']))
      clock.advance(29_000)
      await settle()
      expect(asked).to.equal(1)
      clock.advance(1_000)
      await feed.ready
      expect(asked).to.equal(2)
    })

    it('drops the answer to a question of a connection that has ended', async () => {
      let answer: (() => void) | undefined
      await start(
        {
          rest: (url, response) => {
            if (!url.startsWith('/depth')) return undefined
            answer ??= () => response.end(JSON.stringify({ seq: 3 }))
            return 'handled'
          },
        },
        { wish: { channels: ['book'] }, protocol: { rest: true } },
      )
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(1))
      clock.advance(3_000)
      await eventually(() => expect(answer).to.not.equal(undefined))
      exchange.client.socket.terminate()
      await eventually(() => expect(codes()).to.deep.equal(['FEED_CLOSED']))
      answer!()
      await settle()
      expect(kinds()).to.not.include('snapshot')
    })
  })

  describe('polling', () => {
    it('asks each instrument once per interval, spread over it, on its connection', async () => {
      await start(
        { rest: (url) => (url.startsWith('/last') ? { price: '5' } : undefined) },
        { wish: { instruments: ['AB', 'CD'] }, protocol: { pollMs: 10_000 } },
      )
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(2))
      const polled = (): string[] => exchange.restUrls.slice(1)
      for (const expected of ['AB', 'CD', 'AB']) {
        const before = polled().length
        clock.advance(4_999)
        await settle()
        expect(polled()).to.have.length(before)
        clock.advance(1)
        await eventually(() => expect(polled().at(-1)).to.equal(`/last?symbol=${expected}`))
        await eventually(() => expect(events.filter(({ kind }) => kind === 'trade')).to.have.length(before + 1))
      }
    })

    it('reports a poll that failed and asks at the next turn', async () => {
      await start({}, { protocol: { pollMs: 10_000 } })
      await eventually(() => expect(feed.status()[0]!.acked).to.equal(1))
      clock.advance(10_000)
      await eventually(() => expect(codes()).to.deep.equal(['STREAM_STALE']))
      expect(faults[0]!.message).to.include('status 404')
      clock.advance(10_000)
      await eventually(() => expect(exchange.restUrls).to.have.length(3))
    })
  })

  describe('staying connected', () => {
    it('reconnects at once when the line breaks: a close of the old number, an open of a new one', async () => {
      await start()
      await feed.ready
      exchange.client.socket.close(1_012, 'service restart')
      await eventually(() => expect(codes()).to.deep.equal(['FEED_CLOSED']))
      expect(faults[0]!.message).to.include('service restart').and.include('1012')
      await flowing(() => expect(exchange.clients).to.have.length(2))
      await flowing(() => expect(feed.status()[0]!.acked).to.equal(1))
      expect(dirs()).to.deep.equal(['rest -1', 'open 0', 'out 0', 'close 0', 'open 1', 'out 1'])
      expect(kinds()).to.deep.equal(['connected', 'disconnected', 'connected'])
      expect(feed.counts.reconnects).to.equal(1)
    })

    it('waits longer and longer while it is refused, and starts over after a minute of health', async () => {
      const attempts: number[] = []
      let open = false
      await start({
        refuse: () => {
          attempts.push(clock.nowUs() / 1_000_000)
          return open ? undefined : { status: 503 }
        },
      })
      for (let count = 1; count <= 5; count++) {
        await eventually(() => expect(codes()).to.have.length(count))
        while (feed.status()[0]!.state !== 'connecting') clock.advanceTo(clock.nextDueUs()!)
        await eventually(() => expect(exchange.handshakes).to.equal(count + 1))
      }
      const waits = attempts.slice(1).map((at, index) => Math.round(at - attempts[index]!))
      expect(waits).to.deep.equal([0, 1, 2, 4, 8])
      expect(new Set(codes())).to.deep.equal(new Set(['FEED_REFUSED']))
      open = true
      await flowing(() => expect(exchange.clients).to.have.length(1), 5_000)
      await feed.ready
      for (let seconds = 0; seconds < 60; seconds += 20) {
        exchange.client.say({ beat: 1 })
        await settle()
        clock.advance(20_000)
      }
      exchange.client.socket.terminate()
      await flowing(() => expect(exchange.clients).to.have.length(2))
    })

    it('gives up, and says so, when the retry budget is spent', async () => {
      await start({ refuse: () => ({ status: 502 }) }, { limits: { retries: { atMost: 3, withinMs: 600_000 } } })
      await flowing(() => expect(terminal.map(({ code }) => code)).to.deep.equal(['RETRIES_EXHAUSTED']), 500)
      expect(exchange.handshakes).to.equal(4)
      expect(terminal[0]!.message).to.include('3 attempts within 10 minutes').and.include('502')
      expect(codes().filter((code) => code === 'RETRIES_EXHAUSTED')).to.have.length(1)
      expect(feed.status()[0]!.state).to.equal('failed')
      expect(await feed.ready.catch((thrown: unknown) => thrown)).to.equal(terminal[0])
      clock.advance(3_600_000)
      await settle()
      expect(exchange.handshakes).to.equal(4)
    })

    it('does not give up on a connection that works now and then', async () => {
      await start(
        {
          requested: (client, { id }) => (client.say({ ack: { id } }), setTimeout(() => client.socket.terminate(), 2)),
        },
        { limits: { retries: { atMost: 2, withinMs: 600_000 } } },
      )
      await flowing(() => expect(exchange.clients.length).to.be.greaterThan(5), 5_000)
      expect(terminal).to.deep.equal([])
    })

    it('waits as long as the exchange says when it limits connections', async () => {
      await start({ refuse: (count) => (count === 1 ? { status: 429, headers: 'Retry-After: 45\r\n' } : undefined) })
      await eventually(() => expect(codes()).to.deep.equal(['FEED_RATE_LIMITED']))
      clock.advance(44_999)
      await settle()
      expect(exchange.handshakes).to.equal(1)
      clock.advance(1)
      await feed.ready
      expect(exchange.handshakes).to.equal(2)
    })

    it('does not speak with an exchange whose certificate cannot be verified', async () => {
      await start()
      await feed.ready
      const secure = await startFakeExchange({}, true)
      const other = new LiveFeed({
        wishes: [{ exchange: 'fake', instruments: ['A-B'], channels: ['trades'] }],
        protocolOf: () => protocol,
        addresses: new Map([['fake', { ws: secure.address.ws, rest: exchange.address.rest }]]),
        clock,
        random: () => 0,
        onEvents: () => expect.fail('nothing may come'),
        onFault: (fault) => faults.push(fault),
      })
      await other.start()
      await eventually(() => expect(codes()).to.deep.equal(['FEED_REFUSED']))
      expect(faults[0]!.message).to.include('self-signed certificate')
      await other.stop()
      await secure.stop()
    })

    it('tries again when a connection does not stand within the deadline', async () => {
      await start({ refuse: (count) => (count === 1 ? 'hang' : undefined) })
      await eventually(() => expect(exchange.handshakes).to.equal(1))
      clock.advance(10_000)
      expect(codes()).to.deep.equal(['FEED_REFUSED'])
      expect(faults[0]!.message).to.include('10000 ms')
      await flowing(() => expect(exchange.clients).to.have.length(1))
      await feed.ready
    })

    it('provokes a sign of life after half the silence that is allowed, and cuts the line after all of it', async () => {
      await start({ opened: ({ socket }) => ((socket as unknown as { _autoPong: boolean })._autoPong = false) })
      await feed.ready
      clock.advance(29_000)
      await settle()
      expect(exchange.client.pings).to.equal(0)
      clock.advance(1_000)
      await eventually(() => expect(exchange.client.pings).to.equal(1))
      clock.advance(30_000)
      expect(codes()).to.deep.equal(['FEED_STALE'])
      await flowing(() => expect(exchange.clients).to.have.length(2))
      expect(exchange.clients[0]!.pings).to.equal(1)
    })

    it('takes pongs, pings and frames of any kind for signs of life', async () => {
      await start()
      await feed.ready
      for (const sign of [
        () => undefined, // our ping is answered
        () => exchange.client.socket.ping(),
        () => exchange.client.socket.pong(),
        () => exchange.client.say({ beat: 1 }),
        () => exchange.client.say('nonsense'),
      ]) {
        clock.advance(31_000)
        sign()
        await settle()
      }
      expect(exchange.clients).to.have.length(1)
      expect(codes()).to.deep.equal(['FRAME_UNREADABLE'])
    })

    it("sends the exchange's own heartbeat instead of pings where it has one", async () => {
      await start({}, { protocol: { heartbeatMs: 20_000 } })
      await feed.ready
      clock.advance(40_000)
      await eventually(() => expect(exchange.client.requests.filter(({ op }) => op === 'ping')).to.have.length(2))
      expect(exchange.client.pings).to.equal(0)
      const ids = exchange.client.requests.map(({ id }) => id)
      expect(new Set(ids).size).to.equal(ids.length)
      clock.advance(20_000)
      expect(codes()).to.deep.equal(['FEED_STALE'])
    })

    it('moves to a new connection at once when the exchange announces a restart', async () => {
      await start()
      await feed.ready
      exchange.client.say({ restart: 'maintenance' })
      await eventually(() => expect(codes()).to.deep.equal(['EXCHANGE_RESTART']))
      await flowing(() => expect(dirs().slice(-3)).to.deep.equal(['close 0', 'open 1', 'out 1']))
      expect(exchange.clients).to.have.length(2)
    })

    it('renews the connection when a frame is larger than allowed', async () => {
      await start({}, { limits: { maxPayloadBytes: 1_000 } })
      await feed.ready
      exchange.client.say('x'.repeat(1_001))
      await eventually(() => expect(codes()).to.deep.equal(['FRAME_TOO_LARGE']))
      await flowing(() => expect(exchange.clients).to.have.length(2))
    })

    it('goes on after frames that are not what the protocol documents, text or binary', async () => {
      await start()
      await feed.ready
      for (const frame of ['{', '[]', 'null', '{"__proto__":1}', '{"channel":"nonsense"}']) exchange.client.say(frame)
      exchange.client.socket.send(Buffer.from([0, 255, 1]), { binary: true })
      exchange.client.say({ channel: 'trades', symbol: 'AB' })
      await eventually(() => expect(kinds().at(-1)).to.equal('trade'))
      expect(records.some((record) => record.dir === 'in' && record.isText === false)).to.equal(true)
      expect(exchange.clients).to.have.length(1)
    })
  })

  describe('pausing', () => {
    it('stops reading, holds silence against nobody, and goes on where it stopped', async () => {
      await start()
      await feed.ready
      feed.pause()
      expect(feed.paused).to.equal(true)
      await settle()
      const before = records.length
      for (let count = 0; count < 10; count++)
        exchange.client.say({ channel: 'trades', symbol: 'AB', price: `${count + 1}` })
      clock.advance(600_000)
      await settle()
      expect(records).to.have.length(before)
      expect(codes()).to.deep.equal([])
      feed.resume()
      await eventually(() => expect(events.filter(({ kind }) => kind === 'trade')).to.have.length(10))
      expect(exchange.clients).to.have.length(1)
      expect(codes()).to.deep.equal([])
      clock.advance(31_000)
      await eventually(() => expect(exchange.client.pings).to.equal(1))
    })

    it('sends heartbeats meanwhile', async () => {
      await start({}, { protocol: { heartbeatMs: 20_000 } })
      await feed.ready
      feed.pause()
      clock.advance(20_000)
      await eventually(() => expect(exchange.client.requests.some(({ op }) => op === 'ping')).to.equal(true))
    })
  })

  describe('stopping', () => {
    it('says goodbye, records the end of each connection, and emits nothing after that', async () => {
      await start({}, { wish: { instruments: ['AB', 'ABP'] } })
      clock.advance(200)
      await flowing(() => expect(feed.status().every(({ acked }) => acked === 1)).to.equal(true))
      const stopping = feed.stop()
      expect(dirs().slice(-2)).to.deep.equal(['close 0', 'close 1'])
      const { length } = events
      for (const client of exchange.clients) client.say({ channel: 'trades', symbol: 'AB' })
      await stopping
      await eventually(() => expect(exchange.clients.map(({ closedWith }) => closedWith)).to.deep.equal([1_000, 1_000]))
      expect(events).to.have.length(length)
      expect(feed.status().map(({ state }) => state)).to.deep.equal(['stopped', 'stopped'])
      expect(faults).to.deep.equal([])
    })

    it('cuts the line after the deadline when the exchange does not say goodbye', async () => {
      await start()
      await feed.ready
      exchange.client.socket.pause()
      let stopped = false
      const stopping = feed.stop().then(() => (stopped = true))
      await settle()
      expect(stopped).to.equal(false)
      clock.advance(2_000)
      await stopping
    })

    it('stops while it waits for its next attempt, or for a connection to stand', async () => {
      await start({ refuse: (count) => (count === 1 ? { status: 503 } : 'hang') })
      await eventually(() => expect(codes()).to.have.length(1))
      await flowing(() => expect(exchange.handshakes).to.equal(2))
      const stopping = feed.stop()
      await flowing(() => undefined, 2_000)
      await stopping
      expect(codes()).to.deep.equal(['FEED_REFUSED'])
    })

    it('can be stopped by whoever hears of a fault or an event, and twice', async () => {
      await make({}, { onEvents: () => void feed.stop() })
      await feed.start()
      await eventually(() => expect(feed.status()[0]!.state).to.equal('stopped'))
      await feed.stop()
      expect(dirs()).to.deep.equal(['rest -1', 'open 0', 'close 0'])
    })
  })
})
