import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { EXIT, optionsHelp, parse, say, UsageError, type Command, type OptionSpec, type ParsedArgs } from '../command'
import { didYouMean } from '../../model/nearest'

/** What can be measured; a benchmark belongs to the suite whose name its file begins with. */
export const BENCH_SUITES: Readonly<Record<string, string>> = {
  decode: 'recorded sessions of each exchange, bytes to verified books, beside JSON.parse, tardis-dev and ccxt',
  book: 'one stream of 50 symbols, bytes to best prices: time and memory a frame, beside what else a team could take',
  pipeline: 'bytes to a sink through four operators; the flagship on the simulator; latency from when a frame was due',
  socket: 'from a WebSocket to books',
  hop: 'what a hop to another thread costs, and frees',
  rxjs: 'ns an event of RxJS and of our operators, one by one and in batches',
  sinks: 'rows into files, databases and wires, each beside what its library does by itself',
  recording: 'what recording takes at 20,000 frames/s; seeking in and replaying a day of it',
  watch: 'what watching a run costs it, all of it on beside all of it off; a sample of the process beside pidusage',
  seed: 'six ways to block an event loop, and what is instead: S1 to S6',
  scale: 'curves over symbols and levels: time and memory',
  startup: 'time and memory of `import "millrace"`',
}

export const BENCH_OPTIONS = {
  quick: { meaning: 'few and short repetitions: shows that every benchmark works, in about a minute, and little else' },
  json: { value: 'FILE', meaning: 'write all rows as one document, millrace-bench/1' },
  html: { value: 'FILE', meaning: 'write a page with charts: one file, which needs no network' },
  markdown: {
    value: 'FILE',
    meaning: 'write the headlines as tables: between the marks of a README, or at the end of a file without',
  },
  against: {
    value: 'FILE',
    meaning: 'compare ratios with those of an earlier --json; exit status 1 when one is worse',
  },
  'no-peers': { meaning: 'leave ccxt and tardis-dev out; --quick takes them only where they are installed already' },
} satisfies Record<string, OptionSpec>

/** The command line of the suites, as `millrace bench` and `npm run bench` share it. @throws UsageError */
export function parseBench(args: readonly string[]): ParsedArgs {
  const parsed = parse(args, BENCH_OPTIONS)
  for (const suite of parsed.positionals) {
    if (!Object.hasOwn(BENCH_SUITES, suite)) {
      throw new UsageError(`${suite} is no suite.${didYouMean(suite, Object.keys(BENCH_SUITES))}`)
    }
  }
  return parsed
}

const width = Math.max(...Object.keys(BENCH_SUITES).map((suite) => suite.length))

/** The benchmarks from the command line. They live in the repository, beside what they measure. */
export const bench: Command = {
  name: 'bench',
  summary: 'runs benchmark suites, with their spread and their noise',
  help: `Usage: millrace bench [SUITE...] [--quick] [--json FILE] [--html FILE] [--markdown FILE] [--against FILE] [--no-peers]

Measures, in a checkout of the repository. The package that npm installs does not hold the benchmarks.

${Object.entries(BENCH_SUITES)
  .map(([suite, meaning]) => `  ${suite.padEnd(width)}  ${meaning}`)
  .join('\n')}

How to read a row: \`value\` is the median of the repetitions, between \`min\` and \`max\`. All values are costs, so less is
better. \`ratio\` is the baseline's cost divided by this one's, measured in the same repetition: 2 is twice as cheap as the
baseline, and ratios travel between machines where values do not. The baseline takes part a second time as \`...Again\`: how
far its ratio is from 1 is the noise, and what differs by less has not been shown to differ.

${optionsHelp(BENCH_OPTIONS)}

  millrace bench book decode
  millrace bench --quick
  millrace bench --json today.json --html today.html
  millrace bench book --against yesterday.json

Exit status: 0 all was measured; 1 a benchmark failed, or a ratio is worse than before; 2 wrong usage.`,
  async run(args) {
    parseBench(args)
    const root = path.resolve(__dirname, '../../..')
    if (!existsSync(path.join(root, 'benchmarks', 'run.ts'))) {
      say('The benchmarks are not part of the installed package: run `npm run bench` in a checkout of the repository.')
      return EXIT.usage
    }
    const compiled = await inheriting(require.resolve('typescript/bin/tsc'), [
      '-p',
      path.join(root, 'tsconfig.bench.json'),
    ])
    return compiled === 0 ? inheriting(path.join(root, '.bench', 'benchmarks', 'run.js'), args) : EXIT.faults
  },
}

/** Runs a script that shares this terminal, and resolves with its exit status. */
function inheriting(script: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? EXIT.faults))
  })
}
