import type { Clock } from '../clock/clock'
import { exchangeById } from '../exchanges/exchanges'
import { replayRecords, type ReplayedRecords } from '../feed/recording/mergeRecordings'
import { pace, type Speed } from '../feed/recording/pace'
import type { RecordingHeader } from '../feed/recording/recordingHeader'
import { readHeader } from '../feed/recording/recordingReader'
import { Readiness } from '../feed/readiness'
import { Sessions } from '../feed/sessions'
import { trace } from '../feed/trace'
import { messageOf, Fault } from '../model/fault'
import type { ConnectionView, Market, MarketOutput, MarketProgress, MarketTraffic } from './market'
import type { Wish } from './wish'

export interface ReplayMarketOptions {
  readonly files: readonly string[]
  readonly exchange: string | undefined
  readonly speed: Speed
  /** Only what is between these times, microseconds since 1970. */
  readonly fromUs?: number | undefined
  readonly toUs?: number | undefined
  /** Each event says of which line of which recording it was made. */
  readonly lineage?: boolean | undefined
  readonly wishes: readonly Wish[]
  /** The machine's time. */
  readonly clock: Clock
  /** Resolves when the run can take more. */
  readonly ready: () => Promise<void> | undefined
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
}

/**
 * Recordings in the place of the exchanges. A replay never outruns the run: it waits where a live exchange would be
 * paused, so nothing is dropped on the way.
 */
export class ReplayMarket implements Market {
  readonly sessions: Sessions
  byInstrument = false
  private output: MarketOutput | undefined
  private readonly stopping = new AbortController()
  private reading: Promise<void> = Promise.resolve()
  private held: Promise<void> | undefined
  private release: (() => void) | undefined
  private sinceUs: number | undefined
  private records: ReplayedRecords | undefined
  /** The time of the last record that was given. */
  private timeUs: number | undefined
  /** The latest time of all recordings; undefined where one of them does not say. */
  private lastUs: number | undefined
  private readonly readiness = new Readiness()
  private leave!: () => void
  /** Resolves at the deadline of a stop. */
  private readonly left = new Promise<void>((resolve) => (this.leave = resolve))

  constructor(private readonly options: ReplayMarketOptions) {
    this.sessions = new Sessions({
      protocolOf: exchangeById,
      onFault: (fault) => this.output?.fault(fault),
      countsStreams: options.countsStreams,
    })
  }

  /** Resolves with the first record, and at the end of recordings that hold none. */
  get ready(): Promise<void> {
    return this.readiness.promise
  }

  async start(output: MarketOutput): Promise<void> {
    this.output = output
    this.sinceUs = this.options.clock.nowUs()
    try {
      const headers: RecordingHeader[] = []
      for (const file of this.options.files) headers.push(await readHeader(file))
      this.byInstrument = this.areWished(headers)
      this.lastUs = latestOf(headers)
    } catch (thrown) {
      this.readiness.reject(unreadable(thrown))
      throw thrown
    }
    this.reading = this.read(output).then(
      () => {
        this.readiness.resolve()
        output.ended()
      },
      (thrown: unknown) => {
        if (!this.stopping.signal.aborted) {
          const fault = unreadable(thrown)
          this.readiness.reject(fault)
          output.fault(fault)
        }
        output.ended()
      },
    )
  }

  async stop(withinMs = STOP_MS): Promise<void> {
    this.stopping.abort()
    this.readiness.reject(new Fault('DEADLINE_EXCEEDED', 'The replay was stopped before its first record.'))
    this.resume()
    const deadline = this.options.clock.after(withinMs, this.leave)
    await Promise.race([this.reading, this.left])
    deadline.cancel()
  }

  refresh(): void {
    // What a live run asked for is in its recording, answers and all.
  }

  restart(): boolean {
    return false
  }

  pause(): void {
    this.held ??= new Promise((resolve) => (this.release = resolve))
  }

  resume(): void {
    this.release?.()
    this.held = undefined
    this.release = undefined
  }

  connections(): readonly ConnectionView[] {
    const { sinceUs } = this
    return this.options.files.map((file) => ({ exchange: '', url: file, state: 'replay', sinceUs, attempts: 1 }))
  }

  traffic(): MarketTraffic {
    const { counts, streams } = this.sessions
    const readings = new Map((this.records?.readers ?? []).map(({ path, counters }) => [path, counters]))
    return { exchanges: counts, streams: streams.list, rest: new Map(), readings }
  }

  /** At a speed of its own a replay ends when the time of its records does. */
  progress(): MarketProgress | undefined {
    const { records, timeUs, lastUs } = this
    const { speed, toUs = Infinity } = this.options
    if (records === undefined || timeUs === undefined) return undefined
    const secondsLeft =
      speed === 'max' || lastUs === undefined ? undefined : Math.max(0, Math.min(lastUs, toUs) - timeUs) / 1e6 / speed
    return { share: records.progress.share, secondsLeft }
  }

  private async read(output: MarketOutput): Promise<void> {
    const { files, exchange, speed, clock, fromUs, toUs, lineage = false } = this.options
    const { signal } = this.stopping
    this.records = replayRecords(files, {
      ...(exchange === undefined ? {} : { exchange }),
      onFault: (fault) => output.fault(fault),
      ...{ fromUs, toUs, lineage },
    })
    const records = pace(this.records, { speed, clock, signal })
    try {
      for await (const batch of records) {
        for (const record of batch) {
          if (signal.aborted) return
          this.timeUs = record.timeUs
          output.record(record)
          const events = this.sessions.apply(record)
          if (lineage) trace(events, record.lineage)
          if (events.length > 0) output.events(record, events)
          this.readiness.resolve()
          const wait = this.held ?? this.options.ready()
          if (wait !== undefined) await wait
        }
      }
    } catch (thrown) {
      if (!signal.aborted) throw thrown
    }
  }

  /** A recording of other instruments than the pipeline names is meant as it is; one of its own is filtered as live. */
  private areWished(headers: readonly RecordingHeader[]): boolean {
    const wished = new Set(this.options.wishes.flatMap((wish) => wish.instruments))
    return headers.some(({ subscribed = {} }) =>
      Object.values(subscribed).some((names) => names.some((name) => wished.has(name))),
    )
  }
}

const STOP_MS = 2_000

function latestOf(headers: readonly RecordingHeader[]): number | undefined {
  const times = headers.flatMap(({ lastUs }) => lastUs ?? [])
  return times.length === headers.length ? Math.max(...times) : undefined
}

function unreadable(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown
  const message = `The recording could not be read: ${messageOf(thrown)}`
  return new Fault('RECORDING_INVALID', message, {}, { cause: thrown })
}
