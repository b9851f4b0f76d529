import { expect } from 'chai'
import WebSocket from 'ws'
import { VirtualClock } from '../../src/clock/virtualClock'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import { BareClient } from './bareClient'

describe('the simulator, by time', () => {
  let clock: VirtualClock
  let simulator: RunningSimulator
  let client: BareClient

  beforeEach(async () => {
    clock = new VirtualClock(1_790_000_000_000_000)
    simulator = await startSimulator({ clock, depth: 50, messagesPerSecond: 100 })
  })
  afterEach(async () => {
    client.close()
    await simulator.stop()
  })

  const open = async (exchange: string, path: string): Promise<BareClient> => {
    client = await BareClient.open(simulator.addresses.get(exchange)!.ws + path)
    return client
  }
  /** Time passes while nothing moves. */
  const still = async (ms: number): Promise<void> => {
    await simulator.freeze()
    clock.advance(ms)
  }
  const countOf = (text: string): number => client.frames.filter((frame) => frame.includes(text)).length

  it('pings Binance clients every 20 seconds, and cuts those that do not answer within a minute', async () => {
    await open('binance', '/ws/btcusdt@trade')
    let pings = 0
    client.socket.on('ping', () => pings++)
    clock.advance(20_000)
    await eventually(() => expect(pings).to.equal(1))
    const deaf = new WebSocket(`${simulator.addresses.get('binance')!.ws}/ws`, { autoPong: false })
    await new Promise((resolve) => deaf.once('open', resolve))
    let cut = false
    deaf.on('close', () => (cut = true))
    clock.advance(20_000)
    await eventually(() => expect(pings).to.be.at.least(2))
    clock.advance(61_000)
    await eventually(() => expect(cut).to.equal(true))
  })

  it('answers a Bybit ping with the pong of its category', async () => {
    await open('bybit', '/v5/public/spot')
    client.send({ op: 'ping', req_id: '7' })
    expect(JSON.parse(await client.frame('pong'))).to.include({
      success: true,
      ret_msg: 'pong',
      req_id: '7',
      op: 'ping',
    })
  })

  it('repeats Bybit depth 1 every three seconds without change, with the same number', async () => {
    await open('bybit', '/v5/public/linear')
    client.send({ op: 'subscribe', args: ['orderbook.1.BTCUSDT'] })
    await client.frame('"type":"snapshot"')
    await still(10_000)
    await eventually(() => expect(countOf('orderbook.1')).to.be.at.least(4))
    const numbers = client.frames.slice(-3).map((frame) => /"u":(\d+)/.exec(frame)?.[1])
    expect(new Set(numbers).size).to.equal(1)
  })

  for (const [version, path, subscribe, heartbeat, ping, pong] of [
    [
      'v2',
      '/v2',
      { method: 'subscribe', params: { channel: 'trade', symbol: ['BTC/USD'] } },
      '{"channel":"heartbeat"}',
      { method: 'ping', req_id: 101 },
      '"method":"pong"',
    ],
    [
      'v1',
      '/',
      { event: 'subscribe', pair: ['XBT/USD'], subscription: { name: 'trade' } },
      '{"event":"heartbeat"}',
      { event: 'ping', reqid: 1 },
      '{"event":"pong","reqid":1}',
    ],
  ] as const) {
    it(`beats once a second on a quiet Kraken ${version} connection with a subscription, and answers pings`, async () => {
      await open('kraken', path)
      client.send(ping)
      await client.frame(pong)
      await still(5_000)
      expect(countOf('heartbeat')).to.equal(0)
      client.send(subscribe)
      await client.frame('snapshot').catch(() => client.frame('subscribed'))
      clock.advance(5_100)
      await eventually(() => expect(client.frames.filter((frame) => frame === heartbeat).length).to.be.within(4, 5))
    })
  }

  it('keeps an OKX book alive after a minute without change: same numbers, empty sides', async () => {
    await open('okx', '/ws/v5/public')
    client.send({ op: 'subscribe', args: [{ channel: 'books', instId: 'BTC-USDT' }] })
    await client.frame('"action":"snapshot"')
    await simulator.freeze()
    for (let round = 0; round < 7; round++) {
      const { received } = simulator.stats
      client.send('ping')
      await eventually(() => expect(simulator.stats.received).to.equal(received + 1))
      clock.advance(10_000)
    }
    const frame = await client.frame('"asks":[],"bids":[]')
    const [, seq, previous] = /"seqId":(\d+),"prevSeqId":(\d+)/.exec(frame) ?? []
    expect(seq).to.equal(previous)
  })

  it('sends Coinbase heartbeats once a second with the last trade', async () => {
    await open('coinbase', '/')
    client.send({ type: 'subscribe', product_ids: ['BTC-USD'], channels: ['heartbeat', 'matches'] })
    await client.frame('last_match')
    await still(5_100)
    await eventually(() => expect(countOf('"type":"heartbeat"')).to.be.within(4, 6))
    const last = client.frames.findLast((frame) => frame.includes('match"'))
    const { trade_id } = JSON.parse(last!) as { trade_id: number }
    expect(client.frames.at(-1)).to.include(`"last_trade_id":${trade_id},`)
  })

  it('closes a candle when its time is over, and opens the next', async () => {
    await open('binance', '/ws/btcusdt@kline_1s')
    clock.advance(3_500)
    await eventually(() => {
      const closed = client.frames
        .map((frame) => JSON.parse(frame) as { k: { t: number; x: boolean; o: string } })
        .filter(({ k }) => k.x)
      expect(closed.length).to.be.at.least(3)
      expect(closed[1]!.k.t - closed[0]!.k.t).to.equal(1_000)
    })
  })

  it('says times in microseconds where a Binance client asks for them', async () => {
    await open('binance', '/stream?streams=btcusdt@trade/btcusdt@kline_1m&timeUnit=microsecond')
    clock.advance(2_000)
    expect(await client.frame('"e":"trade"')).to.match(/"T":\d{16},/)
    expect(await client.frame('"e":"kline"')).to.match(/"t":\d{13}000,"T":\d{13}999,/)
  })

  it('carries streams over all symbols, of books that nobody else watches', async () => {
    await open('binance-futures', '/stream')
    client.send({
      method: 'SUBSCRIBE',
      params: ['!bookTicker', '!markPrice@arr@1s', '!miniTicker@arr', '!forceOrder@arr'],
      id: 1,
    })
    await client.frame('"id":1')
    clock.advance(10_000)
    for (const name of ['!bookTicker', '!markPrice@arr@1s', '!miniTicker@arr', '!forceOrder@arr']) {
      await client.frame(`{"stream":"${name}","data":`)
    }
    const symbols = new Set(client.frames.map((frame) => /bookTicker","u":\d+,"s":"(\w+)"/.exec(frame)?.[1]))
    expect([...symbols]).to.include.members(['BTCUSDT', 'DOGEUSDT'])
  })

  it('carries every OKX channel of swaps, and trades one by one on the business path', async () => {
    await open('okx', '/ws/v5/business')
    client.send({ op: 'subscribe', args: [{ channel: 'trades-all', instId: 'BTC-USDT' }] })
    await client.frame('"tradeId"')
    client.close()
    await open('okx', '/ws/v5/public')
    client.send({ op: 'subscribe', args: [{ channel: 'liquidation-orders', instType: 'SWAP' }] })
    await client.frame('"event":"subscribe"')
    for (let round = 0; round < 30; round++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await client.frame('bkPx')).to.match(/"side":"(buy|sell)","posSide":"(short|long)"/)
  })
})
