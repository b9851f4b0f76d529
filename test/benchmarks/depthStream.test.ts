import { expect } from 'chai'
import { quantile } from '../../benchmarks/kit/report'
import { depthStream, type LevelChange } from '../../benchmarks/kit/depthStream'
import { fromFrames } from '../../src/feed/fromFrames'
import type { BookView } from '../../src/book/bookView'
import { toBooks } from '../../src/operators/toBooks'
import type { MarketEvent } from '../../src/model/events'

describe('The stream that benchmarks measure on', () => {
  it('has the sizes, positions and kinds of change of the recordings', () => {
    const changes: LevelChange[] = []
    const { frames, bytes } = depthStream({ frames: 20_000 }, (change) => changes.push(change))
    const positions = changes.map(({ position }) => position)
    const perFrame = frames.map(levelsIn)
    const share = (kind: LevelChange['kind']): number =>
      changes.filter((change) => change.kind === kind).length / changes.length

    expect(bytes / frames.length).to.be.within(275, 295)
    expect(changes.length / frames.length).to.be.within(4.5, 5.1)
    expect(perFrame.reduce((sum, count) => sum + count)).to.equal(changes.length)
    expect(quantile(perFrame, 0.5)).to.equal(3)
    expect(quantile(perFrame, 0.9)).to.be.within(10, 12)
    expect(quantile(perFrame, 0.99)).to.be.within(25, 31)
    expect(quantile(positions, 0.5)).to.be.within(3, 5)
    expect(quantile(positions, 0.9)).to.be.within(37, 50)
    expect(quantile(positions, 0.99)).to.be.within(210, 310)
    expect(share('update')).to.be.within(0.63, 0.69)
    expect(share('insert')).to.be.within(0.15, 0.19)
    expect(share('removal')).to.be.within(0.15, 0.19)
  })

  it('has symbols of falling weight and ticks from 1e-7 to 1e-2', () => {
    const { frames, instruments } = depthStream({ frames: 20_000 })
    const counts = new Map<string, number>()
    for (const frame of frames) {
      const { data } = JSON.parse(Buffer.from(frame).toString()) as { data: { s: string } }
      counts.set(data.s, (counts.get(data.s) ?? 0) + 1)
    }
    const ranked = [...counts.values()].toSorted((a, b) => b - a)
    expect(counts.size).to.equal(50)
    expect(counts.get('BTCUSDT')).to.equal(ranked[0])
    expect(ranked[0]! / ranked.at(-1)!).to.be.above(10)
    const { symbols } = JSON.parse(instruments) as { symbols: { filters: { tickSize?: string }[] }[] }
    const ticks = symbols.map(({ filters }) => Number(filters[0]!.tickSize))
    expect([Math.min(...ticks), Math.max(...ticks)]).to.deep.equal([1e-7, 1e-2])
  })

  for (const size of [
    { symbols: 50, levels: 1_000 },
    { symbols: 3, levels: 10 },
    { symbols: 2, levels: 10_000 },
  ]) {
    it(`gives live books without a gap that end at the true best prices: ${size.symbols} of ${size.levels} levels`, () => {
      const stream = depthStream({ frames: 3_000, ...size })
      const last = new Map<string, BookView>()
      const notices: MarketEvent[] = []
      const events = fromFrames('binance', stream.frames, stream)
      events.subscribe((batch) => {
        for (const event of batch) if (event.kind === 'notice') notices.push(event)
      })
      let crossed = 0
      events.pipe(toBooks()).subscribe((views) => {
        for (const view of views) {
          last.set(view.symbol, view)
          if (view.crossed) crossed++
        }
      })
      expect(notices).to.deep.equal([])
      expect(last.size).to.equal(size.symbols)
      expect(crossed).to.equal(0)
      for (const [symbol, { bid, ask }] of stream.touches) {
        const view = last.get(symbol)!
        expect([view.bestBid()!.price, view.bestAsk()!.price], symbol).to.deep.equal([bid, ask])
        expect(view.levels()[0], symbol).to.be.within(size.levels * 0.3, size.levels * 0.7)
      }
    })
  }

  it('is the same for the same seed and another for another', () => {
    const texts = (seed: number): string[] =>
      depthStream({ frames: 50, seed }).frames.map((frame) => Buffer.from(frame).toString())
    expect(texts(1)).to.deep.equal(texts(1))
    expect(texts(1)).to.not.deep.equal(texts(2))
  })
})

function levelsIn(frame: Uint8Array): number {
  const { data } = JSON.parse(Buffer.from(frame).toString()) as { data: { b: unknown[]; a: unknown[] } }
  return data.b.length + data.a.length
}
