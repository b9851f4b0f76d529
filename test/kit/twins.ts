/**
 * The scanner's judge: every record goes through two sessions, one that scans and one that decodes plainly, and both must
 * say the same, of events, faults, counts and what they ask of their connection. With guards there is a third, whose deltas are
 * packed: it must give the same events too.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import type { SessionRecord } from '../../src/feed/record'
import type { Session, SessionControl, SessionCounts } from '../../src/feed/session'
import { Sessions } from '../../src/feed/sessions'
import { PackedDelta } from '../../src/model/codec/packedDelta'
import type { MarketEvent } from '../../src/model/events'
import { printable } from './printable'

export interface TwinOptions {
  readonly guarded: boolean
  /** What is asked of the connection is compared too. */
  readonly controlled?: boolean
  /** Instruments that are in no list are faults. */
  readonly wholeList?: boolean
}

/** Tells what a session asks of its connection, in words that can be compared. */
export function tellingControl(tell: (...what: unknown[]) => void): SessionControl {
  return {
    acknowledged: (id, keys) => tell('acknowledged', id, keys),
    refused: (id, keys, reason) => tell('refused', id, keys, reason),
    heard: (channel, symbol, timeUs) => tell('heard', channel, symbol, timeUs),
    answer: (text) => tell('answer', text),
    reconnect: ({ code }) => tell('reconnect', code),
    resync: (symbol, { code, message }) => tell('resync', symbol, code, message),
    stale: (channel, symbol) => tell('stale', channel, symbol),
    fault: ({ code, message }) => tell('fault', code, message),
  }
}

class Twin {
  readonly sessions: Sessions
  /** What the last record caused beside its events. */
  told: unknown[] = []

  constructor(
    protocol: ExchangeProtocol,
    { guarded, controlled = false, wholeList = false }: TwinOptions,
    scanning: boolean,
  ) {
    const tell = (...what: unknown[]): void => void this.told.push(what)
    const control = tellingControl(tell)
    this.sessions = new Sessions({
      protocolOf: () => protocol,
      guarded,
      scanning,
      wholeList,
      onFault: ({ code, message }) => tell('fault', code, message),
      ...(controlled && { controlOf: () => control }),
    })
  }
}

export class Twins {
  private readonly scanning: Twin
  private readonly plain: Twin
  private readonly packed: Twin | undefined
  private records = 0

  constructor(
    private readonly protocol: ExchangeProtocol,
    options: TwinOptions,
  ) {
    this.scanning = new Twin(protocol, options, true)
    this.plain = new Twin(protocol, options, false)
    if (!options.guarded) return
    this.packed = new Twin(protocol, options, true)
    this.packed.sessions.packDeltas(true)
  }

  get counts(): SessionCounts {
    return this.scanning.sessions.countsOf(this.protocol.id)
  }

  /** The scanning session of connection 0. */
  get session(): Session | undefined {
    return this.scanning.sessions.session(0)
  }

  /** What both say of a record; throws when they differ. */
  apply(record: SessionRecord): readonly MarketEvent[] {
    const { scanning, plain, packed } = this
    for (const twin of [scanning, plain, packed]) if (twin !== undefined) twin.told = []
    const events = scanning.sessions.apply(record)
    const expected = plain.sessions.apply(record)
    this.records++
    if (!isDeepStrictEqual(events, expected)) throw difference('Events', record, events, expected)
    if (!isDeepStrictEqual(scanning.told, plain.told)) throw difference('Words', record, scanning.told, plain.told)
    const reason = scanning.sessions.session(record.connection)?.reason
    const expectedReason = plain.sessions.session(record.connection)?.reason
    if (reason !== expectedReason) throw difference('Reasons', record, reason, expectedReason)
    this.compareCounts(record)
    if (packed === undefined) return events
    const unpacked = packed.sessions
      .apply(record)
      .map((event) => (event instanceof PackedDelta ? event.plain() : event))
    if (!isDeepStrictEqual(unpacked, expected)) throw difference('Packed events', record, unpacked, expected)
    if (!isDeepStrictEqual(packed.told, plain.told)) throw difference('Packed words', record, packed.told, plain.told)
    return events
  }

  private compareCounts(record: SessionRecord): void {
    const ours = this.counts
    const theirs = this.plain.sessions.countsOf(this.protocol.id)
    if (
      ours.frames !== theirs.frames ||
      ours.bytes !== theirs.bytes ||
      ours.unreadable !== theirs.unreadable ||
      ours.ignored !== theirs.ignored ||
      ours.trades !== theirs.trades ||
      ours.tradesHistory !== theirs.tradesHistory ||
      ours.tickers !== theirs.tickers ||
      ours.candles !== theirs.candles ||
      ours.derivatives !== theirs.derivatives ||
      ours.liquidations !== theirs.liquidations ||
      ours.inexactNumbers !== theirs.inexactNumbers ||
      // Tables are compared now and then: what is in them changes with the counts above, and with what guards say.
      (this.records % 64 === 0 &&
        !(
          isDeepStrictEqual(ours.guard, theirs.guard) &&
          isDeepStrictEqual(ours.faults, theirs.faults) &&
          isDeepStrictEqual(ours.ignoredReasons, theirs.ignoredReasons)
        ))
    ) {
      throw difference('Counts', record, ours, theirs)
    }
  }
}

function difference(what: string, record: SessionRecord, ours: unknown, theirs: unknown): Error {
  const frame = record.dir === 'in' ? Buffer.from(record.data as Uint8Array).toString('latin1') : JSON.stringify(record)
  return new Error(
    `${what} differ at ${frame.slice(0, 1_000)}\nscanned ${printable(ours)}\nplain   ${printable(theirs)}`,
  )
}
