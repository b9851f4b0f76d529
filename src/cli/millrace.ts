#!/usr/bin/env node
/**
 * The command line. Each command is loaded when it is called, so that `millrace --help` starts at once.
 */
import { didYouMean } from '../model/nearest'
import { EXIT, isUsageFault, print, say, UsageError, type Command } from './command'
import { packageVersion } from './packageVersion'

const COMMANDS: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  run: {
    summary: 'runs a pipeline live, simulated or on recordings',
    load: async () => (await import('./commands/run.js')).run,
  },
  record: {
    summary: 'records a live session of an exchange',
    load: async () => (await import('./commands/record.js')).record,
  },
  audit: {
    summary: 'says how far recordings can be trusted',
    load: async () => (await import('./commands/audit.js')).audit,
  },
  report: {
    summary: 'makes a page with tables and charts of recordings',
    load: async () => (await import('./commands/report.js')).report,
  },
  recording: {
    summary: 'looks at recordings, verifies, cuts, merges and converts them',
    load: async () => (await import('./commands/recording.js')).recording,
  },
  decode: {
    summary: 'prints recorded frames as events',
    load: async () => (await import('./commands/decode.js')).decode,
  },
  simulate: {
    summary: 'runs the exchange simulator alone',
    load: async () => (await import('./commands/simulate.js')).simulate,
  },
  graph: {
    summary: 'draws a pipeline without running it',
    load: async () => (await import('./commands/graph.js')).graph,
  },
  quarantine: {
    summary: 'tries messages again that stages failed on',
    load: async () => (await import('./commands/quarantine.js')).quarantine,
  },
  seeds: {
    summary: 'searches for bugs by deterministic simulation',
    load: async () => (await import('./commands/seeds.js')).seeds,
  },
  bench: {
    summary: 'runs benchmark suites, with their spread and their noise',
    load: async () => (await import('./commands/bench.js')).bench,
  },
  exchanges: {
    summary: 'lists exchanges, channels and how books are verified',
    load: async () => (await import('./commands/exchanges.js')).exchanges,
  },
  init: { summary: "makes a quant's project", load: async () => (await import('./commands/init.js')).init },
  doctor: {
    summary: 'checks this machine, or a pipeline, and says what to do',
    load: async () => (await import('./commands/doctor.js')).doctor,
  },
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const topic = name === 'help' ? rest[0] : undefined
    if (topic === undefined) {
      print(overview())
      return name === undefined ? EXIT.usage : EXIT.done
    }
    const explained = commandNamed(topic)
    if (explained === undefined) return EXIT.usage
    const command = await explained.load()
    print((await command.helpFor?.(rest.slice(1))) ?? command.help)
    return EXIT.done
  }
  if (name === '--version' || name === '-v') {
    print(packageVersion())
    return EXIT.done
  }
  const entry = commandNamed(name)
  if (entry === undefined) return EXIT.usage
  const command = await entry.load()
  if (rest.includes('--help') || rest.includes('-h')) {
    print((await command.helpFor?.(rest)) ?? command.help)
    return EXIT.done
  }
  try {
    return await command.run(rest)
  } catch (thrown) {
    if (thrown instanceof UsageError || isUsageFault(thrown)) {
      say(thrown.message)
      if (thrown instanceof UsageError) say(`Call \`millrace ${name} --help\` for how it is used.`)
      return EXIT.usage
    }
    throw thrown
  }
}

function commandNamed(name: string): (typeof COMMANDS)[string] | undefined {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name]
  say(`There is no command ${JSON.stringify(name)}.${didYouMean(name, Object.keys(COMMANDS))}`)
  say('Call `millrace --help` for the list.')
  return undefined
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return [
    'millrace: stream processing for exchange market data',
    '',
    'Usage: millrace COMMAND [OPTIONS]',
    '',
    ...lines,
    '',
    '`millrace COMMAND --help` explains a command with examples. Start with:',
    '',
    '  millrace run pipelines/market-monitor.ts --seconds 20',
  ].join('\n')
}

/** The last resort: what nobody caught is said, and the exit status tells. */
process.on('uncaughtException', (thrown) => die(thrown))
process.on('unhandledRejection', (thrown) => die(thrown))
// A reader that has seen enough (`millrace decode x | head`) closes the pipe: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done)
  throw error
})
// Nobody listens to what is said for people: the work goes on.
process.stderr.on('error', () => undefined)

function die(thrown: unknown): void {
  say(
    thrown instanceof Error
      ? thrown.name === 'Fault'
        ? thrown.message
        : (thrown.stack ?? thrown.message)
      : String(thrown),
  )
  process.exit(EXIT.faults)
}

void main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status
  },
  (thrown: unknown) => die(thrown),
)
