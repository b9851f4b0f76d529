import { expect } from 'chai'
import { cp } from 'node:fs/promises'
import path from 'node:path'
import { runProcess, said } from '../consumers/runProcess'
import { millrace, needsBuild, ROOT, temporaryFolder } from './millrace'

describe('millrace bench', function () {
  this.timeout(60_000)
  const at = temporaryFolder()

  before(function () {
    needsBuild(this)
  })

  it('names the nearest suite and option for ones that it does not know, before it compiles anything', async () => {
    const suite = await millrace(['bench', 'bok'])
    expect(suite.err).to.contain('bok is no suite. Did you mean book')
    const option = await millrace(['bench', '--quik'])
    expect(option.err).to.contain('There is no option --quik. Did you mean quick?')
    expect([suite.status, option.status]).to.deep.equal([2, 2])
  })

  it('says where the benchmarks are when it is called in a package that was installed', async () => {
    for (const folder of ['cli', 'model']) {
      await cp(path.join(ROOT, 'dist', folder), path.join(at('package'), 'dist', folder), { recursive: true })
    }
    const ran = await runProcess(
      process.execPath,
      [path.join(at('package'), 'dist/cli/millrace.js'), 'bench', 'book'],
      {
        cwd: at(''),
        withinMs: 60_000,
      },
    )
    expect(ran.stderr, said(ran)).to.contain('The benchmarks are not part of the installed package')
    expect(ran.status).to.equal(2)
  })
})
