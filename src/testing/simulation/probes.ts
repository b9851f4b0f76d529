/**
 * Stages that change nothing and look at everything: they sit between the stages of a scenario's pipeline and hold what
 * passes against what must be so. They share no code with what they check.
 */
import { Observable, type MonoTypeOperatorFunction, type OperatorFunction } from 'rxjs'
import type { BookView } from '../../book/bookView'
import type { Batch, MarketEvent, Notice } from '../../model/events'
import { bookKey, type BookTruths } from './bookTruth'
import type { Verdict } from './verdict'

/** What reached the stage behind an edge. */
export class Arrivals {
  /** Values, without the notices that the edge itself put in their place. */
  values = 0
  /** Values that such notices told of. */
  told = 0

  count(batch: Batch<MarketEvent>): void {
    let receipts = 0
    for (const event of batch) {
      if (event.kind !== 'notice' || event.code !== 'dropped') continue
      receipts++
      this.told += event.details['events'] as number
    }
    // Nothing but the edge before this probe says `dropped` in the pipelines of scenarios.
    if (receipts !== batch.length) this.values += batch.length
  }
}

/** Which books may be shown, by what the stream itself says: a snapshot begins one, and notices end it. */
export class LiveBooks {
  private readonly live = new Set<string>()

  follow(batch: Batch<MarketEvent>): void {
    for (const event of batch) {
      const key = bookKey(event.exchange, event.instrument ?? event.symbol)
      if (event.kind === 'snapshot') this.live.add(key)
      else if (event.kind === 'notice' && endsBook(event)) {
        if (event.symbol !== '') this.live.delete(key)
        else if (event.code === 'dropped') this.endAll(event.exchange)
      }
    }
  }

  /** Whoever follows begins anew. */
  clear(): void {
    this.live.clear()
  }

  has(key: string): boolean {
    return this.live.has(key)
  }

  private endAll(exchange: string): void {
    for (const key of this.live) if (key.startsWith(`${exchange} `)) this.live.delete(key)
  }
}

/** What was dropped of trades says nothing about a book; what was dropped of notices might have been about one. */
function endsBook({ code, details }: Notice): boolean {
  if (code === 'dropped') return details['of'] === undefined || details['of'] === 'book'
  return code === 'gap' || code === 'disconnected'
}

/** Looks at each value before it goes on. */
export function look<T>(at: (value: T) => void): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable((out) =>
      source.subscribe({
        next: (value) => {
          at(value)
          out.next(value)
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      }),
    )
}

/** Holds views against the exchange's books and against what the stream says is live. */
export class ViewJudge {
  /** The latest view of each book that is live. */
  private readonly latest = new Map<string, BookView>()
  views = 0

  constructor(
    readonly where: string,
    private readonly truths: BookTruths,
    private readonly live: LiveBooks,
    private readonly verdict: Verdict,
  ) {}

  judge(batch: Batch<BookView>): void {
    for (const view of batch) {
      this.views++
      const key = bookKey(view.exchange, view.instrument ?? view.symbol)
      this.latest.set(key, view)
      if (!this.live.has(key)) this.verdict.fail('liveOnly', `${this.where}: a view of ${key}, which is not live.`)
      const problem = this.truths.problemOf(view)
      if (problem !== undefined) this.verdict.fail('books', `${this.where}: ${problem}.`)
    }
  }

  /** The latest view of a book; undefined while it is not live. */
  viewOf(key: string): BookView | undefined {
    return this.live.has(key) ? this.latest.get(key) : undefined
  }
}

/** A value with its number among those of its key. */
export interface Numbered<T> {
  readonly key: string
  readonly number: number
  readonly value: T
}

/** Values of batches one by one, numbered by key. */
export function numbered<T>(keyOf: (value: T) => string): OperatorFunction<Batch<T>, Numbered<T>> {
  return (source) =>
    new Observable((out) => {
      const next = new Map<string, number>()
      return source.subscribe({
        next: (batch) => {
          for (const value of batch) {
            const key = keyOf(value)
            const number = next.get(key) ?? 0
            next.set(key, number + 1)
            out.next({ key, number, value })
          }
        },
        error: (error) => out.error(error),
        complete: () => out.complete(),
      })
    })
}

/** Judges the order of numbered values, and that none is missing without a reason. */
export class OrderJudge {
  private readonly last = new Map<string, number>()
  /** Values whose absence has been explained: failed, or dropped. */
  private readonly excused = new Map<string, Set<number>>()
  private sent = 0
  private came = 0

  /** @param missing  `excused`: each is to be excused before; `counted`: they are held against an account in the end */
  constructor(
    private readonly where: string,
    private readonly verdict: Verdict,
    private readonly missing: 'excused' | 'counted' = 'excused',
  ) {}

  /** A value went in. */
  send(): void {
    this.sent++
  }

  /** Values that went in and did not come out. */
  get lost(): number {
    return this.sent - this.came
  }

  /** This value will not come, and somebody has said so. */
  excuse({ key, number }: Numbered<unknown>): void {
    let numbers = this.excused.get(key)
    if (numbers === undefined) this.excused.set(key, (numbers = new Set()))
    numbers.add(number)
  }

  judge({ key, number }: Numbered<unknown>): void {
    this.came++
    const last = this.last.get(key) ?? -1
    if (number <= last) {
      this.verdict.fail('order', `${this.where}: value ${number} of ${key} came after value ${last}.`)
      return
    }
    for (let missing = last + 1; this.missing === 'excused' && missing < number; missing++) {
      if (this.excused.get(key)?.has(missing) === true) continue
      this.verdict.fail('order', `${this.where}: value ${missing} of ${key} is missing before value ${number}.`)
      break
    }
    this.last.set(key, number)
  }
}
