import { parentPort, workerData } from 'node:worker_threads'
import { RingReader, RingWriter, type RingMemory } from '../../../src/workers/ring'

/** One side of a ring in a thread of its own, for the test of two threads. */
export interface PeerData {
  readonly memory: RingMemory
  /** Reads what comes and tells what was wrong with it; or writes so many records; or writes one and dies with another half written. */
  readonly role: 'read' | 'write' | 'die'
  readonly records: number
}

/** A record's length and content follow from its number, so that the reader knows what must come. */
export function lengthOf(record: number): number {
  return (record * 7) % 40
}

const { memory, role, records } = (workerData ?? {}) as Partial<PeerData>

if (memory !== undefined && role === 'read') void read(new RingReader(memory))
if (memory !== undefined && role === 'write') write(new RingWriter(memory), records ?? 0)
if (memory !== undefined && role === 'die') die(new RingWriter(memory))

async function read(ring: RingReader): Promise<void> {
  const alive = setInterval(() => undefined, 1_000) // a wait for the ring does not keep a thread alive
  let record = 0
  let wrong = 0
  while (!ring.isOver) {
    while (ring.next()) {
      if (!isAsWritten(ring, record++)) wrong++
      if (record % 3 === 0) ring.release()
    }
    ring.release()
    // Both ways of sleeping, in turn.
    if (record % 2 === 0) await ring.published()
    else ring.sleepUntilPublished(1_000)
  }
  clearInterval(alive)
  parentPort!.postMessage({ record, wrong })
}

export function isAsWritten(ring: RingReader, record: number): boolean {
  if (ring.length !== lengthOf(record) || ring.tag !== (record & 0xffff)) return false
  for (let at = 0; at < ring.length; at++) if (ring.words[ring.at + at] !== record + at / 64) return false
  return true
}

export function writeRecord(ring: RingWriter, record: number): boolean {
  const length = lengthOf(record)
  if (!ring.reserve(length, record & 0xffff)) return false
  for (let at = 0; at < length; at++) ring.words[ring.at + at] = record + at / 64
  return true
}

function write(ring: RingWriter, count: number): void {
  for (let record = 0; record < count; record++) {
    while (!writeRecord(ring, record)) {
      ring.publish()
      ring.sleepUntilRoom(1_000)
      if (ring.state !== 'open') return
    }
    ring.commit()
    if (record % 5 === 0) ring.publish()
  }
  ring.close()
}

function die(ring: RingWriter): never {
  writeRecord(ring, 0)
  ring.commit()
  ring.publish()
  writeRecord(ring, 1)
  ring.commit()
  writeRecord(ring, 2)
  process.exit(3)
}
