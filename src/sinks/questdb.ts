import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { LONGEST_WAIT_MS } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { asSentence, Fault, messageOf } from '../model/fault'
import { errnoOf } from '../model/fileFault'
import {
  DatabaseTables,
  isName,
  quoted,
  shown,
  type FoundColumn,
  type Part,
  type TableOptions,
} from './tables/databaseTables'
import type { FieldType } from './eventFields'
import { LineBuffer, LineWriter } from './tables/questdbLines'
import { sinkCounters, type Sink, type SinkContext } from './sink'
import type { Table } from './tables/table'
import { UNREACHABLE } from './tables/unreachable'
import { nextTurn } from './turn'

export interface QuestDbOptions extends TableOptions {
  /** `http://host:port` or `https://...`, without a password. Default `http://127.0.0.1:9000`. */
  readonly url?: string
  /** Of the server's HTTP. It stands in no message, name or log. */
  readonly username?: string
  readonly password?: string
  /** In the place of both. */
  readonly token?: string
  /** The text fields that become symbols: few distinct values, found fast. Default: `kind`, `exchange`, `symbol`, `instrument`, `side`, `code`. */
  readonly symbols?: readonly string[]
  /** The field that is the designated timestamp. Default `receiveTimeUs` where there is one, else the server's clock. */
  readonly timestamp?: string
  /** Makes new tables with `DEDUP UPSERT KEYS` over these fields and the timestamp: a row that is sent again replaces itself. */
  readonly dedup?: readonly string[]
  readonly name?: string
  /** How long the server may take to answer. Default 10,000. */
  readonly answerWithinMs?: number
}

/**
 * Writes values into tables of a QuestDB server, by its line protocol over HTTP.
 *
 * Tables    market events by kind (`trades`, `book_changes`, `tickers`, `candles`, ...), others in `rows`; made when they are
 *           first written (partitioned by day, WAL), checked when they are there. `receiveTimeUs` is the designated timestamp.
 *           Numbers are DOUBLE, whole ones LONG, times TIMESTAMP, text VARCHAR or SYMBOL, levels DOUBLE[][] (prices, then sizes;
 *           an empty side is NULL) where the server has arrays (9.0), else VARCHAR with JSON, as the rest; absent and NaN are NULL
 * Delivery  at least once: a batch is one request, taken whole or not at all by each table; one whose answer was lost is sent
 *           again. Where that must not show, say which fields make a row unique: `dedup: ['symbol', 'id']` for trades, or
 *           `ALTER TABLE trades DEDUP ENABLE UPSERT KEYS(receiveTimeUs, symbol, id)` for a table that is there. Order books
 *           have no such key where the exchange numbers nothing
 * Order     as received, by timestamp; the server sorts
 * Errors    `SINK_REJECTED { server, status }` when the server is down, does not answer in time, or refuses the request;
 *           `VALUE_INVALID` for a value that does not fit its table, or whose line the server refuses; `OPTION_INVALID` for
 *           options that are none and a table that is there with other columns
 *
 * HTTP alone, because over TCP nothing is acknowledged: what the server refuses is lost without a word. The lines are written
 * here and not by the server's client, which retries by itself, outside of the edge's budget, and tells no row from another.
 */
export function questdb<T>(options: QuestDbOptions = {}): Sink<T> {
  const { table, name = table === undefined ? 'questdb' : `questdb(${table})` } = options
  return new QuestDbSink<T>(name, options)
}

class QuestDbSink<T> implements Sink<T> {
  readonly counters = sinkCounters()
  readonly delivery = 'atLeastOnce'
  // Truly private: whoever prints a sink must not print its password.
  readonly #authorization: string | undefined
  private readonly tables: DatabaseTables
  private readonly writers = new Map<string, LineWriter>()
  private readonly symbols: ReadonlySet<string>
  private readonly timestamp: string | undefined
  private readonly dedup: readonly string[]
  private readonly answerWithinMs: number
  private readonly url: URL
  private agent: HttpAgent | undefined
  /** Version 2 of the protocol: undefined until the server was asked. */
  private isBinary: boolean | undefined

  constructor(
    readonly name: string,
    options: QuestDbOptions,
  ) {
    this.tables = new DatabaseTables(name, options, NAMES)
    this.url = this.checkedUrl(options.url ?? 'http://127.0.0.1:9000')
    this.#authorization = authorizationOf(options)
    this.symbols = new Set(options.symbols ?? DEFAULT_SYMBOLS)
    this.timestamp = options.timestamp
    this.dedup = options.dedup ?? []
    this.answerWithinMs = options.answerWithinMs ?? 10_000
    if (!(this.answerWithinMs > 0 && this.answerWithinMs <= LONGEST_WAIT_MS)) {
      throw this.unusable('answerWithinMs', `${this.answerWithinMs}: it should be a number of milliseconds above 0`)
    }
    for (const field of [...this.symbols, ...this.dedup, ...(this.timestamp === undefined ? [] : [this.timestamp])]) {
      if (!isName(field, NAMES)) throw this.unusable('symbols, timestamp or dedup', `the field ${shown(field)}`)
    }
  }

  async open({ resume }: SinkContext): Promise<void> {
    if (resume !== true) {
      this.counters.written = 0
      this.counters.bytes = 0
    }
    await this.ready()
  }

  async write(batch: readonly T[]): Promise<void> {
    if (batch.length === 0) return
    await this.ready()
    for (const part of this.tables.split(batch)) await this.agree(part)
    const pieces = await this.lines(batch)
    const answer = await this.ask('POST', '/write?precision=n', pieces)
    if (answer.status !== 204 && answer.status !== 200) throw this.refusal(answer, batch.length)
    this.counters.written += batch.length
    this.counters.bytes += bytesOf(pieces)
  }

  close(): Promise<void> {
    this.agent?.destroy()
    this.forget()
    return Promise.resolve()
  }

  /** The protocol agreed with the server. */
  private async ready(): Promise<void> {
    this.agent ??=
      this.url.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, maxSockets: 1 })
        : new HttpAgent({ keepAlive: true, maxSockets: 1 })
    if (this.isBinary !== undefined) return
    const { status, body } = await this.ask('GET', '/settings')
    // Servers from before there were versions speak the first.
    if (status !== 200 && status !== 404) throw this.rejected(status, body)
    this.isBinary = status === 200 && versionsIn(body).includes('2')
  }

  private async agree(part: Part): Promise<void> {
    if (this.tables.rowsOf(part.table) !== undefined) return
    const wanted = this.tables.wanted(part)
    const found = await this.columnsOf(part.table)
    if (found === undefined) await this.makeTable(part.table, wanted)
    const types = this.typesIn(wanted, found)
    const rows = this.tables.agree(part.table, wanted, types.fields, types.found)
    this.writers.set(
      part.table,
      new LineWriter(this.name, {
        table: part.table,
        rows,
        symbols: types.symbols,
        timestamp: this.timestampOf(rows.table, found),
        isBinary: this.isBinary === true,
        hasArrays: types.fields.levels !== 'VARCHAR',
      }),
    )
  }

  /** The columns of a table that is there. */
  private async columnsOf(table: string): Promise<QuestColumn[] | undefined> {
    const { status, body } = await this.query(`SHOW COLUMNS FROM ${quoted(table)}`)
    if (status === 200) return columnsIn(body)
    if (status === 400 && /does not exist/.test(body)) return undefined
    throw this.rejected(status, body)
  }

  private async makeTable(table: string, wanted: Table): Promise<void> {
    const { fields, symbols } = this.typesIn(wanted, undefined)
    const timestamp = this.timestampOf(wanted)
    const definitions = wanted.columns.map(
      ({ name, type }) => `${quoted(name)} ${symbols.has(name) ? 'SYMBOL' : fields[type]}`,
    )
    if (timestamp === undefined) definitions.push(`${quoted(SERVER_TIMESTAMP)} TIMESTAMP`)
    const designated = quoted(timestamp ?? SERVER_TIMESTAMP)
    const keys = [designated, ...this.dedup.map(quoted)].join(', ')
    const { status, body } = await this.query(
      `CREATE TABLE IF NOT EXISTS ${quoted(table)} (${definitions.join(', ')}) TIMESTAMP(${designated}) PARTITION BY DAY WAL${this.dedup.length === 0 ? '' : ` DEDUP UPSERT KEYS(${keys})`}`,
    )
    if (status !== 200) throw this.rejected(status, body)
  }

  /** The field that is the row's own time; of a table that is there, the one that it says. */
  private timestampOf({ columns }: Table, found?: readonly QuestColumn[]): string | undefined {
    const wanted = found === undefined ? (this.timestamp ?? DEFAULT_TIMESTAMP) : designatedOf(found)
    return columns.some(({ name, type }) => name === wanted && type === 'timeUs') ? wanted : undefined
  }

  /** How fields are spelled in this table, and its columns in that spelling: text may be a symbol, levels may be JSON. */
  private typesIn(wanted: Table, found: readonly QuestColumn[] | undefined): TypesInTable {
    const levels = new Set(wanted.columns.filter(({ type }) => type === 'levels').map(({ name }) => name))
    const texts = new Set(wanted.columns.filter(({ type }) => type === 'text').map(({ name }) => name))
    const areLevelsText = found?.some(({ name, type }) => levels.has(name) && /^(VARCHAR|STRING)$/.test(type))
    const fields = {
      ...TYPES,
      levels: this.isBinary === true && areLevelsText !== true ? 'DOUBLE[][]' : 'VARCHAR',
    }
    if (found === undefined) {
      return { fields, symbols: new Set([...texts].filter((name) => this.symbols.has(name))), found }
    }
    const symbols = found.filter(({ type }) => type === 'SYMBOL').map(({ name }) => name)
    return {
      fields,
      symbols: new Set(symbols),
      found: found
        .filter(({ name }) => name !== SERVER_TIMESTAMP || wanted.columns.some((column) => column.name === name))
        .map(({ name, type }) => ({ name, type: SAME_TYPES.get(type) ?? type })),
    }
  }

  /** The lines of a batch, in its order, whichever table they are for: one request is taken or refused as a whole. */
  private async lines(batch: readonly T[]): Promise<Buffer[]> {
    const out = new LineBuffer()
    const pieces: Buffer[] = []
    const writers = this.writersOf(batch)
    for (let index = 0; index < batch.length; index++) {
      writers(index).write(batch[index], index, out)
      if (out.size < PIECE_BYTES) continue
      pieces.push(out.take())
      await nextTurn()
    }
    pieces.push(out.take())
    return pieces
  }

  private writersOf(batch: readonly T[]): (index: number) => LineWriter {
    const parts = this.tables.split(batch)
    if (parts.length === 1) {
      const writer = this.writers.get(parts[0]!.table)!
      return () => writer
    }
    const writers: LineWriter[] = []
    for (const { table, indexes } of parts) {
      for (const index of indexes!) writers[index] = this.writers.get(table)!
    }
    return (index) => writers[index]!
  }

  private query(sql: string): Promise<Answer> {
    return this.ask('GET', `/exec?query=${encodeURIComponent(sql)}`)
  }

  /** One request, answered within the deadline. */
  private async ask(method: 'GET' | 'POST', path: string, pieces: readonly Buffer[] = []): Promise<Answer> {
    try {
      return await this.exchange(method, path, pieces)
    } catch (cause) {
      this.forget()
      if (cause instanceof Fault) throw cause
      const problem = UNREACHABLE.get(errnoOf(cause) ?? '') ?? asSentence(messageOf(cause))
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${this.name} cannot write to QuestDB at ${this.url.host}: ${problem}`,
        { sink: this.name, server: this.url.host, errno: errnoOf(cause) },
        { cause },
      )
    }
  }

  private exchange(method: 'GET' | 'POST', path: string, pieces: readonly Buffer[]): Promise<Answer> {
    const options: RequestOptions = {
      method,
      agent: this.agent!,
      headers: {
        ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        ...(method === 'GET' ? {} : { 'content-type': 'text/plain; charset=utf-8', 'content-length': bytesOf(pieces) }),
      },
    }
    return new Promise((resolve, reject) => {
      const send = this.url.protocol === 'https:' ? httpsRequest : httpRequest
      let isAnswered = false
      const request = send(new URL(path, this.url), options, (response) => {
        isAnswered = true
        readAll(response).then(resolve, reject)
      })
      const late = liveClock.after(this.answerWithinMs, () => {
        request.destroy(
          new Fault(
            'SINK_REJECTED',
            `The sink ${this.name} cannot write to QuestDB at ${this.url.host}: it did not answer within ${this.answerWithinMs / 1_000} s; check that it runs, or allow more with answerWithinMs.`,
            { sink: this.name, server: this.url.host },
          ),
        )
      })
      request.once('close', () => {
        late.cancel()
        if (!isAnswered) reject(new Error('it closed the connection before it answered; check that it runs'))
      })
      request.once('error', reject)
      for (const piece of pieces) request.write(piece)
      request.end()
    })
  }

  /** What the server says of a batch: one line that it cannot take, or the whole. */
  private refusal({ status, body }: Answer, count: number): Fault {
    const { line, message } = refusalIn(body)
    if (status !== 400 || line === undefined || line > count) return this.rejected(status, body)
    return new Fault(
      'VALUE_INVALID',
      `The sink ${this.name} cannot write a value: QuestDB at ${this.url.host} refuses it (${message}). The value is left out.`,
      { sink: this.name, index: line - 1 },
    )
  }

  private rejected(status: number, body: string): Fault {
    this.forget()
    return new Fault(
      'SINK_REJECTED',
      `The sink ${this.name} cannot write to QuestDB at ${this.url.host}: ${STATUSES.get(status) ?? asSentence(`it answers ${status}, ${refusalIn(body).message}`)}`,
      { sink: this.name, server: this.url.host, status },
    )
  }

  /** After a failure nothing is known of the server any more: it may have been changed, or be another. */
  private forget(): void {
    this.agent?.destroy()
    this.agent = undefined
    this.isBinary = undefined
    this.tables.forget()
    this.writers.clear()
  }

  private checkedUrl(text: string): URL {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
      throw this.unusable('url', 'a url that is none: it should be http://host:port, with the password as an option')
    }
    return url
  }

  private unusable(option: string, what: string): Fault {
    return new Fault('OPTION_INVALID', `The sink ${this.name} cannot have ${option} = ${what}.`, {
      sink: this.name,
      option,
    })
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

interface TypesInTable {
  readonly fields: Readonly<Record<FieldType, string>>
  readonly symbols: ReadonlySet<string>
  readonly found: readonly FoundColumn[] | undefined
}

interface QuestColumn extends FoundColumn {
  readonly isDesignated: boolean
}

function designatedOf(columns: readonly QuestColumn[]): string | undefined {
  return columns.find(({ isDesignated }) => isDesignated)?.name
}

/** Files are named after tables and columns, hence the characters. */
const NAMES = { bytesMax: 127, without: `?.,'"\\/:()+-*%~\ufeff` }

const DEFAULT_SYMBOLS = ['kind', 'exchange', 'symbol', 'instrument', 'side', 'code']
const DEFAULT_TIMESTAMP = 'receiveTimeUs'
/** The column that the server's clock fills. */
const SERVER_TIMESTAMP = 'timestamp'

const TYPES = {
  text: 'VARCHAR',
  number: 'DOUBLE',
  integer: 'LONG',
  timeUs: 'TIMESTAMP',
  boolean: 'BOOLEAN',
  json: 'VARCHAR',
} as const

/** Types that take what is sent for another. */
const SAME_TYPES: ReadonlyMap<string, string> = new Map([
  ['SYMBOL', 'VARCHAR'],
  ['STRING', 'VARCHAR'],
  ['TIMESTAMP_NS', 'TIMESTAMP'],
])

/** About a millisecond of the loop. */
const PIECE_BYTES = 65_536

/** No answer that is read is longer. */
const ANSWER_CHARS_MAX = 1_000_000

async function readAll(response: IncomingMessage): Promise<Answer> {
  let body = ''
  for await (const text of response.setEncoding('utf8')) {
    if (body.length < ANSWER_CHARS_MAX) body += String(text)
  }
  return { status: response.statusCode ?? 0, body }
}

function bytesOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((bytes, piece) => bytes + piece.length, 0)
}

function authorizationOf({ username, password, token }: QuestDbOptions): string | undefined {
  if (token !== undefined) return `Bearer ${token}`
  if (username === undefined) return undefined
  return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** Of `/settings`. */
function versionsIn(body: string): string[] {
  const versions = field(field(jsonOf(body), 'config'), 'line.proto.support.versions')
  return Array.isArray(versions) ? versions.map(String) : []
}

/** Of `SHOW COLUMNS`: a row for each, in the order that its own columns say. */
function columnsIn(body: string): QuestColumn[] {
  const json = jsonOf(body)
  const [columns, rows] = [field(json, 'columns'), field(json, 'dataset')]
  if (!Array.isArray(columns) || !Array.isArray(rows)) return []
  const names = columns.map((column: unknown) => field(column, 'name'))
  const cell = (row: unknown, name: string): unknown => field(row, String(names.indexOf(name)))
  return rows.map((row: unknown) => ({
    name: String(cell(row, 'column')),
    type: String(cell(row, 'type')),
    isDesignated: cell(row, 'designated') === true,
  }))
}

function refusalIn(body: string): { line: number | undefined; message: string } {
  const json = jsonOf(body)
  const line = field(json, 'line')
  const message = [field(json, 'message'), field(json, 'error')].find((text) => typeof text === 'string') ?? body
  return {
    line: typeof line === 'number' && Number.isInteger(line) && line > 0 ? line : undefined,
    message: message.replace(/\s+/g, ' ').trim().slice(0, MESSAGE_CHARS_MAX),
  }
}

const MESSAGE_CHARS_MAX = 500

const STATUSES: ReadonlyMap<number, string> = new Map([
  [401, 'it refuses the user, the password or the token; check them.'],
  [403, 'the user may not do that; grant it the right to make and write the tables.'],
  [404, 'it has no line protocol over HTTP; set line.http.enabled, or check the address.'],
  [413, 'the batch is too large for it; choose a smaller batchMax.'],
])
