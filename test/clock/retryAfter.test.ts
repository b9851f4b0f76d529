import { expect } from 'chai'
import { askedWaitMs, retryAfterMs } from '../../src/clock/retryAfter'
import { Fault } from '../../src/model/fault'

describe('Retry-After', () => {
  it('is seconds or a date', () => {
    expect(retryAfterMs('7', 0)).to.equal(7_000)
    expect(retryAfterMs('Thu, 01 Jan 1970 00:01:00 GMT', 20_000_000)).to.equal(40_000)
  })

  it('is nothing when absent or senseless, not negative for a date that is over, and bounded', () => {
    for (const header of [undefined, '', 'soon', '-5', '1e99', '12345678901234567890', `7${' '.repeat(100)}`])
      expect(retryAfterMs(header, 0)).to.equal(undefined)
    expect(retryAfterMs('Thu, 01 Jan 1970 00:01:00 GMT', 90_000_000)).to.equal(0)
    expect(retryAfterMs('999999999', 0)).to.equal(7 * 24 * 3_600_000)
  })
})

describe('askedWaitMs', () => {
  const asked = (error: unknown): number | undefined => askedWaitMs(error, 20_000_000)

  it('reads the details of a fault', () => {
    expect(asked(new Fault('FEED_RATE_LIMITED', 'Wait.', { waitMs: 5_000 }))).to.equal(5_000)
    expect(asked(new Fault('REQUEST_FAILED', 'Wait.', { retryAfterMs: 6_000 }))).to.equal(6_000)
    expect(asked(new Fault('FEED_RATE_LIMITED', 'Wait.', { waitMs: 'long' }))).to.equal(undefined)
  })

  it('reads the header of an answer of fetch, thrown itself or carried by an error', () => {
    const answer = new Response(null, { status: 429, headers: { 'Retry-After': '7' } })
    expect(asked(answer)).to.equal(7_000)
    expect(asked(Object.assign(new Error('429'), { response: answer }))).to.equal(7_000)
    expect(asked(new Error('429', { cause: answer }))).to.equal(7_000)
  })

  it('reads headers as Node and clients have them', () => {
    expect(asked({ headers: { 'retry-after': 'Thu, 01 Jan 1970 00:01:00 GMT' } })).to.equal(40_000)
    expect(asked({ headers: { 'Retry-After': 3 } })).to.equal(3_000)
    expect(asked({ response: { headers: { 'retry-after': ['4', '5'] } } })).to.equal(4_000)
    expect(asked({ headers: new Map([['retry-after', '2']]) })).to.equal(2_000)
  })

  it('asks the causes, some of them', () => {
    const limited = new Fault('FEED_RATE_LIMITED', 'Wait.', { waitMs: 5_000 })
    expect(asked(new Error('outer', { cause: new Error('inner', { cause: limited }) }))).to.equal(5_000)
    const endless: { cause?: unknown } = {}
    endless.cause = endless
    expect(asked(endless)).to.equal(undefined)
  })

  it('hears nothing where nothing is said, and never throws', () => {
    const hostile = {
      get headers(): never {
        throw new Error('no')
      },
    }
    for (const error of [undefined, null, 'text', 429, new Error('x'), {}, { headers: 7 }, { headers: {} }, hostile]) {
      expect(asked(error)).to.equal(undefined)
    }
  })
})
