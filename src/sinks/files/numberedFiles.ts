import { readdir } from 'node:fs/promises'
import path from 'node:path'

/** The name of a finished file: `trades.parquet`, 7 → `trades.000007.parquet` */
export function numbered(file: string, number: number): string {
  const { dir, name, ext } = path.parse(file)
  return path.join(dir, `${name}.${String(number).padStart(6, '0')}${ext}`)
}

/** The highest number among the finished files of a growing one; 0 where there are none. */
export async function highestNumber(file: string): Promise<number> {
  const { dir, name, ext } = path.parse(file)
  let highest = 0
  for (const entry of await readdir(dir)) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith(ext)) continue
    const digits = entry.slice(name.length + 1, entry.length - ext.length)
    if (/^\d{1,15}$/.test(digits)) highest = Math.max(highest, Number(digits))
  }
  return highest
}
