/**
 * `millrace doctor PIPELINE`: runs a pipeline under observation and says in sentences what is wrong with it.
 */
import path from 'node:path'
import { diagnose } from '../../pipeline/diagnose'
import type { Diagnosis } from '../../pipeline/diagnosis/examine'
import type { PipelineFinding } from '../../pipeline/diagnosis/findings'
import type { RunOptions } from '../../pipeline/pipeline'
import type { RunStatus } from '../../pipeline/runSummary'
import { EXIT, print, say } from '../command'
import { faultLog } from '../faultLog'
import { loadPipeline } from '../loadPipeline'
import { onInterrupt } from '../onInterrupt'
import { table } from '../table'

export interface DoctorPipelineOptions {
  readonly file: string
  readonly run: Omit<RunOptions, 'seconds'>
  readonly seconds: number | undefined
  readonly json: boolean
}

/** @returns the exit status: 1 when something was found */
export async function doctorPipeline({ file, run, seconds, json }: DoctorPipelineOptions): Promise<number> {
  const pipeline = loadPipeline(file)
  const log = faultLog(true)
  const stop = new AbortController()
  const release = onInterrupt(() => stop.abort())
  const progress = progressOf(process.stderr)
  let diagnosis: Diagnosis
  try {
    diagnosis = await diagnose(pipeline, {
      ...run,
      ...(seconds === undefined ? {} : { seconds }),
      onFault: log.add,
      onProgress: progress.update,
      signal: stop.signal,
      endHung: true,
    })
  } finally {
    release()
    progress.end()
  }
  const named = { ...diagnosis, findings: diagnosis.findings.map(withShortPaths) }
  for (const line of linesOf(named)) say(line)
  if (json) print(JSON.stringify(named))
  return diagnosis.ok ? EXIT.done : EXIT.faults
}

/** Files as they are named from the working directory. */
function withShortPaths(finding: PipelineFinding): PipelineFinding {
  const { file, found } = finding
  if (file === undefined) return finding
  const short = shortened(file)
  return { ...finding, file: short, found: found.replaceAll(file, short) }
}

function shortened(file: string): string {
  const relative = path.relative(process.cwd(), file)
  return relative === '' || relative.startsWith('..') ? file : relative
}

function linesOf({
  findings,
  loop,
  edges,
  allocations,
  allocatedBytes,
  notes,
  seconds,
  pipeline,
  mode,
}: Diagnosis): string[] {
  const lines = ['', `${pipeline}, ${mode}, observed for ${seconds.toFixed(0)} s: ${verdict(findings.length)}`, '']
  findings.forEach(({ found, advice, text }, index) => {
    lines.push(`${index + 1}. ${found}`)
    if (text !== undefined && text !== '') lines.push(`       ${text}`)
    lines.push(`   What to do: ${advice}`, '')
  })
  const { code, gc, machine } = loop.stalls
  lines.push(
    `The event loop was busy for ${Math.round(loop.utilization * 100)} % of the time. It stood still ${times(code.times)} for code${longest(code.longestMs)}, ${times(gc.times)} for collections of garbage${longest(gc.longestMs)}, ${times(machine.times)} because the machine was busy with other things${longest(machine.longestMs)}.`,
  )
  lines.push('', ...edgesTable(edges))
  if (allocations.length > 0) {
    lines.push('', `Allocated: ${megabytes(allocatedBytes)} in all; most of what the pipeline's own functions did:`, '')
    lines.push(
      table(
        ['function at', '', 'MB'],
        allocations.map(({ file, line, text, bytes }) => [
          `${shortened(file)}:${line}`,
          text.slice(0, 60),
          (bytes / 1e6).toFixed(1),
        ]),
      ),
    )
  }
  for (const note of notes) lines.push('', note)
  return lines
}

function edgesTable(edges: Diagnosis['edges']): string[] {
  const waiting = edges.filter(({ capacity }) => capacity > 0)
  if (waiting.length === 0) return []
  return [
    table(
      ['edge', 'room', 'on full', 'most that waited', 'full'],
      waiting.map(({ from, to, capacity, onFull, highWater, fullShare }) => [
        `${from} → ${to}`,
        String(capacity),
        onFull,
        String(highWater),
        `${Math.round(fullShare * 100)} %`,
      ]),
    ),
  ]
}

function verdict(findings: number): string {
  if (findings === 0) return 'nothing is wrong with it.'
  return findings === 1 ? 'one thing is wrong with it.' : `${findings} things are wrong with it.`
}

function times(count: number): string {
  return count === 0 ? 'never' : count === 1 ? 'once' : `${count} times`
}

function longest(ms: number): string {
  return ms === 0 ? '' : ` (${ms} ms at the longest)`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

interface Progress {
  readonly update: (share: number, status: RunStatus) => void
  end(): void
}

/** On a terminal one line that is rewritten; elsewhere a line now and then, so that nobody thinks it hangs. */
function progressOf(stream: NodeJS.WriteStream): Progress {
  let said = -1
  let drawn = false
  return {
    update(share, { events, edges }) {
      const waiting = edges.reduce((sum, { inFlight }) => sum + inFlight, 0)
      const text = `Observing: ${Math.round(share * 100)} %, ${events.toLocaleString('en')} events, ${waiting} values wait`
      if (stream.isTTY) {
        stream.write(`\x1b[2K\r${text}`)
        drawn = true
        return
      }
      const quarter = Math.floor(share * 4)
      if (quarter === said) return
      said = quarter
      say(text)
    },
    end() {
      if (drawn) stream.write('\x1b[2K\r')
    },
  }
}
