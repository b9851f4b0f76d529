import type * as Pg from 'pg'
import type { Client, DatabaseError } from 'pg'
import type { from as copyFrom } from 'pg-copy-streams'
import { once } from 'node:events'
import { LONGEST_WAIT_MS, within } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { asSentence, Fault, messageOf } from '../model/fault'
import { errnoOf } from '../model/fileFault'
import {
  DatabaseTables,
  isName,
  quoted,
  rulesInWords,
  shown,
  type FoundColumn,
  type Part,
  type TableOptions,
} from './tables/databaseTables'
import { loadPart } from './optionalPart'
import { binaryRows, POSTGRES_TYPES } from './tables/postgresRows'
import { firstRefused } from './tables/refusedRow'
import { PROGRESS_TABLE, RunProgress } from './tables/runProgress'
import { sinkCounters, type BatchKey, type Sink, type SinkContext } from './sink'
import { unusableOption } from './sinkOptions'
import type { Table } from './tables/table'
import { UNREACHABLE } from './tables/unreachable'
import { nextTurn } from './turn'

export interface PostgresOptions extends TableOptions {
  /**
   * `postgres://user:password@host:port/database`. Default: the variables PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE,
   * which keep the password out of the code. It stands in no message, name or log.
   */
  readonly connection?: string
  /** The schema that the tables are in; it must be there. Default: the server's `search_path` decides. */
  readonly schema?: string
  readonly name?: string
  /** How long connecting may take. Default 10,000. */
  readonly connectWithinMs?: number
  /** How long the server may take for one statement, the copying of a batch included. Default 30,000. */
  readonly statementWithinMs?: number
}

/**
 * Writes values into tables of a PostgreSQL database, with `COPY`.
 *
 * Tables    market events by kind (`trades`, `book_changes`, `tickers`, `candles`, ...), others in `rows`; made when they are
 *           first written, checked when they are there. Times are `timestamptz`, numbers `double precision`, whole ones
 *           `bigint`, levels `double precision[][]`, the rest `jsonb`; absent, NaN and infinite are NULL. Where the extension
 *           `timescaledb` is in the database, a new table with `receiveTimeUs` is made a hypertable by it
 * Delivery  effectively once: a batch and how far the run has come (table `millrace_progress`) are one transaction. A commit
 *           whose answer was lost is looked up there. A run without a name begins anew each time, and is added to what is there
 * Order     as received, within a table: PostgreSQL has no order of its own, but rows are inserted in it
 * Errors    `SINK_REJECTED { server, sqlState }` when the server is down, goes away, does not answer in time, or refuses the
 *           session; `VALUE_INVALID` for a value that does not fit its table, or that a constraint or the server refuses;
 *           `OPTION_INVALID` for a connection that is none, a table that is there with other columns, and a run that
 *           another process has taken over
 *
 * Needs `npm install pg@8.23.1 pg-copy-streams@7.0.0`. `counters.bytes` is what was copied.
 */
export function postgres<T>(options: PostgresOptions = {}): Sink<T> {
  const { table, name = table === undefined ? 'postgres' : `postgres(${table})` } = options
  return new PostgresSink<T>(name, options)
}

interface Parts {
  readonly pg: typeof Pg
  readonly copyFrom: typeof copyFrom
}

class PostgresSink<T> implements Sink<T> {
  readonly counters = sinkCounters()
  readonly delivery = 'effectivelyOnce'
  // Truly private: whoever prints a sink must not print its password.
  readonly #connection: string | undefined
  #client: Client | undefined
  #secrets: readonly string[] = []
  private readonly progress = new RunProgress(this.counters)
  private readonly tables: DatabaseTables
  private readonly schema: string
  private readonly connectWithinMs: number
  private readonly statementWithinMs: number
  private parts: Parts | undefined
  private server = 'its server'
  private run: string | undefined
  /** Of our row in the table of progress; undefined until it is taken over. */
  private opening: string | undefined

  constructor(
    readonly name: string,
    options: PostgresOptions,
  ) {
    this.#connection = options.connection
    this.tables = new DatabaseTables(name, options, NAMES)
    this.schema = options.schema === undefined ? '' : `${quoted(this.checkedSchema(options.schema))}.`
    this.connectWithinMs = this.milliseconds('connectWithinMs', options.connectWithinMs ?? 10_000)
    this.statementWithinMs = this.milliseconds('statementWithinMs', options.statementWithinMs ?? 30_000)
    if (options.connection !== undefined && !isPostgresUrl(options.connection)) {
      throw new Fault(
        'OPTION_INVALID',
        `The sink ${name} has an option connection that is no address: it should be postgres://user:password@host:port/database, with special characters of the password as %XX.`,
        { option: 'connection' },
      )
    }
  }

  async open({ run, resume }: SinkContext): Promise<void> {
    this.parts ??= await this.load()
    this.run = run
    if (resume !== true) {
      this.progress.beginAnew()
      this.opening = undefined
      this.counters.written = 0
      this.counters.bytes = 0
    }
    await this.guarded(() => this.ready())
  }

  position(): number {
    return this.progress.position
  }

  async write(batch: readonly T[], key?: BatchKey): Promise<void> {
    if (batch.length === 0) return
    await this.guarded(async () => {
      const client = await this.ready()
      if (this.progress.hasArrived(batch)) return
      const parts = this.tables.split(batch)
      for (const part of parts) await this.agree(client, part)
      try {
        const bytes = await this.transaction(client, batch, parts, key)
        this.progress.committed()
        this.counters.bytes += bytes
      } catch (cause) {
        if (isRefusal(cause)) throw await this.refusalOf(client, batch, parts, cause)
        throw cause
      }
    })
  }

  async close(): Promise<void> {
    const client = this.#client
    if (client === undefined) return
    try {
      if (this.run === undefined) {
        await client.query(`DELETE FROM ${this.progressTable} WHERE opening = $1`, [this.opening])
        this.opening = undefined
      }
    } catch {
      // Everything is committed; the row is removed with those of other runs without a name.
    } finally {
      this.#client = undefined
      this.tables.forget()
      await within(
        liveClock,
        this.connectWithinMs,
        client.end().catch(() => undefined),
      )
      discard(client)
    }
  }

  private async transaction(
    client: Client,
    batch: readonly T[],
    parts: readonly Part[],
    key: BatchKey | undefined,
  ): Promise<number> {
    const row = this.progress.after(batch, key)
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    try {
      const changed = await client.query(
        `UPDATE ${this.progressTable} SET position = $1, batches = $2, changed = now() WHERE opening = $3 AND batches = $4`,
        [row.position, row.batches, this.opening, this.progress.batches],
      )
      if (changed.rowCount !== 1) throw this.fault('SINK_REJECTED', 'somebody changed its row of progress.')
      let bytes = 0
      for (const part of parts) bytes += await this.copy(client, part)
      this.progress.committing(batch, row)
      await client.query('COMMIT')
      return bytes
    } catch (cause) {
      // Anything else ends the session, and its transaction with it.
      if (isRefusal(cause) || isOfOneValue(cause)) await client.query('ROLLBACK')
      throw cause
    }
  }

  /** @returns bytes that were sent */
  private async copy(client: Client, part: Part): Promise<number> {
    const rows = this.tables.rowsOf(part.table)!
    const names = rows.table.columns.map(({ name }) => quoted(name)).join(', ')
    const stream = client.query(
      this.parts!.copyFrom(`COPY ${this.schema}${quoted(part.table)} (${names}) FROM STDIN WITH (FORMAT binary)`),
    )
    const ended = once(stream, 'finish')
    const failed: { cause?: unknown } = {}
    ended.catch((cause: unknown) => (failed.cause = cause))
    // One that has failed may fail again, as when its connection goes.
    stream.on('error', () => undefined)
    let bytes = 0
    try {
      for (const piece of binaryRows(rows, part)) {
        if (failed.cause !== undefined) break
        bytes += piece.length
        if (stream.write(piece)) continue
        await Promise.race([once(stream, 'drain'), ended])
        await nextTurn()
      }
    } catch (cause) {
      // The server is told to forget what was sent, and says so.
      if (failed.cause === undefined) stream.destroy(errorOfCopy(cause))
      await ended.catch(() => undefined)
      throw cause
    }
    if (failed.cause === undefined) stream.end()
    await ended
    return bytes
  }

  /** The one row that the server refuses for what it is: one it names, else found by halving. */
  private async refusalOf(
    client: Client,
    batch: readonly T[],
    parts: readonly Part[],
    cause: unknown,
  ): Promise<unknown> {
    const line = /, line (\d+)/.exec((cause as DatabaseError).where ?? '')?.[1]
    const guess = parts.length === 1 && line !== undefined ? Number(line) - 1 : undefined
    const index = await firstRefused(batch.length, (count) => this.takes(client, batch.slice(0, count)), guess)
    if (index === undefined) return cause
    return new Fault(
      'VALUE_INVALID',
      `The sink ${this.name} cannot write a value: ${this.server} refuses it (${this.scrubbed(messageOf(cause))}). The value is left out.`,
      { sink: this.name, index, ...stateOf(cause) },
    )
  }

  private async takes(client: Client, values: readonly T[]): Promise<boolean> {
    await client.query('BEGIN')
    try {
      for (const part of this.tables.split(values)) await this.copy(client, part)
      await client.query('SET CONSTRAINTS ALL IMMEDIATE')
      return true
    } catch (cause) {
      if (isRefusal(cause)) return false
      throw cause
    } finally {
      await client.query('ROLLBACK')
    }
  }

  /** A session, and our row of progress: found when the run has written before, made otherwise. */
  private async ready(): Promise<Client> {
    if (this.#client !== undefined) return this.#client
    const client = await this.connect()
    // What was acknowledged must survive the server's crash; stronger settings than that are left as they are.
    await client.query(
      "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    )
    await this.makeProgressTable(client)
    await this.findProgress(client)
    return client
  }

  private async connect(): Promise<Client> {
    const { Client } = this.parts!.pg
    const client = new Client({
      ...(this.#connection === undefined ? {} : { connectionString: this.#connection }),
      application_name: 'millrace',
      keepAlive: true,
      connectionTimeoutMillis: this.connectWithinMs,
      query_timeout: this.statementWithinMs,
      statement_timeout: this.statementWithinMs,
      // A session that lost its client must not hold our row of progress for ever.
      idle_in_transaction_session_timeout: Math.max(this.statementWithinMs, 1_000),
    })
    this.#secrets = secretsOf(this.#connection, client.password)
    this.server = `PostgreSQL at ${client.host}:${client.port}`
    // Between two statements: the next write connects anew.
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined
      discard(client)
    })
    this.#client = client
    await client.connect()
    return client
  }

  private async makeProgressTable(client: Client): Promise<void> {
    const found = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      this.progressTable,
    ])
    if (found.rows[0]!.there) return
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${this.progressTable} (opening text PRIMARY KEY, sink text NOT NULL, run text, position bigint NOT NULL, batches bigint NOT NULL, changed timestamptz NOT NULL DEFAULT now(), UNIQUE (sink, run))`,
    )
  }

  /**
   * The row's `opening` says who writes the run: whoever opens it takes it over, and who has lost it cannot go on. Changing the
   * row waits for a transaction that is still under way, so that nothing is committed after it was looked for.
   */
  private async findProgress(client: Client): Promise<void> {
    const { run, name, progress } = this
    if (this.opening !== undefined) {
      const ours = await client.query<ProgressFields>(
        `UPDATE ${this.progressTable} SET changed = now() WHERE opening = $1 RETURNING opening, position, batches`,
        [this.opening],
      )
      if (ours.rows.length > 0) {
        this.found(ours.rows[0]!)
        return
      }
      const others = await client.query(`SELECT 1 FROM ${this.progressTable} WHERE sink = $1 AND run = $2`, [name, run])
      if (others.rows.length > 0) {
        throw this.fault(
          'OPTION_INVALID',
          `another process or sink of this name has taken over the run ${shown(run!)}; give each a name of its own, or let one write.`,
        )
      }
    } else if (run === undefined) {
      // Of runs without a name, that nobody can go on with.
      await client.query(`DELETE FROM ${this.progressTable} WHERE run IS NULL AND changed < now() - interval '30 days'`)
    }
    const taken = await client.query<ProgressFields>(
      `INSERT INTO ${this.progressTable} (opening, sink, run, position, batches) VALUES (gen_random_uuid()::text, $1, $2, $3, $4) ON CONFLICT (sink, run) DO UPDATE SET opening = excluded.opening, changed = now() RETURNING opening, position, batches`,
      [name, run, progress.position, progress.batches],
    )
    this.found(taken.rows[0]!)
  }

  private found({ opening, position, batches }: ProgressFields): void {
    this.opening = opening
    this.progress.found({ position: Number(position), batches: Number(batches) })
  }

  private async agree(client: Client, part: Part): Promise<void> {
    if (this.tables.rowsOf(part.table) !== undefined) return
    const wanted = this.tables.wanted(part)
    const table = this.schema + quoted(part.table)
    const found = await client.query<FoundColumn>(
      'SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
      [table],
    )
    if (found.rows.length > 0) {
      this.tables.agree(part.table, wanted, POSTGRES_TYPES, found.rows)
      return
    }
    const definitions = wanted.columns.map(({ name, type }) => `${quoted(name)} ${POSTGRES_TYPES[type]}`)
    await client.query(`CREATE TABLE ${table} (${definitions.join(', ')})`)
    await this.makeHypertable(client, table, wanted)
    this.tables.agree(part.table, wanted, POSTGRES_TYPES)
  }

  private async makeHypertable(client: Client, table: string, { columns }: Table): Promise<void> {
    if (!columns.some(({ name, type }) => name === HYPERTABLE_COLUMN && type === 'timeUs')) return
    const found = await client.query<{ schema: string }>(
      "SELECT nspname AS schema FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'",
    )
    const schema = found.rows[0]?.schema
    if (schema === undefined) return
    await client.query(
      `SELECT ${quoted(schema)}.create_hypertable($1::regclass, $2::name, if_not_exists => true, create_default_indexes => false)`,
      [table, HYPERTABLE_COLUMN],
    )
  }

  private get progressTable(): string {
    return this.schema + PROGRESS_TABLE
  }

  private async load(): Promise<Parts> {
    const who = `The sink ${this.name}`
    const pg = await loadPart('pg', () => import('pg'), who)
    const copy = await loadPart('pg-copy-streams', () => import('pg-copy-streams'), who)
    return { pg, copyFrom: copy.from }
  }

  /** After any failure but a value's own the session is given up: the next attempt connects and asks how far the run has come. */
  private async guarded<R>(action: () => Promise<R>): Promise<R> {
    try {
      return await action()
    } catch (cause) {
      if (!isOfOneValue(cause)) {
        const client = this.#client
        this.#client = undefined
        this.tables.forget()
        if (client !== undefined) discard(client)
      }
      throw cause instanceof Fault ? cause : this.faultOf(cause)
    }
  }

  private faultOf(cause: unknown): Fault {
    const problem = this.scrubbed(problemOf(cause, this.connectWithinMs, this.statementWithinMs))
    return new Fault(
      'SINK_REJECTED',
      `The sink ${this.name} cannot write to ${this.server}: ${problem}`,
      { sink: this.name, server: this.server, ...stateOf(cause) },
      { cause: new Error(this.scrubbed(messageOf(cause))) },
    )
  }

  private fault(code: 'SINK_REJECTED' | 'OPTION_INVALID', what: string): Fault {
    return new Fault(code, `The sink ${this.name} cannot write to ${this.server}: ${what}`, {
      sink: this.name,
      server: this.server,
    })
  }

  /** No message of a server or library is trusted to keep the password to itself. */
  private scrubbed(message: string): string {
    return this.#secrets.reduce((text, secret) => text.replaceAll(secret, '***'), message)
  }

  private milliseconds(option: string, value: number): number {
    if (value > 0 && value <= LONGEST_WAIT_MS) return value
    throw unusableOption(this.name, option, value, `a number of milliseconds above 0, at most ${LONGEST_WAIT_MS}`)
  }

  private checkedSchema(schema: string): string {
    if (isName(schema, NAMES)) return schema
    throw new Fault(
      'OPTION_INVALID',
      `The sink ${this.name} cannot have the schema ${shown(schema)}: a name is ${rulesInWords(NAMES)}.`,
      { option: 'schema' },
    )
  }
}

interface ProgressFields {
  readonly opening: string
  readonly position: string
  readonly batches: string
}

/** What PostgreSQL would cut off without a word. */
const NAMES = { bytesMax: 63 }

/** The time that hypertables are divided by: every event has it. */
const HYPERTABLE_COLUMN = 'receiveTimeUs'

/** Ends the session at once; the server rolls its transaction back. */
function discard(client: Client): void {
  client.on('error', () => undefined)
  client.connection.stream.destroy()
}

function isPostgresUrl(text: string): boolean {
  return URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)
}

/** The address, and the password as it was written and as it is meant. */
function secretsOf(connection: string | undefined, password: unknown): string[] {
  const meant = typeof password === 'string' ? password : ''
  const written = connection === undefined ? '' : new URL(connection).password
  return [connection ?? '', meant, written, encodeURIComponent(meant)].filter(
    (secret) => secret.length >= SECRET_CHARS_MIN,
  )
}

/** A shorter one would be found in every message. */
const SECRET_CHARS_MIN = 4

function errorOfCopy(cause: unknown): Error {
  return new Error(cause instanceof Fault ? 'a value cannot be written' : messageOf(cause))
}

function isOfOneValue(cause: unknown): boolean {
  return cause instanceof Fault && cause.repair === 'skip'
}

function sqlStateOf(cause: unknown): string | undefined {
  const code = errnoOf(cause)
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined
}

function stateOf(cause: unknown): { sqlState?: string; errno?: string } {
  const sqlState = sqlStateOf(cause)
  if (sqlState !== undefined) return { sqlState }
  const errno = errnoOf(cause)
  return errno === undefined ? {} : { errno }
}

/** For what a row is: bad data, a constraint, a trigger that raises, a row too large. Not a broken format, which is our own. */
function isRefusal(cause: unknown): boolean {
  const state = sqlStateOf(cause)
  return state !== undefined && /^(22|23|P0001|54000)/.test(state) && state !== '22P04'
}

/** Why, and what to do, as the end of a sentence with its full stop. */
function problemOf(cause: unknown, connectWithinMs: number, statementWithinMs: number): string {
  const message = messageOf(cause)
  if (message === 'timeout expired') {
    return `it did not accept a session within ${connectWithinMs / 1_000} s; check that it answers, or allow more with connectWithinMs.`
  }
  if (message === 'Query read timeout' || sqlStateOf(cause) === '57014') {
    return `it did not answer within ${statementWithinMs / 1_000} s; check its load and locks, or allow more with statementWithinMs.`
  }
  if (/Connection terminated|socket hang up/.test(message)) return 'it has closed the connection; check that it runs.'
  const code = errnoOf(cause) ?? ''
  return PROBLEMS.get(code) ?? asSentence(message || code)
}

const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ...UNREACHABLE,
  ['28P01', 'it refuses the user or the password; check them.'],
  ['28000', 'it refuses the user; check the name and pg_hba.conf.'],
  ['3D000', 'there is no database of that name; make it, or check the name.'],
  ['3F000', 'there is no schema of that name; make it, or check the name.'],
  ['42501', 'the user may not do that; grant it the right to make and write the tables.'],
  ['53100', 'its disk is full; free some space on it.'],
  ['53200', 'it has no more memory.'],
  ['53300', 'it has too many connections; close some, or raise max_connections.'],
  ['57P01', 'it was shut down; start it.'],
  ['57P02', 'it crashed, and is being recovered.'],
  ['57P03', 'it is starting up or shutting down.'],
  ['25006', 'it takes no writes; connect to the primary server.'],
])
