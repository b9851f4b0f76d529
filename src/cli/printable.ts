/**
 * Names and messages come from outside: what would move the cursor, turn the direction of writing or be no character is
 * shown as a dot.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNPRINTABLE, '·')
}

const PLAIN = /^[\x20-\x7e]*$/
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
