import { expect } from 'chai'
import { DuckDBInstance } from '@duckdb/node-api'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { from } from 'rxjs'
import type { MarketEvent } from '../../src/model/events'
import { EVENT_KINDS } from '../../src/model/events'
import { drain } from '../../src/sinks/drain'
import { duckdb, type DuckDbOptions, type DuckDbSink } from '../../src/sinks/duckdb'
import { eventTable, tableNameOf } from '../../src/sinks/tables/table'
import type { BatchKey, SinkContext } from '../../src/sinks/sink'
import { anyEvent } from './anyEvent'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { faultOf, TestFolder, VirtualClock } from './support'

conformsAsSink('duckdb', {
  keeps: 'all',
  create: (folder) => ({
    sink: duckdb<Row>('rows.duckdb'),
    read: () => read<Row>(folder.file('rows.duckdb'), 'SELECT n, text FROM rows ORDER BY rowid'),
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('duckdb', () => {
  let folder: TestFolder
  let context: SinkContext
  const opened: DuckDbSink<never>[] = []

  beforeEach(async () => {
    folder = await TestFolder.create()
    context = { outDir: folder.outDir, clock: new VirtualClock(1_700_000_000_000_000) }
  })
  afterEach(async () => {
    for (const sink of opened.splice(0)) await sink.close().catch(() => undefined)
    await folder.remove()
  })

  /** A sink that is closed after the test whatever happens. */
  function sinkOf<T>(options?: DuckDbOptions, path = 'market.duckdb'): DuckDbSink<T> {
    const sink = duckdb<T>(path, options)
    opened.push(sink)
    return sink
  }

  const inFile = <R>(sql: string): Promise<R[]> => read<R>(folder.file('market.duckdb'), sql)
  const key = (from: number, to: number, run = 'monday'): BatchKey => ({ run, from, to })

  it('gives back every field of every kind of event as it was', async () => {
    const sink = sinkOf<MarketEvent>()
    const events = EVENT_KINDS.flatMap((kind) => [anyEvent(kind, 1), anyEvent(kind, 2)])
    await sink.open(context)
    await sink.write(events)
    for (const kind of EVENT_KINDS) {
      const { columns } = eventTable(kind)
      const found = await sink.query(
        `SELECT * FROM "${tableNameOf(events.find((event) => event.kind === kind))!}" WHERE kind = $1 ORDER BY rowid`,
        [kind],
      )
      const wanted = events
        .filter((event) => event.kind === kind)
        .map((event) =>
          Object.fromEntries(
            columns.map(({ name, type }) => {
              const field = (event as unknown as Record<string, unknown>)[name]
              return [name, field === undefined ? null : type === 'json' ? JSON.stringify(field) : field]
            }),
          ),
        )
      expect(found).to.deep.equal(wanted)
    }
  })

  it('keeps absence, and what is no number, as NULL', async () => {
    const sink = sinkOf<unknown>({ table: 'prices', columns: { price: 'number', id: 'text', bids: 'levels' } })
    await sink.open(context)
    await sink.write([{ price: NaN, bids: [] }, { price: 0, id: '', bids: [[1, 0]] }, { price: Infinity }])
    expect(await sink.query('SELECT * FROM prices ORDER BY rowid')).to.deep.equal([
      { price: null, id: null, bids: [] },
      { price: 0, id: '', bids: [[1, 0]] },
      { price: null, id: null, bids: null },
    ])
  })

  it('writes more rows than DuckDB takes at once, in order, with long texts among them', async () => {
    const sink = sinkOf<Row>()
    const many = rows(5_000).map((one) => (one.n % 1_000 === 7 ? { ...one, text: 'long '.repeat(50_000) } : one))
    await sink.open(context)
    await sink.write(many)
    expect(await sink.query('SELECT * FROM rows ORDER BY rowid')).to.deep.equal(many)
  })

  it('writes texts alike, whether a batch has few distinct ones, many, none, or odd ones among them', async () => {
    const columns = { few: 'text', many: 'text', odd: 'text', none: 'text' } as const
    const sink = sinkOf<unknown>({ columns })
    const oddities = ['', 'a\0b', '日本', "it's", null, 'x'.repeat(1_000)]
    const values = Array.from({ length: 3_000 }, (_, n) => ({
      few: n % 7 === 0 ? null : `few ${n % 5}`,
      many: `${n}`,
      odd: n < 2_500 ? 'even' : oddities[n % oddities.length],
      none: null,
    }))
    await sink.open(context)
    await sink.write(values)
    await sink.write(values.map((value) => ({ ...value, few: `other ${value.many.length}` })))
    const found = await sink.query('SELECT * FROM rows ORDER BY rowid')
    expect(found.slice(0, 3_000)).to.deep.equal(values)
    expect(found[5_999]).to.deep.equal({ ...values[2_999], few: 'other 4' })
  })

  it('is read while it is written: what is acknowledged, and by statements that read alone', async () => {
    const sink = sinkOf<Row>()
    await sink.open(context)
    await sink.write(rows(3))
    expect(await sink.query('SELECT count(*) AS n, max(text) AS t FROM rows WHERE n < $1', [2])).to.deep.equal([
      { n: 2, t: row(1).text },
    ])
    expect((await sink.query('DESCRIBE rows')).map((column) => column['column_name'])).to.deep.equal(['n', 'text'])
    for (const sql of [
      'DELETE FROM rows',
      'SELECT 1; DROP TABLE rows',
      'COMMIT',
      "COPY rows TO '/tmp/x'",
      "ATTACH 'y'",
      'SELEC 1',
      '',
    ]) {
      expect((await faultOf(sink.query(sql))).code, sql).to.equal('OPTION_INVALID')
    }
    expect((await faultOf(sink.query('SELECT * FROM range(10)', [], { rowsMax: 9 }))).message).to.contain('LIMIT')
    await sink.close()
    expect((await faultOf(sink.query('SELECT 1'))).message).to.contain('is not open')
  })

  it('remembers how far a run has come, and is not given the same values twice', async () => {
    const first = sinkOf<Row>()
    await first.open({ ...context, run: 'monday' })
    await first.write(rows(3), key(0, 3))
    await first.close()
    const second = sinkOf<Row>()
    await second.open({ ...context, run: 'monday' })
    expect(second.position?.()).to.equal(3)
    await second.close()
    const result = await drain(from([rows(8)]), sinkOf<Row>(), {
      capacity: 10,
      batchMax: 2,
      onFull: 'fail',
      outDir: folder.outDir,
      run: 'monday',
    })
    expect(result.ledger).to.deep.equal({ in: 8, out: 5, dropped: { alreadyWritten: 3 }, inFlight: 0 })
    const other = sinkOf<Row>()
    await other.open({ ...context, run: 'tuesday' })
    expect(other.position?.()).to.equal(0)
    await other.close()
    expect(await inFile('SELECT n, text FROM rows ORDER BY rowid')).to.deep.equal(rows(8))
  })

  it('keeps no progress of runs without a name once they are over, closed or killed', async () => {
    const sink = sinkOf<Row>()
    await sink.open(context)
    await sink.write(rows(1))
    await sink.close()
    expect(await inFile('SELECT * FROM millrace_progress')).to.deep.equal([])
    await run(folder.file('market.duckdb'), "INSERT INTO millrace_progress VALUES ('killed', 'duckdb', NULL, 7, 1)")
    await sink.open(context)
    expect((await sink.query('SELECT opening FROM millrace_progress')).length).to.equal(1)
    await sink.close()
    expect(await inFile('SELECT * FROM millrace_progress')).to.deep.equal([])
  })

  it('takes a batch for written whose acknowledgement was lost, once', async () => {
    const sink = sinkOf<Row>()
    await sink.open(context)
    await sink.write(rows(2))
    await folder.vanish() // what is committed now goes into the file that was moved
    const batch = rows(3, 2)
    expect((await faultOf(sink.write(batch))).code).to.equal('SINK_REJECTED')
    await folder.comeBack()
    await sink.write(batch)
    await sink.write(rows(3, 5))
    expect(sink.counters.written).to.equal(8)
    await sink.close()
    expect(await inFile('SELECT n, text FROM rows ORDER BY rowid')).to.deep.equal(rows(8))
  })

  it('begins the file again where it was moved away for good', async () => {
    const sink = sinkOf<Row>()
    await sink.open(context)
    await sink.write(rows(2))
    await rename(folder.file('market.duckdb'), folder.file('elsewhere.duckdb'))
    const batch = rows(2, 2)
    expect((await faultOf(sink.write(batch))).message).to.match(/has gone|was moved/)
    await sink.write(batch)
    await sink.close()
    expect(await inFile('SELECT n, text FROM rows ORDER BY rowid')).to.deep.equal(rows(2, 2))
  })

  it('shares its file with other sinks of the process, also when one of them finds it moved', async () => {
    const one = sinkOf<Row>({ table: 'ones' })
    const two = sinkOf<Row>({ table: 'twos' })
    await one.open(context)
    await two.open(context)
    await Promise.all([one.write(rows(3_000)), two.write(rows(3_000)), one.query('SELECT 1')])
    await folder.vanish()
    const batch = rows(1, 3_000)
    await faultOf(one.write(batch))
    await folder.comeBack()
    await one.write(batch)
    await two.write(batch)
    await one.close()
    expect(await two.query('SELECT count(*) AS n FROM ones')).to.deep.equal([{ n: 3_001 }])
    await two.close()
    expect(await inFile('SELECT count(*) AS n FROM twos')).to.deep.equal([{ n: 3_001n }])
  })

  it('refuses two sinks of one name in one run: each would leave out what the other wrote', async () => {
    const one = sinkOf<Row>()
    const two = sinkOf<Row>()
    await one.open({ ...context, run: 'monday' })
    const fault = await faultOf(two.open({ ...context, run: 'monday' }))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('give each a name of its own')
  })

  it('refuses a table that is there with other columns, with the difference, and leaves it as it is', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await run(folder.file('market.duckdb'), 'CREATE TABLE trades (kind VARCHAR, price DECIMAL(18, 2), venue VARCHAR)')
    const sink = sinkOf<MarketEvent>()
    await sink.open(context)
    const fault = await faultOf(sink.write([anyEvent('trade', 1)]))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('it has no column "exchange" (VARCHAR)')
    expect(fault.message).to.contain('its column "price" is DECIMAL(18,2), not DOUBLE')
    expect(fault.message).to.contain('it has a column "venue" (VARCHAR) too many')
    expect(fault.details).to.deep.include({ extra: ['venue'], otherType: ['price'] })
    await sink.close()
    expect((await inFile('DESCRIBE trades')).length).to.equal(3)
  })

  it('goes on with an inferred table of which this batch has only some columns', async () => {
    const first = sinkOf<unknown>()
    await first.open(context)
    await first.write([{ a: 1, b: 'x' }])
    await first.close()
    const second = sinkOf<unknown>()
    await second.open(context)
    await second.write([{ a: 2 }, { a: 3, b: 'y' }])
    expect(await second.query('SELECT * FROM rows ORDER BY a')).to.deep.equal([
      { a: 1, b: 'x' },
      { a: 2, b: null },
      { a: 3, b: 'y' },
    ])
    const fault = await faultOf(second.write([{ a: 4 }, { a: 5, c: 1 }]))
    expect(fault.details).to.deep.include({ index: 1 })
  })

  it('leaves out only the value that does not fit, wherever it stands', async () => {
    const letters: unknown[] = []
    const values = [...rows(3), { n: 'three', text: '' }, ...rows(2, 4)]
    const result = await drain(from([values]), sinkOf<unknown>({ columns: { n: 'number', text: 'text' } }), {
      capacity: 10,
      batchMax: 10,
      onFull: 'fail',
      outDir: folder.outDir,
      onFault: (fault) => letters.push(fault.details['index']),
    })
    expect(letters).to.deep.equal([3])
    expect(result.ledger).to.deep.equal({ in: 6, out: 5, dropped: { unencodable: 1 }, inFlight: 0 })
    expect(await inFile('SELECT n FROM rows ORDER BY rowid')).to.deep.equal([0, 1, 2, 4, 5].map((n) => ({ n })))
  })

  it('finds the row that a constraint of the table refuses', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await run(
      folder.file('market.duckdb'),
      'CREATE TABLE rows (n DOUBLE CHECK (n <> 2500), text VARCHAR, UNIQUE (text))',
    )
    const sink = sinkOf<Row>()
    await sink.open(context)
    const batch = rows(3_000)
    const fault = await faultOf(sink.write(batch))
    expect(fault.code).to.equal('VALUE_INVALID')
    expect(fault.details).to.deep.include({ index: 2_500 })
    const rest = [...batch.slice(0, 2_500), row(10)]
    expect((await faultOf(sink.write(rest))).details).to.deep.include({ index: 2_500 })
    await sink.write(rest.slice(0, -1))
    expect(await sink.query('SELECT count(*) AS n FROM rows')).to.deep.equal([{ n: 2_500 }])
  })

  it('quotes names, whatever they are made of', async () => {
    const table = 'a"b; DROP TABLE "rows'
    const sink = sinkOf<unknown>({ table })
    await sink.open(context)
    await sink.write([{ [`x"y'; --`]: 1, select: 2 }])
    expect(await sink.query(`SELECT * FROM "${table.replaceAll('"', '""')}"`)).to.deep.equal([
      { [`x"y'; --`]: 1, select: 2 },
    ])
    for (const bad of ['', 'a\0b', 'x'.repeat(300)]) {
      expect(() => duckdb('x', { table: bad })).to.throw('a name is 1 to 255 bytes')
      const fault = await faultOf(sinkOf<unknown>({ name: `of ${bad.length}` }).open(context))
        .catch(() => undefined)
        .then(() => faultOf(opened.at(-1)!.write([{ [bad]: 1 }] as never)))
      expect(fault.details).to.deep.include({ index: 0 })
      expect(fault.message).to.contain('cannot be a column')
    }
    expect((await faultOf(sinkOfOpen().then((open) => open.write([{ a: 1, A: 2 }])))).message).to.contain(
      'which differ in case alone',
    )

    async function sinkOfOpen(): Promise<DuckDbSink<unknown>> {
      const open = sinkOf<unknown>({ name: 'twins' })
      await open.open(context)
      return open
    }
  })

  it('refuses an event of another kind in a table of one kind', async () => {
    const sink = sinkOf<MarketEvent>({ table: 'everything' })
    await sink.open(context)
    const fault = await faultOf(sink.write([anyEvent('trade', 1), anyEvent('ticker', 1)]))
    expect(fault.code).to.equal('VALUE_INVALID')
    expect(fault.details).to.deep.include({ index: 1 })
    expect(fault.message).to.contain('it belongs to tickers')
  })

  it('says who has the file when another process has it', async () => {
    await mkdir(folder.outDir, { recursive: true })
    const file = folder.file('market.duckdb')
    const other = spawn(process.execPath, ['-e', HOLDER, file], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    const sink = sinkOf<Row>()
    const fault = await faultOf(sink.open(context))
    expect(fault.code).to.equal('SINK_REJECTED')
    expect(fault.message).to.contain(`PID ${other.pid!}); close it there`)
    other.stdin.end()
    await once(other, 'close')
    await sink.open(context)
    await sink.write(rows(1))
  })

  it('lets DuckDB compute with one thread, or as many as it is told', async () => {
    for (const [options, threads] of [
      [{ table: 'one' }, 1],
      [{ table: 'three', threadsMax: 3 }, 3],
    ] as const) {
      const sink = sinkOf<Row>(options)
      await sink.open(context)
      await sink.write([row(1)])
      expect(await sink.query("SELECT current_setting('threads') AS threads")).to.deep.equal([{ threads }])
      await sink.close()
    }
    for (const threadsMax of [0, 1.5, NaN]) {
      expect(() => sinkOf({ threadsMax }))
        .to.throw('threadsMax')
        .with.property('code', 'OPTION_INVALID')
    }
  })

  it('refuses a file that is no database, and a path outside the output folder', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await writeFile(folder.file('market.duckdb'), 'no database '.repeat(1_000))
    const fault = await faultOf(sinkOf<Row>().open(context))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('no DuckDB database')
    expect((await stat(folder.file('market.duckdb'))).size).to.equal(12_000)
    for (const path of ['../x.duckdb', 'a\0b']) {
      expect((await faultOf(sinkOf<Row>({}, path).open(context))).code).to.equal('OPTION_INVALID')
    }
  })
})

/** Opens a file, says so, and closes it when nobody holds its input any longer. */
const HOLDER = `
  require('@duckdb/node-api').DuckDBInstance.create(process.argv[1]).then((instance) => {
    console.log('open')
    process.stdin.on('data', () => {}).on('end', () => instance.closeSync())
  })`

async function read<R>(file: string, sql: string): Promise<R[]> {
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJS() as R[]
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

async function run(file: string, sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  await connection.run(sql)
  connection.closeSync()
  instance.closeSync()
}
