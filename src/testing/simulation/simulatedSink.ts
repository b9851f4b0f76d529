import { createHash } from 'node:crypto'
import { Fault } from '../../model/fault'
import { sinkCounters, type Sink } from '../../sinks/sink'
import type { SinkWeather } from './weather'
import type { World } from './world'

export interface SimulatedSinkOptions<T> {
  readonly name: string
  readonly world: World
  readonly weather: SinkWeather
  /** A value as the destination keeps it, without the end of its line. */
  readonly encode: (value: T) => string
  /** Told of each line that was taken. */
  readonly onTaken?: (line: string) => void
}

/**
 * A destination somewhere in the world: takes its time, refuses now and then, hangs sometimes, and keeps the digest of what
 * it has taken.
 *
 * Delivery  exactly once: a batch is taken whole, when its write resolves, or refused whole
 * Order     as received
 * Errors    `SINK_REJECTED` as the weather says; `STAGE_FAILED` when it is written to twice at once, or before it is open
 */
export function simulatedSink<T>({ name, world, weather, encode, onTaken }: SimulatedSinkOptions<T>): Sink<T> {
  const counters = sinkCounters()
  const random = world.random(`sink ${name}`)
  let hash = createHash('sha256')
  let opened = false
  let busy = false

  const refused = (what: string): Fault =>
    new Fault('SINK_REJECTED', `The sink ${name} refused to ${what}.`, { sink: name })

  return {
    name,
    counters,
    async open({ resume }) {
      await world.sleep(random.exponential(weather.writeMs))
      if (random.chance(weather.refusalChance)) throw refused('open')
      if (resume !== true) {
        hash = createHash('sha256')
        counters.written = 0
        counters.bytes = 0
      }
      opened = true
    },
    async write(batch) {
      if (busy || !opened) {
        const message = `The sink ${name} was written to ${busy ? 'twice at once' : 'before it was open'}.`
        throw new Fault('STAGE_FAILED', message, { sink: name })
      }
      busy = true
      try {
        const waitMs = random.chance(weather.hangChance) ? weather.hangMs : random.exponential(weather.writeMs)
        if (waitMs > 0) await world.sleep(waitMs)
        if (random.chance(weather.refusalChance)) throw refused(`write ${batch.length} values`)
        const lines = batch.map((value) => encode(value))
        const text = `${lines.join('\n')}\n`
        hash.update(text)
        counters.written += batch.length
        counters.bytes += Buffer.byteLength(text)
        if (onTaken !== undefined) for (const line of lines) onTaken(line)
      } finally {
        busy = false
      }
    },
    async close() {
      if (!opened) return
      opened = false
      await world.sleep(random.exponential(weather.writeMs))
    },
    enableDigest: () => undefined,
    digest: () => `sha256:${hash.copy().digest('hex')}`,
  }
}
