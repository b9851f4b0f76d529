import { expect } from 'chai'
import fc from 'fast-check'
import { Heap } from '../../src/operators/heap'

describe('Heap', () => {
  it('gives the first of what is in it, whatever came and went in between', () => {
    const step = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(undefined))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new Heap<number>((a, b) => a < b)
        const sorted: number[] = []
        for (const each of steps) {
          if (each === undefined) expect(heap.pop()).to.equal(sorted.shift())
          else {
            heap.push(each)
            sorted.push(each)
            sorted.sort((a, b) => a - b)
          }
          expect(heap.peek()).to.equal(sorted[0])
          expect(heap.size).to.equal(sorted.length)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('puts the first in its new place when it has changed', () => {
    const heap = new Heap<{ at: number }>((a, b) => a.at < b.at)
    for (const at of [1, 5, 3, 4]) heap.push({ at })
    heap.peek()!.at = 4.5
    heap.sinkFirst()
    expect([1, 2, 3, 4].map(() => heap.pop()!.at)).to.deep.equal([3, 4, 4.5, 5])
    heap.sinkFirst()
    expect(heap.pop()).to.equal(undefined)
  })

  it('forgets all when it is cleared', () => {
    const heap = new Heap<number>((a, b) => a < b)
    heap.push(1)
    heap.clear()
    expect([heap.size, heap.peek()]).to.deep.equal([0, undefined])
  })
})
