/**
 * Marks a result whose buffers are handed over instead of copied. They are empty on this side afterwards.
 *
 * @param buffers  each once; those of typed arrays in `value`
 */
export function transferred<T>(value: T, buffers: Iterable<ArrayBufferLike>): Transferred<T> {
  return new Transferred(value, new Set([...buffers].filter((buffer) => buffer instanceof ArrayBuffer)))
}

/** What {@link transferred} returns. */
export class Transferred<T> {
  constructor(
    readonly value: T,
    readonly buffers: ReadonlySet<ArrayBuffer>,
  ) {}
}
