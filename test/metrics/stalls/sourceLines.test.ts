import { expect } from 'chai'
import { SourceLines } from '../../../src/metrics/stalls/sourceLines'

/** `a` at line 3 of the source is at line 1 of what runs, column 0; `b` at line 5 is at line 2, column 4. */
const MAP = {
  version: 3,
  file: 'made.js',
  sources: ['written.ts'],
  sourcesContent: ['one\ntwo\n  three of it  \nfour\nfive\n'],
  names: [],
  mappings: 'AAEA;IAEA',
}
const inline = `data:application/json;base64,${Buffer.from(JSON.stringify(MAP)).toString('base64')}`

describe('lines of files as they were written', () => {
  it('are found by the source map, beside the script, with their text', () => {
    const lines = new SourceLines(new Map([['/srv/app/made.js', inline]]))
    const first = lines.find({ url: 'file:///srv/app/made.js', line: 1 })
    expect(first).to.deep.equal({ file: '/srv/app/written.ts', line: 3, text: 'three of it' })
    expect(lines.find({ url: '/srv/app/made.js', line: 2, column: 5 })).to.include({ line: 5, text: 'five' })
  })

  it('are those of the script itself where there is no map, or one that cannot be read', () => {
    for (const address of [undefined, '', 'data:application/json;base64,AAAA', 'nowhere.js.map']) {
      const lines = new SourceLines(new Map(address === undefined ? [] : [[__filename, address]]))
      expect(lines.find({ url: __filename, line: 1 }), address).to.deep.equal({
        file: __filename,
        line: 1,
        text: "import { expect } from 'chai'",
      })
    }
  })

  it('are not there for what is no file', () => {
    expect(new SourceLines(new Map()).find({ url: 'node:fs', line: 3 })).to.equal(undefined)
  })
})
