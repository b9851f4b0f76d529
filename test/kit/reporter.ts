/**
 * Mocha's spec reporter with a plain closing line, and what was skipped by name: `818 passed, 0 failed, 2 skipped`.
 */
import Mocha from 'mocha'
import { skipped } from './shared'

const { EVENT_RUN_END, EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } = Mocha.Runner.constants

class SummaryReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const counts = { passed: 0, failed: 0 }
    const pending: string[] = []
    runner.on(EVENT_TEST_PASS, () => counts.passed++)
    runner.on(EVENT_TEST_FAIL, () => counts.failed++)
    runner.on(EVENT_TEST_PENDING, (test) => pending.push(test.fullTitle()))
    runner.on(EVENT_RUN_END, () => {
      if (pending.length > 0) console.log(`\nSkipped:\n${pending.map((title) => `  ${title}`).join('\n')}`)
      if (skipped.count > 0) console.log(`${skipped.count} of them need ../shared, which is not here.`)
      console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${pending.length} skipped`)
    })
  }
}

module.exports = SummaryReporter
