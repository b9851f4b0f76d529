import type { ReplayedRecords } from '../feed/recording/mergeRecordings'

/** Lines of all files together; 0 where a recorder was killed before it could say. */
export async function totalLines(records: ReplayedRecords): Promise<number> {
  let sum = 0
  for (const reader of await records.open()) {
    const { frames } = await reader.header()
    if (frames === undefined) return 0
    sum += frames
  }
  return sum
}
