/**
 * The thread that asks pidusage, so that the loop that carries data need not: pidusage's first call starts another
 * program and blocks its loop for 14 to 147 ms.
 *
 * Answers each request for this process with what it has used so far. The percentages are made by whoever asks, from two
 * answers: pidusage's own percentage is since its last call, whoever made that.
 */
import { parentPort } from 'node:worker_threads'
import pidusage from 'pidusage'
import { messageOf } from '../model/fault'

export interface UsageRequest {
  readonly id: number
}

export interface UsageAnswer {
  readonly id: number
  /** CPU time of the process since its start, user and system, in milliseconds. */
  readonly cpuTimeMs?: number
  /** When it was read, in milliseconds since 1970. */
  readonly readAtMs?: number
  readonly rssBytes?: number
  /** Why there is no answer. */
  readonly problem?: string
}

// What it would complain about on standard error (no /proc, no getconf) shows as missing values.
process.env['PIDUSAGE_SILENT'] = 'true'

parentPort?.on('message', ({ id }: UsageRequest) => {
  pidusage(process.pid).then(
    ({ ctime, timestamp, memory }) => answer({ id, cpuTimeMs: ctime, readAtMs: timestamp, rssBytes: memory }),
    (cause: unknown) => answer({ id, problem: messageOf(cause) }),
  )
})

function answer(message: UsageAnswer): void {
  parentPort?.postMessage(message)
}
