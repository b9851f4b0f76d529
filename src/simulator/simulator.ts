/**
 * The exchanges' own side: real WebSocket and REST servers on loopback that speak the protocols of
 * ../shared/protocols/, from a seeded market, with faults on request.
 *
 * It is what `npm start` runs against and what tests compare with: {@link RunningSimulator.book} tells the truth about
 * each book, so that every client's can be checked against it.
 */
import { every, type Clock, type Timer } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { simulatedBinance } from './exchanges/binance'
import { simulatedBinanceFutures } from './exchanges/binanceFutures'
import { simulatedBybit } from './exchanges/bybit'
import { simulatedCoinbase } from './exchanges/coinbase'
import { simulatedKraken } from './exchanges/kraken'
import { simulatedOkx } from './exchanges/okx'
import { startExchangeServer, type ExchangeServer, type ServeExchange } from './exchangeServer'
import {
  checkFaultPlan,
  FAULT_KINDS,
  isFaultKind,
  parseFaultPlan,
  type FaultPlan,
  type FaultRule,
  type InjectedFault,
} from './faults'
import { DEFAULT_INSTRUMENTS, listInstruments, SIMULATED_EXCHANGES } from './listing'
import { MarketBook } from './market'
import { noStats, Outlet, type ExchangeStats } from './outlet'
import { Pacer } from './pacer'
import { Random } from './random'
import type { BookTruth, ExchangeContext, SimulatedExchange } from './simulatedExchange'

export interface SimulatorOptions {
  /** Default: all six. */
  readonly exchanges?: readonly string[]
  /** Unified names; each is listed on every exchange that trades such a thing. */
  readonly instruments?: readonly string[]
  /** Default 1. The same seed and options give each book the same sequence of changes and trades. */
  readonly seed?: number
  /** The first exchange's port; the others follow. Default 0: any free ones. */
  readonly port?: number
  /** Market frames a second over everything that is subscribed to, a whole number of 1 to 50,000 or a fraction from 0.01. Default 500. */
  readonly messagesPerSecond?: number
  readonly faults?: string | FaultPlan
  readonly clock?: Clock
  /** Levels a side that each book keeps, 20 to 5,000. Default 1,000. */
  readonly depth?: number
  /**
   * What is done about a client that does not take what it is sent: real exchanges `disconnect` it, sooner or later, which is
   * the default. With `wait` the market stands still until it does: then whatever the client has lost, it has lost itself.
   */
  readonly slowClients?: 'disconnect' | 'wait'
  /** Let OKX send the checksums that it sent until 2026. Default false: 0, as today. */
  readonly okxChecksum?: boolean
  /** How each exchange is reached. Default: by servers of its own on loopback. */
  readonly serve?: ServeExchange
  /** Told of each book when it is made and after each of its changes, before anyone else can know of them. */
  readonly onChange?: (book: MarketBook) => void
}

export interface RunningSimulator {
  readonly seed: number
  /** By exchange, without a path. */
  readonly addresses: ReadonlyMap<string, { readonly ws: string; readonly rest: string }>
  /** The simulator's own book as the exchange's deepest channel shows it, with the digits it sends, best first. */
  book(exchange: string, symbol: string, market?: string): BookTruth
  symbols(exchange: string): { readonly symbol: string; readonly name: string; readonly market: string }[]
  /**
   * Stops market and faults, so that books can be compared. Before it stands still, every watched book changes the size of
   * its best levels once, without faults: so a client that has lost something is told enough to notice.
   * Resolves when all that was sent has left this process, or after two seconds.
   */
  freeze(): Promise<void>
  thaw(): void
  inject(fault: InjectedFault): void
  readonly stats: SimulatorStats
  /** Closes everything. May be called twice. */
  stop(): Promise<void>
}

/** Sums over all exchanges, and each exchange's own. */
export interface SimulatorStats extends ExchangeStats {
  /** Steps of the market. */
  readonly steps: number
  /** Time given up because the machine could not keep the pace. */
  readonly lateMs: number
  readonly exchanges: Readonly<Record<string, ExchangeStats>>
}

const FACTORIES: ReadonlyMap<string, (context: ExchangeContext) => SimulatedExchange> = new Map([
  ['binance', simulatedBinance],
  ['binance-futures', simulatedBinanceFutures],
  ['bybit', simulatedBybit],
  ['kraken', simulatedKraken],
  ['okx', simulatedOkx],
  ['coinbase', simulatedCoinbase],
])

const BEAT_MS = 100
/** Bytes that a client has not taken, from which on a patient market waits for it. */
const LAG_BYTES = 256 * 1024
const SILENCE_MS = 5_000
const FREEZE_MS = 60_000
/** Frames a second at least. */
const SLOWEST = 0.01

interface Running {
  readonly exchange: SimulatedExchange
  readonly outlet: Outlet
  readonly books: readonly MarketBook[]
  readonly server: ExchangeServer
}

export async function startSimulator(options: SimulatorOptions = {}): Promise<RunningSimulator> {
  const settings = check(options)
  const { clock, seed } = settings
  const running = new Map<string, Running>()
  const owners = new Map<MarketBook, Running>()
  const nowUs = clock.nowUs()

  try {
    for (const [index, id] of settings.exchanges.entries()) {
      const outlet = new Outlet(new Random(seed, `${id} victims`))
      outlet.nowUs = nowUs
      const books = listInstruments(id, settings.instruments).map(
        (listing) => new MarketBook(listing, seed, settings.depth, nowUs),
      )
      const exchange = FACTORIES.get(id)!({ clock, books, outlet, seed, okxChecksum: settings.okxChecksum })
      const server = await settings.serve(exchange, outlet, clock, settings.port === 0 ? 0 : settings.port + index)
      const entry: Running = { exchange, outlet, books, server }
      running.set(id, entry)
      for (const book of books) {
        owners.set(book, entry)
        settings.onChange(book)
      }
    }
  } catch (error) {
    await Promise.all([...running.values()].map(({ server }) => server.stop()))
    throw error
  }

  const flush = (): void => {
    for (const { outlet } of running.values()) outlet.flush()
  }
  const tell = (book: MarketBook, stepUs: number): number => {
    const { exchange, outlet } = owners.get(book)!
    outlet.nowUs = stepUs
    settings.onChange(book)
    const before = outlet.stats.published
    exchange.publish(book)
    return outlet.stats.published - before
  }
  const step = (book: MarketBook, stepUs: number): number => {
    book.step(stepUs)
    return tell(book, stepUs)
  }
  const pacer = new Pacer(
    clock,
    [...owners.keys()],
    settings.messagesPerSecond,
    step,
    flush,
    () => settings.slowClients === 'wait' && clientsLag(running.values()),
  )
  const beats = every(clock, BEAT_MS, () => {
    const beatUs = clock.nowUs()
    for (const { exchange, outlet } of running.values()) {
      outlet.nowUs = beatUs
      exchange.beat(beatUs)
    }
    flush()
  })
  const calamity = scheduleFaults(settings.faults, settings.exchanges, running, clock, seed, inject)
  pacer.start()
  calamity.start()
  let stopped: Promise<void> | undefined

  function entryOf(exchange: string): Running {
    const entry = running.get(exchange)
    if (entry !== undefined) return entry
    throw new Fault(
      'OPTION_INVALID',
      `The simulator does not run "${exchange}"; it runs ${settings.exchanges.join(', ')}.`,
      { option: 'exchange', value: exchange },
    )
  }

  function bookOf(id: string, symbol: string, market?: string): MarketBook {
    const { exchange, books } = entryOf(id)
    const named = books.filter(
      (book) =>
        book.listing.symbol === symbol || book.listing.name === symbol || exchange.aliases(book).includes(symbol),
    )
    const book = named.find(({ listing }) => listing.market === market) ?? named[0]
    if (book !== undefined) return book
    throw new Fault(
      'OPTION_INVALID',
      `The simulated ${id} does not list "${symbol}"; it lists ${books.map(({ listing }) => listing.symbol).join(', ')}.`,
      { option: 'symbol', value: symbol, exchange: id },
    )
  }

  function inject({ kind, exchange: id, symbol: name, forMs }: InjectedFault): void {
    if (!isFaultKind(kind))
      throw new Fault(
        'OPTION_INVALID',
        `There is no fault "${String(kind)}" to inject; known are ${FAULT_KINDS.join(', ')}.`,
        { kind },
      )
    const symbol = name === undefined ? undefined : bookOf(id, name).listing.symbol
    const { exchange, outlet, server, books } = entryOf(id)
    const { stats, connections } = outlet
    const atUs = clock.nowUs()
    const victims = [...connections].filter(({ open, topics }) => open && topics.size > 0)
    const victim = victims[Math.floor(calamity.random.unit() * victims.length)]
    switch (kind) {
      case 'drop':
        if (connections.size === 0) stats.notApplicable++
        for (const connection of connections) {
          if (!connection.open) continue
          stats.droppedConnections++
          connection.terminate()
        }
        return
      case 'skip':
        outlet.arm({ kind, symbol })
        return
      case 'checksum':
        if (exchange.hasChecksums) outlet.arm({ kind, symbol })
        else stats.notApplicable++
        return
      case 'freeze': {
        const watched = books.filter(({ watchers }) => watchers > 0)
        const frozen =
          name === undefined ? watched[Math.floor(calamity.random.unit() * watched.length)] : bookOf(id, name)
        if (frozen === undefined) stats.notApplicable++
        else {
          stats.frozenSymbols++
          frozen.frozenUntilUs = atUs + (forMs ?? FREEZE_MS) * 1_000
        }
        return
      }
      case 'refuse':
        server.refuseNext()
        return
      case 'http429':
        server.limitNext()
        return
      case 'silence':
      case 'garbage':
        if (victim === undefined) stats.notApplicable++
        else if (kind === 'silence') {
          stats.silences++
          victim.silentUntilUs = atUs + (forMs ?? SILENCE_MS) * 1_000
        } else {
          stats.garbageFrames++
          victim.send('{"this is not":JSON,,', atUs)
        }
    }
  }

  return {
    seed,
    addresses: new Map([...running].map(([id, { server }]) => [id, server.address])),
    book: (id, symbol, market) => entryOf(id).exchange.truth(bookOf(id, symbol, market)),
    symbols: (id) => entryOf(id).books.map(({ listing: { symbol, name, market } }) => ({ symbol, name, market })),
    async freeze() {
      calamity.stop()
      pacer.stop()
      const atUs = clock.nowUs()
      for (const { outlet, server } of running.values()) {
        outlet.disarm()
        server.forgive()
        for (const connection of outlet.connections) connection.silentUntilUs = 0
      }
      for (const book of owners.keys()) {
        book.frozenUntilUs = 0
        if (book.watchers === 0) continue
        book.settle(atUs)
        tell(book, atUs)
      }
      flush()
      await Promise.all([...running.values()].map(({ server }) => server.drained()))
    },
    thaw() {
      if (stopped !== undefined) return
      pacer.start()
      calamity.start()
    },
    inject,
    get stats() {
      return sum(running, pacer)
    },
    stop() {
      stopped ??= (async () => {
        pacer.stop()
        calamity.stop()
        beats.cancel()
        await Promise.all([...running.values()].map(({ server }) => server.stop()))
      })()
      return stopped
    },
  }
}

/** True when somebody leaves what it is sent: the market waits then, where it is told to. */
function clientsLag(running: Iterable<Running>): boolean {
  for (const { outlet } of running) {
    for (const { open, waitingBytes } of outlet.connections) if (open && waitingBytes > LAG_BYTES) return true
  }
  return false
}

/** Draws the times of a plan's faults; each rule and exchange has its own. */
function scheduleFaults(
  plan: FaultPlan,
  exchanges: readonly string[],
  running: ReadonlyMap<string, Running>,
  clock: Clock,
  seed: number,
  inject: (fault: InjectedFault) => void,
): { readonly random: Random; start(): void; stop(): void } {
  const timers = new Map<string, Timer>()
  const arm = (rule: FaultRule, exchange: string, key: string, random: Random): void => {
    timers.set(
      key,
      clock.after(random.exponential(rule.everyMs), () => {
        inject({ kind: rule.kind, exchange })
        arm(rule, exchange, key, random)
      }),
    )
  }
  return {
    random: new Random(seed, 'faults'),
    start() {
      for (const [index, rule] of plan.entries()) {
        for (const exchange of rule.exchange === undefined ? exchanges : [rule.exchange]) {
          const { lossIsVisible, hasChecksums } = running.get(exchange)!.exchange
          // Asked for everywhere, a fault happens only where a client can notice it.
          if (rule.exchange === undefined && rule.kind === 'skip' && !lossIsVisible) continue
          if (rule.exchange === undefined && rule.kind === 'checksum' && !hasChecksums) continue
          const key = `${index} ${exchange}`
          if (!timers.has(key)) arm(rule, exchange, key, new Random(seed, `fault ${key} ${rule.kind}`))
        }
      }
    },
    stop() {
      for (const timer of timers.values()) timer.cancel()
      timers.clear()
    },
  }
}

function sum(running: ReadonlyMap<string, Running>, pacer: Pacer): SimulatorStats {
  const total = noStats()
  const exchanges: [string, ExchangeStats][] = []
  for (const [id, { outlet }] of running) {
    exchanges.push([id, { ...outlet.stats }])
    for (const name of Object.keys(total) as (keyof ExchangeStats)[]) total[name] += outlet.stats[name]
  }
  return { ...total, steps: pacer.steps, lateMs: Math.round(pacer.lateMs), exchanges: Object.fromEntries(exchanges) }
}

function check(options: SimulatorOptions): Required<Omit<SimulatorOptions, 'faults'>> & { readonly faults: FaultPlan } {
  const exchanges = options.exchanges ?? SIMULATED_EXCHANGES
  if (exchanges.length === 0 || new Set(exchanges).size !== exchanges.length)
    throw invalid('exchanges', exchanges, 'name at least one exchange, and each once')
  const unknown = exchanges.find((id) => !FACTORIES.has(id))
  if (unknown !== undefined)
    throw invalid(
      'exchanges',
      unknown,
      `there is no simulated exchange "${unknown}"; there are ${SIMULATED_EXCHANGES.join(', ')}`,
    )
  const instruments = options.instruments ?? DEFAULT_INSTRUMENTS
  if (instruments.length === 0 || instruments.length > 1_000)
    throw invalid('instruments', instruments, 'name 1 to 1,000 instruments')
  const { faults = [], clock = liveClock, okxChecksum = false, serve = startExchangeServer } = options
  const { onChange = () => undefined, slowClients = 'disconnect' } = options
  if (!['disconnect', 'wait'].includes(slowClients)) {
    throw invalid('slowClients', slowClients, `slowClients is disconnect or wait, not ${slowClients}`)
  }
  return {
    exchanges,
    instruments,
    seed: integer('seed', options.seed ?? 1, 0, Number.MAX_SAFE_INTEGER),
    port: integer('port', options.port ?? 0, 0, 65_535),
    messagesPerSecond: rate(options.messagesPerSecond ?? 500),
    depth: integer('depth', options.depth ?? 1_000, 20, 5_000),
    faults: typeof faults === 'string' ? parseFaultPlan(faults, exchanges) : checkFaultPlan(faults, exchanges),
    clock,
    okxChecksum,
    slowClients,
    serve,
    onChange,
  }
}

/** Frames a second; a quiet market has one in many seconds. */
function rate(value: number): number {
  if (value >= SLOWEST && value < 1) return value
  return integer('messagesPerSecond', value, 1, 50_000)
}

function integer(option: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value
  throw invalid(option, value, `${option} must be a whole number of ${low} to ${high}, not ${value}`)
}

function invalid(option: string, value: unknown, problem: string): Fault {
  return new Fault('OPTION_INVALID', `The simulator cannot start: ${problem}.`, { option, value })
}
