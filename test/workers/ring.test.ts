import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import fc from 'fast-check'
import { Fault } from '../../src/model/fault'
import { recordWordsMax, RingReader, ringMemory, RingWriter } from '../../src/workers/ring'
import { compileEntries, type CompiledEntries } from './compiledEntries'
import { isAsWritten, writeRecord, type PeerData } from './entries/ringPeer'

interface Sides {
  readonly writer: RingWriter
  readonly reader: RingReader
}

function sidesOf(words: number): Sides {
  const memory = ringMemory(words)
  return { writer: new RingWriter(memory), reader: new RingReader(memory) }
}

function put(writer: RingWriter, tag: number, ...values: readonly number[]): boolean {
  if (!writer.reserve(values.length, tag)) return false
  writer.words.set(values, writer.at)
  writer.commit()
  return true
}

function take(reader: RingReader): { readonly tag: number; readonly values: readonly number[] } | undefined {
  if (!reader.next()) return undefined
  return { tag: reader.tag, values: [...reader.words.subarray(reader.at, reader.at + reader.length)] }
}

/** True when it is settled by the time all that is ready has been done. */
async function isSettled(promise: Promise<unknown> | undefined): Promise<boolean> {
  let settled = false
  void promise?.then(() => (settled = true))
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

describe('ring', function () {
  this.slow(2_000)

  it('gives records in order, whole, with their tags, once they are published', () => {
    const { writer, reader } = sidesOf(64)
    expect(put(writer, 7, 1, 2, 3)).to.equal(true)
    expect(put(writer, -1)).to.equal(true)
    expect(take(reader)).to.equal(undefined)
    writer.publish()
    expect(take(reader)).to.deep.equal({ tag: 7, values: [1, 2, 3] })
    expect(take(reader)).to.deep.equal({ tag: -1, values: [] })
    expect(take(reader)).to.equal(undefined)
  })

  it('has room again only for what was released', () => {
    const { writer, reader } = sidesOf(16)
    for (let record = 0; record < 4; record++) expect(put(writer, record, 1, 2, 3)).to.equal(true)
    writer.publish()
    expect(put(writer, 4)).to.equal(false)
    take(reader)
    expect(put(writer, 4)).to.equal(false)
    reader.release()
    expect(put(writer, 4, 1, 2, 3)).to.equal(true)
    expect(put(writer, 5)).to.equal(false)
    expect(writer.used).to.equal(16)
  })

  it('keeps a record in one piece where the end is near', () => {
    const { writer, reader } = sidesOf(16)
    put(writer, 1, ...Array<number>(6).fill(1))
    put(writer, 2, ...Array<number>(5).fill(2))
    writer.publish()
    take(reader)
    reader.release()
    expect(put(writer, 3, 3, 3, 3, 3)).to.equal(true) // 3 words were left before the end
    writer.publish()
    expect(take(reader)?.tag).to.equal(2)
    expect(take(reader)).to.deep.equal({ tag: 3, values: [3, 3, 3, 3] })
    expect(reader.at).to.equal(1)
  })

  it('takes the largest record wherever it stands, and refuses a larger one with a sentence', () => {
    const { writer, reader } = sidesOf(16)
    const most = recordWordsMax(writer.memory)
    for (let before = 0; before < 20; before++) {
      expect(put(writer, before, 1, 2)).to.equal(true)
      writer.publish()
      take(reader)
      reader.release()
      expect(put(writer, 99, ...Array<number>(most).fill(before))).to.equal(true)
      writer.publish()
      expect(take(reader)).to.deep.equal({ tag: 99, values: Array(most).fill(before) })
      reader.release()
    }
    expect(() => writer.reserve(most + 1, 0))
      .to.throw(Fault)
      .with.property('code', 'VALUE_INVALID')
  })

  it('is read to its end when it was closed, and not at all when it was aborted', () => {
    const closed = sidesOf(16)
    put(closed.writer, 1, 1)
    closed.writer.close()
    expect(closed.reader.isOver).to.equal(false)
    expect(put(closed.writer, 2)).to.equal(false)
    expect(take(closed.reader)?.tag).to.equal(1)
    expect(closed.reader.isOver).to.equal(true)

    const aborted = sidesOf(16)
    put(aborted.writer, 1, 1)
    aborted.writer.publish()
    aborted.reader.abort()
    expect(take(aborted.reader)).to.equal(undefined)
    expect(aborted.reader.isOver).to.equal(true)
    expect(put(aborted.writer, 2)).to.equal(false)
    aborted.writer.close()
    expect(aborted.writer.state).to.equal('aborted')
  })

  for (const end of ['publish', 'close', 'abort'] as const) {
    it(`wakes a reader that sleeps (${end})`, async () => {
      const { writer, reader } = sidesOf(16)
      const wait = reader.published()
      expect(await isSettled(wait)).to.equal(false)
      put(writer, 1, 1)
      writer[end]()
      await wait
    })
  }

  it('rings once for a reader that is slow to wake, however much is published meanwhile', async () => {
    const { writer, reader } = sidesOf(64)
    const control = new Int32Array(reader.memory.control)
    const before = [...control]
    const wait = reader.published()
    for (let record = 0; record < 5; record++) {
      put(writer, 1, 1)
      writer.publish()
    }
    await wait
    const rung = control.map((value, index) => value - before[index]!).filter((more) => more > 0)
    expect([...rung].toSorted((a, b) => a - b)).to.deep.equal([1, 10]) // the bell, and the words of five records
    for (let record = 0; record < 5; record++) expect(take(reader)).to.not.equal(undefined)
    const again = reader.published()
    expect(await isSettled(again)).to.equal(false)
    put(writer, 1, 1)
    writer.publish()
    await again
  })

  it('wakes a writer that waits for room', async () => {
    const { writer, reader } = sidesOf(16)
    while (put(writer, 1, 1, 2, 3));
    writer.publish()
    const released = writer.roomMade()
    expect(await isSettled(released)).to.equal(false)
    take(reader)
    reader.release()
    await released
    expect(put(writer, 2, 1, 2, 3)).to.equal(true)
    writer.publish()
    expect(put(writer, 2, 1, 2, 3)).to.equal(false)
    const aborted = writer.roomMade()
    expect(await isSettled(aborted)).to.equal(false)
    reader.abort()
    await aborted
  })

  it('does not sleep when there is something to look at already', () => {
    const { writer, reader } = sidesOf(16)
    put(writer, 1, 1)
    writer.publish()
    expect(reader.published()).to.equal(undefined)
    reader.sleepUntilPublished(60_000)
  })

  it('refuses a size that is no power of two', () => {
    for (const words of [0, 8, 17, 2 ** 28, Number.NaN]) {
      expect(() => ringMemory(words))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    }
  })

  it('behaves as a queue does, whatever the order of its calls', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ put: fc.integer({ min: 0, max: 15 }) }) },
      { weight: 3, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 4 }) }) },
      { weight: 2, arbitrary: fc.constantFrom('publish' as const, 'release' as const) },
      { weight: 1, arbitrary: fc.constantFrom('close' as const, 'abort' as const, 'anew' as const) },
    )
    fc.assert(
      fc.property(fc.constantFrom(16, 32, 64), fc.array(step, { maxLength: 300 }), (words, steps) => {
        let { writer, reader } = sidesOf(words)
        let written: number[][] = [] // committed, not yet shown
        let shown: number[][] = []
        let state: 'open' | 'closed' | 'aborted' = 'open'
        let held = 0 // words that were not given back, without what was skipped
        let takenWords = 0
        let next = 0
        for (const each of steps) {
          if (each === 'publish') {
            writer.publish()
            shown.push(...written)
            written = []
          } else if (each === 'release') {
            reader.release()
            held -= takenWords
            takenWords = 0
          } else if (each === 'close') {
            writer.close()
            shown.push(...written)
            written = []
            if (state === 'open') state = 'closed'
          } else if (each === 'abort') {
            reader.abort()
            state = 'aborted'
          } else if (each === 'anew') {
            if (state === 'open') continue
            ;({ writer, reader } = sidesOf(words))
            ;[written, shown, state, held, takenWords] = [[], [], 'open', 0, 0]
          } else if ('put' in each) {
            const values = Array.from({ length: Math.min(each.put, words / 2 - 1) }, () => next++)
            const fits = put(writer, next, ...values)
            if (fits) {
              expect(state).to.equal('open')
              held += values.length + 1
              expect(held).to.be.at.most(words)
              written.push([next, ...values])
            } else if (state === 'open') {
              expect(held + 2 * (values.length + 1), 'it had room').to.be.above(words)
            }
          } else {
            for (let count = 0; count < each.take; count++) {
              const expected = state === 'aborted' ? undefined : shown.shift()
              const taken = take(reader)
              expect(taken === undefined ? undefined : [taken.tag, ...taken.values]).to.deep.equal(expected)
              if (expected !== undefined) takenWords += expected.length
            }
          }
          expect(writer.state).to.equal(state)
          expect(reader.isOver).to.equal(state === 'aborted' || (state === 'closed' && shown.length === 0))
        }
      }),
      { numRuns: 500 },
    )
  })

  describe('between two threads', () => {
    const RECORDS = 100_000
    let entries: CompiledEntries
    before(async () => (entries = await compileEntries()))
    after(() => entries.remove())

    const peer = (data: PeerData): Worker => new Worker(entries.entry('ringPeer'), { workerData: data })

    for (const words of [128, 4_096]) {
      it(`loses and changes nothing on the way there, through ${words} words`, async () => {
        const memory = ringMemory(words)
        const worker = peer({ memory, role: 'read', records: RECORDS })
        const told = once(worker, 'message')
        const writer = new RingWriter(memory)
        for (let record = 0; record < RECORDS; record++) {
          while (!writeRecord(writer, record)) {
            writer.publish()
            await writer.roomMade()
          }
          writer.commit()
          if (record % 4 === 0) writer.publish()
        }
        writer.close()
        expect(await told).to.deep.equal([{ record: RECORDS, wrong: 0 }])
      })

      it(`and on the way back, through ${words} words`, async () => {
        const memory = ringMemory(words)
        const worker = peer({ memory, role: 'write', records: RECORDS })
        const reader = new RingReader(memory)
        let record = 0
        let wrong = 0
        while (!reader.isOver) {
          while (reader.next()) if (!isAsWritten(reader, record++)) wrong++
          reader.release()
          await reader.published()
        }
        expect({ record, wrong }).to.deep.equal({ record: RECORDS, wrong: 0 })
        await worker.terminate()
      })
    }

    it('shows whole records of a writer that died, and lets nobody wait for it once that is known', async () => {
      const memory = ringMemory(128)
      const reader = new RingReader(memory)
      const worker = peer({ memory, role: 'die', records: 0 })
      expect(await once(worker, 'exit')).to.deep.equal([3])
      expect(reader.next()).to.equal(true)
      expect(isAsWritten(reader, 0)).to.equal(true)
      expect(reader.next()).to.equal(false)
      const wait = reader.published()
      expect(await isSettled(wait)).to.equal(false)
      new RingWriter(memory).abort()
      await wait
      expect(reader.isOver).to.equal(true)
    })

    it('does not mind a thread that is ended while it sleeps', async () => {
      for (let round = 0; round < 20; round++) {
        const memory = ringMemory(128)
        const worker = peer({ memory, role: 'read', records: 0 })
        await once(worker, 'online')
        await worker.terminate()
        const writer = new RingWriter(memory)
        writer.abort()
      }
    })
  })
})
