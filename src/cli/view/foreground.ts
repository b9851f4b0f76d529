/**
 * Whether this process is the one that its terminal listens to. A run in the background (`millrace run … &`, or Ctrl-Z and
 * `bg`) must not draw over what its user does meanwhile, and would be stopped for touching the keyboard.
 */
import { readFileSync } from 'node:fs'

/** True where nobody can tell, as outside of Linux. */
export function isForeground(): boolean {
  let stat: string
  try {
    stat = readFileSync('/proc/self/stat', 'latin1')
  } catch {
    return true
  }
  return isForegroundOf(stat)
}

/** @param stat  what Linux says of a process: pid (name) state ppid group session tty terminal's-group … */
export function isForegroundOf(stat: string): boolean {
  const [, , group, , , terminalGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // No terminal of its own: it was given one to draw on.
  return Number(terminalGroup) <= 0 || group === terminalGroup
}
