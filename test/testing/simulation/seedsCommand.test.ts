import { expect } from 'chai'
import { millrace, needsBuild } from '../../cli/millrace'

describe('millrace seeds', function () {
  this.timeout(600_000)

  before(function () {
    needsBuild(this)
  })

  it('prints one JSON object on standard output, and its progress beside it', async () => {
    const { status, out, err } = await millrace(['seeds', '--seeds', '3', '--from', '30', '--jobs', '2', '--json'])
    expect(JSON.parse(out)).to.deep.equal({ format: 'millrace-seeds/1', seeds: 3, failures: [] })
    expect(err).to.include('3 seeds').and.include('every invariant held')
    expect(status).to.equal(0)
  })

  it('tells everything of one seed', async () => {
    const { status, out, err } = await millrace(['seeds', '--seed', '31', '--verbose'])
    expect(out).to.equal('')
    expect(err)
      .to.include('"exchanges"')
      .and.match(/Digest [0-9a-f]{64}\./)
    expect(status).to.equal(0)
  })

  for (const [args, words] of [
    [['--seeds', '0'], '--seeds'],
    [['--seeds', 'many'], '--seeds'],
    [['--from', '-1'], '--from'],
    [['--jobs', '0'], '--jobs'],
    [['--seed', '1', '--seeds', '2'], '--seed names one seed'],
    [['--seeds', '2', '--verbose'], '--verbose tells of one seed'],
    [['--seedz', '2'], 'no option --seedz'],
    [['somewhere'], 'options only'],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      const { status, err } = await millrace(['seeds', ...args])
      expect(err).to.include(words)
      expect(status).to.equal(2)
    })
  }
})
