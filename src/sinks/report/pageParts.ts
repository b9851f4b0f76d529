/**
 * What every page is made with: its style sheet, its scripts, and the policy that allows these and nothing else.
 */
import path from 'node:path'
import { Fault } from '../../model/fault'
import { builtFile, UPLOT_SCRIPT, UPLOT_STYLES } from '../../page/builtFile'
import { pageScript } from '../../page/pageScript'
import { BASE_STYLES } from '../../page/styles'
import { REPORT_STYLES } from './reportStyles'

export interface PageParts {
  /** Of the page's Content-Security-Policy. */
  readonly policy: string
  readonly style: string
  readonly scripts: readonly string[]
}

let made: Promise<PageParts> | undefined

/**
 * Reads uPlot and the page's own script, once for all pages.
 *
 * @throws `OPTION_INVALID` when they cannot be read
 */
export function pageParts(): Promise<PageParts> {
  made ??= make().catch((thrown: unknown) => {
    made = undefined
    throw thrown
  })
  return made
}

async function make(): Promise<PageParts> {
  const [uplotStyles, ...scripts] = await Promise.all([
    builtFile(UPLOT_STYLES),
    builtFile(UPLOT_SCRIPT),
    pageScript(path.join(__dirname, 'page', 'reportPage')),
  ])
  const style = `${uplotStyles}${BASE_STYLES}${REPORT_STYLES}`
  for (const text of [style, ...scripts]) requireInline(text)
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(hashOf).join(' ')}`,
    `style-src ${hashOf(style)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return { policy, style, scripts }
}

/** What would end its element early can be part of no page. */
function requireInline(text: string): void {
  if (/<\/(script|style)|<!--/i.test(text))
    throw new Fault('OPTION_INVALID', 'A part of the page would end its element.')
}

/** As a policy names an inline script or style sheet. */
function hashOf(text: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
