import type { RunPhase, RunStatus } from '../../src/pipeline/runSummary'
import { noLatencies } from '../../src/pipeline/watching'
import type { MetricFamily } from '../../src/metrics/metric'
import type { ServedRun } from '../../src/dashboard/servedRun'
import type { RunHealth } from '../../src/pipeline/runHealth'

/** A run that says what a test wants. */
export class FakeRun implements ServedRun {
  phase: RunPhase = 'running'
  connections: RunStatus['connections'] = []
  families: readonly MetricFamily[] = []
  state: RunHealth = { timeUs: 0, level: 'healthy', reasons: [], checks: [], reactions: [] }
  /** How often the metrics were read. */
  reads = 0
  settle!: { resolve: () => void; reject: (error: Error) => void }
  readonly ready = new Promise<void>((resolve, reject) => (this.settle = { resolve, reject }))

  constructor() {
    this.ready.catch(() => undefined)
  }

  metrics(): readonly MetricFamily[] {
    this.reads++
    return this.families
  }

  health(): RunHealth {
    return this.state
  }

  status(): RunStatus {
    return {
      phase: this.phase,
      pipeline: 'test',
      mode: 'simulate',
      seconds: 0,
      records: 0,
      events: 0,
      streamTimeUs: undefined,
      rows: new Map(),
      edges: [],
      sinks: [],
      stages: [],
      streams: [],
      latencyUs: noLatencies(),
      faults: {},
      progress: undefined,
      latestFaults: [],
      receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
      connections: this.connections,
      tree: { kind: 'run', name: 'test', state: 'running', restarts: 0, children: [] } as unknown as RunStatus['tree'],
      quarantine: undefined,
      held: { times: 0, seconds: 0 },
    }
  }
}

/** So many series of one gauge. */
export function gauge(name: string, many: number, value = 1): MetricFamily {
  const samples = Array.from({ length: many }, (_, index) => ({ labels: { symbol: `S${index}` }, value }))
  return { name, kind: 'gauge', unit: 'values', meaning: 'Meaning.', samples }
}
