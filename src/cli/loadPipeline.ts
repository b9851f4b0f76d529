/**
 * Loads a pipeline file: `.ts` through ts-node with its types checked, `.js` as it is. What is wrong with it is said with
 * its line, before anything runs.
 */
import { existsSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import path from 'node:path'
import type { RegisterOptions } from 'ts-node'
import type { Pipeline } from '../pipeline/pipeline'
import { messageOf } from '../model/fault'
import { UsageError } from './command'

/** @throws UsageError with the file, the line and what is wrong there */
export function loadPipeline(file: string | undefined): Pipeline {
  if (file === undefined) throw new UsageError('Name a pipeline file, such as pipelines/market-monitor.ts.')
  const absolute = path.resolve(file)
  if (!existsSync(absolute)) throw new UsageError(`There is no file ${file}.`)
  const typescript = /\.[cm]?ts$/.test(absolute)
  if (!typescript && !/\.[cm]?js$/.test(absolute)) {
    throw new UsageError(`A pipeline is a .ts or .js file; ${file} is neither.`)
  }
  provideMillrace(absolute)
  if (typescript) registerTypeScript(absolute)
  let loaded: unknown
  try {
    // Through require, where ts-node listens; Node 20.19 and newer load ES modules so too.
    loaded = createRequire(absolute)(absolute)
  } catch (thrown) {
    throw new UsageError(explain(thrown, file, absolute))
  }
  const exported = defaultOf(loaded)
  if (!isPipeline(exported)) {
    throw new UsageError(`${file} exports no pipeline by default. End it with: export default pipeline('name', ({ source, sink }) => { ... })`)
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
  return typeof candidate?.run === 'function' && typeof candidate.graph === 'function' && typeof candidate.name === 'string'
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

let provided = false

/** A pipeline file outside any project gets the millrace that runs it. */
function provideMillrace(file: string): void {
  if (provided || findsMillrace(file)) return
  provided = true
  const resolver = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string }
  const resolve = resolver._resolveFilename.bind(resolver)
  resolver._resolveFilename = (request, ...rest) =>
    request === 'millrace' || request.startsWith('millrace/')
      ? createRequire(path.join(PACKAGE_ROOT, 'package.json')).resolve(request)
      : request === 'rxjs' || request.startsWith('rxjs/')
        ? createRequire(path.join(PACKAGE_ROOT, 'package.json')).resolve(request)
        : resolve(request, ...rest)
}

function registerTypeScript(file: string): void {
  let tsNode: { register(options: RegisterOptions): unknown }
  let compiler: string
  const places = [file, path.join(PACKAGE_ROOT, 'package.json')].map((place) => createRequire(place))
  try {
    tsNode = first(places, (place) => place('ts-node') as typeof tsNode)
    compiler = first(places, (place) => place.resolve('typescript'))
  } catch {
    throw new UsageError(
      'Pipelines in TypeScript need ts-node and typescript: npm install --save-dev ts-node@10.9.2 typescript@6.0.3. Or compile the file and run the .js.',
    )
  }
  const foreign = provided
  tsNode.register({
    cwd: path.dirname(file),
    compiler,
    transpileOnly: false,
    typeCheck: true,
    compilerOptions: {
      module: 'nodenext',
      moduleResolution: 'nodenext',
      noEmit: false,
      ...(foreign
        ? {
            target: 'es2023',
            strict: true,
            esModuleInterop: true,
            skipLibCheck: true,
            rootDir: '/',
            types: [],
            paths: {
              millrace: [path.join(PACKAGE_ROOT, 'dist/index.d.ts')],
              'millrace/operators': [path.join(PACKAGE_ROOT, 'dist/operators/index.d.ts')],
              rxjs: [path.join(path.dirname(createRequire(path.join(PACKAGE_ROOT, 'package.json')).resolve('rxjs/package.json')), 'dist/types/index.d.ts')],
            },
          }
        : {}),
    },
  })
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

/** A type error as the compiler words it; a throw with the line of the file it came from. */
function explain(thrown: unknown, file: string, absolute: string): string {
  const { diagnosticText } = thrown as { diagnosticText?: unknown }
  if (typeof diagnosticText === 'string') return `${file} does not compile:\n${diagnosticText.trimEnd()}`
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : ''
  const line = stack.split('\n').find((each) => each.includes(absolute))
  const at = line === undefined ? '' : /(\d+:\d+)\)?$/.exec(line.trim())?.[1]
  return `${file}${at === undefined || at === '' ? '' : `:${at}`} failed while it was loaded: ${messageOf(thrown)}`
}
