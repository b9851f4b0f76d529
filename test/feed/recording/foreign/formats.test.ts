/**
 * The lines of other recorders, as their own documentation and source show them, one by one.
 */
import { expect } from 'chai'
import type { SessionRecord } from '../../../../src/feed/record'
import { cryptofeed } from '../../../../src/feed/recording/foreign/cryptofeed'
import {
  secondsText,
  timeOfNanoseconds,
  timeOfSeconds,
  type ForeignFile,
  type ForeignFormat,
} from '../../../../src/feed/recording/foreign/foreignFormat'
import { hftbacktest } from '../../../../src/feed/recording/foreign/hftbacktest'
import { bytesOfLiteral, literalOfBytes } from '../../../../src/feed/recording/foreign/pythonBytes'
import { tardisCsv } from '../../../../src/feed/recording/foreign/tardisCsv'
import { isoText, tardisRaw, timeOfIso } from '../../../../src/feed/recording/foreign/tardisRaw'
import { Fault } from '../../../../src/model/fault'
import fc from 'fast-check'

interface Decoded {
  readonly records: readonly SessionRecord[]
  readonly problems: readonly string[]
  readonly leftOut: Readonly<Record<string, number>>
}

function decode(format: ForeignFormat, lines: readonly string[], file: Partial<ForeignFile> = {}): Decoded {
  const decoder = format.decoder({
    path: 'x',
    exchange: undefined,
    url: undefined,
    dataType: undefined,
    connection: 0,
    ...file,
  })
  const records: SessionRecord[] = []
  const problems = lines.flatMap((line) => decoder.line(line, records) ?? [])
  decoder.end(records)
  return { records, problems, leftOut: Object.fromEntries(decoder.leftOut) }
}

/** Of normalised frames: what they say. */
function framesOf({ records }: Decoded): unknown[] {
  return records.map((record) => (record.dir === 'in' ? JSON.parse(String(record.data)) : record.dir))
}

describe("hftbacktest's lines", () => {
  const frame = '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT"}}'

  it('are nanoseconds, a space and the frame', () => {
    const { records } = decode(hftbacktest, [`1723161254024619568 ${frame}`], { exchange: 'binance', connection: 3 })
    expect(records).to.deep.equal([
      { timeUs: 1723161254024619, ns: 568, connection: 3, exchange: 'binance', dir: 'in', data: frame },
    ])
  })

  it('hold what Binance answered to a request for a snapshot, of the symbol of the frames before it', () => {
    const answer = '{"lastUpdateId":5,"bids":[["1","2"]],"asks":[]}'
    const after = decode(hftbacktest, [`1723161254024619568 ${frame}`, `1723161254024619569 ${answer}`], {
      exchange: 'binance-futures',
      path: '/data/other_20240808.gz',
    })
    expect(after.records[1]).to.include({
      dir: 'rest',
      role: 'book-snapshot',
      url: 'https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000',
      body: answer,
    })
    const first = decode(hftbacktest, [`1723161254024619568 ${answer}`], {
      exchange: 'binance',
      path: '/data/ethusdt_20240808.gz',
    })
    expect(first.records[0]).to.have.property('url').that.includes('symbol=ETHUSDT')
  })

  it('of Bybit come from the linear contracts, to which its collector connects', () => {
    const { records } = decode(hftbacktest, ['1723161254024619568 {}', '1723161254024619569 {}'], { exchange: 'bybit' })
    expect(records.map(({ dir }) => dir)).to.deep.equal(['open', 'in', 'in'])
    expect(records[0]).to.have.property('url', 'wss://stream.bybit.com/v5/public/linear')
  })

  it('need to be told their exchange', () => {
    expect(() => decode(hftbacktest, [])).to.throw(Fault, 'does not say which exchange it is of')
    expect(() => decode(hftbacktest, [], { exchange: 'binanse' })).to.throw(Fault, 'binance')
  })

  it('are refused one by one where they are none', () => {
    const { records, problems } = decode(
      hftbacktest,
      ['', 'hello world', '1723161254024619568', '1723161254024619568 ', '99999999999999999999 {}', '-1 {}'],
      { exchange: 'binance' },
    )
    expect(records).to.deep.equal([])
    expect(problems).to.have.length(5)
  })
})

describe("cryptofeed's lines", () => {
  // The first lines of sample_data/KRAKEN.ws.48.0, shortened.
  const lines = [
    'wss://ws.kraken.com <-> 1618678132.368463',
    'wss://ws.kraken.com <- 1618678132.83097: {"event":"subscribe"}',
    '1618678132.831468: {"event":"systemStatus"}',
    '1618678132.9348202: {"event":"subscriptionStatus"}',
    '',
    '',
  ]

  it('are openings, requests and frames', () => {
    const { records, problems } = decode(cryptofeed, lines, { path: 'sample_data/KRAKEN.ws.48.0' })
    expect(problems).to.deep.equal([])
    const base = { connection: 0, exchange: 'kraken' }
    expect(records).to.deep.equal([
      { ...base, timeUs: 1618678132368463, ns: 0, dir: 'open', url: 'wss://ws.kraken.com' },
      { ...base, timeUs: 1618678132830970, ns: 0, dir: 'out', data: '{"event":"subscribe"}' },
      { ...base, timeUs: 1618678132831468, ns: 0, dir: 'in', data: '{"event":"systemStatus"}' },
      { ...base, timeUs: 1618678132934820, ns: 200, dir: 'in', data: '{"event":"subscriptionStatus"}' },
    ])
  })

  it('end a connection where the next begins', () => {
    const again = 'wss://ws.kraken.com <-> 1618678140.5'
    const { records } = decode(cryptofeed, [...lines, again], { path: 'KRAKEN.ws.48.0' })
    expect(records.slice(-2).map(({ dir, timeUs }) => [dir, timeUs])).to.deep.equal([
      ['close', 1618678140500000],
      ['open', 1618678140500000],
    ])
  })

  it('hold REST answers, whose bodies may go on over lines, with what they are by their address', () => {
    const { records, leftOut } = decode(
      cryptofeed,
      [
        'https://api.binance.com/api/v3/exchangeInfo -> 1633998511.132921: {"symbols":[',
        ']}',
        '',
        'https://api.binance.com/api/v3/depth?symbol=NKNUSDT&limit=1000 -> 1633998512.320639: {"lastUpdateId":1}',
        'https://api.binance.com/api/v3/ping -> 1633998512.4: {}',
      ],
      { path: 'BINANCE.http.0.0' },
    )
    expect(
      records.map((record) => (record.dir === 'rest' ? [record.role, record.body, record.connection] : record.dir)),
    ).to.deep.equal([
      ['instruments', '{"symbols":[\n]}', -1],
      ['book-snapshot', '{"lastUpdateId":1}', -1],
    ])
    expect(leftOut).to.deep.equal({ 'answers of addresses that are neither instruments nor books': 1 })
  })

  it('name the exchange by the name of the file, unless the caller does', () => {
    const exchangeOf = (file: Partial<ForeignFile>): string => decode(cryptofeed, lines, file).records[0]!.exchange
    expect(exchangeOf({ path: '/data/BINANCE_FUTURES.ws.5.0' })).to.equal('binance-futures')
    expect(exchangeOf({ path: 'OKEX.ws.1.0' })).to.equal('okx')
    expect(exchangeOf({ path: 'KRAKEN_FUTURES-1125a2.0' })).to.equal('kraken-futures')
    expect(exchangeOf({ path: 'capture.txt', exchange: 'kraken' })).to.equal('kraken')
    expect(() => decode(cryptofeed, [], { path: '0' })).to.throw(Fault, 'does not say which exchange it is of')
  })

  it('are refused one by one where they are none', () => {
    const { problems, leftOut } = decode(cryptofeed, ['what is this', 'configuration: {}', '12: '], {
      path: 'KRAKEN.ws.1.0',
    })
    expect(problems).to.deep.equal(['is none of cryptofeed: it begins with neither a time nor an address'])
    expect(leftOut).to.deep.equal({ 'what cryptofeed was configured to record': 1 })
  })
})

describe('Bytes as Python prints them', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(Buffer.compare(bytesOfLiteral(literalOfBytes(bytes))!, bytes)).to.equal(0)
      }),
    )
  })

  it('are written as Python writes them', () => {
    // repr() of these bytes in CPython 3.11.
    expect(literalOfBytes(Buffer.from('a\t\n\r\\\0\x7f\x80é', 'latin1'))).to.equal(
      String.raw`b'a\t\n\r\\\x00\x7f\x80\xe9'`,
    )
    expect(literalOfBytes(Buffer.from("it's"))).to.equal(`b"it's"`)
    expect(literalOfBytes(Buffer.from(`"it's"`))).to.equal(String.raw`b'"it\'s"'`)
  })

  it('are refused where they do not end, or hold what no literal holds', () => {
    for (const text of ["b'", "b'\\'", "b'\\x1'", "b'é'", "b'a'b'", 'b"a\'', "c'a'"]) {
      expect(bytesOfLiteral(text), text).to.equal(undefined)
    }
  })
})

describe("tardis.dev's raw lines", () => {
  it('are a time of 100 ns, a space and the frame', () => {
    const { records } = decode(tardisRaw, ['2019-06-01T00:03:03.1238784Z {"e":1}'], { exchange: 'binance' })
    expect(records).to.deep.equal([
      { timeUs: 1559347383123878, ns: 400, connection: 0, exchange: 'binance', dir: 'in', data: '{"e":1}' },
    ])
  })

  it('end a connection with a blank line, once', () => {
    const line = '2019-06-01T00:03:03.1238784Z {}'
    const { records } = decode(tardisRaw, ['', line, '', '', line, line], { exchange: 'bybit-spot' })
    expect(records.map(({ dir }) => dir)).to.deep.equal(['open', 'in', 'close', 'open', 'in', 'in'])
    expect(records[0]).to.include({ exchange: 'bybit', url: 'wss://stream.bybit.com/v5/public/spot' })
  })

  it('hold what was asked of Binance by REST', () => {
    const { records } = decode(
      tardisRaw,
      [
        '2019-12-01T00:00:00.1000000Z {"stream":"btcusdt@depthSnapshot","generated":true,"data":{"lastUpdateId":7,"bids":[["1.10","2"]],"asks":[]}}',
      ],
      { exchange: 'binance' },
    )
    expect(records[0]).to.include({
      dir: 'rest',
      role: 'book-snapshot',
      url: 'https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000',
      body: '{"lastUpdateId":7,"bids":[["1.10","2"]],"asks":[]}',
    })
  })

  it('come from tardis-machine as objects, whose frames keep every digit', () => {
    const { records } = decode(
      tardisRaw,
      ['{"localTimestamp":"2019-07-01T00:00:00.5400000Z","message":{"price":1.10,"id":12345678901234567890}}'],
      { exchange: 'okex-swap' },
    )
    expect(records[0]).to.include({ exchange: 'okx', data: '{"price":1.10,"id":12345678901234567890}' })
  })

  it('are refused one by one where they are none', () => {
    const { records, problems } = decode(
      tardisRaw,
      [
        '2019-02-30T00:00:00.0000000Z {}',
        'x',
        '{"localTimestamp":"2019-07-01T00:00:00Z","message":{}',
        '2019-06-01T00:03:03.1238784Z ',
      ],
      { exchange: 'binance' },
    )
    expect(records).to.deep.equal([])
    expect(problems).to.have.length(4)
  })
})

describe("tardis.dev's CSV rows", () => {
  const HEAD = 'exchange,symbol,timestamp,local_timestamp'

  it('of trades are trades; a time that is the receive time again was given by nobody', () => {
    const decoded = decode(
      tardisCsv,
      [
        `${HEAD},id,side,price,amount`,
        'bitmex,XBTUSD,1585699202957000,1585699203089980,b4ba,buy,6425.50,12',
        'okex-swap,BTC-USDT-SWAP,1585699203089980,1585699203089980,,unknown,6425,150',
      ],
      { path: 'bitmex_trades_2020-04-01_XBTUSD.csv.gz' },
    )
    expect(decoded.records.map(({ exchange, timeUs }) => [exchange, timeUs])).to.deep.equal([
      ['normalised:bitmex', 1585699203089980],
      ['normalised:okx', 1585699203089980],
    ])
    expect(framesOf(decoded)).to.deep.equal([
      {
        kind: 'trade',
        symbol: 'XBTUSD',
        exchangeTimeUs: 1585699202957000,
        id: 'b4ba',
        side: 'buy',
        price: '6425.50',
        size: '12',
      },
      { kind: 'trade', symbol: 'BTC-USDT-SWAP', price: '6425', size: '150' },
    ])
  })

  it('of liquidations have the same columns: the name of the file, its folder or the caller tells', () => {
    const lines = [`${HEAD},id,side,price,amount`, 'bitmex,XBTUSD,1,2,x,sell,6425.5,12']
    const kind = (file: Partial<ForeignFile>): unknown =>
      (framesOf(decode(tardisCsv, lines, file))[0] as { kind: string }).kind
    expect(kind({ path: 'bitmex_liquidations_2020-04-01_XBTUSD.csv.gz' })).to.equal('liquidation')
    expect(kind({ path: '/data/trades/2020/XBTUSD.csv.gz' })).to.equal('trade')
    expect(kind({ path: 'x.csv', dataType: 'liquidations' })).to.equal('liquidation')
    expect(() => kind({ path: 'x.csv' })).to.throw(Fault, 'give the data type')
    expect(() => kind({ path: 'x.csv', dataType: 'quotes' })).to.throw(Fault, 'trades, liquidations')
  })

  it('of a book are one change a message; snapshots begin it anew, and what comes before the first is left out', () => {
    const row = (time: number, snapshot: boolean, side: string, price: string, amount: string): string =>
      `binance,BTCUSDT,${time},${time + 5},${snapshot},${side},${price},${amount}`
    const decoded = decode(tardisCsv, [
      `${HEAD},is_snapshot,side,price,amount`,
      row(10, false, 'bid', '99', '1'),
      row(20, true, 'bid', '100.10', '1'),
      row(20, true, 'ask', '101', '2'),
      row(21, true, 'ask', '102', '0.50'),
      row(30, false, 'bid', '100.10', '0'),
      row(30, false, 'bid', '100', '3'),
      row(40, true, 'bid', '98', '1'),
    ])
    const book = (kind: string, exchangeTimeUs: number, bids: string[][], asks: string[][]): object => ({
      kind,
      symbol: 'BTCUSDT',
      exchangeTimeUs,
      bids,
      asks,
    })
    expect(framesOf(decoded)).to.deep.equal([
      book('snapshot', 20, [['100.10', '1']], [['101', '2']]),
      book('delta', 21, [], [['102', '0.50']]),
      book(
        'delta',
        30,
        [
          ['100.10', '0'],
          ['100', '3'],
        ],
        [],
      ),
      book('snapshot', 40, [['98', '1']], []),
    ])
    expect(decoded.leftOut).to.deep.equal({ 'rows of a book before its first snapshot': 1 })
  })

  it('of book_snapshot_5 are snapshots of five levels, fewer where the book has fewer', () => {
    const levels = [0, 1].flatMap((at) => [
      `asks[${at}].price`,
      `asks[${at}].amount`,
      `bids[${at}].price`,
      `bids[${at}].amount`,
    ])
    const decoded = decode(tardisCsv, [
      [HEAD, ...levels].join(','),
      'binance-futures,BTCUSDT,1598918403696000,1598918403810979,11657.08,1.714,11657.07,10.896,11657.54,5.4,,',
    ])
    expect(framesOf(decoded)).to.deep.equal([
      {
        kind: 'snapshot',
        symbol: 'BTCUSDT',
        exchangeTimeUs: 1598918403696000,
        bids: [['11657.07', '10.896']],
        asks: [
          ['11657.08', '1.714'],
          ['11657.54', '5.4'],
        ],
        depth: 2,
      },
    ])
  })

  it('of quotes, book_ticker and derivative_ticker say what their cells say, and of empty ones nothing', () => {
    const quotes = decode(tardisCsv, [
      `${HEAD},ask_amount,ask_price,bid_price,bid_amount`,
      'huobi-dm-swap,BTC-USD,1588291201099000,1588291201234268,5000,8629.3,8629.1,800',
      'huobi-dm-swap,BTC-USD,1588291201099000,1588291201234268,,,8629.1,800',
    ])
    expect(framesOf(quotes)).to.deep.equal([
      {
        kind: 'ticker',
        symbol: 'BTC-USD',
        exchangeTimeUs: 1588291201099000,
        bidPrice: '8629.1',
        bidSize: '800',
        askPrice: '8629.3',
        askSize: '5000',
      },
      { kind: 'ticker', symbol: 'BTC-USD', exchangeTimeUs: 1588291201099000, bidPrice: '8629.1', bidSize: '800' },
    ])
    const derivative = decode(tardisCsv, [
      `${HEAD},funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price`,
      'bitmex,XBTUSD,1583020803145000,1583020803307160,1583020800000000,0.0001,0.00012,1000000,9500.5,9500.0,9500.25',
    ])
    const base = { symbol: 'XBTUSD', exchangeTimeUs: 1583020803145000 }
    expect(framesOf(derivative)).to.deep.equal([
      {
        ...base,
        kind: 'derivative',
        markPrice: '9500.25',
        indexPrice: '9500.0',
        fundingRate: '0.0001',
        nextFundingTimeUs: 1583020800000000,
        openInterest: '1000000',
        predictedFundingRate: '0.00012',
      },
      { ...base, kind: 'ticker', lastPrice: '9500.5' },
    ])
  })

  it('are refused one by one where they are none, and the whole file where its columns are', () => {
    const { problems, records } = decode(tardisCsv, [
      `${HEAD},is_snapshot,side,price,amount`,
      'binance,BTCUSDT,1,2,true,bid,1',
      'binance,BTCUSDT,1,2,maybe,bid,1,1',
      'binance,BTCUSDT,1,2,true,buy,1,1',
      'binance,BTCUSDT,1,x,true,bid,1,1',
      'binance,BTCUSDT,-1,2,true,bid,1,1',
      '../x,BTCUSDT,1,2,true,bid,1,1',
      'binance,,1,2,true,bid,1,1',
      'binance,"BTC',
    ])
    expect(problems).to.have.length(8)
    expect(records).to.deep.equal([])
    expect(() => decode(tardisCsv, [`${HEAD},strike_price`])).to.throw(Fault, 'columns of no kind that is read')
    expect(() => decode(tardisCsv, ['exchange,symbol,timestamp,price'])).to.throw(
      Fault,
      'has no column local_timestamp',
    )
  })

  it('of two markets of one exchange are not taken for one', () => {
    const lines = [`${HEAD},id,side,price,amount`, 'bybit,BTCUSDT,1,2,x,sell,1,1', 'bybit-spot,BTCUSDT,1,2,x,sell,1,1']
    expect(() => decode(tardisCsv, lines, { path: 'x_trades.csv' })).to.throw(Fault, 'two markets of bybit')
  })
})

describe('Times of other recorders', () => {
  it('come back to the nanosecond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }), (t) => {
        const time = timeOfNanoseconds(String(t))!
        expect(timeOfSeconds(secondsText(time))).to.deep.equal(time)
        expect(timeOfIso(isoText(time))).to.deep.equal({ ...time, ns: Math.floor(time.ns / 100) * 100 })
      }),
    )
  })

  it('are none where they are no number or no day', () => {
    for (const text of ['', '1e9', '-1', '1.2.3', '12345678901']) expect(timeOfSeconds(text), text).to.equal(undefined)
    for (const text of ['2019-13-01T00:00:00Z', '2019-02-29T00:00:00Z', '1969-12-31T23:59:59Z']) {
      expect(timeOfIso(text), text).to.equal(undefined)
    }
  })
})
