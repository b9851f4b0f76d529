import { expect } from 'chai'
import { judgeStall, type RawStall } from '../../../src/metrics/stalls/stall'

const raw = (more: Partial<RawStall> = {}): RawStall => ({
  startedUs: 1_000_000,
  endedUs: 1_300_000,
  stages: [],
  ranUs: 280_000,
  starvedUs: 10_000,
  watchdogLateUs: 0,
  ...more,
})

describe('the judgement of a stall', () => {
  it('blames the code for what neither collections nor the machine took', () => {
    const stall = judgeStall(raw(), [], 100)
    expect(stall).to.include({ cause: 'code', lastedMs: 300, ownMs: 290, starvedMs: 10, gcMs: 0 })
  })

  it('tells a thread that slept in a call from one that computed', () => {
    expect(judgeStall(raw(), [], 100).asleepMs).to.equal(10)
    expect(judgeStall(raw({ ranUs: 5_000 }), [], 100).asleepMs).to.equal(285)
    expect(judgeStall(raw({ ranUs: undefined }), [], 100).asleepMs).to.equal(undefined)
  })

  it('excuses collections of garbage, by the part of them that falls into it', () => {
    const pauses = [
      { startedUs: 900_000, endedUs: 1_100_000 },
      { startedUs: 1_150_000, endedUs: 1_290_000 },
      { startedUs: 2_000_000, endedUs: 2_900_000 },
    ]
    expect(judgeStall(raw(), pauses, 100)).to.include({ cause: 'gc', gcMs: 240, ownMs: 50 })
  })

  it('excuses a machine that gave the thread no processor', () => {
    expect(judgeStall(raw({ ranUs: 40_000, starvedUs: 250_000 }), [], 100)).to.include({ cause: 'machine', ownMs: 50 })
  })

  it('excuses a time in which the watchdog was not woken either, where the machine says nothing', () => {
    const stall = judgeStall(raw({ ranUs: undefined, starvedUs: undefined, watchdogLateUs: 280_000 }), [], 100)
    expect(stall).to.include({ cause: 'machine', starvedMs: 280 })
  })

  it('names the stage that was seen most, and none where hardly any was seen', () => {
    const stageOf = (stages: RawStall['stages']): number => judgeStall(raw({ stages }), [], 100).stage
    expect(stageOf([])).to.equal(0)
    expect(
      stageOf([
        [0, 5],
        [4, 6],
        [9, 2],
      ]),
    ).to.equal(4)
    expect(
      stageOf([
        [0, 20],
        [4, 2],
      ]),
    ).to.equal(0)
  })
})
