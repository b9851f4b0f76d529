/** What went wrong: how often each kind of fault, which stages failed, and the last faults with their time, newest first. */
import { stateOf } from '../../pipeline/graph'
import type { RunStatus } from '../../pipeline/runSummary'
import { flowed, row, titles, wrapped, type Cell, type Column, type Line } from './line'
import type { Moment } from './readings'

export function faultLines({ status }: Moment, width: number): Line[] {
  const { latestFaults } = status
  if (latestFaults.length === 0 && Object.keys(status.faults).length === 0) return [[['No faults so far.', 'dim']]]
  return [
    ...countLines(status, width),
    ...stageLines(status, width),
    ...(latestFaults.length === 0 ? [] : [[], [['the last faults, newest first', 'dim']] satisfies Line]),
    ...[...latestFaults].reverse().flatMap((fault) => faultText(fault, width)),
  ]
}

const TIME_COLUMNS = 8

function faultText({ timeUs, code, message }: RunStatus['latestFaults'][number], width: number): Line[] {
  const time = timeUs === undefined ? '' : new Date(timeUs / 1_000).toISOString().slice(11, 19)
  const indent = ' '.repeat(TIME_COLUMNS + 2)
  return [
    [[time.padEnd(TIME_COLUMNS), 'dim'], '  ', [code, 'yellow']],
    ...wrapped(message, Math.max(10, width - indent.length - 1)).map((part): Line => [indent, part]),
  ]
}

/** How often each kind of fault was met. */
export function countLines({ faults }: RunStatus, width: number): Line[] {
  const counts = Object.entries(faults).map(([code, count]): Line => [[`${code} ${count}`, 'yellow']])
  return counts.length === 0 ? [] : flowed([[['faults', 'yellow']], ...counts], width, Infinity)
}

/** Stages in a picture that have failed. */
const STAGES_SHOWN_MAX = 5

const STAGE_COLUMNS: readonly Column[] = [
  { title: 'stage', width: 24, left: true },
  { title: 'state', width: 10, left: true },
  { title: 'failures', width: 8 },
  { title: 'restarts', width: 8 },
]

/** Stages that have failed, those that are not at work before the others; and where their messages are. */
export function stageLines({ stages, quarantine }: RunStatus, width: number): Line[] {
  const failed = stages.filter(({ failures }) => failures > 0)
  if (failed.length === 0) return []
  const isUp = ({ state }: (typeof failed)[number]): number => (state === 'running' ? 1 : 0)
  const lines = failed
    .sort((a, b) => isUp(a) - isUp(b) || b.failures - a.failures)
    .slice(0, STAGES_SHOWN_MAX)
    .map((stage): Line => {
      const state = stateOf(stage)
      const format = state === 'running' ? 'green' : state === 'ended' ? 'dim' : 'red'
      const counts: Cell[] = [
        [String(stage.failures), 'yellow'],
        [String(stage.restarts), 'yellow'],
      ]
      return [...row(STAGE_COLUMNS, [stage.name, [state, format], ...counts]), '  ', stage.lastFault ?? '']
    })
  if (quarantine !== undefined) {
    const { kept, unkept, file } = quarantine
    const more = unkept > 0 ? `, ${unkept} more not` : ''
    const sentence = `quarantined: ${kept} kept in ${file ?? 'no file'}${more}`
    lines.push(...wrapped(sentence, width - 1).map((part): Line => [[part, 'yellow']]))
  }
  const more = Math.max(0, failed.length - STAGES_SHOWN_MAX)
  return [[], [...titles(STAGE_COLUMNS), ['  the last fault', 'dim'], more > 0 ? `  (${more} more)` : ''], ...lines]
}
