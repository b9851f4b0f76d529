import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { RunOptions } from '../../src'
import type { SimulatorOptions } from '../../src/simulator/simulator'

export interface SimulatorProcess {
  readonly addresses: NonNullable<RunOptions['addresses']>
  kill(): void
}

/** Exchanges in a process of their own: see `entries/simulator`. */
export async function simulatorProcess(options: SimulatorOptions): Promise<SimulatorProcess> {
  const child = fork(path.join(__dirname, '..', 'entries', 'simulator.js'), [JSON.stringify(options)])
  const ended = once(child, 'exit').then(() => {
    throw new Error('The simulator ended.')
  })
  ended.catch(() => undefined)
  const [addresses] = (await Promise.race([once(child, 'message'), ended])) as [
    [string, { ws: string; rest: string }][],
  ]
  return { addresses: new Map(addresses), kill: () => void child.kill() }
}
