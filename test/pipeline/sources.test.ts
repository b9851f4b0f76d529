import { expect } from 'chai'
import { firstValueFrom, take, toArray } from 'rxjs'
import type { SessionRecord } from '../../src/feed/record'
import { frameAt } from '../../src/feed/recording/frameAt'
import type { Batch, MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import {
  feed,
  frames,
  FrameSource,
  MarketSource,
  replay,
  simulator,
  simulatorOptionsOf,
} from '../../src/pipeline/sources'
import { wishOf } from '../../src/pipeline/wish'
import { encodeEvent } from '../../src/sinks/encode'
import { eventually } from '../kit/eventually'
import { trade } from '../kit/marketEvents'
import { recordingOf, temporaryFolder } from '../feed/recording/recordings'
import { FakeMarket } from './fakeMarket'

const options = { exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trades' } as const
const wish = wishOf(options, ['kraken'])

describe('A source of market events', () => {
  it('opens a market for each subscriber, and closes it, and what is behind it, with the subscription', async () => {
    const markets: FakeMarket[] = []
    const closed: number[] = []
    const source = new MarketSource(wish, () => {
      const market = new FakeMarket()
      const number = markets.push(market)
      return { market, after: () => Promise.resolve(void closed.push(number)) }
    })
    expect(markets).to.have.length(0)
    const subscriptions = [source.subscribe(), source.subscribe()]
    await eventually(() => expect(markets.map(({ asked }) => asked)).to.deep.equal([['start'], ['start']]))
    subscriptions[0]!.unsubscribe()
    await eventually(() => expect(closed).to.deep.equal([1]))
    expect(markets.map(({ asked }) => asked)).to.deep.equal([['start', 'stop'], ['start']])
    subscriptions[1]!.unsubscribe()
    await eventually(() => expect(closed).to.deep.equal([1, 2]))
  })

  it('gives a batch per record, of what was wished, and none of nothing', async () => {
    const { market, taken } = await listening()
    market.send([trade({ id: '1' }), trade({ id: 'x', instrument: 'ETH-USD', symbol: 'ETH/USD' })])
    market.send([trade({ id: 'y', exchange: 'okx' })])
    market.send([])
    market.send([trade({ id: '2' }), trade({ id: '3' })])
    expect(taken.map((batch) => [...batch].map((event) => event.kind === 'trade' && event.id))).to.deep.equal([
      ['1'],
      ['2', '3'],
    ])
  })

  it('completes when the market has ended', async () => {
    const { market, ended } = await listening()
    market.fault(new Fault('FRAME_UNREADABLE', 'Bad luck.'))
    market.end()
    expect(ended).to.deep.equal(['complete'])
    await eventually(() => expect(market.asked).to.deep.equal(['start', 'stop']))
  })

  it('fails with the fault that nothing can repair', async () => {
    const { market, ended } = await listening()
    market.fault(new Fault('RETRIES_EXHAUSTED', 'Nobody answers.'))
    expect(ended).to.deep.equal([])
    market.end()
    expect(ended).to.deep.equal(['Nobody answers.'])
  })

  it('fails when the market cannot be opened', async () => {
    const market = new FakeMarket()
    market.onStart = () => Promise.reject(new Fault('OPTION_INVALID', 'Not that one.'))
    const { ended } = await listening(market)
    await eventually(() => expect(ended).to.deep.equal(['Not that one.']))
    const unopened = new MarketSource(wish, () => {
      throw new Fault('OPTION_INVALID', 'Not even that.')
    })
    expect(await failureOf(unopened)).to.equal('Not even that.')
  })

  it('closes a market that was opened after its subscriber had left', async () => {
    const market = new FakeMarket()
    let open: (() => void) | undefined
    const source = new MarketSource(wish, () => new Promise((resolve) => (open = () => resolve({ market }))))
    source.subscribe().unsubscribe()
    open!()
    await eventually(() => expect(market.asked).to.deep.equal(['stop']))
  })

  it('survives a market that cannot be closed', async () => {
    const market = new FakeMarket()
    market.onStop = () => Promise.reject(new Error('it sticks'))
    const { subscription } = await listening(market)
    subscription.unsubscribe()
    await eventually(() => expect(market.asked).to.include('stop'))
  })
})

describe('A source of frames', () => {
  it('gives every record as a batch of one, to keep', async () => {
    const market = new FakeMarket()
    const taken: Batch<SessionRecord>[] = []
    new FrameSource(wish, () => ({ market })).subscribe((batch) => taken.push(batch))
    await eventually(() => expect(market.asked).to.deep.equal(['start']))
    market.send([trade()])
    market.send([])
    market.close()
    expect(taken.map((batch) => [...batch].map(({ dir }) => dir))).to.deep.equal([['in'], ['in'], ['close']])
    expect([...taken[0]!][0]).to.include({ dir: 'in', data: 'frame' })
  })
})

describe('feed, frames and simulator', () => {
  it('say what they wish, and connect nowhere before they are subscribed to', () => {
    for (const source of [feed(options), frames(options), simulator(options)]) {
      expect(source.wish).to.deep.equal({
        ...{
          exchanges: ['kraken'],
          instruments: ['BTC-USD'],
          channels: ['trades'],
          depth: undefined,
          intervalMs: 60_000,
        },
      })
    }
    expect(feed(options)).to.be.instanceOf(MarketSource)
    expect(frames(options)).to.be.instanceOf(FrameSource)
  })

  it('refuse what nobody offers, at the call', () => {
    for (const source of [feed, frames, simulator]) {
      expect(() => source({ ...options, exchanges: ['krakn'] })).to.throw(Fault, 'Did you mean kraken?')
      expect(() => source({} as never)).to.throw(Fault, 'Name at least one exchange')
    }
  })

  it('wish for a simulator of each exchange once', () => {
    const other = { ...wish, exchanges: ['okx', 'kraken'] }
    expect(simulatorOptionsOf([wish, other], { seed: 7 })).to.deep.equal({ exchanges: ['kraken', 'okx'], seed: 7 })
    expect(simulatorOptionsOf([wish], { messagesPerSecond: 5, faults: 'drop=1' })).to.deep.equal({
      ...{ exchanges: ['kraken'], messagesPerSecond: 5, faults: 'drop=1' },
    })
  })
})

describe('replay', () => {
  const file = temporaryFolder()
  const tradeAt = (t: number, symbol: string) => ({
    ...{ t: String(t * 1_000_000_000), dir: 'in' },
    raw: `{"channel":"trade","type":"update","data":[{"symbol":"${symbol}","side":"buy","price":5.0,"qty":1.0,"ord_type":"limit","trade_id":${t},"timestamp":"2023-10-06T17:35:55.440295Z"}]}`,
  })
  const kinds = (batches: readonly Batch<MarketEvent>[]) =>
    batches.flatMap((batch) => [...batch].map(({ kind, symbol }) => `${kind} ${symbol}`))

  it('gives everything that a recording holds, and completes', async () => {
    const path = await recordingOf(file('a.ndjson'), [tradeAt(1, 'BTC/USD'), tradeAt(2, 'ETH/USD')])
    expect(kinds(await firstValueFrom(replay(path).pipe(toArray())))).to.deep.equal(['trade BTC/USD', 'trade ETH/USD'])
  })

  it('joins several recordings by their times', async () => {
    const paths = await Promise.all([
      recordingOf(file('a.ndjson'), [tradeAt(1, 'A/USD'), tradeAt(3, 'A/USD')]),
      recordingOf(file('b.ndjson'), [tradeAt(2, 'B/USD')]),
    ])
    expect(kinds(await firstValueFrom(replay(paths).pipe(toArray())))).to.deep.equal([
      ...['trade A/USD', 'trade B/USD', 'trade A/USD'],
    ])
  })

  it('gives the wished channels alone', async () => {
    const path = await recordingOf(file('a.ndjson'), [tradeAt(1, 'BTC/USD')])
    expect(kinds(await firstValueFrom(replay(path, { channel: 'book' }).pipe(toArray())))).to.deep.equal([])
  })

  it('gives what is between two times alone, and says of each event where it comes from when asked to', async () => {
    const path = await recordingOf(
      file('a.ndjson'),
      [1, 2, 3, 4].map((t) => tradeAt(t, `${t}/USD`)),
    )
    const part = { fromUs: 2_000_000, toUs: 4_000_000 }
    const traced = await firstValueFrom(replay(path, { ...part, lineage: true }).pipe(toArray()))
    expect(kinds(traced)).to.deep.equal(['trade 2/USD', 'trade 3/USD'])
    const events = traced.flatMap((batch) => [...batch])
    expect(events.map(({ lineage }) => lineage)).to.deep.equal([3, 4].map((line) => ({ file: path, block: 0, line })))
    expect(JSON.parse(encodeEvent(events[0]!))).to.deep.include({ symbol: '2/USD', lineage: events[0]!.lineage })
    const frame = await frameAt(path, 3)
    expect(frame).to.include({ dir: 'in', data: tradeAt(2, '2/USD').raw })

    const plain = (await firstValueFrom(replay(path, part).pipe(toArray()))).flatMap((batch) => [...batch])
    expect(plain).to.have.length(2)
    for (const event of plain) {
      expect(event).to.not.have.property('lineage')
      expect(encodeEvent(event)).to.not.include('lineage')
    }
  })

  it('refuses times that are none', async () => {
    const path = await recordingOf(file('a.ndjson'), [tradeAt(1, 'A/USD')])
    expect(await failureOf(replay(path, { fromUs: 1.5 }))).to.match(/fromUs is 1.5; give whole microseconds/)
    expect(await failureOf(replay(path, { toUs: NaN }))).to.match(/toUs is NaN/)
    expect(await failureOf(replay(path, { fromUs: 5, toUs: 5 }))).to.match(/toUs is not after fromUs/)
  })

  it('reads no further when it is left', async () => {
    const path = await recordingOf(
      file('a.ndjson'),
      Array.from({ length: 5_000 }, (_, index) => tradeAt(index + 1, 'A/USD')),
    )
    expect(await firstValueFrom(replay(path).pipe(take(3), toArray()))).to.have.length(3)
  })

  it('fails when the recording is not there, or is none', async () => {
    expect(await failureOf(replay(file('nowhere.ndjson')))).to.match(/does not exist/)
    const broken = await recordingOf(file('none.ndjson'), [], { format: 'something else' })
    expect(await failureOf(replay(broken))).to.match(/recording/i)
  })

  it('fails at a speed that is none when it is subscribed to', async () => {
    const path = await recordingOf(file('a.ndjson'), [tradeAt(1, 'BTC/USD')])
    expect(await failureOf(replay(path, { speed: 'fast' }))).to.match(/The speed "fast" is not one/)
  })
})

async function listening(market = new FakeMarket()) {
  const taken: Batch<MarketEvent>[] = []
  const ended: string[] = []
  const subscription = new MarketSource(wish, () => ({ market })).subscribe({
    next: (batch) => taken.push(batch),
    error: (thrown: unknown) => ended.push((thrown as Error).message),
    complete: () => ended.push('complete'),
  })
  await eventually(() => expect(market.asked).to.include('start'))
  return { market, taken, ended, subscription }
}

function failureOf(source: MarketSource): Promise<string> {
  return new Promise((resolve, reject) => {
    source.subscribe({
      error: (thrown: unknown) => resolve((thrown as Error).message),
      complete: () => reject(new Error('it completed')),
    })
  })
}
