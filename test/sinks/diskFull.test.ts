/**
 * What is owed when the disk is full: the run goes on and says what is wrong, other sinks get everything, and when there is
 * room again writing resumes behind what was acknowledged, of which nothing is lost.
 */
import { expect } from 'chai'
import { Subject } from 'rxjs'
import type { Fault } from '../../src/model/fault'
import { pipeline } from '../../src/pipeline/pipeline'
import { memory } from '../../src/sinks/memory'
import type { Sink } from '../../src/sinks/sink'
import { expectBalanced } from '../../src/testing/ledger'
import { SmallDisk } from '../kit/smallDisk'
import type { Row } from './conformance'
import { DESTINATIONS, type Destination } from './destinations'
import { numberedRow } from './numberedRow'
import { until } from './support'

/** What is left then is soon filled. A report needs little, and needs it only while it is replaced. */
const ROOM_BYTES = 65_536
const BATCH = 40
/** More than may wait for the disk. */
const BATCHES_MEANWHILE = 50

describe('A full disk', () => {
  let disk: SmallDisk | undefined

  beforeEach(async function () {
    const mounted = await SmallDisk.mount()
    if (typeof mounted === 'string') {
      console.log(`      Skipped: ${mounted}.`)
      this.skip()
    }
    disk = mounted
  })
  afterEach(() => disk?.unmount())

  for (const [name, destination] of Object.entries<Destination>(DESTINATIONS)) {
    it(`stops neither the run nor other sinks, and ${name} goes on when there is room`, async () => {
      const place = { outDir: disk!.folder }
      const acknowledged: Row[] = []
      const elsewhere = memory<Row>({ capacity: 10_000_000 })
      const faults: Fault[] = []
      const source = new Subject<readonly Row[]>()
      const run = pipeline('full-disk', ({ source: from, sink }) => {
        const rows = from('rows', source, { capacity: 100_000, onFull: 'block' })
        sink(rows, remembering(destination.sink(place), acknowledged), {
          capacity: 1_000,
          onFull: 'dropOldest',
          batchMax: BATCH,
          flushMs: 0,
          retry: { attempts: 3, firstMs: 1, capMs: 2 },
          name: 'full',
        })
        sink(rows, elsewhere, { capacity: 100_000, onFull: 'block' })
      }).start({ out: place.outDir, onFault: (fault) => faults.push(fault) })
      await run.ready

      let sent = 0
      const goOn = (): void => {
        source.next(Array.from({ length: BATCH }, () => numberedRow(sent++)))
      }
      const sendUntil = (isSo: () => boolean, what: string): Promise<void> =>
        until(() => isSo() || (goOn(), false), what)
      const isFull = ({ message }: Fault): boolean => message.includes('the disk is full; free some space on it')
      await sendUntil(() => acknowledged.length > 0, 'writing while there was room')
      await disk!.fillBut(destination.delivery === 'latest' ? 0 : ROOM_BYTES)
      await sendUntil(() => faults.some(isFull), 'the fault of a full disk')
      const before = acknowledged.length
      for (let batches = 0; batches < BATCHES_MEANWHILE; batches++) goOn()
      await disk!.makeRoom()
      await sendUntil(() => acknowledged.length > before + BATCH, 'writing after there was room')
      source.complete()
      const summary = await run.done

      expectBalanced(summary)
      expect(elsewhere.values.length).to.equal(sent)
      expect(elsewhere.values.every(({ n }, at) => n === at)).to.equal(true)
      const rows = await destination.read(place, false)
      expect(rows).to.deep.equal(rows.map(({ n }) => numberedRow(n)))
      const kept = new Set(rows.map(({ n }) => n))
      const due = destination.delivery === 'latest' ? acknowledged.slice(-1) : acknowledged
      expect(due.filter(({ n }) => !kept.has(n))).to.deep.equal([])
      expect(rows.every(({ n }, at) => at === 0 || n > rows[at - 1]!.n)).to.equal(true)
    })
  }
})

/** The same sink; what it acknowledges is remembered. */
function remembering(sink: Sink<Row>, acknowledged: Row[]): Sink<Row> {
  return {
    name: sink.name,
    counters: sink.counters,
    delivery: sink.delivery ?? 'atLeastOnce',
    open: (context) => sink.open(context),
    async write(batch, key) {
      await sink.write(batch, key)
      acknowledged.push(...batch)
    },
    position: () => sink.position?.() ?? 0,
    close: () => sink.close(),
  }
}
