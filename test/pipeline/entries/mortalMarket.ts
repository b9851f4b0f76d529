/** A market on a worker whose thread ends some time after it began, in the way that the environment names. */
import { openMarket } from '../../../src/pipeline/marketInThread'
import { exposeSource } from '../../../src/workers/exposeSource'

const LIVES_MS = 1_500

exposeSource(openMarket)

setTimeout(() => {
  const way = process.env['MORTAL_MARKET']
  if (way === 'exit') process.exit(1)
  if (way === 'throw') throw new Error('thrown late')
  while (way === 'spin');
  const held: unknown[] = []
  while (way === 'memory') held.push(new Array(1_000).fill(held.length))
}, LIVES_MS)
