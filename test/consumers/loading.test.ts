import { expect } from 'chai'
import path from 'node:path'
import { needsBuild, ROOT } from '../cli/millrace'
import { runProcess, said } from './runProcess'

const WITHIN_MS = 180_000
const PRINT_LOADED = `
  require(${JSON.stringify(path.join(ROOT, 'dist/index.js'))})
  console.log(JSON.stringify(Object.keys(require.cache)))
`

describe('Importing millrace', function () {
  this.timeout(WITHIN_MS)

  before(function () {
    needsBuild(this)
  })

  it('loads RxJS and its own modules, and leaves what is optional or for later to later', async () => {
    const ran = await runProcess(process.execPath, ['-e', PRINT_LOADED], { cwd: ROOT, withinMs: WITHIN_MS })
    expect(ran.status, said(ran)).to.equal(0)
    const files = (JSON.parse(ran.stdout) as string[]).map((file) => file.split(path.sep).join('/'))
    const packages = new Set(files.flatMap((file) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []))
    expect([...packages]).to.deep.equal(['rxjs'])
    const own = files.filter((file) => file.includes('/dist/') && !file.includes('/node_modules/'))
    expect(own.filter((file) => /\/(cli|testing)\//.test(file))).to.deep.equal([])
    expect(own.filter((file) => file.includes('/simulator/')).map((file) => path.basename(file))).to.deep.equal([
      'startSimulator.js',
    ])
    // What runs a pipeline, reads a market or keeps a book.
    const later = [
      'pipeline/run',
      'pipeline/stageTrial',
      'feed/liveFeed',
      'feed/sessions',
      'feed/recording/recordingWriter',
    ]
    const loaded = [...later, 'book/level2Book', 'kernel/kernel'].filter((file) =>
      own.some((each) => each.endsWith(`/dist/${file}.js`)),
    )
    expect(loaded).to.deep.equal([])
  })
})
