import { expect } from 'chai'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { machine, median, ofRounds, quantile, rowOf } from '../../benchmarks/kit/report'

const BENCHMARKS = path.resolve(__dirname, '../../benchmarks')

describe('The report of a benchmark', () => {
  it('gives the median of rounds with their spread, compared with a baseline', () => {
    const baseline = { name: 'before', measured: ofRounds([10, 30, 20]) }
    expect(rowOf('after', 'ms', ofRounds([5, 1, 2]), baseline)).to.deep.equal({
      name: 'after',
      value: 2,
      unit: 'ms',
      min: 1,
      max: 5,
      baseline: 20,
      baselineName: 'before',
      ratio: 10,
    })
  })

  it('is itself a baseline without one, and divides by nothing', () => {
    expect(rowOf('idle', 'ms', ofRounds([0]))).to.deep.equal({ name: 'idle', value: 0, unit: 'ms', min: 0, max: 0 })
    expect(rowOf('after', 'ms', ofRounds([0]), { name: 'idle', measured: ofRounds([1]) }).ratio).to.equal(1_000)
  })

  it('takes quantiles of any number of values', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)]).to.deep.equal([50, 99, 100])
    expect([quantile([7], 0.01), quantile([], 0.5), median([3, 1, 2])]).to.deep.equal([7, 0, 2])
  })

  it('names the machine and what ran on it', () => {
    const { cpu, cores, node, versions } = machine()
    expect(cpu).to.be.a('string')
    expect(cores).to.be.above(0)
    expect(node).to.equal(process.version)
    expect(versions).to.include.keys('v8', 'millrace', 'rxjs')
  })
})

describe('The runner of benchmarks', () => {
  it('names only benchmarks that are there, each with a header that says why it is', () => {
    const runner = readFileSync(path.join(BENCHMARKS, 'run.ts'), 'utf8')
    const suites = /const SUITES[^=]*= \{([^}]*)\}/.exec(runner)![1]!
    const named = [...suites.matchAll(/'([^']+)'/g)].map((match) => match[1]!)
    expect(named).to.include.members(['framesToBooks', 'slowHandlers', 'retries'])
    for (const name of named) {
      const file = path.join(BENCHMARKS, `${name}.ts`)
      expect(existsSync(file), name).to.equal(true)
      expect(readFileSync(file, 'utf8'), name).to.match(/^ \* Why {2,}/m)
    }
  })
})
