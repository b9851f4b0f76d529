/**
 * The token that whoever asks a server must have, where others than this machine can reach it.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Fault } from '../model/fault'

/** A token that nobody guesses: 256 bits. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** @throws `OPTION_INVALID` for one that can be guessed, or cannot travel in a header and in an address; it is not repeated */
export function checkToken(token: string): string {
  if (/^[\w.~+/=-]{16,256}$/.test(token)) return token
  const message =
    'The token of --serve is not usable: it should have 16 to 256 characters of a-z, A-Z, 0-9 and -._~+/=, such as `openssl rand -hex 32` gives.'
  throw new Fault('OPTION_INVALID', message, { option: 'token' })
}

/**
 * What a browser keeps in the place of the token. It opens the same door, and no other: whoever reads it does not know the
 * token.
 */
export function cookieFor(token: string | undefined, port: number): { readonly name: string; readonly value: string } {
  const value = createHash('sha256')
    .update(`millrace cookie ${token ?? ''}`)
    .digest('base64url')
  return { name: `millrace_${port}`, value }
}
