/**
 * What must not compile: looked at by the type checker alone, never run. Each line below a `@ts-expect-error` is wrong, and
 * the check fails when one of them compiles.
 */
import { map, of, type Observable } from 'rxjs'
import type { BookView } from '../../src/book/bookView'
import type { Batch } from '../../src/model/events'
import { feed } from '../../src/pipeline/sources'
import { pipeline } from '../../src/pipeline/pipeline'
import { memory } from '../../src/sinks/memory'
import type { Sink } from '../../src/sinks/sink'

declare const views: Observable<Batch<BookView>>
declare const numbers: Sink<number>
const edge = { capacity: 1, onFull: 'block' } as const

export default pipeline('does not run', ({ source, sink, merge }) => {
  // @ts-expect-error an edge of a source has a capacity and a policy
  source('a', of(1))
  // @ts-expect-error an edge has a policy
  source('a', of(1), { capacity: 1 })
  // @ts-expect-error an edge has a capacity
  source('a', of(1), { onFull: 'block' })
  // @ts-expect-error a policy is one of the list
  source('a', of(1), { capacity: 1, onFull: 'wait' })
  // @ts-expect-error a capacity is a number
  source('a', of(1), { capacity: '1', onFull: 'block' })

  const a = source('a', of(1), edge)
  // @ts-expect-error a mailbox before a stage has a policy
  a.through('b', map(String), { capacity: 1 })
  // @ts-expect-error an operator reads what the stream holds
  a.through('b', (text: Observable<string>) => text)

  // @ts-expect-error an edge to a sink has a capacity and a policy
  sink(a, memory<number>({ capacity: 1 }))
  // @ts-expect-error an edge to a sink has a policy
  sink(a, memory<number>({ capacity: 1 }), { capacity: 1 })
  // @ts-expect-error a sink takes what the stream holds
  sink(a, memory<string>({ capacity: 1 }), edge)
  // @ts-expect-error a sink of numbers does not take the books of a batch
  sink(source('views', views, edge), numbers, edge)
  // @ts-expect-error a number is no stream
  merge('all', a, 5)
  // @ts-expect-error a channel is one of the list
  source('b', feed({ exchanges: ['kraken'], instruments: ['BTC-USD'], channel: 'trade' }), edge)

  // What must compile: a batch is written value by value, a text is one value.
  sink(source('one', of([1, 2]), edge), numbers, edge)
  sink(source('text', of('abc'), edge), memory<string>({ capacity: 1 }), edge)
  sink(merge('both', a, source('c', of(2), edge)), numbers, edge)
})
