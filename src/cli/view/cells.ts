/** Text in cells of a terminal: how wide it is, cut to a width, filled to one. Of printable text. */

/** Columns that a text takes: none for marks that stand on the letter before, two for what is wide in East Asia, and emoji. */
export function widthOf(text: string): number {
  if (NARROW.test(text)) return text.length
  let width = 0
  for (const letter of text) width += widthOfLetter(letter)
  return width
}

/** The beginning of a text, of at most so many columns. */
export function cut(text: string, columns: number): string {
  if (text.length <= columns && NARROW.test(text)) return text
  let width = 0
  let end = 0
  for (const letter of text) {
    width += widthOfLetter(letter)
    if (width > columns) break
    end += letter.length
  }
  return text.slice(0, end)
}

/** A text of exactly so many columns: cut, with a mark that it was, or filled with spaces. */
export function cell(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const width = widthOf(text)
  const shown = width <= columns ? text : `${cut(text, Math.max(0, columns - 1))}…`
  const fill = ' '.repeat(Math.max(0, columns - widthOf(shown)))
  return align === 'left' ? shown + fill : fill + shown
}

/** Latin letters and the signs that the view itself draws with. */
const NARROW = /^[\x20-\x7e·…→└├│─█▁-▉░]*$/
const MARK = /^[\p{Mn}\p{Me}]$/u
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})$/u

function widthOfLetter(letter: string): number {
  if (NARROW.test(letter)) return 1
  return MARK.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1
}
