import { expect } from 'chai'
import fc from 'fast-check'
import { layersOf } from '../../../src/dashboard/page/layers'

describe('The layers of a picture', () => {
  it('put each box behind the last of those that lead to it', () => {
    const places = layersOf(5, [
      [0, 1],
      [1, 2],
      [0, 2],
      [2, 3],
    ])
    expect(places.map(({ layer }) => layer)).to.deep.equal([0, 1, 2, 3, 0])
  })

  it('put what belongs together in one line, so that links do not cross', () => {
    const places = layersOf(4, [
      [0, 3],
      [1, 2],
    ])
    expect(places[3]!.row).to.equal(places[0]!.row)
    expect(places[2]!.row).to.equal(places[1]!.row)
  })

  it('give every box a place of its own, and end, whatever leads where', () => {
    const graphs = fc
      .integer({ min: 1, max: 12 })
      .chain((nodes) =>
        fc.tuple(fc.constant(nodes), fc.array(fc.tuple(fc.nat(nodes - 1), fc.nat(nodes - 1)), { maxLength: 30 })),
      )
    fc.assert(
      fc.property(graphs, ([nodes, links]) => {
        const places = layersOf(nodes, links)
        expect(new Set(places.map(({ layer, row }) => `${layer} ${row}`)).size).to.equal(nodes)
      }),
    )
  })
})
