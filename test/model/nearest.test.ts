import { expect } from 'chai'
import { didYouMean, editDistance, nearest } from '../../src/model/nearest'

describe('nearest', () => {
  const names = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx', 'coinbase']

  it('finds the name of which a letter is wrong, missing, doubled or swapped', () => {
    for (const word of ['krakan', 'kraen', 'krakken', 'karken', 'KRAKEN'])
      expect(nearest(word, names)[0]).to.equal('kraken')
  })

  it('finds names that contain the word', () => {
    expect(nearest('futures', names)).to.deep.equal(['binance-futures'])
  })

  it('lists the nearest first and no more than are asked for', () => {
    expect(nearest('binanse', names)[0]).to.equal('binance')
    expect(nearest('b', ['ba', 'bb', 'bc', 'bd'], 2)).to.have.length(2)
  })

  it('says nothing rather than something far', () => {
    expect(nearest('hyperliquid', names)).to.deep.equal([])
    expect(didYouMean('hyperliquid', names)).to.equal('')
  })

  it('asks in words', () => {
    expect(didYouMean('bibit', names)).to.equal(' Did you mean bybit?')
    expect(didYouMean('BTC-USD', ['BTC-USDT', 'BTC-USDC', 'ETH-BTC'])).to.equal(' Did you mean BTC-USDT or BTC-USDC?')
  })

  it('compares hostile words at a bounded cost', () => {
    expect(nearest('x'.repeat(1_000_000), names)).to.deep.equal([])
    expect(editDistance('a'.repeat(1_000_000), '')).to.equal(64)
  })

  it('counts the letters between two words', () => {
    expect(editDistance('', 'abc')).to.equal(3)
    expect(editDistance('kitten', 'sitting')).to.equal(3)
    expect(editDistance('abcd', 'abdc')).to.equal(1)
  })
})
