import { expect } from 'chai'
import fc from 'fast-check'
import { getEventListeners } from 'node:events'
import { TasksFault, withTasks, type TaskGroup, type TaskGroupOptions } from '../../src/actors/taskGroup'
import { sleep } from '../../src/clock/clock'
import { runWithClock } from '../../src/clock/currentClock'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Fault } from '../../src/model/fault'

const failure = new Error('no answer')
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}
const never = (): Promise<never> => new Promise(() => undefined)

describe('withTasks', () => {
  let clock: VirtualClock
  let base: TaskGroupOptions
  beforeEach(() => {
    clock = new VirtualClock()
    base = { concurrency: 10, stopWithinMs: 1_000, clock }
  })

  /** Runs a group, and keeps what becomes of it. */
  const start = <T>(
    body: (group: TaskGroup) => Promise<T> | T,
    options: Partial<TaskGroupOptions> = {},
  ): { value?: T; error?: unknown; ended: boolean } => {
    const outcome: { value?: T; error?: unknown; ended: boolean } = { ended: false }
    withTasks(body, { ...base, ...options }).then(
      (value) => Object.assign(outcome, { value, ended: true }),
      (error: unknown) => Object.assign(outcome, { error, ended: true }),
    )
    return outcome
  }
  const waits =
    (ms: number) =>
    (signal: AbortSignal): Promise<void> =>
      sleep(clock, ms, signal)
  const failsAfter =
    (ms: number, error: unknown = failure) =>
    async (signal: AbortSignal): Promise<never> => {
      await sleep(clock, ms, signal)
      throw error
    }

  it('gives what its function gives, when all tasks have ended', async () => {
    const ended: string[] = []
    const outcome = start(async (group) => {
      void group.spawn('slow', async (signal) => {
        await sleep(clock, 100, signal)
        ended.push('slow')
      })
      return group.spawn('quick', () => 42)
    })
    await settle()
    expect(outcome.ended).to.equal(false)
    clock.advance(100)
    await settle()
    expect(outcome.value).to.equal(42)
    expect(ended).to.deep.equal(['slow'])
    expect(clock.pending).to.equal(0)
  })

  it('waits for tasks that tasks have started', async () => {
    const outcome = start((group) => {
      void group.spawn('parent', async (signal) => {
        await sleep(clock, 10, signal)
        void group.spawn('child', waits(10))
      })
      return 'done'
    })
    await settle()
    clock.advance(10)
    await settle()
    expect(outcome.ended).to.equal(false)
    clock.advance(10)
    await settle()
    expect(outcome.value).to.equal('done')
  })

  it('stops the others when one fails, waits for them, and only then fails', async () => {
    const events: string[] = []
    const outcome = start(async (group) => {
      void group.spawn('fails', failsAfter(10))
      void group.spawn('cleans up', async (signal) => {
        await sleep(clock, 1_000, signal).catch(() => undefined)
        events.push('told to stop')
        await sleep(clock, 50)
        events.push('cleaned up')
      })
      await group.spawn('obeys', waits(1_000))
    })
    await settle()
    clock.advance(10)
    await settle()
    expect(events).to.deep.equal(['told to stop'])
    expect(outcome.ended).to.equal(false)
    clock.advance(50)
    await settle()
    expect(events).to.deep.equal(['told to stop', 'cleaned up'])
    expect(outcome.error).to.be.instanceOf(TasksFault).with.property('code', 'STAGE_FAILED')
    expect(outcome.error).to.have.property('cause', failure)
    expect(outcome.error).to.have.property('message', 'The task fails failed: no answer.')
    expect((outcome.error as TasksFault).errors).to.deep.equal([failure])
    expect(clock.pending).to.equal(0)
  })

  it('names every failure, the first by its code', async () => {
    const refused = new Fault('SINK_REJECTED', 'The table is gone.')
    const outcome = start((group) => {
      void group.spawn('first', failsAfter(10, refused))
      void group.spawn('second', async (signal) => {
        await sleep(clock, 1_000, signal).catch(() => undefined)
        throw failure
      })
    })
    await settle()
    clock.advance(10)
    await settle()
    const fault = outcome.error as TasksFault
    expect(fault.code).to.equal('SINK_REJECTED')
    expect(fault.errors).to.deep.equal([refused, failure])
    expect(fault.message).to.equal(
      'The task first failed: The table is gone. Then also: The task second failed: no answer.',
    )
    expect(structuredClone(fault.details)).to.deep.equal({
      group: 'the group',
      failed: 'The task first',
      others: [{ failed: 'The task second', message: 'no answer' }],
      failures: 2,
    })
  })

  it('names a bounded number of failures', async () => {
    const outcome = start(
      (group) => {
        for (let task = 0; task < 1_000; task++) {
          void group.spawn(`t${task}`, async () => {
            await Promise.resolve()
            throw new Error(`e${task}`)
          })
        }
      },
      { concurrency: 1_000 },
    )
    await settle()
    const fault = outcome.error as TasksFault
    expect(fault.errors).to.have.length(1_000)
    expect(fault.message).to.match(/And 989 more\.$/)
    expect(fault.message.length).to.be.below(1_000)
    expect(fault.details['others']).to.have.length(10)
  })

  it('stops the tasks when its own function fails, at once or later', async () => {
    const broken = new Error('body')
    for (const body of [
      () => {
        throw broken
      },
      () => Promise.reject(broken),
    ]) {
      let reason: unknown
      const outcome = start((group) => {
        void group.spawn('task', (signal) => sleep(clock, 1_000, signal).catch(() => (reason = signal.reason)))
        return body()
      })
      await settle()
      expect(outcome.error).to.have.property('cause', broken)
      expect((outcome.error as Fault).message).to.equal('The function of the group failed: body.')
      expect(reason).to.equal(broken)
    }
  })

  it('fails though its function caught the failure of a task', async () => {
    const outcome = start(async (group) => {
      await group.spawn('fails', failsAfter(10)).catch(() => undefined)
      return 'fine'
    })
    await settle()
    clock.advance(10)
    await settle()
    expect(outcome.error).to.have.property('cause', failure)
  })

  it('names those that do not end when they are told to, and goes on without them', async () => {
    let end: (error: Error) => void = () => undefined
    const outcome = start(
      async (group) => {
        void group.spawn('deaf', () => new Promise((_, reject) => (end = reject)))
        void group.spawn('fails', failsAfter(10))
        await never()
      },
      { name: 'loading' },
    )
    await settle()
    clock.advance(10)
    await settle()
    expect(outcome.ended).to.equal(false)
    clock.advance(1_000)
    await settle()
    const fault = outcome.error as TasksFault
    expect(fault.cause).to.equal(failure)
    expect(fault.errors).to.have.length(2)
    expect(fault.errors[1]).to.be.instanceOf(Fault).with.property('code', 'DEADLINE_EXCEEDED')
    expect((fault.errors[1] as Fault).message).to.equal(
      'Of loading, its function, deaf did not end within 1000 ms of being told to stop: end when the signal is aborted.',
    )
    expect(clock.pending).to.equal(0)
    end(new Error('much later')) // and nobody hears it, not the process either
    await settle()
  })

  describe('stopped from outside', () => {
    it('stops all, waits for them, and rejects with the reason', async () => {
      const outside = new AbortController()
      const reason = new Error('enough')
      const events: string[] = []
      const outcome = start(
        async (group) => {
          await group.spawn('task', async (signal) => {
            await sleep(clock, 1_000, signal).catch(() => undefined)
            await sleep(clock, 20)
            events.push('ended')
          })
        },
        { signal: outside.signal },
      )
      await settle()
      outside.abort(reason)
      await settle()
      expect(outcome.ended).to.equal(false)
      clock.advance(20)
      await settle()
      expect(events).to.deep.equal(['ended'])
      expect(outcome.error).to.equal(reason)
      expect(clock.pending).to.equal(0)
      expect(getEventListeners(outside.signal, 'abort')).to.have.length(0)
    })

    it('begins nothing when it was stopped before', async () => {
      let calls = 0
      const reason = new Error('enough')
      const outcome = start(() => calls++, { signal: AbortSignal.abort(reason) })
      await settle()
      expect(outcome.error).to.equal(reason)
      expect(calls).to.equal(0)
    })

    it('tells of what failed on the way out', async () => {
      const outside = new AbortController()
      const outcome = start(
        (group) =>
          void group.spawn('task', async (signal) => {
            await sleep(clock, 1_000, signal).catch(() => undefined)
            throw failure
          }),
        { signal: outside.signal },
      )
      await settle()
      outside.abort()
      await settle()
      expect(outcome.error).to.be.instanceOf(TasksFault).with.property('cause', failure)
    })

    it('takes an AbortError, or an error about the reason, for obedience', async () => {
      const outside = new AbortController()
      const reason = new Error('enough')
      const outcome = start(
        (group) => {
          void group.spawn('dom', async (signal) => {
            await sleep(clock, 1_000, signal).catch(() => undefined)
            throw new DOMException('aborted', 'AbortError')
          })
          void group.spawn('wraps', async (signal) => {
            await sleep(clock, 1_000, signal).catch((cause: unknown) => {
              throw new Error('the request was stopped', { cause })
            })
          })
        },
        { signal: outside.signal },
      )
      await settle()
      outside.abort(reason)
      await settle()
      expect(outcome.error).to.equal(reason)
    })

    it('forgets the signal when it has ended by itself', async () => {
      const outside = new AbortController()
      start(() => 1, { signal: outside.signal })
      await settle()
      expect(getEventListeners(outside.signal, 'abort')).to.have.length(0)
    })
  })

  it('stops when all together take too long', async () => {
    const outcome = start((group) => group.spawn('slow', waits(1_000)), { deadlineMs: 100 })
    await settle()
    clock.advance(100)
    await settle()
    expect(outcome.error).to.be.instanceOf(TasksFault).with.property('code', 'DEADLINE_EXCEEDED')
    expect((outcome.error as Fault).message).to.include('took longer than 100 ms')
    expect(clock.pending).to.equal(0)
  })

  it('runs no more at once than it may, in the order in which they came', async () => {
    const started: number[] = []
    let running = 0
    let most = 0
    const outcome = start(
      (group) => {
        for (let task = 0; task < 100; task++) {
          void group.spawn(`t${task}`, async (signal) => {
            started.push(task)
            most = Math.max(most, ++running)
            await sleep(clock, 10, signal)
            running--
          })
        }
      },
      { concurrency: 7 },
    )
    for (let turn = 0; turn < 20; turn++) {
      await settle()
      clock.advance(10)
    }
    await settle()
    expect(outcome.ended).to.equal(true)
    expect(most).to.equal(7)
    expect(started).to.deep.equal(Array.from({ length: 100 }, (_, index) => index))
  })

  it('refuses one task more than may wait, and begins none of those that wait once it stops', async () => {
    const started: string[] = []
    const outcome = start(
      (group) => {
        for (const name of ['a', 'b', 'c', 'd']) {
          void group.spawn(name, (signal) => {
            started.push(name)
            return sleep(clock, 10, signal)
          })
        }
      },
      { concurrency: 1, capacity: 2 },
    )
    await settle()
    expect(started).to.deep.equal(['a'])
    expect(outcome.error).to.have.property('code', 'EDGE_FULL')
  })

  it('begins nothing while it stops, and refuses what comes after it has ended', async () => {
    let kept: TaskGroup | undefined
    let began = 0
    let refusal: unknown
    const outcome = start((group) => {
      kept = group
      void group.spawn('fails', failsAfter(10))
      void group.spawn('asks for more', async (signal) => {
        await sleep(clock, 1_000, signal).catch(() => undefined)
        refusal = await group.spawn('more', () => began++).catch((error: unknown) => error)
      })
    })
    await settle()
    clock.advance(10)
    await settle()
    expect(outcome.error).to.have.property('cause', failure)
    expect(began).to.equal(0)
    expect(refusal).to.equal(failure)
    expect(() => kept!.spawn('late', () => 1))
      .to.throw(Fault)
      .with.property('code', 'OPTION_INVALID')
  })

  it('asks for the time of waits where it is called', async () => {
    const waitsClock = new VirtualClock()
    let error: unknown
    runWithClock({ clock: new VirtualClock(), waits: waitsClock }, () =>
      withTasks(never, { concurrency: 1, deadlineMs: 5, stopWithinMs: 5 }),
    ).catch((thrown: unknown) => (error = thrown))
    await settle()
    waitsClock.advance(10)
    await settle()
    expect(error).to.have.property('code', 'DEADLINE_EXCEEDED')
  })

  for (const options of [
    { concurrency: 0 },
    { concurrency: undefined },
    { capacity: 1.5 },
    { stopWithinMs: Number.NaN },
    { stopWithinMs: undefined },
    { deadlineMs: -1 },
  ]) {
    it(`refuses ${Object.entries(options).flat().join(' = ')}`, async () => {
      const outcome = start(() => 1, options as Partial<TaskGroupOptions>)
      await settle()
      expect(outcome.error).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
    })
  }

  it('outlives none of its tasks, whatever they do', async () => {
    const task = fc.record({
      ms: fc.nat({ max: 20 }),
      fails: fc.boolean(),
      cleanupMs: fc.nat({ max: 20 }),
      child: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(task, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.option(fc.nat({ max: 30 }), { nil: undefined }),
        async (tasks, concurrency, stopAtMs) => {
          clock = new VirtualClock()
          let running = 0
          let most = 0
          const outside = new AbortController()
          let runningAtEnd: number | undefined
          const body = (group: TaskGroup): void => {
            tasks.forEach(({ ms, fails, cleanupMs, child }, index) => {
              void group.spawn(`t${index}`, async (signal) => {
                most = Math.max(most, ++running)
                try {
                  await sleep(clock, ms, signal)
                  if (fails) throw failure
                  if (child) void group.spawn(`child of t${index}`, waits(ms))
                } finally {
                  await sleep(clock, cleanupMs)
                  running--
                }
              })
            })
          }
          let outcome: unknown
          withTasks(body, { concurrency, stopWithinMs: 1_000, clock, signal: outside.signal }).then(
            () => ([runningAtEnd, outcome] = [running, 'done']),
            (error: unknown) => ([runningAtEnd, outcome] = [running, error]),
          )
          for (let ms = 0; ms < 600; ms++) {
            if (ms === stopAtMs) outside.abort(failure)
            await settle()
            if (outcome !== undefined) break
            clock.advance(1)
          }
          expect(outcome).not.to.equal(undefined)
          expect(runningAtEnd).to.equal(0)
          expect(most).to.be.at.most(concurrency)
          expect(clock.pending).to.equal(0)
          if (stopAtMs === undefined) expect(outcome === 'done').to.equal(tasks.every(({ fails }) => !fails))
        },
      ),
      { numRuns: 100 },
    )
  })
})
