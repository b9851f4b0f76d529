/**
 * Numbers for runs that have no name: each gets one that no run before it had in the folder, also when two begin at once.
 *
 * The highest number given is kept as the name of an empty file that readers of the folder do not see. Creating it is the one
 * step that only one of two can do. A lower one is removed after the higher is there; who has come so late that it could
 * create a lower one again sees the higher one, and goes on above it.
 */
import { open, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../../model/fileFault'

const CLAIM = /^\.run-(\d{1,15})$/
/** Runs that begin in the same moment. */
const RIVALS_MAX = 1_000

/** 0 for the first run in the folder. */
export async function claimRunNumber(folder: string): Promise<number> {
  for (let attempt = 0; attempt < RIVALS_MAX; attempt++) {
    const number = Math.max(-1, ...(await claimsIn(folder))) + 1
    if (!(await isCreated(claimPath(folder, number)))) continue
    const others = await claimsIn(folder)
    const isHighest = others.every((other) => other <= number)
    for (const lower of others.filter((other) => other < number)) await rm(claimPath(folder, lower), { force: true })
    if (isHighest) return number
    await rm(claimPath(folder, number), { force: true })
  }
  throw new Error(`no number for a run could be had in ${RIVALS_MAX} attempts`)
}

async function claimsIn(folder: string): Promise<number[]> {
  const matches = (await readdir(folder)).map((name) => CLAIM.exec(name))
  return matches.flatMap((match) => (match === null ? [] : [Number(match[1])]))
}

function claimPath(folder: string, number: number): string {
  return path.join(folder, `.run-${number}`)
}

async function isCreated(file: string): Promise<boolean> {
  try {
    await (await open(file, 'wx')).close()
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return false
    throw cause
  }
}
