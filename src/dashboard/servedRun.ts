/**
 * What a server asks of a run.
 */
import type { RunHandle } from '../pipeline/pipeline'

export type ServedRun = Pick<RunHandle, 'ready' | 'status' | 'health' | 'metrics'>
