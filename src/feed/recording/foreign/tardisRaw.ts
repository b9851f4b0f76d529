/**
 * Raw data feeds of tardis.dev: what its HTTP API and the cache of its clients hold, and what tardis-machine replays.
 *
 * Truth  https://docs.tardis.dev/api/http-api-reference#data-feeds-exchange,
 *        https://docs.tardis.dev/tardis-machine/replaying-historical-data, and
 *        https://github.com/tardis-dev/tardis-node, src/replay.ts and src/realtimefeeds/binance.ts (read 2026-11-28)
 * Lines  `2019-06-01T00:03:03.1238784Z`, a space, the frame as received; tardis-machine writes
 *        `{"localTimestamp":"…","message":…}` instead, where the frame was parsed and printed again
 * Time   100 ns
 * Left   a blank line is the end of a connection; the exchange is not named, nor the address
 * Quirk  what tardis.dev asked Binance for by REST stands among the frames, marked `"generated":true`
 */
import { exchangeById } from '../../../exchanges/exchanges'
import type { ExchangeProtocol } from '../../../exchanges/protocol'
import { Fault } from '../../../model/fault'
import type { SessionRecord } from '../../record'
import {
  LeftOut,
  timeOfNanoseconds,
  type ForeignFile,
  type ForeignFormat,
  type LineDecoder,
  type RecordTimeParts,
} from './foreignFormat'
import { tardisExchange } from './tardisExchanges'

export const tardisRaw: ForeignFormat = {
  name: 'tardis-raw',
  title: "tardis.dev's raw data feeds",
  needsExchange: true,
  recognises: (start) =>
    /^(?:\s*\n)*(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z [[{"]|\{"localTimestamp":"\d{4}-\d\d-\d\dT)/.test(start),
  decoder: (file) => new Decoder(file),
}

const LINE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) /
const MACHINE_LINE = /^\{"localTimestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)","message":/

const ABNORMAL = 1006
const DISCONNECTED = 'tardis.dev marks a disconnection here'

class Decoder implements LineDecoder {
  readonly leftOut = new LeftOut()
  private readonly protocol: ExchangeProtocol
  private readonly url: string | undefined
  private time: RecordTimeParts | undefined
  private isOpen = false

  constructor(private readonly file: ForeignFile) {
    const { exchange, url } = file
    if (exchange === undefined) {
      throw new Fault(
        'OPTION_INVALID',
        `The file ${file.path} of tardis.dev does not say which exchange it is of; name it.`,
        {
          path: file.path,
        },
      )
    }
    const known = tardisExchange(exchange.trim().toLowerCase())
    this.protocol = exchangeById(known.exchange)
    this.url = url ?? known.url
  }

  line(text: string, out: SessionRecord[]): string | undefined {
    if (text.trim() === '') {
      this.disconnected(out)
      return undefined
    }
    let head = LINE.exec(text)
    let data = head === null ? '' : text.slice(head[0].length)
    if (head === null) {
      head = MACHINE_LINE.exec(text)
      if (head === null) return 'does not begin with a time of tardis.dev'
      if (!isJson(text)) return 'is not JSON'
      data = text.slice(head[0].length, text.lastIndexOf('}'))
    }
    const time = timeOfIso(head[1]!)
    if (time === undefined) return 'has a time that is none'
    if (data === '') return 'has no frame'
    this.time = time
    const base = { ...time, connection: this.file.connection, exchange: this.protocol.id }
    const answer = generated(this.protocol, data)
    if (answer !== undefined) {
      out.push({ ...base, dir: 'rest', method: 'GET', ...answer })
      return undefined
    }
    if (!this.isOpen && this.url !== undefined) out.push({ ...base, dir: 'open', url: this.url })
    this.isOpen = true
    out.push({ ...base, dir: 'in', data })
    return undefined
  }

  end(): void {
    // nothing is held back
  }

  private disconnected(out: SessionRecord[]): void {
    if (!this.isOpen || this.time === undefined) return
    this.isOpen = false
    const { connection } = this.file
    out.push({
      ...this.time,
      connection,
      exchange: this.protocol.id,
      dir: 'close',
      code: ABNORMAL,
      reason: DISCONNECTED,
    })
  }
}

type Answer = Pick<Extract<SessionRecord, { dir: 'rest' }>, 'url' | 'role' | 'body'>

const GENERATED = /^\{"stream":"([^"@\\]{1,64})@(depthSnapshot|openInterest)","generated":true,"data":/

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** What was a REST answer, as one. */
function generated(protocol: ExchangeProtocol, data: string): Answer | undefined {
  const head = GENERATED.exec(data)
  if (head === null || !data.endsWith('}')) return undefined
  const symbol = head[1]!.toUpperCase()
  const body = data.slice(head[0].length, -1)
  const { snapshot } = protocol.book
  if (head[2] === 'depthSnapshot') {
    if (snapshot === undefined) return undefined
    const way = snapshot.path(symbol, { depth: undefined, intervalMs: 60_000 })
    return { url: protocol.hosts.rest + way, role: 'book-snapshot', body }
  }
  const url = `${protocol.hosts.rest}/fapi/v1/openInterest?symbol=${encodeURIComponent(symbol)}`
  return protocol.polls.some((poll) => poll.symbolOf(url) !== undefined) ? { url, role: 'poll', body } : undefined
}

/** A time in UTC with up to nine digits of a second; undefined when there is no such day or hour. */
export function timeOfIso(text: string): RecordTimeParts | undefined {
  const [whole, fraction = ''] = text.slice(0, -1).split('.')
  const ms = Date.parse(`${whole}Z`)
  if (!(ms >= 0) || new Date(ms).toISOString().slice(0, 19) !== whole) return undefined
  return timeOfNanoseconds(`${ms / 1_000}${fraction.padEnd(9, '0')}`)
}

/** The inverse of {@link timeOfIso} with seven digits, as tardis.dev writes it; what is finer is cut off. */
export function isoText({ timeUs, ns }: RecordTimeParts): string {
  const seconds = new Date(Math.floor(timeUs / 1_000_000) * 1_000).toISOString().slice(0, 19)
  return `${seconds}.${String(timeUs % 1_000_000).padStart(6, '0')}${Math.floor(ns / 100)}Z`
}
