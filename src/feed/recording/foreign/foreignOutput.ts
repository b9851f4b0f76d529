/**
 * Writes records in the formats of other recorders, so that their tools can read them. What a format has no room for is
 * counted and said, never dropped in silence.
 *
 * hftbacktest  a folder: `<symbol>_<YYYYMMDD>.gz` for each instrument and UTC day
 * cryptofeed   a folder: `<EXCHANGE>.ws.<n>.0` for each connection, `<EXCHANGE>.0` with lists of instruments,
 *              `<EXCHANGE>.http.0.0` with other REST answers
 * tardis-raw   one file; gzip where its name ends in `.gz`
 */
import path from 'node:path'
import { EXCHANGES } from '../../../exchanges/exchanges'
import type { ExchangeProtocol } from '../../../exchanges/protocol'
import { EventWriter } from '../../../model/codec/eventWriter'
import { parseWireJson } from '../../../model/codec/wireJson'
import { Fault } from '../../../model/fault'
import { textOf, type RestRecord, type SessionRecord } from '../../record'
import { outputPlace, type OutputPlace } from '../outputPlace'
import { timeText } from '../recordLine'
import type { OutputSummary, RecordOutput, RecordOutputOptions } from '../recordOutput'
import { cryptofeedName } from './cryptofeed'
import { LeftOut, secondsText, type ForeignFormatName } from './foreignFormat'
import { COLLECTED } from './hftbacktest'
import { literalOfBytes } from './pythonBytes'
import { isoText } from './tardisRaw'
import { TextFiles } from './textFiles'

export type WritableForeignFormat = Exclude<ForeignFormatName, 'tardis-csv'>

export const WRITABLE_FOREIGN_FORMATS: readonly WritableForeignFormat[] = ['hftbacktest', 'cryptofeed', 'tardis-raw']

/**
 * @param out  a folder, or of `tardis-raw` a file
 * @throws     `OPTION_INVALID` when it cannot be written there, or the format has no such exchange
 */
export async function foreignOutput(
  out: string,
  format: WritableForeignFormat,
  exchanges: readonly string[],
  options: RecordOutputOptions,
): Promise<RecordOutput> {
  const { inputs, replace } = options
  refuseExchanges(format, exchanges)
  const place = await outputPlace(out, { kind: format === 'tardis-raw' ? 'file' : 'folder', inputs, replace })
  switch (format) {
    case 'hftbacktest':
      return new FolderOutput(out, place, new HftbacktestLines(exchanges[0]!))
    case 'cryptofeed':
      return new FolderOutput(out, place, new CryptofeedLines())
    case 'tardis-raw':
      return new FolderOutput(out, place, new TardisLines(path.basename(out), exchanges[0]!))
  }
}

/** What a record is in a format: lines, each of a file. */
interface Lines {
  /** Of single files: its name. */
  readonly only?: string
  /** The file and the text of a record; a reason where it is left out. */
  of(record: SessionRecord, has: (name: string) => boolean): Line | string
  /** Frames whose line ends became spaces. */
  readonly respaced: number
}

type Line = readonly [file: string, text: string]

class FolderOutput implements RecordOutput {
  private readonly files: TextFiles
  private readonly leftOut = new LeftOut()
  private records = 0

  constructor(
    private readonly out: string,
    private readonly place: OutputPlace,
    private readonly lines: Lines,
  ) {
    this.files = new TextFiles(lines.only === undefined ? place.path : path.dirname(place.path))
  }

  async write(records: readonly SessionRecord[]): Promise<void> {
    for (const record of records) {
      const line = this.lines.of(record, (name) => this.files.has(name))
      if (typeof line === 'string') this.leftOut.add(line)
      else {
        this.records += 1
        await this.files.append(line[0], line[1])
      }
    }
  }

  async finish(): Promise<OutputSummary> {
    try {
      await this.files.close()
      const written = await this.files.written()
      if (written.length === 0) {
        throw new Fault('RECORDING_INVALID', `Nothing of it can be written as ${this.out}: ${reasons(this.leftOut)}.`, {
          path: this.out,
        })
      }
      await this.place.commit()
      const folder = this.lines.only === undefined ? this.out : path.dirname(this.out)
      const { respaced } = this.lines
      if (respaced > 0) this.leftOut.set('line ends inside of frames, which became spaces', respaced)
      return {
        files: written.map(({ name, bytes }) => ({ path: path.join(folder, name), bytes })),
        records: this.records,
        leftOut: this.leftOut,
      }
    } catch (error) {
      await this.abandon()
      throw error
    }
  }

  async abandon(): Promise<void> {
    await this.files.abandon()
    await this.place.abandon()
  }
}

function reasons(leftOut: LeftOut): string {
  if (leftOut.size === 0) return 'there is no record in it'
  return [...leftOut].map(([reason, count]) => `${count} ${reason}`).join('; ')
}

const NO_REQUESTS = 'openings of connections and requests, for which the format has no line'
const NO_CLOSINGS = 'endings of connections, for which the format has no line'
const NO_GAPS = 'gaps, for which the format has no line'

const OTHER_EXCHANGE = 'lines of another exchange than the first, which nothing would tell apart'

class HftbacktestLines implements Lines {
  respaced = 0
  /** The market of each connection, by its address, and that of each symbol's file. */
  private readonly markets = new Map<number, string>()
  private readonly marketOf = new Map<string, string>()
  /** What a protocol remembers of a connection, which tells whose frame it is. */
  private readonly writers = new Map<number, EventWriter>()

  constructor(private readonly exchange: string) {}

  of(record: SessionRecord): Line | string {
    if (record.exchange !== this.exchange) return OTHER_EXCHANGE
    switch (record.dir) {
      case 'in': {
        const text = textOf(record)
        if (text === undefined) return 'binary frames, for which the format has no line'
        const symbol = this.symbolOf(record.exchange, record.connection, text)
        if (symbol === undefined) return 'frames of no instrument, which the collector does not keep'
        return this.line(record, symbol, text)
      }
      case 'rest': {
        const symbol =
          record.role === 'book-snapshot'
            ? EXCHANGES.get(record.exchange)?.book.snapshot?.symbolOf(record.url)
            : undefined
        if (symbol === undefined) return 'REST answers that are no snapshot of a book'
        return this.line(record, symbol, record.body)
      }
      case 'open':
        this.opened(record.connection, record.url)
        return NO_REQUESTS
      case 'out':
        return NO_REQUESTS
      case 'close':
        return NO_CLOSINGS
      case 'gap':
        return NO_GAPS
    }
  }

  private opened(connection: number, url: string): void {
    const protocol = EXCHANGES.get(this.exchange)
    const market = protocol?.endpoints[protocol.endpointOf(url)]?.market
    if (market !== undefined && this.markets.size < CONNECTIONS_MAX) this.markets.set(connection, market)
  }

  private line(record: SessionRecord, symbol: string, data: string): Line | string {
    // A symbol comes from outside and becomes a file's name.
    if (!/^[\p{L}\p{N}_-][\p{L}\p{N}._-]{0,63}$/u.test(symbol))
      return 'frames of instruments whose name cannot be a file’s'
    const market = this.markets.get(record.connection) ?? ''
    const known = this.marketOf.get(symbol)
    if (known === undefined) this.marketOf.set(symbol, market)
    else if (known !== market && record.connection >= 0)
      return 'frames of a second market that spells the instrument alike'
    const day = new Date(record.timeUs / 1_000).toISOString().slice(0, 10).replaceAll('-', '')
    const flat = oneLine(data)
    if (flat !== data) this.respaced += 1
    return [`${symbol.toLowerCase()}_${day}.gz`, `${timeText(record)} ${flat}\n`]
  }

  private symbolOf(exchange: string, connection: number, text: string): string | undefined {
    const protocol = EXCHANGES.get(exchange)
    if (protocol === undefined) return undefined
    let writer = this.writers.get(connection)
    if (writer === undefined) {
      if (this.writers.size >= CONNECTIONS_MAX) this.writers.clear()
      writer = new EventWriter(exchange, protocol.markets[0]!, () => undefined)
      this.writers.set(connection, writer)
    }
    try {
      const route = protocol.route(parseWireJson(text, protocol), writer)
      return route.to === 'channel' ? route.symbol : undefined
    } catch {
      return undefined // no frame of an instrument
    }
  }
}

class CryptofeedLines implements Lines {
  respaced = 0
  private readonly urls = new Map<number, string>()

  of(record: SessionRecord, has: (name: string) => boolean): Line | string {
    const { exchange, connection } = record
    const name = cryptofeedName(exchange)
    const file = `${name}.ws.${connection + 1}.0`
    const time = secondsText(record)
    // Its readers skip the first line of a file, which is the opening or else this.
    const head = has(file) ? '' : 'configuration: {}\n'
    if (!/^[A-Z0-9_]{1,64}$/.test(name)) return 'lines of exchanges whose name cannot be a file’s'
    switch (record.dir) {
      case 'open':
        if (this.urls.size >= CONNECTIONS_MAX) this.urls.clear()
        this.urls.set(connection, record.url)
        return /^(?:wss?|https?):\/\/\S+$/.test(record.url) ? [file, `${record.url} <-> ${time}\n`] : NO_ADDRESS
      case 'out': {
        const url = this.urls.get(connection) ?? EXCHANGES.get(exchange)?.hosts.ws ?? `wss://${exchange}`
        return [file, `${head}${url} <- ${time}: ${this.flat(record.data)}\n`]
      }
      case 'in': {
        const text = textOf(record)
        return [
          file,
          `${head}${time}: ${text === undefined ? literalOfBytes(record.data as Uint8Array) : this.flat(text)}\n`,
        ]
      }
      case 'rest':
        if (!/^https?:\/\/\S+$/.test(record.url)) return NO_ADDRESS
        return [
          record.role === 'instruments' ? `${name}.0` : `${name}.http.0.0`,
          `${record.url} -> ${time}: ${this.flat(record.body)}\n`,
        ]
      case 'close':
        return NO_CLOSINGS
      case 'gap':
        return NO_GAPS
    }
  }

  private flat(text: string): string {
    const flat = oneLine(text)
    if (flat !== text) this.respaced += 1
    return flat
  }
}

const NO_ADDRESS = 'lines whose address is none'

class TardisLines implements Lines {
  respaced = 0

  constructor(
    readonly only: string,
    private readonly exchange: string,
  ) {}

  of(record: SessionRecord): Line | string {
    if (record.exchange !== this.exchange) return OTHER_EXCHANGE
    switch (record.dir) {
      case 'in': {
        const text = textOf(record)
        return text === undefined ? 'binary frames, for which the format has no line' : this.line(record, text)
      }
      case 'rest': {
        const answer = generatedOf(EXCHANGES.get(record.exchange), record)
        return answer === undefined
          ? 'REST answers that tardis.dev does not keep among the frames'
          : this.line(record, answer)
      }
      case 'close':
        return [this.only, '\n']
      case 'open':
      case 'out':
        return NO_REQUESTS
      case 'gap':
        return NO_GAPS
    }
  }

  private line(record: SessionRecord, data: string): Line {
    const flat = oneLine(data)
    if (flat !== data) this.respaced += 1
    return [this.only, `${isoText(record)} ${flat}\n`]
  }
}

/** A REST answer of Binance as tardis.dev writes it among the frames. */
function generatedOf(protocol: ExchangeProtocol | undefined, { role, url, body }: RestRecord): string | undefined {
  const write = (symbol: string, stream: string): string =>
    `{"stream":"${symbol.toLowerCase()}@${stream}","generated":true,"data":${body}}`
  if (role === 'book-snapshot') {
    const symbol = protocol?.book.snapshot?.symbolOf(url)
    return symbol === undefined ? undefined : write(symbol, 'depthSnapshot')
  }
  if (role !== 'poll') return undefined
  for (const poll of protocol?.polls ?? []) {
    const symbol = poll.symbolOf(url)
    if (symbol !== undefined && url.includes('/fapi/v1/openInterest')) return write(symbol, 'openInterest')
  }
  return undefined
}

/** Connections of which something is remembered. */
const CONNECTIONS_MAX = 65_536

/** A frame that spans lines is JSON with spaces in it: other spaces mean the same. */
function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, ' ') : text
}

function refuseExchanges(format: WritableForeignFormat, exchanges: readonly string[]): void {
  const refuse = (what: string): never => {
    throw new Fault('OPTION_INVALID', what, { format, exchanges })
  }
  const named = exchanges.join(', ')
  const decoded = exchanges.filter((exchange) => exchange.includes(':'))
  if (decoded.length > 0) {
    refuse(
      `What was decoded elsewhere (${decoded.join(', ')}) has no frames of an exchange, so it cannot be written as ${format}.`,
    )
  }
  if (format === 'cryptofeed') return
  if (exchanges.length !== 1) {
    refuse(`A line of ${format} does not say which exchange it is of, and this is of ${named}; convert one at a time.`)
  }
  if (format === 'hftbacktest' && !COLLECTED.includes(exchanges[0]!)) {
    refuse(`hftbacktest reads files of ${COLLECTED.join(', ')}, and this is of ${named}; choose another format.`)
  }
}
