/**
 * The promise that nothing is lost silently, as an assertion: for every edge, in = out + dropped (by reason) + in flight.
 */
import type { DropReason, Ledger } from '../actors/ledger'
import { AssertionError } from './assertionError'

/** The account of an edge, with its ends where they are known. */
export interface EdgeAccount {
  readonly from?: string
  readonly to?: string
  readonly in: number
  readonly out: number
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>
  readonly inFlight: number
}

/** The summary or the status of a run, or whatever else has edges. */
export interface HasEdges {
  readonly edges: readonly EdgeAccount[]
  /** `millrace-run/1`: a summary, after the end. */
  readonly format?: string
}

/**
 * Fails when an account does not balance, naming the edge and how much is missing; after the end also when something is
 * still in flight.
 *
 * @param accounts  a summary of a run, which has ended; a status, a list of edges or one account, which may be under way
 * @param ended     whether nothing may be in flight; default true for a summary, else false
 */
export function expectBalanced(
  accounts: HasEdges | readonly EdgeAccount[] | Readonly<Ledger>,
  { ended = isSummary(accounts) }: { readonly ended?: boolean } = {},
): void {
  const edges = edgesOf(accounts)
  if (ended && edges.length === 0) throw new AssertionError('There is no edge whose account could balance.')
  const problems = edges.flatMap((edge) => problemsOf(edge, ended))
  if (problems.length === 0) return
  throw new AssertionError(`The accounts do not balance.\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
}

/** All that came out of an edge otherwise than on the other side. */
export function droppedFrom({ dropped }: Pick<EdgeAccount, 'dropped'>): number {
  return Object.values(dropped).reduce((sum, values) => sum + values, 0)
}

function edgesOf(accounts: HasEdges | readonly EdgeAccount[] | Readonly<Ledger>): readonly EdgeAccount[] {
  if (isList(accounts)) return accounts
  return 'edges' in accounts ? accounts.edges : [accounts]
}

function isList(accounts: HasEdges | readonly EdgeAccount[] | Readonly<Ledger>): accounts is readonly EdgeAccount[] {
  return Array.isArray(accounts)
}

function isSummary(accounts: HasEdges | readonly EdgeAccount[] | Readonly<Ledger>): boolean {
  return 'format' in accounts && accounts.format === 'millrace-run/1'
}

function problemsOf(edge: EdgeAccount, ended: boolean): string[] {
  const name = nameOf(edge)
  const counts = [
    ['in', edge.in],
    ['out', edge.out],
    ['in flight', edge.inFlight],
    ...Object.entries(edge.dropped),
  ] as const
  const wrong = counts.filter(([, values]) => !(Number.isSafeInteger(values) && values >= 0))
  if (wrong.length > 0) {
    return [`${name} counts wrongly: ${wrong.map(([what, values]) => `${what} is ${values}`).join(', ')}.`]
  }
  const problems: string[] = []
  const dropped = droppedFrom(edge)
  const accounted = edge.out + dropped + edge.inFlight
  if (accounted !== edge.in) {
    const off = Math.abs(edge.in - accounted)
    const verb = edge.in > accounted ? `${off === 1 ? 'is' : 'are'} missing` : `${off === 1 ? 'is' : 'are'} too many`
    problems.push(
      `${name}: ${edge.in} came in, but ${edge.out} came out, ${dropped} were dropped${reasonsOf(edge)} and ${edge.inFlight} are in flight: ${off} ${verb}.`,
    )
  }
  if (ended && edge.inFlight > 0) {
    problems.push(
      `${name}: ${edge.inFlight} ${edge.inFlight === 1 ? 'value is' : 'values are'} still in flight after the end.`,
    )
  }
  return problems
}

function nameOf({ from, to }: EdgeAccount): string {
  if (from === undefined && to === undefined) return 'The edge'
  return `The edge ${from ?? '?'} > ${to ?? '?'}`
}

function reasonsOf({ dropped }: EdgeAccount): string {
  const reasons = Object.entries(dropped).map(([reason, values]) => `${reason} ${values}`)
  return reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
}
