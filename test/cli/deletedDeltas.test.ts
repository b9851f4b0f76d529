/**
 * Deletes every single delta of real sessions, one at a time, and asks the audit.
 *
 * What a protocol lets one see is known exactly, and the audit must say no more and no less:
 *
 *     binance          every delta that the book needed, as soon as another follows it
 *     binance-futures  the same, except one that ends at the snapshot's own number and so brings nothing new
 *     bybit            every delta, as soon as another follows it
 *     kraken, okx      every delta that some later checksum covers: one that changes the 10 (25) best levels, at once or
 *                      when the levels above it go
 *     coinbase         nothing for certain: a loss shows only when it leaves the book crossed
 *
 * So a stale delta, and the last one of a book, can nowhere be missed.
 */
import { expect } from 'chai'
import { Level2Book } from '../../src/book/level2Book'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Audit, isClean, type AuditReport } from '../../src/feed/audit'
import type { SessionRecord } from '../../src/feed/record'
import { replayRecords } from '../../src/feed/recording/mergeRecordings'
import { Sessions } from '../../src/feed/sessions'
import type { BookChange } from '../../src/model/events'
import { needsShared, sharedPath } from '../kit/shared'

/** What one book of a session consists of. */
interface BookSession {
  readonly symbol: string
  /** All records that its audit needs, and no other book's. */
  readonly records: readonly SessionRecord[]
  /** Where among them its deltas are, and what they say. */
  readonly deltas: readonly { readonly at: number; readonly changes: readonly BookChange[] }[]
  /** Its first snapshot. */
  readonly snapshot: BookChange
}

describe('A deleted delta', function () {
  this.timeout(180_000)

  before(function () {
    needsShared(this)
  })

  it('of Binance is noticed whenever the book needed it and another follows', async () => {
    const unnoticed = await deleteEach('binance.ws1', ({ deltas, snapshot }, index) => {
      const { seq } = deltas[index]!.changes[0]!
      return seq! > snapshot.seq! && index < deltas.length - 1
    })
    // One last delta for each of the four books, and the five that their snapshots contained already.
    expect(unnoticed).to.equal(4 + 5)
  })

  it('of Binance futures is noticed whenever the book needed it and another follows', async () => {
    await deleteEach('binance-futures.ws1', ({ deltas, snapshot }, index) => {
      const { seq } = deltas[index]!.changes[0]!
      return seq! > snapshot.seq! && index < deltas.length - 1
    })
  })

  it('of Bybit is noticed whenever another follows', async () => {
    const unnoticed = await deleteEach(
      'bybit.xrpusdt-ob500-20241201.first60',
      ({ deltas }, index) => index < deltas.length - 1,
    )
    expect(unnoticed).to.equal(1)
  })

  it('of Kraken v2 is noticed when a later checksum covers what it changed', async () => {
    await deleteEach('kraken.v2-btcusd-20260824', (session, index) => coveredLater(session, index, 10))
  })

  it('of Kraken v1 is noticed when a later checksum covers what it changed', async () => {
    // The session holds 2,549 deltas of ten books; every delta of the quieter ones, which are deep and shallow alike.
    await deleteEach('kraken.ws50.first60', (session, index) => coveredLater(session, index, 10), QUIET_DELTAS_MAX)
  })

  it('of OKX is noticed when a later checksum covers what it changed', async () => {
    await deleteEach('okx.ws1.first60', (session, index) => coveredLater(session, index, 25))
  })

  it('of Coinbase is noticed only by a crossed book, and the audit claims no more', async () => {
    let crossings = 0
    for (const session of await bookSessions('coinbase.ws28.first60')) {
      for (let index = 0; index < session.deltas.length; index += COINBASE_STEP) {
        const crossed = crossedLater(session, index)
        const report = auditWithout(session, session.deltas[index]!.at)
        expect((report.faults['BOOK_CROSSED'] ?? 0) > 0, `${session.symbol} without delta ${index}`).to.equal(crossed)
        if (crossed) crossings++
      }
    }
    expect(crossings, 'losses that show').to.be.greaterThan(0)
  })
})

/** Books with more deltas than this are left to the checksums of the others: the work grows with the square. */
const QUIET_DELTAS_MAX = 220
const COINBASE_STEP = 37

/** Deletes each delta of each book alone, holds the audit to what is provable, and returns how many were not noticed. */
async function deleteEach(
  name: string,
  provable: (session: BookSession, index: number) => boolean,
  deltasMax = Infinity,
): Promise<number> {
  let unnoticed = 0
  let noticed = 0
  for (const session of await bookSessions(name)) {
    if (session.deltas.length > deltasMax) continue
    expect(isClean(auditWithout(session, undefined)), `${session.symbol} with all its deltas`).to.equal(true)
    for (const [index, { at }] of session.deltas.entries()) {
      const clean = isClean(auditWithout(session, at))
      expect(!clean, `${session.symbol} without delta ${index} of ${session.deltas.length} is noticed`).to.equal(
        provable(session, index),
      )
      if (clean) unnoticed++
      else noticed++
    }
  }
  expect(noticed, 'deletions that are noticed').to.be.greaterThan(0)
  return unnoticed
}

/** True when, without this delta, some later state of the book has other best levels than it should. */
function coveredLater({ deltas, snapshot }: BookSession, index: number, levels: number): boolean {
  const whole = bookOf(snapshot)
  const lacking = bookOf(snapshot)
  for (const [at, { changes }] of deltas.entries()) {
    for (const change of changes) {
      whole.delta(change)
      if (at !== index) lacking.delta(change)
    }
    if (at <= index) continue
    for (const side of ['bids', 'asks'] as const) {
      if (String(whole[side].texts(levels)) !== String(lacking[side].texts(levels))) return true
    }
  }
  return false
}

function crossedLater({ deltas, snapshot }: BookSession, index: number): boolean {
  const lacking = bookOf(snapshot)
  return deltas.some(({ changes }, at) => {
    if (at !== index) for (const change of changes) lacking.delta(change)
    return lacking.crossed
  })
}

function bookOf(snapshot: BookChange): Level2Book {
  const book = new Level2Book()
  book.snapshot(snapshot)
  return book
}

function auditWithout({ records }: BookSession, deleted: number | undefined): AuditReport {
  const audit = new Audit(exchangeById)
  for (const [at, record] of records.entries()) if (at !== deleted) audit.take(record)
  return audit.report([])
}

/** Takes a recording apart into its books. */
async function bookSessions(name: string): Promise<BookSession[]> {
  const frames: { record: SessionRecord; changes: readonly BookChange[]; symbol: string | undefined }[] = []
  const sessions = new Sessions({ protocolOf: exchangeById, guarded: false })
  for await (const batch of replayRecords([sharedPath('fixtures', 'recorded', `${name}.ndjson.gz`)], {
    onFault: (fault) => {
      throw fault
    },
  })) {
    for (const record of batch) {
      const events = sessions.apply(record)
      const changes = events.filter((event): event is BookChange => event.kind === 'snapshot' || event.kind === 'delta')
      const ofRest =
        record.dir === 'rest' ? exchangeById(record.exchange).book.snapshot?.symbolOf(record.url) : undefined
      // Trades, tickers and names of instruments do not concern the books.
      if (changes.length === 0 && events.length > 0 && record.dir === 'in') continue
      if (record.dir === 'rest' && ofRest === undefined) continue
      frames.push({ record, changes, symbol: ofRest ?? changes[0]?.symbol })
    }
  }
  const symbols = new Set(frames.flatMap(({ changes }) => changes.map(({ symbol }) => symbol)))
  return [...symbols].map((symbol) => {
    const own = frames.filter((frame) => frame.symbol === undefined || frame.symbol === symbol)
    const snapshot = own.flatMap(({ changes }) => changes).find(({ kind }) => kind === 'snapshot')
    if (snapshot === undefined) throw new Error(`${symbol} has no snapshot in ${name}`)
    return {
      symbol,
      records: own.map(({ record }) => record),
      deltas: own.flatMap(({ record, changes }, at) => {
        const isDelta = record.dir === 'in' && changes.length > 0 && changes.every(({ kind }) => kind === 'delta')
        return isDelta ? [{ at, changes }] : []
      }),
      snapshot,
    }
  })
}
