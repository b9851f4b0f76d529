import { Fault, messageOf } from './fault'

/**
 * Files that could not be written: what, where and what to do, in a sentence.
 *
 * The codes are those of the operating system (`errno`); whatever is not in the table is quoted as it came.
 */

/** The fault of a sink whose file could not be written. A fault is given back as it is. */
export function fileFault(sink: string, file: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause
  return new Fault(
    'SINK_REJECTED',
    `The sink ${sink} cannot write ${file}: ${fileProblem(cause)}`,
    { sink, path: file, errno: errnoOf(cause) },
    { cause },
  )
}

/** Why a file could not be written and what to do, as the end of a sentence, with its full stop. */
export function fileProblem(cause: unknown): string {
  return PROBLEMS.get(errnoOf(cause) ?? '') ?? `${messageOf(cause)}.`
}

/** The operating system's code of an error (`ENOENT`), if it has one. */
export function errnoOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined
  return typeof cause.code === 'string' ? cause.code : undefined
}

const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'the disk is full; free some space on it.'],
  ['EDQUOT', 'the disk quota is used up; free some space or raise the quota.'],
  ['EROFS', 'the file system is read-only; remount it for writing, or choose another folder.'],
  ['EACCES', 'permission is denied; allow this user to write there, or choose another folder.'],
  ['EPERM', 'the operation is not permitted; allow this user to write there, or choose another folder.'],
  ['ENOENT', 'the file or its folder has gone; put the folder back.'],
  ['ENOTDIR', 'a part of its path is a file where a folder should be; move that file away, or choose another path.'],
  ['EEXIST', 'a part of its path is a file where a folder should be; move that file away, or choose another path.'],
  ['EISDIR', 'there is a folder of that name; move it away, or choose another name.'],
  ['EBUSY', 'another program holds the file; close it there.'],
  ['ETXTBSY', 'another program holds the file; close it there.'],
  ['EMFILE', 'this process has too many open files; raise its limit (ulimit -n).'],
  ['ENFILE', 'this machine has too many open files; raise its limit.'],
  ['EFBIG', 'the file is as large as the file system allows; begin another one.'],
  ['EIO', 'the disk reported an input/output error; check the disk.'],
  ['ENAMETOOLONG', 'its name is too long for the file system; choose a shorter one.'],
  ['ELOOP', 'its path goes round in symbolic links; choose another path.'],
  ['EPIPE', 'the reader at the other end has gone; restart it.'],
])
