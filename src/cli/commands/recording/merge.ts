import { optionsHelp, parse, UsageError, type Command, type OptionSpec } from '../../command'
import { runConversion } from './convert'
import { FORCE, OUT, required } from './work'

const OPTIONS = {
  out: OUT,
  force: FORCE,
  json: { meaning: 'print the report as one JSON object (millrace-recording-convert/1)' },
} satisfies Record<string, OptionSpec>

export const merge: Command = {
  name: 'merge',
  summary: 'makes one recording of several, by time',
  help: `Usage: millrace recording merge FILE... --out FILE [--force] [--json]

Writes the lines of several recordings, and of the .rest files that belong to them, as one, in order of time: what happened
at the same time stands in the order of the files, then of their lines. Connections get numbers of their own. The output
appears under its name when it is whole.

${optionsHelp(OPTIONS)}

  millrace recording merge binance.ndjson.gz kraken.ndjson.gz --out both.ndjson.gz

Exit status: 0 done; 1 lines could not be read (the others are in the output), or the output could not be written; 2 wrong
usage, or no recording.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name the recordings that are to be merged.')
    return runConversion(
      {
        files,
        out: required(parsed.text('out'), 'with --out where the merged recording is to be written'),
        from: 'millrace',
        replace: parsed.flag('force'),
      },
      parsed.flag('json'),
    )
  },
}
