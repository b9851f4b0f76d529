import { expect } from 'chai'
import { exchangeById, EXCHANGES } from '../../src/exchanges/exchanges'
import { Audit, isClean, type AuditReport } from '../../src/feed/audit'
import type { InRecord, SessionRecord } from '../../src/feed/record'
import type { Fault } from '../../src/model/fault'
import { needsShared, readGolden } from '../kit/shared'
import { answered, received, recordsOf, WHOLE_SESSIONS } from './sessionRecords'

describe('Audit', () => {
  it('of nothing is clean and empty', () => {
    const report = auditOf([])
    expect(report).to.deep.include({ format: 'millrace-audit/1', exchange: 'none', frames: 0, books: {}, faults: {} })
    expect(isClean(report)).to.equal(true)
  })

  it('names an exchange that was connected to and said nothing', () => {
    const report = auditOf([{ dir: 'open', exchange: 'okx', connection: 0, timeUs: 1, ns: 0, url: '' }])
    expect(report).to.deep.include({ exchange: 'okx', frames: 0, unreadable: 0, books: {} })
  })

  it('says how many frames were read by their shape: the first with a key only teaches it', () => {
    const trade = (id: number): SessionRecord =>
      received(
        'binance',
        `{"stream":"abc@trade","data":{"e":"trade","E":1700000000000,"s":"ABC","t":${id},"p":"1.50","q":"2.00","T":1700000000000,"m":true,"M":true}}`,
      )
    expect(auditOf([trade(1), trade(2), trade(3)])).to.deep.include({ frames: 3, scanned: 2, unreadable: 0 })
  })

  it('shows each book as it stood, with the digits of the wire', () => {
    const report = auditOf([
      book('snapshot', 5),
      book('delta', 6, [
        ['1.50', '0.00'],
        ['1.40', '7.0'],
      ]),
    ])
    expect(report.books).to.deep.equal({
      ABC: { state: 'live', bids: [['1.40', '7.0']], asks: [['2.00', '5.0']], levels: [1, 1] },
    })
    expect(report.counts).to.include({ bookSnapshots: 1, bookDeltas: 1 })
    expect(report.sequence).to.deep.equal({ checked: 1, gaps: 0, stale: 0 })
  })

  it('shows ten levels of each side, best first, and says how many there are', () => {
    const bids = Array.from({ length: 25 }, (_, index): [string, string] => [`1.${String(index + 10)}`, '1'])
    const { ABC } = auditOf([book('snapshot', 5, bids)]).books
    expect(ABC!.bids.map(([price]) => price)).to.deep.equal(
      bids
        .map(([price]) => price)
        .reverse()
        .slice(0, 10),
    )
    expect(ABC!.levels).to.deep.equal([25, 1])
  })

  describe('finds not clean', () => {
    for (const [what, records, expected] of [
      ['a delta that is missing', [book('snapshot', 5), book('delta', 7)], { gaps: 1, state: 'awaitingSnapshot' }],
      ['deltas that were swapped', [book('snapshot', 5), book('delta', 7), book('delta', 6)], { gaps: 1 }],
      [
        'a delta whose price is negative',
        [book('snapshot', 5), book('delta', 6, [['-1.5', '1']])],
        { unreadable: 1, state: 'awaitingSnapshot' },
      ],
      ['a frame that is cut off', [book('snapshot', 5), cut(book('delta', 6))], { unreadable: 1, state: 'live' }],
      ['a frame that nobody documents', [book('snapshot', 5), received('bybit', '{"a":1}')], { unreadable: 1 }],
    ] as const) {
      it(what, () => {
        const report = auditOf(records)
        expect(isClean(report)).to.equal(false)
        const { ABC } = report.books
        expect({ gaps: report.sequence.gaps, unreadable: report.unreadable, state: ABC!.state }).to.include(expected)
        if (ABC!.state === 'awaitingSnapshot') {
          expect([ABC!.bids, ABC!.asks, ABC!.levels], 'a book that is in doubt shows nothing').to.deep.equal([
            ...[[], [], [0, 0]],
          ])
        }
      })
    }

    it('a REST snapshot that does not join what follows, and says so once', () => {
      const report = auditOf([
        binanceDelta(9),
        binanceDelta(10),
        answered('binance', `${exchangeById('binance').hosts.rest}/api/v3/depth?symbol=ABC&limit=5`, {
          ...{ lastUpdateId: 5, bids: [], asks: [] },
        }),
      ])
      expect(report.sequence.gaps).to.equal(1)
      expect(isClean(report)).to.equal(false)
      expect(report.faults).to.deep.equal({ SNAPSHOT_FAILED: 1 })
    })
  })

  it('finds a delta that is repeated, or older than the book, harmless', () => {
    const report = auditOf([book('snapshot', 5), book('delta', 6), book('delta', 6), book('delta', 7)])
    expect(isClean(report)).to.equal(true)
    expect(report.sequence).to.deep.include({ gaps: 0, stale: 1 })
    expect(report.counts.bookDeltas).to.equal(2)
  })

  it('goes on after a gap when there is a snapshot', () => {
    const report = auditOf([book('snapshot', 5), book('delta', 9), book('snapshot', 20), book('delta', 21)])
    expect(report.sequence.gaps).to.equal(1)
    expect(report.books['ABC']!.state).to.equal('live')
    expect(report.counts).to.include({ bookSnapshots: 2, bookDeltas: 1 })
  })

  it('shows a book as it stood when its connection was closed, until another is opened', () => {
    const closed: SessionRecord = {
      ...{ dir: 'close', exchange: 'bybit', connection: 0, timeUs: 9, ns: 0 },
      code: 1000,
      reason: '',
    }
    const reopened: SessionRecord = { dir: 'open', exchange: 'bybit', connection: 1, timeUs: 10, ns: 0, url: '' }
    const ended = [book('snapshot', 5), closed]
    expect(auditOf(ended).books['ABC']).to.deep.include({ state: 'live', levels: [1, 1] })
    expect(auditOf([...ended, reopened]).books['ABC']).to.deep.include({ state: 'awaitingSnapshot', levels: [0, 0] })
  })

  it('counts numbers that a double cannot hold, and shows their texts', () => {
    const report = auditOf([book('snapshot', 5, [['1.2345678901234567891', '1']])])
    expect(report.inexactNumbers).to.equal(1)
    expect(report.books['ABC']!.bids).to.deep.equal([['1.2345678901234567891', '1']])
  })

  it('counts the updates after which a book was crossed', () => {
    const report = auditOf([book('snapshot', 5), book('delta', 6, [['3', '1']]), book('delta', 7, [['3', '0']])])
    expect(report.crossed).to.equal(1)
  })

  it('tells of each fault while its record is taken', () => {
    const told: string[] = []
    const audit = new Audit(exchangeById, (fault: Fault) => told.push(fault.code))
    for (const record of [book('snapshot', 5), book('delta', 9), received('bybit', '{')]) {
      audit.take(record)
      told.push('|')
    }
    expect(told).to.deep.equal(['|', 'BOOK_GAP', '|', 'FRAME_UNREADABLE', '|'])
  })

  it('keeps books whose names are those of prototypes', () => {
    const report = auditOf([book('snapshot', 5, undefined, '__proto__'), book('snapshot', 5, undefined, 'constructor')])
    expect(Object.keys(report.books)).to.deep.equal(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>)['state']).to.equal(undefined)
  })

  it('reports several exchanges side by side and together', () => {
    const report = auditOf([
      book('snapshot', 5),
      book('delta', 9),
      received('okx', '{', OTHER),
      received('okx', 'pong', OTHER),
    ])
    expect(report).to.deep.include({ exchange: 'several', frames: 4, unreadable: 1, ignored: 1 })
    expect(Object.keys(report.exchanges!)).to.deep.equal(['bybit', 'okx'])
    expect(Object.keys(report.books)).to.deep.equal(['bybit ABC'])
    expect(report.faults).to.deep.equal({ BOOK_GAP: 1, FRAME_UNREADABLE: 1 })
    expect(isClean(report.exchanges!['okx']!)).to.equal(false)
  })

  describe('of real sessions', function () {
    this.timeout(60_000)

    before(function () {
      needsShared(this)
    })

    /** Where a lost delta is seen by its number. Elsewhere a checksum or a crossed book shows it, not always at once. */
    const numbered = ['binance', 'binance-futures', 'bybit']

    for (const id of EXCHANGES.keys()) {
      it(`of ${id} is clean, and every delta that is repeated leaves the same books`, async () => {
        const records = await recordsOf(WHOLE_SESSIONS[id]!)
        const whole = auditOf(records)
        expect(isClean(whole), JSON.stringify(whole.faults)).to.equal(true)
        expect(Object.keys(whole.books).length).to.be.above(0)
        if (!numbered.includes(id)) return
        const repeated = auditOf(
          records.flatMap((record): SessionRecord[] => (isDelta(record) ? [record, record] : [record])),
        )
        expect(isClean(repeated)).to.equal(true)
        expect(repeated.books).to.deep.equal(whole.books)
      })

      if (!numbered.includes(id)) continue
      it(`of ${id} is not clean when two deltas of a book in its middle were swapped`, async () => {
        const records = await recordsOf(WHOLE_SESSIONS[id]!)
        const found = neighbours(records)
        expect(found.length).to.be.above(0)
        const [first, second] = found[Math.floor(found.length / 2)]!
        const swapped = records.with(first, records[second]!).with(second, records[first]!)
        expect(isClean(auditOf(swapped))).to.equal(false)
      })
    }

    it('of an exchange with checksums counts them as the golden summary does', async () => {
      const golden = readGolden('okx')
      const { checksums } = auditOf(await recordsOf(WHOLE_SESSIONS['okx']!))
      expect(checksums).to.deep.equal({ checked: golden.checksum.checked, failed: 0 })
    })

    it('of an exchange with checksums fails at a level that was changed', async () => {
      const records = await recordsOf('kraken.v2-btcusd-20260824')
      const at = records.findIndex((record) => record.dir === 'in' && String(record.data).includes('"type":"snapshot"'))
      const record = records[at] as InRecord
      const changed = String(record.data).replace(
        /("qty":)0\.(\d)/,
        (_, key: string, digit: string) => `${key}1.${digit}`,
      )
      expect(changed).not.to.equal(String(record.data))
      const report = auditOf(records.with(at, { ...record, data: changed }))
      expect(report.checksums.failed).to.equal(1)
      expect(report.books['BTC/USD']?.state ?? 'awaitingSnapshot').to.equal('awaitingSnapshot')
      expect(isClean(report)).to.equal(false)
    })
  })
})

const OTHER = { connection: 1 }

function auditOf(records: readonly SessionRecord[]): AuditReport {
  const audit = new Audit(exchangeById)
  for (const record of records) audit.take(record)
  return audit.report([])
}

function book(
  type: 'snapshot' | 'delta',
  u: number,
  bids: readonly (readonly [string, string])[] = [['1.50', '5.0']],
  symbol = 'ABC',
): InRecord {
  const data = { s: symbol, b: bids, a: [['2.00', '5.0']], u, seq: u }
  return received('bybit', { topic: `orderbook.50.${symbol}`, type, ts: 1_733_011_201_990, data })
}

function binanceDelta(u: number): InRecord {
  const data = { e: 'depthUpdate', E: 1_633_998_514_469, s: 'ABC', U: u, u, b: [['1.0', '6']], a: [] }
  return received('binance', { stream: 'abc@depth@100ms', data })
}

function cut(record: InRecord): InRecord {
  return { ...record, data: String(record.data).slice(0, -10) }
}

function isDelta(record: SessionRecord): record is InRecord {
  return record.dir === 'in' && /"e":"depthUpdate"|"type":"delta"/.test(String(record.data))
}

/** Pairs of deltas of one symbol that follow one another, in the second half of a session, where every book has its snapshot. */
function neighbours(records: readonly SessionRecord[]): (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = []
  const last = new Map<string, number>()
  for (const [at, record] of records.entries()) {
    if (!isDelta(record)) continue
    const symbol = /"s":"([^"]+)"/.exec(String(record.data))![1]!
    const before = last.get(symbol)
    if (before !== undefined && before > records.length / 2) pairs.push([before, at])
    last.set(symbol, at)
  }
  return pairs
}
