import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Subscriptions, type Subscription } from '../../src/feed/subscriptions'
import { fakeInstrument, fakeProtocol, type FakeOptions } from './fakeProtocol'

const ACK_MS = 1_000

interface Sent {
  readonly op: string
  readonly id: number
  readonly keys: string[]
}

describe('Subscriptions', () => {
  let clock: VirtualClock
  let sent: Sent[]
  let heard: string[]

  function make(symbols: string[], options: FakeOptions = {}) {
    const protocol = fakeProtocol({ bookIdleMsMax: 5_000, ...options })
    const subscriptions = symbols.map((symbol): Subscription => {
      const asked = { depth: undefined, intervalMs: 60_000 }
      const [topic] = protocol.channels.book!.topics(fakeInstrument(symbol), asked)!
      return {
        planned: { topic: topic!, symbols: [symbol], required: [symbol], options: asked },
        state: 'waiting',
        heardUs: NaN,
      }
    })
    let ids = 0
    const asking = new Subscriptions({
      protocol,
      subscriptions,
      clock,
      ackMs: ACK_MS,
      nextId: () => ++ids,
      send: (text) => sent.push(JSON.parse(text) as Sent),
      acked: ({ planned }) => heard.push(`acked ${planned.topic.symbol}`),
      refused: ({ planned }, reason) => heard.push(`refused ${planned.topic.symbol}: ${reason}`),
      refusedOutOfTurn: (reason) => heard.push(`out of turn: ${reason}`),
      unanswered: (silent) => heard.push(`unanswered ${silent.map(({ planned }) => planned.topic.symbol).join()}`),
    })
    return { asking, subscriptions }
  }

  const symbolsSent = (): string[] => sent.map(({ op, keys }) => `${op[0]} ${keys.map((key) => key.slice(5)).join()}`)

  beforeEach(() => {
    clock = new VirtualClock(1)
    sent = []
    heard = []
  })

  it('asks in batches, at the pace of the exchange', () => {
    make(['AB', 'CD', 'EF'], { limits: { topicsPerRequest: 2, requestEveryMs: 300 } }).asking.start()
    expect(symbolsSent()).to.deep.equal(['s AB,CD'])
    clock.advance(299)
    expect(sent).to.have.length(1)
    clock.advance(1)
    expect(symbolsSent()).to.deep.equal(['s AB,CD', 's EF'])
  })

  it('keeps requests within the characters that are allowed', () => {
    const symbols = ['AB', 'CD', 'EF', 'GH', 'IJ']
    make(symbols, { limits: { requestCharsMax: 64 } }).asking.start()
    clock.advance(500)
    expect(sent.every((request) => JSON.stringify(request).length <= 64)).to.equal(true)
    expect(sent.flatMap(({ keys }) => keys)).to.deep.equal(symbols.map((symbol) => `book:${symbol}`))
  })

  it('matches answers by id, by keys, and without either to the oldest request', () => {
    const { asking } = make(['AB', 'CD', 'EF'], { limits: { topicsPerRequest: 1 } })
    asking.start()
    clock.advance(100)
    asking.acknowledged(2, [])
    asking.acknowledged(undefined, ['book:EF'])
    asking.acknowledged(undefined, [])
    expect(heard).to.deep.equal(['acked CD', 'acked EF', 'acked AB'])
    clock.advance(10 * ACK_MS)
    expect(sent).to.have.length(3)
    expect(clock.pending).to.equal(0)
  })

  it('takes an answer that lists more than was asked, and answers that nobody asked for', () => {
    const { asking } = make(['AB'])
    asking.acknowledged(undefined, [])
    asking.acknowledged(77, [])
    asking.start()
    asking.acknowledged(undefined, ['heartbeat:AB', 'book:AB', 'book:XX'])
    asking.acknowledged(1, [])
    expect(heard).to.deep.equal(['acked AB'])
  })

  it('finds the bad topic of a refused request by halving it, and keeps the others', () => {
    const { asking } = make(['AB', 'CD', 'EF', 'GH', 'IJ'])
    asking.start()
    for (let answered = 0; answered < sent.length || clock.nextDueUs()! < 200_000;) {
      const request = sent[answered]
      if (request === undefined) {
        clock.advance(10)
        continue
      }
      answered++
      if (request.keys.includes('book:EF')) asking.refused(request.id, [], 'no EF')
      else asking.acknowledged(request.id, [])
      if (heard.length === 5) break
    }
    expect(heard).to.have.members(['acked AB', 'acked CD', 'acked GH', 'acked IJ', 'refused EF: no EF'])
    expect(sent.length).to.be.at.most(7)
  })

  it('takes a refusal by key for that topic alone', () => {
    const { asking } = make(['AB', 'CD'])
    asking.start()
    asking.refused(undefined, ['book:AB'], 'no')
    asking.acknowledged(undefined, ['book:CD'])
    expect(heard).to.deep.equal(['refused AB: no', 'acked CD'])
    clock.advance(10 * ACK_MS)
    expect(sent).to.have.length(1)
  })

  it('asks again for the others when a refusal names both its request and the bad topic', () => {
    const { asking } = make(['AB', 'CD', 'EF'])
    asking.start()
    asking.refused(1, ['book:CD'], 'no')
    clock.advance(10)
    expect(heard).to.deep.equal(['refused CD: no'])
    expect(symbolsSent()).to.deep.equal(['s AB,CD,EF', 's AB,EF'])
  })

  it('reports a refusal that belongs to nothing', () => {
    const { asking } = make(['AB'])
    asking.start()
    asking.acknowledged(1, [])
    asking.refused(undefined, [], 'slow down')
    asking.refused(9, [], 'what?')
    expect(heard).to.deep.equal(['acked AB', 'out of turn: slow down', 'out of turn: what?'])
  })

  it('asks once more for what is not answered in time, then says so', () => {
    const { asking } = make(['AB', 'CD'])
    asking.start()
    asking.acknowledged(undefined, ['book:AB'])
    clock.advance(ACK_MS - 1)
    expect(sent).to.have.length(1)
    clock.advance(1)
    expect(symbolsSent()).to.deep.equal(['s AB,CD', 's CD'])
    clock.advance(ACK_MS)
    expect(heard).to.deep.equal(['acked AB', 'unanswered CD'])
  })

  it('takes data for an answer', () => {
    const { asking } = make(['AB'])
    asking.start()
    clock.advance(500)
    asking.heard('book', 'AB', clock.nowUs())
    clock.advance(ACK_MS)
    expect(heard).to.deep.equal(['acked AB'])
    expect(sent).to.have.length(1)
  })

  it('renews one topic: leaves it, asks for it anew, and does not mind an unsubscription without an answer', () => {
    const { asking, subscriptions } = make(['AB', 'CD'])
    asking.start()
    asking.acknowledged(1, [])
    asking.renew([subscriptions[1]!])
    clock.advance(20)
    expect(symbolsSent().slice(1)).to.deep.equal(['u CD', 's CD'])
    asking.acknowledged(3, [])
    clock.advance(10 * ACK_MS)
    expect(heard).to.deep.equal(['acked AB', 'acked CD', 'acked CD'])
    expect(sent).to.have.length(3)
  })

  it('renews many topics with as few requests as their number allows', () => {
    const { asking, subscriptions } = make(['AB', 'CD', 'EF'], { limits: { topicsPerRequest: 2 } })
    asking.start()
    clock.advance(20)
    asking.acknowledged(1, [])
    asking.acknowledged(2, [])
    asking.renew(subscriptions)
    clock.advance(100)
    expect(symbolsSent().slice(2)).to.deep.equal(['u AB,CD', 's AB,CD', 'u EF', 's EF'])
  })

  it('takes the answers to an unsubscription that come topic by topic for no answers to what follows', () => {
    const { asking, subscriptions } = make(['AB', 'CD'])
    asking.start()
    asking.acknowledged(1, [])
    asking.renew(subscriptions)
    clock.advance(20)
    asking.acknowledged(2, ['book:AB'])
    asking.acknowledged(2, ['book:CD'])
    expect(heard).to.deep.equal(['acked AB', 'acked CD'])
    asking.acknowledged(3, ['book:CD'])
    expect(heard.slice(2)).to.deep.equal(['acked CD'])
  })

  it('matches the answer to an unsubscription to it, and a refusal of it to nothing', () => {
    const { asking, subscriptions } = make(['AB'])
    asking.start()
    asking.acknowledged(1, [])
    asking.renew([subscriptions[0]!])
    clock.advance(20)
    asking.refused(2, [], 'you were not subscribed')
    expect(heard).to.deep.equal(['acked AB'])
    asking.renew([subscriptions[0]!])
    clock.advance(5)
    asking.acknowledged(undefined, [])
    expect(heard).to.deep.equal(['acked AB', 'acked AB'])
  })

  it('finds acknowledged topics that have been silent for too long, unless an envelope without a name has spoken', () => {
    const { asking } = make(['AB', 'CD'])
    asking.start()
    asking.acknowledged(1, [])
    clock.advance(3_000)
    asking.heard('book', 'AB', clock.nowUs())
    clock.advance(2_000)
    expect(asking.silent(clock.nowUs()).map(({ planned }) => planned.topic.symbol)).to.deep.equal(['CD'])
    asking.heard('book', undefined, clock.nowUs())
    asking.heard('book', 'ZZ', clock.nowUs())
    asking.heard('candles', 'CD', clock.nowUs())
    expect(asking.silent(clock.nowUs())).to.deep.equal([])
  })

  it('suspects nobody for the time in which it did not read', () => {
    const { asking } = make(['AB', 'CD'], { limits: { topicsPerRequest: 1 } })
    asking.start()
    clock.advance(10)
    asking.acknowledged(1, [])
    asking.pause()
    clock.advance(60_000)
    asking.resume()
    expect(asking.silent(clock.nowUs())).to.deep.equal([])
    expect(sent).to.have.length(2)
    clock.advance(ACK_MS)
    expect(symbolsSent()).to.deep.equal(['s AB', 's CD', 's CD'])
  })

  it('does not ask again on the next connection for what was refused', () => {
    const { subscriptions } = make(['AB', 'CD'])
    subscriptions[0]!.state = 'refused'
    const again = new Subscriptions({
      protocol: fakeProtocol(),
      subscriptions,
      clock,
      ackMs: ACK_MS,
      nextId: () => 1,
      send: (text) => sent.push(JSON.parse(text) as Sent),
      acked: () => undefined,
      refused: () => undefined,
      refusedOutOfTurn: () => undefined,
      unanswered: () => undefined,
    })
    again.start()
    expect(symbolsSent()).to.deep.equal(['s CD'])
    again.stop()
  })

  it('leaves no timer behind when it stops', () => {
    const { asking } = make(['AB', 'CD'], { limits: { topicsPerRequest: 1 } })
    asking.start()
    asking.stop()
    expect(clock.pending).to.equal(0)
    asking.acknowledged(1, [])
    expect(heard).to.deep.equal([])
  })
})
