import { expect } from 'chai'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import * as operators from '../../src/operators/index'

describe('the operators', () => {
  /** Files that operators share, and that are no operators. */
  const shared = [
    'eventTime',
    'fifo',
    'heap',
    'index',
    'instrumentStates',
    'main',
    'options',
    'sharedRetryBudget',
    'streamAlarm',
    'subscribeWhileOpen',
  ]

  it('are all exported under the names of their files', () => {
    const files = readdirSync(path.resolve(__dirname, '../../src/operators')).map((file) => file.replace(/\.ts$/, ''))
    expect(operators).to.include.all.keys(files.filter((file) => !shared.includes(file)))
  })
})
