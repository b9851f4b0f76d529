/**
 * "Did you mean": the names nearest to a word that was not found, for messages to people.
 */

/** Longer words are compared by their beginning: the cost of a comparison is the product of the lengths. */
const CHARS_COMPARED = 64

/**
 * The candidates nearest to `word`, nearest first; empty when none is near enough to be meant.
 *
 * Near enough is an edit distance of at most a third of the longer word (and at least two), or one containing the other.
 */
export function nearest(word: string, candidates: Iterable<string>, atMost = 3): string[] {
  const wanted = fold(word)
  const found: { candidate: string; distance: number }[] = []
  for (const candidate of candidates) {
    const name = fold(candidate)
    const contained = wanted.length >= 2 && name.length >= 2 && (name.includes(wanted) || wanted.includes(name))
    const distance = editDistance(wanted, name)
    const near = Math.max(2, Math.floor(Math.max(wanted.length, name.length) / 3))
    if (contained || distance <= Math.min(near, Math.max(wanted.length, name.length) - 1)) {
      found.push({ candidate, distance: contained ? Math.min(distance, 1.5) : distance })
    }
  }
  return found
    .sort((a, b) => a.distance - b.distance)
    .slice(0, atMost)
    .map(({ candidate }) => candidate)
}

/** ` Did you mean A, B or C?` (with a leading space), or an empty text when nothing is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const names = nearest(word, candidates)
  if (names.length === 0) return ''
  const last = names.at(-1)!
  return ` Did you mean ${names.length === 1 ? last : `${names.slice(0, -1).join(', ')} or ${last}`}?`
}

/** The sentences about a word that should be one of those that are known, and is not. */
export function noSuch(what: string, word: string, known: Iterable<string>): string {
  const names = [...known]
  return `There is no ${what} ${JSON.stringify(word.slice(0, CHARS_COMPARED))}.${didYouMean(word, names)} Known are ${names.join(', ')}.`
}

/** The number of letters to insert, remove, replace, or swap with their neighbour, to turn one word into the other. */
export function editDistance(from: string, to: string): number {
  const a = from.slice(0, CHARS_COMPARED)
  const b = to.slice(0, CHARS_COMPARED)
  let twoAbove: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cost = Math.min(cost, twoAbove[column - 2]! + 1)
      current.push(cost)
    }
    twoAbove = above
    above = current
  }
  return above[b.length]!
}

function fold(text: string): string {
  return text.slice(0, CHARS_COMPARED).toLowerCase()
}
