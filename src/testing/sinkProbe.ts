/**
 * A sink that a test drives: it holds every write until it is told to let it through, refuses and hangs when it is told
 * to, and watches that the sink contract (`src/sinks/sink.ts`) is kept by whoever writes.
 *
 *     const out = sinkProbe<Trade>()
 *     sink(trades, out, { capacity: 10, onFull: 'block' })
 *     ...
 *     expect((await out.nextWrite()).length)...
 *     out.acknowledge()                       or  out.allow(5)  or  out.refuse(fault)
 */
import type { Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { Fault } from '../model/fault'
import { sinkCounters, type Sink, type SinkContext } from '../sinks/sink'
import { AssertionError } from './assertionError'
import { expectEqual, show } from './equality'

export interface SinkProbeOptions {
  /** Default `probe`. */
  readonly name?: string
  /** Writes that are let through at first. Default 0: every write is held. `Infinity` lets all through. */
  readonly allowed?: number
  /** Values kept at most, for `values`. Default 1,000,000. */
  readonly capacity?: number
}

export interface SinkProbe<T> extends Sink<T> {
  /** The batch that is being written and held; undefined when none is. */
  readonly held: readonly T[] | undefined
  /** Batches that were accepted, as copies, and their values in one row. */
  readonly batches: readonly (readonly T[])[]
  readonly values: readonly T[]
  /** Attempts to write, those included that were refused. */
  readonly attempts: number
  readonly state: 'new' | 'opening' | 'open' | 'closed'
  /** How often it was opened, and closed. */
  readonly opens: number
  readonly closes: number
  /** What it was last opened with. */
  readonly context: SinkContext | undefined

  /** Lets so many writes through: the one that is held, then those that come. Default all. */
  allow(writes?: number): void
  /** Holds every write from now on. */
  hold(): void
  /** Accepts the batch that is held; fails when none is. */
  acknowledge(): void
  /** Refuses the batch that is held, and then those that come, so many times in all. Default once. */
  refuse(fault: Fault, times?: number): void
  /** Never answers the write that is held, or the next; it can be let go with `release`. */
  hang(): void
  /** Accepts what hangs. */
  release(): void
  /** Refuses to be opened, so many times. Default once. */
  refuseOpen(fault: Fault, times?: number): void

  /** Resolves with the batch that is held, now or when one is written. Fails after `withinMs` of `clock`. */
  nextWrite(within?: { readonly withinMs?: number; readonly clock?: Clock }): Promise<readonly T[]>
  /** Fails unless a batch is held, and, when one is given, it is this. */
  expectWriting(expected?: readonly T[]): void
  /** Fails when a batch is being written. */
  expectIdle(): void
  expectOpen(): void
  expectClosed(): void
  /** Fails when the contract was broken, saying how. Every other expectation says it too. */
  expectContract(): void
}

interface Writing<T> {
  readonly batch: readonly T[]
  /** The batch as it was offered: nobody may change it while it is written. */
  readonly copy: readonly T[]
  readonly accept: () => void
  readonly reject: (fault: Fault) => void
  hangs: boolean
}

export function sinkProbe<T>({
  name = 'probe',
  allowed = 0,
  capacity = 1_000_000,
}: SinkProbeOptions = {}): SinkProbe<T> {
  const counters = sinkCounters()
  const batches: (readonly T[])[] = []
  const values: T[] = []
  const broken: string[] = []
  const refusals: Fault[] = []
  const openRefusals: Fault[] = []
  const waiting = new Set<() => void>()
  let state: SinkProbe<T>['state'] = 'new'
  let context: SinkContext | undefined
  let writing: Writing<T> | undefined
  let letThrough = allowed
  let hangNext = false
  let attempts = 0
  let opens = 0
  let closes = 0
  /** What must be offered again, until it was accepted or the sink was closed. */
  let owed: { readonly batch: readonly T[]; readonly without: number | undefined } | undefined

  const violated = (sentence: string): void => {
    if (broken.length < 20) broken.push(sentence)
  }

  const contract = (): void => {
    if (broken.length > 0) {
      throw new AssertionError(
        `The sink contract was broken by what writes to ${name}:\n${broken.map((each) => `  ${each}`).join('\n')}`,
      )
    }
  }

  const settle = (): void => {
    if (writing === undefined) return
    if (hangNext) {
      hangNext = false
      writing.hangs = true
    }
    if (writing.hangs) return
    const refusal = refusals.shift()
    if (refusal !== undefined) writing.reject(refusal)
    else if (letThrough > 0) {
      letThrough--
      writing.accept()
    }
  }

  const checkOffered = (batch: readonly T[]): void => {
    if (state !== 'open')
      violated(`A batch was written while the sink was ${state === 'new' ? 'not yet open' : state}.`)
    if (writing !== undefined)
      violated('A batch was written while another was being written: writes must not be concurrent.')
    if (owed === undefined) return
    const { batch: before, without } = owed
    if (without === undefined) {
      if (batch !== before)
        violated(
          'After a refusal another array was written: the refused batch is to be offered again, as the same array.',
        )
    } else {
      const rest = before.filter((_, at) => at !== without)
      const same = batch.length === rest.length && batch.every((value, at) => Object.is(value, rest[at]))
      if (rest.length > 0 && !same) {
        violated(
          `After value ${without} of a batch was refused as unwritable, the batch was not offered again without it.`,
        )
      }
    }
  }

  const write = (batch: readonly T[]): Promise<void> =>
    new Promise((resolve, reject) => {
      attempts++
      checkOffered(batch)
      owed = undefined
      const finished = (): void => {
        if (writing === own) writing = undefined
        const changed = batch.length !== own.copy.length || batch.some((value, at) => !Object.is(value, own.copy[at]))
        if (changed) violated('A batch was changed while it was being written.')
      }
      const own: Writing<T> = {
        batch,
        copy: [...batch],
        hangs: false,
        accept: () => {
          finished()
          if (values.length + own.copy.length > capacity) {
            reject(
              new Fault(
                'SINK_REJECTED',
                `The sink ${name} holds ${values.length} values already: give the probe more capacity.`,
              ),
            )
            return
          }
          batches.push(own.copy)
          for (const value of own.copy) values.push(value)
          counters.written += own.copy.length
          resolve()
        },
        reject: (fault) => {
          finished()
          const index = fault.code === 'VALUE_INVALID' ? fault.details['index'] : undefined
          owed = { batch, without: typeof index === 'number' ? index : undefined }
          reject(fault)
        },
      }
      writing = own
      settle()
      for (const tell of [...waiting]) tell()
    })

  const heldOrFail = (verb: string): Writing<T> => {
    contract()
    if (writing === undefined)
      throw new AssertionError(`Expected a write to ${verb}, but nothing is being written to ${name}.`)
    return writing
  }

  return {
    name,
    counters,
    get held() {
      return writing?.copy
    },
    batches,
    values,
    get attempts() {
      return attempts
    },
    get state() {
      return state
    },
    get opens() {
      return opens
    },
    get closes() {
      return closes
    },
    get context() {
      return context
    },

    open(given) {
      if (state === 'opening') violated('The sink was opened while it was being opened.')
      if (state === 'open') violated('The sink was opened while it was open: close it before.')
      const refusal = openRefusals.shift()
      if (refusal !== undefined) return Promise.reject(refusal)
      context = given
      opens++
      state = 'opening'
      return Promise.resolve().then(() => {
        state = 'open'
      })
    },
    write,
    close() {
      closes++
      state = 'closed'
      owed = undefined // what was refused may be given up, and the sink closed for it
      return Promise.resolve()
    },

    allow(writes = Infinity) {
      letThrough += writes
      settle()
    },
    hold() {
      letThrough = 0
    },
    acknowledge: () => heldOrFail('acknowledge').accept(),
    refuse(fault, times = 1) {
      for (let time = 0; time < times; time++) refusals.push(fault)
      settle()
    },
    hang() {
      hangNext = true
      settle()
    },
    release() {
      const held = heldOrFail('release')
      if (!held.hangs)
        throw new AssertionError(`Expected a write that hangs, but what is being written to ${name} does not.`)
      held.accept()
    },
    refuseOpen(fault, times = 1) {
      for (let time = 0; time < times; time++) openRefusals.push(fault)
    },

    nextWrite({ withinMs = 5_000, clock = liveClock } = {}) {
      if (writing !== undefined) return Promise.resolve(writing.copy)
      return new Promise((resolve, reject) => {
        const timer = clock.after(withinMs, () => {
          waiting.delete(tell)
          reject(new AssertionError(`Expected a write to ${name}, but none came within ${withinMs} ms.`))
        })
        const tell = (): void => {
          if (writing === undefined) return // let through at once
          timer.cancel()
          waiting.delete(tell)
          resolve(writing.copy)
        }
        waiting.add(tell)
      })
    },
    expectWriting(expected) {
      const { copy } = heldOrFail('be under way')
      if (expected !== undefined) expectEqual(copy, expected, `The batch that is being written to ${name}`)
    },
    expectIdle() {
      contract()
      if (writing !== undefined) {
        throw new AssertionError(`Expected nothing to be written to ${name}, but ${show(writing.copy)} is.`)
      }
    },
    expectOpen() {
      contract()
      if (state !== 'open') throw new AssertionError(`Expected the sink ${name} to be open, but it is ${state}.`)
    },
    expectClosed() {
      contract()
      if (state !== 'closed') throw new AssertionError(`Expected the sink ${name} to be closed, but it is ${state}.`)
    },
    expectContract: contract,
  }
}
