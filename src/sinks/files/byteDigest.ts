import type { Hash } from 'node:crypto'

/**
 * The rolling sha256 of the bytes that a sink wrote. Costs nothing until it is enabled.
 *
 * Bytes are added only when they are safe at the destination, so that a batch that was retried counts once.
 */
export class ByteDigest {
  private hash: Hash | undefined

  enable(): void {
    this.hash ??= newHash()
  }

  get enabled(): boolean {
    return this.hash !== undefined
  }

  update(bytes: string | Uint8Array): void {
    this.hash?.update(bytes)
  }

  /** A digest that goes on from here by itself; see `replaceBy`. */
  fork(): ByteDigest {
    const forked = new ByteDigest()
    forked.hash = this.hash?.copy()
    return forked
  }

  /** Takes over what `other` has digested: for a destination that is replaced, or a fork whose bytes have become safe. */
  replaceBy(other: ByteDigest): void {
    if (this.hash !== undefined && other.hash !== undefined) this.hash = other.hash.copy()
  }

  /** Forgets what was added. */
  restart(): void {
    if (this.hash !== undefined) this.hash = newHash()
  }

  /** The digest so far; more bytes may follow. */
  value(): string | undefined {
    return this.hash === undefined ? undefined : `sha256:${this.hash.copy().digest('hex')}`
  }
}

/** Cryptography is loaded for the first digest. */
function newHash(): Hash {
  return process.getBuiltinModule('node:crypto').createHash('sha256')
}
