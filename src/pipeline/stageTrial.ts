/**
 * A message of a quarantine, given once more to the stage that failed on it: a fresh instance, alone, wired by the same
 * code as in a run, at the time of the stream at which it failed.
 *
 * What the instance cannot have is what came before: a failure that needed the state of a long run may not show again.
 */
import { NEVER } from 'rxjs'
import { Dispatcher } from '../actors/dispatcher'
import { VirtualClock } from '../clock/virtualClock'
import { exchangeById } from '../exchanges/exchanges'
import { Sessions } from '../feed/sessions'
import { EVENT_KINDS, type MarketEvent } from '../model/events'
import { Fault, messageOf } from '../model/fault'
import { encodeValue as jsonOf } from '../sinks/encode'
import { sinkCounters, type Sink } from '../sinks/sink'
import { pathOf, type PipelineDescription, type SinkNode, type StageNode } from './description'
import { liveHost, type Host } from './host'
import { recordOfFrame, type QuarantinedMessage } from './quarantinedMessage'
import { StageGraph } from './stageGraph'
import { decodeValue } from './valueCodec'

export interface TrialOptions {
  /** Decodes the frame anew, where the message has one of market data, in the place of the value that was kept. */
  readonly fromFrame?: boolean
  /** Milliseconds that a stage may take which works asynchronously. Default 5,000. */
  readonly withinMs?: number
}

export interface StageTrial {
  /** `untried` where it could not be: there is no such stage, or nothing to give it. */
  readonly outcome: 'passes' | 'fails' | 'untried'
  /** What it was given. */
  readonly given: 'value' | 'frame' | undefined
  /** How it failed, or why it was not tried; also what is to be said of a pass. */
  readonly message: string | undefined
  /** Values that the stage gave. */
  readonly values: number
  /** The first of them, as JSON. */
  readonly first: readonly string[]
}

/** Values of a stage that are kept to be shown. */
const SHOWN_MAX = 1_000

export async function tryStage(
  description: PipelineDescription,
  message: QuarantinedMessage,
  { fromFrame = false, withinMs = 5_000 }: TrialOptions = {},
  host: Host = liveHost,
): Promise<StageTrial> {
  const stage = stageAt(description, message.stage)
  if (typeof stage === 'string') return untried(stage)
  const input = inputOf(message, fromFrame)
  if (typeof input === 'string') return untried(input)
  if (isNothing(input.value)) {
    const note = 'The frame gives no event any more, so the stage is not called.'
    return { outcome: 'passes', given: input.given, message: note, values: 0, first: [] }
  }
  const faults: string[] = []
  const output = new Output()
  const clock = new VirtualClock(message.streamTimeUs)
  const dispatcher = new Dispatcher({
    clock,
    budgetMs: TURN_BUDGET_MS,
    nowMs: () => host.clock.nowUs() / 1_000,
    defer: host.defer,
    onBroken: (thrown) => faults.push(messageOf(thrown)),
  })
  const alone = aloneIn(description, stage)
  const graph = new StageGraph(alone, {
    dispatcher,
    host,
    streamClock: clock,
    outDir: '',
    digest: false,
    closeWithinMs: withinMs,
    onFault: (fault, node) => {
      if (node === stage.name) faults.push(fault.message)
    },
    onFailure: ({ fault }) => faults.push(fault.message),
    escalate: (fault) => faults.push(fault.message),
    refresh: () => undefined,
    pressure: { pause: () => undefined, resume: () => undefined },
    outerPressure: { pause: () => undefined, resume: () => undefined },
    observe: (node, value) => {
      if (node === stage.name) output.take(value)
    },
  })
  graph.source(alone.nodes[0]!.name).offer(undefined, input.value)
  await dispatcher.idle()
  await graph.finish(withinMs)
  const [report] = graph.stageReports()
  // A stage that does not end with its source is stopped when the time is over.
  const late = report?.state === 'stopped' && report.failures === 0
  const { values, first } = output
  if (faults.length > 0) return { outcome: 'fails', given: input.given, message: faults[0], values, first }
  const note = late ? `It did not end within ${withinMs / 1_000} s of being told to.` : undefined
  return { outcome: 'passes', given: input.given, message: note, values, first }
}

/** Work after which the event loop is given a turn. */
const TURN_BUDGET_MS = 8

function untried(message: string): StageTrial {
  return { outcome: 'untried', given: undefined, message, values: 0, first: [] }
}

/** The stage of a path; a sentence where there is none. */
function stageAt({ name, nodes }: PipelineDescription, path: string): StageNode | string {
  const stages = nodes.flatMap((node) => (node.kind === 'stage' && node.operator !== undefined ? [node] : []))
  const found = stages.find((stage) => pathOf(name, stage.groups, stage.name) === path)
  // A stage may have been put into a group, and a pipeline may have been renamed: names are unique within one.
  const known = found ?? stages.find((stage) => stage.name === path.slice(path.lastIndexOf('/') + 1))
  if (known !== undefined) return known
  const others = stages.map((stage) => stage.name).join(', ')
  return `The pipeline ${name} has no stage ${path}: there are ${others === '' ? 'none' : others}.`
}

/** The stage between a source and a sink. It fails for good: one message is one attempt. */
function aloneIn({ name }: PipelineDescription, stage: StageNode): PipelineDescription {
  const before = `before ${stage.name}`
  const after = `after ${stage.name}`
  const edge = { capacity: Number.MAX_SAFE_INTEGER, onFull: 'fail' } as const
  const sink: SinkNode = {
    kind: 'sink',
    name: after,
    groups: [],
    from: [stage.name],
    sink: nowhere(after),
    edge: { capacity: 1, onFull: 'keepLatest' },
  }
  return {
    name,
    groups: [],
    nodes: [
      { kind: 'source', name: before, groups: [], source: NEVER, edge },
      { ...stage, from: [before], edge: undefined, onFailure: 'stop', feedback: false },
      sink,
    ],
  }
}

/** Ends the stream. What flows has been looked at before. */
function nowhere(name: string): Sink<unknown> {
  const done = (): Promise<void> => Promise.resolve()
  return { name, counters: sinkCounters(), open: done, write: done, close: done }
}

interface Input {
  readonly given: 'value' | 'frame'
  readonly value: unknown
}

/** What the stage is given; a sentence where there is nothing. */
function inputOf(message: QuarantinedMessage, fromFrame: boolean): Input | string {
  let value: unknown
  let problem = message.unencodable
  if (problem === undefined) {
    try {
      value = decodeValue(JSON.stringify(message.value))
    } catch (thrown) {
      problem = messageOf(thrown)
    }
  }
  const kept = problem === undefined
  const ofMarket = kept ? isMarketBatch(value) : isEventKind(message.input.kind)
  if ((fromFrame || !kept) && ofMarket && message.frames.length > 0) {
    try {
      return { given: 'frame', value: eventsOf(message, kept ? (value as readonly MarketEvent[]) : undefined) }
    } catch (thrown) {
      if (!kept) return `Its frame cannot be decoded, and its value was not kept: ${messageOf(thrown)}`
    }
  }
  if (kept) return { given: 'value', value }
  return `Its value was not kept (${problem!}), and no frame of market data was.`
}

/**
 * The events of a message's frames, decoded anew. Of a frame only what the stage had been given is meant: other kinds and
 * instruments had been left out before it.
 */
function eventsOf({ frames, stage }: QuarantinedMessage, kept: readonly MarketEvent[] | undefined): MarketEvent[] {
  const faults: Fault[] = []
  const sessions = new Sessions({ protocolOf: exchangeById, guarded: false, onFault: (fault) => faults.push(fault) })
  const opened = new Set<number>()
  const events = frames.flatMap((frame) => {
    const record = recordOfFrame(frame)
    if (!opened.has(frame.connection)) {
      opened.add(frame.connection)
      const { exchange, connection, timeUs, ns } = frame
      sessions.apply({
        dir: 'open',
        exchange,
        connection,
        timeUs,
        ns,
        url: frame.dir === 'in' ? (frame.url ?? '') : '',
      })
    }
    return sessions.apply(record)
  })
  if (events.length === 0 && faults.length > 0) {
    throw new Fault('FRAME_UNREADABLE', faults[0]!.message, { stage }, { cause: faults[0] })
  }
  if (kept === undefined) return events
  const kinds = new Set(kept.map(({ kind }) => kind))
  // The list of instruments is not kept with a frame: their names are those of the value.
  const names = new Map(kept.map(({ symbol, instrument }) => [symbol, instrument]))
  return events.flatMap((event) => {
    if (!kinds.has(event.kind) || !names.has(event.symbol)) return []
    return [{ ...event, instrument: event.instrument ?? names.get(event.symbol) }]
  })
}

function isMarketBatch(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false
  return (value as readonly unknown[]).every((row) => isEventKind((row as { kind?: unknown } | null)?.kind))
}

function isEventKind(kind: unknown): boolean {
  return (EVENT_KINDS as readonly unknown[]).includes(kind)
}

function isNothing(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** What the stage gives: counted, and the first of it as text. */
class Output {
  values = 0
  readonly first: string[] = []

  take(value: unknown): void {
    const rows: readonly unknown[] = Array.isArray(value) ? (value as readonly unknown[]) : [value]
    this.values += rows.length
    for (const row of rows.slice(0, SHOWN_MAX - this.first.length)) this.first.push(textOf(row))
  }
}

function textOf(value: unknown): string {
  try {
    return jsonOf(value)
  } catch (thrown) {
    return JSON.stringify(`a value without a text: ${messageOf(thrown)}`)
  }
}
