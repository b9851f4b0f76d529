/**
 * Edges looked at again and again: how often each was full.
 */
import type { DropReason } from '../../actors/ledger'
import { OUTSIDE } from '../graph'
import type { EdgeReport } from '../stageGraph'
import type { ObservedEdge } from './findings'

/** From so much of its capacity on an edge counts as full: what has just been taken out makes room for a moment. */
const FULL = 0.9

/** Reasons for which values are given up because an edge is full, where that is not what the edge is for. */
const OVERFLOWS: readonly DropReason[] = ['dropOldest', 'dropNewest', 'fail', 'overrun']

interface Looks {
  latest: EdgeReport
  looks: number
  full: number
}

export class EdgeLooks {
  private readonly byEnds = new Map<string, Looks>()

  look(edges: readonly EdgeReport[]): void {
    for (const edge of edges) {
      const key = `${edge.from} ${edge.to} ${edge.kind}`
      const known = this.byEnds.get(key)
      const isFull = edge.capacity > 0 && edge.inFlight >= edge.capacity * FULL ? 1 : 0
      if (known === undefined) this.byEnds.set(key, { latest: edge, looks: 1, full: isFull })
      else {
        known.latest = edge
        known.looks++
        known.full += isFull
      }
    }
  }

  /** @param pathOf  the path of a stage or sink by its name */
  observed(pathOf: (name: string) => string): ObservedEdge[] {
    return [...this.byEnds.values()].map(({ latest, looks, full }) => {
      const { from, to, capacity, onFull, dropped, highWater = 0 } = latest
      const overflowed = OVERFLOWS.reduce((sum, reason) => sum + (dropped[reason] ?? 0), 0)
      const source = from === OUTSIDE ? 'the outside' : pathOf(from)
      return { from: source, to: pathOf(to), capacity, onFull, looks, full, in: latest.in, overflowed, highWater }
    })
  }
}
