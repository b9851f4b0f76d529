/**
 * Recording as a pipeline: what it leaves audits clean and can be replayed.
 */
import { expect } from 'chai'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Audit, isClean, type AuditReport } from '../../src/feed/audit'
import { replayRecords } from '../../src/feed/recording/mergeRecordings'
import type { Fault } from '../../src/model/fault'
import { runUntil, shippedPipeline } from './pipelines'

describe('The pipeline record', function () {
  let out: string
  before(async () => {
    out = await mkdtemp(path.join(tmpdir(), 'millrace-record-'))
  })
  after(() => rm(out, { recursive: true, force: true }))

  it('leaves a recording of both exchanges that audits clean', async function () {
    const pipeline = shippedPipeline(this, 'record')
    const file = path.join(out, 'session.ndjson.gz')
    const summary = await runUntil(pipeline, { simulate: true, out }, async () => hasMuch((await audited(file)).report))
    expect(summary.problems).to.deep.equal([])

    const { report, faults, dirs } = await audited(file)
    expect(faults.map(({ message }) => message)).to.deep.equal([])
    expect(isClean(report)).to.equal(true)
    expect(report.crossed + report.inexactNumbers).to.equal(0)
    expect(Object.keys(report.exchanges!).sort()).to.deep.equal(['binance', 'kraken'])
    hasMuch(report)
    for (const dir of ['open', 'out', 'in', 'rest', 'close']) expect(dirs.get(dir), dir).to.be.greaterThan(0)
  })
})

function hasMuch({ exchanges }: AuditReport): void {
  expect(Object.keys(exchanges!)).to.have.length(2)
  for (const { counts, books, exchange } of Object.values(exchanges!)) {
    expect(Object.keys(books), exchange).to.have.length(2)
    expect(counts.bookSnapshots, exchange).to.equal(2)
    expect(counts.bookDeltas, exchange).to.be.greaterThan(20)
    expect(counts.trades, exchange).to.be.greaterThan(0)
  }
  expect(exchanges!['kraken']!.checksums.checked).to.be.greaterThan(20)
}

/** What the file holds by now. */
async function audited(file: string) {
  const faults: Fault[] = []
  const audit = new Audit(exchangeById)
  const dirs = new Map<string, number>()
  for await (const batch of replayRecords([file], { onFault: (fault) => faults.push(fault) })) {
    for (const record of batch) {
      dirs.set(record.dir, (dirs.get(record.dir) ?? 0) + 1)
      audit.take(record)
    }
  }
  return { report: audit.report([file]), faults, dirs }
}
