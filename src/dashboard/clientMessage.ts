import type { ClientMessage } from './liveFormat'

/** Bytes of one message: none that a page sends is near it. */
export const MESSAGE_BYTES_MAX = 2_048
/** Letters of the name of an exchange or instrument. */
const NAME_MAX = 256

/** What a page says, whatever comes in its place: undefined for anything that is not understood to the letter. */
export function parseClientMessage(text: string): ClientMessage | undefined {
  if (text.length > MESSAGE_BYTES_MAX) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const [only, ...others] = Object.keys(value)
  if (only === undefined || others.length > 0) return undefined
  const { seen, watch, paused } = value
  if (only === 'seen') return Number.isSafeInteger(seen) && (seen as number) >= 0 ? { seen: seen as number } : undefined
  if (only === 'paused') return typeof paused === 'boolean' ? { paused } : undefined
  if (only !== 'watch') return undefined
  if (watch === null) return { watch }
  if (!isObject(watch)) return undefined
  const { exchange, name } = watch
  return isName(exchange) && isName(name) ? { watch: { exchange, name } } : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> & ClientFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The fields that are looked for, of whatever type. */
interface ClientFields {
  readonly seen?: unknown
  readonly watch?: unknown
  readonly paused?: unknown
  readonly exchange?: unknown
  readonly name?: unknown
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_MAX
}
