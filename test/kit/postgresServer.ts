/**
 * A real PostgreSQL for tests: Debian's, on a free loopback port, with its data in a temporary folder.
 *
 * PostgreSQL refuses to run as root; then it runs as the user `postgres`, whom Debian's package makes.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually'

const run = promisify(execFile)

/** Where Debian has its versions. */
export const POSTGRES_FOLDER = '/usr/lib/postgresql'

export const POSTGRES_PASSWORD = 'p@ss/w:rd%41"x'

export interface PostgresPlaces {
  /** For the write-ahead log alone: an empty folder, or none yet. Default: with the data. */
  readonly logFolder?: string
}

export class PostgresServer {
  private server: ChildProcess | undefined
  private said = ''

  private constructor(
    private readonly bin: string,
    private readonly folder: string,
    readonly port: number,
    private readonly user: { readonly uid: number; readonly gid: number } | undefined,
  ) {}

  /** A running server with an empty database, or the reason why there is none. */
  static async start({ logFolder }: PostgresPlaces = {}): Promise<PostgresServer | string> {
    const bin = await binaries()
    if (bin === undefined)
      return `PostgreSQL is not installed (apt-get install postgresql): ${POSTGRES_FOLDER} has no version`
    const user = process.getuid?.() === 0 ? await userOf('postgres') : undefined
    if (process.getuid?.() === 0 && user === undefined)
      return 'PostgreSQL does not run as root, and there is no user postgres'
    const folder = await mkdtemp(path.join(tmpdir(), 'millrace-postgres-'))
    if (user !== undefined) await chown(folder, user.uid, user.gid)
    const passwordFile = path.join(folder, 'password')
    await writeFile(passwordFile, POSTGRES_PASSWORD)
    const server = new PostgresServer(bin, folder, await freePort(), user)
    if (logFolder !== undefined) await server.owns(logFolder)
    await run(
      path.join(bin, 'initdb'),
      [
        ...['-D', server.data, '-U', 'millrace', '-E', 'UTF8', '--locale=C', '--no-sync'],
        ...['-A', 'scram-sha-256', `--pwfile=${passwordFile}`],
        // Of the least size, where its log has a disk of its own.
        ...(logFolder === undefined ? [] : ['-X', logFolder, '--wal-segsize=1']),
      ],
      { ...user, cwd: folder },
    )
    await server.resume()
    return server
  }

  /** Lets the server write in a folder, and in those made there: a place for its log, or for a tablespace. */
  async owns(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true })
    if (this.user !== undefined) await chown(folder, this.user.uid, this.user.gid)
  }

  /** True once it is gone, as after a crash from which it could not recover. */
  get hasEnded(): boolean {
    return this.server === undefined || this.server.exitCode !== null || this.server.signalCode !== null
  }

  /** What it has said of late, for whoever finds that it did not do as it should. */
  get lastWords(): string {
    return this.said
  }

  /** With the password in it. */
  get url(): string {
    return `postgres://millrace:${encodeURIComponent(POSTGRES_PASSWORD)}@127.0.0.1:${this.port}/postgres`
  }

  /** Starts it anew over the same data. */
  async resume(): Promise<void> {
    this.said = ''
    const server = spawn(
      path.join(this.bin, 'postgres'),
      [
        ...['-D', this.data, '-p', String(this.port), '-k', this.folder, '-c', 'listen_addresses=127.0.0.1'],
        ...[
          '-c',
          'fsync=off',
          '-c',
          'autovacuum=off',
          '-c',
          'shared_buffers=16MB',
          '-c',
          'max_connections=20',
          '-c',
          'logging_collector=off',
        ],
      ],
      { ...this.user, cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.server = server
    server.stderr.setEncoding('utf8').on('data', (text: string) => (this.said = (this.said + text).slice(-4_000)))
    await eventually(() => {
      if (server.exitCode !== null) throw new Error(`PostgreSQL ended: ${this.said}`)
      if (!this.said.includes('ready to accept connections')) throw new Error(`PostgreSQL is not ready: ${this.said}`)
    })
  }

  /** Ends it at once, as a crash of its machine would. Its data stays. */
  async crash(): Promise<void> {
    await this.end('SIGQUIT')
  }

  async stop(): Promise<void> {
    await this.end('SIGINT')
    await rm(this.folder, { recursive: true, force: true })
  }

  private get data(): string {
    return path.join(this.folder, 'data')
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { server } = this
    this.server = undefined
    if (server === undefined || server.exitCode !== null) return
    const ended = once(server, 'exit')
    server.kill(signal)
    await ended
  }
}

/** Of the newest version. */
async function binaries(): Promise<string | undefined> {
  const versions = await readdir(POSTGRES_FOLDER).catch(() => [])
  return versions
    .filter((version) => existsSync(path.join(POSTGRES_FOLDER, version, 'bin', 'initdb')))
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => path.join(POSTGRES_FOLDER, version, 'bin'))[0]
}

async function userOf(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const users = await readFile('/etc/passwd', 'utf8')
  const fields = users
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.split(':')
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
