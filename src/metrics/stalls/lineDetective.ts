/**
 * Finds the lines of the user's files at which the main thread's loop spent its time and its memory, through the inspector,
 * from another thread and without ever stopping it.
 *
 * Time    by V8's sampling profiler. It asks the running thread by signal for its stack, so that it sees also what sleeps in a
 *         system call, where nothing that waits for the thread to listen (a breakpoint, a message) comes through
 * Memory  by V8's sampling heap profiler, what has been collected since included
 * Lines   a sample bears the line of the innermost function. Where that is a library's, the user's line is the call of it: V8
 *         knows all calls of a function (`getPossibleBreakpoints`), and the one is taken that names the callee
 *
 * Beginning and reading out keep the loop waiting (with a compiler loaded some hundred milliseconds); both are excused.
 */
import { Session, type Debugger, type HeapProfiler } from 'node:inspector'
import { monotonicUs, type LinesData } from './heartbeat'
import {
  addProfile,
  fileOf,
  isUsers,
  type CallFrame,
  type CpuProfile,
  type ProfileContext,
  type ProfileSums,
  type Span,
  type Spot,
} from './profile'
import { SourceLines, type RunningPlace, type SourceLine } from './sourceLines'
import { digitOf } from './stageDigits'
import type { RawStall } from './stall'

export interface LinesQuestion {
  /** Further places to be found in the files that were written. */
  readonly places: readonly RunningPlace[]
}

export interface LinesFound {
  readonly sampledMs: number
  readonly gcMs: number
  /** Most time first. */
  readonly spots: readonly FoundSpot[]
  /** In the order of the question. */
  readonly places: readonly (SourceLine | undefined)[]
  /** Most bytes first. */
  readonly allocations: readonly FoundAllocation[]
  /** All that was allocated, bytes; of what was not sampled it is an estimate. */
  readonly allocatedBytes: number
}

export interface FoundSpot {
  /** The number of the stage; undefined where none was on the stack. */
  readonly stage: number | undefined
  readonly place: SourceLine | undefined
  readonly functionName: string
  /** Where the function begins: the same for all lines of it. */
  readonly functionPlace: SourceLine | undefined
  readonly callee: string | undefined
  readonly ms: number
  /** Quarters of a second in which it was met. */
  readonly slices: number
  /** What of each stall was spent here. */
  readonly stalls: readonly { readonly startedUs: number; readonly ms: number }[]
}

export interface FoundAllocation {
  /** Where the function begins that allocated. */
  readonly place: SourceLine | undefined
  readonly functionName: string
  readonly bytes: number
}

/** A profile is read out and begun anew after so long, so that it does not grow without end. */
const WINDOW_MS = 60_000
const SPOTS_MAX = 60
const ALLOCATIONS_MAX = 20
/** Stalls of one window that are told apart. */
const STALLS_MAX = 1_000
const EXCUSED_MAX = 1_000
/** One sample of the memory for so much that is allocated. */
const HEAP_INTERVAL_BYTES = 65_536

export class LineDetective {
  private readonly session = new Session()
  private readonly sums: ProfileSums = { sampledMs: 0, gcMs: 0, spots: new Map() }
  private stalls: RawStall[] = []
  /** When the loop was kept waiting by this. */
  private readonly excused: Span[] = []
  private window: NodeJS.Timeout | undefined
  private running = false
  private pauses = 0

  constructor(private readonly options: LinesData) {}

  /** The loop is being kept waiting by this. */
  get isPausing(): boolean {
    return this.pauses > 0
  }

  /** Takes note of a stall, whose lines will be asked for. */
  saw(stall: RawStall): void {
    if (this.stalls.length < STALLS_MAX) this.stalls.push(stall)
  }

  async start(): Promise<void> {
    this.session.connectToMainThread()
    await this.post('Profiler.enable')
    await this.post('Profiler.setSamplingInterval', { interval: this.options.sampleEveryUs })
    await this.post('HeapProfiler.enable')
    await this.post('HeapProfiler.startSampling', {
      samplingInterval: HEAP_INTERVAL_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    })
    await this.begin()
  }

  async collectGarbage(): Promise<void> {
    await this.post('HeapProfiler.collectGarbage')
  }

  /** Where the loop is while it stands still: the line that had most samples since the window began. */
  async whereNow(): Promise<string | undefined> {
    const sums: ProfileSums = { sampledMs: 0, gcMs: 0, spots: new Map() }
    const profile = await this.stopProfile()
    if (profile === undefined) return undefined
    addProfile(sums, profile, this.contextOf([]))
    const [most] = byTime(sums.spots)
    const lines = await this.linesOf(most === undefined ? [] : [most], [])
    await this.begin()
    const place = lines.spots[0]?.place
    return place === undefined ? undefined : `${place.file}:${place.line}`
  }

  /** Ends the sampling and says what it has found. */
  async lines({ places }: LinesQuestion): Promise<LinesFound> {
    await this.endWindow()
    const { profile } = await this.post<{ profile: HeapProfiler.SamplingHeapProfile }>('HeapProfiler.stopSampling')
    const allocated = allocationsOf(profile.head, this.options.ownFolders)
    const spots = byTime(this.sums.spots).slice(0, SPOTS_MAX)
    const allocations = allocated.byFunction.slice(0, ALLOCATIONS_MAX)
    const found = await this.linesOf(spots, [
      ...places,
      ...spots.map(({ frame }) => beginningOf(frame)),
      ...allocations.map(({ frame }) => beginningOf(frame)),
    ])
    this.session.disconnect()
    const { sampledMs, gcMs } = this.sums
    const rest = found.places.slice(places.length)
    return {
      sampledMs,
      gcMs,
      spots: found.spots.map((spot, index) => ({ ...spot, functionPlace: rest[index] })),
      places: found.places.slice(0, places.length),
      allocations: allocations.map(({ frame, bytes }, index) => ({
        functionName: frame.functionName,
        place: rest[spots.length + index],
        bytes,
      })),
      allocatedBytes: allocated.bytes,
    }
  }

  private async begin(): Promise<void> {
    await this.post('Profiler.start')
    this.running = true
    this.window = setTimeout(() => {
      // A loop that stands still is asked again when it goes; a connection that has ended is no longer sampled.
      this.endWindow()
        .then(() => this.begin())
        .catch(() => undefined)
    }, WINDOW_MS)
  }

  private async endWindow(): Promise<void> {
    clearTimeout(this.window)
    const profile = await this.stopProfile()
    if (profile !== undefined) addProfile(this.sums, profile, this.contextOf(this.stalls))
    this.stalls = []
    this.excused.length = 0
  }

  private contextOf(stalls: readonly RawStall[]): ProfileContext {
    return { ...this.options, stalls, excused: this.excused }
  }

  private async stopProfile(): Promise<CpuProfile | undefined> {
    if (!this.running) return undefined
    this.running = false
    return (await this.post<{ profile: CpuProfile }>('Profiler.stop')).profile
  }

  /** Lines of spots and of further places. The debugger listens for no longer than this takes, and never stops anything. */
  private async linesOf(
    spots: readonly Spot[],
    places: readonly (RunningPlace | undefined)[],
  ): Promise<{
    readonly spots: readonly Omit<FoundSpot, 'functionPlace'>[]
    readonly places: (SourceLine | undefined)[]
  }> {
    const scripts = new Map<string, Debugger.ScriptParsedEventDataType>()
    const take = ({ params }: { params: Debugger.ScriptParsedEventDataType }): void => {
      if (isUsers(params.url, this.options.ownFolders)) scripts.set(params.scriptId, params)
    }
    this.session.on('Debugger.scriptParsed', take)
    try {
      await this.post('Debugger.enable', { maxScriptsCacheSize: 0 })
      await this.post('Debugger.setSkipAllPauses', { skip: true })
      const maps = new Map<string, string>()
      for (const { url, sourceMapURL } of scripts.values()) {
        const file = fileOf(url)
        if (file !== undefined && sourceMapURL !== undefined) maps.set(file, sourceMapURL)
      }
      const sources = new SourceLines(maps)
      const calls = new Calls((method, params) => this.post(method, params))
      const hot = new HotLines()
      const found: Omit<FoundSpot, 'functionPlace'>[] = []
      // Those with a line first: by it a call is chosen where a function has several of one name.
      const runningPlaces = new Map<Spot, RunningPlace | undefined>()
      for (const spot of spots) if (spot.line !== undefined) runningPlaces.set(spot, await placeOf(spot, calls, hot))
      for (const spot of spots) if (spot.line === undefined) runningPlaces.set(spot, await placeOf(spot, calls, hot))
      for (const spot of spots) {
        const { stage, frame, callee, ms, slices, stalls } = spot
        const place = runningPlaces.get(spot)
        found.push({
          stage,
          place: place === undefined ? undefined : sources.find(place),
          functionName: frame?.functionName ?? '',
          callee,
          ms,
          slices,
          stalls: [...stalls].map(([startedUs, spent]) => ({ startedUs, ms: spent })),
        })
      }
      return { spots: found, places: places.map((place) => place && sources.find(place)) }
    } finally {
      this.session.off('Debugger.scriptParsed', take)
      await this.post('Debugger.disable').catch(() => undefined)
    }
  }

  private async post<R>(method: string, params: object = {}): Promise<R> {
    this.pauses++
    const startedUs = monotonicUs()
    try {
      return await new Promise<R>((resolve, reject) => {
        this.session.post(method, params, (error, answer) => {
          if (error === null) resolve(answer as R)
          else reject(new Error(`${method}: ${error.message}`))
        })
      })
    } finally {
      this.pauses--
      if (this.excused.length < EXCUSED_MAX) this.excused.push({ startedUs, endedUs: monotonicUs() })
    }
  }
}

/**
 * The place of a spot in the file as it runs.
 *
 * A compiler that puts a small function into the one that calls it leaves the lines of the small one in samples of the other:
 * lines outside of a function are not its own. The hottest line of the function stands in where nothing better is known.
 */
async function placeOf(
  { frame, line, callee, ms }: Spot,
  calls: Calls,
  hot: HotLines,
): Promise<RunningPlace | undefined> {
  if (frame === undefined) return undefined
  const { url } = frame
  let place: RunningPlace | undefined
  if (line !== undefined && (await calls.holds(frame, line))) {
    place = { url, line }
    hot.add(frame, line, ms)
  } else if (line === undefined && callee !== undefined && callee !== '') {
    place = hot.hottest(frame, await calls.named(frame, callee))
  }
  const hottest = hot.lineOf(frame)
  return place ?? (hottest === undefined ? beginningOf(frame) : { url, line: hottest })
}

/** The lines of functions, with the time that was spent at each. */
class HotLines {
  private readonly byFunction = new Map<string, Map<number, number>>()

  add(frame: CallFrame, line: number, ms: number): void {
    const key = functionKey(frame)
    const lines = this.byFunction.get(key) ?? new Map<number, number>()
    this.byFunction.set(key, lines)
    lines.set(line, (lines.get(line) ?? 0) + ms)
  }

  /** The line of a function that took most time. */
  lineOf(frame: CallFrame): number | undefined {
    return [...(this.byFunction.get(functionKey(frame)) ?? [])].toSorted((a, b) => b[1] - a[1])[0]?.[0]
  }

  /** Of several places in a function the one whose line took most time; the first, where none is known. */
  hottest(frame: CallFrame, places: readonly RunningPlace[]): RunningPlace | undefined {
    const lines = this.byFunction.get(functionKey(frame))
    return places.toSorted((a, b) => (lines?.get(b.line) ?? 0) - (lines?.get(a.line) ?? 0))[0]
  }
}

/** What V8 knows of functions: their lines, and where they call others. */
class Calls {
  private readonly known = new Map<string, Promise<readonly Location[]>>()

  constructor(private readonly post: <R>(method: string, params: object) => Promise<R>) {}

  /** True for a line of the function's. */
  async holds(frame: CallFrame, line: number): Promise<boolean> {
    const locations = await this.of(frame)
    const last = locations.reduce((latest, { lineNumber }) => Math.max(latest, lineNumber), frame.lineNumber)
    return line - 1 >= frame.lineNumber && line - 1 <= last
  }

  /** Where a function calls another of some name. */
  async named(frame: CallFrame, callee: string): Promise<RunningPlace[]> {
    const { scriptId, url } = frame
    try {
      const { scriptSource } = await this.post<Debugger.GetScriptSourceReturnType>('Debugger.getScriptSource', {
        scriptId,
      })
      return callsNamed(callee, await this.of(frame), scriptSource.split('\n')).map(({ lineNumber, columnNumber }) => ({
        url,
        line: lineNumber + 1,
        column: columnNumber + 1,
      }))
    } catch {
      return [] // a script that has gone
    }
  }

  private of(frame: CallFrame): Promise<readonly Location[]> {
    const key = functionKey(frame)
    let locations = this.known.get(key)
    if (locations === undefined) this.known.set(key, (locations = this.ask(frame)))
    return locations
  }

  private async ask({ scriptId, lineNumber, columnNumber }: CallFrame): Promise<readonly Location[]> {
    try {
      const { locations } = await this.post<Debugger.GetPossibleBreakpointsReturnType>(
        'Debugger.getPossibleBreakpoints',
        { start: { scriptId, lineNumber, columnNumber }, restrictToFunction: true },
      )
      return locations.map((location) => ({ ...location, columnNumber: location.columnNumber ?? 0 }))
    } catch {
      return []
    }
  }
}

function functionKey({ scriptId, lineNumber, columnNumber }: CallFrame): string {
  return `${scriptId}:${lineNumber}:${columnNumber}`
}

interface Location {
  readonly lineNumber: number
  readonly columnNumber: number
  readonly type?: string | undefined
}

/**
 * The calls that name the callee. V8 puts a call at the name, `fs.▾writeFileSync(…)`, or behind it where it stands in brackets, as
 * compilers write it for what was imported: `(0, fs_1.writeFileSync)▾(…)`.
 */
export function callsNamed(
  callee: string,
  locations: readonly Location[],
  lines: readonly string[],
): readonly Location[] {
  const name = callee
    .split('.')
    .at(-1)!
    .replace(/[^\w$]/g, '')
  if (name === '') return []
  const word = name.replaceAll('$', '\\$')
  const ahead = new RegExp(`^(new\\s+(\\w+\\.)*)?${word}(?![\\w$])`)
  const behind = new RegExp(`(?<![\\w$])${word}[\\s)]*$`)
  return locations.filter(({ type, lineNumber, columnNumber }) => {
    if (type !== 'call') return false
    const text = lines[lineNumber] ?? ''
    return ahead.test(text.slice(columnNumber)) || behind.test(text.slice(0, columnNumber))
  })
}

function beginningOf(frame: CallFrame | undefined): RunningPlace | undefined {
  return frame === undefined
    ? undefined
    : { url: frame.url, line: frame.lineNumber + 1, column: frame.columnNumber + 1 }
}

function byTime(spots: ReadonlyMap<string, Spot>): Spot[] {
  return [...spots.values()].toSorted((a, b) => b.ms - a.ms)
}

interface Allocation {
  readonly frame: CallFrame
  bytes: number
}

/** Bytes by the innermost function of the user's, most first; within the innermost stage, as the time is. */
function allocationsOf(
  head: HeapProfiler.SamplingHeapProfileNode,
  ownFolders: readonly string[],
): { readonly byFunction: readonly Allocation[]; readonly bytes: number } {
  const byFunction = new Map<string, Allocation>()
  let bytes = 0
  const walk = (node: HeapProfiler.SamplingHeapProfileNode, outer: CallFrame | undefined): void => {
    const { callFrame, selfSize, children } = node
    const entersStage = digitOf(callFrame.functionName) !== undefined
    const user = isUsers(callFrame.url, ownFolders) ? callFrame : entersStage ? undefined : outer
    bytes += selfSize
    if (selfSize > 0 && user !== undefined) {
      const key = functionKey(user)
      const known = byFunction.get(key)
      if (known === undefined) byFunction.set(key, { frame: user, bytes: selfSize })
      else known.bytes += selfSize
    }
    for (const child of children) walk(child, user)
  }
  walk(head, undefined)
  return { byFunction: [...byFunction.values()].toSorted((a, b) => b.bytes - a.bytes), bytes }
}
