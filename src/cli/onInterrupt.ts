/**
 * SIGINT and SIGTERM: the first stops in order, the second at once. Returns a function that stops listening.
 */
import { say } from './command'

export function onInterrupt(stop: () => void, tell: (sentence: string) => void = say): () => void {
  let asked = false
  const listen = (signal: NodeJS.Signals): void => {
    if (asked) {
      process.once('exit', () => say('Stopped at once; what was under way is lost.')) // after a view has left the screen
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
    asked = true
    tell('Stopping: draining and flushing. Once more to stop at once.')
    stop()
  }
  process.on('SIGINT', listen)
  process.on('SIGTERM', listen)
  return () => {
    process.off('SIGINT', listen)
    process.off('SIGTERM', listen)
  }
}
