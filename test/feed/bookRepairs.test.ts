import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { BookRepairs, type SnapshotTold } from '../../src/feed/bookRepairs'
import type { Subscription } from '../../src/feed/subscriptions'
import type { Fault } from '../../src/model/fault'
import { fakeInstrument, fakeProtocol } from './fakeProtocol'

describe('BookRepairs', () => {
  let clock: VirtualClock
  let asked: { symbol: string; atMs: number; urgent: boolean; told: SnapshotTold; withdrawn: boolean }[]
  let renewed: { symbol: string; atMs: number }[]
  let repaired: string[]
  let refreshed: string[]
  let faults: Fault[]
  let turnAway = false
  let paused = false

  function make(rest: boolean, symbols = ['AB', 'CD']) {
    const protocol = fakeProtocol({ rest })
    const subscriptions = symbols.map((symbol): Subscription => {
      const options = { depth: undefined, intervalMs: 60_000 }
      const [topic] = protocol.channels.book!.topics(fakeInstrument(symbol), options)!
      return {
        planned: { topic: topic!, symbols: [symbol], required: [symbol], options },
        state: 'waiting',
        heardUs: NaN,
      }
    })
    const nowMs = (): number => clock.nowUs() / 1_000
    const repairs = new BookRepairs({
      protocol,
      clock,
      snapshotMs: 20_000,
      isPaused: () => paused,
      renew: (subscriptions) => {
        for (const { planned } of subscriptions) renewed.push({ symbol: planned.topic.symbol, atMs: nowMs() })
      },
      ask: (_subscription, symbol, urgent, told) => {
        const entry = { symbol, atMs: nowMs(), urgent, told, withdrawn: false }
        asked.push(entry)
        if (turnAway) told.failed('too many requests wait', false)
        return () => (entry.withdrawn = true)
      },
      repaired: (symbol) => repaired.push(symbol),
      refreshed: (symbol) => refreshed.push(symbol),
      fault: (fault) => faults.push(fault),
    })
    repairs.start(subscriptions)
    return { repairs, subscriptions }
  }

  beforeEach(() => {
    clock = new VirtualClock(0)
    asked = []
    renewed = []
    repaired = []
    refreshed = []
    faults = []
  })

  describe('where snapshots come by REST', () => {
    it('asks as soon as the first delta waits, once', () => {
      const { repairs, subscriptions } = make(true)
      repairs.acked(subscriptions[0]!)
      repairs.heard('AB')
      repairs.heard('AB')
      clock.advance(10_000)
      expect(asked.map(({ symbol }) => symbol)).to.deep.equal(['AB'])
      expect(repaired).to.deep.equal([])
    })

    it('asks three seconds after the acknowledgement of a quiet instrument', () => {
      const { repairs, subscriptions } = make(true)
      repairs.acked(subscriptions[0]!)
      clock.advance(2_999)
      expect(asked).to.have.length(0)
      clock.advance(1)
      expect(asked.map(({ symbol }) => symbol)).to.deep.equal(['AB'])
    })

    it('repairs one book at growing distances while it fails again and again, and leaves the others alone', () => {
      const { repairs } = make(true)
      for (const symbol of ['AB', 'CD']) repairs.heard(symbol)
      for (const { symbol, told } of asked.splice(0)) {
        told.answered()
        repairs.live(symbol, clock.nowUs())
      }
      for (let times = 0; times < 7; times++) {
        repairs.lost('AB')
        clock.advance(30_000)
        asked.at(-1)!.told.answered()
      }
      expect(asked.every(({ symbol }) => symbol === 'AB')).to.equal(true)
      const delays = asked.map(({ atMs }, index) => atMs - index * 30_000)
      expect(delays).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
      expect(repaired).to.have.length(7)
    })

    it('starts over at once for a book that was live for a minute', () => {
      const { repairs } = make(true)
      repairs.heard('AB')
      asked[0]!.told.answered()
      repairs.live('AB', clock.nowUs())
      clock.advance(60_000)
      repairs.lost('AB')
      expect(asked.map(({ atMs }) => atMs)).to.deep.equal([0, 60_000])
    })

    it('asks nothing more while an answer is on its way', () => {
      const { repairs } = make(true)
      repairs.heard('AB')
      repairs.lost('AB')
      repairs.lost('AB')
      clock.advance(60_000)
      expect(asked).to.have.length(1)
    })

    it('reports a snapshot that could not be had, and asks again', () => {
      const { repairs } = make(true)
      repairs.heard('AB')
      asked[0]!.told.failed('status 503', false)
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
      expect(faults[0]!.message).to.include('AB').and.include('status 503').and.include('asked for again')
      clock.advance(1_000)
      expect(asked).to.have.length(2)
    })

    it('asks again when its question was turned away on the spot', () => {
      turnAway = true
      const { repairs } = make(true)
      repairs.heard('AB')
      turnAway = false
      clock.advance(1_000)
      expect(asked.map(({ atMs }) => atMs)).to.deep.equal([0, 1_000])
    })

    it('does not ask again for what the exchange will not give', () => {
      const { repairs } = make(true)
      repairs.heard('AB')
      asked[0]!.told.failed('status 400: no such symbol', true)
      repairs.lost('AB')
      clock.advance(600_000)
      expect(asked).to.have.length(1)
      expect(faults[0]!.message).to.include('stays silent')
    })
  })

  describe('where snapshots come in the stream', () => {
    it('waits for the snapshot that follows the acknowledgement', () => {
      const { repairs, subscriptions } = make(false)
      repairs.acked(subscriptions[0]!)
      repairs.live('AB', clock.nowUs())
      clock.advance(600_000)
      expect(renewed).to.deep.equal([])
      expect(clock.pending).to.equal(0)
    })

    it('does not wait for one that came before the acknowledgement', () => {
      const { repairs, subscriptions } = make(false)
      repairs.live('AB', clock.nowUs())
      repairs.acked(subscriptions[0]!)
      expect(clock.pending).to.equal(0)
    })

    it('renews the topic of a book that got none in time, again and again', () => {
      const { repairs, subscriptions } = make(false)
      repairs.acked(subscriptions[0]!)
      clock.advance(20_000)
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
      clock.advance(1_000)
      expect(renewed).to.deep.equal([{ symbol: 'AB', atMs: 21_000 }])
      repairs.acked(subscriptions[0]!)
      clock.advance(22_000)
      expect(renewed).to.have.length(2)
    })

    it('holds a snapshot that does not come against nobody while nobody reads', () => {
      const { repairs, subscriptions } = make(false)
      repairs.acked(subscriptions[0]!)
      paused = true
      clock.advance(65_000)
      paused = false
      clock.advance(14_999)
      expect([faults, renewed]).to.deep.equal([[], []])
      clock.advance(1)
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
    })

    it('renews the topic of a book that lost its chain, at once and then at growing distances', () => {
      const { repairs, subscriptions } = make(false)
      repairs.live('AB', clock.nowUs())
      for (let times = 0; times < 3; times++) {
        repairs.lost('AB')
        clock.advance(5_000)
        repairs.acked(subscriptions[0]!)
        repairs.live('AB', clock.nowUs())
      }
      expect(renewed.map(({ atMs }) => atMs)).to.deep.equal([0, 6_000, 12_000])
      expect(repaired).to.deep.equal(['AB', 'AB', 'AB'])
    })
  })

  describe('of books that are right, for others who have lost theirs', () => {
    /** Books that are live, and have been for a minute. */
    function makeLive(rest: boolean, symbols = ['AB', 'CD']) {
      const made = make(rest, symbols)
      for (const symbol of symbols) {
        if (rest) made.repairs.heard(symbol)
        asked.at(-1)?.told.answered()
        made.repairs.live(symbol, clock.nowUs())
        asked.at(-1)?.told.applied()
      }
      clock.advance(60_000)
      asked = []
      return made
    }

    it('asks over REST, after what is urgent, and is content with the answer', () => {
      const { repairs } = makeLive(true)
      repairs.refresh(['AB'])
      expect(asked.map(({ symbol, urgent }) => [symbol, urgent])).to.deep.equal([['AB', false]])
      asked[0]!.told.answered()
      repairs.live('AB', clock.nowUs())
      asked[0]!.told.applied()
      clock.advance(600_000)
      expect(asked).to.have.length(1)
      expect([refreshed, repaired, faults]).to.deep.equal([['AB'], [], []])
    })

    it('leaves the topics of the stream and asks for them anew, all with one call, and waits for the snapshots', () => {
      const { repairs, subscriptions } = makeLive(false)
      repairs.refresh()
      expect(renewed.map(({ symbol }) => symbol)).to.deep.equal(['AB', 'CD'])
      for (const subscription of subscriptions) repairs.acked(subscription)
      repairs.live('AB', clock.nowUs())
      clock.advance(20_000)
      expect(faults.map(({ code, details }) => [code, details['symbol']])).to.deep.equal([['SNAPSHOT_FAILED', 'CD']])
      expect(faults[0]!.message).to.include('no other snapshot').and.include('asked for again')
      clock.advance(1_000)
      expect(renewed.slice(2)).to.deep.equal([{ symbol: 'CD', atMs: clock.nowUs() / 1_000 }])
      expect(repaired).to.deep.equal([])
    })

    it('asks once for whoever asks while a snapshot is on its way, and for those without a book not at all', () => {
      const { repairs } = makeLive(true)
      for (let times = 0; times < 5; times++) repairs.refresh(['AB', 'AB', 'XX', '__proto__'])
      expect(asked.map(({ symbol }) => symbol)).to.deep.equal(['AB'])
      const { repairs: young } = make(true)
      young.refresh()
      expect(asked).to.have.length(1)
    })

    it('asks at growing distances for one that is asked for again and again, and at once after a minute of rest', () => {
      const { repairs } = makeLive(true)
      const startMs = clock.nowUs() / 1_000
      for (let times = 0; times < 5; times++) {
        repairs.refresh(['AB'])
        clock.advance(16_000)
        asked.at(-1)!.told.answered()
        repairs.live('AB', clock.nowUs())
        asked.at(-1)!.told.applied()
      }
      expect(asked.map(({ atMs }, index) => atMs - startMs - 16_000 * index)).to.deep.equal([
        0, 1_000, 2_000, 4_000, 8_000,
      ])
      clock.advance(60_000)
      repairs.refresh(['AB'])
      expect(asked.at(-1)!.atMs).to.equal(clock.nowUs() / 1_000)
    })

    it('asks again when the answer was too old or could not be read', () => {
      const { repairs } = makeLive(true)
      repairs.refresh(['AB'])
      asked[0]!.told.answered()
      asked[0]!.told.applied()
      expect(faults.map(({ code }) => code)).to.deep.equal(['SNAPSHOT_FAILED'])
      clock.advance(1_000)
      expect(asked).to.have.length(2)
    })

    it('does not let a repair wait for it', () => {
      const { repairs } = makeLive(true)
      repairs.refresh(['AB'])
      repairs.lost('AB')
      expect(asked[0]!.withdrawn).to.equal(true)
      clock.advance(1_000)
      expect(asked.map(({ urgent }) => urgent)).to.deep.equal([false, true])
      expect(repaired).to.deep.equal(['AB'])
    })

    it('stays with what the exchange will not give', () => {
      const { repairs } = makeLive(true)
      repairs.refresh(['AB'])
      asked[0]!.told.failed('status 400', true)
      repairs.refresh(['AB'])
      clock.advance(600_000)
      expect(asked).to.have.length(1)
      expect(faults[0]!.message).to.include('stays silent until the connection is renewed')
    })
  })

  it('asks again for a first snapshot that could not be read', () => {
    const { repairs } = make(true)
    repairs.heard('AB')
    asked[0]!.told.answered()
    asked[0]!.told.applied()
    clock.advance(1_000)
    expect(asked).to.have.length(2)
  })

  it('knows no book that was not subscribed to', () => {
    const { repairs } = make(false)
    repairs.lost('__proto__')
    repairs.live('XX', 0)
    repairs.heard('XX')
    expect(renewed).to.deep.equal([])
  })

  it('withdraws everything when the connection ends', () => {
    const { repairs, subscriptions } = make(true)
    repairs.heard('AB')
    repairs.acked(subscriptions[1]!)
    repairs.stop()
    expect(asked[0]!.withdrawn).to.equal(true)
    expect(clock.pending).to.equal(0)
  })
})
