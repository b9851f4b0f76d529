import { expect } from 'chai'
import { EXCHANGES } from '../../src/exchanges/exchanges'
import * as op from '../../src/kernel/layout'
import {
  amount,
  bareAmount,
  bareDecimal,
  choice,
  compile,
  decimal,
  integer,
  key,
  keyUntil,
  levels,
  pairs,
  rows,
  shape,
  signedInteger,
  skipNumber,
  symbol,
  text,
  timeMs,
  type Field,
} from '../../src/kernel/shape'

const ONE = op.R_FIELDS

describe('A shape', () => {
  it('becomes the literals of its frame, four bytes a word, with the fields between them', () => {
    const { words } = compile(shape`{"s":"${symbol}"}`, 0)
    expect(words).to.deep.equal([
      ...[op.OP_LITERAL, 6, wordOf('{"s"'), wordOf(':"')],
      op.OP_SYMBOL,
      ...[op.OP_LITERAL, 2, wordOf('"}')],
      op.OP_END,
    ])
  })

  it('has no literal where there is no text', () => {
    expect(compile(shape`${skipNumber}${skipNumber}`, 0).words).to.deep.equal([
      op.OP_SKIP_NUMBER,
      op.OP_SKIP_NUMBER,
      op.OP_END,
    ])
  })

  it('salts its keys, and ends them where it says', () => {
    expect(compile(shape`${key}`, 7).words).to.deep.equal([op.OP_KEY, 34, 7, op.OP_END])
    expect(compile(shape`${keyUntil(']')}`, 8).words).to.deep.equal([op.OP_KEY, 93, 8, op.OP_END])
  })

  it('gives each field a register in the order in which they stand, and decimals a second one', () => {
    const { registers } = compile(shape`${timeMs('t')},${decimal('p')},${integer('u')}`, 0)
    expect([...registers]).to.deep.equal([
      ['t', ONE],
      ['p', ONE + 1],
      ['p.1', ONE + 2],
      ['u', ONE + 3],
    ])
  })

  it('tells signs, bare numbers and amounts above zero', () => {
    const fields: [Field, number][] = [
      [integer('x'), 0],
      [signedInteger('x'), 1],
      [decimal('x'), 0],
      [bareDecimal('x'), 1],
      [amount('x'), 2],
      [bareAmount('x'), 3],
    ]
    for (const [field, kind] of fields) expect(compile(shape`${field}`, 0).words[2], field.is).to.equal(kind)
  })

  it('numbers its texts from one: the key is text zero', () => {
    const { texts } = compile(shape`"${text('a')}","${text('b')}"`, 0)
    expect([...texts]).to.deep.equal([
      ['a', 1],
      ['b', 2],
    ])
  })

  it('writes lists of levels and choices with the way to what follows them', () => {
    const objects = levels({ side: 'asks', head: '{"price":', middle: ',"qty":', foot: '}', bare: true })
    for (const field of [objects, choice('side', 'buy', 'a longer word')]) {
      const { words } = compile(shape`${field}!`, 0)
      const next = words[0] === op.OP_LEVELS ? words[5]! : words[3]!
      expect(words.slice(next / 4)).to.deep.equal([op.OP_LITERAL, 1, wordOf('!'), op.OP_END])
    }
  })

  it('has a word of its own for the pairs that most exchanges write', () => {
    expect(compile(shape`${pairs('bids')}${pairs('asks')}`, 0).words).to.deep.equal([
      ...[op.OP_PAIRS, 0],
      ...[op.OP_PAIRS, 1],
      op.OP_END,
    ])
  })

  it('lets a second list of levels go on with the time of the first', () => {
    const timed = { head: '["', middle: '","', foot: '', tail: 'time', timeName: 't' } as const
    const { words, registers } = compile(
      shape`${levels({ side: 'asks', ...timed })}${levels({ side: 'bids', ...timed })}`,
      0,
    )
    const second = words[5]! / 4
    expect([words[2], words[second + 2]]).to.deep.equal([2, 3])
    expect([words[3], words[second + 3]]).to.deep.equal([ONE, ONE])
    expect(registers.size).to.equal(1)
  })

  it('wraps its rows', () => {
    expect(compile(shape`${rows(shape`${skipNumber}`)}`, 0).words).to.deep.equal([
      op.OP_ROWS,
      op.OP_SKIP_NUMBER,
      op.OP_ROW_END,
      op.OP_END,
    ])
  })

  it('has not more fields and texts than a row keeps', () => {
    const fields = Array.from({ length: op.ROW_REGISTERS + 1 }, (_, index) => integer(`f${index}`))
    const of = (some: Field[]) => ({ literals: Array.from({ length: some.length + 1 }, () => ','), fields: some })
    expect(() => compile(of(fields), 0)).to.throw('A shape has at most 16 fields.')
    expect(() => compile(of(['a', 'b', 'c', 'd'].map(text)), 0)).to.throw('A shape keeps at most 3 texts.')
  })

  it('of a trade takes no amount that is zero, whatever the exchange', () => {
    for (const { id, shapes } of EXCHANGES.values()) {
      for (const frame of shapes) {
        if (frame.event !== 'trade') continue
        const fields = frame.shape.fields.flatMap((field) => (field.is === 'rows' ? field.row.fields : [field]))
        const decimals = fields.flatMap((field) => (field.is === 'decimal' ? [[field.name, field.positive]] : []))
        expect(new Map(decimals as [string, boolean][]), id).to.deep.equal(
          new Map([
            ['price', true],
            ['size', true],
          ]),
        )
      }
    }
  })
})

function wordOf(text: string): number {
  return Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(4)]).readInt32LE(0)
}
