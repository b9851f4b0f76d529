/** The life of a feed on a network and a clock of its own: when it is ready, given up, begun again, and how long it may take to stop. */
import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { LiveFeed, type LiveFeedOptions } from '../../src/feed/liveFeed'
import { kept, type SessionRecord } from '../../src/feed/record'
import type { FeedWish } from '../../src/feed/subscriptionPlan'
import type { Fault } from '../../src/model/fault'
import { fakeProtocol } from './fakeProtocol'
import { FakeTransport, type FakeNetwork } from './fakeTransport'

describe('LiveFeed', () => {
  let clock: VirtualClock
  let network: FakeTransport
  let feed: LiveFeed
  let records: SessionRecord[]
  let faults: Fault[]
  let terminal: [code: string, exchange: string | undefined][]

  const wish = (exchange: string, rest: Partial<FeedWish> = {}): FeedWish => ({
    exchange,
    instruments: ['A-B'],
    channels: ['trades'],
    ...rest,
  })
  const linesTo = (exchange: string) => network.lines.filter(({ options }) => options.url.includes(exchange))

  async function start(
    behaviour: FakeNetwork,
    wishes: FeedWish[],
    options: Partial<LiveFeedOptions> = {},
  ): Promise<void> {
    network = new FakeTransport(clock, behaviour)
    const protocols = new Map(wishes.map(({ exchange }) => [exchange, fakeProtocol({ id: exchange })]))
    feed = new LiveFeed({
      wishes,
      protocolOf: (id) => protocols.get(id)!,
      addresses: new Map(
        [...protocols.keys()].map((id) => [id, { ws: `wss://${id}.invalid`, rest: `https://${id}.invalid` }]),
      ),
      clock,
      random: () => 0.5,
      transport: network,
      limits: { retries: { atMost: 3, withinMs: 600_000 } },
      onEvents: () => undefined,
      onRecord: (record) => records.push(kept(record)),
      onFault: (fault) => faults.push(fault),
      onTerminal: ({ code }, exchange) => terminal.push([code, exchange]),
      ...options,
    })
    const started = feed.start()
    clock.advance(2)
    await started
  }

  /** Lets promises that are settled be heard. */
  async function settled(): Promise<void> {
    for (let steps = 0; steps < 10; steps++) await Promise.resolve()
  }

  /** How the promise of readiness stands. */
  async function readiness(): Promise<string> {
    const undecided = Promise.resolve('waiting')
    return Promise.race([
      feed.ready.then(
        () => 'ready',
        (thrown: unknown) => (thrown as Fault).code,
      ),
      undecided.then((word) => word).then((word) => word),
    ])
  }

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    records = []
    faults = []
    terminal = []
  })

  afterEach(async () => {
    const stopped = feed.stop()
    clock.advance(10_000)
    await stopped
    expect(clock.pending, 'timers that are left').to.equal(0)
  })

  describe('an exchange that was given up', () => {
    let reachable: boolean
    const network1: FakeNetwork = { opens: ({ options }) => reachable || !options.url.includes('one') }

    beforeEach(() => {
      reachable = false
    })

    it('is begun again with a new budget, new numbers and the same subscriptions, while the others go on', async () => {
      await start(network1, [wish('one'), wish('two')])
      clock.advance(60_000)
      expect(terminal).to.deep.equal([['RETRIES_EXHAUSTED', 'one']])
      expect(feed.status().map(({ exchange, state }) => [exchange, state])).to.deep.equal([
        ['one', 'failed'],
        ['two', 'open'],
      ])
      const attempts = linesTo('one').length
      clock.advance(600_000)
      expect(linesTo('one')).to.have.length(attempts)

      expect(feed.restart('one')).to.equal(true)
      clock.advance(60_000)
      expect(linesTo('one')).to.have.length(2 * attempts)
      expect(terminal).to.have.length(2)

      reachable = true
      expect(feed.restart('one')).to.equal(true)
      clock.advance(100)
      expect(
        linesTo('one')
          .at(-1)!
          .requests.map(({ op, keys }) => [op, ...keys]),
      ).to.deep.equal([['subscribe', 'trades:AB']])
      expect(
        records.filter(({ dir }) => dir === 'open').map(({ exchange, connection }) => [exchange, connection]),
      ).to.deep.equal([
        ['two', 0],
        ['one', 1],
      ])
      expect(linesTo('two')).to.have.length(1)
      expect(feed.status()[0]).to.include({ exchange: 'one', state: 'open', attempts: 1 })
    })

    it('makes readiness a matter of the future again', async () => {
      await start(network1, [wish('one'), wish('two')])
      clock.advance(100)
      expect(await readiness()).to.equal('waiting')
      clock.advance(60_000)
      expect(await readiness()).to.equal('RETRIES_EXHAUSTED')
      reachable = true
      feed.restart('one')
      expect(await readiness()).to.equal('waiting')
      clock.advance(100)
      expect(await readiness()).to.equal('ready')
    })

    it('does not take back that the feed was ready', async () => {
      reachable = true
      await start(network1, [wish('one')])
      clock.advance(100)
      expect(await readiness()).to.equal('ready')
      reachable = false
      linesTo('one')[0]!.end()
      clock.advance(60_000)
      expect(terminal).to.have.length(1)
      feed.restart('one')
      clock.advance(60_000)
      expect(await readiness()).to.equal('ready')
    })

    it('can be begun again by whoever is told', async () => {
      let again = 2
      await start(network1, [wish('one')], {
        onTerminal: (_fault, exchange) => {
          if (again-- > 0) expect(feed.restart(exchange!)).to.equal(true)
        },
      })
      clock.advance(600_000)
      expect(linesTo('one')).to.have.length(3 * 4)
    })

    it('is held back with the others when it is begun again while the feed is paused', async () => {
      await start(network1, [wish('one')])
      clock.advance(60_000)
      reachable = true
      feed.pause()
      feed.restart('one')
      clock.advance(100)
      expect(linesTo('one').at(-1)!.pauses).to.equal(1)
    })

    it('is not begun again when it works, is unknown, has refused everything, or the feed has stopped', async () => {
      reachable = true
      await start(
        {
          requested: (line, { id }) =>
            line.say(line.options.url.includes('two') ? { refused: { id, reason: 'no such topic' } } : { ack: { id } }),
        },
        [wish('one'), wish('two')],
      )
      clock.advance(100)
      expect(feed.status().map(({ state }) => state)).to.deep.equal(['open', 'failed'])
      for (const exchange of ['one', 'two', 'three', '__proto__']) expect(feed.restart(exchange)).to.equal(false)
      const stopped = feed.stop()
      clock.advance(1)
      await stopped
      expect(feed.restart('one')).to.equal(false)
    })
  })

  describe('what is not required', () => {
    const silentTwo: FakeNetwork = { opens: ({ options }) => !options.url.includes('two') }

    it('is not waited for, nor does it take readiness with it', async () => {
      await start(silentTwo, [wish('one'), wish('two', { required: false })])
      clock.advance(100)
      expect(await readiness()).to.equal('ready')
      clock.advance(60_000)
      expect(terminal).to.deep.equal([['RETRIES_EXHAUSTED', 'two']])
    })

    it('does not make a feed that waits for something else give up', async () => {
      await start({ ...silentTwo, requested: () => undefined }, [wish('one'), wish('two', { required: false })], {
        limits: { retries: { atMost: 1, withinMs: 600_000 }, ackMs: 60_000 },
      })
      clock.advance(10_000)
      expect(terminal).to.deep.equal([['RETRIES_EXHAUSTED', 'two']])
      expect(await readiness()).to.equal('waiting')
    })

    it('is a matter of each book and topic, not of its connection', async () => {
      const bookless: FakeNetwork = {
        requested(line, { id, keys }) {
          line.say({ ack: { id } })
          if (keys.includes('book:AB')) line.say({ channel: 'book', symbol: 'AB', kind: 'snapshot', seq: 1 })
        },
      }
      const books = (names: string[], rest: Partial<FeedWish> = {}): FeedWish =>
        wish('one', { channels: ['book'], instruments: names, ...rest })
      await start(bookless, [books(['A-B']), books(['C-D'], { required: false })])
      clock.advance(100)
      expect(await readiness()).to.equal('ready')
    })

    describe('and whose instruments cannot be had', () => {
      let reachable: boolean
      let instruments: string[]
      const behaviour: FakeNetwork = {
        rest: (url) => {
          if (!url.includes('two')) return undefined
          return reachable ? { symbols: instruments } : { outcome: 'failed', reason: 'status 503' }
        },
      }
      const states = () => feed.status().map(({ exchange, state }) => `${exchange} ${state}`)
      const limits = { restRetries: { atMost: 2, withinMs: 60_000 } }

      beforeEach(() => {
        reachable = false
        instruments = ['AB']
      })

      it('does not hold up the others, and joins them when it answers', async () => {
        await start(behaviour, [wish('one'), wish('two', { required: false })], { limits })
        clock.advance(10)
        expect(await readiness()).to.equal('ready')
        expect(states()).to.deep.equal(['one open', 'two connecting'])
        reachable = true
        clock.advance(5_000)
        await settled()
        clock.advance(10)
        expect(states()).to.deep.equal(['one open', 'two open'])
        expect(linesTo('two')[0]!.requests.map(({ keys }) => keys)).to.deep.equal([['trades:AB']])
        expect(terminal).to.deep.equal([])
      })

      it('is given up like one that cannot be connected to, and begun again like it', async () => {
        await start(behaviour, [wish('one'), wish('two', { required: false })], { limits })
        clock.advance(30_000)
        await settled()
        expect(terminal).to.deep.equal([['RETRIES_EXHAUSTED', 'two']])
        expect(states()).to.deep.equal(['one open', 'two failed'])
        reachable = true
        expect(feed.restart('two')).to.equal(true)
        expect(feed.restart('two')).to.equal(false)
        clock.advance(10)
        await settled()
        clock.advance(10)
        expect(states()).to.deep.equal(['one open', 'two open'])
      })

      it('does not keep the others from starting, whatever it answers and when', async () => {
        const refusing: FakeNetwork = {
          rest: (url) => (url.includes('two') ? { outcome: 'refused', reason: 'status 404' } : undefined),
        }
        await start(refusing, [wish('one'), wish('two', { required: false })], { limits })
        await settled()
        expect(terminal).to.deep.equal([['OPTION_INVALID', 'two']])
        expect(states().at(-1)).to.equal('two failed')
      })

      it('fails alone when it has nothing of what is wished', async () => {
        const both = { wherever: true, required: false }
        instruments = ['EF']
        await start(behaviour, [wish('one'), wish('one', both), wish('two', both)], { limits })
        reachable = true
        clock.advance(5_000)
        await settled()
        expect(terminal).to.deep.equal([['OPTION_INVALID', 'two']])
        expect(faults.at(-1)!.message).to.include('has nothing of what is wished')
        expect(states()).to.deep.equal(['one open', 'two failed'])
      })

      it('lets what nobody has be told when all have answered', async () => {
        const both = { wherever: true, required: false, instruments: ['A-B', 'X-Y'] }
        await start(behaviour, [wish('one'), wish('one', both), wish('two', both)], { limits })
        reachable = true
        clock.advance(5_000)
        await settled()
        const [told, ...others] = faults.filter(({ code }) => code === 'OPTION_INVALID')
        expect(told!.message).to.include('"X-Y"')
        expect(others).to.deep.equal([])
        clock.advance(10)
        expect(states()).to.deep.equal(['one open', 'two open'])
        expect(terminal).to.deep.equal([])
      })

      it('is forgotten with a feed that is stopped', async () => {
        await start(behaviour, [wish('one'), wish('two', { required: false })], { limits })
        const stopped = feed.stop()
        clock.advance(10)
        await stopped
        await settled()
        expect(terminal).to.deep.equal([])
      })
    })

    it('leaves a feed of nothing else ready at once', async () => {
      await start({ opens: () => false }, [wish('one', { required: false })])
      expect(await readiness()).to.equal('ready')
    })
  })

  describe('a stop', () => {
    it('waits for goodbyes no longer than it is told to', async () => {
      await start({ rude: true }, [wish('one')])
      clock.advance(100)
      let stopped = false
      const stopping = feed.stop(300).then(() => (stopped = true))
      clock.advance(299)
      await Promise.resolve()
      expect(stopped).to.equal(false)
      clock.advance(1)
      await stopping
      expect(linesTo('one')[0]!.cuts).to.equal(1)
      expect(await readiness()).to.equal('ready')
    })

    it('is cut short by another with less patience', async () => {
      await start({ rude: true }, [wish('one')])
      clock.advance(100)
      const patient = feed.stop(60_000)
      const impatient = feed.stop(10)
      clock.advance(10)
      await Promise.all([patient, impatient])
      expect(linesTo('one')[0]!.cuts).to.equal(1)
    })

    it('gives up readiness that has not come', async () => {
      await start({ opens: () => false }, [wish('one')])
      const stopping = feed.stop()
      clock.advance(10)
      await stopping
      expect(await readiness()).to.equal('DEADLINE_EXCEEDED')
    })
  })

  it('notices a dead line also while it is held back again and again, and forgives just the time of the pauses', async () => {
    await start({ deaf: true }, [wish('one')])
    const linesBefore = network.lines.length
    const startUs = clock.nowUs()
    // Of each half second a tenth of a second is read; the protocol puts up with a minute of silence.
    while (network.lines.length === linesBefore && clock.nowUs() < startUs + 3_600_000_000) {
      feed.pause()
      clock.advance(400)
      feed.resume()
      clock.advance(100)
    }
    expect(faults.map(({ code }) => code)).to.include('FEED_STALE')
    expect((clock.nowUs() - startUs) / 1e6).to.be.within(280, 330)
  })
})
