import { expect } from 'chai'
import type { PipelineBuilder } from '../../src/pipeline/description'
import { feed } from '../../src/pipeline/sources'
import { memory } from '../../src/sinks/memory'
import { simulateRun, type SimulateRunOptions } from '../../src/testing/simulation/simulateRun'

const roomy = { capacity: 10_000, onFull: 'block' } as const

interface Line {
  readonly kind: string
  readonly code?: string
  readonly exchange: string
  readonly symbol: string
  readonly receiveTimeUs: number
  readonly details?: {
    readonly channel?: string
    readonly silentMs?: number
    readonly limitMs?: number
    readonly ended?: true
  }
}

describe('A simulated hour', function () {
  this.timeout(120_000)

  const market = (stale?: Parameters<typeof feed>[0]['stale']) => {
    return ({ source, sink }: PipelineBuilder): void => {
      const wish = { exchanges: ['kraken', 'okx'], instruments: ['BTC-USDT', 'ETH-USDT', 'SOL-USDT'] }
      const channels = ['book', 'trades'] as const
      const events = source('market', feed({ ...wish, channels, ...(stale !== undefined && { stale }) }), roomy)
      sink(events, memory({ capacity: 1 }), { ...roomy, name: 'events' })
    }
  }

  async function hour(stale: Parameters<typeof market>[0], options: SimulateRunOptions) {
    const health: string[] = []
    const { lines, faults, summary } = await simulateRun(market(stale), {
      ...{ seconds: 3_600, messagesPerSecond: 8, linesMax: 200_000, seed: 3 },
      ...options,
      meanwhile: async (run, world) => {
        for (let look = 0; look < 1_199; look++) {
          await world.sleep(3_000)
          health.push(run.health().level)
        }
      },
    })
    return { events: lines.get('events')!.map((line) => JSON.parse(line) as Line), faults, summary, health }
  }

  const staleOf = (events: readonly Line[]): Line[] => events.filter(({ code }) => code === 'stale')

  it('without faults has nothing that is stale', async () => {
    const { events, health } = await hour(undefined, {})
    expect(events.length).to.be.greaterThan(10_000)
    expect(staleOf(events)).to.deep.equal([])
    expect(new Set(health)).to.deep.equal(new Set(['healthy']))
  })

  it('tells of an instrument that freezes, within its bound, and when it goes on', async () => {
    const { events, faults, health } = await hour(undefined, { faults: 'kraken:freeze=8m' })
    const stale = staleOf(events)
    const begun = stale.filter(({ details }) => details?.ended !== true)
    expect(begun.length).to.be.greaterThan(0)
    expect(faults.filter(({ code }) => code === 'STREAM_STALE')).to.have.length(begun.length)
    for (const notice of begun) {
      const { silentMs, limitMs, channel } = notice.details!
      expect(notice.exchange).to.equal('kraken')
      expect(silentMs).to.be.within(limitMs! - 1, limitMs! + 2_500 + 3_600_000 / 32)
      const kinds = channel === 'book' ? ['delta', 'snapshot'] : ['trade']
      const before = events.filter(
        (event) =>
          kinds.includes(event.kind) && event.symbol === notice.symbol && event.receiveTimeUs <= notice.receiveTimeUs,
      )
      expect(notice.receiveTimeUs - before.at(-1)!.receiveTimeUs).to.be.closeTo(silentMs! * 1_000, 17_000)
    }
    expect(stale.length, 'each comes back').to.be.within(2 * begun.length - 1, 2 * begun.length)
    expect(new Set(health)).to.deep.equal(new Set(['healthy', 'degraded']))
    expect(health.at(0)).to.equal('healthy')
  })

  for (const action of ['resync', 'reconnect'] as const) {
    it(`does what was chosen about it: ${action}`, async () => {
      const { faults, events, summary } = await hour({ action, minMs: 10_000 }, { faults: 'kraken:freeze=8m' })
      const begun = staleOf(events).filter(({ details }) => details?.ended !== true)
      expect(begun.length).to.be.greaterThan(0)
      const reconnects = faults.filter(({ code, message }) => code === 'STREAM_STALE' && message.includes('renewed'))
      expect(reconnects.length > 0, 'reconnected').to.equal(action === 'reconnect')
      const snapshots = events.filter(({ kind, exchange }) => kind === 'snapshot' && exchange === 'kraken')
      // Three at the start; what is subscribed to anew begins with another.
      expect(snapshots.length).to.be.greaterThan(3)
      expect(summary.problems).to.deep.equal([])
    })
  }

  it('takes only options that can be', () => {
    const wish = { exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'trades' } as const
    for (const [stale, message] of [
      [{ action: 'shrug' as 'notice' }, 'stale.action is "shrug"; give one of notice, resync, reconnect.'],
      [{ afterIntervals: 0 }, 'stale.afterIntervals is 0'],
      [{ minMs: NaN }, 'stale.minMs is NaN'],
      [{ minMs: 10, maxMs: 5 }, 'stale.maxMs is 5; give milliseconds, no fewer than minMs (10).'],
      [false as unknown as object, 'stale is { action'],
    ] as const) {
      expect(() => feed({ ...wish, stale })).to.throw(message)
    }
  })
})
