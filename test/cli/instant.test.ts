import { expect } from 'chai'
import { parse, UsageError } from '../../src/cli/command'
import { instant, span, SPAN_OPTIONS } from '../../src/cli/instant'

const DAY_US = Date.UTC(2026, 7, 24) * 1_000

describe('A time on the command line', () => {
  const read = (text: string): number | undefined => instant(parse([`--from=${text}`], SPAN_OPTIONS), 'from')

  const times: readonly [text: string, timeUs: number][] = [
    ['2026-08-24', DAY_US],
    ['2026-08-24T22:30', DAY_US + 81_000_000_000],
    ['2026-08-24T22:30:01Z', DAY_US + 81_001_000_000],
    ['2026-08-24 22:30:01.5', DAY_US + 81_001_500_000],
    ['2026-08-24T22:30:01.000007z', DAY_US + 81_001_000_007],
    ['2026-08-24T22:30:01,123456789Z', DAY_US + 81_001_123_456],
    ['2026-08-24T22:30:00+02:00', DAY_US + 73_800_000_000],
    ['2026-08-24T22:30:00-0230', DAY_US + 90_000_000_000],
    ['0', 0],
    [String(DAY_US), DAY_US],
  ]
  for (const [text, timeUs] of times) {
    it(`may be ${text}`, () => {
      expect(read(text)).to.equal(timeUs)
    })
  }

  for (const text of ['', 'yesterday', '2026-08', '2026-13-40', '2026-08-24T25:00Z', '-5', '1e9', '22:30']) {
    it(`is refused as ${JSON.stringify(text)}`, () => {
      expect(() => read(text)).to.throw(UsageError, /--from is a time such as/)
    })
  }

  it('may be left out, and may not make a span empty', () => {
    expect(span(parse([], SPAN_OPTIONS))).to.deep.equal({ fromUs: undefined, toUs: undefined })
    expect(span(parse(['--from', '5', '--to', '6'], SPAN_OPTIONS))).to.deep.equal({ fromUs: 5, toUs: 6 })
    expect(() => span(parse(['--from', '6', '--to', '6'], SPAN_OPTIONS))).to.throw(
      UsageError,
      /--to is not after --from/,
    )
  })
})
