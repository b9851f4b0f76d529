/**
 * The house in order: who may import whom, what only the rim may touch, what no file may name.
 */
import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { OPTIONAL_PARTS } from '../src/sinks/optionalPart'

const ROOT = path.resolve(__dirname, '..')
const SRC = path.join(ROOT, 'src')

/** For each folder of `src/` what it may import: folders, single files without their extension, or packages. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  clock: ['model', 'node:perf_hooks'],
  // Scans and books in one block of memory, compiled to WebAssembly too.
  kernel: [],
  // `node:module` loads what only a book that is kept needs.
  book: ['model', 'kernel', 'node:module'],
  // `book/checksum` and `book/sequencing` name the rules that a description refers to.
  exchanges: ['model', 'book/sequencing', 'book/checksum', 'kernel/shape'],
  // Pages, and what they are made of: what runs in a browser imports nothing but its like.
  page: ['model/fault', 'uplot', 'typescript', 'node:'],
  metrics: ['clock', 'model/fault', 'rxjs', 'pidusage', 'node:'],
  actors: ['model/fault', 'metrics', 'clock'],
  // A feed guards its books where a loss can be repaired; see Decisions in the README.
  feed: ['model', 'exchanges', 'book', 'kernel', 'metrics', 'clock', 'rxjs', 'ws', 'node:'],
  // An operator that holds values accounts for them as every edge does.
  operators: [
    ...['model', 'book', 'clock', 'actors/ledger', 'actors/overflow', 'actors/pressure', 'actors/wiring', 'rxjs'],
    // Each is loaded when it is called.
    'node:module',
  ],
  // Optional parts are loaded when a sink is opened that needs them.
  sinks: [
    ...['model', 'metrics', 'clock', 'actors', 'rxjs', 'fast-json-stringify', 'ws', 'node:'],
    'page',
    // What leaves over a wire goes through the same proxies as what comes.
    'feed/proxy',
    ...Object.keys(OPTIONAL_PARTS),
  ],
  // Workers tell the sampler of themselves.
  workers: ['model', 'actors', 'metrics', 'clock', 'book', 'rxjs', 'threads', 'node:'],
  simulator: ['model', 'exchanges', 'clock', 'ws', 'node:'],
}

/** Folders that nothing else imports: they face a person, or put everything together; each may import those after it. */
const FACES = ['cli', 'testing', 'dashboard', 'pipeline']

/** A run opens its own server, which is loaded when it is asked for. */
const LOADED_BY: Readonly<Record<string, string>> = { 'pipeline/startRun.ts': 'dashboard/serve' }

/** What is public, as it is declared and as it is run. */
const API = ['index.ts', 'main.ts']

/** Files that may read the raw clock, raw timers and raw randomness. */
const RIM = [
  'clock/liveClock.ts',
  'clock/backoff.ts',
  'cli/',
  'metrics/',
  // Tokens are random, and made where the server is opened.
  'dashboard/token.ts',
  'pipeline/host.ts',
  'pipeline/sources.ts',
  // In a browser there is no other clock.
  'dashboard/page/',
  // Tests wait for real things to end, within a deadline.
  'testing/leaks.ts',
]

/** Files, sockets and threads, standard output, and what drives virtual time from outside. */
const TURNS = [
  'feed/recording/foreign/foreignReader.ts',
  'feed/recording/recordingIndex.ts',
  'feed/recording/recordingReader.ts',
  'simulator/exchangeServer.ts',
  'sinks/consoleSink.ts',
  'sinks/turn.ts',
  'sinks/websocketServer.ts',
  'workers/fromWorker.ts',
  'workers/link.ts',
  'testing/testRun.ts',
  'testing/simulation/world.ts',
]

/** Where a process or thread begins, or what begins connections for one. */
const PROCESS_BEGINS = ['pipeline/host.ts', 'pipeline/liveMarket.ts', 'metrics/pidusageEntry.ts']

const RAW =
  /\b(Date\.now\(|new Date\(\)|performance\.now\(|hrtime|setTimeout\(|setInterval\(|Math\.random|randomUUID|randomBytes|getRandomValues)/

describe('The source tree', () => {
  it('imports only what each folder may', () => {
    const broken: string[] = []
    for (const file of filesOf(SRC)) {
      const folder = file.split('/')[0]!
      const allowed = MAY_IMPORT[folder]
      if (allowed === undefined) continue
      for (const imported of importsOf(file)) {
        const target = resolved(file, imported)
        if (target.split('/')[0] === folder) continue
        const fine = allowed.some(
          (rule) =>
            target === rule || target.startsWith(`${rule}/`) || (rule === 'node:' && target.startsWith('node:')),
        )
        if (!fine) broken.push(`${file} imports ${target}; ${folder}/ may import ${allowed.join(', ') || 'nothing'}`)
      }
    }
    expect(broken).to.deep.equal([])
  })

  it('lets nobody import what faces a person', () => {
    const broken: string[] = []
    for (const file of filesOf(SRC)) {
      const folder = file.split('/')[0]!
      if (API.includes(file)) continue
      const rank = FACES.includes(folder) ? FACES.indexOf(folder) : FACES.length
      for (const imported of importsOf(file)) {
        const target = resolved(file, imported)
        const targetRank = FACES.indexOf(target.split('/')[0]!)
        if (LOADED_BY[file] === target) continue
        if (targetRank >= 0 && targetRank < rank) broken.push(`${file} imports ${target}`)
      }
    }
    expect(broken).to.deep.equal([])
  })

  it('names every folder of src in the rules', () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    )
    expect(folders.filter((folder) => MAY_IMPORT[folder] === undefined && !FACES.includes(folder))).to.deep.equal([])
  })

  it('reads the raw clock, raw timers and raw randomness only at the rim', () => {
    const broken = filesOf(SRC).flatMap((file) =>
      RIM.some((place) => file === place || (place.endsWith('/') && file.startsWith(place)))
        ? []
        : codeLines(file).flatMap((line, index) => (RAW.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : [])),
    )
    expect(broken).to.deep.equal([])
  })

  it('waits for turns of the event loop only where it meets the machine', () => {
    const broken = filesOf(SRC).flatMap((file) =>
      [...RIM, ...TURNS].some((place) => file === place || (place.endsWith('/') && file.startsWith(place)))
        ? []
        : codeLines(file).flatMap((line, index) =>
            /\bsetImmediate\b/.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : [],
          ),
    )
    expect(broken).to.deep.equal([])
  })

  it('reads the environment only where a process begins', () => {
    const broken = filesOf(SRC).filter(
      (file) =>
        !file.startsWith('cli/') &&
        !PROCESS_BEGINS.includes(file) &&
        codeLines(file).some((line) => line.includes('process.env')),
    )
    expect(broken).to.deep.equal([])
  })

  it('imports nothing from inside rxjs, and names threads in one file', () => {
    expect(
      filesOf(SRC).filter((file) => importsOf(file).some((each) => each.startsWith('rxjs/internal'))),
    ).to.deep.equal([])
    const threads = filesOf(SRC).filter((file) =>
      importsOf(file).some((each) => each === 'threads' || each.startsWith('threads/')),
    )
    expect(threads.filter((file) => !file.startsWith('workers/'))).to.deep.equal([])
  })

  it('evaluates nothing that came from outside', () => {
    // What it evaluates is made of numbers and plain words; other names, and functions, are handed over as values.
    const broken = filesOf(SRC).filter(
      (file) =>
        file !== 'sinks/files/compileRows.ts' && codeLines(file).some((line) => /\beval\(|new Function\(/.test(line)),
    )
    expect(broken).to.deep.equal([])
  })

  it('leaves no promise of later work in the code', () => {
    const broken = [
      ...filesOf(SRC).map((file) => `src/${file}`),
      ...filesOf(path.join(ROOT, 'pipelines')).map((file) => `pipelines/${file}`),
    ].flatMap((file) =>
      readFileSync(path.join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          /\b(TODO|FIXME|XXX|HACK)\b|for now\b/.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : [],
        ),
    )
    expect(broken).to.deep.equal([])
  })

  it('keeps the top level as it was asked for', () => {
    const allowed =
      /^(package\.json|package-lock\.json|tsconfig[a-z.]*\.json|src|pipelines|test|benchmarks|README\.md|LICENSE|eslint\.config\.mjs|node_modules|dist|out|\..*)$/
    expect(readdirSync(ROOT).filter((name) => !allowed.test(name))).to.deep.equal([])
  })
})

/** Source files below a folder, as paths relative to it. */
function filesOf(folder: string, below = ''): string[] {
  return readdirSync(path.join(folder, below), { withFileTypes: true }).flatMap((entry) => {
    const name = below === '' ? entry.name : `${below}/${entry.name}`
    if (entry.isDirectory()) return filesOf(folder, name)
    return name.endsWith('.ts') ? [name] : []
  })
}

function importsOf(file: string): string[] {
  return ts.preProcessFile(readFileSync(path.join(SRC, file), 'utf8')).importedFiles.map((each) => each.fileName)
}

/** A path relative to `src/` for what is inside, else the package's name as it is. */
function resolved(file: string, imported: string): string {
  if (!imported.startsWith('.')) return imported
  return path.posix.join(path.posix.dirname(file), imported)
}

/** Lines with comments taken out, at their own numbers. */
function codeLines(file: string): string[] {
  return readFileSync(path.join(SRC, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .split('\n')
    .map((line) => line.replace(/(^|\s)\/\/.*$/, ''))
}
