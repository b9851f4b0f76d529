import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Connection } from '../../src/simulator/connection'
import type { MarketBook } from '../../src/simulator/market'
import { Reception } from '../../src/simulator/reception'
import { startSimulator } from '../../src/simulator/simulator'

/** The simulator without sockets: whatever serves its exchanges speaks to their receptions. */
describe('A simulator that is served otherwise', () => {
  const wire = {
    readyState: 1,
    send: (text: string) => void sent.push(text),
    ping: () => undefined,
    close: () => undefined,
    terminate: () => undefined,
  }
  const socket = { writableLength: 0, write: () => undefined, cork: () => undefined, uncork: () => undefined }
  let sent: string[]
  let reception: Reception
  let drained: number
  let clock: VirtualClock

  beforeEach(() => {
    sent = []
    drained = 0
    clock = new VirtualClock(1_700_000_000_000_000)
  })

  const start = (onChange?: (book: MarketBook) => void, messagesPerSecond = 10) =>
    startSimulator({
      exchanges: ['bybit'],
      instruments: ['BTC-USDT'],
      depth: 20,
      messagesPerSecond,
      clock,
      ...(onChange === undefined ? {} : { onChange }),
      serve: (exchange, outlet, ofSimulator) => {
        reception = new Reception(exchange, outlet, ofSimulator)
        return Promise.resolve({
          address: { ws: 'ws://somewhere', rest: 'http://somewhere' },
          refuseNext: () => reception.refuseNext(),
          limitNext: () => reception.limitNext(),
          forgive: () => reception.forgive(),
          drained: () => {
            drained++
            return Promise.resolve()
          },
          stop: () => Promise.resolve(),
        })
      },
    })
  const url = new URL('ws://somewhere/v5/public/spot')
  const subscribe = (): Connection => {
    const connection = reception.opened(wire, socket, url)
    reception.received(connection, '{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}')
    return connection
  }

  it('gives the addresses that it is served at, and answers through its reception', async () => {
    const simulator = await start()
    expect(simulator.addresses.get('bybit')).to.deep.equal({ ws: 'ws://somewhere', rest: 'http://somewhere' })
    const connection = subscribe()
    expect(sent[0]).to.include('"success":true')
    expect(simulator.stats).to.include({ opened: 1, connections: 1, received: 1 })
    reception.closed(connection)
    expect(simulator.stats.connections).to.equal(0)
    const rest = new URL('http://somewhere/v5/market/time')
    expect(reception.answer('GET', rest)).to.include({ status: 200, retryAfter: undefined })
    expect(reception.answer('POST', rest).status).to.equal(405)
    expect(reception.answer('GET', new URL('http://somewhere/nothing')).status).to.equal(404)
    expect(reception.answer('GET', undefined).status).to.equal(404)
    expect(simulator.stats).to.include({ requests: 4, requestsRefused: 3 })
    await simulator.stop()
  })

  it('tells of each book when it is made and after each change, before its clients', async () => {
    const told: number[] = []
    const simulator = await start((book) => void told.push(book.steps))
    expect(told).to.deep.equal([0])
    subscribe()
    clock.advance(2_000)
    expect(told.length).to.be.greaterThan(10)
    expect(told).to.deep.equal(told.map((_, index) => index))
    await simulator.stop()
  })

  it('refuses when it is told to, and forgets about it when it freezes', async () => {
    const simulator = await start()
    const rest = new URL('http://somewhere/v5/market/time')
    simulator.inject({ kind: 'refuse', exchange: 'bybit' })
    simulator.inject({ kind: 'http429', exchange: 'bybit' })
    expect(reception.refusal(url)).to.equal(503)
    expect(reception.refusal(url)).to.equal(undefined)
    expect(reception.refusal(new URL('ws://somewhere/elsewhere'))).to.equal(404)
    expect(reception.answer('GET', rest)).to.include({ status: 429, retryAfter: '1' })
    simulator.inject({ kind: 'refuse', exchange: 'bybit' })
    simulator.inject({ kind: 'http429', exchange: 'bybit' })
    await simulator.freeze()
    expect(drained).to.equal(1)
    expect(reception.refusal(url)).to.equal(undefined)
    expect(reception.answer('GET', rest).status).to.equal(200)
    await simulator.stop()
  })

  it('moves as slowly as a frame in many seconds', async () => {
    let changes = 0
    const simulator = await start(() => changes++, 0.1)
    subscribe()
    clock.advance(600_000)
    expect(changes).to.be.within(50, 70)
    await simulator.stop()
  })
})
