/**
 * `millrace run --serve`: where it says that it serves, for whom, and that the server ends with the run.
 */
import { expect } from 'chai'
import { readFile, writeFile } from 'node:fs/promises'
import { eventually } from '../kit/eventually'
import { millrace, millraceUntil, needsBuild, temporaryFolder, type Running } from './millrace'

const PIPELINE = `
const { pipeline, feed, memory, toBooks } = require('millrace')
exports.default = pipeline('served', ({ source, sink }) => {
  const market = source('market', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'book' }), { capacity: 1_000, onFull: 'block' })
  sink(market.through('books', toBooks()), memory({ capacity: 1 }), { capacity: 1_000, onFull: 'dropOldest', name: 'views' })
})`

describe('millrace run --serve', function () {
  const file = temporaryFolder()
  let pipeline: string

  before(function () {
    needsBuild(this)
  })

  beforeEach(async () => {
    pipeline = file('served.cjs')
    await writeFile(pipeline, PIPELINE)
  })

  const args = (...more: string[]): string[] => ['run', pipeline, '--out', file('out'), ...more]
  const urlIn = (running: Running): string => {
    const [, url] = /Serving the run on (\S+)/.exec(running.err()) ?? []
    expect(url, running.err()).to.be.a('string')
    return url!
  }

  it('says the address on standard error, answers there while it runs, and no more when it has ended', async () => {
    let url = ''
    const ran = await millraceUntil(args('--serve', '0', '--json'), async (running) => {
      url = urlIn(running)
      expect((await fetch(`${url}ready`)).status).to.equal(200)
      expect(await (await fetch(`${url}metrics`)).text()).to.match(/^millrace_run_events_total \d+$/m)
    })
    expect(new URL(url).hostname).to.equal('127.0.0.1')
    expect(ran.status).to.equal(0)
    expect(JSON.parse(ran.out)).to.include({ format: 'millrace-run/1' })
    const refused = await fetch(`${url}ping`).catch(() => undefined)
    expect(refused).to.equal(undefined)
  })

  it('asks for a token where others can reach it, and leaves it in no recording and no summary', async () => {
    const recording = file('run.ndjson')
    let token = ''
    const ran = await millraceUntil(args('--serve', '0.0.0.0:0', '--json', '--record', recording), async (running) => {
      const url = new URL(urlIn(running))
      token = url.searchParams.get('token')!
      const metrics = `${url.origin}/metrics`
      expect((await fetch(metrics)).status).to.equal(401)
      expect((await fetch(metrics, { headers: { authorization: `Bearer ${token}` } })).status).to.equal(200)
    })
    expect(ran.out).to.not.include(token)
    expect(await readFile(recording, 'utf8')).to.not.include(token)
    expect(ran.err.split(token)).to.have.length(2)
  })

  for (const [what, more, sentence] of [
    ['an address that is none', ['--serve', 'nonsense:port'], /--serve "nonsense:port" is not an address: give a port/],
    ['a port beyond all', ['--serve', '70000'], /--serve "70000" is not an address/],
    ['a token without a server', ['--token', 'a-token-of-more-than-16'], /--token and --serve-as go with --serve/],
    ['a token that is guessed', ['--serve', '0', '--token', 'secret'], /The token of --serve is not usable/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const ran = await millrace(args(...more))
      expect(ran.status).to.equal(2)
      expect(ran.err).to.match(sentence)
      expect(ran.err).to.not.match(/secret|a-token-of/)
    })
  }

  it('says what to do about a port that is taken', async () => {
    await millraceUntil(args('--serve', '0'), async (running) => {
      const { port } = new URL(urlIn(running))
      const second = await eventually(() => millrace(args('--serve', port)))
      expect(second.status).to.equal(2)
      expect(second.err).to.match(
        /another program listens there\. End it, choose another port, or let 0 take a free one/,
      )
    })
  })
})
