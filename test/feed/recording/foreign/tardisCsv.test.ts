/**
 * CSV files of tardis.dev, made here of real sessions in the columns that its documentation names, give the events of these
 * sessions when they are converted and replayed.
 */
import { expect } from 'chai'
import { writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { liveClock } from '../../../../src/clock/liveClock'
import { exchangeById } from '../../../../src/exchanges/exchanges'
import { Audit } from '../../../../src/feed/audit'
import { convertRecordings, isWhole } from '../../../../src/feed/recording/convert'
import { replayRecords } from '../../../../src/feed/recording/mergeRecordings'
import { readHeader } from '../../../../src/feed/recording/recordingReader'
import { Sessions } from '../../../../src/feed/sessions'
import type { BookChange, Level, LevelDigits, MarketEvent } from '../../../../src/model/events'
import { needsShared, sharedPath } from '../../../kit/shared'
import { temporaryFolder } from '../recordings'

const HEADS = {
  trades: 'exchange,symbol,timestamp,local_timestamp,id,side,price,amount',
  incremental_book_L2: 'exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount',
  book_ticker: 'exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount',
  derivative_ticker:
    'exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price',
  liquidations: 'exchange,symbol,timestamp,local_timestamp,id,side,price,amount',
} as const

type DataType = keyof typeof HEADS

async function eventsOf(file: string): Promise<MarketEvent[]> {
  const sessions = new Sessions({ protocolOf: exchangeById })
  const events: MarketEvent[] = []
  for await (const batch of replayRecords([file], { onFault: () => undefined })) {
    for (const record of batch) events.push(...sessions.apply(record))
  }
  return events.filter(({ kind }) => kind !== 'notice' && kind !== 'candle')
}

function digitsOf(value: number, decimals: number): string {
  return value.toFixed(decimals)
}

function levelsOf(levels: readonly Level[], { decimals }: LevelDigits): [string, string][] {
  return levels.map(([price, size], i) => [
    digitsOf(price, Math.floor(decimals[i]! / 128)),
    digitsOf(size, decimals[i]! % 128),
  ])
}

/** The rows of an event, by the kind of file that they stand in. */
function rowsOf(event: MarketEvent): [DataType, string][] {
  const time = event.exchangeTimeUs ?? event.receiveTimeUs
  const head = `${event.exchange},${event.symbol},${time},${event.receiveTimeUs}`
  const said = (value: string | number | undefined): string => (value === undefined ? '' : String(value))
  switch (event.kind) {
    case 'trade': {
      const price = digitsOf(event.price, event.priceDecimals)
      const size = digitsOf(event.size, event.sizeDecimals)
      return [['trades', `${head},${said(event.id)},${said(event.side)},${price},${size}`]]
    }
    case 'snapshot':
    case 'delta':
      return bookRows(event, head)
    case 'ticker':
      return [
        [
          'book_ticker',
          `${head},${said(event.askSize)},${said(event.askPrice)},${said(event.bidPrice)},${said(event.bidSize)}`,
        ],
      ]
    case 'derivative': {
      const { nextFundingTimeUs, fundingRate, openInterest, indexPrice, markPrice } = event
      return [
        [
          'derivative_ticker',
          `${head},${said(nextFundingTimeUs)},${said(fundingRate)},,${said(openInterest)},,${said(indexPrice)},${said(markPrice)}`,
        ],
      ]
    }
    case 'liquidation':
      return [['liquidations', `${head},,${said(event.side)},${event.price},${event.size}`]]
    default:
      return []
  }
}

function bookRows(event: BookChange, head: string): [DataType, string][] {
  const isSnapshot = event.kind === 'snapshot'
  return [
    ...levelsOf(event.bids, event.bidDigits).map(([price, size]) => `bid,${price},${size}`),
    ...levelsOf(event.asks, event.askDigits).map(([price, size]) => `ask,${price},${size}`),
  ].map((row) => ['incremental_book_L2', `${head},${isSnapshot},${row}`])
}

/** Rows in a form in which messages of one time may be joined, as in the files they are. */
function comparable(events: readonly MarketEvent[]): Record<string, string[]> {
  const rows: Record<string, string[]> = {}
  for (const event of events) for (const [type, row] of rowsOf(event)) (rows[type] ??= []).push(row)
  for (const type of Object.keys(rows)) rows[type]!.sort()
  return rows
}

describe('CSV files of tardis.dev', function () {
  this.timeout(300_000)
  const at = temporaryFolder()

  before(function () {
    needsShared(this)
  })

  for (const session of [
    'binance.ws1',
    'binance-futures.ws1',
    'kraken.ws50.first60',
    'kraken.ws48',
    'coinbase.ws28.first60',
    'binance.ethusdt-20240808',
  ]) {
    it(`made of ${session} replay as the session does`, async () => {
      const file = sharedPath('fixtures', 'recorded', `${session}.ndjson.gz`)
      const events = (await eventsOf(file)).filter((event) => !(event.kind === 'trade' && event.history))
      const texts = new Map<DataType, string[]>()
      for (const event of events) {
        for (const [type, row] of rowsOf(event)) {
          if (!texts.has(type)) texts.set(type, [HEADS[type]])
          texts.get(type)!.push(row)
        }
      }
      const files: string[] = []
      for (const [type, rows] of texts) {
        const name = at(`x_${type}_2026-01-01_ALL.csv.gz`)
        await writeFile(name, gzipSync(`${rows.join('\n')}\n`))
        files.push(name)
      }
      const report = await convertRecordings({
        files,
        out: at('back.ndjson.gz'),
        clock: liveClock,
        onFault: (fault) => expect.fail(fault.message),
      })
      expect(isWhole(report)).to.equal(true)
      expect(report.leftOut).to.deep.equal({})
      const back = await eventsOf(at('back.ndjson.gz'))
      expect(comparable(back)).to.deep.equal(comparable(events))
      expect(Object.keys(comparable(events)).length).to.be.above(0)
      expect(await booksOf(at('back.ndjson.gz'))).to.deep.equal(await booksOf(file))
    })
  }

  it('become recordings of a venue of their own, whose events are of the exchange itself', async () => {
    await writeFile(
      at('trades.csv'),
      `${HEADS.trades}\nderibit,BTC-PERPETUAL,1585699202957000,1585699203089980,9,buy,6425.50,12\n`,
    )
    await convertRecordings({
      files: [at('trades.csv')],
      out: at('back.ndjson'),
      dataType: 'trades',
      clock: liveClock,
      onFault: (fault) => expect.fail(fault.message),
    })
    expect(await readHeader(at('back.ndjson'))).to.include({
      venue: 'normalised:deribit',
      protocol: 'millrace-normalised/1',
      source: "converted from tardis.dev's CSV files: trades.csv",
    })
    const [trade] = await eventsOf(at('back.ndjson'))
    expect(trade).to.deep.include({
      kind: 'trade',
      exchange: 'deribit',
      symbol: 'BTC-PERPETUAL',
      exchangeTimeUs: 1585699202957000,
      receiveTimeUs: 1585699203089980,
      id: '9',
      side: 'buy',
      price: 6425.5,
      priceDecimals: 2,
      size: 12,
    })
  })
})

async function booksOf(file: string): Promise<unknown> {
  const audit = new Audit(exchangeById)
  for await (const batch of replayRecords([file], { onFault: () => undefined })) {
    for (const record of batch) if (record.dir !== 'rest' || record.role !== 'instruments') audit.take(record)
  }
  const { books, sequence } = audit.report([])
  return { books, gaps: sequence.gaps }
}
