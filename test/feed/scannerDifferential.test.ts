import { expect } from 'chai'
import { exchangeById } from '../../src/exchanges/exchanges'
import { RECORDINGS, recordsOf } from '../kit/recordings'
import { needsShared } from '../kit/shared'
import { Twins } from '../kit/twins'

/**
 * The scanner is the place where a clever mistake becomes a wrong price: whatever it reads, the plain decoder reads alike.
 */
describe('the scanner and the plain decoder', () => {
  /** Frames of each recording that are scanned; the rest are first frames of their keys, snapshots, candles and control frames. */
  const SCANNED = new Map([
    ['binance.ethusdt-20240808', 33_614],
    ['binance.ws1', 254],
    ['binance-futures.btcusdt-20240808.first60', 56_368],
    ['binance-futures.ws1', 1_456],
    ['bybit.xrpusdt-ob500-20241201.first60', 28],
    ['coinbase.ws28.first60', 5_916],
    ['kraken.ws48', 6],
    ['kraken.ws49', 8],
    ['kraken.ws50.first60', 2_528],
    ['kraken.v2-btcusd-20260824', 2],
    ['okx.ws1.first60', 214],
  ])

  for (const [exchange, session, rest] of RECORDINGS) {
    for (const guarded of [true, false]) {
      it(`say the same of every frame of ${session}, with${guarded ? '' : 'out'} guards`, function () {
        needsShared(this)
        this.timeout(30_000)
        const protocol = exchangeById(exchange)
        const twins = new Twins(protocol, { guarded })
        for (const record of recordsOf(protocol, session, rest)) twins.apply(record)
        expect(twins.counts.scanned).to.equal(SCANNED.get(session))
      })
    }
  }
})
