import { expect } from 'chai'
import * as fc from 'fast-check'
import { Kernel } from '../../src/kernel/kernel'
import { WINDOW } from '../../src/kernel/layout'
import { BareBook, type BareLevel } from './bareBook'

const SEED = 20_261_128

/** A tick of 0.05: prices are `ticks * 5 / 100`. */
const UNIT = 5
const POWER = 100
const TOUCH = 100_000

interface Step {
  readonly asks: boolean
  readonly changes: readonly BareLevel[]
  /** Levels to which the side is cut afterwards. */
  readonly depth: number | undefined
}

/** Books are changed near a touch that wanders by thousands of ticks, with levels far from it now and then. */
const steps = fc
  .array(
    fc.record({
      asks: fc.boolean(),
      wander: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: -30, max: 30 }) },
        fc.integer({ min: -3_000, max: 3_000 }),
      ),
      changes: fc.array(
        fc.tuple(
          fc.oneof(
            { weight: 6, arbitrary: fc.integer({ min: -40, max: 40 }) },
            { weight: 2, arbitrary: fc.integer({ min: -WINDOW, max: WINDOW }) },
            fc.integer({ min: -20_000, max: 20_000 }),
          ),
          fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000_000 })),
          fc.integer({ min: 0, max: 8 }),
        ),
        { maxLength: 40 },
      ),
      depth: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined, freq: 6 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((drawn) => {
    let touch = TOUCH
    return drawn.map(({ asks, wander, changes, depth }): Step => {
      touch = Math.max(30_000, touch + wander)
      return {
        asks,
        changes: changes.map(([distance, lots, places]) => [
          ((touch + distance) * UNIT) / POWER,
          lots / 10 ** places,
          2 * 128 + places,
        ]),
        depth,
      }
    })
  })

/** The plainest book there is. */
class MapBook {
  private readonly sides = [new Map<number, BareLevel>(), new Map<number, BareLevel>()]

  /** What the kernel's log must say of the changes. */
  change(asks: boolean, levels: readonly BareLevel[]): number[] {
    const side = this.sides[asks ? 1 : 0]!
    const log: number[] = []
    for (const level of levels) {
      const [price, size] = level
      const before = side.get(price)?.[1] ?? 0
      if (before !== 0 || size !== 0) log.push(asks ? -price : price, before, size)
      if (size === 0) side.delete(price)
      else side.set(price, level)
    }
    return log
  }

  cut(asks: boolean, depth: number): void {
    for (const [price] of this.levels(asks).slice(depth)) this.sides[asks ? 1 : 0]!.delete(price)
  }

  levels(asks: boolean): BareLevel[] {
    return [...this.sides[asks ? 1 : 0]!.values()].sort(([a], [b]) => (asks ? a - b : b - a))
  }
}

for (const language of ['wasm', 'typescript'] as const) {
  describe(`The books of the kernel in ${language}`, () => {
    // In TypeScript there is one memory at a time: that of the kernel made last.
    let kernel: Kernel
    before(() => (kernel = new Kernel(language)))
    const book = (): BareBook => new BareBook(kernel, UNIT, POWER, TOUCH)

    it('are those of a map, whatever changes, wherever the touch goes, however they are cut', function () {
      this.timeout(30_000)
      fc.assert(
        fc.property(steps, (run) => {
          const ours = book()
          const model = new MapBook()
          for (const { asks, changes, depth } of run) {
            const { done, log } = ours.change(asks, changes)
            expect(done).to.equal(changes.length)
            expect(log).to.deep.equal(model.change(asks, changes))
            if (depth !== undefined) {
              const cutAway = model.levels(asks).slice(depth)
              const cutLog = ours.cut(asks, depth)
              model.cut(asks, depth)
              expect(cutLog.length).to.equal(cutAway.length * 3)
            }
            for (const side of [false, true]) {
              const levels = model.levels(side)
              expect(ours.best(side, 0, 4_096)).to.deep.equal(levels)
              expect(ours.length(side)).to.equal(levels.length)
              const [price, size] = levels[0] ?? [NaN, NaN]
              expect(ours.top(side)).to.deep.equal([price, size])
            }
          }
        }),
        { seed: SEED, numRuns: 60 },
      )
    })

    it('give the best levels from any place on', function () {
      this.timeout(30_000)
      fc.assert(
        fc.property(steps, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), (run, skip, atMost) => {
          const ours = book()
          const model = new MapBook()
          for (const { asks, changes } of run) {
            ours.change(asks, changes)
            model.change(asks, changes)
          }
          for (const side of [false, true]) {
            expect(ours.best(side, skip, atMost)).to.deep.equal(model.levels(side).slice(skip, skip + atMost))
          }
        }),
        { seed: SEED, numRuns: 60 },
      )
    })

    it('read backwards by their log give the book as it was, and forwards from there the book as it is', function () {
      this.timeout(30_000)
      fc.assert(
        fc.property(steps, steps, (before, after) => {
          const ours = book()
          for (const { asks, changes } of before) ours.change(asks, changes)
          const sizes = [false, true].map(
            (side) => new Map(ours.best(side, 0, 4_096).map(([price, size]) => [price, size])),
          )
          const then = sizes.map((side) => [...side].sort(([a], [b]) => a - b))
          const log: number[] = []
          for (const { asks, changes, depth } of after) {
            log.push(...ours.change(asks, changes).log)
            if (depth !== undefined) log.push(...ours.cut(asks, depth))
          }
          const now = [false, true].map(
            (side) => new Map(ours.best(side, 0, 4_096).map(([price, size]) => [price, size])),
          )
          const is = now.map((side) => [...side].sort(([a], [b]) => a - b))
          const take = (at: number, size: number): void => {
            const side = now[log[at]! < 0 ? 1 : 0]!
            if (size === 0) side.delete(Math.abs(log[at]!))
            else side.set(Math.abs(log[at]!), size)
          }
          for (let at = log.length - 3; at >= 0; at -= 3) take(at, log[at + 1]!)
          expect(now.map((side) => [...side].sort(([a], [b]) => a - b))).to.deep.equal(then)
          for (let at = 0; at < log.length; at += 3) take(at, log[at + 2]!)
          expect(now.map((side) => [...side].sort(([a], [b]) => a - b))).to.deep.equal(is)
        }),
        { seed: SEED, numRuns: 60 },
      )
    })

    it('stop at a price between ticks, and say how far they came', () => {
      const ours = book()
      const { done } = ours.change(false, [
        [5_000.05, 1, 257],
        [5_000.07, 1, 257],
        [5_000.1, 1, 257],
      ])
      expect(done).to.equal(1)
      expect(ours.best(false, 0, 10)).to.deep.equal([[5_000.05, 1, 257]])
    })

    it('change nothing when a list has no room for what might come', () => {
      const ours = new BareBook(kernel, UNIT, POWER, TOUCH, 2)
      expect(kernel.code.update(ours.at, 3, 0, 0, 0, 0)).to.equal(-1)
      expect(ours.length(false)).to.equal(0)
    })
  })
}
