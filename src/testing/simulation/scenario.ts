/**
 * What happens in a simulated run, drawn from its seed and written down before anything runs: plain data that can be printed.
 */
import type { OnFull } from '../../actors/overflow'
import type { OnFailure } from '../../actors/supervision'
import type { FaultKind, FaultPlan, FaultRule } from '../../simulator/faults'
import { SIMULATED_EXCHANGES } from '../../simulator/listing'
import { Random } from '../../simulator/random'
import type { NetworkWeather, SinkWeather, ThreadWeather, Weather } from './weather'

export interface Scenario {
  readonly seed: number
  readonly exchanges: readonly string[]
  readonly instruments: readonly string[]
  readonly messagesPerSecond: number
  /** Levels a side that the exchanges' books have. */
  readonly depth: number
  /** Simulated time until the end is begun. */
  readonly seconds: number
  readonly faults: FaultPlan
  readonly weather: Weather
  /** Capacity of the edge that carries everything and loses nothing. */
  readonly capacity: number
  readonly barsMs: number
  readonly keyed: KeyedWork
  readonly lossy: LossyBranch
  readonly conflated: { readonly capacity: number; readonly workMs: number }
  /** Books go to a worker thread and back. */
  readonly worker: boolean
  /**
   * `calm`: market and weather come to rest, and every book is compared; `abrupt`: in the middle of it all, in order;
   * `killed`: and not in order.
   */
  readonly ending: 'calm' | 'abrupt' | 'killed'
  readonly flaky: FlakyStage
  /** Branches that come and, most of them, go while the run is under way. */
  readonly visits: readonly Visit[]
  /** When everything is asked to be written at once. */
  readonly flushesMs: readonly number[]
  readonly stopWithinMs: number
}

/** Asynchronous work on views, a key for each book. */
export interface KeyedWork {
  readonly concurrency: number
  readonly workMs: number
  readonly failureChance: number
  /** Work that never ends, and is given up after `deadlineMs`. */
  readonly hangChance: number
  readonly deadlineMs: number
  readonly capacity: number
  readonly onFull: 'fail' | 'dropOldest' | 'dropNewest'
}

/** A stage that keeps books and throws now and then, and what is done about it. */
export interface FlakyStage {
  readonly failureChance: number
  readonly onFailure: Extract<OnFailure, string | object>
}

/** A branch that is attached, and detached after `forMs`. */
export interface Visit {
  readonly atMs: number
  readonly forMs: number
}

/** A branch that may lose values, before a stage that is slow. */
export interface LossyBranch {
  readonly capacity: number
  readonly onFull: Extract<OnFull, string | { readonly sample: number }>
  /** How long the stage keeps the machine busy with a batch, on average, and how many batches in a hundred cost that. */
  readonly workMs: number
  readonly workChance: number
  readonly sink: { readonly capacity: number; readonly onFull: 'dropOldest' | 'dropNewest' | 'keepLatest' | 'block' }
}

const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'DOGE-USDT', 'BTC-USDT-PERP', 'ETH-USDT-PERP'] as const
/** Exchanges that trade no perpetuals, and the one that trades nothing else. */
const SPOT_ONLY = ['binance', 'kraken', 'coinbase']
const PERPETUALS_ONLY = 'binance-futures'

export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed, 'scenario')
  const exchanges = some(random, SIMULATED_EXCHANGES, 1 + random.below(3))
  const instruments = instrumentsFor(random, exchanges)
  const stormy = random.chance(0.75)
  const seconds = 1.5 + random.unit() * 6
  return {
    seed,
    exchanges,
    instruments,
    messagesPerSecond: Math.round(40 * 8 ** random.unit()),
    depth: 20 + random.below(31),
    seconds,
    faults: stormy ? faultsOf(random, exchanges) : [],
    weather: {
      network: networkOf(random, stormy),
      threads: threadsOf(random, stormy),
      sinks: sinksOf(random, stormy),
    },
    capacity: one(random, [20, 200, 2_000, 20_000]),
    barsMs: one(random, [50, 200, 1_000, 2_500]),
    keyed: {
      concurrency: 1 + random.below(4),
      workMs: one(random, [0, 0.5, 2, 6]),
      failureChance: one(random, [0, 0, 0.02, 0.2]),
      hangChance: one(random, [0, 0, 0.005]),
      deadlineMs: 50 + random.below(200),
      ...one(random, [
        { capacity: 65_536, onFull: 'fail' },
        { capacity: 4, onFull: 'dropOldest' },
        { capacity: 4, onFull: 'dropNewest' },
      ] as const),
    },
    lossy: {
      capacity: one(random, [1, 4, 16, 64]),
      onFull: one(random, ['dropOldest', 'dropNewest', 'keepLatest', { sample: 3 }] as const),
      workMs: one(random, [0, 2, 8, 30]),
      workChance: one(random, [0.05, 0.2, 0.5]),
      sink: {
        capacity: one(random, [1, 8, 64]),
        onFull: one(random, ['dropOldest', 'dropNewest', 'keepLatest', 'block'] as const),
      },
    },
    conflated: { capacity: one(random, [2, 8, 32]), workMs: one(random, [0, 0, 1, 5]) },
    worker: random.chance(0.5),
    ending: random.chance(0.7) ? 'calm' : random.chance(0.7) ? 'abrupt' : 'killed',
    flaky: {
      failureChance: one(random, [0, 0.002, 0.02]),
      onFailure: one(random, [
        'restart',
        'stop',
        { restart: { atMost: 3, withinMs: 60_000, backoffMs: [10, 500] } },
        { restart: { atMost: 1_000, withinMs: 60_000, backoffMs: [1, 20] } },
        { restart: { atMost: 1_000, withinMs: 60_000, backoffMs: [100, 2_000] } },
      ] as const),
    },
    visits: Array.from({ length: random.chance(0.5) ? 0 : 1 + random.below(4) }, () => ({
      atMs: random.unit() * seconds * 1_000,
      forMs: random.unit() * seconds * 1_000,
    })),
    flushesMs: Array.from({ length: random.below(3) }, () => random.unit() * seconds * 1_000),
    stopWithinMs: one(random, [1_000, 3_000, 5_000]),
  }
}

/** One or two, and more where an exchange would otherwise trade none of them. Each is traded somewhere. */
function instrumentsFor(random: Random, exchanges: readonly string[]): string[] {
  const hasSpot = exchanges.some((id) => id !== PERPETUALS_ONLY)
  const hasPerpetuals = exchanges.some((id) => !SPOT_ONLY.includes(id))
  const listed = INSTRUMENTS.filter((name) => (isPerpetual(name) ? hasPerpetuals : hasSpot))
  const instruments = new Set(some(random, listed, 1 + random.below(2)))
  if (exchanges.includes(PERPETUALS_ONLY) && ![...instruments].some(isPerpetual)) instruments.add('BTC-USDT-PERP')
  if (exchanges.some((id) => SPOT_ONLY.includes(id)) && [...instruments].every(isPerpetual)) instruments.add('BTC-USDT')
  return [...instruments]
}

function isPerpetual(instrument: string): boolean {
  return instrument.endsWith('-PERP')
}

function faultsOf(random: Random, exchanges: readonly string[]): FaultPlan {
  const kinds: FaultKind[] = ['drop', 'skip', 'checksum', 'garbage', 'refuse', 'http429']
  const everyMs = (): number => Math.round(300 * 12 ** random.unit())
  const plan: FaultRule[] = some(random, kinds, random.below(4)).map((kind) => ({
    kind,
    exchange: undefined,
    // Requests and handshakes are few, and these wait for the next one: more of them would only add up.
    everyMs: everyMs() * (kind === 'http429' || kind === 'refuse' ? 8 : 1),
  }))
  // What falls into a silence is lost: on an exchange without numbers and checksums nobody can notice.
  const speaks = exchanges.filter((exchange) => exchange !== 'coinbase')
  if (speaks.length > 0 && random.chance(0.2)) {
    plan.push({ kind: 'silence', exchange: one(random, speaks), everyMs: everyMs() * 4 })
  }
  return plan
}

function networkOf(random: Random, stormy: boolean): NetworkWeather {
  const often = (everyMs: number): number =>
    stormy && random.chance(0.35) ? everyMs * (0.5 + random.unit()) : Infinity
  const rarely = (chance: number): number => (stormy && random.chance(0.35) ? chance * random.unit() : 0)
  return {
    latencyMs: 0.2 * 200 ** random.unit(),
    jitterMs: random.chance(0.3) ? 0 : 0.1 * 100 ** random.unit(),
    gatherMs: random.chance(0.6) ? 0 : 1 + random.below(40),
    breakEveryMs: often(4_000),
    deadEveryMs: often(8_000),
    goodbyeEveryMs: often(5_000),
    refusedChance: rarely(0.4),
    slowHandshakeChance: rarely(0.3),
    limitedChance: rarely(0.2),
    errorChance: rarely(0.3),
    resetChance: rarely(0.2),
    unansweredChance: rarely(0.15),
    lateChance: rarely(0.6),
    lateMs: 20 * 50 ** random.unit(),
  }
}

function threadsOf(random: Random, stormy: boolean): ThreadWeather {
  return {
    loadMs: 5 + random.below(200),
    hopMs: 0.05 + random.unit() * 0.5,
    workMs: 0.1 * 50 ** random.unit(),
    deathChance: stormy && random.chance(0.4) ? 0.02 * random.unit() : 0,
    stillbornChance: stormy && random.chance(0.2) ? 0.2 : 0,
  }
}

function sinksOf(random: Random, stormy: boolean): SinkWeather {
  return {
    writeMs: 0.2 * 100 ** random.unit(),
    refusalChance: stormy && random.chance(0.5) ? 0.2 * random.unit() : 0,
    hangChance: stormy && random.chance(0.3) ? 0.03 : 0,
    hangMs: 50 + random.below(400),
  }
}

function one<T>(random: Random, choices: readonly T[]): T {
  return choices[random.below(choices.length)]!
}

/** Different ones of them, in their own order. */
function some<T>(random: Random, choices: readonly T[], count: number): T[] {
  const left = choices.map((_, index) => index)
  while (left.length > count) left.splice(random.below(left.length), 1)
  return left.map((index) => choices[index]!)
}
