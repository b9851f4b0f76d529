import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { EXIT, parse, say, UsageError, type Command } from '../command'
import { packageVersion } from '../packageVersion'

export const init: Command = {
  name: 'init',
  summary: "makes a quant's project",
  help: `Usage: millrace init DIR

Makes a project to start from: package.json, tsconfig.json, a pipeline, a script, a notebook and a README with the three
commands that run them. DIR is created; a folder that has files in it already is left alone.

  millrace init research && cd research && npm install && npm start`,
  async run(args) {
    const [dir, ...more] = parse(args, {}).positionals
    if (dir === undefined || more.length > 0) throw new UsageError('Name one folder for the project.')
    const folder = path.resolve(dir)
    if (existsSync(folder) && (await readdir(folder)).length > 0) {
      throw new UsageError(`${dir} has files in it already; name a new folder, or an empty one.`)
    }
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(files(path.basename(folder)))) {
      await writeFile(path.join(folder, name), text, { flag: 'wx' })
    }
    say(`Made ${dir}. Next:\n\n  cd ${dir}\n  npm install\n  npm start\n`)
    return EXIT.done
  },
}

function files(name: string): Readonly<Record<string, string>> {
  const version = packageVersion()
  const manifest = {
    name:
      name
        .toLowerCase()
        .replace(/[^a-z0-9-]+/g, '-')
        .replace(/^-+|-+$/g, '') || 'research',
    private: true,
    type: 'commonjs',
    scripts: { start: 'millrace run pipeline.ts --seconds 20', script: 'ts-node script.ts' },
    dependencies: { millrace: `^${version}`, rxjs: '7.8.2' },
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

const PIPELINE = `import { bars, feed, jsonLines, ofKind, pipeline } from 'millrace'

/** One-second trade bars of two instruments on three exchanges. */
export default pipeline('trade-bars', ({ source, sink }) => {
  const trades = source(
    'trades',
    feed({ exchanges: ['binance', 'bybit', 'okx'], instruments: ['BTC-USDT', 'ETH-USDT'], channel: 'trades' }),
    { capacity: 10_000, onFull: 'block' },
  )
  const bars1s = trades.through('only-trades', ofKind('trade')).through('bars-1s', bars.time({ everyMs: 1_000 }))
  sink(bars1s, jsonLines('out/bars-1s.jsonl'), { capacity: 10_000, onFull: 'block' })
})
`

const SCRIPT = `import { collect, simulator, toBooks } from 'millrace'

async function main(): Promise<void> {
  const books = simulator({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'book' }).pipe(toBooks({ depth: 10 }))
  for (const batch of await collect(books, { take: 5 })) {
    for (const view of batch) console.log(view.exchange, view.symbol, view.bestBid(), view.bestAsk())
  }
}

void main()
`

function notebook(): unknown {
  const code = (...source: string[]): unknown => ({
    cell_type: 'code',
    execution_count: null,
    metadata: {},
    outputs: [],
    source: source.map((line, index) => (index === source.length - 1 ? line : `${line}\n`)),
  })
  return {
    cells: [
      {
        cell_type: 'markdown',
        metadata: {},
        source: [
          '# Books from the simulator\n',
          'Runs with the tslab kernel: `npx tslab install`, then `jupyter notebook`.',
        ],
      },
      code("import { collect, simulator, toBooks } from 'millrace'"),
      code(
        "const source = simulator({ exchanges: ['kraken', 'okx'], instruments: ['BTC-USDT'], channel: 'book' })",
        'const batches = await collect(source.pipe(toBooks({ depth: 10 })), { forMs: 2_000 })',
        'const views = batches.flatMap((batch) => [...batch])',
        'console.log(views.length, views.at(-1)?.bestBid(), views.at(-1)?.bestAsk())',
      ),
    ],
    metadata: {
      kernelspec: { display_name: 'TypeScript', language: 'typescript', name: 'tslab' },
      language_info: { name: 'typescript' },
    },
    nbformat: 4,
    nbformat_minor: 5,
  }
}

function README(name: string): string {
  return `# ${name}

\`\`\`
npm install
npm start            # pipeline.ts against the simulator, 20 seconds; bars under out/
npm run script       # script.ts: order books in a plain script
\`\`\`

\`npx millrace run pipeline.ts --live\` connects to the exchanges themselves, \`--replay FILE\` reads a recording.
The notebook runs with the tslab kernel: \`npx tslab install\`, then \`jupyter notebook notebook.ipynb\`.
`
}
