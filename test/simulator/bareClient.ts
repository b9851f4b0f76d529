/**
 * A stranger's client: a bare `ws` connection and, for each exchange, the book rule of its protocol page, written here
 * without any code of millrace. What it holds is compared with the simulator's own book.
 */
import { crc32 } from 'node:zlib'
import { expect } from 'chai'
import WebSocket from 'ws'
import type { BookTruth } from '../../src/simulator/simulatedExchange'
import { eventually } from '../kit/eventually'

export class BareClient {
  readonly frames: string[] = []
  closed: { code: number; reason: string } | undefined
  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => this.frames.push(data.toString()))
    socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }))
    socket.on('error', () => undefined)
  }

  static async open(url: string): Promise<BareClient> {
    const client = new BareClient(new WebSocket(url, { perMessageDeflate: false }))
    await new Promise((resolve, reject) => {
      client.socket.once('open', resolve)
      client.socket.once('error', reject)
    })
    return client
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** Waits for a frame that holds `text`. */
  async frame(text: string, from = 0): Promise<string> {
    return eventually(() => {
      const found = this.frames.slice(from).find((frame) => frame.includes(text))
      if (found === undefined) throw new Error(`no frame with ${text} among ${this.frames.slice(0, 5).join('\n')}`)
      return found
    })
  }

  close(): void {
    this.socket.terminate()
  }
}

/** A book by the rule of a page. `apply` is given each frame once, in order. */
export interface BareBook {
  readonly bids: Map<string, string>
  readonly asks: Map<string, string>
  /** Changes applied, losses noticed, checksums that were wrong. */
  applied: number
  gaps: number
  wrong: number
  apply(frame: string): void
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- foreign JSON, read as its page says
type Wire = Record<string, any>
type Levels = [string, string, ...string[]][]

function put(side: Map<string, string>, levels: Levels): void {
  for (const [price, size] of levels) {
    if (Number(size) === 0) side.delete(price)
    else side.set(price, size)
  }
}

function cut(side: Map<string, string>, depth: number, sign: number): void {
  for (const [price] of best(side, sign).slice(depth)) side.delete(price)
}

/** Best first: `sign` 1 for bids, -1 for asks. */
export function best(side: Map<string, string>, sign: number): [string, string][] {
  return [...side].sort(([a], [b]) => sign * (Number(b) - Number(a)))
}

function bare(apply: (this: BareBook, wire: Wire, text: string) => void, digits = false): BareBook {
  return {
    bids: new Map(),
    asks: new Map(),
    applied: 0,
    gaps: 0,
    wrong: 0,
    apply(text) {
      // Digits of JSON numbers count on Kraken: read them as texts.
      const readable = digits ? text.replace(/:(-?\d+(?:\.\d+)?)(?=[,}\]])/g, ':"$1"') : text
      if (readable.startsWith('{') || readable.startsWith('[')) apply.call(this, JSON.parse(readable) as Wire, text)
    },
  }
}

function replace(book: BareBook, bids: Levels, asks: Levels): void {
  book.bids.clear()
  book.asks.clear()
  put(book.bids, bids)
  put(book.asks, asks)
}

/** Spot and futures: buffered events are applied once `snapshot` was given. */
export function binanceBook(stream: string, futures: boolean): BareBook & { snapshot(body: string): void } {
  const waiting: Wire[] = []
  let last: number | undefined
  let first = true
  const take = (book: BareBook, event: Wire): void => {
    if (last === undefined) {
      waiting.push(event)
      return
    }
    if (futures ? event['u'] < last : event['u'] <= last) return
    if (first) {
      const joins = futures
        ? (event['U'] <= last && last <= event['u']) || event['pu'] === last
        : event['U'] <= last + 1 && last + 1 <= event['u']
      if (!joins) book.gaps++
      first = false
    } else if (futures ? event['pu'] !== last : event['U'] !== last + 1) book.gaps++
    last = event['u'] as number
    put(book.bids, event['b'] as Levels)
    put(book.asks, event['a'] as Levels)
    book.applied++
  }
  const book = bare(function (wire) {
    if (wire['stream'] === stream) take(this, wire['data'] as Wire)
  })
  return Object.assign(book, {
    snapshot(body: string) {
      const wire = JSON.parse(body) as Wire
      last = wire['lastUpdateId'] as number
      replace(book, wire['bids'] as Levels, wire['asks'] as Levels)
      for (const event of waiting) take(book, event)
    },
  })
}

export function bybitBook(topic: string): BareBook {
  let last = 0
  return bare(function (wire) {
    if (wire['topic'] !== topic) return
    const { b, a, u } = wire['data'] as { b: Levels; a: Levels; u: number }
    if (wire['type'] === 'snapshot') replace(this, b, a)
    else {
      if (u !== last + 1) this.gaps++
      put(this.bids, b)
      put(this.asks, a)
      this.applied++
    }
    last = u
  })
}

export function okxBook(instId: string): BareBook {
  let last = -1
  return bare(function (wire) {
    if (wire['arg']?.channel !== 'books' || wire['arg'].instId !== instId || wire['data'] === undefined) return
    const data = wire['data'][0] as { bids: Levels; asks: Levels; seqId: number; prevSeqId: number; checksum: number }
    if (wire['action'] === 'snapshot') replace(this, data.bids, data.asks)
    else {
      if (data.prevSeqId !== last) this.gaps++
      put(this.bids, data.bids)
      put(this.asks, data.asks)
      this.applied++
    }
    last = data.seqId
    if (data.checksum === 0) return
    const [bids, asks] = [best(this.bids, 1), best(this.asks, -1)]
    const texts: string[] = []
    for (let level = 0; level < 25; level++) texts.push(...(bids[level] ?? []), ...(asks[level] ?? []))
    if ((crc32(texts.join(':')) | 0) !== data.checksum) this.wrong++
  })
}

function krakenChecksum({ bids, asks }: BareBook): number {
  const digits = (text: string): string => text.replace('.', '').replace(/^0+/, '')
  const levels = [...best(asks, -1).slice(0, 10), ...best(bids, 1).slice(0, 10)]
  return crc32(levels.map(([price, size]) => digits(price) + digits(size)).join(''))
}

export function krakenBook(symbol: string, depth: number): BareBook {
  return bare(function (wire) {
    if (wire['channel'] !== 'book' || wire['data']?.[0].symbol !== symbol) return
    const data = wire['data'][0] as Wire
    const levels = (side: { price: string; qty: string }[]): Levels => side.map(({ price, qty }) => [price, qty])
    if (wire['type'] === 'snapshot') replace(this, levels(data['bids']), levels(data['asks']))
    else {
      put(this.bids, levels(data['bids']))
      put(this.asks, levels(data['asks']))
      cut(this.bids, depth, 1)
      cut(this.asks, depth, -1)
      this.applied++
    }
    if (String(krakenChecksum(this)) !== data['checksum']) this.wrong++
  }, true)
}

export function krakenV1Book(pair: string, depth: number): BareBook {
  return bare(function (wire) {
    if (!Array.isArray(wire) || wire.at(-1) !== pair || wire.at(-2) !== `book-${depth}`) return
    for (const part of wire.slice(1, -2) as Wire[]) {
      if (part['as'] !== undefined) replace(this, part['bs'] as Levels, part['as'] as Levels)
      else {
        put(this.bids, (part['b'] ?? []) as Levels)
        put(this.asks, (part['a'] ?? []) as Levels)
      }
      if (part['c'] === undefined) continue
      cut(this.bids, depth, 1)
      cut(this.asks, depth, -1)
      this.applied++
      if (String(krakenChecksum(this)) !== part['c']) this.wrong++
    }
  })
}

export function coinbaseBook(product: string): BareBook {
  return bare(function (wire) {
    if (wire['product_id'] !== product) return
    if (wire['type'] === 'snapshot') replace(this, wire['bids'] as Levels, wire['asks'] as Levels)
    if (wire['type'] !== 'l2update') return
    for (const [side, price, size] of wire['changes'] as [string, string, string][]) {
      put(side === 'buy' ? this.bids : this.asks, [[price, size]])
    }
    this.applied++
  })
}

/** The client's levels are exactly the best ones of the truth, digit for digit. */
export function expectSame(book: BareBook, truth: BookTruth, depth = Number.POSITIVE_INFINITY): void {
  expect(best(book.bids, 1)).to.deep.equal(truth.bids.slice(0, depth))
  expect(best(book.asks, -1)).to.deep.equal(truth.asks.slice(0, depth))
}
