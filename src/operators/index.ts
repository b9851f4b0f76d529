/** The operators: each a plain `(source) => Observable`, to be used in a pipeline's `through` or in any `pipe`. */
export { actor, type Actor, type ActorContext } from './actor'
export { bars } from './bars'
export { collect, type CollectOptions } from './collect'
export { collectLatest, type CollectLatestOptions } from './collectLatest'
export { consolidate, type ConsolidatedQuote, type ConsolidateOptions } from './consolidate'
export { countEvents, type CountEventsOptions, type EventCounts } from './countEvents'
export { keyedLedger, mergeMapByKey, type KeyedLedger, type MergeMapByKeyOptions } from './mergeMapByKey'
export { ofKind, type EventOfKind } from './ofKind'
export { retryWithBackoff, type RetryOptions } from './retryWithBackoff'
export { sampleEvery, type SampleEveryOptions } from './sampleEvery'
export { staleAfter, type Stale } from './staleAfter'
export { summarizeBook, summarizeBooks, type BookSummary, type SummarizeBooksOptions } from './summarizeBooks'
export {
  barLedger,
  timeBars,
  type Bar,
  type BarBase,
  type BarLedger,
  type BarSource,
  type FieldBar,
  type FieldBarsOptions,
  type TimeBarsOptions,
  type TradeBarsOptions,
} from './timeBars'
export { toBooks, type ToBooksOptions } from './toBooks'
