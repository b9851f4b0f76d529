/**
 * The behaviours that every sink owes. A sink's own test names how to make it, read its destination and break it; what it
 * owes is said here.
 */
import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { drain } from '../../src/sinks/drain'
import { type Sink, type SinkContext } from '../../src/sinks/sink'
import { from } from 'rxjs'
import { TestFolder, faultOf, until } from './support'

export interface Row {
  readonly n: number
  readonly text: string
}

export interface SinkUnderTest {
  readonly sink: Sink<Row>
  /** The rows that stand at the destination, in order. */
  read(): Promise<Row[]>
  /** From now on the destination refuses. */
  breakIt(): Promise<void> | void
  /** From now on the destination accepts again. */
  repairIt(): Promise<void> | void
}

export interface Conformance {
  /** Whether the destination holds every value, or only the latest. */
  readonly keeps: 'all' | 'latest'
  /**
   * What a broken destination refuses. Default `write`. A sink to which nothing can be refused once it is open is broken
   * before it is opened.
   */
  readonly refuses?: 'write' | 'open'
  /** Nothing may be at the destination before it is opened; a console has nothing to look at. */
  readonly create: (folder: TestFolder) => SinkUnderTest
}

export function row(n: number): Row {
  return { n, text: `row ${n}, "quoted"` }
}

export function rows(count: number, from = 0): Row[] {
  return Array.from({ length: count }, (_, at) => row(from + at))
}

export function conformsAsSink(name: string, { keeps, refuses = 'write', create }: Conformance): void {
  describe(`${name} as a sink`, () => {
    let folder: TestFolder
    let under: SinkUnderTest
    let context: SinkContext
    const clock = new VirtualClock(1_700_000_000_000_000)

    beforeEach(async () => {
      folder = await TestFolder.create()
      under = create(folder)
      context = { outDir: folder.outDir, clock }
    })
    afterEach(async () => {
      await under.sink.close().catch(() => undefined)
      await folder.remove()
    })

    const kept = (values: Row[]): Row[] => (keeps === 'all' ? values : values.slice(-1))

    it('opens and closes without a value', async () => {
      await under.sink.open(context)
      await under.sink.close()
      expect(under.sink.counters).to.deep.include({ written: 0, failed: 0, retries: 0 })
    })

    it('writes a batch', async () => {
      await under.sink.open(context)
      await under.sink.write(rows(3))
      await under.sink.close()
      expect(await under.read()).to.deep.equal(kept(rows(3)))
    })

    it('takes an empty batch for nothing', async () => {
      await under.sink.open(context)
      await under.sink.write([])
      await under.sink.write(rows(1))
      await under.sink.write([])
      await under.sink.close()
      expect(await under.read()).to.deep.equal(rows(1))
    })

    it('keeps the order of values within and across batches', async () => {
      await under.sink.open(context)
      for (let start = 0; start < 100; start += 10) await under.sink.write(rows(10, start))
      await under.sink.close()
      expect(await under.read()).to.deep.equal(kept(rows(100)))
    })

    it('does not change the batch that it is given', async () => {
      await under.sink.open(context)
      await under.sink.write(Object.freeze(rows(3).map((one) => Object.freeze(one))))
      await under.sink.close()
      expect(await under.read()).to.deep.equal(kept(rows(3)))
    })

    it('has flushed everything when it is closed', async () => {
      await under.sink.open(context)
      await under.sink.write(rows(2))
      await under.sink.write(rows(2, 2))
      await under.sink.close()
      expect((await under.read()).at(-1)).to.deep.equal(row(3))
    })

    it('may be closed twice, and before it was opened', async () => {
      await under.sink.close()
      await under.sink.open(context)
      await under.sink.write(rows(1))
      await under.sink.close()
      await under.sink.close()
      expect(await under.read()).to.deep.equal(rows(1))
    })

    it('goes on where it stood when it is opened again to resume', async () => {
      await under.sink.open(context)
      await under.sink.write(rows(2))
      await under.sink.close()
      await under.sink.open({ ...context, resume: true })
      await under.sink.write(rows(2, 2))
      await under.sink.close()
      expect(await under.read()).to.deep.equal(kept(rows(4)))
    })

    it('surfaces the refusal of its destination as a fault with a sentence', async () => {
      if (refuses === 'write') await under.sink.open(context)
      await under.breakIt()
      const fault = await faultOf(refuses === 'write' ? under.sink.write(rows(2)) : under.sink.open(context))
      expect(fault).to.be.instanceOf(Fault)
      expect(fault.code).to.equal('SINK_REJECTED')
      expect(fault.message).to.match(/^The sink .*\.$/)
      expect(structuredClone(fault.details)).to.deep.equal(fault.details)
      await under.repairIt()
    })

    it('has each value at least once and no half ones after a failure', async () => {
      await under.sink.open(context)
      await under.sink.write(rows(2))
      if (refuses === 'open') await under.sink.close()
      await under.breakIt()
      const batch = rows(3, 2)
      const again = { ...context, resume: true }
      for (let attempt = 0; attempt < 2; attempt++) {
        await faultOf(refuses === 'write' ? under.sink.write(batch) : under.sink.open(again))
      }
      await under.repairIt()
      if (refuses === 'open') await under.sink.open(again)
      await under.sink.write(batch)
      await under.sink.write(rows(1, 5))
      await under.sink.close()
      expect(await under.read()).to.deep.equal(kept(rows(6)))
    })

    it('is drained into, and carries on after its destination has come back', async () => {
      let repaired = false
      if (refuses === 'open') await under.breakIt()
      else {
        under.sink.open = wrap(under.sink.open.bind(under.sink), async () => {
          if (!repaired) await under.breakIt()
        })
      }
      const draining = drain(from([rows(5)]), under.sink, {
        capacity: 10,
        batchMax: 2,
        onFull: 'fail',
        retry: { attempts: 1_000, firstMs: 1, capMs: 2 },
        outDir: folder.outDir,
      })
      await until(() => under.sink.counters.retries > 0, 'a retry')
      repaired = true
      await under.repairIt()
      const result = await draining
      expect(result.ledger).to.deep.equal({ in: 5, out: 5, dropped: {}, inFlight: 0 })
      expect(result.failed).to.equal(0)
      expect(await under.read()).to.deep.equal(kept(rows(5)))
    })
  })
}

function wrap(open: Sink<Row>['open'], after: () => Promise<void>): Sink<Row>['open'] {
  return async (context) => {
    await open(context)
    await after()
  }
}
