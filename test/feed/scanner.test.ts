import { expect } from 'chai'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Session, sessionCounts, type SessionControl } from '../../src/feed/session'
import { LEVELS_MAX } from '../../src/kernel/layout'
import type { MarketEvent } from '../../src/model/events'
import { InstrumentTable, type Instrument } from '../../src/model/instrument'
import { instrument } from '../kit/decoding'
import { TODAYS_FRAMES } from '../kit/todaysFrames'

describe('The scanner', () => {
  it('learns a key from what the plain decoder makes of its first frame, and scans from the second on', () => {
    const { scans, counts } = listening('binance')
    expect(scans(trade('a', 'A'))).to.equal(false)
    expect(scans(trade('a', 'A'))).to.equal(true)
    expect(scans(trade('b', 'B'))).to.equal(false)
    expect(scans(trade('b', 'B'))).to.equal(true)
    expect(scans(trade('a', 'A'))).to.equal(true)
    expect(counts).to.include({ frames: 5, scanned: 3, trades: 5, unreadable: 0, ignored: 0 })
  })

  it('reads every form of today in which an exchange sends its hot channels', () => {
    for (const [exchange, frames] of TODAYS_FRAMES) {
      for (const frame of frames) {
        // A book of depth 1 is a top on Bybit’s spot market, which is merged with what is known.
        const { scans } = listening(exchange, { endpoint: exchange === 'bybit' ? 'linear' : undefined })
        expect([scans(frame), scans(frame)], frame).to.deep.equal([false, true])
      }
    }
  })

  it('tells its connection of a scanned frame what it would tell of a plain one', () => {
    const heard: unknown[] = []
    const { scans } = listening('bybit', { heard: (...what) => heard.push(what) })
    for (const [seq, expected] of [2, 3].entries()) expect(scans(bybitBook('50.X', expected))).to.equal(seq === 1)
    expect(heard).to.deep.equal([
      ['book', 'X', 1],
      ['book', 'X', 2],
    ])
  })

  it('is switched off on request', () => {
    const { scans } = listening('binance', { scanning: false })
    expect([scans(trade('a', 'A')), scans(trade('a', 'A'))]).to.deep.equal([false, false])
  })

  describe('forgets', () => {
    it('all keys when a subscription is acknowledged or refused', () => {
      for (const frame of ['{"result":null,"id":1}', '{"code":2,"msg":"Invalid request","id":1}']) {
        const { scans } = listening('binance')
        for (const stream of ['a', 'b', 'a', 'b']) scans(trade(stream, stream))
        scans(frame)
        expect(['a', 'b', 'a', 'b'].map((stream) => scans(trade(stream, stream)))).to.deep.equal([
          false,
          false,
          true,
          true,
        ])
      }
    })

    it('all keys when there are new instruments, whose names events then carry', () => {
      const instruments = new InstrumentTable()
      const { scans, events } = listening('binance', { instruments })
      for (let times = 0; times < 2; times++) scans(trade('btcusdt', 'BTCUSDT'))
      instruments.add(listed('BTCUSDT', 'BTC-USDT'))
      for (let times = 0; times < 2; times++) scans(trade('btcusdt', 'BTCUSDT'))
      expect(events.map((event) => event.instrument)).to.deep.equal([undefined, undefined, 'BTC-USDT', 'BTC-USDT'])
    })

    it('the key of a book when its snapshot says how deep it is', () => {
      const { scans, events } = listening('kraken')
      for (let times = 0; times < 2; times++) scans(krakenUpdate('X/Y'))
      scans(krakenUpdate('Z/Y'))
      scans(krakenSnapshot('X/Y', 25))
      expect([scans(krakenUpdate('X/Y')), scans(krakenUpdate('X/Y')), scans(krakenUpdate('Z/Y'))]).to.deep.equal([
        false,
        true,
        true,
      ])
      expect(events.map((event) => 'depth' in event && event.depth)).to.deep.equal([
        ...[undefined, undefined, undefined],
        ...[25, 25, 25, undefined],
      ])
    })

    it('the key of a book when a deeper one of the symbol begins, even with a frame that cannot be read', () => {
      for (const deeper of [bybitBook('200.X', 7), bybitBook('200.X', 7).replace('"b":[', '"b":[["1","-1"],')]) {
        const { scans, counts } = listening('bybit')
        for (let seq = 2; seq < 4; seq++) scans(bybitBook('50.X', seq))
        expect(scans(deeper)).to.equal(false)
        expect(scans(bybitBook('50.X', 4))).to.equal(false)
        expect(counts.ignored).to.equal(1)
      }
    })

    it('a key that names another symbol than before, and learns it anew', () => {
      const { scans, events } = listening('binance')
      expect(['A', 'A', 'B', 'A', 'A'].map((symbol) => scans(trade('a', symbol)))).to.deep.equal([
        ...[false, true, false, false, true],
      ])
      expect(events.map(({ symbol }) => symbol)).to.deep.equal(['A', 'A', 'B', 'A', 'A'])
    })

    it('everything when its connection ends, and learns again should it be opened again', () => {
      const { session, scans } = listening('binance')
      for (let times = 0; times < 2; times++) scans(trade('a', 'A'))
      session.close(5, 'the line is dead')
      expect([scans(trade('a', 'A')), scans(trade('a', 'A'))]).to.deep.equal([false, true])
    })
  })

  describe('keeps', () => {
    it('the key of a book beside a second stream of its symbol, which counts for nothing', () => {
      const { scans, counts, events } = listening('binance')
      for (let times = 0; times < 2; times++) scans(depth('a@depth@100ms', 'A'))
      for (let times = 0; times < 3; times++) {
        expect(scans(depth('a@depth', 'A'))).to.equal(false)
        expect(scans(depth('a@depth@100ms', 'A'))).to.equal(true)
      }
      expect(counts).to.include({ ignored: 3, scanned: 4 })
      expect(events).to.have.length(5)
    })

    it('the keys of a book in several shapes', () => {
      const { scans } = listening('kraken')
      const [bids, asks] = ['b', 'a'].map(
        (side) => `[1,{"${side}":[["1.50","2.0","1618678133.365913"]],"c":"7"},"book-10","X/Y"]`,
      )
      expect([bids, asks, bids, asks].map((frame) => scans(frame!))).to.deep.equal([false, false, true, true])
    })

    it('the keys of a symbol’s trades in two channels', () => {
      const { scans } = listening('binance')
      const [one, other] = [trade('a', 'A'), aggTrade('a', 'A')]
      expect([one, other, one, other].map(scans)).to.deep.equal([false, false, true, true])
    })

    it('what it has learned through frames that it misses', () => {
      const { scans, counts } = listening('binance')
      const good = trade('a', 'A')
      for (let times = 0; times < 2; times++) scans(good)
      for (const odd of [
        good.replace(',', ', '),
        good.replace('"2.50"', '"2.5e0"'),
        good.slice(0, -1),
        `${good}x`,
        '[]',
      ]) {
        expect(scans(odd), odd).to.equal(false)
        expect(scans(good)).to.equal(true)
      }
      expect(counts.unreadable).to.equal(2)
    })
  })

  describe('leaves to the plain decoder', () => {
    it('streams whose events are not those of the shape, and looks at them again now and then', () => {
      const { scans, events } = listening('binance')
      // Tops: each is a snapshot, in the form of a change.
      for (let times = 0; times < 102; times++) expect(scans(depth('a@depth20@100ms', 'A'))).to.equal(false)
      expect(events.every(({ kind }) => kind === 'snapshot')).to.equal(true)
    })

    it('a key that one odd frame made look useless, but not for good', () => {
      const { scans } = listening('bybit')
      const row = (symbol: string, id: number): string =>
        `{"T":1672304486865,"s":"${symbol}","S":"Buy","v":"1","p":"2","i":"${id}","BT":false,"RPI":false,"seq":1}`
      const frame = (...rows: string[]): string =>
        `{"topic":"publicTrade.X","type":"snapshot","ts":1672304486868,"data":[${rows.join(',')}]}`
      scans(frame(row('X', 1), row('Y', 2)))
      let plain = 0
      while (!scans(frame(row('X', 3)))) plain++
      expect(plain).to.equal(101)
    })

    it('numbers with more digits than a double holds, which are counted and marked', () => {
      const { scans, counts, events } = listening('binance')
      for (let times = 0; times < 2; times++) scans(depth('a@depth', 'A'))
      expect(scans(depth('a@depth', 'A').replace('"2.50"', '"2.500000000000000001"'))).to.equal(false)
      expect(counts.inexactNumbers).to.equal(1)
      const delta = events.at(-1)!
      expect(delta)
        .to.have.nested.property('bidDigits.texts')
        .that.deep.equals(new Map([[0, ['1.50', '2.500000000000000001']]]))
    })

    it('trades of nothing, prices of zero and numberings that begin anew', () => {
      const { scans, counts } = listening('binance')
      for (let times = 0; times < 2; times++) scans(trade('a', 'A'))
      expect(scans(trade('a', 'A').replace('"2.50"', '"0.00"'))).to.equal(false)
      expect(scans(trade('a', 'A').replace('"1.50"', '"0"'))).to.equal(false)
      expect(counts.unreadable).to.equal(2)

      const bybit = listening('bybit')
      for (let seq = 2; seq < 4; seq++) bybit.scans(bybitBook('50.X', seq))
      expect(bybit.scans(bybitBook('50.X', 1))).to.equal(false)
      expect(bybit.events.at(-1)).to.include({ kind: 'snapshot', seq: 1 })
    })

    it('frames with more levels than the kernel takes', () => {
      const { scans, events } = listening('binance')
      const levels = (count: number): string => Array.from({ length: count }, (_, at) => `["${at + 1}","1"]`).join(',')
      const frame = (count: number): string => depth('a@depth', 'A').replace('["1.50","2.50"]', levels(count))
      for (let times = 0; times < 2; times++) scans(frame(1))
      expect(scans(frame(LEVELS_MAX))).to.equal(true)
      expect(scans(frame(LEVELS_MAX + 1))).to.equal(false)
      expect(events.at(-1))
        .to.have.property('bids')
        .with.length(LEVELS_MAX + 1)
    })

    it('keys beyond as many as it remembers', function () {
      this.timeout(60_000)
      const { scans, counts } = listening('binance')
      const known = 20_000
      for (let number = 0; number <= known; number++) scans(trade(`a${number}`, `A${number}`))
      expect(counts.scanned).to.equal(0)
      expect(scans(trade(`a${known - 1}`, `A${known - 1}`))).to.equal(true)
      expect(scans(trade(`a${known}`, `A${known}`))).to.equal(false)
      expect(scans(trade('a0', 'A0'))).to.equal(true)
    })

    it('a frame of another channel in the form of a large book, which is routed once', () => {
      // The first liquidations after subscribing repeat old ones: to route them twice would make them look like the second.
      const { session, counts, scans } = listening('okx')
      const levels = Array.from({ length: 100 }, (_, at) => `["${at + 1}.5","1","0","1"]`).join(',')
      const form = `"action":"update","data":[{"asks":[${levels}],"bids":[],"ts":"1652459227954","checksum":0,"seqId":7,"prevSeqId":6}]}`
      expect(scans(`{"arg":{"channel":"liquidation-orders","instType":"SWAP"},${form}`)).to.equal(false)
      expect(session.reason).to.match(/first liquidation-orders message .* repeats an old one/)
      expect(counts).to.include({ ignored: 1, unreadable: 0 })
      // The second is one.
      expect(scans(`{"arg":{"channel":"liquidation-orders","instType":"SWAP"},${form}`)).to.equal(false)
      expect(counts).to.include({ ignored: 1, unreadable: 1 })
    })

    it('symbols that are not in the exchange’s list', () => {
      const instruments = new InstrumentTable([listed('B', 'B-USDT')])
      const { scans, counts } = listening('binance', { instruments })
      for (let times = 0; times < 3; times++) expect(scans(trade('a', 'A'))).to.equal(false)
      expect(counts.faults.get('SYMBOL_UNKNOWN')).to.equal(3)
    })

    it('symbols that are not in the exchange’s list, also in frames of which the decoder first sees but a part', () => {
      const instruments = new InstrumentTable([listed('B', 'B-USDT')])
      const { scans, counts, events } = listening('bybit', { instruments })
      const levels = Array.from({ length: 100 }, (_, at) => `["${at + 1}.5","2"]`).join(',')
      for (let seq = 2; seq < 5; seq++) {
        expect(scans(bybitBook('50.X', seq).replace('["1.5","2"]', levels))).to.equal(false)
      }
      expect(counts.faults.get('SYMBOL_UNKNOWN')).to.equal(3)
      expect(events).to.deep.equal([])
    })
  })
})

interface Wishes {
  readonly endpoint?: string | undefined
  readonly instruments?: InstrumentTable
  readonly scanning?: boolean
  readonly heard?: SessionControl['heard']
}

/** A session that takes what it is sent, unguarded: `scans` tells whether a frame was scanned. */
function listening(exchange: string, { endpoint, instruments, scanning = true, heard }: Wishes = {}) {
  const protocol = exchangeById(exchange)
  const counts = sessionCounts()
  const nothing = (): void => undefined
  const control: SessionControl = {
    ...{
      acknowledged: nothing,
      refused: nothing,
      answer: nothing,
      reconnect: nothing,
      resync: nothing,
      stale: nothing,
      fault: nothing,
    },
    heard: heard ?? nothing,
  }
  const session = new Session({
    ...{ protocol, counts, control, scanning, guarded: false },
    endpoint: endpoint ?? Object.keys(protocol.endpoints)[0]!,
    instruments: instruments ?? new InstrumentTable(),
  })
  const events: MarketEvent[] = []
  let timeUs = 0
  const scans = (data: string): boolean => {
    const { scanned } = counts
    events.push(...session.receive({ data, timeUs: ++timeUs }))
    return counts.scanned > scanned
  }
  return { session, counts, events, scans }
}

function listed(symbol: string, name: string): Instrument {
  return instrument(exchangeById('binance'), { symbol, name })
}

function trade(stream: string, symbol: string): string {
  return `{"stream":"${stream}@trade","data":{"e":"trade","E":1723161255612,"s":"${symbol}","t":7,"p":"1.50","q":"2.50","T":1723161255611,"m":true,"M":true}}`
}

function aggTrade(stream: string, symbol: string): string {
  return `{"stream":"${stream}@aggTrade","data":{"e":"aggTrade","E":1723161255612,"s":"${symbol}","a":7,"p":"1.50","q":"2.50","f":8,"l":9,"T":1723161255611,"m":true,"M":true}}`
}

function depth(stream: string, symbol: string): string {
  return `{"stream":"${stream}","data":{"e":"depthUpdate","E":1723161255608,"s":"${symbol}","U":5,"u":6,"b":[["1.50","2.50"]],"a":[]}}`
}

function bybitBook(topic: string, seq: number): string {
  return `{"topic":"orderbook.${topic}","type":"delta","ts":1733011201990,"data":{"s":"${topic.split('.')[1]!}","b":[["1.5","2"]],"a":[],"u":${seq},"seq":9},"cts":1733011201982}`
}

function krakenUpdate(symbol: string): string {
  return `{"channel":"book","type":"update","data":[{"symbol":"${symbol}","bids":[{"price":1.5,"qty":2.0}],"asks":[],"checksum":7,"timestamp":"2026-08-24T22:21:58.343688Z"}]}`
}

function krakenSnapshot(symbol: string, levels: number): string {
  const bids = Array.from({ length: levels }, (_, at) => `{"price":${levels - at},"qty":1}`).join(',')
  return `{"channel":"book","type":"snapshot","data":[{"symbol":"${symbol}","bids":[${bids}],"asks":[],"checksum":7,"timestamp":"2026-08-24T22:21:57.343688Z"}]}`
}
