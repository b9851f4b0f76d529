import { expect } from 'chai'
import { memory, type MemorySink } from '../../src/sinks/memory'
import { conformsAsSink, rows, type Row } from './conformance'
import { VirtualClock, faultOf } from './support'

const context = { outDir: 'out', clock: new VirtualClock() }

conformsAsSink('memory', {
  keeps: 'all',
  create: () => {
    const sink = memory<Row>({ capacity: 100, onFull: 'refuse' })
    let refuse = false
    const write = sink.write.bind(sink)
    // It refuses when it is full; full is made of a batch too many, which is refused whole.
    sink.write = (batch) => write(refuse ? [...batch, ...rows(101)] : batch)
    return {
      sink,
      read: () => Promise.resolve([...sink.values]),
      breakIt: () => void (refuse = true),
      repairIt: () => void (refuse = false),
    }
  },
})

describe('memory', () => {
  const opened = async (capacity: number): Promise<MemorySink<number>> => {
    const sink = memory<number>({ capacity })
    await sink.open(context)
    return sink
  }

  it('forgets the oldest values when full, and counts them', async () => {
    const sink = await opened(3)
    for (let n = 0; n < 10; n++) await sink.write([n])
    expect(sink.values).to.deep.equal([7, 8, 9])
    expect(sink.dropped).to.equal(7)
    expect(sink.counters.written).to.equal(10)
  })

  it('keeps the end of a batch that is larger than itself', async () => {
    const sink = await opened(3)
    await sink.write([0, 1])
    await sink.write([2, 3, 4, 5, 6])
    expect(sink.values).to.deep.equal([4, 5, 6])
    expect(sink.dropped).to.equal(4)
  })

  it('keeps a batch whole or refuses it whole when told to refuse', async () => {
    const sink = memory<number>({ capacity: 3, onFull: 'refuse' })
    await sink.open(context)
    await sink.write([1, 2])
    expect((await faultOf(sink.write([3, 4]))).message).to.contain('holds 3 values')
    expect(sink.values).to.deep.equal([1, 2])
    await sink.write([3])
    expect(sink.values).to.deep.equal([1, 2, 3])
  })

  it('gives what it keeps once when it is taken', async () => {
    const sink = await opened(3)
    await sink.write([1, 2])
    expect(sink.take()).to.deep.equal([1, 2])
    expect(sink.values).to.deep.equal([])
    await sink.write([3, 4, 5])
    expect(sink.values).to.deep.equal([3, 4, 5])
  })

  it('gives a list that does not change afterwards', async () => {
    const sink = await opened(2)
    await sink.write([1, 2])
    const { values } = sink
    await sink.write([3])
    expect(values).to.deep.equal([1, 2])
  })

  it('holds not more than twice its capacity of slots however much goes through', async () => {
    const sink = await opened(10)
    for (let n = 0; n < 10_000; n += 4) await sink.write([n, n + 1, n + 2, n + 3])
    expect(sink.values).to.deep.equal([9_990, 9_991, 9_992, 9_993, 9_994, 9_995, 9_996, 9_997, 9_998, 9_999])
  })

  it('can be read after closing, and is empty when it is run again', async () => {
    const sink = await opened(2)
    await sink.write([1])
    await sink.close()
    expect(sink.values).to.deep.equal([1])
    await sink.open(context)
    expect(sink.values).to.deep.equal([])
  })

  it('refuses a capacity that is none', () => {
    for (const capacity of [0, -1, 1.5, NaN, Infinity])
      expect(() => memory({ capacity })).to.throw('whole number above 0')
  })
})
