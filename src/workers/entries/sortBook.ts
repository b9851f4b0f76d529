import { packDepths, unpackBooks } from '../bookColumns'
import { bookDepth } from '../bookDepth'
import { exposeEntry, transferred } from '../entry'

/** The worker of {@link sortBooks}: packed books in, their packed depths out, one buffer each way. */
exposeEntry((packedBooks: Float64Array) => {
  const packed = packDepths(unpackBooks(packedBooks).map(bookDepth))
  return transferred(packed, [packed.buffer])
})
