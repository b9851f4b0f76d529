/** What the keys do, and what the columns say. */
import { wrapped, type Line } from './line'

const KEYS: readonly (readonly [keys: string, meaning: string])[] = [
  ['1  2  3  tab', 'market, pipeline, faults; the next of them'],
  ['↑ ↓  j k', 'a line up and down'],
  ['space b  PgDn PgUp', 'a page down and up'],
  ['g  G  Home End', 'to the beginning, to the end'],
  ['/', 'show only instruments or exchanges with what you type; Enter keeps it, Esc takes it away'],
  ['t', 'only books that are not live, or stale; all again'],
  ['q', 'stop in order: sources, what is under way, sinks'],
  ['Ctrl-C', 'the same; once more: at once, and what was under way is lost'],
  ['Ctrl-Z', 'suspend, as any program; the whole run stands still'],
  ['?', 'this page; any key leaves it'],
]

const WORDS: readonly (readonly [word: string, meaning: string])[] = [
  ['age', 'since the last event of an instrument on an exchange; yellow where that is unusual: stale'],
  ['bp', 'between best bid and best ask, in hundredths of a percent'],
  ['waiting of', 'values that wait on an edge, and how many may'],
  ['merged', 'values in whose place there are newer ones, as the edge was told'],
  ['lost', 'values that did not come out, and why'],
  ['held back', 'how often the sources had to wait because an edge that may not drop was full'],
  ['loop p99', 'how late timers are: 99 of 100 are at most so late'],
]

/** @param columns  of the window */
export function helpLines(columns: number): Line[] {
  const width = Math.max(...[...KEYS, ...WORDS].map(([left]) => left.length)) + 2
  const lines = (pairs: typeof KEYS): Line[] =>
    pairs.flatMap(([left, right]) =>
      wrapped(right, Math.max(10, columns - width - 1)).map((part, index): Line => [
        [(index === 0 ? left : '').padEnd(width), 'bold'],
        part,
      ]),
    )
  return [...lines(KEYS), [], ...lines(WORDS)]
}
