import { expect } from 'chai'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runInNewContext } from 'node:vm'
import { pageScript } from '../../src/page/pageScript'

describe('The script of a page', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-script-'))
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  const put = (name: string, text: string): Promise<void> => writeFile(path.join(folder, name), text)

  const ran = async (): Promise<string[]> => {
    const said: string[] = []
    runInNewContext(await pageScript(path.join(folder, 'entry')), { say: (word: string) => said.push(word) })
    return said
  }

  it('runs each module once, those that are needed first, with names of its own', async () => {
    await put('entry.ts', `import { word } from './one'\nimport { other } from './two'\nsay(word + other)`)
    await put(
      'one.ts',
      `import { other } from './two'\nconst own: string = 'one'\nsay(own)\nexport const word = own + other`,
    )
    await put('two.ts', `const own = 'two'\nsay(own)\nexport const other = own`)
    expect(await ran()).to.deep.equal(['two', 'one', 'onetwotwo'])
  })

  it('takes a module as it was built where it was built', async () => {
    await put('entry.ts', `say('source')`)
    await put('entry.js', `say('built')\n//# sourceMappingURL=entry.js.map\n`)
    expect(await ran()).to.deep.equal(['built'])
    expect(await pageScript(path.join(folder, 'entry'))).not.to.contain('sourceMappingURL')
  })

  it('says which module is missing', async () => {
    await put('entry.ts', `import { word } from './gone'\nsay(word)`)
    const thrown: unknown = await pageScript(path.join(folder, 'entry')).catch((cause: unknown) => cause)
    expect(thrown).to.have.property('code', 'OPTION_INVALID')
    expect(thrown)
      .to.have.property('message')
      .that.matches(/without gone: .*Build millrace/)
  })
})
