import { expect } from 'chai'
import { StageTime, StageTimes } from '../../src/metrics/stageTimes'

describe('The times of stages', () => {
  it('are those of each stage alone, without what it calls', () => {
    const { times, takes } = timed()
    const [outer, inner, last] = [new StageTime(), new StageTime(), new StageTime()]
    times.begin()
    times.during(outer, () => {
      takes(3)
      times.during(inner, () => {
        takes(5)
        times.during(last, () => takes(0.25))
        takes(2)
      })
      times.during(last, () => takes(0.5))
      takes(4)
    })
    times.during(inner, () => takes(1))
    times.end()
    expect([outer, inner, last].map(({ busyUs }) => busyUs)).to.deep.equal([7, 8, 0.75])
    expect([outer, inner, last].map(({ latency }) => latency.count)).to.deep.equal([1, 2, 2])
    expect(inner.latency.max).to.equal(7)
  })

  it('go on when a stage throws', () => {
    const { times, takes } = timed()
    const [outer, inner] = [new StageTime(), new StageTime()]
    times.begin()
    times.during(outer, () => {
      const failing = (): void =>
        times.during(inner, () => {
          takes(5)
          throw new Error('broken')
        })
      expect(failing).to.throw('broken')
      takes(1)
    })
    times.end()
    expect([outer.busyUs, inner.busyUs]).to.deep.equal([1, 5])
  })

  it('are of all pieces at first, then of some, of which each stands for those that are left out', () => {
    const { times, takes } = timed()
    const stage = new StageTime()
    let chosen = 0
    const pieces = 1_000_000
    for (let piece = 0; piece < pieces; piece++) {
      if (!times.isNext()) continue
      chosen++
      times.begin()
      times.during(stage, () => takes(2))
      times.end()
      if (piece < 200) expect(chosen).to.equal(piece + 1)
    }
    expect(chosen).to.be.within(pieces / 64, (pieces / 64) * 1.2)
    expect(stage.busyUs).to.be.closeTo(2 * pieces, 2 * pieces * 0.02)
    expect(stage.latency.count).to.be.closeTo(pieces, pieces * 0.02)
  })

  it('are right of work that comes at a beat, whatever the beat', () => {
    for (const beat of [2, 3, 7, 8, 16, 63, 64, 65, 128]) {
      const { times, takes } = timed()
      const [heavy, light] = [new StageTime(), new StageTime()]
      const pieces = 640_000
      for (let piece = 0; piece < pieces; piece++) {
        if (!times.isNext()) continue
        times.begin()
        if (piece % beat === 0) times.during(heavy, () => takes(100))
        else times.during(light, () => takes(1))
        times.end()
      }
      const [due, lightly] = [(100 * pieces) / beat, pieces - pieces / beat]
      // The heavy pieces that are timed are few where the beat is long: what is expected of chance is a little more than that.
      const chance = 5 / Math.sqrt(pieces / beat / 64)
      expect(heavy.busyUs, `every ${beat}`).to.be.closeTo(due, due * chance)
      expect(light.busyUs, `every ${beat}`).to.be.closeTo(lightly, lightly * 0.06)
    }
  })

  it('are nothing of work that is not timed', () => {
    const { times } = timed()
    expect(times.isOn).to.equal(false)
    times.begin()
    expect(times.isOn).to.equal(true)
    times.end()
    expect(times.isOn).to.equal(false)
  })
})

/** Times by a clock that goes on only while something is said to take so long. */
function timed() {
  let nowUs = 1_000
  return { times: new StageTimes(() => nowUs), takes: (us: number): void => void (nowUs += us) }
}
