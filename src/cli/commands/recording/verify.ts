import { checkRecording, type RecordingCheck } from '../../../feed/recording/inspect'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../../command'
import { bytesProgress } from '../../indexProgress'
import { printable } from '../../printable'
import { bytesText, counted } from '../../quantities'
import { longWork } from './work'

const OPTIONS = {
  json: { meaning: 'print one JSON object (millrace-recording-verify/1)' },
} satisfies Record<string, OptionSpec>

export const verify: Command = {
  name: 'verify',
  summary: 'says whether recordings are what was written, and where not',
  help: `Usage: millrace recording verify FILE... [--json]

Reads whole files and compares each block with its checksum and with the hash in the index beside it; looks at every line,
and at the order of their times. Each defect is said with its place. Nothing is changed. Whether the data in it can be
trusted (sequences, checksums of books) is what \`millrace audit\` says.

${optionsHelp(OPTIONS)}

  millrace recording verify session.ndjson.gz
  millrace recording verify archive/*.ndjson.gz --json | jq '.files[] | select(.sound | not)'

Exit status: 0 sound; 1 there are defects; 2 wrong usage, or no recording.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name at least one recording.')
    return longWork(async (signal, progress) => {
      const checks: RecordingCheck[] = []
      for (const file of files) {
        const comparing = bytesProgress(process.stderr, 'comparing blocks')
        const check = await checkRecording(file, {
          onFault: () => undefined, // each is a defect, and told as one
          signal,
          onBlocks: comparing.update,
          onProgress: (lines, share) => {
            comparing.end()
            progress.update({ done: lines, share })
          },
        })
        comparing.end()
        progress.end()
        checks.push(check)
        tell(check)
      }
      if (parsed.flag('json')) print(JSON.stringify({ format: 'millrace-recording-verify/1', files: checks }))
      return checks.every(({ sound }) => sound) ? EXIT.done : EXIT.faults
    })
  },
}

/** Defects that are said; `--json` has more. */
const SAID_MAX = 20

function tell(check: RecordingCheck): void {
  const { path, sound, blocks, lines, bytes, lost, index, defects, defectsInAll } = check
  for (const { what } of defects.slice(0, SAID_MAX)) say(printable(what))
  if (defectsInAll > SAID_MAX) say(`… ${counted(defectsInAll - SAID_MAX, 'more defect')}.`)
  const whole = `${counted(blocks, 'block')} and ${counted(lines, 'line')} are whole, of ${bytesText(bytes)}`
  const gaps = lost === 0 ? '' : ` Its recorder lost ${counted(lost, 'line')}, by its own word.`
  const against =
    index === 'fits' ? ' The index fits.' : index === 'missing' ? ' There is no index to compare with.' : ''
  say(`${printable(path)}: ${sound ? 'sound' : counted(defectsInAll, 'defect')}. ${whole}.${gaps}${against}`)
}
