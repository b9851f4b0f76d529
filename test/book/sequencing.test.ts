import { expect } from 'chai'
import {
  linkedAfterSnapshot,
  linkedInStream,
  rangeAfterSnapshot,
  stepOfOne,
  unnumbered,
  type SequencingRule,
  type Verdict,
} from '../../src/book/sequencing'
import { delta } from '../kit/marketEvents'

describe('sequencing rules', () => {
  interface Numbers {
    readonly seq?: number
    readonly prevSeq?: number
    readonly firstSeq?: number
  }
  const join = (rule: SequencingRule, numbers: Numbers, snapshotSeq: number | undefined): Verdict =>
    rule.join(delta([], [], numbers), snapshotSeq)
  const next = (rule: SequencingRule, numbers: Numbers, seq?: number, prevSeq?: number): Verdict =>
    rule.next(delta([], [], numbers), seq, prevSeq)

  describe('ranges after a REST snapshot', () => {
    const rule = rangeAfterSnapshot

    it('joins with the delta whose range holds the number after the snapshot', () => {
      expect(join(rule, { firstSeq: 98, seq: 103 }, 100)).to.equal('apply')
      expect(join(rule, { firstSeq: 101, seq: 101 }, 100)).to.equal('apply')
      expect(join(rule, { firstSeq: 90, seq: 101 }, 100)).to.equal('apply')
    })

    it('drops what the snapshot contains', () => {
      expect(join(rule, { firstSeq: 95, seq: 99 }, 100)).to.equal('stale')
      expect(join(rule, { firstSeq: 95, seq: 100 }, 100)).to.equal('stale')
    })

    it('does not join behind a missing number', () => {
      expect(join(rule, { firstSeq: 102, seq: 110 }, 100)).to.equal('gap')
    })

    it('goes on only with the next number', () => {
      expect(next(rule, { firstSeq: 104, seq: 108 }, 103)).to.equal('apply')
      expect(next(rule, { firstSeq: 105, seq: 108 }, 103)).to.equal('gap')
      expect(next(rule, { firstSeq: 103, seq: 108 }, 103)).to.equal('gap')
    })

    it('drops a delta that is repeated, or from before', () => {
      expect(next(rule, { firstSeq: 98, seq: 103 }, 103)).to.equal('stale')
      expect(next(rule, { firstSeq: 90, seq: 97 }, 103)).to.equal('stale')
    })

    it('does not vouch for a delta without numbers', () => {
      expect(join(rule, {}, 100)).to.equal('gap')
      expect(join(rule, { firstSeq: 1, seq: 2 }, undefined)).to.equal('gap')
      expect(next(rule, { seq: 104 }, 103)).to.equal('gap')
      expect(next(rule, { firstSeq: 104, seq: 104 }, undefined)).to.equal('gap')
    })
  })

  describe('links after a REST snapshot', () => {
    const rule = linkedAfterSnapshot

    it('joins with the delta whose range holds the number of the snapshot, or that names it', () => {
      expect(join(rule, { firstSeq: 98, seq: 103, prevSeq: 90 }, 100)).to.equal('apply')
      expect(join(rule, { firstSeq: 95, seq: 100, prevSeq: 90 }, 100)).to.equal('apply')
      expect(join(rule, { firstSeq: 105, seq: 109, prevSeq: 100 }, 100)).to.equal('apply')
    })

    it('drops what ends before the snapshot', () => {
      expect(join(rule, { firstSeq: 90, seq: 99, prevSeq: 80 }, 100)).to.equal('stale')
    })

    it('does not join behind a missing delta', () => {
      expect(join(rule, { firstSeq: 105, seq: 109, prevSeq: 102 }, 100)).to.equal('gap')
    })

    it('goes on only with the delta that names the last one: numbers in between belong to other instruments', () => {
      expect(next(rule, { firstSeq: 250, seq: 260, prevSeq: 103 }, 103, 90)).to.equal('apply')
      expect(next(rule, { firstSeq: 250, seq: 260, prevSeq: 240 }, 103, 90)).to.equal('gap')
    })

    it('drops the last delta when it is repeated, and takes an older one for a gap', () => {
      expect(next(rule, { firstSeq: 98, seq: 103, prevSeq: 90 }, 103, 90)).to.equal('stale')
      expect(next(rule, { firstSeq: 80, seq: 90, prevSeq: 70 }, 103, 90)).to.equal('gap')
    })

    it('does not join without numbers', () => {
      expect(join(rule, {}, 100)).to.equal('gap')
      expect(join(rule, { firstSeq: 98, seq: 103 }, undefined)).to.equal('gap')
    })
  })

  for (const [title, rule] of [
    ['links in the stream', linkedInStream],
    ['steps of one in the stream', stepOfOne],
  ] as const) {
    describe(title, () => {
      it('joins and goes on only with the delta that extends the last number', () => {
        for (const verdict of [join, next]) {
          expect(verdict(rule, { seq: 11, prevSeq: 10 }, 10)).to.equal('apply')
          expect(verdict(rule, { seq: 12, prevSeq: 11 }, 10)).to.equal('gap')
          expect(verdict(rule, { seq: 10, prevSeq: 9 }, 10)).to.equal('gap')
        }
      })

      it('drops the last delta when it is repeated', () => {
        expect(next(rule, { seq: 10, prevSeq: 9 }, 10, 9)).to.equal('stale')
        expect(next(rule, { seq: 9, prevSeq: 8 }, 10, 9)).to.equal('gap')
      })

      it('applies deltas of times when they carried no numbers, and counts them as unchecked', () => {
        expect(next(rule, {}, 10, 9)).to.equal('apply')
        expect(rule.numbered(delta([], []))).to.equal(false)
        expect(rule.numbered(delta([], [], { prevSeq: 9 }))).to.equal(true)
      })
    })
  }

  it('follows a restart of the numbering, and a keep-alive that repeats the number', () => {
    expect(next(linkedInStream, { seq: 3, prevSeq: 500 }, 500, 499)).to.equal('apply')
    expect(next(linkedInStream, { seq: 500, prevSeq: 500 }, 500, 499)).to.equal('apply')
    expect(next(linkedInStream, { seq: 500, prevSeq: 500 }, 500, 500)).to.equal('apply')
  })

  it('has nothing to compare where there are no numbers', () => {
    expect(join(unnumbered, {}, undefined)).to.equal('apply')
    expect(next(unnumbered, { seq: 5, prevSeq: 1 }, 3, 2)).to.equal('apply')
    expect(unnumbered.numbered(delta([], [], { prevSeq: 1 }))).to.equal(false)
  })
})
