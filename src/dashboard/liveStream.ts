/**
 * The stream behind the dashboard: what a run looks like, several times a second, for whoever looks.
 *
 * Cost   nothing while nobody looks. A tick reads what is counted anyway and makes its texts once for all pages. Ticks that
 *        are dear come at greater distances, up to a second, so that they take no more than a fiftieth of the loop
 * Slow   a page has one tick under way; the next one holds what has changed since. Nothing waits for a page, nor grows
 */
import type { Subscription } from 'rxjs'
import type { WebSocket } from 'ws'
import type { Clock, Timer } from '../clock/clock'
import { LatencyHistogram } from '../metrics/histogram'
import { observeLoop } from '../metrics/loopBeat'
import { processMetrics } from '../metrics/processMetrics'
import type { ProcessSample } from '../metrics/processSample'
import type { InstrumentRow } from '../pipeline/monitor'
import type { Glance } from '../pipeline/runSummary'
import { LiveClient, type BookOfTick, type Told } from './liveClient'
import { LIVE_FORMAT, type HelloMessage, type ProcessPart } from './liveFormat'
import { LiveParts } from './liveParts'
import { bookPartOf } from './liveRows'
import type { WatchedRun } from './watchedRun'

const TICK_EVERY_MS = 250
const TICK_EVERY_MS_MAX = 1_000
const PROCESS_EVERY_MS = 1_000
const ROWS_PER_TURN = 128
/** Of the loop's time at most this share goes into ticks. */
const SHARE_MAX = 1 / 50

export class LiveStream implements Told {
  tick = 0
  atMs = 0
  private readonly clients = new Set<LiveClient>()
  private readonly parts = new LiveParts()
  private readonly hello: string
  private rows: Glance['rows'] | undefined
  private timer: Timer | undefined
  private samples: Subscription | undefined
  private unobserve: (() => void) | undefined
  private readonly delays = new LatencyHistogram()
  /** The rows of a tick are being read: it is told of when they were. */
  private isReading = false
  private refusedBefore = 0

  constructor(
    private readonly run: WatchedRun,
    private readonly clock: Clock,
  ) {
    const { pipeline, mode } = run.status()
    const hello: HelloMessage = {
      type: 'hello',
      format: LIVE_FORMAT,
      run: String(clock.nowUs()),
      pipeline,
      mode,
      everyMs: TICK_EVERY_MS,
    }
    this.hello = JSON.stringify(hello)
  }

  /** Pages that are connected. */
  get size(): number {
    return this.clients.size
  }

  /** Messages of pages that were none, of all pages so far. */
  get refused(): number {
    return [...this.clients].reduce((sum, { refused }) => sum + refused, this.refusedBefore)
  }

  connected(socket: WebSocket): void {
    const client = new LiveClient(socket, this.clock, this.hello, (gone) => this.leave(gone))
    this.clients.add(client)
    if (this.timer === undefined) this.begin()
    else if (!this.isReading) client.tick(this)
  }

  close(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.samples?.unsubscribe()
    this.samples = undefined
    this.unobserve?.()
    this.unobserve = undefined
    this.isReading = false
    this.clients.clear()
  }

  get faultsTotal(): number {
    return this.parts.faultsTotal
  }

  textSince(tick: number, faultsSeen: number): string {
    return this.parts.textSince(tick, faultsSeen)
  }

  book(exchange: string, name: string): BookOfTick | undefined {
    const row = this.rows?.get(`${exchange} ${name}`)
    if (row === undefined) return undefined
    return { version: row.state === 'live' ? row.view?.receiveTimeUs : row.state, part: () => bookPartOf(row) }
  }

  private begin(): void {
    this.unobserve = observeLoop((delayMs) => this.delays.record(delayMs * 1_000))
    this.samples = processMetrics({ everyMs: PROCESS_EVERY_MS, clock: this.clock }).subscribe((sample) => {
      this.parts.process(this.tick + 1, processPart(sample))
      this.parts.loop(this.tick + 1, this.delays)
    })
    this.next()
  }

  private next(): void {
    const beganUs = this.clock.nowUs()
    this.tick++
    this.atMs = Math.floor(beganUs / 1_000)
    const glance = this.run.glance()
    this.rows = glance.rows
    this.parts.update(this.tick, glance)
    this.isReading = true
    this.readLater(glance.rows.values(), this.clock.nowUs() - beganUs)
  }

  /** In turns of their own: neither what was read before, nor many thousands of them, must hold up the event loop. */
  private readLater(left: Iterator<InstrumentRow>, tookUs: number): void {
    this.timer = this.clock.after(0, () => this.readRows(left, this.clock.nowUs(), tookUs))
  }

  private readRows(left: Iterator<InstrumentRow>, beganUs: number, tookUs: number): void {
    const isWhole = this.parts.updateRows(this.tick, left, ROWS_PER_TURN)
    if (isWhole) {
      this.isReading = false
      for (const client of this.clients) client.tick(this)
      // The last page may have been given up by that.
      if (this.clients.size === 0) return
    }
    const nowUs = this.clock.nowUs()
    const allUs = tookUs + nowUs - beganUs
    if (!isWhole) {
      this.readLater(left, allUs)
      return
    }
    const restMs = Math.max(TICK_EVERY_MS, Math.min(TICK_EVERY_MS_MAX, allUs / 1_000 / SHARE_MAX))
    this.timer = this.clock.after(restMs, () => this.next())
  }

  private leave(client: LiveClient): void {
    if (!this.clients.delete(client)) return
    this.refusedBefore += client.refused
    if (this.clients.size === 0) this.close()
  }
}

function processPart(sample: ProcessSample): ProcessPart {
  const { timeUs, cpuPercent, rssBytes, heapUsedBytes, loopDelayMs, loopUtilization, gc } = sample
  return {
    atMs: Math.floor(timeUs / 1_000),
    cpuPercent: cpuPercent ?? null,
    rssBytes: rssBytes ?? null,
    heapUsedBytes,
    loopP50: loopDelayMs.p50,
    loopP99: loopDelayMs.p99,
    loopMax: loopDelayMs.max,
    loopBusy: loopUtilization,
    gcPauseMs: gc.pauseMs,
  }
}
