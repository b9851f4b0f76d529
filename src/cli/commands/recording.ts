/**
 * `millrace recording`: five commands about recordings, each a file in the folder of this name.
 */
import { didYouMean } from '../../model/nearest'
import { EXIT, print, UsageError, type Command } from '../command'

const COMMANDS: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  info: { summary: 'says what recordings hold', load: async () => (await import('./recording/info.js')).info },
  verify: {
    summary: 'says whether recordings are what was written, and where not',
    load: async () => (await import('./recording/verify.js')).verify,
  },
  cut: {
    summary: 'takes a part out of recordings by time, which replays by itself',
    load: async () => (await import('./recording/cut.js')).cut,
  },
  merge: {
    summary: 'makes one recording of several, by time',
    load: async () => (await import('./recording/merge.js')).merge,
  },
  convert: {
    summary: 'turns recordings of hftbacktest, cryptofeed and tardis.dev into ours, and ours into theirs',
    load: async () => (await import('./recording/convert.js')).convert,
  },
}

const WIDTH = Math.max(...Object.keys(COMMANDS).map((name) => name.length))

export const recording: Command = {
  name: 'recording',
  summary: 'looks at recordings, verifies, cuts, merges and converts them',
  help: `Usage: millrace recording COMMAND FILE... [OPTIONS]

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(WIDTH)}  ${summary}`)
  .join('\n')}

\`millrace recording COMMAND --help\` explains a command with examples. What is written appears under its name when it is
whole: until then it lies beside it in a folder that ends in .part, which can be deleted where a work was killed.

  millrace recording info session.ndjson.gz
  millrace recording convert btcusdt_20240808.gz --exchange binance-futures --out btc.ndjson.gz`,
  async helpFor(args) {
    const name = args.find((arg) => !arg.startsWith('-'))
    return name !== undefined && Object.hasOwn(COMMANDS, name) ? (await COMMANDS[name]!.load()).help : undefined
  },
  async run(args) {
    const [name, ...rest] = args
    if (name === undefined) {
      print(recording.help)
      return EXIT.usage
    }
    if (!Object.hasOwn(COMMANDS, name)) {
      throw new UsageError(
        `There is no command recording ${JSON.stringify(name)}.${didYouMean(name, Object.keys(COMMANDS))} There are ${Object.keys(COMMANDS).join(', ')}.`,
      )
    }
    return (await COMMANDS[name]!.load()).run(rest)
  },
}
