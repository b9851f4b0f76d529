import { expect } from 'chai'
import { type Fault } from '../../../src/model/fault'
import { EVENT_FIELDS } from '../../../src/sinks/eventFields'
import { declaredTable, eventTable, tableNameOf, tableOf, TableRows, type Table } from '../../../src/sinks/tables/table'
import { EVENT_KINDS } from '../../../src/model/events'

const cellsOf = (table: Table, value: unknown): unknown[] => new TableRows('test', table).cells(value, 7)
const faultOf = (action: () => unknown): Fault => {
  try {
    action()
  } catch (fault) {
    return fault as Fault
  }
  throw new Error('it was not refused')
}

describe('a table', () => {
  it('of an event has the fields of its kind', () => {
    for (const kind of EVENT_KINDS) {
      expect(eventTable(kind).columns.map(({ name }) => name)).to.deep.equal(Object.keys(EVENT_FIELDS[kind]))
      expect(tableNameOf({ kind, exchange: 'kraken' })).to.be.a('string')
    }
    expect(tableNameOf({ kind: 'trade' })).to.equal(undefined)
    expect(tableNameOf({ kind: 'toString', exchange: 'kraken' })).to.equal(undefined)
  })

  it('of other values has every field that one of them has', () => {
    const { columns, leavesOut } = tableOf([
      { timeUs: 1, mid: 1.5 },
      { timeUs: 2, mid: null, open: true, name: 'a', list: [1] },
    ])
    expect(columns).to.deep.equal([
      { name: 'timeUs', type: 'timeUs' },
      { name: 'mid', type: 'number' },
      { name: 'open', type: 'boolean' },
      { name: 'name', type: 'text' },
      { name: 'list', type: 'json' },
    ])
    expect(leavesOut).to.equal(false)
    expect(tableOf([1, 2]).columns).to.deep.equal([{ name: 'value', type: 'number' }])
  })

  it('keeps absence and what is no number as nothing, never as 0', () => {
    const table = declaredTable('test', { price: 'number', id: 'text', atUs: 'timeUs' })!
    expect(cellsOf(table, { price: NaN, id: undefined, atUs: null })).to.deep.equal([null, null, null])
    expect(cellsOf(table, { price: 0, id: '', atUs: 0 })).to.deep.equal([0, '', 0])
  })

  it('refuses a value of another type, with the place and the column', () => {
    const table = declaredTable('test', { seq: 'integer', bids: 'levels' })!
    for (const value of [{ seq: 1.5 }, { seq: 2 ** 53 }, { seq: 'one' }, { bids: [[1]] }, { bids: [[1, NaN]] }]) {
      const fault = faultOf(() => cellsOf(table, value))
      expect(fault.code).to.equal('VALUE_INVALID')
      expect(fault.details).to.deep.equal({ sink: 'test', index: 7 })
      expect(fault.message).to.match(/its (seq|bids) is /)
    }
    expect(cellsOf(table, { seq: 3n, bids: [[1, 2]] })).to.deep.equal([3, [[1, 2]]])
  })

  it('that was inferred refuses a field that it has no column for; one that was declared leaves it out', () => {
    const inferred = tableOf([{ a: 1 }])
    expect(faultOf(() => cellsOf(inferred, { a: 1, b: 2 })).message).to.contain('its field "b" has no column')
    expect(cellsOf(inferred, { a: 1, b: undefined })).to.deep.equal([1])
    expect(cellsOf(declaredTable('test', { a: 'number' })!, { a: 1, b: 2 })).to.deep.equal([1])
  })

  it('is refused with names or types that are none', () => {
    for (const columns of [
      {},
      { a: 'float' },
      { '': 'text' },
      { 'a\u0000b': 'text' },
      { [`a${'b'.repeat(63)}`]: 'text' },
    ]) {
      expect(faultOf(() => declaredTable('test', columns as never)).code).to.equal('OPTION_INVALID')
    }
  })
})
