/**
 * What `import ... from 'millrace'` runs: the API that `index.ts` declares, of which most is loaded when it is used.
 *
 * Loaded at once are classes and constants, and what is called for each event: a call through here costs some nanoseconds.
 * Whoever adds an export to `index.ts` adds it here; a test compares the two.
 */
import { createRequire } from 'node:module'
import type * as index from './index'
import { laterFrom } from './model/later'

export { emptyLedger } from './actors/ledger'
export { TasksFault, withTasks } from './actors/taskGroup'
export {
  depth,
  depthWithin,
  imbalance,
  microprice,
  mid,
  spread,
  spreadBps,
  vwapToSize,
  weightedMid,
} from './book/bookMath'
export { BookView } from './book/bookView'
export { liveClock } from './clock/liveClock'
export { VirtualClock } from './clock/virtualClock'
export { CATALOGUE } from './metrics/catalogue'
export { Fault, REPAIRS } from './model/fault'
export * from './operators/main'
export { encodeEvent } from './sinks/encode'
export { signatureOf } from './sinks/wires/httpSignature'
export { bookDepth } from './workers/bookDepth'
export { transferred } from './workers/transferred'

const { later } = laterFrom<typeof index>(createRequire(__filename))

export const pipeline = later('pipeline', './pipeline/pipeline')
export const toDot = later('toDot', './pipeline/graph')
export const toMermaid = later('toMermaid', './pipeline/graph')
export const feed = later('feed', './pipeline/sources')
export const frames = later('frames', './pipeline/sources')
export const replay = later('replay', './pipeline/sources')
export const simulator = later('simulator', './pipeline/sources')
export const recording = later('recording', './pipeline/recordingSink')
export const fromFrames = later('fromFrames', './feed/fromFrames')
export const frameAt = later('frameAt', './feed/recording/recordingFiles')
export const openIndex = later('openIndex', './feed/recording/recordingFiles')
export const verifyRecording = later('verifyRecording', './feed/recording/recordingFiles')
export const startSimulator = later('startSimulator', './simulator/startSimulator')
export const diagnose = later('diagnose', './pipeline/diagnose')
export const runHealth = later('runHealth', './pipeline/runHealth')

export const booksOnWorker = later('booksOnWorker', './pipeline/booksOnWorker')
export const exposeEntry = later('exposeEntry', './workers/entry')
export const exposeSource = later('exposeSource', './workers/exposeSource')
export const fromWorker = later('fromWorker', './workers/fromWorker')
export const onWorker = later('onWorker', './workers/onWorker')
export const sortBooks = later('sortBooks', './workers/sortBooks')

export const drain = later('drain', './sinks/drain')
export const toAsyncIterable = later('toAsyncIterable', './sinks/toAsyncIterable')
export const jsonReport = later('jsonReport', './sinks/jsonReport')
export const htmlReport = later('htmlReport', './sinks/htmlReport')
export const markdownReport = later('markdownReport', './sinks/markdownReport')
export const jsonLines = later('jsonLines', './sinks/jsonLines')
export const csv = later('csv', './sinks/csv')
export const duckdb = later('duckdb', './sinks/duckdb')
export const postgres = later('postgres', './sinks/postgres')
export const questdb = later('questdb', './sinks/questdb')
export const parquet = later('parquet', './sinks/parquet')
export const arrow = later('arrow', './sinks/arrow')
export const http = later('http', './sinks/http')
export const websocketServer = later('websocketServer', './sinks/websocketServer')
export const consoleSink = later('consoleSink', './sinks/consoleSink')
export const memory = later('memory', './sinks/memory')

export const processMetrics = later('processMetrics', './metrics/processMetrics')
export const runMetrics = later('runMetrics', './metrics/runMetrics')
export const counter = later('counter', './metrics/userMetrics')
export const gauge = later('gauge', './metrics/userMetrics')
export const histogram = later('histogram', './metrics/userMetrics')
export const health = later('health', './metrics/health')
