/**
 * What a page runs, as one script: its modules as they were built, each in a function of its own.
 *
 * The modules are those of `browser/` and `page/` folders and what they import by a relative path; none of them loads
 * anything else. In a checkout that was not built they are translated on the way, which needs the package `typescript`.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { Fault, messageOf } from '../model/fault'
import type * as typescript from 'typescript'

const load = createRequire(__filename)

const IMPORTED = /\brequire\("(\.[^"]*)"\)/g

/**
 * @param entry  the path of the module that begins, without its extension
 * @throws `OPTION_INVALID` when a module can be had neither built nor translated
 */
export async function pageScript(entry: string): Promise<string> {
  const places = [entry]
  const modules: string[] = []
  for (const place of places) {
    const text = await moduleText(place)
    const names = [...text.matchAll(IMPORTED)].map(([, name]) => {
      const imported = path.resolve(path.dirname(place), name!)
      const known = places.indexOf(imported)
      return [name!, known < 0 ? places.push(imported) - 1 : known] as const
    })
    modules.push(`[(exports, require) => {\n${text}}, ${JSON.stringify(Object.fromEntries(names))}]`)
  }
  return `(() => {
'use strict'
const modules = [
${modules.join(',\n')}
]
const made = []
const load = (at) => {
  if (made[at] === undefined) {
    made[at] = {}
    const [make, names] = modules[at]
    make(made[at], (name) => load(names[name]))
  }
  return made[at]
}
load(0)
})()
`
}

async function moduleText(place: string): Promise<string> {
  try {
    const built = `${place}.js`
    const text = existsSync(built) ? await readFile(built, 'utf8') : translated(await readFile(`${place}.ts`, 'utf8'))
    return text.replace(/^\/\/# sourceMappingURL=.*\n?/m, '')
  } catch (cause) {
    throw new Fault(
      'OPTION_INVALID',
      `The page cannot be made without ${path.basename(place)}: ${messageOf(cause)}. Build millrace, or install it anew.`,
      { file: place },
      { cause },
    )
  }
}

function translated(text: string): string {
  const ts = load('typescript') as typeof typescript
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023 },
  })
  return outputText
}
