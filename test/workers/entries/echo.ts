import { exposeEntry } from '../../../src/workers/entry'

/** Sends back what it got, and how many bytes came with each typed array. */
exposeEntry((values: readonly unknown[]) => [
  ...values,
  values.filter((value) => ArrayBuffer.isView(value)).map(({ buffer }) => buffer.byteLength),
])
