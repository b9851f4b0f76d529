/** Lets the event loop do what waits: taken between two slices of work that could hold it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
