/**
 * The WebSockets of this thread, for what waits in them: bytes that the other side has not taken, and bytes that were
 * received and not read.
 *
 * Whoever opens one notes it here. A look costs the same however many there are: it asks some of them, in turn, and takes
 * of the others what they said last.
 */

export interface SocketGauge {
  /** Bytes that wait to be sent. */
  unsentBytes(): number
  /** Bytes that were received and not taken yet, as far as that is known. */
  unreadBytes(): number
}

export interface SocketFigures {
  readonly count: number
  readonly unsentBytes: number
  readonly unreadBytes: number
}

/** Sockets that one look asks: at a tenth of a microsecond each. */
const ASKED_MAX = 64

interface Noted {
  readonly gauge: SocketGauge
  unsentBytes: number
  unreadBytes: number
}

export class SocketGauges {
  private readonly noted: Noted[] = []
  private next = 0
  private unsentBytes = 0
  private unreadBytes = 0

  /** The returned function takes it out again; it may be called twice. */
  note(gauge: SocketGauge): () => void {
    const noted: Noted = { gauge, unsentBytes: 0, unreadBytes: 0 }
    this.noted.push(noted)
    return () => this.forget(noted)
  }

  look(): SocketFigures {
    const { noted } = this
    for (let left = Math.min(ASKED_MAX, noted.length); left > 0; left--) {
      if (this.next >= noted.length) this.next = 0
      this.set(noted[this.next]!, noted[this.next]!.gauge.unsentBytes(), noted[this.next]!.gauge.unreadBytes())
      this.next++
    }
    return { count: noted.length, unsentBytes: this.unsentBytes, unreadBytes: this.unreadBytes }
  }

  private set(noted: Noted, unsentBytes: number, unreadBytes: number): void {
    this.unsentBytes += unsentBytes - noted.unsentBytes
    this.unreadBytes += unreadBytes - noted.unreadBytes
    noted.unsentBytes = unsentBytes
    noted.unreadBytes = unreadBytes
  }

  private forget(noted: Noted): void {
    const index = this.noted.indexOf(noted)
    if (index < 0) return
    this.set(noted, 0, 0)
    // Order does not matter: the last one takes its place.
    const last = this.noted.pop()!
    if (last !== noted) this.noted[index] = last
  }
}

/** Those of this thread. */
export const socketGauges = new SocketGauges()
