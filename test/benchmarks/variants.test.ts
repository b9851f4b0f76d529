import { expect } from 'chai'
import type { BenchDocument } from '../../benchmarks/kit/document'
import { noiseOf, worse } from '../../benchmarks/kit/gate'
import { figures, markdownInto, markdownOf } from '../../benchmarks/kit/markdown'
import { pageOf } from '../../benchmarks/kit/page'
import { machine, type Row } from '../../benchmarks/kit/report'
import { Span } from '../../benchmarks/kit/span'
import { rowsOf, type Benchmark, type Sample } from '../../benchmarks/kit/variants'

const BENCHMARK: Benchmark = {
  name: 'book.time',
  measures: { '': 'ns/frame' },
  baseline: 'jsonParse',
  variants: [],
}

function samples(values: Readonly<Record<string, readonly number[]>>): Map<string, readonly Sample[]> {
  return new Map(Object.entries(values).map(([name, of]) => [name, of.map((value) => ({ '': value }))]))
}

function documentOf(rows: readonly Row[]): BenchDocument {
  return { format: 'millrace-bench/1', machine: machine(), quick: false, suites: [{ suite: 'book', rows, failed: [] }] }
}

describe('Variants of a benchmark', () => {
  it('are compared within each repetition, so that a machine whose speed drifts changes no ratio', () => {
    const [baseline, twice] = rowsOf(BENCHMARK, samples({ twice: [5, 10, 50], jsonParse: [10, 20, 100] }))
    expect(baseline).to.deep.equal({
      ...{ name: 'book.time.jsonParse', value: 20, unit: 'ns/frame', min: 10, max: 100 },
      repetitions: 3,
    })
    expect(twice).to.include({ name: 'book.time.twice', value: 10, baseline: 20, ratio: 2, ratioMin: 2, ratioMax: 2 })
    expect(twice).to.include({ baselineName: 'book.time.jsonParse' })
  })

  it('differ when six repetitions lie on the same side of the baseline, and fewer cannot say so', () => {
    const of = (count: number): Row[] => {
      const base = Array.from({ length: count }, () => 10)
      return rowsOf(
        BENCHMARK,
        samples({ jsonParse: base, jsonParseAgain: base.map((_, at) => 9 + 2 * (at % 2)), half: base.map(() => 20) }),
      )
    }
    expect(of(6).map(({ differs }) => differs)).to.deep.equal([undefined, false, true])
    expect(of(5).map(({ differs }) => differs)).to.deep.equal([undefined, undefined, undefined])
    expect(of(6).map(({ again }) => again)).to.deep.equal([undefined, true, undefined])
  })

  it('that failed have no row, and what is measured as nothing is divided by by nobody', () => {
    const values = samples({ jsonParse: [0, 0], failing: [1], ours: [5, 5] })
    const rows = rowsOf(BENCHMARK, values, new Set(['failing']))
    expect(rows.map(({ name, ratio }) => [name, ratio])).to.deep.equal([
      ['book.time.jsonParse', undefined],
      ['book.time.ours', undefined],
    ])
  })

  it('have names from the general to the special, and a place on a curve where they lie on one', () => {
    const rows = rowsOf(
      {
        ...BENCHMARK,
        name: 'scale.levels.10',
        measures: { time: 'ns/frame' },
        curve: { name: 'scale.levels', at: 10 },
      },
      new Map([['jsonParse', [{ time: 3 }]]]),
    )
    expect(rows[0]).to.include({ name: 'scale.levels.10.time.jsonParse', curve: 'scale.levels.time.jsonParse', at: 10 })
  })
})

describe('The frames that a variant takes', () => {
  it('begin to count after those that warm up, and are all handed out when there is time', () => {
    const items = Array.from({ length: 1_000 }, (_, index) => index)
    let started = 0
    const span = new Span(items, { warmUpFrames: 256, warmUpMs: 60_000, msMax: 60_000 }, () => started++)
    expect([...span]).to.deep.equal(items)
    expect([span.handedOut, span.counted, started]).to.deep.equal([1_000, 744, 1])
    expect(span.cost.time).to.be.above(0)
    expect(span.costByNow().time).to.be.at.least(span.cost.time)
  })

  it('end when the time is over, or when they are told to, and are not measured before', () => {
    const items = Array.from({ length: 10_000 }, (_, index) => index)
    const late = new Span(items, { warmUpFrames: 256, warmUpMs: 60_000, msMax: 0 })
    expect([...late].length).to.be.below(10_000)
    const stopped = new Span(items, { warmUpFrames: 256, warmUpMs: 60_000, msMax: 60_000 })
    stopped.next()
    expect(() => stopped.cost).to.throw('Not all frames were taken')
    stopped.stop()
    expect(stopped.next().done).to.equal(true)
  })
})

describe('A run compared with an earlier one', () => {
  const row = (name: string, ratio: number, more: Partial<Row> = {}): Row => ({
    ...{ name, value: 1, unit: 'ns', min: 1, max: 1, ratio, ratioMin: ratio * 0.98, ratioMax: ratio * 1.02 },
    ...more,
  })

  it('is worse where a ratio has fallen by more than the noise', () => {
    const before = documentOf([row('a', 4), row('b', 4), row('gone', 4)])
    const after = documentOf([row('a', 3), row('b', 3.9), row('new', 1)])
    expect(worse(before, after)).to.deep.equal(['a is worse: its ratio was 4 and is 3 (noise 5 %).'])
    expect(worse(after, before)).to.deep.equal([])
  })

  it('says nothing that the noise of its own baseline could have said', () => {
    const again = (baselineName: string): Row => row(`${baselineName}Again`, 1.4, { again: true, baselineName })
    const of = (ratio: number, noisy: string): BenchDocument =>
      documentOf([row('a', ratio, { baselineName: 'jsonParse' }), again(noisy)])
    expect(noiseOf(of(3, 'jsonParse'), 'jsonParse')).to.be.closeTo(0.4, 1e-9)
    expect(worse(of(4, 'other'), of(3, 'jsonParse'))).to.deep.equal([])
    expect(worse(of(4, 'other'), of(3, 'other'))).to.have.length(1)
  })
})

describe('What a run looks like', () => {
  const rows: Row[] = [
    { name: 'book.cpu.jsonParse', value: 2_345.6, unit: 'ns/frame', min: 2_000, max: 3_000 },
    {
      ...{ name: 'book.cpu.millrace', value: 500, unit: 'ns/frame', min: 400, max: 600, ratio: 4.69, ratioMin: 4 },
      ...{ ratioMax: 5, baseline: 2_345.6, baselineName: 'book.cpu.jsonParse', differs: true },
    },
    {
      ...{ name: 'book.cpu.jsonParseAgain', value: 2_300, unit: 'ns/frame', min: 2_000, max: 3_000, ratio: 1.02 },
      ...{ ratioMin: 0.97, ratioMax: 1.04, baseline: 2_345.6, baselineName: 'book.cpu.jsonParse', again: true },
    },
    ...[1, 10].map((at): Row => ({
      ...{ name: `scale.symbols.${at}.time.millrace`, value: 500 * at, unit: 'ns/frame', min: 400, max: 9_000 },
      ...{ curve: 'scale.symbols.time.millrace', at },
    })),
  ]

  it('is tables in a README, put between its marks, again and again', () => {
    const numbers = markdownOf(documentOf(rows))
    expect(numbers).to.contain('| `JSON.parse` alone: the floor | 2,346 ns/frame | 1 |')
    expect(numbers).to.contain('| **millrace**, `fromFrames` and `toBooks` | 500 ns/frame | 4.7 (4-5) |')
    const marked =
      'before\n<!-- numbers: written by `npm run bench -- --markdown README.md` -->\nold\n<!-- end of numbers -->\nafter\n'
    const once = markdownInto(marked, documentOf(rows))
    expect(once)
      .to.match(/^before\n<!-- numbers/)
      .and.match(/<!-- end of numbers -->\nafter\n$/)
    expect(once).to.contain(numbers).and.not.contain('old')
    expect(markdownInto(once, documentOf(rows))).to.equal(once)
    const unmarked = markdownInto('mine\n', documentOf(rows))
    expect(unmarked)
      .to.match(/^mine\n/)
      .and.contain(numbers)
    expect(markdownInto(unmarked, documentOf(rows))).to.equal(unmarked)
  })

  it('is a page that needs nothing else: bars beside the baseline, the noise, curves, and all rows', () => {
    const page = pageOf(documentOf(rows))
    expect(page).to.match(/^<!doctype html>/)
    expect(page).to.not.match(/<script|https?:|@import|url\(/)
    expect(page).to.contain('prefers-color-scheme: dark')
    expect(page.match(/<svg/g)).to.have.length(2)
    expect(page).to.contain('class="better"').and.contain('class="band"').and.contain('class="line line0"')
    expect(page).to.not.contain('NaN').and.not.contain('undefined')
    for (const { name } of rows) expect(page).to.contain(name)
  })

  it('shows as many figures as mean something', () => {
    expect([0.0123, 1.26, 12.4, 123.4, 12_345.6].map(figures)).to.deep.equal(['0.012', '1.3', '12', '123', '12,346'])
  })
})
