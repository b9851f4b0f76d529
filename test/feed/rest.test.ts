import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { RestClient, type RestAnswer } from '../../src/feed/rest'
import { eventually } from '../kit/eventually'

describe('RestClient', () => {
  let server: Server | undefined
  let client: RestClient
  let clock: VirtualClock
  let requests: number

  async function ask(listener: RequestListener, path = '/'): Promise<RestAnswer> {
    return new Promise((resolve) => {
      void open(listener).then((url) => client.get(url + path, resolve))
    })
  }

  async function open(listener: RequestListener): Promise<string> {
    server = createServer((request, response) => {
      requests++
      listener(request, response)
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  beforeEach(() => {
    requests = 0
    server = undefined
    clock = new VirtualClock(1)
    client = new RestClient({ clock, env: {}, deadlineMs: 1_000, bodyBytesMax: 1_000, connectionsMax: 2 })
  })

  afterEach(async () => {
    client.close()
    server?.closeAllConnections()
    if (server !== undefined) await new Promise((resolve) => server!.close(resolve))
    expect(clock.pending).to.equal(0)
  })

  it('gives the text of the answer', async () => {
    expect(await ask((_request, response) => response.end('{"é":1}'))).to.deep.equal({
      outcome: 'answered',
      body: '{"é":1}',
    })
  })

  it('accepts gzip', async () => {
    const answer = await ask((request, response) => {
      expect(request.headers['accept-encoding']).to.equal('gzip')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}'))
    })
    expect(answer).to.deep.equal({ outcome: 'answered', body: '{"a":1}' })
  })

  for (const [what, listener] of [
    ['is larger than allowed', (_: unknown, response) => response.end('x'.repeat(1_001))],
    [
      'unpacks to more than allowed',
      (_: unknown, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000))),
    ],
    ['is not UTF-8', (_: unknown, response) => response.end(Buffer.from([0x7b, 0xff, 0xfe]))],
    [
      'is packed in another way',
      (_: unknown, response) => response.writeHead(200, { 'content-encoding': 'br' }).end('x'),
    ],
    [
      'claims to be gzip and is not',
      (_: unknown, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
    ],
    [
      'breaks off',
      (_: unknown, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('half')
        setImmediate(() => response.destroy())
      },
    ],
    ['is an error of the server', (_: unknown, response) => response.writeHead(503).end('busy')],
  ] as [string, RequestListener][]) {
    it(`fails, to be tried again, when the answer ${what}`, async () => {
      expect(await ask(listener)).to.include({ outcome: 'failed' })
    })
  }

  it('is refused for good, in the words of the exchange, by a client error', async () => {
    const answer = await ask((_request, response) => response.writeHead(400).end('{"msg":"Invalid symbol."}'))
    expect(answer).to.deep.equal({ outcome: 'refused', reason: 'status 400: {"msg":"Invalid symbol."}' })
  })

  it('does not follow redirects', async () => {
    const answer = await ask((_request, response) => response.writeHead(302, { location: '/elsewhere' }).end())
    expect(answer).to.include({ outcome: 'refused' })
    expect(requests).to.equal(1)
  })

  it('reads how long to wait from 429 and 418, and waits a minute where they do not say', async () => {
    const limited = await ask((_request, response) => response.writeHead(429, { 'retry-after': '7' }).end())
    expect(limited).to.include({ outcome: 'limited', waitMs: 7_000 })
    server!.closeAllConnections()
    await new Promise((resolve) => server!.close(resolve))
    expect(await ask((_request, response) => response.writeHead(418).end())).to.include({
      outcome: 'limited',
      waitMs: 60_000,
    })
  })

  it('fails at its deadline when the answer does not come, or does not end', async () => {
    const url = await open((_request, response) => {
      response.writeHead(200).write('half')
    })
    const answers: RestAnswer[] = []
    client.get(url, (answer) => answers.push(answer))
    await eventually(() => expect(requests).to.equal(1))
    clock.advance(1_000)
    expect(answers).to.deep.equal([{ outcome: 'failed', reason: 'no complete answer within 1000 ms' }])
  })

  it('fails when nobody listens', async () => {
    const answer = await new Promise<RestAnswer>((resolve) => void client.get('http://127.0.0.1:1/', resolve))
    expect(answer.outcome).to.equal('failed')
  })

  it('asks http and https addresses only', async () => {
    for (const url of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'no address']) {
      const answer = await new Promise<RestAnswer>((resolve) => void client.get(url, resolve))
      expect(answer, url).to.deep.equal({ outcome: 'refused', reason: 'only http and https addresses can be asked' })
    }
  })

  it('calls nobody back when it was cancelled', async () => {
    const url = await open((_request, response) => {
      response.writeHead(200).write('half')
    })
    const cancel = client.get(url, () => expect.fail('called back'))
    await eventually(() => expect(requests).to.equal(1))
    cancel()
    clock.advance(5_000)
    await new Promise((resolve) => setImmediate(resolve))
  })
})
