/** An entry that answers with a column of so many numbers, handed over. */
import { exposeEntry, transferred } from '../../../src/workers/entry'

exposeEntry((length: number) => {
  const column = new Float64Array(length).fill(1)
  return transferred(column, [column.buffer])
})
