/**
 * Waits at a real socket, file or thread: asks again and again until `check` no longer throws, and fails with its last
 * error when that takes longer than `withinMs`. Inside the engine time is virtual and nothing needs this.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 5_000, everyMs = 5 }: { withinMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
