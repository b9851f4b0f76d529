import type { OperatorFunction } from 'rxjs'
import type { VirtualClock } from '../../src/clock/virtualClock'
import { operatorSuite } from '../../src/testing/operatorSuite'

/**
 * What every operator owes, whatever it does: the cases of the public kit, as tests.
 *
 * @param operator  the operator under test
 * @param values    something to receive, which makes it hold what it holds
 */
export function keepsTheLaws<T>(
  operator: (clock: VirtualClock) => OperatorFunction<T, unknown>,
  values: readonly T[],
): void {
  for (const { title, run } of operatorSuite(operator, { values })) it(title, run)
}
