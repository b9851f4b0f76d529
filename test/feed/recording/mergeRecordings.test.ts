import { expect } from 'chai'
import fc from 'fast-check'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { SessionRecord } from '../../../src/feed/record'
import { mergeRecordings, replayRecords } from '../../../src/feed/recording/mergeRecordings'
import { DONE, type RecordBatches } from '../../../src/feed/recording/recordBatches'
import { readHeader } from '../../../src/feed/recording/recordingReader'
import { Fault } from '../../../src/model/fault'
import { all, frame, HEADER, recordingOf, rejectionOf, temporaryFolder, textsOf } from './recordings'

const RECORDED = path.resolve(__dirname, '../../../../shared/fixtures/recorded')

describe('mergeRecordings', () => {
  it('gives the records of all sources in order of time', async () => {
    const merged = mergeRecordings([source([[1, 4], [7]]), source([[2], [3, 8]]), source([[0, 9]])])
    expect(timesOf(await all(merged))).to.deep.equal([0, 1, 2, 3, 4, 7, 8, 9])
  })

  it('orders records of the same time by their source, then by their line', async () => {
    const merged = mergeRecordings([source([[5, 5], [5]], 'a'), source([[5]], 'b'), source([[4, 5, 5]], 'c')])
    expect(textsOf(await all(merged))).to.deep.equal(['c0', 'a0', 'a1', 'a2', 'b0', 'c1', 'c2'])
  })

  it('keeps the order within a source where its time goes back', async () => {
    const merged = mergeRecordings([source([[5, 2], [3], [6]], 'a'), source([[1, 4, 5, 6]], 'b')])
    expect(textsOf(await all(merged))).to.deep.equal(['b0', 'b1', 'a0', 'a1', 'a2', 'b2', 'a3', 'b3'])
  })

  it('tells times apart that differ by nanoseconds', async () => {
    const at = (ns: number, data: string): SessionRecord => ({
      timeUs: 1,
      ns,
      connection: 0,
      exchange: 'x',
      dir: 'in',
      data,
    })
    const merged = mergeRecordings([batches([[at(2, 'b'), at(900, 'd')]]), batches([[at(1, 'a'), at(3, 'c')]])])
    expect(textsOf(await all(merged))).to.deep.equal(['a', 'b', 'c', 'd'])
  })

  it('gives what a stable sort by the latest time so far gives, for any sources', async () => {
    const times = fc.array(fc.array(fc.nat(20), { maxLength: 6 }), { maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(fc.array(times, { maxLength: 9 }), async (sources) => {
        const expected = sources
          .flatMap((bs, s) => {
            let latest = 0
            return bs.flat().map((time, i) => ({ key: (latest = Math.max(latest, time)), text: `${s}-${i}` }))
          })
          .sort((a, b) => a.key - b.key)
          .map(({ text }) => text)
        const merged = mergeRecordings(sources.map((bs, s) => source(bs, `${s}-`)))
        expect(textsOf(await all(merged))).to.deep.equal(expected)
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  it('ends at once without sources', async () => {
    expect(await mergeRecordings([]).next()).to.deep.equal(DONE)
  })

  it('closes all sources when it is left, when it ends and when one of them fails', async () => {
    const left = [source([[1], [2]]), source([[3]])]
    for await (const batch of mergeRecordings(left)) {
      expect(batch).to.have.length(1)
      break
    }
    const ended = [source([[1]]), source([])]
    await all(mergeRecordings(ended))
    const failed = [source([[1]]), source([[2]], 'f', new Error('of the source'))]
    expect((await rejectionOf(all(mergeRecordings(failed)))).message).to.equal('of the source')
    for (const { closed } of [...left, ...ended, ...failed]) expect(closed()).to.equal(true)
  })

  it('costs little more for many sources than for one', async () => {
    const total = 200_000
    const perRecordNs = async (sources: number): Promise<number> => {
      const made = Array.from({ length: sources }, (_, s) => {
        const times = Array.from({ length: total / sources }, (_, i) => i * sources + s)
        return source(
          Array.from({ length: Math.ceil(times.length / 200) }, (_, b) => times.slice(b * 200, b * 200 + 200)),
        )
      })
      const started = process.cpuUsage()
      let records = 0
      for await (const batch of mergeRecordings(made)) records += batch.length
      expect(records).to.equal(total)
      const { user, system } = process.cpuUsage(started)
      return ((user + system) * 1_000) / total
    }
    // The least of several: whatever else the machine does only adds to what it costs.
    const leastNs = async (sources: number): Promise<number> => {
      const rounds: number[] = []
      for (let round = 0; round < 5; round++) rounds.push(await perRecordNs(sources))
      return Math.min(...rounds)
    }
    // A line costs some 2,000 ns to read, and this is a tenth of it; the bound allows for a slow machine.
    expect(await leastNs(64)).to.be.lessThan(2_000)
  })
})

describe('replayRecords', () => {
  const at = temporaryFolder()
  const answer = (t: number, body: string, c?: number): object => ({
    t: String(t),
    dir: 'rest',
    method: 'GET',
    url: 'u',
    role: 'book-snapshot',
    body,
    c,
  })
  const REST = { ...HEADER, kind: 'rest' }
  const replayed = async (
    files: string[],
    options: Partial<Parameters<typeof replayRecords>[1]> = {},
  ): Promise<string[]> => {
    const faults: Fault[] = []
    const records = await all(replayRecords(files.map(at), { onFault: (fault) => faults.push(fault), ...options }))
    expect(faults).to.deep.equal([])
    return records.map((record) => {
      const what = record.dir === 'rest' ? record.body : record.dir === 'in' ? String(record.data) : record.dir
      return `${record.exchange} ${record.connection} ${what}`
    })
  }

  it('reads a session with its REST answers', async () => {
    await recordingOf(at('a.ndjson.gz'), [frame(1, 'f1'), frame(3, 'f3')])
    await recordingOf(at('a.rest.ndjson.gz'), [answer(2, 'r2'), answer(3, 'r3')], REST)
    expect(await replayed(['a.ndjson.gz'])).to.deep.equal([
      'kraken 0 f1',
      'kraken -1 r2',
      'kraken 0 f3',
      'kraken -1 r3',
    ])
  })

  it('keeps the numbers of a single session, also those that REST answers name', async () => {
    await recordingOf(at('a.ndjson'), [{ ...frame(1, 'f1'), c: 7 }])
    await recordingOf(at('a.rest.ndjson'), [answer(2, 'r2', 7)], REST)
    expect(await replayed(['a.ndjson'])).to.deep.equal(['kraken 7 f1', 'kraken 7 r2'])
  })

  it('gives the connections of several sessions numbers that differ', async () => {
    await recordingOf(at('a.ndjson'), [frame(1, 'a'), { ...frame(2, 'a'), c: 1 }])
    await recordingOf(at('a.rest.ndjson'), [answer(3, 'ar', 1)], REST)
    await recordingOf(at('b.ndjson'), [frame(4, 'b'), { ...frame(5, 'b'), c: 1 }])
    expect(await replayed(['a.ndjson', 'b.ndjson'])).to.deep.equal([
      'kraken 0 a',
      'kraken 2 a',
      'kraken 2 ar',
      'kraken 1 b',
      'kraken 3 b',
    ])
  })

  it('reads a REST file once that several sessions share', async () => {
    await recordingOf(at('kraken.ws1.ndjson'), [frame(1, 'a')])
    await recordingOf(at('kraken.ws2.ndjson'), [frame(3, 'b')])
    await recordingOf(at('kraken.rest.ndjson'), [answer(2, 'r', 0)], REST)
    const expected = ['kraken 0 a', 'kraken -1 r', 'kraken 1 b']
    expect(await replayed(['kraken.ws1.ndjson', 'kraken.ws2.ndjson'])).to.deep.equal(expected)
    expect(await replayed(['kraken.rest.ndjson', 'kraken.ws1.ndjson', 'kraken.ws2.ndjson'])).to.deep.equal(expected)
  })

  it('reads a file once that is given twice', async () => {
    await recordingOf(at('a.ndjson'), [frame(1, 'a')])
    expect(await replayed(['a.ndjson', '../' + path.basename(at('')) + '/a.ndjson'])).to.deep.equal(['kraken 0 a'])
  })

  it('reads the REST files that it is told to and no others', async () => {
    await recordingOf(at('a.ndjson'), [frame(1, 'a')])
    await recordingOf(at('a.rest.ndjson'), [answer(2, 'own')], REST)
    await recordingOf(at('x.ndjson'), [answer(2, 'other')], REST)
    expect(await replayed(['a.ndjson'], { restFiles: [] })).to.deep.equal(['kraken 0 a'])
    expect(await replayed(['a.ndjson'], { restFiles: [at('x.ndjson')] })).to.deep.equal([
      'kraken 0 a',
      'kraken -1 other',
    ])
  })

  it('speaks of another exchange when told to', async () => {
    await recordingOf(at('a.ndjson'), [frame(1, 'a')], { ...HEADER, venue: 'binance-us' })
    expect(await replayed(['a.ndjson'], { exchange: 'binance' })).to.deep.equal(['binance 0 a'])
  })

  it('tells its files, their headers and what was counted', async () => {
    await recordingOf(at('a.ndjson'), [frame(1), { t: '2', dir: 'other' }])
    await recordingOf(at('a.rest.ndjson'), [answer(2, 'r')], REST)
    const replay = replayRecords([at('a.ndjson')], { onFault: () => undefined })
    const readers = await replay.open()
    expect(readers.map(({ path: file }) => path.basename(file))).to.deep.equal(['a.ndjson', 'a.rest.ndjson'])
    expect((await readers[1]!.header()).kind).to.equal('rest')
    await all(replay)
    expect(replay.counters).to.include({ lines: 3, records: 2, ignored: 1 })
  })

  it('refuses no file, and files that are no recordings, before any record', async () => {
    await recordingOf(at('a.ndjson'), [frame(1)])
    const first = (files: string[]): Promise<Fault> =>
      rejectionOf(replayRecords(files, { onFault: () => undefined }).next())
    expect(await first([])).to.include({ code: 'OPTION_INVALID' })
    expect(await first([at('a.ndjson'), at('absent')])).to.include({ code: 'RECORDING_INVALID' })
    expect(await first([__filename])).to.be.instanceOf(Fault)
  })

  it('can be left before and while it is read', async () => {
    await recordingOf(at('a.ndjson'), [frame(1)])
    const unread = replayRecords([at('a.ndjson')], { onFault: () => undefined })
    await unread.return()
    expect((await unread.next()).done).to.equal(true)
    const reading = replayRecords([at('a.ndjson')], { onFault: () => undefined })
    const pending = reading.next()
    await reading.return()
    await pending
    expect((await reading.next()).done).to.equal(true)
  })

  it('merges all fixtures of an exchange without losing a line', async function () {
    if (!existsSync(RECORDED)) this.skip()
    const files = ['ws48', 'ws49', 'ws50.first60'].map((name) => path.join(RECORDED, `kraken.${name}.ndjson.gz`))
    const records = await all(replayRecords(files, { onFault: (fault) => expect.fail(fault.message) }))
    let lines = 0
    for (const file of [...files, path.join(RECORDED, 'kraken.rest.ndjson.gz')])
      lines += (await readHeader(file)).frames!
    expect(records).to.have.length(lines)
    expect(new Set(records.map(({ connection }) => connection))).to.deep.equal(new Set([-1, 0, 1, 2]))
    let latest = 0
    for (const { timeUs, connection } of records) {
      expect(timeUs).to.be.at.least(latest - 1) // recorded times have 200 ns of noise
      if (connection >= 0) latest = Math.max(latest, timeUs)
    }
  })
})

function source(
  times: readonly (readonly number[])[],
  name = '',
  failure?: Error,
): RecordBatches & { closed: () => boolean } {
  let count = 0
  return batches(
    times.map((batch) =>
      batch.map(
        (timeUs) => ({ timeUs, ns: 0, connection: 0, exchange: 'x', dir: 'in', data: `${name}${count++}` }) as const,
      ),
    ),
    failure,
  )
}

function batches(
  given: readonly (readonly SessionRecord[])[],
  failure?: Error,
): RecordBatches & { closed: () => boolean } {
  let index = 0
  let closed = false
  return {
    closed: () => closed,
    next: () => {
      const value = given[index++]
      if (value === undefined && failure !== undefined) return Promise.reject(failure)
      return Promise.resolve(value === undefined || closed ? DONE : { done: false, value })
    },
    return: () => {
      closed = true
      return Promise.resolve(DONE)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function timesOf(records: readonly SessionRecord[]): number[] {
  return records.map(({ timeUs }) => timeUs)
}
