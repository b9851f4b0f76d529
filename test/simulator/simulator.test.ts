import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { checkFaultPlan, parseFaultPlan, type FaultRule } from '../../src/simulator/faults'
import { startSimulator, type RunningSimulator, type SimulatorOptions } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import {
  BareClient,
  binanceBook,
  bybitBook,
  coinbaseBook,
  expectSame,
  krakenBook,
  okxBook,
  type BareBook,
} from './bareClient'

const START_US = 1_790_000_000_000_000

describe('startSimulator', () => {
  let simulator: RunningSimulator
  let clock: VirtualClock
  const clients: BareClient[] = []

  async function start(options: SimulatorOptions = {}): Promise<RunningSimulator> {
    clock = new VirtualClock(START_US)
    simulator = await startSimulator({ clock, depth: 100, messagesPerSecond: 1_000, ...options })
    return simulator
  }
  async function open(exchange: string, path: string): Promise<BareClient> {
    const client = await BareClient.open(simulator.addresses.get(exchange)!.ws + path)
    clients.push(client)
    return client
  }
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await simulator.stop()
    expect(clock.pending).to.equal(0)
  })

  const KRAKEN = { method: 'subscribe', params: { channel: 'book', symbol: ['BTC/USD'], depth: 10 } }
  const OKX = { op: 'subscribe', args: [{ channel: 'books', instId: 'BTC-USDT' }] }
  const BYBIT = { op: 'subscribe', args: ['orderbook.50.BTCUSDT'] }
  const COINBASE = { type: 'subscribe', product_ids: ['BTC-USD'], channels: ['level2_batch'] }

  /** Subscribes, lets the market run for `ms`, freezes, and returns what arrived. */
  async function session(
    exchange: string,
    path: string,
    subscribe: unknown,
    during: () => void,
    ms = 300,
  ): Promise<BareClient> {
    const client = await open(exchange, path)
    client.send(subscribe)
    await client.frame(':"snapshot"')
    clock.advance(ms / 2)
    during()
    clock.advance(ms / 2)
    await simulator.freeze()
    await new Promise((resolve) => {
      client.socket.once('pong', resolve)
      client.socket.ping()
    })
    return client
  }
  function replay(client: BareClient, book: BareBook): BareBook {
    for (const frame of client.frames) book.apply(frame)
    return book
  }

  it('publishes the number of frames a second that it was asked for', async () => {
    await start({ messagesPerSecond: 5_000 })
    const client = await open('binance', '/stream?streams=btcusdt@depth/btcusdt@trade/btcusdt@bookTicker')
    clock.advance(2_000)
    expect(simulator.stats.published).to.be.within(9_900, 10_020)
    await eventually(() => expect(client.frames.length).to.equal(simulator.stats.sent))
    expect(simulator.stats.lateMs).to.equal(0)
  })

  it('stands still while nobody is subscribed', async () => {
    await start()
    clock.advance(5_000)
    expect(simulator.stats.steps).to.equal(0)
  })

  it('counts the time it could not keep instead of running after it', async () => {
    await start({ messagesPerSecond: 1_000 })
    await open('binance', '/ws/btcusdt@depth')
    clock.advance(10)
    const stalled = simulator.stats.published
    // The machine stalls: the clock moves on by ten seconds and only then the timer runs.
    const nowUs = clock.nowUs.bind(clock)
    clock.nowUs = () => nowUs() + 10_000_000
    clock.advance(10)
    expect(simulator.stats.published - stalled).to.be.within(240, 280)
    expect(simulator.stats.lateMs).to.be.within(9_700, 9_800)
  })

  it('sends the same contents for the same seed, whatever the pace', async () => {
    const contents: string[][] = []
    for (const messagesPerSecond of [200, 5_000]) {
      await start({ seed: 42, messagesPerSecond })
      const client = await open('bybit', '/v5/public/linear')
      client.send({ op: 'subscribe', args: ['orderbook.50.BTCUSDT', 'publicTrade.BTCUSDT'] })
      await client.frame('"type":"snapshot"')
      for (let round = 0; round < 400 && client.frames.length < 250; round++) {
        clock.advance(20)
        await new Promise((resolve) => setImmediate(resolve))
      }
      contents.push(
        client.frames
          .filter((frame) => frame.startsWith('{"topic"'))
          .slice(0, 200)
          .map((frame) => frame.replace(/"(ts|cts|T)":\d+/g, '')),
      )
      expect(contents.at(-1)).to.have.length(200)
      client.close()
      await simulator.stop()
    }
    expect(contents[1]).to.deep.equal(contents[0])
  })

  it('loses one change on request, and the client can tell', async () => {
    await start()
    for (const [exchange, path, subscribe, book] of [
      ['okx', '/ws/v5/public', OKX, okxBook('BTC-USDT')],
      ['bybit', '/v5/public/linear', BYBIT, bybitBook('orderbook.50.BTCUSDT')],
      ['kraken', '/v2', KRAKEN, krakenBook('BTC/USD', 10)],
    ] as const) {
      const client = await session(exchange, path, subscribe, () => simulator.inject({ kind: 'skip', exchange }))
      const { gaps, wrong } = replay(client, book)
      expect(gaps + wrong, exchange).to.be.at.least(1)
      expect(simulator.stats.exchanges[exchange]!.skippedDeltas).to.equal(1)
      simulator.thaw()
    }
  })

  it('lets a client notice a loss just before the freeze', async () => {
    await start({ messagesPerSecond: 100 })
    const client = await open('binance', '/stream?streams=btcusdt@depth')
    const body = await (
      await fetch(`${simulator.addresses.get('binance')!.rest}/api/v3/depth?symbol=BTCUSDT&limit=1000`)
    ).text()
    clock.advance(200)
    simulator.inject({ kind: 'skip', exchange: 'binance', symbol: 'BTCUSDT' })
    const { skippedDeltas } = simulator.stats
    while (simulator.stats.skippedDeltas === skippedDeltas) clock.advance(5)
    await simulator.freeze()
    await eventually(() => expect(client.frames.length).to.equal(simulator.stats.sent))
    const book = binanceBook('btcusdt@depth', false)
    book.snapshot(body)
    expect(replay(client, book).gaps).to.equal(1)
  })

  it('sends one wrong checksum on request, whose levels are right', async () => {
    await start()
    const client = await session('kraken', '/v2', KRAKEN, () =>
      simulator.inject({ kind: 'checksum', exchange: 'kraken' }),
    )
    const book = replay(client, krakenBook('BTC/USD', 10))
    expect(book.wrong).to.equal(1)
    expectSame(book, simulator.book('kraken', 'BTC/USD'), 10)
    simulator.inject({ kind: 'checksum', exchange: 'coinbase' })
    expect(simulator.stats).to.include({ wrongChecksums: 1, notApplicable: 1 })
  })

  it('cuts all connections of an exchange on request, and serves whoever comes back', async () => {
    await start()
    const [first, second, other] = [
      await open('okx', '/ws/v5/public'),
      await open('okx', '/ws/v5/public'),
      await open('bybit', '/v5/public/spot'),
    ]
    simulator.inject({ kind: 'drop', exchange: 'okx' })
    await eventually(() => expect([first.closed?.code, second.closed?.code]).to.deep.equal([1006, 1006]))
    expect(other.closed).to.equal(undefined)
    expect(simulator.stats.droppedConnections).to.equal(2)
    const client = await session('okx', '/ws/v5/public', OKX, () => undefined)
    expectSame(replay(client, okxBook('BTC-USDT')), simulator.book('okx', 'BTC-USDT'), 400)
  })

  it('loses what falls into a silence', async () => {
    await start()
    const client = await session('bybit', '/v5/public/linear', BYBIT, () =>
      simulator.inject({ kind: 'silence', exchange: 'bybit', forMs: 100 }),
    )
    expect(replay(client, bybitBook('orderbook.50.BTCUSDT')).gaps).to.equal(1)
  })

  it('refuses a connection, a REST request, and sends garbage on request', async () => {
    await start()
    simulator.inject({ kind: 'refuse', exchange: 'kraken' })
    const failure = await open('kraken', '/v2').catch((error: unknown) => String(error))
    expect(failure).to.include('503')
    simulator.inject({ kind: 'http429', exchange: 'binance' })
    const response = await fetch(`${simulator.addresses.get('binance')!.rest}/api/v3/ping`)
    expect([response.status, response.headers.get('retry-after')]).to.deep.equal([429, '1'])
    const client = await session('coinbase', '/', COINBASE, () =>
      simulator.inject({ kind: 'garbage', exchange: 'coinbase' }),
    )
    await client.frame('JSON,,')
    client.frames.splice(
      client.frames.findIndex((frame) => frame.includes('JSON,,')),
      1,
    )
    expectSame(replay(client, coinbaseBook('BTC-USD')), simulator.book('coinbase', 'BTC-USD'))
  })

  it('follows a plan of faults, the same for the same seed, and only where they can be noticed', async () => {
    const counts: unknown[] = []
    for (let run = 0; run < 2; run++) {
      await start({ faults: 'skip=1s,drop=20s,kraken:checksum=2s', seed: 9 })
      const client = await open('okx', '/ws/v5/public')
      client.send(OKX)
      const coinbase = await open('coinbase', '/')
      coinbase.send(COINBASE)
      await client.frame('"action":"snapshot"')
      await coinbase.frame('"type":"snapshot"')
      clock.advance(10_000)
      const { okx, coinbase: silent } = simulator.stats.exchanges
      counts.push(okx!.skippedDeltas)
      expect(okx!.skippedDeltas).to.be.greaterThan(2)
      expect(silent!.skippedDeltas).to.equal(0)
      await simulator.stop()
    }
    expect(counts[1]).to.equal(counts[0])
  })

  it('tells its books by symbol, unified name or older spelling, and names what it has otherwise', async () => {
    await start()
    const truth = simulator.book('kraken', 'BTC/USD')
    expect(simulator.book('kraken', 'XBT/USD')).to.deep.equal(truth)
    expect(simulator.book('kraken', 'BTC-USD')).to.deep.equal(truth)
    expect(simulator.book('bybit', 'BTCUSDT', 'linear')).to.not.deep.equal(simulator.book('bybit', 'BTCUSDT', 'spot'))
    expect(simulator.symbols('coinbase')).to.deep.include({ symbol: 'ETH-USD', name: 'ETH-USD', market: 'spot' })
    expect(() => simulator.book('okx', 'FOO'))
      .to.throw('BTC-USDT-SWAP')
      .with.property('code', 'OPTION_INVALID')
    expect(() => simulator.inject({ kind: 'skip', exchange: 'okx', symbol: 'FOO' })).to.throw('does not list "FOO"')
    expect(() => simulator.book('ftx', 'FOO'))
      .to.throw('it runs binance')
      .with.property('code', 'OPTION_INVALID')
  })

  it('takes consecutive ports, and says so when one is taken', async () => {
    await start({ exchanges: ['kraken'] })
    const taken = Number(new URL(simulator.addresses.get('kraken')!.rest).port)
    const failure = await startSimulator({ exchanges: ['okx'], port: taken }).catch((error: unknown) => error)
    expect(failure).to.have.property('code', 'OPTION_INVALID')
    expect(failure).to.have.property('message').that.includes(`127.0.0.1:${taken}`)
  })

  it('stops twice without complaint, and closes its connections', async () => {
    await start()
    const client = await open('okx', '/ws/v5/public')
    await Promise.all([simulator.stop(), simulator.stop()])
    await eventually(() => expect(client.closed?.code).to.equal(1001))
    simulator.thaw()
    expect(simulator.stats.connections).to.be.at.most(1)
  })
})

describe('options of the simulator', () => {
  const refused = async (options: SimulatorOptions): Promise<string> => {
    const error: unknown = await startSimulator(options).then(
      async (running) => {
        await running.stop()
        return undefined
      },
      (failure: unknown) => failure,
    )
    expect(error).to.have.property('code', 'OPTION_INVALID')
    return (error as Error).message
  }

  it('are refused with a sentence when they are not usable', async () => {
    expect(await refused({ exchanges: ['mtgox'] })).to.include('binance, binance-futures')
    expect(await refused({ exchanges: [] })).to.include('at least one')
    expect(await refused({ exchanges: ['okx', 'okx'] })).to.include('each once')
    expect(await refused({ instruments: [] })).to.include('1 to 1,000')
    expect(await refused({ instruments: ['BTCUSDT'] })).to.include('BASE-QUOTE')
    expect(await refused({ messagesPerSecond: 50_001 })).to.include('50000')
    expect(await refused({ messagesPerSecond: Number.NaN })).to.include('whole number')
    expect(await refused({ depth: 5 })).to.include('20 to 5000')
    expect(await refused({ port: -1 })).to.include('port')
    expect(await refused({ seed: 1.5 })).to.include('seed')
  })
})

describe('a plan of faults as data', () => {
  it('is checked like its text', () => {
    const check = (rule: unknown): unknown => checkFaultPlan([rule as FaultRule], ['okx'])
    expect(() => check({ kind: 'drop', exchange: undefined, everyMs: 0 })).to.throw('between 10ms and a day')
    expect(() => check({ kind: 'drop', exchange: undefined, everyMs: Number.NaN })).to.throw('between 10ms and a day')
    expect(() => check({ kind: 'burn', exchange: undefined, everyMs: 1_000 })).to.throw('there is no fault')
    expect(() => check({ kind: 'drop', exchange: 'kraken', everyMs: 1_000 })).to.throw('running are okx')
  })
})

describe('parseFaultPlan', () => {
  const parse = (spec: string): unknown => parseFaultPlan(spec, ['kraken', 'okx'])

  it('reads kinds, times and exchanges', () => {
    expect(parse('drop=10s, skip=500ms,kraken:checksum=1.5m')).to.deep.equal([
      { kind: 'drop', exchange: undefined, everyMs: 10_000 },
      { kind: 'skip', exchange: undefined, everyMs: 500 },
      { kind: 'checksum', exchange: 'kraken', everyMs: 90_000 },
    ])
    expect(parse('')).to.deep.equal([])
  })

  for (const [spec, says] of [
    ['explode=1s', 'drop, skip, checksum'],
    ['drop', 'KIND=TIME'],
    ['drop=10', 'KIND=TIME'],
    ['drop=1ms', 'between 10ms and a day'],
    ['binance:drop=1s', 'running are kraken, okx'],
    ['__proto__=1s', 'there is no fault'],
    ['constructor=1s', 'there is no fault'],
  ] as const) {
    it(`refuses "${spec}" and says what is known`, () => {
      expect(() => parse(spec))
        .to.throw(says)
        .with.property('code', 'OPTION_INVALID')
    })
  }
})
