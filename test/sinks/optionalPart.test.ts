import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Fault } from '../../src/model/fault'
import { loadPart, OPTIONAL_PARTS } from '../../src/sinks/optionalPart'
import { faultOf } from './support'

describe('an optional part', () => {
  it('is pinned as package.json has it', async () => {
    const file = await readFile(path.join(__dirname, '../../package.json'), 'utf8')
    const { devDependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(file) as Record<
      string,
      Record<string, unknown>
    >
    for (const [part, { version }] of Object.entries(OPTIONAL_PARTS)) {
      expect(devDependencies![part], part).to.equal(version)
      expect(String(peerDependencies![part]).replace('^', ''), part).to.satisfy((peer: string) => version >= peer)
      expect(peerDependenciesMeta![part]).to.deep.equal({ optional: true })
    }
  })

  it('that is not there is asked for with the command that installs it', async () => {
    const missing = (): Promise<unknown> => Promise.reject(new Error("Cannot find package 'pg'\nImported from x"))
    const fault = await faultOf(loadPart('pg', missing, 'The sink postgres(trades)'))
    expect(fault).to.be.instanceOf(Fault)
    expect(fault.code).to.equal('OPTION_INVALID')
    expect(fault.message).to.equal(
      "The sink postgres(trades) needs the package pg, which cannot be loaded (Cannot find package 'pg'): npm install pg@8.23.1",
    )
  })
})
