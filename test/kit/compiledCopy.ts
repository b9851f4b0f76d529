/**
 * A module and what it imports of this repository, as JavaScript in a folder of its own.
 *
 * Tests that start many processes run these: one starts in a tenth of a second, where translating the sources anew takes
 * each of them a whole one. It is made from the sources as they are, so nothing has to be built before.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ts from 'typescript'

const ROOT = path.resolve(__dirname, '../..')
const SETTINGS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  esModuleInterop: true,
}

export interface CompiledCopy {
  /** The module that was asked for, as a file for `node`. */
  readonly file: string
  remove(): Promise<void>
}

/** @param entry  a `.ts` file of this repository */
export async function compiledCopy(entry: string): Promise<CompiledCopy> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-compiled-'))
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction')
  await writeFile(path.join(folder, 'package.json'), await readFile(path.join(ROOT, 'package.json')))
  const known = new Set([entry])
  for (const source of known) {
    const { outputText } = ts.transpileModule(await readFile(source, 'utf8'), {
      fileName: source,
      compilerOptions: SETTINGS,
    })
    const target = copyOf(folder, source)
    await mkdir(path.dirname(target), { recursive: true })
    await writeFile(target, outputText)
    for (const needed of sourcesIn(outputText, path.dirname(source))) known.add(needed)
  }
  return { file: copyOf(folder, entry), remove: () => rm(folder, { recursive: true, force: true }) }
}

function copyOf(folder: string, source: string): string {
  return path.join(folder, path.relative(ROOT, source).replace(/\.ts$/, '.js'))
}

/** What a module imports or loads by a relative path, and the entries that it starts elsewhere by their place beside it. */
function sourcesIn(text: string, folder: string): string[] {
  const imported = [
    ...text.matchAll(/(?:require|import|load)\("(\.[^"]*)"\)|(?:require|import|load)\('(\.[^']*)'\)/g),
  ].map(([, double, single]) => (double ?? single)!)
  const started = [...text.matchAll(/__dirname((?:, '[^']*')+)\)/g)].map(([, parts]) =>
    path.join(...[...parts!.matchAll(/'([^']*)'/g)].map(([, part]) => part!)),
  )
  return [...imported, ...started]
    .map((asked) => path.resolve(folder, asked))
    .flatMap((asked) => [`${asked}.ts`, path.join(asked, 'index.ts')].filter(existsSync))
}
