import { expect } from 'chai'
import type { RawStall } from '../../../src/metrics/stalls/stall'
import { Watchdog, type Look } from '../../../src/metrics/stalls/watchdog'

const OPTIONS = { afterMs: 100, beatMs: 50 }

/** Looks in order: the milliseconds and whether the heart has beaten by then; what else is seen may be added. */
function watched(looks: readonly (readonly [ms: number, beat: number, more?: Partial<Look> & { dueMs?: number }])[]): {
  stalls: RawStall[]
  watchdog: Watchdog
} {
  const watchdog = new Watchdog(OPTIONS)
  const stalls: RawStall[] = []
  for (const [ms, beat, { dueMs = ms, ...more } = {}] of looks) {
    const look = { nowUs: ms * 1_000, beat, stage: 0, ranUs: undefined, starvedUs: undefined, ...more }
    const stall = watchdog.look(look, dueMs * 1_000)
    if (stall !== undefined) stalls.push(stall)
  }
  return { stalls, watchdog }
}

describe('the watchdog of a loop', () => {
  it('is silent while the heart beats, however unevenly', () => {
    const { stalls } = watched([
      [0, 1],
      [50, 2],
      [100, 2],
      [150, 3],
      [149 + 140, 4],
    ])
    expect(stalls).to.deep.equal([])
  })

  it('tells of a stall when the heart beats again, from the last look at which it had', () => {
    const { stalls } = watched([
      [0, 1],
      [50, 2],
      [100, 2],
      [200, 2],
      [300, 3],
    ])
    expect(stalls).to.have.length(1)
    expect(stalls[0]).to.include({ startedUs: 50_000, endedUs: 300_000 })
  })

  it('counts which stage was seen at work meanwhile', () => {
    const { stalls } = watched([
      [0, 1],
      [50, 1, { stage: 7 }],
      [100, 1, { stage: 7 }],
      [150, 1, { stage: 3 }],
      [300, 2, { stage: 9 }],
    ])
    expect(stalls[0]!.stages).to.deep.equal([
      [7, 2],
      [3, 1],
    ])
  })

  it('remembers no more stages of one stall than a few, and counts the rest as none', () => {
    const { stalls } = watched([
      [0, 1],
      ...Array.from({ length: 100 }, (_, stage) => [stage + 1, 1, { stage: stage + 1 }] as const),
      [500, 2],
    ])
    expect(stalls[0]!.stages.length).to.be.at.most(33)
    expect(stalls[0]!.stages.reduce((sum, [, looks]) => sum + looks, 0)).to.equal(100)
  })

  it('says what the thread has run and waited for a processor between the two looks', () => {
    const { stalls } = watched([
      [0, 1, { ranUs: 1_000, starvedUs: 500 }],
      [200, 2, { ranUs: 61_000, starvedUs: 90_500 }],
    ])
    expect(stalls[0]).to.include({ ranUs: 60_000, starvedUs: 90_000 })
  })

  it('notes by how much it was late itself', () => {
    const { stalls } = watched([
      [0, 1],
      [400, 1, { dueMs: 50 }],
      [420, 1, { dueMs: 410 }],
      [430, 2],
    ])
    expect(stalls[0]!.watchdogLateUs).to.equal(350_000)
  })

  it('says how long the loop has stood still already, and is looked at more often while it is overdue', () => {
    const { watchdog } = watched([
      [0, 1],
      [90, 1],
    ])
    expect([watchdog.overdue, watchdog.standsMs]).to.deep.equal([false, 0])
    watchdog.look({ nowUs: 250_000, beat: 1, stage: 0, ranUs: undefined, starvedUs: undefined }, 250_000)
    expect([watchdog.overdue, watchdog.standsMs]).to.deep.equal([true, 250])
  })

  it('forgets a time in which the loop was kept waiting on purpose', () => {
    const { watchdog } = watched([
      [0, 1],
      [50, 2],
    ])
    watchdog.excuse({ nowUs: 100_000, beat: 2 })
    const look = (ms: number, beat: number) =>
      watchdog.look({ nowUs: ms * 1_000, beat, stage: 0, ranUs: undefined, starvedUs: undefined }, ms * 1_000)
    expect(look(900, 2)).to.equal(undefined)
    // Whether it comes back is another question.
    expect(watchdog.standsMs).to.equal(850)
    expect(look(950, 3)).to.equal(undefined)
    expect(look(1_200, 4)).to.include({ startedUs: 950_000 })
  })
})
