import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isatty } from 'node:tty'
import { exchangeById } from '../../exchanges/exchanges'
import { RECORDING_FORMAT } from '../../feed/recording/recordingHeader'
import { replayRecords, type ReplayRecordsOptions } from '../../feed/recording/mergeRecordings'
import { Sessions } from '../../feed/sessions'
import type { SessionRecord } from '../../feed/record'
import type { Lineage, MarketEvent } from '../../model/events'
import { Fault } from '../../model/fault'
import { encodeEvent } from '../../sinks/encode'
import { EXIT, optionsHelp, parse, say, UsageError, type Command, type OptionSpec } from '../command'
import { faultLog } from '../faultLog'
import { indexProgress } from '../indexProgress'
import { span, SPAN_OPTIONS } from '../instant'
import { progressLine } from '../progressLine'

const OPTIONS = {
  exchange: { value: 'ID', meaning: 'the exchange whose frames these are; needed for text files and standard input' },
  ...SPAN_OPTIONS,
  lineage: {
    meaning: 'say of each event which line of which recording it was made of: lineage: { file, block, line }',
  },
  json: { meaning: 'also print, for each frame without events, an object { kind: "ignored", reason }' },
} satisfies Record<string, OptionSpec>

export const decode: Command = {
  name: 'decode',
  summary: 'prints recorded frames as events',
  help: `Usage: millrace decode FILE... [--exchange ID] [--json]

Prints the events of each frame as they are decoded, one JSON object a line. FILE is a recording, a text file with one
frame a line, a file that is one JSON document, or - for standard input. Why a frame gives no event is said on standard
error.

${optionsHelp(OPTIONS)}

  millrace decode session.ndjson.gz | head
  echo '{"e":"trade","E":1672515782136,"s":"BTCUSDT",...}' | millrace decode - --exchange binance

Exit status: 0 done; 1 some frames could not be read; 2 wrong usage.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError('Name a recording, a text file of frames, or - for standard input.')
    const exchange = parsed.text('exchange')
    if (exchange !== undefined) exchangeById(exchange)
    const { fromUs, toUs } = span(parsed)
    const isPart = fromUs !== undefined || toUs !== undefined
    const lineage = parsed.flag('lineage')
    const printer = new Printer(parsed.flag('json'), lineage)
    for (const file of files) {
      if (file !== '-' && (await isRecording(file))) await decodeRecording(file, { exchange, fromUs, toUs }, printer)
      else {
        if (exchange === undefined) {
          throw new UsageError(
            `${file === '-' ? 'Standard input' : file} is not a recording: say with --exchange whose frames these are.`,
          )
        }
        if (isPart || lineage) {
          const what = isPart ? 'times' : 'blocks'
          const which = isPart ? '--from and --to are' : '--lineage is'
          throw new UsageError(`${which} for recordings; a text file of frames has no ${what}.`)
        }
        await decodeText(file, exchange, printer)
      }
    }
    await printer.flush()
    return printer.unreadable > 0 ? EXIT.faults : EXIT.done
  },
}

const DONE = Promise.resolve()
/** Frames of a text file are stamped with this time: the file knows none. Events say so by their receive time. */
const NO_TIME_US = 0

class Printer {
  unreadable = 0
  /** Undefined where the events themselves are seen going by. */
  readonly progress = isatty(1) ? undefined : progressLine({ unit: 'records' })
  private text: string[] = []

  constructor(
    private readonly json: boolean,
    private readonly lineage: boolean,
  ) {}

  events(events: readonly MarketEvent[], lineage: Lineage | undefined): Promise<void> {
    const of = this.lineage && lineage !== undefined ? { lineage } : undefined
    for (const event of events) this.text.push(encodeEvent(of === undefined ? event : { ...event, ...of }))
    return this.text.length >= 512 ? this.flush() : DONE
  }

  async line(line: string): Promise<void> {
    this.text.push(line)
    if (this.text.length >= 512) await this.flush()
  }

  async ignored(file: string, line: number, reason: string): Promise<void> {
    say(`${file}:${line}: ${reason}`)
    if (this.json) await this.line(JSON.stringify({ kind: 'ignored', reason, file, line }))
  }

  /** Waits for a reader that is slower than the decoder. */
  async flush(): Promise<void> {
    if (this.text.length === 0) return
    const chunk = `${this.text.join('\n')}\n`
    this.text = []
    if (!process.stdout.write(chunk)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
  }
}

async function isRecording(file: string): Promise<boolean> {
  let handle
  try {
    handle = await open(file)
  } catch (thrown) {
    throw new UsageError(`${file} cannot be read: ${(thrown as Error).message}.`)
  }
  try {
    const start = Buffer.alloc(8_192)
    const { bytesRead } = await handle.read(start, 0, start.length, 0)
    const isGzip = start[0] === 0x1f && start[1] === 0x8b
    return (
      isGzip ||
      start
        .toString('utf8', 0, bytesRead)
        .split('\n', 1)[0]!
        .includes(`"${RECORDING_FORMAT.split('/')[0]}/`)
    )
  } finally {
    await handle.close()
  }
}

async function decodeRecording(
  file: string,
  part: Pick<ReplayRecordsOptions, 'exchange' | 'fromUs' | 'toUs'>,
  printer: Printer,
): Promise<void> {
  const log = faultLog(false)
  const sessions = new Sessions({ protocolOf: exchangeById, guarded: false })
  const indexing = indexProgress(process.stderr)
  const progress = printer.progress
  const records = replayRecords([file], { ...part, onFault: log.add, lineage: true, onProgress: indexing.update })
  try {
    for await (const batch of records) {
      indexing.end()
      for (const record of batch) await show(sessions, record, record.lineage ?? { file, block: 0, line: 0 }, printer)
      progress?.update({ done: records.counters.lines, share: records.progress.share })
    }
  } finally {
    indexing.end()
    progress?.end()
    log.close()
  }
}

async function decodeText(file: string, exchange: string, printer: Printer): Promise<void> {
  const sessions = new Sessions({ protocolOf: exchangeById, guarded: false })
  const base = { dir: 'in', ns: 0, connection: 0, exchange, timeUs: NO_TIME_US } as const
  let line = 0
  for await (const frame of framesOf(file)) {
    line++
    if (frame.trim() !== '') await show(sessions, { ...base, data: frame }, { file, block: 0, line }, printer)
    printer.progress?.update({ done: line })
  }
  printer.progress?.end()
}

async function show(sessions: Sessions, record: SessionRecord, place: Lineage, printer: Printer): Promise<void> {
  const events = sessions.apply(record)
  if (events.length > 0) await printer.events(events, place)
  if (record.dir !== 'in') return
  const session = sessions.session(record.connection)
  if (events.length > 0 || session?.reason === undefined) return
  if (/^[A-Z_]+: /.test(session.reason)) printer.unreadable++
  await printer.ignored(place.file, place.line, session.reason)
}

/** A document of this size may be one frame spread over lines. */
const DOCUMENT_BYTES_MAX = 16 * 1024 * 1024

/** One frame a line; or the whole file, when it is one JSON document written over several lines. */
async function* framesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  const head: string[] = []
  let headBytes = 0
  let byLine: boolean | undefined
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (byLine === true) {
      yield line
      continue
    }
    if (byLine === undefined && line.trim() !== '') {
      // The first line tells: a frame a line is complete in itself.
      byLine = isJson(line) || !/^\s*[[{]/.test(line)
      if (byLine) {
        yield line
        continue
      }
    }
    head.push(line)
    headBytes += line.length
    if (headBytes > DOCUMENT_BYTES_MAX) {
      throw new Fault(
        'FRAME_TOO_LARGE',
        `${file} is neither one frame a line nor a JSON document of at most ${DOCUMENT_BYTES_MAX} bytes.`,
      )
    }
  }
  if (byLine === false) {
    const document = head.join('\n')
    if (isJson(document)) yield document
    else yield* head
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
