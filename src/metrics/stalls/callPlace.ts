/**
 * Where the user's code is at this moment: the innermost line on the stack that is neither Node's, nor a package's, nor ours,
 * up to the innermost stage. For development: a look costs some ten microseconds.
 */
import path from 'node:path'
import { isUsers } from './profile'
import { digitOf } from './stageDigits'
import type { RunningPlace } from './sourceLines'

/** Folders whose code is ours: that of the sources, or of what was compiled from them. */
export const OWN_FOLDERS: readonly string[] = [path.resolve(__dirname, '../..') + path.sep]

/** Frames that are looked at, from the innermost. */
const FRAMES_MAX = 64

/** @returns  undefined where none of the user's code is on the stack */
export function userPlace(): RunningPlace | undefined {
  const { stackTraceLimit } = Error
  const prepare: unknown = Reflect.get(Error, 'prepareStackTrace')
  const holder: { stack?: unknown } = {}
  try {
    Error.stackTraceLimit = FRAMES_MAX
    Error.prepareStackTrace = (_, sites) => sites
    Error.captureStackTrace(holder, userPlace)
    const sites = holder.stack
    if (!Array.isArray(sites)) return undefined
    for (const site of sites as NodeJS.CallSite[]) {
      // What called the stage is not the stage's.
      if (digitOf(site.getFunctionName() ?? '') !== undefined) return undefined
      const url = site.getFileName()
      const line = site.getLineNumber()
      if (typeof url !== 'string' || line === null || !isUsers(url, OWN_FOLDERS)) continue
      return { url, line, column: site.getColumnNumber() ?? undefined }
    }
    return undefined
  } finally {
    Reflect.set(Error, 'prepareStackTrace', prepare)
    Error.stackTraceLimit = stackTraceLimit
  }
}
