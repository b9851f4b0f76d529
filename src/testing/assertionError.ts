/**
 * The failure of an assertion, as every test runner knows it: by its name, with what was got and what was expected. No
 * assertion library is needed for it.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
  readonly actual: unknown
  readonly expected: unknown
  /** The message names the differences; a runner's own comparison of everything would bury them. */
  readonly showDiff = false

  /** @param message  a sentence for a person: what is not as it should be, and where */
  constructor(message: string, compared?: { readonly actual: unknown; readonly expected: unknown }) {
    super(message)
    this.actual = compared?.actual
    this.expected = compared?.expected
  }
}
