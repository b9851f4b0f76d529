/**
 * What the commands of `millrace recording` have in common: long work that tells how far it is and can be interrupted.
 */
import { EXIT, say, UsageError, type OptionSpec } from '../../command'
import { onInterrupt } from '../../onInterrupt'
import { progressLine, type ProgressLine } from '../../progressLine'

export const OUT = {
  value: 'FILE',
  meaning: 'where to write; gzip when its name ends in .gz',
} as const satisfies OptionSpec
export const FORCE = { meaning: 'replace what is there already' } as const satisfies OptionSpec

/** The word of an option that must be there. */
export function required(value: string | undefined, what: string): string {
  if (value === undefined || value === '') throw new UsageError(`Say ${what}.`)
  return value
}

/**
 * Does long work, with a line that tells how far it is where somebody watches. Interrupted, it ends in order, says so, and
 * nothing is left of what it was writing.
 *
 * @param work  resolves with the exit status; rejects with the signal's reason when that was why it ended
 */
export async function longWork(
  work: (signal: AbortSignal, progress: ProgressLine) => Promise<number>,
): Promise<number> {
  const interrupted = new AbortController()
  const release = onInterrupt(
    () => interrupted.abort(),
    () => say('Stopping. Once more to stop at once.'),
  )
  const progress = progressLine({ unit: 'records' })
  try {
    return await work(interrupted.signal, progress)
  } catch (thrown) {
    if (!interrupted.signal.aborted || thrown !== interrupted.signal.reason) throw thrown
    progress.end()
    say('Stopped before the end: nothing was written.')
    return EXIT.faults
  } finally {
    progress.end()
    release()
  }
}

/** A time of nanoseconds since 1970, for people. */
export function timeOfDigits(t: string | null): string {
  if (t === null) return '-'
  const us = Number(t.padStart(4, '0').slice(0, -3))
  const seconds = new Date(Math.floor(us / 1_000_000) * 1_000).toISOString().slice(0, 19)
  return `${seconds}.${String(us % 1_000_000).padStart(6, '0')}Z`
}
