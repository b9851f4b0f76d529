import { sortedColumns } from '../bookColumns'
import { exposeEntry } from '../entry'

/** The worker of {@link sortBooks}: columns of books in, their packed depths out. */
exposeEntry(sortedColumns)
