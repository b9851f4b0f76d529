import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { from } from 'rxjs'
import type { Fault } from '../../src/model/fault'
import { drain } from '../../src/sinks/drain'
import { jsonReport } from '../../src/sinks/jsonReport'
import { conformsAsSink, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf, until } from './support'

conformsAsSink('jsonReport', {
  keeps: 'latest',
  create: (folder) => ({
    sink: jsonReport<Row>('out/report.json', { everyMs: 0 }),
    read: async () => [JSON.parse(await readFile(folder.file('report.json'), 'utf8')) as Row],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

conformsAsSink('jsonReport, compiled from a schema', {
  keeps: 'latest',
  create: (folder) => ({
    sink: jsonReport<Row>('out/report.json', {
      everyMs: 0,
      schema: { type: 'object', properties: { n: { type: 'integer' }, text: { type: 'string' } } },
    }),
    read: async () => [JSON.parse(await readFile(folder.file('report.json'), 'utf8')) as Row],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

describe('jsonReport', () => {
  let folder: TestFolder
  let clock: VirtualClock
  const open = () => ({ outDir: folder.outDir, clock })
  const text = (): Promise<string> => readFile(folder.file('report.json'), 'utf8')
  const report = async (): Promise<unknown> => JSON.parse(await text())

  beforeEach(async () => {
    folder = await TestFolder.create()
    clock = new VirtualClock(1_700_000_000_000_000)
  })
  afterEach(() => folder.remove())

  it('writes the first value at once and later ones not more often than everyMs', async () => {
    const sink = jsonReport<number>('report.json', { everyMs: 1_000 })
    await sink.open(open())
    await sink.write([1])
    expect(await report()).to.equal(1)
    await sink.write([2])
    await sink.write([3])
    clock.advance(999)
    expect(sink.counters.written).to.equal(1)
    clock.advance(1)
    await until(() => sink.counters.written === 2)
    expect(await report()).to.equal(3)
    expect(clock.pending).to.equal(0)
  })

  it('writes the latest value at closing, however soon, and leaves no timer', async () => {
    const sink = jsonReport<number>('report.json', { everyMs: 60_000 })
    await sink.open(open())
    await sink.write([1])
    await sink.write([2])
    expect(clock.pending).to.equal(1)
    await sink.close()
    expect(await report()).to.equal(2)
    expect(clock.pending).to.equal(0)
  })

  it('does not write again what the file holds already', async () => {
    const sink = jsonReport<number>('report.json', { everyMs: 1_000 })
    await sink.open(open())
    await sink.write([1])
    clock.advance(5_000)
    await sink.close()
    expect(sink.counters.written).to.equal(1)
  })

  it('leaves no temporary file, not even one of a run that was killed', async () => {
    await mkdir(folder.outDir, { recursive: true })
    await writeFile(folder.file('report.json'), '"old"')
    await writeFile(folder.file('report.json.tmp'), '{"half')
    const sink = jsonReport<number>('report.json')
    await sink.open(open())
    expect(await readdir(folder.outDir)).to.deep.equal(['report.json'])
    expect(await report()).to.equal('old')
    await sink.write([1])
    await sink.close()
    expect(await readdir(folder.outDir)).to.deep.equal(['report.json'])
  })

  it('shows a reader the old report or the new one, never a half', async () => {
    const sink = jsonReport<number[]>('report.json', { everyMs: 0 })
    await sink.open(open())
    await sink.write([new Array<number>(50_000).fill(0)])
    const state = { done: false }
    const reading = (async () => {
      let reads = 0
      for (; !state.done; reads++) {
        const seen = (await report()) as number[]
        expect(seen.length).to.equal(50_000)
        expect(new Set(seen).size).to.equal(1)
      }
      return reads
    })()
    for (let version = 1; version < 8; version++) await sink.write([new Array<number>(50_000).fill(version)])
    state.done = true
    expect(await reading).to.be.above(1)
    await sink.close()
  })

  it('keeps the old report when a new one cannot be written', async () => {
    const sink = jsonReport<unknown>('report.json', { everyMs: 0 })
    await sink.open(open())
    await sink.write([{ good: 1 }])
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const fault = await faultOf(sink.write([circle]))
    expect(fault.code).to.equal('VALUE_INVALID')
    expect(await report()).to.deep.equal({ good: 1 })
    await sink.close()
    expect(await readdir(folder.outDir)).to.deep.equal(['report.json'])
  })

  it('falls back to the value before one that has no text', async () => {
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const result = await drain(from([[{ n: 1 }, circle]]), jsonReport<unknown>('report.json'), {
      capacity: 4,
      batchMax: 4,
      onFull: 'fail',
      outDir: folder.outDir,
    })
    expect(result.ledger.dropped).to.deep.equal({ unencodable: 1 })
    expect(await report()).to.deep.equal({ n: 1 })
  })

  it('tells of a failure on its timer, tries again each interval, and has the next write try at once', async () => {
    const faults: Fault[] = []
    const sink = jsonReport<number>('report.json', { everyMs: 1_000 })
    await sink.open({ ...open(), onFault: (fault) => faults.push(fault) })
    await sink.write([1])
    await sink.write([2])
    await folder.vanish()
    clock.advance(1_000)
    await until(() => faults.length === 1)
    expect(faults[0]!.code).to.equal('SINK_REJECTED')
    clock.advance(1_000)
    await until(() => faults.length === 2)
    expect((await faultOf(sink.write([3]))).code).to.equal('SINK_REJECTED')
    await folder.comeBack()
    expect(await report()).to.equal(1)
    clock.advance(1_000)
    await sink.write([3])
    expect(await report()).to.equal(3)
    await sink.close()
    expect(clock.pending).to.equal(0)
  })

  it('refuses to close while it cannot write, and can be closed once it can', async () => {
    const sink = jsonReport<number>('report.json', { everyMs: 60_000 })
    await sink.open(open())
    await sink.write([1])
    await sink.write([2])
    await folder.vanish()
    expect((await faultOf(sink.close())).code).to.equal('SINK_REJECTED')
    await folder.comeBack()
    await sink.close()
    expect(await report()).to.equal(2)
    expect(clock.pending).to.equal(0)
  })

  it('indents a report for a person, and writes NaN as null', async () => {
    const sink = jsonReport<unknown>('report.json')
    await sink.open(open())
    await sink.write([{ a: { b: NaN }, c: [1] }])
    await sink.close()
    expect(await text()).to.equal('{\n  "a": {\n    "b": null\n  },\n  "c": [\n    1\n  ]\n}\n')
  })

  it('writes a report compactly when it has a schema', async () => {
    const sink = jsonReport<unknown>('report.json', {
      schema: { type: 'object', properties: { a: { type: 'number' } } },
    })
    await sink.open(open())
    await sink.write([{ a: NaN, b: 1 }])
    await sink.close()
    expect(await text()).to.equal('{"a":null}\n')
  })

  it('keeps characters of two halves whole where a long text is cut into pieces', async () => {
    for (const shift of ['', 'x']) {
      const long = shift + '😀'.repeat(70_000)
      const sink = jsonReport<string>('report.json', { encode: (value) => JSON.stringify(value) })
      await sink.open(open())
      await sink.write([long])
      await sink.close()
      expect(await report()).to.equal(long)
    }
  })

  it('digests the last version as it stands in the file', async () => {
    const sink = jsonReport<number>('report.json', { everyMs: 0, digest: true })
    await sink.open(open())
    await sink.write([1])
    await sink.write([2])
    await sink.close()
    expect(sink.digest?.()).to.equal(
      `sha256:${createHash('sha256')
        .update(await text())
        .digest('hex')}`,
    )
  })

  it('does nothing before it is opened', async () => {
    jsonReport('report.json')
    expect(await stat(folder.outDir).catch(() => 'nothing there')).to.equal('nothing there')
  })

  it('refuses a schema that is none, and a negative interval', async () => {
    expect(() => jsonReport('report.json', { everyMs: -1 })).to.throw('everyMs = -1')
    const fault = await faultOf(jsonReport('report.json', { schema: { type: 'nonsense' } }).open(open()))
    expect(fault.code).to.equal('OPTION_INVALID')
  })

  it('creates its folder again when that was deleted', async () => {
    const sink = jsonReport<number>('a/b/report.json', { everyMs: 0 })
    await sink.open(open())
    await sink.write([1])
    await rm(folder.outDir, { recursive: true })
    await sink.write([2])
    await sink.close()
    expect(await readFile(folder.file('a/b/report.json'), 'utf8')).to.equal('2\n')
  })
})
