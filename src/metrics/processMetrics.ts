/** The process looked at from beside the road, as an interval stream like any other. */
import { Observable } from 'rxjs'
import type { Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import type { ProcessSample, WorkerGauge } from './processSample'
import { processSampler } from './processSampler'
import { NamedWorkers } from './workerWindow'

export interface ProcessMetricsOptions {
  readonly everyMs: number
  readonly clock?: Clock
  /** Worker threads that millrace has not started, or a function that names those of the moment. Its own are known. */
  readonly workers?: readonly WorkerGauge[] | (() => readonly WorkerGauge[])
}

/**
 * Samples this process every `everyMs`: CPU, memory, event loop, garbage collection, workers, sockets.
 *
 * Emits      one sample an interval, on multiples of it; CPU and memory of the whole process are those of up to a quarter of
 *            the interval before, and at most 250 ms
 * Completes  never
 * Errors     never; what could not be had is undefined, and nothing waits for it
 * Holds      while somebody is subscribed, once for the process: a thread with pidusage and a timer of 20 ms (which keep no
 *            process alive), an observer of collections; for each interval a timer and a kilobyte
 *
 * What a sample costs the loop is mostly fetching from memory again what other work has displaced: amid such work as much as
 * `process.memoryUsage()`, a sixth of pidusage; one after another a third and a thirtieth (benchmarks, suite `watch`).
 * Subscribing when nobody else is costs more: starting the thread blocks the loop for some milliseconds, in a turn of its own.
 */
export function processMetrics(options: ProcessMetricsOptions): Observable<ProcessSample> {
  const { everyMs, clock = liveClock, workers = [] } = options
  if (!(everyMs >= 1 && everyMs < Infinity)) {
    throw new Fault('OPTION_INVALID', `processMetrics has everyMs = ${everyMs}: it should be 1 or more milliseconds.`, {
      everyMs,
    })
  }
  const samples = new Observable<ProcessSample>((out) => {
    if (typeof workers !== 'function' && workers.length === 0) {
      return processSampler.listen(clock, everyMs, out)
    }
    const named = new NamedWorkers(typeof workers === 'function' ? workers : () => workers)
    return processSampler.listen(clock, everyMs, {
      next: (sample) => out.next({ ...sample, workers: [...sample.workers, ...named.read()] }),
    })
  })
  // A pipeline refuses to let it wait: time goes on.
  return Object.assign(samples, { cannotPause: true })
}
