/**
 * A command on a real terminal, as the kernel makes them: Python, which most machines have, holds its other end.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { skipped } from './shared'

const PROGRAM = `
import fcntl, json, os, pty, select, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm-256color'
    os.environ.pop('NO_COLOR', None)
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
reading, status, orders = True, None, b''
def tell(**what):
    sys.stdout.write(json.dumps(what) + '\\n')
    sys.stdout.flush()
while True:
    ready = select.select([0] + ([fd] if reading and fd >= 0 else []), [], [], 0.05)[0]
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b''
        if data: tell(text=data.decode('utf8', 'replace'))
        else: reading = False
    if status is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == 0: status = None
        else:
            flags = termios.tcgetattr(fd)[3] if fd >= 0 else termios.ICANON | termios.ECHO
            signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            tell(exit=None if signal else os.WEXITSTATUS(status), signal=signal, cooked=bool(flags & termios.ICANON and flags & termios.ECHO))
    if 0 in ready:
        piece = os.read(0, 65536)
        if not piece: break
        orders += piece
        *lines, orders = orders.split(b'\\n')
        for line in lines:
            order = json.loads(line)
            if 'send' in order: os.write(fd, order['send'].encode())
            if 'read' in order: reading = order['read'] and fd >= 0
            if 'hangUp' in order:
                os.close(fd)
                fd, reading = -1, False
if status is None: os.kill(pid, 9)
`

export interface Ended {
  readonly exit: number | null
  readonly signal: number | null
  /** Whether the terminal shows what is typed, and hands it on by lines, as a shell wants it. */
  readonly cooked: boolean
}

export interface PseudoTerminal {
  text(): string
  send(keys: string): void
  /** Takes what is written, or nothing, as after Ctrl-S. */
  read(reading: boolean): void
  /** The window is closed. */
  hangUp(): void
  /** How the command ended, once it has. */
  ended(): Ended | undefined
  /** Ends both. */
  stop(): void
}

/** Skips the running test (or hook) where no terminal can be had. */
export function needsTerminal(context: Mocha.Context): void {
  if (process.platform !== 'win32' && spawnSync('python3', ['-c', 'import pty, termios']).status === 0) return
  console.error('      skipped: python3 with its pty module is not on this machine')
  skipped.count++
  context.skip()
}

export function onTerminal(command: string, args: readonly string[], cwd: string): PseudoTerminal {
  const child: ChildProcess = spawn('python3', ['-c', PROGRAM, command, ...args], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  let ended: Ended | undefined
  let rest = ''
  child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const told = JSON.parse(line) as { readonly text: string } | Ended
      if ('text' in told) text += told.text
      else ended = told
    }
  })
  child.stdin!.on('error', () => undefined)
  const order = (what: object): void => void child.stdin!.write(`${JSON.stringify(what)}\n`)
  return {
    text: () => text,
    send: (keys) => order({ send: keys }),
    read: (reading) => order({ read: reading }),
    hangUp: () => order({ hangUp: true }),
    ended: () => ended,
    stop: () => void child.stdin!.end(),
  }
}
