import { expect } from 'chai'
import fc from 'fast-check'
import { ClientQueue, type ClientPolicy, type Outgoing } from '../../../src/sinks/wires/clientQueue'

const value = (text: string, key?: string): Outgoing => ({ data: Buffer.from(text), key })
const word = (text: string): Outgoing => ({ ...value(text), isWord: true })

/** What a reader is told, in order: numbers are values that are missing. */
function read(queue: ClientQueue): (string | number)[] {
  const told: (string | number)[] = []
  for (let next = queue.take(); next !== undefined; next = queue.take()) {
    const missing = queue.takeMissing()
    if (missing > 0) told.push(missing)
    told.push(Buffer.from(next.data).toString())
  }
  return told
}

describe('The queue of a client', () => {
  const queueOf = (onFull: ClientPolicy, capacity = 3, bytesMax = 1_000): ClientQueue =>
    new ClientQueue({ onFull, capacity, bytesMax })

  it('gives in order what it was given', () => {
    const queue = queueOf('dropOldest')
    for (const text of ['a', 'bb', 'c']) expect(queue.add(value(text))).to.equal(true)
    expect(queue).to.include({ size: 3, bytes: 4 })
    expect(read(queue)).to.deep.equal(['a', 'bb', 'c'])
    expect(queue).to.include({ size: 0, bytes: 0, dropped: 0 })
  })

  it('with dropOldest gives up what has waited longest, and tells before what follows', () => {
    const queue = queueOf('dropOldest')
    for (const text of ['a', 'b', 'c', 'd', 'e']) queue.add(value(text))
    expect(read(queue)).to.deep.equal([2, 'c', 'd', 'e'])
    for (const text of ['f', 'g', 'h', 'i']) queue.add(value(text))
    expect(read(queue)).to.deep.equal([1, 'g', 'h', 'i'])
    expect(queue.dropped).to.equal(3)
  })

  it('is bounded in bytes too', () => {
    const queue = queueOf('dropOldest', 100, 10)
    for (const text of ['1234', '1234', 'xx', '123456789']) queue.add(value(text))
    expect(read(queue)).to.deep.equal([3, '123456789'])
    const strict = queueOf('disconnect', 100, 10)
    expect(strict.add(value('1234567890'))).to.equal(true)
    expect(strict.add(value('1'))).to.equal(false)
  })

  it('with disconnect gives up nothing, and says when it is full', () => {
    const queue = queueOf('disconnect', 2)
    expect([queue.add(value('a')), queue.add(value('b')), queue.add(value('c'))]).to.deep.equal([true, true, false])
    expect(read(queue)).to.deep.equal(['a', 'b'])
  })

  it('with conflate keeps everything until it is full, then the latest of each key in the place of the first', () => {
    const queue = queueOf('conflate', 3)
    for (const [text, key] of ['a1 a', 'b1 b', 'a2 a'].map((each) => each.split(' '))) queue.add(value(text!, key))
    expect(read(queue)).to.deep.equal(['a1', 'b1', 'a2'])
    for (const [text, key] of ['a1 a', 'b1 b', 'a2 a', 'c1 c', 'b2 b', 'a3 a'].map((each) => each.split(' '))) {
      queue.add(value(text!, key))
    }
    expect(read(queue)).to.deep.equal(['a3', 'b2', 'c1'])
    expect(queue).to.include({ conflated: 3, dropped: 0, bytes: 0 })
    for (const text of ['a4', 'a5']) queue.add(value(text, 'a'))
    expect(read(queue), 'empty since: it does not conflate').to.deep.equal(['a4', 'a5'])
  })

  it('with conflate gives up the longest silent when there are more keys than room, or no keys', () => {
    const queue = queueOf('conflate', 2)
    for (const [text, key] of [['a1', 'a'], ['x'], ['b1', 'b'], ['y'], ['b2', 'b']] as [string, string?][]) {
      queue.add(value(text, key))
    }
    expect(read(queue)).to.deep.equal([2, 'b2', 'y'])
  })

  it('with conflate keeps what came just now when it has the place of the first and is too large beside the rest', () => {
    const queue = queueOf('conflate', 2, 40)
    for (const [length, key] of [
      [1, 'c'],
      [16, 'a'],
      [25, 'c'],
    ] as const) {
      queue.add(value('x'.repeat(length), key))
    }
    expect(read(queue)).to.deep.equal([1, 'x'.repeat(25)])
    expect(queue).to.include({ conflated: 1, dropped: 1, bytes: 0 })
  })

  it('forgets what is not wanted any more without counting it as missing, and keeps words', () => {
    const queue = queueOf('dropOldest', 4)
    for (const each of [value('a1', 'a'), value('b1', 'b'), word('w'), value('a2', 'a'), value('b2', 'b')])
      queue.add(each)
    queue.retain((key) => key === 'b')
    expect(queue).to.include({ size: 3, bytes: 5 })
    expect(read(queue)).to.deep.equal([1, 'b1', 'w', 'b2'])
    for (const each of [word('w'), value('a'), value('b'), value('c'), value('d')]) queue.add(each)
    expect(read(queue), 'a word that went is not missing').to.deep.equal(['a', 'b', 'c', 'd'])
  })

  it('accounts for every value, within its bounds, whatever comes and goes', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ key: fc.constantFrom('a', 'b', 'c', undefined), bytes: fc.nat(30) }) },
      { weight: 2, arbitrary: fc.constant('take' as const) },
    )
    fc.assert(
      fc.property(
        fc.constantFrom<ClientPolicy>('dropOldest', 'conflate'),
        fc.integer({ min: 1, max: 6 }),
        fc.array(step, { maxLength: 200 }),
        (onFull, capacity, steps) => {
          const queue = queueOf(onFull, capacity, 40)
          let came = 0
          let taken = 0
          let missing = 0
          const lastOf = new Map<string | undefined, number>()
          const takeOne = (): void => {
            const next = queue.take()
            if (next === undefined) return
            missing += queue.takeMissing()
            taken++
            const number = Number(Buffer.from(next.data).toString())
            expect(number).to.be.above(lastOf.get(next.key) ?? -1)
            lastOf.set(next.key, number)
          }
          for (const each of steps) {
            if (each === 'take') takeOne()
            else queue.add(value(String(came++).padStart(each.bytes, '0'), each.key))
            expect(queue.size).to.be.at.most(capacity)
            expect(queue.bytes).to.be.at.most(40)
          }
          while (queue.size > 0) takeOne()
          expect(queue.bytes).to.equal(0)
          expect(taken + queue.conflated + queue.dropped).to.equal(came)
          expect(missing).to.equal(queue.dropped)
          // Nothing is lost silently: what came last is there.
          if (came > 0) expect(Math.max(...lastOf.values())).to.equal(came - 1)
        },
      ),
    )
  })
})
