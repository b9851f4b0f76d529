/**
 * Where the output of a long work comes to be: written beside its place, under names that nobody takes for it, and moved
 * there when it is whole. So a work that is killed leaves no half file under the final name; what it had written lies in a
 * folder `.<name>.<random>.part` beside it and can be deleted.
 *
 * Checks  before anything is read: a name that no file system takes, a folder where a file should be, an output that is one
 *         of the inputs (by whatever path or link), an output that exists and is not to be replaced
 * Disk    what was written is on the disk before it is moved
 */
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { Fault } from '../../model/fault'
import { errnoOf, fileProblem } from '../../model/fileFault'

export interface OutputPlace {
  /** Where to write, until it is committed; its last part is that of the final name. */
  readonly path: string
  /** Moves what was written to its place. @throws `SINK_REJECTED` */
  commit(): Promise<void>
  /** Deletes what was written. Does nothing after `commit`; never rejects. */
  abandon(): Promise<void>
}

export interface OutputPlaceOptions {
  /** A file, or a folder of files. */
  readonly kind: 'file' | 'folder'
  /** What is read, and so must not be written. */
  readonly inputs: readonly string[]
  /** Files that go with the output and would be replaced with it, such as REST answers. */
  readonly companions?: readonly string[]
  /** Replaces what is there. Default false. */
  readonly replace?: boolean | undefined
}

/** @throws `OPTION_INVALID` when the output cannot be written there */
export async function outputPlace(out: string, options: OutputPlaceOptions): Promise<OutputPlace> {
  const refuse = (what: string): never => {
    throw new Fault('OPTION_INVALID', `The output ${shown(out)} ${what}.`, { path: out.slice(0, 300) })
  }
  if (out === '') refuse('has no name; give the name of a file')
  if (out.includes('\0')) refuse('has a NUL in its name, which no file system takes; choose another name')
  const target = path.resolve(out)
  const name = path.basename(target)
  if (name === '') refuse('is the root of the file system; give the name of a file in it')
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    refuse(
      `has a name of ${Buffer.byteLength(name)} bytes, and a file system takes ${NAME_BYTES_MAX}; choose a shorter one`,
    )
  }
  const { kind, inputs, companions = [], replace = false } = options
  for (const file of [target, ...companions]) await refuseInput(file, inputs, refuse)
  await refuseExisting(target, kind, replace, refuse)
  if (!replace) {
    for (const file of companions) {
      if ((await statOf(file)) !== undefined)
        refuse(`would replace ${file} too; move that away, or say that it may be replaced (--force)`)
    }
  }
  const parent = path.dirname(target)
  try {
    await mkdir(parent, { recursive: true })
    const work = await mkdtemp(path.join(parent, `.${name.slice(0, NAME_SHOWN)}.`))
    // The random letters come last in a name that mkdtemp makes, and `.part` says what the folder is.
    const folder = `${work}.part`
    await rename(work, folder)
    return new Place(target, folder, kind, companions)
  } catch (cause) {
    throw new Fault(
      'OPTION_INVALID',
      `The output ${shown(out)} cannot be created: ${fileProblem(cause)}`,
      { path: out },
      { cause },
    )
  }
}

/** Of ext4, XFS, APFS and NTFS alike. */
const NAME_BYTES_MAX = 255
/** Of the name in that of the folder beside it, so that this is not too long either. */
const NAME_SHOWN = 40

class Place implements OutputPlace {
  readonly path: string
  private ended = false

  constructor(
    private readonly target: string,
    private readonly folder: string,
    private readonly kind: 'file' | 'folder',
    private readonly companions: readonly string[],
  ) {
    this.path = path.join(folder, path.basename(target))
  }

  async commit(): Promise<void> {
    if (this.ended) return
    this.ended = true
    try {
      if (this.kind === 'folder') await this.moveFolder()
      else await this.moveFiles()
      await syncFolder(path.dirname(this.target))
    } catch (cause) {
      throw new Fault(
        'SINK_REJECTED',
        `The output is whole and could not be moved to ${this.target}: ${fileProblem(cause)} It lies in ${this.folder}.`,
        { path: this.target, folder: this.folder },
        { cause },
      )
    }
    await rm(this.folder, { recursive: true, force: true }).catch(() => undefined) // empty: nothing is lost with it
  }

  async abandon(): Promise<void> {
    if (this.ended) return
    this.ended = true
    await rm(this.folder, { recursive: true, force: true }).catch(() => undefined) // it is named so that nobody takes it for the output
  }

  /** The output last, so that it is never there without what goes with it. */
  private async moveFiles(): Promise<void> {
    const parent = path.dirname(this.target)
    const own = path.basename(this.target)
    const written = (await readdir(this.folder)).filter((name) => name !== own)
    for (const name of [...written, own]) await syncFile(path.join(this.folder, name))
    for (const companion of this.companions) {
      if (!written.includes(path.basename(companion))) await rm(companion, { force: true })
    }
    for (const name of [...written, own]) await rename(path.join(this.folder, name), path.join(parent, name))
  }

  private async moveFolder(): Promise<void> {
    const names = await readdir(this.path)
    for (const name of names) await syncFile(path.join(this.path, name))
    await mkdir(this.target, { recursive: true })
    for (const name of names) await rename(path.join(this.path, name), path.join(this.target, name))
  }
}

async function refuseInput(file: string, inputs: readonly string[], refuse: (what: string) => never): Promise<void> {
  const there = await statOf(file)
  for (const input of inputs) {
    const read = await statOf(input)
    const same = there !== undefined && read !== undefined && there.dev === read.dev && there.ino === read.ino
    if (same || path.resolve(input) === path.resolve(file)) {
      refuse(
        `${file === input ? 'is' : `would write over ${shown(file)}, which is`} one of the inputs; choose another name`,
      )
    }
  }
}

async function refuseExisting(
  target: string,
  kind: 'file' | 'folder',
  replace: boolean,
  refuse: (what: string) => never,
): Promise<void> {
  const there = await statOf(target)
  if (there === undefined) return
  if (kind === 'file') {
    if (there.isDirectory()) refuse('is a folder; give the name of a file in it')
    if (!there.isFile()) refuse('is not a file; choose another name')
    if (!replace) refuse('exists already; choose another name, or say that it may be replaced (--force)')
    return
  }
  if (!there.isDirectory()) refuse('is a file, and what is written are the files of a folder; choose another name')
  const names = await readdir(target)
  if (names.length > 0 && !replace)
    refuse('is a folder with files in it; choose another one, or say that they may be replaced (--force)')
}

async function statOf(file: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(file)
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(cause) ?? '')) return undefined
    throw new Fault(
      'OPTION_INVALID',
      `The file ${shown(file)} cannot be looked at: ${fileProblem(cause)}`,
      { path: file.slice(0, 300) },
      { cause },
    )
  }
}

/** So that a machine that loses its power has the whole file under the name, or none. */
async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Where a file system has no such thing, the name is as safe as it makes it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close().catch(() => undefined)
}

/** A name as a person may read it, whatever is in it. */
function shown(name: string): string {
  const text = JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name)
  return text.slice(1, -1) === name ? name : text
}
