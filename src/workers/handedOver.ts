/** What is sent to a worker. */
export interface WorkerMessage {
  readonly message: unknown
  /**
   * Buffers of `message` that are handed over instead of copied; they are empty on this side afterwards. Without it typed
   * arrays travel as copies of what they show.
   */
  readonly transfer?: Iterable<ArrayBufferLike>
}

/** Deeper values are cloned as they are. */
const DEPTH_MAX = 8

/**
 * The same message with its typed arrays as copies that are handed over: the clone of a view would carry the whole of the
 * buffer behind it, which for a frame from a socket can be thousands of times larger.
 */
export function handedOver(value: unknown): WorkerMessage {
  const transfer: ArrayBuffer[] = []
  return { message: copied(value, transfer, 0), transfer }
}

function copied(value: unknown, transfer: ArrayBuffer[], depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return value
  if (ArrayBuffer.isView(value)) {
    if (!(value.buffer instanceof ArrayBuffer)) return value
    const bytes = value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength)
    transfer.push(bytes)
    if (value instanceof Uint8Array && Buffer.isBuffer(value)) return new Uint8Array(bytes)
    return new (value.constructor as new (bytes: ArrayBuffer) => ArrayBufferView)(bytes)
  }
  if (Array.isArray(value)) return value.map((each) => copied(each, transfer, depth + 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, copied(each, transfer, depth + 1)]))
}
