/**
 * Calls the compiled command line as a person would: a process of its own, judged by what it prints and by its exit status.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { eventually } from '../kit/eventually'
import { skipped } from '../kit/shared'

export const ROOT = path.resolve(__dirname, '../..')
const MILLRACE = path.join(ROOT, 'dist/cli/millrace.js')

/** Everything a test calls ends within this, also on a machine that is slow and busy with other things. */
const WITHIN_MS = 120_000

/** What a whole suite talks to lives longer: it ends when the suite says so, this is for a suite that broke off. */
const SUITE_WITHIN_MS = 1_800_000

export interface Ran {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly child: ChildProcess
  /** What it has said so far. */
  out(): string
  err(): string
  readonly done: Promise<Ran>
}

export interface CallOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** Killed when it has not ended by then. Default two minutes. */
  readonly withinMs?: number
}

/** Skips the running test (or hook) when nothing has been built. */
export function needsBuild(context: Mocha.Context): void {
  if (existsSync(MILLRACE)) return
  skipped.count++
  context.skip()
}

export function startMillrace(
  args: readonly string[],
  { input, env, withinMs = WITHIN_MS }: CallOptions = {},
): Running {
  const child = spawn(process.execPath, [MILLRACE, ...args], { cwd: ROOT, env: { ...process.env, ...env } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  child.stdin.on('error', () => undefined) // a command that has ended does not read on
  child.stdin.end(input ?? '')
  const deadline = setTimeout(() => child.kill('SIGKILL'), withinMs)
  const done = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      clearTimeout(deadline)
      resolve({ status, signal, out, err })
    })
  })
  return { child, out: () => out, err: () => err, done }
}

export function millrace(args: readonly string[], options: CallOptions = {}): Promise<Ran> {
  return startMillrace(args, options).done
}

/**
 * Starts a command that runs on, interrupts it once `seen` no longer throws, and gives what it came to: however long the
 * machine takes, what the test is about has happened by then.
 */
export async function millraceUntil(args: readonly string[], seen: (running: Running) => unknown): Promise<Ran> {
  const running = startMillrace(args)
  let ended = false
  void running.done.then(() => (ended = true))
  try {
    await eventually(() => (ended ? undefined : seen(running)), { everyMs: 50 })
  } finally {
    running.child.kill('SIGINT')
  }
  return running.done
}

export interface SimulatorAddress {
  readonly ws: string
  readonly rest: string
}

/** A simulator in a process of its own; the caller stops it. */
export async function startSimulator(
  args: readonly string[],
): Promise<{ readonly running: Running; address(exchange: string): SimulatorAddress }> {
  const running = startMillrace(['simulate', '--json', ...args], { withinMs: SUITE_WITHIN_MS })
  const exchanges = await eventually(
    () => (JSON.parse(running.out()) as { exchanges: Record<string, SimulatorAddress> }).exchanges,
  )
  return { running, address: (exchange) => exchanges[exchange]! }
}

/** Gives each test of the suite a folder of its own, and takes it away again. */
export function temporaryFolder(): (name: string) => string {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-cli-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))
  return (name) => {
    if (folder === '') throw new Error('The folder is made before each test, not before all.')
    return path.join(folder, name)
  }
}
