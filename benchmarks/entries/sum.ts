/** Adds up the columns of a batch, for `hop`: one number for each. */
import { exposeEntry } from '../../src/workers/entry'

exposeEntry((columns: readonly Float64Array[]) =>
  columns.map((column) => {
    let sum = 0
    for (let index = 0; index < column.length; index++) sum += column[index]!
    return sum
  }),
)
