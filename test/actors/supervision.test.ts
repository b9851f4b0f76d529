import { expect } from 'chai'
import { DEFAULT_RESTART, problemOfFailurePolicy, Supervisor, type OnFailure } from '../../src/actors/supervision'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'

const thrown = new Fault('STAGE_FAILED', 'It threw.')
const hopeless = new Fault('OPTION_INVALID', 'It cannot work.')

describe('Supervisor', () => {
  it('does what the policy says, whatever the fault', () => {
    for (const directive of ['resume', 'stop', 'escalate'] as const) {
      expect(judged(directive, hopeless)).to.deep.equal({ directive })
    }
    expect(judged('restart', hopeless)).to.deep.equal({ directive: 'restart', delayMs: 0 })
  })

  it('goes by the table of faults where there is no policy', () => {
    expect(judged(undefined, hopeless).directive).to.equal('stop')
    expect(judged(undefined, thrown).directive).to.equal('restart')
    expect(judged(undefined, new Fault('VALUE_INVALID', 'It is no number.')).directive).to.equal('restart')
  })

  it('asks a function of the fault, and stops when that throws or answers nonsense', () => {
    const bySize: OnFailure = (fault) => (fault.code === 'OPTION_INVALID' ? 'escalate' : 'resume')
    expect([judged(bySize, hopeless).directive, judged(bySize, thrown).directive]).to.deep.equal(['escalate', 'resume'])
    expect(judged(() => JSON.parse('{') as 'stop', thrown).directive).to.equal('stop')
    expect(judged(() => 'sing' as 'stop', thrown).directive).to.equal('stop')
  })

  it('restarts at once, then after waits that grow, until the budget is spent', () => {
    const clock = new VirtualClock()
    const policy: OnFailure = { restart: { atMost: 4, withinMs: 60_000, backoffMs: [100, 250] } }
    const supervisor = new Supervisor(policy, clock, () => 0.999_999)
    const waits: number[] = []
    for (let attempt = 0; attempt < 4; attempt++) {
      const verdict = supervisor.judge(thrown)
      waits.push('delayMs' in verdict ? Math.round(verdict.delayMs) : NaN)
    }
    expect(waits).to.deep.equal([0, 100, 200, 250])
    expect(supervisor.judge(thrown)).to.deep.equal({ directive: 'stop', spent: policy.restart })
  })

  it('escalates a spent budget when told so', () => {
    const policy: OnFailure = { restart: { atMost: 0, withinMs: 1_000, backoffMs: [1, 1] }, then: 'escalate' }
    expect(judged(policy, thrown).directive).to.equal('escalate')
  })

  it('forgets failures that are older than the window', () => {
    const clock = new VirtualClock()
    const supervisor = new Supervisor({ restart: { atMost: 1, withinMs: 1_000, backoffMs: [1, 1] } }, clock, () => 0)
    for (let hour = 0; hour < 10; hour++) {
      expect(supervisor.judge(thrown).directive).to.equal('restart')
      supervisor.succeeded()
      clock.advance(3_600_000)
    }
  })
})

describe('problemOfFailurePolicy', () => {
  it('accepts what a policy can be', () => {
    const usable: unknown[] = [undefined, 'resume', 'restart', 'stop', 'escalate', () => 'stop']
    usable.push({ restart: DEFAULT_RESTART }, { restart: DEFAULT_RESTART, then: 'escalate' })
    for (const policy of usable) expect(problemOfFailurePolicy(policy), String(policy)).to.equal(undefined)
  })

  it('says what is wrong with what it cannot be', () => {
    expect(problemOfFailurePolicy('retry')).to.match(/^onFailure is one of resume, restart, stop, escalate, .*"retry"/)
    expect(problemOfFailurePolicy(null)).to.match(/it is null/)
    expect(problemOfFailurePolicy({ restart: { ...DEFAULT_RESTART, atMost: -1 } })).to.match(/^restart\.atMost/)
    expect(problemOfFailurePolicy({ restart: { ...DEFAULT_RESTART, withinMs: 0 } })).to.match(/^restart\.withinMs/)
    expect(problemOfFailurePolicy({ restart: { ...DEFAULT_RESTART, backoffMs: [5, 1] } })).to.match(
      /^restart\.backoffMs/,
    )
    expect(problemOfFailurePolicy({ restart: DEFAULT_RESTART, then: 'resume' })).to.match(/^onFailure\.then/)
  })
})

function judged(policy: OnFailure | undefined, fault: Fault) {
  return new Supervisor(policy, new VirtualClock(), () => 0.5).judge(fault)
}
