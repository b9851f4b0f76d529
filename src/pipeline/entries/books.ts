import { exposeSource } from '../../workers/exposeSource'
import { openBooks } from '../booksOnWorker'

/** The thread of {@link booksOnWorker}: sockets, decoding and books live here. */
exposeSource(openBooks)
