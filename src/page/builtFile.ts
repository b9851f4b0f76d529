import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { Fault, messageOf } from '../model/fault'

/** Of a page's charts, as its package was built. */
export const UPLOT_SCRIPT = 'uplot/dist/uPlot.iife.min.js'
export const UPLOT_STYLES = 'uplot/dist/uPlot.min.css'

/**
 * The text of a file of a package.
 *
 * @throws `OPTION_INVALID` when it cannot be read
 */
export async function builtFile(file: string): Promise<string> {
  try {
    return await readFile(createRequire(__filename).resolve(file), 'utf8')
  } catch (cause) {
    throw new Fault(
      'OPTION_INVALID',
      `The page cannot be made without ${file}: ${messageOf(cause)}. Install millrace with its dependencies.`,
      { file },
      { cause },
    )
  }
}
