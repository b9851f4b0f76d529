/**
 * Runs the benchmarks that take little time, as `npm run bench -- --quick` does, so that none can break unnoticed. What they
 * measure is not looked at: that depends on the machine and on who else uses it.
 */
import { expect } from 'chai'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BenchDocument } from '../../benchmarks/kit/document'
import { ROOT } from '../cli/millrace'
import { runProcess, said } from '../consumers/runProcess'

const SUITES = ['book', 'pipeline', 'rxjs', 'sinks', 'scale', 'startup', 'watching']
const WITHIN_MS = 600_000

describe('The benchmark suites, quickly', function () {
  this.timeout(2 * WITHIN_MS)
  const run = path.join(ROOT, '.bench/benchmarks/run.js')
  let folder = ''

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-test-'))
    const compiler = require.resolve('typescript/bin/tsc')
    const project = path.join(ROOT, 'tsconfig.bench.json')
    const compiled = await runProcess(process.execPath, [compiler, '-p', project], { cwd: ROOT, withinMs: WITHIN_MS })
    expect(compiled.status, said(compiled)).to.equal(0)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('measure something in each, and tell it as a document, a page and tables', async () => {
    const file = (name: string): string => path.join(folder, name)
    const outputs = ['--json', file('run.json'), '--html', file('run.html'), '--markdown', file('run.md')]
    const ran = await runProcess(process.execPath, [run, ...SUITES, '--quick', '--no-peers', ...outputs], {
      cwd: ROOT,
      withinMs: WITHIN_MS,
    })
    expect(ran.status, said(ran)).to.equal(0)
    const document = JSON.parse(readFileSync(file('run.json'), 'utf8')) as BenchDocument
    expect(document).to.include({ format: 'millrace-bench/1', quick: true })
    expect(document.machine).to.include.keys('cpu', 'cores', 'node', 'versions')
    expect(document.suites.map(({ suite, failed }) => [suite, failed])).to.deep.equal(
      SUITES.map((suite) => [suite, []]),
    )
    for (const { rows } of document.suites) {
      for (const row of rows) {
        expect(row.value, row.name).to.be.a('number')
        expect(row.unit, row.name).to.match(/\S/)
        expect(row.min, row.name).to.be.at.most(row.value)
        expect(row.max, row.name).to.be.at.least(row.value)
      }
    }
    const names = document.suites.flatMap(({ rows }) => rows.map(({ name }) => name))
    expect(names).to.include.members(['book.time.jsonParse', 'book.time.jsonParseAgain', 'book.time.millrace'])
    expect(names).to.include.members([
      'rxjs.batches64',
      'sinks.time.jsonLines',
      'sinks.parquet.time.parquet',
      'startup.ms.millrace',
      'watching.loop.on',
    ])
    expect(new Set(names).size).to.equal(names.length)
    expect(readFileSync(file('run.html'), 'utf8')).to.contain('millrace benchmarks')
    expect(readFileSync(file('run.md'), 'utf8')).to.contain('**millrace**')
  })

  it('refuse what they cannot do before they begin, in sentences', async () => {
    writeFileSync(path.join(folder, 'else.json'), '{}')
    for (const [args, sentence] of [
      [['bok'], 'bok is no suite. Did you mean book'],
      [['--json', path.join(folder, 'none', 'run.json')], '--json cannot write to'],
      [['--against', path.join(folder, 'else.json')], '--against needs what --json wrote (millrace-bench/1)'],
      [['--quik'], 'There is no option --quik. Did you mean quick?'],
    ] as const) {
      const ran = await runProcess(process.execPath, [run, ...args], { cwd: ROOT, withinMs: WITHIN_MS })
      expect(ran.stderr).to.contain(sentence)
      expect(ran.status).to.equal(2)
    }
  })
})
