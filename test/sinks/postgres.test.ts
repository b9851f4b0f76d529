import { expect } from 'chai'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { Client } from 'pg'
import { from } from 'rxjs'
import { EVENT_KINDS, type MarketEvent } from '../../src/model/events'
import { drain } from '../../src/sinks/drain'
import { postgres, type PostgresOptions } from '../../src/sinks/postgres'
import type { BatchKey, Sink, SinkContext } from '../../src/sinks/sink'
import { eventTable, tableNameOf } from '../../src/sinks/tables/table'
import { eventually } from '../kit/eventually'
import { POSTGRES_PASSWORD, PostgresServer } from '../kit/postgresServer'
import { anyEvent } from './anyEvent'
import { conformsAsSink, row, rows, type Row } from './conformance'
import { survivesKills } from './killed'
import { faultOf, VirtualClock } from './support'

describe('With a real PostgreSQL', () => {
  let server: PostgresServer
  let started: PostgresServer | string = ''
  let schemas = 0
  let schema = ''
  let gate: Gate

  before(async function () {
    started = await PostgresServer.start()
    if (typeof started === 'string') {
      console.log(`      ${started}`)
      return this.skip()
    }
    server = started
  })
  after(async () => {
    if (typeof started !== 'string') await started.stop()
  })

  /** A schema and a way of its own for each test. */
  beforeEach(async () => {
    gate = await Gate.to(server.port)
    schema = `Test "${++schemas}"`
    await sql(`CREATE SCHEMA ${inSql(schema)}`)
  })

  afterEach(() => gate.close())

  async function sql<R = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<R[]> {
    const client = new Client({ connectionString: server.url })
    await client.connect()
    try {
      if (schema !== '' && !text.startsWith('CREATE SCHEMA'))
        await client.query(`SET search_path = ${inSql(schema)}, public`)
      return (await client.query(text, values)).rows as R[]
    } finally {
      await client.end()
    }
  }

  conformsAsSink('postgres', {
    keeps: 'all',
    create: () => {
      const sink = postgres<Row>({ ...gate.options(server), schema })
      return {
        sink,
        read: () => sql<Row>('SELECT n, text FROM rows ORDER BY ctid'),
        breakIt: () => gate.refuse(),
        repairIt: () => gate.accept(),
      }
    },
  })

  survivesKills('postgres', () =>
    Promise.resolve({
      place: { outDir: '', url: server.url },
      remove: async () => {
        await sql('DROP TABLE IF EXISTS public.rows, public.millrace_progress')
      },
    }),
  )

  describe('postgres', () => {
    const context: SinkContext = { outDir: '', clock: new VirtualClock(1_700_000_000_000_000) }
    const opened: Sink<never>[] = []
    const key = (from: number, to: number, run = 'monday'): BatchKey => ({ run, from, to })

    afterEach(async () => {
      for (const sink of opened.splice(0)) await sink.close()
    })

    function sinkOf<T>(options: PostgresOptions = {}): Sink<T> {
      const sink = postgres<T>({ connection: server.url, schema, ...options })
      opened.push(sink)
      return sink
    }

    it('has every field of every kind of event as it was', async () => {
      const sink = sinkOf<MarketEvent>()
      const events = EVENT_KINDS.flatMap((kind) => [anyEvent(kind, 1), anyEvent(kind, 2)])
      await sink.open(context)
      await sink.write(events)
      for (const kind of EVENT_KINDS) {
        const { columns } = eventTable(kind)
        const selected = columns.map(({ name, type }) =>
          type === 'timeUs'
            ? `(extract(epoch FROM "${name}") * 1000000)::float8 AS "${name}"`
            : type === 'integer'
              ? `"${name}"::float8`
              : `"${name}"`,
        )
        const found = await sql(
          `SELECT ${selected.join(', ')} FROM ${tableNameOf({ kind, exchange: '' })!} WHERE kind = $1 ORDER BY ctid`,
          [kind],
        )
        const wanted = events
          .filter((event) => event.kind === kind)
          .map((event) =>
            Object.fromEntries(
              columns.map(({ name }) => [name, (event as unknown as Record<string, unknown>)[name] ?? null]),
            ),
          )
        expect(found).to.deep.equal(wanted)
      }
    })

    it('keeps numbers and times to the last bit, and absence and what is no number as NULL', async () => {
      const sink = sinkOf<unknown>({ table: 'cells', columns: { x: 'number', n: 'integer', at: 'timeUs', t: 'text' } })
      const numbers = [5e-324, -0.1, 1.7976931348623157e308, 0.1 + 0.2, NaN, -Infinity, undefined]
      const wholes = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -1, 0, 2 ** 32, -(2 ** 32), null]
      const times = [0, -1, 1_700_000_000_123_457, -62_000_000_000_000_000 / 10, 946_684_800_000_000, 1, undefined]
      await sink.open(context)
      await sink.write(numbers.map((x, at) => ({ x, n: wholes[at], at: times[at], t: at === 0 ? '' : undefined })))
      const found = await sql(
        'SELECT x, n::text, (extract(epoch FROM at) * 1000000)::int8::text AS at, t FROM cells ORDER BY ctid',
      )
      expect(found).to.deep.equal(
        numbers.map((x, at) => ({
          x: Number.isFinite(x) ? x : null,
          n: wholes[at]?.toString() ?? null,
          at: times[at]?.toString() ?? null,
          t: at === 0 ? '' : null,
        })),
      )
    })

    it('writes more than it encodes at once, in order, with long texts among them', async () => {
      const sink = sinkOf<Row>()
      const many = rows(20_000).map((one) => (one.n % 5_000 === 7 ? { ...one, text: 'längs '.repeat(50_000) } : one))
      await sink.open(context)
      await sink.write(many)
      expect(await sql('SELECT n, text FROM rows ORDER BY ctid')).to.deep.equal(many)
      expect(sink.counters.bytes).to.be.greaterThan(4 * 7 * 50_000)
    })

    it('remembers how far a run has come, and is not given the same values twice', async () => {
      const first = sinkOf<Row>()
      await first.open({ ...context, run: 'monday' })
      await first.write(rows(3), key(0, 3))
      await first.close()
      const result = await drain(from([rows(8)]), sinkOf<Row>(), {
        ...{ capacity: 10, batchMax: 2, onFull: 'fail', run: 'monday' },
      })
      expect(result.ledger).to.deep.equal({ in: 8, out: 5, dropped: { alreadyWritten: 3 }, inFlight: 0 })
      const other = sinkOf<Row>()
      await other.open({ ...context, run: 'tuesday' })
      expect(other.position?.()).to.equal(0)
      expect(await sql('SELECT n, text FROM rows ORDER BY ctid')).to.deep.equal(rows(8))
    })

    it('keeps no progress of runs without a name once they are closed', async () => {
      const sink = sinkOf<Row>()
      await sink.open(context)
      await sink.write(rows(1))
      expect((await sql('SELECT run FROM millrace_progress')).length).to.equal(1)
      await sink.close()
      expect(await sql('SELECT run FROM millrace_progress')).to.deep.equal([])
    })

    it('stops one who writes a run that another has taken over', async () => {
      const one = sinkOf<Row>()
      const two = sinkOf<Row>()
      await one.open({ ...context, run: 'monday' })
      await one.write(rows(2), key(0, 2))
      await two.open({ ...context, run: 'monday' })
      expect(two.position?.()).to.equal(2)
      await faultOf(one.write(rows(2, 2), key(2, 4)))
      await two.write(rows(2, 2), key(2, 4))
      const fault = await faultOf(one.write(rows(2, 2), key(2, 4)))
      expect(fault.code).to.equal('OPTION_INVALID')
      expect(fault.message).to.contain('has taken over the run "monday"')
      expect(await sql('SELECT n, text FROM rows ORDER BY ctid')).to.deep.equal(rows(4))
    })

    for (const seen of [false, true]) {
      it(`resolves a commit whose answer was lost: it had ${seen ? '' : 'not '}reached the server`, async () => {
        const sink = sinkOf<Row>(gate.options(server))
        await sink.open({ ...context, run: 'monday' })
        await sink.write(rows(2), key(0, 2))
        gate.cutAtCommit(seen ? 'after' : 'before')
        const batch = rows(3, 2)
        const fault = await faultOf(sink.write(batch, key(2, 5)))
        expect(fault.code).to.equal('SINK_REJECTED')
        if (seen) await eventually(async () => expect((await sql('SELECT n FROM rows')).length).to.equal(5))
        else expect((await sql('SELECT n FROM rows')).length).to.equal(2)
        gate.accept()
        await sink.write(batch, key(2, 5))
        await sink.write(rows(2, 5), key(5, 7))
        expect(sink.position?.()).to.equal(7)
        expect(sink.counters.written).to.equal(7)
        expect(await sql('SELECT n, text FROM rows ORDER BY ctid')).to.deep.equal(rows(7))
      })
    }

    it('goes on after the server was down at the start, and after it crashed', async () => {
      const faults: string[] = []
      await server.crash()
      const sink = sinkOf<Row>()
      let back: Promise<void> | undefined
      let crashes = 0
      const source = rows(60)
      const draining = drain(from([source]), sink, {
        ...{ capacity: 100, batchMax: 10, onFull: 'fail', run: 'monday', closeWithinMs: 60_000 },
        retry: { attempts: 10_000, firstMs: 1, capMs: 20 },
        onWritten: () => {
          if (crashes++ === 2) back = server.crash().then(() => server.resume())
        },
        onFault: (fault) => faults.push(fault.message),
      })
      await eventually(() => expect(sink.counters.retries).to.be.greaterThan(2))
      await server.resume()
      const result = await draining
      await back
      expect(result.ledger).to.deep.equal({ in: 60, out: 60, dropped: {}, inFlight: 0 })
      expect(await sql('SELECT n, text FROM rows ORDER BY n')).to.deep.equal(source)
      expect(faults).to.deep.equal([])
    })

    it('says that nobody listens, that it is refused, and that there is no such database', async () => {
      const { port } = server
      const password = encodeURIComponent(POSTGRES_PASSWORD)
      const unused = createServer().listen(0, '127.0.0.1')
      await once(unused, 'listening')
      const free = (unused.address() as AddressInfo).port
      unused.close()
      await once(unused, 'close')
      for (const [connection, said, state] of [
        [
          `postgres://millrace:${password}@127.0.0.1:${free}/postgres`,
          'no server listens there',
          { errno: 'ECONNREFUSED' },
        ],
        [
          `postgres://millrace:wrong-secret@127.0.0.1:${port}/postgres`,
          'refuses the user or the password',
          { sqlState: '28P01' },
        ],
        [
          `postgres://millrace:${password}@127.0.0.1:${port}/nowhere`,
          'no database of that name',
          { sqlState: '3D000' },
        ],
      ] as const) {
        const fault = await faultOf(sinkOf<Row>({ connection }).open(context))
        expect(fault.code).to.equal('SINK_REJECTED')
        expect(fault.message).to.contain(said).and.to.contain('PostgreSQL at 127.0.0.1:')
        expect(fault.details).to.deep.include(state)
      }
      const fault = await faultOf(sinkOf<Row>({ schema: 'nowhere' }).open(context))
      expect(fault.message).to.contain('no schema of that name')
    })

    it('gives up a server that accepts and never answers', async () => {
      gate.hang()
      const { connection } = gate.options(server)
      const fault = await faultOf(sinkOf<Row>({ connection, connectWithinMs: 100 }).open(context))
      expect(fault.code).to.equal('SINK_REJECTED')
      expect(fault.message).to.contain('did not accept a session within 0.1 s')
    })

    it('gives up a statement that is not answered in time, and writes it when it is', async () => {
      const sink = sinkOf<Row>({ statementWithinMs: 500 })
      await sink.open(context)
      await sink.write(rows(1))
      const holder = new Client({ connectionString: server.url })
      await holder.connect()
      await holder.query(`BEGIN; LOCK TABLE ${inSql(schema)}.rows IN ACCESS EXCLUSIVE MODE`)
      const batch = rows(2, 1)
      const fault = await faultOf(sink.write(batch))
      expect(fault.code).to.equal('SINK_REJECTED')
      expect(fault.message).to.contain('did not answer within 0.5 s')
      await holder.query('ROLLBACK')
      await holder.end()
      await eventually(() => sink.write(batch))
      expect(await sql('SELECT n, text FROM rows ORDER BY ctid')).to.deep.equal(rows(3))
    })

    it('tells its password to nobody', async () => {
      const connection = server.url
      const sink = sinkOf<unknown>({ connection })
      const seen: unknown[] = [sink, sink.name]
      await sink.open(context)
      seen.push(sink, await faultOf(sink.write([{ a: 1, b: `\0${POSTGRES_PASSWORD}` }])))
      await sink.close()
      const port = await closedPort()
      const wrong = connection.replace(`:${server.port}/`, `:${port}/`)
      seen.push(await faultOf(sinkOf({ connection: wrong }).open(context)))
      seen.push(await faultOf(sinkOf({ connection: `${connection}-${POSTGRES_PASSWORD.slice(0, 2)}` }).open(context)))
      for (const bad of [`mysql://u:${POSTGRES_PASSWORD}@h/d`, `:${POSTGRES_PASSWORD}`]) {
        try {
          postgres({ connection: bad })
        } catch (fault) {
          seen.push(fault)
        }
      }
      const told = seen.map((one) => inspect(one, { depth: 20, showHidden: false }) + JSON.stringify(one))
      expect(told.length).to.equal(8)
      for (const text of told) {
        expect(text).not.to.contain(POSTGRES_PASSWORD).and.not.to.contain(encodeURIComponent(POSTGRES_PASSWORD))
      }
    })

    it('leaves out only the row that the server refuses, whatever the reason', async () => {
      await sql(
        `CREATE TABLE checked (n float8 CHECK (n <> 7), text text NOT NULL, note jsonb, UNIQUE (text) DEFERRABLE INITIALLY DEFERRED)`,
      )
      const columns = { n: 'number', text: 'text', note: 'json' } as const
      const bad: [string, unknown][] = [
        ['a check', { n: 7, text: 'seven' }],
        ['a missing text', { n: 1 }],
        ['a NUL', { n: 2, text: 'a\0b' }],
        ['a NUL in JSON', { n: 3, text: 'json', note: ['a\0b'] }],
        ['a text that is there, noticed at the end of the transaction', { n: 4, text: row(0).text }],
        ['a value of another type', { n: 'five', text: 'x' }],
      ]
      const indexes: unknown[] = []
      const batch: unknown[] = [...rows(3_000)]
      for (const [at, [, value]] of bad.entries()) batch.splice(at * 400 + 450, 0, value)
      const good = batch.filter((value) => !bad.some(([, refused]) => refused === value) && (value as Row).n !== 7)
      const result = await drain(
        from([batch.filter((value) => good.includes(value) || bad.some(([, b]) => b === value))]),
        sinkOf<unknown>({ table: 'checked', columns }),
        {
          ...{ capacity: 10_000, batchMax: 10_000, onFull: 'fail', closeWithinMs: 60_000 },
          onFault: ({ details, message }) => {
            indexes.push(details['index'])
            expect(message).to.match(/^The sink postgres\(checked\) cannot write a value: .* The value is left out\.$/s)
          },
        },
      )
      expect(indexes.length).to.equal(bad.length)
      expect(result.ledger.dropped).to.deep.equal({ unencodable: bad.length })
      expect(await sql('SELECT n FROM checked ORDER BY n')).to.deep.equal(
        good.map((value) => ({ n: (value as Row).n })),
      )
    })

    it('refuses a table that is there with other columns, with the difference, and leaves it as it is', async () => {
      await sql('CREATE TABLE trades (kind text, price numeric(18, 2), venue text)')
      const sink = sinkOf<MarketEvent>()
      await sink.open(context)
      const fault = await faultOf(sink.write([anyEvent('trade', 1)]))
      expect(fault.code).to.equal('OPTION_INVALID')
      expect(fault.message).to.contain('it has no column "exchange" (text)')
      expect(fault.message).to.contain('its column "price" is numeric(18,2), not double precision')
      expect(fault.message).to.contain('it has a column "venue" (text) too many')
      expect(
        (await sql("SELECT attname FROM pg_attribute WHERE attrelid = 'trades'::regclass AND attnum > 0")).length,
      ).to.equal(3)
    })

    it('goes on with a table that it has made, and makes one anew that was dropped', async () => {
      for (const at of [0, 1]) {
        const sink = sinkOf<MarketEvent>()
        await sink.open(context)
        await sink.write([anyEvent('candle', at)])
        await sink.close()
      }
      expect((await sql('SELECT * FROM candles')).length).to.equal(2)
      const sink = sinkOf<MarketEvent>()
      await sink.open(context)
      await sink.write([anyEvent('candle', 2)])
      await sql('DROP TABLE candles')
      const batch = [anyEvent('candle', 3)]
      expect((await faultOf(sink.write(batch))).message).to.contain('does not exist')
      await sink.write(batch)
      expect((await sql('SELECT * FROM candles')).length).to.equal(1)
    })

    it('quotes names, whatever they are made of', async () => {
      const table = `a"b; DROP TABLE "rows"; --`
      const sink = sinkOf<unknown>({ table })
      await sink.open(context)
      await sink.write([{ [`x"y'; --`]: 1, select: 2 }])
      expect(await sql(`SELECT * FROM ${inSql(table)}`)).to.deep.equal([{ [`x"y'; --`]: 1, select: 2 }])
      for (const bad of ['', 'a\0b', 'x'.repeat(64)]) {
        expect(() => postgres({ table: bad })).to.throw('a name is 1 to 63 bytes')
        expect(() => postgres({ schema: bad })).to.throw('a name is 1 to 63 bytes')
        const other = sinkOf<unknown>()
        await other.open(context)
        const fault = await faultOf(other.write([{ fine: 1 }, { [bad]: 1 }]))
        expect(fault.code).to.equal('VALUE_INVALID')
        expect(fault.details).to.deep.include({ index: 1 })
      }
    })

    it('makes hypertables where the extension timescaledb is, and only of tables with a time', async () => {
      // The extension itself is not Debian's: its row and its function stand for it.
      await sql('SET allow_system_table_mods = on')
      await sql(`CREATE TABLE made (relation text, of_column text, defaults boolean)`)
      await sql(`
        SET allow_system_table_mods = on;
        CREATE FUNCTION create_hypertable(relation regclass, time_column_name name, if_not_exists boolean DEFAULT false, create_default_indexes boolean DEFAULT true)
          RETURNS void LANGUAGE sql AS $$ INSERT INTO ${inSql(schema)}.made VALUES (relation::text, time_column_name, create_default_indexes) $$;
        INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
          SELECT 99999, 'timescaledb', 10, oid, false, '2.17' FROM pg_namespace WHERE nspname = '${schema}'`)
      try {
        const sink = sinkOf<unknown>()
        await sink.open(context)
        await sink.write([anyEvent('trade', 1), { n: 1 }])
        await sink.write([anyEvent('trade', 3)])
        expect(await sql('SELECT * FROM made')).to.deep.equal([
          { relation: `${inSql(schema)}.trades`, of_column: 'receiveTimeUs', defaults: false },
        ])
      } finally {
        await sql("SET allow_system_table_mods = on; DELETE FROM pg_extension WHERE extname = 'timescaledb'")
      }
    })
  })
})

/** What stands between the sink and the server, as a network does. */
class Gate {
  private readonly sockets = new Set<Socket>()
  private readonly listener: Server
  private mode: 'accept' | 'refuse' | 'hang' = 'accept'
  private cut: 'before' | 'after' | undefined

  private constructor(private readonly port: number) {
    this.listener = createServer((socket) => this.let(socket))
  }

  static async to(port: number): Promise<Gate> {
    const gate = new Gate(port)
    gate.listener.listen(0, '127.0.0.1')
    await once(gate.listener, 'listening')
    return gate
  }

  options(server: PostgresServer): { connection: string } {
    const { port } = this.listener.address() as AddressInfo
    return { connection: server.url.replace(`:${server.port}/`, `:${port}/`) }
  }

  accept(): void {
    this.mode = 'accept'
    this.cut = undefined
  }

  refuse(): void {
    this.mode = 'refuse'
    for (const socket of this.sockets) socket.destroy()
  }

  hang(): void {
    this.mode = 'hang'
  }

  /** The connection is cut when a commit is on its way: before or after it has come to the server. */
  cutAtCommit(when: 'before' | 'after'): void {
    this.cut = when
  }

  close(): void {
    this.refuse()
    this.listener.close()
  }

  private let(socket: Socket): void {
    this.keep(socket)
    if (this.mode === 'refuse') socket.destroy()
    if (this.mode !== 'accept') return
    const onward = connect(this.port, '127.0.0.1')
    this.keep(onward)
    socket.on('data', (bytes) => {
      const isCut = this.cut !== undefined && bytes.includes('COMMIT\0')
      if (isCut && this.cut === 'before') return this.refuse()
      onward.write(bytes)
      // What comes back now is the answer to it.
      if (isCut) onward.removeAllListeners('data').on('data', () => this.refuse())
    })
    onward.on('data', (bytes) => socket.write(bytes))
    onward.on('close', () => socket.destroy())
    socket.on('close', () => onward.destroy())
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket))
  }
}

function inSql(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
