import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { from } from 'rxjs'
import WebSocket, { type ClientOptions } from 'ws'
import { VirtualClock } from '../../src/clock/virtualClock'
import { socketGauges } from '../../src/metrics/socketGauges'
import { Fault } from '../../src/model/fault'
import { drain } from '../../src/sinks/drain'
import type { SinkContext } from '../../src/sinks/sink'
import { subscriptionIn } from '../../src/sinks/wires/websocketClient'
import { refusalOf, type GateRules } from '../../src/sinks/wires/websocketGate'
import { websocketServer, type WebsocketServerOptions, type WebsocketServerSink } from '../../src/sinks/websocketServer'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { faultOf, until } from './support'

/** Someone who listens, and remembers what it heard. */
class Reader {
  readonly heard: unknown[] = []
  closed: { readonly code: number; readonly reason: string } | undefined

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => this.heard.push(JSON.parse(data.toString())))
    socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }))
    socket.on('error', () => undefined)
  }

  static connect(url: string, options: ClientOptions = {}): Promise<Reader> {
    const reader = new Reader(new WebSocket(url, { perMessageDeflate: false, ...options }))
    return new Promise((resolve, reject) => {
      reader.socket.once('open', () => resolve(reader))
      reader.socket.once('error', reject)
    })
  }

  get rows(): Row[] {
    return this.heard.filter((each): each is Row => typeof each === 'object' && each !== null && 'n' in each)
  }

  get words(): unknown[] {
    return this.heard.filter((each) => !(typeof each === 'object' && each !== null && 'n' in each))
  }

  say(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  async hears(count: number): Promise<void> {
    await until(() => this.heard.length >= count, `message ${count}`)
  }
}

/** The status by which a handshake is refused. */
function statusOf(url: string, options: ClientOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, options)
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      resolve(response.statusCode ?? 0)
      socket.terminate()
    })
    socket.on('open', () => {
      socket.terminate()
      resolve(101)
    })
    socket.on('error', (error) => reject(error))
  })
}

describe('websocketServer', () => {
  const context: SinkContext = { outDir: 'out', clock: new VirtualClock(0) }
  const sinks: WebsocketServerSink<Row>[] = []
  const readers: Reader[] = []
  const others: Server[] = []

  afterEach(async () => {
    for (const { socket } of readers.splice(0)) socket.terminate()
    for (const sink of sinks.splice(0)) await sink.close()
    for (const server of others.splice(0)) await new Promise((resolve) => server.close(resolve))
  })

  const sinkOf = async (
    options: Partial<WebsocketServerOptions<Row>> = {},
    more: Partial<SinkContext> = {},
  ): Promise<WebsocketServerSink<Row>> => {
    const sink = websocketServer<Row>({ port: 0, capacity: 1_000, onFull: 'dropOldest', name: 'stream', ...options })
    sinks.push(sink)
    await sink.open({ ...context, ...more })
    return sink
  }

  const readerOf = async (
    sink: { readonly url: string | undefined },
    options: ClientOptions = {},
    query = '',
  ): Promise<Reader> => {
    const reader = await Reader.connect(`${sink.url!}${query}`, options)
    readers.push(reader)
    return reader
  }

  const portOf = ({ url }: { readonly url: string | undefined }): number => Number(new URL(url!).port)

  /** A connection that says nothing of itself. */
  const rawTo = async (sink: { readonly url: string | undefined }): Promise<Socket & { heard: string }> => {
    const socket = Object.assign(connect(portOf(sink), '127.0.0.1'), { heard: '' })
    socket.on('error', () => undefined)
    socket.on('data', (data: Buffer) => (socket.heard += data.toString('latin1')))
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
    return socket
  }

  const handshake = (more = ''): string =>
    `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${more}\r\n`

  for (const onFull of ['dropOldest', 'conflate', 'disconnect'] as const) {
    let free = 0
    before(async () => {
      const server = createTcpServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      free = (server.address() as AddressInfo).port
      await new Promise((resolve) => server.close(resolve))
    })

    conformsAsSink(`websocketServer with ${onFull}, read by one who connects when it opens,`, {
      keeps: 'all',
      refuses: 'open',
      create: () => {
        const sink = websocketServer<Row>({ port: free, capacity: 1_000, onFull, key: 'n' })
        const listeners: Reader[] = []
        const open = sink.open.bind(sink)
        const inTheWay = createTcpServer()
        sink.open = async (given) => {
          await open(given)
          listeners.push(await readerOf(sink))
        }
        return {
          sink,
          read: async () => {
            await until(() => listeners.every(({ closed }) => closed !== undefined), 'the end of the readers')
            return listeners.flatMap(({ rows }) => rows)
          },
          breakIt: () => new Promise<void>((resolve) => inTheWay.listen(free, '127.0.0.1', resolve)),
          repairIt: () => new Promise<void>((resolve) => inTheWay.close(() => resolve())),
        }
      },
    })
  }

  describe('readers', () => {
    it('each get everything from when they came, in order, as text', async () => {
      const sink = await sinkOf()
      const early = [await readerOf(sink), await readerOf(sink)]
      await sink.write(rows(50))
      const late = await readerOf(sink)
      await sink.write(rows(50, 50))
      await sink.close()
      for (const reader of [...early, late]) await until(() => reader.closed !== undefined, 'the end')
      for (const reader of early) expect(reader.heard).to.deep.equal(rows(100))
      expect(late.heard).to.deep.equal(rows(50, 50))
      expect(sink.counters.written).to.equal(100)
      expect(sink.counters.bytes).to.equal(rows(100).reduce((sum, each) => sum + JSON.stringify(each).length, 0))
      expect(sink.connections()).to.deep.include({ accepted: 3 })
      expect(sink.connections().gone).to.include({ closed: 3, left: 0 })
    })

    it('may be nobody: values are taken all the same', async () => {
      const sink = await sinkOf({ digest: true })
      await sink.write(rows(10))
      expect(sink.counters.written).to.equal(10)
      expect(sink.digest?.()).to.match(/^sha256:/)
      expect(sink.clients()).to.deep.equal([])
    })

    it('have their turn of the loop after each batch, however many wait for theirs', async () => {
      const sink = await sinkOf()
      let turns = 0
      const turn = (): void => {
        turns++
        if (turns < 100) setImmediate(turn)
      }
      setImmediate(turn)
      for (let batch = 0; batch < 5; batch++) {
        const before = turns
        await sink.write(rows(batch))
        expect(turns).to.be.above(before)
      }
    })

    it('can be looked at', async () => {
      const clock = new VirtualClock(5_000_000)
      const sink = await sinkOf({ clock, key: 'n' })
      const reader = await readerOf(sink, {}, '?subscribe=1,2')
      await sink.write(rows(5))
      await reader.hears(2)
      const [look] = sink.clients()
      expect(look).to.deep.include({ id: 1, connectedUs: 5_000_000, sent: 2, dropped: 0, conflated: 0, waiting: 0 })
      expect(look).to.deep.include({ waitingBytes: 0, subscribed: ['1', '2'] })
      expect(look!.address).to.match(/^127\.0\.0\.1:\d+$/)
      reader.socket.close()
      await until(() => sink.clients().length === 0, 'the leave of the reader')
      expect(sink.connections().gone).to.include({ left: 1 })
    })
  })

  describe('a slow reader', () => {
    const wide = (count: number, first = 0): Row[] =>
      rows(count, first).map(({ n }) => ({ n, text: 'x'.repeat(60_000) }))

    /** Writes until nothing more fits on the way to a reader that does not read, and as much again. */
    const flood = async (sink: WebsocketServerSink<Row>, quick: Reader, isEnough: () => boolean): Promise<number> => {
      let count = 0
      for (; !isEnough(); count += 10) {
        expect(count, 'values until it is slow').to.be.below(10_000)
        await sink.write(wide(10, count))
        await until(() => quick.rows.length >= count + 10, 'what the quick reader gets')
      }
      return count
    }

    it('loses what is oldest and is told how much, in order; the others get everything', async () => {
      const sink = await sinkOf({ capacity: 20 })
      const [slow, quick] = [await readerOf(sink), await readerOf(sink)]
      slow.socket.pause()
      const dropped = (): number => sink.clients()[0]?.dropped ?? 0
      const count = await flood(sink, quick, () => dropped() > 40)
      const [look] = sink.clients()
      expect(look).to.include({ waiting: 20 })
      expect(look!.bufferedBytes).to.be.below(200_000)
      expect(socketGauges.look().unsentBytes).to.be.at.least(look!.bufferedBytes).and.above(0)
      expect(quick.heard).to.deep.equal(wide(count))
      slow.socket.resume()
      await until(() => slow.rows.at(-1)?.n === count - 1, 'the rest')
      let next = 0
      for (const heard of slow.heard) {
        if ('dropped' in (heard as object)) next += (heard as { dropped: number }).dropped
        else expect((heard as Row).n).to.equal(next++)
      }
      expect(next).to.equal(count)
      expect(slow.words.length).to.be.above(0)
      expect(sink.clients()[0]).to.include({ waiting: 0, waitingBytes: 0 })
    })

    it('gets the latest of each key with conflate, and nothing is missing', async () => {
      const sink = await sinkOf({ capacity: 20, onFull: 'conflate', key: ({ n }) => n % 10 })
      const [slow, quick] = [await readerOf(sink), await readerOf(sink)]
      slow.socket.pause()
      const count = await flood(sink, quick, () => (sink.clients()[0]?.conflated ?? 0) > 40)
      expect(sink.clients()[0]).to.include({ dropped: 0 })
      slow.socket.resume()
      await until(() => slow.rows.filter(({ n }) => n >= count - 10).length === 10, 'the rest')
      expect(slow.words).to.deep.equal([])
      expect(slow.rows.slice(-10).map(({ n }) => n)).to.have.members(rows(10, count - 10).map(({ n }) => n))
      for (let key = 0; key < 10; key++) {
        const own = slow.rows.filter(({ n }) => n % 10 === key).map(({ n }) => n)
        expect(own).to.deep.equal([...own].sort((one, other) => one - other))
      }
      expect(quick.heard).to.deep.equal(wide(count))
    })

    it('is disconnected with disconnect, by a deadline; the others get everything', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ capacity: 20, onFull: 'disconnect', clock })
      const [slow, quick] = [await readerOf(sink), await readerOf(sink)]
      slow.socket.pause()
      const isCut = (): boolean => sink.clients()[0]?.waiting === 0 && sink.clients()[0]!.bufferedBytes > 0
      const count = await flood(sink, quick, () => isCut())
      clock.advance(2_000)
      await until(() => sink.connections().gone.slow === 1, 'the end of the slow reader')
      expect(sink.clients()).to.have.length(1)
      await sink.write(wide(5, count))
      await quick.hears(count + 5)
      expect(quick.heard).to.deep.equal(wide(count + 5))
    })

    it('is told why with disconnect, when it reads at last', async () => {
      const sink = await sinkOf({ capacity: 20, onFull: 'disconnect', closeWithinMs: 240_000 })
      const [slow, quick] = [await readerOf(sink), await readerOf(sink)]
      slow.socket.pause()
      const isCut = (): boolean => sink.clients()[0]?.waiting === 0 && sink.clients()[0]!.bufferedBytes > 0
      await flood(sink, quick, () => isCut())
      slow.socket.resume()
      await until(() => slow.closed !== undefined, 'the goodbye')
      expect(slow.closed).to.deep.equal({ code: 1013, reason: 'too slow' })
      expect(slow.rows.map(({ n }) => n)).to.deep.equal(slow.rows.map((_, at) => at))
    })

    it('holds no more bytes than it may', async () => {
      const sink = await sinkOf({ capacity: 1_000_000, clientBytesMax: 300_000 })
      const [slow, quick] = [await readerOf(sink), await readerOf(sink)]
      slow.socket.pause()
      await flood(sink, quick, () => (sink.clients()[0]?.dropped ?? 0) > 10)
      const [look] = sink.clients()
      expect(look!.waitingBytes).to.be.within(200_000, 300_000)
    })

    it('is none that keeps reading: a batch of more than may wait goes to the kernel meanwhile', async () => {
      const sink = await sinkOf({ capacity: 4, clientBytesMax: 130_000 })
      const quick = await readerOf(sink)
      for (let first = 0; first < 100; first += 10) {
        await sink.write(wide(10, first))
        await quick.hears(first + 10)
      }
      expect(quick.heard).to.deep.equal(wide(100))
    })

    it('does not keep a drain from ending: everything is written, the ledger balances', async () => {
      const sink = websocketServer<Row>({ port: 0, capacity: 20, onFull: 'dropOldest', closeWithinMs: 50 })
      sinks.push(sink)
      const open = sink.open.bind(sink)
      let slow: Reader | undefined
      sink.open = async (given) => {
        await open(given)
        slow = await readerOf(sink)
        slow.socket.pause()
      }
      const result = await drain(from([wide(1_000)]), sink, {
        capacity: 1_000,
        batchMax: 10,
        onFull: 'fail',
        closeWithinMs: 240_000,
      })
      expect(result.ledger).to.deep.equal({ in: 1_000, out: 1_000, dropped: {}, inFlight: 0 })
      expect(result).to.include({ written: 1_000, failed: 0, retries: 0 })
    })
  })

  describe('keys', () => {
    const keyed = { key: 'text', snapshotKeys: 100 } as const
    const of = (key: string, n: number): Row => ({ n, text: key })

    it('are subscribed to, in words or by the address; what follows is of them only', async () => {
      const sink = await sinkOf({ key: 'text' })
      const [all, some, byUrl] = [
        await readerOf(sink),
        await readerOf(sink),
        await readerOf(sink, {}, '?subscribe=BTC-USDT,ETH-USDT'),
      ]
      await sink.write([of('SOL-USDT', 1)])
      await some.hears(1)
      some.say({ subscribe: ['BTC-USDT', '__proto__', 'constructor'] })
      await some.hears(2)
      await sink.write([of('BTC-USDT', 2), of('ETH-USDT', 3), of('SOL-USDT', 4), of('__proto__', 5)])
      some.say({ subscribe: '*' })
      await some.hears(5)
      await sink.write([of('SOL-USDT', 6), { n: 7 } as Row])
      await sink.close()
      for (const reader of [all, some, byUrl]) await until(() => reader.closed !== undefined, 'the end')
      expect(all.rows.map(({ n }) => n)).to.deep.equal([1, 2, 3, 4, 5, 6, 7])
      expect(some.heard).to.deep.equal([
        of('SOL-USDT', 1),
        { subscribed: ['BTC-USDT', '__proto__', 'constructor'], snapshot: 0 },
        of('BTC-USDT', 2),
        of('__proto__', 5),
        { subscribed: '*', snapshot: 0 },
        of('SOL-USDT', 6),
        { n: 7 },
      ])
      expect(byUrl.heard).to.deep.equal([of('BTC-USDT', 2), of('ETH-USDT', 3)])
    })

    it('have their latest value kept for who comes later, or asks later', async () => {
      const sink = await sinkOf(keyed)
      await sink.write([of('a', 1), of('b', 2), of('a', 3), of('c', 4)])
      const all = await readerOf(sink)
      await all.hears(4)
      expect(all.heard).to.deep.equal([{ snapshot: 3 }, of('b', 2), of('a', 3), of('c', 4)])
      const some = await readerOf(sink, {}, '?subscribe=a')
      some.say({ subscribe: ['a', 'c', 'z'] })
      await some.hears(4)
      await sink.write([of('a', 5), of('b', 6)])
      await some.hears(5)
      expect(some.heard).to.deep.equal([
        { snapshot: 1 },
        of('a', 3),
        { subscribed: ['a', 'c', 'z'], snapshot: 1 },
        of('c', 4),
        of('a', 5),
      ])
    })

    it('are forgotten beyond a number, those first that have been silent longest, and when another run begins', async () => {
      const sink = await sinkOf({ ...keyed, snapshotKeys: 2 })
      await sink.write([of('a', 1), of('b', 2), of('a', 3), of('c', 4)])
      const reader = await readerOf(sink)
      await reader.hears(3)
      expect(reader.heard).to.deep.equal([{ snapshot: 2 }, of('a', 3), of('c', 4)])
      await sink.close()
      await sink.open({ ...context, resume: true })
      const resumed = await readerOf(sink)
      await resumed.hears(3)
      await sink.close()
      await sink.open(context)
      const fresh = await readerOf(sink)
      await sink.write([of('d', 5)])
      await fresh.hears(1)
      expect(fresh.heard).to.deep.equal([of('d', 5)])
    })

    it('are forgotten beyond a number of bytes', async () => {
      const sink = await sinkOf({
        ...keyed,
        clientBytesMax: 1_000,
        encode: ({ text }) => JSON.stringify(text.repeat(100)),
      })
      for (const [n, key] of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].entries()) await sink.write([of(key, n)])
      const reader = await readerOf(sink)
      await reader.hears(5)
      expect(reader.heard[0]).to.deep.equal({ snapshot: 4 })
    })
  })

  describe('what clients say', () => {
    it('is understood or answered with what is expected', () => {
      const keys = (text: string): unknown => {
        const found = subscriptionIn(text, 3)
        return typeof found === 'string' ? found : found.keys && [...found.keys]
      }
      expect(keys('{"subscribe":["a","b","a"]}')).to.deep.equal(['a', 'b'])
      expect(keys('{"subscribe":[]}')).to.deep.equal([])
      expect(keys('{"subscribe":"*"}')).to.equal(undefined)
      expect(keys('{"subscribe":["__proto__"]}')).to.deep.equal(['__proto__'])
      const wrong = [
        '',
        'x',
        '1',
        'null',
        '[]',
        '{}',
        '"*"',
        '{"subscribe":null}',
        '{"subscribe":{}}',
        '{"subscribe":{"length":1,"0":"a"}}',
        '{"subscribe":[1]}',
        '{"subscribe":[null]}',
        '{"subscribe":[["a"]]}',
        '{"subscribe":[""]}',
        `{"subscribe":["${'a'.repeat(129)}"]}`,
        '{"subscribe":["a","b","c","d"]}',
        '{"subscribe":["a"],"more":1}',
        '{"__proto__":{"subscribe":["a"]}}',
        '{"subscribe":["a"],"__proto__":{}}',
        `{"subscribe":${'['.repeat(8_000)}${']'.repeat(8_000)}}`,
        '['.repeat(8_000),
        '{"subscribe":'.repeat(1_000),
      ]
      for (const text of wrong) expect(subscriptionIn(text, 3), text.slice(0, 60)).to.be.a('string')
      expect(subscriptionIn('{"subscribe":["a"]}', 0)).to.match(/no keys/)
      expect(subscriptionIn('{"subscribe":"*"}', 0)).to.deep.equal({ keys: undefined })
    })

    it('is bounded: in size, in number, in kind; others do not notice', async () => {
      const sink = await sinkOf({ key: 'n', messagesMax: 20, messageBytesMax: 1_000 })
      const good = await readerOf(sink)
      const [odd, large, binary, loud, pinging, ponging, pieces] = await Promise.all(
        Array.from({ length: 7 }, () => readerOf(sink)),
      )
      odd!.say('what?')
      await odd!.hears(1)
      expect(odd!.heard).to.deep.equal([{ error: 'messages are JSON' }])
      binary!.socket.send(Buffer.from([1, 2, 3]))
      await binary!.hears(1)
      expect(binary!.heard).to.deep.equal([{ error: 'messages are text' }])
      large!.say('x'.repeat(2_000))
      for (let n = 0; n < 200; n++) loud!.say({ subscribe: '*' })
      for (let n = 0; n < 200; n++) pinging!.socket.ping()
      for (let n = 0; n < 200; n++) ponging!.socket.pong()
      for (let n = 0; n < 200; n++) pieces!.socket.send('', { fin: false })
      for (const reader of [large, loud, pinging, ponging, pieces]) {
        await until(() => reader!.closed !== undefined, 'the end of those who say too much')
      }
      expect(large!.closed!.code).to.equal(1009)
      expect(loud!.heard.length).to.be.at.most(20)
      expect(sink.connections().gone).to.include({ loud: 3, malformed: 2 })
      await sink.write(rows(3))
      await good.hears(3)
      expect(good.heard).to.deep.equal(rows(3))
      expect(odd!.rows).to.deep.equal(rows(3))
    })

    it('may be no frames at all', async () => {
      const sink = await sinkOf()
      const good = await readerOf(sink)
      const frames: Record<string, number[]> = {
        'not masked': [0x81, 0x01, 0x61],
        'reserved bits': [0xf1, 0x81, 0, 0, 0, 0, 0x61],
        'an unknown kind': [0x83, 0x80, 0, 0, 0, 0],
        'a ping in pieces': [0x09, 0x80, 0, 0, 0, 0],
        'a length beyond all': [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        'text that is none': [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28],
        'a close without a reason': [0x88, 0x81, 0, 0, 0, 0, 0x00],
      }
      let count = 0
      for (const [what, bytes] of Object.entries(frames)) {
        const socket = await rawTo(sink)
        socket.write(handshake())
        await until(() => socket.heard.includes('101'), 'the handshake')
        socket.write(Buffer.from(bytes))
        count++
        await until(() => sink.connections().gone.malformed === count, what)
        socket.destroy()
      }
      await sink.write(rows(1))
      await good.hears(1)
      expect(sink.clients()).to.have.length(1)
    })
  })

  describe('who may come in', () => {
    const rules: GateRules = {
      host: '127.0.0.1',
      path: '/',
      origins: ['https://desk.example', 'null'],
      token: undefined,
    }
    const why = (headers: Record<string, string>, url = '/', more: Partial<GateRules> = {}): string | undefined =>
      refusalOf({ url, headers }, { ...rules, ...more })?.why

    it('is no page from elsewhere', () => {
      const host = '127.0.0.1:8080'
      expect(why({ host })).to.equal(undefined)
      expect(why({ host, origin: 'http://127.0.0.1:3000' })).to.equal(undefined)
      expect(why({ host: 'localhost:8080', origin: 'https://localhost' })).to.equal(undefined)
      expect(why({ host: '[::1]:8080', origin: 'http://[::1]' })).to.equal(undefined)
      expect(why({ host, origin: 'https://desk.example' })).to.equal(undefined)
      expect(why({ host, origin: 'null' })).to.equal(undefined)
      expect(why({ host: 'prices.lan', origin: 'http://prices.lan' }, '/', { host: 'prices.lan' })).to.equal(undefined)
      const strangers = [
        { host, origin: 'https://evil.example' },
        { host, origin: 'http://desk.example' },
        { host, origin: 'https://desk.example:444' },
        { host, origin: 'http://localhost' },
        { host, origin: '' },
        { host, origin: 'x' },
        { host, origin: 'http://127.0.0.1.evil.example' },
        { host: 'evil.example:8080', origin: 'http://evil.example:8080' },
        { host: 'prices.lan', origin: 'http://prices.lan' },
        { host: '', origin: 'file://' },
      ]
      for (const headers of strangers) expect(why(headers), JSON.stringify(headers)).to.equal('origin')
      expect(why({ host, origin: 'null' }, '/', { origins: [] })).to.equal('origin')
    })

    it('is nobody without the token, where there is one', () => {
      const token = 's3cret-t0ken'
      const asked = (headers: Record<string, string>, url = '/'): string | undefined => why(headers, url, { token })
      expect(asked({ authorization: `Bearer ${token}` })).to.equal(undefined)
      expect(asked({ authorization: `bearer  ${token}` })).to.equal(undefined)
      expect(asked({}, `/?token=${token}`)).to.equal(undefined)
      for (const authorization of [
        '',
        token,
        'Bearer',
        `Bearer ${token}x`,
        `Bearer ${token.slice(1)}`,
        `Basic ${token}`,
      ]) {
        expect(asked({ authorization }), authorization).to.equal('token')
      }
      expect(asked({}, '/?token=')).to.equal('token')
      expect(asked({}, '/?token=x&token=s3cret-t0ken')).to.equal('token')
      expect(asked({ authorization: 'Bearer wrong' }, `/?token=${token}`)).to.equal('token')
    })

    it('asks for the path that is served', () => {
      expect(why({}, '/stream', { path: '/stream' })).to.equal(undefined)
      expect(why({}, '/stream?x=1', { path: '/stream' })).to.equal(undefined)
      for (const url of ['/', '/stream/', '/stream/../x', '//evil.example/stream', 'http://[']) {
        expect(why({}, url, { path: '/stream' }), url).to.equal('path')
      }
    })

    it('is answered why not, and is not among the clients', async () => {
      const sink = await sinkOf({ token: 's3cret', path: '/stream', key: 'n', origins: ['https://desk.example'] })
      const url = sink.url!
      const headers = { authorization: 'Bearer s3cret' }
      expect(await statusOf(url, { headers })).to.equal(101)
      expect(await statusOf(`${url}?token=s3cret`, { origin: 'https://desk.example' })).to.equal(101)
      expect(await statusOf(url)).to.equal(401)
      expect(await statusOf(`${url}?token=wrong`)).to.equal(401)
      expect(await statusOf(url, { headers, origin: 'https://evil.example' })).to.equal(403)
      expect(await statusOf(url.replace('/stream', '/'), { headers })).to.equal(404)
      expect(await statusOf(`${url}?subscribe=${'x'.repeat(200)}`, { headers })).to.equal(400)
      expect(sink.connections()).to.deep.include({ accepted: 2 })
      expect(sink.connections().refused).to.include({ token: 2, origin: 1, path: 1, invalid: 1 })
      expect(JSON.stringify([sink.name, sink.clients(), sink.connections(), sink])).not.to.contain('s3cret')
    })

    it('must be known by a token where others can reach the port', async () => {
      for (const host of ['0.0.0.0', '::', '192.168.1.5', 'prices.lan', '']) {
        const sink = websocketServer<Row>({ port: 0, capacity: 1, onFull: 'dropOldest', host })
        const fault = await faultOf(sink.open(context))
        expect(fault, host).to.include({ code: 'OPTION_INVALID' })
        expect(fault.details).to.include({ option: 'token' })
      }
      const unset = websocketServer<Row>({ port: 0, capacity: 1, onFull: 'dropOldest', tokenEnv: 'STREAM_TOKEN' })
      expect((await faultOf(unset.open({ ...context, env: {} }))).message).to.contain('STREAM_TOKEN, which is not set')
      const open = await sinkOf({ host: '0.0.0.0', tokenEnv: 'STREAM_TOKEN' }, { env: { STREAM_TOKEN: 'abc' } })
      const here = `ws://127.0.0.1:${portOf(open)}/`
      expect(await statusOf(here)).to.equal(401)
      expect(await statusOf(`${here}?token=abc`)).to.equal(101)
    })

    it('speaks in time, and asks for a WebSocket', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ clock })
      const good = await readerOf(sink)
      const silent = await rawTo(sink)
      const halfway = await rawTo(sink)
      halfway.write(handshake().slice(0, -2))
      const large = await rawTo(sink)
      large.write(handshake(`X-Large: ${'x'.repeat(20_000)}\r\n`))
      const garbage = await rawTo(sink)
      garbage.write('\u0016\u0003\u0001\u0002\r\n\r\n')
      const old = await rawTo(sink)
      old.write(handshake().replace('Version: 13', 'Version: 7'))
      const plain = await new Promise<number>((resolve, reject) => {
        httpRequest(sink.url!.replace('ws:', 'http:'), (response) => resolve(response.resume().statusCode!))
          .on('error', reject)
          .end()
      })
      expect(plain).to.equal(426)
      for (const [socket, status] of [
        [large, '431'],
        [garbage, '400'],
        [old, '400'],
      ] as const) {
        await until(() => socket.heard.startsWith(`HTTP/1.1 ${status}`), status)
        await until(() => socket.closed, `the end after ${status}`)
      }
      expect(silent.closed).to.equal(false)
      clock.advance(5_000)
      await until(() => silent.closed && halfway.closed, 'the end of those who are late')
      expect(sink.connections().refused).to.include({ late: 2, invalid: 4 })
      await sink.write(rows(1))
      await good.hears(1)
    })

    it('is one of as many as may be; floods of others do not disturb', async () => {
      const sink = await sinkOf({ clientsMax: 2 })
      const [one, two] = [await readerOf(sink), await readerOf(sink)]
      expect(await statusOf(sink.url!)).to.equal(503)
      const flood = await Promise.all(Array.from({ length: 200 }, () => rawTo(sink)))
      await until(() => flood.filter((socket) => socket.closed).length >= 130, 'the end of those beyond the bound')
      await sink.write(rows(5))
      await one.hears(5)
      await two.hears(5)
      expect(sink.connections().refused.full).to.be.at.least(100)
      for (const socket of flood) socket.destroy()
      one.socket.close()
      await until(() => sink.clients().length === 1, 'the leave of the first')
      await until(() => sink.connections().refused.full >= 131, 'the count of the flood')
      const three = await readerOf(sink)
      await sink.write(rows(1, 5))
      await three.hears(1)
    })

    it('is cut off when it does not answer pings, though it may talk', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ clock, pingMs: 1_000, pongWithinMs: 500 })
      const lively = await readerOf(sink)
      const mute = await readerOf(sink, { autoPong: false })
      const lying = await readerOf(sink, { autoPong: false })
      let pinged = 0
      let pongs = 0
      for (const { socket } of [lively, mute, lying]) socket.on('ping', () => pinged++)
      lying.socket.on('ping', () => lying.socket.pong('1 or so', true, () => pongs++))
      for (let round = 1; round <= 3; round++) {
        clock.advance(1_000)
        await until(() => pinged >= (round === 1 ? 3 : 2 + round), 'the pings')
        // An answer to a message means that the pong before it has come.
        lively.say('?')
        await until(() => lively.words.length >= round, 'an answer to the lively one')
        if (round === 1) await until(() => pongs === 1, 'the lie')
        clock.advance(500)
        if (round === 1) await until(() => sink.connections().gone.silent === 2, 'the end of the silent ones')
      }
      expect(sink.clients()).to.have.length(1)
      expect(lively.closed).to.equal(undefined)
    })
  })

  describe('closing and opening', () => {
    it('says 1001 and frees the port, in time even for those who do not read', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ clock, capacity: 100 })
      const [quick, stuck] = [await readerOf(sink), await readerOf(sink)]
      const silent = await rawTo(sink)
      stuck.socket.pause()
      await until(() => sink.clients().length === 2, 'the clients')
      await sink.write(rows(3))
      const port = portOf(sink)
      const closing = sink.close()
      await until(() => quick.closed !== undefined && silent.closed, 'the end of the others')
      expect(quick.closed).to.deep.equal({ code: 1001, reason: 'the stream has ended' })
      expect(quick.heard).to.deep.equal(rows(3))
      clock.advance(2_000)
      await closing
      expect(clock.pending).to.equal(0)
      expect(sink.url).to.equal(undefined)
      const next = createServer()
      others.push(next)
      await new Promise<void>((resolve, reject) => next.once('error', reject).listen(port, '127.0.0.1', resolve))
    })

    it('keeps the port that it chose when it resumes', async () => {
      const sink = await sinkOf()
      const { url } = sink
      await sink.close()
      await sink.open({ ...context, resume: true })
      expect(sink.url).to.equal(url)
      const reader = await readerOf(sink)
      await sink.write(rows(1))
      await reader.hears(1)
    })

    it('is refused a port that another has, with a sentence', async () => {
      const sink = await sinkOf()
      const second = websocketServer<Row>({ port: portOf(sink), capacity: 1, onFull: 'dropOldest' })
      const fault = await faultOf(second.open(context))
      expect(fault).to.include({ code: 'SINK_REJECTED' })
      expect(fault.message).to.match(
        /^The sink .* cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.* Free the port, or choose another\.$/,
      )
      expect(second.url).to.equal(undefined)
      expect((await faultOf(second.write(rows(1)))).message).to.contain('is not open')
    })
  })

  it('leaves out a value that has no text or key, or is larger than may wait, before anything is sent', async () => {
    const sink = await sinkOf({
      clientBytesMax: 1_000,
      key: ({ n }) => (n === 3 ? { odd: true } : n),
      encode: (value) => {
        if (value.n === 2) throw new Error('no form')
        return JSON.stringify(value)
      },
    })
    const reader = await readerOf(sink)
    const cases: [Row[], number][] = [
      [[row(0), row(1), row(2)], 2],
      [[row(0), row(3)], 1],
      [[{ n: 0, text: 'x'.repeat(1_000) }], 0],
    ]
    for (const [batch, index] of cases) {
      const fault = await faultOf(sink.write(batch))
      expect(fault).to.include({ code: 'VALUE_INVALID' })
      expect(fault.details).to.include({ index })
    }
    await sink.write([row(9)])
    await reader.hears(1)
    expect(reader.heard).to.deep.equal([row(9)])
  })

  it('refuses options that are none, by name', () => {
    const base = { port: 0, capacity: 1, onFull: 'dropOldest' } as const
    const wrong: [Partial<Record<keyof WebsocketServerOptions<Row>, unknown>>, string][] = [
      [{ port: 65_536 }, 'port'],
      [{ port: undefined }, 'port'],
      [{ capacity: 0 }, 'capacity'],
      [{ capacity: undefined }, 'capacity'],
      [{ onFull: 'block' }, 'onFull'],
      [{ onFull: 'conflate' }, 'key'],
      [{ snapshotKeys: 1 }, 'key'],
      [{ snapshotKeys: 2, key: 'n' }, 'snapshotKeys'],
      [{ path: 'stream' }, 'path'],
      [{ path: '/a?b' }, 'path'],
      [{ origins: ['https://desk.example/'] }, 'origins'],
      [{ origins: ['desk.example'] }, 'origins'],
      [{ clientsMax: 0 }, 'clientsMax'],
      [{ pingMs: 0 }, 'pingMs'],
      [{ pongWithinMs: 2 ** 31 }, 'pongWithinMs'],
      [{ messageBytesMax: 1.5 }, 'messageBytesMax'],
    ]
    for (const [options, option] of wrong) {
      let fault: unknown
      try {
        websocketServer<Row>({ ...base, ...options } as WebsocketServerOptions<Row>)
      } catch (thrown) {
        fault = thrown
      }
      expect(fault, JSON.stringify(options)).to.be.instanceOf(Fault).and.include({ code: 'OPTION_INVALID' })
      expect((fault as Fault).details).to.include({ option })
    }
  })
})
