import { expect } from 'chai'
import { reachedIn, RUN_NOTE, runNotes } from '../../../src/sinks/tables/earlierRuns'

type Notes = ReadonlyMap<string, string>

/** The notes after one run after the other has written so much. */
function written(...runs: readonly (readonly [run: string, to: number, isNamed?: boolean])[]): Notes {
  return runs.reduce<Notes>(
    (before, [run, to, isNamed = true]) => new Map(runNotes({ sink: 'trades', run, to }, isNamed, before)),
    new Map(),
  )
}

describe('The notes of runs in a file', () => {
  it('tell how far each run has come, the one that wrote last and those before it', () => {
    const notes = written(['monday', 5], ['tuesday', 3], ['monday', 7], ['wednesday', 1])
    const reached = ['monday', 'tuesday', 'wednesday', 'thursday'].map((run) => reachedIn(notes, 'trades', run))
    expect(reached).to.deep.equal([7, 3, 1, undefined])
    expect(reachedIn(notes, 'another sink', 'monday')).to.equal(undefined)
  })

  it('have nothing of earlier runs where there were none, and none twice', () => {
    expect(written(['monday', 1], ['monday', 2], ['monday', 3]).has(RUN_NOTE.earlier)).to.equal(false)
    const notes = written(['monday', 1], ['tuesday', 1], ['monday', 2], ['tuesday', 2])
    expect(JSON.parse(notes.get(RUN_NOTE.earlier)!)).to.deep.equal([{ sink: 'trades', run: 'monday', to: 2 }])
  })

  it('forget runs without a name when another writes, and know them until then', () => {
    expect(reachedIn(written(['1.2.3', 4, false]), 'trades', '1.2.3')).to.equal(4)
    const notes = written(['monday', 1], ['1.2.3', 4, false], ['tuesday', 2])
    expect(reachedIn(notes, 'trades', '1.2.3')).to.equal(undefined)
    expect(reachedIn(notes, 'trades', 'monday')).to.equal(1)
  })

  it('remember a hundred earlier runs, those that wrote last', () => {
    const names = Array.from({ length: 150 }, (_, day) => `day ${day}`)
    const notes = written(...names.map((name): [string, number] => [name, 1]))
    const known = names.filter((name) => reachedIn(notes, 'trades', name) !== undefined)
    expect(known).to.deep.equal(names.slice(-101))
  })

  it('know nothing where the note is of another form', () => {
    for (const note of ['', '{', '7', '{}', '[1, null, {"sink":"trades","run":"monday","to":"7"}]']) {
      expect(reachedIn(new Map([[RUN_NOTE.earlier, note]]), 'trades', 'monday'), note).to.equal(undefined)
    }
  })
})
