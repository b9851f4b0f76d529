/**
 * A running pipeline on a terminal: per exchange and instrument its state, rate, best prices, gaps; per edge what waits and
 * what was dropped; the process. Redrawn in place, fitted to the window. Without a terminal: one line a second.
 */
import { performance } from 'node:perf_hooks'
import { styleText } from 'node:util'
import { liveClock } from '../clock/liveClock'
import { loopDelay } from '../metrics/loopDelay'
import type { InstrumentRow } from '../pipeline/monitor'
import type { RunStatus } from '../pipeline/run'

export interface TerminalView {
  /** Ends it and leaves the last picture standing. */
  stop(): void
}

interface Reading {
  readonly atMs: number
  readonly events: number
  readonly byRow: ReadonlyMap<string, number>
  readonly cpuUs: number
}

/** Instruments shown when the window does not limit them. */
const ROWS_SHOWN_MAX = 200

export function terminalView(status: () => RunStatus, stream: NodeJS.WriteStream, everyMs?: number): TerminalView {
  const tty = stream.isTTY
  const delay = loopDelay()
  let before = read(status())
  let drawnLines = 0

  const draw = (final: boolean): void => {
    const now = status()
    const reading = read(now)
    const seconds = Math.max(0.001, (reading.atMs - before.atMs) / 1_000)
    const loop = delay.read()
    const process_ = {
      cpuPercent: (reading.cpuUs - before.cpuUs) / 1e4 / seconds,
      rssMb: process.memoryUsage.rss() / 1e6,
      loopMsP99: loop.p99,
    }
    if (tty) {
      const lines = picture(now, before, reading, seconds, process_, stream.columns, final ? undefined : stream.rows)
      const up = drawnLines > 0 ? `\x1b[${drawnLines}A` : ''
      stream.write(`${up}${lines.map((line) => `\x1b[2K${line}`).join('\n')}\n\x1b[0J`)
      drawnLines = lines.length
    } else if (!final) {
      stream.write(`${oneLine(now, before, reading, seconds, process_)}\n`)
    }
    before = reading
  }

  if (tty) stream.write('\x1b[?25l')
  const interval = everyMs ?? (tty ? 500 : 1_000)
  let timer = liveClock.after(interval, function again() {
    draw(false)
    timer = liveClock.after(interval, again)
  })
  return {
    stop() {
      timer.cancel()
      draw(true)
      delay.stop()
      if (tty) stream.write('\x1b[?25h')
    },
  }
}

function read(status: RunStatus): Reading {
  const { user, system } = process.cpuUsage()
  const byRow = new Map<string, number>()
  for (const [key, row] of status.rows) byRow.set(key, row.events)
  return { atMs: performance.now(), events: status.events, byRow, cpuUs: user + system }
}

interface ProcessReading {
  readonly cpuPercent: number
  readonly rssMb: number
  readonly loopMsP99: number
}

function oneLine(now: RunStatus, before: Reading, reading: Reading, seconds: number, own: ProcessReading): string {
  const books = countStates(now)
  const dropped = now.edges.reduce((sum, edge) => sum + Object.values(edge.dropped).reduce((a, b) => a + b, 0), 0)
  const faults = Object.values(now.faults).reduce((a, b) => a + b, 0)
  return [
    `${now.seconds.toFixed(0).padStart(4)} s`,
    `${rate((reading.events - before.events) / seconds)} events/s`,
    `books ${books.live} live${books.gap + books.down > 0 ? `, ${books.gap + books.down} in repair` : ''}`,
    `gaps ${books.gaps} resyncs ${books.resyncs}`,
    `dropped ${dropped}`,
    `faults ${faults}`,
    `cpu ${own.cpuPercent.toFixed(0)} %`,
    `rss ${own.rssMb.toFixed(0)} MB`,
    `loop p99 ${own.loopMsP99.toFixed(1)} ms`,
  ].join('  ')
}

function picture(
  now: RunStatus,
  before: Reading,
  reading: Reading,
  seconds: number,
  own: ProcessReading,
  columns: number,
  windowRows: number | undefined,
): string[] {
  const books = countStates(now)
  const head = `${styleText('bold', now.pipeline)}  ${now.mode}  ${now.seconds.toFixed(0)} s  ${rate((reading.events - before.events) / seconds)} events/s  ${now.connections.length} connections`
  const process_ = `cpu ${own.cpuPercent.toFixed(0)} %  rss ${own.rssMb.toFixed(0)} MB  loop delay p99 ${own.loopMsP99.toFixed(1)} ms  books ${books.live} live  gaps ${books.gaps}  resyncs ${books.resyncs}`
  const faults = Object.entries(now.faults)
    .map(([code, count]) => `${code} ${count}`)
    .join('  ')

  const edges = now.edges
    .filter((edge) => edge.kind !== 'inline')
    .map((edge) => {
      const dropped = Object.values(edge.dropped).reduce((a, b) => a + b, 0)
      return `  ${`${edge.from} → ${edge.to}`.padEnd(34)} ${edge.onFull.padEnd(10)} waiting ${String(edge.inFlight).padStart(6)} of ${String(edge.capacity).padEnd(7)} in ${String(edge.in).padStart(9)}${dropped > 0 ? styleText('yellow', `  dropped ${dropped}`) : ''}`
    })
  const sinks = now.sinks.map(
    (sink) =>
      `  ${sink.name.padEnd(34)} written ${String(sink.written).padStart(9)}  ${megabytes(sink.bytes)}${sink.failed > 0 ? styleText('red', `  failed ${sink.failed}`) : ''}`,
  )
  const tail = ['', styleText('dim', 'edges'), ...edges, styleText('dim', 'sinks'), ...sinks]
  if (faults !== '') tail.push(styleText('yellow', `faults  ${faults}`))

  const rows = [...now.rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1))
  const room = windowRows === undefined ? ROWS_SHOWN_MAX : Math.max(3, windowRows - tail.length - 6)
  const shown = rows.slice(0, room).map(([key, row]) => instrumentLine(key, row, before, seconds))
  if (rows.length > room) shown.push(styleText('dim', `… ${rows.length - room} more`))
  const titles = styleText(
    'dim',
    'exchange         instrument        state      msg/s            bid            ask    spread bp  levels        gaps resyncs',
  )
  return [head, process_, '', titles, ...shown, ...tail].map((line) => fit(line, columns))
}

function instrumentLine(key: string, row: InstrumentRow, before: Reading, seconds: number): string {
  const perSecond = (row.events - (before.byRow.get(key) ?? 0)) / seconds
  const { bidPrice, askPrice } = row
  const both = bidPrice !== undefined && askPrice !== undefined
  const spreadBps = both ? ((askPrice - bidPrice) / ((askPrice + bidPrice) / 2)) * 1e4 : undefined
  const colour = row.state === 'live' ? 'green' : row.state === 'waiting' ? 'dim' : 'red'
  return [
    row.exchange.padEnd(16),
    row.name.padEnd(17),
    styleText(colour, row.state.padEnd(8)),
    rate(perSecond).padStart(8),
    (bidPrice === undefined ? '-' : priceText(bidPrice)).padStart(14),
    (askPrice === undefined ? '-' : priceText(askPrice)).padStart(14),
    (spreadBps === undefined ? '-' : spreadBps.toFixed(2)).padStart(12),
    (row.levels === undefined ? '-' : `${row.levels[0]}/${row.levels[1]}`).padStart(11),
    String(row.gaps).padStart(7),
    String(row.resyncs).padStart(7),
  ].join(' ')
}

function countStates(status: RunStatus): { live: number; gap: number; down: number; gaps: number; resyncs: number } {
  const counts = { live: 0, gap: 0, down: 0, gaps: 0, resyncs: 0 }
  for (const row of status.rows.values()) {
    if (row.state !== 'waiting') counts[row.state]++
    counts.gaps += row.gaps
    counts.resyncs += row.resyncs
  }
  return counts
}

function rate(perSecond: number): string {
  return perSecond >= 100_000 ? `${(perSecond / 1_000).toFixed(0)}k` : perSecond.toFixed(0)
}

function priceText(price: number): string {
  return price >= 1_000 ? price.toFixed(2) : price >= 1 ? price.toFixed(4) : price.toPrecision(6)
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

/** Cuts a line to the window without counting or cutting the colours in it. */
function fit(line: string, columns: number): string {
  let visible = 0
  let index = 0
  while (index < line.length) {
    if (line.charCodeAt(index) === 0x1b) {
      const end = line.indexOf('m', index)
      index = end < 0 ? line.length : end + 1
      continue
    }
    if (visible === columns - 1) return `${line.slice(0, index)}\x1b[0m`
    visible++
    index++
  }
  return line
}
