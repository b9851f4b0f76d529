/**
 * The end of a process whose terminal is gone.
 *
 * Quirk  Node gives the terminal its mode back when it ends, and aborts when there is none any more. Of a descriptor that
 *        was closed by then it asks nothing.
 */
import { closeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** Of the terminal, as long as there was one. */
const descriptors = [0, 1, 2].filter((descriptor) => isatty(descriptor))
let isLost = false

/** True where one of the three usual descriptors is a terminal, or was when the process began. */
export function hadTerminal(): boolean {
  return descriptors.length > 0
}

/** The terminal is gone: at its end the process lets go of it. May be called again. */
export function terminalLost(): void {
  if (isLost) return
  isLost = true
  process.once('exit', () => {
    for (const descriptor of descriptors) {
      try {
        closeSync(descriptor)
      } catch {
        // Closed already.
      }
    }
  })
}
