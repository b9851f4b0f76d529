/**
 * SIGINT and SIGTERM: the first stops in order, the second at once. SIGHUP, the terminal is gone: stops in order too, and
 * never at once; who has no terminal (`nohup`, a service) goes on. Returns a function that stops listening.
 */
import { liveClock } from '../clock/liveClock'
import { say } from './command'
import { hadTerminal, terminalLost } from './view/lostTerminal'

/** What a kill may take before the process ends over it. */
const KILL_WITHIN_MS = 500

/**
 * @param stop  ends in order
 * @param tell  says what is happening, where a picture is being drawn
 * @param kill  gives up what is under way, so that files and threads are let go of before the process ends
 */
export function onInterrupt(
  stop: () => void,
  tell: (sentence: string) => void = say,
  kill?: () => Promise<unknown>,
): () => void {
  let asked = 0
  const listen = (signal: NodeJS.Signals): void => {
    asked++
    if (asked === 1) {
      tell('Stopping: draining and flushing. Once more to stop at once.')
      stop()
      return
    }
    const end = (): never => process.exit(signal === 'SIGINT' ? 130 : 143)
    if (asked === 2) process.once('exit', () => say('Stopped at once; what was under way is lost.')) // after a view has left the screen
    if (asked > 2 || kill === undefined) end()
    else {
      liveClock.after(KILL_WITHIN_MS, end)
      void kill().then(end, end)
    }
  }
  const hangUp = (): void => {
    if (!hadTerminal()) return
    terminalLost()
    if (asked > 0) return
    asked++
    stop()
  }
  process.on('SIGINT', listen)
  process.on('SIGTERM', listen)
  process.on('SIGHUP', hangUp)
  return () => {
    // Once it was told to end at once, no end in order may come before.
    if (asked > 1) return
    process.off('SIGINT', listen)
    process.off('SIGTERM', listen)
    process.off('SIGHUP', hangUp)
  }
}
