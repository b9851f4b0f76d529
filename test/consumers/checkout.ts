/**
 * The checkout as it is built, for tests of what others get: the command line, and the package that is packed from it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { runProcess, said, type ProcessOptions } from './runProcess'

export const ROOT = path.resolve(__dirname, '../..')

let building: Promise<void> | undefined

/** Builds when a source is newer than anything built. `npm test` has built before, so that this is for single runs. */
export function built(): Promise<void> {
  building ??= build()
  return building
}

async function build(): Promise<void> {
  if (newestMs('src') <= newestMs('dist')) return
  const result = await runProcess('npm', ['run', '--silent', 'build'], { cwd: ROOT, withinMs: 180_000 })
  if (result.status !== 0) throw new Error(`The checkout does not build.\n${said(result)}`)
}

/** Calls the command line of the checkout. */
export async function millrace(
  args: readonly string[],
  { withinMs = 180_000, ...options }: Omit<ProcessOptions, 'withinMs'> & { readonly withinMs?: number },
): ReturnType<typeof runProcess> {
  await built()
  return runProcess(process.execPath, [path.join(ROOT, 'dist/cli/millrace.js'), ...args], { ...options, withinMs })
}

export interface Manifest {
  readonly name: string
  readonly main: string
  readonly types: string
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly typesVersions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as Manifest
}

/** The files below a folder of the checkout, relative to the checkout, with `/`. */
export function filesBelow(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'))
}

function newestMs(folder: string): number {
  try {
    return Math.max(0, ...filesBelow(folder).map((file) => statSync(path.join(ROOT, file)).mtimeMs))
  } catch {
    return 0 // there is no such folder yet
  }
}
