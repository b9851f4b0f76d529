import { isatty } from 'node:tty'
import { parseServeAddress } from '../../dashboard/serveAddress'
import type { RunOptions } from '../../pipeline/pipeline'
import { openIndex } from '../../feed/recording/recordingIndex'
import { readHeader } from '../../feed/recording/recordingReader'
import type { RunSummary } from '../../pipeline/runSummary'
import {
  EXIT,
  optionsHelp,
  parse,
  print,
  say,
  UsageError,
  type Command,
  type OptionSpec,
  type ParsedArgs,
} from '../command'
import { faultLog } from '../faultLog'
import { checkGraphFile, graphFile } from '../graphFile'
import { indexProgress } from '../indexProgress'
import { span } from '../instant'
import { loadPipeline } from '../loadPipeline'
import { onInterrupt } from '../onInterrupt'
import { runReport } from '../runReport'
import { canDraw, terminalView } from '../terminalView'

/** To `kill`: every process of the group that the terminal sends its signals to. */
const FOREGROUND = 0

const OPTIONS = {
  live: { meaning: 'connect to the exchanges themselves' },
  simulate: { meaning: 'connect to the exchange simulator on loopback (default)' },
  replay: {
    value: 'FILE',
    meaning: 'read recordings in the place of the exchanges; further files may follow',
    multiple: true,
  },
  speed: { value: 'SPEED', meaning: 'of a replay: max (default), real, or a multiple such as 10x' },
  from: { value: 'TIME', meaning: 'of a replay: begin at this time (ISO 8601, or microseconds since 1970)' },
  to: { value: 'TIME', meaning: 'of a replay: end before this time' },
  lineage: { meaning: 'of a replay: each event says which line of which recording it was made of' },
  seconds: { value: 'N', meaning: 'stop after N seconds' },
  out: { value: 'DIR', meaning: 'folder for what sinks write (default out)' },
  seed: { value: 'N', meaning: 'of the simulator (default 1)' },
  rate: { value: 'N', meaning: 'of the simulator: market messages per second, up to 50000 (default 500)' },
  faults: { value: 'SPEC', meaning: 'of the simulator: faults, such as drop=10s,skip=5s,checksum=7s' },
  record: { value: 'FILE', meaning: 'record the run, to be replayed later' },
  graph: { value: 'FILE', meaning: 'draw the running pipeline every second (.mmd, .dot or .json)' },
  exchange: { value: 'ID', meaning: 'of a replay: the exchange whose protocol the recording speaks' },
  serve: {
    value: '[HOST:]PORT',
    meaning: 'serve a page, /metrics, /health, /ready and /ping while it runs, on loopback unless a host is given',
  },
  token: {
    value: 'TOKEN',
    meaning: 'what whoever asks --serve must show; better in MILLRACE_TOKEN, where no list of processes has it',
  },
  'serve-as': {
    value: 'NAME',
    meaning: 'a further name by which --serve may be asked, as that of a proxy',
    multiple: true,
  },
  'open-telemetry': {
    meaning: 'tell OpenTelemetry metrics and some traces; the pipeline file, or node --require, registers its SDK',
  },
  digest: { meaning: 'digest what each sink writes' },
  'run-id': { value: 'ID', meaning: 'name the run: repeated after a kill, sinks that can leave out what they hold' },
  json: { meaning: 'print the summary as one JSON object' },
} satisfies Record<string, OptionSpec>

export const run: Command = {
  name: 'run',
  summary: 'runs a pipeline live, simulated or on recordings',
  help: `Usage: millrace run PIPELINE [--live | --simulate | --replay FILE...] [OPTIONS]

Runs a pipeline file (.ts or .js, default export) and shows what it sees: on a terminal a live view, else one line a
second. In the view 1, 2 and 3 turn to the market, the pipeline and its faults, / finds an instrument, ? tells all keys.
q or Ctrl-C stops in order: sources, what is under way, sinks; Ctrl-C once more at once. A message that a stage fails on
is kept under quarantine/ in the output folder; see \`millrace quarantine --help\`.

${optionsHelp(OPTIONS)}

  millrace run pipelines/market-monitor.ts --seconds 20
  millrace run pipelines/market-monitor.ts --serve 8080
  millrace run pipelines/market-monitor.ts --live --record today.ndjson.gz
  millrace run pipelines/market-monitor.ts --replay today.ndjson.gz --speed 10x --json
  millrace run pipelines/market-monitor.ts --replay today.ndjson.gz --from 2026-08-24T14:30:00Z --to 2026-08-24T15:00Z

A replay from a time begins without books: each is silent until the recording brings its next snapshot.

Exit status: 0 done; 1 ran, but faults were not repaired; 2 wrong usage or an invalid pipeline.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const options = optionsOf(parsed)
    const drawn = parsed.text('graph')
    if (drawn !== undefined) checkGraphFile(drawn)
    const [file] = parsed.positionals
    const pipeline = loadPipeline(file)
    const log = faultLog(canDraw(process.stderr))
    if (options.fromUs !== undefined) await makeIndexes(options.replay ?? [])
    let tell = say
    const serve = serveOptionsOf(parsed, (url) => tell(`Serving the run on ${url}`))
    const handle = pipeline.start({ ...options, ...serve, onFault: log.add })
    const picture = drawn === undefined ? undefined : graphFile(drawn, () => handle.graph(), log.add)
    let isStopping = false
    const view = terminalView(handle, {
      stream: process.stderr,
      ...(isatty(0) ? { input: process.stdin } : {}),
      act: (act) => {
        if (act !== 'stop')
          process.kill(FOREGROUND, act) // as the terminal would
        else if (!isStopping) process.kill(process.pid, 'SIGINT')
      },
    })
    tell = (sentence) => view.note(sentence)
    const release = onInterrupt(
      () => {
        isStopping = true
        void handle.stop().catch(() => undefined)
      },
      (sentence) => view.note(sentence),
      () => handle.kill(),
    )
    let summary: RunSummary
    try {
      summary = await handle.done
    } finally {
      release()
      view.stop()
      await picture?.close()
      log.close()
    }
    for (const line of runReport(summary, file!)) say(line)
    if (parsed.flag('json')) print(JSON.stringify(summary))
    return summary.problems.length > 0 ? EXIT.faults : EXIT.done
  },
}

/**
 * A run from a time looks it up in an index; where one has to be made first, it is said while nothing else is shown yet.
 * Files of others have none beside them, and are read for it by the run itself.
 */
async function makeIndexes(files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (!(await readHeader(file)).isOurs) continue
    const indexing = indexProgress(process.stderr)
    try {
      await openIndex(file, { onProgress: indexing.update })
    } finally {
      indexing.end()
    }
  }
}

/** Options that mean something in one mode only: with another they would be a promise not kept. */
const ONLY_WITH: Readonly<Partial<Record<keyof typeof OPTIONS, '--replay' | '--simulate'>>> = {
  speed: '--replay',
  from: '--replay',
  to: '--replay',
  exchange: '--replay',
  seed: '--simulate',
  rate: '--simulate',
  faults: '--simulate',
}

function serveOptionsOf(parsed: ParsedArgs, onServing: (url: string) => void): Pick<RunOptions, 'serve'> {
  const address = parsed.text('serve')
  const token = parsed.text('token')
  const names = parsed.texts('serve-as')
  if (address === undefined) {
    if (token !== undefined || names.length > 0) throw new UsageError('--token and --serve-as go with --serve.')
    return {}
  }
  return { serve: { ...parseServeAddress(address), ...(token === undefined ? {} : { token }), names, onServing } }
}

function optionsOf(parsed: ParsedArgs): RunOptions {
  // `--replay a b` reads as one option and one positional: whatever follows the pipeline file belongs to the replay.
  const [, ...further] = parsed.positionals
  const replayed = parsed.texts('replay')
  if (replayed.length === 0 && further.length > 0) {
    throw new UsageError(
      `One pipeline is run at a time; ${further.join(', ')} is more. Recordings are named with --replay.`,
    )
  }
  const mode = parsed.flag('live') ? '--live' : replayed.length > 0 ? '--replay' : '--simulate'
  for (const [option, of] of Object.entries(ONLY_WITH)) {
    if (parsed.text(option) !== undefined && of !== mode) {
      throw new UsageError(`--${option} goes with ${of}; this run is ${mode}.`)
    }
  }
  if (parsed.flag('lineage') && mode !== '--replay') {
    throw new UsageError(`--lineage goes with --replay; this run is ${mode}.`)
  }
  const { fromUs, toUs } = span(parsed)
  const seconds = parsed.number('seconds', { min: 0.001, max: 1e9 })
  const seed = parsed.number('seed', { min: 0, max: 2 ** 32 - 1, integer: true })
  const rate = parsed.number('rate', { min: 1, max: 50_000 })
  const text = <K extends string>(option: string, key: K): Partial<Record<K, string>> => {
    const value = parsed.text(option)
    return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, string>>
  }
  return {
    ...(parsed.flag('live') ? { live: true } : {}),
    ...(parsed.flag('simulate') ? { simulate: true } : {}),
    ...(replayed.length > 0 ? { replay: [...replayed, ...further] } : {}),
    ...(fromUs === undefined ? {} : { fromUs }),
    ...(toUs === undefined ? {} : { toUs }),
    ...(parsed.flag('lineage') ? { lineage: true } : {}),
    ...(seconds === undefined ? {} : { seconds }),
    ...(seed === undefined ? {} : { seed }),
    ...(rate === undefined ? {} : { messagesPerSecond: rate }),
    ...text('speed', 'speed'),
    ...text('out', 'out'),
    ...text('faults', 'faults'),
    ...text('record', 'record'),
    ...text('exchange', 'exchange'),
    ...text('run-id', 'runId'),
    ...(parsed.flag('open-telemetry') ? { openTelemetry: true } : {}),
    digest: parsed.flag('digest'),
    stalls: { hangs: 'stderr' },
  }
}
