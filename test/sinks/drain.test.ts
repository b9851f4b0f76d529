import { expect } from 'chai'
import { EMPTY, NEVER, Observable, Subject, from, of, throwError } from 'rxjs'
import { droppedOf, type Ledger } from '../../src/actors/ledger'
import type { Batch } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { Drain, drain, isBatch, type DrainOptions, type DrainResult } from '../../src/sinks/drain'
import type { DeadLetter } from '../../src/sinks/deadLetter'
import { ScriptedSink, VirtualClock, faultOf, turns, until } from './support'

const balance = (ledger: Readonly<Ledger>): number => ledger.in - ledger.out - ledger.inFlight - droppedOf(ledger)

const refuse = (): never => {
  throw new Fault('SINK_REJECTED', 'The sink scripted cannot write: it was told so.')
}

describe('drain', () => {
  let sink: ScriptedSink<number>
  let clock: VirtualClock
  let faults: Fault[]
  let options: DrainOptions<number>

  beforeEach(() => {
    sink = new ScriptedSink()
    clock = new VirtualClock(1_700_000_000_000_000)
    faults = []
    options = { capacity: 100, batchMax: 10, onFull: 'fail', clock, onFault: (fault) => faults.push(fault) }
  })

  describe('what a source can do', () => {
    it('never: keeps the sink open', async () => {
      const stop = new AbortController()
      const draining = drain(NEVER as Observable<number>, sink, { ...options, signal: stop.signal })
      await turns()
      expect(sink.calls).to.deep.equal(['open'])
      stop.abort()
      expect((await draining).ended).to.equal('aborted')
    })

    it('empty: opens and closes the sink', async () => {
      const result = await drain(EMPTY as Observable<number>, sink, options)
      expect(sink.calls).to.deep.equal(['open', 'close'])
      expect(result).to.deep.include({ ended: 'completed', fault: undefined, written: 0, failed: 0, retries: 0 })
      expect(clock.pending).to.equal(0)
    })

    it('values: writes them in order, in batches of at most batchMax', async () => {
      const result = await drain(from(Array.from({ length: 25 }, (_, n) => n)), sink, options)
      expect(sink.batches.map((batch) => batch.length)).to.deep.equal([10, 10, 5])
      expect(sink.values).to.deep.equal(Array.from({ length: 25 }, (_, n) => n))
      expect(result.ledger).to.deep.equal({ in: 25, out: 25, dropped: {}, inFlight: 0 })
      expect(clock.pending).to.equal(0)
    })

    it('batches: writes their values', async () => {
      const batch: Batch<number> = { length: 2, [Symbol.iterator]: () => [3, 4][Symbol.iterator]() }
      await drain<number>(of([1, 2], batch, 5), sink, options)
      expect(sink.values).to.deep.equal([1, 2, 3, 4, 5])
    })

    it('error: writes what came before, closes, and rejects with it', async () => {
      const source = new Observable<number>((out) => {
        out.next(1)
        out.error(new Error('the source died'))
      })
      expect((await faultOf(drain(source, sink, options))).message).to.equal('the source died')
      expect(sink.values).to.deep.equal([1])
      expect(sink.calls.at(-1)).to.equal('close')
      expect(
        (
          await faultOf(
            drain(
              throwError(() => 'a text'),
              new ScriptedSink(),
              options,
            ),
          )
        ).message,
      ).to.equal('a text')
    })

    it('endless and all at once: is left when the edge fails', async () => {
      let emitted = 0
      const endless = new Observable<number>((out) => {
        while (!out.closed) out.next(emitted++)
      })
      expect((await faultOf(drain(endless, sink, options))).code).to.equal('EDGE_FULL')
      expect(emitted).to.be.below(110)
    })

    it('early end by signal: leaves the source, writes what waits, closes', async () => {
      const source = new Subject<number>()
      const stop = new AbortController()
      const draining = drain(source, sink, { ...options, signal: stop.signal })
      source.next(1)
      stop.abort()
      expect(source.observed).to.equal(false)
      const result = await draining
      expect(result.ended).to.equal('aborted')
      expect(sink.values).to.deep.equal([1])
    })

    it('a signal that was given before: never subscribes', async () => {
      const source = new Subject<number>()
      const result = await drain(source, sink, { ...options, signal: AbortSignal.abort() })
      expect(result).to.deep.include({ ended: 'aborted', written: 0 })
    })
  })

  describe('batches', () => {
    it('gathers what came while the sink was busy', async () => {
      let release: (() => void) | undefined
      sink.onWrite = (attempt) => (attempt === 1 ? new Promise((resolve) => (release = resolve)) : undefined)
      const edge = new Drain(sink, options)
      edge.push(1)
      await turns()
      for (let n = 2; n <= 6; n++) edge.push(n)
      release!()
      await edge.finish()
      expect(sink.batches).to.deep.equal([[1], [2, 3, 4, 5, 6]])
    })

    it('waits flushMs for a fuller batch, and not longer', async () => {
      const edge = new Drain(sink, { ...options, flushMs: 50 })
      edge.push(1)
      await turns()
      clock.advance(49)
      edge.push(2)
      await turns()
      expect(sink.batches).to.deep.equal([])
      clock.advance(1)
      await turns()
      expect(sink.batches).to.deep.equal([[1, 2]])
      await edge.finish()
    })

    it('does not wait when a batch is full, nor at the end', async () => {
      const edge = new Drain(sink, { ...options, flushMs: 50, batchMax: 2 })
      edge.push([1, 2, 3])
      await turns()
      expect(sink.batches).to.deep.equal([[1, 2]])
      await edge.finish()
      expect(sink.batches).to.deep.equal([[1, 2], [3]])
      expect(clock.pending).to.equal(0)
    })

    it('takes lists and batches apart, but not texts and bytes', () => {
      expect(isBatch([1])).to.equal(true)
      expect(isBatch('text')).to.equal(false)
      expect(isBatch(Buffer.from('bytes'))).to.equal(false)
      expect(isBatch(new Float64Array(2))).to.equal(false)
      expect(isBatch({ length: 2 })).to.equal(false)
      expect(isBatch(new Set([1]) as unknown)).to.equal(false)
      expect(isBatch(null)).to.equal(false)
      expect(isBatch(undefined)).to.equal(false)
    })

    it('fails with a fault when a batch cannot be read to its end', async () => {
      const broken: Batch<number> = {
        length: 2,
        *[Symbol.iterator]() {
          yield 1
          throw new Error('no second')
        },
      }
      const fault = await faultOf(drain(of(broken), sink, options))
      expect(fault.code).to.equal('STAGE_FAILED')
      expect(sink.values).to.deep.equal([1])
    })
  })

  describe('retries', () => {
    it('offers a batch again, the same array, until the sink takes it', async () => {
      const offered: (readonly number[])[] = []
      sink.onWrite = (attempt, batch) => {
        offered.push(batch)
        if (attempt < 4) refuse()
      }
      const draining = drain(of(1, 2), sink, { ...options, closeWithinMs: 600_000 })
      await advanceUntilSettled(clock, draining)
      const result = await draining
      expect(offered.length).to.equal(4)
      expect(new Set(offered).size).to.equal(1)
      expect(result).to.deep.include({ failed: 0, retries: 3 })
      expect(faults).to.deep.equal([])
    })

    it('pauses for longer each time, at random, never longer than the cap, the same for the same seed', async () => {
      const pausesOf = async (seed: number): Promise<number[]> => {
        const failing = new ScriptedSink<number>()
        const at: number[] = []
        const time = new VirtualClock(0)
        failing.onWrite = () => {
          at.push(time.nowUs() / 1_000)
          refuse()
        }
        const retry = { attempts: 12, firstMs: 100, capMs: 1_000 }
        const draining = drain(of(1), failing, { ...options, clock: time, closeWithinMs: 600_000, retry, seed })
        await advanceUntilSettled(time, draining)
        return at.slice(1).map((ms, index) => ms - at[index]!)
      }
      const pauses = await pausesOf(7)
      expect(pauses.length).to.equal(11)
      pauses.forEach((pause, index) =>
        expect(pause, `pause ${index}`).to.be.within(0, Math.min(1_000, 100 * 2 ** index)),
      )
      expect(new Set(pauses).size).to.be.above(5)
      expect(await pausesOf(7)).to.deep.equal(pauses)
      expect(await pausesOf(8)).not.to.deep.equal(pauses)
    })

    it('stays away at least as long as the destination asks, though never for days', async () => {
      const at: number[] = []
      const asked = [60_000, 5, 10 ** 12, -1, NaN, undefined]
      sink.onWrite = (attempt) => {
        at.push(clock.nowUs() / 1_000)
        const retryAfterMs = asked[attempt - 1]
        if (attempt <= asked.length) throw new Fault('SINK_REJECTED', 'The sink scripted is busy.', { retryAfterMs })
      }
      const retry = { attempts: 10, firstMs: 10, capMs: 10 }
      const draining = drain(of(1), sink, { ...options, retry, closeWithinMs: 10 ** 9 })
      await advanceUntilSettled(clock, draining)
      expect((await draining).ledger).to.deep.equal({ in: 1, out: 1, dropped: {}, inFlight: 0 })
      const pauses = at.slice(1).map((ms, index) => ms - at[index]!)
      expect(pauses[0]).to.equal(60_000)
      expect(pauses[1]).to.be.within(5, 10)
      expect(pauses[2]).to.equal(3_600_000)
      for (const pause of pauses.slice(3)) expect(pause).to.be.within(0, 10)
    })

    it('does not offer again what the destination refuses for good: these are dead letters at once', async () => {
      const letters = new ScriptedSink<DeadLetter<number>>()
      sink.onWrite = (_attempt, batch) => {
        if (batch.includes(1)) throw new Fault('SINK_REJECTED', 'The sink scripted knows better.', { final: true })
      }
      const draining = drain(of(1, 2), sink, { ...options, batchMax: 1, deadLetters: letters })
      await advanceUntilSettled(clock, draining)
      const result = await draining
      expect(result.ledger).to.deep.equal({ in: 2, out: 1, dropped: { rejected: 1 }, inFlight: 0 })
      expect(result).to.deep.include({ failed: 1, retries: 0, deadLettered: 1 })
      expect(letters.values).to.deep.include({
        sink: 'scripted',
        reason: 'rejected',
        code: 'SINK_REJECTED',
        message: 'The sink scripted knows better.',
        attempts: 1,
        timeUs: 1_700_000_000_000_000,
        value: 1,
      })
      expect(sink.values).to.deep.equal([2])
    })

    it('gives a batch up when the budget is spent, tells so, opens the sink anew and goes on', async () => {
      sink.onWrite = (_attempt, batch) => {
        if (batch.includes(1)) refuse()
      }
      const draining = drain(of(1, 2, 3), sink, { ...options, batchMax: 1, closeWithinMs: 600_000 })
      await advanceUntilSettled(clock, draining)
      const result = await draining
      expect(result.ended).to.equal('completed')
      expect(result.ledger).to.deep.equal({ in: 3, out: 2, dropped: { rejected: 1 }, inFlight: 0 })
      expect(result).to.deep.include({ failed: 1, retries: 7 })
      expect(sink.values).to.deep.equal([2, 3])
      expect(sink.calls.join(' ')).to.equal('open' + ' write'.repeat(8) + ' close open write write close')
      expect(sink.resumed).to.deep.equal([undefined, true])
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED'])
      expect(faults[0]!.message).to.contain('A batch of 1 value was given up after 8 attempts.')
    })

    it('neither crashes nor hangs on whatever a sink throws', async () => {
      const thrown: unknown[] = [new TypeError('a bug'), 'a text', undefined, null, { odd: true }]
      for (const what of thrown) {
        const odd = new ScriptedSink<number>()
        odd.onWrite = () => {
          throw what
        }
        odd.onClose = () => {
          throw what
        }
        const draining = drain(of(1), odd, { ...options, closeWithinMs: 600_000 })
        await advanceUntilSettled(clock, draining)
        expect((await draining).ledger.dropped).to.deep.equal({ rejected: 1 })
      }
      expect(new Set(faults.map(({ code }) => code))).to.deep.equal(new Set(['SINK_REJECTED']))
    })

    it('survives a listener to faults that throws', async () => {
      sink.onWrite = refuse
      const onFault = (): never => {
        throw new Error('a bad listener')
      }
      const edge = new Drain(sink, { ...options, retry: { attempts: 1 }, onFault })
      edge.push(1)
      expect((await edge.finish()).failed).to.equal(1)
    })

    it('opens a sink that could not be opened at first', async () => {
      sink.onOpen = (attempt) => {
        if (attempt < 3) refuse()
      }
      const draining = drain(of(1), sink, { ...options, closeWithinMs: 600_000 })
      await advanceUntilSettled(clock, draining)
      expect((await draining).ledger.out).to.equal(1)
      expect(sink.calls).to.deep.equal(['open', 'open', 'open', 'write', 'close'])
    })

    it('opens it also when no value comes, so that an empty stream leaves an empty file', async () => {
      sink.onOpen = (attempt) => {
        if (attempt < 3) refuse()
      }
      const draining = drain(EMPTY as Observable<number>, sink, { ...options, closeWithinMs: 600_000 })
      await advanceUntilSettled(clock, draining)
      expect((await draining).failed).to.equal(0)
      expect(sink.calls).to.deep.equal(['open', 'open', 'open', 'close'])
    })

    it('does not try again what cannot be repaired: it fails, and drops what waits as rejected', async () => {
      sink.onOpen = () => {
        throw new Fault('OPTION_INVALID', 'The sink path leaves the output folder.')
      }
      const source = new Subject<number>()
      const draining = drain(source, sink, options)
      source.next(1)
      expect((await faultOf(draining)).code).to.equal('OPTION_INVALID')
      expect(source.observed).to.equal(false)
      expect(sink.calls).to.deep.equal(['open'])
    })

    it('leaves out a value that the sink says it can never write, and offers the others at once', async () => {
      sink.onWrite = (_attempt, batch) => {
        const index = batch.findIndex((value) => value < 0)
        if (index >= 0) throw new Fault('VALUE_INVALID', 'The sink cannot write a value.', { index })
      }
      const result = await drain(of([1, -1, 2, -2, 3]), sink, options)
      expect(sink.values).to.deep.equal([1, 2, 3])
      expect(result.ledger).to.deep.equal({ in: 5, out: 3, dropped: { unencodable: 2 }, inFlight: 0 })
      expect(faults.length).to.equal(2)
      expect(result.retries).to.equal(0)
    })
  })

  describe('when full', () => {
    /** An edge whose sink writes nothing until it is released. */
    const stuck = (more: Partial<DrainOptions<number>>): { edge: Drain<number>; release: () => void } => {
      const gate = new Promise<void>((resolve) => (open = resolve))
      sink.onWrite = () => gate
      const edge = new Drain(sink, { ...options, capacity: 3, batchMax: 1, ...more })
      return { edge, release: () => open!() }
    }
    let open: (() => void) | undefined

    const expectations: [DrainOptions<number>['onFull'], number[], Record<string, number>][] = [
      ['dropOldest', [0, 3, 4, 5], { dropOldest: 2 }],
      ['dropNewest', [0, 1, 2, 3], { dropNewest: 2 }],
      ['keepLatest', [0, 4, 5], { keepLatest: 3 }],
      [{ conflate: (value) => value % 2 }, [0, 5, 4], { conflated: 3 }],
    ]
    for (const [onFull, written, dropped] of expectations) {
      it(`${typeof onFull === 'string' ? onFull : 'conflate'} keeps what it says and counts the rest`, async () => {
        const { edge, release } = stuck({ onFull })
        edge.push(0)
        await turns()
        for (let n = 1; n <= 5; n++) {
          edge.push(n)
          expect(balance(edge.ledger)).to.equal(0)
          expect(edge.ledger.inFlight).to.be.at.most(4)
        }
        release()
        const { ledger } = await edge.finish()
        expect(sink.values).to.deep.equal(written)
        expect(ledger).to.deep.equal({ in: 6, out: written.length, dropped, inFlight: 0 })
        expect(faults).to.deep.equal([])
      })
    }

    it('fail says so once, keeps what it has accepted, and takes no more', async () => {
      const { edge, release } = stuck({ onFull: 'fail' })
      edge.push(0)
      await turns()
      for (let n = 1; n <= 5; n++) edge.push(n)
      expect(edge.state).to.equal('failed')
      release()
      const result = await edge.finish()
      expect(sink.values).to.deep.equal([0, 1, 2, 3])
      expect(result.ledger).to.deep.equal({ in: 6, out: 4, dropped: { fail: 1, closed: 1 }, inFlight: 0 })
      expect(result.fault?.code).to.equal('EDGE_FULL')
      expect(faults.length).to.equal(1)
    })

    it('block pauses the source when full and lets it go on at half', async () => {
      const asked: string[] = []
      const pressure = { pause: () => void asked.push('pause'), resume: () => void asked.push('resume') }
      const { edge, release } = stuck({ onFull: 'block', capacity: 4, pressure })
      edge.push(0)
      await turns()
      for (let n = 1; n <= 3; n++) edge.push(n)
      expect(asked).to.deep.equal([])
      edge.push(4)
      edge.push(5)
      expect(asked).to.deep.equal(['pause'])
      release()
      await until(() => edge.ledger.inFlight === 0)
      expect(asked).to.deep.equal(['pause', 'resume'])
      await edge.finish()
      expect(sink.values).to.deep.equal([0, 1, 2, 3, 4, 5])
    })

    it('block takes a batch whole, and what a paused source had on the way', async () => {
      const pressure = { pause: () => undefined, resume: () => undefined }
      const { edge, release } = stuck({ onFull: 'block', capacity: 4, pressure })
      edge.push(Array.from({ length: 20 }, (_, n) => n))
      expect(edge.state).to.equal('running')
      release()
      await edge.finish()
      expect(sink.values.length).to.equal(20)
    })

    it('block fails when the source does not stop, rather than grow or lose in silence', async () => {
      const pressure = { pause: () => undefined, resume: () => undefined }
      const { edge, release } = stuck({ onFull: 'block', capacity: 4, pressure })
      for (let n = 0; n < 9; n++) edge.push(n)
      expect(edge.state).to.equal('failed')
      expect(faults[0]!.message).to.contain('did not stop when it was paused')
      release()
      expect((await edge.finish()).ledger).to.deep.equal({ in: 9, out: 8, dropped: { overrun: 1 }, inFlight: 0 })
    })

    it('block without anything to pause fails when full', async () => {
      const { edge, release } = stuck({ onFull: 'block' })
      for (let n = 0; n < 4; n++) edge.push(n)
      expect(faults[0]!.message).to.contain('its source cannot be paused')
      release()
      await edge.finish()
    })

    it('lets a paused source go on when the edge ends', async () => {
      const asked: string[] = []
      const pressure = { pause: () => void asked.push('pause'), resume: () => void asked.push('resume') }
      const { edge } = stuck({ onFull: 'block', pressure })
      edge.push([1, 2, 3])
      const finished = edge.finish()
      await turns()
      clock.advance(5_000)
      await finished
      expect(asked).to.deep.equal(['pause', 'resume'])
    })
  })

  describe('the end', () => {
    it('writes what waits and closes, once, however often it is asked', async () => {
      const edge = new Drain(sink, options)
      edge.push([1, 2])
      expect(edge.finish()).to.equal(edge.finish())
      const result = await edge.finish()
      expect(edge.state).to.equal('closed')
      expect(sink.closes).to.equal(1)
      expect(result.ledger.out).to.equal(2)
    })

    it('counts what comes afterwards as closed', async () => {
      const edge = new Drain(sink, options)
      await edge.finish()
      edge.push([1, 2])
      expect(edge.ledger).to.deep.equal({ in: 2, out: 0, dropped: { closed: 2 }, inFlight: 0 })
    })

    it('does not wait beyond its deadline for a write that hangs: what is left is dropped and told', async () => {
      sink.onWrite = () => new Promise(() => undefined)
      const edge = new Drain(sink, { ...options, closeWithinMs: 2_000 })
      edge.push([1, 2, 3])
      await turns()
      edge.push([4])
      let result: DrainResult | undefined
      void edge.finish().then((done) => (result = done))
      await turns()
      clock.advance(1_999)
      await turns()
      expect(result).to.equal(undefined)
      clock.advance(1)
      await turns()
      expect(result!.ledger).to.deep.equal({ in: 4, out: 0, dropped: { deadline: 4 }, inFlight: 0 })
      expect(result!.failed).to.equal(1)
      expect(faults.map(({ code }) => code)).to.deep.equal(['DEADLINE_EXCEEDED'])
      expect(faults[0]!.message).to.contain('4 values were left unwritten')
    })

    it('closes a sink that lets go after the deadline, and counts nothing twice', async () => {
      let release: (() => void) | undefined
      sink.onWrite = () => new Promise((resolve) => (release = resolve))
      const edge = new Drain(sink, options)
      edge.push(1)
      await turns()
      const finished = edge.finish()
      await turns()
      clock.advance(5_000)
      const { ledger } = await finished
      release!()
      await turns()
      expect(sink.calls).to.deep.equal(['open', 'write', 'close'])
      expect(edge.ledger).to.deep.equal(ledger)
    })

    it('is not held up by a pause between two attempts', async () => {
      sink.onWrite = refuse
      const edge = new Drain(sink, { ...options, retry: { attempts: 1_000, firstMs: 100_000, capMs: 100_000 } })
      edge.push(1)
      await turns()
      const finished = edge.finish()
      clock.advance(5_000)
      expect((await finished).ledger.dropped).to.deep.equal({ deadline: 1 })
      await turns()
      expect(sink.calls).to.deep.equal(['open', 'write', 'close'])
      expect(clock.pending).to.equal(0)
    })

    it('tries again to close, and tells when it cannot', async () => {
      sink.onClose = (attempt) => {
        if (attempt < 3) refuse()
      }
      const draining = drain(of(1), sink, { ...options, closeWithinMs: 60_000 })
      await advanceUntilSettled(clock, draining)
      expect(await draining).to.deep.include({ failed: 0, retries: 2 })

      const stubborn = new ScriptedSink<number>()
      stubborn.onClose = refuse
      const failing = drain(of(1), stubborn, { ...options, closeWithinMs: 60_000 })
      await advanceUntilSettled(clock, failing)
      expect(await failing).to.deep.include({ failed: 1, ended: 'completed' })
      expect(faults.map(({ code }) => code)).to.deep.equal(['SINK_REJECTED'])
    })

    it('tells of a write that hangs, and acknowledges it when it succeeds after all', async () => {
      let release: (() => void) | undefined
      sink.onWrite = () => new Promise((resolve) => (release = resolve))
      const edge = new Drain(sink, { ...options, writeWithinMs: 30_000 })
      edge.push(1)
      await turns()
      clock.advance(30_000)
      expect(faults.map(({ code }) => code)).to.deep.equal(['DEADLINE_EXCEEDED'])
      expect(faults[0]!.message).to.contain('has not answered for 30 s')
      release!()
      await turns()
      expect(edge.ledger.out).to.equal(1)
      await edge.finish()
      expect(clock.pending).to.equal(0)
    })
  })

  describe('what a sink is given', () => {
    it('the output folder, the time of the stream, and the wish for a digest before it is opened', async () => {
      const streamClock = new VirtualClock(5)
      const seen: unknown[] = []
      const asked = Object.assign(sink, { enableDigest: () => seen.push('digest'), digest: () => 'sha256:00' })
      asked.open = (context: { outDir?: string; clock?: unknown; resume?: boolean }) => {
        seen.push(context.outDir, context.clock)
        return Promise.resolve()
      }
      const result = await drain(of(1), asked, { ...options, outDir: 'elsewhere', streamClock, digest: true })
      expect(seen).to.deep.equal(['digest', 'elsewhere', streamClock])
      expect(result.digest).to.equal('sha256:00')
    })

    it('refuses options that are none, all by name', () => {
      const wrong: Partial<DrainOptions<number>>[] = [
        { capacity: 0 },
        { capacity: NaN },
        { batchMax: 0.5 },
        { flushMs: -1 },
        { closeWithinMs: Infinity },
        { retry: { attempts: 0 } },
        { retry: { capMs: NaN } },
      ]
      for (const one of wrong) {
        const option = Object.keys(one)[0]!
        expect(() => new Drain(sink, { ...options, ...one }), option)
          .to.throw(option)
          .with.property('code', 'OPTION_INVALID')
      }
    })
  })

  it('keeps its ledger whatever happens, on random runs', async () => {
    let state = 42
    const random = (below: number): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 1) % below
    const policies: DrainOptions<number>['onFull'][] = [
      'dropOldest',
      'dropNewest',
      'keepLatest',
      'fail',
      { conflate: (n) => n % 5 },
    ]
    for (let run = 0; run < 100; run++) {
      const time = new VirtualClock(0)
      const shaky = new ScriptedSink<number>()
      shaky.onWrite = () => {
        if (random(3) === 0) refuse()
      }
      const edge = new Drain(shaky, {
        capacity: 1 + random(8),
        batchMax: 1 + random(4),
        onFull: policies[random(policies.length)]!,
        retry: { attempts: 1 + random(3), firstMs: 10 },
        flushMs: random(2) * 5,
        clock: time,
        seed: run,
      })
      let pushed = 0
      for (let step = 0; step < 30; step++) {
        const count = random(5)
        edge.push(Array.from({ length: count }, () => pushed++))
        expect(balance(edge.ledger)).to.equal(0)
        if (random(2) === 0) await turns(1)
        time.advance(random(20))
        expect(balance(edge.ledger)).to.equal(0)
      }
      const finished = edge.finish()
      await advanceUntilSettled(time, finished)
      const { ledger } = await finished
      expect(balance(ledger)).to.equal(0)
      expect(ledger.inFlight).to.equal(0)
      expect(ledger.in).to.equal(pushed)
      expect(ledger.out).to.equal(shaky.values.length)
      expect(time.pending).to.equal(0)
    }
  })
})

/** Moves virtual time from timer to timer until a promise is settled. */
async function advanceUntilSettled(clock: VirtualClock, promise: Promise<unknown>): Promise<void> {
  const state = { settled: false }
  const settle = (): void => void (state.settled = true)
  promise.then(settle, settle)
  for (let step = 0; step < 1_000; step++) {
    await turns(3)
    if (state.settled) return
    const next = clock.nextDueUs()
    if (next !== undefined) clock.advanceTo(next)
  }
  throw new Error('it was not settled in a thousand timers')
}
