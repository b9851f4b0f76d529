/**
 * A worker that keeps state is killed once a second, and nobody behind it notices.
 *
 * Why      state that is lost, or values that are lost or counted twice, are wrong numbers that look like right ones
 * Input    values of 1,000 keys, as fast as they are taken; the worker adds them up by key and answers with each key's total.
 *          It ends itself a second after it was loaded, wherever it is; `rebuild` saves its state every 20,000 values
 * Measures the deaths; the bytes of the output that differ from those of a worker that was never killed, which are computed
 *          here (every total of every value, in order); values/s with and without the deaths
 * Baseline of `rate` the same worker left alive, in the same run
 *
 * Run it compiled: `npm run bench -- hop`.
 */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { Subject } from 'rxjs'
import { emptyLedger } from '../src/actors/ledger'
import { onWorker } from '../src/workers/onWorker'
import type { Addend, Mortal } from './entries/mortalTotals'
import { seeded } from './kit/random'
import { isQuick, report, rowOf, type Measured } from './kit/report'

const RUN_MS = isQuick() ? 5_000 : 60_000
const KEYS = 1_000
const A_TURN = 512

interface Outcome {
  readonly values: number
  readonly seconds: number
  readonly deaths: number
  /** Of all totals, eight bytes each. */
  readonly digest: string
  readonly isBalanced: boolean
}

async function main(): Promise<void> {
  const alive = await run(RUN_MS / 4, { livesMs: 2 * RUN_MS })
  const killed = await run(RUN_MS, { livesMs: 1_000 })
  const isSame = killed.digest === digestOf(killed.values) && alive.digest === digestOf(alive.values)
  report(rowOf('hop.kills.deaths', 'deaths', only(killed.deaths)))
  report(rowOf('hop.kills.values', 'values', only(killed.values)))
  report(rowOf('hop.kills.outputsThatDiffer', 'outputs', only(isSame ? 0 : 1)))
  report(rowOf('hop.kills.alive', 'ns/value', only((1e9 * alive.seconds) / alive.values)))
  report(
    rowOf('hop.kills.killed', 'ns/value', only((1e9 * killed.seconds) / killed.values), {
      name: 'hop.kills.alive',
      measured: only((1e9 * alive.seconds) / alive.values),
    }),
  )
  const isEnough = killed.deaths >= RUN_MS / 2_000 && killed.values > 100_000
  if (!isSame || !isEnough || !killed.isBalanced || !alive.isBalanced) process.exitCode = 1
}

function only(value: number): Measured {
  return { value, min: value, max: value }
}

function run(forMs: number, mortal: Mortal): Promise<Outcome> {
  const source = new Subject<Addend>()
  const hash = createHash('sha256')
  const ledger = emptyLedger()
  const next = addends()
  const startedMs = performance.now()
  let values = 0
  let deaths = 0
  let isPaused = false
  const pressure = {
    pause: () => void (isPaused = true),
    resume: () => {
      isPaused = false
      setImmediate(give)
    },
  }
  const give = (): void => {
    if (isPaused) return
    if (performance.now() - startedMs >= forMs) {
      source.complete()
      return
    }
    for (let count = 0; count < A_TURN; count++) source.next(next())
    values += A_TURN
    setImmediate(give)
  }
  return new Promise((resolve, reject) => {
    source
      .pipe(
        onWorker<Addend, number>(path.join(__dirname, 'entries', 'mortalTotals.js'), {
          capacity: 4_096,
          onFull: 'block',
          pressure,
          ledger,
          batchMax: 1_024,
          deadlineMs: 10_000,
          restart: { atMost: 1_000, withinMs: 120_000, backoffMs: [1, 10] },
          rebuild: { everyValues: 20_000 },
          workerData: mortal,
          encode: (some) => ({ message: columnOf(some) }),
          decode: (reply) => reply as Float64Array,
          onFault: () => deaths++,
        }),
      )
      .subscribe({
        next: (total) => hash.update(bytesOf(total)),
        error: reject,
        complete: () => {
          const seconds = (performance.now() - startedMs) / 1_000
          const isBalanced = ledger.in === values && ledger.out === values && ledger.inFlight === 0
          resolve({ values, seconds, deaths, digest: hash.digest('hex'), isBalanced })
        },
      })
    give()
  })
}

function columnOf(some: readonly Addend[]): Float64Array {
  const column = new Float64Array(2 * some.length)
  for (let at = 0; at < some.length; at++) {
    column[2 * at] = some[at]!.key
    column[2 * at + 1] = some[at]!.value
  }
  return column
}

/** The same values in every run, without end. */
function addends(): () => Addend {
  const random = seeded(7)
  return () => ({ key: Math.floor(random() * KEYS), value: random() - 0.4 })
}

function digestOf(values: number): string {
  const hash = createHash('sha256')
  const totals = new Float64Array(KEYS)
  const next = addends()
  for (let count = 0; count < values; count++) {
    const { key, value } = next()
    hash.update(bytesOf((totals[key]! += value)))
  }
  return hash.digest('hex')
}

const total = new Float64Array(1)
const totalBytes = new Uint8Array(total.buffer)

function bytesOf(value: number): Uint8Array {
  total[0] = value
  return totalBytes
}

void main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
