/**
 * From sampled stacks to lines of the user's: who was at work, in which stage, and what it had called.
 *
 * Of each stack counts the innermost function that is the user's own, and only up to the innermost stage: what a stage hands
 * on is not its work. The line is exact where that function itself was at work, or something built in that it had called; where
 * it had called code of a library, the line is that of the call, to be looked up by the callee's name.
 */
import { fileURLToPath } from 'node:url'
import { digitOf, numberFrom } from './stageDigits'
import type { RawStall } from './stall'

/** As the inspector gives it. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Microseconds of the monotonic clock. */
  readonly startTime: number
  readonly samples?: readonly number[]
  readonly timeDeltas?: readonly number[]
}

export interface ProfileNode {
  readonly id: number
  readonly callFrame: CallFrame
  readonly children?: readonly number[]
  readonly positionTicks?: readonly { readonly line: number; readonly ticks: number }[]
}

export interface CallFrame {
  readonly functionName: string
  readonly scriptId: string
  readonly url: string
  /** Where the function begins; counted from 0. */
  readonly lineNumber: number
  readonly columnNumber: number
}

/** A place where time was spent. */
export interface Spot {
  /** Number of the stage that was at work; undefined where none was on the stack. */
  readonly stage: number | undefined
  /** The user's function; undefined where none of the user's was on the stack, within the stage. */
  readonly frame: CallFrame | undefined
  /** Of the file as it runs, counted from 1; undefined where it has to be looked up by the callee. */
  readonly line: number | undefined
  /** What the user's function had called, where that is known. */
  readonly callee: string | undefined
  ms: number
  /** Quarters of a second in which it was met. */
  slices: number
  lastSlice: number
  /** What of a stall was spent here, by when the stall began. */
  readonly stalls: Map<number, number>
}

export interface ProfileSums {
  sampledMs: number
  gcMs: number
  readonly spots: Map<string, Spot>
}

/** Places that are told apart; what else is met is counted in the time alone. */
const SPOTS_MAX = 5_000
const SLICE_US = 250_000
/** A sample stands for no more than so many intervals: what is longer is a thread that got no processor. */
const INTERVALS_MAX = 4

/** True for code of the user's: neither of Node, nor of a package, nor ours. */
export function isUsers(url: string, ownFolders: readonly string[]): boolean {
  const file = fileOf(url)
  if (file === undefined || /[\\/]node_modules[\\/]/.test(file)) return false
  return !ownFolders.some((folder) => file.startsWith(folder))
}

/** The path of a script's address; undefined for what is no file. */
export function fileOf(url: string): string | undefined {
  if (url.startsWith('file:')) {
    try {
      return fileURLToPath(url)
    } catch {
      return undefined
    }
  }
  return /^([a-zA-Z]:)?[\\/]/.test(url) ? url : undefined
}

export interface ProfileContext {
  readonly ownFolders: readonly string[]
  readonly sampleEveryUs: number
  /** Stalls whose lines are asked for. */
  readonly stalls: readonly RawStall[]
  /** Times in which the loop was kept waiting by the looking itself; in order. */
  readonly excused: readonly Span[]
}

export interface Span {
  readonly startedUs: number
  readonly endedUs: number
}

/** Adds what a profile shows to the sums. */
export function addProfile(
  sums: ProfileSums,
  profile: CpuProfile,
  { ownFolders, sampleEveryUs, stalls, excused }: ProfileContext,
): void {
  const { samples = [], timeDeltas = [] } = profile
  const places = new Places(profile.nodes, ownFolders)
  let nowUs = profile.startTime
  const stallAt = spanFinder(stalls.toSorted((a, b) => a.startedUs - b.startedUs))
  const excuseAt = spanFinder(excused)
  for (let index = 0; index < samples.length; index++) {
    const deltaUs = Math.max(0, timeDeltas[index] ?? 0)
    nowUs += deltaUs
    if (excuseAt(nowUs) !== undefined) continue
    const ms = Math.min(deltaUs, INTERVALS_MAX * sampleEveryUs) / 1_000
    sums.sampledMs += ms
    const place = places.of(samples[index]!)
    if (place === 'gc') sums.gcMs += ms
    if (typeof place === 'string') continue
    const slice = Math.floor(nowUs / SLICE_US)
    const within = stallAt(nowUs)?.startedUs
    for (const { key, line, share } of place.lines) {
      const spot = spotOf(sums, key, place, line)
      if (spot !== undefined) add(spot, ms * share, slice, within)
    }
  }
}

/** Finds the one of several spans in which a moment lies; they are in order, and so are the moments. */
function spanFinder<S extends Span>(spans: readonly S[]): (us: number) => S | undefined {
  let at = 0
  return (us) => {
    while (at < spans.length && spans[at]!.endedUs < us) at++
    const span = spans[at]
    return span !== undefined && span.startedUs <= us ? span : undefined
  }
}

function add(spot: Spot, ms: number, slice: number, stall: number | undefined): void {
  spot.ms += ms
  if (slice !== spot.lastSlice) {
    spot.lastSlice = slice
    spot.slices++
  }
  if (stall !== undefined) spot.stalls.set(stall, (spot.stalls.get(stall) ?? 0) + ms)
}

interface Place extends Pick<Spot, 'stage' | 'frame' | 'callee'> {
  readonly lines: readonly { readonly key: string; readonly line: number | undefined; readonly share: number }[]
}

function spotOf(
  { spots }: ProfileSums,
  key: string,
  { stage, frame, callee }: Place,
  line: number | undefined,
): Spot | undefined {
  const known = spots.get(key)
  if (known !== undefined) return known
  if (spots.size >= SPOTS_MAX) return undefined
  const made: Spot = { stage, frame, line, callee, ms: 0, slices: 0, lastSlice: -1, stalls: new Map() }
  spots.set(key, made)
  return made
}

/** What each node of a profile stands for, worked out when it is first met. */
class Places {
  private readonly nodes = new Map<number, ProfileNode>()
  private readonly parents = new Map<number, ProfileNode>()
  private readonly known = new Map<number, Place | 'gc' | 'other'>()

  constructor(
    nodes: readonly ProfileNode[],
    private readonly ownFolders: readonly string[],
  ) {
    for (const node of nodes) {
      this.nodes.set(node.id, node)
      for (const child of node.children ?? []) this.parents.set(child, node)
    }
  }

  of(id: number): Place | 'gc' | 'other' {
    const known = this.known.get(id)
    if (known !== undefined) return known
    const node = this.nodes.get(id)
    const place = node === undefined ? 'other' : this.work(node)
    this.known.set(id, place)
    return place
  }

  private work(leaf: ProfileNode): Place | 'gc' | 'other' {
    if (leaf.callFrame.functionName === '(garbage collector)') return 'gc'
    let user: ProfileNode | undefined
    let callee: ProfileNode | undefined
    let node: ProfileNode | undefined = leaf
    for (; node !== undefined && digitOf(node.callFrame.functionName) === undefined; node = this.parents.get(node.id)) {
      if (isUsers(node.callFrame.url, this.ownFolders)) {
        user = node
        break
      }
      callee = node
    }
    const stage = this.stageFrom(node)
    if (user === undefined) {
      if (stage === undefined) return 'other'
      return { stage, frame: undefined, callee: undefined, lines: [{ key: `${stage}`, line: undefined, share: 1 }] }
    }
    const frame = user.callFrame
    const called = callee?.callFrame.functionName
    const key = `${stage ?? ''} ${frame.scriptId}:${frame.lineNumber}:${frame.columnNumber} ${called ?? ''}`
    // Something built in has no lines of its own: its samples bear the line of the one who called it.
    const isExact = callee === undefined || (callee === leaf && callee.callFrame.url === '')
    const ticks = isExact ? (leaf.positionTicks ?? []).filter(({ line }) => line > 0) : []
    const all = ticks.reduce((sum, each) => sum + each.ticks, 0)
    const lines = ticks.map((each) => ({ key: `${key} ${each.line}`, line: each.line, share: each.ticks / all }))
    return {
      ...{ stage, frame, callee: called },
      lines: lines.length > 0 ? lines : [{ key, line: undefined, share: 1 }],
    }
  }

  private stageFrom(start: ProfileNode | undefined): number | undefined {
    const digits: number[] = []
    for (let node = start; node !== undefined; node = this.parents.get(node.id)) {
      const digit = digitOf(node.callFrame.functionName)
      if (digit === undefined) continue
      digits.push(digit)
      const number = numberFrom(digits)
      if (number !== undefined) return number
    }
    return undefined
  }
}
