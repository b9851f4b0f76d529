import { Fault, messageOf } from '../model/fault'

/**
 * The fault of a file that could not be written: what, where and what to do, in a sentence.
 *
 * The codes are those of the operating system (`errno`); whatever is not in the table is quoted as it came.
 */
export function fileFault(sink: string, file: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause
  const errno = errnoOf(cause)
  const reason = (errno === undefined ? undefined : REASONS.get(errno)) ?? `${messageOf(cause)}.`
  return new Fault(
    'SINK_REJECTED',
    `The sink ${sink} cannot write ${file}: ${reason}`,
    { sink, path: file, errno },
    { cause },
  )
}

/** The operating system's code of an error (`ENOENT`), if it has one. */
export function errnoOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined
  return typeof cause.code === 'string' ? cause.code : undefined
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'the disk is full. Free some space on it.'],
  ['EDQUOT', 'the disk quota is used up. Free some space or raise the quota.'],
  ['EROFS', 'the file system is read-only. Remount it for writing, or choose another output folder.'],
  ['EACCES', 'permission is denied. Allow this user to write there, or choose another output folder.'],
  ['EPERM', 'the operation is not permitted. Allow this user to write there, or choose another output folder.'],
  ['ENOENT', 'the file or its folder has gone. Put the folder back.'],
  ['ENOTDIR', 'a part of its path is a file where a folder should be. Move that file away.'],
  ['EEXIST', 'a part of its path is a file where a folder should be. Move that file away.'],
  ['EISDIR', 'there is a folder of that name. Move it away, or choose another name.'],
  ['EMFILE', 'this process has too many open files. Raise its limit (ulimit -n).'],
  ['ENFILE', 'this machine has too many open files. Raise its limit.'],
  ['EFBIG', 'the file is as large as the file system allows. Rotate it by size.'],
  ['EIO', 'the disk reported an input/output error. Check the disk.'],
  ['ENAMETOOLONG', 'its name is too long for the file system. Choose a shorter one.'],
  ['ELOOP', 'its path goes round in symbolic links. Choose another path.'],
  ['EPIPE', 'the reader at the other end has gone. Restart it.'],
])
