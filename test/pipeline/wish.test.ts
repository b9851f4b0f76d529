import { expect } from 'chai'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { meets, wishOf, type FeedOptions, type Wish } from '../../src/pipeline/wish'
import { delta, notice, snapshot, trade } from '../kit/marketEvents'

const IDS = ['binance', 'kraken', 'okx']
const options: FeedOptions = { exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'book' }

describe('wishOf', () => {
  it('takes one channel or several, everything once', () => {
    expect(wishOf(options, IDS)).to.deep.equal({
      ...{ exchanges: ['kraken'], instruments: ['BTC-USD'], channels: ['book'], depth: undefined, intervalMs: 60_000 },
    })
    const twice = {
      exchanges: ['okx', 'okx'],
      instruments: ['A', 'B', 'A'],
      channels: ['book', 'trades', 'book'],
    } as const
    expect(wishOf({ ...twice, depth: 50, intervalMs: 1_000 }, IDS)).to.deep.equal({
      ...{ exchanges: ['okx'], instruments: ['A', 'B'], channels: ['book', 'trades'], depth: 50, intervalMs: 1_000 },
    })
  })

  it('prefers several channels where both are given', () => {
    expect(wishOf({ ...options, channels: ['trades'] }, IDS).channels).to.deep.equal(['trades'])
  })

  for (const [what, given, sentences] of [
    ['an unknown exchange', { exchanges: ['krakn'] }, [/There is no exchange "krakn"\. Did you mean kraken\?/]],
    ['an unknown channel', { channel: 'trade' }, [/There is no channel "trade"\. Did you mean trades\?/]],
    ['an exchange that is a prototype', { exchanges: ['__proto__'] }, [/There is no exchange "__proto__"/]],
    ['no exchange', { exchanges: [] }, [/Name at least one exchange/]],
    ['no instrument', { instruments: [] }, [/Name at least one instrument/]],
    ['no channel', { channel: undefined }, [/Name at least one channel/]],
    ['a depth of none', { depth: 0 }, [/A depth is a whole number of levels, 1 or more; it is 0\./]],
    ['a depth of NaN', { depth: NaN }, [/it is NaN\./]],
    ['an interval of none', { intervalMs: 0 }, [/interval/]],
    [
      'nothing at all',
      { exchanges: undefined, instruments: undefined, channel: undefined },
      [/exchange/, /instrument/, /channel/],
    ],
    [
      'everything wrong at once',
      { exchanges: ['a', 'b'], instruments: [], channels: ['x'], depth: 1.5 },
      [/exchange "a"/, /exchange "b"/, /instrument/, /channel "x"/, /depth/],
    ],
  ] as const) {
    it(`refuses ${what}, with a sentence for each problem`, () => {
      let fault: Fault | undefined
      try {
        wishOf({ ...options, ...given } as FeedOptions, IDS)
      } catch (thrown) {
        fault = thrown as Fault
      }
      expect(fault).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
      for (const sentence of sentences) expect(fault!.message).to.match(sentence)
      expect(fault!.details['problems']).to.have.length(sentences.length)
    })
  }
})

describe('meets', () => {
  const wish: Wish = wishOf({ ...options, channels: ['book', 'trades'] }, IDS)

  for (const [what, event, met] of [
    ['a trade of the instrument', trade(), true],
    ['a snapshot', snapshot([], []), true],
    ['a delta', delta([], []), true],
    ['another instrument', trade({ instrument: 'ETH-USD', symbol: 'ETH/USD' }), false],
    ['another exchange', trade({ exchange: 'okx' }), false],
    ['a notice about the instrument', notice('gap'), true],
    ['a notice about another instrument', notice('gap', { instrument: 'ETH-USD', symbol: 'ETH/USD' }), false],
    ['a notice about the whole connection', notice('connected', { instrument: undefined, symbol: '' }), true],
    ['a notice about another exchange', notice('connected', { exchange: 'okx', symbol: '' }), false],
    ['an instrument without a unified name', trade({ instrument: undefined }), false],
  ] as const satisfies readonly (readonly [string, MarketEvent, boolean])[]) {
    it(`${met ? 'is met by' : 'is not met by'} ${what}`, () => expect(meets(wish, true)(event)).to.equal(met))
  }

  it('is met by the exchange’s own symbol as well', () => {
    const own = meets({ ...wish, instruments: ['BTC/USD'] }, true)
    expect(own(trade())).to.equal(true)
    expect(own(trade({ instrument: undefined }))).to.equal(true)
  })

  it('is met by wished channels alone', () => {
    const books = meets(wishOf(options, IDS), true)
    expect([trade(), delta([], [])].map(books)).to.deep.equal([false, true])
  })

  it('takes a recording of other instruments as it is, in the wished channels', () => {
    const all = meets(wishOf(options, IDS), false)
    const other = { exchange: 'okx', instrument: 'ETH-USD', symbol: 'ETH/USD' }
    expect([delta([], [], other), notice('gap', other), trade(other)].map(all)).to.deep.equal([true, true, false])
  })
})
