import { expect } from 'chai'
import { binance } from '../../src/exchanges/binance'
import { InstrumentTable, unifiedName, type Instrument } from '../../src/model/instrument'
import { instrument } from '../kit/decoding'

describe('unifiedName', () => {
  const settledUs = Date.UTC(2026, 11, 25, 8) * 1_000

  for (const [name, given] of [
    ['BTC-USDT', ['spot', 'BTC', 'USDT']],
    ['BTC-USDT-PERP', ['perpetual', 'BTC', 'USDT']],
    ['BTC-USD-261225', ['future', 'BTC', 'USD', settledUs]],
    ['BTC-USD-261225-60000-C', ['option', 'BTC', 'USD', settledUs, { strike: '60000', right: 'C' }]],
    ['BTC-USD', ['future', 'BTC', 'USD']],
  ] as const satisfies readonly (readonly [string, Parameters<typeof unifiedName>])[]) {
    it(`is ${name} of ${given[0]} ${given[1]} in ${given[2]}`, () => {
      expect(unifiedName(...(given as Parameters<typeof unifiedName>))).to.equal(name)
    })
  }

  it('takes the day of settlement in UTC', () => {
    expect(unifiedName('future', 'BTC', 'USD', Date.UTC(2026, 0, 1) * 1_000 - 1)).to.equal('BTC-USD-251231')
    expect(unifiedName('future', 'BTC', 'USD', Date.UTC(2026, 0, 1) * 1_000)).to.equal('BTC-USD-260101')
  })

  it('ignores a date where the kind has none', () => {
    expect(unifiedName('spot', 'BTC', 'USDT', settledUs)).to.equal('BTC-USDT')
  })
})

describe('InstrumentTable', () => {
  const of = (fields: Partial<Instrument>): Instrument => instrument(binance, fields)
  const spot = of({ market: 'spot' })
  const linear = of({ market: 'linear', name: 'BTC-USDT-PERP', kind: 'perpetual' })

  it('finds an instrument by its unified name and by the exchange’s own', () => {
    const table = new InstrumentTable([spot])
    expect(table.find('BTC-USDT')).to.equal(spot)
    expect(table.find('BTCUSDT')).to.equal(spot)
    expect(table.find('btcusdt'), 'exchanges tell cases apart').to.equal(undefined)
  })

  it('tells two markets apart that spell a symbol alike', () => {
    const table = new InstrumentTable([spot, linear])
    expect(table.symbol('spot', 'BTCUSDT')).to.equal(spot)
    expect(table.symbol('linear', 'BTCUSDT')).to.equal(linear)
    expect([table.find('BTC-USDT'), table.find('BTC-USDT-PERP')]).to.deep.equal([spot, linear])
    expect([...table]).to.deep.equal([spot, linear])
    expect(table.names()).to.deep.equal(['BTC-USDT', 'BTC-USDT-PERP'])
  })

  it('looks in the other markets for a symbol that this one does not have', () => {
    expect(new InstrumentTable([linear]).symbol('spot', 'BTCUSDT')).to.equal(linear)
  })

  it('keeps the first of a name, and counts what it holds once', () => {
    const table = new InstrumentTable([spot])
    table.add(of({ market: 'spot', tickSize: 5 }))
    table.add(of({ market: 'margin' }))
    expect(table.find('BTC-USDT')).to.equal(spot)
    expect(table.symbol('spot', 'BTCUSDT')).to.equal(spot)
    expect(table.size).to.equal(2)
  })

  it('begins as another table, and leaves that one as it is when it changes', () => {
    const whole = new InstrumentTable([spot])
    const table = new InstrumentTable()
    table.beginAs(whole)
    expect([table.size, table.find('BTC-USDT'), table.symbol('spot', 'BTCUSDT')]).to.deep.equal([1, spot, spot])
    table.add(linear)
    expect([...table]).to.deep.equal([spot, linear])
    expect([...whole]).to.deep.equal([spot])
    expect(whole.find('BTC-USDT-PERP')).to.equal(undefined)
  })

  it('knows nothing that it was not given, whatever it is asked', () => {
    const table = new InstrumentTable()
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '']) {
      expect(table.find(name), name).to.equal(undefined)
      expect(table.symbol(name, name), name).to.equal(undefined)
    }
    table.add(of({ symbol: '__proto__', name: 'constructor' }))
    expect(table.find('__proto__')).to.equal(table.find('constructor'))
    expect(table.find('toString')).to.equal(undefined)
  })
})
