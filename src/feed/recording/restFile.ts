/**
 * Where a session's REST answers are: in a file beside it whose name follows from its own.
 *
 *     x.ndjson.gz                          x.rest.ndjson.gz
 *     <venue>.<label>.first60.ndjson.gz    <venue>.<label>.rest.ndjson.gz   (a part has the answers of the whole)
 *     <venue>.ws50.first60.ndjson.gz       <venue>.rest.ndjson.gz           (one for all `<venue>.ws*` sessions)
 *
 * The last serves a session of another label only if its header lists that session: a venue's answers of one day would
 * make the books of another day wrong.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { readHeader } from './recordingReader'

/** The REST file that belongs to a session; undefined when there is none, or when `file` is one itself. */
export async function restFileOf(file: string): Promise<string | undefined> {
  if (isRestPath(file)) return undefined
  const { folder, stem, ending } = split(file)
  const whole = withoutPart(stem)
  const endings = [...new Set([ending, '.ndjson.gz', '.ndjson'])]
  const find = async (name: string): Promise<string | undefined> => {
    for (const other of endings) {
      const candidate = path.join(folder, `${name}.rest${other}`)
      if (await isFile(candidate)) return candidate
    }
    return undefined
  }

  const own = (await find(stem)) ?? (await find(whole))
  if (own !== undefined) return own
  const dot = whole.indexOf('.')
  if (dot <= 0) return undefined
  const ofVenue = await find(whole.slice(0, dot))
  if (ofVenue === undefined) return undefined
  if (whole.startsWith('ws', dot + 1)) return ofVenue
  return (await lists(ofVenue, whole)) ? ofVenue : undefined
}

/** The REST file that a recorder writes beside `file`. */
export function restPathOf(file: string): string {
  const { folder, stem, ending } = split(file)
  return path.join(folder, `${stem}.rest${ending}`)
}

/** True for names of REST files. */
export function isRestPath(file: string): boolean {
  return split(file).stem.endsWith('.rest')
}

/** The name of a session, as the headers of REST files list it. */
export function sessionName(file: string): string {
  return split(file).stem
}

function split(file: string): { folder: string; stem: string; ending: string } {
  const name = path.basename(file)
  const ending = /(?:\.ndjson|\.jsonl)?(?:\.gz)?$/i.exec(name)?.[0] ?? ''
  return { folder: path.dirname(file), stem: name.slice(0, name.length - ending.length), ending }
}

/** `.first60` and `.rest40` say which part of a session the file holds. */
function withoutPart(stem: string): string {
  return stem.replace(/\.(?:first|rest)\d{1,3}$/, '')
}

async function lists(restFile: string, session: string): Promise<boolean> {
  try {
    const { forSessions } = await readHeader(restFile)
    return forSessions?.some((name) => withoutPart(name) === session) ?? false
  } catch {
    return false // not a REST file that can be read, so not one that speaks for this session
  }
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}
