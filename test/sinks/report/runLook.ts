import type { RunLook } from '../../../src/sinks/runLook'

/** A run in which nothing has happened, but for what a test says. */
export function runLook(fields: Partial<RunLook> = {}): RunLook {
  return {
    pipeline: 'test',
    mode: 'simulate',
    seconds: 1,
    records: 0,
    events: 0,
    rows: new Map(),
    edges: [],
    sinks: [],
    stages: [],
    connections: [],
    faults: {},
    latestFaults: [],
    receiveToSink: { count: 0, p50: 0, p99: 0, max: 0, buckets: [] },
    held: { times: 0, seconds: 0 },
    ...fields,
  }
}
