/**
 * Loads a pipeline file: `.ts` through ts-node with its types checked, `.js` as it is. What is wrong with it is said with
 * its line, before anything runs.
 */
import { existsSync, readFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import path from 'node:path'
import type { RegisterOptions } from 'ts-node'
import type { Pipeline } from '../pipeline/pipeline'
import { Fault, messageOf } from '../model/fault'
import { UsageError } from './command'

/**
 * @throws UsageError when the file is not there, or cannot be loaded here at all
 * @throws `Fault` PIPELINE_INVALID with the line, when the file does not compile, throws, or describes no valid pipeline
 */
export function loadPipeline(file: string | undefined): Pipeline {
  if (file === undefined) throw new UsageError('Name a pipeline file, such as pipelines/market-monitor.ts.')
  const absolute = path.resolve(file)
  if (!existsSync(absolute)) throw new UsageError(`There is no file ${file}.`)
  const typescript = /\.[cm]?ts$/.test(absolute)
  if (!typescript && !/\.[cm]?js$/.test(absolute)) {
    throw new UsageError(`A pipeline is a .ts or .js file; ${file} is neither.`)
  }
  const ownMillrace = findsMillrace(absolute)
  if (typescript) registerTypeScript(absolute, ownMillrace)
  if (!ownMillrace) provideMillrace() // last, in front of the resolver that ts-node may have put in the place of Node's
  let loaded: unknown
  try {
    // Through require, where ts-node listens; Node 20.19 and newer load ES modules so too.
    loaded = createRequire(absolute)(absolute)
  } catch (thrown) {
    throw invalid(thrown, file, absolute)
  }
  const exported = defaultOf(loaded)
  if (!isPipeline(exported)) {
    throw new UsageError(
      `${file} exports no pipeline by default. End it with: export default pipeline('name', ({ source, sink }) => { ... })`,
    )
  }
  try {
    exported.graph() // what the description throws has a line in this file, and nothing is running yet
  } catch (thrown) {
    throw invalid(thrown, file, absolute)
  }
  return exported
}

/** The default export of either module format. */
function defaultOf(loaded: unknown): unknown {
  let value = loaded
  for (let wraps = 0; wraps < 3 && !isPipeline(value); wraps++) {
    if (typeof value !== 'object' || value === null || !('default' in value)) break
    value = value.default
  }
  return value
}

function isPipeline(value: unknown): value is Pipeline {
  const candidate = value as Partial<Pipeline> | undefined
  return (
    typeof candidate?.run === 'function' && typeof candidate.graph === 'function' && typeof candidate.name === 'string'
  )
}

const PACKAGE_ROOT = path.resolve(__dirname, '..', '..')

/** True when `import 'millrace'` from beside the file finds an installation of its own. */
function findsMillrace(file: string): boolean {
  try {
    createRequire(file).resolve('millrace')
    return true
  } catch {
    return false
  }
}

/** The packages that a pipeline file outside any project gets from the millrace that runs it. */
const PROVIDED = /^(millrace|rxjs)(\/|$)/

let provided = false

function provideMillrace(): void {
  if (provided) return
  provided = true
  const resolver = Module as unknown as {
    _resolveFilename(request: string, parent: unknown, ...rest: unknown[]): string
  }
  const resolve = resolver._resolveFilename.bind(resolver)
  // Asked for from this file, which sees its own package by name and that package's rxjs: there must be one of each.
  resolver._resolveFilename = (request, parent, ...rest) =>
    PROVIDED.test(request) ? resolve(request, module, false) : resolve(request, parent, ...rest)
}

function registerTypeScript(file: string, ownMillrace: boolean): void {
  const places = [file, path.join(PACKAGE_ROOT, 'package.json')].map((place) => createRequire(place))
  const compiler = typeScriptCompiler(places)
  let tsNode: { register(options: RegisterOptions): unknown }
  try {
    tsNode = first(places, (place) => place('ts-node') as typeof tsNode)
  } catch {
    throw new UsageError(`Pipelines in TypeScript need ts-node. ${INSTALL_TYPESCRIPT}`)
  }
  // Its own tsconfig.json counts in a project; a file outside any is read the way `millrace init` would set it up.
  const skipProject = !ownMillrace || !hasTsconfig(path.dirname(file))
  tsNode.register({
    cwd: path.dirname(file),
    compiler,
    skipProject,
    transpileOnly: false,
    typeCheck: true,
    ignoreDiagnostics: [ROOT_DIR_UNSET, MODULE_RESOLUTION_OTHER],
    // Where TypeScript would become ES modules, ts-node refuses to load them: they are compiled to CommonJS all the same,
    // and what they import as `./strategy.js` is found as the TypeScript it is.
    ...(isModuleScope(file) ? { moduleTypes: { '**/*': 'cjs' as const }, experimentalResolver: true } : {}),
    compilerOptions: {
      module: 'nodenext',
      moduleResolution: 'nodenext',
      noEmit: false,
      ...(skipProject ? { ...COMPILER_OPTIONS, rootDir: path.parse(file).root, ...nodeTypes(places) } : {}),
      ...(ownMillrace ? {} : { paths: providedTypes() }),
    },
  })
}

/** TypeScript 6 wants `rootDir` to be said; nothing is written here, so it does not matter. */
const ROOT_DIR_UNSET = 5011

/** TypeScript complains of the mixture when a file that it reads as an ES module is compiled to CommonJS. */
const MODULE_RESOLUTION_OTHER = 5110

/** Those of tsconfig.quant.json. */
const COMPILER_OPTIONS = { target: 'es2023', strict: true, esModuleInterop: true, skipLibCheck: true } as const

const INSTALL_TYPESCRIPT =
  'Install both: npm install --save-dev ts-node@10.9.2 typescript@6.0.3. Or compile the file and run the .js.'

/** The nearest TypeScript that ts-node starts on: from version 7 on, the package no longer offers what it needs. */
function typeScriptCompiler(places: readonly NodeJS.Require[]): string {
  let tooNew: string | undefined
  for (const place of places) {
    try {
      const { version } = place('typescript/package.json') as { version: string }
      if (Number.parseInt(version, 10) < 7) return place.resolve('typescript')
      tooNew ??= version
    } catch {
      // Not installed there; the next place may have it.
    }
  }
  const found = tooNew === undefined ? '' : ` ts-node does not start on the typescript ${tooNew} that is installed.`
  throw new UsageError(`Pipelines in TypeScript need typescript below 7.${found} ${INSTALL_TYPESCRIPT}`)
}

function isModuleScope(file: string): boolean {
  if (file.endsWith('.mts')) return true
  if (file.endsWith('.cts')) return false
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { type?: unknown } | null
      return manifest?.type === 'module'
    } catch {
      if (path.dirname(folder) === folder) return false // no package.json anywhere above
    }
  }
}

function hasTsconfig(folder: string): boolean {
  if (existsSync(path.join(folder, 'tsconfig.json'))) return true
  const parent = path.dirname(folder)
  return parent !== folder && hasTsconfig(parent)
}

/** The types of Node from wherever they are installed, so that `process` and `Buffer` are known to the file. */
function nodeTypes(places: readonly NodeJS.Require[]): { types: string[]; typeRoots?: string[] } {
  try {
    const manifest = first(places, (place) => place.resolve('@types/node/package.json'))
    return { types: ['node'], typeRoots: [path.resolve(manifest, '..', '..')] }
  } catch {
    return { types: [] }
  }
}

/** Where the compiler finds the types of what {@link provideMillrace} provides. */
function providedTypes(): Record<string, string[]> {
  const rxjs = path.dirname(createRequire(__filename).resolve('rxjs/package.json'))
  return {
    millrace: [path.join(PACKAGE_ROOT, 'dist/index.d.ts')],
    'millrace/operators': [path.join(PACKAGE_ROOT, 'dist/operators/index.d.ts')],
    'millrace/testing': [path.join(PACKAGE_ROOT, 'dist/testing/index.d.ts')],
    rxjs: [path.join(rxjs, 'dist/types/index.d.ts')],
    'rxjs/*': [path.join(rxjs, 'dist/types/*/index.d.ts')],
  }
}

function first<P, R>(places: readonly P[], attempt: (place: P) => R): R {
  let failure: unknown
  for (const place of places) {
    try {
      return attempt(place)
    } catch (thrown) {
      failure = thrown
    }
  }
  throw failure
}

/** The one fault for whatever is wrong with a pipeline file. The pipeline may come from another millrace than this one. */
function invalid(thrown: unknown, file: string, absolute: string): Fault {
  const { code, details } = thrown as Partial<Fault>
  const listed = thrown instanceof Error && thrown.name === 'Fault' && code === 'PIPELINE_INVALID'
  const message = listed ? thrown.message : explain(thrown, file, absolute)
  return new Fault('PIPELINE_INVALID', message, listed ? details : { file }, { cause: thrown })
}

/** A type error as the compiler words it; a throw with the line of the file it came from. */
function explain(thrown: unknown, file: string, absolute: string): string {
  const { diagnosticText } = thrown as { diagnosticText?: unknown }
  if (typeof diagnosticText === 'string') return `${file} does not compile:\n${diagnosticText.trimEnd()}`
  const { code } = thrown as NodeJS.ErrnoException
  if (provided && code === 'ERR_MODULE_NOT_FOUND' && /package '(millrace|rxjs)'/.test(messageOf(thrown))) {
    return `${file} is an ES module outside any project, where millrace cannot be provided to it: name it .ts, or make a project with \`millrace init\`. ${messageOf(thrown)}`
  }
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : ''
  const line = stack.split('\n').find((each) => each.includes(`${absolute}:`))
  const at = line === undefined ? undefined : /:(\d+(?::\d+)?)\)?$/.exec(line.trim())?.[1]
  return `${file}${at === undefined ? '' : `:${at}`} failed while it was loaded: ${messageOf(thrown)}`
}
