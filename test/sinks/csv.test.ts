import { expect } from 'chai'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { csv, type CsvOptions } from '../../src/sinks/csv'
import { conformsAsSink, rows, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf } from './support'

/** A reader of RFC 4180 that knows nothing of the writer. */
function parse(text: string): string[][] {
  const parsed: string[][] = []
  for (const record of text.match(/(?:"(?:[^"]|"")*"|[^"\r\n])*\r\n/g) ?? []) {
    const cells = record.slice(0, -2).match(/(?:^|,)(?:"(?:[^"]|"")*"|[^,]*)/g) ?? []
    parsed.push(
      cells.map((cell) =>
        cell
          .replace(/^,/, '')
          .replace(/^"([^]*)"$/, '$1')
          .replaceAll('""', '"'),
      ),
    )
  }
  return parsed
}

conformsAsSink('csv', {
  keeps: 'all',
  create: (folder) => ({
    sink: csv<Row>('out/rows.csv'),
    read: async () => {
      const [header, ...records] = parse(await readFile(folder.file('rows.csv'), 'utf8'))
      expect(header).to.deep.equal(['n', 'text'])
      return records.map(([n, text]) => ({ n: Number(n), text: text! }))
    },
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('csv', () => {
  let folder: TestFolder
  const clock = new VirtualClock(1_700_000_000_000_000)
  const text = (name: string): Promise<string> => readFile(folder.file(name), 'utf8')

  beforeEach(async () => (folder = await TestFolder.create()))
  afterEach(() => folder.remove())

  async function written(values: unknown[], options?: CsvOptions, name = 'rows.csv'): Promise<string> {
    const sink = csv(name, options)
    await sink.open({ outDir: folder.outDir, clock })
    await sink.write(values)
    await sink.close()
    return await text(name)
  }

  it('begins with a header row and ends rows with CRLF', async () => {
    expect(await written([{ a: 1, b: 'x' }])).to.equal('a,b\r\n1,x\r\n')
  })

  it('writes the columns that are given, in their order', async () => {
    expect(await written([{ a: 1, b: 2, c: 3 }], { columns: ['c', 'a'] })).to.equal('c,a\r\n3,1\r\n')
  })

  it('leaves a cell empty where the first row had a field and this one has not', async () => {
    expect(
      await written([
        { a: 1, b: 2 },
        { b: 3, c: 4 },
      ]),
    ).to.equal('a,b\r\n1,2\r\n,3\r\n')
  })

  it('tells an empty text from an absent value', async () => {
    expect(await written([{ a: '', b: undefined, c: null }])).to.equal('a,b,c\r\n"",,\r\n')
  })

  it('writes a row of one absent value so that no reader takes it for an empty line', async () => {
    expect(await written([{ a: undefined }])).to.equal('a\r\n""\r\n')
  })

  it('quotes what has commas, quotes, line breaks or white space at its ends', async () => {
    const cells = ['a,b', 'say "x"', 'two\nlines', 'two\r\nlines', ' left', 'right ', 'plain', '漢字']
    const [, record] = parse(await written([Object.fromEntries(cells.map((cell, at) => [`c${at}`, cell]))]))
    expect(record).to.deep.equal(cells)
  })

  it('writes numbers so that they read back the same, and no NaN', async () => {
    const numbers = { a: 0.1, b: 1e-7, c: 1e21, d: -0.5, e: NaN, f: Infinity, g: 12345678901234567890n }
    expect(await written([numbers])).to.equal('a,b,c,d,e,f,g\r\n0.1,1e-7,1e+21,-0.5,,,12345678901234567890\r\n')
  })

  it('writes dates in ISO 8601, lists and objects as JSON, functions not at all', async () => {
    const value = {
      at: new Date(0),
      never: new Date(NaN),
      list: [1, 'x'],
      map: new Map([['k', 1]]),
      f: () => 1,
      yes: true,
    }
    expect(parse(await written([value]))[1]).to.deep.equal([
      '1970-01-01T00:00:00.000Z',
      '',
      '[1,"x"]',
      '{"k":1}',
      '',
      'true',
    ])
  })

  it('writes values that are no objects in a column of their own', async () => {
    expect(await written([1, 'two'])).to.equal('value\r\n1\r\ntwo\r\n')
  })

  it('leaves text that looks like a formula alone unless it is asked to defuse it', async () => {
    expect(await written([{ a: '=1+1' }])).to.equal('a\r\n=1+1\r\n')
  })

  it('defuses formulas, also behind white space, but not numbers', async () => {
    const values = [{ a: '=1+1', b: '+x', c: '-x', d: '@x', e: '\t=x', f: ' =x', g: '＝x', h: -5, i: 'a=b' }]
    const [, record] = parse(await written(values, { defuse: true }))
    expect(record).to.deep.equal(["'=1+1", "'+x", "'-x", "'@x", "'\t=x", "' =x", "'＝x", '-5', 'a=b'])
  })

  it('defuses the header too', async () => {
    expect(await written([{ '=a': 1 }], { defuse: true })).to.equal("'=a\r\n1\r\n")
  })

  it('begins every rotated file with the header', async () => {
    await written(rows(5), { rotate: { bytes: 70 } })
    for (const name of await readdir(folder.outDir)) {
      expect(parse(await text(name))[0], name).to.deep.equal(['n', 'text'])
    }
    expect((await readdir(folder.outDir)).length).to.be.above(1)
  })

  it('continues a file under its own header, without repeating it', async () => {
    await written([{ a: 1, b: 2 }])
    expect(await written([{ b: 4, a: 3 }], { append: true })).to.equal('a,b\r\n1,2\r\n3,4\r\n')
  })

  it('continues a defused file under the names of its fields', async () => {
    await written([{ '=a': 1, b: 2 }], { defuse: true })
    expect(await written([{ b: 4, '=a': 3 }], { append: true, defuse: true })).to.equal("'=a,b\r\n1,2\r\n3,4\r\n")
  })

  it('refuses to continue a file that has other columns', async () => {
    await written([{ a: 1, b: 2 }])
    const fault = await faultOf(written([{ c: 1 }], { append: true, columns: ['c'] }))
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.contain('its columns are a, b, not c')
    expect(await text('rows.csv')).to.equal('a,b\r\n1,2\r\n')
  })

  it('cuts off half a row, also one with line breaks between its quotes, before it continues', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await writeFile(folder.file('rows.csv'), 'a,b\r\n1,"two\r\nlines"\r\n2,"cut\r\nin the mid')
    expect(await written([{ a: 3, b: 'x' }], { append: true })).to.equal('a,b\r\n1,"two\r\nlines"\r\n3,x\r\n')
  })

  it('writes hostile field names as they are', async () => {
    const value = JSON.parse('{"__proto__": 1, "constructor": 2}') as unknown
    expect(await written([value])).to.equal('__proto__,constructor\r\n1,2\r\n')
  })

  it('digests exactly the bytes of the file', async () => {
    const sink = csv<Row>('rows.csv', { digest: true })
    await sink.open({ outDir: folder.outDir, clock })
    await sink.write(rows(3))
    await sink.close()
    const { createHash } = await import('node:crypto')
    expect(sink.digest?.()).to.equal(
      `sha256:${createHash('sha256')
        .update(await text('rows.csv'))
        .digest('hex')}`,
    )
  })
})
