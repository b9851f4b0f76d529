import { createRequire } from 'node:module'
import type * as Simulator from './simulator'

/**
 * Starts the simulator, and loads it only then: the exchanges' own side and its servers are a third of the modules that
 * `import 'millrace'` would load, for those who never simulate.
 */
export const startSimulator: typeof Simulator.startSimulator = (options) =>
  (createRequire(__filename)('./simulator') as typeof Simulator).startSimulator(options)
