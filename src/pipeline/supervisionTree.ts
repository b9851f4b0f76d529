/**
 * Who supervises whom, and how everyone fares: the run at the root, its groups within it, and at the leaves the
 * connections of feeds, sources, stages and sinks.
 *
 * A run and a group have the sums of what is in them, and the state of the one that fares worst, so that a look at the
 * root tells whether a look at the leaves is needed.
 */
import { redactUrl } from '../feed/recording/redactUrl'
import type { NodeDescription } from './description'
import { stateOf, type NodeState, type RunningParts } from './graph'
import type { ConnectionView } from './market'

export interface SupervisionTree {
  readonly name: string
  readonly kind: 'run' | 'group' | 'feed' | 'source' | 'stage' | 'sink'
  /** Of a feed the word of its connection: `open`, `connecting`, `waiting`. */
  readonly state: string
  /** Of a feed: attempts to connect after the first. */
  readonly restarts: number
  /** Of a sink: batches that it gave up. */
  readonly failures: number
  /** Messages that it failed on. */
  readonly quarantined: number
  /** As a sentence. */
  readonly lastFault?: string
  readonly children: readonly SupervisionTree[]
}

export interface SupervisedParts extends Omit<RunningParts, 'edges'> {
  readonly connections: readonly ConnectionView[]
}

export function supervisionTree(parts: SupervisedParts): SupervisionTree {
  const { pipeline, nodes, groups, connections } = parts
  const leaf = leavesOf(parts)
  const within = (group: string | undefined): SupervisionTree[] => [
    ...groups.flatMap(({ name, groups: around }) =>
      around.at(-1) === group ? [branch(name, 'group', within(name))] : [],
    ),
    ...nodes.flatMap((node) => (node.groups.at(-1) === group ? [leaf(node)] : [])),
  ]
  return branch(pipeline, 'run', [...connections.map(feedOf), ...within(undefined)])
}

/** How bad a state is. Of the words of connections one alone counts: a feed that waits is looked after by itself. */
const BADNESS: ReadonlyMap<string, number> = new Map<NodeState, number>([
  ['ended', 1],
  ['running', 2],
  ['stopped', 3],
  ['restarting', 4],
  ['failed', 5],
])

function branch(name: string, kind: 'run' | 'group', children: readonly SupervisionTree[]): SupervisionTree {
  const states = children.flatMap((child) => (child.kind === 'feed' && child.state !== 'failed' ? [] : [child.state]))
  const [worst = 'running'] = states.sort((a, b) => BADNESS.get(b)! - BADNESS.get(a)!)
  const sum = (count: 'restarts' | 'failures' | 'quarantined'): number =>
    children.reduce((total, child) => total + child[count], 0)
  return {
    name,
    kind,
    state: worst,
    restarts: sum('restarts'),
    failures: sum('failures'),
    quarantined: sum('quarantined'),
    children,
  }
}

function feedOf({ exchange, url, state, attempts }: ConnectionView): SupervisionTree {
  const shown = shownUrl(url)
  const name = exchange === '' ? shown : `${exchange} ${shown}`
  return { name, kind: 'feed', state, restarts: Math.max(0, attempts - 1), failures: 0, quarantined: 0, children: [] }
}

/** Addresses are long, few, and told again several times a second. */
function shownUrl(url: string): string {
  const known = SHOWN_URLS.get(url)
  if (known !== undefined) return known
  const shown = redactUrl(url)
  if (SHOWN_URLS.size >= SHOWN_URLS_MAX) SHOWN_URLS.clear()
  SHOWN_URLS.set(url, shown)
  return shown
}

const SHOWN_URLS = new Map<string, string>()
const SHOWN_URLS_MAX = 1_000

function leavesOf({
  stages,
  sinks,
  quarantined,
  ended = false,
}: SupervisedParts): (node: NodeDescription) => SupervisionTree {
  const stageOf = new Map(stages.map((stage) => [stage.name, stage]))
  const sinkOf = new Map(sinks.map((sink) => [sink.name, sink]))
  return ({ name, kind }) => {
    const stage = stageOf.get(name)
    return {
      name,
      kind,
      state: stage !== undefined ? stateOf(stage) : ended ? 'ended' : 'running',
      restarts: stage?.restarts ?? 0,
      failures: stage?.failures ?? sinkOf.get(name)?.failed ?? 0,
      quarantined: stage === undefined ? 0 : (quarantined?.get(stage.path) ?? 0),
      ...(stage?.lastFault === undefined ? {} : { lastFault: stage.lastFault }),
      children: [],
    }
  }
}
