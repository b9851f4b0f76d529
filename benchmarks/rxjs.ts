/**
 * What RxJS costs an event, and what our own operators cost beside it.
 *
 * Why      RxJS is the medium in which quants write, so its price decides how events travel: one by one, or in batches
 * Input    100,000 events (`{ key, value }`, 64 keys) pushed through a `Subject`, again and again
 * Variants `subject`         nothing between it and the subscriber
 *          `operators4`      map, filter, scan, map; `operators10` ten of these
 *          `batches64`       the same four over batches of 64, with loops inside, as millrace's events travel
 *          `mergeMapOf`      `mergeMap(of)`; `mergeMapByKey` ours, for work that ends at once, in order within a key
 *          `mergeMapAsync`   `mergeMap` to a promise that is there; `mergeMapByKeyAsync` ours; `concatMapAsync` one by one
 * Measures ns an event
 * Baseline `subject`
 */
import { concatMap, filter, map, mergeMap, of, scan, Subject, type Observable } from 'rxjs'
import { mergeMapByKey } from '../src/operators/mergeMapByKey'
import { costPerItem, costPerItemAsync, type Cost } from './kit/passes'
import { measure, type Variant } from './kit/variants'

interface Event {
  readonly key: number
  readonly value: number
}

const EVENTS = 100_000
const KEYS = 64
const BATCH = 64
const ORDERED = { concurrency: 64, perKey: 1 } as const
/** What waits asynchronously is pushed in portions: an unbounded buffer would be measured otherwise. */
const PORTION = 64

const events: readonly Event[] = Array.from({ length: EVENTS }, (_, index) => ({
  key: index % KEYS,
  value: index % 1_000,
}))
const batches: readonly (readonly Event[])[] = Array.from({ length: EVENTS / BATCH }, (_, index) =>
  events.slice(index * BATCH, (index + 1) * BATCH),
)

const add = (event: Event): Event => ({ key: event.key, value: event.value + 1 })
const isKept = (event: Event): boolean => event.value > 0
const sum = (before: Event, event: Event): Event => ({ key: event.key, value: (before.value + event.value) % 1_000 })
const START: Event = { key: 0, value: 1 }

/** Whatever comes out ends here, so that it cannot be left out. */
let out = 0

function synchronous(wire: (source: Observable<Event>) => Observable<Event>): Variant['run'] {
  return () => {
    const source = new Subject<Event>()
    wire(source).subscribe((event) => (out += event.value))
    const cost = costPerItem(EVENTS, () => events.forEach((event) => source.next(event)))
    return measured(cost)
  }
}

function asynchronous(wire: (source: Observable<Event>) => Observable<Event>): Variant['run'] {
  return async () => {
    const source = new Subject<Event>()
    let waiting = 0
    let portionDone: (() => void) | undefined
    wire(source).subscribe((event) => {
      out += event.value
      if (--waiting === 0) portionDone?.()
    })
    const cost = await costPerItemAsync(EVENTS, async () => {
      for (let from = 0; from < EVENTS; from += PORTION) {
        const until = Math.min(EVENTS, from + PORTION)
        waiting = until - from
        const done = new Promise<void>((resolve) => (portionDone = resolve))
        for (let at = from; at < until; at++) source.next(events[at]!)
        await done
      }
    })
    return measured(cost)
  }
}

/** Four operators whose values are batches. */
function inBatches(): ReturnType<Variant['run']> {
  const source = new Subject<readonly Event[]>()
  let last = START
  source
    .pipe(
      map((batch) => batch.map(add)),
      map((batch) => batch.filter(isKept)),
      map((batch) => batch.map((event) => (last = sum(last, event)))),
      map((batch) => batch.map(add)),
    )
    .subscribe((batch) => {
      for (const event of batch) out += event.value
    })
  return measured(costPerItem(EVENTS, () => batches.forEach((batch) => source.next(batch))))
}

function measured({ time }: Cost): { '': number } {
  if (out === 0) throw new Error('Nothing came out.')
  return { '': time }
}

const operators4 = (source: Observable<Event>): Observable<Event> =>
  source.pipe(map(add), filter(isKept), scan(sum, START), map(add))

const variants: readonly Variant[] = [
  { name: 'subject', run: synchronous((source) => source) },
  { name: 'operators4', run: synchronous(operators4) },
  {
    name: 'operators10',
    run: synchronous((source) => operators4(operators4(source)).pipe(map(add), filter(isKept))),
  },
  { name: 'batches64', run: inBatches },
  { name: 'mergeMapOf', run: synchronous((source) => source.pipe(mergeMap((event) => of(event)))) },
  {
    name: 'mergeMapByKey',
    run: synchronous((source) =>
      source.pipe(
        mergeMapByKey(
          ({ key }) => key,
          (event) => of(event),
          ORDERED,
        ),
      ),
    ),
  },
  {
    name: 'mergeMapAsync',
    run: asynchronous((source) => source.pipe(mergeMap((event) => Promise.resolve(event), 64))),
  },
  {
    name: 'mergeMapByKeyAsync',
    run: asynchronous((source) =>
      source.pipe(
        mergeMapByKey(
          ({ key }) => key,
          (event) => Promise.resolve(event),
          ORDERED,
        ),
      ),
    ),
  },
  { name: 'concatMapAsync', run: asynchronous((source) => source.pipe(concatMap((event) => Promise.resolve(event)))) },
]

void measure(__filename, [{ name: 'rxjs', measures: { '': 'ns/event' }, baseline: 'subject', variants }])
