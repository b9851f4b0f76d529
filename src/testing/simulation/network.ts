/**
 * A network within one process: what a feed sends reaches the simulated exchanges, and back, as late and as brokenly as the
 * weather says, and the same for the same seed.
 *
 * Order     is kept in each direction of a line, as TCP keeps it: what is late makes what follows late
 * Packets   frames that were sent together arrive together, in one turn; others may wait for each other
 * Pausing   what is not read waits with the exchange, which sees how much it is
 * Ends      a line breaks (both hear of it, and what was under way may be lost), dies (nobody hears of it), or is closed
 *           with a code. A dead line is forgotten by the exchange's side after half a minute
 * REST      answers are computed when the question arrives and may come much later, when the stream has moved on
 */
import type { Clock, Timer } from '../../clock/clock'
import type { ConnectionEnd, ConnectionEvents, ConnectionOptions } from '../../feed/connection'
import type { RestAnswer, RestOptions } from '../../feed/rest'
import { isRateLimited, RATE_LIMITED_MS } from '../../feed/retryAfter'
import type { FeedConnection, RestAsker, Transport } from '../../feed/transport'
import type { Connection } from '../../simulator/connection'
import type { ExchangeServer, ServeExchange } from '../../simulator/exchangeServer'
import type { Random } from '../../simulator/random'
import { Reception } from '../../simulator/reception'
import { CALM_NETWORK, type NetworkWeather } from './weather'

/** After so long the kernel of the exchange's side gives a dead line up. */
const FORGOTTEN_MS = 30_000
/** RFC 6455: no close frame came; the service restarts; try again later. */
const ABNORMAL = 1_006
const GOODBYES = [
  [1_001, 'going away'],
  [1_012, 'service restart'],
  [1_013, 'try again later'],
  [1_000, ''],
] as const
/** Bytes that the client's side may leave unsent. */
const UNSENT_BYTES_MAX = 1024 * 1024

export class SimulatedNetwork {
  weather: NetworkWeather
  private readonly receptions = new Map<string, Reception>()
  private readonly lines = new Set<Line>()
  private readonly questions = new Set<() => void>()
  private closed = false

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    weather: NetworkWeather,
  ) {
    this.weather = weather
  }

  /** The exchanges' side, for the simulator. */
  readonly serve: ServeExchange = (exchange, outlet, clock) => {
    const host = `${exchange.id}.sim`
    const reception = new Reception(exchange, outlet, clock)
    this.receptions.set(host, reception)
    const server: ExchangeServer = {
      address: { ws: `ws://${host}`, rest: `http://${host}` },
      refuseNext: () => reception.refuseNext(),
      limitNext: () => reception.limitNext(),
      forgive: () => reception.forgive(),
      drained: () => this.drained(reception),
      stop: () => {
        this.receptions.delete(host)
        for (const line of [...this.lines])
          if (line.reception === reception) line.sayGoodbye(1_001, 'the simulator stops')
        return Promise.resolve()
      },
    }
    return Promise.resolve(server)
  }

  /** The feed's side. */
  readonly transport: Transport = {
    connect: (options, events) => {
      const line = new Line(this.around(options.url), options, events, () => this.lines.delete(line))
      this.lines.add(line)
      return line
    },
    rest: (options) => this.asker(options),
  }

  /** From here on nothing goes wrong that has not gone wrong already; dead lines stay dead. */
  calm(): void {
    this.weather = CALM_NETWORK
    for (const line of this.lines) line.calm()
  }

  /** Ends everything at once, so that no timer is left. */
  close(): void {
    this.closed = true
    for (const line of [...this.lines]) line.destroy()
    for (const cancel of [...this.questions]) cancel()
  }

  private around(url: string): Surroundings {
    const { clock, random } = this
    const target = URL.parse(url) ?? undefined
    return {
      clock,
      random,
      weather: () => this.weather,
      url: target,
      reception: target === undefined || this.closed ? undefined : this.receptions.get(target.host),
    }
  }

  /** What was sent has been received, as far as anyone reads. */
  private async drained(reception: Reception): Promise<void> {
    for (let look = 0; look < 200; look++) {
      if (![...this.lines].some((line) => line.reception === reception && line.delivers)) return
      await new Promise<void>((resolve) => this.clock.after(10, resolve))
    }
  }

  private asker(options: RestOptions): RestAsker {
    return {
      get: (url, answered) => this.ask(url, options, answered),
      close: () => undefined,
    }
  }

  private ask(url: string, { clock, deadlineMs, bodyBytesMax }: RestOptions, answered: (answer: RestAnswer) => void) {
    const { random, weather } = this
    const timers = new Set<Timer>()
    const cancel = (): void => {
      for (const timer of timers) timer.cancel()
      timers.clear()
      this.questions.delete(cancel)
    }
    const later = (delayMs: number, callback: () => void): void => {
      const timer = this.clock.after(delayMs, () => {
        timers.delete(timer)
        callback()
      })
      timers.add(timer)
    }
    const finish = (answer: RestAnswer): void => {
      cancel()
      answered(answer)
    }
    this.questions.add(cancel)
    timers.add(
      clock.after(deadlineMs, () => {
        finish({ outcome: 'failed', reason: `no complete answer within ${deadlineMs} ms` })
      }),
    )
    later(delayOf(weather, random), () => {
      const { reception, url: target } = this.around(url)
      if (reception === undefined) {
        later(delayOf(weather, random), () => finish({ outcome: 'failed', reason: 'the connection was refused' }))
        return
      }
      if (random.chance(weather.unansweredChance)) return
      if (random.chance(weather.resetChance)) {
        later(delayOf(weather, random), () => finish({ outcome: 'failed', reason: 'the answer broke off' }))
        return
      }
      const { status, body, retryAfter } = random.chance(weather.limitedChance)
        ? { status: 429, body: 'slow down', retryAfter: String(1 + random.below(3)) }
        : random.chance(weather.errorChance)
          ? { status: [500, 502, 503, 504][random.below(4)]!, body: 'internal error', retryAfter: undefined }
          : reception.answer('GET', target)
      const lateMs = random.chance(weather.lateChance) ? random.exponential(weather.lateMs) : 0
      later(delayOf(weather, random) + lateMs, () => {
        if (Buffer.byteLength(body) > bodyBytesMax) {
          finish({ outcome: 'failed', reason: `an answer of more than ${bodyBytesMax} bytes` })
        } else finish(judge(status, body, retryAfter))
      })
    })
    return cancel
  }
}

/** @param retryAfter  seconds, as the header would say */
function judge(status: number, body: string, retryAfter: string | undefined): RestAnswer {
  if (status === 200) return { outcome: 'answered', body }
  const reason = `status ${status}: ${body}`
  if (isRateLimited(status)) {
    return {
      outcome: 'limited',
      reason,
      waitMs: retryAfter === undefined ? RATE_LIMITED_MS : Number(retryAfter) * 1_000,
    }
  }
  return { outcome: status >= 500 ? 'failed' : 'refused', reason }
}

interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly weather: () => NetworkWeather
  readonly url: URL | undefined
  /** Undefined where nobody listens at that address. */
  readonly reception: Reception | undefined
}

function delayOf({ latencyMs, jitterMs }: NetworkWeather, random: Random): number {
  return latencyMs + random.exponential(jitterMs)
}

/** One WebSocket, both of its ends. */
class Line implements FeedConnection {
  readonly reception: Reception | undefined
  /** What the client receives, and what it sends. */
  private readonly down: Direction
  private readonly up: Direction
  private readonly timers = new Set<Timer>()
  private readonly deadline: Timer
  private readonly closeMs: number
  /** What will go wrong with it. */
  private readonly troubles: Timer[] = []
  /** Of the client. It hears of nothing any more once it has ended. */
  private client: 'opening' | 'open' | 'ended' = 'opening'
  /** Of the exchange, in the words of WebSockets: 0 not yet, 1 open, 2 closing, 3 closed. */
  private server = 0
  private connection: Connection | undefined
  /** Frames that the exchange sends in one go. */
  private gathered: Frame[] | undefined
  private goodbye: (() => void) | undefined
  private dead = false
  /** Nobody is left at either end. */
  private gone = false

  constructor(
    private readonly around: Surroundings,
    options: ConnectionOptions,
    private readonly events: ConnectionEvents,
    private readonly forget: () => void,
  ) {
    const { clock, random, weather, reception } = around
    this.reception = reception
    this.down = new Direction(around)
    this.up = new Direction(around)
    this.closeMs = options.closeMs
    const { connectMs } = options
    this.deadline = clock.after(connectMs, () => {
      this.unopened({ how: 'unopened', code: 0, reason: `no connection within ${connectMs} ms`, waitMs: undefined })
    })
    const slow = random.chance(weather().slowHandshakeChance)
    this.later(delayOf(weather(), random) + (slow ? connectMs * 2 * random.unit() : 0), () => this.shakeHands())
  }

  /** Something is under way to a client that reads. */
  get delivers(): boolean {
    return this.client === 'open' && !this.dead && this.down.delivers
  }

  send(text: string): boolean {
    if (this.client !== 'open' || this.up.bytes > UNSENT_BYTES_MAX) return false
    this.up.put([
      {
        bytes: text.length,
        arrive: () => {
          if (this.server === 1) this.reception?.received(this.connection!, text)
        },
      },
    ])
    return true
  }

  ping(): void {
    if (this.client !== 'open') return
    this.up.put([
      {
        bytes: 2,
        arrive: () => {
          if (this.server !== 1) return
          this.down.put([this.sign()])
          this.reception?.pinged(this.connection!)
        },
      },
    ])
  }

  pause(): void {
    if (this.client === 'open') this.down.hold()
  }

  resume(): void {
    if (this.client === 'open') this.down.release()
  }

  cut(): void {
    this.endClient()
    this.goodbye?.()
    this.hangUp()
  }

  close(): Promise<void> {
    const wasOpen = this.client === 'open'
    this.endClient()
    if (!wasOpen || this.server !== 1) {
      this.hangUp()
      return Promise.resolve()
    }
    this.down.release()
    return new Promise((resolve) => {
      const deadline = this.around.clock.after(this.closeMs, () => {
        this.timers.delete(deadline)
        this.goodbye?.()
        this.hangUp()
      })
      this.timers.add(deadline)
      this.goodbye = () => {
        deadline.cancel()
        this.timers.delete(deadline)
        this.goodbye = undefined
        resolve()
      }
      this.up.put([
        {
          bytes: 4,
          arrive: () => {
            if (this.server !== 1) return
            this.server = 2
            this.down.put([{ bytes: 4, arrive: () => this.saidGoodbye() }])
            this.endServer()
          },
        },
      ])
    })
  }

  /** The exchange closes the line in order. */
  sayGoodbye(code: number, reason: string): void {
    if (this.server !== 1) return
    this.server = 2
    this.down.put([
      {
        bytes: reason.length + 4,
        arrive: () => {
          this.saidGoodbye()
          this.endOfClient({ how: 'closed', code, reason: reason || 'no reason was given', waitMs: undefined })
        },
      },
    ])
    // It waits for the answer a little, and then no longer.
    this.later(2 * delayOf(this.around.weather(), this.around.random) + 5, () => this.endServer())
  }

  calm(): void {
    for (const trouble of this.troubles) {
      trouble.cancel()
      this.timers.delete(trouble)
    }
    this.troubles.length = 0
  }

  /** Ends both sides without telling the client. */
  destroy(): void {
    this.client = 'ended'
    this.endServer()
    this.over()
  }

  private shakeHands(): void {
    const { reception, url, random, weather } = this.around
    const answerMs = delayOf(weather(), random)
    const refuse = (code: number, reason: string): void => {
      this.later(answerMs, () => this.unopened({ how: 'unopened', code, reason, waitMs: undefined }))
    }
    if (this.client !== 'opening') return
    if (reception === undefined) {
      refuse(0, 'the connection was refused')
      return
    }
    const status = random.chance(weather().refusedChance) ? 503 : reception.refusal(url)
    if (status !== undefined) {
      refuse(status, `the exchange answered ${status}`)
      return
    }
    this.server = 1
    const wire = this.wireOfServer()
    this.connection = reception.opened(wire, this.socketOfServer(), url!)
    // The answer to the handshake goes before whatever the exchange has sent since.
    this.down.putFirst({ bytes: 0, arrive: () => this.opened() })
  }

  private opened(): void {
    if (this.client !== 'opening') return
    this.client = 'open'
    this.deadline.cancel()
    const { breakEveryMs, deadEveryMs, goodbyeEveryMs } = this.around.weather()
    this.trouble(breakEveryMs, () => this.break())
    this.trouble(deadEveryMs, () => this.die())
    this.trouble(goodbyeEveryMs, () => {
      const [code, reason] = GOODBYES[this.around.random.below(GOODBYES.length)]!
      this.sayGoodbye(code, reason)
    })
    this.events.opened()
  }

  private trouble(everyMs: number, happen: () => void): void {
    if (everyMs === Infinity) return
    this.troubles.push(this.later(this.around.random.exponential(everyMs), happen))
  }

  /** Both sides hear that the line is no more; what was under way to the client may be lost. */
  private break(): void {
    const { random, weather } = this.around
    if (random.chance(0.5)) this.down.lose()
    this.later(delayOf(weather(), random), () => this.endServer())
    this.down.end(() => this.brokenOff())
    this.up.lose()
  }

  /** Nothing passes any more, and nobody says so. */
  private die(): void {
    this.dead = true
    this.down.lose()
    this.up.lose()
    this.later(FORGOTTEN_MS, () => this.endServer())
  }

  private brokenOff(): void {
    this.saidGoodbye()
    this.endOfClient({ how: 'closed', code: ABNORMAL, reason: 'the line broke', waitMs: undefined })
  }

  /** The client has gone without a word: the exchange hears of it, unless the line is dead. */
  private hangUp(): void {
    if (this.gone) return
    this.down.lose()
    if (this.server === 0) this.over()
    else
      this.later(this.dead ? FORGOTTEN_MS : delayOf(this.around.weather(), this.around.random), () => this.endServer())
  }

  /** The goodbye of the client has been answered, or cannot be any more. */
  private saidGoodbye(): void {
    if (this.goodbye === undefined) return
    this.goodbye()
    if (this.server === 3) this.over()
  }

  private endOfClient(end: ConnectionEnd): void {
    if (this.client === 'opening') this.unopened({ ...end, how: 'unopened', code: 0 })
    if (this.client === 'ended') return
    this.endClient()
    if (this.server === 3) this.over()
    this.events.ended(end)
  }

  private unopened(end: ConnectionEnd): void {
    if (this.client !== 'opening') return
    this.endClient()
    this.hangUp()
    this.events.ended(end)
  }

  private endClient(): void {
    this.client = 'ended'
    this.deadline.cancel()
  }

  private endServer(): void {
    if (this.server === 3 || this.server === 0) return
    this.server = 3
    this.reception?.closed(this.connection!)
    if (this.client === 'ended' && this.goodbye === undefined) this.over()
  }

  /** Nobody is left at either end. */
  private over(): void {
    this.gone = true
    this.deadline.cancel()
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.down.stop()
    this.up.stop()
    this.forget()
  }

  private later(delayMs: number, callback: () => void): Timer {
    const timer = this.around.clock.after(delayMs, () => {
      this.timers.delete(timer)
      callback()
    })
    this.timers.add(timer)
    return timer
  }

  /** A ping or pong that reaches the client. */
  private sign(): Frame {
    return {
      bytes: 2,
      arrive: () => {
        if (this.client === 'open') this.events.signed()
      },
    }
  }

  /** A text frame of the exchange's, of which `start` is where its payload begins. */
  private frame(bytes: Buffer, start: number): Frame {
    return {
      bytes: bytes.length - start,
      arrive: () => {
        if (this.client === 'open') this.lend(bytes, start)
      },
    }
  }

  /** As a socket does: the bytes hold until the callback returns. Whoever keeps them reads nonsense, and is found out. */
  private lend(bytes: Buffer, start: number): void {
    const lent = new Uint8Array(bytes.subarray(start))
    try {
      this.events.received(lent, true)
    } finally {
      lent.fill(0)
    }
  }

  private wireOfServer() {
    const state = (): number => this.server
    return {
      get readyState(): number {
        return state()
      },
      send: (text: string): void => this.sendDown(this.frame(Buffer.from(text), 0)),
      ping: (): void =>
        this.sendDown({
          bytes: 2,
          arrive: () => {
            if (this.client !== 'open') return
            this.events.signed()
            this.up.put([
              {
                bytes: 2,
                arrive: () => {
                  if (this.server === 1) this.reception?.ponged(this.connection!)
                },
              },
            ])
          },
        }),
      close: (code: number, reason: string): void => this.sayGoodbye(code, reason),
      terminate: (): void => {
        if (this.server === 3) return
        this.server = 2
        if (!this.dead) this.break()
        else this.later(0, () => this.endServer())
      },
    }
  }

  private socketOfServer() {
    const waiting = (): number => this.down.bytes
    return {
      get writableLength(): number {
        return waiting()
      },
      write: (bytes: Buffer): void => this.sendDown(this.frame(bytes, payloadStart(bytes))),
      cork: (): void => {
        this.gathered ??= []
      },
      uncork: (): void => {
        const frames = this.gathered
        this.gathered = undefined
        if (frames !== undefined && frames.length > 0) this.down.put(frames)
      },
    }
  }

  private sendDown(frame: Frame): void {
    if (this.gathered === undefined) this.down.put([frame])
    else this.gathered.push(frame)
  }
}

/** Of a WebSocket frame as the simulator writes it: unmasked and whole. */
function payloadStart(frame: Buffer): number {
  const length = frame[1]!
  return length < 126 ? 2 : length === 126 ? 4 : 10
}

interface Frame {
  readonly bytes: number
  arrive(): void
}

interface Packet {
  readonly atUs: number
  readonly frames: Frame[]
}

/** One direction of a line: packets in order, each no earlier than the one before it. */
class Direction {
  /** Bytes that were sent and have not arrived. */
  bytes = 0
  private packets: Packet[] = []
  private latestUs = 0
  private timer: Timer | undefined
  private held = false
  private lost = false
  private ending: (() => void) | undefined

  constructor(private readonly around: Surroundings) {}

  get delivers(): boolean {
    return this.packets.length > 0 && !this.held
  }

  put(frames: readonly Frame[]): void {
    if (this.ending !== undefined) return
    for (const { bytes } of frames) this.bytes += bytes
    if (this.lost) return
    const { clock, random, weather } = this.around
    const { gatherMs } = weather()
    const nowUs = clock.nowUs()
    let atUs = nowUs + Math.round(delayOf(weather(), random) * 1_000)
    if (gatherMs > 0) atUs = Math.ceil(atUs / (gatherMs * 1_000)) * Math.round(gatherMs * 1_000)
    this.latestUs = Math.max(this.latestUs, atUs)
    const last = this.packets.at(-1)
    if (last?.atUs === this.latestUs) last.frames.push(...frames)
    else this.packets.push({ atUs: this.latestUs, frames: [...frames] })
    this.arm()
  }

  /** Before everything that is under way. */
  putFirst(frame: Frame): void {
    const first = this.packets[0]
    if (first === undefined) this.put([frame])
    else first.frames.unshift(frame)
  }

  hold(): void {
    this.held = true
    this.timer?.cancel()
    this.timer = undefined
  }

  release(): void {
    if (!this.held) return
    this.held = false
    this.arm()
  }

  /** What is under way, and what comes, never arrives. */
  lose(): void {
    this.lost = true
    this.packets = []
    this.timer?.cancel()
    this.timer = undefined
  }

  /** Nothing more comes; `ended` is called after the last that does. */
  end(ended: () => void): void {
    if (this.ending !== undefined) return
    this.ending = ended
    this.held = false
    const { clock, random, weather } = this.around
    this.latestUs = Math.max(this.latestUs, clock.nowUs() + Math.round(delayOf(weather(), random) * 1_000))
    this.packets.push({ atUs: this.latestUs, frames: [{ bytes: 0, arrive: ended }] })
    this.arm()
  }

  stop(): void {
    this.lose()
    this.ending ??= () => undefined
  }

  private arm(): void {
    const first = this.packets[0]
    if (first === undefined || this.held || this.timer !== undefined) return
    const { clock } = this.around
    this.timer = clock.after((first.atUs - clock.nowUs()) / 1_000, () => {
      this.timer = undefined
      this.deliver()
    })
  }

  /** All of a packet arrives, also when the first of it makes the reader stop: it was read already. */
  private deliver(): void {
    const nowUs = this.around.clock.nowUs()
    while (!this.held && this.packets.length > 0 && this.packets[0]!.atUs <= nowUs) {
      for (const frame of this.packets.shift()!.frames) {
        this.bytes -= frame.bytes
        frame.arrive()
      }
    }
    this.arm()
  }
}
