import { expect } from 'chai'
import type { Duplex } from 'node:stream'
import { Connection, textFrame } from '../../src/simulator/connection'
import { Outlet, Topic } from '../../src/simulator/outlet'
import { Random } from '../../src/simulator/random'

describe('Outlet', () => {
  const written: Buffer[] = []
  let waiting = 0
  let terminated = 0
  let corks = 0
  const wire = {
    readyState: 1,
    send: () => undefined,
    ping: () => undefined,
    close: () => undefined,
    terminate: () => terminated++,
  }
  const socket = {
    write: (frame: Buffer) => written.push(frame),
    cork: () => corks++,
    uncork: () => corks--,
    get writableLength() {
      return waiting
    },
  } as unknown as Duplex
  let outlet: Outlet
  let topic: Topic

  beforeEach(() => {
    written.length = 0
    waiting = terminated = corks = 0
    outlet = new Outlet(new Random(1, 'test'))
    topic = new Topic('topic', [])
  })
  const subscribe = (id: number): Connection => {
    const connection = new Connection(id, 0, wire, socket)
    topic.add(connection)
    return connection
  }

  it('writes the same bytes to every subscriber, gathered until the flush', () => {
    subscribe(1)
    subscribe(2)
    outlet.publish(topic, 'one')
    outlet.publish(topic, 'two')
    expect(corks).to.equal(2)
    outlet.flush()
    expect(corks).to.equal(0)
    expect(written).to.have.length(4)
    expect(written[0]).to.equal(written[1])
    expect(outlet.stats).to.include({ published: 2, sent: 4 })
  })

  it('disconnects and counts a client that does not take what is sent', () => {
    subscribe(1)
    waiting = 64 * 1024 * 1024
    outlet.publish(topic, 'still fine')
    expect(terminated).to.equal(0)
    waiting++
    outlet.publish(topic, 'too much')
    expect(terminated).to.equal(1)
    expect(outlet.stats.slowClients).to.equal(1)
  })

  it('keeps a lost change from one subscriber only, once, and only where it can be noticed', () => {
    subscribe(1)
    subscribe(2)
    outlet.arm({ kind: 'skip', symbol: undefined })
    outlet.publish(topic, 'no change of a book')
    outlet.publishDelta(topic, 'cannot be noticed', false)
    expect(written).to.have.length(4)
    outlet.publishDelta(topic, 'lost')
    expect(written).to.have.length(5)
    outlet.publishDelta(topic, 'after')
    expect(written).to.have.length(7)
    expect(outlet.stats.skippedDeltas).to.equal(1)
  })

  it('holds a hundred waiting faults, and counts those beyond as not applicable', () => {
    for (let count = 0; count < 105; count++) outlet.arm({ kind: 'checksum', symbol: undefined })
    expect(outlet.stats.notApplicable).to.equal(5)
    outlet.disarm()
    subscribe(1)
    outlet.publishDelta(topic, 'right', true, () => 'wrong')
    expect(outlet.stats.wrongChecksums).to.equal(0)
  })

  it('frames texts of any length as RFC 6455 says', () => {
    for (const [length, header] of [
      [125, 2],
      [126, 4],
      [65_535, 4],
      [65_536, 10],
    ] as const) {
      const frame = textFrame('x'.repeat(length))
      expect([frame[0], frame.length]).to.deep.equal([0x81, header + length])
      const said = header === 2 ? frame[1] : header === 4 ? frame.readUInt16BE(2) : frame.readUInt32BE(6)
      expect(said).to.equal(length)
    }
    expect(textFrame('é')).to.deep.equal(Buffer.from([0x81, 2, 0xc3, 0xa9]))
  })
})
