import type { Departure } from './clientLook'
import type { Refusal } from './websocketGate'

/** Of a WebSocket server, since it was opened first. */
export interface ConnectionCounts {
  accepted: number
  /** Sockets that came to nothing: `full` by `clientsMax`, `late` with their handshake, `invalid` for not asking for a WebSocket. */
  readonly refused: Record<Refusal['why'] | 'full' | 'late' | 'invalid', number>
  readonly gone: Record<Departure, number>
}

export function connectionCounts(): ConnectionCounts {
  return {
    accepted: 0,
    refused: { path: 0, origin: 0, token: 0, full: 0, late: 0, invalid: 0 },
    gone: { left: 0, slow: 0, silent: 0, loud: 0, malformed: 0, closed: 0 },
  }
}
