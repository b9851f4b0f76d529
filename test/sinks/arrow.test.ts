import { tableFromIPC } from 'apache-arrow'
import { expect } from 'chai'
import { mkdir, readFile, readdir, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { arrow, type ArrowOptions } from '../../src/sinks/arrow'
import type { MarketEvent } from '../../src/model/events'
import { EVENT_FIELDS } from '../../src/sinks/eventFields'
import type { Sink, SinkContext } from '../../src/sinks/sink'
import { cellOf } from '../../src/sinks/tables/table'
import { arrowRows, hardEvents } from './columns'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf } from './support'

conformsAsSink('arrow', {
  keeps: 'all',
  create: (folder) => ({
    sink: arrow<Row>('out/rows.arrows'),
    read: async () => arrowRows(await readFile(folder.file('rows.arrows'))) as unknown as Row[],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('arrow', () => {
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

  async function open<T>(name: string, options?: ArrowOptions, context?: Partial<SinkContext>): Promise<Sink<T>> {
    const sink = arrow<T>(name, options)
    opened.push(sink)
    await sink.open({ outDir: folder.outDir, clock, ...context })
    return sink
  }

  const read = async (name: string): Promise<Record<string, unknown>[]> => arrowRows(await readFile(folder.file(name)))
  const numbers = async (name: string): Promise<unknown[]> => (await read(name)).map(({ n }) => n)

  for (const kind of Object.keys(EVENT_FIELDS) as MarketEvent['kind'][]) {
    it(`gives back every ${kind} as it was`, async () => {
      const events = hardEvents().filter((event) => event.kind === kind)
      const sink = await open<MarketEvent>('events.arrows')
      await sink.write(events)
      await sink.close()
      const wanted = events.map((event) =>
        Object.fromEntries(
          Object.entries(EVENT_FIELDS[kind]).map(([name, type]) => {
            const cell = cellOf(type, (event as unknown as Record<string, unknown>)[name]) ?? null
            return [name, typeof cell === 'number' && type !== 'number' ? BigInt(cell) : cell]
          }),
        ),
      )
      expect(await read('events.arrows')).to.deep.equal(wanted)
    })
  }

  it('writes a stream that a reader takes as a table, with types and an end', async () => {
    const sink = await open<MarketEvent>('trades.arrows')
    await sink.write(hardEvents().slice(0, 3))
    await sink.close()
    const bytes = await readFile(folder.file('trades.arrows'))
    const table = tableFromIPC(bytes)
    expect(table.numRows).to.equal(3)
    expect(table.schema.fields.map(({ name, type }) => `${name} ${String(type)}`)).to.deep.equal([
      'kind Utf8',
      'exchange Utf8',
      'symbol Utf8',
      'instrument Utf8',
      'exchangeTimeUs Timestamp<MICROSECOND, UTC>',
      'receiveTimeUs Timestamp<MICROSECOND, UTC>',
      'id Utf8',
      'side Utf8',
      'price Float64',
      'size Float64',
      'history Bool',
    ])
    expect([...bytes.subarray(-8)]).to.deep.equal([255, 255, 255, 255, 0, 0, 0, 0])
  })

  it('leaves a table without rows where columns are declared, and an empty file where none are known', async () => {
    await (await open('none.arrows', { columns: { n: 'number', text: 'text' } })).close()
    expect(tableFromIPC(await readFile(folder.file('none.arrows'))).schema.names).to.deep.equal(['n', 'text'])
    await (await open('unknown.arrows')).close()
    expect((await stat(folder.file('unknown.arrows'))).size).to.equal(0)
  })

  it('has every acknowledged row in the file', async () => {
    const sink = await open<Row>('rows.arrows')
    let count = 0
    for (const size of [1, 5_000, 3, 4_096, 9_000]) {
      await sink.write(rows(size, count))
      count += size
      expect(await numbers('rows.arrows')).to.deep.equal(rows(count).map(({ n }) => n))
    }
    expect(sink.counters).to.include({ written: count, bytes: (await stat(folder.file('rows.arrows'))).size })
  })

  it('writes more messages than one writer of the library is used for', async () => {
    const sink = await open<Row>('rows.arrows')
    for (let count = 0; count < 1_100; count++) await sink.write([row(count)])
    await sink.close()
    const table = tableFromIPC(await readFile(folder.file('rows.arrows')))
    expect(table.batches).to.have.length(1_100)
    expect(await numbers('rows.arrows')).to.deep.equal(rows(1_100).map(({ n }) => n))
  })

  it('splits books into messages of bounded size', async () => {
    const bids = Array.from({ length: 10_000 }, (_, at) => [at, 1] as const)
    const books = [0, 1, 2, 3, 4].map((seq) => ({ kind: 'snapshot', exchange: 'x', symbol: 's', seq, bids, asks: [] }))
    const sink = await open<object>('books.arrows')
    await sink.write(books)
    await sink.close()
    const table = tableFromIPC(await readFile(folder.file('books.arrows')))
    expect(table.batches.map(({ numRows }) => numRows)).to.deep.equal([2, 2, 1])
    expect((await read('books.arrows')).map(({ bids: found }) => (found as unknown[]).length)).to.deep.equal(
      books.map(() => 10_000),
    )
  })

  describe('after a process was killed', () => {
    it('is read up to its last whole message, and continued there, wherever it was cut', async () => {
      const key = (start: number, end: number) => ({ run: 'monday', from: start, to: end })
      const first = await open<Row>('rows.arrows', {}, { run: 'monday' })
      await first.write(rows(3), key(0, 3))
      const whole = (await stat(folder.file('rows.arrows'))).size
      await first.write(rows(3, 3), key(3, 6))
      await first.close()
      const bytes = await readFile(folder.file('rows.arrows'))
      for (let cut = whole; cut < bytes.length - 8; cut += 41) {
        await writeFile(folder.file('rows.arrows'), bytes.subarray(0, cut))
        expect(await numbers('rows.arrows'), `cut at ${cut}`).to.deep.equal([0, 1, 2])
        const second = await open<Row>('rows.arrows', {}, { run: 'monday' })
        expect(second.position?.()).to.equal(3)
        await second.write(rows(3, 3), key(3, 6))
        await second.close()
        expect(await read('rows.arrows')).to.deep.equal(rows(6))
      }
    })

    it('begins anew when not even the schema is whole', async () => {
      await mkdir(folder.outDir, { recursive: true })
      await writeFile(folder.file('rows.arrows'), Buffer.from([255, 255, 255, 255, 16, 0]))
      const sink = await open<Row>('rows.arrows', { append: true })
      await sink.write(rows(1))
      await sink.close()
      expect(await read('rows.arrows')).to.deep.equal(rows(1))
    })

    it('says of each message of a batch how far the run has come in it', async () => {
      const first = await open<Row>('rows.arrows', {}, { run: 'monday' })
      await first.write(rows(10_000), { run: 'monday', from: 0, to: 10_000 })
      const { size } = await stat(folder.file('rows.arrows'))
      await truncate(folder.file('rows.arrows'), size - 8)
      const second = await open<Row>('rows.arrows', {}, { run: 'monday' })
      expect(second.position?.()).to.equal(8_192)
      expect((await read('rows.arrows')).length).to.equal(8_192)
    })
  })

  it('knows from the finished files how far a run has come', async () => {
    const first = await open<Row>('rows.arrows', { rotate: { bytes: 1 } }, { run: 'monday' })
    await first.write(rows(2), { run: 'monday', from: 0, to: 2 })
    await first.close()
    await rename(folder.file('rows.arrows'), folder.file('rows.000001.arrows'))
    const second = await open<Row>('rows.arrows', { rotate: { bytes: 1 } }, { run: 'monday' })
    expect(second.position?.()).to.equal(2)
  })

  it('knows how far a run has come in a file that is continued, whoever has written to it since', async () => {
    const day = async (name: string | undefined, count: number): Promise<number> => {
      const options = { append: true, rotate: { bytes: 4_000 } }
      const sink = await open<Row>('rows.arrows', options, name === undefined ? {} : { run: name })
      for (let at = sink.position!(); at < count; at++) {
        await sink.write(rows(1, at), { run: name, from: at, to: at + 1 })
      }
      await sink.close()
      return sink.counters.written
    }
    expect(await day('monday', 5)).to.equal(5)
    expect(await day('tuesday', 3)).to.equal(3)
    expect(await day(undefined, 1)).to.equal(1)
    expect(await day('monday', 6)).to.equal(1)
    expect(await day('tuesday', 3)).to.equal(0)
    const files = (await readdir(folder.outDir)).sort()
    expect(files.length).to.be.above(1)
    const found = (await Promise.all(files.map((file) => numbers(file)))).flat()
    expect(found).to.deep.equal([0, 1, 2, 3, 4, 0, 1, 2, 0, 5])
  })

  it('replaces a file of an earlier run, or appends when it is told to', async () => {
    const sink = await open<Row>('rows.arrows')
    await sink.write(rows(3))
    await sink.close()
    const more = await open<Row>('rows.arrows', { append: true })
    await more.write(rows(1, 3))
    await more.close()
    expect(await read('rows.arrows')).to.deep.equal(rows(4))
    const anew = await open<Row>('rows.arrows')
    await anew.write(rows(1, 9))
    await anew.close()
    expect(await numbers('rows.arrows')).to.deep.equal([9])
  })

  it('refuses to append to other columns, with the difference', async () => {
    const sink = await open<Row>('rows.arrows')
    await sink.write(rows(3))
    await sink.close()
    const fault = await faultOf(open('rows.arrows', { append: true, columns: { n: 'text' } }))
    expect(fault).to.include({ code: 'OPTION_INVALID' })
    expect(fault.message).to.contain('its columns are n number, text text, not n text')
    expect(await read('rows.arrows')).to.deep.equal(rows(3))
  })

  it('rotates by size and by time', async () => {
    const sink = await open<Row>('rows.arrows', { rotate: { bytes: 2_000, everyMs: 60_000 } })
    await sink.write(rows(100))
    await sink.write(rows(1, 100))
    await sink.write(rows(1, 101))
    clock.advance(60_000)
    await sink.write(rows(1, 102))
    await sink.close()
    expect((await readdir(folder.outDir)).sort()).to.deep.equal([
      'rows.000001.arrows',
      'rows.000002.arrows',
      'rows.arrows',
    ])
    expect(await numbers('rows.000002.arrows')).to.deep.equal([100, 101])
    expect(await numbers('rows.arrows')).to.deep.equal([102])
    expect(tableFromIPC(await readFile(folder.file('rows.000001.arrows'))).numRows).to.equal(100)
  })

  it('refuses a value that does not fit before anything of its batch is written', async () => {
    const sink = await open<object>('rows.arrows', { columns: { n: 'number' } })
    const fault = await faultOf(sink.write([{ n: 1 }, { n: 'one' }]))
    expect(fault).to.include({ code: 'VALUE_INVALID' })
    expect(fault.details).to.include({ index: 1 })
    await sink.write([{ n: 1 }])
    expect(await numbers('rows.arrows')).to.deep.equal([1])
  })

  it('goes on with what is there when the file was replaced', async () => {
    const sink = await open<Row>('rows.arrows')
    await sink.write(rows(3))
    await rm(folder.file('rows.arrows'))
    await writeFile(folder.file('rows.arrows'), '')
    expect((await faultOf(sink.write(rows(1, 3)))).message).to.contain('was moved, replaced or cut by another')
    await sink.write(rows(1, 3))
    expect(await numbers('rows.arrows')).to.deep.equal([3])
  })

  it('says that the disk is full when it is', async function () {
    if (process.platform !== 'linux') this.skip()
    await mkdir(folder.outDir, { recursive: true })
    await symlink('/dev/full', folder.file('rows.arrows'))
    const sink = await open<Row>('rows.arrows')
    const fault = await faultOf(sink.write(rows(1)))
    expect(fault.message).to.contain('the disk is full')
    expect(fault.details).to.include({ errno: 'ENOSPC' })
  })
})
