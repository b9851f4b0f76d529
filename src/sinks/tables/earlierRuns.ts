/**
 * Runs that have written to a file which is continued, and how far each has come: kept in its notes, so that a run which is
 * repeated after others have written leaves out what it has written itself. Runs without a name are not repeated, and are not
 * remembered once another writes.
 */

export interface WrittenRun {
  readonly sink: string
  readonly run: string
  /** Values of the run that are in the file, or were in those before it. */
  readonly to: number
}

/** What notes call the run that wrote last, and those before it. */
export const RUN_NOTE = {
  sink: 'millrace.sink',
  run: 'millrace.run',
  to: 'millrace.to',
  isNamed: 'millrace.named',
  earlier: 'millrace.earlier',
} as const

/** More are forgotten, those that wrote longest ago first. */
const RUNS_MAX = 100

/** How far a run has come in a file, also where others have written to it since; undefined where it has not written. */
export function reachedIn(notes: ReadonlyMap<string, string>, sink: string, run: string): number | undefined {
  return runsIn(notes).find((each) => each.sink === sink && each.run === run)?.to
}

/**
 * The same for a run that opens the file; undefined where it begins with its first value.
 *
 * @param mayGoOn      false of a run that nobody can repeat
 * @param isContinued  the file is added to, whoever wrote it: one that each run replaces knows only of the latest
 */
export function reachedAtOpening(
  notes: ReadonlyMap<string, string>,
  { sink, run }: Pick<WrittenRun, 'sink' | 'run'>,
  { mayGoOn, isContinued }: { readonly mayGoOn: boolean; readonly isContinued: boolean },
): number | undefined {
  const isLatest = notes.get(RUN_NOTE.run) === run && notes.get(RUN_NOTE.sink) === sink
  return mayGoOn && (isContinued || isLatest) ? reachedIn(notes, sink, run) : undefined
}

/** The notes of a file after a run has written: with the other runs that those of before know of. */
export function runNotes(
  { sink, run, to }: WrittenRun,
  isNamed: boolean,
  before: ReadonlyMap<string, string>,
): [string, string][] {
  const others = runsIn(before).filter((each) => each.sink !== sink || each.run !== run)
  const named = others.filter((each) => each.run !== before.get(RUN_NOTE.run) || before.has(RUN_NOTE.isNamed))
  return [
    [RUN_NOTE.sink, sink],
    [RUN_NOTE.run, run],
    [RUN_NOTE.to, String(to)],
    ...(isNamed ? ([[RUN_NOTE.isNamed, 'true']] as [string, string][]) : []),
    ...(named.length > 0 ? ([[RUN_NOTE.earlier, JSON.stringify(named.slice(-RUNS_MAX))]] as [string, string][]) : []),
  ]
}

/** The one that wrote last is the last. */
function runsIn(notes: ReadonlyMap<string, string>): WrittenRun[] {
  const sink = notes.get(RUN_NOTE.sink)
  const run = notes.get(RUN_NOTE.run)
  const earlier = earlierIn(notes.get(RUN_NOTE.earlier))
  if (sink === undefined || run === undefined) return earlier
  return [...earlier, { sink, run, to: Number(notes.get(RUN_NOTE.to)) }]
}

function earlierIn(note: string | undefined): WrittenRun[] {
  if (note === undefined) return []
  try {
    const runs: unknown = JSON.parse(note)
    return Array.isArray(runs) ? runs.filter(isWrittenRun).slice(-RUNS_MAX) : []
  } catch {
    return []
  }
}

function isWrittenRun(value: unknown): value is WrittenRun {
  if (typeof value !== 'object' || value === null) return false
  const { sink, run, to } = value as Partial<Record<keyof WrittenRun, unknown>>
  return typeof sink === 'string' && typeof run === 'string' && Number.isSafeInteger(to)
}
