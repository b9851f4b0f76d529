/**
 * Frames that nobody should send, for every exchange alike.
 */
import { expect } from 'chai'
import * as fc from 'fast-check'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import { Fault } from '../../src/model/fault'
import { decodeFrame, writerFor } from './decoding'

const SEED = 20_260_824

/** Any JSON value at all is routed somewhere, and what is routed to a channel decodes or is a fault. */
export function survivesAnyJson(exchange: ExchangeProtocol): void {
  const writer = writerFor(exchange)
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => attempt(exchange, value, writer)),
    { seed: SEED, numRuns: 500 },
  )
}

/** Changes one place of a good frame after the other into something else: each gives events of finite numbers, or a fault. */
export function survivesMutations(exchange: ExchangeProtocol, frames: readonly unknown[]): void {
  const writer = writerFor(exchange)
  for (const frame of frames) {
    for (const path of pathsOf(frame)) {
      for (const junk of JUNK) attempt(exchange, replaced(frame, path, junk), writer)
      attempt(exchange, replaced(frame, path, undefined), writer)
    }
  }
}

const JUNK: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e300,
  0.5,
  '',
  'NaN',
  'Infinity',
  '-5',
  '1e999',
  '0x10',
  '__proto__',
  'constructor',
  '9'.repeat(400),
  [],
  [[]],
  [[null, null]],
  [['1', '-1']],
  {},
  JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as unknown,
]

function attempt(exchange: ExchangeProtocol, frame: unknown, writer: ReturnType<typeof writerFor>): void {
  let events
  try {
    events = decodeFrame(exchange, frame, writer).events
  } catch (thrown) {
    writer.take()
    expect(thrown, JSON.stringify(frame).slice(0, 300)).to.be.instanceOf(Fault)
    return
  }
  for (const event of events) {
    for (const value of Object.values(event)) {
      if (typeof value === 'number') expect(Number.isFinite(value), JSON.stringify(event)).to.equal(true)
    }
  }
  expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
}

type Path = readonly (string | number)[]

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

function replaced(value: unknown, path: Path, by: unknown): unknown {
  if (path.length === 0) return by ?? null
  const copy = structuredClone(value) as Record<string | number, unknown>
  let at = copy
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>
  const last = path.at(-1)!
  if (by !== undefined) at[last] = by
  else if (Array.isArray(at)) at.splice(Number(last), 1)
  else Reflect.deleteProperty(at, last)
  return copy
}
