import { expect } from 'chai'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { balances } from '../../src/actors/ledger'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Fault } from '../../src/model/fault'
import { marketReceipts } from '../../src/pipeline/marketEdge'
import { combinedLedger, Spill, spillFiles, type SpillFiles, type SpillOptions } from '../../src/pipeline/spill'
import { Drain } from '../../src/sinks/drain'
import { delta, trade, viewOf } from '../kit/marketEvents'
import { ScriptedSink, turns, until } from '../sinks/support'

describe('Spill', () => {
  let outDir: string
  let asked: string[]
  let faults: Fault[]
  /** What came out; a skipped account as what it tells. */
  let out: unknown[]
  let spill: Spill<unknown>

  beforeEach(async () => {
    outDir = path.join(await mkdtemp(path.join(tmpdir(), 'millrace-spill-')), 'out')
    asked = []
    faults = []
    out = []
  })

  afterEach(async () => {
    await spill.close()
    expect(existsSync(path.join(outDir, 'spill'))).to.equal(false)
    await rm(path.dirname(outDir), { recursive: true, force: true })
  })

  const onDisk = (options: Partial<Parameters<typeof spillFiles>[0]> = {}): SpillFiles =>
    spillFiles({ outDir, pipeline: 'test', edge: 'books', name: 'waiting', pid: 42, ...options })

  /** Before an edge that takes nothing while it is paused. */
  const spillOf = (options: Partial<SpillOptions<unknown>> = {}): Spill<unknown> =>
    (spill = new Spill<unknown>({
      name: 'The edge to test/books',
      bytesMax: 10_000,
      segmentBytes: 1_000,
      memoryMax: 1e6,
      files: onDisk(),
      to: { offer: (_, value) => out.push(value), skipped: (account) => out.push(account.take()) },
      pressure: { pause: () => asked.push('pause'), resume: () => asked.push('resume') },
      onFault: (fault) => faults.push(fault),
      receipts: marketReceipts(),
      ...options,
    }))

  const folder = (): string => path.join(outDir, 'spill', 'test-books-42')
  const files = (): string[] => (existsSync(folder()) ? readdirSync(folder()).toSorted() : [])
  const text = (n: number): string => `${String(n).padStart(4, '0')} ${'x'.repeat(95)}`
  const texts = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => text(from + n))
  const offer = (...values: unknown[]): void => {
    for (const value of values) spill.offer(undefined, value)
  }

  it('touches no disk while the edge takes values, and for a short pause', async () => {
    spillOf()
    offer(1, 2)
    spill.pause()
    offer(3, 4)
    expect(out).to.deep.equal([1, 2])
    spill.resume()
    offer(5)
    expect(out).to.deep.equal([1, 2, 3, 4, 5])
    await spill.settled()
    expect(existsSync(outDir)).to.equal(false)
    expect(spill.ledger).to.deep.equal({ in: 5, out: 5, dropped: {}, inFlight: 0 })
  })

  it('writes whole segments to files of its own, gives the disk back as they are read, and keeps the order', async () => {
    spillOf()
    spill.pause()
    offer(...texts(0, 50))
    // The first segment is read next, and the last is not whole.
    await until(() => files().length === 4)
    expect(files()).to.deep.equal([2, 3, 4, 5].map((n) => `waiting.00000${n}.jsonl`))
    expect(statSync(folder()).mode & 0o777).to.equal(0o700)
    expect(readFileSync(path.join(folder(), files()[0]!), 'utf8').split('\n')).to.have.length(11)
    expect(spill.bytes).to.be.within(5_000, 6_000)
    spill.resume()
    offer(...texts(50, 60))
    await spill.settled()
    expect(out).to.deep.equal(texts(0, 60))
    expect(files()).to.deep.equal([])
    expect([asked, faults]).to.deep.equal([[], []])
  })

  it('gives back what it was given, whatever it was made of', async () => {
    spillOf({ segmentBytes: 1 })
    const values = [
      [delta([['99.5', '1']], [], { seq: 4 }), trade()],
      [viewOf([[1, 2]], [])],
      { a: undefined, at: new Date(5), big: 5n, bytes: new Uint8Array([1]), map: new Map([[1, NaN]]) },
      undefined,
      [],
    ]
    spill.pause()
    offer(...values)
    await until(() => files().length === 4)
    spill.resume()
    await spill.settled()
    expect(out.map((value) => (value as { bids?: unknown }[] | undefined)?.[0]?.bids === undefined)).to.have.length(5)
    expect(out.slice(2)).to.deep.equal(values.slice(2))
    expect(out[0]).to.deep.equal(values[0])
  })

  it('pauses the source when as much waits as may, and lets it go on at half', async () => {
    spillOf({ bytesMax: 2_000 })
    spill.pause()
    offer(...texts(0, 18))
    expect(asked).to.deep.equal([])
    offer(...texts(18, 20))
    expect(asked).to.deep.equal(['pause'])
    offer(...texts(20, 22)) // what was on its way
    await until(() => files().length === 1)
    let room = 9
    const taken = out.push.bind(out)
    out.push = (value: unknown) => {
      const length = taken(value)
      if (--room === 0) spill.pause()
      return length
    }
    spill.resume()
    await turns()
    expect(asked).to.deep.equal(['pause'])
    room = Infinity
    spill.resume()
    await spill.settled()
    expect(asked).to.deep.equal(['pause', 'resume'])
    expect(out).to.deep.equal(texts(0, 22))
    expect(spill.highWaterBytes).to.be.above(2_000)
  })

  it('drops what a paused source sends on without end, and tells of it in its place', async () => {
    spillOf({ bytesMax: 1_000, overrunMax: 2 })
    spill.pause()
    const events = Array.from({ length: 40 }, (_, seq) => [delta([['99.5', '1']], [], { seq })])
    offer(...events)
    const kept = spill.ledger.inFlight
    expect(spill.ledger.dropped).to.deep.equal({ overrun: 40 - kept })
    spill.resume()
    await spill.settled()
    expect(out.slice(0, kept)).to.deep.equal(events.slice(0, kept))
    const [notice] = out.at(-1) as { code: string; details: object }[]
    expect(notice).to.deep.include({ code: 'dropped' })
    expect(notice!.details).to.deep.include({ events: 40 - kept, reason: 'overrun', fromSeq: kept, toSeq: 39 })
    expect(spill.receipts).to.deep.include({ runs: 1, values: 40 - kept })
  })

  it('drops a value that has no form, tells where it is not, and goes on', () => {
    spillOf()
    spill.pause()
    offer([1], [{ format: () => 1 }], [2])
    spill.resume()
    expect(out).to.deep.equal([[1], undefined, [2]])
    expect(spill.ledger).to.deep.equal({ in: 3, out: 2, dropped: { unencodable: 1 }, inFlight: 0 })
    expect(faults[0]!.message).to.include('value[0].format is a function')
  })

  it('blocks when the disk cannot be written: nothing is lost, and a fault names the file', async () => {
    const inTheWay = path.join(outDir, '..', 'file')
    writeFileSync(inTheWay, '')
    spillOf({ files: onDisk({ outDir: inTheWay }) })
    spill.pause()
    offer(...texts(0, 30))
    await until(() => faults.length > 0)
    expect(asked).to.deep.equal(['pause'])
    expect(faults).to.have.length(1)
    expect(faults[0]!.message).to.match(
      /^The edge to test\/books cannot write .*file.*waiting\.000002\.jsonl, where values wait that did not fit: a part of its path is a file .* From now on its source is paused instead\.$/,
    )
    spill.resume()
    await spill.settled()
    expect(out).to.deep.equal(texts(0, 30))
    expect(asked).to.deep.equal(['pause', 'resume'])
    spill.pause()
    expect(asked).to.deep.equal(['pause', 'resume', 'pause'])
    spill.resume()
    expect(asked).to.deep.equal(['pause', 'resume', 'pause', 'resume'])
  })

  for (const [name, harm] of Object.entries({
    'has gone': (file: string) => rmSync(file),
    'is shorter': (file: string) => writeFileSync(file, 'x'),
    'was changed': (file: string) => writeFileSync(file, readFileSync(file, 'utf8').replace('99.5', '99.6')),
  })) {
    it(`drops what cannot be read back because a file ${name}, and tells of it in its place`, async () => {
      // A segment is held in memory until its file was acknowledged: harm that comes before costs nothing.
      const disk = onDisk()
      const acknowledged: string[] = []
      const write = async (file: string, content: string): Promise<void> => {
        await disk.write(file, content)
        acknowledged.push(file)
      }
      spillOf({ files: { ...disk, write } })
      spill.pause()
      const events = Array.from({ length: 12 }, (_, seq) => [delta([['99.5', '1']], [], { seq })])
      offer(...events)
      await until(() => acknowledged.length > 0)
      await turns()
      const lost = readFileSync(path.join(folder(), files()[0]!), 'utf8').split('\n').length - 1
      harm(path.join(folder(), files()[0]!))
      spill.resume()
      await spill.settled()
      expect(spill.ledger).to.deep.equal({ in: 12, out: 12 - lost, dropped: { failed: lost }, inFlight: 0 })
      const at = out.findIndex((value) => (value as { code?: string }[])[0]!.code === 'dropped')
      const [notice] = out[at] as { details: object }[]
      expect(notice!.details).to.deep.include({ events: lost, reason: 'failed', fromSeq: at, toSeq: at + lost - 1 })
      expect(out.toSpliced(at, 1)).to.deep.equal(events.toSpliced(at, lost))
      expect(faults[0]!.code).to.equal('RECORD_UNREADABLE')
      expect(faults[0]!.message).to.include(`cannot read ${folder()}`)
    })
  }

  it('drops what waits when it is closed, lets the source go on, and leaves nothing behind', async () => {
    spillOf({ bytesMax: 4_000 })
    spill.pause()
    offer(...texts(0, 40))
    await until(() => files().length > 1)
    expect(asked).to.deep.equal(['pause'])
    const settled = spill.settled()
    await Promise.all([spill.close(), spill.close()])
    await settled
    offer('late')
    expect(existsSync(folder())).to.equal(false)
    expect(asked).to.deep.equal(['pause', 'resume'])
    expect(spill.ledger).to.deep.equal({ in: 41, out: 0, dropped: { stopped: 40, closed: 1 }, inFlight: 0 })
    expect(out).to.deep.equal([])
  })

  it('never shares a folder with another run, nor leaves the output folder', async () => {
    const [one, other] = [onDisk(), onDisk()]
    await one.write('000001.jsonl', 'one')
    await other.write('000001.jsonl', 'other')
    expect(await one.read('000001.jsonl', 3)).to.equal('one')
    expect(other.locationOf('000001.jsonl')).to.equal(path.join(`${folder()}-2`, 'waiting.000001.jsonl'))
    await other.removeAll()
    await one.removeAll()
    const strange = onDisk({ pipeline: '../../..', edge: 'a/b\0c d', name: '..' })
    expect(strange.locationOf('1')).to.equal(path.join(outDir, 'spill', '.._.._..-a_b_c_d-42', '...1'))
    spillOf()
  })

  it('stands before a sink as before a mailbox: everything is written, in order, and the account is that of one edge', async () => {
    const clock = new VirtualClock()
    const sink = new ScriptedSink<unknown>()
    let release: (() => void) | undefined
    sink.onWrite = (attempt) => (attempt === 1 ? new Promise<void>((resolve) => (release = resolve)) : undefined)
    spillOf({
      to: { offer: (_, value) => drain.push(value), skipped: (account) => drain.skipped(account) },
    })
    const drain = new Drain<unknown>(sink, {
      capacity: 10,
      batchMax: 4,
      onFull: { spill: 'waiting', bytesMax: 10_000 },
      clock,
      pressure: spill,
      receipts: marketReceipts(),
      onFault: (fault) => faults.push(fault),
    })
    const rows = texts(0, 80)
    for (let at = 0; at < rows.length; at += 4) {
      offer(rows.slice(at, at + 4))
      expect(balances(combinedLedger(spill.ledger, drain.ledger))).to.equal(true)
      if (at === 4) await turns()
    }
    await until(() => files().length > 0)
    release!()
    await spill.settled()
    await drain.finish()
    expect(sink.values).to.deep.equal(rows)
    expect(combinedLedger(spill.ledger, drain.ledger)).to.deep.equal({ in: 80, out: 80, dropped: {}, inFlight: 0 })
    expect(drain.highWater).to.be.at.most(14)
    expect(faults).to.deep.equal([])
  })
})
