/**
 * Order per key, over a million random schedules.
 *
 * Each schedule is a handful of steps (a value comes, some work ends, time passes, somebody leaves) against one set of
 * bounds and policies, all drawn from the schedule's own number, so that `run(n)` is the reproduction of a failure.
 * After every step the operator must have done exactly what a model of plain lists did: the same values started,
 * emitted, given up, dropped and stopped, in the same order. What the model could be wrong about in the same way is
 * checked without it: order within a key, the bounds, and the balance of the account.
 */
import { expect } from 'chai'
import { Observable, of, throwError, type Subscriber } from 'rxjs'
import { balances, type DropReason } from '../../src/actors/ledger'
import type { Pressure } from '../../src/actors/pressure'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { keyedLedger, mergeMapByKey, type KeyedLedger } from '../../src/operators/mergeMapByKey'

const SCHEDULES = 1_000_000
const STEPS_MAX = 10
const VALUES_MAX = STEPS_MAX
const DEADLINE_MS = 10
const failure = new Error('as the schedule has it')

/** What is written down, as `value * 16 + what`. */
const STARTED = 0
const EMITTED = 1
const GIVEN_UP = 2
const DROPPED = 3
const STOPPED = 4
const COMPLETED = 5
const ERRORED = 6
const FULL = 7
const WORDS = ['started', 'emitted', 'given up', 'dropped', 'stopped', 'completed', 'errored', 'full']

/** What the work on a value does: ends when told, or within the call, well or not. */
const LATER = 0
const AT_ONCE = 1
const FAILS_AT_ONCE = 2
const THROWS = 3
const KEY_THROWS = 4

const POLICIES = ['block', 'fail', 'dropOldest', 'dropNewest'] as const

interface Setting {
  readonly concurrency: number
  readonly capacity: number
  readonly onFull: (typeof POLICIES)[number]
  readonly onError: 'fail' | 'skip'
  readonly hasDeadline: boolean
}

/** What the values of the schedule that runs are. */
const keyOf = new Uint8Array(VALUES_MAX)
const kindOf = new Uint8Array(VALUES_MAX)
/** When the model stops the work on each. */
const dueMs = new Float64Array(VALUES_MAX)

describe('mergeMapByKey, whatever the schedule', () => {
  // A hundred thousand faults with their stacks would take longer than all the rest.
  const { stackTraceLimit } = Error
  before(() => (Error.stackTraceLimit = 0))
  after(() => (Error.stackTraceLimit = stackTraceLimit))

  it('keeps order per key, its bounds and its balance over a million of them', () => {
    for (let number = 1; number <= SCHEDULES; number++) run(number)
    // Nothing is shown by schedules in which nothing happens.
    for (const [what, times] of Object.entries(seen)) expect(times, what).to.be.above(SCHEDULES / 200)
  }).timeout(300_000)
})

const seen = { waited: 0, dropped: 0, paused: 0, overrun: 0, failed: 0, late: 0, left: 0, completed: 0 }

const SETTINGS: readonly Setting[] = [1, 2, 3].flatMap((concurrency) =>
  [1, 2, 3].flatMap((capacity) =>
    POLICIES.flatMap((onFull) =>
      (['skip', 'skip', 'fail'] as const).flatMap((onError) =>
        [false, false, true].map((hasDeadline) => ({ concurrency, capacity, onFull, onError, hasDeadline })),
      ),
    ),
  ),
)

/** The operator under test, with what surrounds it; one for each setting, subscribed to anew by each schedule. */
class Subject {
  readonly log: number[] = []
  readonly clock = new VirtualClock()
  readonly ledger: KeyedLedger
  readonly open: (Subscriber<number> | undefined)[] = new Array<undefined>(VALUES_MAX).fill(undefined)
  paused = false
  private input!: Subscriber<number>
  private readonly output: Observable<number>
  private stop!: () => void

  constructor(readonly setting: Setting) {
    const { concurrency, capacity, onFull, onError, hasDeadline } = setting
    const { log, open } = this
    this.ledger = keyedLedger()
    const later = Array.from(
      { length: VALUES_MAX },
      (_, value) =>
        new Observable<number>((out) => {
          open[value] = out
          return () => {
            if (open[value] === undefined) return
            open[value] = undefined
            log.push(value * 16 + STOPPED)
          }
        }),
    )
    const atOnce = Array.from({ length: VALUES_MAX }, (_, value) => of(value))
    const failing = throwError(() => failure)
    const pressure: Pressure = {
      pause: () => this.press(true),
      resume: () => this.press(false),
    }
    this.output = mergeMapByKey(
      (value: number) => {
        if (kindOf[value] === KEY_THROWS) throw failure
        return keyOf[value]!
      },
      (value) => {
        log.push(value * 16 + STARTED)
        switch (kindOf[value]) {
          case LATER:
            return later[value]!
          case AT_ONCE:
            return atOnce[value]!
          case FAILS_AT_ONCE:
            return failing
          default:
            throw failure
        }
      },
      {
        concurrency,
        perKey: 1,
        capacity,
        onFull,
        onError,
        pressure,
        ledger: this.ledger,
        clock: this.clock,
        onDropped: (value) => log.push(value * 16 + DROPPED),
        onFault: (_, value) => log.push(value * 16 + GIVEN_UP),
        ...(hasDeadline ? { deadlineMs: DEADLINE_MS } : {}),
      },
    )(new Observable<number>((out) => void (this.input = out)))
  }

  begin(): void {
    this.log.length = 0
    const { ledger } = this
    ledger.in = ledger.out = 0
    for (const reason in ledger.dropped) ledger.dropped[reason as DropReason] = 0
    if (ledger.inFlight !== 0 || ledger.keys !== 0) throw new Error('the schedule before has left something')
    const subscription = this.output.subscribe({
      next: (value) => this.log.push(value * 16 + EMITTED),
      error: (error) => this.log.push(error instanceof Fault && error.code === 'EDGE_FULL' ? FULL : ERRORED),
      complete: () => this.log.push(COMPLETED),
    })
    this.stop = () => subscription.unsubscribe()
  }

  send(value: number): void {
    this.input.next(value)
  }

  finish(value: number, well: boolean): void {
    const out = this.open[value]!
    this.open[value] = undefined // what stops now has ended by itself
    if (!well) out.error(failure)
    else {
      out.next(value)
      out.complete()
    }
  }

  complete(): void {
    this.input.complete()
  }

  leave(): void {
    this.stop()
  }

  private press(paused: boolean): void {
    if (this.paused === paused) throw new Error(`${paused ? 'paused' : 'resumed'} twice`)
    this.paused = paused
  }
}

const SUBJECTS = SETTINGS.map((setting) => new Subject(setting))

/** The same rules on plain lists, as slow and as plain as they come. */
class Model {
  log: number[] = []
  working: number[] = []
  waiting: number[] = []
  /** Keys that wait for a free place. */
  turns: number[] = []
  paused = false
  over = false
  private ended = false
  private starting = false
  nowMs = 0

  constructor(private readonly setting: Setting) {}

  send(value: number): void {
    const { concurrency, capacity, onFull } = this.setting
    if (kindOf[value] === KEY_THROWS) {
      this.givenUp(value)
      return
    }
    const key = keyOf[value]!
    const known = this.working.some((each) => keyOf[each] === key) || this.waiting.some((each) => keyOf[each] === key)
    if (!known && this.working.length < concurrency) {
      this.start(value)
      return
    }
    seen.waited++
    let oldest: number | undefined
    if (this.waiting.length >= (onFull === 'block' ? 2 * capacity : capacity)) {
      if (onFull === 'dropNewest') {
        seen.dropped++
        this.log.push(value * 16 + DROPPED)
        return
      }
      if (onFull !== 'dropOldest') {
        seen.overrun++
        this.log.push(FULL)
        this.end()
        return
      }
      seen.dropped++
      oldest = this.waiting.shift()!
      const itsKey = keyOf[oldest]
      if (!this.waiting.some((each) => keyOf[each] === itsKey))
        this.turns = this.turns.filter((each) => each !== itsKey)
    }
    this.waiting.push(value)
    if (!this.working.some((each) => keyOf[each] === key) && !this.turns.includes(key)) this.turns.push(key)
    if (oldest !== undefined) this.log.push(oldest * 16 + DROPPED)
    if (onFull === 'block' && this.waiting.length >= capacity && !this.paused) {
      seen.paused++
      this.paused = true
    }
  }

  finish(value: number, well: boolean): void {
    this.working.splice(this.working.indexOf(value), 1)
    if (this.waiting.some((each) => keyOf[each] === keyOf[value])) this.turns.push(keyOf[value]!)
    if (well) this.log.push(value * 16 + EMITTED)
    else this.givenUp(value)
    if (this.over) return
    if (!this.starting) {
      this.starting = true
      while (this.working.length < this.setting.concurrency && this.turns.length > 0 && !this.isOver()) {
        const key = this.turns.shift()
        const index = this.waiting.findIndex((each) => keyOf[each] === key)
        this.start(this.waiting.splice(index, 1)[0]!)
      }
      this.starting = false
    }
    if (this.waiting.length <= this.setting.capacity / 2) this.paused = false
    this.completeWhenDone()
  }

  complete(): void {
    this.ended = true
    this.completeWhenDone()
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms
    if (this.setting.hasDeadline) {
      for (const value of this.working.slice()) {
        if (dueMs[value]! > untilMs || this.over) continue
        seen.late++
        this.nowMs = dueMs[value]!
        this.log.push(value * 16 + STOPPED)
        this.finish(value, false)
      }
    }
    this.nowMs = untilMs
  }

  /** Everything stops. */
  end(): void {
    this.over = true
    this.paused = false
    for (const value of this.working) if (kindOf[value] === LATER) this.log.push(value * 16 + STOPPED)
    this.working = []
    this.waiting = []
    this.turns = []
  }

  isOver(): boolean {
    return this.over
  }

  private start(value: number): void {
    this.working.push(value)
    dueMs[value] = this.nowMs + DEADLINE_MS
    this.log.push(value * 16 + STARTED)
    if (kindOf[value] !== LATER) this.finish(value, kindOf[value] === AT_ONCE)
  }

  private givenUp(value: number): void {
    seen.failed++
    if (this.setting.onError === 'skip') this.log.push(value * 16 + GIVEN_UP)
    else {
      this.log.push(ERRORED)
      this.end()
    }
  }

  private completeWhenDone(): void {
    if (!this.ended || this.over || this.working.length > 0 || this.waiting.length > 0) return
    seen.completed++
    this.log.push(COMPLETED)
    this.end()
  }
}

/** One schedule: all of it follows from its number. */
function run(number: number): void {
  let state = Math.imul(number, 0x9e3779b1) | 1
  const draw = (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
  draw(2)
  const subject = SUBJECTS[draw(SUBJECTS.length)]!
  const model = new Model(subject.setting)
  const keys = 1 + draw(3)
  const steps = 3 + draw(STEPS_MAX - 2)
  let sent = 0
  subject.begin()
  model.nowMs = subject.clock.nowUs() / 1_000

  const compare = (): void => {
    const problem = problemOf(subject, model, sent)
    if (problem !== undefined) throw new Error(`schedule ${number}: ${problem}\n${storyOf(subject, model, sent)}`)
  }

  for (let step = 0; step < steps && !model.isOver(); step++) {
    const what = draw(32)
    if (what < 17 || (what < 30 && model.working.length === 0)) {
      keyOf[sent] = draw(keys)
      const kind = draw(16)
      kindOf[sent] = kind < 11 ? LATER : kind < 14 ? AT_ONCE : kind === 14 ? FAILS_AT_ONCE : THROWS + draw(2)
      const value = sent++
      model.send(value)
      subject.send(value)
    } else if (what < 28) finishOne(draw(8) > 0)
    else if (what < 31) {
      model.pass(5)
      subject.clock.advance(5)
    } else {
      seen.left++
      model.end()
      subject.leave()
    }
    compare()
  }
  if (!model.isOver()) {
    model.complete()
    subject.complete()
    compare()
  }
  while (model.working.length > 0) {
    finishOne(true)
    compare()
  }
  inOrder(subject.log, number)

  function finishOne(well: boolean): void {
    const value = model.working[draw(model.working.length)]!
    model.finish(value, well)
    subject.finish(value, well)
  }
}

/** How the operator differs from the model, or breaks a rule; undefined when it does neither. */
function problemOf(subject: Subject, model: Model, sent: number): string | undefined {
  const { log, ledger, setting } = subject
  if (log.length !== model.log.length) return 'not the same happened'
  for (let index = 0; index < log.length; index++) if (log[index] !== model.log[index]) return 'not the same happened'
  if (subject.paused !== model.paused) return `the source is ${subject.paused ? '' : 'not '}paused`
  if (ledger.in !== sent || !balances(ledger)) return 'the account does not balance'
  if (ledger.inFlight !== model.working.length + model.waiting.length) return 'something is in flight that is not there'
  if (ledger.inFlight > setting.concurrency + setting.capacity * (setting.onFull === 'block' ? 2 : 1)) {
    return 'more is held than may be'
  }
  if (ledger.keys > ledger.inFlight || (ledger.inFlight > 0 && ledger.keys === 0)) return 'idle keys are remembered'
  let open = 0
  for (const out of subject.open) if (out !== undefined) open++
  if (open > setting.concurrency) return 'more is worked on than may be'
  if (subject.clock.pending > (setting.hasDeadline ? open : 0)) return 'a timer is left'
  return undefined
}

/** Without the model: values start in the order of their key, and never before the one before has ended. */
function inOrder(log: readonly number[], number: number): void {
  const lastStarted = [-1, -1, -1]
  const isOpen = [false, false, false]
  for (const entry of log) {
    const value = entry >> 4
    const key = keyOf[value]!
    const what = entry & 15
    if (what === STARTED) {
      if (value <= lastStarted[key]!) throw new Error(`schedule ${number}: value ${value} starts out of order or twice`)
      if (isOpen[key]) throw new Error(`schedule ${number}: value ${value} starts before the end of the one before it`)
      lastStarted[key] = value
      isOpen[key] = true
    } else if (what === EMITTED || what === GIVEN_UP) {
      if (kindOf[value] === KEY_THROWS) continue
      if (!isOpen[key] || value !== lastStarted[key]) throw new Error(`schedule ${number}: value ${value} ends twice`)
      isOpen[key] = false
    }
  }
}

function storyOf(subject: Subject, model: Model, sent: number): string {
  const told = (log: readonly number[]): string =>
    log.map((entry) => `${WORDS[entry & 15]!} ${(entry & 15) < COMPLETED ? entry >> 4 : ''}`.trim()).join(', ')
  return [
    JSON.stringify(subject.setting),
    `keys ${keyOf.slice(0, sent).join(' ')}, kinds ${kindOf.slice(0, sent).join(' ')}`,
    `did    ${told(subject.log)}`,
    `should ${told(model.log)}`,
    JSON.stringify(subject.ledger),
  ].join('\n')
}
