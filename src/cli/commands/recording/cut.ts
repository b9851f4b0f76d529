import { liveClock } from '../../../clock/liveClock'
import { cutRecordings, type CutReport } from '../../../feed/recording/cut'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../../command'
import { faultLog } from '../../faultLog'
import { indexProgress } from '../../indexProgress'
import { span } from '../../instant'
import { bytesText, counted } from '../../quantities'
import { FORCE, longWork, OUT, required } from './work'

const OPTIONS = {
  from: { value: 'TIME', meaning: 'the first time that is in it (default: the beginning)' },
  to: { value: 'TIME', meaning: 'the first time that is not in it any more (default: the end)' },
  out: OUT,
  'no-books': {
    meaning: 'do not carry over the books as they stood: quick, and books are silent until a snapshot comes',
  },
  force: FORCE,
  json: { meaning: 'print the report as one JSON object (millrace-recording-cut/1)' },
} satisfies Record<string, OptionSpec>

export const cut: Command = {
  name: 'cut',
  summary: 'takes a part out of recordings by time',
  help: `Usage: millrace recording cut FILE... [--from TIME] [--to TIME] --out FILE [OPTIONS]

Writes the lines from one time to before another as a recording that replays by itself. TIME is ISO 8601 (in UTC where it
names no zone) or microseconds since 1970. What the part needs of the lines before it is carried over, stamped with the
last time before the cut: the openings of connections, what was subscribed to, lists of instruments, and each book as it
stood. The header says what was carried, and which books are missing, under "made".

For the books everything before the cut is decoded. Several files become one, in order of time, with their REST answers.
The output appears under its name when it is whole.

${optionsHelp(OPTIONS)}

  millrace recording cut day.ndjson.gz --from 2026-08-24T14:00 --to 2026-08-24T15:00 --out crash.ndjson.gz
  millrace run pipeline.ts --replay crash.ndjson.gz

Exit status: 0 done; 1 something of the input could not be read, or the output not be written; 2 wrong usage, or no record
in the range.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name at least one recording.')
    const out = required(parsed.text('out'), 'with --out where the part is to be written')
    const { fromUs, toUs } = span(parsed)
    if (fromUs === undefined && toUs === undefined)
      throw new UsageError('Say with --from or --to which part is wanted.')
    return longWork(async (signal, progress) => {
      const log = faultLog(process.stderr.isTTY)
      const indexing = indexProgress(process.stderr)
      const report = await cutRecordings({
        files,
        out,
        fromUs,
        toUs,
        books: !parsed.flag('no-books'),
        replace: parsed.flag('force'),
        clock: liveClock,
        onFault: log.add,
        onProgress: (lines, share) => {
          indexing.end()
          progress.update({ done: lines, share })
        },
        onIndexing: indexing.update,
        signal,
      })
      progress.end()
      log.close()
      tell(report)
      if (parsed.flag('json')) print(JSON.stringify(report))
      return report.whole ? EXIT.done : EXIT.faults
    })
  },
}

/** Missing books that are said one by one. */
const SAID_MAX = 5

function tell({ outputs, records, carried, missing }: CutReport): void {
  const kinds = Object.entries(carried).filter(([, count]) => count > 0)
  say(`${counted(records, 'record')} of the range.`)
  if (kinds.length > 0) say(`Carried over from before: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')}.`)
  for (const { exchange, connection, symbol, why } of missing.slice(0, SAID_MAX)) {
    const book = symbol === '*' ? `The books of connection ${connection}` : `The book of ${symbol}`
    say(`${book} on ${exchange} begin${symbol === '*' ? '' : 's'} silent: ${why}.`)
  }
  if (missing.length > SAID_MAX)
    say(`… ${counted(missing.length - SAID_MAX, 'more book')}; the header of the output lists them.`)
  for (const { path, bytes } of outputs) say(`${path}  ${bytesText(bytes)}`)
}
