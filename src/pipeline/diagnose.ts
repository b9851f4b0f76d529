import { createRequire } from 'node:module'
import type { Diagnosis, DiagnoseOptions } from './diagnosis/examine'
import type * as diagnosis from './diagnosis/examine'
import type { Pipeline } from './pipeline'

const load = createRequire(__filename)

/**
 * Runs a pipeline for a while under observation, and says what holds it up: what blocked the event loop and at which line, what
 * awaited its values one after another, which edge was full, what was allocated, and what to do about each.
 *
 *     const { ok, findings } = await diagnose(pipeline, { seconds: 20 })
 *
 * The run is an ordinary one, a little dearer: its sinks write what they would. In a pipeline that is well nothing is found.
 * What looks is loaded with the first call.
 *
 * @throws `Fault` PIPELINE_INVALID, OPTION_INVALID, RECORDING_INVALID as a run does; WORKER_DIED when the observing thread cannot
 *         be had
 */
export function diagnose(pipeline: Pipeline, options: DiagnoseOptions = {}): Promise<Diagnosis> {
  return (load('./diagnosis/examine') as typeof diagnosis).examine(pipeline, options)
}
