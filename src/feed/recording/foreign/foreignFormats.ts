/**
 * The formats of other recorders that are read, and which of them a file is in.
 */
import { didYouMean } from '../../../model/nearest'
import { Fault } from '../../../model/fault'
import { openBlocks } from '../fileBlocks'
import { RECORDING_FORMAT } from '../recordingHeader'
import { cryptofeed } from './cryptofeed'
import type { ForeignFormat, ForeignFormatName } from './foreignFormat'
import { hftbacktest } from './hftbacktest'
import { tardisCsv } from './tardisCsv'
import { tardisRaw } from './tardisRaw'

export const FOREIGN_FORMATS: readonly ForeignFormat[] = [hftbacktest, tardisRaw, tardisCsv, cryptofeed]

export type FormatName = ForeignFormatName | 'millrace'

export const FORMAT_NAMES: readonly FormatName[] = ['millrace', ...FOREIGN_FORMATS.map(({ name }) => name)]

/** @throws `OPTION_INVALID` that names the nearest */
export function formatNamed(name: string): FormatName {
  const found = FORMAT_NAMES.find((each) => each === name)
  if (found !== undefined) return found
  throw new Fault(
    'OPTION_INVALID',
    `There is no format ${JSON.stringify(name.slice(0, 64))}.${didYouMean(name, FORMAT_NAMES)} There are ${FORMAT_NAMES.join(', ')}.`,
    { format: name.slice(0, 64) },
  )
}

export function foreignFormat(name: ForeignFormatName): ForeignFormat {
  return FOREIGN_FORMATS.find((format) => format.name === name)!
}

/**
 * The format that a file is in, by how it begins; undefined for an empty one.
 *
 * @throws `RECORDING_INVALID` when there is no such file, or it is in none that is known
 */
export async function formatOf(path: string): Promise<FormatName | undefined> {
  const start = await startOf(path)
  if (start === undefined) return undefined
  if (/^\s*\{/.test(start) && start.slice(0, HEADER_CHARS).includes(`"${RECORDING_FORMAT.split('/')[0]}/`))
    return 'millrace'
  const format = FOREIGN_FORMATS.find((each) => each.recognises(start))
  if (format !== undefined) return format.name
  throw new Fault(
    'RECORDING_INVALID',
    `The file ${path} ${PACKET_CAPTURES.some((magic) => start.startsWith(magic)) ? PACKETS : UNKNOWN}.`,
    { path },
  )
}

const HEADER_CHARS = 16_384
const UNKNOWN = `begins as no recording that is known: ${FORMAT_NAMES.join(', ')}; say with a format's name which it is`
const PACKETS =
  'is a capture of network packets or packed by zstd, which is not read here; unpack it, or give raw lines'
/** zstd, and pcap in both orders of bytes, as latin1 text. */
const PACKET_CAPTURES: readonly string[] = [
  '\x28\xb5\x2f\xfd',
  '\xd4\xc3\xb2\xa1',
  '\x4d\x3c\xb2\xa1',
  '\xa1\xb2\xc3\xd4',
  '\xa1\xb2\x3c\x4d',
]

/** The first thousands of characters, unpacked; undefined where there are none. */
async function startOf(path: string): Promise<string | undefined> {
  const blocks = await openBlocks(path)
  try {
    let start = ''
    while (start.length < HEADER_CHARS) {
      const next = await blocks.next()
      // How a damaged file begins still tells what it was.
      const suspect = 'end' in next && next.end === 'damaged' ? next.suspect : []
      for (const bytes of suspect) start += bytes.toString('latin1', 0, HEADER_CHARS)
      if ('end' in next) break
      for (const part of next) {
        const texts = part.part === 'text' ? [part.bytes] : part.part === 'broken' ? part.suspect : []
        for (const bytes of texts) start += bytes.toString('latin1', 0, HEADER_CHARS)
      }
    }
    return start.trim() === '' ? undefined : start
  } finally {
    await blocks.close().catch(() => undefined)
  }
}
