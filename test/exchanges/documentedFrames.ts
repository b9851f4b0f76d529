/**
 * For each exchange: a documented frame of every channel, the control frames, and the documented limits, as the exchanges'
 * pages and real sessions have them. The conformance suite holds each description to these; a new exchange adds its own.
 */
import type { ChannelName, Limits, Route } from '../../src/exchanges/protocol'

export interface DocumentedExchange {
  readonly frames: Readonly<Partial<Record<ChannelName, readonly string[]>>>
  /** Frames that are no data, and where each belongs. */
  readonly control: readonly (readonly [to: Exclude<Route['to'], 'channel'>, frame: string])[]
  /** What the exchange allows at most, where it says so. */
  readonly atMost?: Partial<Limits>
  /** Pauses that must not be shorter, in milliseconds. */
  readonly atLeast: Partial<Pick<Limits, 'requestEveryMs' | 'connectEveryMs'>>
}

export const DOCUMENTED: ReadonlyMap<string, DocumentedExchange> = new Map<string, DocumentedExchange>([
  [
    'binance',
    {
      frames: {
        trades: [
          '{"stream":"ethusdt@trade","data":{"e":"trade","E":1723161255612,"s":"ETHUSDT","t":1520538925,"p":"2683.80000000","q":"0.00200000","T":1723161255611,"m":true,"M":true}}',
          '{"stream":"lrcbtc@aggTrade","data":{"e":"aggTrade","E":1633998534486,"s":"LRCBTC","a":9213679,"p":"0.00000638","q":"177.00000000","f":12368013,"l":12368013,"T":1633998534486,"m":false,"M":true}}',
        ],
        book: [
          '{"stream":"blzeth@depth@100ms","data":{"e":"depthUpdate","E":1633998514469,"s":"BLZETH","U":281916627,"u":281916627,"b":[["0.00006421","0.00000000"]],"a":[]}}',
        ],
        ticker: [
          '{"stream":"blzeth@bookTicker","data":{"u":281916636,"s":"BLZETH","b":"0.00006547","B":"100.00000000","a":"0.00006560","A":"1528.00000000"}}',
        ],
        candles: [
          '{"stream":"lrcbtc@kline_1m","data":{"e":"kline","E":1633998534486,"s":"LRCBTC","k":{"t":1633998480000,"T":1633998539999,"s":"LRCBTC","i":"1m","f":12368013,"L":12368013,"o":"0.00000638","c":"0.00000638","h":"0.00000638","l":"0.00000638","v":"177.00000000","n":1,"x":false,"q":"0.00112926","V":"177.00000000","Q":"0.00112926","B":"0"}}}',
        ],
      },
      control: [
        ['ack', '{"result":null,"id":1}'],
        ['refused', '{"code":2,"msg":"Invalid request: unknown variant","id":1}'],
        ['refused', '{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":1}'],
      ],
      atMost: { topicsPerConnection: 1_024 },
      atLeast: { requestEveryMs: 200, connectEveryMs: 1_000 },
    },
  ],
  [
    'binance-futures',
    {
      frames: {
        trades: [
          '{"stream":"ctkusdt@aggTrade","data":{"e":"aggTrade","E":1626992747395,"a":16599297,"s":"CTKUSDT","p":"1.01000","q":"5","f":23961327,"l":23961327,"T":1626992747239,"m":true}}',
          '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256523,"T":1723161256523,"s":"BTCUSDT","t":5266583939,"p":"61800.20","q":"0.015","X":"MARKET","m":true}}',
        ],
        book: [
          '{"stream":"keepusdt@depth@100ms","data":{"e":"depthUpdate","E":1626992743532,"T":1626992743425,"s":"KEEPUSDT","U":600859645270,"u":600859645270,"pu":600859644386,"b":[],"a":[["0.2589","0"]]}}',
        ],
        ticker: [
          '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}',
        ],
        candles: [
          '{"stream":"keepusdt@kline_1m","data":{"e":"kline","E":1626992767499,"s":"KEEPUSDT","k":{"t":1626992760000,"T":1626992819999,"s":"KEEPUSDT","i":"1m","f":2398360,"L":2398360,"o":"0.2468","c":"0.2468","h":"0.2468","l":"0.2468","v":"500","n":1,"x":false,"q":"123.4000","V":"0","Q":"0.0000","B":"0"}}}',
        ],
        derivative: [
          '{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000,"st":1}',
        ],
        liquidations: [
          '{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910.00000000","ap":"9910.12345678","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}',
        ],
      },
      control: [
        ['ack', '{"result":null,"id":1}'],
        ['refused', '{"code":2,"msg":"Invalid request: unknown variant","id":1}'],
      ],
      atMost: { topicsPerConnection: 1_024 },
      atLeast: { requestEveryMs: 200 },
    },
  ],
  [
    'bybit',
    {
      frames: {
        trades: [
          '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1709891679005,"data":[{"T":1709891679000,"s":"BTCUSDT","S":"Buy","v":"0.010","p":"27451.00","i":"9dc75fca-4bdd-4773-9f78-6f5d7ab2a110","BT":false}]}',
        ],
        book: [
          '{"topic":"orderbook.500.XRPUSDT","type":"delta","ts":1733011201990,"data":{"s":"XRPUSDT","b":[["1.9533","16514"],["1.9529","4765"],["1.9519","16924"],["1.9514","16155"],["1.9462","2067"]],"a":[["1.9535","2183"],["1.9649","2707"]],"u":20254883,"seq":130020244295},"cts":1733011201982}',
        ],
        ticker: [
          '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"PlusTick","lastPrice":"17216.00","bid1Price":"17215.50","bid1Size":"84.489","ask1Price":"17216.00","ask1Size":"83.020","markPrice":"17217.33","indexPrice":"17227.36","openInterest":"68744.761","nextFundingTime":"1673280000000","fundingRate":"-0.000212"},"cs":24987956059,"ts":1673272861686}',
        ],
        candles: [
          '{"topic":"kline.5.BTCUSDT","data":[{"start":1672324800000,"end":1672325099999,"interval":"5","open":"16649.5","close":"16677","high":"16677","low":"16608","volume":"2.081","turnover":"34666.4005","confirm":false,"timestamp":1672324988882}],"ts":1672324988882,"type":"snapshot"}',
        ],
        derivative: [
          '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"17216.00","markPrice":"17217.33","indexPrice":"17227.36","openInterest":"68744.761","nextFundingTime":"1673280000000","fundingRate":"-0.000212"},"cs":24987956059,"ts":1673272861686}',
        ],
        liquidations: [
          '{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}]}',
        ],
      },
      control: [
        ['ack', '{"success":true,"ret_msg":"","conn_id":"cejreaspqfm9se7usbrg-2xh","req_id":"1","op":"subscribe"}'],
        [
          'refused',
          '{"success":false,"ret_msg":"Invalid topic: invalid.topic.BTCUSDT","conn_id":"cejreaspqfm9se7usbrg-2xh","op":"subscribe"}',
        ],
        ['heartbeat', '{"success":true,"ret_msg":"pong","conn_id":"0970e817-426e-429a-a679-ff7f55e0b16a","op":"ping"}'],
      ],
      atMost: { topicsPerRequest: 10, requestCharsMax: 21_000 },
      atLeast: { connectEveryMs: 600 },
    },
  ],
  [
    'kraken',
    {
      frames: {
        trades: [
          '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}',
          '[1921,[["0.043030","1081.72663000","1618678157.908269","b","l",""]],"trade","SC/EUR"]',
        ],
        book: [
          '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":78858.8,"qty":0.00000000},{"price":78857.0,"qty":0.34775324}],"asks":[],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}',
          '[1920,{"a":[["0.042990","364630.28272081","1618678145.920470"]]},{"b":[["0.042990","0.00000000","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]',
        ],
        ticker: [
          '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.5,"ask":105944.30,"ask_qty":3.2,"last":105899.40,"volume":163.28908096,"vwap":105904.39279,"low":104711.00,"high":106613.10,"change":250.00,"change_pct":0.24,"timestamp":"2022-12-25T09:30:59.123456Z"}]}',
          '[1844,{"a":["9.608415",188,"188.00000000"],"b":["9.590799",136,"136.81110241"],"c":["9.608415","12.00000000"],"v":["206721.01544724","430490.17781308"],"p":["9.830615","9.979412"],"t":[2048,4148],"l":["9.320000","9.320000"],"h":["10.387727","10.657417"],"o":["10.181544","9.850589"]},"ticker","OMG/USD"]',
        ],
        candles: [
          '{"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","interval":1,"interval_begin":"2023-10-04T16:25:00.000000000Z","open":106038.2,"high":106044.3,"low":106038.1,"close":106040.1,"volume":30927.68066226,"vwap":106039.6,"trades":12}]}',
        ],
      },
      control: [
        [
          'ack',
          '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2026-08-24T22:21:56.724795Z","time_out":"2026-08-24T22:21:56.724853Z"}',
        ],
        [
          'ack',
          '{"channelID":992,"channelName":"book-1000","event":"subscriptionStatus","pair":"XMR/USD","status":"subscribed","subscription":{"depth":1000,"name":"book"}}',
        ],
        [
          'refused',
          '{"error":"Currency pair not supported BTC/XYZ","method":"subscribe","req_id":1,"success":false,"symbol":"BTC/XYZ"}',
        ],
        ['heartbeat', '{"channel":"heartbeat"}'],
        ['heartbeat', '{"event":"heartbeat"}'],
        ['heartbeat', '{"method":"pong","req_id":42,"time_in":"2023-09-25T09:05:00.123456Z"}'],
        [
          'ignored',
          '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":806193442143087786}]}',
        ],
      ],
      atLeast: { connectEveryMs: 4_000 },
    },
  ],
  [
    'okx',
    {
      frames: {
        trades: [
          '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"338476320","px":"30242","sz":"0.001","side":"buy","ts":"1652459227219"}]}',
        ],
        book: [
          '{"arg":{"channel":"books","instId":"BTC-USD-220527"},"action":"update","data":[{"asks":[],"bids":[["30189","0","0","0"]],"ts":"1652459227954","checksum":67565745}]}',
          '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8477","0","0","0"]],"bids":[["8476.97","101","0","3"]],"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123468}]}',
        ],
        ticker: [
          '{"arg":{"channel":"tickers","instId":"UNI-USD-SWAP"},"data":[{"instType":"SWAP","instId":"UNI-USD-SWAP","last":"5.123","lastSz":"100","askPx":"5.142","askSz":"25","bidPx":"5.134","bidSz":"96","open24h":"4.799","high24h":"5.458","low24h":"4.537","sodUtc0":"4.654","sodUtc8":"5.204","volCcy24h":"577730.7823","vol24h":"289425","ts":"1652459223143"}]}',
        ],
        candles: [
          '{"arg":{"channel":"candle1D","instId":"BTC-USDT"},"data":[["1597026383085","8533.02","8553.74","8527.17","8548.26","45247","529.5858061","5529.5858061","1"]]}',
        ],
        derivative: [
          '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","fundingRate":"0.0001","nextFundingRate":"0.0002","fundingTime":"1744590349506","nextFundingTime":"1744619149506","ts":"1744590349506"}]}',
        ],
        liquidations: [
          // The first message of a subscription repeats an old one and is dropped: it stands twice.
          ...Array<string>(2).fill(
            '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}',
          ),
        ],
      },
      control: [
        ['ack', '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}'],
        ['refused', '{"event":"error","code":"60012","msg":"Invalid request: {}","connId":"a4d3ae55"}'],
        ['heartbeat', 'pong'],
        ['reconnect', '{"event":"notice","code":"64008","msg":"The connection will soon be closed."}'],
      ],
      atMost: { requestCharsMax: 65_536 },
      atLeast: { connectEveryMs: 334 },
    },
  ],
  [
    'coinbase',
    {
      frames: {
        trades: [
          '{"type":"match","trade_id":82008,"maker_order_id":"f71dd5c4-b316-4869-83db-ff328a7379a6","taker_order_id":"d30ea30a-c805-4f05-ba7e-28020dfc52b3","side":"sell","size":"335","price":"0.5762","product_id":"SKL-GBP","sequence":27883501,"time":"2021-04-17T16:43:37.270697Z"}',
        ],
        book: [
          '{"type":"l2update","product_id":"SKL-USD","changes":[["buy","0.7885","0.0"]],"time":"2021-04-17T16:43:37.077621Z"}',
          '{"type":"snapshot","product_id":"SKL-GBP","asks":[["0.5762","2865.9"],["0.5767","6327.2"]],"bids":[["0.5752","335.1"]]}',
        ],
        ticker: [
          '{"type":"ticker","sequence":27883501,"product_id":"SKL-GBP","price":"0.5762","open_24h":"0.5102","volume_24h":"3480196.10000000","low_24h":"0.5","high_24h":"0.588","volume_30d":"76124009.10000000","best_bid":"0.5742","best_ask":"0.5771","side":"buy","time":"2021-04-17T16:43:37.270697Z","trade_id":82008,"last_size":"335"}',
        ],
      },
      control: [
        [
          'ack',
          '{"type":"subscriptions","channels":[{"name":"level2","product_ids":["BAND-GBP","BAND-BTC","YFI-BTC","NU-GBP"]}]}',
        ],
        [
          'refused',
          '{"type":"error","message":"Failed to subscribe","reason":"level2, level3, and full channels now require authentication."}',
        ],
        [
          'heartbeat',
          '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}',
        ],
      ],
      atLeast: { requestEveryMs: 10, connectEveryMs: 125 },
    },
  ],
])
