/**
 * SIGINT and SIGTERM: the first stops in order, the second at once. Returns a function that stops listening.
 */
import { say } from './command'

export function onInterrupt(stop: () => void): () => void {
  let asked = false
  const listen = (signal: NodeJS.Signals): void => {
    if (asked) {
      say('Stopped at once; what was under way is lost.')
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
    asked = true
    say('Stopping: draining and flushing. Once more to stop at once.')
    stop()
  }
  process.on('SIGINT', listen)
  process.on('SIGTERM', listen)
  return () => {
    process.off('SIGINT', listen)
    process.off('SIGTERM', listen)
  }
}
