import type { Clock } from '../clock/clock'
import { exchangeById } from '../exchanges/exchanges'
import { replayRecords } from '../feed/recording/mergeRecordings'
import { pace, type Speed } from '../feed/recording/pace'
import { readHeader } from '../feed/recording/recordingReader'
import { Sessions } from '../feed/sessions'
import { messageOf, Fault } from '../model/fault'
import type { ConnectionView, Market, MarketOutput } from './market'
import type { Wish } from './wish'

export interface ReplayMarketOptions {
  readonly files: readonly string[]
  readonly exchange: string | undefined
  readonly speed: Speed
  readonly wishes: readonly Wish[]
  readonly clock: Clock
  /** Resolves when the run can take more. */
  readonly ready: () => Promise<void> | undefined
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

  constructor(private readonly options: ReplayMarketOptions) {
    this.sessions = new Sessions({ protocolOf: exchangeById, onFault: (fault) => this.output?.fault(fault) })
  }

  async start(output: MarketOutput): Promise<void> {
    this.output = output
    this.byInstrument = await this.holdsWishedInstruments()
    this.reading = this.read(output).then(
      () => output.ended(),
      (thrown: unknown) => {
        if (!this.stopping.signal.aborted) {
          output.fault(
            thrown instanceof Fault
              ? thrown
              : new Fault(
                  'RECORDING_INVALID',
                  `The recording could not be read: ${messageOf(thrown)}`,
                  {},
                  { cause: thrown },
                ),
          )
        }
        output.ended()
      },
    )
  }

  async stop(): Promise<void> {
    this.stopping.abort()
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

  connections(): readonly ConnectionView[] {
    return this.options.files.map((file) => ({ exchange: '', url: file, state: 'replay' }))
  }

  private async read(output: MarketOutput): Promise<void> {
    const { files, exchange, speed, clock } = this.options
    const { signal } = this.stopping
    const records = pace(
      replayRecords(files, {
        ...(exchange === undefined ? {} : { exchange }),
        onFault: (fault) => output.fault(fault),
      }),
      { speed, clock, signal },
    )
    try {
      for await (const batch of records) {
        for (const record of batch) {
          if (signal.aborted) return
          output.record(record)
          const events = this.sessions.apply(record)
          if (events.length > 0) output.events(record, events)
          const wait = this.held ?? this.options.ready()
          if (wait !== undefined) await wait
        }
      }
    } catch (thrown) {
      if (!signal.aborted) throw thrown
    }
  }

  /** A recording of other instruments than the pipeline names is meant as it is; one of its own is filtered as live. */
  private async holdsWishedInstruments(): Promise<boolean> {
    const wished = new Set(this.options.wishes.flatMap((wish) => wish.instruments))
    for (const file of this.options.files) {
      const { subscribed } = await readHeader(file)
      if (subscribed === undefined) continue
      for (const names of Object.values(subscribed)) if (names.some((name) => wished.has(name))) return true
    }
    return false
  }
}
