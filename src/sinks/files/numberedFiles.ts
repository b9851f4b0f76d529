import { readdir } from 'node:fs/promises'
import path from 'node:path'

/**
 * The name of a finished file: `trades.parquet`, 7 → `trades.000007.parquet`
 *
 * @param packing  a second ending, `.gz`, before which the number stands too: `bars.jsonl.gz` → `bars.000007.jsonl.gz`
 */
export function numbered(file: string, number: number, packing = ''): string {
  const { folder, name, endings } = partsOf(file, packing)
  return path.join(folder, `${name}.${String(number).padStart(6, '0')}${endings}`)
}

/** The highest number among the finished files of a growing one; 0 where there are none. */
export async function highestNumber(file: string, packing = ''): Promise<number> {
  const { folder, name, endings } = partsOf(file, packing)
  let highest = 0
  for (const entry of await readdir(folder)) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith(endings)) continue
    const digits = entry.slice(name.length + 1, entry.length - endings.length)
    if (/^\d{1,15}$/.test(digits)) highest = Math.max(highest, Number(digits))
  }
  return highest
}

interface Parts {
  readonly folder: string
  readonly name: string
  readonly endings: string
}

function partsOf(file: string, packing: string): Parts {
  const { dir, name, ext } = path.parse(file.slice(0, file.length - packing.length))
  return { folder: dir, name, endings: ext + packing }
}
