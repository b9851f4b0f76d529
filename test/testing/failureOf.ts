import { expect } from 'chai'
import { AssertionError } from '../../src/testing/assertionError'

/** The message of the failure of an assertion of the kit; the assertion must fail, and in its own way. */
export function failureOf(assertion: () => unknown): string {
  try {
    assertion()
  } catch (thrown) {
    return messageOfFailure(thrown)
  }
  throw new Error('The assertion held, and should not have.')
}

/** The same of one that takes its time. */
export async function rejectionOf(assertion: () => Promise<unknown>): Promise<string> {
  try {
    await assertion()
  } catch (thrown) {
    return messageOfFailure(thrown)
  }
  throw new Error('The assertion held, and should not have.')
}

function messageOfFailure(thrown: unknown): string {
  expect(thrown).to.be.instanceOf(AssertionError)
  expect(thrown).to.have.property('name', 'AssertionError')
  return (thrown as Error).message
}
