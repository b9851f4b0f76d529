import { expect } from 'chai'
import { DESTINATIONS, UNTRUE, type DestinationName } from './destinations'
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

describe('The proof by kills finds out a sink that', () => {
  const writers = new Writers()

  before(() => writers.prepare())
  after(() => writers.close())

  for (const name of namesOf(UNTRUE)) {
    it(name, async () => {
      const folder = await TestFolder.create()
      try {
        const failure: unknown = await liveAndDie(
          writers,
          name,
          { outDir: folder.outDir },
          { kills: 20, seed: 1 },
        ).then(
          () => undefined,
          (cause: unknown) => cause,
        )
        expect(failure)
          .to.be.an('error')
          .with.property('message')
          .that.matches(/^After life/)
      } finally {
        await folder.remove()
      }
    })
  }
})
