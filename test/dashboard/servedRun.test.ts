/**
 * A run that is served while it goes on: it is ready when its books are live, a real Prometheus reads it, and whoever asks
 * badly is not noticed by the pipeline.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import {
  feed,
  memory,
  pipeline,
  toBooks,
  type Fault,
  type RunHandle,
  type RunOptions,
  type ServeOptions,
} from '../../src/index'
import { VirtualClock } from '../../src/clock/virtualClock'
import { serveRun } from '../../src/dashboard/server'
import { expectBalanced } from '../../src/testing/ledger'
import { hostileFamilies } from '../kit/hostileFamilies'
import { eventually } from '../kit/eventually'
import { Prometheus, PROMTOOL_MISSING, promtoolCheck } from '../kit/prometheus'
import { ask, RawSocket, statusOf } from '../kit/rawSocket'
import { FakeRun } from './fakeRun'

const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT']

/** Its sink would rather lose values than wait, and its source says when it was held back: a pipeline that was held up says so. */
const WATCHED = pipeline('watched', ({ source, sink }) => {
  const wish = { exchanges: ['binance', 'okx'], instruments: INSTRUMENTS, channel: 'book' } as const
  const books = source('market', feed(wish), { capacity: 20_000, onFull: 'block' }).through('books', toBooks())
  sink(books, memory({ capacity: 10 }), { capacity: 20_000, onFull: 'dropOldest', name: 'views' })
})

describe('A served run', () => {
  let outDir: string
  let run: RunHandle
  let url: string
  let faults: Fault[]

  beforeEach(async () => {
    outDir = await mkdtemp(path.join(tmpdir(), 'millrace-served-'))
    faults = []
  })

  afterEach(async () => {
    await run.kill().catch(() => undefined)
    await rm(outDir, { recursive: true, force: true })
  })

  /** Resolves when it is served, which is before anything else. */
  async function start(options: RunOptions = {}, serve: Partial<ServeOptions> = {}): Promise<void> {
    let serving!: (url: string) => void
    const served = new Promise<string>((resolve) => (serving = resolve))
    const onFault = (fault: Fault): void => void faults.push(fault)
    run = WATCHED.start({
      simulate: true,
      out: outDir,
      onFault,
      serve: { port: 0, onServing: serving, ...serve },
      ...options,
    })
    url = await Promise.race([served, run.done.then(() => '')])
  }

  const statusAt = async (at: string): Promise<number> => (await fetch(url + at)).status
  const port = (): number => Number(new URL(url).port)

  it('is alive at once, ready when every book is live, and neither when it has ended', async () => {
    await start()
    expect(await statusAt('ping')).to.equal(200)
    expect(await statusAt('ready')).to.equal(503)
    await eventually(async () => {
      const ready = (await statusAt('ready')) === 200
      const states = [...run.status().rows.values()].map(({ state }) => state)
      if (ready) expect(states).to.deep.equal(['live', 'live', 'live', 'live'])
      expect(ready).to.equal(true)
    })
    await run.stop()
    await eventually(async () => {
      const refused = await fetch(`${url}ping`).catch(() => undefined)
      expect(refused).to.equal(undefined)
    })
  })

  it('is not ready as long as an exchange does not answer', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const nowhere = `127.0.0.1:${(silent.address() as AddressInfo).port}`
    try {
      const address = { ws: `ws://${nowhere}`, rest: `http://${nowhere}` }
      await start({
        simulate: false,
        live: true,
        addresses: new Map([
          ['binance', address],
          ['okx', address],
        ]),
      })
      const answer = await fetch(`${url}ready`)
      expect(answer.status).to.equal(503)
      const { reasons } = (await answer.json()) as { reasons: string[] }
      expect(reasons[0]).to.equal('Not every required feed is synced.')
    } finally {
      await run.kill()
      silent.close()
    }
  })

  it('says how it is', async () => {
    await start()
    await run.ready
    await eventually(async () => {
      const answer = await fetch(`${url}health`)
      expect(answer.status).to.equal(200)
      expect(await answer.json()).to.include({ format: 'millrace-health/1', pipeline: 'watched', level: 'healthy' })
    })
  })

  it('does not begin where the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    run = WATCHED.start({ simulate: true, out: outDir, serve: port })
    const failure = await run.done.catch((fault: unknown) => fault)
    other.close()
    expect(failure).to.include({ code: 'OPTION_INVALID' })
    expect((failure as Fault).message).to.match(/another program listens there\. End it, choose another port/)
  })

  it('notices nothing of who asks by the thousand, reads slowly, asks half, asks for what is not there, or is not allowed', async () => {
    await start({ messagesPerSecond: 1_000 })
    await run.ready
    const before = run.status().events
    const bad: RawSocket[] = []
    const host = `Host: 127.0.0.1:${port()}`
    const question = `GET /metrics HTTP/1.1\r\n${host}\r\n\r\n`
    const refusals: Promise<number>[] = []
    let answers = 0
    const askOften = async (): Promise<void> => {
      for (let number = 0; number < 150; number++) {
        const answer = await fetch(`${url}metrics`)
        await answer.arrayBuffer()
        if (answer.status === 200) answers++
      }
    }
    const flood = Promise.all([
      askOften(),
      askOften(),
      askOften(),
      askOften(),
      askOften(),
      askOften(),
      askOften(),
      askOften(),
    ])
    for (let number = 0; number < 20; number++) {
      const deaf = await RawSocket.deaf(port())
      deaf.send(question.repeat(10))
      const silent = await RawSocket.open(port())
      const half = await RawSocket.open(port())
      half.send('GET /metrics HT')
      bad.push(deaf, silent, half)
      for (const [text, status] of [
        [`GET / HTTP/1.1\r\n${host}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
        [`GET /../../etc/passwd HTTP/1.1\r\n${host}\r\n\r\n`, 404],
        [`GET /metrics HTTP/1.1\r\n${host}\r\nOrigin: http://evil.example\r\n\r\n`, 403],
        ['GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
        [`DELETE /metrics HTTP/1.1\r\n${host}\r\n\r\n`, 405],
      ] as const) {
        refusals.push(ask(port(), text).then((answer) => Number(statusOf(answer) === status)))
      }
    }
    await flood
    expect(answers).to.be.greaterThan(1_100) // a connection that is idle may be let go for another just as it asks
    const refused = (await Promise.all(refusals)).reduce((sum, one) => sum + one, 0)
    expect(refused).to.be.greaterThan(0)
    await eventually(() => expect(run.status().events).to.be.greaterThan(before + 1_000))
    expect(await statusAt('ready')).to.equal(200)
    for (const socket of bad) socket.close()
    const summary = await run.stop()
    expectBalanced(summary.edges)
    for (const { from, to, dropped } of summary.edges) expect(dropped, `${from} to ${to}`).to.deep.equal({})
    expect(summary.books).to.deep.equal({ live: 4, gaps: 0, resyncs: 0 })
    expect(summary.held.times).to.equal(0)
    expect(summary.problems).to.deep.equal([])
    expect(faults).to.deep.equal([])
  })

  describe('and Prometheus', () => {
    before(function () {
      if (PROMTOOL_MISSING === undefined) return
      this.currentTest!.title += ` (${PROMTOOL_MISSING})`
      this.skip()
    })

    it('has nothing said against its metrics by promtool', async () => {
      await start()
      await run.ready
      const text = await (await fetch(`${url}metrics`)).text()
      expect(text).to.match(/^millrace_feed_frames_total\{/m)
      expect(await promtoolCheck(text)).to.equal('')
    })

    for (const token of [undefined, 'a-token-of-more-than-16']) {
      it(`is scraped by a real one${token === undefined ? '' : ', with a token'}, which sees it grow`, async () => {
        await start({}, token === undefined ? {} : { token })
        const prometheus = await Prometheus.start(new URL(url).host, token)
        try {
          const first = await prometheus.until('sum(millrace_feed_frames_total)', (frames) => frames > 0)
          await prometheus.until('sum(millrace_feed_frames_total)', (frames) => frames > first)
          expect(await prometheus.value('up{job="millrace"}')).to.equal(1)
        } finally {
          await prometheus.stop()
        }
      })
    }

    it('reads names and labels that nobody should give', async () => {
      const fake = new FakeRun()
      fake.families = hostileFamilies(300)
      run = { kill: () => Promise.resolve() } as unknown as RunHandle
      const clock = new VirtualClock()
      const server = await serveRun({ run: fake, host: '127.0.0.1', port: 0, clock, onFault: () => undefined })
      const prometheus = await Prometheus.start(`127.0.0.1:${server.port}`)
      try {
        await eventually(async () => {
          clock.advance(100)
          const value = await prometheus.value('up{job="millrace"}')
          expect(value, await prometheus.lastError()).to.equal(1)
        })
      } finally {
        await prometheus.stop()
        await server.close()
      }
    })
  })
})
