import { expect } from 'chai'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { needsShared } from '../kit/shared'
import { answered, play, received, recordsOf, textsBySymbol, WHOLE_SESSIONS } from './sessionRecords'

const REST = exchangeById('binance').hosts.rest

describe('Sessions', () => {
  it('give the events of every connection under its own exchange', () => {
    const { events, sessions } = play([
      received('bybit', bybitTrade('BTCUSDT'), { connection: 1 }),
      received('binance', binanceDelta('BTCUSDT', 6), { connection: 2 }),
      received('bybit', bybitTrade('ETHUSDT'), { connection: 1 }),
    ])
    expect(said(events)).to.deep.equal(['bybit trade BTCUSDT', 'bybit trade ETHUSDT'])
    expect([...sessions.counts.keys()]).to.deep.equal(['bybit', 'binance'])
    expect(sessions.countsOf('binance').guard.buffered).to.equal(1)
  })

  it('count in plain numbers', () => {
    const { sessions } = play([1, 2].map(() => received('binance', binanceTrade('ETHUSDT'), { connection: 1 })))
    expect(sessions.countsOf('binance')).to.deep.include({ frames: 2, trades: 2, unreadable: 0 })
  })

  it('learn instruments from REST answers, and name them in what follows', () => {
    const { events, sessions } = play([
      received('binance', binanceTrade('ETHUSDT'), { connection: 1 }),
      answered('binance', `${REST}/api/v3/exchangeInfo`, EXCHANGE_INFO, { role: 'instruments' }),
      received('binance', binanceTrade('ETHUSDT'), { connection: 1 }),
    ])
    expect(events.map(({ instrument }) => instrument)).to.deep.equal([undefined, 'ETH-USDT'])
    expect(sessions.instruments('binance').size).to.equal(1)
    expect(sessions.instruments('bybit').size, 'and not another exchange’s').to.equal(0)
  })

  for (const [what, body] of [
    ['not JSON', '{"symbols":['],
    ['of another shape', '[1,2]'],
    ['nested without end', '['.repeat(100_000)],
    ['made of prototypes', '{"symbols":[{"symbol":"__proto__","__proto__":{"baseAsset":"X"}}]}'],
  ] as const) {
    it(`survive an instruments answer that is ${what}`, () => {
      const { events, sessions, faults } = play([
        answered('binance', `${REST}/api/v3/exchangeInfo`, body, { role: 'instruments' }),
        received('binance', binanceTrade('ETHUSDT')),
      ])
      expect(said(events)).to.deep.equal(['binance trade ETHUSDT'])
      expect(sessions.instruments('binance').size).to.equal(0)
      for (const fault of faults) expect(sessions.countsOf('binance').faults.get(fault.code)).to.equal(1)
    })
  }

  it('end a connection with its books, and begin its number anew', () => {
    const sessions = new Sessions({ protocolOf: exchangeById })
    const apply = (record: SessionRecord): string[] => said(sessions.apply(record))
    apply(received('bybit', bybitBook('snapshot', 'A', 5), { connection: 3 }))
    expect(sessions.session(3)?.bookState('A')).to.equal('live')
    expect(apply(closed('bybit', 3))).to.deep.equal(['bybit disconnected ', 'bybit disconnected A'])
    expect(sessions.session(3)).to.equal(undefined)
    expect(apply(closed('bybit', 3)), 'a second end is none').to.deep.equal([])
    expect(apply(received('bybit', bybitBook('delta', 'A', 6), { connection: 3 }))).to.deep.equal([])
    expect(apply(received('bybit', bybitBook('snapshot', 'A', 9), { connection: 3 }))).to.deep.equal([
      'bybit snapshot A',
    ])
  })

  it('say where frames of a connection are missing, in order with the data', () => {
    const gap = (connection: number): SessionRecord => ({
      ...{ dir: 'gap', exchange: 'bybit', connection, timeUs: 5, ns: 0, lost: 7 },
      reason: 'the disk was slow',
    })
    const { events } = play([
      received('bybit', bybitTrade('BTCUSDT'), { connection: 1 }),
      gap(1),
      gap(2),
      received('bybit', bybitTrade('BTCUSDT'), { connection: 1 }),
    ])
    expect(said(events)).to.deep.equal(['bybit trade BTCUSDT', 'bybit gap ', 'bybit trade BTCUSDT'])
    expect(events[1]).to.include({ code: 'gap', receiveTimeUs: 5 })
    expect(events[1]).to.deep.include({ details: { lost: 7, reason: 'the disk was slow' } })
  })

  it('give nothing for what was sent', () => {
    const { events } = play([{ ...received('bybit', 'x'), dir: 'out', data: bybitTrade('BTCUSDT') }])
    expect(events).to.deep.equal([])
  })

  it('refuse an exchange that nobody knows', () => {
    expect(() => play([received('krakn', '{}')])).to.throw(Fault, 'There is no exchange "krakn"')
  })

  describe('hand a REST snapshot', () => {
    const snapshotOf = (symbol: string, seq: number, connection = -1): SessionRecord =>
      answered('binance', `${REST}/api/v3/depth?symbol=${symbol}&limit=1000`, depth(seq), { connection })
    const deltaOf = (symbol: string, seq: number, connection: number): SessionRecord =>
      received('binance', binanceDelta(symbol, seq), { connection })

    it('to the connection that asked for it', () => {
      const { sessions } = play([deltaOf('AB', 6, 1), deltaOf('AB', 6, 2), snapshotOf('AB', 5, 2)])
      expect(states(sessions, 'AB', 1, 2)).to.deep.equal(['awaitingSnapshot', 'live'])
    })

    it('to the one that has this book when the recording does not say who asked', () => {
      const { sessions, events } = play([deltaOf('AB', 6, 1), deltaOf('CD', 6, 2), snapshotOf('CD', 5)])
      expect(states(sessions, 'AB', 1, 2)).to.deep.equal(['awaitingSnapshot', undefined])
      expect(states(sessions, 'CD', 1, 2)).to.deep.equal([undefined, 'live'])
      expect(said(events)).to.deep.equal(['binance snapshot CD', 'binance delta CD'])
    })

    it('to the only connection of its exchange, before any delta', () => {
      const { events } = play([opened('binance', 1), opened('bybit', 2), snapshotOf('AB', 5), deltaOf('AB', 6, 1)])
      expect(said(events).slice(2)).to.deep.equal(['binance snapshot AB', 'binance delta AB'])
    })

    it('to the first of several that brings a delta of its book', () => {
      const { events, sessions } = play([
        opened('binance', 1),
        opened('binance', 2),
        snapshotOf('AB', 5),
        snapshotOf('CD', 5),
        deltaOf('CD', 6, 1),
        deltaOf('AB', 6, 2),
        deltaOf('AB', 7, 2),
      ])
      expect(said(events).slice(2)).to.deep.equal([
        ...['binance snapshot CD', 'binance delta CD', 'binance snapshot AB', 'binance delta AB', 'binance delta AB'],
      ])
      expect(states(sessions, 'AB', 1, 2)).to.deep.equal([undefined, 'live'])
    })

    it('that was not claimed in its latest version', () => {
      const { events } = play([
        opened('binance', 1),
        opened('binance', 2),
        snapshotOf('AB', 5),
        snapshotOf('AB', 8),
        deltaOf('AB', 6, 2),
        deltaOf('AB', 7, 2),
        deltaOf('AB', 8, 2),
        deltaOf('AB', 9, 2),
      ])
      const changes = events.filter(({ kind }) => kind !== 'notice')
      expect(changes.map((event) => ('seq' in event ? event.seq : 0))).to.deep.equal([8, 9])
    })

    it('never to a connection of another exchange', () => {
      const { events } = play([received('bybit', bybitBook('delta', 'AB', 6), { connection: 1 }), snapshotOf('AB', 5)])
      expect(events).to.deep.equal([])
    })

    it('that does not join to nobody, and count it as missing', () => {
      const { sessions, faults } = play([deltaOf('AB', 9, 1), snapshotOf('AB', 5)])
      expect(sessions.unjoined('binance')).to.equal(1)
      expect(sessions.unjoined('bybit')).to.equal(0)
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
    })

    for (const body of [
      '',
      '{',
      '[]',
      '{"lastUpdateId":"x","bids":[],"asks":[]}',
      '{"lastUpdateId":5,"bids":[["-1","1"]],"asks":[]}',
    ]) {
      it(`that reads ${body === '' ? 'as nothing' : body} as a fault, and go on waiting`, () => {
        const { sessions, faults } = play([
          deltaOf('AB', 6, 1),
          answered('binance', `${REST}/api/v3/depth?symbol=AB&limit=1000`, body),
        ])
        expect(faults).to.have.length.at.least(1)
        expect(states(sessions, 'AB', 1)).to.deep.equal(['awaitingSnapshot'])
      })
    }

    it('of an address that is no snapshot to nobody', () => {
      const { events, faults } = play([
        deltaOf('AB', 6, 1),
        answered('binance', `${REST}/api/v3/time?symbol=AB`, depth(5)),
        answered('binance', 'nonsense', depth(5)),
      ])
      expect([events, faults]).to.deep.equal([[], []])
    })
  })

  it('play two sessions into one another as each by itself', async function () {
    needsShared(this)
    this.timeout(60_000)
    const [bybit, okx] = await Promise.all([recordsOf(WHOLE_SESSIONS['bybit']!), recordsOf(WHOLE_SESSIONS['okx']!)])
    const mixed: SessionRecord[] = []
    for (let index = 0; index < Math.max(bybit.length, okx.length); index++) {
      if (index < bybit.length) mixed.push({ ...bybit[index]!, connection: 7 })
      if (index < okx.length) mixed.push({ ...okx[index]!, connection: 8 })
    }
    const together = play(mixed).events
    for (const [exchange, records] of [
      ['bybit', bybit],
      ['okx', okx],
    ] as const) {
      const alone = play(records).events
      expect(textsBySymbol(together.filter((event) => event.exchange === exchange))).to.deep.equal(textsBySymbol(alone))
    }
  })
})

const EXCHANGE_INFO = {
  symbols: [
    {
      ...{ symbol: 'ETHUSDT', status: 'TRADING', baseAsset: 'ETH', quoteAsset: 'USDT' },
      filters: [
        { filterType: 'PRICE_FILTER', tickSize: '0.01000000' },
        { filterType: 'LOT_SIZE', stepSize: '0.00010000' },
      ],
    },
  ],
}

function said(events: readonly MarketEvent[]): string[] {
  return events.map((event) => `${event.exchange} ${event.kind === 'notice' ? event.code : event.kind} ${event.symbol}`)
}

function states(sessions: Sessions, symbol: string, ...connections: readonly number[]): (string | undefined)[] {
  return connections.map((connection) => sessions.session(connection)?.bookState(symbol))
}

function opened(exchange: string, connection: number): SessionRecord {
  return { dir: 'open', exchange, connection, timeUs: 1, ns: 0, url: '' }
}

function closed(exchange: string, connection: number): SessionRecord {
  return { dir: 'close', exchange, connection, timeUs: 9, ns: 0, code: 1_006, reason: 'gone' }
}

function depth(lastUpdateId: number): object {
  return { lastUpdateId, bids: [['1.0', '5']], asks: [['2.0', '5']] }
}

function binanceDelta(symbol: string, u: number): object {
  const data = { e: 'depthUpdate', E: 1_633_998_514_469, s: symbol, U: u, u, b: [['1.0', '6']], a: [] }
  return { stream: `${symbol.toLowerCase()}@depth@100ms`, data }
}

function binanceTrade(symbol: string): object {
  const data = {
    ...{ e: 'trade', E: 1_723_161_255_612, s: symbol, t: 1, p: '5.0' },
    q: '1',
    T: 1_723_161_255_611,
    m: true,
  }
  return { stream: `${symbol.toLowerCase()}@trade`, data }
}

function bybitTrade(symbol: string): string {
  const row = { T: 1_709_891_679_000, s: symbol, S: 'Buy', v: '1', p: '5', i: 'a', BT: false }
  return JSON.stringify({ topic: `publicTrade.${symbol}`, type: 'snapshot', ts: 1_709_891_679_005, data: [row] })
}

function bybitBook(type: 'snapshot' | 'delta', symbol: string, u: number): object {
  const data = { s: symbol, b: [['1', '5']], a: [['2', '5']], u, seq: u }
  return { topic: `orderbook.50.${symbol}`, type, ts: 1_733_011_201_990, data }
}
