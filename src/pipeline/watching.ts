/**
 * How a run is watched: what marks and times its stages, what follows its frames to the sinks, and where all that it counts
 * is read.
 *
 * Counters cost an addition each and are always there. What costs more (marks, times, frames that are followed) can be left
 * out, which is for measuring what it costs.
 */
import type { Fault } from '../model/fault'
import type { MetricsInForce } from '../metrics/currentMetrics'
import type { LatencyBucket, LatencySummary } from '../metrics/histogram'
import { LATENCY_PARTS, LatencyBudget, type LatencyPart } from '../metrics/latencyBudget'
import type { MetricFamily } from '../metrics/metric'
import { MetricRegistry } from '../metrics/registry'
import { StageTimes } from '../metrics/stageTimes'
import { UserMetrics } from '../metrics/userMetrics'
import type { Host } from './host'

export interface WatchingOptions {
  /** False: stages are neither marked nor timed, and no frame is followed. */
  readonly isOn: boolean
  readonly isReplay: boolean
  readonly host: Pick<Host, 'clock' | 'steadyUs'>
  /** What the pipeline counts of its own, defined while it was described. */
  readonly own: UserMetrics | undefined
  readonly onFault: (fault: Fault) => void
}

export class Watching {
  readonly times: StageTimes | undefined
  /** Undefined on a replay: when its frames were received says nothing about this machine. */
  readonly latency: LatencyBudget | undefined
  readonly registry: MetricRegistry
  private readonly own: UserMetrics

  constructor({ isOn, isReplay, host, own = new UserMetrics(), onFault }: WatchingOptions) {
    const nowUs = (): number => host.clock.nowUs()
    this.times = isOn ? new StageTimes(host.steadyUs ?? nowUs) : undefined
    this.latency = isOn && !isReplay ? new LatencyBudget(nowUs) : undefined
    this.own = own
    this.own.listen(onFault)
    this.registry = new MetricRegistry(own, onFault)
  }

  /** Everything as it stands now. */
  read(): readonly MetricFamily[] {
    return this.registry.read()
  }

  /** For whoever is being wired: where its own metrics are defined, and the run's are read. */
  inForce(owner: string): MetricsInForce {
    return {
      metrics: this.own,
      owner,
      refused: (fault) => {
        throw fault
      },
      read: () => this.read(),
    }
  }

  /** With how they are spread. */
  receiveToSink(): LatencySummary & { readonly buckets: readonly LatencyBucket[] } {
    const latencies = this.latency?.parts.receiveToSink
    return { ...(latencies?.summary() ?? NOTHING), buckets: latencies?.buckets() ?? [] }
  }

  latencies(): Readonly<Record<LatencyPart, LatencySummary>> {
    return latenciesOf((part) => this.latency?.parts[part].summary())
  }
}

/** Of a run that has not begun. */
export function noLatencies(): Readonly<Record<LatencyPart, LatencySummary>> {
  return latenciesOf(() => undefined)
}

function latenciesOf(of: (part: LatencyPart) => LatencySummary | undefined): Record<LatencyPart, LatencySummary> {
  const all = LATENCY_PARTS.map((part) => [part, of(part) ?? NOTHING])
  return Object.fromEntries(all) as Record<LatencyPart, LatencySummary>
}

const NOTHING: LatencySummary = { count: 0, p50: 0, p99: 0, max: 0 }
