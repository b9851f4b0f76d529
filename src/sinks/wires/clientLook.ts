/** What is known of a client at this moment. */
export interface ClientLook {
  readonly id: number
  readonly address: string
  readonly connectedUs: number
  /** Values that were handed to its socket, given up, and merged into later ones of their key. */
  readonly sent: number
  readonly dropped: number
  readonly conflated: number
  /** What waits in its queue, and the bytes that its socket has not got rid of. */
  readonly waiting: number
  readonly waitingBytes: number
  readonly bufferedBytes: number
  /** The keys that it asked for; undefined for all. */
  readonly subscribed: readonly string[] | undefined
}

/**
 * Why a client has gone: it left or the network did, it was too slow, silent or loud, it broke the protocol, or we closed.
 */
export type Departure = 'left' | 'slow' | 'silent' | 'loud' | 'malformed' | 'closed'
