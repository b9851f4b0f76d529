/**
 * What an edge does with market data when it is full: how what waits is merged, and how it tells the stages and sinks behind
 * it what they did not get.
 */
import { type DropReason } from '../actors/ledger'
import { conflateKey, conflationOf, type Conflation, type OnFull, type Skipped } from '../actors/overflow'
import { receiveTimeUsOf, type Receipts } from '../actors/receipts'
import { BookView } from '../book/bookView'
import { conflateEvents } from '../book/conflate'
import { EVENT_KINDS, type MarketEvent, type Notice } from '../model/events'

/** Merges what waits. Market events merge by their meaning, other rows by the key that the policy names. */
export function conflateBatches(onFull: OnFull): ((values: readonly unknown[]) => readonly unknown[]) | undefined {
  const conflation = conflationOf(onFull)
  if (conflation === undefined) return undefined
  return (values) => {
    if (!values.every(isList)) return mergeByKey(conflation, values)
    // A batch of nothing is of any kind: it must not make rows of events, of which none but the latest would be left.
    if (values.every((batch) => batch.length === 0 || isMarketBatch(batch))) {
      return [conflateEvents([], values.flat() as MarketEvent[])]
    }
    return [mergeByKey(conflation, values.flat())]
  }
}

/**
 * The same policy for an edge into a sink, which takes batches apart: market events are merged there one by one, and by their
 * meaning too. Nothing is merged across a notice.
 */
export function conflateRows(onFull: OnFull): OnFull {
  const conflation = conflationOf(onFull)
  if (conflation === undefined) return onFull
  const { conflate, merge } = conflation
  let notices = 0
  return {
    conflate: (row) => {
      if (!isMarketEvent(row)) return keyOf(conflate, row)
      if (row.kind === 'notice') notices++
      return isFact(row) ? Symbol() : `${notices} ${stateOf(row)}`
    },
    merge: (older, newer) => {
      if (!isMarketEvent(older) || !isMarketEvent(newer)) return merge === undefined ? newer : merge(older, newer)
      const merged = conflateEvents([older], [newer])
      if (merged.length > 1) throw new Error('they say two things')
      return merged[0]
    },
  }
}

/** What is no state that a newer one replaces. */
function isFact({ kind }: MarketEvent): boolean {
  return kind === 'trade' || kind === 'liquidation' || kind === 'notice'
}

function stateOf(event: MarketEvent): string {
  const kind = event.kind === 'delta' || event.kind === 'snapshot' ? 'book' : event.kind
  const candle = event.kind === 'candle' ? ` ${event.intervalUs} ${event.openTimeUs}` : ''
  return `${kind} ${event.exchange} ${event.instrument ?? event.symbol}${candle}`
}

/** One row for each key, in the place of the first: the latest, or what `merge` makes of them. */
function mergeByKey(conflation: Conflation, rows: readonly unknown[]): unknown[] {
  const { merge } = conflation
  const kept = new Map<unknown, unknown>()
  for (const row of rows) {
    const key = keyOf(conflation.conflate, row)
    if (merge === undefined || !kept.has(key)) {
      kept.set(key, row)
      continue
    }
    try {
      kept.set(key, merge(kept.get(key), row))
    } catch {
      kept.set(Symbol(), row) // two rows that cannot be merged wait as two
    }
  }
  return [...kept.values()]
}

/** Books have no field of the kind that names are conflated by: two exchanges trade one instrument. */
function keyOf(conflate: string | ((row: unknown) => unknown), row: unknown): unknown {
  if (typeof conflate === 'string' && row instanceof BookView) return `${row.exchange} ${row.instrument ?? row.symbol}`
  try {
    return conflateKey(conflate, row)
  } catch {
    return Symbol() // a row whose key cannot be told is like no other
  }
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function isMarketBatch(batch: readonly unknown[]): batch is readonly MarketEvent[] {
  return isMarketEvent(batch[0])
}

function isMarketEvent(row: unknown): row is MarketEvent {
  const { kind, exchange, symbol } = (row ?? {}) as { kind?: unknown; exchange?: unknown; symbol?: unknown }
  return (
    typeof exchange === 'string' && typeof symbol === 'string' && (EVENT_KINDS as readonly unknown[]).includes(kind)
  )
}

/** Streams of an instrument that the receipts of one edge can name at once; the rest is told as notices about the exchange. */
const NAMED_MAX = 10_000

/** What numbers its events by itself: those of different streams are not to be compared. */
export type MissingOf = 'book' | 'trades' | 'other'

/** `details` of a `dropped` notice. */
export interface DroppedDetails {
  /** Events that are missing. */
  readonly events: number
  readonly of: MissingOf
  readonly reason: DropReason
  /** When the first and the last were received. */
  readonly fromUs: number
  readonly toUs: number
  /** The least and the greatest number: of a book its `seq`, of trades their ids where these are numbers. Absent where nothing is numbered. */
  readonly fromSeq?: number
  readonly toSeq?: number
}

export interface ReceiptOptions {
  /** Of rows that are no market events: makes the row that tells. */
  readonly receipt?: ((skipped: Skipped) => unknown) | undefined
  /** Called with the notices of a receipt when it is made. */
  readonly onTold?: ((notices: readonly Notice[]) => void) | undefined
  /** Called when `receipt` throws. */
  readonly onBroken?: ((thrown: unknown) => void) | undefined
}

/**
 * Tells what was dropped: of market events as `dropped` notices, one for each stream of an instrument (so that books behind
 * the edge fall silent), of other rows as whatever `receipt` makes. What was dropped as a batch is told as a batch.
 */
export function marketReceipts(options: ReceiptOptions = {}): Receipts<unknown> {
  return new Account(options, { named: 0 })
}

interface MissingStream {
  readonly exchange: string
  /** '' for all instruments of the exchange that could not be named. */
  readonly symbol: string
  readonly instrument: string | undefined
  readonly of: MissingOf
  readonly reason: DropReason
  events: number
  fromUs: number
  toUs: number
  fromSeq: number | undefined
  toSeq: number | undefined
}

interface MissingRows {
  values: number
  fromUs: number | undefined
  toUs: number | undefined
  fromSeq: number | undefined
  toSeq: number | undefined
}

class Account implements Receipts<unknown> {
  /** Of batches and of single values, apart: they are told as they came. */
  private readonly inBatches = new Map<string, MissingStream>()
  private readonly single = new Map<string, MissingStream>()
  private readonly rowsInBatches = new Map<DropReason, MissingRows>()
  private readonly singleRows = new Map<DropReason, MissingRows>()

  /** @param budget  of names, shared by all accounts of an edge */
  constructor(
    private readonly options: ReceiptOptions,
    private readonly budget: { named: number },
  ) {}

  add(dropped: unknown, reason: DropReason): void {
    if (!isList(dropped)) {
      if (isMarketEvent(dropped)) this.addEvent(this.single, dropped, reason)
      else this.addRow(this.singleRows, dropped, reason)
      return
    }
    for (const row of dropped) {
      if (isMarketEvent(row)) this.addEvent(this.inBatches, row, reason)
      else this.addRow(this.rowsInBatches, row, reason)
    }
  }

  take(): unknown {
    if (this.inBatches.size > 0)
      return this.told([...this.inBatches.keys()].map((key) => this.noticeOf(this.inBatches, key)))
    for (const reason of this.rowsInBatches.keys()) {
      const row = this.rowOf(this.rowsInBatches, reason)
      if (row !== undefined) return [row.value]
    }
    for (const key of this.single.keys()) return this.told([this.noticeOf(this.single, key)])[0]
    for (const reason of this.singleRows.keys()) {
      const row = this.rowOf(this.singleRows, reason)
      if (row !== undefined) return row.value
    }
    return undefined
  }

  another(): Account {
    return new Account(this.options, this.budget)
  }

  absorb(later: Receipts<unknown>): void {
    if (!(later instanceof Account)) return
    for (const [from, to] of [
      [later.inBatches, this.inBatches],
      [later.single, this.single],
    ] as const) {
      for (const [key, stream] of from) {
        const known = to.get(key)
        if (stream.symbol !== '') later.budget.named--
        if (known === undefined) {
          if (stream.symbol !== '') this.budget.named++
          to.set(key, stream)
        } else {
          extend(known, stream)
          known.events += stream.events
        }
      }
      from.clear()
    }
    for (const [from, to] of [
      [later.rowsInBatches, this.rowsInBatches],
      [later.singleRows, this.singleRows],
    ] as const) {
      for (const [reason, rows] of from) {
        const known = to.get(reason)
        if (known === undefined) to.set(reason, rows)
        else {
          extend(known, rows)
          known.values += rows.values
        }
      }
      from.clear()
    }
  }

  private addEvent(missing: Map<string, MissingStream>, event: MarketEvent, reason: DropReason): void {
    const before = droppedBefore(event)
    const of = before?.of ?? streamOf(event)
    const why = before?.reason ?? reason
    const { exchange, receiveTimeUs } = event
    const events = before?.events ?? 1
    const seen = {
      fromUs: before?.fromUs ?? receiveTimeUs,
      toUs: before?.toUs ?? receiveTimeUs,
      fromSeq: before === undefined ? firstSeqOf(event) : before.fromSeq,
      toSeq: before === undefined ? lastSeqOf(event) : before.toSeq,
    }
    const named = event.symbol === '' ? '' : (event.instrument ?? event.symbol)
    let key = `${exchange} ${of} ${why} ${named}`
    let known = missing.get(key)
    if (known === undefined && named !== '' && this.budget.named >= NAMED_MAX) {
      key = `${exchange} ${of} ${why} `
      known = missing.get(key)
    }
    if (known !== undefined) {
      extend(known, seen)
      known.events += events
      return
    }
    const isNamed = !key.endsWith(' ')
    if (isNamed) this.budget.named++
    missing.set(key, {
      exchange,
      symbol: isNamed ? event.symbol : '',
      instrument: isNamed ? event.instrument : undefined,
      of,
      reason: why,
      events,
      ...seen,
    })
  }

  private addRow(missing: Map<DropReason, MissingRows>, row: unknown, reason: DropReason): void {
    if (this.options.receipt === undefined) return
    const timeUs = receiveTimeUsOf(row)
    const { seq } = (row ?? {}) as { seq?: unknown }
    const number = typeof seq === 'number' ? seq : undefined
    const seen = { fromUs: timeUs, toUs: timeUs, fromSeq: number, toSeq: number }
    const known = missing.get(reason)
    if (known === undefined) missing.set(reason, { values: 1, ...seen })
    else {
      extend(known, seen)
      known.values++
    }
  }

  private noticeOf(missing: Map<string, MissingStream>, key: string): Notice {
    const { exchange, symbol, instrument, of, reason, events, fromUs, toUs, fromSeq, toSeq } = missing.get(key)!
    missing.delete(key)
    if (symbol !== '') this.budget.named--
    const details: DroppedDetails = {
      events,
      of,
      reason,
      fromUs,
      toUs,
      ...(fromSeq === undefined ? {} : { fromSeq }),
      ...(toSeq === undefined ? {} : { toSeq }),
    }
    return {
      kind: 'notice',
      exchange,
      symbol,
      instrument,
      exchangeTimeUs: undefined,
      receiveTimeUs: toUs,
      code: 'dropped',
      details: { ...details },
    }
  }

  private told(notices: readonly Notice[]): readonly Notice[] {
    this.options.onTold?.(notices)
    return notices
  }

  /** Undefined when it could not be made. */
  private rowOf(missing: Map<DropReason, MissingRows>, reason: DropReason): { readonly value: unknown } | undefined {
    const rows = missing.get(reason)!
    missing.delete(reason)
    try {
      return { value: this.options.receipt!({ ...rows, reason }) }
    } catch (thrown) {
      this.options.onBroken?.(thrown)
      return undefined
    }
  }
}

function extend(known: Omit<MissingRows, 'values'>, later: Readonly<Omit<MissingRows, 'values'>>): void {
  known.fromUs = lesser(known.fromUs, later.fromUs)
  known.toUs = greater(known.toUs, later.toUs)
  known.fromSeq = lesser(known.fromSeq, later.fromSeq)
  known.toSeq = greater(known.toSeq, later.toSeq)
}

function lesser(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other < one) ? other : one
}

function greater(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one
}

/** A receipt that is itself dropped stands for what it told of. */
function droppedBefore(event: MarketEvent): DroppedDetails | undefined {
  if (event.kind !== 'notice' || event.code !== 'dropped') return undefined
  const { events, of, reason } = event.details as Partial<DroppedDetails>
  const isReceipt = typeof events === 'number' && typeof of === 'string' && typeof reason === 'string'
  return isReceipt ? (event.details as unknown as DroppedDetails) : undefined
}

/** A notice that puts books in doubt is part of their stream: when it is lost, they are in doubt all the more. */
function streamOf(event: MarketEvent): MissingOf {
  if (event.kind === 'snapshot' || event.kind === 'delta') return 'book'
  if (event.kind === 'notice') return event.code === 'connected' || event.code === 'stale' ? 'other' : 'book'
  return event.kind === 'trade' ? 'trades' : 'other'
}

function firstSeqOf(event: MarketEvent): number | undefined {
  if (event.kind === 'delta') return event.firstSeq ?? event.seq
  return lastSeqOf(event)
}

function lastSeqOf(event: MarketEvent): number | undefined {
  if (event.kind === 'snapshot' || event.kind === 'delta') return event.seq
  if (event.kind !== 'trade' || event.id === undefined || !/^\d{1,16}$/.test(event.id)) return undefined
  const number = Number(event.id)
  return Number.isSafeInteger(number) ? number : undefined
}
