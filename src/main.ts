/**
 * What `import ... from 'millrace'` runs: the API that `index.ts` declares, of which most is loaded when it is used.
 *
 * Loaded at once are classes and constants, and what is called for each event: a call through here costs some nanoseconds.
 * Whoever adds an export to `index.ts` adds it here; a test compares the two.
 */
import { later, laterIn } from './later'

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
export { SharedRetryBudget } from './operators/sharedRetryBudget'
export { encodeEvent } from './sinks/encode'
export { signatureOf } from './sinks/wires/httpSignature'
export { bookDepth } from './workers/bookDepth'
export { transferred } from './workers/transferred'

export const pipeline = later('pipeline')
export const toDot = later('toDot')
export const toMermaid = later('toMermaid')
export const feed = later('feed')
export const frames = later('frames')
export const replay = later('replay')
export const simulator = later('simulator')
export const recording = later('recording')
export const fromFrames = later('fromFrames')
export const frameAt = later('frameAt')
export const openIndex = later('openIndex')
export const verifyRecording = later('verifyRecording')
export const startSimulator = later('startSimulator')
export const diagnose = later('diagnose')
export const runHealth = later('runHealth')

export const actor = later('actor')
export const asOfJoin = later('asOfJoin')
export const bars = { time: laterIn('bars', 'time') }
export const collect = later('collect')
export const collectLatest = later('collectLatest')
export const consolidate = later('consolidate')
export const countEvents = later('countEvents')
export const eventTimeLedger = later('eventTimeLedger')
export const fromForeign = later('fromForeign')
export const mergeByTime = later('mergeByTime')
export const keyedLedger = later('keyedLedger')
export const mergeMapByKey = later('mergeMapByKey')
export const orderByEventTime = later('orderByEventTime')
export const ofKind = later('ofKind')
export const retryWithBackoff = Object.assign(later('retryWithBackoff'), {
  promise: laterIn('retryWithBackoff', 'promise'),
})
export const sampleEvery = later('sampleEvery')
export const staleAfter = later('staleAfter')
export const summarizeBook = later('summarizeBook')
export const summarizeBooks = later('summarizeBooks')
export const barLedger = later('barLedger')
export const timeBars = later('timeBars')
export const toBooks = later('toBooks')
export const toForeign = later('toForeign')
export const windows = {
  tumbling: laterIn('windows', 'tumbling'),
  sliding: laterIn('windows', 'sliding'),
  session: laterIn('windows', 'session'),
  count: laterIn('windows', 'count'),
  volume: laterIn('windows', 'volume'),
}

export const booksOnWorker = later('booksOnWorker')
export const exposeEntry = later('exposeEntry')
export const exposeSource = later('exposeSource')
export const fromWorker = later('fromWorker')
export const onWorker = later('onWorker')
export const sortBooks = later('sortBooks')

export const drain = later('drain')
export const toAsyncIterable = later('toAsyncIterable')
export const jsonReport = later('jsonReport')
export const htmlReport = later('htmlReport')
export const markdownReport = later('markdownReport')
export const jsonLines = later('jsonLines')
export const csv = later('csv')
export const duckdb = later('duckdb')
export const postgres = later('postgres')
export const questdb = later('questdb')
export const parquet = later('parquet')
export const arrow = later('arrow')
export const http = later('http')
export const websocketServer = later('websocketServer')
export const consoleSink = later('consoleSink')
export const memory = later('memory')

export const processMetrics = later('processMetrics')
export const runMetrics = later('runMetrics')
export const counter = later('counter')
export const gauge = later('gauge')
export const histogram = later('histogram')
export const health = later('health')
