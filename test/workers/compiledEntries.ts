import { mkdtemp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ts from 'typescript'

const ROOT = path.resolve(__dirname, '../..')

/** The folders whose files worker entries consist of. */
const FOLDERS = [
  'src/model',
  'src/clock',
  'src/actors',
  'src/metrics',
  'src/workers',
  'src/workers/entries',
  'test/workers/entries',
]

/**
 * Compiles the entries of these tests, as a build would, into a folder of their own: a thread then starts in some tens
 * of milliseconds, instead of loading a compiler first.
 */
export async function compileEntries(): Promise<CompiledEntries> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-entries-'))
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  for (const part of FOLDERS) {
    await mkdir(path.join(folder, part), { recursive: true })
    for (const name of await readdir(path.join(ROOT, part))) {
      if (!name.endsWith('.ts')) continue
      const source = await readFile(path.join(ROOT, part, name), 'utf8')
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
      })
      await writeFile(path.join(folder, part, name.replace(/ts$/, 'js')), outputText)
    }
  }
  return {
    entry: (name) => path.join(folder, 'test/workers/entries', `${name}.js`),
    remove: () => rm(folder, { recursive: true }),
  }
}

export interface CompiledEntries {
  /** The path of an entry of `test/workers/entries`. */
  entry(name: string): string
  remove(): Promise<void>
}
