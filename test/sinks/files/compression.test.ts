import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import zlib, { gunzip, gzip } from 'node:zlib'
import { decompress as unzstd } from '@bokuweb/zstd-wasm'
import { decompressFrame } from 'lz4-napi'
import { from } from 'rxjs'
import type { Compression } from '../../../src/sinks/files/compression'
import { csv } from '../../../src/sinks/csv'
import { drain } from '../../../src/sinks/drain'
import { jsonLines, type JsonLinesOptions } from '../../../src/sinks/jsonLines'
import { conformsAsSink, row, rows, type Row } from '../conformance'
import { TestFolder, VirtualClock, faultOf } from '../support'

const run = promisify(execFile)
const parse = (text: string): unknown[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)

/** Readers that know nothing of the writer. The bindings of zstd and lz4 read one frame: many are read by the tools. */
const FORMATS: Readonly<Record<Compression, { ending: string; tool: readonly [string, ...string[]] }>> = {
  gzip: { ending: '.gz', tool: ['zcat'] },
  zstd: { ending: '.zst', tool: ['zstd', '-dcq'] },
  lz4: { ending: '.lz4', tool: ['lz4', '-dcq'] },
}

async function hasTool(name: string): Promise<boolean> {
  return await run('which', [name]).then(
    () => true,
    () => false,
  )
}

async function readBack(compression: Compression, file: string): Promise<string> {
  if (compression === 'gzip') return (await promisify(gunzip)(await readFile(file))).toString()
  const bytes = await readFile(file)
  const texts: Buffer[] = []
  for (const frame of framesOf(compression, bytes)) {
    texts.push(compression === 'zstd' ? Buffer.from(unzstd(frame)) : await decompressFrame(frame))
  }
  return Buffer.concat(texts).toString()
}

/** The package of zstd has begun with the sink that wrote. By the magic numbers: unlikely enough within the few frames of a test, and a wrong one would not decompress. */
function framesOf(compression: Compression, bytes: Buffer): Buffer[] {
  const magic = Buffer.from(compression === 'zstd' ? '28b52ffd' : '04224d18', 'hex')
  const starts: number[] = []
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) starts.push(at)
  return starts.map((start, index) => bytes.subarray(start, starts[index + 1]))
}

for (const [compression, { ending, tool }] of Object.entries(FORMATS) as [
  Compression,
  (typeof FORMATS)[Compression],
][]) {
  conformsAsSink(`jsonLines with ${compression}`, {
    keeps: 'all',
    create: (folder) => ({
      sink: jsonLines<Row>(`rows.jsonl${ending}`, { compress: compression }),
      read: async () => parse(await readBack(compression, folder.file(`rows.jsonl${ending}`))) as Row[],
      breakIt: () => folder.vanish(),
      repairIt: () => folder.comeBack(),
    }),
  })

  describe(`a file of ${compression}`, () => {
    let folder: TestFolder
    const name = `rows.jsonl${ending}`
    const clock = new VirtualClock(1_700_000_000_000_000)

    beforeEach(async () => (folder = await TestFolder.create()))
    afterEach(() => folder.remove())

    async function written(batches: readonly (readonly Row[])[], options: JsonLinesOptions<Row> = {}, file = name) {
      const sink = jsonLines<Row>(file, options)
      await sink.open({ outDir: folder.outDir, clock })
      for (const batch of batches) await sink.write(batch)
      await sink.close()
      return sink
    }

    it('is read by the tool of the format', async function () {
      if (!(await hasTool(tool[0]))) this.skip()
      await written([rows(5_000), rows(3, 5_000), rows(4_000, 5_003)])
      const [program, ...args] = tool
      const { stdout } = await run(program, [...args, folder.file(name)], { maxBuffer: 1e9 })
      expect(parse(stdout)).to.deep.equal(rows(9_003))
    })

    it('is a fraction of the text where batches are large', async () => {
      const sink = await written([rows(20_000)])
      const text = rows(20_000)
        .map((value) => JSON.stringify(value) + '\n')
        .join('')
      expect((await stat(folder.file(name))).size).to.be.below(text.length / 4)
      expect(sink.counters.bytes).to.equal((await stat(folder.file(name))).size)
    })

    it('has every whole frame after a cut at any byte, and goes on behind them', async () => {
      await written([rows(2), rows(1, 2), rows(2, 3)])
      const whole = await readFile(folder.file(name))
      // A frame ends where the file ended after each batch.
      const ends = [0]
      for (const count of [1, 2]) {
        await written([rows(2), rows(1, 2)].slice(0, count))
        ends.push((await stat(folder.file(name))).size)
      }
      for (let cut = 0; cut < whole.length; cut++) {
        await writeFile(folder.file(name), whole.subarray(0, cut))
        await written([rows(1, 100)], { append: true })
        const frames = ends.filter((end) => end <= cut).length - 1
        const kept = [[], rows(2), rows(3)][frames]!
        expect(parse(await readBack(compression, folder.file(name))), `cut at ${cut}`).to.deep.equal([
          ...kept,
          row(100),
        ])
      }
    })

    it('goes on behind what is whole when a power cut has left zeros behind it, or in its last frame', async () => {
      await written([rows(2)])
      const first = await readFile(folder.file(name))
      await writeFile(folder.file(name), Buffer.concat([first, Buffer.alloc(5_000)]))
      await written([rows(1, 2)], { append: true })
      expect(parse(await readBack(compression, folder.file(name)))).to.deep.equal(rows(3))
      // Without a checksum zeros in a frame are not noticed: the package for zstd on Node below 22.15 makes none.
      if (compression === 'zstd' && !('zstdCompress' in zlib)) return
      const both = await readFile(folder.file(name))
      await writeFile(folder.file(name), both.fill(0, first.length + 30))
      await written([rows(1, 50)], { append: true })
      expect(parse(await readBack(compression, folder.file(name)))).to.deep.equal([...rows(2), row(50)])
    })

    it('is left alone when it holds something else', async () => {
      await mkdir(folder.outDir)
      for (const foreign of [Buffer.from('{"not": "compressed"}\n'), await promisify(gzip)('of another program')]) {
        if (compression !== 'gzip' && foreign[0] === 0x7b) continue
        await writeFile(folder.file(name), foreign)
        const fault = await faultOf(jsonLines(name, { append: true }).open({ outDir: folder.outDir, clock }))
        expect(fault.code).to.equal('SINK_REJECTED')
        expect(fault.message).to.contain('what this sink has not written')
        expect(await readFile(folder.file(name))).to.deep.equal(foreign)
      }
    })

    it('is rotated before the frame that would make it too large, under numbers that keep its endings', async () => {
      const batches = Array.from({ length: 30 }, (_, at) => rows(50, at * 50))
      await written(batches, { rotate: { bytes: 2_000 } })
      const names = (await readdir(folder.outDir)).sort()
      expect(names[0]).to.equal(`rows.000001.jsonl${ending}`)
      expect(names.length).to.be.above(2)
      const texts = []
      for (const file of names) {
        expect((await stat(folder.file(file))).size).to.be.at.most(2_000)
        texts.push(await readBack(compression, folder.file(file)))
      }
      expect(texts.flatMap(parse)).to.deep.equal(rows(1_500))
    })

    it('has the header of a csv in each file, and goes on under it', async () => {
      const file = `rows.csv${ending}`
      for (const start of [0, 40]) {
        const sink = csv<Row>(file, { append: true, rotate: { bytes: 600 } })
        await sink.open({ outDir: folder.outDir, clock })
        for (let at = 0; at < 40; at += 10) await sink.write(rows(10, start + at))
        await sink.close()
      }
      const names = (await readdir(folder.outDir)).sort()
      expect(names.length).to.be.above(1)
      const found: string[] = []
      for (const one of names) {
        const [header, ...lines] = (await readBack(compression, folder.file(one))).split('\r\n')
        expect(header).to.equal('n,text')
        found.push(...lines.slice(0, -1))
      }
      expect(found.map((line) => Number(line.split(',')[0]))).to.deep.equal(rows(80).map(({ n }) => n))
    })

    it('is asked for by its ending, and digests the text that it holds', async () => {
      const plain = await written([rows(10)], { digest: true }, 'rows.jsonl')
      const small = await written([rows(4), rows(6, 4)], { digest: true })
      expect(parse(await readBack(compression, folder.file(name)))).to.deep.equal(rows(10))
      expect(small.digest?.()).to.equal(plain.digest?.())
    })

    it('may be one of many', async () => {
      const sink = jsonLines<Row>(`{date}.jsonl${ending}`, { timeUs: ({ n }) => (n % 2) * 86_400e6 })
      await sink.open({ outDir: folder.outDir, clock })
      await sink.write(rows(10))
      await sink.close()
      expect(parse(await readBack(compression, folder.file(`1970-01-02.jsonl${ending}`)))).to.deep.equal(
        rows(10).filter(({ n }) => n % 2 === 1),
      )
    })
  })
}

describe('the option compress', () => {
  let folder: TestFolder
  const clock = new VirtualClock(0)
  beforeEach(async () => (folder = await TestFolder.create()))
  afterEach(() => folder.remove())

  it('is refused where the path says something else, or where it is none', async () => {
    const context = { outDir: folder.outDir, clock }
    const contradicting = await faultOf(jsonLines('a.gz', { compress: 'zstd' }).open(context))
    expect(contradicting.code).to.equal('OPTION_INVALID')
    expect(contradicting.message).to.contain('its path ends in .gz')
    const unknown = await faultOf(jsonLines('a', { compress: 'brotli' as Compression }).open(context))
    expect(unknown.message).to.contain('it should be gzip, zstd or lz4')
  })

  it('makes frames of what an edge collects', async () => {
    const sink = jsonLines<Row>('rows.jsonl.gz')
    const result = await drain(from(rows(3_000)), sink, {
      capacity: 3_000,
      batchMax: 3_000,
      flushMs: 1_000,
      onFull: 'fail',
      outDir: folder.outDir,
    })
    expect(result.ledger.out).to.equal(3_000)
    const text = await promisify(gunzip)(await readFile(folder.file('rows.jsonl.gz')))
    expect(parse(text.toString())).to.deep.equal(rows(3_000))
    expect(result.bytes).to.be.below(text.length / 4)
  })
})
