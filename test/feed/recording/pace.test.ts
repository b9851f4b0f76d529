import { expect } from 'chai'
import { VirtualClock } from '../../../src/clock/virtualClock'
import type { SessionRecord } from '../../../src/feed/record'
import { pace, parseSpeed, type Speed } from '../../../src/feed/recording/pace'
import { DONE, type RecordBatches } from '../../../src/feed/recording/recordBatches'

describe('parseSpeed', () => {
  it('reads max, real and multiples', () => {
    expect(['max', 'real', '1x', '10x', '0.5x', '2.25x'].map(parseSpeed)).to.deep.equal(['max', 1, 1, 10, 0.5, 2.25])
  })

  it('refuses everything else with the ways it can be given', () => {
    for (const text of [
      '',
      'fast',
      '10',
      'x',
      '0x',
      '-1x',
      '1e3x',
      'NaNx',
      'Infinityx',
      '1.x',
      ' 1x',
      'MAX',
      '9999999999x',
      '0.00001x',
    ]) {
      expect(() => parseSpeed(text), text)
        .to.throw(/give max, real, or a multiple/)
        .with.property('code', 'OPTION_INVALID')
    }
  })
})

describe('pace', () => {
  const START_US = 5_000_000_000

  /** Reads in the background, noting when each record came on the clock, in milliseconds from the start. */
  function replay(times: readonly (readonly number[])[], speed: Speed, signal?: AbortSignal) {
    const clock = new VirtualClock(START_US)
    const source = batchesAt(times)
    const came: string[] = []
    const paced = pace(source, { speed, clock, signal })
    let ended = false
    const done = (async () => {
      for await (const batch of paced) {
        for (const { timeUs } of batch) came.push(`${timeUs / 1_000}@${(clock.nowUs() - START_US) / 1_000}`)
      }
      ended = true
    })()
    /** Moves the clock in small steps, letting the reader run after each. */
    const run = async (ms: number, stepMs = 1): Promise<void> => {
      await settled()
      for (let past = 0; past < ms; past += stepMs) {
        clock.advance(stepMs)
        await settled()
      }
    }
    return { clock, came, paced, source, done, run, ended: () => ended }
  }

  it('gives each record at its own distance from the first', async () => {
    const { came, run, ended } = replay([[100, 103, 103], [110]], 1)
    await run(9)
    expect(came).to.deep.equal(['100@0', '103@3', '103@3'])
    await run(1)
    expect(came.at(-1)).to.equal('110@10')
    expect(ended()).to.equal(true)
  })

  it('goes n times as fast, or as slow', async () => {
    const fast = replay([[0, 100, 200]], 10)
    await fast.run(20)
    expect(fast.came).to.deep.equal(['0@0', '100@10', '200@20'])
    const slow = replay([[0, 10, 20]], 0.5)
    await slow.run(40)
    expect(slow.came).to.deep.equal(['0@0', '10@20', '20@40'])
  })

  it('does not wait at the highest speed, and hands batches on as they are', async () => {
    const { clock, came, run, ended } = replay([[0, 1_000_000], [5_000_000]], 'max')
    await run(0)
    expect(came).to.deep.equal(['0@0', '1000000@0', '5000000@0'])
    expect(ended()).to.equal(true)
    expect(clock.pending).to.equal(0)
  })

  it('does not wait where time goes back', async () => {
    const { came, run } = replay([[100, 110, 50, 60, 111]], 1)
    await run(11)
    expect(came).to.deep.equal(['100@0', '110@10', '50@10', '60@10', '111@11'])
  })

  it('does not drift, and lets a late consumer catch up', async () => {
    const { came, run } = replay(
      [
        [0, 10],
        [20, 30],
        [40, 50],
      ],
      1,
    )
    await run(75, 25)
    expect(came).to.deep.equal(['0@0', '10@25', '20@25', '30@50', '40@50', '50@50'])
  })

  it('sets one timer a wait, however long', async () => {
    const { clock, came, run } = replay([[0, 40 * 86_400_000]], 1)
    await run(0)
    expect(clock.pending).to.equal(1)
    for (let day = 0; day < 40; day += 1) {
      clock.advance(86_400_000)
      await settled()
    }
    expect(came).to.have.length(2)
    expect(clock.pending).to.equal(0)
  })

  it('ends in the middle of a wait when it is aborted', async () => {
    const stop = new AbortController()
    const { clock, came, run, done, source } = replay([[0, 1_000]], 1, stop.signal)
    await run(5)
    stop.abort()
    await done
    expect(came).to.deep.equal(['0@0'])
    expect(clock.pending).to.equal(0)
    expect(source.closed()).to.equal(true)
  })

  it('gives nothing when it was aborted before', async () => {
    for (const speed of ['max', 1] as const) {
      const { came, done } = replay([[0]], speed, AbortSignal.abort())
      await done
      expect(came).to.deep.equal([])
    }
  })

  it('can be left in the middle of a wait', async () => {
    const { clock, paced, run, done, source } = replay([[0, 1_000]], 1)
    await run(5)
    await paced.return()
    await done
    expect(clock.pending).to.equal(0)
    expect(source.closed()).to.equal(true)
  })
})

function batchesAt(times: readonly (readonly number[])[]): RecordBatches & { closed: () => boolean } {
  let index = 0
  let closed = false
  return {
    closed: () => closed,
    next: () => {
      const ms = closed ? undefined : times[index++]
      if (ms === undefined) return Promise.resolve(DONE)
      const value = ms.map((time): SessionRecord => ({
        timeUs: time * 1_000,
        ns: 0,
        connection: 0,
        exchange: 'x',
        dir: 'out',
        data: '',
      }))
      return Promise.resolve({ done: false, value })
    },
    return: () => {
      closed = true
      return Promise.resolve(DONE)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Lets everything run that waits for no clock. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
