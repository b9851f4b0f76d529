import { expect } from 'chai'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { claimRunNumber } from '../../../src/sinks/parquet/runNumber'
import { TestFolder } from '../support'

describe('The number of a run without a name', () => {
  let folder: TestFolder

  beforeEach(async () => {
    folder = await TestFolder.create()
    await mkdir(folder.outDir)
  })
  afterEach(() => folder.remove())

  it('counts up, and leaves one empty file behind', async () => {
    for (const number of [0, 1, 2, 3]) expect(await claimRunNumber(folder.outDir)).to.equal(number)
    expect(await readdir(folder.outDir)).to.deep.equal(['.run-3'])
  })

  it('is given once, however many ask at the same time', async () => {
    const numbers = await Promise.all(Array.from({ length: 40 }, () => claimRunNumber(folder.outDir)))
    expect(new Set(numbers).size).to.equal(40)
    expect(await readdir(folder.outDir)).to.deep.equal([`.run-${Math.max(...numbers)}`])
    expect(await claimRunNumber(folder.outDir)).to.equal(Math.max(...numbers) + 1)
  })

  it('is above what is there, and no other file counts', async () => {
    for (const name of ['.run-41', '.run-x', 'run-99', '.run-1.parquet']) await writeFile(folder.file(name), '')
    expect(await claimRunNumber(folder.outDir)).to.equal(42)
    expect((await readdir(folder.outDir)).sort()).to.deep.equal(['.run-1.parquet', '.run-42', '.run-x', 'run-99'])
  })

  it('cannot be had where nothing can be written', async () => {
    await rm(folder.outDir, { recursive: true })
    const refused = await claimRunNumber(folder.outDir).catch((cause: unknown) => cause)
    expect(refused).to.include({ code: 'ENOENT' })
  })
})
