/** What a sample of the process says. */
import type { GcSummary } from './gcPauses'
import type { LoopGauge } from './knownWorkers'
import type { LoopDelayPercentiles } from './loopBeat'
import type { SocketFigures } from './socketGauges'

export interface ProcessSample {
  readonly timeUs: number
  /** Of one core, since the sample before: 200 is two cores. Undefined when pidusage has said nothing new. */
  readonly cpuPercent: number | undefined
  /** Processor time since the process began, in steps of the system's clock (10 ms). Undefined as `cpuPercent` is. */
  readonly cpuTimeMs: number | undefined
  /** Undefined as `cpuPercent` is. */
  readonly rssBytes: number | undefined
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  /** Memory of C++ objects bound to JavaScript ones, array buffers included. */
  readonly externalBytes: number
  /** As of up to ten seconds ago. */
  readonly arrayBuffersBytes: number
  /** What keeps the process going, by kind (`Timeout`, `TCPSocketWrap`), as of up to ten seconds ago. */
  readonly activeResources: Readonly<Record<string, number>>
  /** The WebSockets of feeds and of sinks, those in workers included. */
  readonly sockets: SocketFigures
  /** Share of the time since the sample before in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number
  /** Since the sample before. */
  readonly loopDelayMs: LoopDelayPercentiles
  /** Garbage collections of this thread since the sample before. */
  readonly gc: GcSummary
  /** The workers that millrace started, and those that were named in the options. */
  readonly workers: readonly WorkerSample[]
}

export interface WorkerSample {
  readonly name: string
  /** Share of the time since the sample before in which its event loop was busy; undefined when it has gone. */
  readonly loopUtilization: number | undefined
  /**
   * Of one core, between the last two rows that it wrote. This and what follows is undefined for a worker that millrace has
   * not started, and for one that has said nothing for longer than two intervals and two seconds.
   */
  readonly cpuPercent: number | undefined
  readonly heapUsedBytes: number | undefined
  readonly heapTotalBytes: number | undefined
  readonly externalBytes: number | undefined
}

/** A worker thread to look at: `{ name, performance: worker.performance }` for a worker of Node's. */
export interface WorkerGauge {
  readonly name: string
  readonly performance: LoopGauge
}
