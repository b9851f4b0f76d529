import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { from } from 'rxjs'
import { drain } from '../../src/sinks/drain'
import { jsonLines } from '../../src/sinks/jsonLines'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf } from './support'

const parse = (text: string): unknown[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)

conformsAsSink('jsonLines', {
  keeps: 'all',
  create: (folder) => ({
    sink: jsonLines<Row>('out/rows.jsonl'),
    read: async () => parse(await readFile(folder.file('rows.jsonl'), 'utf8')) as Row[],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

conformsAsSink('jsonLines, rotated after every second line', {
  keeps: 'all',
  create: (folder) => ({
    sink: jsonLines<Row>('rows.jsonl', { rotate: { bytes: 80 } }),
    read: async () => {
      const names = (await readdir(folder.outDir)).filter((name) => name !== 'rows.jsonl').sort()
      const texts = await Promise.all([...names, 'rows.jsonl'].map((name) => readFile(folder.file(name), 'utf8')))
      return texts.flatMap(parse) as Row[]
    },
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('jsonLines', () => {
  let folder: TestFolder
  let clock: VirtualClock
  const open = () => ({ outDir: folder.outDir, clock })
  const text = (name: string): Promise<string> => readFile(folder.file(name), 'utf8')

  beforeEach(async () => {
    folder = await TestFolder.create()
    clock = new VirtualClock(1_700_000_000_000_000)
  })
  afterEach(() => folder.remove())

  it('touches nothing before it is opened', async () => {
    jsonLines('rows.jsonl')
    expect(await stat(folder.outDir).catch(() => 'nothing there')).to.equal('nothing there')
  })

  it('creates the folders of its path', async () => {
    const sink = jsonLines<Row>('a/b/rows.jsonl')
    await sink.open(open())
    await sink.write(rows(1))
    await sink.close()
    expect(parse(await text('a/b/rows.jsonl'))).to.deep.equal(rows(1))
  })

  it('replaces what an earlier run has left', async () => {
    for (const start of [0, 10]) {
      const sink = jsonLines<Row>('rows.jsonl')
      await sink.open(open())
      await sink.write(rows(1, start))
      await sink.close()
    }
    expect(parse(await text('rows.jsonl'))).to.deep.equal([row(10)])
  })

  it('begins anew when the same sink is run again, and counts anew', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { digest: true })
    const digests = []
    for (let run = 0; run < 2; run++) {
      await sink.open(open())
      await sink.write(rows(2))
      await sink.close()
      digests.push(sink.digest?.())
    }
    expect(parse(await text('rows.jsonl'))).to.deep.equal(rows(2))
    expect(sink.counters.written).to.equal(2)
    expect(digests[0]).to.equal(digests[1])
  })

  it('goes on after what is there when asked to append', async () => {
    for (const start of [0, 1]) {
      const sink = jsonLines<Row>('rows.jsonl', { append: true })
      await sink.open(open())
      await sink.write(rows(1, start))
      await sink.close()
    }
    expect(parse(await text('rows.jsonl'))).to.deep.equal(rows(2))
  })

  for (const [what, rest] of [
    ['a short half line', '{"n":1,"te'],
    ['half a line of 200 kB', '{"n":1,"text":"' + 'x'.repeat(200_000)],
  ] as const) {
    it(`cuts off ${what} that a killed process has left before it appends`, async () => {
      await mkdir(folder.outDir, { recursive: true })
      await writeFile(folder.file('rows.jsonl'), JSON.stringify(row(0)) + '\n' + rest)
      const sink = jsonLines<Row>('rows.jsonl', { append: true })
      await sink.open(open())
      await sink.write(rows(1, 1))
      await sink.close()
      expect(parse(await text('rows.jsonl'))).to.deep.equal(rows(2))
    })
  }

  it('goes on in a new file when its file was deleted while it was written', async () => {
    const sink = jsonLines<Row>('rows.jsonl')
    await sink.open(open())
    await sink.write(rows(1))
    await rm(folder.outDir, { recursive: true })
    const fault = await faultOf(sink.write(rows(1, 1)))
    expect(fault.message).to.contain('has gone')
    await sink.write(rows(1, 1))
    await sink.close()
    expect(parse(await text('rows.jsonl'))).to.deep.equal([row(1)])
  })

  it('does not cut a file that another program has put in the place of its own', async () => {
    const sink = jsonLines<Row>('rows.jsonl')
    await sink.open(open())
    await sink.write(rows(1))
    await rm(folder.file('rows.jsonl'))
    const foreign = rows(50, 100).map((one) => JSON.stringify(one) + '\n')
    await writeFile(folder.file('rows.jsonl'), foreign.join(''))
    expect((await faultOf(sink.write(rows(1, 1)))).message).to.contain('moved or replaced')
    await sink.write(rows(1, 1))
    await sink.close()
    expect(parse(await text('rows.jsonl'))).to.deep.equal([...rows(50, 100), row(1)])
  })

  it('leaves no hole when its file was cut by somebody else', async () => {
    const sink = jsonLines<Row>('rows.jsonl')
    await sink.open(open())
    await sink.write(rows(10))
    await sink.close()
    await truncate(folder.file('rows.jsonl'), 50)
    await sink.open({ ...open(), resume: true })
    await sink.write(rows(1, 10))
    await sink.close()
    expect(parse(await text('rows.jsonl'))).to.deep.equal([row(0), row(10)])
  })

  it('begins a file before the line that would make it larger than it may be', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { rotate: { bytes: 120 }, digest: true })
    await sink.open(open())
    await sink.write(rows(5))
    await sink.write(rows(2, 5))
    await sink.close()
    const names = (await readdir(folder.outDir)).sort()
    expect(names).to.deep.equal(['rows.000001.jsonl', 'rows.000002.jsonl', 'rows.jsonl'])
    expect(parse(await text('rows.000001.jsonl'))).to.deep.equal(rows(3))
    expect(parse(await text('rows.000002.jsonl'))).to.deep.equal(rows(3, 3))
    expect(parse(await text('rows.jsonl'))).to.deep.equal([row(6)])
    for (const name of names) expect((await stat(folder.file(name))).size).to.be.at.most(120)
    const whole = (await Promise.all(names.map(text))).join('')
    expect(sink.digest?.()).to.equal(`sha256:${createHash('sha256').update(whole).digest('hex')}`)
    expect(sink.counters.bytes).to.equal(Buffer.byteLength(whole))
  })

  it('cuts at the same lines however the values are batched', async () => {
    const contents = []
    for (const batch of [1, 7, 40]) {
      const name = `rows${batch}.jsonl`
      const sink = jsonLines<Row>(name, { rotate: { bytes: 200 } })
      await sink.open(open())
      for (let start = 0; start < 40; start += batch) await sink.write(rows(Math.min(batch, 40 - start), start))
      await sink.close()
      const files = (await readdir(folder.outDir)).filter((file) => file.startsWith(`rows${batch}.`)).sort()
      contents.push(await Promise.all(files.map(text)))
    }
    expect(contents[1]).to.deep.equal(contents[0])
    expect(contents[2]).to.deep.equal(contents[0])
  })

  it('gives a line that is larger than a file may be a file to itself', async () => {
    const sink = jsonLines<string>('rows.jsonl', { rotate: { bytes: 50 } })
    await sink.open(open())
    await sink.write(['a', 'x'.repeat(100), 'b'])
    await sink.close()
    expect(parse(await text('rows.000001.jsonl'))).to.deep.equal(['a'])
    expect(parse(await text('rows.000002.jsonl'))).to.deep.equal(['x'.repeat(100)])
    expect(parse(await text('rows.jsonl'))).to.deep.equal(['b'])
  })

  it('begins a file when the interval has passed, and none while nothing comes', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { rotate: { everyMs: 60_000 } })
    await sink.open(open())
    await sink.write(rows(1))
    clock.advance(180_000)
    expect(await readdir(folder.outDir)).to.deep.equal(['rows.jsonl'])
    await sink.write(rows(1, 1))
    await sink.write(rows(1, 2))
    await sink.close()
    expect(parse(await text('rows.000001.jsonl'))).to.deep.equal([row(0)])
    expect(parse(await text('rows.jsonl'))).to.deep.equal(rows(2, 1))
  })

  it('never replaces a finished file: numbers go on above those in the folder', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await writeFile(folder.file('rows.000041.jsonl'), 'mine')
    await writeFile(folder.file('rows.notes.jsonl'), 'not a number')
    const sink = jsonLines<Row>('rows.jsonl', { rotate: { bytes: 1 } })
    await sink.open(open())
    await sink.write(rows(2))
    await sink.close()
    expect(await text('rows.000041.jsonl')).to.equal('mine')
    expect(parse(await text('rows.000042.jsonl'))).to.deep.equal([row(0)])
  })

  it('repeats no line of a finished file when the rest of the batch is offered again', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { rotate: { bytes: 80 } })
    await sink.open(open())
    await sink.write(rows(3))
    // The second finished file cannot have its name: a folder has it.
    await mkdir(folder.file('rows.000002.jsonl/inside'), { recursive: true })
    const batch = rows(4, 3)
    await faultOf(sink.write(batch))
    await faultOf(sink.write(batch))
    await rm(folder.file('rows.000002.jsonl'), { recursive: true })
    await sink.write(batch)
    await sink.close()
    const names = (await readdir(folder.outDir)).sort()
    expect((await Promise.all(names.map(text))).flatMap(parse)).to.deep.equal(rows(7))
  })

  it('leaves out a value that has no text, and writes the others', async () => {
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const faults: string[] = []
    const result = await drain(from([[{ n: 1 }, circle, { n: 2 }]]), jsonLines<unknown>('rows.jsonl'), {
      capacity: 10,
      batchMax: 10,
      onFull: 'fail',
      outDir: folder.outDir,
      onFault: (fault) => faults.push(fault.code),
    })
    expect(result.ledger).to.deep.equal({ in: 3, out: 2, dropped: { unencodable: 1 }, inFlight: 0 })
    expect(faults).to.deep.equal(['VALUE_INVALID'])
    expect(parse(await text('rows.jsonl'))).to.deep.equal([{ n: 1 }, { n: 2 }])
  })

  it('writes one line a value, whatever the encoder thinks of line breaks', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { encode: (value) => JSON.stringify(value, null, 2) })
    await sink.open(open())
    await sink.write(rows(2))
    await sink.close()
    expect(parse(await text('rows.jsonl'))).to.deep.equal(rows(2))
  })

  it('writes only the fields of its schema', async () => {
    const sink = jsonLines<Row>('rows.jsonl', { schema: { type: 'object', properties: { n: { type: 'integer' } } } })
    await sink.open(open())
    await sink.write(rows(2))
    await sink.close()
    expect(await text('rows.jsonl')).to.equal('{"n":0}\n{"n":1}\n')
  })

  it('refuses a path outside the output folder when it is opened', async () => {
    for (const path of ['../rows.jsonl', 'out/../../rows.jsonl', '/etc/rows.jsonl', '', 'out/', '.', 'a\0b']) {
      const fault = await faultOf(jsonLines(path).open(open()))
      expect(fault.code, path).to.equal('OPTION_INVALID')
    }
  })

  it('refuses a rotation that is none', () => {
    expect(() => jsonLines('rows.jsonl', { rotate: { bytes: 0 } })).to.throw('rotate.bytes = 0')
    expect(() => jsonLines('rows.jsonl', { rotate: { everyMs: NaN } })).to.throw('rotate.everyMs = NaN')
  })

  it('names the reason of a file that cannot be written', async () => {
    await mkdir(folder.file('rows.jsonl'), { recursive: true })
    const fault = await faultOf(jsonLines('rows.jsonl').open(open()))
    expect(fault.message).to.contain('there is a folder of that name')
    expect(fault.details).to.include({ errno: 'EISDIR' })
  })

  it('says that the disk is full when it is', async function () {
    if (process.platform !== 'linux') this.skip()
    await mkdir(folder.outDir, { recursive: true })
    await symlink('/dev/full', folder.file('rows.jsonl'))
    const sink = jsonLines<Row>('rows.jsonl')
    await sink.open(open())
    const fault = await faultOf(sink.write(rows(1)))
    expect(fault.message).to.contain('the disk is full')
    expect(fault.details).to.include({ errno: 'ENOSPC' })
    await sink.close()
  })
})
