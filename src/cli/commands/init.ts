import { mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { messageOf } from '../../model/fault'
import { EXIT, parse, say, UsageError, type Command } from '../command'
import { packageVersion } from '../packageVersion'

export const init: Command = {
  name: 'init',
  summary: "makes a quant's project",
  help: `Usage: millrace init DIR

Makes a project to start from: package.json, tsconfig.json, a pipeline, a script, a notebook and a README with the
commands that run them. DIR is created; a folder that has files in it already is left alone.

  millrace init research && cd research && npm install && npm start`,
  async run(args) {
    const [dir, ...more] = parse(args, {}).positionals
    if (dir === undefined || more.length > 0) throw new UsageError('Name one folder for the project.')
    const folder = path.resolve(dir)
    try {
      await mkdir(folder, { recursive: true })
      if ((await readdir(folder)).length > 0) {
        throw new UsageError(`${dir} has files in it already; name a new folder, or an empty one.`)
      }
      for (const [name, text] of Object.entries(files(path.basename(folder)))) {
        await writeFile(path.join(folder, name), text, { flag: 'wx' })
      }
    } catch (thrown) {
      if (thrown instanceof UsageError) throw thrown
      throw new UsageError(`No project can be made in ${dir}: ${messageOf(thrown)}.`)
    }
    say(`Made ${dir}. Next:\n\n  cd ${dir}\n  npm install\n  npm start\n`)
    return EXIT.done
  },
}

function files(name: string): Readonly<Record<string, string>> {
  const dependencies = { millrace: `^${packageVersion()}`, rxjs: '7.8.2' }
  const manifest = {
    name: packageName(name, Object.keys(dependencies)),
    private: true,
    type: 'commonjs',
    scripts: {
      start: 'millrace run pipeline.ts --seconds 20',
      script: 'ts-node script.ts',
      // Through npm, which finds the kernel that is installed here; the other commands would need it on the PATH.
      notebook: 'tslab install && jupyter notebook notebook.ipynb',
      // By its path: tslab brings an older compiler, and which of the two is called `tsc` is chance.
      check: 'node node_modules/typescript/bin/tsc --noEmit',
    },
    dependencies,
    devDependencies: { '@types/node': '^20.19.0', 'ts-node': '10.9.2', typescript: '6.0.3', tslab: '1.0.22' },
  }
  return {
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'tsconfig.json': `{ "extends": "millrace/tsconfig.quant.json" }\n`,
    '.gitignore': 'node_modules\nout\n',
    'pipeline.ts': PIPELINE,
    'script.ts': SCRIPT,
    'notebook.ipynb': `${JSON.stringify(notebook(), null, 1)}\n`,
    'README.md': README(name),
  }
}

/** A name that npm accepts, and that is not the name of a package the project needs. */
function packageName(folder: string, needed: readonly string[]): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 200)
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'research' : needed.includes(name) ? `${name}-research` : name
}

const PIPELINE = `import { bars, feed, jsonLines, ofKind, pipeline } from 'millrace'

/** One-second trade bars of two instruments on three exchanges. */
export default pipeline('trade-bars', ({ source, sink }) => {
  const market = source(
    'market',
    feed({ exchanges: ['binance', 'bybit', 'okx'], instruments: ['BTC-USDT', 'ETH-USDT'], channel: 'trades' }),
    { capacity: 10_000, onFull: 'block' },
  )
  const trades = market.through('trades', ofKind('trade'))
  const bars1s = trades.through('bars-1s', bars.time({ everyMs: 1_000 }))
  sink(bars1s, jsonLines('out/bars-1s.jsonl'), { capacity: 10_000, onFull: 'block' })
})
`

const SCRIPT = `import { collect, simulator, spreadBps, toBooks } from 'millrace'

/** The first order books of an exchange. With \`feed\` in the place of \`simulator\` it is the exchange itself. */
async function main(): Promise<void> {
  const source = simulator({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'book' })
  for (const batch of await collect(source.pipe(toBooks({ depth: 10 })), { take: 5, forMs: 10_000 })) {
    for (const book of batch) console.log(book.symbol, book.bestBid(), book.bestAsk(), spreadBps(book))
  }
}

void main()
`

function notebook(): unknown {
  const cells = [
    markdown(
      '# Order books, and a pipeline',
      'Against the exchange simulator; with `feed` in the place of `simulator`, or `live: true`, against the exchanges.',
    ),
    code("import { collect, simulator, spreadBps, toBooks } from 'millrace'"),
    code(
      "const source = simulator({ exchanges: ['kraken', 'okx'], instruments: ['BTC-USDT'], channel: 'book' })",
      'const batches = await collect(source.pipe(toBooks({ depth: 10 })), { forMs: 2_000 })',
      'const books = batches.flatMap((batch) => [...batch])',
      'for (const book of books.slice(-4)) console.log(book.exchange, book.bestBid(), book.bestAsk(), spreadBps(book))',
    ),
    markdown('The pipeline of `pipeline.ts`, run from here:'),
    code(
      "import tradeBars from './pipeline'",
      'const summary = await tradeBars.run({ seconds: 3 })',
      'console.log(summary.pipeline, summary.sinks)',
    ),
  ]
  return {
    cells: cells.map((cell, index) => ({ id: `cell-${index + 1}`, ...cell })),
    metadata: {
      kernelspec: { display_name: 'TypeScript', language: 'typescript', name: 'tslab' },
      language_info: { name: 'typescript' },
    },
    nbformat: 4,
    nbformat_minor: 5,
  }
}

function code(...lines: string[]): Readonly<Record<string, unknown>> {
  return { cell_type: 'code', execution_count: null, metadata: {}, outputs: [], source: sourceOf(lines) }
}

function markdown(...lines: string[]): Readonly<Record<string, unknown>> {
  return { cell_type: 'markdown', metadata: {}, source: sourceOf(lines) }
}

function sourceOf(lines: readonly string[]): string[] {
  return lines.map((line, index) => (index === lines.length - 1 ? line : `${line}\n`))
}

function README(name: string): string {
  return `# ${name}

\`\`\`
npm install
npm start           # pipeline.ts against the exchange simulator, 20 seconds; bars in out/bars-1s.jsonl
npm run script      # script.ts: order books in a plain script
npm run notebook    # notebook.ipynb, where Jupyter is installed
npm run check       # the types of all of it
\`\`\`

\`npx millrace run pipeline.ts --live\` connects to the exchanges themselves, \`--record today.ndjson.gz\` keeps what came,
\`--replay today.ndjson.gz\` runs on it again. \`npx millrace exchanges\` lists what there is, \`npx millrace doctor\` says what is missing.
`
}
