/**
 * Messages whose handlers take about a second: what waits, and for how long.
 *
 * Why      the monitor that millrace was made from awaited its messages one after another, 0.6 to 1.2 s each: it fell behind
 *          for as long as it ran, and what took no time at all (taking note of a price) waited with the rest
 * Input    50 messages/s over 200 symbols; each has a fast part (taking note) and a slow one (waiting 0.6 to 1.2 s). All
 *          variants get the same messages with the same durations
 * Variants `concatMap`     one after another, both parts: what was
 *          `mergeMap`      at once, in any order: for work where order does not matter
 *          `mergeMapByKey` at once across symbols, in order within one: what is
 *          `idle`          no slow part at all
 * Measures milliseconds from when a message was due, not from when it was seen: a loop that is late is not excused.
 *          `handling` ends with the slow part, `wait` with its beginning, `fastPath` with the fast part. `undueWait` is
 *          what of the wait was not spent waiting for the message before it of the same symbol. What has not begun when
 *          the time is over counts with the time it has waited by then: for `concatMap` all numbers grow with the run
 * Spread   of slices of the run by when messages were due
 * Baseline `concatMap` in the same run
 *
 * Run it compiled: `npm run bench -- seed`.
 */
import { concatMap, mergeMap, Subject, tap, type OperatorFunction } from 'rxjs'
import { performance } from 'node:perf_hooks'
import { keyedLedger, mergeMapByKey } from '../src/operators/mergeMapByKey'
import { seeded } from './kit/random'
import { isQuick, ofRounds, quantile, report, rowOf, type Measured, type Row } from './kit/report'

const SYMBOLS = 200
const EVERY_MS = 1_000 / 50
const HANDLER_MS = [600, 1_200] as const
const RUN_MS = isQuick() ? 1_000 : 20_000
const SLICES = isQuick() ? 2 : 4
/** 50/s of 0.9 s need 45 at once, and chance needs some more. */
const CONCURRENCY = 96

interface Message {
  readonly symbol: number
  readonly handlerMs: number
  readonly dueMs: number
  noted: number
  hasBegun: boolean
  begun: number
  done: number
}

type Variant = 'idle' | 'concatMap' | 'mergeMap' | 'mergeMapByKey'

async function main(): Promise<void> {
  const measured = new Map<Variant, readonly Message[]>()
  for (const variant of ['idle', 'concatMap', 'mergeMap', 'mergeMapByKey'] as const) {
    console.error(`slowHandlers: ${variant}, ${RUN_MS / 1_000} s`)
    measured.set(variant, await run(variant))
  }
  for (const row of rowsOf(measured)) report(row)
  // Nobody believes a benchmark in which the work was not done, or done out of order.
  const byKey = measured.get('mergeMapByKey')!
  if (byKey.filter(({ hasBegun }) => hasBegun).length < byKey.length * 0.5 || !isOrdered(byKey)) process.exitCode = 1
}

/** Every message with the times of its parts, since the start of the run; 0 for what has not happened. */
async function run(variant: Variant): Promise<readonly Message[]> {
  const random = seeded(2_024)
  const messages = Array.from({ length: Math.floor(RUN_MS / EVERY_MS) }, (_, index): Message => {
    const symbol = Math.floor(random() * SYMBOLS)
    const handlerMs = HANDLER_MS[0] + random() * (HANDLER_MS[1] - HANDLER_MS[0])
    return { symbol, handlerMs, dueMs: index * EVERY_MS, noted: 0, hasBegun: false, begun: 0, done: 0 }
  })
  const startedMs = performance.now()
  const now = (): number => performance.now() - startedMs
  const latest = new Map<number, Message>()
  const note = (message: Message): void => {
    latest.set(message.symbol, message)
    message.noted = now()
  }
  const handle = async (message: Message): Promise<void> => {
    message.hasBegun = true
    message.begun = now()
    await new Promise((resolve) => setTimeout(resolve, message.handlerMs))
    message.done = now()
  }

  const source = new Subject<Message>()
  const subscription = source.pipe(handling(variant, note, handle)).subscribe()
  let sent = 0
  await new Promise<void>((resolve) => {
    const send = (): void => {
      while (sent < messages.length && messages[sent]!.dueMs <= now()) source.next(messages[sent++]!)
      if (sent < messages.length) setTimeout(send, messages[sent]!.dueMs - now())
      else resolve()
    }
    send()
  })
  const endedMs = now()
  subscription.unsubscribe()
  // What began before the end but would be done after it is not waited for: its end is known.
  for (const message of messages) {
    if (message.noted === 0) message.noted = endedMs
    if (!message.hasBegun) message.begun = endedMs
    if (message.done === 0) message.done = message.hasBegun ? message.begun + message.handlerMs : endedMs
  }
  await new Promise((resolve) => setTimeout(resolve, HANDLER_MS[1])) // timers of this variant must not disturb the next
  return messages
}

function handling(
  variant: Variant,
  note: (message: Message) => void,
  handle: (message: Message) => Promise<void>,
): OperatorFunction<Message, unknown> {
  switch (variant) {
    case 'idle':
      return tap(note)
    case 'concatMap':
      return concatMap(async (message) => {
        note(message)
        await handle(message)
      })
    case 'mergeMap':
      return (source) => source.pipe(tap(note), mergeMap(handle, CONCURRENCY))
    case 'mergeMapByKey':
      return (source) =>
        source.pipe(
          tap(note),
          mergeMapByKey((message) => message.symbol, handle, {
            concurrency: CONCURRENCY,
            perKey: 1,
            ledger: keyedLedger(),
          }),
        )
  }
}

function rowsOf(measured: ReadonlyMap<Variant, readonly Message[]>): Row[] {
  const measures: Readonly<Record<string, (message: Message) => number>> = {
    handling: ({ done, dueMs }) => done - dueMs,
    wait: ({ begun, dueMs }) => begun - dueMs,
    fastPath: ({ noted, dueMs }) => noted - dueMs,
  }
  const rows: Row[] = []
  for (const [what, measure] of Object.entries(measures)) {
    for (const [rank, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const of = (variant: Variant): Measured => sliced(measured.get(variant)!, measure, share)
      const before = { name: `S1.${what}.${rank}.concatMap`, measured: of('concatMap') }
      if (what === 'fastPath') rows.push(rowOf(`S1.${what}.${rank}.idle`, 'ms', of('idle')))
      rows.push(rowOf(before.name, 'ms', before.measured))
      for (const variant of ['mergeMap', 'mergeMapByKey'] as const) {
        rows.push(rowOf(`S1.${what}.${rank}.${variant}`, 'ms', of(variant), before))
      }
    }
  }
  const byKey = measured.get('mergeMapByKey')!
  const undueMs = undueWaits(byKey)
  rows.push(
    rowOf(
      'S1.undueWait.p99.mergeMapByKey',
      'ms',
      sliced(byKey, (message) => undueMs.get(message)!, 0.99),
    ),
  )
  return rows
}

/** The quantile of the whole run, with those of its slices as the spread. */
function sliced(messages: readonly Message[], measure: (message: Message) => number, share: number): Measured {
  const size = Math.ceil(messages.length / SLICES)
  const ofSlices = Array.from({ length: SLICES }, (_, slice) =>
    quantile(messages.slice(slice * size, (slice + 1) * size).map(measure), share),
  )
  return { ...ofRounds(ofSlices), value: quantile(messages.map(measure), share) }
}

/** What each waited beyond the end of the one before it of its symbol. */
function undueWaits(messages: readonly Message[]): ReadonlyMap<Message, number> {
  const undueMs = new Map<Message, number>()
  const lastDoneMs = new Map<number, number>()
  for (const message of messages) {
    undueMs.set(message, Math.max(0, message.begun - Math.max(message.dueMs, lastDoneMs.get(message.symbol) ?? 0)))
    lastDoneMs.set(message.symbol, message.done)
  }
  return undueMs
}

/** True when no message began before the one before it of its symbol was done. */
function isOrdered(messages: readonly Message[]): boolean {
  const lastDoneMs = new Map<number, number>()
  return messages.every(({ symbol, begun, done, hasBegun }) => {
    if (!hasBegun) return true
    const isFine = begun >= (lastDoneMs.get(symbol) ?? 0)
    lastDoneMs.set(symbol, done)
    return isFine
  })
}

void main()
