/**
 * From places in files as they run to lines of the files that were written: by the source maps that ts-node and compilers
 * leave behind.
 */
import { readFileSync, statSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import path from 'node:path'
import { fileOf } from './profile'

/** A line of a file as it was written. */
export interface SourceLine {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  /** Without the space around it; empty where the file could not be read. */
  readonly text: string
}

/** A place in a file as it runs; both counted from 1. */
export interface RunningPlace {
  readonly url: string
  readonly line: number
  /** Undefined: wherever in the line. */
  readonly column?: number | undefined
}

/** Maps and files larger than this are left alone. */
const BYTES_MAX = 64e6
/** Text of a line that is kept. */
const TEXT_MAX = 200

export class SourceLines {
  private readonly maps = new Map<string, SourceMap | undefined>()
  private readonly texts = new Map<string, readonly string[]>()

  /** @param mapAddresses  of the source maps, by the path of the script */
  constructor(private readonly mapAddresses: ReadonlyMap<string, string>) {}

  find({ url, line, column }: RunningPlace): SourceLine | undefined {
    const file = fileOf(url)
    if (file === undefined) return undefined
    const map = this.mapOf(file)
    // Far to the right: the last thing of a line belongs to the line, what is left of the first may belong to the one before.
    const entry = map?.findEntry(line - 1, column === undefined ? 1e6 : column - 1)
    if (map === undefined || entry === undefined || !('originalLine' in entry))
      return this.lineOf(file, line, undefined)
    const { originalSource, originalLine } = entry
    const { sourceRoot = '', sources = [], sourcesContent = [] } = map.payload as Partial<SourceMapPayload>
    const original = fileOf(originalSource) ?? path.resolve(path.dirname(file), sourceRoot, originalSource)
    return this.lineOf(original, originalLine + 1, sourcesContent[sources.indexOf(originalSource)])
  }

  private lineOf(file: string, line: number, content: string | undefined): SourceLine {
    let text = this.texts.get(file)
    if (text === undefined) this.texts.set(file, (text = (content ?? readSmall(file) ?? '').split('\n')))
    return { file, line, text: (text[line - 1] ?? '').trim().slice(0, TEXT_MAX) }
  }

  private mapOf(file: string): SourceMap | undefined {
    if (this.maps.has(file)) return this.maps.get(file)
    const payload = payloadOf(file, this.mapAddresses.get(file))
    const map = payload === undefined ? undefined : new SourceMap(payload)
    this.maps.set(file, map)
    return map
  }
}

function payloadOf(file: string, address: string | undefined): SourceMapPayload | undefined {
  if (address === undefined || address === '') return undefined
  try {
    const inline = /^data:application\/json[^,]*?(;base64)?,/.exec(address)
    const text =
      inline === null
        ? readSmall(fileOf(address) ?? path.resolve(path.dirname(file), decodeURIComponent(address)))
        : inline[1] === undefined
          ? decodeURIComponent(address.slice(inline[0].length))
          : Buffer.from(address.slice(inline[0].length), 'base64').toString()
    return text === undefined ? undefined : (JSON.parse(text) as SourceMapPayload)
  } catch {
    return undefined
  }
}

function readSmall(file: string): string | undefined {
  try {
    return statSync(file).size > BYTES_MAX ? undefined : readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
