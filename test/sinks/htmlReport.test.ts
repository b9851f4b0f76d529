import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Fault } from '../../src/model/fault'
import { htmlReport } from '../../src/sinks/htmlReport'
import { markdownReport } from '../../src/sinks/markdownReport'
import { pageParts } from '../../src/sinks/report/pageParts'
import { trade } from '../kit/marketEvents'
import { conformsAsSink, type Row } from './conformance'
import { dataOf } from './report/page'
import { runLook } from './report/runLook'
import { faultOf, TestFolder, until, VirtualClock } from './support'

conformsAsSink('htmlReport', {
  keeps: 'latest',
  create: (folder) => ({
    sink: htmlReport('out/report.html', { everyMs: 0 }),
    read: async () => latestOf(await readFile(folder.file('report.html'), 'utf8')),
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

conformsAsSink('markdownReport', {
  keeps: 'latest',
  create: (folder) => ({
    sink: markdownReport('out/report.md', { everyMs: 0 }),
    read: async () => latestInMarkdown(await readFile(folder.file('report.md'), 'utf8')),
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

const T = 1_700_000_000_000_000

describe('htmlReport', () => {
  let folder: TestFolder
  let clock: VirtualClock
  const open = () => ({ outDir: folder.outDir, clock })
  const page = (): Promise<string> => readFile(folder.file('report.html'), 'utf8')

  beforeEach(async () => {
    folder = await TestFolder.create()
    clock = new VirtualClock(T)
  })
  afterEach(() => folder.remove())

  it('writes nothing before the end unless it is asked to', async () => {
    const sink = htmlReport('report.html')
    await sink.open(open())
    await sink.write([trade({ receiveTimeUs: T })])
    clock.advance(86_400_000)
    expect([await readdir(folder.outDir), clock.pending]).to.deep.equal([[], 0])
    await sink.close()
    expect(await page()).to.contain('BTC-USD')
    expect(sink.counters.written).to.equal(1)
  })

  it('is rewritten every so often, and at the end with the run as it ended', async () => {
    const sink = htmlReport('report.html', { everyMs: 5_000 })
    let records = 0
    await sink.open({ ...open(), look: () => runLook({ records }) })
    await sink.write([trade({ receiveTimeUs: T })])
    expect(sink.counters.written).to.equal(0)
    records = 17
    clock.advance(5_000)
    await until(() => sink.counters.written === 1)
    expect(await page()).to.contain('<dd>17</dd>')
    records = 18
    await sink.close()
    expect(await page()).to.contain('<dd>18</dd>')
    await sink.close()
    expect([sink.counters.written, clock.pending]).to.deep.equal([2, 0])
  })

  it('counts a batch once that it was given twice because writing had failed', async () => {
    const sink = htmlReport('report.html', { everyMs: 0 })
    await sink.open(open())
    await folder.vanish()
    const batch = [trade({ receiveTimeUs: T, size: 3 })]
    await faultOf(sink.write(batch))
    await faultOf(sink.write(batch))
    await folder.comeBack()
    await sink.write(batch)
    await sink.write([trade({ receiveTimeUs: T, size: 4 })])
    await sink.close()
    expect(await page()).to.match(/<td class="number">2<\/td><td class="number">7<\/td>/)
  })

  it('begins anew when it is opened for another run', async () => {
    const sink = htmlReport('report.html')
    await sink.open(open())
    await sink.write([trade({ receiveTimeUs: T })])
    await sink.close()
    await sink.open(open())
    await sink.write([trade({ receiveTimeUs: T, instrument: 'ETH-USD' })])
    await sink.close()
    expect(dataOf(await page()).instruments.map(({ name }) => name)).to.deep.equal(['ETH-USD'])
  })

  it('asks no host for anything, and allows only its own scripts and style', async () => {
    const sink = htmlReport('report.html')
    await sink.open(open())
    await sink.write([trade({ receiveTimeUs: T })])
    await sink.close()
    const text = await page()
    const { scripts, style } = await pageParts()
    const outside = [...scripts, style].reduce((rest, part) => rest.replace(part, ''), text)
    expect(outside).not.to.match(/(src|href|action)\s*=\s*(?!["']?(#|data:))/i)
    expect(outside).not.to.match(/\son\w+\s*=|\sstyle\s*=/i)
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(text)![1]!
    expect(policy).to.match(
      /^default-src 'none'; script-src 'sha256-\S+ 'sha256-\S+; style-src 'sha256-\S+; img-src data:/,
    )
    expect(policy).not.to.contain('unsafe')
  })

  it('shows texts from outside as they are: none is markup, none ends its script', async () => {
    const hostile = '</script><img src=x onerror=alert(1)><!-- \u2028 "\'&'
    const sink = htmlReport('report.html', { title: hostile })
    const message = `It said ${hostile}`
    await sink.open({
      ...open(),
      look: () =>
        runLook({ faults: { VALUE_INVALID: 1 }, latestFaults: [{ timeUs: T, code: 'VALUE_INVALID', message }] }),
    })
    await sink.write([
      trade({ receiveTimeUs: T, symbol: hostile, instrument: undefined, exchange: hostile }),
      { kind: hostile, [hostile]: hostile },
    ])
    await sink.close()
    const text = await page()
    expect(text).not.to.contain('<img')
    expect(text.match(/<\/script>/g)).to.have.length(3)
    expect(text.match(/<!--/g)).to.equal(null)
    const { instruments, latest } = dataOf(text)
    expect(instruments[0]).to.include({ name: hostile, exchange: hostile })
    expect(latest[0]!.fields).to.deep.equal({ kind: hostile, [hostile]: hostile })
  })

  it('leaves the old page whole, or the new one, when it is killed in the middle of writing', async function () {
    this.timeout(240_000)
    for (const versions of [1, 4]) {
      await killedAfter(versions)
      const text = await page()
      expect(text.endsWith('</body></html>\n'), `after ${versions} versions`).to.equal(true)
      expect(dataOf(text).instruments[0]!.values).to.be.at.least(versions)
    }
    const sink = htmlReport('report.html')
    await sink.open(open())
    expect(await readdir(folder.outDir)).to.deep.equal(['report.html'])
    await sink.close()
  })

  it('tells of a failure on its timer and goes on', async () => {
    const faults: Fault[] = []
    const sink = htmlReport('report.html', { everyMs: 1_000 })
    await sink.open({ ...open(), onFault: (fault) => faults.push(fault) })
    await sink.write([trade({ receiveTimeUs: T })])
    await folder.vanish()
    clock.advance(1_000)
    await until(() => faults.length === 1)
    expect(faults[0]!.message).to.match(/^The sink htmlReport\(report.html\) cannot write .*\.$/)
    await folder.comeBack()
    await sink.close()
    expect(await page()).to.contain('BTC-USD')
  })

  it('refuses options that are none', () => {
    expect(() => htmlReport('report.html', { everyMs: -1 })).to.throw('everyMs = -1')
    for (const instrumentsMax of [0, 1.5, NaN]) {
      expect(() => markdownReport('report.md', { instrumentsMax })).to.throw(`instrumentsMax = ${instrumentsMax}`)
    }
  })

  /** A process that writes version after version, killed in the middle of the one after so many. */
  async function killedAfter(versions: number): Promise<void> {
    const script = path.join(__dirname, 'report/endlessReport.ts')
    const child = spawn(process.execPath, ['-r', 'ts-node/register/transpile-only', script, folder.outDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    for await (const line of createInterface({ input: child.stdout })) {
      if (Number(line) >= versions) break
    }
    child.kill('SIGKILL')
    await ended
  }
})

function latestOf(text: string): Row[] {
  return dataOf(text).latest.map(({ fields }) => fields as unknown as Row)
}

function latestInMarkdown(text: string): Row[] {
  const cells = text
    .split('\n')
    .find((line) => line.startsWith('| value | – |'))!
    .split(' | ')
  const [, n, words] = /n (\d+), text (.*) \|$/.exec(cells.slice(3).join(' | '))!
  return [{ n: Number(n), text: words! }]
}
