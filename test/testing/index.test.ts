import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import * as testing from '../../src/testing/index'

const FOLDER = path.resolve(__dirname, '../../src/testing')

describe('millrace/testing', () => {
  it('has what tests of pipelines, operators and sinks need', () => {
    expect(testing).to.include.keys(
      ...['marbles', 'probe', 'sourceProbe', 'sinkProbe', 'withoutLeaks', 'leakCheck', 'watched', 'expectEqual'],
      ...['failAt', 'failEvery', 'delayEach', 'duplicateEach', 'loseEach', 'reorderWithin', 'cutAfter'],
      ...['testRun', 'startTestRun', 'expectBalanced', 'operatorSuite', 'eventually', 'AssertionError', 'VirtualClock'],
    )
  })

  it('needs no test runner and no assertion library', () => {
    const imported = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => ts.preProcessFile(readFileSync(path.join(FOLDER, file), 'utf8')).importedFiles)
      .map(({ fileName }) => fileName)
      .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
    expect([...new Set(imported)]).to.have.members(['rxjs', 'rxjs/testing'])
  })
})
