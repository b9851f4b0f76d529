import { Fault, messageOf } from '../../model/fault'

/**
 * Encodes a whole batch before anything of it is written, so that a value that has no text spoils nothing.
 *
 * @throws `VALUE_INVALID` with the `index` of the value that cannot be encoded
 */
export function encodeBatch<T>(sink: string, batch: readonly T[], encode: (value: T) => string): string[] {
  return batch.map((value, index) => {
    try {
      return encode(value)
    } catch (cause) {
      if (cause instanceof Fault && cause.code !== 'VALUE_INVALID') throw cause
      throw new Fault(
        'VALUE_INVALID',
        `The sink ${sink} cannot write a value: ${messageOf(cause)}. The value is left out.`,
        { sink, index },
        { cause },
      )
    }
  })
}
