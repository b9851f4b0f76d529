/** The public kit's: one of the two is enough. */
export { eventually } from '../../src/testing/eventually'
