import { expect } from 'chai'
import { compressors } from 'hyparquet-compressors'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { readFileSync } from 'node:fs'
import { chmod, link, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { MarketEvent } from '../../src/model/events'
import { drain } from '../../src/sinks/drain'
import { EVENT_FIELDS } from '../../src/sinks/eventFields'
import { parquet, type ParquetOptions } from '../../src/sinks/parquet'
import { mergedFrom } from '../../src/sinks/parquet/partFile'
import type { Sink, SinkContext } from '../../src/sinks/sink'
import { cellOf } from '../../src/sinks/tables/table'
import { from } from 'rxjs'
import { conformsAsSink, rows, type Row } from './conformance'
import { hardEvents, query, sqlText } from './columns'
import { TestFolder, VirtualClock, faultOf } from './support'
import { asUnprivileged } from '../kit/unprivileged'

conformsAsSink('parquet', {
  keeps: 'all',
  create: (folder) => ({
    sink: parquet<Row>('out/rows.parquet'),
    read: async () => {
      expect(await readdir(folder.outDir)).to.deep.equal(['rows.parquet'])
      return (await query(`FROM ${sqlText(folder.file('rows.parquet'))}`)) as unknown as Row[]
    },
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

conformsAsSink('parquet in partitions', {
  keeps: 'all',
  create: (folder) => ({
    sink: parquet<Row>('out/rows', { partition: ['text'], partitionsOpen: 2 }),
    read: async () =>
      (await query(
        `SELECT n, text FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}, hive_partitioning = true) ORDER BY n`,
      )) as unknown as Row[],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('parquet', () => {
  let folder: TestFolder
  let clock: VirtualClock
  const opened: Sink<never>[] = []

  beforeEach(async () => {
    folder = await TestFolder.create()
    clock = new VirtualClock(1_700_000_000_000_000)
  })
  afterEach(async () => {
    for (const sink of opened.splice(0)) await sink.close().catch(() => undefined)
    await folder.remove()
  })

  async function open<T>(name: string, options?: ParquetOptions, context?: Partial<SinkContext>): Promise<Sink<T>> {
    const sink = parquet<T>(name, options)
    opened.push(sink)
    await sink.open({ outDir: folder.outDir, clock, ...context })
    return sink
  }

  const read = (name: string): Promise<Record<string, unknown>[]> => query(`FROM ${sqlText(folder.file(name))}`)
  const numbers = async (name: string): Promise<unknown[]> => (await read(name)).map(({ n }) => n)

  /** The one file that readers of a folder see. */
  async function onlyFile(name: string): Promise<string> {
    const files = (await readdir(folder.file(name))).filter((file) => !file.startsWith('.'))
    expect(files).to.have.length(1)
    return path.join(folder.file(name), files[0]!)
  }

  /** Row groups as another reader of the format counts them. */
  async function groupsOf(name: string): Promise<number[]> {
    const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(folder.file(name)))
    return row_groups.map(({ num_rows }) => Number(num_rows))
  }

  describe('for every kind of event', () => {
    for (const kind of Object.keys(EVENT_FIELDS) as MarketEvent['kind'][]) {
      const events = hardEvents().filter((event) => event.kind === kind)
      /** Whole numbers and times are 64 bits wide. */
      const wanted = events.map((event) =>
        Object.fromEntries(
          Object.entries(EVENT_FIELDS[kind]).map(([name, type]) => {
            const cell = cellOf(type, (event as unknown as Record<string, unknown>)[name]) ?? null
            return [name, typeof cell === 'number' && type !== 'number' ? BigInt(cell) : cell]
          }),
        ),
      )

      it(`${kind} is read by DuckDB as it was`, async () => {
        const sink = await open<MarketEvent>('events.parquet')
        await sink.write(events)
        await sink.close()
        expect(await read('events.parquet')).to.deep.equal(wanted)
      })

      it(`${kind} is read by hyparquet as it was`, async () => {
        const sink = await open<MarketEvent>('events.parquet', { compression: 'snappy' })
        await sink.write(events)
        await sink.close()
        const file = await asyncBufferFromFile(folder.file('events.parquet'))
        const types = EVENT_FIELDS[kind] as Readonly<Record<string, string>>
        const found = await parquetReadObjects({ file, compressors })
        expect(found).to.deep.equal(
          wanted.map((event) =>
            Object.fromEntries(
              Object.entries(event).map(([name, cell]) => {
                if (cell !== null && types[name] === 'json') return [name, JSON.parse(cell as string) as unknown]
                // Its times are dates: of milliseconds.
                if (typeof cell === 'bigint' && types[name] === 'timeUs') return [name, new Date(Number(cell) / 1_000)]
                return [name, cell]
              }),
            ),
          ),
        )
      })
    }
  })

  it('gives columns the types that tables have', async () => {
    const sink = await open('all.parquet', {
      columns: {
        text: 'text',
        number: 'number',
        integer: 'integer',
        timeUs: 'timeUs',
        boolean: 'boolean',
        levels: 'levels',
        json: 'json',
      },
    })
    await sink.close()
    const described = await query(`DESCRIBE FROM ${sqlText(folder.file('all.parquet'))}`)
    expect(described.map(({ column_type }) => column_type)).to.deep.equal([
      'VARCHAR',
      'DOUBLE',
      'BIGINT',
      'TIMESTAMP WITH TIME ZONE',
      'BOOLEAN',
      'DOUBLE[][]',
      'JSON',
    ])
    expect(await read('all.parquet')).to.deep.equal([])
  })

  for (const compression of ['zstd', 'snappy', 'none'] as const) {
    it(`compresses with ${compression}`, async () => {
      const sink = await open<Row>('rows.parquet', { compression })
      await sink.write(rows(10))
      await sink.close()
      const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(folder.file('rows.parquet')))
      const codecs = new Set(row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.codec)))
      expect([...codecs]).to.deep.equal([compression === 'none' ? 'UNCOMPRESSED' : compression.toUpperCase()])
    })
  }

  it('has every acknowledged row at the path while the file grows, whatever size its batches have', async () => {
    const sink = await open<Row>('rows.parquet', { rowGroupRows: 2_048 })
    let count = 0
    for (const size of [1, 1, 700, 1, 1_400, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2_500, 3, 1]) {
      await sink.write(rows(size, count))
      count += size
      expect(await numbers('rows.parquet')).to.deep.equal(rows(count).map(({ n }) => n))
    }
    await sink.close()
    expect(await groupsOf('rows.parquet')).to.satisfy((groups: number[]) => groups.length <= 4)
    expect(await read('rows.parquet')).to.deep.equal(rows(count))
    expect(await readdir(folder.outDir)).to.deep.equal(['rows.parquet'])
  })

  it('leaves a file whose bytes are those of its row groups and footer, when it is closed', async () => {
    const sink = await open<Row>('rows.parquet')
    for (let at = 0; at < 20; at++) await sink.write(rows(50, at * 50))
    const grown = (await stat(folder.file('rows.parquet'))).size
    await sink.close()
    const closed = (await stat(folder.file('rows.parquet'))).size
    expect(closed).to.be.below(grown)
    expect(await groupsOf('rows.parquet')).to.deep.equal([1_000])
    expect(sink.counters).to.include({ written: 1_000 })
    const { row_groups, metadata_length } = await parquetMetadataAsync(
      await asyncBufferFromFile(folder.file('rows.parquet')),
    )
    const bytes = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data!.total_compressed_size))
    expect(sink.counters.bytes).to.equal(bytes.reduce((sum, size) => sum + Number(size), 0))
    expect(closed).to.equal(4 + sink.counters.bytes + metadata_length + 8)
  })

  it('never changes what a reader has opened', async () => {
    const sink = await open<Row>('rows.parquet', { rowGroupRows: 2_048 })
    await sink.write(rows(100))
    await link(folder.file('rows.parquet'), folder.file('seen'))
    const seen = readFileSync(folder.file('seen'))
    for (let at = 1; at < 40; at++) await sink.write(rows(100, at * 100))
    await sink.close()
    expect(readFileSync(folder.file('seen')).subarray(0, seen.length).equals(seen)).to.equal(true)
  })

  it('leaves dead bytes behind when they are more than the living', async () => {
    const sink = await open<{ n: number; text: string }>('rows.parquet', {
      compression: 'none',
      columns: { text: 'text' },
    })
    const wide = (n: number) => ({ n, text: String(n).repeat(100_000).slice(0, 300_000) })
    let largest = 0
    for (let n = 1; n < 120; n++) {
      await sink.write([wide(n)])
      const { size } = await stat(folder.file('rows.parquet'))
      largest = Math.max(largest, size / Math.max(4 * 1024 * 1024, n * 300_000))
    }
    expect(largest).to.be.below(3)
    await sink.close()
    expect(await query(`SELECT count(*) AS n FROM ${sqlText(folder.file('rows.parquet'))}`)).to.deep.equal([
      { n: 119n },
    ])
  })

  describe('when it is opened', () => {
    it('replaces a file of an earlier run', async () => {
      const sink = await open<Row>('rows.parquet')
      await sink.write(rows(3))
      await sink.close()
      await sink.open({ outDir: folder.outDir, clock })
      await sink.write(rows(1, 7))
      await sink.close()
      expect(await numbers('rows.parquet')).to.deep.equal([7])
    })

    it('appends when it is told to, also columns that nobody declared', async () => {
      const first = await open<Row>('rows.parquet')
      await first.write(rows(3))
      await first.close()
      const second = await open<Row>('rows.parquet', { append: true })
      await second.write(rows(2, 3))
      await second.close()
      expect(await read('rows.parquet')).to.deep.equal(rows(5))
    })

    it('refuses to append to other columns, with the difference', async () => {
      const first = await open<Row>('rows.parquet')
      await first.write(rows(3))
      await first.close()
      const fault = await faultOf(open('rows.parquet', { append: true, columns: { n: 'text' } }))
      expect(fault).to.include({ code: 'OPTION_INVALID' })
      expect(fault.message).to.contain('its columns are n number, text text, not n text')
      expect(await read('rows.parquet')).to.deep.equal(rows(3))
    })

    it('refuses to append to a file of another program, and to one that is none', async () => {
      await mkdir(folder.outDir, { recursive: true })
      await query(`COPY (SELECT 1 AS n) TO ${sqlText(folder.file('rows.parquet'))} (FORMAT parquet)`)
      const fault = await faultOf(open('rows.parquet', { append: true }))
      expect(fault.message).to.contain('another program wrote it')
    })

    it('cleans up what a killed process left beside the file', async () => {
      const first = await open<Row>('rows.parquet')
      await first.write(rows(1))
      await first.close()
      for (const left of ['.rows.parquet.a', '.rows.parquet.b', '.rows.parquet.rows']) {
        await writeFile(folder.file(left), 'half')
      }
      const second = await open<Row>('rows.parquet', { append: true })
      await second.write(rows(1, 1))
      await second.close()
      expect(await readdir(folder.outDir)).to.deep.equal(['rows.parquet'])
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1])
    })

    it('refuses a path that leaves the output folder', async () => {
      expect((await faultOf(open('../rows.parquet'))).code).to.equal('OPTION_INVALID')
    })

    it('writes to folders and names with any characters', async () => {
      const name = `a 'b' [c] *d? "e" %41/ü.parquet`
      const sink = await open<Row>(name)
      for (let at = 0; at < 9; at++) await sink.write(rows(1, at))
      await sink.close()
      await rename(folder.file(name), folder.file('plain.parquet'))
      expect(await read('plain.parquet')).to.deep.equal(rows(9))
    })
  })

  describe('with a run that has a name', () => {
    const key = (start: number, end: number) => ({ run: 'monday', from: start, to: end })

    it('knows how far it had come when the run is repeated', async () => {
      const first = await open<Row>('rows.parquet', {}, { run: 'monday' })
      await first.write(rows(5), key(0, 5))
      // Not closed: its process was killed.
      const second = await open<Row>('rows.parquet', {}, { run: 'monday' })
      expect(second.position?.()).to.equal(5)
      await second.write(rows(2, 5), key(5, 7))
      await second.close()
      expect(await read('rows.parquet')).to.deep.equal(rows(7))
    })

    it('begins anew for a run of another name, or of another sink', async () => {
      const first = await open<Row>('rows.parquet', {}, { run: 'monday' })
      await first.write(rows(5), key(0, 5))
      await first.close()
      const other = await open<Row>('rows.parquet', { name: 'another', append: true }, { run: 'monday' })
      expect(other.position?.()).to.equal(0)
      const second = await open<Row>('rows.parquet', {}, { run: 'tuesday' })
      expect(second.position?.()).to.equal(0)
      await second.write(rows(1), { run: 'tuesday', from: 0, to: 1 })
      await second.close()
      expect(await numbers('rows.parquet')).to.deep.equal([0])
    })

    it('knows how far it had come in a file that is continued, whoever has written to it since', async () => {
      const options = { append: true, rotate: { bytes: 2_000 } }
      const day = async (name: string, start: number, end: number) => {
        const sink = await open<Row>('rows.parquet', options, { run: name })
        for (let at = Math.max(start, sink.position!()); at < end; at++) {
          await sink.write(rows(1, at), { run: name, from: at, to: at + 1 })
        }
        await sink.close()
        return sink.counters.written
      }
      expect(await day('monday', 0, 5)).to.equal(5)
      expect(await day('tuesday', 0, 3)).to.equal(3)
      expect(await day('wednesday', 0, 1)).to.equal(1)
      expect(await day('monday', 0, 6)).to.equal(1)
      expect(await day('tuesday', 0, 3)).to.equal(0)
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1, 2, 3, 4, 0, 1, 2, 0, 5])
    })

    it('takes no file for its own when it has no name', async () => {
      const first = await open<Row>('rows.parquet', {}, { run: 'monday' })
      await first.write(rows(5), key(0, 5))
      await first.close()
      const second = await open<Row>('rows.parquet')
      expect(second.position?.()).to.equal(0)
      await second.write(rows(1, 7))
      await second.close()
      expect(await numbers('rows.parquet')).to.deep.equal([7])
    })

    it('knows it from the finished files when the next one has not begun', async () => {
      const options = { rotate: { bytes: 1 } }
      const first = await open<Row>('rows.parquet', options, { run: 'monday' })
      await first.write(rows(5), key(0, 5))
      await first.close()
      await rename(folder.file('rows.parquet'), folder.file('rows.000001.parquet'))
      const second = await open<Row>('rows.parquet', options, { run: 'monday' })
      expect(second.position?.()).to.equal(5)
      await second.write(rows(2, 5), key(5, 7))
      await second.close()
      expect(await numbers('rows.parquet')).to.deep.equal([5, 6])
    })

    it('leaves out, in each folder, what is there already', async () => {
      const options = { partition: ['side'] }
      const values = Array.from({ length: 9 }, (_, n) => ({ n, side: n % 3 === 0 ? 'buy' : 'sell' }))
      const first = await open<object>('rows', options, { run: 'monday' })
      await first.write(values.slice(0, 4), key(0, 4))
      // The folder `buy` is written, `sell` is not, and the process is killed.
      const sell = await onlyFile('rows/side=sell')
      const sold = await readFile(sell)
      await first.write(values.slice(4, 9), key(4, 9))
      await writeFile(sell, sold)

      const second = await open<object>('rows', options, { run: 'monday' })
      expect(second.position?.()).to.equal(4)
      await second.write(values.slice(4, 7), key(4, 7))
      await second.write(values.slice(7, 9), key(7, 9))
      await second.close()
      const found = await query(
        `SELECT n, side FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}) ORDER BY n`,
      )
      expect(found).to.deep.equal(values)
      const third = await open<object>('rows', options, { run: 'monday' })
      expect(third.position?.()).to.equal(9)
    })

    it('leaves out, in each folder, what its finished files have when the next one has not begun', async () => {
      const options = { partition: ['side'], rotate: { bytes: 1 } }
      const values = Array.from({ length: 6 }, (_, n) => ({ n, side: n % 3 === 0 ? 'buy' : 'sell' }))
      const first = await open<object>('rows', options, { run: 'monday' })
      await first.write(values.slice(0, 4), key(0, 4))
      // The folder `buy` is written, `sell` is not, and the process is killed; the next one when it has numbered a file.
      await rm(folder.file('rows/side=sell'), { recursive: true })
      const buy = await onlyFile('rows/side=buy')
      await rename(buy, buy.replace('.parquet', '.000001.parquet'))

      const second = await open<object>('rows', options, { run: 'monday' })
      expect(second.position?.()).to.equal(0)
      await second.write(values, key(0, 6))
      await second.close()
      const found = await query(
        `SELECT n, side FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}) ORDER BY n`,
      )
      expect(found).to.deep.equal(values)
    })

    it('counts a value that was refused, so that the others keep their places', async () => {
      const options = { partition: ['side'], columns: { n: 'number', side: 'text' } } as const
      const values = [
        { n: 0, side: 'a' },
        { n: 'x', side: 'a' },
        { n: 2, side: 'b' },
        { n: 3, side: 'a' },
      ]
      const { ledger } = await drain<object>(from([values]), parquet('rows', options), {
        capacity: 10,
        batchMax: 10,
        onFull: 'fail',
        outDir: folder.outDir,
        run: 'monday',
      })
      expect(ledger).to.deep.equal({ in: 4, out: 3, dropped: { unencodable: 1 }, inFlight: 0 })
      const found = await query(
        `SELECT n, side FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}) ORDER BY n`,
      )
      expect(found.map(({ n }) => n)).to.deep.equal([0, 2, 3])
      const again = await open('rows', options, { run: 'monday' })
      expect(again.position?.()).to.equal(4)
    })
  })

  describe('with partitions', () => {
    it('names folders by exchange, symbol and day, as DuckDB reads them', async () => {
      const trade = { kind: 'trade', price: 1, size: 2, receiveTimeUs: 0 } as const
      const events = [
        { ...trade, exchange: 'kraken', symbol: 'XBT/USD', exchangeTimeUs: 1_700_006_399_999_999 },
        { ...trade, exchange: 'kraken', symbol: 'XBT/USD', exchangeTimeUs: 1_700_006_400_000_000 },
        { ...trade, exchange: 'okx', symbol: 'BTC-USDT', exchangeTimeUs: -1 },
      ] as MarketEvent[]
      const sink = await open<MarketEvent>('trades', { partition: ['exchange', 'symbol', 'date'] })
      await sink.write(events)
      await sink.close()
      const files = (await readdir(folder.outDir, { recursive: true }))
        .filter((name) => name.endsWith('.parquet'))
        .sort()
      expect(files).to.deep.equal([
        'trades/exchange=kraken/symbol=XBT%2FUSD/date=2023-11-14/part-0.parquet',
        'trades/exchange=kraken/symbol=XBT%2FUSD/date=2023-11-15/part-0.parquet',
        'trades/exchange=okx/symbol=BTC-USDT/date=1969-12-31/part-0.parquet',
      ])
      const found = await query(
        `SELECT exchange, symbol, date::VARCHAR AS date, price FROM read_parquet(${sqlText(folder.file('trades/**/*.parquet'))}, hive_partitioning = true) ORDER BY exchange, date`,
      )
      expect(found).to.deep.equal([
        { exchange: 'kraken', symbol: 'XBT/USD', date: '2023-11-14', price: 1 },
        { exchange: 'kraken', symbol: 'XBT/USD', date: '2023-11-15', price: 1 },
        { exchange: 'okx', symbol: 'BTC-USDT', date: '1969-12-31', price: 1 },
      ])
    })

    it('lets no value leave the folder, and gives each back as it was', async () => {
      const values = [
        '..',
        '../../x',
        '/etc',
        'a=b',
        '%2F',
        'ü 漢',
        '*?[',
        "'quoted'",
        '.',
        'a\\b',
        'n\u0000l',
        '\ud800',
        ' ',
        'CON',
      ]
      const sink = await open<object>('rows', { partition: ['s'], columns: { s: 'text', n: 'number' } })
      await sink.write(values.map((s, n) => ({ s, n })))
      await sink.close()
      expect(await readdir(folder.outDir)).to.deep.equal(['rows'])
      expect((await readdir(path.dirname(folder.outDir))).sort()).to.deep.equal(['out'])
      const found = await query(
        `SELECT s, n FROM read_parquet(${sqlText(folder.file('rows/*/*.parquet'))}, hive_partitioning = true, hive_types_autocast = false) ORDER BY n`,
      )
      expect(found.map(({ s }) => s)).to.deep.equal(values.map((value) => (value === '\ud800' ? '\ufffd' : value)))
    })

    it('puts values that are absent into a folder that says so', async () => {
      const sink = await open<object>('rows', {
        partition: ['s', 'date'],
        columns: { s: 'text', atTimeUs: 'timeUs', n: 'number' },
      })
      await sink.write([{ n: 1 }])
      await sink.close()
      const found = await query(
        `SELECT s, date, n FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}, hive_partitioning = true)`,
      )
      expect(found).to.deep.equal([{ s: null, date: null, n: 1 }])
    })

    it('refuses a value that is too long for the name of a folder', async () => {
      const sink = await open<object>('rows', { partition: ['s'] })
      const fault = await faultOf(
        sink.write([
          { s: 'short', n: 1 },
          { s: 'x'.repeat(300), n: 2 },
        ]),
      )
      expect(fault).to.include({ code: 'VALUE_INVALID' })
      expect(fault.details).to.include({ index: 1 })
      expect(fault.message).to.contain('too long for the name of a folder (302 bytes, at most 255)')
    })

    it('refuses partitions that are no columns, or all of them', async () => {
      const sink = await open<Row>('rows', { partition: ['nothing'] })
      expect((await faultOf(sink.write(rows(1)))).message).to.contain('cannot be partitioned by "nothing"')
      const whole = await open<Row>('others', { partition: ['n', 'text'] })
      expect((await faultOf(whole.write(rows(1)))).message).to.contain('by all of its columns')
      expect(() => parquet('rows', { partition: [] })).to.throw('name 1 to 8 columns')
    })

    it('gives each kind of event its columns when it is partitioned by kind', async () => {
      const sink = await open<MarketEvent>('events', { partition: ['kind'] })
      await sink.write(hardEvents())
      await sink.close()
      const counts = await query(
        `SELECT kind, count(*) AS n FROM read_parquet(${sqlText(folder.file('events/*/*.parquet'))}, hive_partitioning = true, union_by_name = true) GROUP BY kind ORDER BY kind`,
      )
      expect(counts.map(({ kind, n }) => [kind, Number(n)])).to.deep.equal([
        ['candle', 1],
        ['delta', 1],
        ['derivative', 1],
        ['liquidation', 1],
        ['notice', 1],
        ['snapshot', 1],
        ['ticker', 1],
        ['trade', 3],
      ])
    })

    it('keeps a data set of earlier runs, to which each run adds files of its own, also of other columns', async () => {
      const first = await open<object>('rows', { partition: ['s'] })
      await first.write([{ s: 'a', n: 1 }])
      await first.close()
      const before = await readFile(folder.file('rows/s=a/part-0.parquet'))
      const second = await open<object>('rows', { partition: ['s'] })
      await second.write([{ s: 'a', n: 2 }])
      await second.close()
      const third = await open<object>('rows', { partition: ['s'] })
      await third.write([{ s: 'a', m: 3 }])
      await third.close()
      expect((await readdir(folder.file('rows/s=a'))).sort()).to.deep.equal([
        'part-0.parquet',
        'part-1.parquet',
        'part-2.parquet',
      ])
      expect((await readFile(folder.file('rows/s=a/part-0.parquet'))).equals(before)).to.equal(true)
      const found = await query(
        `SELECT n, m FROM read_parquet(${sqlText(folder.file('rows/*/*.parquet'))}, union_by_name = true) ORDER BY n`,
      )
      expect(found).to.deep.equal([
        { n: 1, m: null },
        { n: 2, m: null },
        { n: null, m: 3 },
      ])
    })

    describe('that several runs write', () => {
      const options = { partition: ['side'], partitionsOpen: 1 }
      const valuesOf = (day: string) => Array.from({ length: 6 }, (_, n) => ({ day, n, side: n % 2 ? 'buy' : 'sell' }))
      const found = async () =>
        (
          await query(
            `SELECT day, n FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}, hive_partitioning = true, union_by_name = true) ORDER BY day, n`,
          )
        ).map(({ day, n }) => `${String(day)} ${String(n)}`)
      const wanted = (...days: string[]) => days.flatMap((day) => valuesOf(day).map(({ n }) => `${day} ${n}`))

      /** As a pipeline does it: what stands there already is not offered. */
      async function run(day: string, { upTo = 6, name = 'trades' } = {}): Promise<Sink<object>> {
        const sink = await open<object>('rows', { ...options, name }, { run: day })
        for (let at = sink.position!(); at < upTo; at++) {
          await sink.write(valuesOf(day).slice(at, at + 1), { run: day, from: at, to: at + 1 })
        }
        return sink
      }

      it('has each row once, when a run is repeated after others have written', async () => {
        await (await run('monday')).close()
        await (await run('tuesday')).close()
        const files = (await readdir(folder.file('rows'), { recursive: true })).sort()
        for (const day of ['monday', 'tuesday', 'monday']) await (await run(day)).close()
        expect(await found()).to.deep.equal(wanted('monday', 'tuesday'))
        expect((await readdir(folder.file('rows'), { recursive: true })).sort()).to.deep.equal(files)
      })

      it('has each row once, when a run was killed, another ran, and the first is repeated', async () => {
        // Not closed: its process was killed.
        await run('monday', { upTo: 4 })
        await (await run('tuesday')).close()
        const again = await run('monday')
        expect(again.counters.written).to.equal(2)
        await again.close()
        expect(await found()).to.deep.equal(wanted('monday', 'tuesday'))
      })

      it('has each row once, when the note beside the folders is lost', async () => {
        await (await run('monday')).close()
        await (await run('tuesday')).close()
        for (const name of await readdir(folder.file('rows'))) {
          if (name.startsWith('.position')) await rm(folder.file(`rows/${name}`))
        }
        const again = await run('monday')
        expect(again.counters.written).to.equal(0)
        await again.close()
        expect(await found()).to.deep.equal(wanted('monday', 'tuesday'))
      })

      it('gives writers at the same time files of their own', async () => {
        const sinks = await Promise.all(['a', 'b', 'c', 'd'].map(() => open<object>('rows', options)))
        await Promise.all(sinks.map((sink, at) => sink.write([{ day: 'none', n: at, side: 'buy' }])))
        const other = await run('monday')
        const more = await run('monday', { name: 'the same trades again' })
        for (const sink of [...sinks, other, more]) await sink.close()
        expect(await found()).to.deep.equal([
          ...wanted('monday').flatMap((row) => [row, row]),
          ...[0, 1, 2, 3].map((n) => `none ${n}`),
        ])
        const names = await readdir(folder.file('rows/side=buy'))
        expect(names).to.have.length(6)
        // Who begins in the same moment may leave a number out.
        expect(names.filter((name) => /^part-\d{1,3}\.parquet$/.test(name))).to.have.length(4)
      })

      it('keeps no more beside the folders than how far runs with a name have come, and the last number', async () => {
        for (let at = 0; at < 5; at++) await (await open<object>('rows', options)).close()
        await (await run('monday')).close()
        const beside = (await readdir(folder.file('rows'))).filter((name) => name.startsWith('.'))
        expect(beside.map((name) => name.replace(/[0-9a-f]{16}/, 'id')).sort()).to.deep.equal([
          '.position-id.json',
          '.run-4',
        ])
      })

      it('removes what a killed run has left out of sight, once it is an hour old', async () => {
        await (await run('monday')).close()
        const [left, busy] = ['rows/side=buy/.part-9.parquet.a', 'rows/side=buy/.part-10.parquet.a']
        for (const name of [left, busy]) await writeFile(folder.file(name), 'half')
        const { mtimeMs } = await stat(folder.file(busy))
        await utimes(folder.file(left), mtimeMs / 1_000, mtimeMs / 1_000 - 2 * 3_600)
        await (await run('tuesday')).close()
        const names = await readdir(folder.file('rows/side=buy'))
        expect(names).to.include('.part-10.parquet.a')
        expect(names).to.not.include('.part-9.parquet.a')
      })
    })

    it('writes to more partitions than it holds ready', async () => {
      const sink = await open<object>('rows', { partition: ['s'], partitionsOpen: 1 })
      for (let at = 0; at < 3; at++) await sink.write([0, 1, 2].map((s) => ({ s: `s${s}`, n: at * 3 + s })))
      const found = await query(`SELECT n FROM read_parquet(${sqlText(folder.file('rows/*/*.parquet'))}) ORDER BY n`)
      expect(found.map(({ n }) => n)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8])
      expect(sink.counters.written).to.equal(9)
    })
  })

  describe('rotated', () => {
    it('finishes a file that has its size, and numbers it', async () => {
      const sink = await open<Row>('rows.parquet', { rotate: { bytes: 100 } })
      for (let at = 0; at < 4; at++) await sink.write(rows(100, at * 100))
      await sink.close()
      const files = (await readdir(folder.outDir)).sort()
      expect(files).to.deep.equal(['rows.000001.parquet', 'rows.000002.parquet', 'rows.000003.parquet', 'rows.parquet'])
      const found = (await Promise.all(files.map(read))).flat()
      expect(found).to.deep.equal(rows(400))
      expect(sink.counters.written).to.equal(400)
    })

    it('begins a file with the first batch after a multiple of a time', async () => {
      const sink = await open<Row>('rows.parquet', { rotate: { everyMs: 60_000 } })
      await sink.write(rows(1))
      await sink.write(rows(1, 1))
      clock.advance(60_000)
      await sink.write(rows(1, 2))
      await sink.close()
      expect(await numbers('rows.000001.parquet')).to.deep.equal([0, 1])
      expect(await numbers('rows.parquet')).to.deep.equal([2])
    })

    it('never replaces a finished file', async () => {
      await mkdir(folder.outDir, { recursive: true })
      await writeFile(folder.file('rows.000007.parquet'), 'finished')
      const sink = await open<Row>('rows.parquet', { rotate: { bytes: 1 } })
      await sink.write(rows(1))
      await sink.write(rows(1, 1))
      await sink.close()
      expect(await readFile(folder.file('rows.000007.parquet'), 'utf8')).to.equal('finished')
      expect(await numbers('rows.000008.parquet')).to.deep.equal([0])
    })
  })

  describe('refuses', () => {
    it('a field without a column', async () => {
      const sink = await open<object>('rows.parquet')
      await sink.write([{ n: 1 }])
      const fault = await faultOf(sink.write([{ n: 2 }, { n: 3, m: 4 }]))
      expect(fault).to.include({ code: 'VALUE_INVALID' })
      expect(fault.details).to.include({ index: 1 })
      expect(await numbers('rows.parquet')).to.deep.equal([1])
    })

    it('an event of another kind than the file holds', async () => {
      const sink = await open<MarketEvent>('events.parquet')
      const fault = await faultOf(sink.write(hardEvents()))
      expect(fault.message).to.contain('it belongs to book_changes, where the file holds trades')
      expect(fault.details).to.include({ index: 3 })
    })

    it('a first value that tells no type', async () => {
      const sink = await open<object>('rows.parquet')
      expect((await faultOf(sink.write([{ n: undefined }]))).message).to.contain('declare the columns of the sink')
    })

    it('names that readers could not tell apart', async () => {
      const sink = await open<object>('rows.parquet')
      expect((await faultOf(sink.write([{ a: 1, A: 2 }]))).message).to.contain(
        'whose names differ in more than their case',
      )
    })

    it('options that are none', () => {
      expect(() => parquet('rows.parquet', { rowGroupRows: 0 })).to.throw('a whole number above 0')
      expect(() => parquet('rows.parquet', { compression: 'lzo' as 'none' })).to.throw('zstd, snappy or none')
      expect(() => parquet('rows.parquet', { rotate: { bytes: -1 } })).to.throw('a number above 0')
    })
  })

  describe('when its destination fails', () => {
    it('says that another has changed the file, and goes on with what is there', async () => {
      const sink = await open<Row>('rows.parquet')
      await sink.write(rows(3))
      const other = await open<Row>('rows.parquet', { append: true })
      await other.write(rows(1, 100))
      const fault = await faultOf(sink.write(rows(1, 3)))
      expect(fault.message).to.contain('replaced or changed by another')
      await sink.write(rows(1, 3))
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1, 2, 100, 3])
    })

    it('begins the file again when it was taken away', async () => {
      const sink = await open<Row>('rows.parquet')
      await sink.write(rows(3))
      await rm(folder.file('rows.parquet'))
      expect((await faultOf(sink.write(rows(1, 3)))).code).to.equal('SINK_REJECTED')
      await sink.write(rows(1, 3))
      expect(await numbers('rows.parquet')).to.deep.equal([3])
    })

    it('goes on when its twin was taken away', async () => {
      const sink = await open<Row>('rows.parquet')
      for (let at = 0; at < 6; at++) {
        await sink.write(rows(1, at))
        for (const twin of ['.rows.parquet.a', '.rows.parquet.b']) await rm(folder.file(twin), { force: true })
      }
      await sink.close()
      expect(await read('rows.parquet')).to.deep.equal(rows(6))
    })

    it('says that the folder is read-only', async () => {
      const sink = await open<Row>('rows.parquet')
      await sink.write(rows(1))
      await chmod(folder.outDir, 0o500)
      const fault = await asUnprivileged(() => faultOf(sink.write(rows(1, 1))), path.dirname(folder.outDir))
      expect(fault.message).to.contain('permission is denied')
      await chmod(folder.outDir, 0o700)
      await sink.write(rows(1, 1))
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1])
    })

    it('says that the disk is full when it is, and keeps what is acknowledged', async function () {
      if (process.platform !== 'linux') this.skip()
      const sink = await open<Row>('rows.parquet')
      await sink.write(rows(2))
      await symlink('/dev/full', folder.file('.rows.parquet.rows'))
      const fault = await faultOf(sink.write(rows(1, 2)))
      expect(fault.message).to.contain('the disk is full')
      expect(fault.details).to.include({ errno: 'ENOSPC' })
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1])
      await rm(folder.file('.rows.parquet.rows'), { force: true })
      await sink.write(rows(1, 2))
      expect(await numbers('rows.parquet')).to.deep.equal([0, 1, 2])
    })
  })

  describe('merges row groups', () => {
    const group = (count: number) => ({ rows: count, start: 0, end: count, description: new Uint8Array() })
    /** What is there after batches of one row. */
    const grown = (count: number, full: number): number[] => {
      const sizes: number[] = []
      for (let at = 0; at < count; at++) {
        const kept = mergedFrom(sizes.map(group), 1, full)
        const merged = sizes.splice(kept).reduce((sum, size) => sum + size, 0) + 1
        sizes.push(merged)
      }
      return sizes
    }

    it('of a size into one of the next', () => {
      expect(grown(7, 1_000)).to.deep.equal([1, 1, 1, 1, 1, 1, 1])
      expect(grown(8, 1_000)).to.deep.equal([8])
      expect(grown(64, 1_000)).to.deep.equal([64])
      expect(grown(73, 1_000)).to.deep.equal([64, 8, 1])
    })

    it('into full ones, and leaves those alone', () => {
      expect(grown(2_000, 1_000)).to.deep.equal([1_000, 1_000])
      expect(grown(2_001, 1_000)).to.deep.equal([1_000, 1_000, 1])
    })

    it('so that there are few, and each row is encoded a few times', () => {
      for (const count of [100, 1_000, 9_999]) {
        expect(grown(count, 10_000).length).to.be.at.most(7 * 5)
      }
    })
  })
})
