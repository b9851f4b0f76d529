/**
 * Takes the secrets out of an address before it is written down.
 *
 * A recording is handed on; a token or signature in one of its addresses would be handed on with it. The value of every
 * query parameter whose name says that it is a secret becomes `TOKEN`, and so does a user name with its password. All
 * else keeps its exact spelling, because exchanges put the names of their streams there.
 */
export function redactUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, '$1TOKEN@')
    .replace(/([?&#;])([^=&#;]*)=([^&#;]*)/g, (whole, before: string, name: string) =>
      isSecret(name) ? `${before}${name}=TOKEN` : whole,
    )
}

const SECRET = /token|key|secret|sign|auth|passw|passphrase|credential|session/i

function isSecret(name: string): boolean {
  if (SECRET.test(name)) return true
  if (!name.includes('%')) return false
  try {
    return SECRET.test(decodeURIComponent(name))
  } catch {
    return true // a name that cannot be read cannot be vouched for
  }
}
