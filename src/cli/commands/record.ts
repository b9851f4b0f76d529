import { every, type Timer } from '../../clock/clock'
import { liveClock } from '../../clock/liveClock'
import { EXCHANGES } from '../../exchanges/exchanges'
import { CHANNELS, type ChannelName } from '../../exchanges/protocol'
import { kept, type SessionRecord } from '../../feed/record'
import { openRecording, type RecordingSummary, type RecordingWriter } from '../../feed/recording/recordingWriter'
import { Fault } from '../../model/fault'
import { LiveMarket } from '../../pipeline/liveMarket'
import { wishOf } from '../../pipeline/wish'
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
import { faultLog } from '../faultLog'
import { onInterrupt } from '../onInterrupt'
import { progressLine } from '../progressLine'
import { bytesText } from '../quantities'
import { canDraw } from '../view/screen'

const OPTIONS = {
  exchange: { value: 'ID', meaning: 'the exchange, as in `millrace exchanges`' },
  instruments: { value: 'A,B', meaning: "unified names (BTC-USDT) or the exchange's own symbols" },
  channels: { value: 'A,B', meaning: `of ${CHANNELS.join(', ')}` },
  depth: { value: 'N', meaning: 'book levels a side that are wanted (default: what the exchange is best at)' },
  'book-every': {
    value: 'MS',
    meaning: 'milliseconds between two frames of a book that are often enough, where the exchange offers several paces',
  },
  'book-tops': { meaning: 'complete tops of books in the place of their changes, where the exchange offers both' },
  out: {
    value: 'FILE',
    meaning: 'the recording; gzip when it ends in .gz. REST answers go to the .rest file beside it',
  },
  seconds: { value: 'N', meaning: 'stop after N seconds' },
  url: { value: 'URL', meaning: "WebSocket host in the place of the exchange's: a simulator, a testnet" },
  'rest-url': { value: 'URL', meaning: "REST host in the place of the exchange's" },
  json: { meaning: 'print what was recorded as one JSON object' },
} satisfies Record<string, OptionSpec>

export const record: Command = {
  name: 'record',
  summary: 'records a live session of an exchange',
  help: `Usage: millrace record --exchange ID --instruments A,B --channels book,trades --out FILE

Records a live session as it is: frames of both directions and the REST answers (millrace-recording/1). Killed at any
moment, the recording is readable up to its last quarter of a second. Runs until Ctrl-C.

${optionsHelp(OPTIONS)}

  millrace record --exchange kraken --instruments BTC-USD,ETH-USD --channels book,trades --out kraken.ndjson.gz
  millrace audit kraken.ndjson.gz`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    optionsOnly('record', parsed)
    const exchange = required(parsed.text('exchange'), '--exchange', `one of ${[...EXCHANGES.keys()].join(', ')}`)
    const instruments = listed(required(parsed.text('instruments'), '--instruments', 'such as BTC-USDT,ETH-USDT'))
    const channels = listed(required(parsed.text('channels'), '--channels', CHANNELS.join(',')))
    const out = required(parsed.text('out'), '--out', 'such as session.ndjson.gz')
    const depth = parsed.number('depth', { min: 1, max: 100_000, integer: true })
    const bookEveryMs = parsed.number('book-every', { min: 0, max: 1e9, integer: true })
    const seconds = parsed.number('seconds', { min: 0.001, max: 1e9 })
    const wish = wishOf(
      {
        exchanges: [exchange],
        instruments,
        channels: channels as ChannelName[],
        ...(depth === undefined ? {} : { depth }),
        ...(bookEveryMs === undefined ? {} : { bookEveryMs }),
        bookTops: parsed.flag('book-tops'),
      },
      [...EXCHANGES.keys()],
    )
    const hosts = EXCHANGES.get(exchange)!.hosts
    const ws = host(parsed.text('url'), '--url', ['ws:', 'wss:']) ?? hosts.ws
    const rest = host(parsed.text('rest-url'), '--rest-url', ['http:', 'https:']) ?? hosts.rest

    const log = faultLog(false)
    const market = new LiveMarket({ wishes: [wish], addresses: new Map([[exchange, { ws, rest }]]) })
    const header = {
      venues: [exchange],
      subscribed: Object.fromEntries(wish.channels.map((channel) => [channel, wish.instruments])),
    }
    const file = new RecordingToCome(() => openRecording(out, header, { clock: liveClock, onFault: log.add }))
    const counts = { frames: 0, events: 0 }
    const terminal: Fault[] = []
    let finish!: () => void
    let fail!: (thrown: unknown) => void
    const finished = new Promise<void>((resolve, reject) => {
      finish = resolve
      fail = reject
    })
    file.failed.catch(fail)
    const release = onInterrupt(finish)
    const timer = seconds === undefined ? undefined : liveClock.after(seconds * 1_000, finish)
    const telling = tellOf(seconds, () => ({ ...counts, bytes: file.bytes }))
    let summary: RecordingSummary | undefined
    try {
      market
        .start({
          record: (each) => {
            file.write(each)
            if (each.dir === 'in') counts.frames++
          },
          events: (_, events) => (counts.events += events.length),
          fault: (fault) => {
            log.add(fault)
            if (fault.repair === 'stop') terminal.push(fault)
          },
          ended: finish,
        })
        .catch(fail)
      await finished
    } finally {
      telling.cancel()
      timer?.cancel()
      await market.stop()
      release()
      summary = await file.close()
      log.close()
    }
    tell(summary, out)
    if (parsed.flag('json')) {
      const nothing = { path: out, lines: 0, restLines: 0, lost: 0, bytes: 0, complete: true }
      print(JSON.stringify({ format: 'millrace-record/1', ...(summary ?? nothing), ...counts }))
    }
    const whole = summary !== undefined && summary.lost === 0 && summary.complete
    return whole && terminal.length === 0 ? EXIT.done : EXIT.faults
  },
}

/** Says how it goes: on a terminal in one line that is drawn anew, else in a line a second. */
function tellOf(
  seconds: number | undefined,
  look: () => { readonly frames: number; readonly events: number; readonly bytes: number },
): Timer {
  if (!canDraw(process.stderr)) {
    return every(liveClock, LINE_EVERY_MS, () => {
      const { frames, events, bytes } = look()
      say(`${frames} frames, ${events} events, ${(bytes / 1e6).toFixed(1)} MB`)
    })
  }
  const progress = progressLine({ unit: 'frames' })
  const beganUs = liveClock.nowUs()
  const drawing = every(liveClock, DRAW_EVERY_MS, (nowUs) => {
    const { frames, events, bytes } = look()
    const note = `${events.toLocaleString('en')} events  ${bytesText(bytes)}`
    const gone = Math.max(0, nowUs - beganUs) / 1e6
    const ends =
      seconds === undefined ? {} : { share: Math.min(1, gone / seconds), secondsLeft: Math.max(0, seconds - gone) }
    progress.update({ done: frames, note, ...ends })
  })
  return {
    cancel() {
      drawing.cancel()
      progress.end()
    },
  }
}

const LINE_EVERY_MS = 1_000
const DRAW_EVERY_MS = 250

/** Records before the first connection that may wait for the file: REST answers, a few for each exchange. */
const EARLY_MAX = 10_000

/**
 * The recording, created with the first connection: a command that never gets so far (a mistyped instrument, no network)
 * leaves alone what stood at its path.
 */
class RecordingToCome {
  /** Rejects when the file cannot be created. */
  readonly failed: Promise<void>
  private early: SessionRecord[] = []
  private opening: Promise<void> | undefined
  private writer: RecordingWriter | undefined
  private fail!: (thrown: unknown) => void

  constructor(private readonly create: () => Promise<RecordingWriter>) {
    this.failed = new Promise((_, reject) => (this.fail = reject))
    this.failed.catch(() => undefined)
  }

  get bytes(): number {
    return this.writer?.counters.bytes ?? 0
  }

  write(record: SessionRecord): void {
    if (this.writer !== undefined) {
      this.writer.write(record)
      return
    }
    if (this.early.length >= EARLY_MAX) {
      this.fail(new Fault('SINK_REJECTED', 'The disk takes too long to create the recording.'))
      return
    }
    this.early.push(kept(record))
    if (record.dir === 'open') this.opening ??= this.open()
  }

  /** Undefined when there was nothing to record. */
  async close(): Promise<RecordingSummary | undefined> {
    await this.opening
    return this.writer?.close()
  }

  private async open(): Promise<void> {
    try {
      const writer = await this.create()
      for (const record of this.early) writer.write(record)
      this.early = []
      this.writer = writer
    } catch (thrown) {
      this.fail(thrown)
    }
  }
}

function tell(summary: RecordingSummary | undefined, out: string): void {
  if (summary === undefined) {
    say(`There was no connection, so nothing was recorded: ${out} is as it was.`)
    return
  }
  const { path, lines, bytes, restPath, restLines, lost, complete } = summary
  const rest = restPath === undefined ? '' : `, with ${restLines} REST answers in ${restPath}`
  say(`${path}: ${lines} lines, ${(bytes / 1e6).toFixed(1)} MB${rest}.`)
  if (lost > 0) say(`${lost} lines are missing: the disk did not take them.`)
  else if (!complete) say('The recording is not complete: the disk did not take its end.')
}

function required(value: string | undefined, option: string, example: string): string {
  if (value === undefined || value === '') throw new UsageError(`${option} is needed: ${example}.`)
  return value
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
}

/** An address without its path: the path belongs to the exchange's description. */
function host(text: string | undefined, option: string, protocols: readonly string[]): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url === null || !protocols.includes(url.protocol)) {
    throw new UsageError(
      `${option} is an address that starts with ${protocols.map((each) => `${each}//`).join(' or ')}; it is ${JSON.stringify(text)}.`,
    )
  }
  return `${url.protocol}//${url.host}`
}
