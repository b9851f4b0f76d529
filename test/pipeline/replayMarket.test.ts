import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { liveClock } from '../../src/clock/liveClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import type { Fault } from '../../src/model/fault'
import type { MarketOutput } from '../../src/pipeline/market'
import { ReplayMarket, type ReplayMarketOptions } from '../../src/pipeline/replayMarket'
import { eventually } from '../kit/eventually'

describe('ReplayMarket', () => {
  let folder: string
  let told: string[]
  let output: MarketOutput
  let market: ReplayMarket

  const HEADER = { format: 'millrace-recording/1', venue: 'kraken', source: 'a test' }
  const frame = (second: number): object => ({
    t: `${1_700_000_000 + second}000000000`,
    dir: 'in',
    raw: '{"channel":"heartbeat"}',
  })
  const fileOf = (...lines: readonly object[]): string => {
    const place = path.join(folder, 'session.ndjson')
    writeFileSync(place, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    return place
  }
  const make = (file: string, options: Partial<ReplayMarketOptions> = {}): ReplayMarket =>
    new ReplayMarket({
      files: [file],
      exchange: undefined,
      speed: 'max',
      wishes: [],
      clock: liveClock,
      ready: () => undefined,
      ...options,
    })
  const codeOf = (promise: Promise<void>): Promise<string> =>
    promise.then(
      () => 'ready',
      (thrown: unknown) => (thrown as Fault).code,
    )

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'millrace-replay-'))
    told = []
    output = {
      record: ({ dir }) => told.push(dir),
      events: () => undefined,
      fault: ({ code }) => told.push(code),
      ended: () => told.push('ended'),
    }
  })

  afterEach(async () => {
    await market.stop()
    rmSync(folder, { recursive: true })
  })

  it('is ready with its first record, however long the others take', async () => {
    const clock = new VirtualClock(0)
    market = make(fileOf(HEADER, frame(0), frame(3_600)), { speed: 1, clock })
    await market.start(output)
    await market.ready
    expect(told).to.deep.equal(['in'])
  })

  it('says how far it is, and at a speed of its own how long still', async () => {
    const clock = new VirtualClock(0)
    const ends = { ...HEADER, frames: 2, last_t: '1700003600000000000' }
    market = make(fileOf(ends, frame(0), frame(3_600)), { speed: 10, clock })
    expect(market.progress()).to.equal(undefined)
    await market.start(output)
    await market.ready
    expect(market.progress()).to.deep.include({ secondsLeft: 360 })
    expect(market.progress()!.share).to.be.within(0.5, 1)
    clock.advanceTo(3_600_000_000)
    await eventually(() => expect(told).to.include('ended'))
    expect(market.progress()).to.deep.equal({ share: 1, secondsLeft: 0 })
  })

  it('leaves it to the share how long it will be where the recording does not say when it ends, or as fast as it can', async () => {
    market = make(fileOf({ ...HEADER, last_t: '1700003600000000000' }, frame(0)))
    await market.start(output)
    await eventually(() => expect(told).to.include('ended'))
    expect(market.progress()).to.deep.equal({ share: 1, secondsLeft: undefined })
    await market.stop()
    market = make(fileOf({ ...HEADER, last_t: 'soon' }, frame(0)), { speed: 1_000 })
    await market.start(output)
    await market.ready
    expect(market.progress()!.secondsLeft).to.equal(undefined)
  })

  it('is ready at the end of a recording without records', async () => {
    market = make(fileOf(HEADER))
    await market.start(output)
    await market.ready
    await eventually(() => expect(told).to.deep.equal(['ended']))
  })

  it('is never ready with a file that cannot be read', async () => {
    market = make(path.join(folder, 'nowhere.ndjson'))
    const failed = await codeOf(market.start(output))
    expect(failed).to.equal('RECORDING_INVALID')
    expect(await codeOf(market.ready)).to.equal('RECORDING_INVALID')
  })

  it('gives readiness up when it is stopped before', async () => {
    market = make(fileOf(HEADER, frame(0)))
    await market.stop()
    expect(await codeOf(market.ready)).to.equal('DEADLINE_EXCEEDED')
  })

  it('does not wait longer for its consumer to stop than it is told to', async () => {
    const clock = new VirtualClock(0)
    market = make(fileOf(HEADER, frame(0), frame(1)), { clock, ready: () => new Promise(() => undefined) })
    await market.start(output)
    await market.ready
    const stopped = market.stop(300)
    const late = market.stop(60_000)
    clock.advance(300)
    await Promise.all([stopped, late])
    expect(clock.pending).to.equal(0)
    clock.advance(1)
    market = make(fileOf(HEADER))
  })

  it('has nothing to refresh or to begin again', async () => {
    market = make(fileOf(HEADER, frame(0)))
    await market.start(output)
    market.refresh()
    expect(market.restart()).to.equal(false)
    expect(market.connections()).to.have.length(1)
    expect(market.connections()[0]).to.include({ state: 'replay', attempts: 1 })
    expect(market.connections()[0]!.sinceUs).to.be.a('number')
  })
})
