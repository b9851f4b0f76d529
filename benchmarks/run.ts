/**
 * Runs benchmark suites: `npm run bench -- [SUITE...] [--quick] [--json FILE] [--html FILE] [--markdown FILE]`.
 *
 * A benchmark belongs to the suite whose name its file begins with: `hopBatches` to `hop`. Each runs in a process of its own,
 * so that none inherits what another has left behind in the heap, the compiler or the loop; one after another, because they
 * share the machine. Their rows become one document (`millrace-bench/1`), a table, and what else was asked for.
 * Exit status: 0 all was measured, 1 a benchmark failed or a ratio is worse than before, 2 wrong usage.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { UsageError } from '../src/cli/command'
import { BENCH_SUITES, parseBench } from '../src/cli/commands/bench'
import { table } from '../src/cli/table'
import { messageOf } from '../src/model/fault'
import { benchProgress, type BenchProgress } from './kit/benchProgress'
import type { BenchDocument, Suite } from './kit/document'
import { worse } from './kit/gate'
import { markdownInto } from './kit/markdown'
import { pageOf } from './kit/page'
import { installPeers, NO_PEERS, peerVersions } from './kit/peers'
import { machine, type Row } from './kit/report'

/** From `.bench/benchmarks`, where this is compiled to. */
const SOURCES = path.resolve(__dirname, '../../benchmarks')

/** A benchmark that takes longer is ended. */
const BENCHMARK_MS_MAX = 20 * 60_000

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseBench(args)
  const quick = parsed.flag('quick')
  const files = { json: parsed.text('json'), html: parsed.text('html'), markdown: parsed.text('markdown') }
  for (const [option, file] of Object.entries(files)) if (file !== undefined) requireWritable(option, file)
  const before = documentIn(parsed.text('against'))
  if (parsed.flag('no-peers')) process.env[NO_PEERS] = '1'
  else if (!quick) {
    const problem = installPeers()
    if (problem !== undefined) console.error(problem)
  }

  const wanted = parsed.positionals.length > 0 ? [...new Set(parsed.positionals)] : Object.keys(BENCH_SUITES)
  const suites: Suite[] = []
  const { versions, ...rest } = machine()
  const document: BenchDocument = {
    format: 'millrace-bench/1',
    machine: { ...rest, versions: { ...versions, ...peerVersions() } },
    quick,
    suites,
  }
  // After each suite, so that a run that is broken off leaves what it has measured.
  const progress = benchProgress(wanted.flatMap(benchmarksOf).length)
  for (const suite of wanted) {
    suites.push(await run(suite, quick, progress))
    write(files, document)
  }
  progress.end()
  for (const { suite, rows } of suites) if (rows.length > 0) console.error(`\n${suite}\n${tableOf(rows)}`)

  const failed = suites.flatMap((suite) => suite.failed)
  if (failed.length > 0) console.error(`\nNot, or not wholly, measured: ${failed.join(', ')}. What they said is above.`)
  const regressions = before === undefined ? [] : worse(before, document)
  for (const sentence of regressions) console.error(sentence)
  return failed.length + regressions.length > 0 ? 1 : 0
}

interface Files {
  readonly json: string | undefined
  readonly html: string | undefined
  readonly markdown: string | undefined
}

function write({ json, html, markdown }: Files, document: BenchDocument): void {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(document, undefined, 2)}\n`)
  if (html !== undefined) writeFileSync(html, pageOf(document))
  if (markdown !== undefined) writeFileSync(markdown, markdownInto(readFileSync(markdown, 'utf8'), document))
}

/** Why a file cannot be written: better known before minutes of measuring than after them. */
function requireWritable(option: string, file: string): void {
  try {
    closeSync(openSync(file, 'a'))
  } catch (thrown) {
    throw new UsageError(`--${option} cannot write to ${file}: ${messageOf(thrown)}.`)
  }
}

function documentIn(file: string | undefined): BenchDocument | undefined {
  if (file === undefined) return undefined
  let document: Partial<BenchDocument>
  try {
    document = JSON.parse(readFileSync(file, 'utf8')) as Partial<BenchDocument>
  } catch (thrown) {
    throw new UsageError(`--against cannot read ${file}: ${messageOf(thrown)}.`)
  }
  if (document.format === 'millrace-bench/1' && Array.isArray(document.suites)) return document as BenchDocument
  throw new UsageError(`--against needs what --json wrote (millrace-bench/1); ${file} is something else.`)
}

async function run(suite: string, quick: boolean, progress: BenchProgress): Promise<Suite> {
  const rows: Row[] = []
  const failed: string[] = []
  const benchmarks = benchmarksOf(suite)
  if (benchmarks.length === 0) console.error(`The suite ${suite} has no benchmark here.`)
  for (const benchmark of benchmarks) {
    progress.begin(suite, benchmark)
    const { output, isFine } = await inItsOwnProcess(benchmark, quick, progress)
    progress.done()
    const found = output.split('\n').flatMap(rowIn)
    rows.push(...found)
    if (!isFine || found.length === 0) failed.push(benchmark)
  }
  return { suite, rows, failed }
}

/** Told by the sources: what was compiled of a benchmark that is gone may still lie beside the others. */
function benchmarksOf(suite: string): string[] {
  const named = new RegExp(`^(${suite}(?:[A-Z]\\w*)?)\\.ts$`)
  return readdirSync(SOURCES).flatMap((file) => named.exec(file)?.[1] ?? [])
}

function inItsOwnProcess(
  benchmark: string,
  quick: boolean,
  progress: BenchProgress,
): Promise<{ output: string; isFine: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(__dirname, `${benchmark}.js`), ...(quick ? ['--quick'] : [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: BENCHMARK_MS_MAX,
    })
    const pieces: Buffer[] = []
    child.stderr.setEncoding('utf8').on('data', (text: string) => progress.said(text))
    child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
    child.on('error', (error) => {
      console.error(`${benchmark} could not be started: ${error.message}`)
      resolve({ output: '', isFine: false })
    })
    child.on('close', (code) => resolve({ output: Buffer.concat(pieces).toString('utf8'), isFine: code === 0 }))
  })
}

/** The row that a line holds; lines may hold other things. */
function rowIn(line: string): Row[] {
  if (!line.startsWith('{')) return []
  try {
    const { format, ...row } = JSON.parse(line) as Partial<Row> & { format: unknown }
    return format === 'millrace-bench/1' && row.name !== undefined ? [row as Row] : []
  } catch {
    return []
  }
}

function tableOf(rows: readonly Row[]): string {
  const text = (value: number | undefined): string => (value === undefined ? '' : String(value))
  return table(
    ['name', 'value', 'unit', 'min', 'max', 'baseline', 'ratio', 'from', 'to', ''],
    rows.map(({ name, value, unit, min, max, baseline, ratio, ratioMin, ratioMax, again, differs }) => [
      name,
      text(value),
      unit,
      text(min),
      text(max),
      text(baseline),
      text(ratio),
      text(ratioMin),
      text(ratioMax),
      again === true ? 'noise' : differs === false ? 'no difference shown' : '',
    ]),
  )
}

void main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status
  },
  (thrown: unknown) => {
    if (!(thrown instanceof UsageError)) throw thrown
    console.error(`${thrown.message}\nCall \`millrace bench --help\` for how it is used.`)
    process.exitCode = 2
  },
)
