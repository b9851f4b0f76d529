/** What a client sent, read without trusting it: nothing here throws, and only own keys are looked at. */

export type JsonObject = Readonly<Record<string, unknown>>

/** The object that `text` holds; undefined where it is no JSON, or JSON of another kind. */
export function parseObject(text: string): JsonObject | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return isObject(value) ? value : undefined
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

/** The texts of an array; undefined when it is no array or holds anything else. */
export function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}
