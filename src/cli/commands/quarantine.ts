import { createReadStream, existsSync } from 'node:fs'
import { WholeLines } from '../../feed/recording/wholeLines'
import { wordsOf } from '../../pipeline/identity'
import type { Pipeline } from '../../pipeline/pipeline'
import { readQuarantineLine, type QuarantinedMessage } from '../../pipeline/quarantinedMessage'
import type { StageTrial } from '../../pipeline/stageTrial'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../command'
import { loadPipeline } from '../loadPipeline'
import { printable } from '../printable'
import { table } from '../table'

const OPTIONS = {
  pipeline: { value: 'FILE', meaning: 'the pipeline file whose stages the messages are given to' },
  stage: { value: 'NAME', meaning: 'messages of this stage only: its name, or its whole path' },
  'from-frame': { meaning: 'where the raw frame was kept, decode it anew in the place of the value' },
  values: { meaning: 'print what the stages give, one JSON value a line' },
  within: { value: 'SECONDS', meaning: 'how long a stage may take that works asynchronously (default 5)' },
  json: { meaning: 'print the report as one JSON object' },
} satisfies Record<string, OptionSpec>

export const quarantine: Command = {
  name: 'quarantine',
  summary: 'shows the messages that stages failed on, and tries them again',
  help: `Usage: millrace quarantine FILE [--pipeline FILE] [OPTIONS]

A message that a stage fails on is kept under out/quarantine/, with what was thrown, the value, and the frame that it
came in; the run goes on without it. Without --pipeline this lists what a file holds. With --pipeline each message is
given to a fresh instance of the stage that failed on it, alone, at the time of the stream at which it failed: nothing
is connected to, and no sink is written.

${optionsHelp(OPTIONS)}

  millrace quarantine out/quarantine/trade-bars.jsonl
  millrace quarantine out/quarantine/trade-bars.jsonl --pipeline bars.ts
  millrace quarantine out/quarantine/trade-bars.jsonl --pipeline bars.ts --stage bars-1s --values

A message that passes now proves that it is no longer fatal by itself. A failure that needed what had come before it
(the state of a long run) may not show on a fresh instance. For a decoder that was mended, take --from-frame: the value
that was kept is what the old one made of the frame. Delete the file when nothing in it is needed any more.

Exit status: 0 done, all pass; 1 some fail, could not be tried, or could not be read; 2 wrong usage.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const [file, ...more] = parsed.positionals
    if (file === undefined) throw new UsageError('Name a quarantine file, such as out/quarantine/market-monitor.jsonl.')
    if (more.length > 0) throw new UsageError(`One file is looked at at a time; ${more.join(', ')} is more.`)
    const pipelineFile = parsed.text('pipeline')
    for (const option of ['from-frame', 'values'] as const) {
      if (parsed.flag(option) && pipelineFile === undefined) throw new UsageError(`--${option} goes with --pipeline.`)
    }
    if (parsed.flag('values') && parsed.flag('json')) {
      throw new UsageError('--values and --json both print to standard output: choose one.')
    }
    const withinMs = (parsed.number('within', { min: 0.001, max: 86_400 }) ?? 5) * 1_000
    if (!existsSync(file)) throw new UsageError(`There is no file ${file}.`)
    const pipeline = pipelineFile === undefined ? undefined : loadPipeline(pipelineFile)
    const report = new Report(file)
    const stages = new Set<string>()
    for await (const { line, message } of messagesOf(file)) {
      if (typeof message === 'string') {
        report.broken(line, message)
        continue
      }
      stages.add(message.stage)
      if (!isOf(message, parsed.text('stage'))) continue
      const options = { fromFrame: parsed.flag('from-frame'), withinMs }
      const trial = pipeline === undefined ? undefined : await pipeline.retry(message, options)
      report.add(line, message, trial)
      if (parsed.flag('values') && trial !== undefined) showValues(line, trial)
    }
    const stage = parsed.text('stage')
    if (stage !== undefined && report.rows.length === 0 && stages.size > 0) {
      throw new UsageError(`No message in ${file} is of a stage ${stage}: there are ${[...stages].join(', ')}.`)
    }
    if (parsed.flag('json')) print(JSON.stringify(report.json(pipeline)))
    else if (pipeline === undefined) report.list()
    else report.tell(pipeline)
    return report.isClean ? EXIT.done : EXIT.faults
  },
}

/** No message is longer than what a run may keep. */
const LINE_BYTES_MAX = 128 * 1024 * 1024

/** Messages that the list shows; `--json` has all. */
const LISTED_MAX = 1_000

/** A message without what is large, which stays in the file. */
interface Row {
  readonly line: number
  readonly message: Pick<
    QuarantinedMessage,
    'at' | 'pipeline' | 'stage' | 'streamTimeUs' | 'input' | 'fault' | 'directive' | 'unencodable'
  >
  readonly frames: number
  readonly trial: StageTrial | undefined
}

class Report {
  readonly rows: Row[] = []
  private readonly brokenLines: { readonly line: number; readonly problem: string }[] = []

  constructor(private readonly file: string) {}

  broken(line: number, problem: string): void {
    this.brokenLines.push({ line, problem })
    say(`${this.file}:${line} ${problem}.`)
  }

  add(line: number, message: QuarantinedMessage, trial: StageTrial | undefined): void {
    const { at, pipeline, stage, streamTimeUs, input, fault, directive, unencodable, frames } = message
    const kept = { at, pipeline, stage, streamTimeUs, input, fault, directive }
    this.rows.push({
      line,
      message: unencodable === undefined ? kept : { ...kept, unencodable },
      frames: frames.length,
      trial,
    })
  }

  get isClean(): boolean {
    return (
      this.brokenLines.length === 0 && this.rows.every(({ trial }) => trial === undefined || trial.outcome === 'passes')
    )
  }

  list(): void {
    const { rows } = this
    if (rows.length > 0) {
      say(
        table(
          ['line', 'time', 'stage', 'input', 'frames', 'fault'],
          rows
            .slice(0, LISTED_MAX)
            .map(({ line, message, frames }) => [
              String(line),
              printable(message.at),
              printable(message.stage),
              printable(wordsOf(message.input)),
              String(frames),
              printable(message.fault.message),
            ]),
        ),
      )
      if (rows.length > LISTED_MAX) say(`… ${rows.length - LISTED_MAX} more; --json has all.`)
      say('')
    }
    say(`${counted(rows.length, 'message')} in ${this.file}. Name the pipeline with --pipeline to try them again.`)
  }

  tell({ name }: Pipeline): void {
    const others = new Set(this.rows.flatMap(({ message }) => (message.pipeline === name ? [] : [message.pipeline])))
    for (const other of others) say(`Kept from a pipeline ${printable(other)}; this one is ${name}.`)
    for (const { line, message, trial } of this.rows) say(`${String(line).padStart(4)}  ${outcomeOf(message, trial!)}`)
    const { passes, fails, untried } = this.counts()
    say('')
    say(
      [
        `${counted(this.rows.length, 'message')}: ${passes} pass now, ${fails} fail still`,
        ...(untried === 0 ? [] : [`${untried} could not be tried`]),
      ].join(', ') + '.',
    )
  }

  json(pipeline: Pipeline | undefined): unknown {
    return {
      format: 'millrace-quarantine-report/1',
      file: this.file,
      ...(pipeline === undefined ? {} : { pipeline: pipeline.name, counts: this.counts() }),
      messages: this.rows.map(({ line, message, frames, trial }) => {
        if (trial === undefined) return { line, ...message, frames }
        const { outcome, given, message: said, values } = trial
        return { line, ...message, frames, trial: { outcome, given, message: said, values } }
      }),
      broken: this.brokenLines,
    }
  }

  private counts(): Record<StageTrial['outcome'], number> {
    const counts = { passes: 0, fails: 0, untried: 0 }
    for (const { trial } of this.rows) if (trial !== undefined) counts[trial.outcome]++
    return counts
  }
}

function showValues(line: number, { first, values }: StageTrial): void {
  for (const value of first) print(value)
  if (values > first.length) say(`Of what message ${line} gave, ${values - first.length} more values are not shown.`)
}

function outcomeOf({ stage, input }: Row['message'], { outcome, given, message, values }: StageTrial): string {
  switch (outcome) {
    case 'passes': {
      const what = given === 'frame' ? 'the frame of ' : ''
      const note = message === undefined ? '' : ` ${printable(message)}`
      return `passes now   ${printable(stage)} on ${what}${printable(wordsOf(input))}: gave ${counted(values, 'value')}.${note}`
    }
    case 'fails':
      return `fails still  ${printable(message ?? '')}`
    case 'untried':
      return `not tried    ${printable(message ?? '')}`
  }
}

/** A stage is named by its path, or by its own name at the end of it. */
function isOf({ stage }: QuarantinedMessage, wanted: string | undefined): boolean {
  return wanted === undefined || stage === wanted || stage.endsWith(`/${wanted}`)
}

/** The lines of a file, one after another; a sentence in the place of those that are no messages. */
async function* messagesOf(
  file: string,
): AsyncGenerator<{ readonly line: number; readonly message: QuarantinedMessage | string }> {
  const lines = new WholeLines(LINE_BYTES_MAX)
  let line = 0
  const read = (text: string): { line: number; message: QuarantinedMessage | string } => ({
    line: ++line,
    message: readQuarantineLine(text),
  })
  try {
    for await (const block of createReadStream(file)) {
      for (const whole of lines.push(block as Buffer)) {
        if (whole.text === undefined) yield { line: ++line, message: whole.problem }
        else for (const text of whole.text.split('\n').slice(0, -1)) yield read(text)
      }
    }
  } catch (thrown) {
    throw new UsageError(`${file} cannot be read: ${(thrown as Error).message}.`)
  }
  const rest = lines.rest()
  if (rest !== '') yield read(rest)
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
