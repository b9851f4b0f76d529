/**
 * `millrace/testing`: what pipelines, operators and sinks are tested with. It needs no test runner and no assertion
 * library: a failure is an `AssertionError` whose message is a sentence, with `actual` and `expected` where two
 * were compared.
 */
export { AssertionError } from './assertionError'
export { differences, expectEqual } from './equality'
export { eventually, type EventuallyOptions } from './eventually'
export { marbles, type MarbleHelpers } from './marbles'
export { probe, type Probe, type ProbeOptions } from './probe'
export { sourceProbe, type SourceProbe } from './sourceProbe'
export { sinkProbe, type SinkProbe, type SinkProbeOptions } from './sinkProbe'
export { leakCheck, watched, withoutLeaks, type Leak, type LeakCheck, type LeakOptions } from './leaks'
export {
  cutAfter,
  delayEach,
  duplicateEach,
  failAt,
  failEvery,
  loseEach,
  reorderWithin,
  type ChanceOptions,
  type Cut,
  type DelayOptions,
  type ReorderWindow,
} from './faults'
export { expectBalanced, type EdgeAccount, type HasEdges } from './ledger'
export {
  startTestRun,
  testRun,
  type TestMarketOptions,
  type TestRun,
  type TestRunOptions,
  type TestRunResult,
} from './testRun'
export { operatorSuite, type OperatorCase, type OperatorSuiteOptions } from './operatorSuite'
export { simulateRun, type SimulatedRun, type SimulateRunOptions } from './simulation/simulateRun'
export { seededRandom } from '../clock/backoff'
export { VirtualClock } from '../clock/virtualClock'
export { runWithClock, type Surroundings } from '../clock/currentClock'
