/**
 * How kindly a simulated machine's surroundings behave: its network, its threads, the destinations of its sinks.
 *
 * Plain numbers, so that a scenario can draw them from its seed, print them, and change one at a time.
 */
export interface Weather {
  readonly network: NetworkWeather
  readonly threads: ThreadWeather
  readonly sinks: SinkWeather
}

/** Waits are milliseconds; chances are from 0 to 1; what comes every so often does so on average. */
export interface NetworkWeather {
  /** One way. */
  readonly latencyMs: number
  /** What is added to it, on average. */
  readonly jitterMs: number
  /** Frames wait up to so long to travel together; 0: they do not wait. */
  readonly gatherMs: number
  /** A line breaks, both ends hear of it; `Infinity` for never. */
  readonly breakEveryMs: number
  /** A line is dead and nobody says so. */
  readonly deadEveryMs: number
  /** The exchange says goodbye, with a code. */
  readonly goodbyeEveryMs: number
  /** Of handshakes: refused, or answered too late. */
  readonly refusedChance: number
  readonly slowHandshakeChance: number
  /** Of REST requests: answered 429 with Retry-After; with a status of 500 and more; broken off; never answered; late. */
  readonly limitedChance: number
  readonly errorChance: number
  readonly resetChance: number
  readonly unansweredChance: number
  readonly lateChance: number
  /** How late. */
  readonly lateMs: number
}

export interface ThreadWeather {
  /** Loading an entry. */
  readonly loadMs: number
  /** One way to a thread. */
  readonly hopMs: number
  /** Work on one call, on average. */
  readonly workMs: number
  /** Of calls: the thread dies meanwhile. Of spawns: it never becomes ready. */
  readonly deathChance: number
  readonly stillbornChance: number
}

export interface SinkWeather {
  /** A write, on average. */
  readonly writeMs: number
  /** Of writes and openings: refused. */
  readonly refusalChance: number
  /** Of writes: takes `hangMs`. */
  readonly hangChance: number
  readonly hangMs: number
}

export const CALM_NETWORK: NetworkWeather = {
  latencyMs: 2,
  jitterMs: 0.2,
  gatherMs: 0,
  breakEveryMs: Infinity,
  deadEveryMs: Infinity,
  goodbyeEveryMs: Infinity,
  refusedChance: 0,
  slowHandshakeChance: 0,
  limitedChance: 0,
  errorChance: 0,
  resetChance: 0,
  unansweredChance: 0,
  lateChance: 0,
  lateMs: 0,
}

export const CALM_THREADS: ThreadWeather = {
  loadMs: 50,
  hopMs: 0.1,
  workMs: 0.5,
  deathChance: 0,
  stillbornChance: 0,
}

export const CALM_SINKS: SinkWeather = { writeMs: 1, refusalChance: 0, hangChance: 0, hangMs: 0 }

export const CALM: Weather = { network: CALM_NETWORK, threads: CALM_THREADS, sinks: CALM_SINKS }
