/**
 * What every page is made with: its style sheet, its scripts, and the policy that allows these and nothing else.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { Fault, messageOf } from '../../model/fault'
import { PAGE_SCRIPT } from './page/script'
import { PAGE_STYLES } from './page/styles'

export interface PageParts {
  /** Of the page's Content-Security-Policy. */
  readonly policy: string
  readonly style: string
  readonly scripts: readonly string[]
}

let made: Promise<PageParts> | undefined

/**
 * Reads uPlot as it was built, once for all pages.
 *
 * @throws `OPTION_INVALID` when the package cannot be read
 */
export function pageParts(): Promise<PageParts> {
  made ??= make().catch((thrown: unknown) => {
    made = undefined
    throw thrown
  })
  return made
}

async function make(): Promise<PageParts> {
  const [uplot, uplotStyles] = await Promise.all([
    builtFile('uplot/dist/uPlot.iife.min.js'),
    builtFile('uplot/dist/uPlot.min.css'),
  ])
  const style = `${uplotStyles}${PAGE_STYLES}`
  const scripts = [uplot, PAGE_SCRIPT]
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

async function builtFile(file: string): Promise<string> {
  try {
    return await readFile(createRequire(__filename).resolve(file), 'utf8')
  } catch (cause) {
    throw new Fault(
      'OPTION_INVALID',
      `The HTML report cannot be made without ${file}: ${messageOf(cause)}. Install millrace with its dependencies.`,
      { file },
      { cause },
    )
  }
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
