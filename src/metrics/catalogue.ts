/**
 * Everything that millrace counts and measures: the one place where each metric has its name, kind, unit and meaning.
 *
 * Whoever counts writes `counters.dropped += 1` into a plain field and knows nothing of this file; whoever reads
 * (`registry.ts`) may tell only what stands here. The names are a promise to dashboards and alarms: a test fixes them.
 *
 * Labels   edge      `from`, `to`; of what was dropped `reason`
 *          feed      `exchange`, `endpoint`, `connection` (its place among those of the exchange)
 *          stream    `exchange`, `channel`, `symbol` as the exchange spells it; those beyond 10,000 are one, `(further symbols)`
 *          exchange, rest  `exchange`; stage `stage`; sink `sink`; recording, reading `file`; run.faults `code`
 *          latency   none
 */
import type { MetricSpec } from './metric'

export const CATALOGUE = {
  'run.seconds': gauge('s', 'how long the run has been going on, or went on'),
  'run.records': counter(
    'records',
    'records that were received: frames, REST answers, beginnings and ends of connections',
  ),
  'run.events': counter('events', 'events that were made of them'),
  'run.faults': counter('faults', 'faults that were met, by code'),
  'run.holds': counter('holds', 'times that the sources were held back because an edge that may not drop was full'),
  'run.held': counter('ms', 'for how long the sources were held back, in all'),
  'run.quarantined': counter(
    'messages',
    'messages that stages failed on and that were put into quarantine, or could not be',
  ),

  'edge.received': counter('values', 'values that came to the edge'),
  'edge.sent': counter('values', 'values that left the edge for what is behind it'),
  'edge.dropped': counter('values', 'values that did not come out of the edge, by reason'),
  'edge.depth': gauge('values', 'values that are on the edge: that wait, or are worked on'),
  'edge.high_water': gauge('values', 'most values that have waited on the edge at once'),
  'edge.capacity': gauge('values', 'values that may wait on the edge'),
  'edge.spilled_high_water': gauge('bytes', 'most bytes that have waited for the edge on disk at once'),

  'feed.up': gauge('connections', '1 while the connection is open, else 0'),
  'feed.frames': counter('frames', 'frames that were received on the connection and those before it in its place'),
  'feed.bytes': counter('bytes', 'bytes of these frames'),
  'feed.last_frame_age': gauge('ms', 'time since the last frame'),
  'feed.attempts': counter('attempts', 'attempts to connect'),
  'feed.reconnects': counter('connections', 'times that the connection was begun anew after a failure'),
  'feed.resyncs': counter('snapshots', 'snapshots that were asked for because a book had lost its chain'),
  'feed.refreshes': counter(
    'snapshots',
    'snapshots of books that were right, asked for by stages that had lost theirs',
  ),
  'feed.renewals': counter('subscriptions', 'subscriptions that were renewed because they had fallen silent'),

  'exchange.frames': counter('frames', 'frames that were decoded'),
  'exchange.bytes': counter('bytes', 'bytes of these frames'),
  'exchange.scanned': counter('frames', 'frames that were read by their shape; the others took the plain road'),
  'exchange.unreadable': counter('frames', 'frames that were not what the protocol documents'),
  'exchange.ignored': counter('frames', 'control frames, and documented frames of no use here'),
  'exchange.trades': counter('trades', 'live trades'),
  'exchange.trades_history': counter('trades', 'trades that were sent at subscribing'),
  'exchange.tickers': counter('tickers', 'tickers'),
  'exchange.candles': counter('candles', 'candles'),
  'exchange.derivatives': counter('derivatives', 'marks, fundings and open interests'),
  'exchange.liquidations': counter('liquidations', 'liquidations'),
  'exchange.inexact_numbers': counter('numbers', 'numbers that no double holds exactly'),
  'exchange.snapshots': counter('snapshots', 'snapshots by which a book began'),
  'exchange.deltas': counter('deltas', 'deltas that were let through to books'),
  'exchange.sequence_checked': counter('deltas', 'deltas whose place in the chain was checked by a number'),
  'exchange.sequence_gaps': counter('gaps', 'deltas that did not extend the book'),
  'exchange.stale_deltas': counter('deltas', 'deltas and snapshots that were left out because the book contained them'),
  'exchange.checksums_checked': counter('checksums', 'checksums of books that were compared'),
  'exchange.checksum_failures': counter('checksums', 'checksums of books that were not those of the exchange'),
  'exchange.buffered_deltas': counter('deltas', 'deltas that waited for a REST snapshot'),
  'exchange.unanchored_deltas': counter('deltas', 'deltas that were left out because there was no book for them'),
  'exchange.resyncs': counter('books', 'books that were live again after a gap'),

  'rest.requests': counter('requests', 'REST requests that were sent'),
  'rest.answers': counter('answers', 'REST answers of use'),
  'rest.retries': counter('requests', 'REST requests that were sent again'),
  'rest.rate_limited': counter('answers', 'REST answers that asked to wait'),
  'rest.failures': counter('requests', 'REST requests that were given up'),
  'rest.waiting': gauge('requests', 'REST requests that wait for their turn'),

  'stream.frames': counter('frames', 'frames, and REST answers, with data of this channel and symbol'),
  'stream.bytes': counter('bytes', 'bytes of those of this channel and symbol alone'),
  'stream.events': counter('events', 'events that were decoded'),
  'stream.rate': gauge('events/s', 'events a second over the last second or more'),
  'stream.age': gauge('ms', 'time since the last of them; on a replay in the time of the recording'),
  'stream.gaps': counter('gaps', 'times that a live book was lost, for whatever reason'),
  'stream.resyncs': counter('books', 'times that a book was live again after a gap'),
  'stream.checksum_failures': counter('checksums', 'checksums of the book that were not those of the exchange'),
  'stream.crossed': counter('books', 'times that the book was crossed, where that means a loss'),

  'stage.values': counter('values', 'values that the stage has worked on'),
  'stage.busy': counter(
    'us',
    'time that the stage has worked, without what it calls; worked out from a share of its work, one piece in 64 on a long run',
  ),
  'stage.latency': histogram(
    'us',
    'how long the stage works on what it is given at once, without what it calls; as stage.busy',
  ),
  'stage.faults': counter('faults', 'times that the stage, or source, has failed'),
  'stage.restarts': counter('restarts', 'new instances that took the place of one that had failed'),

  'sink.written': counter('values', 'values that are safe at the destination'),
  'sink.bytes': counter('bytes', 'bytes that are safe at the destination'),
  'sink.failed': counter('batches', 'batches that were given up after all retries'),
  'sink.retries': counter('attempts', 'attempts to write a batch after the first'),
  'sink.dead_lettered': counter('values', 'values that were given up and stand among the dead letters'),
  'sink.queue': gauge('values', 'values that wait for the sink or are being written'),

  'latency.exchange_to_receive': histogram(
    'us',
    "from the exchange's stamp to the socket's callback; 0 where the exchange's clock is ahead of ours",
  ),
  'latency.receive_to_decode': histogram('us', "from the socket's callback until the frame is events"),
  'latency.decode_to_operator': histogram(
    'us',
    'from there until what the operators made of it comes to the edge of a sink',
  ),
  'latency.operator_to_sink': histogram('us', 'from there until it is safe at the destination'),
  'latency.receive_to_sink': histogram('us', 'the whole of the last three, of all sampled frames'),
  'latency.exchange_to_sink': histogram('us', 'the whole of all four, of sampled frames whose exchange says the time'),
  'latency.exchange_ahead': counter('frames', "sampled frames whose exchange's clock was ahead of ours"),

  'recording.lines': counter('lines', 'lines that the recording took'),
  'recording.lost': counter(
    'lines',
    'lines that are missing from the recording because the disk was too slow or failed',
  ),
  'recording.bytes': counter('bytes', 'size of the recording on the disk'),
  'recording.retries': counter('attempts', 'attempts to write the recording after the first'),

  'reading.lines': counter('lines', 'lines of the recording after its header'),
  'reading.records': counter('records', 'records that were read from the recording'),
  'reading.unreadable': counter('lines', 'lines that are broken and were skipped'),
  'reading.ignored': counter('lines', 'lines of a kind that this version does not know'),
  'reading.lost': counter('lines', 'lines that are missing because the recorder had no room for them'),
  'reading.bytes': counter('bytes', 'text that was read, unpacked'),

  'process.cpu': gauge('percent', 'of one core, since the start of the run'),
  'process.resident': gauge('bytes', 'memory of the process'),
  'loop.delay': gauge('ms', 'how long the event loop keeps timers waiting, since the start of the run, by percentile'),

  'metrics.overflowed': counter(
    'values',
    'values of a metric of the pipeline whose labels were more than may be, counted together',
  ),
  'metrics.refused': counter(
    'values',
    'values of a metric of the pipeline that were no numbers, or would have made a counter fall',
  ),
} as const satisfies Readonly<Record<string, MetricSpec>>

/** The name of a metric of millrace. */
export type MetricName = keyof typeof CATALOGUE

/** What stands before the dot in names of millrace: no metric of a pipeline may begin so. */
export const OWN_GROUPS: ReadonlySet<string> = new Set([
  ...Object.keys(CATALOGUE).map((name) => name.slice(0, name.indexOf('.'))),
  // Parts that a run may have beside what it counts itself.
  ...['gc', 'worker', 'stall', 'health', 'server', 'dashboard', 'millrace'],
])

function counter<U extends string>(unit: U, meaning: string) {
  return { kind: 'counter', unit, meaning } as const
}

function gauge<U extends string>(unit: U, meaning: string) {
  return { kind: 'gauge', unit, meaning } as const
}

function histogram<U extends string>(unit: U, meaning: string) {
  return { kind: 'histogram', unit, meaning } as const
}
