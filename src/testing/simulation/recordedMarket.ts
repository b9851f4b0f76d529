/**
 * A recording in memory: what a run wrote, line by line in the format of recordings, and a market that replays it.
 *
 * It paces itself as the replay of files does: a record is given when the run has room for it.
 */
import { exchangeById } from '../../exchanges/exchanges'
import type { SessionRecord } from '../../feed/record'
import { isNoRecord, recordLine, recordOf } from '../../feed/recording/recordLine'
import { Sessions } from '../../feed/sessions'
import { Fault } from '../../model/fault'
import type { ConnectionView, Market, MarketOutput } from '../../pipeline/market'

/** Takes down what happens, as lines. */
export class MemoryRecording {
  readonly lines: string[] = []

  write(record: SessionRecord): void {
    this.lines.push(recordLine(record, record.exchange))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

export class RecordedMarket implements Market {
  readonly sessions: Sessions
  readonly byInstrument = true
  readonly ready: Promise<void>
  private tellReady!: () => void
  private output: MarketOutput | undefined
  private stopped = false
  private reading: Promise<void> = Promise.resolve()
  private held: Promise<void> | undefined
  private release: (() => void) | undefined

  /** @param room  what a run asks to be waited for before its next record */
  constructor(
    private readonly lines: readonly string[],
    private readonly room: () => Promise<void> | undefined,
  ) {
    this.ready = new Promise((resolve) => (this.tellReady = resolve))
    this.sessions = new Sessions({ protocolOf: exchangeById, onFault: (fault) => this.output?.fault(fault) })
  }

  start(output: MarketOutput): Promise<void> {
    this.output = output
    this.reading = this.read(output).then(() => output.ended())
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.resume()
    await this.reading
  }

  pause(): void {
    this.held ??= new Promise((resolve) => (this.release = resolve))
  }

  resume(): void {
    this.release?.()
    this.held = undefined
    this.release = undefined
  }

  /** The answers are in the recording. */
  refresh(): void {
    return
  }

  restart(): boolean {
    return false
  }

  connections(): readonly ConnectionView[] {
    return [{ exchange: '', url: 'memory', state: 'replay', sinceUs: undefined, attempts: 0 }]
  }

  private async read(output: MarketOutput): Promise<void> {
    const context = {
      exchangeOf: (_: number, named: string | undefined) => named,
      connectionOf: (connection: number) => connection,
    }
    for (const [index, line] of this.lines.entries()) {
      if (this.isStopped()) return
      const record = recordOf(line.trimEnd(), context)
      if (isNoRecord(record)) {
        const message = `Line ${index + 1} of a recording in memory cannot be read: ${JSON.stringify(record)}.`
        output.fault(new Fault('RECORD_UNREADABLE', message, { line: index + 1 }))
        continue
      }
      output.record(record)
      this.tellReady()
      const events = this.sessions.apply(record)
      if (events.length > 0) output.events(record, events)
      const wait = this.held ?? this.room()
      if (wait !== undefined) await wait
    }
  }

  /** A call, because it changes while one awaits. */
  private isStopped(): boolean {
    return this.stopped
  }
}
