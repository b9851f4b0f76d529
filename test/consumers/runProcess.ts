/**
 * Real processes with a deadline. Each has a process group of its own, so that whatever it leaves behind is seen, and
 * ended.
 */
import { spawn, type ChildProcess } from 'node:child_process'

export interface ProcessResult {
  /** The exit status; undefined when a signal or the deadline ended it. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
  readonly ranTooLong: boolean
  /** It has exited, and something that it started has not. */
  readonly leftAlive: boolean
}

export interface ProcessOptions {
  readonly cwd: string
  readonly withinMs: number
  readonly env?: Readonly<Record<string, string>>
  /** Handed the process while it runs: to write to it, to watch what it says. */
  readonly meanwhile?: (process: RunningProcess) => Promise<void>
}

export interface RunningProcess {
  write(text: string): void
  /** What it has written to standard output so far. */
  stdout(): string
  running(): boolean
  /** As Ctrl-C does. */
  interrupt(): void
}

/** The most that is kept of each stream. */
const OUTPUT_CHARS = 1_000_000

const groups = new Set<number>()
process.once('exit', () => groups.forEach(endGroup))

/** Runs a command to its end. Resolves also when it fails or takes too long; rejects only with what `meanwhile` throws. */
export async function runProcess(
  command: string,
  args: readonly string[],
  { cwd, withinMs, env = {}, meanwhile }: ProcessOptions,
): Promise<ProcessResult> {
  const child = spawn(command, args, { cwd, env: { ...cleanEnvironment(), ...env }, detached: true, stdio: 'pipe' })
  const group = child.pid
  if (group !== undefined) groups.add(group)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-OUTPUT_CHARS)))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-OUTPUT_CHARS)))
  child.stdin.on('error', () => undefined) // it ended before it had read everything: its status tells
  if (meanwhile === undefined) child.stdin.end()

  let ranTooLong = false
  const deadline = setTimeout(() => {
    ranTooLong = true
    if (group !== undefined) endGroup(group)
  }, withinMs)
  const closed = closeOf(child)
  try {
    await meanwhile?.({
      write: (text) => void child.stdin.write(text),
      stdout: () => stdout,
      running: () => child.exitCode === null && child.signalCode === null,
      interrupt: () => void child.kill('SIGINT'),
    })
    const status = await closed
    return { status, stdout, stderr, ranTooLong, leftAlive: group !== undefined && endGroup(group) }
  } finally {
    clearTimeout(deadline)
    if (group !== undefined) {
      endGroup(group)
      groups.delete(group)
    }
    await closed
  }
}

/** What a process said, for the message of a failed assertion. */
export function said({ status, stdout, stderr, ranTooLong }: ProcessResult): string {
  const end = ranTooLong ? 'It took too long.' : `It ended with ${status ?? 'a signal'}.`
  return `${end}\n${stdout.slice(-4_000)}\n${stderr.slice(-4_000)}`
}

function closeOf(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(undefined))
    child.once('close', (status) => resolve(status ?? undefined))
  })
}

/** True when there was something left to end. */
function endGroup(group: number): boolean {
  try {
    process.kill(-group, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

/** Without what the test runner has told Node, npm and ts-node for itself. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NODE_|TS_NODE_|npm_(lifecycle|package)_)/.test(name))
  return {
    ...Object.fromEntries(kept),
    NO_COLOR: '1',
    npm_config_loglevel: 'error',
    npm_config_update_notifier: 'false',
  }
}
