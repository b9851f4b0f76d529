import { expect } from 'chai'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { millrace } from './checkout'
import { needsInstallation, RUN_WITHIN_MS, type Installation } from './installation'
import { said } from './runProcess'

describe('the project that millrace init makes', () => {
  let installed: Installation
  before(async function () {
    installed = await needsInstallation(this)
  })

  it('runs its pipeline with npm start, and has the bars in out/', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.npm(['start', '--', '--seconds', '3'])
    expect(result.status, said(result)).to.equal(0)
    expect(result.leftAlive).to.equal(false)
    expect(result.stderr).to.include('trade-bars ran')

    const bars = (await installed.read('out/bars-1s.jsonl'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { exchange: string; close: number })
    expect(new Set(bars.map((bar) => bar.exchange))).to.deep.equal(new Set(['binance', 'bybit', 'okx']))
    expect(bars.every((bar) => bar.close > 0)).to.equal(true)
  })

  it('runs its script with npm run script', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.npm(['run', '--silent', 'script'])
    expect(result.status, said(result)).to.equal(0)
    expect(result.leftAlive).to.equal(false)
    const lines = result.stdout.trimEnd().split('\n')
    expect(lines).to.have.length.of.at.least(5)
    for (const line of lines) expect(line).to.match(/^BTC\/USDT \{ price: [\d.]+, size: [\d.]+ \} \{ price: /)
  })

  it('checks its types with npm run check, under the compiler it names and not the one of notebooks', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.npm(['run', '--silent', 'check'])
    expect(result.status, said(result)).to.equal(0)
  })

  it('has the command line', async function () {
    this.timeout(RUN_WITHIN_MS)
    const result = await installed.npm(['exec', '--offline', '--', 'millrace', 'graph', 'pipeline.ts'])
    expect(result.status, said(result)).to.equal(0)
    expect(result.stdout).to.include('bars-1s')
  })
})

describe('millrace init', function () {
  this.timeout(RUN_WITHIN_MS)
  let cwd: string
  beforeEach(async () => {
    cwd = await mkdtemp(path.join(tmpdir(), 'millrace-init-'))
  })
  afterEach(() => rm(cwd, { recursive: true, force: true }))

  it('writes seven files and says what to do next', async () => {
    const result = await millrace(['init', 'My Research'], { cwd })
    expect(result.status, said(result)).to.equal(0)
    expect(result.stderr).to.match(/cd .*\n.*npm install\n.*npm start/)
    const files = (await readdir(path.join(cwd, 'My Research'))).sort()
    expect(files).to.deep.equal(
      ['.gitignore', 'README.md', 'notebook.ipynb', 'package.json', 'pipeline.ts', 'script.ts', 'tsconfig.json'].sort(),
    )
  })

  it('gives the package a name that npm accepts, whatever the folder is called', async () => {
    const names = new Map([
      ['My Research!', 'my-research'],
      ['...x', 'x'],
      ['研究', 'research'],
      ['millrace', 'millrace-research'],
      ['rxjs', 'rxjs-research'],
    ])
    for (const [folder, name] of names) {
      const result = await millrace(['init', folder], { cwd })
      expect(result.status, said(result)).to.equal(0)
      const manifest = JSON.parse(readFileSync(path.join(cwd, folder, 'package.json'), 'utf8')) as { name: string }
      expect(manifest.name).to.equal(name)
    }
  })

  it('makes a project of an empty folder that is there', async () => {
    await mkdir(path.join(cwd, 'empty'))
    expect((await millrace(['init', 'empty'], { cwd })).status).to.equal(0)
  })

  it('leaves a folder alone that has files in it', async () => {
    await mkdir(path.join(cwd, 'full'))
    await writeFile(path.join(cwd, 'full', 'notes.txt'), 'mine')
    const result = await millrace(['init', 'full'], { cwd })
    expect(result.status).to.equal(2)
    expect(result.stderr).to.include('full has files in it already')
    expect(await readdir(path.join(cwd, 'full'))).to.deep.equal(['notes.txt'])
  })

  it('says in a sentence that a file is in the way', async () => {
    await writeFile(path.join(cwd, 'taken'), '')
    const result = await millrace(['init', 'taken'], { cwd })
    expect(result.status).to.equal(2)
    expect(result.stderr).to.match(/^No project can be made in taken: /)
    expect(result.stderr).not.to.include('    at ')
  })

  it('wants one folder', async () => {
    for (const args of [['init'], ['init', 'a', 'b'], ['init', '--force', 'a']]) {
      const result = await millrace(args, { cwd })
      expect(result.status).to.equal(2)
    }
    expect(existsSync(path.join(cwd, 'a'))).to.equal(false)
  })
})
