import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { RateLimiter } from '../../src/feed/rateLimiter'
import type { RestAnswer } from '../../src/feed/rest'
import { RestQueue, type RestQuestion } from '../../src/feed/restQueue'

interface Asked {
  readonly url: string
  readonly answer: (answer: RestAnswer) => void
  cancelled: boolean
}

describe('RestQueue', () => {
  let clock: VirtualClock
  let asked: Asked[]
  let heard: string[]
  let pauses: string[]

  function queue({ weightPerMinute = 1e9, atOnce = 1, capacity = 100 } = {}): RestQueue {
    return new RestQueue({
      clock,
      client: {
        get(url, answer) {
          const entry: Asked = { url, answer, cancelled: false }
          asked.push(entry)
          return () => (entry.cancelled = true)
        },
      },
      limiter: new RateLimiter(clock, weightPerMinute),
      random: () => 0.5,
      atOnce,
      capacity,
      limited: (reason, waitMs) => pauses.push(`${reason} ${waitMs}`),
    })
  }

  function question(key: string, changed: Partial<RestQuestion> = {}): RestQuestion {
    return {
      key,
      url: `/${key}`,
      weight: 1,
      urgent: true,
      retries: { atMost: 2, withinMs: 60_000 },
      answered: (body) => heard.push(`${key}: ${body}`),
      failed: (reason, final) => heard.push(`${key} failed: ${reason}${final ? ', for good' : ''}`),
      ...changed,
    }
  }

  const urls = (): string[] => asked.map(({ url }) => url)

  beforeEach(() => {
    clock = new VirtualClock(1)
    asked = []
    heard = []
    pauses = []
  })

  it('asks a few at once and the others in order', () => {
    const rest = queue({ atOnce: 2 })
    for (const key of ['a', 'b', 'c']) rest.ask(question(key))
    expect(urls()).to.deep.equal(['/a', '/b'])
    expect(rest.waiting).to.equal(1)
    asked[0]!.answer({ outcome: 'answered', body: 'A' })
    expect(urls()).to.deep.equal(['/a', '/b', '/c'])
    expect(heard).to.deep.equal(['a: A'])
  })

  it('lets urgent questions pass patient ones', () => {
    const rest = queue()
    rest.ask(question('first'))
    rest.ask(question('poll', { urgent: false }))
    rest.ask(question('snapshot'))
    asked[0]!.answer({ outcome: 'answered', body: '' })
    asked[1]!.answer({ outcome: 'answered', body: '' })
    expect(urls()).to.deep.equal(['/first', '/snapshot', '/poll'])
  })

  it('asks once for what is asked again while it waits: the latest question, in the place of the first', () => {
    const rest = queue()
    rest.ask(question('first'))
    rest.ask(question('x', { url: '/x?old' }))
    rest.ask(question('y'))
    rest.ask(question('x', { url: '/x?new' }))
    for (let index = 0; index < 3; index++) asked[index]!.answer({ outcome: 'answered', body: '' })
    expect(urls()).to.deep.equal(['/first', '/x?new', '/y'])
  })

  it('keeps to the rate limit', () => {
    const rest = queue({ weightPerMinute: 100, atOnce: 10 })
    for (const key of ['a', 'b', 'c', 'd']) rest.ask(question(key, { weight: 10 }))
    expect(asked).to.have.length(3)
    clock.advance(11_999)
    expect(asked).to.have.length(3)
    clock.advance(1)
    expect(asked).to.have.length(4)
  })

  it('tries a failure again, at once and then with backoff, until the budget is spent', () => {
    const rest = queue()
    rest.ask(question('a'))
    asked[0]!.answer({ outcome: 'failed', reason: 'broken' })
    clock.advance(0)
    expect(asked).to.have.length(2)
    asked[1]!.answer({ outcome: 'failed', reason: 'broken' })
    clock.advance(249)
    expect(asked).to.have.length(2)
    clock.advance(1)
    asked[2]!.answer({ outcome: 'failed', reason: 'still broken' })
    expect(heard).to.deep.equal(['a failed: still broken'])
    clock.advance(60_000)
    expect(asked).to.have.length(3)
    expect(rest.counts).to.deep.equal({ requests: 3, answers: 0, retries: 2, rateLimited: 0, failures: 1 })
  })

  it('does not try again what was refused', () => {
    queue().ask(question('a'))
    asked[0]!.answer({ outcome: 'refused', reason: 'status 400' })
    clock.advance(60_000)
    expect(heard).to.deep.equal(['a failed: status 400, for good'])
    expect(asked).to.have.length(1)
  })

  it('stops everything for as long as the exchange says, then asks again', () => {
    const rest = queue({ atOnce: 2 })
    rest.ask(question('a'))
    asked[0]!.answer({ outcome: 'limited', reason: 'status 429', waitMs: 5_000 })
    rest.ask(question('b'))
    clock.advance(4_999)
    expect(urls()).to.deep.equal(['/a'])
    clock.advance(1)
    expect(urls()).to.have.members(['/a', '/a', '/b'])
    expect(pauses).to.deep.equal(['status 429 5000'])
  })

  it('gives up when the exchange asks for a longer pause than the budget allows', () => {
    queue().ask(question('a'))
    asked[0]!.answer({ outcome: 'limited', reason: 'status 418', waitMs: 3_600_000 })
    expect(heard).to.deep.equal(['a failed: status 418'])
  })

  it('refuses questions beyond its capacity', () => {
    const rest = queue({ capacity: 1 })
    for (const key of ['running', 'waiting', 'toomany']) rest.ask(question(key))
    expect(heard).to.deep.equal(['toomany failed: 1 requests are waiting already'])
  })

  it('goes on without a question that was withdrawn: waiting, under way, or resting', () => {
    const rest = queue()
    const underWay = rest.ask(question('underWay'))
    rest.ask(question('waiting'))()
    rest.ask(question('next'))
    underWay()
    expect(asked[0]!.cancelled).to.equal(true)
    expect(urls()).to.deep.equal(['/underWay', '/next'])
    const resting = rest.ask(question('resting'))
    asked[1]!.answer({ outcome: 'answered', body: 'N' })
    asked[2]!.answer({ outcome: 'failed', reason: 'x' })
    resting()
    clock.advance(60_000)
    expect(urls()).to.deep.equal(['/underWay', '/next', '/resting'])
    expect(heard).to.deep.equal(['next: N'])
  })

  it('asks nothing while it is paused', () => {
    const rest = queue()
    rest.pause()
    rest.ask(question('a'))
    clock.advance(10_000)
    expect(asked).to.have.length(0)
    rest.resume()
    expect(asked).to.have.length(1)
  })

  it('leaves no timer and no request behind when it stops', () => {
    const rest = queue({ weightPerMinute: 100, atOnce: 2 })
    rest.ask(question('failing'))
    rest.ask(question('running', { weight: 29 }))
    rest.ask(question('waiting', { weight: 29 }))
    asked[0]!.answer({ outcome: 'failed', reason: 'x' })
    rest.stop()
    expect(clock.pending).to.equal(0)
    expect(asked[1]!.cancelled).to.equal(true)
    rest.ask(question('late'))
    expect(asked).to.have.length(2)
    expect(heard).to.deep.equal([])
  })
})
