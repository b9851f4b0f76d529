/**
 * millrace as others install it: packed from the checkout, installed from the tarball into an empty folder that
 * `millrace init` has made a project of. Once for all tests of a run, since installing takes its time.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { built, millrace, ROOT } from './checkout'
import { runProcess, said, type ProcessOptions, type ProcessResult } from './runProcess'

export interface Installation {
  /** The project's folder. */
  readonly folder: string
  /** Writes a file of the project; returns its path. */
  write(name: string, text: string): Promise<string>
  read(name: string): Promise<string>
  /** Runs Node on a script of the project. */
  node(script: string, args?: readonly string[], options?: Partial<ProcessOptions>): Promise<ProcessResult>
  npm(args: readonly string[], options?: Partial<ProcessOptions>): Promise<ProcessResult>
}

/** How long npm may take to install. */
export const INSTALL_WITHIN_MS = 180_000

/** What one process of a consumer may take, on a slow and busy machine. */
export const RUN_WITHIN_MS = 180_000

/** Skips the running hook, saying why, when the package registry cannot be reached. */
export async function needsInstallation(context: Mocha.Context): Promise<Installation> {
  context.timeout(INSTALL_WITHIN_MS + 3 * RUN_WITHIN_MS) // built, packed and made a project of before
  installing ??= install()
  const installed = await installing
  if (installed !== undefined) return installed
  return context.skip()
}

let installing: Promise<Installation | undefined> | undefined

async function install(): Promise<Installation | undefined> {
  await built()
  const parent = await mkdtemp(path.join(tmpdir(), 'millrace-consumer-'))
  process.once('exit', () => rmSync(parent, { recursive: true, force: true }))

  // The build is there already, and building again under the other tests' feet would take it from them for a moment.
  const packed = await runProcess('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', parent], {
    cwd: ROOT,
    withinMs: RUN_WITHIN_MS,
  })
  if (packed.status !== 0) throw new Error(`The package cannot be packed. ${said(packed)}`)
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }]

  const made = await millrace(['init', 'research'], { cwd: parent })
  if (made.status !== 0) throw new Error(`No project was made. ${said(made)}`)
  const folder = path.join(parent, 'research')
  const manifestFile = path.join(folder, 'package.json')
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as Record<string, Record<string, string>>
  manifest['dependencies']!['millrace'] = `file:${path.join(parent, filename)}`
  manifest['devDependencies']!['ts504'] = 'npm:typescript@5.0.4' // what tslab reads types with
  await writeFile(manifestFile, JSON.stringify(manifest))

  const result = await runProcess('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], {
    cwd: folder,
    withinMs: INSTALL_WITHIN_MS,
  })
  if (result.status !== 0) {
    const reason = /E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|NETUNREACH|HOSTUNREACH|NOTCACHED)|ERR_SOCKET_TIMEOUT/.exec(
      result.stderr,
    )?.[0]
    if (reason === undefined && !result.ranTooLong) throw new Error(`npm install failed. ${said(result)}`)
    console.log(`Skipped: tests of the installed package; the registry cannot be reached (${reason ?? 'too slow'}).`)
    return undefined
  }

  const run = (command: string, args: readonly string[], options: Partial<ProcessOptions> = {}) =>
    runProcess(command, args, { cwd: folder, withinMs: RUN_WITHIN_MS, ...options })
  return {
    folder,
    async write(name, text) {
      const file = path.join(folder, name)
      await writeFile(file, text)
      return file
    },
    read: (name) => readFile(path.join(folder, name), 'utf8'),
    node: (script, args = [], options) => run(process.execPath, [script, ...args], options),
    npm: (args, options) => run('npm', args, options),
  }
}

/** The tools of the project by their paths: which compiler is called `tsc` there is chance. */
export const TSC = 'node_modules/typescript/bin/tsc'
export const TSC_OF_NOTEBOOKS = 'node_modules/ts504/bin/tsc'
export const TS_NODE = 'node_modules/ts-node/dist/bin.js'

/** The last line of standard output, as JSON. */
export function answerOf(result: ProcessResult): Record<string, unknown> {
  const line = result.stdout.trimEnd().split('\n').at(-1) ?? ''
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    throw new Error(`It answered no JSON. ${said(result)}`)
  }
}
