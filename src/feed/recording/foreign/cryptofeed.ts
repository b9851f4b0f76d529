/**
 * Raw capture lines of cryptofeed: `<EXCHANGE>.ws.<n>.<part>` for a connection, `<EXCHANGE>.http.<n>.<part>` and
 * `<EXCHANGE>.<part>` for REST answers.
 *
 * Truth   https://github.com/bmoscon/cryptofeed, cryptofeed/raw_data_collection.py and sample_data/ (read 2026-11-28)
 * Lines   `<url> <-> <time>` connected, `<url> <- <time>: <text>` sent, `<url> -> <time>: <body>` answered,
 *         `<time>: <frame>` received; `configuration: …` says what was asked for
 * Time    seconds since 1970 as Python prints a double: up to some 200 ns of noise
 * Binary  frames of bytes stand as Python prints bytes
 * Left    the end of a connection is not written: it is known from the next beginning. A body with line ends goes on over
 *         several lines
 *
 * Since version 3 cryptofeed captures network packets instead (`.pcap.zst`), which are not read here.
 */
import path from 'node:path'
import { exchangeById, EXCHANGES } from '../../../exchanges/exchanges'
import type { ExchangeProtocol } from '../../../exchanges/protocol'
import { Fault } from '../../../model/fault'
import type { RestRecord, RestRole, SessionRecord } from '../../record'
import {
  LeftOut,
  timeOfSeconds,
  type ForeignFile,
  type ForeignFormat,
  type LineDecoder,
  type RecordTimeParts,
} from './foreignFormat'
import { bytesOfLiteral, isBytesLiteral } from './pythonBytes'

export const cryptofeed: ForeignFormat = {
  name: 'cryptofeed',
  title: "cryptofeed's raw capture",
  needsExchange: false,
  recognises: (start) =>
    /^(?:\s*\n)*(?:configuration: |(?:wss?|https?):\/\/\S+ (?:<->|<-|->) \d|\d{9,10}(?:\.\d+)?: )/.test(start),
  decoder: (file) => new Decoder(file),
}

/** A body that goes on for longer than this is given up, so that it cannot fill the memory. */
const BODY_CHARS_MAX = 64 * 1_024 * 1_024

/** Why a connection ended that another followed. */
const FOLLOWED = 'another connection took its place; how it ended was not recorded'
const ABNORMAL = 1006

class Decoder implements LineDecoder {
  readonly leftOut = new LeftOut()
  private readonly exchange: string
  private readonly protocol: ExchangeProtocol | undefined
  private isOpen = false
  /** An answer whose body may go on. */
  private answer: (RestRecord & { body: string }) | undefined

  constructor(private readonly file: ForeignFile) {
    this.exchange = file.exchange === undefined ? exchangeOfName(file.path) : exchangeById(file.exchange).id
    this.protocol = EXCHANGES.get(this.exchange)
  }

  line(text: string, out: SessionRecord[]): string | undefined {
    const received = /^(\d{1,10}(?:\.\d+)?): /.exec(text)
    if (received !== null) {
      this.end(out)
      return this.received(received[1]!, text.slice(received[0].length), out)
    }
    const other = /^((?:wss?|https?):\/\/\S+) (<->|<-|->) (\d{1,10}(?:\.\d+)?)(?:$|: )/.exec(text)
    if (other !== null) {
      this.end(out)
      const [head, url, mark, seconds] = other
      const time = timeOfSeconds(seconds!)
      if (time === undefined) return NO_TIME
      return this.happened(mark!, url!, time, text.slice(head.length), out)
    }
    if (this.answer !== undefined) return this.goesOn(text)
    if (text.trim() === '') return undefined
    if (text.startsWith('configuration: ')) {
      this.leftOut.add('what cryptofeed was configured to record')
      return undefined
    }
    return 'is none of cryptofeed: it begins with neither a time nor an address'
  }

  end(out: SessionRecord[]): void {
    if (this.answer === undefined) return
    const { body } = this.answer
    out.push({ ...this.answer, body: body.replace(/\n+$/, '') })
    this.answer = undefined
  }

  private received(seconds: string, data: string, out: SessionRecord[]): string | undefined {
    const time = timeOfSeconds(seconds)
    if (time === undefined) return NO_TIME
    const base = { ...time, connection: this.file.connection, exchange: this.exchange, dir: 'in' } as const
    if (!isBytesLiteral(data)) {
      out.push({ ...base, data })
      return undefined
    }
    const bytes = bytesOfLiteral(data)
    if (bytes === undefined) return 'has bytes that are not written as Python writes them'
    out.push({ ...base, data: bytes })
    return undefined
  }

  private happened(
    mark: string,
    url: string,
    time: RecordTimeParts,
    rest: string,
    out: SessionRecord[],
  ): string | undefined {
    const base = { ...time, connection: this.file.connection, exchange: this.exchange }
    switch (mark) {
      case '<->':
        if (this.isOpen) out.push({ ...base, dir: 'close', code: ABNORMAL, reason: FOLLOWED })
        this.isOpen = true
        out.push({ ...base, dir: 'open', url })
        return undefined
      case '<-':
        out.push({ ...base, dir: 'out', data: rest })
        return undefined
      default: {
        const role = roleOf(this.protocol, url)
        if (role === undefined) this.leftOut.add('answers of addresses that are neither instruments nor books')
        else this.answer = { ...base, connection: -1, dir: 'rest', method: 'GET', url, role, body: rest }
        return undefined
      }
    }
  }

  private goesOn(text: string): string | undefined {
    const answer = this.answer!
    if (answer.body.length + text.length > BODY_CHARS_MAX) {
      this.answer = undefined
      return `makes an answer longer than ${BODY_CHARS_MAX} characters, which is left out`
    }
    answer.body += `\n${text}`
    return undefined
  }
}

const NO_TIME = 'has a time that is none'

/** Whose answer it is, by its address. */
function roleOf(protocol: ExchangeProtocol | undefined, url: string): RestRole | undefined {
  if (protocol === undefined) return undefined
  if (protocol.book.snapshot?.symbolOf(url) !== undefined) return 'book-snapshot'
  if (protocol.polls.some((poll) => poll.symbolOf(url) !== undefined)) return 'poll'
  const parsed = URL.parse(url)
  const way = parsed === null ? url : parsed.pathname + parsed.search
  const isList = protocol.instruments.requests.some(({ path: asked }) => way.startsWith(asked.split('?')[0]!))
  return isList ? 'instruments' : undefined
}

/** `BINANCE_FUTURES.ws.5.0` is of `binance-futures`, and so is `BINANCE_FUTURES-1125a2.0`. */
function exchangeOfName(file: string): string {
  const name = /^([A-Za-z][A-Za-z0-9_-]{0,63})\./.exec(path.basename(file))?.[1]
  if (name === undefined) {
    throw new Fault(
      'OPTION_INVALID',
      `The file ${file} has no name of cryptofeed's, such as KRAKEN.ws.48.0, so it does not say which exchange it is of; name it.`,
      { path: file },
    )
  }
  const exchange = name
    .replace(/-[\da-f]{6}$/, '')
    .toLowerCase()
    .replaceAll('_', '-')
  try {
    return exchangeById(exchange).id
  } catch {
    return exchange // its frames can be kept, though not decoded
  }
}

/** The name that cryptofeed has for an exchange of ours. */
export function cryptofeedName(exchange: string): string {
  return exchange.toUpperCase().replaceAll('-', '_')
}

/** The connection that a file is a part of: parts are numbered at the end of its name. */
export function connectionKey(file: string): string {
  return file.replace(/\.\d+(?:\.gz)?$/, '')
}
