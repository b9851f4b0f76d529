import { expect } from 'chai'
import { DESTINATIONS, LATE, UNTRUE, type DestinationName } from './destinations'
import { liveAndDie, survivesKills, Writers } from './killed'
import { TestFolder } from './support'

const namesOf = <Name extends DestinationName>(destinations: Readonly<Record<Name, unknown>>): Name[] =>
  Object.keys(destinations) as Name[]

for (const name of namesOf(DESTINATIONS)) {
  survivesKills(name, async () => {
    const folder = await TestFolder.create()
    return { place: { outDir: folder.outDir }, remove: () => folder.remove() }
  })
}

describe('The proof by kills', () => {
  const writers = new Writers()

  before(() => writers.prepare())
  after(() => writers.close())

  for (const name of namesOf(UNTRUE)) {
    it(`finds out a sink that ${name}`, async () => {
      const failure: unknown = await prove(name, 20).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      expect(failure)
        .to.be.an('error')
        .with.property('message')
        .that.matches(/^After life/)
    })
  }

  for (const name of namesOf(LATE)) {
    it(`has patience with a sink that ${name}`, () => prove(name, 0))
  }

  async function prove(name: DestinationName, kills: number): Promise<void> {
    const folder = await TestFolder.create()
    try {
      await liveAndDie(writers, name, { outDir: folder.outDir }, { kills, seed: 1 })
    } finally {
      await folder.remove()
    }
  }
})
