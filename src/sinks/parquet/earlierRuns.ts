/**
 * Runs that have written to a file which is continued, and how far each has come: kept in its notes, so that a run which is
 * repeated after others have written leaves out what it has written itself.
 */
export interface EarlierRun {
  readonly sink: string
  readonly run: string
  /** Values of the run that are in the file, or were in those before it. */
  readonly to: number
}

/** More are forgotten, those that wrote longest ago first. */
const RUNS_MAX = 100

/** None, where the note is absent or of another form. */
export function earlierRuns(note: string | undefined): EarlierRun[] {
  if (note === undefined) return []
  try {
    const runs: unknown = JSON.parse(note)
    return Array.isArray(runs) ? runs.filter(isEarlierRun).slice(-RUNS_MAX) : []
  } catch {
    return []
  }
}

/** The run as the one that wrote last. */
export function withRun(runs: readonly EarlierRun[], run: EarlierRun): EarlierRun[] {
  const others = runs.filter((each) => each.sink !== run.sink || each.run !== run.run)
  return [...others, run].slice(-RUNS_MAX)
}

export function encodeEarlierRuns(runs: readonly EarlierRun[]): string {
  return JSON.stringify(runs)
}

function isEarlierRun(value: unknown): value is EarlierRun {
  if (typeof value !== 'object' || value === null) return false
  const { sink, run, to } = value as Partial<Record<keyof EarlierRun, unknown>>
  return typeof sink === 'string' && typeof run === 'string' && Number.isSafeInteger(to)
}
