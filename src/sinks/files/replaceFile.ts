import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { fileFault } from '../../model/fileFault'

export interface ReplacedBytes {
  readonly bytes: number
}

/** The text that is being written before it takes its place. */
export function temporaryOf(file: string): string {
  return `${file}.tmp`
}

/**
 * Replaces a file as a whole: a reader sees the old version or the new one, never a half.
 *
 * The text is written to `<file>.tmp` in the same folder, flushed to the disk and renamed over the old one; folders are
 * created. A process that dies in between leaves the old version whole. The pieces are asked for one by one, each after
 * the one before it has been written: what makes them may be long, if each piece is short. A pair of surrogates is within
 * one piece.
 *
 * @param sink    who writes, for the sentence of a fault
 * @param onBytes told of what was written, in order
 * @returns  how many bytes the new version has
 * @throws   what `pieces` throws, if it is a `Fault`; else `SINK_REJECTED { path }`. The old version stays then
 */
export async function replaceFile(
  sink: string,
  file: string,
  pieces: Iterable<string>,
  onBytes: (bytes: Uint8Array) => void = () => undefined,
): Promise<ReplacedBytes> {
  const temporary = temporaryOf(file)
  let bytes = 0
  let handle: FileHandle | undefined
  try {
    await mkdir(path.dirname(file), { recursive: true })
    await rm(temporary, { force: true })
    handle = await open(temporary, 'wx')
    for (const piece of pieces) {
      const chunk = Buffer.from(piece)
      for (let done = 0; done < chunk.length;) {
        done += (await handle.write(chunk, done, chunk.length - done)).bytesWritten
      }
      onBytes(chunk)
      bytes += chunk.length
    }
    await handle.sync()
    await handle.close()
    handle = undefined
    await rename(temporary, file)
  } catch (cause) {
    await handle?.close().catch(() => undefined)
    await rm(temporary, { force: true }).catch(() => undefined)
    throw fileFault(sink, file, cause)
  }
  await flushFolder(path.dirname(file))
  return { bytes }
}

/** The same text in pieces of at least so many characters, but for the last: each piece is a write of its own. */
export function* gathered(pieces: Iterable<string>, pieceChars = 16_384): Iterable<string> {
  let piece = ''
  for (const text of pieces) {
    piece += text
    if (piece.length < pieceChars) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

/** A text in pieces of so many characters or one less: half of a pair of surrogates would be written as a replacement character. */
export function* cutText(text: string, pieceChars: number): Iterable<string> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(text.length, at + pieceChars)
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--
    yield text.slice(at, end)
    at = end
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/** Makes the renaming itself durable where the system can; where it cannot, the file's own flush must do. */
async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // Not every file system lets a folder be opened or flushed; the file is complete either way.
  }
}
