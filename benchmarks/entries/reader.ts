/**
 * The other thread of `hop`: reads events of four numbers as they come, by a ring or by messages, and says when it has had
 * all of a round and what they add up to.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { RingReader, type RingMemory } from '../../src/workers/ring'

export interface ReaderData {
  /** Without it events come as messages: a row of four numbers, or a batch of rows in one column. */
  readonly memory?: RingMemory
  /** Events of a round. */
  readonly events: number
}

const { memory, events } = workerData as ReaderData
let seen = 0
let sum = 0

function add(words: Float64Array | readonly number[], at: number, length: number): void {
  for (let index = at; index < at + length; index += 4) {
    sum += words[index]! + words[index + 1]! + words[index + 2]! + words[index + 3]!
  }
  seen += length / 4
  if (seen < events) return
  parentPort!.postMessage(sum)
  seen = 0
  sum = 0
}

if (memory === undefined) {
  parentPort!.on('message', (rows: Float64Array | readonly number[]) => add(rows, 0, rows.length))
} else {
  const ring = new RingReader(memory)
  while (!ring.isOver) {
    while (ring.next()) {
      add(ring.words, ring.at, ring.length)
      ring.release()
    }
    ring.sleepUntilPublished(1_000)
  }
}
