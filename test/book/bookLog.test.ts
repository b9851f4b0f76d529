import { expect } from 'chai'
import { BookView } from '../../src/book/bookView'
import type { Epoch } from '../../src/book/bookLog'
import { Level2Book } from '../../src/book/level2Book'
import type { LevelText } from '../../src/model/events'
import { delta, snapshot } from '../kit/marketEvents'

const LEVELS = 40
const CHANGES = 40_000

/** A book whose best levels are changed again and again, with a view of each moment. */
class ChangingBook {
  readonly book = new Level2Book()
  private moment = 0

  constructor(levels = LEVELS) {
    const side = (direction: 1 | -1): LevelText[] =>
      Array.from({ length: levels }, (_, index) => [String(10_000 + direction * (index + 1)), '1'])
    this.book.snapshot(snapshot(side(-1), side(1)))
  }

  /** Changes a level of one side, most of them near the touch. */
  change(): BookView {
    const { moment } = this
    const distance = 1 + ((moment * 7) % 13)
    const level: LevelText = [String(10_000 + (moment % 2 === 0 ? distance : -distance)), String(2 + (moment % 900))]
    this.book.delta(delta(moment % 2 === 0 ? [] : [level], moment % 2 === 0 ? [level] : []))
    return this.view()
  }

  view(): BookView {
    const seq = ++this.moment
    const head = {
      exchange: 'kraken',
      symbol: 'BTC/USD',
      instrument: 'BTC-USD',
      exchangeTimeUs: 1,
      receiveTimeUs: seq,
      seq,
    }
    return BookView.of(head, this.book, Infinity)
  }
}

/** Numbers of the log that an epoch keeps alive. */
function keptBy(epoch: Epoch): number {
  let numbers = 0
  for (let each: Epoch | undefined = epoch; each !== undefined; each = each.following) numbers += each.length
  return numbers
}

describe('The log of a book', () => {
  it('is kept by a view no further than it takes, however much follows', () => {
    const changing = new ChangingBook()
    const first = changing.view()
    const epoch = changing.book.recorded
    const [bids, asks] = [first.bids(), first.asks()]
    for (let index = 0; index < CHANGES; index++) changing.change()
    expect(keptBy(epoch)).to.be.within(3 * 4_096, 3 * 5_120)
    expect([first.bids(), first.asks()]).to.deep.equal([bids, asks])
    expect(first.seq).to.equal(1)
  })

  it('is kept as long as a deep book is copied in, so that copying stays little', () => {
    const changing = new ChangingBook(4_000)
    changing.view()
    const epoch = changing.book.recorded
    for (let index = 0; index < CHANGES; index++) changing.change()
    expect(keptBy(epoch)).to.be.within(3 * 32_000, 3 * 34_000)
  })

  it('gives every moment as it was, read late and in any order, across its ends', () => {
    const changing = new ChangingBook()
    const moments: { readonly view: BookView; readonly json: string }[] = []
    for (let index = 0; index < CHANGES / 4; index++) {
      const view = changing.change()
      if (index % 37 === 0) moments.push({ view, json: JSON.stringify(view) })
    }
    for (let step = 0; step < moments.length; step++) {
      const { view, json } = moments[(step * 61) % moments.length]!
      expect(JSON.stringify(view)).to.equal(json)
      expect(view.toJSONText()).to.equal(json)
    }
  })

  it('is not cut while its texts are read late, one after another', () => {
    const changing = new ChangingBook()
    const waiting: { readonly view: BookView; readonly json: string }[] = []
    let left: Epoch | undefined
    for (let index = 0; index < CHANGES / 2; index++) {
      const view = changing.change()
      waiting.push({ view, json: JSON.stringify(view) })
      if (waiting.length <= 400) continue
      const { view: late, json } = waiting.shift()!
      expect(late.toJSONText()).to.equal(json)
      // Some ends may have been made before the first was read late; later there are none.
      if (index === CHANGES / 4) left = changing.book.recorded
    }
    expect(left!.leadsTo(changing.book.recorded)).to.equal(true)
  })
})
