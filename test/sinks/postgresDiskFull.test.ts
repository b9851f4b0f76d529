/**
 * What is owed when the disk of a PostgreSQL server is full, of its tables or of its write-ahead log: the run goes on and says
 * what is wrong, what is given up goes where dead letters go, and when there is room again writing resumes behind what was
 * acknowledged. Each value is in the table or among the dead letters, and in one of them once.
 */
import { expect } from 'chai'
import path from 'node:path'
import { Client } from 'pg'
import { Subject } from 'rxjs'
import type { Fault } from '../../src/model/fault'
import { pipeline } from '../../src/pipeline/pipeline'
import type { DeadLetter } from '../../src/sinks/deadLetter'
import { memory } from '../../src/sinks/memory'
import { postgres } from '../../src/sinks/postgres'
import { expectBalanced } from '../../src/testing/ledger'
import { PostgresServer } from '../kit/postgresServer'
import { SmallDisk } from '../kit/smallDisk'
import type { Row } from './conformance'
import { numberedRow } from './numberedRow'
import { TestFolder, until } from './support'

/** For tables of rows like these. */
const TABLES_BYTES = 4 * 1024 * 1024
/** PostgreSQL begins with some segments of one MiB each, and keeps a few ready. */
const LOG_BYTES = 16 * 1024 * 1024
const BATCH = 40
/** More than may wait for the disk by the retry budget of the edge. */
const BATCHES_MEANWHILE = 50

describe('A full disk of a PostgreSQL server', () => {
  let disk: SmallDisk | undefined
  let server: PostgresServer | undefined
  let folder: TestFolder

  beforeEach(async () => {
    folder = await TestFolder.create()
  })
  afterEach(async () => {
    await server?.stop()
    server = undefined
    await disk?.unmount()
    disk = undefined
    await folder.remove()
  })

  /** The server is not to be had where there is no PostgreSQL, the disk where there may be no mounting. */
  async function begin(test: Mocha.Context, bytes: number, isForLog: boolean): Promise<void> {
    const mounted = await SmallDisk.mount(bytes)
    if (typeof mounted === 'string') skip(test, mounted)
    disk = mounted
    const started = await PostgresServer.start(isForLog ? { logFolder: path.join(disk.folder, 'log') } : {})
    if (typeof started === 'string') skip(test, started)
    server = started
  }

  async function sql<R = Record<string, unknown>>(text: string): Promise<R[]> {
    const client = new Client({ connectionString: server!.url })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return (await client.query(text)).rows as R[]
    } finally {
      await client.end()
    }
  }

  /** Rows go to the table from before the disk is full until after there is room again. */
  async function writeThroughIt({ isTold, comeBack }: Trouble): Promise<Fault[]> {
    const { url } = server!
    const given = memory<DeadLetter<Row>>({ capacity: 10_000_000 })
    const elsewhere = memory<Row>({ capacity: 10_000_000 })
    const sink = postgres<Row>({ connection: url })
    const faults: Fault[] = []
    const source = new Subject<readonly Row[]>()
    const run = pipeline('full-server', ({ source: from, sink: into }) => {
      const rows = from('rows', source, { capacity: 100_000, onFull: 'block' })
      into(rows, sink, {
        capacity: 100_000,
        onFull: 'block',
        batchMax: BATCH,
        flushMs: 0,
        retry: { attempts: 3, firstMs: 1, capMs: 2 },
        deadLetters: given,
        name: 'full',
      })
      into(rows, elsewhere, { capacity: 100_000, onFull: 'block', name: 'elsewhere' })
    }).start({ out: folder.outDir, runId: 'monday', onFault: (fault) => faults.push(fault) })
    await run.ready

    let sent = 0
    const goOn = (): void => {
      source.next(Array.from({ length: BATCH }, () => numberedRow(sent++)))
    }
    const written = (): number => sink.counters.written
    const handled = (): number => written() + given.values.length
    /** One batch after the other, so that the edge holds no more than one. */
    const sendUntil = (isSo: () => boolean, what: string): Promise<void> =>
      until(() => isSo() || (handled() >= sent && goOn(), false), what)
    await sendUntil(() => written() > BATCH, 'writing while there was room')
    await disk!.fillBut(0)
    await sendUntil(() => isTold(faults), 'the fault of a full disk')
    const before = written()
    for (let batches = 0; batches < BATCHES_MEANWHILE; batches++) goOn()
    await disk!.makeRoom()
    await comeBack()
    await sendUntil(() => written() > before + BATCH, 'writing after there was room')
    source.complete()
    const summary = await run.done

    expectBalanced(summary)
    expect(elsewhere.values.map(({ n }) => n)).to.deep.equal(Array.from({ length: sent }, (_, n) => n))
    const rows = await sql<Row>('SELECT n, text FROM rows ORDER BY n')
    expect(rows).to.deep.equal(rows.map(({ n }) => numberedRow(n)))
    expect(rows).to.have.length(written())
    const letters = given.values.map(({ value }) => value.n)
    expect([...rows.map(({ n }) => n), ...letters].sort((one, other) => one - other)).to.deep.equal(
      Array.from({ length: sent }, (_, n) => n),
    )
    expect(given.values.every(({ reason }) => reason === 'rejected')).to.equal(true)
    return faults
  }

  it('that holds its tables refuses batches until there is room, and loses and doubles nothing', async function () {
    await begin(this, TABLES_BYTES, false)
    const tables = path.join(disk!.folder, 'tables')
    await server!.owns(tables)
    await sql(`CREATE TABLESPACE small LOCATION '${tables}'`)
    await sql('ALTER ROLE millrace SET default_tablespace = small')

    const isFull = ({ details }: Fault): boolean => details['sqlState'] === '53100'
    const faults = await writeThroughIt({
      isTold: (told) => told.some(isFull),
      comeBack: () => Promise.resolve(),
    })

    const told = faults.find(isFull)!
    expect(told.code).to.equal('SINK_REJECTED')
    expect(told.message).to.contain(`cannot write to PostgreSQL at 127.0.0.1:${server!.port}`)
    expect(told.message).to.contain('its disk is full; free some space on it.')
    expect(told.message).to.match(/A batch of \d+ values? (was|were) given up after 3 attempts/)
  })

  it('that holds its log ends the server; started anew where there is room, it gets the rest once', async function () {
    await begin(this, LOG_BYTES, true)
    let panicked = ''
    const isGone = ({ message }: Fault): boolean => message.includes('no server listens there; start it')
    const faults = await writeThroughIt({
      // It may recover once or twice before it gives up.
      isTold: (told) => server!.hasEnded && told.some(isGone),
      comeBack: () => {
        panicked = server!.lastWords
        return server!.resume()
      },
    })
    expect(panicked).to.contain('No space left on device')
    const address = `PostgreSQL at 127.0.0.1:${server!.port}`
    expect(faults.filter(({ message }) => !message.includes(address))).to.deep.equal([])
  })
})

interface Trouble {
  readonly isTold: (faults: readonly Fault[]) => boolean
  readonly comeBack: () => Promise<void>
}

function skip(test: Mocha.Context, reason: string): never {
  console.log(`      Skipped: ${reason}.`)
  return test.skip()
}
