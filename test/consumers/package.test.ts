import { expect } from 'chai'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { built, filesBelow, manifest, ROOT } from './checkout'
import { needsInstallation, type Installation } from './installation'
import { runProcess, said } from './runProcess'

describe('the package', function () {
  this.timeout(180_000)
  before(() => built())

  it('has a file behind everything it promises: main, types, exports, older type lookup, commands', () => {
    const { main, types, exports, typesVersions, bin } = manifest()
    const targets = [
      main,
      types,
      ...Object.values(exports).flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target))),
      ...Object.values(typesVersions).flatMap((each) => Object.values(each).flat()),
      ...Object.values(bin),
    ]
    expect(targets.filter((target) => !existsSync(path.join(ROOT, target)))).to.deep.equal([])
    expect(exports['.']).to.deep.equal({ types, default: main })
  })

  it('tells the older type lookup of every subpath that has types', () => {
    const { exports, typesVersions } = manifest()
    for (const [name, target] of Object.entries(exports)) {
      if (name === '.' || typeof target === 'string') continue
      const told = typesVersions['*']?.[name.slice('./'.length)]
      expect(
        told?.map((file) => `./${file}`),
        name,
      ).to.deep.equal([target.types])
    }
  })

  it('has commands that start with a line for Node', () => {
    for (const file of Object.values(manifest().bin)) {
      expect(readFileSync(path.join(ROOT, file), 'utf8')).to.match(/^#!\/usr\/bin\/env node\n/)
    }
  })

  it('packs what is needed to run it, to read it and to step through it, and nothing else', async () => {
    const result = await runProcess('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
      cwd: ROOT,
      withinMs: 180_000,
    })
    expect(result.status, said(result)).to.equal(0)
    const [{ files }] = JSON.parse(result.stdout) as [{ files: { path: string }[] }]
    const packed = new Set(files.map((file) => file.path))

    const sources = filesBelow('src')
    const compiled = sources.flatMap((source) => {
      const base = source.replace(/^src\//, 'dist/').replace(/\.ts$/, '')
      return [`${base}.js`, `${base}.js.map`, `${base}.d.ts`, `${base}.d.ts.map`]
    })
    const expected = new Set([
      ...['package.json', 'README.md', 'LICENSE', 'tsconfig.quant.json'],
      ...[...sources, ...compiled, ...filesBelow('pipelines')],
    ])
    const more = [...packed].filter((file) => !expected.has(file))
    expect(more, 'more than is needed (what is left in dist of sources that are gone: remove dist, build)').to.be.empty
    expect(
      [...expected].filter((file) => !packed.has(file)),
      'missing',
    ).to.be.empty
  })

  it('declares its types in terms of rxjs and Node alone, wherever they lead from the public entries', () => {
    const { exports } = manifest()
    const entries = Object.values(exports).flatMap((target) => (typeof target === 'string' ? [] : [target.types]))
    const { read, packages } = declarationsFrom(entries.map((entry) => path.join(ROOT, entry)))
    expect(read).to.be.above(20)
    const known = ['rxjs', 'rxjs/testing', ...builtinModules]
    expect([...packages].filter((name) => !known.includes(name))).to.deep.equal([])
  })

  describe('installed', () => {
    let installed: Installation
    before(async function () {
      installed = await needsInstallation(this)
    })

    it('has its command among the commands of the project, ready to be executed', () => {
      const command = path.join(installed.folder, 'node_modules/.bin/millrace')
      expect(statSync(command).mode & 0o111).to.equal(0o111)
    })

    it('brings the libraries it runs on and no others', async () => {
      const lock = JSON.parse(await installed.read('node_modules/millrace/package.json')) as {
        dependencies: Record<string, string>
      }
      expect(Object.keys(lock.dependencies).sort()).to.deep.equal([
        'fast-json-stringify',
        'pidusage',
        'rxjs',
        'threads',
        'uplot',
        'ws',
      ])
      expect(existsSync(path.join(installed.folder, 'node_modules/millrace/node_modules/rxjs'))).to.equal(false)
    })

    it('finds the sources that its source maps name', () => {
      const folder = path.join(installed.folder, 'node_modules/millrace/dist')
      const map = JSON.parse(readFileSync(path.join(folder, 'index.js.map'), 'utf8')) as { sources: string[] }
      for (const source of map.sources) expect(existsSync(path.join(folder, source)), source).to.equal(true)
    })
  })
})

/** Follows the imports of declaration files: how many there are, and which packages they name. */
function declarationsFrom(entries: readonly string[]): { read: number; packages: Set<string> } {
  const files = new Set(entries)
  const packages = new Set<string>()
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    for (const [, from, called] of text.matchAll(
      /(?:\bfrom|^import) ['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm,
    )) {
      const name = from ?? called!
      if (name.startsWith('.')) files.add(declarationAt(path.resolve(path.dirname(file), name)))
      else packages.add(name.replace(/^node:/, ''))
    }
    for (const [, name] of text.matchAll(/\/\/\/ <reference (?:types|path)=["']([^"']+)["']/g)) packages.add(name!)
  }
  return { read: files.size, packages }
}

function declarationAt(base: string): string {
  const found = [`${base}.d.ts`, path.join(base, 'index.d.ts')].find((file) => existsSync(file))
  if (found === undefined) throw new Error(`There is no declaration behind ${base}.`)
  return found
}
