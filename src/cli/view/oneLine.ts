/** A run in one line, where there is no terminal to draw on. */
import { latencyText, rateText, waitText } from '../quantities'
import { percent, secondsLeft } from './heading'
import { lossesOf } from './losses'
import type { Moment } from './readings'

export function oneLine({ status, market: { counts }, eventsPerSecond, process, health }: Moment): string {
  const { seconds, progress, stages, quarantine, held, latencyUs } = status
  const repairing = counts.gap + counts.down
  const restarts = sum(stages.map((stage) => stage.restarts))
  const left = progress === undefined ? undefined : secondsLeft(progress, seconds)
  return [
    `${seconds.toFixed(0).padStart(4)} s`,
    ...(progress === undefined
      ? []
      : [`${percent(progress.share)}${left === undefined ? '' : `, ${waitText(left)} left`}`]),
    `${rateText(eventsPerSecond)} events/s`,
    ...(health === undefined || health.level === 'healthy' ? [] : [health.level]),
    `books ${counts.live} live${repairing > 0 ? `, ${repairing} in repair` : ''}${counts.stale > 0 ? `, ${counts.stale} stale` : ''}`,
    `gaps ${counts.gaps} resyncs ${counts.resyncs}`,
    `dropped ${sum(status.edges.flatMap((edge) => lossesOf(edge).map(([, count]) => count)))}`,
    `faults ${sum(Object.values(status.faults))}`,
    ...(restarts > 0 ? [`restarts ${restarts}`] : []),
    ...(quarantine === undefined ? [] : [`quarantined ${quarantine.kept + quarantine.unkept}`]),
    ...(held.times > 0 ? [`held ${held.times}`] : []),
    ...(latencyUs.receiveToSink.count > 0 ? [`to sink p99 ${latencyText(latencyUs.receiveToSink.p99)}`] : []),
    `cpu ${process.cpuPercent.toFixed(0)} %  rss ${(process.rssBytes / 1e6).toFixed(0)} MB  loop p99 ${process.loopMsP99.toFixed(1)} ms`,
  ].join('  ')
}

function sum(counts: readonly number[]): number {
  return counts.reduce((a, b) => a + b, 0)
}
