/**
 * The server of a run over real sockets, in virtual time: what it says, and what becomes of those who ask badly.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { WebSocket } from 'ws'
import { VirtualClock } from '../../src/clock/virtualClock'
import { LIMITS } from '../../src/dashboard/httpServer'
import type { Routes } from '../../src/dashboard/route'
import { serveRun, type RunServer, type ServeRunOptions } from '../../src/dashboard/server'
import type { Fault } from '../../src/model/fault'
import { eventually } from '../kit/eventually'
import { ask, RawSocket, statusOf } from '../kit/rawSocket'
import { FakeRun, gauge } from './fakeRun'

const TOKEN = 'a-token-of-more-than-16'
const LARGE = Buffer.alloc(64 * 1_048_576, 'x')

describe('serveRun', () => {
  let run: FakeRun
  let clock: VirtualClock
  let server: RunServer
  let faults: Fault[]
  const opened: { close(): void }[] = []

  beforeEach(() => {
    run = new FakeRun()
    clock = new VirtualClock(1e15)
    faults = []
  })

  afterEach(async () => {
    for (const each of opened.splice(0)) each.close()
    const closing = server.close()
    clock.advance(LIMITS.closeWithinMs)
    await closing
    expect(clock.pending).to.equal(0)
  })

  async function serve(options: Partial<ServeRunOptions> = {}): Promise<void> {
    const onFault = (fault: Fault): void => void faults.push(fault)
    server = await serveRun({ run, host: '127.0.0.1', port: 0, clock, onFault, ...options })
  }

  const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { headers, method, redirect: 'manual' })

  const head = (path: string, ...headers: string[]): string =>
    [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${server.port}`, ...headers, '', ''].join('\r\n')

  async function raw(text = ''): Promise<RawSocket> {
    const socket = await RawSocket.open(server.port)
    opened.push(socket)
    if (text !== '') socket.send(text)
    return socket
  }

  async function listener(
    path: string,
    options: { headers?: Record<string, string>; origin?: string } = {},
  ): Promise<WebSocket> {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, options)
    socket.on('error', () => undefined)
    opened.push({ close: () => socket.terminate() })
    await once(socket, 'open')
    return socket
  }

  describe('answers', () => {
    beforeEach(() => serve())

    it('/ping, to GET and to HEAD', async () => {
      const answer = await get('/ping')
      expect([answer.status, await answer.text()]).to.deep.equal([200, 'pong\n'])
      const short = await get('/ping', {}, 'HEAD')
      expect([short.status, short.headers.get('content-length'), await short.text()]).to.deep.equal([200, '5', ''])
    })

    it('/ready only from when every required feed is synced until it stops, and says why', async () => {
      const ready = async (): Promise<unknown> => {
        clock.advance(1_000)
        const answer = await get('/ready')
        return { status: answer.status, ...((await answer.json()) as object) }
      }
      const rest = { format: 'millrace-ready/1', pipeline: 'fake' }
      run.phase = 'starting'
      run.connections = [
        { exchange: 'okx', state: 'connecting' },
        { exchange: 'kraken', state: 'open' },
      ] as unknown as FakeRun['connections']
      const unsynced = ['Not every required feed is synced.', 'A connection with okx is connecting.']
      expect(await ready()).to.deep.equal({ status: 503, ...rest, ready: false, reasons: unsynced })
      run.phase = 'running'
      expect(await ready()).to.include({ status: 503 })
      run.settle.resolve()
      await run.ready
      expect(await ready()).to.deep.equal({ status: 200, ...rest, ready: true, reasons: [] })
      run.phase = 'stopping'
      expect(await ready()).to.deep.equal({ status: 503, ...rest, ready: false, reasons: ['The run is stopping.'] })
      run.phase = 'ended'
      expect(await ready()).to.deep.equal({ status: 503, ...rest, ready: false, reasons: ['The run has ended.'] })
    })

    it('/ready with why it cannot become so any more', async () => {
      run.settle.reject(new Error('kraken refused the subscription.'))
      const answer = await get('/ready')
      expect(answer.status).to.equal(503)
      expect(await answer.json()).to.deep.include({ reasons: ['kraken refused the subscription.'] })
    })

    for (const [level, status] of [
      ['healthy', 200],
      ['degraded', 200],
      ['unhealthy', 503],
    ] as const) {
      it(`/health with ${status} when it is ${level}`, async () => {
        run.state = {
          timeUs: 5,
          level,
          reasons: ['A sentence.'],
          checks: [{ name: 'lag', level, value: 7, reason: undefined }],
          reactions: [],
        }
        const answer = await get('/health')
        expect(answer.status).to.equal(status)
        expect(await answer.json()).to.deep.equal({
          format: 'millrace-health/1',
          pipeline: 'fake',
          timeUs: 5,
          level,
          reasons: ['A sentence.'],
          checks: [{ name: 'lag', level, value: 7 }],
          reactions: [],
        })
      })
    }

    it('/metrics as text, or as OpenMetrics to who would rather have it', async () => {
      run.families = [gauge('stream.rate', 1)]
      const text = await get('/metrics')
      expect(text.headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8')
      expect(await text.text()).to.match(/^millrace_stream_rate\{symbol="S0"\} 1$/m)
      const open = await get('/metrics', { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' })
      expect(open.headers.get('content-type')).to.equal('application/openmetrics-text; version=1.0.0; charset=utf-8')
      expect(await open.text()).to.match(/# EOF\n$/)
    })

    it('other paths with the ones there are, and repeats nothing of them', async () => {
      for (const path of ['/', '/nothing', '/metrics/', '//metrics', '/ping%00', '/__proto__', '/constructor']) {
        const answer = await get(path)
        expect(answer.status, path).to.equal(404)
        expect(await answer.text()).to.equal(
          'Nothing is served under this path. There are /health, /metrics, /ping, /ready.\n',
        )
      }
    })

    it('with headers that let a page load nothing from elsewhere, and be shown nowhere else', async () => {
      const { headers } = await get('/ping')
      expect(headers.get('content-security-policy')).to.match(
        /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/,
      )
      expect(headers.get('x-content-type-options')).to.equal('nosniff')
      expect(headers.get('referrer-policy')).to.equal('no-referrer')
      expect(headers.get('access-control-allow-origin')).to.equal(null)
    })

    it('500 where the run cannot be read, tells of it once, and goes on', async () => {
      run.metrics = () => {
        throw new Error('broken')
      }
      for (let turn = 0; turn < 3; turn++) {
        clock.advance(1_000)
        expect((await get('/metrics')).status).to.equal(500)
      }
      expect((await get('/ping')).status).to.equal(200)
      expect(faults.map(({ code, message }) => [code, message])).to.deep.equal([
        ['SERVE_FAILED', 'Serving the run failed at /metrics: broken. The run goes on; it is said once.'],
      ])
    })
  })

  describe('makes an answer for everyone who asks meanwhile', () => {
    it('so that thousands of questions read the metrics once', async () => {
      run.families = [gauge('stream.rate', 100)]
      await serve({ limits: { burst: 1e6 } })
      const texts = new Set<string>()
      for (let round = 0; round < 50; round++) {
        const answers = await Promise.all(Array.from({ length: 20 }, async () => (await get('/metrics')).text()))
        for (const answer of answers) texts.add(answer)
      }
      expect(run.reads).to.equal(1)
      expect(texts.size).to.equal(1)
      clock.advance(250)
      await get('/metrics')
      expect(run.reads).to.equal(2)
    })

    it('in slices when it is long, in between which others are answered', async () => {
      run.families = [gauge('stream.rate', 10_000)]
      await serve()
      const asked = get('/metrics').then((answer) => answer.text())
      await eventually(() => expect(run.reads).to.equal(1))
      let turns = 0
      let text: string | undefined
      void asked.then((answer) => (text = answer))
      for (; text === undefined; turns++) {
        expect((await get('/ping')).status).to.equal(200)
        clock.fireNext()
      }
      expect(turns).to.be.greaterThan(19)
      expect(text.split('\n').filter((line) => line.startsWith('millrace_')).length).to.equal(10_000)
      expect(run.reads).to.equal(1)
    })

    it('so many a second, and lets the others wait their turn', async () => {
      await serve({ limits: { requestsPerSecond: 100, burst: 10 } })
      let answered = 0
      const asking = Array.from({ length: 30 }, async () => {
        await get('/ping')
        answered++
      })
      await eventually(() => expect(answered).to.equal(10))
      clock.advance(100)
      await eventually(() => expect(answered).to.equal(20))
      clock.advance(100)
      await Promise.all(asking)
    })
  })

  describe('refuses', () => {
    beforeEach(() => serve())

    for (const [what, text, status] of [
      ['headers that are too large', `GET /ping HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`, 431],
      ['headers that are too many', `GET /ping HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
      ['an address that is too long', `GET /${'a'.repeat(4_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414],
      ['an address that never ends', `GET /${'a'.repeat(20_000)}`, 431],
      ['the way out of a folder', 'GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n', 404],
      ['the way out, written otherwise', 'GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n', 404],
      ['another server', 'GET http://evil.example/ping HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
      ['a tunnel', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n', 405],
      ['a name that is not ours', 'GET /ping HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
      ['no name', 'GET /ping HTTP/1.1\r\n\r\n', 400],
      ['two names', 'GET /ping HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n', 400],
      ['a page of another origin', 'GET /ping HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n', 403],
      ['to change anything', 'POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n', 405],
      ['a body', 'GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello', 413],
      [
        'a body that is promised',
        'GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
        413,
      ],
      [
        'a body in pieces',
        'GET /ping HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
        413,
      ],
      ['two lengths', 'GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n', 400],
      [
        'a length and pieces',
        'GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n',
        400,
      ],
      ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
      ['what is no question', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
      [
        'a WebSocket where there is none',
        'GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
        404,
      ],
    ] as const) {
      it(what, async () => {
        const answer = await ask(server.port, text)
        expect(statusOf(answer)).to.equal(status)
        expect(answer).to.not.include('evil')
        expect(answer).to.not.include('root:')
        expect((await get('/ping')).status).to.equal(200)
      })
    }
  })

  describe('cuts off', () => {
    beforeEach(() => serve({ limits: { connections: 8, burst: 1e6 } }))

    it('who connects and asks nothing', async () => {
      const silent = await raw()
      await get('/ping')
      clock.advance(LIMITS.askWithinMs - 500)
      expect((await get('/ping')).status).to.equal(200)
      expect(silent.closed).to.equal(false)
      clock.advance(750)
      await eventually(() => expect(silent.closed).to.equal(true))
    })

    it('who asks a letter at a time', async () => {
      const slow = await raw('GET /pi')
      for (let ms = 0; ms <= LIMITS.askWithinMs; ms += 500) {
        slow.send('x')
        await get('/ping')
        clock.advance(500)
      }
      await eventually(() => expect(slow.closed).to.equal(true))
      expect(slow.said).to.equal('')
    })

    it('who was answered and asks no more', async () => {
      const idle = await raw(head('/ping'))
      await eventually(() => expect(idle.said).to.match(/pong\n$/))
      clock.advance(LIMITS.askWithinMs + 1_000)
      idle.send(head('/ping'))
      await eventually(() => expect(idle.said.match(/pong\n/g)).to.have.length(2))
      clock.advance(LIMITS.idleMs + 250)
      await eventually(() => expect(idle.closed).to.equal(true))
    })

    it('who does not read the answer, which hinders nobody', async () => {
      await server.close()
      // More than the machine's own buffers hold.
      let asked = 0
      const large = (response: ServerResponse): void => {
        asked++
        response.end(LARGE)
      }
      const http = [{ path: '/large', get: (_: unknown, response: ServerResponse) => large(response) }]
      await serve({ routes: { http } })
      const deaf = await RawSocket.deaf(server.port)
      opened.push(deaf)
      deaf.send(head('/large'))
      await eventually(() => expect(asked).to.equal(1))
      for (let round = 0; round < 5; round++) {
        clock.advance(LIMITS.answerWithinMs / 5 - 100)
        expect((await get('/ping')).status).to.equal(200)
      }
      clock.advance(1_000)
      deaf.socket.resume()
      await eventually(() => expect(deaf.closed).to.equal(true))
      expect(deaf.said.length).to.be.within(1, LARGE.length - 1)
    })

    it('who asks more at once than is answered one after the other', async () => {
      run.families = [gauge('stream.rate', 100_000)]
      const greedy = await raw(head('/metrics').repeat(100))
      await eventually(() => expect(greedy.closed).to.equal(true))
    })

    it('who has asked nothing for longest, when another needs the place', async () => {
      const silent: RawSocket[] = []
      for (let number = 0; number < 8; number++) silent.push(await raw())
      const asking = await raw(head('/ping'))
      await eventually(() => expect(asking.said).to.match(/pong\n$/))
      await eventually(() =>
        expect(silent.map(({ closed }) => closed)).to.deep.equal([true, ...Array<boolean>(7).fill(false)]),
      )
    })

    it('who comes when everyone is being answered, at once and with a word', async () => {
      const held: ServerResponse[] = []
      await server.close()
      const http = [{ path: '/held', get: (_: unknown, response: ServerResponse) => void held.push(response) }]
      await serve({ limits: { connections: 8 }, routes: { http } })
      for (let number = 0; number < 8; number++) await raw(head('/held'))
      await eventually(() => expect(held).to.have.length(8))
      expect(statusOf(await ask(server.port, ''))).to.equal(503)
      for (const response of held) response.end()
      expect((await get('/ping')).status).to.equal(200)
    })
  })

  describe('with a token', () => {
    const page: Routes = { http: [{ path: '/', get: (_, response) => void response.end('page') }] }

    beforeEach(() => serve({ token: TOKEN, routes: page }))

    it('answers who has it, and nobody else anything', async () => {
      for (const path of ['/', '/ping', '/ready', '/health', '/metrics', '/nothing']) {
        for (const headers of [{}, { authorization: 'Bearer wrong' }, { cookie: `millrace_${server.port}=x` }]) {
          const answer = await get(path, headers)
          expect(answer.status, path).to.equal(401)
          expect(answer.headers.get('www-authenticate')).to.equal('Bearer')
        }
      }
      expect((await get('/metrics', { authorization: `Bearer ${TOKEN}` })).status).to.equal(200)
      expect((await get(`/metrics?token=${TOKEN}`)).status).to.equal(200)
    })

    it('takes it out of the address of a page, and leaves a cookie that is another', async () => {
      expect(server.url).to.equal(`http://127.0.0.1:${server.port}/?token=${TOKEN}`)
      const answer = await get(`/?token=${TOKEN}`, { accept: 'text/html,*/*' })
      expect([answer.status, answer.headers.get('location')]).to.deep.equal([303, '/'])
      const cookie = answer.headers.get('set-cookie')!
      expect(cookie).to.match(/; HttpOnly; SameSite=Lax$/)
      expect(cookie).to.not.include(TOKEN)
      const shown = await get('/', { cookie: cookie.split(';')[0]! })
      expect(await shown.text()).to.equal('page')
    })
  })

  describe('asks for a token where others can reach it', () => {
    it('and makes one that stands in the address alone', async () => {
      await serve({ host: '0.0.0.0' })
      const token = new URL(server.url).searchParams.get('token')!
      expect(token).to.match(/^[\w-]{43}$/)
      expect(new URL(server.url).hostname).to.equal('127.0.0.1')
      expect((await get('/ping')).status).to.equal(401)
      expect((await fetch(server.url.replace('/?', '/ping?'))).status).to.equal(200)
      await server.close()
      await serve({ host: '0.0.0.0' })
      expect(server.url).to.not.include(token)
    })

    it('one that nobody guesses: others are refused and not repeated', async () => {
      await serve()
      for (const token of ['', 'short', 'a b c d e f g h i j k', 'ü'.repeat(20), 'x'.repeat(257)]) {
        const refused = await serveRun({ run, host: '0.0.0.0', port: 0, token, clock, onFault: () => undefined }).catch(
          (fault: unknown) => fault,
        )
        expect(refused).to.include({ code: 'OPTION_INVALID' })
        if (token !== '') expect((refused as Fault).message).to.not.include(token)
      }
    })
  })

  describe('mounts a WebSocket', () => {
    let connected: WebSocket[]

    async function mount(options: Partial<ServeRunOptions> = {}): Promise<void> {
      connected = []
      const socket = { path: '/live', connected: (each: WebSocket) => void connected.push(each) }
      await serve({ routes: { http: [], socket }, limits: { sockets: 2 }, ...options })
    }

    it('and hands over who connects, both ways', async () => {
      await mount()
      const client = await listener('/live')
      connected[0]!.send('hello')
      expect(String((await once(client, 'message'))[0])).to.equal('hello')
      expect((await get('/live')).status).to.equal(426)
    })

    const upgrade = (path: string, ...headers: string[]): Promise<string> =>
      ask(
        server.port,
        head(
          path,
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
          ...headers,
        ),
      )

    it('for pages of its own, and for nobody without the token', async () => {
      await mount({ token: TOKEN })
      const bearer = `Authorization: Bearer ${TOKEN}`
      expect(statusOf(await upgrade('/live'))).to.equal(401)
      expect(statusOf(await upgrade('/live', 'Authorization: Bearer wrong'))).to.equal(401)
      expect(statusOf(await upgrade('/live', bearer, 'Origin: http://evil.example'))).to.equal(403)
      expect(statusOf(await upgrade('/live', bearer, 'Origin: null'))).to.equal(403)
      expect(statusOf(await upgrade('/live', bearer, 'Host: evil.example'))).to.equal(400)
      expect(statusOf(await upgrade('/other', bearer))).to.equal(404)
      expect(connected).to.have.length(0)
      await listener('/live', {
        headers: { authorization: `Bearer ${TOKEN}` },
        origin: `http://127.0.0.1:${server.port}`,
      })
      expect(connected).to.have.length(1)
    })

    it('for so many at once', async () => {
      await mount()
      await listener('/live')
      const second = await listener('/live')
      expect(statusOf(await upgrade('/live'))).to.equal(503)
      second.terminate()
      await eventually(() => listener('/live'))
    })

    it('and cuts off who does not answer a ping, and nobody who does', async () => {
      await mount()
      const lively = await listener('/live')
      let pings = 0
      lively.on('ping', () => pings++)
      const key =
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
      const dead = await raw(head('/live', key))
      await eventually(() => expect(statusOf(dead.said)).to.equal(101))
      clock.advance(15_250)
      await eventually(() => expect(pings).to.equal(1))
      await eventually(async () => {
        await get('/ping') // the pong has come by then
        clock.advance(5_000)
        expect(dead.closed).to.equal(true)
      })
      expect(lively.readyState).to.equal(WebSocket.OPEN)
    })

    it('and cuts off who talks too much, or in too large words', async () => {
      await mount()
      const loud = await listener('/live')
      for (let number = 0; number < 200; number++) loud.send('x')
      let heard = 0
      connected[0]!.on('message', () => heard++)
      await eventually(() => expect(heard).to.equal(200))
      clock.advance(250)
      await once(loud, 'close')
      const large = await listener('/live')
      large.send('x'.repeat(20_000))
      const [code] = (await once(large, 'close')) as [number]
      expect(code).to.equal(1009)
    })

    it('and cuts off who lets too much wait, should a route not look', async () => {
      await mount()
      const deaf = await listener('/live')
      deaf.pause()
      while (connected[0]!.bufferedAmount <= 8_388_608) connected[0]!.send(Buffer.alloc(1_048_576))
      clock.advance(250)
      await eventually(() => expect(connected[0]!.readyState).to.equal(WebSocket.CLOSED))
    })

    it('and says goodbye at the end', async () => {
      await mount()
      const client = await listener('/live')
      const gone = once(client, 'close') as Promise<[number, Buffer]>
      await server.close()
      const [code, reason] = await gone
      expect([code, reason.toString()]).to.deep.equal([1001, 'The run has ended.'])
    })

    it('and does without one whose route throws', async () => {
      await serve({
        routes: {
          http: [
            {
              path: '/broken',
              get: () => {
                throw new Error('no')
              },
            },
          ],
          socket: {
            path: '/live',
            connected: () => {
              throw new Error('neither')
            },
          },
        },
      })
      expect((await get('/broken')).status).to.equal(500)
      const client = await listener('/live')
      expect((await once(client, 'close'))[0]).to.equal(1011)
      expect(faults.map(({ details }) => details['where'])).to.deep.equal(['/broken', '/live'])
    })
  })

  it('says what to do about a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    await serve()
    const refused = await serveRun({ run, host: '127.0.0.1', port, clock, onFault: () => undefined }).catch(
      (fault: unknown) => fault,
    )
    other.close()
    expect(refused).to.include({
      code: 'OPTION_INVALID',
      message: `The run cannot be served on 127.0.0.1:${port}: another program listens there. End it, choose another port, or let 0 take a free one.`,
    })
  })

  it('ends with what is under way answered, and everyone else let go', async () => {
    run.families = [gauge('stream.rate', 2_000)]
    await serve()
    const { port } = server
    const silent = await raw()
    const asking = await raw(head('/metrics'))
    await eventually(() => expect(run.reads).to.equal(1))
    const closing = server.close()
    for (let turn = 0; turn < 10; turn++) clock.advance(1)
    await closing
    await eventually(() => expect([silent.closed, asking.closed]).to.deep.equal([true, true]))
    expect(asking.said.split('\n').filter((line) => line.startsWith('millrace_')).length).to.equal(2_000)
    const again = createServer().listen(port, '127.0.0.1')
    await once(again, 'listening')
    again.close()
  })
})
