/**
 * Deterministic simulation: everything that a run meets, from one seed.
 */
export { simulateRun, type SimulatedRun, type SimulateRunOptions } from './simulateRun'
export { simulateSeed, type SeedReport, type SimulateSeedOptions } from './simulateSeed'
export { scenarioOf, type Scenario } from './scenario'
export {
  sweep,
  type SeedOutcome,
  type SweepFailure,
  type SweepOptions,
  type SweepProgress,
  type SweepResult,
} from './sweep'
export { INVARIANTS, type Invariant, type Violation } from './verdict'
export { World, type WorldOptions } from './world'
export { SimulatedNetwork } from './network'
export { simulatedSink, type SimulatedSinkOptions } from './simulatedSink'
export { simulatedThreads, type Entries, type EntryFunctions } from './threads'
export { CALM, type NetworkWeather, type SinkWeather, type ThreadWeather, type Weather } from './weather'
