import { expect } from 'chai'
import fc from 'fast-check'
import { Fifo, type FifoNode } from '../../src/operators/fifo'

describe('Fifo', () => {
  it('gives out in the order of coming what has not been taken out of its middle, for any calls', () => {
    const call = fc.oneof(
      fc.constant('push' as const),
      fc.constant('shift' as const),
      fc.nat({ max: 20 }),
      fc.constant('clear' as const),
    )
    fc.assert(
      fc.property(fc.array(call, { maxLength: 100 }), (calls) => {
        const fifo = new Fifo<number>()
        let model: { value: number; node: FifoNode<number> }[] = []
        calls.forEach((each, index) => {
          if (each === 'push') model.push({ value: index, node: fifo.push(index) })
          else if (each === 'shift') expect(fifo.shift()).to.equal(model.shift()?.value)
          else if (each === 'clear') {
            fifo.clear()
            model = []
          } else if (model.length > 0) {
            const [taken] = model.splice(each % model.length, 1)
            fifo.remove(taken!.node)
          }
          expect(fifo.size).to.equal(model.length)
          expect(fifo.peek()).to.equal(model[0]?.value)
        })
        expect(Array.from({ length: model.length }, () => fifo.shift())).to.deep.equal(model.map(({ value }) => value))
        expect(fifo.shift()).to.equal(undefined)
      }),
    )
  })
})
