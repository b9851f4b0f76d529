/**
 * The process that is killed: it writes rows into a destination until it is told no more, or is no more.
 *
 * It reads one line, what to do, and says, a line each, that it is `ready`, that it is `opening`, up to which row all are
 * acknowledged, and that it is `done`. It ends when nobody listens to it any longer.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Observable } from 'rxjs'
import { drain } from '../../src/sinks/drain'
import type { Row } from './conformance'
import { destinationOf, type DestinationName, type Place } from './destinations'
import { numberedRow } from './numberedRow'

export interface Life {
  readonly destination: DestinationName
  readonly place: Place
  readonly run: string | undefined
  /** The number of the first row. */
  readonly first: number
  /** How many rows. */
  readonly count: number
  readonly batchMax: number
}

const CLOSE_WITHIN_MS = 600_000

async function live({ destination, place, run, first, count, batchMax }: Life): Promise<void> {
  say('opening')
  const { rows, pressure } = numberedRows(first, count)
  const { ledger } = await drain<Row>(rows, destinationOf(destination).sink(place), {
    capacity: 4 * batchMax,
    batchMax,
    onFull: 'block',
    pressure,
    run,
    outDir: place.outDir,
    // Whoever watches has patience with a slow disk, and ends what says nothing.
    closeWithinMs: CLOSE_WITHIN_MS,
    onWritten: (batch) => {
      // Nothing is left of a batch that was there already. What an earlier life has written is not to be lost either.
      const last = batch.at(-1)
      if (last !== undefined) say(String(last.n + 1 - first))
    },
    onFault: ({ message }) => console.error(message),
  })
  const left = ledger.in - ledger.out - (ledger.dropped.alreadyWritten ?? 0)
  if (left > 0) throw new Error(`${left} rows were not written: ${JSON.stringify(ledger)}`)
  say('done')
}

/** The pipe has it when this returns, whatever happens to the process then. */
function say(what: string): void {
  writeSync(1, `${what}\n`)
}

function numberedRows(first: number, count: number) {
  let held = false
  let sent = 0
  let goOn = (): void => undefined
  return {
    rows: new Observable<Row>((out) => {
      goOn = () => {
        while (!held && sent < count) out.next(numberedRow(first + sent++))
        if (sent === count) out.complete()
      }
      goOn()
    }),
    pressure: {
      pause: () => (held = true),
      resume: () => {
        held = false
        setImmediate(() => goOn())
      },
    },
  }
}

if (require.main === module) {
  const orders = createInterface({ input: process.stdin })
  orders.once('line', (line) => {
    live(JSON.parse(line) as Life).then(
      () => process.exit(),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  orders.once('close', () => process.exit())
  say('ready')
}
