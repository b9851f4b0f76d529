import { expect } from 'chai'
import { CATALOGUE, OWN_GROUPS, type MetricName } from '../../src/metrics/catalogue'

/** Dashboards and alarms of others are written against these: a name that goes, or changes its kind or unit, breaks them. */
const PROMISED = `
  run.seconds gauge s
  run.records counter records
  run.events counter events
  run.faults counter faults
  run.holds counter holds
  run.held counter ms
  run.quarantined counter messages

  edge.received counter values
  edge.sent counter values
  edge.dropped counter values
  edge.depth gauge values
  edge.high_water gauge values
  edge.capacity gauge values
  edge.spilled_high_water gauge bytes

  feed.up gauge connections
  feed.frames counter frames
  feed.bytes counter bytes
  feed.last_frame_age gauge ms
  feed.attempts counter attempts
  feed.reconnects counter connections
  feed.resyncs counter snapshots
  feed.refreshes counter snapshots
  feed.renewals counter subscriptions

  exchange.frames counter frames
  exchange.bytes counter bytes
  exchange.scanned counter frames
  exchange.unreadable counter frames
  exchange.ignored counter frames
  exchange.trades counter trades
  exchange.trades_history counter trades
  exchange.tickers counter tickers
  exchange.candles counter candles
  exchange.derivatives counter derivatives
  exchange.liquidations counter liquidations
  exchange.inexact_numbers counter numbers
  exchange.snapshots counter snapshots
  exchange.deltas counter deltas
  exchange.sequence_checked counter deltas
  exchange.sequence_gaps counter gaps
  exchange.stale_deltas counter deltas
  exchange.checksums_checked counter checksums
  exchange.checksum_failures counter checksums
  exchange.buffered_deltas counter deltas
  exchange.unanchored_deltas counter deltas
  exchange.resyncs counter books

  rest.requests counter requests
  rest.answers counter answers
  rest.retries counter requests
  rest.rate_limited counter answers
  rest.failures counter requests
  rest.waiting gauge requests

  stream.frames counter frames
  stream.bytes counter bytes
  stream.events counter events
  stream.rate gauge events/s
  stream.age gauge ms
  stream.gaps counter gaps
  stream.resyncs counter books
  stream.checksum_failures counter checksums
  stream.crossed counter books

  stage.values counter values
  stage.busy counter us
  stage.latency histogram us
  stage.faults counter faults
  stage.restarts counter restarts

  sink.written counter values
  sink.bytes counter bytes
  sink.failed counter batches
  sink.retries counter attempts
  sink.dead_lettered counter values
  sink.queue gauge values

  latency.exchange_to_receive histogram us
  latency.receive_to_decode histogram us
  latency.decode_to_operator histogram us
  latency.operator_to_sink histogram us
  latency.receive_to_sink histogram us
  latency.exchange_to_sink histogram us
  latency.exchange_ahead counter frames

  recording.lines counter lines
  recording.lost counter lines
  recording.bytes counter bytes
  recording.retries counter attempts

  reading.lines counter lines
  reading.records counter records
  reading.unreadable counter lines
  reading.ignored counter lines
  reading.lost counter lines
  reading.bytes counter bytes

  process.cpu gauge percent
  process.resident gauge bytes
  loop.delay gauge ms

  metrics.overflowed counter values
  metrics.refused counter values
`

describe('The catalogue of metrics', () => {
  const names = Object.keys(CATALOGUE) as MetricName[]

  it('keeps to the names, kinds and units that others rely on', () => {
    const promised = PROMISED.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
    const found = names.map((name) => `${name} ${CATALOGUE[name].kind} ${CATALOGUE[name].unit}`)
    expect(found).to.have.members(promised)
  })

  it('says of each in one line what it means, and names it by words of small letters', () => {
    for (const name of names) {
      const { meaning, unit } = CATALOGUE[name]
      expect(name).to.match(/^[a-z]+\.[a-z]+(_[a-z]+)*$/)
      expect(meaning, name).to.match(/^\S.{5,160}\S$/)
      expect(unit, name).to.match(/^\S+$/)
    }
  })

  it('keeps its groups for itself', () => {
    for (const name of names) expect(OWN_GROUPS.has(name.split('.')[0]!), name).to.equal(true)
  })
})
