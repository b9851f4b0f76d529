/**
 * What every run that is served says of itself.
 *
 * /ping     that the process answers; costs next to nothing
 * /ready    200 when the stages are at work and every required feed is synced, 503 before that and from when it stops
 * /health   200 while it is healthy or degraded, 503 when it is unhealthy, with reasons in sentences
 * /metrics  everything that it counts, as Prometheus reads it
 */
import type { Clock } from '../clock/clock'
import { CONTENT_TYPES, formatFor, prometheusPieces, type PrometheusFormat } from '../metrics/exporters/prometheus'
import { messageOf } from '../model/fault'
import type { HttpRoute } from './route'
import type { ServedRun } from './servedRun'
import { SharedAnswer, type Made } from './sharedAnswer'

export interface OwnRoutesOptions {
  readonly run: ServedRun
  readonly clock: Clock
  readonly onFailed: (path: string, thrown: unknown) => void
}

export function ownRoutes({ run, clock, onFailed }: OwnRoutesOptions): HttpRoute[] {
  const readiness = readinessOf(run)
  const { pipeline } = run.status()
  // It is watched from the first look on, and who asks wants to be told what has been seen.
  run.ready.then(() => run.health()).catch(() => undefined)
  const shared = (path: string, everyMs: number, make: () => Made): SharedAnswer =>
    new SharedAnswer({ clock, everyMs, make, onFailed: (thrown) => onFailed(path, thrown) })
  const ready = shared('/ready', STATE_EVERY_MS, () => readyAnswer(run, readiness))
  const health = shared('/health', STATE_EVERY_MS, () => healthAnswer(run, pipeline))
  const metrics: Readonly<Record<PrometheusFormat, SharedAnswer>> = {
    text: shared('/metrics', METRICS_EVERY_MS, () => metricsAnswer(run, 'text')),
    openMetrics: shared('/metrics', METRICS_EVERY_MS, () => metricsAnswer(run, 'openMetrics')),
  }
  return [
    {
      path: '/ping',
      get: (_, response) => {
        response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': PONG.length })
        response.end(PONG)
      },
    },
    { path: '/ready', get: (_, response) => ready.give(response) },
    { path: '/health', get: (_, response) => health.give(response) },
    { path: '/metrics', get: ({ headers }, response) => metrics[formatFor(headers.accept)].give(response) },
  ]
}

/** How old an answer may be: metrics are read every few seconds, by several readers. */
const METRICS_EVERY_MS = 250
const STATE_EVERY_MS = 100

const PONG = Buffer.from('pong\n')

/** What became of the wait for the feeds. */
interface RunReadiness {
  is: boolean
  /** Why it cannot become ready any more. */
  failed: string | undefined
}

function readinessOf(run: ServedRun): RunReadiness {
  const readiness: RunReadiness = { is: false, failed: undefined }
  run.ready.then(
    () => (readiness.is = true),
    (cause: unknown) => (readiness.failed = messageOf(cause)),
  )
  return readiness
}

function readyAnswer(run: ServedRun, { is, failed }: RunReadiness): Made {
  const { phase, pipeline, connections } = run.status()
  const isReady = is && phase === 'running'
  const reasons: string[] = []
  if (phase === 'stopping' || phase === 'ended')
    reasons.push(phase === 'ended' ? 'The run has ended.' : 'The run is stopping.')
  else if (failed !== undefined) reasons.push(failed)
  else if (!isReady) {
    reasons.push('Not every required feed is synced.')
    for (const { exchange, state } of connections) {
      if (state !== 'open' && state !== 'replay') reasons.push(`A connection with ${exchange} is ${state}.`)
    }
  }
  return json(isReady ? 200 : 503, {
    format: 'millrace-ready/1',
    pipeline,
    ready: isReady,
    reasons: reasons.slice(0, REASONS_MAX),
  })
}

/** Sentences that an answer holds at most. */
const REASONS_MAX = 100

function healthAnswer(run: ServedRun, pipeline: string): Made {
  const health = run.health()
  return json(health.level === 'unhealthy' ? 503 : 200, { format: 'millrace-health/1', pipeline, ...health })
}

function metricsAnswer(run: ServedRun, format: PrometheusFormat): Made {
  const families = run.metrics()
  const series = families.reduce((sum, { samples }) => sum + samples.length, 0)
  const pieces = prometheusPieces(families, format)
  return { status: 200, type: CONTENT_TYPES[format], pieces, isLong: series > SERIES_A_TURN }
}

/** Of more than these the text is not made in the turn in which they were read. */
const SERIES_A_TURN = 100

function json(status: number, value: object): Made {
  return { status, type: 'application/json; charset=utf-8', pieces: [`${JSON.stringify(value)}\n`], isLong: false }
}
