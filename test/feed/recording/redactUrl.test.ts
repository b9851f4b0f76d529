import { expect } from 'chai'
import { redactUrl } from '../../../src/feed/recording/redactUrl'

describe('redactUrl', () => {
  it('replaces the values of parameters that are named like secrets', () => {
    expect(redactUrl('wss://x.test/endpoint?token=2neAiuYvAU61&connectId=7')).to.equal(
      'wss://x.test/endpoint?token=TOKEN&connectId=7',
    )
    expect(redactUrl('https://x.test/a?symbol=BTC&signature=ab%3D&api_key=k&listenKey=l&passphrase=p#top')).to.equal(
      'https://x.test/a?symbol=BTC&signature=TOKEN&api_key=TOKEN&listenKey=TOKEN&passphrase=TOKEN#top',
    )
  })

  it('finds them however their names are spelled', () => {
    expect(redactUrl('wss://x.test/?ACCESS-TOKEN=a')).to.equal('wss://x.test/?ACCESS-TOKEN=TOKEN')
    expect(redactUrl('wss://x.test/?%74oken=a&%zz=b')).to.equal('wss://x.test/?%74oken=TOKEN&%zz=TOKEN')
  })

  it('replaces a user name and password', () => {
    expect(redactUrl('wss://me:secret@x.test/a')).to.equal('wss://TOKEN@x.test/a')
  })

  it('keeps every character of addresses without secrets, names of streams included', () => {
    for (const url of [
      'wss://fstream.binance.com/stream?streams=btcusdt@bookTicker/btcusdt@depth@0ms',
      'https://api.kraken.com/0/public/AssetPairs',
      'wss://ws.okx.com:8443/ws/v5/public',
      'not an address',
      '',
    ]) {
      expect(redactUrl(url)).to.equal(url)
    }
  })
})
