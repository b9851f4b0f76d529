/** Over real sockets: `ws` alone is the oracle of `ws` with a cutter before it. */
import { expect } from 'chai'
import fc from 'fast-check'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import WebSocket, { WebSocketServer } from 'ws'
import { receiveInBulk } from '../../src/feed/bulkReceiver'
import { eventually } from '../kit/eventually'
import { startFakeExchange } from './fakeExchange'
import { startRawServer, type RawClient, type RawServer } from './rawServer'
import { BINARY, closeFrame, PAYLOAD_BYTES_MAX, PING, streams, textFrame, wireFrame } from './wireFrames'

describe('A connection that is received in bulk', () => {
  let server: RawServer | undefined

  afterEach(() => server?.stop())

  it('hears, answers and ends as one that ws receives alone, whatever comes, also when it pauses now and then', async function () {
    this.timeout(120_000)
    let pieces: readonly Buffer[] = []
    const clients = new Map<string, RawClient>()
    server = await startRawServer((client, path) => {
      clients.set(path, client)
      void client.write(pieces).then(() => client.socket.end())
    })
    const { url } = server
    let cut = 0
    await fc.assert(
      fc.asyncProperty(streams, fc.nat(6), async (chunks, pauseEvery) => {
        pieces = chunks
        const outcomes = await Promise.all(
          ['/alone', '/bulk', '/pausing'].map(async (path) => {
            const heard = await hearAll(
              new Listener(`${url}${path}`, path !== '/alone', path === '/pausing' ? pauseEvery : 0),
            )
            const client = clients.get(path)!
            await eventually(() => expect(client.socket.readableEnded || client.socket.destroyed).to.equal(true))
            cut += heard.cut
            return { heard: heard.words, sent: client.frames() }
          }),
        )
        expect(outcomes[1]).to.deep.equal(outcomes[0])
        expect(outcomes[2]!.heard).to.deep.equal(outcomes[0]!.heard)
      }),
      { numRuns: 250 },
    )
    expect(cut).to.be.greaterThan(400)
  })

  it('hears what came in one packet with the answer to the handshake', async () => {
    server = await startRawServer(
      ({ socket }) => socket.end(closeFrame(1_000, 'bye')),
      () => Buffer.concat([textFrame('one'), textFrame('two'), textFrame('three').subarray(0, 3)]),
    )
    // The third never comes whole: the close frame is taken for the rest of it.
    const { words } = await hearAll(new Listener(server.url, true))
    expect(words.slice(0, 2)).to.deep.equal([`text ${hex('one')}`, `text ${hex('two')}`])
  })

  it('gives nothing more from the frame on at which it is paused, and all of it in order when it is resumed', async () => {
    const count = 2_000
    let client: RawClient | undefined
    server = await startRawServer((each) => {
      client = each
      each.socket.write(Buffer.concat(Array.from({ length: count }, (_, index) => textFrame(String(index)))))
    })
    const listener = new Listener(server.url, true, 700, 'stay')
    for (const paused of [700, 1_400]) {
      await eventually(() => expect(listener.words).to.have.length(paused))
      await turns()
      expect(listener.words).to.have.length(paused)
      listener.websocket.resume()
    }
    await eventually(() => expect(listener.words).to.have.length(count))
    expect(listener.words).to.deep.equal(Array.from({ length: count }, (_, index) => `text ${hex(String(index))}`))
    client!.socket.destroy()
    await listener.ended
  })

  it('gives what was read when the line breaks while it is paused', async () => {
    let client: RawClient | undefined
    server = await startRawServer((each) => {
      client = each
      each.socket.write(Buffer.concat([textFrame('a'), textFrame('b'), textFrame('c').subarray(0, 2)]))
    })
    const listener = new Listener(server.url, true, 1, 'stay')
    await eventually(() => expect(listener.words).to.have.length(1))
    client!.socket.write(textFrame('c').subarray(2))
    await eventually(() => expect(listener.line!.readableLength).to.equal(6))
    listener.websocket.terminate()
    await listener.ended
    expect(listener.words).to.deep.equal([...['a', 'b', 'c'].map((text) => `text ${hex(text)}`), 'closed 1006 '])
  })

  it('takes what was read then for nothing that it is not', async () => {
    let client: RawClient | undefined
    // The inside of a frame that is not whole would be a ping to whoever does not know where it began.
    const ping = wireFrame({ opcode: PING, payload: Buffer.from('?') })
    const last = wireFrame({ opcode: BINARY, payload: Buffer.concat([ping, Buffer.alloc(1_000)]), length: 64 })
    server = await startRawServer((each) => {
      client = each
      each.socket.write(Buffer.concat([textFrame('a'), last.subarray(0, 10)]))
    })
    const listener = new Listener(server.url, true)
    await eventually(() => expect(listener.words).to.have.length(1))
    listener.websocket.pause()
    client!.socket.write(last.subarray(10, 100))
    await eventually(() => expect(listener.line!.readableLength).to.equal(90))
    listener.websocket.terminate()
    await listener.ended
    expect(listener.words).to.deep.equal([`text ${hex('a')}`, 'closed 1006 '])
  })

  it('works the same through TLS', async () => {
    const exchange = await startFakeExchange({}, true)
    try {
      const listener = new Listener(exchange.address.ws, true)
      await eventually(() => expect(exchange.clients).to.have.length(1))
      for (const text of ['one', 'two'.repeat(50_000), 'three']) exchange.client.say(text)
      await eventually(() => expect(listener.cut).to.equal(3))
      exchange.client.socket.close(1_001, 'bye')
      await listener.ended
      expect(listener.words.at(-1)).to.equal(`closed 1001 bye`)
      expect(exchange.client.closedWith).to.equal(1_001)
    } finally {
      await exchange.stop()
    }
  })

  describe('stays with ws', () => {
    it('where compression was negotiated', async () => {
      const http = createServer()
      const sockets = new WebSocketServer({ server: http, perMessageDeflate: { threshold: 0 } })
      sockets.on('connection', (websocket) => {
        websocket.send('{"compressed":true}')
        websocket.close(1_000)
      })
      await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
      const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`
      const listener = new Listener(url, true, 0, 'resume', { perMessageDeflate: true })
      await listener.ended
      expect([listener.isBulk, listener.cut]).to.deep.equal([false, 0])
      expect(listener.words).to.deep.equal([`text ${hex('{"compressed":true}')}`, 'closed 1000 '])
      sockets.close()
      await new Promise((resolve) => http.close(resolve))
    })

    it('where somebody else reads the socket too', async () => {
      server = await startRawServer(({ socket }) => socket.end(Buffer.concat([textFrame('a'), closeFrame(1_000)])))
      const listener = new Listener(server.url, (socket) => socket.on('data', () => undefined))
      await listener.ended
      expect([listener.isBulk, listener.cut]).to.deep.equal([false, 0])
      expect(listener.words).to.deep.equal([`text ${hex('a')}`, 'closed 1000 '])
    })
  })
})

/** A WebSocket, and all that is heard of it, as words. */
class Listener {
  readonly words: string[] = []
  readonly websocket: WebSocket
  readonly ended: Promise<void>
  line: Duplex | undefined
  /** Messages that were cut. */
  cut = 0
  isBulk = false
  private messages = 0

  /**
   * @param bulk        a function spoils the socket before
   * @param pauseEvery  messages after which it is paused; 0 for never
   * @param pause       whether it resumes by itself
   */
  constructor(
    url: string,
    bulk: boolean | ((socket: Duplex) => void),
    private readonly pauseEvery = 0,
    private readonly pause: 'resume' | 'stay' = 'resume',
    options: WebSocket.ClientOptions = { perMessageDeflate: false },
  ) {
    const websocket = new WebSocket(url, { maxPayload: 1 << 20, rejectUnauthorized: false, ...limits(url), ...options })
    this.websocket = websocket
    websocket.on('upgrade', ({ socket }) => (this.line = socket))
    websocket.on('open', () => {
      if (bulk === false) return
      if (typeof bulk === 'function') bulk(this.line!)
      const max = limits(url).maxPayload ?? 1 << 20
      this.isBulk = receiveInBulk(websocket, this.line!, max, (bytes, isText) => {
        this.cut++
        this.message(bytes, isText)
      })
    })
    websocket.on('message', (data: Buffer, isBinary: boolean) => this.message(data, !isBinary))
    websocket.on('ping', (data: Buffer) => this.words.push(`ping ${data.toString('hex')}`))
    websocket.on('pong', (data: Buffer) => this.words.push(`pong ${data.toString('hex')}`))
    websocket.on('error', (error: Error & { code?: string }) => this.words.push(`error ${error.code}`))
    this.ended = new Promise((resolve) =>
      websocket.on('close', (code, reason) => {
        this.words.push(`closed ${code} ${reason.toString()}`)
        resolve()
      }),
    )
  }

  private message(bytes: Uint8Array, isText: boolean): void {
    this.words.push(`${isText ? 'text' : 'binary'} ${Buffer.from(bytes).toString('hex')}`)
    if (this.pauseEvery === 0 || ++this.messages % this.pauseEvery > 0) return
    this.websocket.pause()
    if (this.pause === 'resume') setImmediate(() => this.websocket.resume())
  }
}

/** The streams that are drawn have a limit of their own. */
function limits(url: string): { maxPayload?: number } {
  return /\/(alone|bulk|pausing)$/.test(url) ? { maxPayload: PAYLOAD_BYTES_MAX } : {}
}

async function hearAll(listener: Listener): Promise<Listener> {
  await listener.ended
  return listener
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex')
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}
