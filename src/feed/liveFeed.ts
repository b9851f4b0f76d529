/**
 * Live market data: from a list of wishes to events, in the order in which everything happens.
 *
 * Start    asks each exchange for its instruments, finds every problem of every wish, plans connections and opens them. An
 *          exchange of which nothing is required is not waited for, and joins the others when it has answered
 * Road     socket callback -> record with its receive stamp -> `onRecord` (a recorder) -> session -> `onEvents`; all of it
 *          synchronous, so that records, events and their order are the same in a replay
 * Back     what sessions ask for (snapshots, answers, reconnects) goes to the connection that they belong to
 * Faults   each one, of connections, sessions and requests, is told once, to `onFault`. One that means that data which was
 *          wished for will not come any more (a spent retry budget, nothing but refusals) is told to `onTerminal` as well.
 *          An exchange that was given up can be begun again, with a budget like the first; the others never notice
 *
 * It knows no exchange: everything comes from its `ExchangeProtocol`.
 */
import type { Budget } from '../clock/backoff'
import type { Clock } from '../clock/clock'
import type { ExchangeProtocol } from '../exchanges/protocol'
import { parseWireJson } from '../model/codec/wireJson'
import type { MarketEvent } from '../model/events'
import { Fault, messageOf } from '../model/fault'
import { Link, type ConnectionStatus, type LinkCounts } from './link'
import { networkTransport } from './networkTransport'
import { proxyFor, type Environment } from './proxy'
import { Gate, RateLimiter } from './rateLimiter'
import { Readiness } from './readiness'
import type { SessionRecord } from './record'
import { RestQueue, type RestCounts } from './restQueue'
import { Sessions } from './sessions'
import { Stamper } from './stamper'
import { planLinks, problemsOf, type FeedWish, type PlannedLink } from './subscriptionPlan'
import type { RestAsker, Transport } from './transport'

/** Where an exchange is reached: `wss://host` and `https://host`, without a path. */
export interface ExchangeAddress {
  readonly ws: string
  readonly rest: string
}

export interface LiveFeedOptions {
  /** The union over several sources; duplicates are merged. */
  readonly wishes: readonly FeedWish[]
  /** The description of an exchange by its id; throws a `Fault` for an unknown one. */
  readonly protocolOf: (exchange: string) => ExchangeProtocol
  /** Hosts by exchange id, instead of the description's: a simulator, a testnet. */
  readonly addresses?: ReadonlyMap<string, ExchangeAddress> | undefined
  readonly clock: Clock
  /** Jitter: numbers from 0 (included) to 1 (excluded). */
  readonly random: () => number
  /** Where proxies are named; whoever starts the feed passes `process.env`. Default: no proxies. */
  readonly env?: Environment | undefined
  /** How exchanges are reached. Default: over the network. */
  readonly transport?: Transport | undefined
  /** The events of one record, in order; never empty. Must not throw. */
  readonly onEvents: (events: readonly MarketEvent[], record: SessionRecord) => void
  /** Every record, before its events. Who keeps one keeps what `kept` makes of it. */
  readonly onRecord?: ((record: SessionRecord) => void) | undefined
  readonly onFault: (fault: Fault) => void
  /** The exchange that was given up; undefined when everything was refused, by all of them. */
  readonly onTerminal?: ((fault: Fault, exchange: string | undefined) => void) | undefined
  readonly limits?: Partial<LiveFeedLimits> | undefined
  /** False to count nothing for each channel and symbol. Default true. */
  readonly countsStreams?: boolean | undefined
}

/** Every wait and every size. */
export interface LiveFeedLimits {
  /** Milliseconds until a connection must stand. Default 10 000. */
  readonly connectMs: number
  /** Until a subscription must be answered. Default 10 000. */
  readonly ackMs: number
  /** For a whole REST answer. Default 10 000. */
  readonly restMs: number
  /** For goodbyes. Default 2 000. */
  readonly closeMs: number
  /** Until the snapshot that follows an acknowledgement. Default 20 000. */
  readonly snapshotMs: number
  /** Bytes of one frame. Default 16 MiB. */
  readonly maxPayloadBytes: number
  /** Bytes of one REST answer, unpacked. Default 64 MiB. */
  readonly restBytesMax: number
  /** Pages of one instruments request. Default 100. */
  readonly pagesMax: number
  /** REST requests to one exchange at once, and waiting. Default 4 and 50 000. */
  readonly restAtOnce: number
  readonly restWaitingMax: number
  /** Attempts to connect without an answer or data in between. Default 20 within 10 minutes. */
  readonly retries: Budget
  /** Retries of one REST request. Default 6 within 10 minutes. */
  readonly restRetries: Budget
}

const LIMITS: LiveFeedLimits = {
  connectMs: 10_000,
  ackMs: 10_000,
  restMs: 10_000,
  closeMs: 2_000,
  snapshotMs: 20_000,
  maxPayloadBytes: 16 * 1024 * 1024,
  restBytesMax: 64 * 1024 * 1024,
  pagesMax: 100,
  restAtOnce: 4,
  restWaitingMax: 50_000,
  retries: { atMost: 20, withinMs: 600_000 },
  restRetries: { atMost: 6, withinMs: 600_000 },
}

/** Names a book: its exchange, and the symbol as the exchange spells it. */
export interface BookName {
  readonly exchange: string
  readonly symbol: string
}

/** What only an exchange as a whole has. */
interface ExchangeSide {
  readonly protocol: ExchangeProtocol
  readonly address: ExchangeAddress
  readonly client: RestAsker
  readonly rest: RestQueue
  readonly gate: Gate
}

export class LiveFeed {
  readonly sessions: Sessions
  readonly counts: LinkCounts = { reconnects: 0, resyncs: 0, refreshes: 0, staleStreams: 0 }
  private readonly limits: LiveFeedLimits
  private readonly stamper: Stamper
  private readonly exchanges = new Map<string, ExchangeSide>()
  private links: Link[] = []
  /** Those whose retry budget is spent. */
  private readonly exhausted = new Set<Link>()
  /** Exchanges that nobody requires, until their connections are planned. */
  private readonly latecomers = new Map<string, Latecomer>()
  private begun!: () => void
  private readonly hasBegun = new Promise<void>((resolve) => (this.begun = resolve))
  private readonly linkOf = new Map<number, Link>()
  private connections = 0
  private state: 'new' | 'starting' | 'running' | 'stopped' = 'new'
  private isPaused = false
  private readiness = new Readiness()
  private goodbyes: Promise<unknown> | undefined
  /** Ends waits of `start`. */
  private readonly cancels = new Set<() => void>()
  /** Connections whose `close` record is on its way. */
  private readonly released: number[] = []
  /** Records that came up while another was being worked on. */
  private following: SessionRecord[] = []
  private working = false

  constructor(private readonly options: LiveFeedOptions) {
    this.limits = { ...LIMITS, ...options.limits }
    this.stamper = new Stamper(options.clock)
    this.sessions = new Sessions({
      protocolOf: options.protocolOf,
      wholeList: true,
      countsStreams: options.countsStreams,
      controlOf: (connection) => this.linkOf.get(connection)?.control,
      onFault: (fault) => options.onFault(fault),
    })
  }

  /**
   * Resolves when every required book has been live and every required subscription answered; rejects when that cannot
   * happen any more. After that, `restart` makes it a new promise.
   */
  get ready(): Promise<void> {
    return this.readiness.promise
  }

  /**
   * Resolves when the connections are on their way.
   *
   * @throws `Fault` OPTION_INVALID with a sentence for each problem of the wishes; RETRIES_EXHAUSTED when an exchange's
   *         instruments cannot be had
   */
  async start(): Promise<void> {
    if (this.state !== 'new') throw new Fault('OPTION_INVALID', 'A live feed starts once: make another one.')
    this.state = 'starting'
    try {
      this.prepare()
      for (const side of this.exchanges.values()) if (!this.isRequired(side)) void this.awaitLatecomer(side)
      await this.fetchInstruments()
      if (this.stopped) throw stoppedEarly()
      this.links = this.plan().map((planned) => this.linkFor(planned))
    } catch (thrown) {
      this.closeRest()
      this.state = 'stopped'
      const fault = faultOf(thrown)
      this.readiness.reject(fault)
      throw fault
    }
    this.state = 'running'
    for (const link of this.links) link.start()
    this.progressed()
    this.begun()
  }

  /**
   * Says goodbye to every exchange and resolves when they have answered, or at the deadline. Nothing is emitted after that.
   * Called again while it waits, the earlier deadline counts.
   */
  async stop(withinMs = this.limits.closeMs): Promise<void> {
    if (this.state !== 'stopped') {
      this.state = 'stopped'
      for (const cancel of this.cancels) cancel()
      this.closeRest()
      this.readiness.reject(stoppedEarly())
      this.goodbyes = Promise.all(this.links.map((link) => link.stop()))
    }
    if (this.goodbyes === undefined) return
    const deadline = this.options.clock.after(withinMs, () => {
      for (const link of this.links) link.cutShort()
    })
    try {
      await this.goodbyes
    } finally {
      deadline.cancel()
    }
  }

  /**
   * Begins the connections of an exchange again whose retry budget is spent: the same subscriptions, new numbers, a new
   * budget. False when there are none.
   */
  restart(exchange: string): boolean {
    if (this.state !== 'running') return false
    if (this.latecomers.get(exchange)?.fault !== undefined) {
      void this.awaitLatecomer(this.exchanges.get(exchange)!)
      return true
    }
    const begun: Link[] = []
    this.links = this.links.map((link) => {
      if (link.exchange !== exchange || !this.exhausted.delete(link)) return link
      const again = this.linkFor(link.planned, link)
      begun.push(again)
      return again
    })
    if (begun.length === 0) return false
    this.readiness = this.readiness.again()
    for (const link of begun) link.start()
    return true
  }

  /**
   * Asks for other snapshots of books that are live, for those behind the feed who have lost theirs: the events of an answer
   * give the same book, so nobody else is disturbed. A book that is not live gets its snapshot anyway.
   */
  refresh(books: Iterable<BookName> | 'all'): void {
    if (books === 'all') {
      for (const link of this.links) link.refresh(undefined)
      return
    }
    const symbols = new Map<string, Set<string>>()
    for (const { exchange, symbol } of books) {
      const known = symbols.get(exchange)
      if (known === undefined) symbols.set(exchange, new Set([symbol]))
      else known.add(symbol)
    }
    for (const link of this.links) {
      const ofExchange = symbols.get(link.exchange)
      if (ofExchange !== undefined) link.refresh(ofExchange)
    }
  }

  /** Stops reading from the exchanges, until `resume`: what they send waits in the network, and in the end with them. */
  pause(): void {
    if (this.isPaused) return
    this.isPaused = true
    for (const link of this.links) link.pause()
    for (const { rest } of this.exchanges.values()) rest.pause()
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    for (const link of this.links) link.resume()
    for (const { rest } of this.exchanges.values()) rest.resume()
  }

  get paused(): boolean {
    return this.isPaused
  }

  status(): ConnectionStatus[] {
    return [...this.links.map((link) => link.status), ...Array.from(this.latecomers.values(), latecomerStatus)]
  }

  /** REST requests by exchange. */
  restCounts(): Map<string, Readonly<RestCounts> & { readonly waiting: number }> {
    return new Map(
      Array.from(this.exchanges, ([id, { rest }]) => [id, { ...rest.counts, waiting: rest.waiting }] as const),
    )
  }

  /** Whatever can be said against the wishes and addresses without asking anyone. */
  private prepare(): void {
    const { wishes, protocolOf, addresses, clock, random, env = {}, transport = networkTransport } = this.options
    const { limits } = this
    const problems = problemsOf(wishes)
    for (const { exchange } of wishes) {
      let protocol: ExchangeProtocol
      try {
        protocol = protocolOf(exchange)
      } catch (thrown) {
        if (!problems.includes(messageOf(thrown))) problems.push(messageOf(thrown))
        continue
      }
      if (this.exchanges.has(protocol.id)) continue
      const address = withoutSlash(addresses?.get(protocol.id) ?? protocol.hosts)
      problems.push(...addressProblems(protocol, address, env))
      const client = transport.rest({
        clock,
        env,
        deadlineMs: limits.restMs,
        bodyBytesMax: limits.restBytesMax,
        connectionsMax: limits.restAtOnce,
      })
      const rest = new RestQueue({
        clock,
        client,
        limiter: new RateLimiter(clock, protocol.rest.weightPerMinute),
        random,
        atOnce: limits.restAtOnce,
        capacity: limits.restWaitingMax,
        retried: (reason, url) => {
          const message = `${protocol.title} did not answer ${url}: ${reason}. It is asked again.`
          this.options.onFault(new Fault('REQUEST_FAILED', message, { exchange: protocol.id, url }))
        },
        limited: (reason, waitMs) => {
          const message = `${protocol.title} asks to wait before more REST requests: ${reason}; ${Math.ceil(waitMs / 1_000)} s are waited.`
          this.options.onFault(new Fault('FEED_RATE_LIMITED', message, { exchange: protocol.id, waitMs }))
        },
      })
      if (this.isPaused) rest.pause()
      const gate = new Gate(clock, protocol.limits.connectEveryMs)
      this.exchanges.set(protocol.id, { protocol, address, client, rest, gate })
    }
    if (problems.length > 0) throw new Fault('OPTION_INVALID', problems.join(' '), { problems })
  }

  private wishesOf({ protocol }: ExchangeSide): FeedWish[] {
    return this.options.wishes.filter(({ exchange }) => this.options.protocolOf(exchange).id === protocol.id)
  }

  private isRequired(side: ExchangeSide): boolean {
    return this.wishesOf(side).some(({ required }) => required !== false)
  }

  /** An exchange that nobody requires: it joins when it has answered, and its failure is its own. */
  private async awaitLatecomer(side: ExchangeSide): Promise<void> {
    const { clock, onFault, onTerminal } = this.options
    const { id } = side.protocol
    const attempts = (this.latecomers.get(id)?.attempts ?? 0) + 1
    this.latecomers.set(id, { side, sinceUs: clock.nowUs(), attempts, fault: undefined })
    try {
      await this.instrumentsOf(side)
      await this.hasBegun
      if (this.stopped) return
      this.latecomers.delete(id)
      this.join(id)
    } catch (thrown) {
      // Also when it fails first: what is wished of it must not decide whether the others start.
      await this.hasBegun
      if (this.stopped) return
      const fault = faultOf(thrown)
      this.latecomers.set(id, { side, sinceUs: clock.nowUs(), attempts, fault })
      onFault(fault)
      onTerminal?.(fault, id)
    }
  }

  /** @throws `Fault` OPTION_INVALID when what is wished of it cannot be had */
  private join(exchange: string): void {
    const planned = this.plan(true).filter(({ protocol }) => protocol.id === exchange)
    if (planned.length === 0) {
      const { title } = this.exchanges.get(exchange)!.protocol
      throw new Fault('OPTION_INVALID', `${title} has nothing of what is wished for.`, { exchange })
    }
    const joining = planned.map((each) => this.linkFor(each))
    this.links = [...this.links, ...joining]
    for (const link of joining) link.start()
    this.progressed()
    if (this.latecomers.size > 0) return
    try {
      this.plan()
    } catch (thrown) {
      this.options.onFault(faultOf(thrown)) // what none of them has, and is not required
    }
  }

  private async fetchInstruments(): Promise<void> {
    const required = [...this.exchanges.values()].filter((side) => this.isRequired(side))
    const outcomes = await Promise.allSettled(required.map((side) => this.instrumentsOf(side)))
    const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
    if (failed.length === 0) return
    const faults = failed.map(({ reason }) => reason as Fault)
    throw new Fault(faults[0]!.code, faults.map(messageOf).join(' '), faults[0]!.details)
  }

  /** Request by request, page by page, until every wished instrument is known: exchanges list thousands of options last. */
  private async instrumentsOf(side: ExchangeSide): Promise<void> {
    const { protocol } = side
    const table = this.sessions.instruments(protocol.id)
    const wanted = new Set(this.wishesOf(side).flatMap(({ instruments }) => instruments))
    for (const { path: first, weight } of protocol.instruments.requests) {
      let path: string | undefined = first
      for (let page = 0; path !== undefined && page < this.limits.pagesMax; page++) {
        const body = await this.instrumentsPage(side, path, weight)
        if (this.stopped) throw stoppedEarly()
        if (body === undefined) break
        const url = side.address.rest + path
        const { timeUs, ns } = this.stamper.next()
        this.take({
          timeUs,
          ns,
          connection: -1,
          exchange: protocol.id,
          dir: 'rest',
          method: 'GET',
          url,
          role: 'instruments',
          body,
        })
        if ([...wanted].every((name) => table.find(name) !== undefined)) return
        path = nextPath(protocol, body, path)
      }
    }
  }

  /** Undefined when the exchange refuses this part of its list, which may be of no interest. */
  private instrumentsPage({ protocol, rest, address }: ExchangeSide, path: string, weight: number) {
    const url = address.rest + path
    return new Promise<string | undefined>((resolve, reject) => {
      const withdraw = rest.ask({
        key: `instruments ${path}`,
        url,
        weight,
        urgent: true,
        retries: this.limits.restRetries,
        answered: (body) => {
          settled()
          resolve(body)
        },
        failed: (reason, final) => {
          settled()
          const message = `The instruments of ${protocol.title} could not be fetched from ${url}: ${reason}.`
          const details = { exchange: protocol.id, url, reason }
          if (final) {
            this.options.onFault(new Fault('SNAPSHOT_FAILED', message, details))
            resolve(undefined)
          } else reject(new Fault('RETRIES_EXHAUSTED', `${message} Check the network, or try again later.`, details))
        },
      })
      const cancel = (): void => {
        settled()
        withdraw()
        reject(stoppedEarly())
      }
      const settled = (): void => void this.cancels.delete(cancel)
      this.cancels.add(cancel)
    })
  }

  /** The connections to all exchanges that have answered. */
  private plan(moreToCome = this.latecomers.size > 0): PlannedLink[] {
    const { wishes, protocolOf } = this.options
    const known = wishes.filter(({ exchange }) => !this.latecomers.has(protocolOf(exchange).id))
    return planLinks(
      known,
      (id) => {
        const protocol = protocolOf(id)
        return { protocol, instruments: this.sessions.instruments(protocol.id) }
      },
      moreToCome,
    )
  }

  private linkFor(planned: PlannedLink, before?: Link): Link {
    const { clock, random, env = {}, transport = networkTransport } = this.options
    const { limits } = this
    const { address, rest, gate } = this.exchanges.get(planned.protocol.id)!
    const made = new Link({
      ...limits,
      snapshotRetries: limits.restRetries,
      planned,
      url: address.ws + (planned.protocol.endpoints[planned.endpoint]?.path ?? ''),
      restHost: address.rest,
      transport,
      clock,
      stamper: this.stamper,
      random,
      env,
      gate,
      rest,
      counts: this.counts,
      before: before?.status,
      numberFor: (link) => {
        const number = this.connections++
        this.linkOf.set(number, link)
        return number
      },
      release: (number) => {
        this.released.push(number)
      },
      take: (record) => this.take(record),
      fault: (fault) => this.options.onFault(fault),
      exhausted: (link, fault) => this.giveUp(link, fault),
      progressed: () => this.progressed(),
    })
    if (this.isPaused) made.pause()
    return made
  }

  /**
   * The one way of every record. What comes up while one is being worked on (an answer to a heartbeat, the end of a
   * connection) follows it, so that nobody sees the second before the first.
   */
  private take(record: SessionRecord): void {
    this.options.onRecord?.(record)
    if (this.working) {
      this.following.push(record)
      return
    }
    this.working = true
    try {
      this.work(record)
      while (this.following.length > 0) {
        const following = this.following
        this.following = []
        for (const next of following) this.work(next)
      }
    } finally {
      this.working = false
    }
    while (this.released.length > 0) this.linkOf.delete(this.released.pop()!)
  }

  private work(record: SessionRecord): void {
    const events = this.sessions.apply(record)
    if (events.length === 0) return
    let live: Set<string> | undefined
    for (let index = 0; index < events.length; index++) {
      const event = events[index]!
      if (event.kind === 'snapshot') (live ??= new Set()).add(event.symbol)
      // The deltas that waited for this snapshot have shown at once that one of them is missing.
      else if (event.kind === 'notice' && event.code === 'gap') live?.delete(event.symbol)
    }
    if (live !== undefined)
      for (const symbol of live) this.linkOf.get(record.connection)?.bookLive(symbol, record.timeUs)
    this.options.onEvents(events, record)
  }

  private progressed(): void {
    if (this.state !== 'running') return
    if (
      this.exhausted.size === 0 &&
      this.latecomers.size === 0 &&
      this.links.every(({ state }) => state === 'failed')
    ) {
      const message = 'Every subscription was refused, and nothing is left to listen to: see the refusals before this.'
      const fault = new Fault('SUBSCRIBE_REFUSED', message)
      this.options.onFault(fault)
      this.readiness.reject(fault)
      this.options.onTerminal?.(fault, undefined)
      return
    }
    if (this.links.every((link) => link.ready)) this.readiness.resolve()
  }

  /** The budget of a connection is spent: what it was to bring will not come any more, unless it is begun again. */
  private giveUp(link: Link, fault: Fault): void {
    this.exhausted.add(link)
    this.options.onFault(fault)
    if (!link.ready) this.readiness.reject(fault)
    this.options.onTerminal?.(fault, link.exchange)
  }

  private closeRest(): void {
    for (const { rest, client } of this.exchanges.values()) {
      rest.stop()
      client.close()
    }
  }

  // A getter, because states change while one awaits.
  private get stopped(): boolean {
    return this.state === 'stopped'
  }
}

/** An exchange whose instruments are not known yet, or cannot be had, which keeps nobody waiting. */
interface Latecomer {
  readonly side: ExchangeSide
  readonly sinceUs: number
  readonly attempts: number
  /** Why it was given up; undefined while it is being asked. */
  readonly fault: Fault | undefined
}

function latecomerStatus({ side, sinceUs, attempts, fault }: Latecomer): ConnectionStatus {
  return {
    exchange: side.protocol.id,
    endpoint: '',
    url: side.address.rest,
    state: fault === undefined ? 'connecting' : 'failed',
    sinceUs,
    attempts,
    trouble: fault?.message,
    frames: 0,
    bytes: 0,
    lastFrameUs: undefined,
    topics: 0,
    acked: 0,
    refused: 0,
    reconnects: 0,
    resyncs: 0,
    refreshes: 0,
    staleStreams: 0,
  }
}

function faultOf(thrown: unknown): Fault {
  return thrown instanceof Fault ? thrown : new Fault('STAGE_FAILED', messageOf(thrown), {}, { cause: thrown })
}

function stoppedEarly(): Fault {
  return new Fault('DEADLINE_EXCEEDED', 'The feed was stopped before everything that was wished for had come.')
}

/** Unreadable answers have been reported where their instruments were decoded. */
function nextPath(protocol: ExchangeProtocol, body: string, path: string): string | undefined {
  try {
    const next = protocol.instruments.nextPath(parseWireJson(body, protocol), path)
    return next === path ? undefined : next
  } catch {
    return undefined
  }
}

function withoutSlash({ ws, rest }: ExchangeAddress): ExchangeAddress {
  return { ws: ws.replace(/\/+$/, ''), rest: rest.replace(/\/+$/, '') }
}

function addressProblems(protocol: ExchangeProtocol, address: ExchangeAddress, env: Environment): string[] {
  const problems: string[] = []
  const check = (url: string, schemes: readonly string[]): void => {
    if (!schemes.includes(URL.parse(url)?.protocol ?? '')) {
      const known = schemes.map((scheme) => `${scheme}//`).join(' or ')
      problems.push(
        `The address ${JSON.stringify(url.slice(0, 200))} of ${protocol.title} does not start with ${known}.`,
      )
      return
    }
    try {
      proxyFor(url, env)
    } catch (thrown) {
      problems.push(messageOf(thrown))
    }
  }
  check(address.ws, ['wss:', 'ws:'])
  check(address.rest, ['https:', 'http:'])
  return problems
}
