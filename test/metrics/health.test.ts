import { expect } from 'chai'
import { type Subscription } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { health, type HealthCheck, type HealthReport } from '../../src/metrics/health'
import { turns } from '../sinks/support'

describe('health', () => {
  let clock: VirtualClock
  let reports: HealthReport[]
  let subscription: Subscription
  const start = (...checks: HealthCheck[]): void => {
    subscription = health({ everyMs: 1_000, checks, clock }).subscribe((report) => reports.push(report))
  }
  const levels = (): string[] => reports.map(({ level }) => level)

  beforeEach(() => {
    clock = new VirtualClock(1_700_000_000_000_000)
    reports = []
  })
  afterEach(() => subscription.unsubscribe())

  it('is healthy with nothing to check', () => {
    start()
    clock.advance(2_000)
    expect(reports.map(({ timeUs, level }) => [timeUs, level])).to.deep.equal([
      [1_700_000_001_000_000, 'healthy'],
      [1_700_000_002_000_000, 'healthy'],
    ])
  })

  it('goes through its levels with a value, and says why', () => {
    let delayMs = 10
    start({
      name: 'loop delay',
      check: () => delayMs,
      degradedAbove: 50,
      unhealthyAbove: 200,
      unit: 'ms',
      deadlineMs: 100,
    })
    for (delayMs of [10, 50, 51, 201, 10]) clock.advance(1_000)
    expect(levels()).to.deep.equal(['healthy', 'healthy', 'degraded', 'unhealthy', 'healthy'])
    expect(reports.map(({ reasons }) => reasons)).to.deep.equal([
      [],
      [],
      ['loop delay is 51 ms, above 50 ms.'],
      ['loop delay is 201 ms, above 200 ms.'],
      [],
    ])
    expect(reports[2]!.checks).to.deep.equal([
      { name: 'loop delay', level: 'degraded', value: 51, reason: 'loop delay is 51 ms, above 50 ms.' },
    ])
  })

  it('has thresholds downwards too', () => {
    let free = 100
    start({ name: 'free disk', check: () => free, degradedBelow: 20, unhealthyBelow: 5, unit: '%', deadlineMs: 100 })
    for (free of [100, 19, 4]) clock.advance(1_000)
    expect(levels()).to.deep.equal(['healthy', 'degraded', 'unhealthy'])
    expect(reports[2]!.reasons).to.deep.equal(['free disk is 4%, below 5%.'])
  })

  it('does not flutter about a threshold: it is left only by the hysteresis', () => {
    let value = 0
    start({
      name: 'queue',
      check: () => value,
      degradedAbove: 100,
      unhealthyAbove: 200,
      hysteresis: 20,
      deadlineMs: 100,
    })
    for (value of [99, 101, 99, 81, 80, 99, 201, 190, 180, 99, 80]) clock.advance(1_000)
    expect(levels()).to.deep.equal([
      'healthy',
      'degraded',
      'degraded',
      'degraded',
      'healthy',
      'healthy',
      'unhealthy',
      'unhealthy',
      'degraded',
      'degraded',
      'healthy',
    ])
    expect(reports[2]!.reasons).to.deep.equal(['queue is 99, back but not yet well clear of 100.'])
  })

  it('is as bad as its worst check', () => {
    start(
      { name: 'a', check: () => true, deadlineMs: 100 },
      { name: 'b', check: () => 5, degradedAbove: 1, deadlineMs: 100 },
      { name: 'c', check: () => false, deadlineMs: 100 },
    )
    clock.advance(1_000)
    expect(reports[0]).to.deep.include({ level: 'unhealthy', reasons: ['b is 5, above 1.', 'c says no.'] })
  })

  it('takes a check that throws, rejects or gives no number for unhealthy, and goes on', async () => {
    const thrower = (): never => {
      throw new Error('no route')
    }
    start(
      { name: 'a', check: thrower, deadlineMs: 100 },
      { name: 'b', check: () => Promise.reject(new Error('refused')), deadlineMs: 100 },
      { name: 'c', check: () => NaN, deadlineMs: 100 },
    )
    clock.advance(1_000)
    await turns()
    clock.advance(1_000)
    await turns()
    expect(reports.length).to.equal(2)
    expect(reports[1]!.reasons).to.deep.equal(['a failed: no route.', 'b failed: refused.', 'c did not give a number.'])
  })

  it('waits for answers that take time', async () => {
    start({ name: 'a', check: () => Promise.resolve(3), degradedAbove: 1, deadlineMs: 100 })
    clock.advance(1_000)
    expect(reports).to.deep.equal([])
    await turns()
    expect(levels()).to.deep.equal(['degraded'])
    expect(clock.pending).to.equal(1)
  })

  it('is not delayed by a check that hangs, neither this report nor the next, and does not ask it again', async () => {
    let asked = 0
    let answer: ((value: boolean) => void) | undefined
    const hanging = (): Promise<boolean> => {
      asked++
      return new Promise((resolve) => (answer = resolve))
    }
    start({ name: 'disk', check: hanging, deadlineMs: 300 }, { name: 'b', check: () => true, deadlineMs: 100 })
    clock.advance(1_000)
    clock.advance(299)
    expect(reports.length).to.equal(0)
    clock.advance(1)
    expect(reports[0]).to.deep.include({ level: 'unhealthy', reasons: ['disk has not answered for 300 ms.'] })
    clock.advance(700)
    expect(reports[1]!.reasons).to.deep.equal(['disk has not answered for 1000 ms.'])
    expect(asked).to.equal(1)
    answer!(true)
    await turns()
    expect(reports.length).to.equal(2)
    clock.advance(1_000)
    answer!(true)
    await turns()
    expect(asked).to.equal(2)
    expect(reports[2]!.level).to.equal('healthy')
  })

  it('reports before its next interval even with a longer deadline', () => {
    start({ name: 'a', check: () => new Promise(() => undefined), deadlineMs: 60_000 })
    clock.advance(3_000)
    expect(reports.length).to.equal(3)
    expect(reports[0]!.reasons).to.deep.equal(['a has not answered for 1000 ms.'])
  })

  it('keeps a failure apart from the thresholds', () => {
    let fail = false
    const check = (): number => {
      if (fail) throw new Error('away')
      return 85
    }
    start({ name: 'a', check, unhealthyAbove: 90, hysteresis: 10, deadlineMs: 100 })
    for (fail of [false, true, false]) clock.advance(1_000)
    expect(levels()).to.deep.equal(['healthy', 'unhealthy', 'healthy'])
  })

  it('says a level only when it has lasted as long as it should, both ways', () => {
    let value = 0
    const check = (): number => value
    start({ name: 'a', check, unhealthyAbove: 10, worseAfterMs: 2_000, betterAfterMs: 3_000, deadlineMs: 100 })
    for (value of [20, 20, 0, 20, 20, 20, 0, 0, 20, 0, 0, 0, 0]) clock.advance(1_000)
    const [up, down] = ['healthy', 'unhealthy']
    expect(levels()).to.deep.equal([up, up, up, up, up, down, down, down, down, down, down, down, up])
    expect(reports[8]!.reasons).to.deep.equal(['a is 20, above 10.'])
  })

  it('makes of the whole no worse than its severity', () => {
    start(
      { name: 'a', check: () => false, severity: 'degraded', deadlineMs: 100 },
      { name: 'b', check: () => 5, unhealthyAbove: 10, deadlineMs: 100 },
    )
    clock.advance(1_000)
    expect(reports[0]!.level).to.equal('degraded')
    expect(reports[0]!.checks.map(({ level }) => level)).to.deep.equal(['unhealthy', 'healthy'])
  })

  it('gives the reason that the check gives', () => {
    const answer = { value: 7, because: 'Seven of them are missing.' }
    start({ name: 'a', check: () => answer, degradedAbove: 5, deadlineMs: 100 })
    clock.advance(1_000)
    expect(reports[0]!.reasons).to.deep.equal(['Seven of them are missing.'])
  })

  it('leaves no timer when it is left, also in the middle of a check', async () => {
    start({ name: 'a', check: () => new Promise(() => undefined), deadlineMs: 300 })
    clock.advance(1_000)
    subscription.unsubscribe()
    expect(clock.pending).to.equal(0)
    await turns()
    expect(reports).to.deep.equal([])
  })

  it('refuses checks that cannot be', () => {
    const check = (): number => 1
    const refused: [Partial<HealthCheck>, string][] = [
      [{ deadlineMs: 0 }, 'deadlineMs 0'],
      [{ hysteresis: -1 }, 'hysteresis -1'],
      [{ worseAfterMs: -1 }, 'worseAfterMs -1'],
      [{ betterAfterMs: NaN }, 'betterAfterMs NaN'],
      [{ severity: 'grave' as 'degraded' }, 'severity grave'],
      [{ degradedAbove: 5, unhealthyAbove: 4 }, 'unhealthy before it is degraded'],
      [{ degradedBelow: 4, unhealthyBelow: 5 }, 'unhealthy before it is degraded'],
    ]
    for (const [wrong, message] of refused) {
      const checks = [{ name: 'a', check, deadlineMs: 1, ...wrong }]
      expect(() => health({ everyMs: 1_000, checks })).to.throw(message)
    }
    const twice = [1, 2].map(() => ({ name: 'a', check, deadlineMs: 1 }))
    expect(() => health({ everyMs: 1_000, checks: twice })).to.throw('two checks have the name a')
    expect(() => health({ everyMs: 0, checks: [] })).to.throw('everyMs is 0')
    start()
  })
})
