/**
 * Functions that are loaded when they are called: an API has all of its names at once, and costs what is used of it.
 *
 * What describes is called before anything flows; so the loading of what it names stops no loop that is at work. What is called
 * for each event is better loaded at once: a call through here costs some nanoseconds more.
 */
/** Makes functions of the module whose type is `Api`. */
export interface Later<Api> {
  /** The function of that name in a file, which is loaded with the first call. */
  readonly later: <Name extends keyof Api & string>(name: Name, file: string) => Api[Name]
  /** One of the functions of the object of that name: `time` of `bars`. */
  readonly laterIn: <Name extends keyof Api & string, Part extends keyof Api[Name] & string>(
    name: Name,
    part: Part,
    file: string,
  ) => Api[Name][Part]
}

/** @param load  `createRequire(__filename)` of the module that the names of files are meant from */
export function laterFrom<Api>(load: (file: string) => unknown): Later<Api> {
  return {
    later: <Name extends keyof Api & string>(name: Name, file: string) => laterAt(load, file, [name]) as Api[Name],
    laterIn: <Name extends keyof Api & string, Part extends keyof Api[Name] & string>(
      name: Name,
      part: Part,
      file: string,
    ) => laterAt(load, file, [name, part]) as Api[Name][Part],
  }
}

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown

function laterAt(load: (file: string) => unknown, file: string, names: readonly string[]): AnyFunction {
  let found: AnyFunction | undefined
  const called: AnyFunction = function (...args) {
    found ??= memberOf(load(file), names) as AnyFunction
    return found.apply(this, args)
  }
  return Object.defineProperty(called, 'name', { value: names.at(-1) })
}

function memberOf(module: unknown, names: readonly string[]): unknown {
  return names.reduce((at, name) => (at as Record<string, unknown>)[name], module)
}
