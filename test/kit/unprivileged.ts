import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** A user who owns nothing. */
const NOBODY = 65_534

/**
 * Does something as a user who may not do everything: root may write anywhere.
 *
 * @param folders  that are to be this user's own, with all that is in them
 */
export async function asUnprivileged<T>(work: () => Promise<T>, ...folders: readonly string[]): Promise<T> {
  const { geteuid, seteuid } = process
  if (geteuid?.() !== 0) return work()
  if (folders.length > 0) await promisify(execFile)('chown', ['-R', String(NOBODY), ...folders])
  seteuid!(NOBODY)
  try {
    return await work()
  } finally {
    seteuid!(0)
  }
}
