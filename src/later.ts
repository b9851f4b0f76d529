/**
 * Where the functions of the public API are, and how they are loaded: with their first call.
 *
 * A call is made when a pipeline is described, before anything flows; so what a script does not use costs it nothing, and what it
 * uses never stops a loop that is at work.
 */
import { createRequire } from 'node:module'
import type * as index from './index'

type Api = typeof index

/** From the name of a function, or of an object of functions, to its file. */
export const PLACES = {
  pipeline: './pipeline/pipeline',
  toDot: './pipeline/graph',
  toMermaid: './pipeline/graph',
  feed: './pipeline/sources',
  frames: './pipeline/sources',
  replay: './pipeline/sources',
  simulator: './pipeline/sources',
  recording: './pipeline/recordingSink',
  fromFrames: './feed/fromFrames',
  frameAt: './feed/recording/recordingFiles',
  openIndex: './feed/recording/recordingFiles',
  verifyRecording: './feed/recording/recordingFiles',
  startSimulator: './simulator/startSimulator',
  diagnose: './pipeline/diagnose',
  runHealth: './pipeline/runHealth',
  actor: './operators/actor',
  asOfJoin: './operators/asOfJoin',
  bars: './operators/bars',
  collect: './operators/collect',
  collectLatest: './operators/collectLatest',
  consolidate: './operators/consolidate',
  countEvents: './operators/countEvents',
  eventTimeLedger: './operators/eventTime',
  fromForeign: './operators/fromForeign',
  mergeByTime: './operators/mergeByTime',
  keyedLedger: './operators/mergeMapByKey',
  mergeMapByKey: './operators/mergeMapByKey',
  orderByEventTime: './operators/orderByEventTime',
  ofKind: './operators/ofKind',
  retryWithBackoff: './operators/retryWithBackoff',
  sampleEvery: './operators/sampleEvery',
  staleAfter: './operators/staleAfter',
  summarizeBook: './operators/summarizeBooks',
  summarizeBooks: './operators/summarizeBooks',
  barLedger: './operators/timeBars',
  timeBars: './operators/timeBars',
  toBooks: './operators/toBooks',
  toForeign: './operators/toForeign',
  windows: './operators/windows',
  booksOnWorker: './pipeline/booksOnWorker',
  exposeEntry: './workers/entry',
  exposeSource: './workers/exposeSource',
  fromWorker: './workers/fromWorker',
  onWorker: './workers/onWorker',
  sortBooks: './workers/sortBooks',
  drain: './sinks/drain',
  toAsyncIterable: './sinks/toAsyncIterable',
  jsonReport: './sinks/jsonReport',
  htmlReport: './sinks/htmlReport',
  markdownReport: './sinks/markdownReport',
  jsonLines: './sinks/jsonLines',
  csv: './sinks/csv',
  duckdb: './sinks/duckdb',
  postgres: './sinks/postgres',
  questdb: './sinks/questdb',
  parquet: './sinks/parquet',
  arrow: './sinks/arrow',
  http: './sinks/http',
  websocketServer: './sinks/websocketServer',
  consoleSink: './sinks/consoleSink',
  memory: './sinks/memory',
  processMetrics: './metrics/processMetrics',
  runMetrics: './metrics/runMetrics',
  counter: './metrics/userMetrics',
  gauge: './metrics/userMetrics',
  histogram: './metrics/userMetrics',
  health: './metrics/health',
} as const satisfies { readonly [Name in keyof Api]?: string }

export type LaterName = keyof typeof PLACES

const load = createRequire(__filename)

/** The function of that name, whose file is loaded with the first call. */
export function later<Name extends LaterName>(name: Name): Api[Name] {
  return laterAt([name]) as Api[Name]
}

/** One of an object's functions: `bars.time`. */
export function laterIn<Name extends LaterName, Part extends keyof Api[Name] & string>(
  name: Name,
  part: Part,
): Api[Name][Part] {
  return laterAt([name, part]) as Api[Name][Part]
}

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown

function laterAt(names: readonly [LaterName, ...string[]]): AnyFunction {
  let found: AnyFunction | undefined
  const called: AnyFunction = function (...args) {
    found ??= functionAt(names)
    return found.apply(this, args)
  }
  return Object.defineProperty(called, 'name', { value: names.at(-1) })
}

function functionAt(names: readonly [LaterName, ...string[]]): AnyFunction {
  let at: unknown = load(PLACES[names[0]])
  for (const name of names) at = (at as Record<string, unknown>)[name]
  return at as AnyFunction
}
