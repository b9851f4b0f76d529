import { expect } from 'chai'
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer as createProxy } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { from } from 'rxjs'
import { seededRandom } from '../../src/clock/backoff'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'
import type { DeadLetter } from '../../src/sinks/deadLetter'
import { drain, type DrainOptions, type DrainResult } from '../../src/sinks/drain'
import { http, type HttpOptions } from '../../src/sinks/http'
import { memory } from '../../src/sinks/memory'
import type { Sink } from '../../src/sinks/sink'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { HttpReceiver, SELF_SIGNED, type Received } from './httpReceiver'
import { survivesKills } from './killed'
import { faultOf, until } from './support'

describe('http', () => {
  let receiver: HttpReceiver
  const opened: Sink<Row>[] = []
  const context = { outDir: 'out', clock: new VirtualClock(0) }

  before(async () => {
    receiver = await HttpReceiver.start()
  })
  beforeEach(() => receiver.reset())
  afterEach(async () => {
    for (const sink of opened.splice(0)) await sink.close()
  })
  after(() => receiver.stop())

  for (const format of ['array', 'lines'] as const) {
    conformsAsSink(`http in ${format}`, {
      keeps: 'all',
      create: () => ({
        sink: http<Row>(receiver.url, { format, gzip: format === 'lines' }),
        read: () => Promise.resolve(receiver.values as Row[]),
        breakIt: () => void (receiver.reply = () => 503),
        repairIt: () => void (receiver.reply = () => 200),
      }),
    })
  }

  const sinkOf = async (options: HttpOptions<Row> = {}, url = receiver.url, more: object = {}): Promise<Sink<Row>> => {
    const sink = http<Row>(url, { name: 'hook', ...options })
    opened.push(sink)
    await sink.open({ ...context, ...more })
    return sink
  }

  const drained = (count: number, sink: Sink<Row>, options: Partial<DrainOptions<Row>> = {}): Promise<DrainResult> => {
    const retry = { attempts: 1_000, firstMs: 1, capMs: 2 }
    const edge = { capacity: count, batchMax: 7, onFull: 'fail', run: 'night', retry, closeWithinMs: 240_000 } as const
    return drain(from([rows(count)]), sink, { ...edge, ...options })
  }

  describe('sends', () => {
    it('a JSON array, with what the receiver needs to read it', async () => {
      const sink = await sinkOf({ headers: { 'X-Team': 'desk', 'Content-Type': 'application/vnd.desk+json' } })
      await sink.write(rows(2))
      const [{ raw, headers }] = receiver.requests as [Received]
      expect(raw.toString()).to.equal(JSON.stringify(rows(2)))
      expect(headers).to.include({ 'x-team': 'desk', 'content-type': 'application/vnd.desk+json' })
      expect(headers).to.include({ 'user-agent': 'millrace', 'content-length': String(raw.length) })
      expect(sink.counters).to.include({ written: 2, bytes: raw.length })
    })

    it('a document per line, also of an encoder that breaks lines, and with a schema only its fields', async () => {
      const pretty = await sinkOf({ format: 'lines', encode: (value) => JSON.stringify(value, undefined, 2) })
      await pretty.write(rows(2))
      expect(receiver.requests[0]!.raw.toString().split('\n')).to.have.length(3)
      expect(receiver.values).to.deep.equal(rows(2))
      const narrow = await sinkOf({ schema: { type: 'object', properties: { n: { type: 'number' } } } })
      await narrow.write(rows(1))
      expect(receiver.requests[1]!.raw.toString()).to.equal('[{"n":0}]')
    })

    it('packed bodies when asked', async () => {
      const sink = await sinkOf({ gzip: true })
      await sink.write(rows(500))
      expect(receiver.values).to.deep.equal(rows(500))
      expect(receiver.requests[0]!.headers['content-encoding']).to.equal('gzip')
      expect(sink.counters.bytes).to.equal(receiver.requests[0]!.raw.length).and.be.below(10_000)
    })

    it('everything over one connection, and opens another when that one has gone stale', async () => {
      const sink = await sinkOf()
      for (let n = 0; n < 5; n++) await sink.write(rows(1, n))
      expect(receiver.connections).to.equal(1)
      receiver.reply = ({ connection }) => (connection === 1 ? (_, socket) => void socket.resetAndDestroy() : 200)
      await sink.write(rows(1, 5))
      expect(receiver.connections).to.equal(2)
      expect(receiver.values).to.deep.equal(rows(6))
    })

    it('a signature that a receiver can verify, over the bytes as they come', async () => {
      const clock = new VirtualClock(1_700_000_000_500_000)
      for (const gzip of [false, true]) {
        const sink = await sinkOf({ secretEnv: 'HOOK_SECRET', gzip, clock }, receiver.url, {
          env: { HOOK_SECRET: 's3' },
        })
        await sink.write(rows(3))
        const { headers, raw } = receiver.requests.at(-1)!
        // As in the recipe of `signatureOf`.
        const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-millrace-signature'])) ?? []
        const expected = createHmac('sha256', 's3').update(`${t}.`).update(raw).digest()
        expect(t).to.equal('1700000000')
        expect(timingSafeEqual(Buffer.from(v1!, 'hex'), expected)).to.equal(true)
      }
      const plain = await sinkOf()
      await plain.write(rows(1))
      expect(receiver.requests.at(-1)!.headers).not.to.have.property('x-millrace-signature')
    })

    it('user and password of the address as basic authorization', async () => {
      const sink = await sinkOf({}, receiver.url.replace('://', '://us%40er:p%3Aw@'))
      await sink.write(rows(1))
      const expected = `Basic ${Buffer.from('us@er:p:w').toString('base64')}`
      expect(receiver.requests[0]!.headers.authorization).to.equal(expected)
    })

    it('the digest of its values, however they were cut into bodies', async () => {
      const digestOf = async (options: HttpOptions<Row>, sizes: number[]): Promise<string | undefined> => {
        const sink = await sinkOf({ ...options, digest: true })
        let at = 0
        for (const size of sizes) await sink.write(rows(size, (at += size) - size))
        return sink.digest?.()
      }
      const digest = await digestOf({}, [6])
      expect(digest).to.match(/^sha256:[0-9a-f]{64}$/)
      expect(await digestOf({ format: 'lines', gzip: true, bodyBytesMax: 100 }, [2, 4])).to.equal(digest)
      expect(await digestOf({}, [5])).not.to.equal(digest)
    })
  })

  describe('keys', () => {
    it('name the run, the sink and the values', async () => {
      await drained(15, http<Row>(receiver.url, { name: 'hook (EU)' }), { run: 'night/1:a' })
      expect(receiver.keys).to.deep.equal(
        ['0-7', '7-14', '14-15'].map((values) => `night%2F1%3Aa:hook%20(EU):${values}`),
      )
    })

    it('are of a random run when it has no name, the same when it resumes and another when it does not', async () => {
      const sink = http<Row>(receiver.url, { name: 'hook', random: seededRandom(1) })
      opened.push(sink)
      await sink.open(context)
      await sink.write(rows(2))
      await sink.open({ ...context, resume: true })
      await sink.write(rows(1))
      await sink.open(context)
      await sink.write(rows(1))
      const runs = receiver.keys.map((key) => key.split(':')[0])
      expect(receiver.keys.map((key) => key.split(':')[2])).to.deep.equal(['0-2', '2-3', '0-1'])
      expect(runs[0]).to.match(/^[0-9a-f]{32}$/)
      expect(runs[1]).to.equal(runs[0])
      expect(runs[2])
        .to.match(/^[0-9a-f]{32}$/)
        .and.not.equal(runs[0])
    })

    it('are the same for a batch that is offered again', async () => {
      const sink = await sinkOf()
      const batch = rows(2)
      receiver.reply = (_, number) => (number < 3 ? 500 : 200)
      await faultOf(sink.write(batch))
      await faultOf(sink.write(batch))
      await sink.write(batch)
      await sink.write(rows(2, 2))
      const [one, two, three, four] = receiver.keys
      expect([two, three]).to.deep.equal([one, one])
      expect(four).to.match(/:2-4$/)
    })

    it('tell receipts, which have no position, apart by what they say', async () => {
      const sink = await sinkOf({}, receiver.url, { run: 'night' })
      const key = { run: 'night', from: 5, to: 5 }
      await sink.write([row(1)], key)
      await sink.write([row(2)], key)
      await sink.write([row(3)], { run: 'night', from: 5, to: 6 })
      expect(receiver.keys[2]).to.equal('night:hook:5-6')
      expect(receiver.keys[0]).to.match(/^night:hook:5-5\.[0-9a-f]{16}$/)
      expect(receiver.keys[1])
        .to.match(/^night:hook:5-5\.[0-9a-f]{16}$/)
        .and.not.equal(receiver.keys[0])
    })

    it('make a delivery effectively once at a receiver that honours them, though acknowledgements are lost', async () => {
      const random = seededRandom('lost acknowledgements')
      const kept = new Map<string, unknown[]>()
      let repeated = 0
      receiver.reply = ({ headers, values }) => {
        const key = String(headers['idempotency-key'])
        if (kept.has(key)) repeated++
        else kept.set(key, values)
        return random() < 0.5 ? (_, socket) => void socket.resetAndDestroy() : 200
      }
      const result = await drained(200, http<Row>(receiver.url))
      expect(result.ledger).to.deep.equal({ in: 200, out: 200, dropped: {}, inFlight: 0 })
      expect(result.written).to.equal(200)
      expect(repeated).to.be.above(5)
      expect([...kept.values()].flat()).to.deep.equal(rows(200))
    })

    it('let a run be repeated under its name, cut into other batches, at a receiver that remembers where it stood', async () => {
      const kept: unknown[] = []
      receiver.reply = ({ headers, values }) => {
        const [first, end] = /:(\d+)-(\d+)$/.exec(String(headers['idempotency-key']))!.slice(1).map(Number)
        expect(end! - first!).to.equal(values.length)
        kept.push(...values.slice(Math.max(0, kept.length - first!)))
        return 200
      }
      await drained(40, http<Row>(receiver.url), { batchMax: 7 })
      await drained(100, http<Row>(receiver.url), { batchMax: 11 })
      expect(kept).to.deep.equal(rows(100))
    })
  })

  survivesKills('http', async () => {
    const own = await HttpReceiver.start()
    const kept: unknown[] = []
    own.reply = ({ method, headers, values }) => {
      if (method === 'GET') return { status: 200, body: JSON.stringify(kept) }
      const [first] = /\d+(?=-\d+$)/.exec(String(headers['idempotency-key']))!
      kept.push(...values.slice(Math.max(0, kept.length - Number(first))))
      return 200
    }
    return { place: { outDir: '', url: own.url }, remove: () => own.stop() }
  })

  describe('refusals', () => {
    const wait = async (headers: Record<string, string>, options: HttpOptions<Row> = {}): Promise<unknown> => {
      const sink = await sinkOf({ clock: new VirtualClock(1_700_000_000_000_000), ...options })
      receiver.reply = () => ({ status: 429, headers })
      return (await faultOf(sink.write(rows(1)))).details['retryAfterMs']
    }

    it('say how long to stay away: in seconds or as a date, up to a bound', async () => {
      expect(await wait({ 'retry-after': '7' })).to.equal(7_000)
      expect(await wait({ 'retry-after': new Date(1_700_000_090_000).toUTCString() })).to.equal(90_000)
      expect(await wait({ 'retry-after': '86400' })).to.equal(300_000)
      expect(await wait({ 'retry-after': '86400' }, { retryAfterMaxMs: 10 })).to.equal(10)
      expect(await wait({ 'retry-after': 'tomorrow' })).to.equal(undefined)
      expect(await wait({})).to.equal(undefined)
    })

    it('of the moment are tried again', async () => {
      const statuses = [408, 425, 429, 500, 502, 503, 504]
      receiver.reply = (_, number) => statuses[number - 1] ?? 200
      const result = await drained(3, http<Row>(receiver.url))
      expect(result).to.include({ retries: statuses.length, failed: 0 })
      expect(receiver.values).to.deep.equal(rows(3))
    })

    it('for good make dead letters, with the reason, and what follows is sent', async () => {
      for (const status of [301, 308, 400, 401, 403, 404, 405, 410, 422]) {
        receiver.reset()
        receiver.reply = (_, number) => (number === 1 ? { status, body: '  no\n such\tthing ' } : 200)
        const letters = memory<DeadLetter<Row>>({ capacity: 100 })
        const result = await drained(9, http<Row>(receiver.url, { name: 'hook' }), { deadLetters: letters })
        expect(result, String(status)).to.include({ retries: 0, failed: 1, deadLettered: 7, written: 2 })
        expect(result.ledger).to.deep.equal({ in: 9, out: 2, dropped: { rejected: 7 }, inFlight: 0 })
        expect(letters.values.map(({ value }) => value)).to.deep.equal(rows(7))
        expect(letters.values[0]).to.include({ code: 'SINK_REJECTED', reason: 'rejected', attempts: 1 })
        expect(letters.values[0]!.message).to.contain(`The sink hook was answered ${status} (no such thing). `)
        expect(receiver.requests).to.have.length(2)
        expect(receiver.values).to.deep.equal(rows(2, 7))
      }
    })

    it('by a redirect are not followed; the sentence says where it leads, and no more of it', async () => {
      const elsewhere = await HttpReceiver.start()
      try {
        const location = `${elsewhere.url}hidden?token=abcdef`
        receiver.reply = () => ({ status: 307, headers: { location } })
        const fault = await faultOf((await sinkOf()).write(rows(1)))
        expect(fault.message)
          .to.contain(`leads to ${new URL(elsewhere.url).origin})`)
          .and.not.contain('hidden')
        expect(fault.details).to.include({ status: 307, final: true })
        expect(elsewhere.connections).to.equal(0)
      } finally {
        await elsewhere.stop()
      }
    })

    it('of a body that is too large have it sent in parts, and the next bodies keep to what was learned', async () => {
      receiver.reply = ({ raw }) => (raw.length > 200 ? 413 : 200)
      const result = await drained(70, http<Row>(receiver.url), { batchMax: 35 })
      expect(result).to.include({ retries: 0, failed: 0, written: 70 })
      expect(receiver.values).to.deep.equal(rows(70))
      const refused = receiver.requests.filter(({ raw }) => raw.length > 200)
      expect(refused.length).to.be.within(1, 6)
      const bounds = receiver.taken.map(({ headers }) => /(\d+)-(\d+)$/.exec(String(headers['idempotency-key']))!)
      expect(bounds.map(([, first]) => first)).to.deep.equal(['0', ...bounds.slice(0, -1).map(([, , end]) => end)])
    })

    it('of a single value that is too large leave out that one', async () => {
      receiver.reply = ({ raw }) => (raw.length > 200 ? 413 : 200)
      const big = { n: 5, text: 'x'.repeat(300) }
      const values = [...rows(5), big, ...rows(5, 6)]
      const letters = memory<DeadLetter<Row>>({ capacity: 100 })
      const result = await drain(from([values]), http<Row>(receiver.url, { name: 'hook' }), {
        capacity: 100,
        batchMax: 11,
        onFull: 'fail',
        run: 'night',
        deadLetters: letters,
      })
      expect(result.ledger).to.deep.equal({ in: 11, out: 10, dropped: { unencodable: 1 }, inFlight: 0 })
      expect(result).to.include({ written: 10, deadLettered: 1 })
      expect(receiver.values).to.deep.equal(values.filter((value) => value !== big))
      expect(letters.values.map(({ value }) => value)).to.deep.equal([big])
      expect(letters.values[0]!.message).to.contain('answered 413')
      for (const { values: sent, headers } of receiver.taken) {
        const [, first, end] = /(\d+)-(\d+)$/.exec(String(headers['idempotency-key']))!
        expect(sent.map((value) => (value as Row).n)).to.deep.equal(
          Array.from({ length: Number(end) - Number(first) }, (_, at) => Number(first) + at),
        )
      }
    })

    it('of a part do not have the parts before it sent again', async () => {
      let refuse = true
      receiver.reply = ({ values }) => (refuse && (values[0] as Row).n >= 4 ? 503 : 200)
      const sink = await sinkOf({ bodyBytesMax: 100 })
      const batch = rows(10)
      await faultOf(sink.write(batch))
      await faultOf(sink.write(batch))
      expect(sink.counters).to.include({ written: 0, bytes: 0 })
      refuse = false
      await sink.write(batch)
      expect(receiver.values).to.deep.equal(rows(10))
      expect(sink.counters).to.include({
        written: 10,
        bytes: receiver.taken.reduce((sum, { raw }) => sum + raw.length, 0),
      })
      expect(Math.max(...receiver.requests.map(({ raw }) => raw.length))).to.be.at.most(100)
    })

    it('of a value are found by halves when asked, and by no more than that', async () => {
      const isBad = (value: unknown): boolean => [3, 4, 17].includes((value as Row).n)
      receiver.reply = ({ values }) => (values.some(isBad) ? 422 : 200)
      const letters = memory<DeadLetter<Row>>({ capacity: 100 })
      const result = await drained(20, http<Row>(receiver.url, { bisect: true }), {
        batchMax: 20,
        deadLetters: letters,
      })
      expect(result.ledger).to.deep.equal({ in: 20, out: 17, dropped: { unencodable: 3 }, inFlight: 0 })
      expect(receiver.values).to.deep.equal(rows(20).filter((value) => !isBad(value)))
      expect(letters.values.map(({ value }) => value.n)).to.deep.equal([3, 4, 17])
      expect(receiver.requests.length).to.be.below(40)
    })

    it('leave out a value without a text, or larger than any body, before anything is sent', async () => {
      const sink = await sinkOf({
        bodyBytesMax: 1_000,
        encode: (value) => {
          if (value.n === 2) throw new Error('no form')
          return JSON.stringify(value)
        },
      })
      const none = await faultOf(sink.write(rows(4)))
      expect(none).to.include({ code: 'VALUE_INVALID' })
      expect(none.details).to.include({ index: 2 })
      const big = await faultOf(sink.write([row(0), { n: 1, text: 'x'.repeat(1_000) }]))
      expect(big).to.include({ code: 'VALUE_INVALID' })
      expect(big.details).to.include({ index: 1 })
      expect(receiver.requests).to.have.length(0)
    })
  })

  describe('a receiver that does not behave', () => {
    const strangers: Server[] = []
    const sockets = new Set<Socket>()
    afterEach(async () => {
      for (const socket of sockets) socket.destroy()
      sockets.clear()
      for (const server of strangers.splice(0)) await new Promise((resolve) => server.close(resolve))
    })

    const stranger = async (connected: (socket: Socket) => void): Promise<number> => {
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined)
        connected(socket)
      })
      strangers.push(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as AddressInfo).port
    }

    const answering = (text: string): Promise<number> =>
      stranger((socket) => socket.once('data', () => void socket.write(text)))

    it('accepts and never speaks: the connection has a deadline', async () => {
      const clock = new VirtualClock(0)
      let accepted = 0
      const port = await stranger(() => accepted++)
      const sink = await sinkOf({ clock }, `https://127.0.0.1:${port}/`)
      const refused = faultOf(sink.write(rows(1)))
      await until(() => accepted === 1, 'the connection')
      clock.advance(5_000)
      const fault = await refused
      expect(fault.code).to.equal('SINK_REJECTED')
      expect(fault.message).to.contain('no connection within 5000 ms')
      expect(clock.pending).to.equal(0)
    })

    it('reads and never answers: the answer has a deadline, and the connection is given up', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ clock })
      let gone = false
      receiver.reply = () => (_, socket) => void socket.on('close', () => (gone = true))
      const refused = faultOf(sink.write(rows(1)))
      await until(() => receiver.requests.length === 1, 'the request')
      clock.advance(15_000)
      expect((await refused).message).to.contain('no answer within 15000 ms')
      await until(() => gone, 'the end of the connection')
      receiver.reply = () => 200
      await sink.write(rows(1))
      expect(receiver.connections).to.equal(2)
      expect(clock.pending).to.equal(0)
    })

    it('never ends its answer: its status counts, within a deadline', async () => {
      const clock = new VirtualClock(0)
      const sink = await sinkOf({ clock })
      for (const status of [200, 503]) {
        let sent = 0
        receiver.reply = () => (response) => void response.writeHead(status).write('a beginning', () => sent++)
        const written = sink.write(rows(1)).then(
          () => 'written',
          (fault: unknown) => (fault as Fault).message,
        )
        const settled = { is: false }
        void written.finally(() => (settled.is = true))
        await until(() => {
          if (sent === 1) clock.advance(1_000)
          return settled.is
        }, 'the end of the write')
        expect(await written).to.contain(status === 200 ? 'written' : 'answered 503 (a beginning)')
      }
      expect(clock.pending).to.equal(0)
    })

    it('answers without end: no more is read than is kept', async () => {
      const sink = await sinkOf({ answerBytesMax: 1_000 })
      let gone = false
      receiver.reply = () => (response) => {
        response.on('close', () => (gone = true))
        const pour = (): void => {
          while (!gone && response.write('x'.repeat(10_000)));
          if (!gone) response.once('drain', pour)
        }
        response.writeHead(500)
        pour()
      }
      const fault = await faultOf(sink.write(rows(1)))
      expect(fault.message).to.contain(`(${'x'.repeat(200)})`)
      await until(() => gone, 'the end of the connection')
    })

    it('speaks something else, hangs up, or is not there', async () => {
      const cases: Record<string, () => Promise<number>> = {
        garbage: () => answering('\u0016\u0003\u0001 what?\r\n\r\n'),
        'headers without end': () => answering(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(1_000_000)}`),
        'another protocol': () =>
          answering('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
        'a split answer': () => answering('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
        'hanging up': () => stranger((socket) => socket.once('data', () => socket.destroy())),
        nobody: async () => {
          const port = await stranger(() => undefined)
          await new Promise((resolve) => strangers.pop()!.close(resolve))
          return port
        },
      }
      for (const [what, start] of Object.entries(cases)) {
        const sink = await sinkOf({}, `http://127.0.0.1:${await start()}/`)
        const fault = await faultOf(sink.write(rows(1)))
        expect(fault, what).to.be.instanceOf(Fault).and.include({ code: 'SINK_REJECTED' })
        expect(fault.message, what).to.match(/^The sink hook had no answer: .*\.$/)
        expect(fault.details, what).not.to.have.property('final')
      }
    })

    it('has a certificate that nobody vouches for: nothing is sent', async () => {
      const secure = await HttpReceiver.start(true)
      try {
        const fault = await faultOf((await sinkOf({}, secure.url)).write(rows(1)))
        expect(fault.message).to.match(/self-signed certificate/)
        expect(secure.requests).to.have.length(0)
        const trusting = await sinkOf({ ca: SELF_SIGNED.cert }, secure.url)
        await trusting.write(rows(3))
        await trusting.write(rows(3, 3))
        expect(secure.values).to.deep.equal(rows(6))
        const otherName = await sinkOf({ ca: SELF_SIGNED.cert }, secure.url.replace('127.0.0.1', 'localhost'))
        expect((await faultOf(otherName.write(rows(1)))).code).to.equal('SINK_REJECTED')
        expect(secure.values).to.deep.equal(rows(6))
      } finally {
        await secure.stop()
      }
    })
  })

  it('goes through the proxy of the environment, TLS included, over one tunnel', async () => {
    const secure = await HttpReceiver.start(true)
    const tunnels: (string | undefined)[] = []
    const ends = new Set<Socket>()
    const proxy = createProxy()
    proxy.on('connect', ({ url }, client: Socket) => {
      tunnels.push(url)
      const upstream = connect(url?.endsWith(':443') === true ? secure.port : receiver.port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.pipe(client).pipe(upstream)
      })
      for (const socket of [client, upstream]) ends.add(socket.on('error', () => undefined))
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    try {
      const env = { ALL_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
      const plain = await sinkOf({}, 'http://receiver.invalid/', { env })
      const private_ = await sinkOf({ ca: SELF_SIGNED.cert }, 'https://receiver.invalid/', { env })
      const untrusting = await sinkOf({}, 'https://receiver.invalid/', { env })
      for (let n = 0; n < 3; n++) {
        await plain.write(rows(1, n))
        await private_.write(rows(1, n))
      }
      expect(receiver.values).to.deep.equal(rows(3))
      expect(secure.values).to.deep.equal(rows(3))
      expect(tunnels).to.deep.equal(['receiver.invalid:80', 'receiver.invalid:443'])
      expect((await faultOf(untrusting.write(rows(1)))).message).to.match(/self-signed certificate/)
      expect(secure.values).to.deep.equal(rows(3))
    } finally {
      for (const socket of ends) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
      await secure.stop()
    }
  })

  it('shows no secret, not even when the receiver repeats them', async () => {
    const secrets = ['passw0rd', 'qu3ryk3y', 'h3ad3rt0k3n', 'sign1ngs3cr3t', 'T0KEN0INPATH']
    const url = `http://user:${secrets[0]}@127.0.0.1:${receiver.port}/hooks/${secrets[4]}?key=${secrets[1]}#x`
    const sink = http<Row>(url, { headers: { 'X-Api-Key': `Bearer ${secrets[2]}` }, secret: secrets[3]! })
    opened.push(sink)
    await sink.open(context)
    const basic = Buffer.from(`user:${secrets[0]}`).toString('base64')
    const leaks = (fault: Fault): string[] => {
      const cause = fault.cause instanceof Error ? `${fault.cause.message} ${String(fault.cause.stack)}` : ''
      const told = `${fault.message} ${JSON.stringify(fault.details)} ${cause} ${sink.name} ${JSON.stringify(sink)}`
      return [...secrets, basic].filter((secret) => told.includes(secret))
    }
    for (const status of [401, 503, 413]) {
      receiver.reply = ({ headers, path }) => ({
        status,
        body: `${path} ${JSON.stringify(headers)} sign1ngs3cr3t passw0rd`,
      })
      const fault = await faultOf(sink.write(rows(1)))
      expect(fault.message).to.contain('***')
      expect(leaks(fault)).to.deep.equal([])
    }
    // A secret that the bound of the sentence would cut.
    receiver.reply = () => ({ status: 401, body: `${' '.repeat(50)}${'a '.repeat(95)}h3ad3rt0k3n` })
    expect((await faultOf(sink.write(rows(1)))).message).not.to.contain('h3a')
    expect(sink.name).to.equal(`http(http://127.0.0.1:${receiver.port})`)
    const wrong = [
      () => http(`ftp://me:${secrets[0]}@x.io/`),
      () => http(`http://${secrets[0]}:x:y`),
      () => http('http://x.io', { headers: { 'X-Key': `${secrets[0]}\r\nX-More: 1` } }),
    ]
    for (const create of wrong) expect(optionFault(create).message).not.to.contain(secrets[0])
  })

  it('refuses addresses, headers and options that are none, by name', async () => {
    const wrong: [string, HttpOptions<Row>, string][] = [
      ['nowhere', {}, 'url'],
      ['file:///etc/passwd', {}, 'url'],
      ['http://x.io', { headers: { 'bad name': 'x' } }, 'headers'],
      ['http://x.io', { headers: { a: 'x\r\nb: y' } }, 'headers'],
      ['http://x.io', { headers: { a: 5 as unknown as string } }, 'headers'],
      ['http://x.io', { headers: { 'Content-Length': '5' } }, 'headers'],
      ['http://x.io', { headers: { 'Idempotency-Key': '5' } }, 'headers'],
      ['http://x.io', { bodyBytesMax: 0 }, 'bodyBytesMax'],
      ['http://x.io', { connectWithinMs: NaN }, 'connectWithinMs'],
      ['http://x.io', { answerWithinMs: 2 ** 31 }, 'answerWithinMs'],
      ['http://x.io', { format: 'xml' as 'lines' }, 'format'],
    ]
    for (const [url, options, option] of wrong) {
      expect(optionFault(() => http(url, options)).details, JSON.stringify([url, option])).to.include({ option })
    }
    const opening: [HttpOptions<Row>, object, string][] = [
      [{ secretEnv: 'HOOK_SECRET' }, {}, 'secretEnv'],
      [{ secretEnv: 'HOOK_SECRET' }, { env: { HOOK_SECRET: '' } }, 'secretEnv'],
      [{ secret: '' }, {}, 'secret'],
    ]
    for (const [options, more, option] of opening) {
      const fault = await faultOf(http<Row>('http://x.io', options).open({ ...context, ...more }))
      expect(fault).to.include({ code: 'OPTION_INVALID' })
      expect(fault.details).to.include({ option })
    }
    const proxied = await faultOf(http('http://x.io').open({ ...context, env: { ALL_PROXY: 'socks5://p' } }))
    expect(proxied).to.include({ code: 'OPTION_INVALID' })
  })

  it('writes nothing before it is opened, and after it was closed', async () => {
    const sink = http<Row>(receiver.url)
    expect((await faultOf(sink.write(rows(1)))).message).to.contain('is not open')
    await sink.open(context)
    await sink.close()
    expect((await faultOf(sink.write(rows(1)))).message).to.contain('is not open')
    expect(receiver.connections).to.equal(0)
  })
})

function optionFault(create: () => unknown): Fault {
  try {
    create()
  } catch (fault) {
    expect(fault).to.be.instanceOf(Fault).and.include({ code: 'OPTION_INVALID' })
    return fault as Fault
  }
  throw new Error('it was not refused')
}
