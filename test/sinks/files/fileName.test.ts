import { expect } from 'chai'
import fc from 'fast-check'
import { FileTemplate, isTemplate, plainPath } from '../../../src/sinks/files/fileName'

const TIME_US = Date.UTC(2024, 7, 7, 13, 59, 59) * 1_000

const nameOf = (template: string, value: unknown, fields: readonly string[] = []): string =>
  new FileTemplate('rows', template, fields).nameOf(value, TIME_US).path
const symbolName = (symbol: unknown): string => nameOf('{symbol}', { symbol })

/** What a name says, read without knowing how it was written: by the rules at the head of `fileName.ts`. */
function decoded(name: string, upper: boolean): string {
  const whole = name.replaceAll('~/', '')
  if (whole === '~empty') return ''
  const [body = '', mark = ''] = whole.split('~')
  const bits = Array.from(mark).flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit) !== 0))
  let letters = 0
  let text = ''
  for (const [token, half, bytes] of body.matchAll(/%u([0-9A-F]{4})|((?:%[0-9A-F]{2})+)|[^%]/g)) {
    if (half !== undefined) text += String.fromCharCode(parseInt(half, 16))
    else if (bytes !== undefined) text += Buffer.from(bytes.replaceAll('%', ''), 'hex').toString()
    else if (/[a-zA-Z]/.test(token)) {
      const isMarked = bits[letters++] === true
      text += upper === isMarked ? token.toLowerCase() : token.toUpperCase()
    } else text += token
  }
  return text
}

const HOSTILE = [
  '../../x',
  '..',
  '.',
  '',
  '/etc/passwd',
  '\\\\server\\share',
  'C:\\x',
  'ADA/XBT',
  'ADA%2FXBT',
  'a\0b',
  'CON',
  'con',
  'Con.txt',
  'COM1',
  'x'.repeat(300),
  'X'.repeat(300),
  'Ä'.repeat(300),
  '币'.repeat(300),
  '币安人生USDT',
  'BTC',
  'btc',
  'Btc',
  'tBTCUSD',
  'BTC~8',
  '~none',
  '~empty',
  'none',
  ' x ',
  'x.',
  'x.000001',
  '-x',
  '{symbol}',
  '\ud800',
  '\udc00',
  '\ud83d\ude00',
  '%uD800',
  'é',
  'e\u0301',
  '\u212a', // the sign of kelvin, which lower case makes a k
  'k',
  '_none',
  '\r\n',
  '\u202e',
]
const anyText = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.string({ unit: fc.constantFrom('a', 'A', 'b', 'B', '-', '_', '.', '/', '%', '~', '\ud800', '\udfff', '2', 'F') }),
)

describe('the name of a file', () => {
  it('is the usual names of instruments as they are', () => {
    for (const usual of ['BTCUSDT', 'BTC-USDT', 'BTC_USDT', 'BTC-27DEC24-100000-C', '币安人生USDT', '1000PEPE']) {
      expect(symbolName(usual)).to.equal(usual)
    }
    expect(nameOf('{exchange}/{symbol}/{date}.jsonl', { exchange: 'binance', symbol: 'BTCUSDT' })).to.equal(
      'binance/BTCUSDT/2024-08-07.jsonl',
    )
    expect(nameOf('trades-{instrument}-{date}-{hour}.csv', { instrument: 'BTC-USDT' })).to.equal(
      'trades-BTC-USDT-2024-08-07-13.csv',
    )
  })

  it('escapes what would lead elsewhere, or mean something else on some file system', () => {
    expect(symbolName('../../x')).to.equal('%2E%2E%2F%2E%2E%2Fx~8')
    expect(symbolName('ADA/XBT')).to.equal('ADA%2FXBT')
    expect(symbolName('A\0B')).to.equal('A%00B')
    expect(symbolName('CON')).to.equal('%43ON')
    expect(nameOf('{symbol}.jsonl', { symbol: 'NUL' })).to.equal('%4EUL.jsonl')
    expect(nameOf('C{symbol}.jsonl', { symbol: 'ON' })).to.equal('%43ON.jsonl')
    expect(symbolName('tBTCUSD')).to.equal('tBTCUSD~8')
    expect(symbolName('\ud800')).to.equal('%uD800')
  })

  it('tells a value that is absent from every text', () => {
    expect(symbolName(undefined)).to.equal('~none')
    expect(symbolName(null)).to.equal('~none')
    expect(symbolName('')).to.equal('~empty')
  })

  it('is made of numbers by their digits', () => {
    expect(nameOf('{intervalUs}', { intervalUs: 60_000_000 }, ['intervalUs'])).to.equal('60000000')
    expect(nameOf('{strike}', { strike: -1.5 }, ['strike'])).to.equal('-1%2E5')
    expect(nameOf('{n}', { n: 10n }, ['n'])).to.equal('10')
  })

  it('reads back as the value that it was made of, whatever that was', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(decoded(symbolName(text), true)).to.equal(text)
        expect(decoded(nameOf('{exchange}', { exchange: text }), false)).to.equal(text)
      }),
      { seed: 1, numRuns: 2_000 },
    )
  })

  it('is different for different values, also where upper and lower case are one', () => {
    const seen = new Map<string, string>()
    for (const text of HOSTILE) {
      const folded = symbolName(text).normalize('NFC').toLowerCase()
      expect(seen.get(folded), text).to.equal(undefined)
      seen.set(folded, text)
    }
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        fc.pre(one !== other)
        expect(symbolName(one).normalize('NFC').toLowerCase()).not.to.equal(
          symbolName(other).normalize('NFC').toLowerCase(),
        )
      }),
      { seed: 2, numRuns: 2_000 },
    )
  })

  it('is different for different values in several places, whatever divides them', () => {
    const shortText = anyText.map((text) => text.slice(0, 100))
    const pair = fc.tuple(shortText, shortText)
    for (const template of [
      '{exchange}-{symbol}',
      '{exchange}_{symbol}.csv',
      '{exchange}/{symbol}',
      '{exchange}.{symbol}',
    ]) {
      const path = new FileTemplate('rows', template)
      const name = ([exchange, symbol]: readonly [string, string]): string =>
        path.nameOf({ exchange, symbol }, TIME_US).path.toLowerCase()
      expect(name(['a-b', 'C'])).not.to.equal(name(['a', 'b-C']))
      fc.assert(
        fc.property(pair, pair, (one, other) => {
          fc.pre(one[0] !== other[0] || one[1] !== other[1])
          expect(name(one)).not.to.equal(name(other))
        }),
        { seed: 3, numRuns: 500 },
      )
    }
  })

  it('has no part that a file system could not hold, or would take for a folder', () => {
    fc.assert(
      fc.property(anyText, anyText, (exchange, symbol) => {
        for (const part of nameOf('{exchange}/a-{symbol}.jsonl', { exchange, symbol }).split('/')) {
          expect(Buffer.byteLength(part)).to.be.within(1, 255)
          expect(part).to.match(/^[^.\\:*?"<>|\u0000-\u001f][^\\:*?"<>|\u0000-\u001f]*$/)
          expect(part).not.to.match(/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i)
          expect(part).not.to.match(/[. ]$/)
        }
      }),
      { seed: 4, numRuns: 2_000 },
    )
  })

  it('of 300 characters is cut into folders, none of which is short', () => {
    const parts = nameOf('{symbol}.jsonl', { symbol: 'X'.repeat(300) }).split('/')
    expect(parts.join('')).to.equal(`${'X'.repeat(155)}~${'X'.repeat(145)}.jsonl`)
  })

  it('refuses a value that would have too long a path, and one that is a list', () => {
    expect(() => symbolName('x'.repeat(5_000))).to.throw(RangeError, 'where 2000 are the most')
    expect(() => symbolName(['a'])).to.throw(TypeError, 'its symbol names its file')
  })

  it('refuses a template with an unknown field, with the list of what may stand there', () => {
    expect(() => nameOf('{symbl}.jsonl', {})).to.throw(
      'there is no "symbl" to be put in its place. What may stand there: date, hour, kind, exchange, symbol, instrument',
    )
    expect(() => nameOf('{constructor}', {})).to.throw('there is no "constructor"')
    expect(nameOf('{strategy}', { strategy: 'mean' }, ['strategy'])).to.equal('mean')
  })

  it('refuses a template whose names could not be told apart, or not read', () => {
    expect(() => nameOf('{exchange}{symbol}', {})).to.throw('must be divided')
    expect(() => nameOf('{exchange}x{symbol}', {})).to.throw('must be divided')
    expect(() => nameOf('{exchange}~{symbol}', {})).to.throw('neither % nor ~')
    expect(() => nameOf('{symbol', {})).to.throw('a brace has no partner')
    expect(() => nameOf('symbol}', {})).to.throw('a brace has no partner')
  })

  it('takes doubled braces for braces', () => {
    expect(isTemplate('a{{b}}.jsonl')).to.equal(false)
    expect(plainPath('a{{b}}.jsonl')).to.equal('a{b}.jsonl')
    expect(isTemplate('{{a}}{symbol}')).to.equal(true)
    expect(nameOf('{{a}}-{symbol}', { symbol: 'X' })).to.equal('{a}-X')
  })
})
