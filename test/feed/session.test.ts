import { expect } from 'chai'
import { exchangeById, EXCHANGES } from '../../src/exchanges/exchanges'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import type { SessionRecord } from '../../src/feed/record'
import { Session, sessionCounts, type SessionControl, type SessionCounts } from '../../src/feed/session'
import { parseWireJson } from '../../src/model/codec/wireJson'
import type { MarketEvent } from '../../src/model/events'
import type { Fault, FaultCode } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { DOCUMENTED } from '../exchanges/documentedFrames'
import { instrument, writerFor } from '../kit/decoding'
import { needsShared } from '../kit/shared'
import { play, received, recordsOf, textsBySymbol, WHOLE_SESSIONS } from './sessionRecords'

const bybit = exchangeById('bybit')
const okx = exchangeById('okx')

describe('Session', () => {
  it('gives what a frame holds, stamped with the time of its receipt', () => {
    const { session, counts } = opened(bybit)
    const [trade] = session.receive({ data: TRADE, timeUs: 42 })
    expect(trade).to.include({ kind: 'trade', exchange: 'bybit', symbol: 'BTCUSDT', price: 27451, receiveTimeUs: 42 })
    expect(counts).to.include({ frames: 1, trades: 1, unreadable: 0, ignored: 0, bytes: TRADE.length })
  })

  it('reads bytes as it reads texts', () => {
    const { session } = opened(bybit)
    const padded = Buffer.from(`xx${TRADE}xx`)
    const bytes = new Uint8Array(padded.buffer, padded.byteOffset + 2, TRADE.length)
    expect(session.receive({ data: bytes, timeUs: 42 })).to.deep.equal(
      opened(bybit).session.receive({ data: TRADE, timeUs: 42 }),
    )
  })

  it('tells what a frame that gave no event was', () => {
    const { session, counts } = opened(okx)
    const reasons = ['pong', '{"event":"subscribe","arg":{"channel":"books","instId":"A"}}', '{'].map((data) => {
      session.receive({ data, timeUs: 1 })
      return session.reason?.slice(0, 16)
    })
    expect(reasons).to.deep.equal(['heartbeat', 'acknowledgement', 'FRAME_UNREADABLE'])
    expect(counts).to.include({ frames: 3, ignored: 2, unreadable: 1 })
    session.receive({ data: OKX_TRADE, timeUs: 1 })
    expect(session.reason).to.equal(undefined)
  })

  it('tells its connection what concerns it', () => {
    const { session, said } = controlled(okx)
    for (const [, frame] of DOCUMENTED.get('okx')!.control) session.receive({ data: frame, timeUs: 1 })
    session.receive({ data: OKX_TRADE, timeUs: 7 })
    session.receive({ data: '{', timeUs: 8 })
    expect(said).to.have.length(5)
    expect(said[0]).to.match(/^acknowledged .*BTC-USDT/)
    expect(said[1]).to.match(/^refused .*Invalid request/)
    expect(said.slice(2)).to.deep.equal([
      'reconnect EXCHANGE_RESTART',
      'heard trades BTC-USDT 7',
      'fault FRAME_UNREADABLE',
    ])
  })

  it('says that it is connected, and of each live book that it is not any more', () => {
    const { session } = opened(bybit)
    expect(codes(session.open(1, 'wss://there'))).to.deep.equal(['connected '])
    for (const symbol of ['AUSDT', 'BUSDT', 'CUSDT'])
      session.receive({ data: bybitBook('snapshot', symbol, 5), timeUs: 2 })
    session.receive({ data: bybitBook('delta', 'CUSDT', 9), timeUs: 3 })
    expect(session.bookState('CUSDT'), 'a book with a gap is void already').to.equal('awaitingSnapshot')
    expect(codes(session.close(4, 'gone'))).to.deep.equal(['disconnected ', 'disconnected AUSDT', 'disconnected BUSDT'])
    expect(session.bookState('AUSDT')).to.equal('awaitingSnapshot')
    // Of what a connection left behind nothing may be extended.
    expect(session.receive({ data: bybitBook('delta', 'AUSDT', 6), timeUs: 5 })).to.deep.equal([])
    expect(codes(session.receive({ data: bybitBook('snapshot', 'AUSDT', 9), timeUs: 6 }))).to.deep.equal([
      'snapshot AUSDT',
    ])
  })

  it('gives its opening and its end as notices about the whole connection', () => {
    const { session } = opened(bybit)
    const [connected] = session.open(1, 'wss://there')
    const [disconnected] = session.close(2, 'gone')
    expect(connected).to.deep.include({
      kind: 'notice',
      code: 'connected',
      symbol: '',
      details: { url: 'wss://there' },
    })
    expect(disconnected).to.deep.include({ code: 'disconnected', symbol: '', details: { reason: 'gone' } })
    expect([connected!.receiveTimeUs, disconnected!.receiveTimeUs]).to.deep.equal([1, 2])
  })

  it('repairs the book whose frame it cannot read, and no other', () => {
    const { session, said, counts } = controlled(bybit)
    for (const symbol of ['AUSDT', 'BUSDT']) session.receive({ data: bybitBook('snapshot', symbol, 5), timeUs: 1 })
    const broken = bybitBook('delta', 'AUSDT', 6).replace('"1"', '"-1"')
    expect(codes(session.receive({ data: broken, timeUs: 2 }))).to.deep.equal(['gap AUSDT'])
    expect([session.bookState('AUSDT'), session.bookState('BUSDT')]).to.deep.equal(['awaitingSnapshot', 'live'])
    expect(said.filter((word) => word.startsWith('resync'))).to.deep.equal(['resync AUSDT VALUE_INVALID'])
    expect(codes(session.receive({ data: bybitBook('delta', 'BUSDT', 6), timeUs: 3 }))).to.deep.equal(['delta BUSDT'])
    expect(codes(session.receive({ data: bybitBook('snapshot', 'AUSDT', 8), timeUs: 4 }))).to.deep.equal([
      'resynced AUSDT',
      'snapshot AUSDT',
    ])
    expect(counts.guard).to.include({ resyncs: 1 })
  })

  it('gives none of the events of a frame that is wrong at its end', () => {
    const { session } = opened(bybit)
    const row = { T: 1_709_891_679_000, s: 'BTCUSDT', S: 'Buy', v: '1', p: '5', i: 'a', BT: false }
    const data = JSON.stringify({
      ...{ topic: 'publicTrade.BTCUSDT', type: 'snapshot', ts: 1_709_891_679_005 },
      data: [row, { ...row, p: 'NaN' }],
    })
    expect(session.receive({ data, timeUs: 1 })).to.deep.equal([])
  })

  it('gives up a book that it is told to', () => {
    const { session, said } = controlled(bybit)
    session.receive({ data: bybitBook('snapshot', 'AUSDT', 5), timeUs: 1 })
    const fault = { code: 'STREAM_STALE', message: '', details: {} } as unknown as Fault
    expect(codes(session.lose('AUSDT', fault, 2))).to.deep.equal(['gap AUSDT'])
    expect(session.lose('BUSDT', fault, 2)).to.deep.equal([])
    expect(said.filter((word) => word.startsWith('resync'))).to.deep.equal(['resync AUSDT STREAM_STALE'])
  })

  it('leaves out instruments that the exchange does not list, once its list is known', () => {
    const { session, faults, counts } = opened(bybit, [instrument(bybit, { market: 'linear' })])
    expect(codes(session.receive({ data: TRADE, timeUs: 1 }))).to.deep.equal(['trade BTCUSDT'])
    expect(session.receive({ data: TRADE.replaceAll('BTCUSDT', '__proto__'), timeUs: 2 })).to.deep.equal([])
    expect(session.reason).to.match(/^SYMBOL_UNKNOWN: Bybit.* "__proto__"/)
    expect(faults.map(({ code }) => code)).to.deep.equal(['SYMBOL_UNKNOWN'])
    expect(counts).to.include({ trades: 1, unreadable: 0 })
    expect(session.receive({ data: bybitBook('snapshot', 'AUSDT', 5), timeUs: 3 })).to.deep.equal([])
    expect([...session.symbols], 'no book is kept for it').to.deep.equal([])
  })

  it('keeps books of no more instruments than it may', () => {
    const { session, faults } = opened(bybit, [], { symbolsMax: 2 })
    for (const symbol of ['A', 'B', 'C', 'A']) session.receive({ data: bybitBook('snapshot', symbol, 5), timeUs: 1 })
    expect([...session.symbols]).to.deep.equal(['A', 'B'])
    expect(faults.map(({ code }) => code)).to.deep.equal(['SYMBOL_UNKNOWN'])
  })

  it('remembers a bounded number of reasons for ignoring', () => {
    const kraken = exchangeById('kraken')
    const { session, counts } = opened(kraken)
    for (let index = 0; index < 500; index++) {
      const frame = { method: 'unsubscribe', success: false, error: `reason ${index}` }
      session.receive({ data: JSON.stringify(frame), timeUs: 1 })
    }
    expect(counts.ignored).to.equal(500)
    expect(counts.ignoredReasons.size).to.be.within(1, 64)
  })

  it('lets book changes through as they are when it is not to guard them', () => {
    const session = new Session({ ...base(bybit, sessionCounts()), guarded: false })
    expect(codes(session.receive({ data: bybitBook('delta', 'A', 7), timeUs: 1 }))).to.deep.equal(['delta A'])
    expect(codes(session.receive({ data: bybitBook('delta', 'A', 99), timeUs: 1 }))).to.deep.equal(['delta A'])
  })

  for (const [id, exchange] of EXCHANGES) {
    describe(`of ${id}`, function () {
      this.timeout(60_000)

      it('counts what is not JSON, and what is too large, by its code, and gives nothing', () => {
        for (const [data, code] of HOSTILE) {
          const { session, faults, counts } = opened(exchange)
          expect(session.receive({ data, timeUs: 1 }), String(data).slice(0, 40)).to.deep.equal([])
          expect(faults.map((fault) => fault.code)).to.deep.equal([code])
          expect([...counts.faults]).to.deep.equal([[code, 1]])
          expect(counts).to.include({ frames: 1, unreadable: 1, ignored: 0 })
          expect(session.reason).to.match(new RegExp(`^${code}: .+`))
        }
      })

      it('is moved by no documented frame that was cut off, at any byte', () => {
        const { session, counts } = opened(exchange)
        for (const frame of documentedFrames(id)) {
          const bytes = Buffer.from(frame)
          for (let end = 0; end < bytes.length; end++) {
            if (exchange.plainTexts.includes(frame.slice(0, end))) continue
            expect(session.receive({ data: bytes.subarray(0, end), timeUs: 1 })).to.deep.equal([])
          }
        }
        expect(counts.unreadable).to.equal(counts.frames)
      })

      it('goes on through hostile frames as if they had not come', async function () {
        needsShared(this)
        const records = await recordsOf(WHOLE_SESSIONS[id]!)
        const clean = play(records)
        const symbols = new Set(clean.events.map(({ symbol }) => symbol))
        const hostile = hostileFrames(exchange, symbols)
        expect(hostile.length).to.be.above(50)
        const disturbed = play(withFrames(records, hostile))
        expect(disturbed.faults.length).to.be.at.least(hostile.length)
        expect(textsBySymbol(disturbed.events)).to.deep.equal(textsBySymbol(clean.events))
        expect(disturbed.sessions.countsOf(id).frames).to.equal(clean.sessions.countsOf(id).frames + hostile.length)
        for (const { code } of disturbed.faults) expect(HARMLESS).to.include(code)
      })

      it('gives up exactly the book whose frame is broken', async function () {
        needsShared(this)
        const records = await recordsOf(WHOLE_SESSIONS[id]!)
        const clean = play(records)
        const broken = brokenDelta(exchange, records)
        const disturbed = play(records.toSpliced(broken.at, 1, broken.record))
        const before = textsBySymbol(clean.events)
        const after = textsBySymbol(disturbed.events)
        for (const [symbol, texts] of before) {
          if (symbol !== broken.symbol) expect(after.get(symbol), symbol).to.deep.equal(texts)
        }
        const own = disturbed.events.filter(({ symbol }) => symbol === broken.symbol)
        const gaps = own.flatMap((event) => (event.kind === 'notice' && event.code === 'gap' ? [event] : []))
        expect(gaps).to.have.length(1)
        expect(gaps[0]!.details).to.include({ code: 'VALUE_INVALID' })
        expect(disturbed.faults.map(({ code }) => code)).to.include('VALUE_INVALID')
        // Its trades and tickers go on; of its book nothing is said until there is a snapshot.
        const atGap = own.indexOf(gaps[0]!)
        const changes = own.slice(atGap).filter(({ kind }) => kind === 'delta' || kind === 'snapshot')
        if (changes.length > 0) expect(changes[0]!.kind).to.equal('snapshot')
      })
    })
  }
})

const TRADE = DOCUMENTED.get('bybit')!.frames.trades![0]!
const OKX_TRADE = DOCUMENTED.get('okx')!.frames.trades![0]!

/** What such frames may be counted as: none of it touches a book. */
const HARMLESS: readonly FaultCode[] = ['FRAME_UNREADABLE', 'FRAME_TOO_LARGE', 'VALUE_INVALID', 'SYMBOL_UNKNOWN']

const HOSTILE: readonly (readonly [data: string | Uint8Array, code: FaultCode])[] = [
  ['', 'FRAME_UNREADABLE'],
  [' ', 'FRAME_UNREADABLE'],
  ['not json', 'FRAME_UNREADABLE'],
  ['{', 'FRAME_UNREADABLE'],
  ['NaN', 'FRAME_UNREADABLE'],
  ['[NaN]', 'FRAME_UNREADABLE'],
  ['null', 'FRAME_UNREADABLE'],
  ['true', 'FRAME_UNREADABLE'],
  ['17', 'FRAME_UNREADABLE'],
  ['"text"', 'FRAME_UNREADABLE'],
  ['{}', 'FRAME_UNREADABLE'],
  ['{"a":{"b":[1e999]}}', 'FRAME_UNREADABLE'],
  ['{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}', 'FRAME_UNREADABLE'],
  [new Uint8Array([0xff, 0xfe, 0x00, 0x80]), 'FRAME_UNREADABLE'],
  [`{"a":"${'x'.repeat(1_000_000)}"`, 'FRAME_UNREADABLE'],
  [`"${'\\"'.repeat(500_000)}`, 'FRAME_UNREADABLE'],
  ['['.repeat(10_000_000), 'FRAME_TOO_LARGE'],
  ['{"data":'.repeat(1_250_000), 'FRAME_TOO_LARGE'],
]

function base(protocol: ExchangeProtocol, counts: SessionCounts) {
  return {
    protocol,
    endpoint: Object.keys(protocol.endpoints)[0]!,
    instruments: new InstrumentTable(),
    counts,
  }
}

function opened(
  protocol: ExchangeProtocol,
  instruments: ConstructorParameters<typeof InstrumentTable>[0] = [],
  options: { symbolsMax?: number } = {},
) {
  const faults: Fault[] = []
  const counts = sessionCounts()
  const session = new Session({
    ...base(protocol, counts),
    instruments: new InstrumentTable(instruments),
    onFault: (fault) => faults.push(fault),
    ...options,
  })
  return { session, faults, counts }
}

/** A session, and what it said to its connection. */
function controlled(protocol: ExchangeProtocol) {
  const said: string[] = []
  const counts = sessionCounts()
  const control: SessionControl = {
    acknowledged: (_, keys) => said.push(`acknowledged ${keys.join()}`),
    refused: (_id, _keys, reason) => said.push(`refused ${reason}`),
    heard: (channel, symbol, timeUs) => said.push(`heard ${channel} ${symbol ?? '?'} ${timeUs}`),
    answer: (text) => said.push(`answer ${text}`),
    reconnect: (fault) => said.push(`reconnect ${fault.code}`),
    resync: (symbol, fault) => said.push(`resync ${symbol} ${fault.code}`),
    stale: (channel, symbol) => said.push(`stale ${channel} ${symbol}`),
    fault: (fault) => said.push(`fault ${fault.code}`),
  }
  return { session: new Session({ ...base(protocol, counts), control }), said, counts }
}

function codes(events: readonly MarketEvent[]): string[] {
  return events.map((event) => `${event.kind === 'notice' ? event.code : event.kind} ${event.symbol}`)
}

function bybitBook(type: 'snapshot' | 'delta', symbol: string, u: number): string {
  return JSON.stringify({
    ...{ topic: `orderbook.50.${symbol}`, type, ts: 1_733_011_201_990 },
    data: { s: symbol, b: [['1', '5']], a: [['2', '5']], u, seq: u },
  })
}

function documentedFrames(id: string): string[] {
  const { frames, control } = DOCUMENTED.get(id)!
  return [...Object.values(frames).flat(), ...control.map(([, frame]) => frame)]
}

/** Frames that are faults, and whose route names none of the symbols that a session is about. */
function hostileFrames(exchange: ExchangeProtocol, symbols: ReadonlySet<string>): (string | Uint8Array)[] {
  const frames: (string | Uint8Array)[] = HOSTILE.map(([data]) => data)
  for (const frame of Object.values(DOCUMENTED.get(exchange.id)!.frames).flat()) {
    const strange = [
      ...[-1, 0.5, null, {}, [], '__proto__', 'constructor', '-5', '', 'NaN', '1e999', '9'.repeat(400)],
    ].flatMap((junk) => replacedOneByOne(frame, junk))
    for (const candidate of strange) {
      const { session, counts } = opened(exchange)
      const before = JSON.stringify([...session.writer.memory])
      const events = session.receive({ data: candidate, timeUs: 1 })
      const untouched = JSON.stringify([...session.writer.memory]) === before
      if (events.length > 0 || counts.faults.size === 0 || !untouched) continue
      const route = exchange.route(parseWireJson(candidate, exchange), writerFor(exchange))
      const symbol = route.to === 'channel' ? route.symbol : undefined
      if (symbol === undefined || !symbols.has(symbol)) frames.push(candidate)
    }
  }
  return frames
}

/** The frame with each of its values in turn replaced by `junk`. */
function replacedOneByOne(frame: string, junk: unknown): string[] {
  const at: string[] = []
  let count = 0
  JSON.parse(frame, (_, value: unknown) => {
    count++
    return value
  })
  for (let wanted = 0; wanted < count; wanted++) {
    let index = 0
    at.push(JSON.stringify(JSON.parse(frame, (_, value: unknown) => (index++ === wanted ? junk : value)) as unknown))
  }
  return at
}

/** The records with a hostile frame after each of the first of them, on their connections and at their times. */
function withFrames(records: readonly SessionRecord[], frames: readonly (string | Uint8Array)[]): SessionRecord[] {
  const mixed: SessionRecord[] = []
  const perRecord = Math.ceil(frames.length / Math.max(1, records.filter(({ dir }) => dir === 'in').length - 1))
  let next = 0
  for (const record of records) {
    mixed.push(record)
    if (record.dir !== 'in') continue
    for (const data of frames.slice(next, next + perRecord)) {
      mixed.push(received(record.exchange, data, { timeUs: record.timeUs, connection: record.connection }))
    }
    next += perRecord
  }
  return mixed
}

/** A delta in the middle of a live book, one price of which has become negative. */
function brokenDelta(exchange: ExchangeProtocol, records: readonly SessionRecord[]) {
  const session = opened(exchange).session
  const live = new Set<string>()
  const candidates: { at: number; record: SessionRecord; symbol: string }[] = []
  for (const [at, record] of records.entries()) {
    if (record.dir === 'rest' && record.role === 'book-snapshot') {
      const symbol = exchange.book.snapshot?.symbolOf(record.url)
      if (symbol !== undefined) for (const event of session.snapshot(symbol, record.body, 1)) live.add(event.symbol)
    }
    if (record.dir !== 'in') continue
    const [event] = session.receive(record)
    if (event?.kind === 'snapshot') live.add(event.symbol)
    if (event?.kind !== 'delta' || !live.has(event.symbol) || event.bids.length + event.asks.length === 0) continue
    const [price] = event.bids[0] ?? event.asks[0]!
    const text = String(record.data)
    const quoted = new RegExp(`"(?=${String(price).replace('.', '\\.')}0*")`)
    if (quoted.test(text))
      candidates.push({ at, record: { ...record, data: text.replace(quoted, '"-') }, symbol: event.symbol })
  }
  const chosen = candidates[Math.floor(candidates.length / 3)]
  if (chosen === undefined) throw new Error(`no delta to break in the session of ${exchange.id}`)
  return chosen
}
