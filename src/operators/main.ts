/**
 * What `import ... from 'millrace/operators'` runs: the operators that `index.ts` declares, each loaded when it is called.
 * Whoever adds one there adds it here; a test compares the two.
 */
import { createRequire } from 'node:module'
import { laterFrom } from '../model/later'
import type * as index from './index'

export { SharedRetryBudget } from './sharedRetryBudget'

const { later, laterIn } = laterFrom<typeof index>(createRequire(__filename))

export const actor = later('actor', './actor')
export const asOfJoin = later('asOfJoin', './asOfJoin')
export const bars = { time: laterIn('bars', 'time', './bars') }
export const collect = later('collect', './collect')
export const collectLatest = later('collectLatest', './collectLatest')
export const consolidate = later('consolidate', './consolidate')
export const countEvents = later('countEvents', './countEvents')
export const eventTimeLedger = later('eventTimeLedger', './eventTime')
export const fromForeign = later('fromForeign', './fromForeign')
export const mergeByTime = later('mergeByTime', './mergeByTime')
export const keyedLedger = later('keyedLedger', './mergeMapByKey')
export const mergeMapByKey = later('mergeMapByKey', './mergeMapByKey')
export const orderByEventTime = later('orderByEventTime', './orderByEventTime')
export const ofKind = later('ofKind', './ofKind')
export const retryWithBackoff = Object.assign(later('retryWithBackoff', './retryWithBackoff'), {
  promise: laterIn('retryWithBackoff', 'promise', './retryWithBackoff'),
})
export const sampleEvery = later('sampleEvery', './sampleEvery')
export const staleAfter = later('staleAfter', './staleAfter')
export const summarizeBook = later('summarizeBook', './summarizeBooks')
export const summarizeBooks = later('summarizeBooks', './summarizeBooks')
export const barLedger = later('barLedger', './timeBars')
export const timeBars = later('timeBars', './timeBars')
export const toBooks = later('toBooks', './toBooks')
export const toForeign = later('toForeign', './toForeign')
export const windows = {
  tumbling: laterIn('windows', 'tumbling', './windows'),
  sliding: laterIn('windows', 'sliding', './windows'),
  session: laterIn('windows', 'session', './windows'),
  count: laterIn('windows', 'count', './windows'),
  volume: laterIn('windows', 'volume', './windows'),
}
