/**
 * What is said of a run when it has ended: edges, sinks, the stages that failed, what they failed on and how it is tried
 * again, and what was not repaired.
 */
import path from 'node:path'
import type { RunSummary } from '../pipeline/runSummary'
import { printable } from './printable'
import { table } from './table'

/** @param pipelineFile  as it was named, for the command that tries messages again */
export function runReport(summary: RunSummary, pipelineFile: string): string[] {
  return [
    '',
    edgesTable(summary),
    '',
    sinksTable(summary),
    ...stagesTable(summary),
    '',
    ...figures(summary),
    ...quarantineLines(summary, pipelineFile),
    ...summary.problems.map((problem) => `Not repaired: ${problem}`),
  ]
}

function edgesTable({ edges }: RunSummary): string {
  return table(
    ['edge', 'kind', 'on full', 'in', 'out', 'dropped', 'in flight'],
    // In line nothing can wait, but what a stage failed on, or did not take while it was restarted, was lost there.
    edges
      .filter(({ kind, dropped }) => kind !== 'inline' || sum(dropped) > 0)
      .map((edge) => [
        `${edge.from} → ${edge.to}`,
        edge.kind,
        edge.onFull,
        String(edge.in),
        String(edge.out),
        String(sum(edge.dropped)),
        String(edge.inFlight),
      ]),
  )
}

/** With a column of dead letters where there are any. */
function sinksTable({ sinks }: RunSummary): string {
  const hasLetters = sinks.some(({ deadLettered = 0 }) => deadLettered > 0)
  return table(
    ['sink', 'written', 'bytes', 'failed', ...(hasLetters ? ['dead letters'] : [])],
    sinks.map(({ name, written, bytes, failed, deadLettered = 0 }) => [
      name,
      ...[written, bytes, failed, ...(hasLetters ? [deadLettered] : [])].map(String),
    ]),
  )
}

/** Stages that failed; none when all is well. */
function stagesTable({ stages }: RunSummary): string[] {
  if (stages.length === 0) return []
  return [
    '',
    table(
      ['stage', 'state', 'failures', 'restarts', 'the last fault'],
      stages.map(({ path: where, state, failures, restarts, lastFault }) => [
        where,
        state,
        String(failures),
        String(restarts),
        printable(lastFault ?? ''),
      ]),
    ),
  ]
}

function figures(summary: RunSummary): string[] {
  const { books, held, latencyUs, process: cost } = summary
  const { receiveToSink } = latencyUs
  const { loopDelayMs } = cost
  return [
    `${summary.pipeline} ran ${summary.seconds.toFixed(1)} s (${summary.mode}): ${books.live} books live, ${books.gaps} gaps, ${books.resyncs} resyncs.`,
    ...(receiveToSink.max > 0
      ? [`Receive to sink: p50 ${ms(receiveToSink.p50)}, p99 ${ms(receiveToSink.p99)}, max ${ms(receiveToSink.max)}.`]
      : []),
    ...(held.times > 0
      ? [
          `The sources were held back ${held.times} ${held.times === 1 ? 'time' : 'times'}, ${held.seconds.toFixed(1)} s in all, by edges that may not drop.`,
        ]
      : []),
    `Event-loop delay: p50 ${loopDelayMs.p50.toFixed(2)} ms, p99 ${loopDelayMs.p99.toFixed(2)} ms, max ${loopDelayMs.max.toFixed(2)} ms. CPU ${cost.cpuPercent} %, memory ${(cost.rssBytes / 1e6).toFixed(0)} MB.`,
  ]
}

/** Where the messages are that stages failed on, and how they are tried again. */
function quarantineLines({ quarantine }: RunSummary, pipelineFile: string): string[] {
  if (quarantine === undefined) return []
  const { kept, unkept, file } = quarantine
  const more = unkept === 0 ? '' : ` ${unkept} more ${unkept === 1 ? 'was' : 'were'} not kept.`
  if (kept === 0 || file === undefined) return [`Quarantine: nothing could be kept.${more}`]
  return [
    `Quarantine: ${kept} ${kept === 1 ? 'message' : 'messages'} that stages failed on ${kept === 1 ? 'is' : 'are'} kept.${more} When the cause is mended, try them again:`,
    `  millrace quarantine ${word(shortest(file))} --pipeline ${word(pipelineFile)}`,
  ]
}

/** As a person would name it from here. */
function shortest(file: string): string {
  const relative = path.relative('', file)
  return relative.startsWith('..') ? file : relative
}

/** One word of a command line, as shells read it. */
function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function sum(counts: Readonly<Partial<Record<string, number>>>): number {
  return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0)
}

function ms(us: number): string {
  return `${(us / 1_000).toFixed(us < 10_000 ? 2 : 1)} ms`
}
