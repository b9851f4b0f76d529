/**
 * What killed runs have left out of sight in a folder of a data set: the twins and rows of files that nobody goes on with.
 *
 * Whether another writer is alive is not to be known, so what is removed is only what it could do without: a twin is made anew
 * when it is missing, and rows are out of sight for a moment only, not for an hour. Ages are compared with the file that was just
 * written there, by the clock that the file system has.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import path from 'node:path'

const STRAY = /^\.part-.+\.parquet\.(?:a|b|rows)$/
const STRAY_AGE_MS = 3_600_000

/** @param written  a file of the folder that was written a moment ago; what belongs to it stays */
export async function removeStrays(written: string): Promise<void> {
  const folder = path.dirname(written)
  const own = `.${path.basename(written)}.`
  const strays = (await readdir(folder)).filter((name) => STRAY.test(name) && !name.startsWith(own))
  if (strays.length === 0) return
  const { mtimeMs } = await stat(written)
  for (const stray of strays) {
    const location = path.join(folder, stray)
    const found = await stat(location).catch(() => undefined)
    if (found !== undefined && found.mtimeMs < mtimeMs - STRAY_AGE_MS) await rm(location, { force: true })
  }
}
