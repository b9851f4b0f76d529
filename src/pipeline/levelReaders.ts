/**
 * Whether anybody in a pipeline reads the levels of book changes as they are. Where nobody does they are not made: deltas come
 * packed (`model/codec/packedDelta.ts`), and whoever keeps books takes the numbers.
 *
 * Operators say so themselves, by `levels`: `unread` by one that never looks at them, `passed` by one that hands changes on as
 * they are. An operator that says nothing is taken for a reader, and so is a sink.
 */
import type { NodeDescription } from './description'
import { MarketSource } from './sources'

/** True when somebody may read them, of any source of the market. */
export function readsLevels(nodes: readonly NodeDescription[]): boolean {
  return nodes.some(
    (node) =>
      node.kind === 'source' &&
      node.source instanceof MarketSource &&
      node.source.wish.channels.includes('book') &&
      isRead(node.name, nodes, new Set()),
  )
}

function isRead(name: string, nodes: readonly NodeDescription[], seen: Set<string>): boolean {
  if (seen.has(name)) return false
  seen.add(name)
  return nodes.some((node) => {
    if (node.kind === 'source' || !node.from.includes(name)) return false
    const use = node.kind === 'sink' ? 'read' : useOf(node.operator)
    return use === 'read' || (use === 'passed' && isRead(node.name, nodes, seen))
  })
}

/** A merge, and what comes back in a loop, have no operator: they pass everything. */
function useOf(operator: unknown): 'read' | 'passed' | 'unread' {
  if (operator === undefined) return 'passed'
  return (operator as { levels?: 'passed' | 'unread' }).levels ?? 'read'
}
