import { Dispatcher } from '../../src/actors/dispatcher'
import { VirtualClock } from '../../src/clock/virtualClock'
import { describePipeline, type PipelineBuilder } from '../../src/pipeline/description'
import type { BookName } from '../../src/feed/liveFeed'
import { StageGraph, type StageGraphOptions } from '../../src/pipeline/stageGraph'
import type { StageFailure } from '../../src/pipeline/stageRunner'
import { liveHost } from '../../src/pipeline/host'

/** A pipeline wired to a dispatcher whose turn lasts as long as the test lets it, and to a clock that the test moves. */
export function wired(
  build: (builder: PipelineBuilder) => void,
  outDir = 'out',
  watching: Pick<StageGraphOptions, 'times' | 'latency' | 'metrics'> = {},
) {
  const clock = new VirtualClock()
  const nowMs = { value: 0 }
  const faults: string[] = []
  const failures: StageFailure[] = []
  const escalated: string[] = []
  const refreshed: (readonly BookName[] | 'all')[] = []
  const observed: string[] = []
  const pressed: string[] = []
  const dispatcher = new Dispatcher({
    clock,
    budgetMs: 10,
    nowMs: () => nowMs.value,
    defer: setImmediate,
    onBroken: (thrown) => {
      throw thrown
    },
  })
  const graph = new StageGraph(describePipeline('test', build), {
    dispatcher,
    host: { ...liveHost, clock, random: () => 0.5 },
    streamClock: clock,
    outDir,
    digest: false,
    closeWithinMs: 1_000,
    onFault: (fault, node) => faults.push(`${node} ${fault.code}: ${fault.message}`),
    onFailure: (failure) => {
      const { path, fault } = failure
      faults.push(`${path.slice(path.lastIndexOf('/') + 1)} ${fault.code}: ${fault.message}`)
      failures.push(failure)
    },
    escalate: (fault) => escalated.push(fault.message),
    refresh: (books) => refreshed.push(books),
    pressure: { pause: () => pressed.push('pause'), resume: () => pressed.push('resume') },
    outerPressure: {
      pause: () => {
        dispatcher.hold()
        pressed.push('pause')
      },
      resume: () => {
        dispatcher.release()
        pressed.push('resume')
      },
    },
    observe: (node, value) => observed.push(`${node} ${String(value)}`),
    ...watching,
  })
  return { graph, dispatcher, clock, nowMs, faults, failures, escalated, refreshed, observed, pressed }
}
