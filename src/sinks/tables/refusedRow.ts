/**
 * The first row that a destination refuses, where it does not say which, or cannot be relied on: found by halving.
 *
 * @param takes  whether the first `count` rows, and nothing after them, would be taken; nothing of them is kept
 * @param guess  where the destination said it was
 * @returns  undefined when all are taken after all
 *
 * Cost  two attempts when the guess is right, else about log2 of `count`
 */
export async function firstRefused(
  count: number,
  takes: (count: number) => Promise<boolean>,
  guess?: number,
): Promise<number | undefined> {
  let taken = 0
  let refused = count
  if (guess !== undefined && guess >= 0 && guess < count) {
    if (!(await takes(guess + 1))) {
      refused = guess + 1
      if (guess === 0 || (await takes(guess))) return guess
      refused = guess
    } else {
      taken = guess + 1
    }
  }
  if (refused === count && (await takes(count))) return undefined
  while (refused - taken > 1) {
    const middle = (taken + refused) >> 1
    if (await takes(middle)) taken = middle
    else refused = middle
  }
  return refused - 1
}
