import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import {
  BareClient,
  binanceBook,
  bybitBook,
  coinbaseBook,
  expectSame,
  krakenBook,
  krakenV1Book,
  okxBook,
  type BareBook,
} from './bareClient'

interface Case {
  readonly title: string
  readonly exchange: string
  readonly path: string
  readonly subscribe: unknown
  /** A frame that tells that the subscription stands. */
  readonly begins: string
  readonly book: () => BareBook
  readonly symbol: string
  readonly market?: string
  readonly depth?: number
}

const BYBIT: readonly Case[] = [
  [50, 'linear'],
  [200, 'spot'],
  [1_000, 'linear'],
].map(([depth, market]) => ({
  title: `Bybit ${market} at depth ${depth}`,
  exchange: 'bybit',
  path: `/v5/public/${market}`,
  subscribe: { op: 'subscribe', args: [`orderbook.${depth}.ETHUSDT`] },
  begins: '"type":"snapshot"',
  book: () => bybitBook(`orderbook.${depth}.ETHUSDT`),
  symbol: 'ETHUSDT',
  market: String(market),
  depth: Number(depth),
}))

const KRAKEN: readonly Case[] = [10, 100, 1_000].flatMap((depth) => [
  {
    title: `Kraken v2 at depth ${depth}`,
    exchange: 'kraken',
    path: '/v2',
    subscribe: { method: 'subscribe', params: { channel: 'book', symbol: ['BTC/USD'], depth } },
    begins: '"type":"snapshot"',
    book: () => krakenBook('BTC/USD', depth),
    symbol: 'BTC/USD',
    depth,
  },
  {
    title: `Kraken v1 at depth ${depth}`,
    exchange: 'kraken',
    path: '/',
    subscribe: { event: 'subscribe', pair: ['XDG/USDT'], subscription: { name: 'book', depth } },
    begins: '{"as":',
    book: () => krakenV1Book('XDG/USDT', depth),
    symbol: 'DOGE/USDT',
    depth,
  },
])

const CASES: readonly Case[] = [
  ...BYBIT,
  ...KRAKEN,
  ...['BTC-USDT', 'XRP-USDT-SWAP'].map((instId) => ({
    title: `OKX ${instId}`,
    exchange: 'okx',
    path: '/ws/v5/public',
    subscribe: { op: 'subscribe', args: [{ channel: 'books', instId }] },
    begins: '"action":"snapshot"',
    book: () => okxBook(instId),
    symbol: instId,
    depth: 400,
  })),
  {
    title: 'Coinbase',
    exchange: 'coinbase',
    path: '/',
    subscribe: { type: 'subscribe', product_ids: ['BTC-USD'], channels: ['level2_batch'] },
    begins: '"type":"snapshot"',
    book: () => coinbaseBook('BTC-USD'),
    symbol: 'BTC-USD',
  },
]

describe('the simulator, to a client that follows the page', () => {
  const clock = new VirtualClock(1_790_000_000_000_000)
  let simulator: RunningSimulator

  before(async () => {
    simulator = await startSimulator({ clock, messagesPerSecond: 1_000, okxChecksum: true, depth: 500 })
  })
  after(() => simulator.stop())

  /** Lets the market run until at least `count` frames have come that `matches` finds. */
  async function run(client: BareClient, count: number): Promise<void> {
    for (let round = 0; round < 40 && client.frames.length < count; round++) {
      clock.advance(50)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => expect(client.frames.length).to.be.at.least(count))
  }

  async function settle(client: BareClient): Promise<void> {
    await simulator.freeze()
    const sent = simulator.stats.published
    await eventually(() => {
      expect(client.socket.readyState).to.equal(1)
      expect(simulator.stats.published).to.equal(sent)
    })
    // All frames are in the client's kernel buffer: a round trip through the same socket comes after them.
    await new Promise((resolve) => {
      client.socket.once('pong', resolve)
      client.socket.ping()
    })
  }

  for (const { title, exchange, path, subscribe, begins, book: makeBook, symbol, market, depth } of CASES) {
    it(`keeps the book of ${title} equal to its own, digit for digit`, async () => {
      const client = await BareClient.open(simulator.addresses.get(exchange)!.ws + path)
      client.send(subscribe)
      await client.frame(begins)
      await run(client, 400)
      await settle(client)
      const book = makeBook()
      for (const frame of client.frames) book.apply(frame)

      expect(book.applied).to.be.greaterThan(300)
      expect(book.gaps).to.equal(0)
      expect(book.wrong).to.equal(0)
      expectSame(book, simulator.book(exchange, symbol, market), depth)
      client.close()
      simulator.thaw()
    })
  }

  for (const futures of [false, true]) {
    const exchange = futures ? 'binance-futures' : 'binance'
    const rest = futures ? '/fapi/v1' : '/api/v3'
    it(`splices the REST snapshot of ${exchange} into its stream`, async () => {
      const address = simulator.addresses.get(exchange)!
      const stream = 'btcusdt@depth@100ms'
      const client = await BareClient.open(`${address.ws}${futures ? '/public' : ''}/stream?streams=${stream}`)
      await run(client, 30)
      const body = await (await fetch(`${address.rest}${rest}/depth?symbol=BTCUSDT&limit=1000`)).text()
      await run(client, 300)
      await settle(client)
      const book = binanceBook(stream, futures)
      for (const [index, frame] of client.frames.entries()) {
        if (index === 40) book.snapshot(body)
        book.apply(frame)
      }

      expect(book.applied).to.be.greaterThan(200)
      expect(book.gaps).to.equal(0)
      expectSame(book, simulator.book(exchange, 'BTCUSDT'))
      client.close()
      simulator.thaw()
    })
  }

  it('gives a second subscriber of a topic a snapshot that the next change extends', async () => {
    const url = `${simulator.addresses.get('bybit')!.ws}/v5/public/linear`
    const subscribe = { op: 'subscribe', args: ['orderbook.50.BTCUSDT'] }
    const first = await BareClient.open(url)
    first.send(subscribe)
    await run(first, 100)
    const second = await BareClient.open(url)
    second.send(subscribe)
    await second.frame('"type":"snapshot"')
    await run(second, 100)
    await settle(second)
    for (const client of [first, second]) {
      await eventually(() => {
        const book = bybitBook('orderbook.50.BTCUSDT')
        for (const frame of client.frames) book.apply(frame)
        expect(book.gaps).to.equal(0)
        expectSame(book, simulator.book('bybit', 'BTCUSDT', 'linear'), 50)
      })
      client.close()
    }
    simulator.thaw()
  })

  it('sends best prices that equal the book after the change of the same number', async () => {
    const address = simulator.addresses.get('binance')!
    const body = await (await fetch(`${address.rest}/api/v3/depth?symbol=ETHUSDT&limit=1000`)).text()
    const client = await BareClient.open(`${address.ws}/stream?streams=ethusdt@depth/ethusdt@bookTicker`)
    await run(client, 400)
    const book = binanceBook('ethusdt@depth', false)
    book.snapshot(body)
    let compared = 0
    for (const frame of client.frames) {
      book.apply(frame)
      const { stream, data } = JSON.parse(frame) as { stream: string; data: Record<string, string> }
      if (stream !== 'ethusdt@bookTicker') continue
      const bid = Math.max(...[...book.bids.keys()].map(Number))
      const ask = Math.min(...[...book.asks.keys()].map(Number))
      expect([Number(data['b']), Number(data['a'])]).to.deep.equal([bid, ask])
      expect(book.bids.get(data['b']!)).to.equal(data['B'])
      expect(book.asks.get(data['a']!)).to.equal(data['A'])
      compared++
    }
    expect(book.gaps).to.equal(0)
    expect(compared).to.be.greaterThan(50)
    client.close()
  })

  it('says which Kraken level came back into range by an `r`, and removes none that was pushed out', async () => {
    const client = await BareClient.open(`${simulator.addresses.get('kraken')!.ws}/`)
    client.send({ event: 'subscribe', pair: ['XBT/USD'], subscription: { name: 'book', depth: 10 } })
    await client.frame('{"as":')
    await run(client, 400)
    const levels = client.frames
      .filter((frame) => frame.startsWith('['))
      .flatMap((frame) => (JSON.parse(frame) as unknown[]).slice(1, -2) as Record<string, unknown[][]>[])
      .flatMap((part) => [...(part['a'] ?? []), ...(part['b'] ?? [])])
    const returned = levels.filter((level) => level[3] === 'r')
    expect(returned.length).to.be.greaterThan(10)
    expect(returned.every(([, size]) => Number(size) > 0)).to.equal(true)
    client.close()
  })
})
