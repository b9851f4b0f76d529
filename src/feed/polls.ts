/**
 * What must be asked for again and again because no channel sends it: each instrument once per interval, spread evenly
 * over it, while the connection that its events belong to is open.
 *
 * A poll that is still waiting when its turn comes again is asked once. One that fails is reported and not retried: the
 * next is the retry.
 */
import type { Clock, Timer } from '../clock/clock'
import type { PlannedPoll } from './subscriptionPlan'

export class Polls {
  private timers = new Set<Timer>()
  private readonly withdrawals = new Map<PlannedPoll, () => void>()

  /** @param ask  asks now; the returned function withdraws */
  constructor(
    private readonly clock: Clock,
    private readonly polls: readonly PlannedPoll[],
    private readonly ask: (poll: PlannedPoll) => () => void,
  ) {}

  start(): void {
    this.stop()
    for (const [everyMs, polls] of groupByInterval(this.polls)) this.turn(polls, 0, everyMs / polls.length)
  }

  stop(): void {
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    for (const withdraw of this.withdrawals.values()) withdraw()
    this.withdrawals.clear()
  }

  private turn(polls: readonly PlannedPoll[], index: number, distanceMs: number): void {
    const timer = this.clock.after(distanceMs, () => {
      this.timers.delete(timer)
      const poll = polls[index]!
      this.withdrawals.set(poll, this.ask(poll))
      this.turn(polls, (index + 1) % polls.length, distanceMs)
    })
    this.timers.add(timer)
  }
}

function groupByInterval(polls: readonly PlannedPoll[]): Map<number, PlannedPoll[]> {
  const groups = new Map<number, PlannedPoll[]>()
  for (const planned of polls) {
    const group = groups.get(planned.poll.everyMs)
    if (group === undefined) groups.set(planned.poll.everyMs, [planned])
    else group.push(planned)
  }
  return groups
}
