/**
 * A market as it lives on a worker thread: what it says goes out as rows, what it is told comes in as messages.
 */
import { Observable } from 'rxjs'
import type { Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import type { BookName, ExchangeAddress } from '../feed/liveFeed'
import type { SessionRecord } from '../feed/record'
import { thrownToData } from '../workers/crossing'
import type { OpenedSource } from '../workers/exposeSource'
import { LiveMarket } from './liveMarket'
import type { MarketOutput } from './market'
import { EventsWriter, recordRow, toldRow, type MarketRow, type ToldRow } from './marketRows'
import { exchangesTold, TrafficWriter } from './marketTraffic'
import { levelsOf, toppedOutput } from './tops'
import type { Wish } from './wish'

/** What the thread is given. */
export interface MarketInThread {
  readonly wishes: readonly Wish[]
  readonly addresses: ReadonlyMap<string, ExchangeAddress> | undefined
  /** Whether every record crosses whole, to be recorded; else those by which connections begin and end. */
  readonly keepsFrames: boolean
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
}

export type MarketMessage =
  | { readonly do: 'stop'; readonly withinMs: number | undefined }
  | { readonly do: 'refresh'; readonly books: readonly BookName[] | 'all' }
  | { readonly do: 'restart'; readonly exchange: string }

/** How often it is told what has come, and of the connections when nothing else tells of them. */
const TELL_MS = 1_000

export function openMarket({ wishes, addresses, keepsFrames, countsStreams }: MarketInThread): OpenedSource<MarketRow> {
  const market = new LiveMarket({ wishes, addresses, countsStreams })
  let complete = (): void => undefined
  const source = new Observable<MarketRow>((out) => {
    let keptLast: SessionRecord | undefined
    const writer = new EventsWriter()
    const tell = (row: ToldRow['row'], value: unknown): void => out.next(toldRow(row, value))
    const tellConnections = (): void => tell('connections', market.connections())
    const traffic = new TrafficWriter()
    const tellTraffic = (): void => {
      const come = market.traffic()
      tell('exchanges', exchangesTold(come))
      const row = traffic.row(come.streams)
      if (row !== undefined) out.next(row)
    }
    const output: MarketOutput = {
      record(record) {
        const isTurn = record.dir === 'open' || record.dir === 'close'
        if (!keepsFrames && !isTurn) return
        keptLast = record
        out.next(recordRow(record))
        if (isTurn) tellConnections()
      },
      events: (record, events) => out.next(writer.row(record, events, record === keptLast)),
      fault(fault) {
        tell('fault', thrownToData(fault))
        tellConnections()
      },
      exhausted: (exchange, fault) => tell('exhausted', { exchange, thrown: thrownToData(fault) }),
      ended: () => tell('ended', undefined),
    }
    const awaitReady = (): void => {
      market.ready.then(
        () => tell('ready', undefined),
        (thrown: unknown) => tell('unready', thrownToData(thrown)),
      )
    }
    again = awaitReady
    awaitReady()
    market.start(toppedOutput(levelsOf(wishes), output)).then(
      () => tell('started', undefined),
      (thrown: unknown) => tell('refused', thrownToData(thrown)),
    )
    let timer: Timer
    const watch = (): void => {
      tellConnections()
      tellTraffic()
      timer = liveClock.after(TELL_MS, watch)
    }
    timer = liveClock.after(TELL_MS, watch)
    complete = () => {
      tellTraffic()
      out.complete()
    }
    return () => {
      timer.cancel()
      void market.stop().catch(() => undefined)
    }
  })
  let again = (): void => undefined
  return {
    source,
    pressure: market,
    tell(message: MarketMessage): unknown {
      switch (message.do) {
        case 'refresh':
          market.refresh(message.books)
          return undefined
        case 'restart':
          if (market.restart(message.exchange)) again()
          return undefined
        case 'stop':
          return market.stop(message.withinMs).then(complete, complete)
      }
    },
  }
}
