/**
 * What a stage's fault says: the stage with its pipeline and groups, the input it was at work on, and what was thrown.
 * Word for word, because people look for these sentences, and scripts for the details.
 */
import { expect } from 'chai'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { map, mergeMap, of, throwError, type OperatorFunction } from 'rxjs'
import { Fault } from '../../src/model/fault'
import { actor } from '../../src/operators/actor'
import type { StageOptions } from '../../src/pipeline/description'
import { pipeline } from '../../src/pipeline/pipeline'
import { memory } from '../../src/sinks/memory'
import { notice, trade, viewOf } from '../kit/marketEvents'

const AT_US = 1_760_000_000_123_456
const roomy = { capacity: 1_000, onFull: 'block' } as const

let folder = ''

describe('The fault of a stage says', () => {
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-faults-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const failing = map((): never => {
    throw new Error('out of luck')
  })

  for (const [what, value, sentence] of [
    [
      'a trade',
      [trade({ id: '17', receiveTimeUs: AT_US })],
      'a trade of BTC/USD on kraken (id 17), received 2025-10-09T08:53:20.123456Z',
    ],
    [
      'the first of a batch, and how many more',
      [trade({ id: '17', receiveTimeUs: AT_US }), trade(), trade()],
      'a trade and 2 more of BTC/USD on kraken (id 17), received 2025-10-09T08:53:20.123456Z',
    ],
    [
      'a view of a book, with its number',
      [viewOf([[1, 1]], [[2, 1]], { seq: 9, receiveTimeUs: AT_US })],
      'a view of BTC/USD on kraken (seq 9), received 2025-10-09T08:53:20.123456Z',
    ],
    [
      'a notice about a whole connection',
      [notice('disconnected', { symbol: '', receiveTimeUs: AT_US })],
      'a notice on kraken, received 2025-10-09T08:53:20.123456Z',
    ],
    ['a value that says nothing of itself', 7, 'a value'],
    ['a batch of such values', [1, 2, 3], '3 values'],
    ['nothing at all', undefined, 'a value'],
  ] as const) {
    it(`which input it was: ${what}`, async () => {
      const [fault] = await faultsOf(value, failing, { onFailure: 'stop' })
      expect(fault!.message).to.equal(`The stage checks/outer/inner/check failed on ${sentence}: out of luck`)
      expect(fault).to.include({ code: 'STAGE_FAILED' })
      expect(fault!.details['stage']).to.equal('checks/outer/inner/check')
      expect(fault!.cause).to.be.an.instanceOf(Error)
    })
  }

  it('what was thrown, whatever it was', async () => {
    for (const [thrown, message] of [
      ['a text', 'a text'],
      [undefined, 'undefined'],
      [{ odd: 1 }, '[object Object]'],
    ] as const) {
      const [fault] = await faultsOf(
        1,
        mergeMap(() => throwError(() => thrown)),
        { onFailure: 'stop' },
      )
      expect(fault!.message).to.equal(`The stage checks/outer/inner/check failed on a value: ${message}`)
    }
  })

  it('the code and the details of a fault that was thrown, with its own beside them', async () => {
    const [fault] = await faultsOf(
      [trade({ id: '1' })],
      mergeMap(() => throwError(() => new Fault('VALUE_INVALID', 'The price is negative.', { price: -1 }))),
      { onFailure: 'stop' },
    )
    expect(fault!.message).to.equal(
      'The stage checks/outer/inner/check ended on a trade of BTC/USD on kraken (id 1), received 1970-01-01T00:00:00.000000Z: The price is negative.',
    )
    expect(fault!.toData()).to.deep.include({ code: 'VALUE_INVALID' })
    expect(fault!.details).to.deep.include({ price: -1, stage: 'checks/outer/inner/check' })
    expect(fault!.details['input']).to.deep.equal({
      ...{ values: 1, kind: 'trade', exchange: 'kraken', symbol: 'BTC/USD', id: '1', receiveTimeUs: 0 },
    })
  })

  it('no input where the stage failed by itself, as it was wired', async () => {
    const [fault] = await faultsOf(1, () => throwError(() => new Error('out of luck')), { onFailure: 'stop' })
    expect(fault!.message).to.equal('The stage checks/outer/inner/check failed: out of luck')
    expect(fault!.details).to.deep.equal({ stage: 'checks/outer/inner/check' })
  })

  it('how often it was restarted, when it is given up', async () => {
    const restart = { atMost: 1, withinMs: 60_000, backoffMs: [1, 1] } as const
    const faults = await faultsOf(1, failing, { onFailure: { restart } }, 3)
    expect(faults.map(({ code }) => code)).to.deep.equal(['STAGE_FAILED', 'RETRIES_EXHAUSTED'])
    expect(faults[1]!.message).to.match(
      /^The stage checks\/outer\/inner\/check failed on a value: out of luck\. It has been restarted once and is given up \(the budget is 1 within 60000 ms\)\.$/,
    )
  })

  it('the one value of a batch that an actor went on without', async () => {
    const picky = actor<{ readonly id: string | undefined }, never>(() => ({
      receive: ({ id }) => {
        if (id === '2') throw new Error('out of luck')
      },
    }))
    const batch = ['1', '2', '3'].map((id) => trade({ id, receiveTimeUs: AT_US }))
    const [fault, ...others] = await faultsOf(batch, picky as unknown as OperatorFunction<unknown, unknown>, {
      onFailure: 'resume',
    })
    expect(others).to.deep.equal([])
    expect(fault!.message).to.equal(
      'The stage checks/outer/inner/check failed on a trade of BTC/USD on kraken (id 2), received 2025-10-09T08:53:20.123456Z: out of luck',
    )
  })
})

/** The faults of a stage in two groups that is given a value, so many times. */
async function faultsOf(
  value: unknown,
  operator: OperatorFunction<unknown, unknown>,
  options: StageOptions,
  times = 1,
): Promise<Fault[]> {
  const faults: Fault[] = []
  const values = Array.from({ length: times }, () => value)
  await pipeline('checks', ({ source, sink, group }) => {
    const all = source('all', of(...values), roomy)
    const checked = group('outer', {}, () => group('inner', {}, () => all.through('check', operator, options)))
    sink(checked, memory({ capacity: 10 }), roomy)
  }).run({ out: folder, onFault: (fault) => faults.push(fault) })
  return faults.filter(({ details }) => details['stage'] !== undefined)
}
