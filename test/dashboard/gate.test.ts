/**
 * Who may ask: by number and by our own names, from our own page, with the token where one is needed.
 */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { isRefusal, judge, type GateRules, type RequestHead } from '../../src/dashboard/gate'
import { cookieFor } from '../../src/dashboard/token'

const TOKEN = 'a-token-of-more-than-16'
const OPEN: GateRules = { names: new Set(['desk.example']), token: undefined, cookie: cookieFor(undefined, 8080) }
const CLOSED: GateRules = { ...OPEN, token: TOKEN, cookie: cookieFor(TOKEN, 8080) }

describe('The gate of a served run', () => {
  for (const host of [
    '127.0.0.1',
    '127.0.0.1:8080',
    'localhost:9',
    'mine.localhost',
    '[::1]:8080',
    '10.0.0.7',
    'desk.example:80',
    'DESK.example',
  ]) {
    it(`lets in who asks ${host}`, () => expect(judged({ host })).to.equal('in'))
  }

  for (const [host, status] of [
    ['evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['desk.example.evil', 421],
    ['localhost.', 421],
    ['', 400],
    ['a b', 400],
    ['user@127.0.0.1', 400],
    ['127.0.0.1/x', 400],
    ['[::1', 400],
    ['127.0.0.1:123456', 400],
    ['127.0.0.1:99999', 400],
  ] as const) {
    it(`refuses who asks ${JSON.stringify(host)}`, () => expect(judged({ host })).to.equal(status))
  }

  it('refuses a request without a host, or with two', () => {
    expect(judged({})).to.equal(400)
    const rawHeaders = ['Host', '127.0.0.1', 'host', 'evil.example']
    expect(judged({ host: '127.0.0.1' }, { rawHeaders })).to.equal(400)
  })

  for (const [origin, expected] of [
    ['http://127.0.0.1:8080', 'in'],
    ['https://127.0.0.1:8080', 'in'],
    ['http://127.0.0.1:8081', 403],
    ['http://localhost:8080', 403],
    ['http://evil.example', 403],
    ['null', 403],
    ['', 403],
    ['file://127.0.0.1:8080', 403],
    ['http://127.0.0.1:8080.evil.example', 403],
  ] as const) {
    it(`${expected === 'in' ? 'lets in' : 'refuses'} a page of ${JSON.stringify(origin)}`, () => {
      expect(judged({ host: '127.0.0.1:8080', origin })).to.equal(expected)
    })
  }

  it('lets a link from elsewhere be followed, and nothing else that a page of elsewhere begins', () => {
    const from = (site: string, mode: string, dest: string): number | 'in' =>
      judged({ host: 'localhost', 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest })
    expect(from('none', 'navigate', 'document')).to.equal('in')
    expect(from('same-origin', 'cors', 'empty')).to.equal('in')
    expect(from('cross-site', 'navigate', 'document')).to.equal('in')
    expect(from('cross-site', 'navigate', 'iframe')).to.equal(403)
    expect(from('cross-site', 'no-cors', 'script')).to.equal(403)
    expect(from('same-site', 'no-cors', 'image')).to.equal(403)
    expect(from('same-site', 'websocket', 'empty')).to.equal(403)
  })

  for (const [what, change, status] of [
    ['another method', { method: 'POST' }, 405],
    ['a method of its own', { method: 'constructor' }, 405],
    ['the address of another server', { url: 'http://evil.example/' }, 400],
    ['no path', { url: '*' }, 400],
    ['a path without end', { url: `/${'a'.repeat(2_048)}` }, 414],
    ['headers without end', { rawHeaders: Array.from({ length: 128 }, () => 'x') }, 431],
  ] as const) {
    it(`refuses ${what}`, () => expect(judged({ host: 'localhost' }, change)).to.equal(status))
  }

  it('refuses a question with a body', () => {
    expect(judged({ host: 'localhost', 'content-length': '1' })).to.equal(413)
    expect(judged({ host: 'localhost', 'transfer-encoding': 'chunked' })).to.equal(413)
    expect(judged({ host: 'localhost', 'content-length': '0' })).to.equal('in')
  })

  it('changes nothing about a path', () => {
    for (const url of ['/../etc/passwd', '/%2e%2e/', '//metrics', '/metrics/', '/a%00', '/metrics;x', '/\\..\\']) {
      expect(judge(head({ host: 'localhost' }, { url }), OPEN)).to.deep.equal({ path: url, tokenInAddress: false })
    }
  })

  describe('with a token', () => {
    const { name, value } = CLOSED.cookie
    for (const [what, headers, url, expected] of [
      ['nothing', {}, '/', 401],
      ['the header', { authorization: `Bearer ${TOKEN}` }, '/', 'in'],
      ['the header in small letters', { authorization: `bearer ${TOKEN}` }, '/', 'in'],
      ['a wrong header', { authorization: 'Bearer wrong' }, '/', 401],
      ['a cookie of before and the address', { cookie: `${name}=old` }, `/?token=${TOKEN}`, 'in'],
      ['another scheme', { authorization: `Basic ${TOKEN}` }, '/', 401],
      ['the cookie', { cookie: `other=1; ${name}=${value}` }, '/', 'in'],
      ['a wrong cookie', { cookie: `${name}=${TOKEN}` }, '/', 401],
      ['the cookie of another port', { cookie: `millrace_9=${value}` }, '/', 401],
      ['the address', {}, `/?a=b&token=${TOKEN}`, 'in'],
      ['a wrong address', {}, '/?token=', 401],
      ['a part of it', {}, `/?token=${TOKEN.slice(0, -1)}`, 401],
    ] as const) {
      it(`${expected === 'in' ? 'lets in' : 'refuses'} who shows ${what}`, () => {
        expect(judged({ host: 'localhost', ...headers }, { url }, CLOSED)).to.equal(expected)
      })
    }

    it('asks no name of who has it not: pages of elsewhere are refused first', () => {
      const headers = { host: 'localhost', origin: 'http://evil.example', authorization: `Bearer ${TOKEN}` }
      expect(judged(headers, {}, CLOSED)).to.equal(403)
    })
  })

  it('repeats nothing of what it refuses, and throws at nothing', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('http://[', '//', '/?token=%', '%', ''),
    )
    fc.assert(
      fc.property(text, text, text, text, text, (url, host, origin, authorization, cookie) => {
        const answer = judge(head({ host, origin, authorization, cookie }, { url: `/${url}` }), CLOSED)
        expect(isRefusal(answer)).to.equal(true)
        expect(Object.keys(answer)).to.deep.equal(['status', 'sentence'])
      }),
      { seed: 3, numRuns: 1_000 },
    )
  })
})

function judged(
  headers: Record<string, string>,
  change: Partial<RequestHead> = {},
  rules: GateRules = OPEN,
): number | 'in' {
  const answer = judge(head(headers, change), rules)
  return isRefusal(answer) ? answer.status : 'in'
}

function head(headers: Record<string, string>, change: Partial<RequestHead>): RequestHead {
  return { method: 'GET', url: '/', headers, rawHeaders: Object.entries(headers).flat(), ...change }
}
