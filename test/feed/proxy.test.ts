import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { request } from 'node:http'
import { expect } from 'chai'
import { proxyFor, tunnelTo, type Environment, type Proxy } from '../../src/feed/proxy'
import { Fault } from '../../src/model/fault'

const hostOf = (url: string, env: Environment): string | undefined => proxyFor(url, env)?.host

describe('proxyFor', () => {
  it('follows the variable of the scheme, and ALL_PROXY where that is not set', () => {
    const env = { HTTPS_PROXY: 'http://secure:1', HTTP_PROXY: 'http://plain:2', ALL_PROXY: 'http://all:3' }
    expect(hostOf('wss://x.io/ws', env)).to.equal('secure')
    expect(hostOf('https://x.io/', env)).to.equal('secure')
    expect(hostOf('ws://x.io/', env)).to.equal('plain')
    expect(hostOf('http://x.io/', env)).to.equal('plain')
    expect(hostOf('wss://x.io/', { ALL_PROXY: 'all:3' })).to.equal('all')
    expect(hostOf('wss://x.io/', { HTTP_PROXY: 'http://plain:2' })).to.equal(undefined)
    expect(hostOf('wss://x.io/', {})).to.equal(undefined)
  })

  it('prefers lower case, and takes an empty variable as none', () => {
    expect(hostOf('wss://x.io/', { HTTPS_PROXY: 'http://upper:1', https_proxy: 'http://lower:1' })).to.equal('lower')
    expect(hostOf('wss://x.io/', { HTTPS_PROXY: 'http://upper:1', https_proxy: ' ' })).to.equal('upper')
  })

  it('never proxies the loopback', () => {
    const env = { ALL_PROXY: 'http://all:3' }
    for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.8.9.10', '[::1]', 'LOCALHOST']) {
      expect(hostOf(`ws://${host}:80/`, env), host).to.equal(undefined)
    }
    expect(hostOf('ws://127.0.0.1.nip.io/', env)).to.equal('all')
  })

  it('honours NO_PROXY: hosts, domains with what is under them, ports, and the star', () => {
    const under = (no: string, url: string): boolean =>
      proxyFor(url, { ALL_PROXY: 'http://p:1', NO_PROXY: no }) === undefined
    expect(under('binance.com', 'wss://stream.binance.com:9443/')).to.equal(true)
    expect(under('.binance.com', 'wss://stream.binance.com:9443/')).to.equal(true)
    expect(under('*.binance.com', 'wss://stream.binance.com/')).to.equal(true)
    expect(under('binance.com', 'wss://notbinance.com/')).to.equal(false)
    expect(under('binance.com:443', 'wss://binance.com/')).to.equal(true)
    expect(under('binance.com:9443', 'wss://binance.com/')).to.equal(false)
    expect(under('a.io, 10.0.0.1', 'ws://10.0.0.1:5/')).to.equal(true)
    expect(under('[fe80::1]', 'ws://[fe80::1]:5/')).to.equal(true)
    expect(under('*', 'wss://any.where/')).to.equal(true)
    expect(under('', 'wss://any.where/')).to.equal(false)
  })

  it('reads host, default port, user and password', () => {
    expect(proxyFor('wss://x.io', { HTTPS_PROXY: 'http://us%40er:p%3Aw@proxy.lan' })).to.deep.equal({
      secure: false,
      host: 'proxy.lan',
      port: 80,
      authorization: `Basic ${Buffer.from('us@er:p:w').toString('base64')}`,
    } satisfies Proxy)
    expect(proxyFor('wss://x.io', { HTTPS_PROXY: 'https://proxy.lan' })).to.include({ secure: true, port: 443 })
  })

  it('says which variable is no HTTP proxy, without repeating what may be a password', () => {
    for (const value of ['socks5://me:secret@p:1', 'http://', 'http://me:secret@:1']) {
      try {
        proxyFor('wss://x.io', { ALL_PROXY: value })
        expect.fail(value)
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
        expect((thrown as Fault).message)
          .to.include('ALL_PROXY')
          .and.not.include('secret')
      }
    }
  })
})

describe('tunnelTo', () => {
  let target: Server
  let proxy: Server
  let asked: { url: string; authorization: string | undefined }[]
  let verdict: number
  const sockets = new Set<Socket>()

  beforeEach(async () => {
    asked = []
    verdict = 200
    target = createServer((_request, response) => void response.end('through'))
    proxy = createServer()
    proxy.on('connect', (message, client: Socket) => {
      asked.push({ url: message.url ?? '', authorization: message.headers['proxy-authorization'] })
      if (verdict !== 200) {
        client.end(`HTTP/1.1 ${verdict} No\r\n\r\n`)
        return
      }
      const [host, port] = (message.url ?? '').split(':')
      const upstream = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.pipe(client).pipe(upstream)
      })
      sockets.add(upstream).add(client)
    })
    await Promise.all(
      [target, proxy].map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))),
    )
  })

  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    for (const server of [target, proxy]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  const portOf = (server: Server): number => (server.address() as AddressInfo).port

  function get(port: number): Promise<string> {
    const url = `http://127.0.0.1:${portOf(target)}/`
    const way: Proxy = { secure: false, host: '127.0.0.1', port, authorization: 'Basic abc' }
    return new Promise((resolve, reject) => {
      request(url, { createConnection: tunnelTo(url, way, 60_000) }, (response) => {
        response.setEncoding('utf8').on('data', resolve)
      })
        .on('error', reject)
        .end()
    })
  }

  it('carries a connection through CONNECT, with the credentials of the proxy', async () => {
    expect(await get(portOf(proxy))).to.equal('through')
    expect(asked).to.deep.equal([{ url: `127.0.0.1:${portOf(target)}`, authorization: 'Basic abc' }])
  })

  it('says what the proxy answered when it refuses', async () => {
    verdict = 407
    const error = await get(portOf(proxy)).catch((thrown: unknown) => thrown as Error)
    expect(error).to.be.instanceOf(Error)
    expect((error as Error).message).to.match(/proxy 127\.0\.0\.1:\d+ answered 407/)
  })

  it('says that the proxy cannot be reached', async () => {
    const error = await get(1).catch((thrown: unknown) => thrown as Error)
    expect((error as Error).message).to.include('the proxy 127.0.0.1:1 cannot be reached')
  })
})
