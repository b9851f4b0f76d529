import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { BENCH_SUITES } from '../../src/cli/commands/bench'
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

describe('The benchmarks', () => {
  const files = readdirSync(BENCHMARKS).filter((file) => file.endsWith('.ts'))

  it('each say in their header why they are', () => {
    for (const file of files.filter((name) => name !== 'run.ts')) {
      expect(readFileSync(path.join(BENCHMARKS, file), 'utf8'), file).to.match(/^ \* Why {2,}/m)
    }
  })

  it('are there for every suite that this checkout can run', () => {
    const suites = Object.keys(BENCH_SUITES)
    const having = suites.filter((suite) => files.some((file) => new RegExp(`^${suite}([A-Z]\\w*)?\\.ts$`).test(file)))
    expect(having).to.include.members(['decode', 'book', 'pipeline', 'rxjs', 'sinks', 'seed', 'scale', 'startup'])
  })
})
