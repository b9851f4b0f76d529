/**
 * What stands for a QuestDB server in tests: its HTTP, by its documentation. Lines are parsed by the grammar to the letter, a
 * request is taken whole or not at all, and what SQL the sink speaks is understood.
 *
 * Docs  https://questdb.com/docs/ingestion/ilp/overview/, https://questdb.com/docs/query/rest-api/ (read 2026-11-28)
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type QuestValue = string | number | boolean | number[][] | { timeUs: string } | { integer: string }
export interface QuestRow {
  readonly values: Readonly<Record<string, QuestValue>>
  /** Nanoseconds, as digits; undefined for the server's clock. */
  readonly time: string | undefined
}
export interface QuestTable {
  readonly columns: Map<string, string>
  readonly designated: string
  readonly sql: string | undefined
  readonly rows: QuestRow[]
}

export class QuestDbServer {
  readonly tables = new Map<string, QuestTable>()
  readonly requests: string[] = []
  readonly authorizations: (string | undefined)[] = []
  /** `reset` closes the connection at once, `deaf` takes what it is sent and never answers, `lost` takes it and then closes. */
  mode: 'accept' | 'refuse' | 'deaf' | 'reset' | 'lost' = 'accept'
  versions: readonly number[] | undefined = [1, 2]
  /** Makes a line be refused. */
  refuses: (row: QuestRow) => string | undefined = () => undefined
  private readonly server: Server

  private constructor() {
    this.server = createServer((request, response) => void this.answer(request, response))
  }

  static async start(): Promise<QuestDbServer> {
    const quest = new QuestDbServer()
    quest.server.listen(0, '127.0.0.1')
    await once(quest.server, 'listening')
    return quest
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }

  rowsOf(table: string): readonly QuestRow[] {
    return this.tables.get(table)?.rows ?? []
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.mode === 'reset') return void request.socket.destroy()
    const pieces: Buffer[] = []
    try {
      for await (const piece of request) pieces.push(piece as Buffer)
    } catch {
      return
    }
    const url = new URL(request.url!, this.url)
    this.requests.push(`${request.method!} ${url.pathname}`)
    this.authorizations.push(request.headers.authorization)
    if (this.mode === 'deaf') return
    if (this.mode === 'refuse') {
      reply(response, 503, 'out of disk space')
      return
    }
    if (url.pathname === '/settings') {
      this.versions === undefined
        ? reply(response, 404, 'not found')
        : reply(response, 200, JSON.stringify({ config: { 'line.proto.support.versions': this.versions } }))
      return
    }
    if (url.pathname === '/exec') {
      this.run(url.searchParams.get('query')!, response)
      return
    }
    if (url.pathname !== '/write') {
      reply(response, 404, 'not found')
      return
    }
    const refusal = this.take(Buffer.concat(pieces))
    if (this.mode === 'lost') return void request.socket.destroy()
    if (refusal === undefined) {
      reply(response, 204)
      return
    }
    const { line, message } = refusal
    const text = `failed to parse line protocol:errors encountered on line(s):\nerror in line ${line}: ${message}`
    reply(response, 400, JSON.stringify({ code: 'invalid', message: text, line, errorId: 'ab-1' }))
  }

  private run(sql: string, response: ServerResponse): void {
    const shown = /^SHOW COLUMNS FROM "((?:[^"]|"")*)"$/.exec(sql)
    if (shown !== null) {
      const table = this.tables.get(shown[1]!.replaceAll('""', '"'))
      if (table === undefined) {
        return reply(
          response,
          400,
          JSON.stringify({ query: sql, error: `table does not exist [table=${shown[1]!}]`, position: 18 }),
        )
      }
      const columns = [
        'column',
        'type',
        'indexed',
        'indexBlockCapacity',
        'symbolCached',
        'symbolCapacity',
        'designated',
        'upsertKey',
      ]
      const dataset = [...table.columns].map(([name, type]) => [
        name,
        type,
        false,
        0,
        false,
        0,
        name === table.designated,
        false,
      ])
      return reply(response, 200, JSON.stringify({ query: sql, columns: columns.map((name) => ({ name })), dataset }))
    }
    const read = /^SELECT \* FROM "([^"]*)"$/.exec(sql)
    if (read !== null) {
      const columns = [...(this.tables.get(read[1]!)?.columns.keys() ?? [])]
      const dataset = this.rowsOf(read[1]!).map(({ values }) => columns.map((name) => values[name] ?? null))
      return reply(response, 200, JSON.stringify({ query: sql, columns: columns.map((name) => ({ name })), dataset }))
    }
    const made =
      /^CREATE TABLE IF NOT EXISTS "((?:[^"]|"")*)" \((.*)\) TIMESTAMP\("([^"]*)"\) PARTITION BY DAY WAL(?: DEDUP UPSERT KEYS\((?:"[^"]*"(?:, )?)+\))?$/.exec(
        sql,
      )
    if (made === null)
      return reply(response, 400, JSON.stringify({ query: sql, error: 'unexpected token', position: 0 }))
    const columns = new Map(
      made[2]!.split(/, (?=")/).map((definition) => {
        const [, name, type] = /^"([^"]*)" (SYMBOL|VARCHAR|DOUBLE|LONG|TIMESTAMP|BOOLEAN|DOUBLE\[\]\[\])$/.exec(
          definition,
        )!
        return [name!, type!]
      }),
    )
    this.tables.set(made[1]!.replaceAll('""', '"'), { columns, designated: made[3]!, sql, rows: [] })
    reply(response, 200, JSON.stringify({ ddl: 'OK' }))
  }

  /** Takes all lines, or says which it refuses. */
  private take(bytes: Buffer): { line: number; message: string } | undefined {
    const taken: [QuestTable, QuestRow][] = []
    const reader = new LineReader(bytes, this.versions?.includes(2) === true)
    for (let line = 1; !reader.isAtEnd; line++) {
      try {
        const { table: name, row, types } = reader.line()
        const table = this.tables.get(name)
        if (table === undefined) throw new Error(`table: ${name}; does not exist`)
        for (const [column, type] of types) {
          const wanted = table.columns.get(column)
          if (wanted !== type && !(type === 'VARCHAR' && (wanted === 'SYMBOL' || wanted === 'STRING'))) {
            throw new Error(
              `table: ${name}, column: ${column}; cast error from protocol type: ${type} to column type: ${wanted ?? 'none'}`,
            )
          }
        }
        const refusal = this.refuses(row)
        if (refusal !== undefined) throw new Error(refusal)
        taken.push([table, row])
      } catch (error) {
        return { line, message: (error as Error).message }
      }
    }
    for (const [table, row] of taken) table.rows.push(row)
    return undefined
  }
}

function reply(response: ServerResponse, status: number, body = ''): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}

/** The grammar, to the letter. */
class LineReader {
  private at = 0

  constructor(
    private readonly bytes: Buffer,
    private readonly isBinary: boolean,
  ) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length
  }

  line(): { table: string; row: QuestRow; types: Map<string, string> } {
    const values: Record<string, QuestValue> = {}
    const types = new Map<string, string>()
    const set = (name: string, type: string, value: QuestValue): void => {
      if (types.has(name)) throw new Error(`column ${name} twice`)
      types.set(name, type)
      values[name] = value
    }
    const table = this.escaped(', ')
    if (table === '') throw new Error('no table')
    while (this.next(',')) {
      const name = this.escaped('=')
      this.require('=')
      set(name, 'SYMBOL', this.escaped(', \n'))
    }
    let hasFields = false
    let time: string | undefined
    if (this.next(' ')) {
      const start = this.at
      const digits = this.until('\n')
      if (/^-?\d+$/.test(digits)) time = digits
      else {
        this.at = start
        do {
          const name = this.escaped('=')
          this.require('=')
          const [type, value] = this.value()
          set(name, type, value)
          hasFields = true
        } while (this.next(','))
        if (this.next(' ')) time = this.until('\n')
      }
    }
    this.require('\n')
    if (time !== undefined && !/^\d+$/.test(time)) throw new Error(`timestamp ${time}`)
    if (!hasFields && types.size === 0) throw new Error('no columns')
    return { table, row: { values, time }, types }
  }

  private value(): [type: string, value: QuestValue] {
    if (this.next('"')) {
      const text = this.escaped('"', true)
      this.require('"')
      return ['VARCHAR', text]
    }
    if (this.isBinary && this.next('=')) return this.binary()
    const text = this.until(', \n')
    if (/^-?\d+i$/.test(text)) return ['LONG', { integer: text.slice(0, -1) }]
    if (/^-?\d+t$/.test(text)) return ['TIMESTAMP', { timeUs: text.slice(0, -1) }]
    if (text === 't' || text === 'f') return ['BOOLEAN', text === 't']
    if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) return ['DOUBLE', Number(text)]
    throw new Error(`value ${text}`)
  }

  private binary(): [type: string, value: QuestValue] {
    const entity = this.bytes[this.at++]
    if (entity === 16) return ['DOUBLE', this.double()]
    if (entity !== 14 || this.bytes[this.at++] !== 10 || this.bytes[this.at++] !== 2) throw new Error('binary value')
    const lengths = [this.int(), this.int()]
    if (lengths.some((length) => length <= 0)) throw new Error('array without values')
    const value = Array.from({ length: lengths[0]! }, () => Array.from({ length: lengths[1]! }, () => this.double()))
    return ['DOUBLE[][]', value]
  }

  private double(): number {
    this.at += 8
    return this.bytes.readDoubleLE(this.at - 8)
  }

  private int(): number {
    this.at += 4
    return this.bytes.readInt32LE(this.at - 4)
  }

  /** Text up to one of the characters, which must be escaped within it, as must line ends and backslashes. */
  private escaped(ends: string, isQuoted = false): string {
    const text: number[] = []
    for (;;) {
      if (this.isAtEnd) throw new Error('line is not ended')
      const byte = this.bytes[this.at]!
      const char = String.fromCharCode(byte)
      if (ends.includes(char)) break
      if (!isQuoted && ' ,=\n\r'.includes(char)) throw new Error(`bare ${JSON.stringify(char)}`)
      if (isQuoted && '\n\r'.includes(char)) throw new Error(`bare ${JSON.stringify(char)}`)
      if (char === '\\') {
        const escapedByte = this.bytes[++this.at]!
        if (!(isQuoted ? '"\\\n\r' : ' ,=\\\n\r').includes(String.fromCharCode(escapedByte)))
          throw new Error('bad escape')
        text.push(escapedByte)
      } else text.push(byte)
      this.at++
    }
    return new TextDecoder('utf8', { fatal: true }).decode(Buffer.from(text))
  }

  private until(ends: string): string {
    const start = this.at
    while (!this.isAtEnd && !ends.includes(String.fromCharCode(this.bytes[this.at]!))) this.at++
    return this.bytes.toString('latin1', start, this.at)
  }

  private next(char: string): boolean {
    if (this.bytes[this.at] !== char.charCodeAt(0)) return false
    this.at++
    return true
  }

  private require(char: string): void {
    if (!this.next(char)) throw new Error(`${JSON.stringify(char)} is missing at ${this.at}`)
  }
}
