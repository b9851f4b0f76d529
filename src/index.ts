/**
 * millrace: stream processing for exchange market data.
 *
 * A pipeline is described once (`pipeline`), and runs live, simulated or on recordings. Sources are observables of batches
 * of market events, operators are plain RxJS operators, sinks are asynchronous. Everything here also works on its own, in
 * a script or a notebook.
 */
export { pipeline, type Pipeline, type RunHandle, type RunOptions, type StreamFinder } from './pipeline/pipeline'
export type {
  BranchBuilder,
  Feedback,
  PipelineBuilder,
  PipelineDescription,
  PipelineProblem,
  Row,
  SinkEdgeOptions,
  SourceOptions,
  StageOptions,
  Stream,
} from './pipeline/description'
export { toDot, toMermaid, type GraphEdge, type PipelineGraph, type RunningGraph } from './pipeline/graph'
export type { BranchHandle } from './pipeline/run'
export type { RunMode, RunPhase, RunStatus, RunSummary } from './pipeline/runSummary'
export type { OpenTelemetryOptions, TraceOptions } from './pipeline/openTelemetryOptions'
export type { ServeOptions } from './pipeline/serveOptions'
export type { EdgeReport, SinkReport, StageStanding } from './pipeline/stageGraph'
export type { StreamRow } from './pipeline/streamRows'
export type { StageReport, StageState } from './pipeline/stageRunner'
export type { SupervisionTree } from './pipeline/supervisionTree'
export {
  feed,
  frames,
  replay,
  simulator,
  type AddressedFeedOptions,
  type FrameSource,
  type MarketSource,
  type ReplayOptions,
  type SimulatorSourceOptions,
} from './pipeline/sources'
export type { FeedOptions } from './pipeline/wish'
export { recording, type RecordingOptions } from './pipeline/recordingSink'
export { fromFrames, type FromFramesOptions } from './feed/fromFrames'
export type { SessionRecord } from './feed/record'
export { frameAt, openIndex, verifyRecording } from './feed/recording/recordingFiles'
export type { FrameAtOptions } from './feed/recording/frameAt'
export type {
  BrokenBlock,
  OpenIndexOptions,
  RecordingBlock,
  RecordingIndex,
  RecordingVerification,
} from './feed/recording/recordingIndex'
export { startSimulator } from './simulator/startSimulator'
export type { RunningSimulator, SimulatorOptions } from './simulator/simulator'

export * from './operators/index'
export { booksOnWorker, type BooksOnWorkerOptions, type BookTop } from './pipeline/booksOnWorker'
export { exposeEntry, transferred } from './workers/entry'
export { exposeSource, type OpenedSource, type WorkerOnFull } from './workers/exposeSource'
export { fromWorker, type FromWorkerOptions } from './workers/fromWorker'
export { onWorker, type OnWorkerOptions, type WorkerMessage } from './workers/onWorker'
export type { Placement } from './workers/placement'
export type { Rebuild } from './workers/rebuildLog'
export { sortBooks, type SortBooksOptions, type SortedBook } from './workers/sortBooks'
export { bookDepth, type BookDepth, type BookSides, type SideDepth } from './workers/bookDepth'

export { drain, type DrainOptions, type DrainResult, type RetryBudget } from './sinks/drain'
export { toAsyncIterable, type StreamIterator, type ToAsyncIterableOptions } from './sinks/toAsyncIterable'
export type { BatchKey, Delivery, Sink, SinkContext, SinkCounters } from './sinks/sink'
export type { DeadLetter } from './sinks/deadLetter'
export type { FieldType } from './sinks/eventFields'
export type { ColumnTypes } from './sinks/tables/table'
export { jsonReport, type JsonReportOptions } from './sinks/jsonReport'
export { htmlReport, type HtmlReportOptions } from './sinks/htmlReport'
export { markdownReport, type MarkdownReportOptions } from './sinks/markdownReport'
export type { RunLook } from './sinks/runLook'
export { jsonLines, type JsonLinesOptions } from './sinks/jsonLines'
export { csv, type CsvOptions } from './sinks/csv'
export { duckdb, type DuckDbOptions, type DuckDbSink } from './sinks/duckdb'
export { postgres, type PostgresOptions } from './sinks/postgres'
export { questdb, type QuestDbOptions } from './sinks/questdb'
export type { AppendOptions } from './sinks/files/fileAppender'
export type { Compression } from './sinks/files/compression'
export { parquet, type ParquetOptions } from './sinks/parquet'
export { arrow, type ArrowOptions } from './sinks/arrow'
export { http, type HttpOptions } from './sinks/http'
export { signatureOf } from './sinks/wires/httpSignature'
export { websocketServer, type WebsocketServerOptions, type WebsocketServerSink } from './sinks/websocketServer'
export type { ConnectionCounts } from './sinks/wires/connectionCounts'
export type { ClientLook, Departure } from './sinks/wires/clientLook'
export type { ClientPolicy } from './sinks/wires/clientQueue'
export { consoleSink, type ConsoleSinkOptions } from './sinks/consoleSink'
export { memory, type MemoryOptions, type MemorySink } from './sinks/memory'
export { encodeEvent } from './sinks/encode'

export { diagnose } from './pipeline/diagnose'
export type {
  AllocationSite,
  DiagnoseOptions,
  Diagnosis,
  EdgeDiagnosis,
  LoopDiagnosis,
} from './pipeline/diagnosis/examine'
export type { PipelineFinding } from './pipeline/diagnosis/findings'
export type { StallOptions } from './pipeline/stallFaults'
export { processMetrics, type ProcessMetricsOptions } from './metrics/processMetrics'
export type { ProcessSample, WorkerGauge, WorkerSample } from './metrics/processSample'
export type { GcKind, GcPauses, GcSummary } from './metrics/gcPauses'
export type { LoopDelayPercentiles } from './metrics/loopBeat'
export type { SocketFigures } from './metrics/socketGauges'
export { runMetrics, type MetricRow, type RunMetricsOptions } from './metrics/runMetrics'
export {
  counter,
  gauge,
  histogram,
  type Counter,
  type Gauge,
  type Histogram,
  type UserHistogramOptions,
  type UserMetricOptions,
} from './metrics/userMetrics'
export { CATALOGUE, type MetricName } from './metrics/catalogue'
export type { MetricDistribution, MetricFamily, MetricKind, MetricSample, MetricSpec } from './metrics/metric'
export type { LatencySummary } from './metrics/histogram'
export type { LatencyPart } from './metrics/latencyBudget'
export {
  health,
  type CheckReport,
  type HealthAnswer,
  type HealthCheck,
  type HealthLevel,
  type HealthOptions,
  type HealthReport,
} from './metrics/health'
export { runHealth, type ReactionReport, type RunHealth } from './pipeline/runHealth'
export type { HealthDeclaration, Reaction } from './pipeline/healthDeclaration'
export type { BuiltInCheck, CheckLimits } from './pipeline/vitals'
export type { StaleOptions } from './feed/stalePolicy'

export { emptyLedger, type DropReason, type Ledger } from './actors/ledger'
export type { Conflation, EdgeOptions, OnFull, Skipped, SpillPolicy } from './actors/overflow'
export type { Pressure } from './actors/pressure'
export { TasksFault, withTasks, type TaskGroup, type TaskGroupOptions } from './actors/taskGroup'
export type { Directive, OnFailure, RestartPolicy } from './actors/supervision'
export type { Clock, Timer } from './clock/clock'
export { liveClock } from './clock/liveClock'
export { VirtualClock } from './clock/virtualClock'
export { BookView, type PriceLevel } from './book/bookView'
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
export { Fault, REPAIRS, type FaultCode, type Repair } from './model/fault'
export type {
  Batch,
  BookChange,
  Candle,
  Derivative,
  Level,
  Liquidation,
  MarketEvent,
  Notice,
  NoticeCode,
  Side,
  Ticker,
  Trade,
} from './model/events'
export type { Instrument, InstrumentKind } from './model/instrument'
