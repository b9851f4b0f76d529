import { expect } from 'chai'
import { ReportModel } from '../../../src/sinks/report/reportModel'
import { reportText, unaccounted, type ReportSection, type ReportText } from '../../../src/sinks/report/sections'
import { escapeMarkdown, markdownText } from '../../../src/sinks/report/markdownText'
import type { RunLook } from '../../../src/sinks/runLook'
import { notice, snapshot, trade, viewOf } from '../../kit/marketEvents'
import { runLook } from './runLook'

const T = 1_700_000_000_000_000

function modelOf(values: readonly unknown[], instrumentsMax = 32): ReportModel {
  const model = new ReportModel({ instrumentsMax })
  for (const value of values) model.take(value)
  return model
}

function textOf(model: ReportModel, run?: RunLook): ReportText {
  return reportText(model, run, { title: 'test', writtenAtUs: T })
}

function section({ sections }: ReportText, id: string): ReportSection {
  return sections.find((each) => each.id === id)!
}

describe('What a report knows of a run', () => {
  it('draws books, trades, bars, quotes, tickers and the process', () => {
    const model = modelOf([
      viewOf([[99, 1]], [[101, 2]], { receiveTimeUs: T, exchangeTimeUs: T - 2_000 }),
      trade({ receiveTimeUs: T + 1, price: 100.5, size: 3 }),
      trade({ receiveTimeUs: T + 1, price: 7, size: 3, history: true }),
      bar({ openTimeUs: T, open: 1, high: 4, low: 1, close: 3, volume: 9, intervalUs: 1e6, closeTimeUs: T + 1e6 }),
      {
        kind: 'ticker',
        exchange: 'okx',
        symbol: 'X',
        instrument: undefined,
        receiveTimeUs: T,
        bidPrice: 1,
        askPrice: 3,
      },
      {
        kind: 'quote',
        exchange: 'consolidated',
        symbol: 'BTC-USD',
        instrument: 'BTC-USD',
        receiveTimeUs: T,
        bidPrice: 2,
        askPrice: 1,
        dislocationBps: 5,
      },
      { kind: 'derivative', ...BTC, receiveTimeUs: T, markPrice: 100.25, fundingRate: 0.0001 },
      { timeUs: T, cpuPercent: 12, rssBytes: 1e8, loopDelayMs: { p50: 0, p99: 3, max: 4 } },
    ])
    const btc = model.instruments.get('kraken BTC-USD')!
    expect(btc.mid.statistics()).to.include({ last: 100, count: 1 })
    expect(btc.spreadBps.statistics()!.last).to.be.closeTo(200, 1e-9)
    expect(btc.heat!.columns(T, T)!.t).to.deep.equal([0])
    expect(btc).to.include({ trades: 1, volume: 3, state: 'live' })
    expect([...btc.bars.keys()]).to.deep.equal(['bars of trades, 1 s'])
    expect([...btc.derivative]).to.deep.equal([
      ['mark', 100.25],
      ['funding', 0.0001],
    ])
    expect(model.instruments.get('okx X')!.mid.statistics()!.last).to.equal(2)
    expect(model.instruments.get('consolidated BTC-USD')!.dislocationBps.statistics()!.high).to.equal(5)
    expect(model.exchangeToReceive.get('kraken')!.summary()).to.include({ count: 1 })
    expect(model.loopDelayMsP99.statistics()!.last).to.equal(3)
    expect(model.latest.size).to.equal(0)
  })

  it('breaks the lines of a book that is in doubt, and believes no view from before', () => {
    const at = (timeUs: number) => viewOf([[99, 1]], [[101, 2]], { receiveTimeUs: timeUs })
    const model = modelOf([
      at(T),
      notice('gap', { receiveTimeUs: T + 1e6 }),
      at(T),
      at(T + 2e6),
      notice('resynced', { receiveTimeUs: T + 2e6 }),
    ])
    const track = model.instruments.get('kraken BTC-USD')!
    expect(track.mid.columns(T)).to.deep.include({ t: [0, 2_000], breaks: [1] })
    expect(track).to.include({ gaps: 1, resyncs: 1, state: 'live' })
    expect(model.notices.map(({ what, name }) => `${what} ${name}`)).to.deep.equal(['gap BTC-USD', 'resynced BTC-USD'])
  })

  it('draws the instruments that come first, and counts the others with their values', () => {
    const model = modelOf(
      Array.from({ length: 50 }, (_, at) => trade({ symbol: `S${at % 10}`, instrument: undefined, receiveTimeUs: T })),
      4,
    )
    expect(model.instruments.size).to.equal(4)
    expect([model.furtherInstruments, model.furtherValues]).to.deep.equal([6, 30])
    expect(section(textOf(model), 'instruments').sentences.join()).to.contain('6 further instruments with 30 values')
  })

  it('keeps the latest of what it cannot draw, up to a capacity, and counts the rest', () => {
    const model = modelOf([
      ...Array.from({ length: 300 }, (_, at) => ({ kind: `k${at}`, exchange: 'x', symbol: 'y', n: at })),
      { kind: 'k1', exchange: 'x', symbol: 'y', n: 'again', list: [1, 2], deep: { a: 1 }, none: null },
      5,
      undefined,
    ])
    expect(model.latest.size).to.equal(100)
    expect(model.latest.get('k1 x y')).to.deep.include({
      count: 2,
      fields: { kind: 'k1', exchange: 'x', symbol: 'y', n: 'again', list: '2 elements', deep: '{ … }', none: null },
    })
    expect(model.values).to.equal(303)
    expect(model.unkept).to.equal(202)
    expect(model.kinds.size).to.be.at.most(65)
    expect([...model.kinds.values()].reduce((sum, count) => sum + count, 0)).to.equal(303)
  })

  it('takes anything: what throws when it is read is counted', () => {
    const throwing = {
      get kind(): string {
        throw new Error('no')
      },
    }
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    const model = modelOf([
      throwing,
      revoked.proxy,
      { kind: 'view', exchange: 'x', symbol: 'y', receiveTimeUs: T },
      { kind: 'trade', exchange: 'x', symbol: 'y', receiveTimeUs: T, price: 'NaN', size: {} },
      { kind: 'bar', exchange: 'x', symbol: 'y', receiveTimeUs: T, intervalUs: -1 },
      { kind: 'notice', exchange: 5, symbol: {}, receiveTimeUs: NaN },
      {
        kind: 'x'.repeat(100_000),
        exchange: 'e'.repeat(100_000),
        symbol: 's'.repeat(100_000),
        receiveTimeUs: Infinity,
      },
      snapshot([], [], { receiveTimeUs: T }),
      Symbol('s'),
      10n,
      null,
    ])
    expect(model.unreadable).to.equal(2)
    expect(model.values).to.equal(11)
    for (const { what } of model.latest.values()) expect(what.length).to.be.below(1_000)
    for (const piece of markdownText(textOf(model))) expect(piece).to.be.a('string')
  })
})

describe('The text of a report', () => {
  it('says in words whether the accounts balance', () => {
    const balanced = { ...EDGE, in: 10, out: 7, dropped: { keepLatest: 2 }, inFlight: 1 }
    expect(unaccounted(balanced)).to.equal(0)
    const good = textOf(modelOf([]), runLook({ edges: [balanced] }))
    expect(section(good, 'ledger').tables[0]!.rows[0]).to.deep.equal([
      'a',
      'b',
      'mailbox',
      '5',
      'keepLatest',
      '10',
      '7',
      '2 keepLatest',
      '1',
      'balances',
    ])
    expect(good.verdict).to.deep.include({ text: 'The accounts of all 1 edges balance.', good: true })

    const bad = textOf(
      modelOf([]),
      runLook({
        edges: [
          { ...balanced, out: 4 },
          { ...balanced, out: 9 },
        ],
      }),
    )
    const ledger = section(bad, 'ledger').tables[0]!
    expect(ledger.rows.map((row) => row.at(-1))).to.deep.equal([
      'does not balance: 3 missing',
      'does not balance: 2 too many',
    ])
    expect([...ledger.bad!]).to.deep.equal([0, 1])
    expect(bad.verdict).to.deep.include({ text: 'The accounts of 2 of 2 edges do not balance.', good: false })
  })

  it('tells faults as they came, gaps by instrument, sinks and stages', () => {
    const row = { exchange: 'okx', name: 'ETH-USDT', state: 'gap', events: 5, trades: 1, gaps: 2, resyncs: 1 } as const
    const text = textOf(
      modelOf([]),
      runLook({
        rows: new Map([['okx ETH-USDT', row]]),
        faults: { BOOK_GAP: 2 },
        latestFaults: [{ timeUs: T, code: 'BOOK_GAP', message: 'A delta is missing.' }],
        sinks: [{ name: 'bars', written: 3, bytes: 99, failed: 1, retries: 7 }],
        stages: [{ path: 'm/s', state: 'running', failures: 2, restarts: 2, lastFault: 'It threw.' }],
      }),
    )
    expect(section(text, 'faults').tables[1]!.rows).to.deep.equal([
      ['2023-11-14 22:13:20.000', 'BOOK_GAP', 'A delta is missing.'],
    ])
    expect(section(text, 'faults').sentences).to.deep.equal(['The last 1 of 2 are listed as they came.'])
    expect(section(text, 'feeds').tables[0]!.rows).to.deep.equal([['okx', 'ETH-USDT', 'gap', '2', '1']])
    expect(section(text, 'sinks').tables.map(({ rows }) => rows)).to.deep.equal([
      [['bars', '3', '99', '1', '7']],
      [['m/s', 'running', '2', '2', 'It threw.']],
    ])
    expect(text.verdict.filter(({ good }) => good === false).map(({ text: said }) => said)).to.deep.equal([
      'Sinks have given up 1 batch.',
      '2 gaps in books, 1 repair; 1 book not repaired.',
      '2 faults of 1 kind.',
    ])
  })

  it('says of single events where they stand in which recording, where they say so', () => {
    const at = (line: number, file = 'day.ndjson.gz') => ({ lineage: { file, block: 3, line } })
    const values = [
      trade({ receiveTimeUs: T, price: 5, size: 2, ...at(12) }),
      trade({ receiveTimeUs: T, price: 7, size: 1, ...at(13) }),
      trade({ receiveTimeUs: T, price: 4, size: 1, ...at(14) }),
      // Of equals the first, and what says nothing is in no place.
      trade({ receiveTimeUs: T, price: 4, size: 2, ...at(15) }),
      trade({ receiveTimeUs: T, price: 1, size: 9 }),
      notice('gap', { receiveTimeUs: T, ...at(16, '<b>|x') }),
      notice('resynced', { receiveTimeUs: T }),
      { kind: 'liquidation', ...BTC, receiveTimeUs: T, side: 'sell', price: 3, size: 4, ...at(17) },
      { kind: 'own', timeUs: T, ...at(18) },
    ]
    const latestFaults = [{ timeUs: T, code: 'BOOK_GAP', message: 'Missing.', ...at(16) }]
    const text = textOf(modelOf(values), runLook({ faults: { BOOK_GAP: 1 }, latestFaults }))
    const lasts = (id: string, table: number): unknown[] => {
      const { head, rows } = section(text, id).tables[table]!
      expect(head.at(-1), id).to.equal('where it stands')
      return rows.map((row) => row.at(-1))
    }
    expect(section(text, 'instruments').tables[1]!.rows.map((row) => row[2])).to.deep.equal([
      ...['lowest', 'highest', 'largest'],
    ])
    expect(lasts('instruments', 1)).to.deep.equal([14, 13, 12].map((line) => `line ${line}, block 3 of day.ndjson.gz`))
    expect(lasts('feeds', 2)).to.deep.equal(['line 16, block 3 of <b>|x', '–'])
    expect(lasts('liquidations', 0)).to.deep.equal(['line 17, block 3 of day.ndjson.gz'])
    expect(lasts('faults', 1)).to.deep.equal(['line 16, block 3 of day.ndjson.gz'])
    expect(section(text, 'values').tables[1]!.rows[0]!.at(-1)).to.contain('lineage line 18, block 3 of day.ndjson.gz')
    expect([...markdownText(text)].join('')).to.contain('line 16, block 3 of \\<b\\>\\|x')
  })

  it('has no column for that where nothing says it, or only what is no place', () => {
    const odd = { file: 5, block: 'x', line: null } as never
    const text = textOf(modelOf([notice('gap', { lineage: odd }), trade({ lineage: odd })]), runLook())
    for (const { tables } of text.sections) {
      for (const { head } of tables) expect(head).to.not.include('where it stands')
    }
    expect(section(text, 'instruments').tables).to.have.length(1)
  })

  it('has a column of dead letters where there are any', () => {
    const hook = { name: 'hook', written: 3, bytes: 99, failed: 1, retries: 7, deadLettered: 1_024 }
    const bars = { name: 'bars', written: 1, bytes: 2, failed: 0, retries: 0 }
    const [table] = section(textOf(modelOf([]), runLook({ sinks: [hook, bars] })), 'sinks').tables
    expect(table!.head.at(-1)).to.equal('dead letters')
    expect(table!.rows.map((row) => row.at(-1))).to.deep.equal(['1,024', '0'])
  })

  it('is Markdown in which numbers stay numbers, and no text is an item of a list', () => {
    const texts = ['78602.7', '0.5', '-3', '1. first', '2) second', '3.', '12']
    expect(texts.map(escapeMarkdown)).to.deep.equal([
      ...['78602.7', '0.5', '\\-3', '1\\. first', '2\\) second', '3\\.', '12'],
    ])
  })

  it('is Markdown in which no text from outside is markup', () => {
    const hostile = 'a|b\n# c <img onerror=x> [l](javascript:x) `d` *e* _f_ ![i](h) g_h \u202e'
    const text = textOf(modelOf([trade({ symbol: hostile, instrument: undefined, receiveTimeUs: T })]))
    const markdown = [...markdownText(text)].join('')
    const line = markdown.split('\n').find((each) => each.startsWith('| kraken'))!
    expect(line).to.contain(
      'a\\|b·\\# c \\<img onerror=x\\> \\[l\\](javascript:x) \\`d\\` \\*e\\* \\_f\\_ \\!\\[i\\](h) g_h ·',
    )
    const columns = markdown.split('\n').find((each) => each.startsWith('| exchange | instrument'))!
    const cells = (row: string): number => row.replaceAll('\\|', '').split('|').length
    expect(cells(line)).to.equal(cells(columns))
  })
})

const BTC = { exchange: 'kraken', symbol: 'BTC/USD', instrument: 'BTC-USD' }
const EDGE = { from: 'a', to: 'b', kind: 'mailbox', capacity: 5, onFull: 'keepLatest' }

function bar(fields: object): object {
  return { kind: 'bar', ...BTC, ...fields }
}
