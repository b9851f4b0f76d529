/**
 * The subscriptions of one open connection: asked for in batches, at the exchange's pace, until each is acknowledged,
 * refused, or has shown by its silence that the connection is not to be trusted.
 *
 * Answers   are matched by the request's id, else by the topics' keys; an answer with neither means the oldest request
 * Refusals  of several topics at once do not say which: the request is halved and asked again until the bad one stands alone
 * Silence   an unanswered request whose topics have no data is sent once more; after that the connection is renewed
 */
import type { Clock, Timer } from '../clock/clock'
import type { ChannelName, ExchangeProtocol } from '../exchanges/protocol'
import type { PlannedTopic } from './subscriptionPlan'

/** One planned topic as it stands; outlives its connections. */
export interface Subscription {
  readonly planned: PlannedTopic
  /** `waiting` until the exchange has answered. */
  state: 'waiting' | 'acked' | 'refused'
  /** When its data was last heard, or it was last acknowledged; NaN before: a number that is always a double is changed in place. */
  heardUs: number
}

export interface SubscriptionsOptions {
  readonly protocol: ExchangeProtocol
  readonly subscriptions: readonly Subscription[]
  readonly clock: Clock
  readonly ackMs: number
  readonly nextId: () => number
  readonly send: (text: string) => void
  readonly acked: (subscription: Subscription) => void
  readonly refused: (subscription: Subscription, reason: string) => void
  /** A refusal that no request is waiting for. */
  readonly refusedOutOfTurn: (reason: string) => void
  /** Twice asked, never answered. */
  readonly unanswered: (subscriptions: readonly Subscription[]) => void
}

/** A message to be sent when its turn comes. */
interface Errand {
  readonly does: 'subscribe' | 'unsubscribe'
  readonly subscriptions: readonly Subscription[]
  readonly attempt: number
}

interface Request extends Errand {
  readonly id: number
  readonly sentUs: number
  readonly missing: Set<Subscription>
}

export class Subscriptions {
  private readonly byKey = new Map<string, Subscription>()
  private readonly byStream = new Map<ChannelName, Map<string, Subscription[]>>()
  private errands: Errand[] = []
  /** Sent and not answered, oldest first. */
  private requests: Request[] = []
  private pacing: Timer | undefined
  private deadline: Timer | undefined
  private paused = false
  private pausedUs = 0
  private stopped = false

  constructor(private readonly options: SubscriptionsOptions) {
    for (const subscription of options.subscriptions) {
      if (subscription.state === 'refused') continue
      subscription.state = 'waiting'
      subscription.heardUs = NaN
      const { topic, symbols } = subscription.planned
      this.byKey.set(topic.key, subscription)
      let ofChannel = this.byStream.get(topic.channel)
      if (ofChannel === undefined) this.byStream.set(topic.channel, (ofChannel = new Map<string, Subscription[]>()))
      for (const symbol of symbols) ofChannel.set(symbol, [...(ofChannel.get(symbol) ?? []), subscription])
    }
  }

  /** Asks for everything. */
  start(): void {
    for (const subscriptions of this.requestsOf([...this.byKey.values()])) {
      this.errands.push({ does: 'subscribe', subscriptions, attempt: 1 })
    }
    this.work()
  }

  /** Leaves topics and asks for them anew: the exchange starts them over, with snapshots where it sends them. */
  renew(renewed: readonly Subscription[]): void {
    const all = new Set(renewed.filter(({ state }) => state !== 'refused'))
    this.errands = this.errands.filter(({ subscriptions }) => subscriptions.length > 1 || !all.has(subscriptions[0]!))
    for (const subscriptions of this.requestsOf([...all])) {
      this.errands.push({ does: 'unsubscribe', subscriptions, attempt: 1 })
      this.errands.push({ does: 'subscribe', subscriptions, attempt: 1 })
    }
    this.work()
  }

  acknowledged(id: number | undefined, keys: readonly string[]): void {
    // Exchanges answer in order, so what an unnamed answer means is the oldest.
    const request = id === undefined && keys.length === 0 ? this.requests[0] : this.requestOf(id, keys)
    if (request?.does === 'unsubscribe') {
      // Some exchanges answer topic by topic: the others of the request are still to come.
      for (const subscription of this.named(keys)) request.missing.delete(subscription)
      if (keys.length === 0 || request.missing.size === 0) this.forget(request)
      if (id !== undefined) return
    }
    const named = this.named(keys)
    const meant = request !== undefined && id !== undefined ? named.filter((each) => request.missing.has(each)) : named
    if (meant.length > 0) for (const subscription of meant) this.ack(subscription)
    else if (request?.does === 'subscribe') for (const subscription of [...request.missing]) this.ack(subscription)
  }

  refused(id: number | undefined, keys: readonly string[], reason: string): void {
    const request = this.requestOf(id, keys)
    const named = this.named(keys)
    if (request === undefined) {
      // Without a request, but by name: an exchange may take back what it has granted.
      for (const subscription of named) this.refuse(subscription, reason)
      if (named.length === 0) this.options.refusedOutOfTurn(reason)
      return
    }
    if (request.does === 'unsubscribe') {
      this.forget(request)
      return
    }
    const bad = named.filter((each) => request.missing.has(each))
    if (bad.length > 0) {
      for (const subscription of bad) this.refuse(subscription, reason)
      // A refusal by the request's id is of the whole request: what is not to blame is asked for again.
      if (id !== undefined) this.askAgain(request, [[...request.missing]])
      return
    }
    const missing = [...request.missing]
    if (missing.length === 1) {
      this.forget(request)
      this.refuse(missing[0]!, reason)
      return
    }
    const half = Math.ceil(missing.length / 2)
    this.askAgain(request, [missing.slice(0, half), missing.slice(half)])
  }

  /** Data came. */
  heard(channel: ChannelName, symbol: string | undefined, timeUs: number): void {
    const ofChannel = this.byStream.get(channel)
    if (ofChannel === undefined) return
    if (symbol !== undefined) {
      const subscriptions = ofChannel.get(symbol)
      if (subscriptions === undefined) return
      for (let index = 0; index < subscriptions.length; index++) subscriptions[index]!.heardUs = timeUs
      return
    }
    // The envelope does not say whose it is: nobody of the channel can be suspected of silence.
    for (const subscriptions of ofChannel.values()) for (const each of subscriptions) each.heardUs = timeUs
  }

  /** The subscriptions of a channel and symbol. */
  of(channel: ChannelName, symbol: string): readonly Subscription[] {
    return this.byStream.get(channel)?.get(symbol) ?? []
  }

  /** Acknowledged subscriptions that have been silent for longer than their channel allows. */
  silent(nowUs: number): Subscription[] {
    const { channels } = this.options.protocol
    const silent: Subscription[] = []
    for (const subscription of this.byKey.values()) {
      const idleMsMax = channels[subscription.planned.topic.channel]?.idleMsMax
      if (idleMsMax === undefined || subscription.state !== 'acked') continue
      if (nowUs - subscription.heardUs >= idleMsMax * 1_000) silent.push(subscription)
    }
    return silent
  }

  /** While paused nobody reads: answers cannot come, and silence means nothing. */
  pause(): void {
    this.paused = true
    this.pausedUs = this.options.clock.nowUs()
    this.deadline?.cancel()
    this.deadline = undefined
  }

  resume(): void {
    const nowUs = this.options.clock.nowUs()
    // The time of the pause is forgiven, and no more: pauses that follow each other must not hide a silence.
    const forgiven = (sinceUs: number): number => Math.min(nowUs, sinceUs + nowUs - this.pausedUs)
    this.paused = false
    this.requests = this.requests.map((request) => ({ ...request, sentUs: forgiven(request.sentUs) }))
    for (const subscription of this.byKey.values()) {
      subscription.heardUs = forgiven(subscription.heardUs)
    }
    this.watch()
  }

  stop(): void {
    this.stopped = true
    this.pacing?.cancel()
    this.deadline?.cancel()
    this.errands = []
    this.requests = []
  }

  /** As many at once as one request may hold. */
  private requestsOf(all: readonly Subscription[]): Subscription[][] {
    const most = Math.max(1, this.options.protocol.limits.topicsPerRequest)
    return Array.from({ length: Math.ceil(all.length / most) }, (_, index) =>
      all.slice(index * most, (index + 1) * most),
    )
  }

  /** Sends the next errand and comes back for the one after it. */
  private work(): void {
    if (this.pacing !== undefined || this.stopped) return
    const errand = this.errands.shift()
    if (errand === undefined) return
    this.pacing = this.options.clock.after(this.options.protocol.limits.requestEveryMs, () => {
      this.pacing = undefined
      this.work()
    })
    this.run(errand)
  }

  private run(errand: Errand): void {
    const { protocol, clock, nextId, send } = this.options
    const subscriptions = errand.subscriptions.filter(({ state }) => state !== 'refused')
    if (subscriptions.length === 0) return
    const topics = subscriptions.map(({ planned }) => planned.topic)
    const id = nextId()
    const text = protocol[errand.does](topics, id)
    if (text.length > protocol.limits.requestCharsMax && subscriptions.length > 1) {
      const half = Math.ceil(subscriptions.length / 2)
      this.errands.unshift({ ...errand, subscriptions: subscriptions.slice(half) })
      this.run({ ...errand, subscriptions: subscriptions.slice(0, half) })
      return
    }
    this.requests.push({ ...errand, subscriptions, id, sentUs: clock.nowUs(), missing: new Set(subscriptions) })
    if (errand.does === 'subscribe') for (const subscription of subscriptions) subscription.state = 'waiting'
    this.watch()
    send(text)
  }

  private ack(subscription: Subscription): void {
    if (this.stopped) return
    for (const request of this.requests) request.missing.delete(subscription)
    this.dropAnswered()
    if (subscription.state !== 'waiting') return
    subscription.state = 'acked'
    subscription.heardUs = this.options.clock.nowUs()
    this.options.acked(subscription)
  }

  private refuse(subscription: Subscription, reason: string): void {
    for (const request of this.requests) request.missing.delete(subscription)
    this.dropAnswered()
    if (subscription.state === 'refused') return
    subscription.state = 'refused'
    this.options.refused(subscription, reason)
  }

  private askAgain(request: Request, groups: readonly (readonly Subscription[])[]): void {
    this.forget(request)
    for (const subscriptions of groups) {
      if (subscriptions.length > 0) this.errands.push({ does: 'subscribe', subscriptions, attempt: 1 })
    }
    this.work()
  }

  private requestOf(id: number | undefined, keys: readonly string[]): Request | undefined {
    if (id !== undefined) return this.requests.find((request) => request.id === id)
    const subscribing = this.requests.filter(({ does }) => does === 'subscribe')
    // Some exchanges leave an unsubscription unanswered, so an unnamed refusal is of the oldest subscription.
    if (keys.length === 0) return subscribing[0] ?? this.requests[0]
    const named = this.named(keys)
    return subscribing.find((request) => named.some((each) => request.missing.has(each)))
  }

  private named(keys: readonly string[]): Subscription[] {
    return keys.map((key) => this.byKey.get(key)).filter((found) => found !== undefined)
  }

  private forget(request: Request): void {
    this.requests = this.requests.filter((other) => other !== request)
    this.watch()
  }

  private dropAnswered(): void {
    this.requests = this.requests.filter(({ missing }) => missing.size > 0)
    this.watch()
  }

  /** One timer, for the request that was sent first. */
  private watch(): void {
    if (this.paused || this.stopped || this.deadline !== undefined) return
    const [oldest] = this.requests
    if (oldest === undefined) return
    const { clock, ackMs } = this.options
    const leftMs = Math.max(0, (oldest.sentUs - clock.nowUs()) / 1_000 + ackMs)
    this.deadline = clock.after(leftMs, () => {
      this.deadline = undefined
      this.expire()
      this.watch()
    })
  }

  private expire(): void {
    const { clock, ackMs, unanswered } = this.options
    const nowUs = clock.nowUs()
    const due = this.requests.filter(({ sentUs }) => nowUs - sentUs >= ackMs * 1_000)
    for (const request of due) {
      if (this.stopped) return
      if (request.does === 'unsubscribe') {
        // Some exchanges do not answer these, and nothing depends on it.
        this.forget(request)
        continue
      }
      // Data is as good as an answer.
      for (const each of [...request.missing]) {
        if (each.heardUs >= request.sentUs) this.ack(each)
      }
      if (request.missing.size === 0) continue
      this.forget(request)
      const subscriptions = [...request.missing]
      if (request.attempt > 1) unanswered(subscriptions)
      else this.errands.push({ does: 'subscribe', subscriptions, attempt: request.attempt + 1 })
    }
    this.work()
  }
}
