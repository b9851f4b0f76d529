/**
 * Exchanges in a process of their own, so that what they take of a processor is not taken for the product's: the options of
 * the simulator as the first argument, its addresses as the message that it is ready. It ends with the process that began it.
 */
import { startSimulator } from '../../src/simulator/startSimulator'
import type { SimulatorOptions } from '../../src/simulator/simulator'

void startSimulator(JSON.parse(process.argv[2]!) as SimulatorOptions).then(({ addresses }) =>
  process.send!([...addresses]),
)
process.on('disconnect', () => process.exit())
