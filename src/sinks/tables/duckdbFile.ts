/**
 * A DuckDB file that is open in this process, shared by the sinks that write to it.
 *
 * DuckDB opens a file once per process: the sinks have a connection each, take turns at writing, and the last that leaves
 * closes the file.
 */
import type * as DuckDbApi from '@duckdb/node-api'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { Fault } from '../../model/fault'

/** The library, once it is loaded. */
export type DuckDb = typeof DuckDbApi

export interface DuckDbUser {
  readonly name: string
  /** The database has failed as a whole, or its file has gone: the user leaves it, at once or after what it is doing. */
  release(): void
}

export class DuckDbFile {
  private static readonly files = new Map<string, Promise<DuckDbFile>>()
  private readonly users = new Map<DuckDbUser, string | undefined>()
  private last: Promise<unknown> = Promise.resolve()
  private opening: Promise<DuckDbFile> | undefined

  private constructor(
    private readonly location: string,
    private readonly instance: DuckDBInstance,
    private readonly identity: string,
  ) {}

  /** Opens the file, creating it and its folder, or joins those who have it open. */
  static async join(api: DuckDb, location: string, user: DuckDbUser): Promise<DuckDbFile> {
    for (;;) {
      let opening = DuckDbFile.files.get(location)
      if (opening === undefined) {
        opening = DuckDbFile.open(api, location)
        DuckDbFile.files.set(location, opening)
      }
      try {
        const file = await opening
        // While it was awaited the last user may have left it.
        if (DuckDbFile.files.get(location) !== opening) continue
        file.opening = opening
        file.users.set(user, undefined)
        await file.sizeAtPath(user)
        return file
      } catch (cause) {
        const file = await opening.catch(() => undefined)
        if (file !== undefined) file.releaseAll()
        else if (DuckDbFile.files.get(location) === opening) DuckDbFile.files.delete(location)
        throw cause
      }
    }
  }

  private static async open(api: DuckDb, location: string): Promise<DuckDbFile> {
    await mkdir(path.dirname(location), { recursive: true })
    // From the library's own cache: a notebook in this process may have the file open too.
    const instance = await api.DuckDBInstance.fromCache(location)
    return new DuckDbFile(location, instance, await identityOf(location))
  }

  connect(): Promise<DuckDBConnection> {
    return this.instance.connect()
  }

  /** Who writes what: progress is kept by that name, so no two may have one. */
  claim(user: DuckDbUser, name: string | undefined, refusal: () => Fault): void {
    for (const [other, claimed] of this.users) {
      if (other !== user && name !== undefined && claimed === name) throw refusal()
    }
    this.users.set(user, name)
  }

  /** One writer at a time, in the order in which they ask. */
  alone<R>(work: () => Promise<R>): Promise<R> {
    const result = this.last.then(work)
    this.last = result.catch(() => undefined)
    return result
  }

  /** @throws `SINK_REJECTED` when another file, or none, has the name of this one */
  async sizeAtPath({ name }: DuckDbUser): Promise<number> {
    const found = await stat(this.location)
    if (`${found.dev}:${found.ino}` !== this.identity) {
      throw new Fault(
        'SINK_REJECTED',
        `The sink ${name} cannot write ${this.location}: the file was moved or replaced while it was being written. It is begun again there.`,
        { sink: name, path: this.location },
      )
    }
    return found.size
  }

  /** No other sink has the file open. */
  isOnlyUser(user: DuckDbUser): boolean {
    return this.users.has(user) && this.users.size === 1
  }

  leave(user: DuckDbUser): void {
    if (!this.users.delete(user) || this.users.size > 0) return
    if (DuckDbFile.files.get(this.location) === this.opening) DuckDbFile.files.delete(this.location)
    this.instance.closeSync()
  }

  /** What has failed here has failed for everyone. */
  releaseAll(): void {
    for (const user of [...this.users.keys()]) user.release()
  }
}

async function identityOf(location: string): Promise<string> {
  const { dev, ino } = await stat(location)
  return `${dev}:${ino}`
}
