/** Adds up what the text of a block holds: its lines, their times, and what an index says of them. */
import type { BlockTotals } from './blockSum'
import { SEVERAL, type RecordingHeader } from './recordingHeader'
import { frameTime, MAY_BE_STATE, timeText } from './recordLine'
import { WholeLines } from './wholeLines'

export class TextSum {
  private readonly wholeLines = new WholeLines(LINE_BYTES_MAX)
  private readonly isOfSeveral: boolean
  private textBytes = 0
  private lines = 0
  private lost = 0
  private state = 0
  private firstT: string | undefined
  /** The latest: times may go back. */
  private lastUs = -1
  private lastNs = 0
  /** True when the text so far ends with a line. */
  isWhole = true

  constructor(header: RecordingHeader) {
    this.isOfSeveral = header.venue === SEVERAL
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.textBytes += bytes.length
    this.isWhole = bytes[bytes.length - 1] === NEWLINE
    for (const { text } of this.wholeLines.push(bytes)) {
      if (text === undefined) this.lines += 1
      else this.take(text)
    }
  }

  totals(): Omit<BlockTotals, 'length' | 'sha256'> {
    const { textBytes, lost, state, firstT, lastUs, lastNs } = this
    // A last line that lacks its end is one, too.
    const lines = this.lines + (this.isWhole ? 0 : 1)
    const lastT = lastUs < 0 ? undefined : timeText({ timeUs: lastUs, ns: lastNs })
    return { lines, textBytes, firstT, lastT, lost, state }
  }

  private take(text: string): void {
    for (let at = 0; at < text.length;) {
      const end = text.indexOf('\n', at)
      this.line(text.slice(at, end))
      at = end + 1
    }
  }

  private line(line: string): void {
    this.lines += 1
    const time = this.isOfSeveral ? undefined : frameTime(line)
    if (time !== undefined) this.time(time.timeUs, time.ns)
    else this.otherLine(line)
  }

  private otherLine(line: string): void {
    let wire: Readonly<Record<string, unknown>> | null
    try {
      wire = JSON.parse(line) as Readonly<Record<string, unknown>> | null
    } catch {
      return // the reader says so when it comes here
    }
    const { t, dir, lost, role } = wire ?? {}
    if (typeof t !== 'string' || !/^\d{1,19}$/.test(t)) return
    this.time(t.length > 3 ? Number(t.slice(0, -3)) : 0, Number(t.slice(-3)))
    if (dir === 'gap' && Number.isSafeInteger(lost)) this.lost += lost as number
    else if (dir === 'rest' ? role === 'instruments' : MAY_BE_STATE.test(line)) this.state += 1
  }

  private time(timeUs: number, ns: number): void {
    this.firstT ??= timeText({ timeUs, ns })
    if (timeUs < this.lastUs || (timeUs === this.lastUs && ns <= this.lastNs)) return
    this.lastUs = timeUs
    this.lastNs = ns
  }
}

const LINE_BYTES_MAX = 64 * 1_024 * 1_024
const NEWLINE = 10
