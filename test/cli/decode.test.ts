/**
 * `millrace decode`: frames as events, one JSON object a line, or the reason why there is none.
 */
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { exchangeById } from '../../src/exchanges/exchanges'
import { Sessions } from '../../src/feed/sessions'
import { currentFixtures, needsShared, readGolden, sharedPath } from '../kit/shared'
import { millrace, needsBuild, ROOT, temporaryFolder, type Ran } from './millrace'

/** The exchanges that `../shared/fixtures/current` has messages of. */
const EXCHANGES = ['binance', 'binance-futures', 'bybit', 'kraken', 'okx']

const TRADE =
  '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}'

describe('millrace decode', function () {
  this.timeout(60_000)
  const file = temporaryFolder()

  before(function () {
    needsBuild(this)
  })

  it('prints the event of a frame from standard input, with the fields of the contract in their order', async () => {
    const ran = await millrace(['decode', '-', '--exchange', 'binance'], { input: `${TRADE}\n` })
    expect(ran.out).to.equal(
      '{"kind":"trade","exchange":"binance","symbol":"BNBBTC","exchangeTimeUs":1672515782136000,"receiveTimeUs":0,' +
        '"id":"12345","side":"sell","price":0.001,"size":100}\n',
    )
    expect(ran.status, ran.err).to.equal(0)
  })

  it('reads a text file with one frame a line, and a file that is one document over several lines', async () => {
    await writeFile(file('lines.txt'), `${TRADE}\n\n${TRADE}\n`)
    await writeFile(file('document.json'), JSON.stringify(JSON.parse(TRADE), null, 2))
    const ran = await millrace(['decode', file('lines.txt'), file('document.json'), '--exchange', 'binance'])
    expect(objects(ran).map(({ price }) => price)).to.deep.equal([0.001, 0.001, 0.001])
    expect(ran.status).to.equal(0)
  })

  it('tells of each event where it comes from, and begins and ends when it is told to', async () => {
    const received = [1, 2, 3, 4].map((second) => ({ t: `172297440${second}000000000`, dir: 'in', raw: TRADE }))
    const lines = [{ format: 'millrace-recording/1', venue: 'binance' }, ...received]
    await writeFile(file('a.ndjson'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    const span = ['--from', new Date(1_722_974_402_000).toISOString(), '--to', '1722974404000000']
    const ran = await millrace(['decode', file('a.ndjson'), '--lineage', ...span])
    expect(ran.status, ran.err).to.equal(0)
    expect(objects(ran).map(({ lineage }) => lineage)).to.deep.equal(
      [3, 4].map((line) => ({ file: file('a.ndjson'), block: 0, line })),
    )
    const plain = await millrace(['decode', file('a.ndjson'), ...span])
    expect(objects(plain)[0]).to.not.have.property('lineage')
    expect(objects(plain)).to.have.length(2)
    const wrong = await millrace(['decode', file('a.ndjson'), '--from', 'yesterday'])
    expect(wrong.status).to.equal(2)
    expect(wrong.err).to.include('--from is a time such as')
  })

  it('names the line of each frame that cannot be read, goes on, and exits 1', async () => {
    await writeFile(file('some.txt'), `${TRADE}\nnonsense\n{"e":"trade","p":"NaN"}\n${'['.repeat(5_000)}\n${TRADE}\n`)
    const ran = await millrace(['decode', file('some.txt'), '--exchange', 'binance', '--json'])
    expect(objects(ran).map(({ kind, line }) => line ?? kind)).to.deep.equal(['trade', 2, 3, 4, 'trade'])
    expect(ran.err).to.match(/some\.txt:2: FRAME_UNREADABLE: The frame is not JSON/)
    expect(ran.err).to.match(/some\.txt:3: [A-Z_]+: .+/)
    expect(ran.err).to.match(/some\.txt:4: [A-Z_]+: .+/)
    expect(ran.status).to.equal(1)
  })

  it('says why a control frame gives no event, without blaming it', async () => {
    const input = '{"result":null,"id":1}\n'
    const ran = await millrace(['decode', '-', '--exchange', 'binance', '--json'], { input })
    expect(objects(ran)).to.deep.equal([{ kind: 'ignored', reason: 'acknowledgement', file: '-', line: 1 }])
    expect(ran.err).to.contain('-:1: acknowledgement')
    expect(ran.status).to.equal(0)
  })

  for (const [args, sentence] of [
    [[], 'Name a recording'],
    [['-'], 'Standard input is not a recording: say with --exchange whose frames these are.'],
    [['-', '--exchange', 'okxx'], 'There is no exchange "okxx". Did you mean okx?'],
    [['nowhere.txt', '--exchange', 'okx'], 'nowhere.txt cannot be read'],
  ] as const) {
    it(`refuses \`${['decode', ...args].join(' ')}\` with one sentence`, async () => {
      const ran = await millrace(['decode', ...args])
      expect(ran.err).to.contain(sentence)
      expect(ran.status).to.equal(2)
      expect(ran.out).to.equal('')
    })
  }

  describe('of real and documented messages', () => {
    before(function () {
      needsShared(this)
    })

    it('prints every event of a recording', async () => {
      const ran = await millrace(['decode', sharedPath('fixtures', 'recorded', 'okx.ws1.first60.ndjson.gz')])
      const kinds = new Map<string, number>()
      for (const { kind } of objects(ran)) kinds.set(String(kind), (kinds.get(String(kind)) ?? 0) + 1)
      const { totals } = readGolden('okx')
      expect(Object.fromEntries(kinds)).to.deep.equal({
        trade: totals.trades,
        ticker: totals.tickers,
        snapshot: totals.book_snapshots,
        delta: totals.book_updates,
        notice: 1,
      })
      expect(ran.status, ran.err).to.equal(0)
    })

    it('ends quietly when its reader has seen enough', async () => {
      const child = spawn(
        'bash',
        [
          '-c',
          'node dist/cli/millrace.js decode "$0" 2>/dev/null | head -n 2 >/dev/null; echo "${PIPESTATUS[0]}"',
          sharedPath('fixtures', 'recorded', 'coinbase.ws28.first60.ndjson.gz'),
        ],
        { cwd: ROOT },
      )
      let said = ''
      child.stdout.on('data', (text: Buffer) => (said += text.toString()))
      await new Promise((resolve) => child.on('close', resolve))
      expect(said.trim()).to.equal('0')
    })

    for (const exchange of EXCHANGES) {
      it(`gives events or a named reason for every message of ${exchange}`, async () => {
        const messages = currentFixtures(exchange)
        const silent = messages.filter(({ text }) => {
          const sessions = new Sessions({ protocolOf: exchangeById, guarded: false })
          const events = sessions.apply({ dir: 'in', timeUs: 0, ns: 0, connection: 0, exchange, data: text })
          const reason = sessions.session(0)?.reason
          return events.length === 0 && (reason === undefined || /^[A-Z_]+: /.test(reason))
        })
        expect(silent.map(({ name }) => name)).to.deep.equal([])

        const files = messages.map(({ name }) => sharedPath('fixtures', 'current', exchange, `${name}.json`))
        const ran = await millrace(['decode', ...files, '--exchange', exchange, '--json'])
        const ignored = objects(ran).filter(({ kind }) => kind === 'ignored')
        expect(new Set(ignored.map(({ file }) => path.basename(String(file)))).size).to.equal(ignored.length)
        expect(ignored.length, 'files without events').to.be.lessThan(messages.length)
        for (const { reason } of ignored) expect(reason).to.match(/^\S.+/)
        expect(ran.status, ran.err).to.equal(0)
      })
    }
  })
})

function objects(ran: Ran): Record<string, unknown>[] {
  return ran.out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
