/**
 * What a run offers to the stage that is being wired: the account books, the brake and the ear for faults.
 *
 * An operator that carries values elsewhere (to a thread, say) or lets them wait for their turn has an edge of its own. In
 * a pipeline it finds here where to show that edge's account, how to hold back the sources, and whom to tell of faults;
 * outside of one there is nothing, and its options say it. To be asked at subscription, which is synchronous, so no other
 * stage can come in between.
 */
import { ambient } from '../clock/ambient'
import type { Fault } from '../model/fault'
import type { Ledger } from './ledger'
import type { Pressure } from './pressure'

export interface Wiring {
  readonly pressure: Pressure
  readonly onFault: (fault: Fault) => void
  /** Shows the edge between this stage and the one before it. */
  readonly showEdge: (edge: CarriedEdge) => void
  /**
   * Asks the supervisor about a value that the stage threw on while its state is whole. True: go on with the next value.
   * False: the stage is being replaced or stopped, and what it does no longer counts.
   */
  readonly resumes?: (thrown: unknown, value: unknown) => boolean
}

/** An edge that an operator carries itself. */
export interface CarriedEdge {
  readonly kind: 'mailbox' | 'worker'
  readonly capacity: number
  readonly onFull: string
  /** Plain fields that the operator counts in; read whenever somebody looks. */
  readonly account: Readonly<Ledger>
  /** Values that wait, where those in flight are more: those that are worked on take none of the capacity. */
  readonly waiting?: () => number
}

/** An operator that says, before it runs, what edge it will carry: for the picture of a pipeline. */
export interface CarriesEdge {
  readonly carries: Omit<CarriedEdge, 'account' | 'waiting'>
}

const wirings = ambient<Wiring | undefined>(undefined)

/** What the run that is being wired offers; undefined outside of one. */
export const currentWiring = wirings.current

export const runWithWiring: <T>(wiring: Wiring, wire: () => T) => T = wirings.runWith

export function carriedEdgeOf(operator: unknown): CarriesEdge['carries'] | undefined {
  return (operator as Partial<CarriesEdge> | undefined)?.carries
}
