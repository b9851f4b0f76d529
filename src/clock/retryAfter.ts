/**
 * How long the other side asks us to stay away.
 *
 * Docs  RFC 9110, section 10.2.3: `Retry-After` is seconds, or a date
 */
import { Fault } from '../model/fault'

/** Nobody waits longer than this, whatever a header says; timers of Node end at 25 days. */
const WAIT_MS_MAX = 7 * 24 * 60 * 60_000

/** No date of HTTP is longer; a header that is says nothing. */
const HEADER_LENGTH_MAX = 64

/** What a header says, in milliseconds; undefined when it is absent or says nothing. */
export function retryAfterMs(header: string | undefined, nowUs: number): number | undefined {
  const text = header === undefined || header.length > HEADER_LENGTH_MAX ? '' : header.trim()
  if (/^\d{1,9}$/.test(text)) return Math.min(WAIT_MS_MAX, Number(text) * 1_000)
  const atMs = /[A-Za-z]/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(atMs) ? undefined : Math.min(WAIT_MS_MAX, Math.max(0, atMs - nowUs / 1_000))
}

/**
 * What an error says, in milliseconds: a fault by `waitMs` or `retryAfterMs` of its details; an answer of `fetch`, or an
 * error that carries one (as `response`) or its headers, by the header. Its causes are asked too. Undefined when it says
 * nothing. Never throws, whatever the error is.
 */
export function askedWaitMs(error: unknown, nowUs: number): number | undefined {
  try {
    let asked: unknown = error
    for (let depth = 0; depth < CAUSES_MAX && isObject(asked); depth++) {
      const waitMs =
        waitOf(asked, nowUs) ?? (isObject(asked['response']) ? waitOf(asked['response'], nowUs) : undefined)
      if (waitMs !== undefined) return waitMs
      asked = asked['cause']
    }
  } catch {
    // What cannot be read says nothing.
  }
  return undefined
}

/** Causes of causes end somewhere; those of a stranger may not. */
const CAUSES_MAX = 4

function waitOf(thrown: Readonly<Record<string, unknown>>, nowUs: number): number | undefined {
  if (thrown instanceof Fault) {
    const waitMs = thrown.details['waitMs'] ?? thrown.details['retryAfterMs']
    return typeof waitMs === 'number' && waitMs > 0 ? waitMs : undefined
  }
  const header = headerOf(thrown['headers'])
  return typeof header === 'string' || typeof header === 'number' ? retryAfterMs(String(header), nowUs) : undefined
}

/** Of a `Headers` or a `Map`, or of an object as Node and most clients have it. */
function headerOf(headers: unknown): unknown {
  if (!isObject(headers)) return undefined
  if (typeof headers['get'] === 'function') return (headers as unknown as Map<string, unknown>).get('retry-after')
  const header = headers['retry-after'] ?? headers['Retry-After']
  return Array.isArray(header) ? header[0] : header
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
