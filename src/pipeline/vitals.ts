/**
 * What is looked at in every run to say whether it is well: the checks that nobody has to write.
 *
 * Each asks for what the run counts anyway. What has happened counts for a minute; what is, counts when it lasts. So a
 * reconnect or a gap that is repaired within seconds makes no run unwell, and one that comes again and again does.
 */
import type { HealthAnswer, HealthCheck } from '../metrics/health'
import type { SinkLook } from '../sinks/runLook'
import type { ConnectionView } from './market'
import type { InstrumentRow } from './monitor'
import type { EdgeReport } from './stageGraph'
import type { StageReport } from './stageRunner'

/** How a run fares, as far as it counts. */
export interface Vitals {
  readonly nowUs: number
  readonly startedUs: number
  readonly connections: readonly ConnectionView[]
  /** False for an exchange that the run may be ready without. */
  readonly isRequired: (exchange: string) => boolean
  /** For how long something required has not come, milliseconds; 0 once everything has. */
  readonly unreadyMs: number
  readonly rows: Iterable<InstrumentRow>
  readonly edges: readonly EdgeReport[]
  readonly sinks: readonly SinkLook[]
  readonly stages: readonly StageReport[]
  /** Messages that stages have failed on, since the start. */
  readonly quarantined: number
  /** Of the event loop, the 99th percentile since the last look, milliseconds. */
  readonly loopDelayMs: number
  /** Of what the process may take: the heap of its limit or its memory of the machine's, whichever is fuller. */
  readonly memoryPercent: number
}

export const BUILT_IN_CHECKS = [
  'feeds',
  'optional feeds',
  'readiness',
  'books',
  'loop delay',
  'edges',
  'sinks',
  'memory',
  'stages',
  'quarantine',
] as const

export type BuiltInCheck = (typeof BUILT_IN_CHECKS)[number]

/** What may be chosen of a check that is built in. */
export type CheckLimits = Partial<
  Pick<HealthCheck, 'degradedAbove' | 'unhealthyAbove' | 'hysteresis' | 'worseAfterMs' | 'betterAfterMs' | 'severity'>
>

/** For so long, what has happened counts. */
const RECENT_MS = 60_000

/**
 * The limits where nothing else is chosen, and the unit of what they are held against.
 *
 * feeds           ms for which the required connection that fares worst has not been open; one that is given up is unhealthy
 * optional feeds  the same of exchanges that nobody requires, never worse than degraded
 * readiness       ms for which something required has not come since the start
 * books           percent of the books that are in doubt
 * loop delay      ms, the 99th percentile since the last look
 * edges           percent of its capacity that waits on the fullest edge which may not merge
 * sinks           attempts to write again within the last minute; a batch that was given up in it is unhealthy
 * memory          percent of what the process may take
 * stages          restarts within the last minute; a stage that was stopped is unhealthy
 * quarantine      messages that stages failed on within the last minute
 */
export const LIMITS: Readonly<Record<BuiltInCheck, CheckLimits & { readonly unit: string }>> = {
  feeds: { degradedAbove: 10_000, unhealthyAbove: 60_000, betterAfterMs: 5_000, unit: 'ms' },
  'optional feeds': { degradedAbove: 60_000, betterAfterMs: 5_000, severity: 'degraded', unit: 'ms' },
  readiness: { degradedAbove: 30_000, unhealthyAbove: 300_000, unit: 'ms' },
  books: { degradedAbove: 0, unhealthyAbove: 50, worseAfterMs: 5_000, betterAfterMs: 5_000, unit: '%' },
  'loop delay': {
    degradedAbove: 100,
    unhealthyAbove: 1_000,
    hysteresis: 50,
    worseAfterMs: 3_000,
    betterAfterMs: 10_000,
    unit: 'ms',
  },
  edges: {
    degradedAbove: 80,
    unhealthyAbove: 99,
    hysteresis: 20,
    worseAfterMs: 5_000,
    betterAfterMs: 5_000,
    unit: '%',
  },
  sinks: { degradedAbove: 0, unit: 'retries' },
  memory: { degradedAbove: 80, unhealthyAbove: 92, hysteresis: 5, worseAfterMs: 5_000, unit: '%' },
  stages: { degradedAbove: 0, unhealthyAbove: 5, unit: 'restarts' },
  quarantine: { degradedAbove: 0, severity: 'degraded', unit: 'messages' },
}

/** Built-in checks answer at once: their deadline is never met. */
const DEADLINE_MS = 1_000

/** @param look  the vitals of this round; called by each check */
export function builtInChecks(
  look: () => Vitals,
  chosen: Partial<Record<BuiltInCheck, CheckLimits | false>> = {},
): HealthCheck[] {
  const asks = asksOf(look)
  return BUILT_IN_CHECKS.flatMap((name) => {
    const limits = chosen[name]
    if (limits === false) return []
    return [{ ...LIMITS[name], ...limits, name, check: asks[name], deadlineMs: DEADLINE_MS }]
  })
}

function asksOf(look: () => Vitals): Record<BuiltInCheck, () => HealthAnswer> {
  const retries = new Recently()
  const givenUp = new Recently()
  const restarts = new Recently()
  const quarantined = new Recently()
  const down = new Downtimes()
  const downOptional = new Downtimes()
  return {
    feeds: () => feedsOf(look(), down, true),
    'optional feeds': () => feedsOf(look(), downOptional, false),
    readiness() {
      const { unreadyMs } = look()
      return {
        value: unreadyMs,
        because: `Not all that is required has come yet, ${seconds(unreadyMs)} s after the start: look at the connections.`,
      }
    },
    books() {
      let books = 0
      const doubtful: string[] = []
      for (const { exchange, name, state } of look().rows) {
        if (state === 'waiting') continue
        books++
        if (state !== 'live') doubtful.push(`${name} on ${exchange}`)
      }
      return {
        value: books === 0 ? 0 : percent(doubtful.length / books),
        because: `The ${doubtful.length === 1 ? 'book' : 'books'} of ${listed(doubtful)} cannot be vouched for: a gap or a reconnect is being repaired.`,
      }
    },
    'loop delay'() {
      const { loopDelayMs } = look()
      return {
        value: loopDelayMs,
        because: `The event loop keeps what is due waiting for ${loopDelayMs} ms (99th percentile): something blocks it.`,
      }
    },
    edges() {
      let fullest: EdgeReport | undefined
      for (const edge of look().edges) {
        if (fills(edge) && (fullest === undefined || fill(edge) > fill(fullest))) fullest = edge
      }
      if (fullest === undefined) return 0
      const { from, to, inFlight, capacity } = fullest
      return {
        value: percent(fill(fullest)),
        because: `The edge from ${from} to ${to} is ${percent(fill(fullest))} % full: ${inFlight} values wait, its capacity is ${capacity}.`,
      }
    },
    sinks() {
      const vitals = look()
      const { sinks } = vitals
      const failed = givenUp.grown(sum(sinks, 'failed'), vitals)
      const again = retries.grown(sum(sinks, 'retries'), vitals)
      const names = listed(sinks.filter((sink) => sink.failed + sink.retries > 0).map(({ name }) => name))
      if (failed > 0) {
        return { value: false, because: `${counted(failed, 'batch', 'batches')} of ${names} ${was(failed)} given up.` }
      }
      return {
        value: again,
        because: `Batches of ${names} had to be offered again ${counted(again, 'time', 'times')} within a minute: the destination refuses or is gone.`,
      }
    },
    memory() {
      const { memoryPercent } = look()
      return { value: memoryPercent, because: `${memoryPercent} % of the memory that the process may take is taken.` }
    },
    stages() {
      const vitals = look()
      const { stages } = vitals
      const times = restarts.grown(sum(stages, 'restarts'), vitals)
      const stopped = stages.filter(({ state }) => state === 'stopped')
      if (stopped.length > 0) {
        const [first] = stopped
        const cause = first!.lastFault === undefined ? '' : ` ${first!.lastFault}`
        return { value: false, because: `${listed(stopped.map(({ path }) => path))} ${are(stopped)} stopped.${cause}` }
      }
      const last = stages.filter((stage) => stage.restarts > 0).map(({ path }) => path)
      return {
        value: times,
        because: `${listed(last)} had to be restarted ${counted(times, 'time', 'times')} within a minute.`,
      }
    },
    quarantine() {
      const vitals = look()
      const messages = quarantined.grown(vitals.quarantined, vitals)
      return {
        value: messages,
        because: `Stages failed on ${counted(messages, 'message', 'messages')} within a minute: see \`millrace quarantine\`.`,
      }
    },
  }
}

function feedsOf({ connections, isRequired, nowUs }: Vitals, down: Downtimes, required: boolean): HealthAnswer {
  const meant = connections.filter(({ exchange }) => exchange === '' || isRequired(exchange) === required)
  const failed = meant.find(({ state }) => state === 'failed')
  if (failed !== undefined) {
    return {
      value: false,
      because: `${failed.exchange} (${failed.url}) is given up: ${failed.trouble ?? 'no reason is known'}.`,
    }
  }
  const worst = down.longest(meant, nowUs)
  if (worst === undefined) return 0
  const { connection, downMs } = worst
  const trouble = connection.trouble === undefined ? '' : ` The last trouble: ${connection.trouble}`
  return {
    value: downMs,
    because: `${connection.exchange} (${connection.url}) has not been connected for ${seconds(downMs)} s.${trouble}`,
  }
}

/** Since when connections have not been open: their own state begins anew with each attempt. */
class Downtimes {
  private since = new Map<string, number>()

  longest(
    connections: readonly ConnectionView[],
    nowUs: number,
  ): { readonly connection: ConnectionView; readonly downMs: number } | undefined {
    const since = new Map<string, number>()
    let worst: { connection: ConnectionView; downMs: number } | undefined
    for (const [index, connection] of connections.entries()) {
      if (connection.state !== 'waiting' && connection.state !== 'connecting') continue
      const key = `${index} ${connection.url}`
      const sinceUs = this.since.get(key) ?? connection.sinceUs ?? nowUs
      since.set(key, sinceUs)
      const downMs = Math.round((nowUs - sinceUs) / 1_000)
      if (worst === undefined || downMs > worst.downMs) worst = { connection, downMs }
    }
    this.since = since
    return worst
  }
}

/** By how much a count has grown within the last minute, or since the start. */
class Recently {
  /** Oldest first; the first is what is compared with. */
  private readonly marks: { readonly timeUs: number; readonly count: number }[] = []

  grown(count: number, { nowUs, startedUs }: Pick<Vitals, 'nowUs' | 'startedUs'>): number {
    const { marks } = this
    const minuteAgoUs = nowUs - RECENT_MS * 1_000
    // Of a run that was not looked at for its first minute, what it had counted by then is no news.
    if (marks.length === 0)
      marks.push(startedUs > minuteAgoUs ? { timeUs: startedUs, count: 0 } : { timeUs: nowUs, count })
    // One mark a second at most, however often somebody looks.
    if (nowUs - marks.at(-1)!.timeUs >= 1_000_000) marks.push({ timeUs: nowUs, count })
    while (marks.length > 1 && marks[1]!.timeUs <= minuteAgoUs) marks.shift()
    return Math.max(0, count - marks[0]!.count)
  }
}

/** Edges on which something may wait that is not merged: the others are full as a matter of course. */
function fills({ kind, onFull }: EdgeReport): boolean {
  return kind !== 'inline' && onFull !== 'keepLatest' && onFull !== 'conflate'
}

function fill({ inFlight, capacity }: EdgeReport): number {
  return capacity > 0 ? Math.min(1, inFlight / capacity) : 0
}

function sum<K extends string>(all: readonly Readonly<Record<K, number>>[], count: K): number {
  return all.reduce((total, each) => total + each[count], 0)
}

function percent(share: number): number {
  return Math.round(share * 1_000) / 10
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000)
}

function counted(number: number, one: string, several: string): string {
  return `${number} ${number === 1 ? one : several}`
}

function was(number: number): string {
  return number === 1 ? 'was' : 'were'
}

function are(all: readonly unknown[]): string {
  return all.length === 1 ? 'is' : 'are'
}

/** The first few names, and how many more there are. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3)
  return names.length > shown.length ? `${shown.join(', ')} and ${names.length - shown.length} more` : shown.join(', ')
}
