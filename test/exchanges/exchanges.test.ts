import { expect } from 'chai'
import { exchangeById, EXCHANGES } from '../../src/exchanges/exchanges'
import { Fault } from '../../src/model/fault'

describe('exchanges', () => {
  it('are found by id, however it is written', () => {
    for (const [id, exchange] of EXCHANGES) expect(exchangeById(id)).to.equal(exchange)
    expect(exchangeById(' BINANCE_FUTURES ').id).to.equal('binance-futures')
    expect(exchangeById('okex').id).to.equal('okx')
    expect(exchangeById('coinbase-exchange').id).to.equal('coinbase')
  })

  it('that are not known are refused in one sentence with the nearest names', () => {
    expect(() => exchangeById('krakne'))
      .to.throw(Fault, 'There is no exchange "krakne". Did you mean kraken?')
      .with.property('code', 'OPTION_INVALID')
    expect(() => exchangeById('binance-us')).to.throw(Fault, /Did you mean binance/)
    for (const name of ['', '__proto__', 'constructor', 'x'.repeat(100_000)]) {
      expect(() => exchangeById(name)).to.throw(
        Fault,
        /Known are binance, binance-futures, bybit, kraken, okx, coinbase/,
      )
    }
  })
})
