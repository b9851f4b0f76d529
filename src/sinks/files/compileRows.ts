/**
 * Rows as straight-line code: one expression for each field, so that the engine knows each field's place and type by itself,
 * where in a loop over the names it would look for each field anew.
 *
 * Nothing from outside is evaluated: the code is made of the number of fields alone. Their names, and the function that
 * writes them, are handed to it as values.
 */

/** A text for one field's value, undefined too. */
type FieldText = (field: unknown) => string

type Rendered = (value: unknown) => string

/** An encoder of rows: the texts of the fields, undefined ones too, with commas between them. */
export function compileRow(names: readonly string[], cell: FieldText): Rendered {
  if (names.length > STRAIGHT_FIELDS_MAX) {
    return (value) => names.map((name) => cell((value as Record<string, unknown>)[name])).join(',')
  }
  const constants = names.map((_, at) => `const name${at} = names[${at}];`).join('')
  const cells = names.map((_, at) => `cell(value[name${at}])`).join(` + ',' + `) || "''"
  return evaluated(`${constants} return function (value) { return ${cells} }`, names, cell)
}

/** Beyond, code would be long to compile for little. */
const STRAIGHT_FIELDS_MAX = 256

function evaluated(code: string, names: readonly string[], cell: FieldText): Rendered {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- made of the number of fields, see above
  const make = new Function('names', 'cell', `'use strict'; ${code}`) as (...given: unknown[]) => Rendered
  return make(names, cell)
}
