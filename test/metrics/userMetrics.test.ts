import { expect } from 'chai'
import { runWithMetrics } from '../../src/metrics/currentMetrics'
import type { MetricFamily } from '../../src/metrics/metric'
import { MetricRegistry } from '../../src/metrics/registry'
import {
  counter,
  gauge,
  histogram,
  LABEL_SETS_MAX,
  UserMetrics,
  type Counter,
  type UserMetricOptions,
} from '../../src/metrics/userMetrics'
import type { Fault } from '../../src/model/fault'

const QUOTES = { unit: 'quotes', meaning: 'quotes that were seen' }

describe('A metric of a pipeline', () => {
  it('is read with the others, under its name, kind, unit and meaning', () => {
    const { define, read } = pipelineOf()
    const [seen, spread, sizes] = define(() => [
      counter('quotes.seen', QUOTES),
      gauge('quotes.spread', { unit: 'bps', meaning: 'the spread of the last quote' }),
      histogram('quotes.sizes', { unit: 'coins', meaning: 'sizes of quotes', bounds: [1, 10] }),
    ])
    seen.add()
    seen.add(4)
    spread.set(2)
    spread.set(1.5)
    for (const size of [0.5, 1, 7, 700]) sizes.record(size)
    expect(read()).to.deep.equal([
      { name: 'quotes.seen', kind: 'counter', ...QUOTES, samples: [{ labels: {}, value: 5 }] },
      {
        name: 'quotes.spread',
        kind: 'gauge',
        unit: 'bps',
        meaning: 'the spread of the last quote',
        samples: [{ labels: {}, value: 1.5 }],
      },
      {
        name: 'quotes.sizes',
        kind: 'histogram',
        unit: 'coins',
        meaning: 'sizes of quotes',
        samples: [
          {
            labels: {},
            value: 4,
            distribution: {
              sum: 708.5,
              buckets: [
                { upTo: 1, count: 2 },
                { upTo: 10, count: 3 },
                { upTo: Infinity, count: 4 },
              ],
            },
          },
        ],
      },
    ])
  })

  it('says zero of a counter before it counts, and nothing of a gauge before it is set', () => {
    const { define, read } = pipelineOf()
    define(() => [counter('quotes.seen', QUOTES), gauge('quotes.spread', QUOTES)])
    expect(read().map(({ name, samples }) => [name, samples[0]!.value])).to.deep.equal([['quotes.seen', 0]])
  })

  it('has a cell for each set of labels, whatever their values hold', () => {
    const { define, read } = pipelineOf()
    const seen = define(() => counter('quotes.seen', { ...QUOTES, labels: ['exchange', 'side'] }))
    for (const [exchange, side] of [
      ['kraken', 'buy'],
      ['kraken', 'sell'],
      ['kraken', 'buy'],
      ['1 k', ''],
      ['', '1 k'],
      ['__proto__', 'constructor'],
    ] as const) {
      seen.add(1, { exchange, side })
    }
    expect(read()[0]!.samples.map(({ labels, value }) => [labels['exchange'], labels['side'], value])).to.deep.equal([
      ['kraken', 'buy', 2],
      ['kraken', 'sell', 1],
      ['1 k', '', 1],
      ['', '1 k', 1],
      ['__proto__', 'constructor', 1],
    ])
  })

  it('takes of labels what plain JavaScript gives: numbers as text, what is missing as nothing, what is long cut off', () => {
    const { define, read } = pipelineOf()
    const seen = define(() => counter('quotes.seen', { ...QUOTES, labels: ['a'] })) as unknown as {
      add(by: number, labels?: unknown): void
    }
    seen.add(1)
    seen.add(1, {})
    seen.add(1, { a: 7, b: 'is no label of it' })
    seen.add(1, { a: 'x'.repeat(10_000) })
    expect(read()[0]!.samples.map(({ labels, value }) => [labels, value])).to.deep.equal([
      [{ a: '' }, 2],
      [{ a: '7' }, 1],
      [{ a: 'x'.repeat(200) }, 1],
    ])
  })

  it('counts further sets of labels together when there are too many, and says so once', () => {
    const { define, read, faults } = pipelineOf()
    const seen = define(() => counter('quotes.seen', { ...QUOTES, labels: ['id'] }))
    for (let id = 0; id < LABEL_SETS_MAX + 50; id++) seen.add(1, { id: String(id) })
    seen.add(1, { id: '3' })
    const [overflowed, family] = read()
    expect(family!.samples).to.have.length(LABEL_SETS_MAX + 1)
    expect(family!.samples[3]!.value, 'those that were there go on').to.equal(2)
    expect(family!.samples.at(-1)).to.deep.equal({ labels: { id: '(further)' }, value: 50 })
    expect(overflowed).to.deep.include({
      name: 'metrics.overflowed',
      samples: [{ labels: { metric: 'quotes.seen' }, value: 50 }],
    })
    expect(faults).to.have.length(1)
    expect(faults[0]!.message).to.equal(
      'The metric quotes.seen has met more than 1000 sets of id: further ones are counted together, as (further). Labels are for what there are few of.',
    )
  })

  it('leaves out what is no number, and says so once', () => {
    const { define, read, faults } = pipelineOf()
    const [seen, spread, sizes] = define(() => [
      counter('quotes.seen', QUOTES),
      gauge('quotes.spread', QUOTES),
      histogram('quotes.sizes', QUOTES),
    ])
    for (const bad of [NaN, Infinity, -1, 'x' as unknown as number]) seen.add(bad)
    spread.set(NaN)
    sizes.record(Infinity)
    seen.add(2)
    const refused = read().find(({ name }) => name === 'metrics.refused')!
    expect(refused.samples.map(({ labels, value }) => [labels['metric'], value])).to.deep.equal([
      ['quotes.seen', 4],
      ['quotes.spread', 1],
      ['quotes.sizes', 1],
    ])
    expect(read().find(({ name }) => name === 'quotes.seen')!.samples[0]!.value).to.equal(2)
    expect(faults.map(({ message }) => message)).to.deep.equal([
      'The counter quotes.seen was given NaN: that is no number to count with. It was left out, as others like it will be.',
      'The gauge quotes.spread was given NaN: that is no number to count with. It was left out, as others like it will be.',
      'The histogram quotes.sizes was given Infinity: that is no number to count with. It was left out, as others like it will be.',
    ])
  })

  it('says of a counter that is to fall that it only grows', () => {
    const { define, faults } = pipelineOf()
    define(() => counter('quotes.seen', QUOTES)).add(-1)
    expect(faults[0]!.message).to.contain('was given -1: a counter only grows.')
  })

  it('is the same one when it is defined again, as by a stage that was restarted', () => {
    const { define, read } = pipelineOf()
    const again = (): Counter => define(() => counter('quotes.seen', QUOTES), 'test/spreads')
    again().add(1)
    again().add(2)
    expect(read()[0]!.samples[0]!.value).to.equal(3)
    const setAgain = () => define(() => gauge('quotes.spread', QUOTES), 'test/spreads')
    setAgain().set(1)
    setAgain().set(5)
    expect(read()[1]!.samples[0]!.value).to.equal(5)
  })

  it('counts where there is no pipeline, and nobody reads it', () => {
    counter('quotes.seen', QUOTES).add(1)
  })

  describe('is refused', () => {
    const good = { unit: 'quotes', meaning: 'quotes' }
    const refused: readonly (readonly [what: string, name: unknown, options: unknown, sentence: string])[] = [
      ['without a name', '', good, 'a name is words of small letters'],
      ['with a name of capitals', 'Quotes', good, 'a name is words of small letters'],
      ['with a name that is no text', 7, good, 'The metric 7 cannot be defined: a name is words'],
      ['with a name of prototypes', '__proto__', good, 'a name is words of small letters'],
      [
        'with a name that begins like those of millrace',
        'edge.mine',
        good,
        'what begins with edge is counted by millrace itself',
      ],
      ['with the name of one of millrace', 'sink.written', good, 'what begins with sink is counted by millrace itself'],
      ['without a unit', 'quotes.seen', { meaning: 'quotes' }, 'it needs a unit'],
      ['without a meaning', 'quotes.seen', { unit: 'quotes' }, 'it needs a meaning: one line'],
      ['with a meaning of two lines', 'quotes.seen', { ...good, meaning: 'a\nb' }, 'it needs a meaning: one line'],
      [
        'with a label twice',
        'quotes.seen',
        { ...good, labels: ['a', 'a'] },
        'its labels are a list of up to 8 different names',
      ],
      [
        'with a label of prototypes',
        'quotes.seen',
        { ...good, labels: ['__proto__'] },
        '"__proto__" cannot be a label',
      ],
      ['with a label that means something else', 'quotes.seen', { ...good, labels: ['le'] }, '"le" cannot be a label'],
      ['with nine labels', 'quotes.seen', { ...good, labels: [...'abcdefghi'] }, 'a list of up to 8 different names'],
      ['with bounds that fall', 'quotes.seen', { ...good, bounds: [2, 1] }, 'its bounds are 1 to 100 numbers'],
    ]
    for (const [what, name, options, sentence] of refused) {
      it(what, () => {
        const { define, read } = pipelineOf()
        expect(() => define(() => histogram(name as string, options as UserMetricOptions))).to.throw(sentence)
        expect(read()).to.deep.equal([])
      })
    }

    it('with the name of another metric, also where only dots differ', () => {
      const { define } = pipelineOf()
      define(() => counter('quotes.seen', QUOTES), 'test/a')
      for (const other of [
        () => counter('quotes.seen', { ...QUOTES, unit: 'rows' }),
        () => counter('quotes_seen', QUOTES),
        () => gauge('quotes.seen', QUOTES),
        () => counter('quotes.seen', { ...QUOTES, labels: ['a'] }),
      ] as const) {
        expect(() => define<unknown>(other, 'test/b')).to.throw(
          'quotes.seen is defined already, by test/a, as another metric (a counter in quotes). Choose another name.',
        )
      }
    })

    it('as a gauge that two would set', () => {
      const { define } = pipelineOf()
      define(() => gauge('quotes.spread', QUOTES), 'test/a')
      expect(() => define(() => gauge('quotes.spread', QUOTES), 'test/b')).to.throw(
        'it is set by test/a already, and a gauge that two set says nothing.',
      )
    })

    it('when there are too many', () => {
      const { define } = pipelineOf()
      for (let number = 0; number < 1_000; number++) define(() => counter(`quotes.n${number}`, QUOTES))
      expect(() => define(() => counter('quotes.more', QUOTES))).to.throw('there are 1000 metrics already')
    })
  })
})

/** The metrics of one pipeline. */
function pipelineOf() {
  const metrics = new UserMetrics()
  const faults: Fault[] = []
  metrics.listen((fault) => faults.push(fault))
  const registry = new MetricRegistry(metrics, () => undefined)
  const refused = (fault: Fault): never => {
    throw fault
  }
  return {
    faults,
    define: <T>(wire: () => T, owner = ''): T => runWithMetrics({ metrics, owner, refused }, wire),
    read: (): readonly MetricFamily[] => registry.read(),
  }
}
