import { availableParallelism } from 'node:os'
import { scenarioOf } from '../../testing/simulation/scenario'
import { simulateSeed } from '../../testing/simulation/simulateSeed'
import { sweep, type SweepFailure, type SweepProgress } from '../../testing/simulation/sweep'
import { INVARIANTS } from '../../testing/simulation/verdict'
import {
  EXIT,
  optionsHelp,
  optionsOnly,
  parse,
  print,
  say,
  UsageError,
  type Command,
  type OptionSpec,
} from '../command'
import { onInterrupt } from '../onInterrupt'
import { progressLine, type Standing } from '../progressLine'
import { canDraw } from '../view/screen'

const OPTIONS = {
  seeds: { value: 'N', meaning: 'how many (default 100)' },
  from: { value: 'S', meaning: 'the first of them (default 1)' },
  seed: { value: 'S', meaning: 'this one alone' },
  jobs: { value: 'N', meaning: 'seeds at once (default one for each core)' },
  verbose: { meaning: 'with one seed: its scenario, its faults, and where timers that were left behind were set' },
  json: { meaning: 'print the result as one JSON object' },
} satisfies Record<string, OptionSpec>

const SEEDS_DEFAULT = 100
const SEEDS_MAX = 1_000_000_000
const PROGRESS_EVERY_S = 5

/** The deterministic simulation from the command line. */
export const seeds: Command = {
  name: 'seeds',
  summary: 'searches for bugs in simulated runs, a whole world to a seed',
  help: `Usage: millrace seeds [--seeds N] [--from S] [--jobs N] [--json]
       millrace seeds --seed S [--verbose]

From each seed a world is made: exchanges and their market, the network between, threads, sinks, everything that can go
wrong with them, and the order in which things happen. A pipeline is run in it, and its recording replayed. The same seed
and version give the same run, byte for byte. What must hold in each of them:

${Object.entries(INVARIANTS)
  .map(([name, meaning]) => `  ${name.padEnd(12)} ${meaning}`)
  .join('\n')}

Each failure is printed with the command that shows it again. Exit status 1 when there is one.

${optionsHelp(OPTIONS)}

  millrace seeds --seeds 1000
  millrace seeds --seed 4711 --verbose`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    optionsOnly('seeds', parsed)
    const whole = { min: 0, max: SEEDS_MAX, integer: true }
    const count = parsed.number('seeds', { ...whole, min: 1 })
    const first = parsed.number('from', whole)
    const only = parsed.number('seed', whole)
    const jobs = parsed.number('jobs', { min: 1, max: 256, integer: true }) ?? availableParallelism()
    if (only !== undefined && (count !== undefined || first !== undefined)) {
      throw new UsageError('--seed names one seed; --from and --seeds name several: give one or the other.')
    }
    const asked = only === undefined ? (count ?? SEEDS_DEFAULT) : 1
    const from = only ?? first ?? 1
    if (parsed.flag('verbose')) {
      if (asked !== 1) throw new UsageError('--verbose tells of one seed: name it with --seed.')
      await tellOf(from)
    }
    const stopping = new AbortController()
    onInterrupt(() => {
      say('Stopping after the seeds that are under way.')
      stopping.abort()
    })
    const watched = canDraw(process.stderr)
    const progress = progressLine({ unit: 'seeds' })
    let toldS = 0
    const result = await sweep({
      seeds: asked,
      from,
      jobs: Math.min(jobs, asked),
      // One seed alone is run twice: whoever looks at it wants to know whether that is worth while.
      twiceEvery: asked === 1 ? 1 : 16,
      signal: stopping.signal,
      onSeed: (outcome, told) => {
        if (outcome.violations.length > 0) say(`Seed ${outcome.seed} failed: ${outcome.violations[0]!.message}`)
        if (watched) progress.update(standingOf(told))
        const elapsedS = told.done / told.seedsPerSecond
        if (watched || elapsedS - toldS < PROGRESS_EVERY_S || told.done === asked) return
        toldS = elapsedS
        say(sentenceOf(told))
      },
    })
    progress.end()
    if (parsed.flag('json')) {
      print(JSON.stringify({ format: 'millrace-seeds/1', seeds: result.seeds, failures: result.failures }))
    }
    say(verdictLine(result))
    for (const failure of result.failures) say(failureLine(failure))
    return result.failures.length > 0 ? EXIT.faults : EXIT.done
  },
}

async function tellOf(seed: number): Promise<void> {
  say(JSON.stringify(scenarioOf(seed), null, 2))
  const { violations, digest, steps, simulatedMs, records, views, faults, faultLines } = await simulateSeed(seed, {
    trace: true,
  })
  for (const line of faultLines) say(line)
  say(
    `${records} records, ${views} views of books, ${steps} steps, ${Math.round(simulatedMs)} ms; faults ${JSON.stringify(faults)}.`,
  )
  say(`Digest ${digest}.`)
  for (const { invariant, message } of violations) say(`${invariant}: ${message}`)
}

function standingOf({ done, seeds: asked, failed, secondsLeft }: SweepProgress): Standing {
  return { done, share: done / asked, secondsLeft, note: failed > 0 ? `${failed} failed` : undefined }
}

function sentenceOf({ done, seeds: asked, failed, seedsPerSecond, secondsLeft }: SweepProgress): string {
  return `${done} of ${asked} seeds, ${failed} failed, ${seedsPerSecond.toFixed(1)} a second, ${Math.ceil(secondsLeft)} s left.`
}

function verdictLine({ seeds: done, failures, simulatedMs, records }: Awaited<ReturnType<typeof sweep>>): string {
  const failed = new Set(failures.map(({ seed }) => seed)).size
  const minutes = Math.round(simulatedMs / 60_000)
  return `${done} ${done === 1 ? 'seed' : 'seeds'} (${minutes} simulated minutes, ${records} records): ${failed === 0 ? 'every invariant held' : `${failed} failed`}.`
}

function failureLine({ invariant, message, reproduce }: SweepFailure): string {
  return `${reproduce}  # ${invariant}: ${message.split('\n')[0]}`
}
