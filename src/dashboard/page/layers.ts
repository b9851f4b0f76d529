/** Where the boxes of a picture go that is drawn from left to right: no link leads back, and few cross. */

export interface Place {
  readonly layer: number
  readonly row: number
}

const SWEEPS = 6

/** @param links  from and to, as numbers of nodes; those that would close a circle are passed over */
export function layersOf(nodes: number, links: readonly (readonly [from: number, to: number])[]): Place[] {
  const layer = layerOfEach(nodes, links)
  const layers = Array.from({ length: Math.max(0, ...layer) + 1 }, (): number[] => [])
  layer.forEach((at, node) => layers[at]!.push(node))
  const before = neighbours(nodes, links, 1)
  const after = neighbours(nodes, links, 0)
  const row = new Array<number>(nodes).fill(0)
  const settle = (): void => {
    for (const members of layers) members.forEach((node, at) => (row[node] = at))
  }
  settle()
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const [order, beside] = sweep % 2 === 0 ? [layers, before] : [layers.toReversed(), after]
    for (const members of order) {
      const middle = new Map(
        members.map((node) => [
          node,
          mean(
            beside[node]!.map((other) => row[other]!),
            row[node]!,
          ),
        ]),
      )
      members.sort((left, right) => middle.get(left)! - middle.get(right)!)
      members.forEach((node, at) => (row[node] = at))
    }
  }
  return layer.map((at, node) => ({ layer: at, row: row[node]! }))
}

/** Each node one layer behind the last of those that lead to it. */
function layerOfEach(nodes: number, links: readonly (readonly [from: number, to: number])[]): number[] {
  const layer = new Array<number>(nodes).fill(0)
  // After as many rounds as there are nodes whatever still moves is in a circle.
  for (let round = 0; round < nodes; round++) {
    let moved = false
    for (const [from, to] of links) {
      if (from === to || layer[to]! > layer[from]! || layer[from]! + 1 >= nodes) continue
      layer[to] = layer[from]! + 1
      moved = true
    }
    if (!moved) break
  }
  return layer
}

function neighbours(nodes: number, links: readonly (readonly [number, number])[], end: 0 | 1): number[][] {
  const all = Array.from({ length: nodes }, (): number[] => [])
  for (const link of links) all[link[end]]!.push(link[1 - end]!)
  return all
}

function mean(values: readonly number[], otherwise: number): number {
  return values.length === 0 ? otherwise : values.reduce((sum, value) => sum + value, 0) / values.length
}
