/**
 * Rows to Parquet row groups, by DuckDB: its library encodes and compresses on a thread of its own.
 *
 * What this thread does is to hand the cells over, in slices between which the event loop goes on. DuckDB was chosen over
 * a writer in JavaScript because its files are less than half as large, and because the loop stays free while it works.
 */
import type * as Duckdb from '@duckdb/node-api'
import { Fault } from '../../model/fault'
import type { FieldType } from '../eventFields'
import { loadPart } from '../optionalPart'
import type { Cell, Column } from '../tables/table'
import { nextTurn } from '../turn'

export type Compression = 'zstd' | 'snappy' | 'none'

export interface EncodeOptions {
  readonly compression: Compression
  readonly rowGroupRows: number
  /** Rows of a file to stand before them: those from this one on. */
  readonly before?: { readonly path: string; readonly fromRow: number } | undefined
}

/** Cells by column: each list is as long as there are rows. */
export type Columns = readonly (readonly Cell[])[]

const SQL_TYPES: Readonly<Record<FieldType, string>> = {
  text: 'VARCHAR',
  number: 'DOUBLE',
  integer: 'BIGINT',
  timeUs: 'TIMESTAMPTZ',
  boolean: 'BOOLEAN',
  levels: 'DOUBLE[][]',
  json: 'JSON',
}

const COMPRESSIONS: Readonly<Record<Compression, string>> = {
  zstd: 'zstd',
  snappy: 'snappy',
  none: 'uncompressed',
}

/**
 * One thread, so that rows keep their order; the one that waits for it is not the event loop. Remembered contents of files are
 * of no use, and could be those of a file that was replaced since. It writes nowhere but where it is told to, and fetches nothing.
 */
const SETTINGS = {
  threads: '1',
  memory_limit: '1GB',
  temp_directory: '',
  enable_external_file_cache: 'false',
  autoinstall_known_extensions: 'false',
}

/** What DuckDB takes at a time. */
const SLICE_ROWS = 2_048
/** Books are wide: a slice of them ends earlier. */
const SLICE_LEVELS = 4_096

export class Encoder {
  private constructor(
    private readonly duckdb: typeof Duckdb,
    private readonly instance: Duckdb.DuckDBInstance,
    private readonly connection: Duckdb.DuckDBConnection,
  ) {}

  static async open(sink: string): Promise<Encoder> {
    const duckdb = await loadPart('@duckdb/node-api', () => import('@duckdb/node-api'), `The sink ${sink}`)
    const instance = await duckdb.DuckDBInstance.create(':memory:', SETTINGS)
    return new Encoder(duckdb, instance, await instance.connect())
  }

  /** Writes a Parquet file of these rows. What was at the path is replaced; after a failure it may be half written. */
  async encode(path: string, columns: readonly Column[], cells: Columns, options: EncodeOptions): Promise<void> {
    const { compression, rowGroupRows, before } = options
    const described = columns.map(({ name, type }) => `${identifier(name)} ${SQL_TYPES[type]}`)
    await this.connection.run(`CREATE OR REPLACE TABLE rows (${described.join(', ')})`)
    try {
      if (before !== undefined) {
        await this.connection.run(
          `INSERT INTO rows SELECT * EXCLUDE (file_row_number) FROM read_parquet(${literal(globless(before.path))}, file_row_number = true, hive_partitioning = false) WHERE file_row_number >= ${before.fromRow}`,
        )
      }
      await this.handOver(columns, cells)
      await this.connection.run(
        `COPY rows TO ${literal(path)} (FORMAT parquet, COMPRESSION ${COMPRESSIONS[compression]}, ROW_GROUP_SIZE ${rowGroupRows}, WRITE_BLOOM_FILTER false, USE_TMP_FILE false)`,
      )
    } catch (cause) {
      throw withErrno(cause)
    } finally {
      await this.connection.run('DROP TABLE rows')
    }
  }

  close(): void {
    this.connection.closeSync()
    this.instance.closeSync()
  }

  private async handOver(columns: readonly Column[], cells: Columns): Promise<void> {
    const count = cells[0]?.length ?? 0
    if (count === 0) return
    const types = columns.map(({ type }) => this.vectorType(type))
    const appender = await this.connection.createAppender('rows')
    try {
      for (let from = 0; from < count;) {
        const to = sliceEnd(columns, cells, from, count)
        const chunk = this.duckdb.DuckDBDataChunk.create(types, to - from)
        columns.forEach(({ type }, at) => this.fill(chunk.getColumnVector(at), type, cells[at]!, from))
        appender.appendDataChunk(chunk)
        appender.flushSync()
        from = to
        if (from < count) await nextTurn()
      }
    } finally {
      appender.closeSync()
    }
  }

  private fill(vector: Vector, type: FieldType, cells: readonly Cell[], from: number): void {
    const { itemCount } = vector
    const itemOf = this.itemsOf(type)
    for (let at = 0; at < itemCount; at++) {
      const cell = cells[from + at] ?? null
      vector.setItem(at, cell === null || itemOf === undefined ? cell : itemOf(cell))
    }
    vector.flush()
  }

  /** What DuckDB wants in the place of a cell; undefined where it takes the cell itself. */
  private itemsOf(type: FieldType): ((cell: NonNullable<Cell>) => unknown) | undefined {
    const { DuckDBListValue, DuckDBTimestampTZValue } = this.duckdb
    switch (type) {
      case 'text':
      case 'number':
      case 'boolean':
      case 'json':
        return undefined
      case 'integer':
        return (cell) => BigInt(cell as number)
      case 'timeUs':
        return (cell) => new DuckDBTimestampTZValue(BigInt(cell as number))
      case 'levels':
        return (cell) => new DuckDBListValue((cell as Levels).map((level) => new DuckDBListValue(level)))
    }
  }

  private vectorType(type: FieldType): Duckdb.DuckDBType {
    const { VARCHAR, DOUBLE, BIGINT, TIMESTAMPTZ, BOOLEAN, LIST } = this.duckdb
    switch (type) {
      case 'text':
      case 'json':
        return VARCHAR
      case 'number':
        return DOUBLE
      case 'integer':
        return BIGINT
      case 'timeUs':
        return TIMESTAMPTZ
      case 'boolean':
        return BOOLEAN
      case 'levels':
        return LIST(LIST(DOUBLE))
    }
  }
}

type Levels = readonly (readonly [number, number])[]

/** A column of a chunk, whose items are what its type asks for. */
interface Vector {
  readonly itemCount: number
  setItem(index: number, item: unknown): void
  flush(): void
}

function sliceEnd(columns: readonly Column[], cells: Columns, from: number, count: number): number {
  const end = Math.min(count, from + SLICE_ROWS)
  const books = cells.filter((_, at) => columns[at]!.type === 'levels')
  if (books.length === 0) return end
  let levels = 0
  for (let row = from; row < end; row++) {
    for (const book of books) levels += (book[row] as Levels | null)?.length ?? 0
    if (levels > SLICE_LEVELS) return row + 1
  }
  return end
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A path of which nothing stands for other characters. */
function globless(path: string): string {
  return path.replace(/[*?[]/g, '[$&]')
}

/** DuckDB tells what the operating system said in words only. */
function withErrno(cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof Fault) return cause
  const [code] = ERRNOS.find(([, words]) => cause.message.includes(words)) ?? []
  return code === undefined ? cause : Object.assign(new Error(cause.message, { cause }), { code })
}

const ERRNOS = [
  ['ENOSPC', 'No space left on device'],
  ['EDQUOT', 'Disk quota exceeded'],
  ['EROFS', 'Read-only file system'],
  ['EACCES', 'Permission denied'],
  ['EPERM', 'Operation not permitted'],
  ['ENOENT', 'No such file or directory'],
  ['ENOTDIR', 'Not a directory'],
  ['EISDIR', 'Is a directory'],
  ['EMFILE', 'Too many open files'],
  ['ENAMETOOLONG', 'File name too long'],
  ['EIO', 'Input/output error'],
] as const
