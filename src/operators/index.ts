/** The operators: each a plain `(source) => Observable`, to be used in a pipeline's `through` or in any `pipe`. */
export { actor, type Actor, type ActorContext } from './actor'
export {
  asOfJoin,
  type AsOf,
  type AsOfDirection,
  type AsOfJoinOptions,
  type AsOfNeeds,
  type AsOfSideOptions,
} from './asOfJoin'
export { bars } from './bars'
export { collect, type CollectOptions } from './collect'
export { collectLatest, type CollectLatestOptions } from './collectLatest'
export { consolidate, type ConsolidatedQuote, type ConsolidateOptions } from './consolidate'
export { countEvents, type CountEventsOptions, type EventCounts } from './countEvents'
export {
  eventTimeLedger,
  type EventTimeDrop,
  type EventTimeFull,
  type EventTimeInputOptions,
  type EventTimeLedger,
  type EventTimeNeeds,
  type EventTimeOptions,
  type KeyNeeds,
} from './eventTime'
export {
  fromForeign,
  type ForeignObservable,
  type ForeignObserver,
  type ForeignSource,
  type FromForeignOptions,
} from './fromForeign'
export { mergeByTime, type MergeByTimeNeeds, type MergeByTimeOptions } from './mergeByTime'
export { keyedLedger, mergeMapByKey, type KeyedLedger, type MergeMapByKeyOptions } from './mergeMapByKey'
export { orderByEventTime, type OrderByEventTimeOptions } from './orderByEventTime'
export { ofKind, type EventOfKind } from './ofKind'
export { retryWithBackoff, type Retry, type RetryOptions, type TaskRetryOptions } from './retryWithBackoff'
export { sampleEvery, type SampleEveryOptions } from './sampleEvery'
export { SharedRetryBudget } from './sharedRetryBudget'
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
export { toForeign, type ForeignObservableClass, type ForeignSubscriber } from './toForeign'
export {
  windows,
  type Aggregate,
  type CountOptions,
  type SessionOptions,
  type SlidingOptions,
  type TimeWindowOptions,
  type TumblingOptions,
  type VolumeNeeds,
  type VolumeOptions,
  type WindowBounds,
  type Windowed,
  type WindowOptions,
} from './windows'
