import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { from } from 'rxjs'
import { csv } from '../../src/sinks/csv'
import { drain } from '../../src/sinks/drain'
import { jsonLines, type JsonLinesOptions } from '../../src/sinks/jsonLines'
import { conformsAsSink, rows, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf } from './support'

interface Quote {
  readonly symbol: string
  readonly n: number
}

const parse = (text: string): unknown[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)

/** All files below a folder, by their path from there. */
async function filesIn(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
  const texts = await Promise.all(files.sort().map((file) => readFile(file, 'utf8')))
  return new Map(files.map((file, at) => [path.relative(folder, file), texts[at]!]))
}

const DAY_US = 86_400e6

for (const [what, options] of [
  ['three files', {}],
  ['three files of which one is open at a time', { openFilesMax: 1 }],
  ['three files, rotated', { rotate: { bytes: 80 } }],
] as const) {
  conformsAsSink(`jsonLines, into ${what}`, {
    keeps: 'all',
    create: (folder) => ({
      sink: jsonLines<Row>('out/{date}/rows.jsonl', { ...options, timeUs: ({ n }) => (n % 3) * DAY_US }),
      read: async () => {
        const texts = [...(await filesIn(folder.outDir)).values()]
        return (texts.flatMap(parse) as Row[]).sort((a, b) => a.n - b.n)
      },
      breakIt: () => folder.vanish(),
      repairIt: () => folder.comeBack(),
    }),
  })
}

describe('a sink of many files', () => {
  let folder: TestFolder
  let clock: VirtualClock
  const context = () => ({ outDir: folder.outDir, clock })

  beforeEach(async () => {
    folder = await TestFolder.create()
    clock = new VirtualClock(Date.UTC(2024, 7, 7, 23, 30) * 1_000)
  })
  afterEach(() => folder.remove())

  async function written<T>(values: readonly T[], template: string, options: JsonLinesOptions<T> = {}, batch = 1_000) {
    const sink = jsonLines<T>(template, options)
    await sink.open(context())
    for (let at = 0; at < values.length; at += batch) await sink.write(values.slice(at, at + batch))
    await sink.close()
    return sink
  }
  const quotes = (count: number, symbols: readonly string[]): Quote[] =>
    Array.from({ length: count }, (_, n) => ({ symbol: symbols[n % symbols.length]!, n }))

  it('has a file for each value of a field, in order', async () => {
    const sink = await written(quotes(9, ['A', 'B', 'ADA/XBT']), 'out/{symbol}/rows.jsonl', {}, 4)
    const files = await filesIn(folder.outDir)
    expect([...files.keys()]).to.deep.equal(['A/rows.jsonl', 'ADA%2FXBT/rows.jsonl', 'B/rows.jsonl'])
    expect(parse(files.get('A/rows.jsonl')!)).to.deep.equal([0, 3, 6].map((n) => ({ symbol: 'A', n })))
    expect(sink.counters.written).to.equal(9)
    expect(sink.counters.bytes).to.equal([...files.values()].join('').length)
  })

  it('lets no value lead out of the output folder, or share its file with another', async () => {
    const symbols = [
      '../../x',
      '/etc/x',
      '..',
      '.',
      '',
      'a\0b',
      'CON',
      'con',
      'X'.repeat(300),
      'btc',
      'BTC',
      'a/b',
      'a%2Fb',
    ]
    await written(quotes(symbols.length, symbols), '{symbol}/{symbol}.jsonl')
    const files = await filesIn(folder.outDir)
    expect(new Set([...files.keys()].map((name) => name.toLowerCase())).size).to.equal(symbols.length)
    for (const text of files.values()) expect(parse(text)).to.have.length(1)
    expect(await readdir(path.dirname(folder.outDir))).to.deep.equal(['out'])
  })

  it('has the date and hour of the value where it has a time, else of the stream', async () => {
    const day = (text: string): number => Date.parse(text) * 1_000
    const values = [
      { exchangeTimeUs: day('2024-02-29T23:59:59.999Z'), receiveTimeUs: day('2024-03-01T00:00:00Z') },
      { exchangeTimeUs: undefined, receiveTimeUs: day('2024-03-01T00:00:00Z') },
      { exchangeTimeUs: 8.64e21, timeUs: day('2024-03-02T05:00:00Z') },
      { exchangeTimeUs: NaN },
      { n: 1 },
    ]
    await written<object>(values, '{date}/{hour}.jsonl')
    expect([...(await filesIn(folder.outDir)).keys()]).to.deep.equal([
      '2024-02-29/23.jsonl',
      '2024-03-01/00.jsonl',
      '2024-03-02/05.jsonl',
      '2024-08-07/23.jsonl',
    ])
  })

  it('has the time that it is told of a value', async () => {
    await written([{ day: 19_000 }], '{date}.jsonl', { timeUs: ({ day }) => day * DAY_US })
    expect([...(await filesIn(folder.outDir)).keys()]).to.deep.equal(['2022-01-08.jsonl'])
  })

  it('goes on in the same files when it is opened again to resume, and begins anew for another run', async () => {
    const sink = jsonLines<Quote>('{symbol}.jsonl')
    await sink.open(context())
    await sink.write(quotes(2, ['A', 'B']))
    await sink.close()
    await sink.open({ ...context(), resume: true })
    await sink.write(quotes(2, ['A', 'B']))
    await sink.close()
    expect(parse((await filesIn(folder.outDir)).get('A.jsonl')!)).to.have.length(2)
    await sink.open(context())
    await sink.write(quotes(1, ['A']))
    await sink.close()
    expect(parse((await filesIn(folder.outDir)).get('A.jsonl')!)).to.have.length(1)
    expect(sink.counters.written).to.equal(1)
  })

  it('has no more files open than it may, and loses nothing by it', async () => {
    const symbols = Array.from({ length: 40 }, (_, at) => `S${at}`)
    await written(quotes(400, symbols), '{symbol}.jsonl', { openFilesMax: 3, rotate: { bytes: 60 } }, 35)
    const files = await filesIn(folder.outDir)
    const read = [...files.values()].flatMap(parse) as Quote[]
    expect(read.sort((a, b) => a.n - b.n)).to.deep.equal(quotes(400, symbols))
    expect(files.get('S0.000001.jsonl')).to.equal('{"symbol":"S0","n":0}\n{"symbol":"S0","n":40}\n')
  })

  it('keeps so few handles', async function () {
    if (process.platform !== 'linux') this.skip()
    const sink = jsonLines<Quote>('{symbol}.jsonl', { openFilesMax: 5 })
    await sink.open(context())
    await sink.write(
      quotes(
        100,
        Array.from({ length: 100 }, (_, at) => `S${at}`),
      ),
    )
    const { readlink } = await import('node:fs/promises')
    const handles = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    )
    expect(handles.filter((file) => file.startsWith(folder.outDir))).to.have.length(5)
    await sink.close()
  })

  it('leaves out values whose file would be one too many, with a word', async () => {
    const messages: string[] = []
    const result = await drain(
      from([quotes(10, ['A', 'B', 'C', 'D', 'E'])]),
      jsonLines<Quote>('{symbol}.jsonl', { filesMax: 3 }),
      {
        capacity: 10,
        batchMax: 10,
        onFull: 'fail',
        outDir: folder.outDir,
        onFault: ({ message }) => messages.push(message),
      },
    )
    expect(result.ledger).to.deep.equal({ in: 10, out: 6, dropped: { unencodable: 4 }, inFlight: 0 })
    expect(messages[0]).to.contain('its file D.jsonl would be one more than filesMax = 3 allows')
    expect([...(await filesIn(folder.outDir)).keys()]).to.deep.equal(['A.jsonl', 'B.jsonl', 'C.jsonl'])
  })

  it('stops at one too many when it is told to', async () => {
    const fault = await faultOf(written(quotes(2, ['A', 'B']), '{symbol}.jsonl', { filesMax: 1, onFilesMax: 'stop' }))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('stops at a value')
  })

  it('forgets the files of past hours first, and goes on in one of them rather than replace it', async () => {
    const at = (hour: number, n: number): object => ({ timeUs: Date.UTC(2024, 0, 1, hour) * 1_000, n })
    const values = [at(1, 0), at(2, 1), at(3, 2), at(1, 3), at(4, 4)]
    await written(values, '{date}-{hour}.jsonl', { filesMax: 2 }, 1)
    const files = await filesIn(folder.outDir)
    expect([...files].map(([name, text]) => [name, parse(text).length])).to.deep.equal([
      ['2024-01-01-01.jsonl', 2],
      ['2024-01-01-02.jsonl', 1],
      ['2024-01-01-03.jsonl', 1],
      ['2024-01-01-04.jsonl', 1],
    ])
  })

  it('repeats no line of one file when another could not be written', async () => {
    const sink = jsonLines<Quote>('{symbol}/rows.jsonl')
    await sink.open(context())
    await sink.write(quotes(3, ['A', 'B', 'C']))
    await rm(folder.file('B'), { recursive: true })
    await writeFile(folder.file('B'), 'in the way')
    const batch = quotes(30, ['A', 'B', 'C'])
    const fault = await faultOf(sink.write(batch))
    expect(fault.code).to.equal('SINK_REJECTED')
    await faultOf(sink.write(batch))
    // The others did not wait for it.
    expect(parse((await filesIn(folder.outDir)).get('C/rows.jsonl')!)).to.have.length(11)
    await rm(folder.file('B'))
    await sink.write(batch)
    await sink.close()
    const files = await filesIn(folder.outDir)
    expect([...files.values()].map((text) => parse(text).length)).to.deep.equal([11, 10, 11])
    expect(sink.counters.written).to.equal(33)
  })

  it('refuses the values of a file to which a symbolic link leads out of the output folder, and no others', async function () {
    if (process.platform === 'win32') this.skip()
    const outside = path.join(path.dirname(folder.outDir), 'outside')
    await mkdir(outside)
    await mkdir(folder.outDir)
    await writeFile(path.join(outside, 'file.jsonl'), 'mine')
    await symlink(outside, folder.file('LINK'))
    await mkdir(folder.file('FILE'))
    await symlink(path.join(outside, 'file.jsonl'), folder.file('FILE/rows.jsonl'))
    await mkdir(folder.file('DANGLING'))
    await symlink(path.join(outside, 'new.jsonl'), folder.file('DANGLING/rows.jsonl'))
    await mkdir(folder.file('real'))
    await symlink(folder.file('real'), folder.file('INSIDE'))
    const faults: string[] = []
    const result = await drain(
      from([quotes(10, ['LINK', 'FILE', 'DANGLING', 'INSIDE', 'A'])]),
      jsonLines<Quote>('{symbol}/rows.jsonl'),
      {
        capacity: 10,
        batchMax: 10,
        onFull: 'fail',
        outDir: folder.outDir,
        onFault: ({ message }) => faults.push(message),
      },
    )
    expect(result.ledger).to.deep.equal({ in: 10, out: 4, dropped: { unencodable: 6 }, inFlight: 0 })
    expect(faults[0]).to.contain('a symbolic link leads out of the output folder')
    expect(await filesIn(outside)).to.deep.equal(new Map([['file.jsonl', 'mine']]))
    expect(parse(await readFile(folder.file('real/rows.jsonl'), 'utf8'))).to.have.length(2)
  })

  it('leaves out a value that can name no file, and one whose name is too long', async () => {
    const values = [{ symbol: 'A' }, { symbol: ['A'] }, { symbol: 'x'.repeat(3_000) }, { symbol: 'A' }]
    const faults: string[] = []
    const result = await drain(from([values]), jsonLines<object>('{symbol}.jsonl'), {
      capacity: 10,
      batchMax: 10,
      onFull: 'fail',
      outDir: folder.outDir,
      onFault: ({ message }) => faults.push(message),
    })
    expect(result.ledger.dropped).to.deep.equal({ unencodable: 2 })
    expect(faults[0]).to.contain('its symbol names its file, and should be a text or a number')
    expect(faults[1]).to.contain('the name of its file would have')
    expect(result.written).to.equal(2)
  })

  it('refuses an unknown field when it is opened, with the list of what may stand there', async () => {
    const fault = await faultOf(jsonLines('out/{symbl}.jsonl').open(context()))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('there is no "symbl"').and.to.contain('date, hour, kind, exchange, symbol')
    expect((await faultOf(jsonLines('../{symbol}.jsonl').open(context()))).message).to.contain(
      'leaves the output folder',
    )
    expect((await faultOf(jsonLines('{symbol}/..').open(context()))).message).to.contain('does not name a file')
    await jsonLines('{n}.jsonl', { schema: { type: 'object', properties: { n: { type: 'number' } } } }).open(context())
    await csv('{n}.csv', { columns: ['n'] }).open(context())
  })

  it('refuses bounds that are none', () => {
    expect(() => jsonLines('a', { openFilesMax: 0 })).to.throw('openFilesMax = 0')
    expect(() => jsonLines('a', { filesMax: 1.5 })).to.throw('filesMax = 1.5')
  })

  it('digests the same however the values were batched', async () => {
    const digests = []
    for (const batch of [1, 7, 100]) {
      const sink = await written(quotes(100, ['A', 'B', 'C']), '{symbol}.jsonl', { digest: true }, batch)
      digests.push(sink.digest?.())
    }
    const expected = createHash('sha256')
    for (const quote of quotes(100, ['A', 'B', 'C']))
      expected.update(`${quote.symbol}.jsonl\n${JSON.stringify(quote)}\n`)
    expect(digests).to.deep.equal(new Array(3).fill(`sha256:${expected.digest('hex')}`))
  })

  it('gives each file of a csv its own columns, and refuses the values of one that has others', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await writeFile(folder.file('bar.csv'), 'kind,x\r\nbar,1\r\n')
    await writeFile(folder.file('trade.csv'), 'price,kind\r\n1,trade\r\n')
    const sink = csv<object>('{kind}.csv', { append: true })
    await sink.open(context())
    await sink.write([
      { kind: 'trade', price: 2 },
      { kind: 'candle', open: 3 },
      { kind: 'bar', x: 2 },
    ])
    await sink.close()
    expect(Object.fromEntries(await filesIn(folder.outDir))).to.deep.equal({
      'bar.csv': 'kind,x\r\nbar,1\r\nbar,2\r\n',
      'candle.csv': 'kind,open\r\ncandle,3\r\n',
      'trade.csv': 'price,kind\r\n1,trade\r\n2,trade\r\n',
    })
    const declared = csv<object>('{kind}.csv', { append: true, columns: ['kind', 'y'] })
    await declared.open(context())
    const fault = await faultOf(
      declared.write([
        { kind: 'new', y: 1 },
        { kind: 'bar', y: 1 },
      ]),
    )
    expect(fault.code).to.equal('VALUE_INVALID')
    expect(fault.details).to.include({ index: 1 })
    expect(fault.message).to.contain('its columns are kind, x, not kind, y')
    await declared.close()
  })

  it('writes a large batch in slices, between which the event loop is free', async () => {
    const values = Array.from({ length: 30_000 }, (_, n) => ({ symbol: `S${n % 3}`, n, text: 'x'.repeat(50) }))
    const sink = jsonLines<object>('{symbol}.jsonl')
    await sink.open(context())
    let isWritten = false
    let turns = 0
    const count = (): void => {
      turns++
      if (!isWritten) setImmediate(count)
    }
    setImmediate(count)
    await sink.write(values)
    isWritten = true
    await sink.close()
    expect(turns).to.be.above(10)
  })

  it('is written as one where its template is none', async () => {
    await written(rows(2), 'a{{b}}.jsonl')
    expect([...(await filesIn(folder.outDir)).keys()]).to.deep.equal(['a{b}.jsonl'])
  })
})
