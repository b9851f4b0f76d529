import { expect } from 'chai'
import { concat, EMPTY, NEVER, of, Subject, throwError } from 'rxjs'
import { Fault } from '../../src/model/fault'
import { probe } from '../../src/testing/probe'
import { sourceProbe } from '../../src/testing/sourceProbe'
import { failureOf } from './failureOf'

describe('A probe', () => {
  it('reads values in order, and the end', () => {
    const out = probe<number>()
    of(1, 2, 3).subscribe(out)
    out.expectNext(1)
    out.expectNext(2, 3)
    out.expectComplete()
    out.expectNoMore()
    expect(out.values).to.deep.equal([1, 2, 3])
    expect(out.ended).to.equal('completed')
  })

  it('reads batches, whatever they are made of', () => {
    const out = probe<Iterable<number>>()
    of([1, 2], new Set([3]), new Float64Array([NaN])).subscribe(out)
    out.expectBatch([1, 2])
    out.expectBatch([3])
    out.expectBatch([NaN])
    expect(failureOf(() => out.expectBatch([4]))).to.equal('Expected the value [ 4 ], but the stream has completed.')
    const single = probe<unknown>()
    of(1, [1, 2]).subscribe(single)
    expect(failureOf(() => single.expectBatch([1]))).to.equal('Expected a batch, but 1 came, which is none.')
    single.expectNext(1)
    expect(failureOf(() => single.expectBatch([1, 3]))).to.equal(
      'The next batch is not what was expected:\n  at [1]: expected 3, got 2',
    )
    single.expectBatch([1, 2])
  })

  it('says what came in the place of what was expected, and can be asked again', () => {
    const source = new Subject<number>()
    const out = probe<number>()
    source.subscribe(out)
    expect(failureOf(() => out.expectNext(1))).to.equal(
      'Expected the value 1, but nothing more has come, and the stream goes on.',
    )
    source.next(1)
    expect(failureOf(() => out.expectNext(2))).to.equal('The next value is not what was expected:\n  expected 2, got 1')
    expect(failureOf(() => out.expectNext(1, 2))).to.equal(
      'Expected 2 values 1, 2, but 1 came; then nothing more has come, and the stream goes on.',
    )
    source.next(3)
    expect(failureOf(() => out.expectNext(1, 2))).to.equal(
      'What came next is not what was expected:\n  at [1]: expected 2, got 3',
    )
    out.expectNext(1, 3)
    expect(failureOf(() => out.take())).to.match(/^Expected a value, but nothing more has come/)
  })

  it('expects nothing, and fails when there is something unread, or the end', () => {
    const source = new Subject<number>()
    const out = probe<number>()
    source.subscribe(out)
    out.expectNothing()
    source.next(1)
    source.next(2)
    expect(failureOf(() => out.expectNothing())).to.equal('Expected nothing, but 1, 2 came and are unread.')
    expect(failureOf(() => out.expectNoMore())).to.equal('Expected no more values, but 1, 2 came and are unread.')
    expect(out.takeAll()).to.deep.equal([1, 2])
    out.expectNothing()
    source.complete()
    expect(failureOf(() => out.expectNothing())).to.equal('Expected nothing, but the stream has completed.')
    out.expectNoMore()
  })

  it('expects the end, and fails while there are values before it, or it is another', () => {
    const going = probe<number>()
    concat(of(1), NEVER).subscribe(going)
    expect(failureOf(() => going.expectComplete())).to.equal(
      'Expected the stream to be complete, but 1 came and is unread.',
    )
    going.take()
    expect(failureOf(() => going.expectComplete())).to.match(/but nothing more has come, and the stream goes on\.$/)
    expect(failureOf(() => going.expectError())).to.match(/^Expected the stream to fail, but nothing more/)

    const failed = probe<number>()
    const fault = new Fault('EDGE_FULL', 'It is full.')
    throwError(() => fault).subscribe(failed)
    expect(failed.expectError()).to.equal(fault)
    expect(failed.expectError('EDGE_FULL')).to.equal(fault)
    expect(failureOf(() => failed.expectError('BOOK_GAP'))).to.equal(
      'Expected the stream to fail with BOOK_GAP, but it failed with EDGE_FULL: It is full.',
    )
    expect(failureOf(() => failed.expectComplete())).to.match(/but the stream has failed: It is full\.$/)

    const broken = probe<number>()
    throwError(() => new Error('other')).subscribe(broken)
    expect(failureOf(() => broken.expectError('BOOK_GAP'))).to.match(/but it failed with what is no Fault: other$/)
    const completed = probe<number>()
    EMPTY.subscribe(completed)
    expect(failureOf(() => completed.expectError())).to.match(/but the stream has completed\.$/)
  })

  it('takes what it has requested, and holds its source back for the rest', () => {
    const source = sourceProbe<number>()
    const out = probe<number>({ demand: 2, pressure: source.pressure })
    source.subscribe(out)
    source.expectNeverPaused()
    source.sendNext(1, 2)
    source.expectPaused()
    source.sendNext(3, 4)
    expect(source.sentWhilePaused).to.equal(2)
    expect([...out.values, out.waiting]).to.deep.equal([1, 2, 2])
    out.expectNext(1, 2)
    expect(failureOf(() => out.expectNext(3))).to.equal(
      'Expected the value 3, but 2 values came that nobody requested: call request first.',
    )
    expect(failureOf(() => out.expectNothing())).to.equal('Expected nothing, but 3, 4 came beyond what was requested.')
    out.request(1)
    out.expectNext(3)
    source.expectPaused()
    out.request(2)
    out.expectNext(4)
    source.expectResumed()
    source.sendNext(5)
    source.expectPaused()
    expect([source.pauses, source.resumes]).to.deep.equal([2, 1])
  })

  it('that wants nothing at first pauses its source before the first value', () => {
    const source = sourceProbe<number>()
    probe({ demand: 0, pressure: source.pressure })
    source.expectPaused()
  })

  it('says what its source did against the rules', () => {
    const late = probe<number>()
    late.complete()
    late.next(1)
    expect(failureOf(() => late.expectComplete())).to.equal('The value 1 came after the stream had completed.')
    const twice = probe<number>()
    twice.complete()
    twice.error(new Error('x'))
    expect(failureOf(() => twice.expectNoMore())).to.equal('The stream ended twice: it completed, and then it failed.')
    const flooded = probe<number>({ capacity: 2 })
    of(1, 2, 3).subscribe(flooded)
    expect(failureOf(() => flooded.takeAll())).to.match(/^More than 2 values came/)
  })

  it('refuses a demand that is none', () => {
    for (const demand of [-1, 0.5, NaN]) {
      expect(() => probe({ demand }))
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
      expect(() => probe().request(demand)).to.throw(Fault, 'whole number of values')
    }
  })
})

describe('A source probe', () => {
  it('sends to its subscribers, and ends with them', () => {
    const source = sourceProbe<number>()
    expect(failureOf(() => source.sendNext(1))).to.equal('The source has no subscriber: what it sends would be lost.')
    expect(failureOf(() => source.expectSubscribed())).to.equal(
      'Expected the source to be subscribed to, but nobody ever was.',
    )
    const [one, other, late] = [probe<number>(), probe<number>(), probe<number>()]
    source.subscribe(one)
    source.expectSubscribed()
    const subscription = source.subscribe(other)
    source.sendNext(1)
    subscription.unsubscribe()
    source.sendNext(2)
    expect([source.subscribers, source.subscriptions]).to.deep.equal([1, 2])
    expect(failureOf(() => source.expectUnsubscribed())).to.equal(
      'Expected nobody to be subscribed to the source, but one subscription is open.',
    )
    source.complete()
    one.expectNext(1, 2)
    one.expectComplete()
    other.expectNext(1)
    other.expectNothing()
    source.expectUnsubscribed()
    source.subscribe(late)
    late.expectComplete()
    expect(failureOf(() => source.expectSubscribed())).to.match(/but all have left \(3 so far\)\.$/)
    expect(failureOf(() => source.sendNext(3))).to.equal('The source has ended: it cannot send any more.')
    expect(failureOf(() => source.error(new Error('x')))).to.match(/it cannot end twice\.$/)
  })

  it('fails with its subscribers', () => {
    const source = sourceProbe<number>()
    const out = probe<number>()
    source.subscribe(out)
    source.error(new Fault('FEED_CLOSED', 'It closed.'))
    out.expectError('FEED_CLOSED')
  })

  it('counts how it is held back, by several at once too', () => {
    const source = sourceProbe<number>()
    const { pressure } = source
    expect(failureOf(() => source.expectPaused())).to.equal(
      'Expected the source to be paused, but it was told to pause never and to go on never.',
    )
    expect(failureOf(() => source.expectResumed())).to.match(/have been paused and to go on again, but it was told/)
    pressure.pause()
    pressure.pause()
    pressure.resume()
    source.expectPaused()
    expect(failureOf(() => source.expectResumed())).to.match(/told to pause 2 times and to go on once\.$/)
    expect(failureOf(() => source.expectNeverPaused())).to.match(/never to be paused, but/)
    pressure.resume()
    source.expectResumed()
    expect(source.paused).to.equal(false)
    pressure.resume()
    expect(failureOf(() => source.expectResumed())).to.equal('The source was told to go on when nothing held it back.')
  })
})
