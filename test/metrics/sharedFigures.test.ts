import { once } from 'node:events'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { SharedFigures } from '../../src/metrics/sharedFigures'

describe('figures in shared memory', () => {
  it('have nothing to read before the first row, then the latest', () => {
    const figures = SharedFigures.ofSize(2)
    const into = new Float64Array(2)
    expect(figures.read(into)).to.equal(false)
    figures.write([1, NaN])
    figures.write([2, 0.5])
    expect(new SharedFigures(figures.memory).read(into)).to.equal(true)
    expect([...into]).to.deep.equal([2, 0.5])
  })

  it('say how often they are wanted, in whole milliseconds, however seldom', () => {
    const figures = SharedFigures.ofSize(1)
    expect(figures.wantedMs).to.equal(0)
    figures.wantedMs = 0.2
    expect(new SharedFigures(figures.memory).wantedMs).to.equal(1)
    figures.wantedMs = 1e12
    expect(figures.wantedMs).to.equal(2 ** 31 - 1)
  })

  it('are of one piece whenever they are read', async () => {
    const figures = SharedFigures.ofSize(64)
    const stop = new Int32Array(new SharedArrayBuffer(4))
    const module = path.resolve(__dirname, '../../src/metrics/sharedFigures')
    const script = `
      require(${JSON.stringify(require.resolve('ts-node/register/transpile-only'))})
      const { SharedFigures } = require(${JSON.stringify(module)})
      const { memory, stop } = require('node:worker_threads').workerData
      const figures = new SharedFigures(memory)
      const row = new Float64Array(64)
      for (let n = 1; Atomics.load(stop, 0) === 0; n++) figures.write(row.fill(n))
    `
    const worker = new Worker(script, { eval: true, workerData: { memory: figures.memory, stop } })
    const ended = once(worker, 'exit')
    try {
      await once(worker, 'online')
      const into = new Float64Array(64)
      let rows = 0
      let lastRow = 0
      const endMs = Date.now() + 60_000
      while (rows < 1_000 && Date.now() < endMs) {
        if (!figures.read(into) || into[0] === lastRow) continue
        rows++
        expect(into[0]).to.be.above(lastRow)
        lastRow = into[0]!
        expect(into.every((number) => number === lastRow)).to.equal(true)
      }
      expect(rows).to.equal(1_000)
    } finally {
      Atomics.store(stop, 0, 1)
      await ended
    }
  })
})
