import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { kept, type SessionRecord } from '../../src/feed/record'
import type { Fault } from '../../src/model/fault'
import { LiveMarket } from '../../src/pipeline/liveMarket'
import type { MarketOutput } from '../../src/pipeline/market'
import { wishOf, type Wish } from '../../src/pipeline/wish'
import { FakeTransport, type FakeLine, type FakeNetwork } from '../feed/fakeTransport'

describe('LiveMarket', () => {
  let clock: VirtualClock
  let network: FakeTransport
  let market: LiveMarket
  let records: SessionRecord[]
  let told: string[]

  /** Answers as Kraken and Coinbase do, as far as these tests need it. */
  const rest = (url: string): object | undefined => {
    if (url.includes('/0/public/AssetPairs')) {
      return {
        error: [],
        result: {
          XXBTZUSD: {
            altname: 'XBTUSD',
            wsname: 'XBT/USD',
            base: 'XXBT',
            quote: 'ZUSD',
            pair_decimals: 1,
            lot_decimals: 8,
            tick_size: '0.1',
            ordermin: '0.0001',
            status: 'online',
          },
        },
      }
    }
    if (url.includes('/products')) {
      return [
        {
          id: 'BTC-USD',
          base_currency: 'BTC',
          quote_currency: 'USD',
          quote_increment: '0.01',
          base_increment: '0.00000001',
          status: 'online',
        },
      ]
    }
    return undefined
  }

  const SIGN_OF_LIFE = ({ options }: FakeLine): object =>
    options.url.includes('kraken')
      ? { channel: 'heartbeat' }
      : { type: 'subscriptions', channels: [{ name: 'matches', product_ids: ['BTC-USD'] }] }

  const wish = (exchange: string, required?: boolean): Wish => ({
    ...wishOf({ exchanges: [exchange], instruments: ['BTC-USD'], channel: 'trades' }, ['kraken', 'coinbase']),
    required,
  })

  async function start(
    behaviour: FakeNetwork,
    wishes: Wish[],
    exhausted?: (exchange: string, fault: Fault) => void,
  ): Promise<void> {
    const requested = (line: FakeLine): void => line.say(SIGN_OF_LIFE(line))
    network = new FakeTransport(clock, { rest, requested, ...behaviour })
    market = new LiveMarket({ wishes, addresses: undefined, clock, random: () => 0.5, transport: network, env: {} })
    const output: MarketOutput = {
      record: (record) => records.push(kept(record)),
      events: () => undefined,
      fault: ({ code }) => told.push(code),
      ended: () => told.push('ended'),
      ...(exhausted === undefined ? {} : { exhausted }),
    }
    const started = market.start(output)
    for (let steps = 0; steps < 10; steps++) {
      clock.advance(1)
      await Promise.resolve()
    }
    await started
  }

  const without = (host: string): FakeNetwork => ({ opens: ({ options }) => !options.url.includes(host) })
  const stepped = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      for (const line of network.lines) if (line.isOpen) line.say(SIGN_OF_LIFE(line))
      clock.advance(1_000)
    }
  }

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    records = []
    told = []
  })

  afterEach(async () => {
    const stopped = market.stop()
    clock.advance(5_000)
    await stopped
    expect(clock.pending, 'timers that are left').to.equal(0)
  })

  it('reaches nothing of the machine past the clock and the transport it is given', async () => {
    await start({}, [wish('kraken')])
    expect(network.lines).to.have.length(1)
    expect(records.map(({ timeUs }) => timeUs)).to.satisfy((times: number[]) =>
      times.every((timeUs) => timeUs >= 1_700_000_000_000_000 && timeUs < 1_700_000_001_000_000),
    )
  })

  it('shows how each connection stands, for people', async () => {
    await start(without('kraken'), [wish('kraken'), wish('coinbase')])
    stepped(5)
    const [kraken, coinbase] = market.connections()
    expect(kraken).to.include({ exchange: 'kraken', state: 'waiting' })
    expect(kraken!.attempts).to.be.greaterThan(1)
    expect(kraken!.trouble).to.include('Kraken could not be reached').and.include('the test said so')
    expect(coinbase).to.include({ exchange: 'coinbase', state: 'open', attempts: 1, trouble: undefined })
    expect(coinbase!.sinceUs).to.be.greaterThan(1_700_000_000_000_000).and.lessThan(clock.nowUs())
  })

  it('leaves it to the supervisor what becomes of an exchange that is given up, and begins it again for it', async () => {
    const given: string[] = []
    await start(without('kraken'), [wish('kraken'), wish('coinbase')], (exchange, { code }) =>
      given.push(`${exchange} ${code}`),
    )
    stepped(700)
    expect(given).to.deep.equal(['kraken RETRIES_EXHAUSTED'])
    expect(told).to.include('RETRIES_EXHAUSTED').and.not.include('ended')
    expect(market.restart('coinbase')).to.equal(false)
    expect(market.restart('kraken')).to.equal(true)
    stepped(700)
    expect(given).to.have.length(2)
  })

  it('ends when an exchange is given up and nobody else decides', async () => {
    await start(without('kraken'), [wish('kraken'), wish('coinbase')])
    stepped(700)
    expect(told.filter((word) => word === 'ended')).to.have.length(1)
  })

  it('goes on without an exchange that is not required, while there are others', async () => {
    await start(without('kraken'), [wish('kraken', false), wish('coinbase')])
    stepped(700)
    expect(told).to.include('RETRIES_EXHAUSTED').and.not.include('ended')
  })

  it('ends when the last exchange is given up, required or not', async () => {
    await start({ opens: () => false }, [wish('kraken', false)])
    stepped(700)
    expect(told).to.include('ended')
  })

  it('is ready when what is required has come, and says why not when it will not', async () => {
    await start(without('kraken'), [wish('kraken', false), wish('coinbase')])
    clock.advance(10)
    await market.ready
    const stopped = market.stop()
    clock.advance(10)
    await stopped
    await start({ opens: () => false }, [wish('kraken')])
    stepped(700)
    const code = await market.ready.catch((thrown: unknown) => (thrown as Fault).code)
    expect(code).to.equal('RETRIES_EXHAUSTED')
  })
})
