import type { ProcessCost, ProcessWatch } from '../pipeline/host'

const NOTHING: ProcessCost = { cpuPercent: 0, rssBytes: 0, loopDelayMs: { p50: 0, p99: 0, max: 0 } }

/** Of a run in virtual time: what it costs the process says nothing about the run. */
export const NO_COST: ProcessWatch = { read: () => NOTHING, look: () => NOTHING, stop: () => undefined }
