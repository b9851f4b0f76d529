/**
 * Pictures of a run for windows of every size, and of names that are meant to break them.
 */
import { expect } from 'chai'
import { widthOf } from '../../../src/cli/view/cells'
import { coloured as inColour, drawn, plain } from '../../../src/cli/view/line'
import { picture } from '../../../src/cli/view/picture'
import { Readings, type ViewedRun } from '../../../src/cli/view/readings'
import { FIRST_VIEW, PAGES, type ViewState } from '../../../src/cli/view/viewState'
import { instruments, manyInstruments, viewedRun } from '../../kit/viewed'

describe('A picture of a run', () => {
  it('keeps to windows from one letter to 300 by 100, on every page', () => {
    const run = viewedRun(manyInstruments(500), {
      held: { times: 3, seconds: 2 },
      quarantine: { kept: 3, unkept: 2, file: '/tmp/out/quarantine/test.jsonl' },
    })
    const sizes = [1, 2, 3, 7, 10, 24, 40, 80, 100, 300]
    for (const columns of sizes) {
      for (const rows of sizes.filter((size) => size <= 100)) {
        for (const state of states()) {
          const lines = look(run, state, columns, rows)
          const at = `${columns}x${rows} ${state.page}`
          expect(lines.length, at).to.be.at.most(rows)
          for (const line of lines) expect(widthOf(line), at).to.be.below(Math.max(1, columns))
        }
      }
    }
  })

  it('shows state, freshness and gaps of a book in a window of 40 by 10', () => {
    const lines = look(viewedRun(), FIRST_VIEW, 40, 10)
    expect(lines.find((line) => line.startsWith('instrument'))).to.match(/instrument +exchange +book +age +bp/)
    expect(lines.join('\n')).to.match(/kraken +gap/)
  })

  it('shows the market, and what waits, what is slow and what is wrong with it, in a usual window', () => {
    const text = look(viewedRun(), FIRST_VIEW, 100, 30).join('\n')
    expect(text).to.contain('receive to sink p50 420 µs, p99 2.1 ms')
    expect(text).to.match(/loop p99 [\d.]+ ms/)
    expect(text).to.match(/rss \d+ MB, heap \d+/)
    expect(text).to.match(/market → sink +0 +0 +3 of 4/)
    expect(text).to.match(/exchanges → market .* 3 dropOldest/)
    expect(text).to.match(/faults {2}BOOK_GAP 2/)
  })

  it('says why a run is unwell', () => {
    const unwell = { level: 'unhealthy', reasons: ['The books of kraken are down.'] } as const
    const text = look(viewedRun(instruments(), {}, unwell), FIRST_VIEW, 100, 30).join('\n')
    expect(text).to.contain('unhealthy').and.contain('The books of kraken are down.')
  })

  it('says of a replay where it is, and how long still', () => {
    const replay = {
      mode: 'replay',
      streamTimeUs: Date.UTC(2026, 7, 24, 14, 30) * 1_000,
      progress: { share: 0.5, secondsLeft: undefined },
    } as const
    const text = look(viewedRun(instruments(), replay), FIRST_VIEW, 120, 30).join('\n')
    expect(text).to.contain('2026-08-24 14:30:00 UTC  █████░░░░░ 50 %, 7 s left')
  })

  it('tells how old the last event is, by the time of the stream in a replay', () => {
    const rows = instruments()
    const lastUs = Date.UTC(2026, 7, 24, 14, 30) * 1_000
    for (const row of rows.values()) Object.assign(row, { lastUs })
    const replay = { mode: 'replay', streamTimeUs: lastUs + 2_345_000 } as const
    expect(look(viewedRun(rows, replay), FIRST_VIEW, 120, 30).join('\n')).to.match(/binance +live +2\.3s/)
  })

  it('marks what is stale, and finds it as trouble', () => {
    const rows = instruments()
    Object.assign(rows.get('binance')!, { stale: ['trades'], lastUs: 1 })
    const moment = viewedRun(rows, { mode: 'replay', streamTimeUs: 4_200_001 })
    expect(look(moment, FIRST_VIEW, 100, 30).join('\n')).to.contain('1 stale')
    const coloured = look(moment, { ...FIRST_VIEW, troubled: true }, 100, 30, inColour)
    expect(coloured.find((line) => line.includes('binance'))).to.contain('\x1b[33m 4.2s\x1b[39m')
  })

  it('shows each edge of the pipeline once, below what feeds it, and its sinks and connections', () => {
    const lines = look(viewedRun(), { ...FIRST_VIEW, page: 'pipeline' }, 160, 40).map((line) => line.trimEnd())
    const text = lines.join('\n')
    expect(text).to.match(/^market +running +0 +0 +0 of 10 +dropOldest +9 +3 dropOldest$/m)
    expect(text).to.match(/^└ sink +failed +0 +0 +3 of 4 +keepLatest +4 +9 +5$/m)
    expect(text).to.match(/^sink +0 +3 +12 +0 bytes +3456 bytes +2 +1 +0$/m)
    expect(text).to.match(/^kraken +waiting +\S+ +3 wss:\/\/ws\.kraken\.com\/v2 +refused$/m)
  })

  it('keeps columns where names are wide, and lets none of them do anything but stand there', () => {
    const name = '比特币\u0007\u200b\u001b[31m👍\ud800-USDT'
    const lines = look(viewedRun(instruments(name)), FIRST_VIEW, 120, 30)
    const [titles, binance] = ['instrument', '比特币'].map((start) => lines.find((line) => line.startsWith(start))!)
    expect(binance).to.contain('比特币··')
    expect(binance).to.not.match(/\p{Cs}/u)
    const column = (line: string, what: string): number => widthOf(line.slice(0, line.indexOf(what)))
    expect(column(binance!, 'live')).to.equal(column(titles!, 'book'))
  })

  it('does no more for ten thousand instruments than for those in the window', () => {
    const rows = manyInstruments(10_000)
    let asked = 0
    for (const row of rows.values()) Object.defineProperty(row, 'bidPrice', { get: () => (asked++, 1) })
    look(viewedRun(rows), { ...FIRST_VIEW, scrolled: { market: 5_000, pipeline: 0, faults: 0 } }, 120, 40)
    expect(asked).to.be.above(0).and.below(500)
  })

  it('says when there is nothing to show', () => {
    expect(look(viewedRun(new Map()), FIRST_VIEW, 80, 24).join('\n')).to.contain('Nothing has been received yet.')
    const other = { ...FIRST_VIEW, filter: 'nobody' }
    expect(look(viewedRun(), other, 80, 24).join('\n')).to.contain('Nothing is named like "nobody".')
    const fine = look(viewedRun(manyInstruments(3)), { ...FIRST_VIEW, troubled: true }, 80, 24)
    expect(fine.join('\n')).to.contain('Every book is live and fresh.')
  })
})

function states(): ViewState[] {
  const far = { market: Infinity, pipeline: Infinity, faults: Infinity }
  return [
    ...PAGES.flatMap((page) => [
      { ...FIRST_VIEW, page },
      { ...FIRST_VIEW, page, scrolled: far },
    ]),
    { ...FIRST_VIEW, isHelp: true },
    { ...FIRST_VIEW, isTyping: true, filter: 'sym', troubled: true },
  ]
}

function look(run: ViewedRun, state: ViewState, columns: number, rows: number, style = plain): string[] {
  const readings = new Readings(run)
  try {
    const options = { window: { columns, rows }, sentence: 'Stopping.', keys: true }
    return picture(readings.take(), state, options).lines.map((line) => drawn(line, columns, style))
  } finally {
    readings.stop()
  }
}
