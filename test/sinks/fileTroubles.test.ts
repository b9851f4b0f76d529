/** What may happen to files while they are written, for one file and many, plain and compressed. */
import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { csv } from '../../src/sinks/csv'
import { jsonLines } from '../../src/sinks/jsonLines'
import { jsonReport } from '../../src/sinks/jsonReport'
import type { Sink } from '../../src/sinks/sink'
import { row, rows, type Row } from './conformance'
import { TestFolder, VirtualClock, faultOf } from './support'
import { asUnprivileged } from '../kit/unprivileged'

const run = promisify(execFile)

interface Files {
  readonly sink: () => Sink<Row>
  /** The file that all rows go to. */
  readonly file: string
  readonly numbers: (bytes: Buffer) => Promise<number[]>
}

const numbersOf = (text: string): number[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as Row).n)

const FILES: Readonly<Record<string, Files>> = {
  'one file': {
    sink: () => jsonLines<Row>('rows.jsonl'),
    file: 'rows.jsonl',
    numbers: (bytes) => Promise.resolve(numbersOf(bytes.toString())),
  },
  'a csv': {
    sink: () => csv<Row>('rows.csv'),
    file: 'rows.csv',
    numbers: (bytes) =>
      Promise.resolve(
        bytes
          .toString()
          .split('\r\n')
          .slice(1, -1)
          .map((line) => Number(line.split(',')[0])),
      ),
  },
  'a compressed file': {
    sink: () => jsonLines<Row>('rows.jsonl.gz'),
    file: 'rows.jsonl.gz',
    numbers: async (bytes) => numbersOf((await promisify(gunzip)(bytes)).toString()),
  },
  'a file of many': {
    sink: () => jsonLines<Row>('{date}/rows.jsonl', { timeUs: () => 0 }),
    file: '1970-01-01/rows.jsonl',
    numbers: (bytes) => Promise.resolve(numbersOf(bytes.toString())),
  },
}

for (const [what, { sink: create, file, numbers }] of Object.entries(FILES)) {
  describe(`${what} in trouble`, () => {
    let folder: TestFolder
    let sink: Sink<Row>
    const clock = new VirtualClock(1_700_000_000_000_000)

    beforeEach(async () => {
      folder = await TestFolder.create()
      sink = create()
      await sink.open({ outDir: folder.outDir, clock })
      await sink.write(rows(2))
    })
    afterEach(async () => {
      await sink.close().catch(() => undefined)
      await folder.remove()
    })
    const read = async (): Promise<number[]> => await numbers(await readFile(folder.file(file)))

    it('is begun again where it was deleted', async () => {
      await rm(folder.file(file))
      expect((await faultOf(sink.write(rows(1, 2)))).code).to.equal('SINK_REJECTED')
      await sink.write(rows(1, 2))
      expect(await read()).to.deep.equal([2])
    })

    it('is begun again where its folder was deleted', async () => {
      await rm(folder.outDir, { recursive: true })
      expect((await faultOf(sink.write(rows(1, 2)))).message).to.contain('has gone; put the folder back')
      await sink.write(rows(1, 2))
      expect(await read()).to.deep.equal([2])
    })

    it('is begun again where it was moved away, which stays as it is', async () => {
      await rename(folder.file(file), folder.file('moved'))
      await faultOf(sink.write(rows(1, 2)))
      await sink.write(rows(1, 2))
      await sink.close()
      expect(await read()).to.deep.equal([2])
      // Whole up to what was acknowledged; what followed before the loss was noticed may stand behind it.
      expect((await numbers(await readFile(folder.file('moved')))).slice(0, 2)).to.deep.equal([0, 1])
    })

    it('is not written through a folder that stands in its place', async () => {
      await rm(folder.file(file))
      await mkdir(folder.file(file))
      await faultOf(sink.write(rows(1, 2)))
      expect((await faultOf(sink.write(rows(1, 2)))).message).to.contain('there is a folder of that name')
      await rm(folder.file(file), { recursive: true })
      await sink.write(rows(1, 2))
      expect(await read()).to.deep.equal([2])
    })

    it('names the user who may not write it', async () => {
      await sink.close()
      await chmod(folder.file(file), 0o444)
      const fault = await asUnprivileged(
        () => faultOf(sink.open({ outDir: folder.outDir, clock }).then(() => sink.write(rows(1)))),
        path.dirname(folder.outDir),
      )
      expect(fault.message).to.contain('permission is denied')
    })
  })
}

describe('files on a file system that is read-only', () => {
  let folder: TestFolder
  const clock = new VirtualClock(1_700_000_000_000_000)

  before(async function () {
    folder = await TestFolder.create()
    await mkdir(folder.outDir)
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder.outDir]).catch(() => undefined)
    if (mounted !== undefined) return
    console.log('      Skipped: a file system cannot be mounted here.')
    this.skip()
  })
  after(async () => {
    await run('umount', [folder.outDir]).catch(() => undefined)
    await folder.remove()
  })
  const remount = (how: 'ro' | 'rw') => run('mount', ['-o', `remount,${how}`, folder.outDir])

  for (const [what, sink] of [
    ...Object.entries(FILES).map(([name, files]) => [name, files.sink()] as const),
    ['a report', jsonReport<Row>('row.json', { everyMs: 0 })] as const,
  ]) {
    it(`say so and go on when it can be written again: ${what}`, async () => {
      await sink.open({ outDir: folder.outDir, clock })
      await sink.write(rows(1))
      await sink.close()
      await remount('ro')
      const fault = await faultOf(
        sink.open({ outDir: folder.outDir, clock, resume: true }).then(() => sink.write(rows(1, 1))),
      )
      expect(fault.message).to.contain('the file system is read-only; remount it for writing')
      await remount('rw')
      await sink.open({ outDir: folder.outDir, clock, resume: true })
      await sink.write(rows(1, 1))
      await sink.close()
    })
  }

  it('have both rows then', async () => {
    for (const { file, numbers } of Object.values(FILES)) {
      expect(await numbers(await readFile(folder.file(file))), file).to.deep.equal([0, 1])
    }
    expect(JSON.parse(await readFile(folder.file('row.json'), 'utf8'))).to.deep.equal(row(1))
  })
})

describe('a path that was given, not made', () => {
  it('may lead out through a link that its owner has made', async function () {
    if (process.platform === 'win32') this.skip()
    const folder = await TestFolder.create()
    await mkdir(folder.outDir)
    const outside = path.join(path.dirname(folder.outDir), 'outside.jsonl')
    await writeFile(outside, '')
    await symlink(outside, folder.file('rows.jsonl'))
    const sink = jsonLines<Row>('rows.jsonl')
    await sink.open({ outDir: folder.outDir, clock: new VirtualClock(0) })
    await sink.write(rows(1))
    await sink.close()
    expect((await stat(outside)).size).to.be.above(0)
    await folder.remove()
  })
})
