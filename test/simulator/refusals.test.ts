import { expect } from 'chai'
import { request } from 'node:http'
import WebSocket from 'ws'
import { VirtualClock } from '../../src/clock/virtualClock'
import { startSimulator, type RunningSimulator } from '../../src/simulator/simulator'
import { eventually } from '../kit/eventually'
import { BareClient } from './bareClient'

describe('the simulator refuses', () => {
  const clock = new VirtualClock(1_790_000_000_000_000)
  let simulator: RunningSimulator
  let client: BareClient

  before(async () => {
    simulator = await startSimulator({ clock, depth: 50 })
  })
  after(() => simulator.stop())
  afterEach(() => client.close())

  const open = async (exchange: string, path: string): Promise<BareClient> => {
    client = await BareClient.open(simulator.addresses.get(exchange)!.ws + path)
    return client
  }
  const get = async (exchange: string, path: string): Promise<[number, string]> => {
    const response = await fetch(simulator.addresses.get(exchange)!.rest + path)
    return [response.status, await response.text()]
  }
  const reply = async (text: string): Promise<Record<string, unknown>> =>
    JSON.parse(await client.frame(text)) as Record<string, unknown>

  it('on Binance what is no JSON, no method, no stream, with the code and id', async () => {
    await open('binance', '/ws')
    client.send('{"method":')
    expect(await reply('"code":3')).to.not.have.property('id')
    client.send({ method: 'EXPLODE', id: 4 })
    expect(await reply('"id":4')).to.include({ code: 2 })
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@depht'], id: 5 })
    expect(await reply('"id":5')).to.have.property('msg', 'Invalid request: unknown stream btcusdt@depht')
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: { a: 1 } })
    expect(await reply('"code":1'))
      .to.have.property('msg')
      .that.includes('"id"')
  })

  it('on Binance nothing of an unknown symbol: it is acknowledged and stays silent', async () => {
    await open('binance', '/ws')
    client.send({ method: 'SUBSCRIBE', params: ['foousdt@trade', 'BTCUSDT@trade', '__proto__@depth'], id: 1 })
    expect(await client.frame('"id":1')).to.equal('{"result":null,"id":1}')
    client.send({ method: 'LIST_SUBSCRIPTIONS', id: 3 })
    expect(await reply('"id":3'))
      .to.have.property('result')
      .that.deep.equals(['foousdt@trade', 'BTCUSDT@trade', '__proto__@depth'])
    clock.advance(5_000)
    expect(client.frames).to.have.length(2)
  })

  it('on Binance a client that sends more than five messages a second, by closing', async () => {
    await open('binance', '/ws')
    for (let id = 1; id <= 6; id++) client.send({ method: 'LIST_SUBSCRIPTIONS', id })
    await eventually(() => expect(client.closed).to.deep.equal({ code: 1008, reason: 'Too many requests' }))
    expect(simulator.stats.exchanges['binance']!.offenders).to.equal(1)
  })

  it('on Binance futures a stream at the wrong path, by silence', async () => {
    await open('binance-futures', '/market/ws')
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@depth@100ms', 'btcusdt@markPrice@1s'], id: 1 })
    await client.frame('"id":1')
    clock.advance(3_000)
    await client.frame('markPriceUpdate')
    expect(client.frames.some((frame) => frame.includes('depthUpdate'))).to.equal(false)
  })

  it('on Bybit the whole request for one bad topic', async () => {
    await open('bybit', '/v5/public/linear')
    client.send({ req_id: 'x', op: 'subscribe', args: ['publicTrade.BTCUSDT', 'orderbook.77.BTCUSDT'] })
    expect(await reply('handler not found')).to.include({
      success: false,
      ret_msg: 'error:handler not found,topic:orderbook.77.BTCUSDT',
      req_id: 'x',
    })
    client.send({ op: 'subscribe', args: ['allLiquidation.FOOUSDT'] })
    await client.frame('topic:allLiquidation.FOOUSDT')
    client.send('null')
    await client.frame('not a JSON object')
    client.send({ op: 'subscribe', args: ['publicTrade.BTCUSDT'] })
    await client.frame('"success":true')
    client.send({ op: 'subscribe', args: ['publicTrade.BTCUSDT'] })
    await client.frame('already subscribed,topic:publicTrade.BTCUSDT')
  })

  it('on Bybit spot more than ten topics at once', async () => {
    await open('bybit', '/v5/public/spot')
    client.send({ op: 'subscribe', args: Array.from({ length: 11 }, () => 'publicTrade.BTCUSDT') })
    await client.frame('args size >10')
  })

  it('on Kraken v2 unknown pairs, channels and depths, and a second depth of a symbol', async () => {
    await open('kraken', '/v2')
    const subscribe = (params: object, req_id: number): void => client.send({ method: 'subscribe', params, req_id })
    subscribe({ channel: 'book', symbol: ['XBT/USD'] }, 1)
    expect(await reply('"req_id":1')).to.include({
      success: false,
      error: 'Currency pair not supported XBT/USD',
      symbol: 'XBT/USD',
    })
    subscribe({ channel: 'bok', symbol: ['BTC/USD'] }, 2)
    expect(await reply('"req_id":2')).to.include({ success: false })
    subscribe({ channel: 'book', symbol: ['BTC/USD'], depth: 11 }, 3)
    expect(await reply('"req_id":3')).to.include({ success: false })
    subscribe({ channel: 'book', symbol: ['BTC/USD'], depth: 10 }, 4)
    expect(await reply('"req_id":4')).to.include({ success: true })
    subscribe({ channel: 'book', symbol: ['BTC/USD'], depth: 25 }, 5)
    expect(await reply('"req_id":5')).to.include({ success: false, error: 'Already subscribed' })
    client.send('[1,2]')
    await client.frame('Malformed request')
  })

  it('on Kraken v1 unknown pairs and names', async () => {
    await open('kraken', '/')
    client.send({ event: 'subscribe', pair: ['BTC/USD'], subscription: { name: 'trade' } })
    expect(await reply('"status":"error"')).to.include({
      errorMessage: 'Currency pair not supported BTC/USD',
      pair: 'BTC/USD',
    })
    client.send({ event: 'subscribe', pair: ['XBT/USD'], subscription: { name: 'books' } })
    await client.frame('Subscription name invalid')
  })

  it('on OKX unknown instruments, channels that need a login, candles on the wrong path, and JSON pings', async () => {
    await open('okx', '/ws/v5/public')
    const subscribe = (channel: string, instId: string): void =>
      client.send({ op: 'subscribe', args: [{ channel, instId }] })
    subscribe('books', 'FOO-USDT')
    expect(await reply('60018'))
      .to.have.property('msg')
      .that.includes("channel:books,instId:FOO-USDT doesn't exist")
    subscribe('books-l2-tbt', 'BTC-USDT')
    expect(await reply('60011')).to.have.property('msg', 'Please log in')
    subscribe('candle1m', 'BTC-USDT')
    await client.frame('channel:candle1m')
    client.send('{"op":"ping"}')
    expect(await reply('60012')).to.have.property('event', 'error')
    client.send('ping')
    await eventually(() => expect(client.frames).to.include('pong'))
  })

  it('on OKX a client that says nothing for 30 seconds, by closing', async () => {
    await open('okx', '/ws/v5/public')
    clock.advance(31_000)
    await eventually(() => expect(client.closed?.code).to.equal(4004))
  })

  it('on Coinbase level2 without a key, unknown products and channels, and no JSON', async () => {
    await open('coinbase', '/')
    const subscribe = (channels: unknown[], product_ids: string[]): void =>
      client.send({ type: 'subscribe', channels, product_ids })
    subscribe(['level2'], ['BTC-USD'])
    expect(await client.frame('require authentication')).to.equal(
      '{"type":"error","message":"Failed to subscribe","reason":"level2, level3, and full channels now require authentication."}',
    )
    subscribe(['matches'], ['FOO-USD'])
    await client.frame('FOO-USD is not a valid product')
    subscribe(['machtes'], ['BTC-USD'])
    await client.frame('machtes is not a valid channel')
    client.send('subscribe')
    await client.frame('Malformed JSON')
  })

  it('on Coinbase a client that does not subscribe within five seconds, by closing', async () => {
    await open('coinbase', '/')
    clock.advance(6_000)
    await eventually(() => expect(client.closed?.code).to.equal(1008))
  })

  it('sockets at unknown paths', async () => {
    for (const path of ['/v5/public/option', '/ws', '/']) {
      const socket = new WebSocket(simulator.addresses.get('bybit')!.ws + path)
      const error = await new Promise<Error>((resolve) => socket.once('error', resolve))
      expect(error.message).to.include('404')
    }
  })

  it('messages larger than any client sends, by closing', async () => {
    await open('kraken', '/v2')
    client.send('x'.repeat(300 * 1024))
    await eventually(() => expect(client.closed?.code).to.equal(1009))
  })

  it('hostile frames without falling over', async () => {
    for (const [exchange, path] of [
      ['binance', '/ws'],
      ['bybit', '/v5/public/spot'],
      ['kraken', '/v2'],
      ['kraken', '/'],
      ['okx', '/ws/v5/public'],
      ['coinbase', '/'],
    ] as const) {
      await open(exchange, path)
      for (const text of [
        '[[[['.repeat(20_000),
        '{"__proto__":{"op":"subscribe"}}',
        '{"op":"subscribe","args":[{"a":{}},null,1]}',
        '\u0000',
      ])
        client.send(text)
      const before = simulator.stats.received
      await eventually(() => expect(simulator.stats.received).to.be.at.least(before))
      client.close()
    }
    expect((await get('binance', '/api/v3/ping'))[0]).to.equal(200)
  })

  it('REST requests for what there is not, in the words of the exchange', async () => {
    expect(await get('binance', '/api/v3/depth?symbol=FOO')).to.deep.equal([
      400,
      '{"code":-1121,"msg":"Invalid symbol."}',
    ])
    expect((await get('binance', '/api/v3/depth'))[1]).to.include('-1102')
    expect((await get('binance-futures', '/fapi/v1/depth?symbol=BTCUSDT&limit=7'))[1]).to.include('-4021')
    expect((await get('bybit', '/v5/market/orderbook?category=spot&symbol=FOO'))[1]).to.include('"retCode":10001')
    expect((await get('okx', '/api/v5/market/books?instId=FOO'))[1]).to.include('"code":"51001"')
    expect((await get('kraken', '/0/public/Depth?pair=FOO'))[1]).to.equal('{"error":["EQuery:Unknown asset pair"]}')
    expect((await get('coinbase', '/products/FOO'))[0]).to.equal(404)
    expect((await get('coinbase', '/nothing'))[0]).to.equal(404)
  })

  it('REST requests that are not GET', async () => {
    const url = new URL(`${simulator.addresses.get('okx')!.rest}/api/v5/public/time`)
    const status = await new Promise((resolve) => {
      request(url, { method: 'POST' }, (response) => {
        response.resume()
        resolve(response.statusCode)
      }).end('{}')
    })
    expect(status).to.equal(405)
  })
})
