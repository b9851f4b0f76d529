/**
 * The watchdog's thread. It looks at the heartbeat of the main thread's loop and at the marks of its stages, and tells the
 * main thread of each stall when that is over; of one that does not end it tells on standard error.
 *
 * Where lines are wanted, the {@link LineDetective} works here as well: parsing a profile is no business of the loop.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../model/fault'
import { MARK } from '../stageMarks'
import { BEAT, monotonicUs, type WatchdogData } from './heartbeat'
import type { LineDetective, LinesFound, LinesQuestion } from './lineDetective'
import type * as lineDetective from './lineDetective'
import type { RawStall } from './stall'
import { Watchdog } from './watchdog'

/** What the main thread asks. */
export type WatchdogRequest =
  | { readonly ask: 'names'; readonly names: readonly (readonly [stage: number, path: string])[] }
  | { readonly ask: 'start'; readonly id: number }
  | { readonly ask: 'collect'; readonly id: number }
  | ({ readonly ask: 'lines'; readonly id: number } & LinesQuestion)

/** What it is told. */
export type WatchdogMessage =
  | { readonly kind: 'stall'; readonly stall: RawStall }
  | { readonly kind: 'answer'; readonly id: number; readonly lines?: LinesFound; readonly problem?: string }

/** While the heartbeat is overdue, the marks are looked at so often, milliseconds. */
const OVERDUE_EVERY_MS = 10

const load = createRequire(__filename)
const data = workerData as WatchdogData
const watchdog = new Watchdog(data)
const names = new Map<number, string>()
let detective: LineDetective | undefined
let saidHang = false

function tell(message: WatchdogMessage): void {
  parentPort?.postMessage(message)
}

function look(dueUs: number): void {
  const nowUs = monotonicUs()
  const [ranUs, starvedUs] = scheduled()
  const beat = Atomics.load(data.beats, BEAT.count)
  const stage = Atomics.load(data.marks, MARK.stage)
  const excused = detective?.isPausing === true
  if (excused) watchdog.excuse({ nowUs, beat })
  const stall = excused ? undefined : watchdog.look({ nowUs, beat, stage, ranUs, starvedUs }, dueUs)
  if (stall !== undefined) {
    detective?.saw(stall)
    tell({ kind: 'stall', stall })
  }
  sayHang(stage)
  if (watchdog.standsMs >= data.endMs) endHung()
  const waitMs = watchdog.overdue ? OVERDUE_EVERY_MS : data.beatMs
  setTimeout(look, waitMs, nowUs + waitMs * 1_000)
}

/** The loop that stands still can tell nobody: this thread does, once for each time. */
function sayHang(stage: number): void {
  const { standsMs } = watchdog
  if (standsMs === 0) saidHang = false
  if (standsMs < data.hangMs || saidHang) return
  saidHang = true
  const path = names.get(stage)
  const where = path === undefined ? 'no stage is at work' : `the stage ${path} is at work`
  const say = (line: string): void =>
    sayAtOnce(`The event loop has been standing still for ${Math.round(standsMs / 1_000)} s: ${where}${line}.`)
  if (detective === undefined) say('')
  else
    void detective.whereNow().then(
      (line) => say(line === undefined ? '' : `, at ${line}`),
      () => say(''),
    )
}

/** Whoever sends a signal that can be heard waits for a loop to hear it: only this one does not. */
function endHung(): void {
  sayAtOnce(`It does not come back: ended after ${Math.round(watchdog.standsMs / 1_000)} s.`)
  process.kill(process.pid, 'SIGKILL')
}

function sayAtOnce(sentence: string): void {
  try {
    writeSync(2, `${sentence}\n`)
  } catch {
    // Nobody listens.
  }
}

/** The kernel's book of the watched thread, kept open: each look reads it anew. Undefined where there is none. */
const book = openBook()
const page = Buffer.alloc(128)

function openBook(): number | undefined {
  if (data.thread === undefined) return undefined
  try {
    return openSync(`/proc/self/task/${data.thread}/schedstat`, 'r')
  } catch {
    return undefined
  }
}

/** What the watched thread has run, and what it had to wait for a processor, µs. */
function scheduled(): readonly [ran: number | undefined, starved: number | undefined] {
  if (book === undefined) return [undefined, undefined]
  try {
    const length = readSync(book, page, 0, page.length, 0)
    const [ran, starved] = page.toString('latin1', 0, length).split(' ').map(Number)
    return [ran! / 1_000, starved! / 1_000]
  } catch {
    return [undefined, undefined]
  }
}

async function answer(request: Exclude<WatchdogRequest, { ask: 'names' }>): Promise<void> {
  const { id } = request
  try {
    if (detective === undefined) throw new Error('no lines were asked for')
    if (request.ask === 'start') await detective.start()
    else if (request.ask === 'collect') await detective.collectGarbage()
    const lines = request.ask === 'lines' ? await detective.lines(request) : undefined
    tell({ kind: 'answer', id, ...(lines === undefined ? {} : { lines }) })
  } catch (thrown) {
    tell({ kind: 'answer', id, problem: messageOf(thrown) })
  }
}

parentPort?.on('message', (request: WatchdogRequest) => {
  if (request.ask === 'names') for (const [stage, path] of request.names) names.set(stage, path)
  else void answer(request)
})
if (data.lines !== undefined) {
  const { LineDetective: Detective } = load('./lineDetective') as typeof lineDetective
  detective = new Detective(data.lines)
}
look(monotonicUs())
