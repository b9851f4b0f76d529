import { expect } from 'chai'
import type { ConnectionEnd, ConnectionEvents } from '../../../src/feed/connection'
import type { RestAnswer } from '../../../src/feed/rest'
import type { FeedConnection } from '../../../src/feed/transport'
import { startSimulator, type RunningSimulator } from '../../../src/simulator/simulator'
import { SimulatedNetwork } from '../../../src/testing/simulation/network'
import { CALM, type NetworkWeather } from '../../../src/testing/simulation/weather'
import { World } from '../../../src/testing/simulation/world'

const SUBSCRIBE = '{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}'

/** A client, what it has heard, and when. */
interface Client extends ConnectionEvents {
  readonly heard: string[]
  readonly frames: string[]
  readonly arrivedMs: number[]
  /** The bytes of the last frame, kept against the rule. */
  lent: Uint8Array | undefined
  end: ConnectionEnd | undefined
  line: FeedConnection
}

describe('SimulatedNetwork', () => {
  let world: World
  let network: SimulatedNetwork
  let simulator: RunningSimulator

  it('carries frames both ways, in order, later than they were sent', async () => {
    await within({ latencyMs: 10, jitterMs: 5 }, async () => {
      const client = connect()
      expect(client.heard, 'nothing is told inside the call').to.deep.equal([])
      await world.sleep(200)
      expect(client.heard[0]).to.equal('opened')
      expect(client.line.send(SUBSCRIBE)).to.equal(true)
      await world.sleep(2_000)
      const [ack, snapshot, ...deltas] = client.frames.map((text) => JSON.parse(text) as WireFrame)
      expect(ack).to.include({ op: 'subscribe', success: true })
      expect(snapshot).to.include({ type: 'snapshot' })
      expect(deltas.length).to.be.greaterThan(20)
      const numbers = deltas.map(({ data }) => data!.u)
      expect(numbers).to.deep.equal(numbers.map((_, index) => snapshot!.data!.u + 1 + index))
    })
  })

  it('lends the bytes of a frame until the callback returns, so that whoever keeps them is found out', async () => {
    await within({}, async () => {
      const client = connect()
      await world.sleep(50)
      client.line.send(SUBSCRIBE)
      await world.sleep(500)
      expect(client.frames.at(-1)).to.match(/^\{"topic"/)
      expect(client.lent).to.have.length(client.frames.at(-1)!.length)
      expect(client.lent!.every((byte) => byte === 0)).to.equal(true)
    })
  })

  it('lets frames wait for each other and arrive in one turn', async () => {
    await within({ gatherMs: 100 }, async () => {
      const client = connect()
      await world.sleep(300)
      client.line.send(SUBSCRIBE)
      await world.sleep(2_000)
      expect(client.frames.length).to.be.greaterThan(20)
      expect(new Set(client.arrivedMs).size).to.be.lessThan(25)
    })
  })

  it('leaves with the exchange what is not read, and gives all of it when reading goes on', async () => {
    await within({}, async () => {
      const client = connect()
      await world.sleep(50)
      client.line.send(SUBSCRIBE)
      await world.sleep(500)
      client.line.pause()
      await world.sleep(5)
      const before = client.frames.length
      await world.sleep(2_000)
      expect(client.frames.length).to.equal(before)
      client.line.resume()
      await world.sleep(20)
      expect(client.frames.length).to.be.greaterThan(before + 20)
      const numbers = client.frames.slice(1).map((text) => (JSON.parse(text) as WireFrame).data!.u)
      expect(numbers).to.deep.equal(numbers.map((_, index) => numbers[0]! + index))
    })
  })

  it('breaks lines so that both ends hear of it, once', async () => {
    await within({ breakEveryMs: 300 }, async () => {
      const client = connect()
      await world.sleep(10_000)
      expect(client.end).to.include({ how: 'closed', code: 1_006 })
      expect(client.heard.filter((each) => each === 'ended')).to.have.length(1)
      expect(client.line.send('too late')).to.equal(false)
      expect(simulator.stats.connections).to.equal(0)
    })
  })

  it('lets lines die without a word, and forgets them on the exchange’s side after half a minute', async () => {
    await within({ deadEveryMs: 100 }, async () => {
      const client = connect()
      await world.sleep(50)
      client.line.send(SUBSCRIBE)
      await world.sleep(3_000)
      const frames = client.frames.length
      await world.sleep(10_000)
      expect(client.frames.length).to.equal(frames)
      expect(client.end).to.equal(undefined)
      expect(simulator.stats.connections).to.equal(1)
      client.line.cut()
      await world.sleep(60_000)
      expect(simulator.stats.connections).to.equal(0)
      expect(client.end, 'whoever cuts knows').to.equal(undefined)
    })
  })

  it('says goodbye with a code', async () => {
    await within({ goodbyeEveryMs: 200 }, async () => {
      const client = connect()
      await world.sleep(10_000)
      expect(client.end?.how).to.equal('closed')
      expect([1_000, 1_001, 1_012, 1_013]).to.include(client.end?.code)
    })
  })

  it('closes in order when the client wishes, and resolves when the exchange has answered', async () => {
    await within({ latencyMs: 20 }, async () => {
      const client = connect()
      await world.sleep(200)
      const before = world.elapsedMs
      await client.line.close(1_000, 'goodbye')
      expect(world.elapsedMs - before).to.be.within(40, 60)
      expect(client.end).to.equal(undefined)
      expect(simulator.stats.connections).to.equal(0)
    })
  })

  it('does not wait for ever for the goodbye of a dead line', async () => {
    await within({ deadEveryMs: 1 }, async () => {
      const client = connect()
      await world.sleep(500)
      const before = world.elapsedMs
      await client.line.close(1_000, 'goodbye')
      expect(world.elapsedMs - before).to.equal(2_000)
    })
  })

  it('refuses connections, and answers handshakes too late', async () => {
    await within({ refusedChance: 1 }, async () => {
      const client = connect()
      await world.sleep(1_000)
      expect(client.end).to.include({ how: 'unopened', code: 503 })
    })
    await within({ latencyMs: 6_000 }, async () => {
      const client = connect()
      await world.sleep(60_000)
      expect(client.end).to.include({ how: 'unopened' })
      expect(client.end?.reason).to.include('10000 ms')
      expect(client.heard).to.deep.equal(['ended'])
    })
    await within({}, async () => {
      const client = connect('ws://nobody.sim/')
      await world.sleep(1_000)
      expect(client.end).to.include({ how: 'unopened', code: 0 })
    })
  })

  it('answers REST as the weather says', async () => {
    const outcome = (weather: Partial<NetworkWeather>): Promise<RestAnswer> => {
      let answer: RestAnswer | undefined
      return within(weather, async () => {
        ask((each) => (answer = each))
        expect(answer, 'nothing is told inside the call').to.equal(undefined)
        await world.sleep(20_000)
      }).then(() => answer!)
    }
    expect((await outcome({})).outcome).to.equal('answered')
    expect((await outcome({ lateChance: 1, lateMs: 500 })).outcome).to.equal('answered')
    expect(await outcome({ limitedChance: 1 })).to.include({ outcome: 'limited' })
    expect((await outcome({ errorChance: 1 })).outcome).to.equal('failed')
    expect(await outcome({ resetChance: 1 })).to.deep.equal({ outcome: 'failed', reason: 'the answer broke off' })
    expect(await outcome({ unansweredChance: 1 })).to.include({ reason: 'no complete answer within 10000 ms' })
  })

  it('takes a question back without a word', async () => {
    await within({}, async () => {
      let told = false
      ask(() => (told = true))()
      await world.sleep(20_000)
      expect(told).to.equal(false)
    })
  })

  it('becomes calm: what has not gone wrong does not', async () => {
    await within({ breakEveryMs: 5_000, deadEveryMs: 5_000, goodbyeEveryMs: 5_000 }, async () => {
      const client = connect()
      await world.sleep(100)
      network.calm()
      await world.sleep(60_000)
      expect(client.end).to.equal(undefined)
    })
  })

  /** Lets something happen under this weather; afterwards no timer is left. */
  async function within(weather: Partial<NetworkWeather>, body: () => Promise<void>): Promise<void> {
    world = new World(11)
    network = new SimulatedNetwork(world.clock, world.random('network'), { ...CALM.network, ...weather })
    await world.run(async () => {
      simulator = await startSimulator({
        exchanges: ['bybit'],
        instruments: ['BTC-USDT'],
        messagesPerSecond: 50,
        depth: 50,
        clock: world.clock,
        serve: network.serve,
      })
      await body()
      await simulator.stop()
      network.close()
    })
    expect(world.errors).to.deep.equal([])
    expect(world.clock.pending, 'timers left').to.equal(0)
  }

  function connect(url = 'ws://bybit.sim/v5/public/spot'): Client {
    const client: Client = {
      heard: [],
      frames: [],
      arrivedMs: [],
      lent: undefined,
      end: undefined,
      line: undefined as unknown as FeedConnection,
      opened: () => void client.heard.push('opened'),
      received(bytes) {
        client.frames.push(Buffer.from(bytes).toString())
        client.lent = bytes
        client.arrivedMs.push(world.elapsedMs)
      },
      signed: () => void client.heard.push('signed'),
      ended(end) {
        client.heard.push('ended')
        client.end = end
      },
    }
    const limits = { env: {}, connectMs: 10_000, closeMs: 2_000, maxPayloadBytes: 1 << 20 }
    client.line = network.transport.connect({ url, clock: world.clock, ...limits }, client)
    return client
  }

  function ask(answered: (answer: RestAnswer) => void): () => void {
    const limits = { env: {}, deadlineMs: 10_000, bodyBytesMax: 1 << 20, connectionsMax: 2 }
    const asker = network.transport.rest({ clock: world.clock, ...limits })
    return asker.get('http://bybit.sim/v5/market/instruments-info?category=spot', answered)
  }
})

interface WireFrame {
  readonly op?: string
  readonly success?: boolean
  readonly type?: string
  readonly data?: { readonly u: number }
}
