/**
 * What is said of a run when it has ended, word for word.
 */
import { expect } from 'chai'
import path from 'node:path'
import { runReport } from '../../src/cli/runReport'
import type { RunSummary } from '../../src/pipeline/runSummary'

describe('The report of a run', () => {
  it('shows edges where something can wait, sinks, and the figures of the run', () => {
    expect(runReport(SUMMARY, 'x.ts').join('\n')).to.equal(`
edge            kind     on full  in  out  dropped  in flight
──────────────  ───────  ───────  ──  ───  ───────  ─────────
okx → market    mailbox  block     9    8        0          1
check → trades  mailbox  block     7    4        3          0

sink    written  bytes  failed
──────  ───────  ─────  ──────
trades        7    900       0

trade-checks ran 2.5 s (simulate): 2 books live, 1 gaps, 1 resyncs.
Receive to sink: p50 1.00 ms, p99 20.0 ms, max 30.0 ms.
Event-loop delay: p50 1.00 ms, p99 2.00 ms, max 3.00 ms. CPU 12.5 %, memory 70 MB.`)
  })

  it('shows stages that failed, where the messages are, how they are tried again, and what was not repaired', () => {
    const failing: RunSummary = {
      ...SUMMARY,
      stages: [
        {
          ...{ name: 'check', path: 'trade-checks/g/check', state: 'stopped', failures: 3, restarts: 2 },
          lastFault: 'It failed on\x1b[2J a trade.',
        },
      ],
      quarantine: { kept: 2, unkept: 1, file: path.resolve('out/quarantine/trade-checks.jsonl') },
      problems: ['The stage trade-checks/g/check failed.'],
    }
    const text = runReport(failing, "pipelines/trader's checks.ts").join('\n')
    expect(text.slice(text.indexOf('\nstage'), text.indexOf('trade-checks ran'))).to.equal(`
stage                 state    failures  restarts  the last fault
────────────────────  ───────  ────────  ────────  ─────────────────────────
trade-checks/g/check  stopped         3         2  It failed on·[2J a trade.

`)
    expect(text.slice(text.indexOf('Quarantine'))).to.equal(
      `Quarantine: 2 messages that stages failed on are kept. 1 more was not kept. When the cause is mended, try them again:
  millrace quarantine out/quarantine/trade-checks.jsonl --pipeline 'pipelines/trader'\\''s checks.ts'
Not repaired: The stage trade-checks/g/check failed.`,
    )
  })

  it('shows an edge in line that lost something, and a quarantine that could keep nothing', () => {
    const inline = { ...SUMMARY.edges[1]!, dropped: { failed: 2 } }
    const report = runReport(
      { ...SUMMARY, edges: [inline], quarantine: { kept: 0, unkept: 2, file: undefined } },
      'x.ts',
    ).join('\n')
    expect(report).to.match(/^market → check +inline +none +7 +7 +2 +0$/m)
    expect(report).to.contain('\nQuarantine: nothing could be kept. 2 more were not kept.')
  })

  it('has a column of dead letters where there are any', () => {
    const [trades] = SUMMARY.sinks
    const sinks = [trades!, { name: 'hook', written: 2, bytes: 90, failed: 1, deadLettered: 5 }]
    const text = runReport({ ...SUMMARY, sinks }, 'x.ts').join('\n')
    expect(text.slice(text.indexOf('\nsink'), text.indexOf('\ntrade-checks ran'))).to.equal(`
sink    written  bytes  failed  dead letters
──────  ───────  ─────  ──────  ────────────
trades        7    900       0             0
hook          2     90       1             5
`)
  })

  it('says how long the sources were held back', () => {
    const lines = (times: number): string =>
      runReport({ ...SUMMARY, held: { times, seconds: 1.25 } }, 'x.ts').join('\n')
    expect(lines(1)).to.contain('\nThe sources were held back 1 time, 1.3 s in all, by edges that may not drop.\n')
    expect(lines(9)).to.contain('held back 9 times')
  })

  it('names the file as it is when it lies elsewhere, and one message as one', () => {
    const quarantine = { kept: 1, unkept: 0, file: '/elsewhere/quarantine/trade-checks.jsonl' }
    const report = runReport({ ...SUMMARY, quarantine }, 'x.ts').join('\n')
    expect(report).to.contain('Quarantine: 1 message that stages failed on is kept. When the cause is mended')
    expect(report).to.contain('\n  millrace quarantine /elsewhere/quarantine/trade-checks.jsonl --pipeline x.ts')
  })
})

const SUMMARY: RunSummary = {
  format: 'millrace-run/1',
  pipeline: 'trade-checks',
  mode: 'simulate',
  seconds: 2.5,
  edges: [
    {
      from: 'okx',
      to: 'market',
      kind: 'mailbox',
      capacity: 10,
      onFull: 'block',
      in: 9,
      out: 8,
      dropped: {},
      inFlight: 1,
    },
    {
      from: 'market',
      to: 'check',
      kind: 'inline',
      capacity: 0,
      onFull: 'none',
      in: 7,
      out: 7,
      dropped: {},
      inFlight: 0,
    },
    {
      ...{ from: 'check', to: 'trades', kind: 'mailbox', capacity: 10, onFull: 'block', in: 7, out: 4 },
      ...{ dropped: { dropOldest: 2, rejected: 1 }, inFlight: 0 },
    },
  ],
  sinks: [{ name: 'trades', written: 7, bytes: 900, failed: 0 }],
  stages: [],
  quarantine: undefined,
  held: { times: 0, seconds: 0 },
  faults: {},
  books: { live: 2, gaps: 1, resyncs: 1 },
  latencyUs: { receiveToSink: { p50: 1_000, p99: 20_000, max: 30_000 } },
  process: { cpuPercent: 12.5, rssBytes: 70e6, loopDelayMs: { p50: 1, p99: 2, max: 3 } },
  problems: [],
}
