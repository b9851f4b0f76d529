import { expect } from 'chai'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { GcWindow, observeGc, type GcKind } from '../../src/metrics/gcPauses'
import { until } from '../sinks/support'

describe('garbage collections', () => {
  it('are told by kind, each with its pause', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void
    const told: [GcKind, number][] = []
    const stop = observeGc((kind, pauseMs) => told.push([kind, pauseMs]))
    try {
      collect({ type: 'minor' })
      collect()
      const kinds = (): GcKind[] => told.map(([kind]) => kind)
      await until(() => kinds().includes('scavenge') && kinds().includes('markSweep'), 'a collection of each kind')
      for (const [, pauseMs] of told) expect(pauseMs).to.be.above(0)
    } finally {
      stop()
    }
    const before = told.length
    collect()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(told.length).to.equal(before)
  })

  it('add up in a window, whole and by kind, which begins anew when it is read', () => {
    const window = new GcWindow()
    window.add('scavenge', 2)
    window.add('scavenge', 1)
    window.add('markSweep', 30)
    window.add('weakCallbacks', 0.5)
    const none = { count: 0, pauseMs: 0, pauseMsMax: 0 }
    expect(window.read()).to.deep.equal({
      count: 4,
      pauseMs: 33.5,
      pauseMsMax: 30,
      byKind: {
        scavenge: { count: 2, pauseMs: 3, pauseMsMax: 2 },
        markSweep: { count: 1, pauseMs: 30, pauseMsMax: 30 },
        incremental: none,
        weakCallbacks: { count: 1, pauseMs: 0.5, pauseMsMax: 0.5 },
      },
    })
    expect(window.read()).to.deep.include({
      ...none,
      byKind: { scavenge: none, markSweep: none, incremental: none, weakCallbacks: none },
    })
  })
})
