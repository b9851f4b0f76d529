/**
 * A day of three instruments as a recording, made by the recorder itself: trades, best prices and depth in the shapes of
 * Binance, whose prices walk and whose digits do not repeat, so that it compresses as a real one does (about eight times).
 */
import { setTimeout as wait } from 'node:timers/promises'
import { liveClock } from '../../src/clock/liveClock'
import type { SessionRecord } from '../../src/feed/record'
import { openRecording } from '../../src/feed/recording/recordingWriter'
import { seeded } from './random'

export const DAY_START_US = 1_767_225_600_000_000
export const DAY_US = 86_400_000_000

const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'] as const
/** Frames between two looks at whether the disk keeps up. */
const PORTION = 100_000
/** Looks in a row at which nothing more is written. */
const QUIET = 4

/** Frames one after another, without end. */
export function marketFrames(seed: number): () => string {
  const random = seeded(seed)
  const mids = [60_000, 3_000, 150]
  let id = 4_000_000_000
  const size = (): string => (random() * 3).toFixed(5)
  return () => {
    const at = Math.floor(random() * SYMBOLS.length)
    const symbol = SYMBOLS[at]!
    const mid = (mids[at]! *= 1 + (random() - 0.5) * 2e-5)
    const price = (away: number): string => (mid * (1 + away * 1e-5)).toFixed(2)
    id += 1 + Math.floor(random() * 3)
    const kind = random()
    if (kind < 0.45) {
      return `{"u":${id},"s":"${symbol}","b":"${price(-1)}","B":"${size()}","a":"${price(1)}","A":"${size()}"}`
    }
    if (kind < 0.75) {
      const ms = DAY_START_US / 1_000 + (id % 86_400_000)
      return `{"e":"trade","E":${ms},"s":"${symbol}","t":${id},"p":"${price(random())}","q":"${size()}","T":${ms},"m":${random() < 0.5},"M":true}`
    }
    const levels = (side: number): string =>
      Array.from({ length: 1 + Math.floor(random() * 5) }, (_, i) => `["${price(side * (i + 1))}","${size()}"]`).join(
        ',',
      )
    return `{"e":"depthUpdate","E":${id},"s":"${symbol}","U":${id},"u":${id + 2},"b":[${levels(-1)}],"a":[${levels(1)}]}`
  }
}

/**
 * Writes the day.
 *
 * @param frames  how many, evenly over 24 hours
 * @returns       bytes of the file
 */
export async function writeDay(file: string, frames: number): Promise<number> {
  let problem: string | undefined
  const writer = await openRecording(
    file,
    { venues: ['binance'], startedUs: DAY_START_US },
    {
      clock: liveClock,
      onFault: ({ message }) => (problem ??= message),
      queueBytesMax: 256 * 1_024 * 1_024,
      closeWithinMs: 120_000,
    },
  )
  const next = marketFrames(11)
  const base = { ns: 0, connection: 0, exchange: 'binance' } as const
  writer.write({ ...base, timeUs: DAY_START_US, dir: 'open', url: 'wss://stream.binance.com:9443/ws' })
  for (let sent = 0; sent < frames; sent++) {
    const timeUs = DAY_START_US + Math.floor((sent / frames) * DAY_US)
    const record: SessionRecord = { ...base, timeUs, dir: 'in', data: Buffer.from(next()), isText: true }
    writer.write(record)
    if (sent % PORTION === 0) {
      for (let quiet = 0, before = -1; quiet < QUIET;) {
        quiet = before === writer.counters.bytes ? quiet + 1 : 0
        before = writer.counters.bytes
        await wait(20)
      }
    }
  }
  const summary = await writer.close()
  problem ??= summary.complete && summary.lost === 0 ? undefined : `${file} lacks ${summary.lost} lines.`
  if (problem !== undefined) throw new Error(problem)
  return summary.bytes
}
