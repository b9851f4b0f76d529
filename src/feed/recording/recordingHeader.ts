/**
 * The first line of a recording (`millrace-recording/1`): what was recorded, where and when.
 *
 * Truth  ../shared/fixtures/recorded/README.md; a recording of several exchanges has the venue `several` and lists them
 *        in `venues`, and each line that no earlier one explains says its own
 */
import { Fault } from '../../model/fault'

export const RECORDING_FORMAT = 'millrace-recording/1'

/** The venue of a recording of more than one exchange. */
export const SEVERAL = 'several'

export interface RecordingHeader {
  /** `rest` for a file of REST answers that belongs to sessions. */
  readonly kind: 'session' | 'rest'
  /** The exchange's id, or `several`. */
  readonly venue: string
  /** The exchanges' ids; one, unless `venue` is `several`. */
  readonly venues: readonly string[]
  readonly protocol: string | undefined
  readonly url: string | undefined
  /** UTC time of the first record, as text. */
  readonly recorded: string | undefined
  readonly source: string | undefined
  /** What the recorder asked for: channel name to instruments, in the recorder's own words. */
  readonly subscribed: Readonly<Record<string, readonly string[]>> | undefined
  /** How many lines follow; undefined where the recorder was killed before it could say. */
  readonly frames: number | undefined
  /** The latest time in it, microseconds since 1970; undefined where the file does not say. */
  readonly lastUs: number | undefined
  /** False while it is being recorded, and for ever when its recorder was killed. */
  readonly ended: boolean
  /** REST files: the names of the sessions they belong to; undefined where the file does not say. */
  readonly forSessions: readonly string[] | undefined
  /** Of a recording that was made from others: how, in millrace's words; undefined of one that was recorded. */
  readonly made: Readonly<Record<string, unknown>> | undefined
  /** True where millrace wrote the file, as the room for totals at the end of its first line tells. */
  readonly isOurs: boolean
}

/**
 * Reads a header.
 *
 * @param text  the first line of the file
 * @throws      `RECORDING_INVALID` when it is not the header of a recording that this version reads
 */
export function parseHeader(text: string, path: string): RecordingHeader {
  const wire = parsed(text)
  if (wire === undefined)
    throw invalid(path, 'does not start with a header line; give a file that `millrace record` wrote')
  const { format } = wire
  if (typeof format !== 'string') {
    throw invalid(
      path,
      `has no "format": "${RECORDING_FORMAT}" in its first line; give a file that \`millrace record\` wrote`,
    )
  }
  if (format !== RECORDING_FORMAT) {
    const shown = JSON.stringify(format.slice(0, 100))
    const version = /^millrace-recording\/(\d{1,9})$/.exec(format)
    throw version === null
      ? invalid(
          path,
          `is of the format ${shown}, which is not a recording; give a file of the format ${RECORDING_FORMAT}`,
          { format },
        )
      : invalid(
          path,
          `is of the format ${shown}, and this millrace reads ${RECORDING_FORMAT}; use the millrace that wrote it, or a newer one`,
          { format },
        )
  }
  const venue = textOf(wire.venue)
  if (venue === undefined || venue === '') {
    throw invalid(path, 'does not say in its first line which exchange it is of; add "venue": "<exchange id>" there')
  }
  const listed = textsOf(wire.venues)
  return {
    kind: wire.kind === 'rest' ? 'rest' : 'session',
    venue,
    venues: listed ?? (venue === SEVERAL ? [] : [venue]),
    protocol: textOf(wire.protocol),
    url: textOf(wire.url),
    recorded: textOf(wire.recorded),
    source: textOf(wire.source),
    frames: Number.isSafeInteger(wire.frames) && (wire.frames as number) >= 0 ? (wire.frames as number) : undefined,
    lastUs: microsecondsOf(wire.last_t),
    subscribed: subscribedOf(wire.subscribed),
    ended: wire.ended !== false,
    forSessions: textsOf(wire.for_sessions),
    made: recordOf(wire.made),
    isOurs: text.endsWith(' '),
  }
}

/** What a recorder knows of its recording when it starts. */
export interface NewHeader {
  readonly kind: 'session' | 'rest'
  readonly venues: readonly string[]
  readonly protocol?: string | undefined
  readonly source?: string | undefined
  readonly url?: string | undefined
  readonly subscribed?: Readonly<Record<string, readonly string[]>> | undefined
  readonly startedUs: number
  readonly forSessions?: readonly string[] | undefined
  readonly made?: Readonly<Record<string, unknown>> | undefined
}

/** What it knows when it ends. */
export interface RecordingTotals {
  readonly frames: number
  readonly counts: ReadonlyMap<string, number>
  readonly firstT: string | undefined
  readonly lastT: string | undefined
}

/**
 * Writes a header with spaces at its end, as room for the totals that are known only when the recording ends: so that a
 * finished recording can have its header rewritten in place with the same length, and a killed one is valid without.
 */
export function headerLine(header: NewHeader, totals?: RecordingTotals): string {
  const { kind, venues, protocol, source, url, subscribed, startedUs, forSessions, made } = header
  const started = {
    format: RECORDING_FORMAT,
    kind: kind === 'rest' ? kind : undefined,
    venue: venues.length === 1 ? venues[0] : SEVERAL,
    venues: venues.length === 1 ? undefined : venues,
    protocol,
    url,
    source,
    recorded: new Date(startedUs / 1_000).toISOString().replace(/\.\d+/, ''),
    for_sessions: forSessions,
    made,
    subscribed,
  }
  const length = JSON.stringify(started).length + TOTALS_ROOM
  const line =
    totals === undefined
      ? JSON.stringify({ ...started, ended: false })
      : JSON.stringify({
          ...started,
          frames: totals.frames,
          counts: Object.fromEntries(totals.counts),
          first_t: totals.firstT,
          last_t: totals.lastT,
        })
  return line.padEnd(length) + '\n'
}

/** Characters, of which some are left as spaces: the six counts with sixteen digits each, two times and their names fit. */
const TOTALS_ROOM = 384

export function invalid(path: string, what: string, details: Record<string, unknown> = {}, cause?: unknown): Fault {
  return new Fault('RECORDING_INVALID', `The recording ${path} ${what}.`, { path, ...details }, { cause })
}

interface WireHeader {
  readonly format?: unknown
  readonly kind?: unknown
  readonly venue?: unknown
  readonly venues?: unknown
  readonly protocol?: unknown
  readonly url?: unknown
  readonly recorded?: unknown
  readonly source?: unknown
  readonly frames?: unknown
  readonly last_t?: unknown
  readonly ended?: unknown
  readonly subscribed?: unknown
  readonly for_sessions?: unknown
  readonly made?: unknown
}

function parsed(text: string): WireHeader | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Of a time in nanoseconds since 1970, as digits. */
function microsecondsOf(t: unknown): number | undefined {
  return typeof t === 'string' && /^\d{4,19}$/.test(t) ? Number(t.slice(0, -3)) : undefined
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
}

function subscribedOf(value: unknown): RecordingHeader['subscribed'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(Object.entries(value).map(([channel, names]) => [channel, textsOf(names) ?? []]))
}
