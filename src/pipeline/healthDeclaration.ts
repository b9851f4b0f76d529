/**
 * What a pipeline says of its health: checks of its own, other limits for those that every run has, and what is to be done while
 * it is not well.
 */
import { LONGEST_WAIT_MS } from '../clock/clock'
import { problemsOfHealth, type HealthCheck } from '../metrics/health'
import { noSuch } from '../model/nearest'
import type { ValveSetting } from './valve'
import { BUILT_IN_CHECKS, LIMITS, type BuiltInCheck, type CheckLimits } from './vitals'

export interface HealthDeclaration {
  /** How often every check is asked. Default 1,000. */
  readonly everyMs?: number
  /** Of the pipeline's own. Their names are not those that are built in. */
  readonly checks?: readonly HealthCheck[]
  /** Other limits for checks that are built in; false leaves one out. */
  readonly builtIn?: Partial<Record<BuiltInCheck, CheckLimits | false>>
  /** What is done while the run is not well, each undone when it is well again. Nothing is done on a replay: it waits instead. */
  readonly reactions?: readonly Reaction[]
}

/** One of the four, and when. */
export type Reaction = ReactionTerms & (ShedLoad | PauseBranch | LowerDepth | StopRun)

export interface ReactionTerms {
  /** From this level on. */
  readonly when: 'degraded' | 'unhealthy'
  /** The check whose level counts. Default that of the whole. */
  readonly of?: string
  /** How long it must be so before. Milliseconds, default 0. */
  readonly afterMs?: number
  /** How long it must be better before this is undone. Milliseconds, default 30,000. */
  readonly undoAfterMs?: number
}

/** The edge into a source, stage or sink lets one of every so many values in; a batch is one value. */
export interface ShedLoad {
  readonly shed: string
  readonly keepEvery: number
}

/** The branch that begins with this source, stage or sink is fed nothing. */
export interface PauseBranch {
  readonly pause: string
}

/** The views of books that this stage gives have so many levels a side, whatever it keeps. */
export interface LowerDepth {
  readonly depth: string
  readonly levels: number
}

/** The run is ended in order. This is not undone. */
export interface StopRun {
  readonly stop: true
}

/** What is done, as it stands in a sentence about it and in the status. */
export function wordsOfReaction(reaction: Reaction): string {
  if ('shed' in reaction) return `of what comes to ${reaction.shed} one in ${reaction.keepEvery} is kept`
  if ('pause' in reaction) return `${reaction.pause} is fed nothing`
  if ('depth' in reaction) return `the books of ${reaction.depth} show ${reaction.levels} levels a side`
  return 'the run is stopped'
}

/** What the reactions that are in force make of the way into a node; undefined when nothing. */
export function restrictionOf(node: string, inForce: Iterable<Reaction>): ValveSetting | undefined {
  let keepEvery = 1
  for (const reaction of inForce) {
    if ('pause' in reaction && reaction.pause === node) return 'closed'
    if ('shed' in reaction && reaction.shed === node) keepEvery = Math.max(keepEvery, reaction.keepEvery)
  }
  return keepEvery === 1 ? undefined : { keepEvery }
}

/** To how many levels a side they cut the books of a node; undefined when not at all. */
export function depthOf(node: string, inForce: Iterable<Reaction>): number | undefined {
  let least: number | undefined
  for (const reaction of inForce) {
    if ('depth' in reaction && reaction.depth === node) least = Math.min(least ?? Infinity, reaction.levels)
  }
  return least
}

/** What can be named of a pipeline. */
export interface Nameable {
  readonly nodes: readonly string[]
  /** Those behind which books are kept: of what leads there nothing may be left out. */
  readonly leadsToBooks: (node: string) => boolean
}

/** What is wrong with a declaration, as sentences. Plain JavaScript may have given anything. */
export function problemsOfDeclaration(declaration: unknown, { nodes, leadsToBooks }: Nameable): string[] {
  if (typeof declaration !== 'object' || declaration === null) {
    return ['Health is declared as { everyMs, checks, builtIn, reactions }.']
  }
  const { everyMs = 1_000, checks = [], builtIn = {}, reactions = [] } = declaration as HealthDeclaration
  if (!Array.isArray(checks) || !checks.every(isCheck))
    return ['checks are a list of { name, check, deadlineMs, ... }.']
  if (!Array.isArray(reactions)) return ['reactions are a list of { when, shed | pause | depth | stop, ... }.']
  if (typeof builtIn !== 'object' || (builtIn as unknown) === null) return ['builtIn is limits by the name of a check.']
  const problems = problemsOfHealth({ everyMs, checks }).map(asSentence)
  const known: readonly string[] = BUILT_IN_CHECKS
  for (const [name, limits] of Object.entries(builtIn)) {
    if (!known.includes(name)) problems.push(noSuch('built-in check', name, known))
    else if (limits !== false) {
      const check = { ...LIMITS[name as BuiltInCheck], ...limits, name, check: () => 0, deadlineMs: 1 }
      problems.push(...problemsOfHealth({ everyMs: 1, checks: [check] }).map(asSentence))
    }
  }
  const own = (checks as readonly HealthCheck[]).map(({ name }) => name)
  for (const name of own) {
    if (known.includes(name)) problems.push(`The name ${JSON.stringify(name)} is that of a check that is built in.`)
  }
  const asked = [...known.filter((name) => builtIn[name as BuiltInCheck] !== false), ...own]
  for (const [index, reaction] of reactions.entries()) {
    problems.push(
      ...problemsOfReaction(reaction, asked, nodes, leadsToBooks).map((problem) => `reactions[${index}]: ${problem}`),
    )
  }
  return problems
}

function problemsOfReaction(
  given: unknown,
  asked: readonly string[],
  nodes: readonly string[],
  leadsToBooks: (node: string) => boolean,
): string[] {
  if (typeof given !== 'object' || given === null) return ['a reaction is { when, shed | pause | depth | stop, ... }.']
  const reaction = given as Record<string, unknown>
  const problems: string[] = []
  const { when, of, afterMs = 0, undoAfterMs = 0 } = reaction
  if (when !== 'degraded' && when !== 'unhealthy') problems.push('when is degraded or unhealthy.')
  if (of !== undefined && typeof of !== 'string') problems.push('of is the name of a check.')
  else if (of !== undefined && !asked.includes(of)) problems.push(noSuch('check', of, asked))
  for (const [option, ms] of Object.entries({ afterMs, undoAfterMs })) {
    if (!(typeof ms === 'number' && ms >= 0 && ms <= LONGEST_WAIT_MS))
      problems.push(`${option} is milliseconds, 0 or more.`)
  }
  const does = ['shed', 'pause', 'depth', 'stop'].filter((what) => reaction[what] !== undefined)
  if (does.length !== 1) return [...problems, 'a reaction does one thing: shed, pause, depth or stop.']
  const [what] = does
  if (what === 'stop') return reaction['stop'] === true ? problems : [...problems, 'stop is true or left out.']
  const node = reaction[what!]
  if (typeof node !== 'string') return [...problems, `${what!} is the name of a stream or sink.`]
  if (!nodes.includes(node)) return [...problems, noSuch('stream or sink', node, nodes)]
  const { keepEvery, levels } = reaction
  if (what === 'shed' && !(Number.isSafeInteger(keepEvery) && (keepEvery as number) >= 2)) {
    problems.push('keepEvery is a whole number of values of which one is kept, 2 or more.')
  }
  if (what === 'shed' && leadsToBooks(node)) {
    problems.push(
      `books are kept behind ${JSON.stringify(node)}, and one lost delta silences a book: shed further down, or pause.`,
    )
  }
  if (what === 'depth' && !(Number.isSafeInteger(levels) && (levels as number) >= 1)) {
    problems.push('levels is a whole number of levels a side, 1 or more.')
  }
  return problems
}

function isCheck(check: unknown): boolean {
  if (typeof check !== 'object' || check === null) return false
  const { name, check: ask } = check as Partial<HealthCheck>
  return typeof name === 'string' && typeof ask === 'function'
}

function asSentence(problem: string): string {
  return `${problem[0]!.toUpperCase()}${problem.slice(1)}.`
}
