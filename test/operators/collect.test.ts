import { expect } from 'chai'
import { EMPTY, NEVER, of, range, Subject, throwError } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import { collect } from '../../src/operators/collect'

describe('collect', () => {
  const rejection = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => expect.fail('it resolved'),
      (error: unknown) => error,
    )

  it('gives the values of a source that completes', async () => {
    expect(await collect(of(1, 2, 3))).to.deep.equal([1, 2, 3])
  })

  it('gives nothing for an empty source', async () => {
    expect(await collect(EMPTY)).to.deep.equal([])
  })

  it('stops after as many values as asked for, and leaves the source', async () => {
    const source = new Subject<number>()
    const collected = collect(source, { take: 2 })
    source.next(1)
    source.next(2)
    expect(source.observed).to.equal(false)
    expect(await collected).to.deep.equal([1, 2])
  })

  it('stops an endless synchronous source', async () => {
    expect(await collect(range(0, Number.MAX_SAFE_INTEGER), { take: 3 })).to.deep.equal([0, 1, 2])
  })

  it('does not touch the source when asked for no values', async () => {
    expect(
      await collect(
        throwError(() => new Error('touched')),
        { take: 0 },
      ),
    ).to.deep.equal([])
  })

  it('stops after the time asked for, with what came until then', async () => {
    const clock = new VirtualClock()
    const source = new Subject<number>()
    const collected = collect(source, { forMs: 100, clock })
    source.next(1)
    clock.advance(99)
    source.next(2)
    clock.advance(1)
    source.next(3)
    expect(await collected).to.deep.equal([1, 2])
    expect(source.observed).to.equal(false)
  })

  it('gives nothing for a source that never says anything, when the time is up', async () => {
    const clock = new VirtualClock()
    const collected = collect(NEVER, { forMs: 100, clock })
    clock.advance(100)
    expect(await collected).to.deep.equal([])
  })

  it('rejects with the error of the source, and stops its timer', async () => {
    const clock = new VirtualClock()
    const error = new Error('gone')
    expect(
      await rejection(
        collect(
          throwError(() => error),
          { forMs: 100, clock },
        ),
      ),
    ).to.equal(error)
    expect(clock.pending).to.equal(0)
  })

  it('rejects, rather than growing, when there are more values than it may keep', async () => {
    const fault = await rejection(collect(range(0, Number.MAX_SAFE_INTEGER), { capacity: 10 }))
    expect(fault).to.be.instanceOf(Fault).with.property('code', 'EDGE_FULL')
  })

  it('keeps exactly its capacity without complaint', async () => {
    expect(await collect(range(0, 10), { capacity: 10 })).to.have.length(10)
  })

  it('rejects with the reason when aborted, before or during, and leaves the source', async () => {
    const reason = new Error('enough')
    expect(await rejection(collect(NEVER, { signal: AbortSignal.abort(reason) }))).to.equal(reason)

    const source = new Subject<number>()
    const controller = new AbortController()
    const collected = rejection(collect(source, { signal: controller.signal }))
    controller.abort(reason)
    expect(await collected).to.equal(reason)
    expect(source.observed).to.equal(false)
  })

  for (const options of [{ take: -1 }, { take: 1.5 }, { forMs: 0 }, { capacity: 0 }, { capacity: Number.NaN }]) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      expect(await rejection(collect(EMPTY, options))).to.have.property('code', 'OPTION_INVALID')
    })
  }
})
