import { expect } from 'chai'
import { blocks, edgeFull, givesUpValues, POLICIES, policyName, problemOfPolicy } from '../../src/actors/overflow'

describe('The policies of a full edge', () => {
  const good: unknown[] = [
    ...POLICIES,
    { conflate: 'instrument' },
    { conflate: (row: unknown) => row },
    { conflate: 'key', merge: (older: unknown) => older },
    { sample: 2 },
    { sample: 1_000_000 },
    { spill: 'books', bytesMax: 1 },
    { spill: 'Books-2_b.x', bytesMax: 2 ** 40 },
  ]
  for (const onFull of good) {
    it(`has no problem with ${JSON.stringify(onFull)}`, () => expect(problemOfPolicy(onFull)).to.equal(undefined))
  }

  const circle: Record<string, unknown> = {}
  circle['circle'] = circle
  const bad: [unknown, string][] = [
    [undefined, 'onFull is one of block, dropOldest, dropNewest, keepLatest, fail or { conflate: key }'],
    [undefined, 'it is missing.'],
    [null, 'it is null.'],
    ['wait', 'it is "wait".'],
    [5, 'it is 5.'],
    [() => 'block', 'it is a function.'],
    [{}, 'it is {}.'],
    [circle, 'it is object.'],
    ['x'.repeat(1_000), `it is "${'x'.repeat(79)}...`],
    [{ conflate: 5 }, 'onFull is one of'],
    [Object.create({ conflate: 'inherited' }), 'onFull is one of'],
    [{ conflate: 'key', merge: 'newest' }, 'merge is a function of two rows, the older and the newer; it is "newest".'],
    [{ sample: 1 }, 'sample is a whole number of values of which one is kept, 2 or more; it is 1.'],
    [{ sample: 2.5 }, 'it is 2.5.'],
    [{ sample: NaN }, 'it is NaN.'],
    [{ sample: '3' }, 'it is "3".'],
    [{ spill: '', bytesMax: 1 }, 'spill is what the files are called'],
    [{ spill: '../up', bytesMax: 1 }, 'it is "../up".'],
    [{ spill: '.hidden', bytesMax: 1 }, 'spill is what the files are called'],
    [{ spill: 7, bytesMax: 1 }, 'it is 7.'],
    [{ spill: 'books' }, 'spill needs bytesMax, a whole number of bytes on disk, 1 or more; it is missing.'],
    [{ spill: 'books', bytesMax: 0 }, 'it is 0.'],
    [{ spill: 'books', bytesMax: Infinity }, 'it is Infinity.'],
    [{ sample: 2, conflate: 'key' }, 'onFull is one policy'],
  ]
  for (const [onFull, sentence] of bad) {
    it(`says what is wrong: ${sentence.slice(0, 60)}`, () => {
      expect(problemOfPolicy(onFull)).to.include(sentence)
      expect(problemOfPolicy(onFull)).to.match(/\.$/)
    })
  }

  it('have a word each', () => {
    const words = [...POLICIES, { conflate: 'a' }, { sample: 2 }, { spill: 'a', bytesMax: 1 }] as const
    expect(words.map((onFull) => policyName(onFull))).to.deep.equal([...POLICIES, 'conflate', 'sample', 'spill'])
    expect(words.filter((onFull) => blocks(onFull)).map((onFull) => policyName(onFull))).to.deep.equal([
      'block',
      'spill',
    ])
    expect(words.filter((onFull) => givesUpValues(onFull)).map((onFull) => policyName(onFull))).to.deep.equal([
      'dropOldest',
      'dropNewest',
      'keepLatest',
      'sample',
    ])
  })

  it('says of a spill that is full that its source cannot be paused, as of one that blocks', () => {
    const options = { capacity: 3, onFull: { spill: 'a', bytesMax: 1 } } as const
    expect(edgeFull('The edge to a', options, 3, false).message).to.include('its source cannot be paused')
    expect(edgeFull('The edge to a', options, 3, false).details).to.deep.include({ onFull: 'spill' })
  })
})
