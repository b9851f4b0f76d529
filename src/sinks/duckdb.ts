import type {
  DuckDBConnection,
  DuckDBDataChunk,
  DuckDBTableFunction,
  DuckDBType,
  DuckDBValue,
  DuckDBVector,
} from '@duckdb/node-api'
import { Fault, messageOf } from '../model/fault'
import { errnoOf, fileFault } from '../model/fileFault'
import {
  DatabaseTables,
  quoted,
  shown,
  type FoundColumn,
  type Part,
  type SqlTypes,
  type TableOptions,
} from './tables/databaseTables'
import { DuckDbFile, type DuckDb, type DuckDbUser } from './tables/duckdbFile'
import type { FieldType } from './eventFields'
import { loadPart } from './optionalPart'
import { firstRefused } from './tables/refusedRow'
import { PROGRESS_TABLE, RunProgress, type ProgressRow } from './tables/runProgress'
import { resolveOut, sinkCounters, type BatchKey, type Sink, type SinkContext } from './sink'
import { wholeAboveZero } from './sinkOptions'
import { fieldOf, type Cell, type Column, type TableRows } from './tables/table'
import { nextTurn } from './turn'

export interface DuckDbOptions extends TableOptions {
  readonly name?: string
  /** How much memory the file's database may take, for its cache and for queries, in megabytes. Default 1,024. */
  readonly memoryMbMax?: number
  /**
   * How many threads DuckDB may compute with for this file, of queries too. Default 1: with more, one of them turns in a circle
   * for as long as another waits for rows, which costs a third of processor time more and saves none.
   */
  readonly threadsMax?: number
}

export interface DuckDbSink<T> extends Sink<T> {
  /**
   * Reads from the file while it is written, on a connection of its own: what is committed, as of this moment.
   *
   * One statement that reads is allowed (`SELECT`, `FROM`, `WITH`, `SHOW`, `DESCRIBE`, `SUMMARIZE`, `EXPLAIN`); `$1`, `$2`
   * stand for the parameters. Rows come as objects whose fields are as the sink was given them: times as microseconds,
   * whole numbers as numbers (as bigints beyond 2^53), levels as pairs.
   *
   * @throws `OPTION_INVALID` for another statement, one that cannot be run, or more than `rowsMax` rows (default a million);
   *         `SINK_REJECTED` when the sink is not open
   */
  query(
    sql: string,
    params?: readonly (string | number | bigint | boolean | null)[],
    options?: { readonly rowsMax?: number },
  ): Promise<Record<string, unknown>[]>
}

/**
 * Writes values into the tables of a DuckDB file: the embedded default. No server, one file.
 *
 * Tables    market events by kind (`trades`, `book_changes`, `tickers`, `candles`, ...), others in `rows`; made when they are
 *           first written, checked when they are there. Times are TIMESTAMPTZ, numbers DOUBLE, whole ones BIGINT, text VARCHAR,
 *           levels DOUBLE[2][], the rest JSON; absent, NaN and infinite are NULL
 * Delivery  effectively once: a batch and how far the run has come (table `millrace_progress`) are one transaction. A run
 *           without a name begins anew each time, and is added to what is there
 * Order     as received: that of `rowid` within a table
 * Reading   with `query` from this process. DuckDB keeps a file that is being written to one process: another one, also with
 *           `ATTACH ... (READ_ONLY)`, is refused until the sink is closed. Then everything is in the one file
 * Thread    rows are copied in slices between events of the loop; inserting, committing and queries run on other threads
 * Errors    `SINK_REJECTED { path }` when the file is locked, moved, cannot be written or the disk is full; `VALUE_INVALID`
 *           for a value that does not fit its table; `OPTION_INVALID` for a path outside the output folder, a file that is no
 *           DuckDB database, and a table that is there with other columns
 *
 * Needs `npm install @duckdb/node-api@1.5.6-r.1`. `counters.bytes` is the size of the file.
 *
 * @param path  inside the output folder; folders are created. Several sinks may write to one file
 */
export function duckdb<T>(path: string, options: DuckDbOptions = {}): DuckDbSink<T> {
  const { table, name = table === undefined ? `duckdb(${path})` : `duckdb(${path}, ${table})` } = options
  return new DuckDbTableSink<T>(name, path, options)
}

class DuckDbTableSink<T> implements DuckDbSink<T>, DuckDbUser {
  readonly counters = sinkCounters()
  readonly delivery = 'effectivelyOnce'
  private readonly progress = new RunProgress(this.counters)
  private readonly tables: DatabaseTables
  private readonly memoryMbMax: number
  private readonly threadsMax: number
  private api: DuckDb | undefined
  private location = ''
  private run: string | undefined
  private file: DuckDbFile | undefined
  private connection: DuckDBConnection | undefined
  /** Of our row in the table of progress. */
  private opening = ''
  private rows: RowSource | undefined
  /** The file was released because another sink had met a failure that the whole database does not survive. */
  private isReleased = false
  private isBusy = false

  constructor(
    readonly name: string,
    private readonly sinkPath: string,
    options: DuckDbOptions,
  ) {
    this.tables = new DatabaseTables(name, options, NAMES)
    this.memoryMbMax = wholeAboveZero(name, 'memoryMbMax', options.memoryMbMax ?? 1_024)
    this.threadsMax = wholeAboveZero(name, 'threadsMax', options.threadsMax ?? 1)
  }

  async open({ outDir, run, resume }: SinkContext): Promise<void> {
    this.location = resolveOut(this.sinkPath, outDir)
    this.api ??= await loadPart('@duckdb/node-api', () => import('@duckdb/node-api'), `The sink ${this.name}`)
    this.rows ??= new RowSource(this.api)
    this.run = run
    if (resume !== true) {
      this.progress.beginAnew()
      this.opening = ''
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
      const { file, connection } = await this.ready()
      if (this.progress.hasArrived(batch)) return
      const parts = this.tables.split(batch)
      await file.alone(async () => {
        for (const part of parts) await this.agree(connection, part)
        await connection.run('BEGIN')
        try {
          for (const part of parts) await this.insert(connection, part)
          await this.commit(connection, batch, this.progress.after(batch, key))
        } catch (cause) {
          await rollBack(connection)
          throw isRefusal(cause) ? await this.refusalOf(connection, batch, cause) : cause
        }
      })
      // An open handle writes happily into a file that was moved, and nobody would read it there.
      this.counters.bytes = await file.sizeAtPath(this)
      this.progress.committed()
    })
  }

  async query(
    sql: string,
    params: readonly (string | number | bigint | boolean | null)[] = [],
    { rowsMax = 1_000_000 }: { readonly rowsMax?: number } = {},
  ): Promise<Record<string, unknown>[]> {
    const { api, file } = this
    if (api === undefined || file === undefined) {
      throw new Fault('SINK_REJECTED', `The sink ${this.name} is not open: query it between opening and closing.`, {
        sink: this.name,
      })
    }
    const connection = await file.connect()
    try {
      await this.checkReads(api, connection, sql)
      const reader = await connection.streamAndReadUntil(sql, rowsMax + 1, [...params])
      if (reader.currentRowCount > rowsMax) {
        throw new Fault(
          'OPTION_INVALID',
          `A query of the sink ${this.name} gives more than ${rowsMax} rows: add a LIMIT, or allow more with rowsMax.`,
          { sink: this.name, rowsMax },
        )
      }
      const names = reader.deduplicatedColumnNames()
      return reader
        .getRows()
        .map((row) => Object.fromEntries(row.map((value, at) => [names[at]!, plainOf(api, value)])))
    } catch (cause) {
      if (cause instanceof Fault) throw cause
      throw new Fault(
        'OPTION_INVALID',
        `A query of the sink ${this.name} cannot be run: ${firstLine(cause)}`,
        { sink: this.name },
        { cause },
      )
    } finally {
      connection.closeSync()
    }
  }

  async close(): Promise<void> {
    const { file, connection } = this
    if (file === undefined || connection === undefined) return
    await this.guarded(async () => {
      await file.alone(async () => {
        if (this.run === undefined) {
          await connection.run(`DELETE FROM ${PROGRESS_TABLE} WHERE opening = $1`, [this.opening])
        }
        // Here it runs on DuckDB's threads; left to closing, it would be on the loop. Another sink may be writing.
        await connection.run('CHECKPOINT').catch(() => undefined)
      })
      this.counters.bytes = await file.sizeAtPath(this)
      this.leave()
    })
  }

  /** Nothing of it may be held, or it is not opened anew. */
  release(): void {
    if (this.isBusy) this.isReleased = true
    else this.leave()
  }

  private leave(): void {
    const { file, connection } = this
    this.isReleased = false
    this.file = undefined
    this.connection = undefined
    this.tables.forget()
    connection?.closeSync()
    file?.leave(this)
  }

  /** The file open, and our row of progress in it: found when the run has written before, made otherwise. */
  private async ready(): Promise<{ file: DuckDbFile; connection: DuckDBConnection }> {
    if (this.file !== undefined && this.connection !== undefined) {
      return { file: this.file, connection: this.connection }
    }
    const file = await DuckDbFile.join(this.api!, this.location, this)
    this.file = file
    const connection = await file.connect()
    this.connection = connection
    await connection.run(`SET memory_limit = '${this.memoryMbMax}MB'`)
    await connection.run(`SET threads = ${this.threadsMax}`)
    connection.registerTableFunction(this.rows!.function)
    await file.alone(() => this.findProgress(connection, file))
    return { file, connection }
  }

  private async findProgress(connection: DuckDBConnection, file: DuckDbFile): Promise<void> {
    const { run, name, progress } = this
    file.claim(this, run === undefined ? undefined : JSON.stringify([name, run]), () =>
      this.unusable(`another sink of this name writes the run ${shown(run!)} into it; give each a name of its own.`),
    )
    await connection.run(
      `CREATE TABLE IF NOT EXISTS ${PROGRESS_TABLE} (opening VARCHAR, sink VARCHAR, run VARCHAR, position BIGINT, batches BIGINT)`,
    )
    if (file.isOnlyUser(this)) {
      // Of runs without a name, that nobody can go on with.
      await connection.run(`DELETE FROM ${PROGRESS_TABLE} WHERE run IS NULL AND opening <> $1`, [this.opening])
    }
    const found = await connection.runAndReadAll(
      `SELECT opening, position, batches FROM ${PROGRESS_TABLE} WHERE sink = $1 AND ${run === undefined ? 'opening' : 'run'} = $2`,
      [name, run ?? this.opening],
    )
    const [row] = found.getRows() as [string, bigint, bigint][]
    if (row !== undefined) {
      this.opening = row[0]
      progress.found({ position: Number(row[1]), batches: Number(row[2]) })
      return
    }
    const added = await connection.runAndReadAll(
      `INSERT INTO ${PROGRESS_TABLE} VALUES (uuid()::VARCHAR, $1, $2, $3, $4) RETURNING opening`,
      [name, run ?? null, BigInt(progress.position), BigInt(progress.batches)],
      [this.api!.VARCHAR, this.api!.VARCHAR, this.api!.BIGINT, this.api!.BIGINT],
    )
    this.opening = String(added.getRows()[0]![0])
    progress.found({ position: progress.position, batches: progress.batches })
  }

  private async agree(connection: DuckDBConnection, part: Part): Promise<void> {
    if (this.tables.rowsOf(part.table) !== undefined) return
    const wanted = this.tables.wanted(part)
    const found = await connection.runAndReadAll(
      'SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = current_schema() AND lower(table_name) = lower($1) ORDER BY column_index',
      [part.table],
    )
    const columns = (found.getRows() as [string, string][]).map(([name, type]): FoundColumn => ({ name, type }))
    if (columns.length === 0) {
      const definitions = wanted.columns.map(({ name, type }) => `${quoted(name)} ${SQL_TYPES[type]}`)
      await connection.run(`CREATE TABLE ${quoted(part.table)} (${definitions.join(', ')})`)
      this.tables.agree(part.table, wanted, SQL_TYPES)
    } else {
      this.tables.agree(part.table, wanted, SQL_TYPES, columns)
    }
  }

  /** The one row that the database refuses for what it is, by a constraint of whoever made the table. */
  private async refusalOf(connection: DuckDBConnection, batch: readonly T[], cause: unknown): Promise<unknown> {
    const index = await firstRefused(batch.length, async (count) => {
      await connection.run('BEGIN')
      try {
        for (const part of this.tables.split(batch.slice(0, count))) await this.insert(connection, part)
        return true
      } catch (refusal) {
        if (isRefusal(refusal)) return false
        throw refusal
      } finally {
        await rollBack(connection)
      }
    })
    if (index === undefined) return cause
    return new Fault(
      'VALUE_INVALID',
      `The sink ${this.name} cannot write a value: ${firstLine(cause)} The value is left out.`,
      { sink: this.name, index },
      { cause },
    )
  }

  private async insert(connection: DuckDBConnection, part: Part): Promise<void> {
    const source = this.rows!
    const rows = this.tables.rowsOf(part.table)!
    const names = rows.table.columns.map(({ name }) => quoted(name)).join(', ')
    await source.give(rows, part, () =>
      connection.run(`INSERT INTO ${quoted(part.table)} (${names}) SELECT * FROM ${source.name}()`),
    )
  }

  private async commit(connection: DuckDBConnection, batch: readonly T[], row: ProgressRow): Promise<void> {
    const changed = await connection.run(
      `UPDATE ${PROGRESS_TABLE} SET position = $1, batches = $2 WHERE opening = $3`,
      [BigInt(row.position), BigInt(row.batches), this.opening],
    )
    if (changed.rowsChanged !== 1) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${this.name} cannot write ${this.location}: its row in ${PROGRESS_TABLE} has gone. Leave that table to the sink.`,
        { sink: this.name, path: this.location },
      )
    }
    this.progress.committing(batch, row)
    await connection.run('COMMIT')
  }

  private async checkReads(api: DuckDb, connection: DuckDBConnection, sql: string): Promise<void> {
    const statements = await connection.extractStatements(sql)
    if (statements.count === 1) {
      const { statementType } = await statements.prepare(0)
      if (statementType === api.StatementType.SELECT || statementType === api.StatementType.EXPLAIN) return
    }
    throw new Fault(
      'OPTION_INVALID',
      `A query of the sink ${this.name} is one statement that reads, such as SELECT: other statements could disturb what is being written.`,
      { sink: this.name },
    )
  }

  /** After any failure the file is let go: the next attempt opens the path anew and asks it how far the run has come. */
  private async guarded<R>(action: () => Promise<R>): Promise<R> {
    this.isBusy = true
    try {
      return await action()
    } catch (cause) {
      const isOfOneValue = cause instanceof Fault && cause.repair === 'skip'
      if (!isOfOneValue) {
        if (isFatal(cause)) this.file?.releaseAll()
        this.leave()
      }
      throw this.faultOf(cause)
    } finally {
      this.isBusy = false
      if (this.isReleased) this.leave()
    }
  }

  private unusable(what: string): Fault {
    return new Fault('OPTION_INVALID', `The sink ${this.name} cannot write ${this.location}: ${what}`, {
      sink: this.name,
      path: this.location,
    })
  }

  private faultOf(cause: unknown): Fault {
    if (cause instanceof Fault) return cause
    if (errnoOf(cause) !== undefined) return fileFault(this.name, this.location, cause)
    const { code, what } = problemOf(firstLine(cause))
    return new Fault(
      code,
      `The sink ${this.name} cannot write ${this.location}: ${what}`,
      { sink: this.name, path: this.location },
      { cause },
    )
  }
}

/** Longer names would do for DuckDB, but for nobody who reads them. */
const NAMES = { bytesMax: 255 }

const SQL_TYPES = {
  text: 'VARCHAR',
  number: 'DOUBLE',
  integer: 'BIGINT',
  timeUs: 'TIMESTAMP WITH TIME ZONE',
  boolean: 'BOOLEAN',
  levels: 'DOUBLE[2][]',
  json: 'JSON',
} as const satisfies SqlTypes

/**
 * A batch as a table that DuckDB reads: it asks for 2,048 rows at a time, each time in a turn of the loop of its own, and
 * does everything else on its threads. The appender of the same library would insert, and write to the disk, on the loop.
 */
class RowSource {
  readonly name: string
  readonly function: DuckDBTableFunction
  private readonly types: Readonly<Record<FieldType, DuckDBType>>
  private rows: TableRows | undefined
  private values: readonly unknown[] = []
  private indexes: readonly number[] | undefined
  private at = 0
  private refusal: unknown
  /** Of text columns that hold few distinct texts in this batch: an enumeration of them. */
  private readonly dictionaries = new Map<string, DuckDBType>()

  constructor(private readonly api: DuckDb) {
    const { BIGINT, BOOLEAN, DOUBLE, TIMESTAMPTZ, VARCHAR } = api
    this.types = {
      text: VARCHAR,
      number: DOUBLE,
      integer: BIGINT,
      timeUs: TIMESTAMPTZ,
      boolean: BOOLEAN,
      levels: api.LIST(api.ARRAY(DOUBLE, 2)),
      json: VARCHAR,
    }
    // Names are those of a whole database, which several sinks may share.
    this.name = `millrace_rows_${++sources}`
    this.function = api.DuckDBTableFunction.create({
      name: this.name,
      bindFunction: (info) => {
        for (const { name, type } of this.rows?.table.columns ?? []) {
          info.addResultColumn(name, this.dictionaries.get(name) ?? this.types[type])
        }
      },
      initFunction: (info) => info.setMaxThreads(1),
      mainFunction: (_, chunk) => this.fill(chunk),
    })
  }

  /** Offers the rows of a part while `insert` runs. */
  async give(rows: TableRows, { values, indexes }: Part, insert: () => Promise<unknown>): Promise<void> {
    this.rows = rows
    this.values = values
    this.indexes = indexes
    this.at = 0
    this.refusal = undefined
    await this.findDictionaries()
    try {
      await insert()
    } catch (cause) {
      throw this.refusal ?? cause
    } finally {
      this.values = []
    }
  }

  /**
   * A text costs a call into the library, a number of an enumeration nothing: names of exchanges and symbols go as those, and
   * DuckDB makes them texts again on its threads.
   */
  private async findDictionaries(): Promise<void> {
    this.dictionaries.clear()
    if (this.values.length < DICTIONARY_ROWS_MIN) return
    for (const { name, type } of this.rows!.table.columns) {
      if (type !== 'text') continue
      const texts = await this.distinctTexts(name)
      if (texts !== undefined) this.dictionaries.set(name, this.api.ENUM([...texts]))
    }
  }

  /** Undefined where there are too many, or one that an enumeration cannot hold. */
  private async distinctTexts(name: string): Promise<ReadonlySet<string> | undefined> {
    const texts = new Set<string>()
    for (let at = 0; at < this.values.length; at++) {
      const text = fieldOf(this.values[at], name)
      if (typeof text === 'string' && !texts.has(text)) {
        if (texts.size === DICTIONARY_TEXTS_MAX || !/^[ -~]{1,64}$/.test(text)) return undefined
        texts.add(text)
      }
      if (at % TURN_ROWS === TURN_ROWS - 1) await nextTurn()
    }
    return texts.size === 0 ? undefined : texts
  }

  private fill(chunk: DuckDBDataChunk): void {
    try {
      const { columns } = this.rows!.table
      const count = this.sliceLength(columns)
      chunk.rowCount = count
      if (count === 0) return
      const values = this.values.slice(this.at, this.at + count)
      if (!this.rows!.table.leavesOut) {
        for (const [at, value] of values.entries()) this.rows!.checkFields(value, this.indexOf(this.at + at))
      }
      for (const [at, column] of columns.entries()) this.fillColumn(chunk.getColumnVector(at), column, values)
      this.at += count
    } catch (cause) {
      this.refusal = cause
      throw cause
    }
  }

  private fillColumn(vector: DuckDBVector, { name, type }: Column, values: readonly unknown[]): void {
    const plain = PLAIN_TYPES[type]
    const toValue = this.converterOf(type)
    for (let at = 0; at < values.length; at++) {
      const field = fieldOf(values[at], name)
      // Almost every cell is what its column is, and passes without a look at what else it might be.
      if (typeof field === plain && (plain !== 'number' || Number.isFinite(field))) {
        vector.setItem(at, field as DuckDBValue)
        continue
      }
      const cell = this.rows!.cell({ name, type }, field, this.indexOf(this.at + at))
      vector.setItem(at, cell === null ? null : toValue === undefined ? (cell as DuckDBValue) : toValue(cell))
    }
    vector.flush()
  }

  /** Undefined where cells are values already. */
  private converterOf(type: FieldType): ((cell: Cell) => DuckDBValue) | undefined {
    const { DuckDBTimestampTZValue, arrayValue, listValue } = this.api
    switch (type) {
      case 'timeUs':
        return (cell) => new DuckDBTimestampTZValue(BigInt(cell as number))
      case 'integer':
        return (cell) => BigInt(cell as number)
      case 'levels':
        return (cell) => listValue((cell as readonly (readonly [number, number])[]).map((level) => arrayValue(level)))
      default:
        return undefined
    }
  }

  private indexOf(at: number): number {
    return this.indexes?.[at] ?? at
  }

  /** Rows of the next chunk: fewer where they hold many levels, so that the loop is not kept. */
  private sliceLength(columns: readonly Column[]): number {
    const left = Math.min(CHUNK_ROWS, this.values.length - this.at)
    const lists = columns.filter(({ type }) => type === 'levels').map(({ name }) => name)
    if (lists.length === 0) return left
    let levels = 0
    for (let at = 0; at < left; at++) {
      for (const name of lists) {
        const field = fieldOf(this.values[this.at + at], name)
        if (Array.isArray(field)) levels += field.length
      }
      if (levels > CHUNK_LEVELS) return Math.max(1, at)
    }
    return left
  }
}

/** Where a field of this type is the column's value as it is. */
const PLAIN_TYPES: Readonly<Partial<Record<FieldType, string>>> = {
  text: 'string',
  number: 'number',
  boolean: 'boolean',
}

/** For fewer rows the enumeration costs more than it spares. */
const DICTIONARY_ROWS_MIN = 256
const DICTIONARY_TEXTS_MAX = 200
/** Under a millisecond of looking at texts. */
const TURN_ROWS = 16_384

/** What DuckDB takes at once. */
const CHUNK_ROWS = 2_048
/** About five milliseconds. */
const CHUNK_LEVELS = 10_000
let sources = 0

/** By a constraint or a conversion: for what a row is. */
function isRefusal(cause: unknown): boolean {
  return /^(Constraint|Conversion|Invalid Input|Out of Range) Error/.test(messageOf(cause))
}

async function rollBack(connection: DuckDBConnection): Promise<void> {
  // A transaction that failed while committing has ended already.
  await connection.run('ROLLBACK').catch(() => undefined)
}

/** A value of a result as the sink was given it. */
function plainOf(api: DuckDb, value: DuckDBValue): unknown {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
  }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof api.DuckDBTimestampTZValue || value instanceof api.DuckDBTimestampValue) {
    return Number(value.micros)
  }
  if (value instanceof api.DuckDBListValue || value instanceof api.DuckDBArrayValue) {
    return value.items.map((item) => plainOf(api, item))
  }
  if (value instanceof api.DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([name, item]) => [name, plainOf(api, item)]))
  }
  return value instanceof api.DuckDBDecimalValue ? value.toDouble() : value.toString()
}

function firstLine(cause: unknown): string {
  return `${messageOf(cause)
    .split('\n')[0]!
    .replace(/[.\s]*$/, '')}.`
}

/** DuckDB itself says that the database cannot be used on until it is opened anew. */
function isFatal(cause: unknown): boolean {
  return /^(FATAL|INTERNAL) Error|database has been invalidated/.test(messageOf(cause))
}

/** DuckDB's words in ours: what the matter is and what to do, as the end of a sentence. */
function problemOf(message: string): { code: 'SINK_REJECTED' | 'OPTION_INVALID'; what: string } {
  const holder = /Conflicting lock is held in (.*?)\s*\(PID (\d+)\)/.exec(message)
  if (holder !== null) {
    return {
      code: 'SINK_REJECTED',
      what: `the file is open in another process (${holder[1]!}, PID ${holder[2]!}); close it there, or write to another file.`,
    }
  }
  if (/Could not set lock/.test(message)) {
    return {
      code: 'SINK_REJECTED',
      what: 'the file is open in another process; close it there, or write to another file.',
    }
  }
  if (/not a valid DuckDB database file|is a directory/i.test(message)) {
    return {
      code: 'OPTION_INVALID',
      what: 'what is there is no DuckDB database; move it away, or choose another path.',
    }
  }
  if (/No space left|disk is full|Out of disk|could not write all bytes/i.test(message)) {
    return { code: 'SINK_REJECTED', what: 'the disk is full; free some space on it.' }
  }
  if (/newer version|older version|incompatible|version number/i.test(message)) {
    return { code: 'OPTION_INVALID', what: `another version of DuckDB wrote the file: ${message}` }
  }
  if (/^Out of Memory/i.test(message)) {
    return { code: 'SINK_REJECTED', what: `DuckDB has no more memory; allow more with memoryMbMax. ${message}` }
  }
  return { code: 'SINK_REJECTED', what: message }
}
