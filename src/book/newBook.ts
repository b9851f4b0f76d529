import { createRequire } from 'node:module'
import type * as books from './level2Book'

let loaded: typeof books | undefined

/** An empty book. Books, and the kernel that they lie in, are loaded with the first: an import of operators does not wait for them. */
export function newBook(): books.Level2Book {
  loaded ??= createRequire(__filename)('./level2Book') as typeof books
  return new loaded.Level2Book()
}
