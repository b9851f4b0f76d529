import { expect } from 'chai'
import { SenderBufferV1, SenderBufferV2, SenderOptions } from '@questdb/nodejs-client'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { from } from 'rxjs'
import { EVENT_KINDS, type MarketEvent } from '../../src/model/events'
import { drain } from '../../src/sinks/drain'
import { questdb, type QuestDbOptions } from '../../src/sinks/questdb'
import { LineBuffer, LineWriter } from '../../src/sinks/tables/questdbLines'
import type { Sink, SinkContext } from '../../src/sinks/sink'
import { declaredTable, eventTable, tableNameOf, TableRows } from '../../src/sinks/tables/table'
import { QuestDbServer, type QuestRow, type QuestValue } from '../kit/questdbServer'
import { anyEvent } from './anyEvent'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { survivesKills } from './killed'
import { faultOf, VirtualClock } from './support'

describe('With a listener that speaks as QuestDB', () => {
  let server: QuestDbServer
  const opened: Sink<never>[] = []

  beforeEach(async () => {
    server = await QuestDbServer.start()
  })
  afterEach(async () => {
    for (const sink of opened.splice(0)) await sink.close()
    await server.stop()
  })

  function sinkOf<T>(options: QuestDbOptions = {}): Sink<T> {
    const sink = questdb<T>({ url: server.url, ...options })
    opened.push(sink)
    return sink
  }

  conformsAsSink('questdb', {
    keeps: 'all',
    create: () => ({
      sink: sinkOf<Row>(),
      read: () => Promise.resolve(server.rowsOf('rows').map(({ values }) => values as unknown as Row)),
      breakIt: () => void (server.mode = 'refuse'),
      repairIt: () => void (server.mode = 'accept'),
    }),
  })

  survivesKills('questdb', async () => {
    const own = await QuestDbServer.start()
    return { place: { outDir: '', url: own.url }, remove: () => own.stop() }
  })

  describe('questdb', () => {
    const context: SinkContext = { outDir: '', clock: new VirtualClock(1_700_000_000_000_000) }

    for (const versions of [[1, 2], [1], undefined]) {
      it(`has every field of every kind of event as it was, of a server with versions ${versions?.join(' and ') ?? 'unsaid'}`, async () => {
        server.versions = versions
        const sink = sinkOf<MarketEvent>()
        const events = EVENT_KINDS.flatMap((kind) => [anyEvent(kind, 1), anyEvent(kind, 2)])
        await sink.open(context)
        await sink.write(events)
        const hasArrays = versions?.includes(2) === true
        for (const kind of EVENT_KINDS) {
          const found = server
            .rowsOf(tableNameOf({ kind, exchange: '' })!)
            .filter(({ values }) => values['kind'] === kind)
          const wanted = events.filter((event) => event.kind === kind).map((event) => questRowOf(event, hasArrays))
          expect(found).to.deep.equal(wanted)
        }
      })
    }

    it('makes tables with the types of their fields, a timestamp, and keys that make a row unique', async () => {
      const sink = sinkOf<unknown>({ dedup: ['symbol', 'id'] })
      await sink.open(context)
      await sink.write([anyEvent('trade', 1)])
      expect(server.tables.get('trades')!.sql).to.equal(
        'CREATE TABLE IF NOT EXISTS "trades" ("kind" SYMBOL, "exchange" SYMBOL, "symbol" SYMBOL, "instrument" SYMBOL, "exchangeTimeUs" TIMESTAMP, "receiveTimeUs" TIMESTAMP, "id" VARCHAR, "side" SYMBOL, "price" DOUBLE, "size" DOUBLE, "history" BOOLEAN) TIMESTAMP("receiveTimeUs") PARTITION BY DAY WAL DEDUP UPSERT KEYS("receiveTimeUs", "symbol", "id")',
      )
      await sinkOf<unknown>().write([{ n: 1 }])
      expect(server.tables.get('rows')!.sql).to.contain('"timestamp" TIMESTAMP) TIMESTAMP("timestamp")')
    })

    it("writes the bytes that the server's own client writes", async () => {
      const values = [
        { s: 'a b,c=d\\e\nf', t: 'say "x", a\\b\nc', x: 0.1, n: -5, at: 1_700_000_000_000_001, ok: true },
        { s: '日本', t: '', x: 1e-300, n: Number.MAX_SAFE_INTEGER, at: 0, ok: false },
      ]
      const columns = { s: 'text', t: 'text', x: 'number', n: 'integer', at: 'timeUs', ok: 'boolean' } as const
      const table = declaredTable('test', { ...columns, bids: 'levels', when: 'timeUs' })!
      for (const isBinary of [false, true]) {
        const theirs = new (isBinary ? SenderBufferV2 : SenderBufferV1)(
          await SenderOptions.fromConfig(`tcp::addr=x;protocol_version=${isBinary ? 2 : 1}`),
        )
        const layout = { table: 'my table', symbols: new Set(['s']), timestamp: 'when', isBinary, hasArrays: isBinary }
        const writer = new LineWriter('test', { ...layout, rows: new TableRows('test', table) })
        const ours = new LineBuffer()
        for (const [at, value] of values.entries()) {
          theirs.table('my table').symbol('s', value.s).stringColumn('t', value.t).floatColumn('x', value.x)
          theirs.intColumn('n', value.n).timestampColumn('at', value.at, 'us').booleanColumn('ok', value.ok)
          if (isBinary)
            theirs.arrayColumn('bids', [
              [1.5, 1],
              [2, 0],
            ])
          theirs.at(1_700_000_000_000_000_000n + BigInt(at) * 1_000n, 'ns')
          const bids = isBinary
            ? {
                bids: [
                  [1.5, 2],
                  [1, 0],
                ],
              }
            : {}
          writer.write({ ...value, ...bids, when: 1_700_000_000_000_000 + at }, at, ours)
        }
        // Version 2 of their client marks the unit of the row's own time, which is that of the request.
        const sent = theirs
          .toBufferNew()
          .toString('latin1')
          .replaceAll(/(\d)n\n/g, '$1\n')
        expect(ours.take().toString('latin1')).to.equal(sent)
      }
    })

    it('is read whole however long the batch is, and lets the loop go on', async () => {
      const sink = sinkOf<Row>()
      await sink.open(context)
      const many = rows(20_000).map((one) =>
        one.n % 5_000 === 7 ? { ...one, text: 'läng\\st "\n'.repeat(30_000) } : one,
      )
      let turns = 0
      const count = (): void => {
        turns++
        if (turns > 0) next = setImmediate(count)
      }
      let next = setImmediate(count)
      await sink.write(many)
      clearImmediate(next)
      expect(server.rowsOf('rows').map(({ values }) => values)).to.deep.equal(many)
      expect(turns).to.be.greaterThan(20)
      expect(sink.counters.written).to.equal(20_000)
    })

    it('leaves out only the value that does not fit, or whose line the server refuses', async () => {
      server.refuses = ({ values }) => (values['n'] === 5 ? 'table: rows, column: n; not five' : undefined)
      const faults: [unknown, string][] = []
      const values = [...rows(3), { n: 'three', text: '' }, row(4), row(5), row(6), {}]
      const result = await drain(from([values]), sinkOf<unknown>({ columns: { n: 'number', text: 'text' } }), {
        ...{ capacity: 10, batchMax: 10, onFull: 'fail' },
        onFault: ({ code, details, message }) => {
          expect(code).to.equal('VALUE_INVALID')
          faults.push([details['index'], message])
        },
      })
      expect(faults.map(([index]) => index)).to.deep.equal([3, 6, 4])
      expect(faults[2]![1]).to.match(/refuses it \(.*error in line 5: table: rows, column: n; not five\)/)
      expect(result.ledger).to.deep.equal({ in: 8, out: 5, dropped: { unencodable: 3 }, inFlight: 0 })
      expect(server.rowsOf('rows').map(({ values }) => values['n'])).to.deep.equal([0, 1, 2, 4, 6])
    })

    it('refuses a table that is there with other columns, with the difference', async () => {
      server.tables.set('trades', {
        columns: new Map([
          ['kind', 'SYMBOL'],
          ['price', 'FLOAT'],
          ['venue', 'SYMBOL'],
          ['receiveTimeUs', 'TIMESTAMP'],
        ]),
        ...{ designated: 'receiveTimeUs', sql: undefined, rows: [] },
      })
      const sink = sinkOf<MarketEvent>()
      await sink.open(context)
      const fault = await faultOf(sink.write([anyEvent('trade', 1)]))
      expect(fault.code).to.equal('OPTION_INVALID')
      expect(fault.message).to.contain('it has no column "exchange" (VARCHAR)')
      expect(fault.message).to.contain('its column "price" is FLOAT, not DOUBLE')
      expect(fault.message).to.contain('it has a column "venue" (VARCHAR) too many')
    })

    it('goes on with a table that is there, as it has its text, its levels and its time', async () => {
      const columns = new Map([
        ['at', 'TIMESTAMP'],
        ['name', 'STRING'],
        ['bids', 'VARCHAR'],
        ['side', 'SYMBOL'],
      ])
      server.tables.set('mine', {
        columns: new Map([...columns, ['timestamp', 'TIMESTAMP']]),
        designated: 'timestamp',
        sql: undefined,
        rows: [],
      })
      const types = { at: 'timeUs', name: 'text', bids: 'levels', side: 'text' } as const
      const sink = sinkOf<unknown>({ table: 'mine', columns: types, timestamp: 'at' })
      await sink.open(context)
      await sink.write([{ at: 5, name: 'x', bids: [[1, 2]], side: 'buy' }])
      expect(server.rowsOf('mine')).to.deep.equal([
        { values: { at: { timeUs: '5' }, name: 'x', bids: '[[1,2]]', side: 'buy' }, time: undefined },
      ])
    })

    it('sends a batch again whose answer was lost: it may be there twice, and no half of it', async () => {
      const sink = sinkOf<Row>()
      await sink.open(context)
      await sink.write(rows(1))
      server.mode = 'lost'
      const batch = rows(2, 1)
      expect((await faultOf(sink.write(batch))).code).to.equal('SINK_REJECTED')
      server.mode = 'accept'
      await sink.write(batch)
      expect(sink.counters.written).to.equal(3)
      expect(server.rowsOf('rows').length).to.equal(5)
    })

    it('says that nobody listens, that nobody answers, that the connection is closed, and what is refused', async () => {
      const unused = createServer().listen(0, '127.0.0.1')
      await once(unused, 'listening')
      const { port } = unused.address() as AddressInfo
      unused.close()
      await once(unused, 'close')
      const down = await faultOf(sinkOf<Row>({ url: `http://127.0.0.1:${port}` }).open(context))
      expect(down.message).to.match(/^The sink questdb cannot write to QuestDB at 127\.0\.0\.1:\d+: no server listens/)
      server.mode = 'deaf'
      const deaf = await faultOf(sinkOf<Row>({ answerWithinMs: 50 }).open(context))
      expect(deaf.message).to.contain('did not answer within 0.05 s')
      server.mode = 'reset'
      expect((await faultOf(sinkOf<Row>().open(context))).message).to.match(
        /has closed the connection|closed the connection before/,
      )
      server.mode = 'refuse'
      const refused = await faultOf(sinkOf<Row>().open(context))
      expect(refused.message).to.contain('it answers 503, out of disk space.')
      expect([down.code, deaf.code, refused.code]).to.deep.equal(['SINK_REJECTED', 'SINK_REJECTED', 'SINK_REJECTED'])
      expect(refused.details).to.deep.include({ status: 503 })
    })

    it('shows who it is to the server, and to nobody else', async () => {
      const secret = 'open-sesame'
      const seen: unknown[] = []
      for (const options of [{ username: 'u', password: secret }, { token: secret }]) {
        const sink = sinkOf<Row>(options)
        await sink.open(context)
        server.mode = 'refuse'
        seen.push(sink, await faultOf(sink.write(rows(1))))
        server.mode = 'accept'
      }
      expect(server.authorizations).to.include(`Basic ${Buffer.from(`u:${secret}`).toString('base64')}`)
      expect(server.authorizations).to.include(`Bearer ${secret}`)
      for (const url of [`http://u:${secret}@h`, `tcp://${secret}`, secret]) {
        try {
          questdb({ url })
        } catch (fault) {
          seen.push(fault)
        }
      }
      expect(seen.length).to.equal(7)
      for (const one of seen) expect(inspect(one, { depth: 20 }) + JSON.stringify(one)).not.to.contain(secret)
    })

    it('refuses names that the server cannot have', async () => {
      for (const bad of ['', 'a\0b', 'x'.repeat(300), 'a"b', 'a/../b', "a'b", 'a\nb']) {
        expect(() => questdb({ table: bad }), bad).to.throw('a name is 1 to 127 bytes')
        expect(() => questdb({ dedup: [bad] }), bad).to.throw('cannot have')
        const sink = sinkOf<unknown>()
        await sink.open(context)
        expect((await faultOf(sink.write([{ fine: 1 }, { [bad]: 1 }]))).details).to.deep.include({ index: 1 })
      }
    })
  })
})

function questRowOf(event: MarketEvent, hasArrays: boolean): QuestRow {
  const values: Record<string, QuestValue> = {}
  for (const { name, type } of eventTable(event.kind).columns) {
    const field = (event as unknown as Record<string, QuestValue | undefined>)[name]
    if (field === undefined || name === 'receiveTimeUs') continue
    const levels = field as unknown as [number, number][]
    if (type === 'timeUs') values[name] = { timeUs: JSON.stringify(field) }
    else if (type === 'integer') values[name] = { integer: JSON.stringify(field) }
    else if (type === 'json' || (type === 'levels' && !hasArrays)) values[name] = JSON.stringify(field)
    else if (type !== 'levels') values[name] = field
    else if (levels.length > 0) values[name] = [levels.map(([price]) => price), levels.map(([, size]) => size)]
  }
  return { values, time: `${event.receiveTimeUs}000` }
}
