/**
 * What a diagnosis makes of what it has seen: findings in sentences, each with its stage, its line and what to do.
 *
 * The thresholds are chosen so that a healthy pipeline is silent, also while everything is still being compiled, while garbage
 * is collected and while the machine is busy with other things; see the constants.
 */
import type { FoundSpot, LinesFound } from '../../metrics/stalls/lineDetective'
import type { SourceLine } from '../../metrics/stalls/sourceLines'
import type { Stall } from '../../metrics/stalls/stall'
import type { RunMode } from '../runSummary'
import { adviceFor, kindOf, type BlockingKind } from './advice'

export type FindingKind =
  /** The loop stood still, or was kept busy, by a call that does not return before its work is done. */
  | 'blocked'
  /** Values wait inside a stage for those before them. */
  | 'waits'
  /** An edge is full. */
  | 'edge'
  /** Collections of garbage take much of the time. */
  | 'garbage'

/** Something to be mended. `check`, `state`, `found` and `advice` are those of every finding of the doctor's. */
export interface PipelineFinding {
  readonly check: FindingKind
  readonly state: 'wrong'
  /** What was seen, in a sentence. */
  readonly found: string
  /** What to do. */
  readonly advice: string
  /** The path of the stage, sink or source; absent where none was at work. */
  readonly stage?: string
  /** Where, in the file that was written; absent where no line of the user's is to blame. */
  readonly file?: string
  readonly line?: number
  readonly text?: string
  /** What was blocking, by its sort. */
  readonly kind?: BlockingKind
  /** Milliseconds that it took in all, and the longest time that the loop stood still for it. */
  readonly totalMs?: number
  readonly longestMs?: number
}

export interface ObservedStage {
  readonly number: number
  readonly path: string
  readonly kind: 'source' | 'stage' | 'sink'
  readonly place: SourceLine | undefined
  readonly received: number
  /** Of these, those of which it can be known whether they are still held. */
  readonly objects: number
  /** Values that it holds. */
  readonly held: number
  /** What was begun in its name and may be waited for. */
  readonly begun: number
  readonly waits: readonly ObservedWait[]
}

export interface ObservedWait {
  readonly place: SourceLine | undefined
  readonly times: number
  readonly ms: number
  readonly promised: number
}

export interface ObservedEdge {
  readonly from: string
  /** The path of what it leads to. */
  readonly to: string
  readonly capacity: number
  readonly onFull: string
  /** How often it was looked at, and how often it was full then. */
  readonly looks: number
  readonly full: number
  readonly in: number
  /** Values that were given up because it was full. */
  readonly overflowed: number
  readonly highWater: number
}

export interface Evidence {
  readonly mode: RunMode
  /** From the first record on. */
  readonly seconds: number
  readonly stages: readonly ObservedStage[]
  readonly edges: readonly ObservedEdge[]
  /** Those that have been judged; those of the first seconds, while everything is compiled, are `early`. */
  readonly stalls: readonly (Stall & { readonly early: boolean })[]
  readonly lines: LinesFound
  /** Share of the time in which the loop was busy, 0 to 1. */
  readonly loopUtilization: number
  /** Seconds for which the sources were held back. */
  readonly heldBackSeconds: number
}

/** Known blocking calls: found wherever they were met again and again, however little each takes. */
const CALLS_MS_MIN = 4
const CALLS_SLICES_MIN = 4
/** Sorting on the loop: found wherever it is done all the time and takes more than a trifle. */
const SORT_SHARE = 0.005
const SORT_MS_MIN = 20
const SORT_SLICES_MIN = 8
/** Share of the time that a line may take, live; a replay goes as fast as it can, and something has to be the slowest. */
const LINE_SHARE = { live: 0.2, simulate: 0.2, replay: 0.6 } as const
/** What of a stall's own time has to be spent at a line for the stall to be its doing. */
const STALL_SHARE = 0.4
/** An early stall counts when it lasts this long by its own doing. */
const EARLY_STALL_MS = 600
/** Values, and their share of all that came, that wait in a stage for those before them. */
const WAITING_MIN = 20
const WAITING_SHARE = 0.4
const WAKES_MIN = 3
/** Share of looks at which an edge was full, and of values that were given up. */
const FULL_SHARE = 0.25
const OVERFLOW_SHARE = 0.01
const FULL_LOOKS_MIN = 4
/** Share of the time that collections of garbage may take. */
const GC_SHARE = 0.2
const GC_MS_MIN = 300

/** What is wrong; the worst first. */
export function findingsOf(evidence: Evidence): PipelineFinding[] {
  const blocked = blockedLines(evidence)
  const waiting = evidence.stages.flatMap((stage) => waitingIn(stage, evidence))
  return [...blocked, ...waiting, ...fullEdges(evidence, blocked, waiting), ...garbage(evidence)]
}

/** Time at one line of the user's, in one stage, whatever it had called. */
interface LineTime {
  readonly stage: ObservedStage | undefined
  readonly place: SourceLine
  readonly callees: Map<string, number>
  ms: number
  slices: number
  readonly stalls: Map<number, number>
}

function blockedLines(evidence: Evidence): PipelineFinding[] {
  const judged = new Map(evidence.stalls.map((stall) => [stall.startedUs, stall]))
  return linesOf(evidence)
    .flatMap((line) => {
      const callee = [...line.callees].toSorted((a, b) => b[1] - a[1])[0]?.[0]
      const kind = kindOf(callee, line.place.text)
      const stood = [...line.stalls].flatMap(([startedUs, ms]) => {
        const stall = judged.get(startedUs)
        if (stall?.cause !== 'code' || ms < stall.ownMs * STALL_SHARE) return []
        return stall.early && stall.ownMs < EARLY_STALL_MS ? [] : [stall]
      })
      if (stood.length === 0 && !takesTooMuch(line, kind, evidence)) return []
      return [blockedBy(line, kind, callee, stood, evidence)]
    })
    .toSorted((a, b) => (b.totalMs ?? 0) - (a.totalMs ?? 0))
}

function takesTooMuch({ ms, slices }: LineTime, kind: BlockingKind, { mode, lines }: Evidence): boolean {
  if (slices < CALLS_SLICES_MIN) return false
  const share = lines.sampledMs > 0 ? ms / lines.sampledMs : 0
  if (kind === 'computing' || kind === 'json') return share >= LINE_SHARE[mode]
  if (kind === 'sort') return share >= SORT_SHARE && ms >= SORT_MS_MIN && slices >= SORT_SLICES_MIN
  return ms >= CALLS_MS_MIN
}

function blockedBy(
  { stage, place, ms, slices }: LineTime,
  kind: BlockingKind,
  callee: string | undefined,
  stood: readonly Stall[],
  { lines }: Evidence,
): PipelineFinding {
  const longestMs = stood.reduce((longest, stall) => Math.max(longest, stall.lastedMs), 0)
  const what = callee === undefined || callee === '' || kind === 'computing' ? 'The line' : `\`${callee}\``
  const share = lines.sampledMs > 0 ? (ms / lines.sampledMs) * 100 : 0
  const took = `took ${duration(ms)} of the event loop, ${share < 1 ? share.toFixed(1) : Math.round(share)} % of the time, in ${slices} quarters of a second`
  const stalls =
    stood.length === 0
      ? ''
      : ` The loop stood still ${stood.length === 1 ? 'once' : `${stood.length} times`} for it, ${duration(longestMs)} at the longest.`
  return {
    ...at('blocked', stage?.path, place),
    found: `${what} at ${nameOf(place)} ${within(stage)} ${took}.${stalls}`,
    advice: adviceFor(kind),
    kind,
    totalMs: Math.round(ms),
    longestMs: Math.round(longestMs),
  }
}

/** The time by lines: spots of one line together, and what sorts with what it is compared by. */
function linesOf({ lines, stages }: Evidence): LineTime[] {
  const byNumber = new Map(stages.map((stage) => [stage.number, stage]))
  const stageOf = stageFinder(lines.spots, byNumber, stages)
  const found = new Map<string, LineTime>()
  for (const spot of lines.spots) {
    const { place, callee } = spot
    if (place === undefined) continue
    const stage = stageOf(spot)
    const key = `${stage?.number ?? ''} ${place.file}:${place.line}`
    let line = found.get(key)
    if (line === undefined) {
      found.set(key, (line = { stage, place, callees: new Map(), ms: 0, slices: 0, stalls: new Map() }))
    }
    line.ms += spot.ms
    line.slices = Math.max(line.slices, spot.slices)
    if (callee !== undefined) line.callees.set(callee, (line.callees.get(callee) ?? 0) + spot.ms)
    for (const { startedUs, ms } of spot.stalls) line.stalls.set(startedUs, (line.stalls.get(startedUs) ?? 0) + ms)
  }
  return [...found.values()]
}

/**
 * Whose a spot is. What goes on after an `await` has no stage on the stack: there it is the stage in which the same function
 * was seen, else the one that was seen to wait right there, else the one that was described right before in the file.
 */
function stageFinder(
  spots: readonly FoundSpot[],
  byNumber: ReadonlyMap<number, ObservedStage>,
  stages: readonly ObservedStage[],
): (spot: FoundSpot) => ObservedStage | undefined {
  const ofFunction = new Map<string, ObservedStage>()
  for (const { stage, functionPlace } of spots) {
    const known = stage === undefined ? undefined : byNumber.get(stage)
    if (known !== undefined && functionPlace !== undefined && !ofFunction.has(keyOf(functionPlace))) {
      ofFunction.set(keyOf(functionPlace), known)
    }
  }
  return ({ stage, place, functionPlace }) => {
    if (stage !== undefined) return byNumber.get(stage)
    if (place === undefined) return undefined
    const known = functionPlace === undefined ? undefined : ofFunction.get(keyOf(functionPlace))
    return known ?? nearest(place, stages, waitPlaces, NEAR_WAIT) ?? nearest(place, stages, ownPlace, NEAR_DESCRIPTION)
  }
}

/** Lines between an `await` and what follows it in the same function, and between a stage and its function. */
const NEAR_WAIT = 25
const NEAR_DESCRIPTION = 40

const waitPlaces = ({ waits }: ObservedStage): (SourceLine | undefined)[] => waits.map(({ place }) => place)
const ownPlace = ({ place }: ObservedStage): (SourceLine | undefined)[] => [place]

/** The stage with a place before and nearest to a line, within so many lines; a wait may also come after. */
function nearest(
  { file, line }: SourceLine,
  stages: readonly ObservedStage[],
  placesOf: (stage: ObservedStage) => readonly (SourceLine | undefined)[],
  within: number,
): ObservedStage | undefined {
  let best: ObservedStage | undefined
  let bestLines = within + 1
  for (const stage of stages) {
    for (const place of placesOf(stage)) {
      if (place?.file !== file) continue
      const lines = placesOf === ownPlace ? line - place.line : Math.abs(line - place.line)
      if (lines < 0 || lines >= bestLines) continue
      best = stage
      bestLines = lines
    }
  }
  return best
}

/** Values that wait inside a stage while the loop has nothing to do. */
function waitingIn(stage: ObservedStage, evidence: Evidence): PipelineFinding[] {
  if (stage.kind !== 'stage') return []
  const wakes = stage.waits.reduce((sum, { times }) => sum + times, 0)
  if (wakes < WAKES_MIN || stage.received < WAITING_MIN) return []
  // Where values cannot be followed one by one: it takes up less often than values come, and is nearly always waiting.
  const followed = stage.objects >= stage.received / 2
  const waitedMs = stage.waits.reduce((sum, { ms }) => sum + ms, 0)
  const waits = followed
    ? stage.held >= WAITING_MIN && stage.held >= stage.objects * WAITING_SHARE && stage.begun < stage.received * 10
    : wakes * 2 < stage.received &&
      waitedMs >= evidence.seconds * 700 &&
      stage.waits.some(({ promised }) => promised >= WAKES_MIN)
  if (!waits) return []
  const longest = stage.waits.toSorted((a, b) => b.ms - a.ms)[0]!
  const place = longest.place ?? stage.place
  const perWakeMs = longest.ms / longest.times
  const holds = followed
    ? `${stage.held} of the ${stage.received} values that it was given wait in it`
    : `it was given ${stage.received} values and took up some ${wakes}`
  return [
    {
      ...at('waits', stage.path, place),
      found: `The stage ${stage.path} awaits its values one after another${place === undefined ? '' : `, at ${nameOf(place)}`}: ${holds}, each wait takes some ${duration(perWakeMs)}, and meanwhile the loop is ${Math.round((1 - evidence.loopUtilization) * 100)} % idle.`,
      advice: adviceFor('awaiting'),
      kind: 'awaiting',
      totalMs: Math.round(longest.ms),
    },
  ]
}

/** Policies by which an edge is full as a rule: only the latest matters, or what waits is merged. */
const FULL_BY_DESIGN = /keepLatest|conflate|sample/

function fullEdges(
  { edges, stages, mode, loopUtilization, heldBackSeconds, seconds }: Evidence,
  blocked: readonly PipelineFinding[],
  waiting: readonly PipelineFinding[],
): PipelineFinding[] {
  return edges.flatMap((edge) => {
    if (edge.capacity === 0 || FULL_BY_DESIGN.test(edge.onFull)) return []
    const lost = edge.overflowed >= Math.max(1, edge.in * OVERFLOW_SHARE)
    // A replay goes as fast as its slowest part: that edges fill up is how the others are held back.
    const isFull = mode !== 'replay' && edge.full >= FULL_LOOKS_MIN && edge.full >= edge.looks * FULL_SHARE
    if (!lost && !isFull) return []
    const behind = stages.find(({ path }) => path === edge.to)
    const cause = [...blocked, ...waiting].find(({ stage }) => stage === edge.to) ?? blocked[0]
    const wait = behind?.waits.toSorted((a, b) => b.ms - a.ms)[0]
    const idle = loopUtilization < 0.7
    const place = idle && wait !== undefined ? (wait.place ?? behind?.place) : behind?.place
    const what = lost
      ? `${edge.overflowed} of ${edge.in} values were given up (onFull: ${edge.onFull})`
      : `it was full at ${edge.full} of ${edge.looks} looks${heldBackSeconds > 0 ? `, and the sources were held back for ${heldBackSeconds.toFixed(1)} of ${seconds.toFixed(0)} s` : ''}`
    const why =
      idle && wait !== undefined
        ? `What it leads to waits${place === undefined ? '' : ` at ${nameOf(place)}`}, some ${duration(wait.ms / wait.times)} each time, while the loop is idle`
        : idle
          ? 'What it leads to is slower than what comes, while the loop is idle'
          : `The loop is busy${cause?.file === undefined ? '' : `, most of all at ${nameOf(cause as SourceLine)}`}`
    const kind: BlockingKind = idle ? (behind?.kind === 'sink' ? 'slowSink' : 'awaiting') : 'computing'
    return [
      {
        ...at('edge', edge.to, place),
        found: `The edge from ${edge.from} to ${edge.to} has room for ${edge.capacity} values, and ${what}. ${why}.`,
        advice: adviceFor(kind),
        kind,
      },
    ]
  })
}

function garbage({ lines }: Evidence): PipelineFinding[] {
  const { gcMs, sampledMs, allocations, allocatedBytes } = lines
  if (gcMs < GC_MS_MIN || gcMs < sampledMs * GC_SHARE) return []
  const most = allocations[0]
  const who =
    most?.place === undefined
      ? 'None of it in code of the pipeline.'
      : `Most is allocated by the function at ${nameOf(most.place)}, ${megabytes(most.bytes)} of ${megabytes(allocatedBytes)}.`
  return [
    {
      ...at('garbage', undefined, most?.place),
      found: `Collections of garbage took ${Math.round((gcMs / sampledMs) * 100)} % of the time. ${who}`,
      advice: adviceFor('garbage'),
      kind: 'garbage',
      totalMs: Math.round(gcMs),
    },
  ]
}

function at(
  check: FindingKind,
  stage: string | undefined,
  place: SourceLine | undefined,
): Pick<PipelineFinding, 'check' | 'state' | 'stage' | 'file' | 'line' | 'text'> {
  return {
    check,
    state: 'wrong',
    ...(stage === undefined ? {} : { stage }),
    ...(place === undefined ? {} : { file: place.file, line: place.line, text: place.text }),
  }
}

function within(stage: ObservedStage | undefined): string {
  return stage === undefined ? 'outside of any stage' : `in the ${stage.kind} ${stage.path}`
}

function nameOf({ file, line }: Pick<SourceLine, 'file' | 'line'>): string {
  return `${file}:${line}`
}

function keyOf({ file, line }: SourceLine): string {
  return `${file}:${line}`
}

function duration(ms: number): string {
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
