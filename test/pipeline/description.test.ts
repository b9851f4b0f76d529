import { expect } from 'chai'
import { processMetrics } from '../../src/metrics/processMetrics'
import { map, NEVER, of, Observable } from 'rxjs'
import type { MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import type { EdgeOptions } from '../../src/actors/overflow'
import { toBooks } from '../../src/operators/toBooks'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import {
  describePipeline,
  type PipelineBuilder,
  type PipelineDescription,
  type PipelineProblem,
} from '../../src/pipeline/description'

/** What plain JavaScript might do: no type holds it back. */
/** A builder as plain JavaScript sees it. */
type Loose = Readonly<Record<keyof PipelineBuilder, (...given: unknown[]) => LooseStream>>

interface LooseStream {
  through(...given: unknown[]): LooseStream
  from(...given: unknown[]): void
}

const edge = { capacity: 10, onFull: 'block' } as const
const sinkOf = (name = 'memory') => memory<unknown>({ capacity: 10, name })

describe('describePipeline', () => {
  it('gives the nodes in the order in which they were described, each with what it reads', () => {
    const description = describePipeline('p', ({ source, sink, merge }) => {
      const a = source('a', of(1), edge)
      const b = source('b', of(2), { capacity: 1, onFull: 'keepLatest' })
      const both = merge('both', a, b)
      const doubled = both.through(
        'doubled',
        map((value) => value * 2),
        { capacity: 5, onFull: 'dropOldest' },
      )
      sink(doubled, sinkOf(), edge)
      sink(both, sinkOf(), { ...edge, name: 'raw' })
    })
    expect(shape(description)).to.deep.equal([
      'source a',
      'source b',
      'stage both < a, b',
      'stage doubled < both',
      'sink memory < doubled',
      'sink raw < both',
    ])
  })

  it('runs nothing: no source is subscribed to, no operator called, no sink opened', () => {
    let touched = 0
    const touch = (): never => {
      touched++
      throw new Error('touched')
    }
    const untouched = new Observable<number>(touch)
    const sink = { ...sinkOf(), open: touch, write: touch, close: touch }
    describePipeline('p', (builder) => {
      builder.sink(builder.source('a', untouched, edge).through('b', touch), sink, edge)
    })
    expect(touched).to.equal(0)
  })

  it('gives sinks of one name names of their own', () => {
    const { nodes } = describePipeline('p', ({ source, sink }) => {
      const a = source('a', of(1), edge)
      for (let count = 0; count < 3; count++) sink(a, sinkOf(), edge)
    })
    expect(nodes.slice(1).map(({ name }) => name)).to.deep.equal(['memory', 'memory-2', 'memory-3'])
  })

  it('lets a throw of the description itself through as it is', () => {
    const thrown = new TypeError('no such operator')
    expect(() =>
      describePipeline('p', () => {
        throw thrown
      }),
    ).to.throw(thrown)
  })

  it('tells all problems at once, each with its path and a sentence', () => {
    const fault = faultOf((loose) => {
      const a = loose.source('a', of(1))
      loose.source('a', 'no observable', { capacity: 0, onFull: 'wait' })
      a.through('b', 'no operator')
      loose.sink(a, {}, null)
      loose.merge('none')
    })
    expect(fault.code).to.equal('PIPELINE_INVALID')
    const problems = fault.details['problems'] as PipelineProblem[]
    expect(problems.map(({ path }) => path)).to.deep.equal([
      ...['p/a', 'p/a', 'p/a', 'p/a', 'p/a', 'p/b', 'p/sink', 'p/sink', 'p/none', 'p/b', 'p/none'],
    ])
    for (const { path, problem } of problems) {
      expect(problem).to.match(/\.$/)
      expect(fault.message).to.contain(`  ${path}: ${problem}`)
    }
    expect(fault.message).to.match(/^The pipeline p has 11 problems:\n/)
  })

  for (const [what, build, expected] of [
    ['an empty pipeline', () => undefined, ['p: A pipeline needs a source.', 'p: A pipeline needs a sink']],
    [
      'a source without a name',
      (loose) => loose.sink(loose.source('', of(1), edge), sinkOf(), edge),
      ['p/?: A source needs a name.'],
    ],
    [
      'a source that is none',
      (loose) => loose.sink(loose.source('a', { subscribe: 1 }, edge), sinkOf(), edge),
      ['p/a: A source is an observable'],
    ],
    [
      'a source of undefined',
      (loose) => loose.sink(loose.source('a', undefined, edge), sinkOf(), edge),
      ['p/a: A source is an observable'],
    ],
    [
      'two nodes of one name',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(a.through('a', map(String)), sinkOf(), edge)
      },
      ['p/a: The name "a" is taken'],
    ],
    [
      'a stream that nothing reads',
      (loose) => loose.source('a', of(1), edge),
      ['p: A pipeline needs a sink', 'p/a: Nothing reads this stream'],
    ],
    [
      'a sink that is none',
      (loose) => loose.sink(loose.source('a', of(1), edge), undefined, edge),
      ['p/sink: A sink is a value with name, counters, open, write and close'],
    ],
    [
      'a sink that reads a stream of another pipeline',
      (loose) => {
        loose.sink(loose.source('a', of(1), edge), sinkOf(), edge)
        loose.sink(foreignStream(), sinkOf('other'), edge)
      },
      ['p/other: A sink reads a stream of this pipeline.'],
    ],
    [
      'a merge of what is no stream',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(loose.merge('m', a, { name: 'a' }), sinkOf(), edge)
      },
      ['p/m: A merge joins streams of this pipeline.'],
    ],
    [
      'a sink that two edges write at once',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        const shared = sinkOf()
        loose.sink(a, shared, edge)
        loose.sink(a, shared, edge)
      },
      ['p/memory-2: This sink is written by another edge already'],
    ],
    [
      'waits and batches that are none',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(a, sinkOf(), { ...edge, batchMax: 0, flushMs: -1 })
      },
      ['p/memory: batchMax is a whole number, 1 or more.', 'p/memory: flushMs is milliseconds, 0 or more.'],
    ],
    [
      'a budget of retries that is none',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(a, sinkOf('x'), { ...edge, retry: { attempts: 0, firstMs: -1, capMs: NaN } })
        loose.sink(a, sinkOf('y'), { ...edge, retry: 5 })
      },
      [
        'p/x: retry.attempts is a whole number, 1 or more.',
        'p/x: retry.firstMs is milliseconds, 0 or more.',
        'p/x: retry.capMs is milliseconds, 0 or more.',
        'p/y: retry is { attempts, firstMs, capMs }: how often',
      ],
    ],
    [
      'dead letters that go nowhere, or where something else is written',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        const own = sinkOf('own')
        const letters = sinkOf('letters')
        loose.sink(a, sinkOf('x'), { ...edge, deadLetters: 'out/dead.jsonl' })
        loose.sink(a, own, { ...edge, deadLetters: own })
        loose.sink(a, sinkOf('y'), { ...edge, deadLetters: letters })
        loose.sink(a, sinkOf('z'), { ...edge, deadLetters: letters })
      },
      [
        "p/x: deadLetters is a sink, such as jsonLines('out/dead-letters.jsonl').",
        'p/own: The sink of its deadLetters is written by another edge already',
        'p/z: The sink of its deadLetters is written by another edge already',
      ],
    ],
    [
      'a policy for failures that is none',
      (loose) => {
        const a = loose.source('a', of(1), { ...edge, onFailure: 'ignore' })
        loose.sink(a.through('b', map(String), { onFailure: { restart: { atMost: 1 } } }), sinkOf(), edge)
      },
      ['p/a: onFailure is one of resume, restart, stop, escalate', 'p/b: restart.withinMs is milliseconds above 0.'],
    ],
    [
      'a stage that is to resume and cannot',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(a.through('b', map(String), { onFailure: 'resume' }), sinkOf(), edge)
      },
      ['p/b: An RxJS operator loses its state with its error and cannot resume'],
    ],
    [
      'half an edge before a stage',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.sink(a.through('b', map(String), { capacity: 5 }), sinkOf(), edge)
      },
      ['p/b: onFull is one of'],
    ],
    [
      'a source that goes by time and is told to wait',
      (loose) => loose.sink(loose.source('cpu', processMetrics({ everyMs: 1_000 }), edge), sinkOf(), edge),
      ['p/cpu: This source goes by time and cannot be paused'],
    ],
    [
      'a loop without a mailbox',
      (loose) => {
        const back = loose.feedback('back', undefined)
        const joined = loose.merge('joined', loose.source('a', of(1), edge), back)
        const next = joined.through('next', map(String))
        back.from(next)
        loose.sink(next, sinkOf(), edge)
      },
      [
        'p/back: An edge needs { capacity, onFull }',
        'p/back: This is a loop without a mailbox (back → joined → next → back)',
      ],
    ],
    [
      'a loop that would wait for itself',
      (loose) => {
        const back = loose.feedback('back', edge)
        const joined = loose.merge('joined', loose.source('a', of(1), edge), back)
        back.from(joined)
        loose.sink(joined, sinkOf(), edge)
      },
      ['p/back: A loop cannot pause itself, so its edge cannot block'],
    ],
    [
      'a loop that nothing comes back to, and a sink that nothing reaches',
      (loose) => {
        loose.sink(loose.source('a', of(1), edge), sinkOf(), edge)
        loose.sink(loose.feedback('back', { capacity: 1, onFull: 'dropOldest' }), sinkOf(), edge)
      },
      ['p/back: Nothing comes back here', 'p/memory-2: Nothing reaches this sink: no source leads to it.'],
    ],
    [
      'what is wrong within a group, with the path that leads to it',
      (loose) => {
        const a = loose.source('a', of(1), edge)
        loose.group('g', { onFailure: 'sometimes' }, () => {
          loose.group('h', {}, () => loose.sink(a.through('b', 'no operator'), sinkOf(), edge))
        })
      },
      ['p/g: onFailure is one of', 'p/g/h/b: A stage needs an operator.'],
    ],
    [
      'books behind an edge that samples',
      (loose) => {
        const a = loose.source('a', of([]), edge)
        const sampled = a.through('b', map(String), { capacity: 10, onFull: { sample: 2 } })
        loose.sink(sampled.through('books', toBooks()), sinkOf(), edge)
      },
      ['p/books: Books are kept behind the edge of "b", which may drop values'],
    ],
  ] as const satisfies readonly (readonly [string, (loose: Loose) => unknown, readonly string[]])[]) {
    it(`finds ${what}`, () => {
      const { message } = faultOf(build)
      const lines = message.split('\n').slice(1)
      expect(lines).to.have.length(expected.length)
      for (const [index, line] of lines.entries()) expect(line.trim()).to.contain(expected[index]!)
    })
  }

  for (const [given, problem] of [
    [undefined, 'An edge needs { capacity, onFull }'],
    [null, 'An edge needs { capacity, onFull }'],
    [5, 'An edge needs { capacity, onFull }'],
    [{}, 'capacity is a whole number of values, 1 or more; it is undefined.'],
    [{ onFull: 'block' }, 'capacity is a whole number'],
    [{ capacity: 0, onFull: 'block' }, 'it is 0.'],
    [{ capacity: 1.5, onFull: 'block' }, 'it is 1.5.'],
    [{ capacity: Infinity, onFull: 'block' }, 'it is Infinity.'],
    [{ capacity: NaN, onFull: 'block' }, 'it is NaN.'],
    [{ capacity: '10', onFull: 'block' }, 'capacity is a whole number'],
    [{ capacity: 1 }, 'it is missing.'],
    [{ capacity: 1, onFull: 'wait' }, 'it is "wait".'],
    [{ capacity: 1, onFull: null }, 'it is null.'],
    [{ capacity: 1, onFull: {} }, 'it is {}.'],
    [{ capacity: 1, onFull: { conflate: 5 } }, 'onFull is one of block, dropOldest'],
    [{ capacity: 1, onFull: '__proto__' }, 'onFull is one of'],
  ] as const) {
    it(`refuses the edge ${given === undefined ? 'undefined' : JSON.stringify(given)} to a source and to a sink`, () => {
      const { message } = faultOf((loose) => loose.sink(loose.source('a', of(1), given), sinkOf(), given))
      const lines = message.split('\n').filter((line) => line.includes(problem))
      expect(lines.map((line) => line.trim().split(':')[0])).to.deep.equal(['p/a', 'p/memory'])
    })
  }

  it('refuses a mailbox that is none before a stage, where none at all is in line', () => {
    const { message } = faultOf((loose) => {
      const a = loose.source('a', of(1), edge)
      loose.sink(a.through('b', map(String)), sinkOf('one'), edge)
      loose.sink(a.through('c', map(String), null), sinkOf('two'), edge)
      loose.sink(a.through('d', map(String), { capacity: 1 }), sinkOf('three'), edge)
    })
    expect(message.split('\n').map((line) => line.trim().split(':')[0])).to.deep.equal([
      ...['The pipeline p has 2 problems', 'p/c', 'p/d'],
    ])
  })

  it('takes every policy', () => {
    for (const onFull of [
      ...(['block', 'dropOldest', 'dropNewest', 'keepLatest', 'fail'] as const),
      { conflate: 'instrument' },
      { conflate: (value: unknown) => value },
    ]) {
      describePipeline('p', ({ source, sink }) => sink(source('a', NEVER, { capacity: 1, onFull }), sinkOf(), edge))
    }
  })
})

function shape({ nodes }: PipelineDescription): string[] {
  return nodes.map((node) => `${node.kind} ${node.name}${node.kind === 'source' ? '' : ` < ${node.from.join(', ')}`}`)
}

function faultOf(build: (loose: Loose) => unknown): Fault {
  try {
    describePipeline('p', (builder) => void build(builder as unknown as Loose))
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(Fault)
    return thrown as Fault
  }
  throw new Error('expected problems')
}

function foreignStream(): unknown {
  let stream: unknown
  describePipeline('other', ({ source, sink }) => {
    const a = source('a', of(1), edge)
    sink(a, sinkOf(), edge)
    stream = a
  })
  return stream
}

describe('describePipeline, where books are kept', () => {
  const market = () => feed({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'book' })
  const problemOf = (onFull: EdgeOptions<MarketEvent>['onFull']): string => {
    try {
      describePipeline('p', ({ source, sink }) => {
        const books = source('market', market(), { capacity: 10, onFull }).through('books', toBooks())
        sink(books, memory({ capacity: 10 }), { capacity: 10, onFull: 'dropOldest' })
      })
      return ''
    } catch (thrown) {
      return (thrown as Error).message
    }
  }

  it('refuses an edge upstream that drops values, because one lost delta silences a book', () => {
    for (const onFull of ['dropOldest', 'dropNewest', 'keepLatest'] as const) {
      expect(problemOf(onFull)).to.include('p/books: Books are kept behind the edge of "market", which may drop values')
    }
  })

  it('takes edges that block, fail or conflate', () => {
    for (const onFull of ['block', 'fail', { conflate: 'instrument' }] as const) expect(problemOf(onFull)).to.equal('')
  })
})
