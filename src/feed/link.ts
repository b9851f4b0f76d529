/**
 * One planned connection, kept up: connected, subscribed, listened to, and renewed for as long as the feed lives or the
 * retry budget lasts.
 *
 * Each connection that opens has a number of its own, so that whatever follows (sessions, books, recordings) starts clean:
 * a reconnect is the `close` record of one number and the `open` record of another.
 *
 * Alive    any frame, ping or pong is a sign of life; half a silence provokes one where the exchange has no heartbeat of its own
 * Retries  the first at once, then capped exponential backoff with full jitter. A minute of health starts the backoff over;
 *          an answer to a subscription, or data, refills the budget
 * Gives up when the budget is spent: with a terminal fault, never silently
 */
import { backoffDelayMs, RetryBudget, type Budget } from '../clock/backoff'
import type { Clock, Timer } from '../clock/clock'
import type { ChannelName } from '../exchanges/protocol'
import { Fault, type FaultCode } from '../model/fault'
import { BookRepairs, type SnapshotTold } from './bookRepairs'
import type { ConnectionEnd } from './connection'
import { Polls } from './polls'
import type { Environment } from './proxy'
import type { Gate } from './rateLimiter'
import type { RestRole, SessionRecord } from './record'
import type { RestQueue } from './restQueue'
import type { SessionControl } from './session'
import type { StaleAction } from './stalePolicy'
import type { Stamper } from './stamper'
import type { PlannedLink, PlannedPoll } from './subscriptionPlan'
import { Subscriptions, type Subscription } from './subscriptions'
import type { FeedConnection, Transport } from './transport'

/** `waiting` for its next attempt; `failed` when the budget is spent, or everything it asked for was refused. */
export type LinkState = 'waiting' | 'connecting' | 'open' | 'failed' | 'stopped'

/** How a connection stands, as plain data. */
export interface ConnectionStatus {
  readonly exchange: string
  readonly endpoint: string
  readonly url: string
  readonly state: LinkState
  /** When it came into this state. */
  readonly sinceUs: number
  /** Attempts to connect since the start. */
  readonly attempts: number
  /** What went wrong last, in words; undefined while it is of use. */
  readonly trouble: string | undefined
  readonly frames: number
  readonly bytes: number
  readonly lastFrameUs: number | undefined
  readonly topics: number
  readonly acked: number
  readonly refused: number
  readonly reconnects: number
  readonly resyncs: number
  readonly refreshes: number
  readonly staleStreams: number
}

/** Waits and limits of a link; see `LiveFeedOptions` for their defaults. */
export interface LinkDeadlines {
  readonly connectMs: number
  readonly ackMs: number
  readonly closeMs: number
  readonly snapshotMs: number
  readonly maxPayloadBytes: number
  readonly retries: Budget
  readonly snapshotRetries: Budget
}

export interface LinkCounts {
  reconnects: number
  /** Snapshots that were asked for because a book had lost its chain. */
  resyncs: number
  /** Snapshots of books that were right, asked for by those who have lost theirs. */
  refreshes: number
  /** Subscriptions renewed because they had fallen silent. */
  staleStreams: number
}

export interface LinkOptions extends LinkDeadlines {
  readonly planned: PlannedLink
  readonly url: string
  readonly restHost: string
  readonly transport: Transport
  readonly clock: Clock
  readonly stamper: Stamper
  readonly random: () => number
  readonly env: Environment
  readonly gate: Gate
  readonly rest: RestQueue
  /** Of all links together; each counts for itself besides. */
  readonly counts: LinkCounts
  /** The link in whose place this one is: what is counted goes on. */
  readonly before?: ConnectionStatus | undefined
  /** What is done about a stream that has fallen silent by its own cadence. */
  readonly staleAction: StaleAction
  /** A new number, from which records find their way back to this link. */
  readonly numberFor: (link: Link) => number
  readonly release: (connection: number) => void
  readonly take: (record: SessionRecord) => void
  readonly fault: (fault: Fault) => void
  /** The budget is spent. */
  readonly exhausted: (link: Link, fault: Fault) => void
  /** Something that the feed's readiness depends on has changed. */
  readonly progressed: () => void
}

const BACKOFF = { minMs: 1_000, maxMs: 30_000, firstAtOnce: true }
const HEALTHY_MS = 60_000
/** A timer later than this says that this process was not running, not that the exchange was silent. */
const STALL_US = 1_000_000
/** RFC 6455: said goodbye; and ended without a close frame. */
const NORMAL = 1_000
const ABNORMAL = 1_006

export class Link {
  state: LinkState = 'waiting'
  readonly control: SessionControl
  private readonly subscriptions: Subscription[]
  private readonly repairs: BookRepairs
  private readonly polls: Polls
  /** Required topics without an answer and books without a snapshot, ever. */
  private readonly unanswered: Set<Subscription>
  private readonly bookless: Set<string>
  private sinceUs: number
  private attempts = 0
  private failures = 0
  private trouble: string | undefined
  private budget: RetryBudget
  private frames: number
  private bytes: number
  private lastFrameUs: number | undefined
  private readonly counts: LinkCounts

  // Of the open connection.
  private connection: FeedConnection | undefined
  private number = -1
  private asking: Subscriptions | undefined
  private requestIds = 0
  private signUs = 0
  private pinged = false
  private proven = false
  private paused = false
  /** Since when, while paused, silence is not counted. */
  private pausedUs = 0
  /** A connection that goodbye was said to. */
  private leaving: FeedConnection | undefined
  private readonly timers = new Map<'attempt' | 'heartbeat' | 'silence' | 'streams' | 'health', Timer>()

  constructor(private readonly options: LinkOptions) {
    const { planned, clock, before } = options
    const { protocol } = planned
    this.frames = before?.frames ?? 0
    this.bytes = before?.bytes ?? 0
    this.lastFrameUs = before?.lastFrameUs
    const { reconnects = 0, resyncs = 0, refreshes = 0, staleStreams = 0 } = before ?? {}
    this.counts = { reconnects, resyncs, refreshes, staleStreams }
    this.subscriptions = planned.topics.map((topic) => ({ planned: topic, state: 'waiting', heardUs: NaN }))
    this.unanswered = new Set(this.subscriptions.filter(({ planned: { required } }) => required.length > 0))
    this.bookless = new Set(planned.topics.flatMap(({ topic, required }) => (topic.channel === 'book' ? required : [])))
    this.sinceUs = clock.nowUs()
    this.budget = new RetryBudget(options.retries)
    this.repairs = new BookRepairs({
      protocol,
      clock,
      snapshotMs: options.snapshotMs,
      isPaused: () => this.paused,
      renew: (subscriptions) => this.asking?.renew(subscriptions),
      ask: (subscription, symbol, urgent, told) => this.askSnapshot(subscription, symbol, urgent, told),
      repaired: () => this.count('resyncs'),
      refreshed: () => this.count('refreshes'),
      fault: (fault) => options.fault(fault),
    })
    this.polls = new Polls(clock, planned.polls, (poll) => this.poll(poll))
    this.control = this.controlOfSessions()
  }

  start(): void {
    this.attempt()
  }

  get planned(): PlannedLink {
    return this.options.planned
  }

  get exchange(): string {
    return this.planned.protocol.id
  }

  /** True when every required topic was answered once and every required book that was not refused has been live. */
  get ready(): boolean {
    return this.unanswered.size === 0 && this.bookless.size === 0
  }

  get status(): ConnectionStatus {
    const { planned, url } = this.options
    const count = (state: Subscription['state']): number =>
      this.subscriptions.filter((subscription) => subscription.state === state).length
    return {
      exchange: planned.protocol.id,
      endpoint: planned.endpoint,
      url,
      state: this.state,
      sinceUs: this.sinceUs,
      attempts: this.attempts,
      trouble: this.trouble,
      frames: this.frames,
      bytes: this.bytes,
      lastFrameUs: this.lastFrameUs,
      topics: this.subscriptions.length,
      acked: this.state === 'open' ? count('acked') : 0,
      refused: count('refused'),
      ...this.counts,
    }
  }

  private count(what: keyof LinkCounts, times = 1): void {
    this.counts[what] += times
    this.options.counts[what] += times
  }

  /** A snapshot has made this book live. */
  bookLive(symbol: string, timeUs: number): void {
    this.repairs.live(symbol, timeUs)
    if (this.bookless.delete(symbol)) this.options.progressed()
  }

  /** Asks for other snapshots of books that are live; undefined for all of them. */
  refresh(symbols: Iterable<string> | undefined): void {
    if (this.state === 'open') this.repairs.refresh(symbols)
  }

  /** Stops reading from the exchange. Heartbeats go on; silence is not held against anyone. */
  pause(): void {
    if (this.paused) return
    this.paused = true
    this.pausedUs = this.options.clock.nowUs()
    if (this.state !== 'open') return
    this.connection?.pause()
    this.asking?.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    if (this.state !== 'open') return
    this.forgivePause()
    this.pinged = false
    this.asking?.resume()
    this.connection?.resume()
  }

  /** Says goodbye; resolves when the exchange has too, at the deadline, or when the goodbye is cut short. */
  stop(): Promise<void> {
    const connection = this.connection
    const wasOpen = this.state === 'open'
    const failed = this.state === 'failed'
    this.leave(NORMAL, 'the feed was stopped')
    if (!failed) this.setState('stopped')
    if (connection === undefined) return Promise.resolve()
    this.leaving = connection
    return connection.close(NORMAL, wasOpen ? 'goodbye' : '')
  }

  /** Ends a goodbye that takes too long. */
  cutShort(): void {
    this.leaving?.cut()
  }

  private attempt(): void {
    const waitMs = this.options.gate.take()
    if (waitMs > 0) {
      this.after('attempt', waitMs, () => this.attempt())
      return
    }
    this.connect()
  }

  private connect(): void {
    const { transport, url, clock, env, connectMs, closeMs, maxPayloadBytes } = this.options
    this.attempts++
    this.setState('connecting')
    this.connection = transport.connect(
      { url, clock, env, connectMs, closeMs, maxPayloadBytes },
      {
        opened: () => this.opened(),
        received: (bytes, isText) => this.received(bytes, isText),
        signed: () => this.signed(),
        ended: (end) => this.ended(end),
      },
    )
  }

  private opened(): void {
    const { options } = this
    const { planned, clock, url } = options
    const { protocol } = planned
    this.number = options.numberFor(this)
    this.requestIds = 0
    this.proven = false
    this.setState('open')
    this.signed()
    const { number } = this
    options.take({ ...this.base(), dir: 'open', url })
    if (this.number !== number) return // whoever heard of it stopped the feed
    this.repairs.start(this.subscriptions)
    this.asking = new Subscriptions({
      protocol,
      subscriptions: this.subscriptions,
      clock,
      ackMs: options.ackMs,
      nextId: () => ++this.requestIds,
      send: (text) => this.send(text),
      acked: (subscription) => this.acked(subscription),
      refused: (subscription, reason) => this.refused(subscription, reason),
      refusedOutOfTurn: (reason) => {
        const message = `${protocol.title} refused something that was not asked: ${reason}.`
        options.fault(new Fault('FRAME_UNREADABLE', message, { exchange: protocol.id, reason }))
      },
      unanswered: (subscriptions) => {
        const keys = subscriptions.map(({ planned: { topic } }) => topic.key)
        const words = keys.length === 1 ? keys[0]! : `${keys[0]!} and ${keys.length - 1} more`
        const message = `${protocol.title} did not answer the subscription to ${words}, asked twice within ${2 * options.ackMs} ms: the connection is renewed.`
        this.renew('STREAM_STALE', message, { keys: keys.slice(0, 20) })
      },
    })
    this.after('health', HEALTHY_MS, () => {
      this.failures = 0
    })
    this.watchSilence()
    this.watchStreams()
    this.beat()
    this.polls.start()
    if (this.paused) {
      this.connection?.pause()
      this.asking.pause()
    }
    this.asking.start()
  }

  private received(data: Uint8Array, isText: boolean): void {
    const { stamper, planned, take } = this.options
    // A time for each, though they came in one chunk: by it a value is traced to its frame.
    stamper.advance()
    const { timeUs, ns } = stamper
    this.frames++
    this.bytes += data.length
    this.lastFrameUs = timeUs
    this.signUs = timeUs
    this.pinged = false
    // Written out: this one is made for every frame.
    take({ timeUs, ns, connection: this.number, exchange: planned.protocol.id, dir: 'in', data, isText })
  }

  /**
   * What was not read was not silence. No more than that is forgiven: a dead line must be noticed also by a feed that is paused
   * again and again.
   */
  private forgivePause(): void {
    const nowUs = this.options.clock.nowUs()
    this.signUs = Math.min(nowUs, this.signUs + nowUs - Math.max(this.pausedUs, this.sinceUs))
    this.pausedUs = nowUs
  }

  private signed(): void {
    this.signUs = this.options.clock.nowUs()
    this.pinged = false
  }

  private ended(end: ConnectionEnd): void {
    const { planned, clock, gate, url } = this.options
    const { title } = planned.protocol
    const details = { endpoint: planned.endpoint, url, code: end.code, reason: end.reason }
    this.leave(end.code, end.reason)
    if (end.how === 'limited') {
      const waitMs = end.waitMs ?? 0
      gate.block(waitMs)
      this.retry(
        'FEED_RATE_LIMITED',
        `${title} asks to wait before connecting to ${url}: ${end.reason}; ${Math.ceil(waitMs / 1_000)} s are waited.`,
        { ...details, waitMs },
        waitMs,
      )
    } else if (end.how === 'unopened') {
      this.retry('FEED_REFUSED', `${title} could not be reached at ${url}: ${end.reason}.`, details, end.waitMs)
    } else if (end.how === 'tooLarge') {
      const message = `${title} sent a frame of more than ${this.options.maxPayloadBytes} bytes: the connection is renewed.`
      this.retry('FRAME_TOO_LARGE', message, details)
    } else {
      const openMs = (clock.nowUs() - this.sinceUs) / 1_000
      this.retry('FEED_CLOSED', `${title} closed the connection to ${url}: ${end.reason} (code ${end.code}).`, {
        ...details,
        openMs,
      })
    }
  }

  /** Cuts the line and starts over. */
  private renew(code: FaultCode, message: string, details: Readonly<Record<string, unknown>> = {}): void {
    if (this.state !== 'open') return
    const { connection } = this
    const { planned, url } = this.options
    this.leave(ABNORMAL, message)
    connection?.cut()
    this.retry(code, message, { endpoint: planned.endpoint, url, ...details })
  }

  /** Everything that belonged to the connection ends; the `close` record says so where there was one. */
  private leave(code: number, reason: string): void {
    for (const timer of this.timers.values()) timer.cancel()
    this.timers.clear()
    this.asking?.stop()
    this.asking = undefined
    this.repairs.stop()
    this.polls.stop()
    this.connection = undefined
    const number = this.number
    if (this.state === 'open') {
      this.options.take({ ...this.base(), dir: 'close', code, reason })
      this.options.release(number)
    }
    this.number = -1
  }

  private retry(code: FaultCode, message: string, details: Readonly<Record<string, unknown>>, waitMs = 0): void {
    const { clock, random, fault, exhausted, retries, planned } = this.options
    const nowUs = clock.nowUs()
    const exchange = planned.protocol.id
    this.failures++
    this.trouble = message
    this.budget.failed(nowUs)
    const delayMs = Math.max(waitMs, backoffDelayMs(this.failures, { ...BACKOFF, random }))
    fault(new Fault(code, message, { exchange, ...details }))
    if (this.state === 'stopped' || this.state === 'failed') return // by whoever heard of the fault
    if (!this.budget.take(nowUs, delayMs)) {
      this.setState('failed')
      exhausted(
        this,
        new Fault(
          'RETRIES_EXHAUSTED',
          `${planned.protocol.title} is given up: ${retries.atMost} attempts within ${Math.round(retries.withinMs / 60_000)} minutes are the limit, and no more may be made now. The last failure: ${message}`,
          { exchange, endpoint: planned.endpoint, last: code, ...retries },
        ),
      )
      return
    }
    this.count('reconnects')
    this.setState('waiting')
    this.after('attempt', delayMs, () => this.attempt())
  }

  /** An answer or data: this connection is of use, and its failures do not add up with those before it. */
  private prove(): void {
    if (this.proven) return
    this.proven = true
    this.trouble = undefined
    this.budget = new RetryBudget(this.options.retries)
  }

  private acked(subscription: Subscription): void {
    this.prove()
    if (subscription.planned.topic.channel === 'book') this.repairs.acked(subscription)
    if (this.unanswered.delete(subscription)) this.options.progressed()
  }

  private refused(subscription: Subscription, reason: string): void {
    const { protocol } = this.options.planned
    const { topic, symbols } = subscription.planned
    this.unanswered.delete(subscription)
    if (topic.channel === 'book') for (const symbol of symbols) this.bookless.delete(symbol)
    const message = `${protocol.title} refused ${topic.channel} of ${symbols.join(', ')} (${topic.key}): ${reason}.`
    const details = { exchange: protocol.id, channel: topic.channel, symbol: topic.symbol, key: topic.key, reason }
    this.options.fault(new Fault('SUBSCRIBE_REFUSED', message, details))
    const nothingLeft =
      this.state === 'open' &&
      this.options.planned.polls.length === 0 &&
      this.subscriptions.every(({ state }) => state === 'refused')
    if (nothingLeft) {
      // Exchanges close connections without subscriptions.
      const { connection } = this
      this.trouble = 'every subscription was refused'
      this.leave(NORMAL, this.trouble)
      this.setState('failed')
      void connection?.close(NORMAL, 'goodbye')
    }
    this.options.progressed()
  }

  private controlOfSessions(): SessionControl {
    const { options } = this
    return {
      acknowledged: (id, keys) => this.asking?.acknowledged(id, keys),
      refused: (id, keys, reason) => this.asking?.refused(id, keys, reason),
      heard: (channel: ChannelName, symbol, timeUs) => {
        if (this.asking === undefined) return // polled after the end
        this.prove()
        this.asking.heard(channel, symbol, timeUs)
        if (channel === 'book' && symbol !== undefined) this.repairs.heard(symbol)
      },
      listener: (channel, symbol) => this.listener(channel, symbol),
      answer: (text) => this.send(text),
      reconnect: (fault) => this.renew(fault.code, fault.message, fault.details),
      resync: (symbol) => this.repairs.lost(symbol),
      stale: (channel, symbol) => this.streamStale(channel, symbol),
      fault: (fault) => options.fault(fault),
    }
  }

  /** As `heard` of the control, with everything looked up that stays the same while the connection lasts. */
  private listener(channel: ChannelName, symbol: string | undefined): (timeUs: number) => void {
    const { asking, control } = this
    if (asking === undefined || symbol === undefined) return (timeUs) => control.heard(channel, symbol, timeUs)
    const subscriptions = asking.of(channel, symbol)
    const isBook = channel === 'book'
    return (timeUs) => {
      if (this.asking !== asking) return // polled after the end
      this.prove()
      for (let index = 0; index < subscriptions.length; index++) subscriptions[index]!.heardUs = timeUs
      if (isBook) this.repairs.heard(symbol)
    }
  }

  private send(text: string): void {
    if (this.state !== 'open' || this.connection === undefined) return
    if (this.connection.send(text)) {
      this.options.take({ ...this.base(), dir: 'out', data: text })
      return
    }
    const { title } = this.options.planned.protocol
    this.renew('FEED_STALE', `${title} does not read what it is sent: the connection is renewed.`)
  }

  private beat(): void {
    const { heartbeat } = this.options.planned.protocol
    if (heartbeat === undefined) return
    this.after('heartbeat', heartbeat.everyMs, () => {
      this.send(heartbeat.message(++this.requestIds))
      if (this.state === 'open') this.beat()
    })
  }

  /** Looks at the last sign of life when half the patience is over, and when all of it is. */
  private watchSilence(): void {
    const { clock, planned } = this.options
    const { idleMsMax, heartbeat, title } = planned.protocol
    const idleUs = idleMsMax * 1_000
    const nowUs = clock.nowUs()
    const silentUs = nowUs - this.signUs
    if (silentUs >= idleUs) {
      this.renew('FEED_STALE', `${title} has been silent for ${idleMsMax} ms: the connection is renewed.`, {
        idleMsMax,
      })
      return
    }
    if (silentUs >= idleUs / 2 && !this.pinged && heartbeat === undefined) {
      this.pinged = true
      this.connection?.ping()
    }
    const dueUs = this.signUs + (silentUs >= idleUs / 2 ? idleUs : idleUs / 2)
    this.after('silence', (dueUs - nowUs) / 1_000, () => {
      if (this.paused) this.forgivePause()
      else if (clock.nowUs() - dueUs > STALL_US) this.signUs = clock.nowUs()
      this.watchSilence()
    })
  }

  /** A stream has fallen silent by its own cadence, which has been told: what was chosen is done. */
  private streamStale(channel: ChannelName, symbol: string): void {
    const { staleAction, planned } = this.options
    if (staleAction === 'notice') return
    if (staleAction === 'reconnect') {
      this.renew(
        'STREAM_STALE',
        `${channel} of ${symbol} from ${planned.protocol.title} is stale: the connection is renewed.`,
        { channel, symbol },
      )
      return
    }
    // What is being subscribed to already has its turn coming.
    this.renewSilent((this.asking?.of(channel, symbol) ?? []).filter(({ state }) => state === 'acked'))
  }

  private renewSilent(subscriptions: readonly Subscription[]): void {
    if (subscriptions.length === 0) return
    this.count('staleStreams', subscriptions.length)
    this.asking?.renew(subscriptions)
  }

  /**
   * Looks for subscriptions that are silent for longer than the exchange documents: also those of which nothing has come, and
   * those on connections that give no other frame by which a session would notice.
   */
  private watchStreams(): void {
    const { clock, planned, fault } = this.options
    const { protocol } = planned
    const patience = planned.topics
      .map(({ topic }) => protocol.channels[topic.channel]?.idleMsMax)
      .filter((idleMsMax) => idleMsMax !== undefined)
    if (patience.length === 0) return
    this.after('streams', Math.min(...patience) / 4, () => {
      if (!this.paused) {
        for (const subscription of this.asking?.silent(clock.nowUs()) ?? []) {
          const { topic } = subscription.planned
          const idleMsMax = protocol.channels[topic.channel]?.idleMsMax ?? 0
          const message = `${protocol.title} has sent nothing for ${topic.key} for ${idleMsMax} ms while the connection is lively: it is subscribed to anew.`
          fault(
            new Fault('STREAM_STALE', message, { exchange: protocol.id, channel: topic.channel, symbol: topic.symbol }),
          )
          this.renewSilent([subscription])
        }
      }
      if (this.state === 'open') this.watchStreams()
    })
  }

  private askSnapshot(subscription: Subscription, symbol: string, urgent: boolean, told: SnapshotTold): () => void {
    const { planned, rest, restHost, snapshotRetries } = this.options
    const { snapshot } = planned.protocol.book
    if (snapshot === undefined) return () => undefined
    const { number } = this
    const url = restHost + snapshot.path(symbol, subscription.planned.options)
    return rest.ask({
      key: `snapshot ${planned.endpoint} ${symbol}`,
      url,
      weight: snapshot.weight,
      urgent,
      retries: snapshotRetries,
      answered: (body) => {
        if (number !== this.number) return
        told.answered()
        this.takeRest(url, 'book-snapshot', body)
        if (number === this.number) told.applied()
      },
      failed: (reason, final) => {
        if (number === this.number) told.failed(reason, final)
      },
    })
  }

  private poll({ poll, symbol, path }: PlannedPoll): () => void {
    const { restHost, rest, planned, fault } = this.options
    const number = this.number
    const url = restHost + path
    return rest.ask({
      key: `poll ${path}`,
      url,
      weight: poll.weight,
      urgent: false,
      retries: { atMost: 0, withinMs: poll.everyMs },
      answered: (body) => {
        if (number === this.number) this.takeRest(url, 'poll', body)
      },
      failed: (reason) => {
        if (number !== this.number) return
        const { id, title } = planned.protocol
        const message = `${title} did not answer for ${poll.channel} of ${symbol}: ${reason}; it will be asked again in ${poll.everyMs} ms.`
        fault(new Fault('STREAM_STALE', message, { exchange: id, channel: poll.channel, symbol, reason }))
      },
    })
  }

  private takeRest(url: string, role: RestRole, body: string): void {
    this.options.take({ ...this.base(), dir: 'rest', method: 'GET', url, role, body })
  }

  private base() {
    const { timeUs, ns } = this.options.stamper.next()
    return { timeUs, ns, connection: this.number, exchange: this.options.planned.protocol.id }
  }

  private after(name: Parameters<typeof this.timers.set>[0], delayMs: number, callback: () => void): void {
    this.timers.get(name)?.cancel()
    this.timers.set(name, this.options.clock.after(delayMs, callback))
  }

  private setState(state: LinkState): void {
    this.state = state
    this.sinceUs = this.options.clock.nowUs()
  }
}
