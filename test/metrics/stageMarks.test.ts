import { expect } from 'chai'
import { FURTHER_STAGES, MARK, StageMarks } from '../../src/metrics/stageMarks'

describe('The marks of stages', () => {
  it('give each stage a number, the same whenever it is asked for, and find its path again', () => {
    const marks = new StageMarks()
    const [best, bars] = [marks.numberOf('spreads/best'), marks.numberOf('spreads/bars')]
    expect(best).to.be.above(0)
    expect(bars).not.to.equal(best)
    expect(marks.numberOf('spreads/best')).to.equal(best)
    expect([best, bars].map((number) => marks.pathOf(number))).to.deep.equal(['spreads/best', 'spreads/bars'])
    expect([0, 77].map((number) => marks.pathOf(number))).to.deep.equal([undefined, undefined])
  })

  it('name stages beyond the capacity by one number', () => {
    const marks = new StageMarks(2)
    const numbers = ['a', 'b', 'c', 'd', 'a'].map((path) => marks.numberOf(path))
    expect(numbers.map((number) => marks.pathOf(number))).to.deep.equal(['a', 'b', FURTHER_STAGES, FURTHER_STAGES, 'a'])
  })

  it('say who is innermost at work, and put back who was before, also when the work throws', () => {
    const marks = new StageMarks()
    const [outer, inner] = [marks.numberOf('outer'), marks.numberOf('inner')]
    const seen: number[] = []
    const look = (): void => void seen.push(marks.marks[MARK.stage]!)
    marks.during(outer, () => {
      look()
      const failing = (): void =>
        marks.during(inner, () => {
          look()
          throw new Error('broken')
        })
      expect(failing).to.throw('broken')
      look()
    })
    look()
    expect(seen).to.deep.equal([outer, inner, outer, 0])
  })

  it('count the turns: how often somebody came to work where nobody was', () => {
    const marks = new StageMarks()
    marks.during(1, () => marks.during(2, () => undefined))
    marks.during(2, () => undefined)
    expect(marks.marks[MARK.turns]).to.equal(2)
  })

  it('lie in memory that another thread can look into', () => {
    const marks = new StageMarks()
    const elsewhere = new Int32Array(marks.marks.buffer)
    marks.during(5, () => expect(elsewhere[MARK.stage]).to.equal(5))
    expect(marks.marks.buffer).to.be.instanceOf(SharedArrayBuffer)
  })
})
