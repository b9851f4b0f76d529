import { expect } from 'chai'
import type { RowPart, TickMessage } from '../../../src/dashboard/liveFormat'
import { decimalsOf, LiveState, Rate } from '../../../src/dashboard/page/liveState'

const HELLO = {
  type: 'hello',
  format: 'millrace-dashboard/1',
  run: '1',
  pipeline: 'p',
  mode: 'live',
  everyMs: 250,
} as const

describe('What the page knows of a run', () => {
  const tick = (of: Partial<TickMessage>): TickMessage => ({ type: 'tick', tick: 1, atMs: 1_000, ...of })
  const row = (index: number, events: number, bid: number | null = null): RowPart => [
    ...([index, 'live', events, 0, 0, 0, 900] as const),
    ...([bid, null, null, null, ''] as const),
  ]

  it('keeps rows by their numbers, and changes those that a tick tells of', () => {
    const state = new LiveState(HELLO)
    state.take(tick({ names: [['okx', 'A'], ['okx', 'B']], rows: [row(0, 1, 10.25), row(1, 1)] }), 0) // prettier-ignore
    state.take(tick({ names: [['okx', 'C']], rows: [row(2, 7), row(0, 2, 10.5)] }), 0)
    expect(state.rows.map(({ name, events }) => [name, events])).to.deep.equal([['A', 2], ['B', 1], ['C', 7]]) // prettier-ignore
    expect(state.rows[0]).to.include({ bid: 10.5, decimals: 2 })
  })

  it('passes over rows that it was not told the names of', () => {
    const state = new LiveState(HELLO)
    state.take(tick({ rows: [row(3, 1)] }), 0)
    expect(state.rows).to.deep.equal([])
  })

  it('keeps the last faults, the latest first, and no more than two hundred', () => {
    const state = new LiveState(HELLO)
    for (let at = 0; at < 300; at++) {
      state.take(
        tick({ faults: { counts: { BOOK_GAP: at + 1 }, total: at + 1, latest: [[at, 'BOOK_GAP', `${at}`]] } }),
        0,
      )
    }
    expect(state.faults).to.have.length(200)
    expect(state.faults[0]![2]).to.equal('299')
    expect(state.faultsTotal).to.equal(300)
  })

  it('tells ages by the time of the server, which goes on between ticks', () => {
    const state = new LiveState(HELLO)
    state.take(tick({ atMs: 50_000 }), 100)
    expect(state.nowMs(350)).to.equal(50_250)
  })

  it('tells the ages of a replay by the time of its recording', () => {
    const state = new LiveState({ ...HELLO, mode: 'replay' })
    const run = {
      seconds: 1,
      records: 0,
      events: 0,
      streamMs: 7,
      heldTimes: 0,
      heldSeconds: 0,
      progress: 0.5,
      ended: false,
    }
    state.take(tick({ atMs: 50_000, run }), 0)
    expect(state.nowMs(9)).to.equal(7)
  })
})

describe('A rate', () => {
  it('is how fast a count grows, and nothing before there were two', () => {
    const rate = new Rate()
    rate.count(1_000_000, 0)
    expect(rate.perSecond).to.equal(0)
    for (let at = 1; at <= 40; at++) rate.count(1_000_000 + 25 * at, 250 * at)
    expect(rate.perSecond).to.be.closeTo(100, 1e-9)
  })

  it('is zero again some seconds after the last', () => {
    const rate = new Rate()
    for (let at = 0; at <= 8; at++) rate.count(at, 250 * at)
    for (let at = 9; at <= 60; at++) rate.count(8, 250 * at)
    expect(rate.perSecond).to.equal(0)
  })

  it('does not take what was counted while nobody looked for a burst', () => {
    const rate = new Rate()
    for (let at = 0; at <= 8; at++) rate.count(at, 250 * at)
    rate.restart()
    rate.count(1e6, 60_000)
    rate.count(1e6 + 1, 60_250)
    expect(rate.perSecond).to.be.closeTo(4, 0.01)
  })
})

describe('The digits of a price', () => {
  it('are those behind its point, also of the smallest', () => {
    const prices = [null, 5, 0.5, 78_634.25, 1e-7, 1.25e-7, 0.1 + 0.2]
    expect(prices.map(decimalsOf)).to.deep.equal([0, 0, 1, 2, 7, 9, 1])
  })
})
