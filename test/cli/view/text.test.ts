/** Text as it is laid out on a terminal. */
import { expect } from 'chai'
import { ageText, latencyText, rateText, waitText } from '../../../src/cli/quantities'
import { cell, cut, widthOf } from '../../../src/cli/view/cells'
import { isForegroundOf } from '../../../src/cli/view/foreground'
import { bar, History, sparkline } from '../../../src/cli/view/history'
import { coloured, drawn, fitting, flowed, plain, wrapped } from '../../../src/cli/view/line'

describe('Text on a terminal', () => {
  it('is as wide as it shows', () => {
    const widths = { 'BTC-USDT': 8, 比特币: 6, 'e\u0301': 1, '👍': 2, ﾊﾛ: 2, ＡＢ: 4, 한국: 4, '': 0 }
    for (const [text, width] of Object.entries(widths)) expect(widthOf(text), text).to.equal(width)
  })

  it('is cut between letters and filled to its column', () => {
    expect(cut('比特币', 5)).to.equal('比特')
    expect(cut('abc', 0)).to.equal('')
    expect(cell('abcdef', 4)).to.equal('abc…')
    expect(cell('比特币', 4)).to.equal('比… ')
    expect(cell('12', 4, 'right')).to.equal('  12')
  })

  it('counts and cuts no colours', () => {
    expect(drawn([['live', 'green'], ' and well'], 7, coloured)).to.equal('\x1b[32mlive\x1b[39m a')
    expect(drawn([['live', 'green'], ' and well'], 7, plain)).to.equal('live a')
    expect(drawn([['live', 'green']], 1, coloured)).to.equal('')
  })

  it('flows on to as many lines as may be', () => {
    const lines = flowed([['aaaa'], ['bbbb'], ['cccc'], ['dddd']], 12, 2)
    expect(lines.map((line) => drawn(line, 12, plain))).to.deep.equal(['aaaa  bbbb', 'cccc  dddd'])
    expect(flowed([['aaaa'], ['bbbb']], 6, 1)).to.have.length(1)
  })

  it('is broken between words', () => {
    expect(wrapped('a bb ccc dddd', 4)).to.deep.equal(['a bb', 'ccc', 'dddd'])
    expect(wrapped('unbreakable', 5)).to.deep.equal(['unbre'])
  })

  it('keeps the columns that matter most', () => {
    const column = (title: string, width: number, rank: number) => ({ title, width, rank })
    const columns = [column('a', 4, 0), column('b', 9, 2), column('c', 4, 1), column('d', 2, 3)]
    expect(fitting(columns, 13).map(({ title }) => title)).to.deep.equal(['a', 'c', 'd'])
  })

  it('says quantities shortly', () => {
    expect([0, 999_999, 2_345_000, 61e6, 101e6, 7_200e6, 400_000e6].map(ageText)).to.deep.equal([
      ...['0ms', '999ms', '2.3s', '61s', '1m', '2h', '4d'],
    ])
    expect(ageText(-5)).to.equal('0ms')
    expect([7, 99_999, 123_456, 1_234_567].map(rateText)).to.deep.equal(['7', '99999', '123k', '1.2M'])
    expect([0.2, 119, 200, 7_500, 400_000].map(waitText)).to.deep.equal([
      ...['1 s', '119 s', '3 min 20 s', '2 h 5 min', '4 days'],
    ])
    expect([420, 2_100, 44_000, 1_500_000].map(latencyText)).to.deep.equal(['420 µs', '2.1 ms', '44 ms', '1.5 s'])
  })

  it('draws a minute and no more, of each second the highest', () => {
    const history = new History()
    for (let second = 0; second < 100; second++) {
      history.add(second * 1_000, second)
      history.add(second * 1_000 + 500, second / 2)
    }
    expect(history.last(1_000)).to.have.length(60)
    expect(history.last(3)).to.deep.equal([97, 98, 99])
    expect(sparkline([0, 4, 8])).to.equal('▁▅█')
    expect(sparkline([0, 0])).to.equal('▁▁')
    expect(sparkline([1], 10)).to.equal('▁')
    expect([bar(0, 4), bar(0.5, 4), bar(7, 4)]).to.deep.equal(['░░░░', '██░░', '████'])
  })

  it('knows the foreground by what Linux says of a process', () => {
    const stat = (terminalGroup: number): string => `12 (a) b ) S 1 12 12 34816 ${terminalGroup} 4194304 0`
    expect(isForegroundOf(stat(12))).to.equal(true)
    expect(isForegroundOf(stat(99))).to.equal(false)
    expect(isForegroundOf(stat(-1)), 'no terminal of its own').to.equal(true)
  })
})
