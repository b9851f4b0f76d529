import { expect } from 'chai'
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { eventually } from '../kit/eventually'
import { built, millrace, ROOT } from './checkout'
import { RUN_WITHIN_MS } from './installation'
import { said, type ProcessResult } from './runProcess'

const PIPELINE = `import { bars, feed, jsonLines, ofKind, pipeline } from 'millrace'
import { consolidate } from 'millrace/operators'
import { map } from 'rxjs'

export default pipeline('loose', ({ source, sink }) => {
  const market = feed({ exchanges: ['binance'], instruments: ['BTC-USDT'], channel: 'trades' })
  const trades = source('market', market, { capacity: 1_000, onFull: 'block' })
    .through('trades', ofKind('trade'))
    .through('same', map((batch) => batch))
  sink(trades.through('bars', bars.time({ everyMs: 250 })), jsonLines('bars.jsonl'), { capacity: 1_000, onFull: 'block' })
})

export const used = [typeof consolidate, process.version]
`

describe('a pipeline file outside any project', function () {
  this.timeout(RUN_WITHIN_MS)
  let cwd: string
  before(() => built())
  beforeEach(async () => {
    cwd = await mkdtemp(path.join(tmpdir(), 'millrace-loose-'))
  })
  afterEach(() => rm(cwd, { recursive: true, force: true }))

  /** Writes the file and runs it; by its full path, as one would from anywhere. */
  async function run(name: string, text: string, ...options: string[]): Promise<ProcessResult> {
    return millrace(['run', await written(name, text), ...options], { cwd })
  }

  /** The same, interrupted once it has written a bar. */
  async function runToFirstBar(name: string, text: string, ...options: string[]): Promise<ProcessResult> {
    return millrace(['run', await written(name, text), ...options], {
      cwd,
      async meanwhile(process) {
        await eventually(
          async () => {
            if (process.running()) expect((await stat(path.join(cwd, 'out/bars.jsonl'))).size).to.be.above(0)
          },
          { withinMs: RUN_WITHIN_MS, everyMs: 50 },
        )
        process.interrupt()
      },
    })
  }

  async function written(name: string, text: string): Promise<string> {
    const file = path.join(cwd, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
    return file
  }

  it('runs with the millrace, the rxjs and the TypeScript of the command line', async () => {
    const result = await runToFirstBar('p.ts', PIPELINE, '--simulate', '--json')
    expect(result.status, said(result)).to.equal(0)
    expect(result.leftAlive).to.equal(false)
    const summary = JSON.parse(result.stdout) as { format: string; sinks: { written: number }[] }
    expect(summary.format).to.equal('millrace-run/1')
    expect(summary.sinks[0]!.written).to.be.above(0)
    expect((await readFile(path.join(cwd, 'out/bars.jsonl'), 'utf8')).endsWith('}\n')).to.equal(true)
  })

  it('runs as JavaScript', async () => {
    const text = PIPELINE.replace(/import (\{.*\}) from ('.*')/g, 'const $1 = require($2)')
      .replace('export default', 'module.exports =')
      .replace(/export const.*/, '')
    const result = await runToFirstBar('p.js', text)
    expect(result.status, said(result)).to.equal(0)
  })

  it('is told how to go on when it is an ES module, to which millrace cannot be provided', async () => {
    const result = await run('p.mjs', PIPELINE)
    expect(result.status).to.equal(2)
    expect(result.stderr).to.include('name it .ts, or make a project with `millrace init`')
  })

  it('is refused with the line of a type error, and all of them', async () => {
    const wrong = PIPELINE.replace(`'trade')`, `'trad')`).replace('everyMs: 250', `everyMs: '250'`)
    const result = await run('wrong.ts', wrong)
    expect(result.status).to.equal(2)
    expect(result.stderr).to.match(/wrong\.ts does not compile:/)
    expect(result.stderr).to.match(/wrong\.ts\(8,\d+\): error TS/)
    expect(result.stderr).to.match(/wrong\.ts\(10,\d+\): error TS/)
  })

  it('is refused with the line of a syntax error', async () => {
    const typescript = await run('wrong.ts', PIPELINE.replace('feed({', 'feed(('))
    expect(typescript.status).to.equal(2)
    expect(typescript.stderr).to.match(/wrong\.ts\(6,\d+\): error TS/)

    const javascript = await run('wrong.js', `const { pipeline } = require('millrace')\nconst const = 1\n`)
    expect(javascript.status).to.equal(2)
    expect(javascript.stderr).to.match(/wrong\.js:2 failed while it was loaded: Unexpected token/)
  })

  it('is refused with the line of a throw, at the top and in the description', async () => {
    const top = await run('throws.ts', `${PIPELINE}\nthrow new Error('no such desk')\n`)
    expect(top.status).to.equal(2)
    expect(top.stderr).to.match(/throws\.ts:15:7 failed while it was loaded: no such desk/)
    expect(top.stderr).not.to.include('    at ')

    const inside = await run('throws.ts', PIPELINE.replace('  const market', '  JSON.parse("{")\n  const market'))
    expect(inside.status).to.equal(2)
    expect(inside.stderr).to.match(/throws\.ts:6:8 failed while it was loaded: /)
  })

  it('is refused with the line of an option that is not usable', async () => {
    const result = await run('option.ts', PIPELINE.replace(`['binance']`, `['binanse']`))
    expect(result.status).to.equal(2)
    expect(result.stderr).to.match(/option\.ts:6:\d+ .*There is no exchange "binanse"\. Did you mean binance/)
  })

  it('is refused with all problems of its description at once', async () => {
    const result = await run(
      'invalid.js',
      `const { feed, pipeline } = require('millrace')
       module.exports = pipeline('invalid', ({ source }) => {
         source('a', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'book' }), { capacity: 0 })
       })`,
    )
    expect(result.status).to.equal(2)
    expect(result.stderr).to.match(/The pipeline invalid has \d problems:/)
    expect(result.stderr).to.include('capacity is a whole number')
    expect(result.stderr).to.include('onFull is one of')
    expect(result.stderr).to.include('needs a sink')
  })

  it('is refused when it exports something else', async () => {
    const result = await run('other.ts', 'export default 42\n')
    expect(result.status).to.equal(2)
    expect(result.stderr).to.include('exports no pipeline by default')
  })

  it('may lie in a folder whose tsconfig.json is meant for something else', async () => {
    await writeFile(path.join(cwd, 'tsconfig.json'), '{ "compilerOptions": { "noLib": true, "types": ["nothing"] } }')
    const result = await runToFirstBar('p.ts', PIPELINE)
    expect(result.status, said(result)).to.equal(0)
  })

  it('needs no tsconfig.json beside an installed millrace either', async () => {
    await mkdir(path.join(cwd, 'node_modules'))
    await symlink(ROOT, path.join(cwd, 'node_modules/millrace'))
    await symlink(path.join(ROOT, 'node_modules/rxjs'), path.join(cwd, 'node_modules/rxjs'))
    const result = await runToFirstBar('p.ts', PIPELINE)
    expect(result.status, said(result)).to.equal(0)
  })

  it('may be an ES module by its folder, with neighbours that are imported by their .js names', async () => {
    await writeFile(path.join(cwd, 'package.json'), '{ "type": "module" }')
    await writeFile(path.join(cwd, 'every.ts'), 'export enum Every { bar = 250 }\n')
    const text = `import { Every } from './every.js'\n${PIPELINE.replace('everyMs: 250', 'everyMs: Every.bar')}`
    const result = await runToFirstBar('p.ts', text)
    expect(result.status, said(result)).to.equal(0)
  })

  it('is compiled by a TypeScript that ts-node starts on, when a newer one is nearer', async () => {
    const newer = path.join(cwd, 'node_modules/typescript')
    await mkdir(newer, { recursive: true })
    await writeFile(path.join(newer, 'package.json'), '{ "name": "typescript", "version": "7.0.2", "main": "main.js" }')
    await writeFile(path.join(newer, 'main.js'), 'module.exports = {}')
    const result = await runToFirstBar('p.ts', PIPELINE)
    expect(result.status, said(result)).to.equal(0)
  })
})
