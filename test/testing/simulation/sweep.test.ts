import { expect } from 'chai'
import { scenarioOf } from '../../../src/testing/simulation/scenario'
import { simulateSeed } from '../../../src/testing/simulation/simulateSeed'
import { sweep, type SeedOutcome, type SweepProgress } from '../../../src/testing/simulation/sweep'

describe('The deterministic simulation', function () {
  this.timeout(600_000)

  it('finds nothing wrong with forty seeds, and gives the same run twice', async () => {
    const outcomes: SeedOutcome[] = []
    const { failures, seeds } = await sweep({
      seeds: 40,
      from: 1,
      twiceEvery: 8,
      onSeed: (outcome) => void outcomes.push(outcome),
    })
    expect(failures).to.deep.equal([])
    expect(seeds).to.equal(40)
    expect(outcomes.map(({ seed }) => seed)).to.deep.equal(Array.from({ length: 40 }, (_, index) => index + 1))
    expect(new Set(outcomes.map(({ digest }) => digest)).size, 'each seed is a run of its own').to.equal(40)
    expect(outcomes.filter(({ records }) => records > 50).length, 'seeds in which much happens').to.be.greaterThan(30)
  })

  it('gives the same digest of everything for the same seed, whatever ran before', async () => {
    const first = await simulateSeed(12)
    await simulateSeed(13)
    const second = await simulateSeed(12)
    expect(second).to.deep.equal(first)
    expect(first.digest).to.match(/^[0-9a-f]{64}$/)
  })

  it('draws the same scenario from the same seed, and every kind of ending, policy and weather from a few hundred', () => {
    expect(scenarioOf(99)).to.deep.equal(scenarioOf(99))
    const scenarios = Array.from({ length: 300 }, (_, seed) => scenarioOf(seed))
    const kinds = (of: (scenario: ReturnType<typeof scenarioOf>) => unknown): number =>
      new Set(scenarios.map((scenario) => JSON.stringify(of(scenario)))).size
    expect(kinds(({ ending }) => ending)).to.equal(3)
    expect(kinds(({ lossy }) => lossy.onFull)).to.equal(4)
    expect(kinds(({ keyed }) => keyed.onFull)).to.equal(3)
    expect(new Set(scenarios.flatMap(({ exchanges }) => exchanges)).size).to.equal(6)
    expect(new Set(scenarios.flatMap(({ faults }) => faults.map(({ kind }) => kind))).size).to.equal(7)
    expect(scenarios.some(({ weather }) => weather.network.deadEveryMs < Infinity)).to.equal(true)
  })

  it('spreads seeds over threads, and finds on them what it finds here', async () => {
    const digests = async (jobs: number): Promise<string[]> => {
      const outcomes: SeedOutcome[] = []
      await sweep({ seeds: 4, from: 20, jobs, twiceEvery: 0, onSeed: (outcome) => void outcomes.push(outcome) })
      return outcomes.sort((a, b) => a.seed - b.seed).map(({ seed, digest }) => `${seed} ${digest}`)
    }
    expect(await digests(2)).to.deep.equal(await digests(1))
  })

  it('tells how far it is, and ends early when it is told to', async () => {
    const stopping = new AbortController()
    const told: SweepProgress[] = []
    const { seeds } = await sweep({
      seeds: 1_000,
      from: 5,
      twiceEvery: 0,
      signal: stopping.signal,
      onSeed: (_, progress) => {
        told.push(progress)
        if (progress.done === 2) stopping.abort()
      },
    })
    expect(seeds).to.equal(2)
    expect(told.map(({ done }) => done)).to.deep.equal([1, 2])
    expect(told[1]!.seedsPerSecond).to.be.greaterThan(0)
    expect(told[1]!.secondsLeft).to.be.closeTo(998 / told[1]!.seedsPerSecond, 1e-6)
  })

  it('refuses numbers that cannot be swept', async () => {
    for (const options of [{ seeds: 0 }, { seeds: 1.5 }, { seeds: 1, from: -1 }, { seeds: 1, jobs: 0 }]) {
      let message = ''
      await sweep(options).catch((thrown: unknown) => (message = (thrown as Error).message))
      expect(message, JSON.stringify(options)).to.include('whole number')
    }
  })
})
