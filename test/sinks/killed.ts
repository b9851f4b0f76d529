/**
 * What is owed to those whose process is killed: `kill -9` at moments that nobody chose, again and again over the same
 * destination.
 *
 * A life is a process that writes numbered rows through `drain` and says which are acknowledged. It is killed after some
 * acknowledgements, none included, and some microseconds: while it opens, writes, waits, replaces a file. Then the
 * destination must open, every acknowledged row be there, in order, and no row be half there. For `effectivelyOnce` each
 * life repeats the run from its first row, and each row is there once; for `atLeastOnce` each goes on with rows of its
 * own behind what the others have left. The last of several lives is left alone and ends as it should.
 *
 * `KILLS=200 npx mocha test/sinks/killed.test.ts` kills so often for each destination. A failure says its seed: `KILL_SEED`.
 */
import { expect } from 'chai'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { performance } from 'node:perf_hooks'
import { seededRandom } from '../../src/clock/backoff'
import { compiledCopy, type CompiledCopy } from '../kit/compiledCopy'
import type { Row } from './conformance'
import { destinationOf, type Destination, type DestinationName, type Place } from './destinations'
import type { Life } from './killedWriter'
import { numberedRow } from './numberedRow'

const KILLS = Number(process.env['KILLS'] ?? 10)
const SEED = Number(process.env['KILL_SEED'] ?? 1)
/** Killed one after the other over the same destination, before one is left alone. */
const LIVES = 10
const ACKNOWLEDGEMENTS_MAX = 30
const MICROSECONDS_MAX = 4_000
const BATCH_MAX = 400
/** More than a batch: of one that goes to several folders some may have it already, and the others get it now. */
const ROWS_LAST = 2 * BATCH_MAX
/** Rows of one life that is killed before it comes so far. */
const ENDLESS = 1_000_000
/** A life that says nothing for so long is none. Disks that others keep busy take a second for what takes a millisecond. */
const SILENCE_MS_MAX = 60_000
const GROUP_MS_MAX = 600_000

type Writer = ChildProcessByStdio<Writable, Readable, Readable>

/** What a life has left. */
interface Left {
  readonly acknowledged: number
  readonly ended: 'killed' | 'done' | 'failed'
  readonly said: string
}

/** The moment of a kill. */
interface Moment {
  readonly acknowledgements: number
  readonly microseconds: number
}

export interface TakenPlace {
  readonly place: Place
  readonly remove: () => Promise<void>
}

/** @param placeOf  a place that nothing was written to */
export function survivesKills(name: DestinationName, placeOf: () => Promise<TakenPlace>): void {
  describe(`${name}, killed at any moment`, function () {
    this.timeout(GROUP_MS_MAX)
    const writers = new Writers()

    before(() => writers.prepare())
    after(() => writers.close())

    for (let first = 0; first < KILLS; first += LIVES) {
      const kills = Math.min(LIVES, KILLS - first)
      it(`opens, and has every acknowledged row whole and in order (kills ${first + 1} to ${first + kills})`, async () => {
        const { place, remove } = await placeOf()
        try {
          await liveAndDie(writers, name, place, { kills, seed: SEED + first })
        } finally {
          await remove()
        }
      })
    }
  })
}

/**
 * Lets lives be killed, and a last one end.
 *
 * @throws  what was not kept
 */
export async function liveAndDie(
  writers: Writers,
  name: DestinationName,
  place: Place,
  { kills, seed }: { readonly kills: number; readonly seed: number },
): Promise<void> {
  const destination = destinationOf(name)
  const random = seededRandom(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const isOnce = destination.delivery === 'effectivelyOnce'
  const history = new History(destination.delivery)
  for (let at = 0; at <= kills; at++) {
    const isLast = at === kills
    const first = isOnce ? 0 : at * ENDLESS
    const life: Life = {
      destination: name,
      place,
      run: isOnce ? 'killed' : undefined,
      first,
      count: isLast ? (isOnce ? history.written : 0) + ROWS_LAST : ENDLESS,
      batchMax: 1 + below(destination.batchMax ?? BATCH_MAX),
    }
    const moment = isLast
      ? undefined
      : { acknowledgements: below(ACKNOWLEDGEMENTS_MAX), microseconds: below(MICROSECONDS_MAX) }
    const left = await writers.live(life, moment)
    const what = `life ${at + 1} of ${kills + 1}, seed ${seed}, ${JSON.stringify(moment)}: ${left.said}`
    expect(left.ended, what).to.equal(isLast ? 'done' : 'killed')
    try {
      history.check(first, left.acknowledged, await destination.read(place, !isLast))
      if (isLast && isOnce) expect(history.written).to.equal(life.count)
    } catch (cause) {
      throw new Error(`After ${what}`, { cause })
    }
  }
}

/** What the destination must hold by now. */
class History {
  /** Rows at the destination, when it was last looked at. */
  written = 0
  /** The first row of each life that left some, and how many. */
  private readonly lives: { readonly first: number; readonly rows: number }[] = []

  constructor(private readonly delivery: Destination['delivery']) {}

  check(first: number, acknowledged: number, rows: readonly Row[]): void {
    if (this.delivery === 'latest') return this.checkLatest(first, acknowledged, rows)
    const before = this.delivery === 'effectivelyOnce' ? 0 : this.written
    const atLeast = this.delivery === 'effectivelyOnce' ? Math.max(this.written, acknowledged) : before + acknowledged
    expect(rows.length, 'rows, of which so many are acknowledged').to.be.at.least(atLeast)
    if (rows.length > before)
      this.lives[this.delivery === 'effectivelyOnce' ? 0 : this.lives.length] = { first, rows: rows.length - before }
    let at = 0
    for (const life of this.lives) {
      for (let offset = 0; offset < life.rows; offset++) requireRow(rows[at++], life.first + offset)
    }
    this.written = rows.length
  }

  private checkLatest(first: number, acknowledged: number, rows: readonly Row[]): void {
    if (acknowledged > 0) this.written = first + acknowledged
    expect(rows.length).to.equal(this.written === 0 ? rows.length : 1)
    const [row] = rows
    if (row === undefined) return
    requireRow(row, row.n)
    expect(row.n, 'the latest row').to.be.at.least(this.written - 1)
  }
}

function requireRow(row: Row | undefined, n: number): void {
  const wanted = numberedRow(n)
  if (row?.n === n && row.text === wanted.text) return
  throw new Error(
    `There is ${row === undefined ? 'nothing' : JSON.stringify(row).slice(0, 100)} in the place of row ${n}.`,
  )
}

/** Processes to be killed. The next one starts while one lives. */
export class Writers {
  private copy: CompiledCopy | undefined
  private next: Writer | undefined

  async prepare(): Promise<void> {
    this.copy = await compiledCopy(require.resolve('./killedWriter'))
    this.next = this.start()
  }

  async close(): Promise<void> {
    this.next?.kill('SIGKILL')
    await this.copy?.remove()
  }

  /** @param moment  when it is killed; undefined when it is left alone */
  async live(life: Life, moment: Moment | undefined): Promise<Left> {
    const writer = this.next ?? this.start()
    this.next = this.start()
    const ended = once(writer, 'close')
    const heard = { said: '', acknowledgements: 0, acknowledged: 0, done: false, killed: false }
    const killWhenDue = (): void => {
      if (moment === undefined || heard.killed || heard.acknowledgements < moment.acknowledgements) return
      busyFor(moment.microseconds)
      heard.killed = writer.kill('SIGKILL')
    }
    const silence = setTimeout(() => writer.kill('SIGKILL'), SILENCE_MS_MAX)
    let line = ''
    writer.stderr.setEncoding('utf8').on('data', (text: string) => (heard.said = (heard.said + text).slice(-2_000)))
    writer.stdout.setEncoding('latin1').on('data', (text: string) => {
      silence.refresh()
      const lines = (line + text).split('\n')
      line = lines.pop()!
      for (const one of lines) {
        if (/^\d+$/.test(one)) {
          heard.acknowledged = Number(one)
          heard.acknowledgements++
        }
        heard.done ||= one === 'done'
        if (one !== 'ready') killWhenDue()
      }
    })
    writer.stdin.write(`${JSON.stringify(life)}\n`)
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null]
    clearTimeout(silence)
    const { said, acknowledged, done, killed } = heard
    return { acknowledged, ended: killed && signal === 'SIGKILL' ? 'killed' : done ? 'done' : 'failed', said }
  }

  private start(): Writer {
    const writer = spawn(process.execPath, [this.copy!.file], { stdio: ['pipe', 'pipe', 'pipe'] })
    // One that was killed does not read what it is told.
    writer.stdin.on('error', () => undefined)
    return writer
  }
}

/** Microseconds are too short for a timer. */
function busyFor(microseconds: number): void {
  const endMs = performance.now() + microseconds / 1_000
  while (performance.now() < endMs);
}
