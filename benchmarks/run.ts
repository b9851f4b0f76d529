/**
 * Runs benchmark suites: `npm run bench -- [SUITE...] [--quick] [--json FILE]`.
 *
 * Each benchmark runs in a process of its own, so that none inherits what another has left behind in the heap, the compiler
 * or the loop; one after another, because they share the machine. Their rows become one document (`millrace-bench/1`) and a
 * table. Exit status: 0 all was measured, 1 a benchmark failed, 2 wrong usage.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { table } from '../src/cli/table'
import { messageOf } from '../src/model/fault'
import { machine, type Row } from './kit/report'

const SUITES: Readonly<Record<string, readonly string[]>> = {
  decode: ['framesToBooks'],
  seed: ['slowHandlers', 'retries'],
  socket: ['socketToBooks'],
  hop: ['hop', 'hopKills', 'hopFeeds'],
}

/** A benchmark that takes longer is ended. */
const BENCHMARK_MS_MAX = 10 * 60_000

interface Suite {
  readonly suite: string
  readonly rows: readonly Row[]
  /** Benchmarks of which nothing, or not all, was measured. */
  readonly failed: readonly string[]
}

async function main(args: readonly string[]): Promise<number> {
  const wish = wishOf(args)
  if (typeof wish === 'string') {
    console.error(
      `${wish}\nUsage: npm run bench -- [SUITE...] [--quick] [--json FILE]\nSuites: ${Object.keys(SUITES).join(', ')}`,
    )
    return 2
  }
  const suites: Suite[] = []
  for (const suite of wish.suites) suites.push(await run(suite, wish.quick))
  const document = { format: 'millrace-bench/1', machine: machine(), quick: wish.quick, suites }
  for (const { suite, rows } of suites) if (rows.length > 0) console.error(`\n${suite}\n${tableOf(rows)}`)
  if (wish.json !== undefined) writeFileSync(wish.json, `${JSON.stringify(document, undefined, 2)}\n`)
  const failed = suites.flatMap((suite) => suite.failed)
  if (failed.length > 0) console.error(`\nNot, or not wholly, measured: ${failed.join(', ')}. What they said is above.`)
  return failed.length > 0 ? 1 : 0
}

interface Wish {
  readonly suites: readonly string[]
  readonly quick: boolean
  readonly json: string | undefined
}

/** What is wished for, or what is wrong with it. */
function wishOf(args: readonly string[]): Wish | string {
  const suites: string[] = []
  let quick = false
  let json: string | undefined
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!
    if (arg === '--quick') quick = true
    else if (arg === '--json') {
      json = args[++at]
      if (json === undefined) return '--json needs the name of a file.'
      const problem = problemOfFile(json)
      if (problem !== undefined) return problem
    } else if (arg.startsWith('-')) return `${arg} is no option.`
    else if (!Object.hasOwn(SUITES, arg)) return `${arg} is no suite.`
    else if (!suites.includes(arg)) suites.push(arg)
  }
  return { suites: suites.length > 0 ? suites : Object.keys(SUITES), quick, json }
}

/** Why a file cannot be written: better known before minutes of measuring than after them. */
function problemOfFile(file: string): string | undefined {
  try {
    closeSync(openSync(file, 'a'))
    return undefined
  } catch (thrown) {
    return `--json cannot write to ${file}: ${messageOf(thrown)}.`
  }
}

async function run(suite: string, quick: boolean): Promise<Suite> {
  const rows: Row[] = []
  const failed: string[] = []
  for (const benchmark of SUITES[suite]!) {
    const { output, isFine } = await inItsOwnProcess(benchmark, quick)
    const found = output.split('\n').flatMap(rowIn)
    rows.push(...found)
    if (!isFine || found.length === 0) failed.push(benchmark)
  }
  return { suite, rows, failed }
}

function inItsOwnProcess(benchmark: string, quick: boolean): Promise<{ output: string; isFine: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(__dirname, `${benchmark}.js`), ...(quick ? ['--quick'] : [])], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: BENCHMARK_MS_MAX,
    })
    const pieces: Buffer[] = []
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
    const { format, benchmark, ...row } = JSON.parse(line) as Row & { format: unknown; benchmark?: string }
    if (format !== 'millrace-bench/1') return []
    const { name = benchmark ?? 'unnamed', ...rest } = row as Partial<Row>
    return [{ name, ...rest } as Row]
  } catch {
    return []
  }
}

function tableOf(rows: readonly Row[]): string {
  const text = (value: number | undefined): string => (value === undefined ? '' : String(value))
  return table(
    ['name', 'value', 'unit', 'min', 'max', 'baseline', 'ratio'],
    rows.map(({ name, value, unit, min, max, baseline, ratio }) => [
      name,
      text(value),
      unit,
      text(min),
      text(max),
      text(baseline),
      text(ratio),
    ]),
  )
}

void main(process.argv.slice(2)).then((status) => {
  process.exitCode = status
})
