import { recordingInfo, type RecordingInfo } from '../../../feed/recording/inspect'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../../command'
import { faultLog } from '../../faultLog'
import { printable } from '../../printable'
import { bytesText, counted, durationText } from '../../quantities'
import { longWork, timeOfDigits } from './work'

const OPTIONS = {
  json: { meaning: 'print one JSON object (millrace-recording-info/1)' },
} satisfies Record<string, OptionSpec>

export const info: Command = {
  name: 'info',
  summary: 'says what recordings hold',
  help: `Usage: millrace recording info FILE... [--json]

Says of each recording which exchange it is of, from when to when, how many lines it has in each direction, its
connections, blocks and gaps, whether it is complete, and what its index is worth. The file itself is read for that; its
header is not believed.

${optionsHelp(OPTIONS)}

  millrace recording info session.ndjson.gz
  millrace recording info session.ndjson.gz --json | jq '.files[0].lines'

Exit status: 0 done; 2 wrong usage, or no recording.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name at least one recording.')
    return longWork(async (signal, progress) => {
      const infos: RecordingInfo[] = []
      for (const file of files) {
        const log = faultLog(process.stderr.isTTY)
        infos.push(
          await recordingInfo(file, {
            onFault: log.add,
            signal,
            onProgress: (lines, share) => progress.update({ done: lines, share }),
          }),
        )
        progress.end()
        log.close()
        tell(infos.at(-1)!)
      }
      if (parsed.flag('json')) print(JSON.stringify({ format: 'millrace-recording-info/1', files: infos }))
      return EXIT.done
    })
  },
}

function tell(info: RecordingInfo): void {
  const { lines, gaps } = info
  const rows: [string, string | null][] = [
    ['exchange', info.venue === 'several' ? info.venues.join(', ') : info.venue],
    ['protocol', info.protocol],
    ['address', info.url],
    ['source', info.source],
    ['from', timeOfDigits(info.firstT)],
    ['to', `${timeOfDigits(info.lastT)} (${durationText(info.durationUs)})`],
    [
      'lines',
      Object.entries(lines)
        .filter(([, count]) => count > 0)
        .map(([kind, count]) => `${count.toLocaleString('en')} ${kind}`)
        .join(', ') || 'none',
    ],
    ['unreadable', info.unreadable === 0 ? null : counted(info.unreadable, 'line')],
    ['unknown', info.ignored === 0 ? null : counted(info.ignored, 'line')],
    ['connections', info.connections.toLocaleString('en')],
    [
      'gaps',
      gaps.count === 0 ? 'none' : `${gaps.count.toLocaleString('en')}, ${counted(gaps.lost, 'line')} lost in all`,
    ],
    [
      'blocks',
      `${info.blocks.toLocaleString('en')}${info.brokenBlocks === 0 ? '' : `, and ${info.brokenBlocks} broken`}`,
    ],
    ['size', `${bytesText(info.bytes)}, ${bytesText(info.textBytes)} unpacked`],
    ['complete', info.complete ? 'yes' : 'no'],
    ['index', info.index],
    ['REST answers', info.kind === 'rest' ? 'this file has them' : (info.restFile ?? 'none beside it')],
    ['made by', info.made === null ? null : JSON.stringify(info.made)],
  ]
  say(printable(info.path))
  for (const [name, value] of rows) {
    if (value !== null) say(`  ${name.padEnd(12)}  ${shortened(printable(value))}`)
  }
  say('')
}

/** Addresses of combined streams are thousands of characters long. */
const SHOWN_MAX = 160

function shortened(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}… (--json has all)`
}
