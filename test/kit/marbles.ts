/** The public kit's: one of the two is enough. */
export { marbles, type MarbleHelpers } from '../../src/testing/marbles'
