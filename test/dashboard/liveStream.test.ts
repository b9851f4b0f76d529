import { expect } from 'chai'
import fc from 'fast-check'
import type { BookView } from '../../src/book/bookView'
import { VirtualClock } from '../../src/clock/virtualClock'
import { MESSAGE_BYTES_MAX, parseClientMessage } from '../../src/dashboard/clientMessage'
import type { TickMessage } from '../../src/dashboard/liveFormat'
import { LiveStream } from '../../src/dashboard/liveStream'
import { collectGarbage } from '../kit/collectGarbage'
import { eventually } from '../kit/eventually'
import { FakeRun, moveRow, T_US } from './fakeRun'
import { FakeSocket } from './fakeSocket'

const TICK_US = 250_000

describe('The live stream of a dashboard', () => {
  let clock: VirtualClock
  let run: FakeRun
  let stream: LiveStream

  beforeEach(() => {
    clock = new VirtualClock(T_US)
    run = new FakeRun()
    stream = new LiveStream(run, clock)
  })

  afterEach(() => stream.close())

  const ticksPass = (count: number): void => {
    for (let at = 0; at < count; at++) clock.advanceTo(clock.nowUs() + TICK_US)
  }

  const coming = (): FakeSocket => {
    const socket = new FakeSocket()
    stream.connected(socket.asSocket)
    return socket
  }

  /** With its first tick, which takes more than one turn. */
  const connected = (): FakeSocket => {
    const socket = coming()
    clock.advance(0)
    return socket
  }

  it('says hello and then everything, to whoever comes whenever', () => {
    run.addRow('kraken', 'BTC-USD')
    run.fault('It broke.')
    const first = connected()
    ticksPass(3)
    const second = connected()
    for (const { messages } of [first, second]) {
      expect(messages[0]).to.include({ type: 'hello', format: 'millrace-dashboard/1', pipeline: 'fake', mode: 'live' })
      expect(messages[1]).to.deep.include({ type: 'tick', names: [['kraken', 'BTC-USD']] })
      expect(messages[1]).to.have.nested.property('faults.latest[0][2]', 'It broke.')
    }
  })

  it('looks at the run only while somebody looks at the page', () => {
    ticksPass(8)
    const before = run.looks
    ticksPass(8)
    expect(run.looks).to.equal(before)
    const socket = connected()
    ticksPass(4)
    expect(run.looks).to.be.above(before + 3)
    socket.emit('close')
    const after = run.looks
    ticksPass(8)
    expect(run.looks).to.equal(after)
    expect(stream.size).to.equal(0)
  })

  it('tells of rows only when they have changed', () => {
    const quiet = run.addRow('kraken', 'BTC-USD')
    const lively = run.addRow('okx', 'ETH-USDT')
    moveRow(quiet, 100, 0)
    const socket = connected()
    socket.sees()
    moveRow(lively, 50.5, 1)
    ticksPass(1)
    const { rows, names } = socket.ticks.at(-1)!
    expect(names).to.equal(undefined)
    expect(rows).to.deep.equal([[1, 'live', 2, 0, 0, 0, T_US / 1_000 + 1, 50.5, 51.5, null, null, '']])
  })

  it('tells what of a row is stale, and when it is not any more', () => {
    const row = run.addRow('kraken', 'BTC-USD')
    const socket = connected()
    for (const stale of [['book', 'trades'], []]) {
      row.stale = stale
      socket.sees()
      ticksPass(1)
      expect(socket.ticks.at(-1)!.rows![0]!.at(-1)).to.equal(stale.join(', '))
    }
  })

  it('shows no prices of a book that cannot vouch for itself', () => {
    const row = run.addRow('kraken', 'BTC-USD')
    moveRow(row, 100, 0)
    row.state = 'gap'
    expect(connected().ticks[0]!.rows![0]!.slice(7)).to.deep.equal([null, null, null, null, ''])
  })

  it('has one tick on its way to a page, and merges what a slow page misses into the next', () => {
    const row = run.addRow('kraken', 'BTC-USD')
    const socket = connected()
    expect(socket.ticks).to.have.length(1)
    for (let step = 1; step <= 50; step++) {
      moveRow(row, 100 + step, step)
      run.fault(`Fault ${step}.`)
      ticksPass(1)
    }
    expect(socket.ticks).to.have.length(1)
    socket.sees()
    ticksPass(1)
    expect(socket.ticks).to.have.length(2)
    const { rows, faults } = socket.ticks[1]!
    expect(rows).to.have.length(1)
    expect(rows![0]![7]).to.equal(150)
    expect(faults!.latest.map(([, , message]) => message)).to.deep.equal(
      Array.from({ length: 50 }, (_, at) => `Fault ${at + 1}.`),
    )
  })

  it('lets a slow page slow nobody: others get every tick, and nothing is kept for it', () => {
    const rows = Array.from({ length: 500 }, (_, at) => run.addRow('kraken', `C${at}-USD`))
    const [slow, quick] = [connected(), connected()]
    ticksPass(1)
    for (let step = 1; step <= 40; step++) {
      for (const row of rows) row.events++
      quick.sees()
      ticksPass(1)
    }
    expect(quick.ticks).to.have.length(41)
    expect(slow.ticks).to.have.length(1)
  })

  it('tells of a tick when all of its rows were read, also to a page that comes in the middle', () => {
    const rows = Array.from({ length: 700 }, (_, at) => run.addRow('kraken', `C${at}-USD`))
    const early = coming()
    expect(early.ticks).to.deep.equal([])
    const late = coming()
    ticksPass(1)
    for (const { ticks } of [early, late]) {
      expect(ticks[0]!.names).to.have.length(700)
      expect(ticks[0]!.rows!.map(([row]) => row)).to.deep.equal(rows.map((_, at) => at))
    }
  })

  it('gives up a page that has not seen its tick for half a minute', () => {
    const socket = connected()
    ticksPass(119)
    expect(socket.closedWith).to.equal(undefined)
    ticksPass(3)
    expect(socket.closedWith).to.equal(1013)
    expect(stream.size).to.equal(0)
    ticksPass(8)
    expect(socket.terminated).to.equal(true)
  })

  it('sends nothing to a page that holds, and what has changed when it goes on', () => {
    const row = run.addRow('kraken', 'BTC-USD')
    const socket = connected()
    socket.sees()
    socket.says({ paused: true })
    moveRow(row, 7, 1)
    ticksPass(400)
    expect(socket.ticks).to.have.length(1)
    expect(socket.closedWith).to.equal(undefined)
    socket.says({ paused: false })
    ticksPass(1)
    expect(socket.ticks[1]!.rows![0]![7]).to.equal(7)
  })

  it('tells of the book that a page watches, when it has changed, and of no other', () => {
    const row = run.addRow('kraken', 'BTC-USD')
    moveRow(row, 100, 0)
    const [watching, other] = [connected(), connected()]
    watching.says({ watch: { exchange: 'kraken', name: 'BTC-USD' } })
    const next = (): void => {
      watching.sees()
      other.sees()
      run.seconds++
      ticksPass(1)
    }
    next()
    expect(watching.ticks.at(-1)!.book).to.deep.equal({
      ...{ exchange: 'kraken', name: 'BTC-USD', live: true, kept: true, receiveTimeUs: T_US },
      ...{ bids: [100, 2], asks: [101, 3] },
    })
    next()
    expect(watching.ticks.at(-1)).not.to.have.property('book')
    row.state = 'down'
    next()
    expect(watching.ticks.at(-1)!.book).to.deep.include({ live: false, bids: [], asks: [] })
    expect(other.ticks.some(({ book }) => book !== undefined)).to.equal(false)
  })

  it('tells how the run is, with the reasons, when that has changed', () => {
    const socket = connected()
    expect(socket.ticks[0]!.health).to.deep.equal({ level: 'healthy', reasons: [], reactions: [] })
    run.state = { ...run.state, level: 'degraded', reasons: ['The loop stands.'] }
    socket.sees()
    ticksPass(1)
    expect(socket.ticks[1]!.health).to.deep.include({ level: 'degraded', reasons: ['The loop stands.'] })
  })

  it('tells of the shape of the pipeline only when it has changed, and of its nodes when they fare otherwise', () => {
    const fares = { state: 'running', restarts: 0, failures: 0, quarantined: 0 } as const
    const books = { name: 'books', kind: 'stage', ...fares } as const
    run.nodes = [books]
    const socket = connected()
    const next = (nodes: typeof run.nodes): TickMessage => {
      run.nodes = nodes
      run.seconds++
      socket.sees()
      ticksPass(1)
      return socket.ticks.at(-1)!
    }
    expect(socket.ticks[0]!.graph!.nodes).to.deep.equal([{ name: 'books', kind: 'stage' }])
    const restarted = next([{ ...books, restarts: 1 }])
    expect(restarted.graph).to.equal(undefined)
    expect(restarted.nodes).to.deep.equal([['running', 1, 0, 0, null]])
    expect(next([books, { ...fares, name: 'file', kind: 'sink' }]).graph!.nodes).to.have.length(2)
    expect(next([books, { ...fares, name: 'other', kind: 'sink' }]).graph!.nodes[1]!.name).to.equal('other')
  })

  it('keeps no view of a book, for a page that is hidden nor when nobody looks any more', async () => {
    const row = run.addRow('kraken', 'BTC-USD')
    const views: WeakRef<BookView>[] = []
    const bookMoves = (step: number): void => {
      moveRow(row, 100 + step, step)
      views.push(new WeakRef(row.view!))
    }
    bookMoves(1)
    const socket = connected()
    socket.says({ watch: { exchange: 'kraken', name: 'BTC-USD' } })
    socket.sees()
    ticksPass(1)
    expect(socket.ticks.at(-1)!.book!.receiveTimeUs).to.equal(row.view!.receiveTimeUs)
    socket.says({ paused: true })
    bookMoves(2)
    await eventually(async () => {
      await collectGarbage()
      expect(views[0]!.deref()).to.equal(undefined)
    })
    ticksPass(1)
    socket.emit('close')
    bookMoves(3)
    await eventually(async () => {
      await collectGarbage()
      expect(views[1]!.deref()).to.equal(undefined)
    })
  })

  it('says that a run has ended', () => {
    const socket = connected()
    run.phase = 'ended'
    socket.sees()
    ticksPass(1)
    expect(socket.ticks.at(-1)!.run!.ended).to.equal(true)
  })

  it('ignores and counts what is no message, and goes on', () => {
    const socket = connected()
    const strange = ['', '{', 'null', '[]', '{}', '{"seen":-1}', '{"seen":1,"paused":true}', '{"watch":7}']
    const hostile = ['{"__proto__":{"paused":true}}', '{"watch":{"exchange":"a"}}', '{"paused":"yes"}', '{"stop":true}']
    for (const text of [...strange, ...hostile]) socket.says(text)
    socket.emit('message', Buffer.from([0, 1, 2]), true)
    expect(stream.refused).to.equal(strange.length + hostile.length + 1)
    expect(socket.closedWith).to.equal(undefined)
    socket.sees()
    run.seconds++
    ticksPass(1)
    expect(socket.ticks).to.have.length(2)
  })

  it('takes leave of a page that talks too much, or says too much at once', () => {
    const [chatty, long] = [connected(), connected()]
    for (let at = 0; at < 40; at++) chatty.says({ paused: false })
    long.says(`{"paused":${' '.repeat(MESSAGE_BYTES_MAX)}true}`)
    expect([chatty.closedWith, long.closedWith]).to.deep.equal([1008, 1009])
    expect(stream.size).to.equal(0)
  })

  it('goes on only when the tick that it sent last was seen', () => {
    const socket = connected()
    socket.says({ seen: 77 })
    run.seconds++
    ticksPass(2)
    expect(socket.ticks).to.have.length(1)
  })
})

describe('A message of a page', () => {
  it('is understood to the letter, or not at all, whatever comes', () => {
    expect(parseClientMessage('{"watch":{"exchange":"okx","name":"BTC-USDT"}}')).to.deep.equal({
      watch: { exchange: 'okx', name: 'BTC-USDT' },
    })
    expect(parseClientMessage('{"watch":null}')).to.deep.equal({ watch: null })
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const message = parseClientMessage(text)
        if (message !== undefined) expect(Object.keys(message)).to.have.length(1)
      }),
    )
  })
})
