/**
 * The simulation finds bugs: each of these is put in on purpose, and a sweep from the first seed on finds it, by the
 * invariant that it breaks.
 */
import { expect } from 'chai'
import type { KeyedLedger, MergeMapByKeyOptions } from '../../../src/operators/mergeMapByKey'
import { map, type ObservableInput, type OperatorFunction } from 'rxjs'
import * as sequencing from '../../../src/book/sequencing'
import type { SequencingRule } from '../../../src/book/sequencing'
import type { Clock } from '../../../src/clock/clock'
import * as backoffs from '../../../src/clock/backoff'
import * as currentClocks from '../../../src/clock/currentClock'
import * as bookKeepers from '../../../src/operators/toBooks'
import * as keyed from '../../../src/operators/mergeMapByKey'
import * as ledgers from '../../../src/actors/ledger'
import { marketReceipts } from '../../../src/pipeline/marketEdge'
import { sweep } from '../../../src/testing/simulation/sweep'
import type { Invariant } from '../../../src/testing/simulation/verdict'

/** What the issue of a mutation may cost; seeds are a fifth of a second each. */
const SEEDS_MAX = 1_000

describe('A bug put in on purpose is found by the simulation', function () {
  this.timeout(600_000)

  const mends: (() => void)[] = []
  afterEach(() => {
    for (const mend of mends.splice(0)) mend()
  })

  it('when sequence numbers are not checked', async () => {
    const { rangeAfterSnapshot, linkedAfterSnapshot, linkedInStream, stepOfOne } = sequencing
    for (const rule of [rangeAfterSnapshot, linkedAfterSnapshot, linkedInStream, stepOfOne]) {
      replace(rule as { next: SequencingRule['next'] }, 'next', () => 'apply')
    }
    await isFound('books')
  })

  it('when one rule of them is not checked', async () => {
    replace(sequencing.stepOfOne as { next: SequencingRule['next'] }, 'next', () => 'apply')
    await isFound('books')
  })

  it('when what was dropped is not told', async () => {
    const receipts = Object.getPrototypeOf(marketReceipts()) as { take: () => unknown }
    const take = receipts.take
    replace(receipts, 'take', function (this: unknown) {
      take.call(this)
      return undefined
    })
    await isFound('receipts')
  })

  it('when values of one key overtake each other', async () => {
    type Merge = (
      key: (value: unknown) => unknown,
      project: (value: unknown, key: unknown) => ObservableInput<unknown>,
      options: MergeMapByKeyOptions<unknown, unknown> & { readonly ledger?: KeyedLedger },
    ) => OperatorFunction<unknown, unknown>
    const original = keyed.mergeMapByKey as unknown as Merge
    let values = 0
    replace(keyed as unknown as { mergeMapByKey: Merge }, 'mergeMapByKey', (_, project, options) =>
      original(() => values++, project, options),
    )
    await isFound('order')
  })

  it('when an account forgets what was dropped', async () => {
    const drop = ledgers.drop
    replace(ledgers as { drop: typeof drop }, 'drop', (ledger, reason, values) => {
      drop(ledger, reason, values)
      if (reason === 'dropNewest' || reason === 'dropOldest') ledger.in -= values
    })
    await isFound('ledger')
  })

  it('when books do not listen to notices', async () => {
    const toBooks = bookKeepers.toBooks
    replace(bookKeepers, 'toBooks', (options) => {
      const deaf: ReturnType<typeof toBooks> = (source) =>
        source.pipe(
          map((batch) => [...batch].filter(({ kind }) => kind !== 'notice')),
          toBooks(options),
        )
      return Object.assign(deaf, { needsEveryValue: true })
    })
    await isFound('liveOnly')
  })

  it('when a stage asks the machine for the time instead of the stream', async () => {
    replace(currentClocks as { currentClock: () => Clock }, 'currentClock', () => currentClocks.currentWaits())
    await isFound('replay')
  })

  it('when chance comes from elsewhere than the seed', async () => {
    const delay = backoffs.backoffDelayMs
    replace(backoffs as { backoffDelayMs: typeof delay }, 'backoffDelayMs', (attempt, backoff) =>
      delay(attempt, { ...backoff, random: Math.random }),
    )
    await isFound('determinism', 1)
  })

  /** A sweep from the first seed on, until one fails. */
  async function isFound(invariant: Invariant, twiceEvery = 0): Promise<void> {
    const stopping = new AbortController()
    const { seeds, failures } = await sweep({
      seeds: SEEDS_MAX,
      from: 1,
      twiceEvery,
      signal: stopping.signal,
      onSeed: ({ violations }) => {
        if (violations.some((violation) => violation.invariant === invariant)) stopping.abort()
      },
    })
    expect(failures.map((failure) => failure.invariant)).to.include(invariant)
    const { seed, reproduce, message } = failures.find((failure) => failure.invariant === invariant)!
    expect(seed, 'seeds that it took').to.equal(seeds)
    expect(reproduce).to.equal(`millrace seeds --from ${seed} --seeds 1`)
    expect(message).to.match(/\S/)
    if (process.env['MILLRACE_SHOW'] !== undefined) console.log(`      seed ${seed}: ${message}`)
  }

  /** Modules are CommonJS: what one exports is looked up at each call, and can be exchanged. */
  function replace<Of extends object, Name extends keyof Of>(of: Of, name: Name, by: Of[Name]): void {
    const original = of[name]
    of[name] = by
    mends.push(() => {
      of[name] = original
    })
  }
})
