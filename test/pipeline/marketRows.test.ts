import { expect } from 'chai'
import type { SessionRecord } from '../../src/feed/record'
import type { MarketEvent } from '../../src/model/events'
import { EventsReader, EventsWriter } from '../../src/pipeline/marketRows'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'

describe('rows of a market on a worker', () => {
  const record: SessionRecord = { timeUs: 1, ns: 0, connection: 3, exchange: 'kraken', dir: 'in', data: '' }
  const of = { exchange: 'kraken', symbol: 'X', instrument: undefined, exchangeTimeUs: undefined, receiveTimeUs: 5 }

  it('give the events back as they were, with the stamp of whoever reads them', () => {
    const book = snapshot([['1.10', '2']], [['3', '4']], { seq: 7 })
    const inexact = {
      ...book,
      bidDigits: { ...book.bidDigits, texts: new Map([[0, ['1.10', '2'] as const]]) },
    }
    const events: MarketEvent[] = [
      book,
      inexact,
      delta([['1.10', '0']], []),
      trade(),
      { ...trade(), id: '0012', side: undefined },
      { ...trade(), id: undefined, side: 'sell', history: true },
      { ...trade(), id: '12345678901234567890' },
      { kind: 'ticker', ...of, bidPrice: 1, bidSize: undefined, askPrice: 0, askSize: -0, lastPrice: undefined },
      { kind: 'liquidation', ...of, side: 'buy', price: 1, size: 2 },
      notice('gap'),
    ]
    const writer = new EventsWriter()
    const reader = new EventsReader()
    for (const isKept of [true, false, true]) {
      reader.open(structuredClone(writer.row(record, events, isKept)))
      expect([reader.connection, reader.exchange, reader.isKept]).to.deep.equal([3, 'kraken', isKept])
      const back = reader.events(99)
      expect(back).to.deep.equal(events.map((event) => ({ ...event, receiveTimeUs: 99 })))
      expect(back.map((event) => Object.keys(event))).to.deep.equal(events.map((event) => Object.keys(event)))
    }
  })

  it('tell each name once', () => {
    const writer = new EventsWriter()
    const strings = (): unknown[] => writer.row(record, [trade()], false).filter((each) => typeof each === 'string')
    expect(strings()).to.not.have.length(0)
    expect(strings()).to.have.length(0)
  })
})
